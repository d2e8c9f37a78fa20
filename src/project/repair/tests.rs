//! Repairs over small files: what comes out, and that doing it twice changes nothing.

use std::time::Duration;

use super::*;

fn repaired(name: &str, text: &str, at: &str, wanted: &Repair) -> Option<String> {
    let start = text.find(at).unwrap();
    let file = SourceFile::new(name, name, text);
    let changes = Workbench::new(&[file]).repair(0, Span { start, end: start + at.len() }, wanted)?;
    let mut out = text.to_owned();
    for change in changes.iter().rev() {
        out.replace_range(change.span.start..change.span.end, &change.text);
    }
    Some(out)
}

fn read_timeout() -> Repair {
    Repair::Timeout(TimeoutOf::Read, Duration::from_secs(600))
}

#[test]
fn settings_go_where_they_belong() {
    let drop_key = || Repair::DropHeader("X-API-Key".to_owned());
    let header_time = || Repair::Timeout(TimeoutOf::ClientHeader, Duration::from_secs(10));
    for (name, text, at, wanted, expected) in [
        (
            "a.conf",
            "server {\n  location / {\n    proxy_pass http://a; # here\n  }\n}\n",
            "proxy_pass",
            read_timeout(),
            "server {\n  location / {\n    proxy_pass http://a; # here\n    proxy_read_timeout 600s;\n  }\n}\n",
        ),
        (
            "a.conf",
            "server {\r\n\tlocation / { proxy_pass http://a; }\r\n}\r\n",
            "proxy_pass",
            read_timeout(),
            "server {\r\n\tlocation / { proxy_pass http://a; proxy_read_timeout 600s; }\r\n}\r\n",
        ),
        (
            "a.conf",
            "server {\n  proxy_read_timeout 30s;\n  location / { proxy_pass http://a; }\n}\n",
            "proxy_read",
            read_timeout(),
            "server {\n  proxy_read_timeout 600s;\n  location / { proxy_pass http://a; }\n}\n",
        ),
        (
            "a.conf",
            "server {\n    listen 80;\n    server_name a;\n\n    location / {\n        proxy_pass http://a;\n    }\n}\n",
            "location",
            header_time(),
            "server {\n    listen 80;\n    server_name a;\n    client_header_timeout 10s;\n\n    location / {\n        proxy_pass http://a;\n    }\n}\n",
        ),
        (
            "a.conf",
            "server {\n  location / {\n    if ($a) {\n      proxy_pass http://a;\n    }\n  }\n}\n",
            "proxy_pass",
            Repair::StreamAnswers,
            "server {\n  location / {\n    proxy_buffering off;\n    if ($a) {\n      proxy_pass http://a;\n    }\n  }\n}\n",
        ),
        (
            "a.conf",
            "server {\n  proxy_set_header Host $host;\n  location / { proxy_pass http://a; }\n}\n",
            "proxy_pass",
            drop_key(),
            "server {\n  proxy_set_header Host $host;\n  proxy_set_header X-API-Key \"\";\n  location / { proxy_pass http://a; }\n}\n",
        ),
        (
            "a.conf",
            "server {\n  location / {\n    proxy_set_header x-api-key $http_x_api_key;\n    proxy_pass http://a;\n  }\n}\n",
            "proxy_pass",
            drop_key(),
            "server {\n  location / {\n    proxy_set_header x-api-key \"\";\n    proxy_pass http://a;\n  }\n}\n",
        ),
        (
            "a.conf",
            "server {\n  location / {\n    limit_req zone=a burst=5;\n    proxy_pass http://a;\n  }\n}\n",
            "limit_req",
            Repair::RefuseAtOnce,
            "server {\n  location / {\n    limit_req zone=a burst=5 nodelay;\n    proxy_pass http://a;\n  }\n}\n",
        ),
        ("a.conf", "server {\n  listen 80;\n  gzip on;\n}\n", "gzip", Repair::Remove, "server {\n  listen 80;\n}\n"),
        (
            "proxy.conf",
            "proxy_pass http://a;\n",
            "proxy_pass",
            Repair::UpstreamHttp11,
            "proxy_pass http://a;\nproxy_http_version 1.1;\n",
        ),
        (
            "a.conf",
            "http {\n  server { listen 80; }\n}\n",
            "server",
            Repair::HideVersion,
            "http {\n  server { listen 80; server_tokens off; }\n}\n",
        ),
        (
            "Caddyfile",
            ":80 {\n\thandle {\n\t\treverse_proxy a:1 # x\n\t}\n}\n",
            "reverse_proxy",
            drop_key(),
            ":80 {\n\thandle {\n\t\treverse_proxy a:1 {\n\t\t\theader_up -X-API-Key\n\t\t} # x\n\t}\n}\n",
        ),
        (
            "Caddyfile",
            ":80 {\n\treverse_proxy a:1 {\n\t\theader_up X a\n\t}\n}\n",
            "reverse_proxy",
            read_timeout(),
            ":80 {\n\treverse_proxy a:1 {\n\t\theader_up X a\n\t\ttransport http {\n\t\t\tread_timeout 600s\n\t\t}\n\t}\n}\n",
        ),
        (
            "Caddyfile",
            ":80 {\n  reverse_proxy a:1 {\n    transport http {\n      read_timeout 30s\n    }\n  }\n}\n",
            "reverse_proxy",
            read_timeout(),
            ":80 {\n  reverse_proxy a:1 {\n    transport http {\n      read_timeout 600s\n    }\n  }\n}\n",
        ),
        (
            "Caddyfile",
            "# mine\n:80 {\n\treverse_proxy a:1\n}\n",
            ":80",
            Repair::CloseAdmin,
            "# mine\n{\n\tadmin off\n}\n\n:80 {\n\treverse_proxy a:1\n}\n",
        ),
        (
            "Caddyfile",
            "{\n\tadmin :2019\n}\n:80 {\n\treverse_proxy a:1\n}\n",
            ":80",
            Repair::CloseAdmin,
            "{\n\tadmin off\n}\n:80 {\n\treverse_proxy a:1\n}\n",
        ),
        (
            "Caddyfile",
            ":80 {\n\treverse_proxy a:1\n}\n",
            ":80",
            header_time(),
            "{\n\tservers {\n\t\ttimeouts {\n\t\t\tread_header 10s\n\t\t}\n\t}\n}\n\n:80 {\n\treverse_proxy a:1\n}\n",
        ),
        (
            "Caddyfile",
            ":80\nreverse_proxy a:1\n",
            "reverse_proxy",
            Repair::BodyLimit(25 << 20),
            ":80\nrequest_body {\n    max_size 25MiB\n}\nreverse_proxy a:1\n",
        ),
        (
            "Caddyfile",
            ":80 {\n\treverse_proxy a:1 {\n\t\tresponse_buffers 1MB\n\t}\n}\n",
            "reverse_proxy",
            Repair::StreamAnswers,
            ":80 {\n\treverse_proxy a:1 {\n\t}\n}\n",
        ),
        (
            "traefik.yml",
            "entryPoints:\n  web:\n    address: \":80\" # all\nproviders: {}\n",
            "web",
            header_time(),
            "entryPoints:\n  web:\n    address: \":80\" # all\n    transport:\n      respondingTimeouts:\n        readTimeout: 10s\nproviders: {}\n",
        ),
        (
            "traefik.yml",
            "entryPoints: {web: {address: \":80\"}}\n",
            "web",
            header_time(),
            "entryPoints: {web: {transport: {respondingTimeouts: {readTimeout: 10s}}, address: \":80\"}}\n",
        ),
        ("traefik.yml", "api:\n  insecure: true\n", "insecure", Repair::CloseAdmin, "api:\n  insecure: false\n"),
        (
            "traefik.toml",
            "[entryPoints.web]\naddress = \":80\" # all\n\n[providers.file]\nfilename = \"d\"\n",
            "web",
            header_time(),
            "[entryPoints.web]\naddress = \":80\" # all\n\n[entryPoints.web.transport.respondingTimeouts]\nreadTimeout = \"10s\"\n\n[providers.file]\nfilename = \"d\"\n",
        ),
        (
            "traefik.toml",
            "[entryPoints.web]\n[api]\ninsecure = true # x\n",
            "insecure",
            Repair::CloseAdmin,
            "[entryPoints.web]\n[api]\ninsecure = false # x\n",
        ),
        (
            "compose.yml",
            "services:\n  a:\n    ports: [\"11434:11434\"]\n",
            "\"11434",
            Repair::OnLoopback,
            "services:\n  a:\n    ports: [\"127.0.0.1:11434:11434\"]\n",
        ),
        (
            "compose.yml",
            "services:\n  a:\n    ports:\n      - ${PORT:-1}:11434/tcp\n",
            "${PORT",
            Repair::OnLoopback,
            "services:\n  a:\n    ports:\n      - 127.0.0.1:${PORT:-1}:11434/tcp\n",
        ),
        (
            "compose.yml",
            "services:\n  a:\n    ports:\n      - 0.0.0.0:80:80\n",
            "0.0.0.0",
            Repair::OnLoopback,
            "services:\n  a:\n    ports:\n      - 127.0.0.1:80:80\n",
        ),
        (
            "compose.yml",
            "services:\n  a:\n    ports:\n      - target: 80\n        published: 80\n",
            "target",
            Repair::OnLoopback,
            "services:\n  a:\n    ports:\n      - target: 80\n        published: 80\n        host_ip: 127.0.0.1\n",
        ),
        (
            "compose.yml",
            "services:\n  a:\n    command:\n      - \"--api.insecure=true\"\n",
            "\"--api",
            Repair::CloseAdmin,
            "services:\n  a:\n    command:\n      - \"--api.insecure=false\"\n",
        ),
        (
            "compose.yml",
            "services:\n  a:\n    command:\n      - --entryPoints.web.address=:80\n      - --ping\n",
            "--entryPoints",
            header_time(),
            "services:\n  a:\n    command:\n      - --entryPoints.web.address=:80\n      - --entrypoints.web.transport.respondingTimeouts.readTimeout=10s\n      - --ping\n",
        ),
        ("compose.yml", "version: \"3\"\nservices:\n  a: {}\n", "version", Repair::Remove, "services:\n  a: {}\n"),
        (
            "compose.yml",
            "services:\n  a:\n    image: 'ollama/ollama'\n",
            "'ollama",
            Repair::Value("ollama/ollama:0.20.0".to_owned()),
            "services:\n  a:\n    image: 'ollama/ollama:0.20.0'\n",
        ),
    ] {
        let once = repaired(name, text, at, &wanted);
        assert_eq!(once.as_deref(), Some(expected), "{name}: {wanted:?}\n{}", once.as_deref().unwrap_or("nothing"));
        // Where the place itself is gone there is nothing to do twice.
        let gone = matches!(wanted, Repair::Remove | Repair::StreamAnswers) || !expected.contains(at);
        if !gone {
            assert_eq!(repaired(name, expected, at, &wanted), None, "{name}: {wanted:?} twice");
        }
    }
}

#[test]
fn what_cannot_be_known_is_left() {
    for (name, text, at, wanted) in [
        // What is included may set headers too.
        (
            "a.conf",
            "server {\n  location / {\n    include proxy_params;\n    proxy_pass http://a;\n  }\n}\n",
            "proxy_pass",
            Repair::DropHeader("X-API-Key".to_owned()),
        ),
        ("a.conf", "server {\n  location / {\n", "location", read_timeout()),
        ("Caddyfile", ":80 {\n\treverse_proxy a:1 {\n\t\ttransport fastcgi\n\t}\n}\n", "reverse_proxy", read_timeout()),
        ("traefik.yml", "http:\n  routers: {}\n", "routers", read_timeout()),
    ] {
        assert_eq!(repaired(name, text, at, &wanted), None, "{text}");
    }
}
