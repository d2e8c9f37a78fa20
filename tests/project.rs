//! Paths become systems: a compose project with the proxies that it runs, folders with configs of every kind.
//!
//! In: `fixtures/project` and folders made here. Out: what answers at which port.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use llmguard::diag::Sink;
use llmguard::dialect::{Options, Variables};
use llmguard::gateway::eval::{Verdict, evaluate};
use llmguard::http::line::Line;
use llmguard::project::{self, Dialect, System};

fn load(paths: &[PathBuf], variables: &[(&str, &str)]) -> (Vec<System>, Vec<String>) {
    let values = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let variables = Variables { values: values.collect(), complete: true, ..Default::default() };
    let mut sink = Sink::default();
    let systems = project::load(paths, None, &Options { variables, ..Options::default() }, &mut sink);
    (systems, sink.list.into_iter().map(|problem| problem.message).collect())
}

/// What answers a request at a port: the upstream and its target, or a status.
fn answer(systems: &[System], port: u16, method: &str, target: &str, key: Option<&str>) -> String {
    let key = key.map(|key| format!(r#", "headers": [["X-API-Key", "{key}"]]"#)).unwrap_or_default();
    let line = format!(r#"{{"method": "{method}", "target": "{target}", "port": {port}{key}}}"#);
    let line: Line = serde_json::from_str(&line).unwrap();
    let request = line.request("gate").unwrap();
    let Some(system) = systems.iter().find(|system| system.gateway.listener(Some(port)).is_some()) else {
        return "nothing".to_owned();
    };
    match evaluate(&system.gateway, &request).verdict {
        Verdict::Proxied { upstream, target, .. } => format!("{upstream} {}", String::from_utf8_lossy(&target)),
        Verdict::Refused(status) => status.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_compose_project_is_one_system() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/project/both");
    let (systems, problems) = load(&[folder], &[("API_KEY", "k")]);
    assert!(problems.is_empty(), "{problems:?}");
    let names: Vec<_> = systems.iter().map(|system| system.dialect).collect();
    assert_eq!(names, [Dialect::Caddy, Dialect::Nginx, Dialect::Compose]);
    for (port, method, target, key, expected) in [
        (8080, "GET", "/api/tags", None, "401"),
        (8080, "GET", "/api/tags", Some("k"), "ollama:11434 /api/tags"),
        (8080, "GET", "/api/tags", Some(""), "401"),
        (8081, "POST", "/v1/models", None, "ollama:11434 /v1/models"),
        (8081, "POST", "/api/pull", None, "403"),
        // The upstream is published beside the proxies.
        (11434, "POST", "/api/pull", None, "ollama:11434 /api/pull"),
        (9000, "GET", "/v1/models", None, "vllm:9000 /v1/models"),
        (80, "GET", "/", None, "nothing"),
    ] {
        assert_eq!(answer(&systems, port, method, target, key), expected, "{port} {method} {target}");
    }
    let loopback = systems[1].gateway.listeners[0].address;
    assert!(loopback.is_loopback(), "{loopback}");
    let caddy = systems[0].gateway.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>();
    assert!(caddy.iter().all(|name| name.ends_with("fixtures/project/both/Caddyfile")), "{caddy:?}");
}

#[test]
fn labels_and_flags_of_traefik_are_read() {
    let places = tempfile::tempdir().unwrap();
    let text = "services:\n  traefik:\n    image: traefik:v3.6\n    command:\n      - --providers.docker=true\n      - --providers.docker.exposedbydefault=false\n      - --entrypoints.web.address=:80\n    ports: ['8080:80']\n    volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro']\n  ollama:\n    image: ollama/ollama\n    labels:\n      - traefik.enable=true\n      - traefik.http.routers.o.rule=PathPrefix(`/v1`)\n      - traefik.http.services.o.loadbalancer.server.port=11434\n";
    std::fs::write(places.path().join("compose.yaml"), text).unwrap();
    let (systems, problems) = load(&[places.path().to_owned()], &[]);
    assert_eq!(answer(&systems, 8080, "GET", "/v1/models", None), "ollama:11434 /v1/models", "{problems:?}");
    assert_eq!(answer(&systems, 8080, "POST", "/api/pull", None), "404");
}

#[test]
fn a_proxy_without_its_config_is_unknown() {
    let places = tempfile::tempdir().unwrap();
    let text = "services:\n  web:\n    image: nginx\n    ports: ['80:80']\n";
    std::fs::write(places.path().join("compose.yaml"), text).unwrap();
    let (systems, problems) = load(&[places.path().to_owned()], &[]);
    assert!(answer(&systems, 80, "GET", "/", None).starts_with("Unknown"));
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn folders_are_walked_as_git_sees_them() {
    let places = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = places.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put(".gitignore", "ignored/\n");
    put("ignored/Caddyfile", ":1\nrespond 200\n");
    put("etc/nginx/nginx.conf", "events {}\nhttp {\n  include conf.d/*.conf;\n}\n");
    put("etc/nginx/conf.d/a.conf", "server {\n  listen 8001;\n  return 403;\n}\n");
    put("fragment.conf", "server {\n  listen 8002;\n  return 404;\n}\n");
    put("caddy/Caddyfile", ":8003\nrespond 401\n");
    put("notes.txt", "server {\n}\n");
    let (systems, _) = load(&[places.path().to_owned()], &[]);
    let dialects: Vec<_> = systems.iter().map(|system| system.dialect).collect();
    assert_eq!(dialects, [Dialect::Caddy, Dialect::Nginx, Dialect::Nginx]);
    for (port, expected) in [(8001, "403"), (8002, "404"), (8003, "401"), (1, "nothing")] {
        assert_eq!(answer(&systems, port, "GET", "/", None), expected, "{port}");
    }
    let (systems, problems) = load(&[places.path().join("notes.txt"), places.path().join("gone")], &[]);
    assert!(systems.is_empty());
    assert_eq!(problems.len(), 2);
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_dockerfile_decides_what_a_service_is() {
    let compose = "services:\n  gate:\n    build: ./gate\n    ports: ['8080:80']\n  app:\n    build: ./app\n    ports: ['8081:5000']\n";
    let conf =
        "server {\n  listen 80;\n  location /v1/ { proxy_pass http://app:5000; }\n  location / { return 403; }\n}\n";
    let dockerfile = "FROM nginx:1.29-alpine\nCOPY default.conf /etc/nginx/conf.d/\n";
    let files = [
        ("compose.yaml", compose),
        ("gate/Dockerfile", dockerfile),
        ("gate/default.conf", conf),
        ("app/Dockerfile", "FROM python:3\nCOPY . /app\nCMD python app.py\n"),
    ];
    let places = folder(&files);
    let (systems, problems) = load(&[places.path().to_owned()], &[]);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(answer(&systems, 8080, "GET", "/v1/models", None), "app:5000 /v1/models");
    assert_eq!(answer(&systems, 8080, "GET", "/api/pull", None), "403");
    assert_eq!(answer(&systems, 8081, "GET", "/x", None), "app:5000 /x");
    std::fs::write(
        places.path().join("gate/Dockerfile"),
        format!("{dockerfile}RUN sed -i s/403/200/ /etc/nginx/conf.d/*\n"),
    )
    .unwrap();
    let (systems, problems) = load(&[places.path().to_owned()], &[]);
    let told = answer(&systems, 8080, "GET", "/api/pull", None);
    assert!(told.starts_with("Unknown") && told.contains("line 3"), "{told}");
    assert!(problems[0].contains("line 3"), "{problems:?}");
}

#[test]
fn a_caddy_with_modules_is_caddy() {
    let compose = "services:\n  web:\n    image: mine\n    build: {context: ., args: {V: 2.11.9}}\n    ports: ['80:8080']\n    environment: [PORT=8080]\n";
    let dockerfile = "ARG V=2\nFROM caddy:${V}-builder AS builder\nRUN xcaddy build\nFROM caddy:${V}\nENV CODE=418 PORT=1\nCOPY --from=builder /usr/bin/caddy /usr/bin/caddy\nCOPY Caddyfile /etc/caddy/\n";
    let places =
        folder(&[("compose.yaml", compose), ("Dockerfile", dockerfile), ("Caddyfile", ":{$PORT}\nrespond {$CODE}\n")]);
    let (systems, problems) = load(&[places.path().to_owned()], &[]);
    assert_eq!(answer(&systems, 80, "GET", "/", None), "418", "{problems:?}");
}

#[test]
fn one_unknown_variable_makes_no_other_unknown() {
    let compose = "services:\n  web:\n    image: caddy\n    ports: ['80:8080']\n    environment: {A: '401', B: '${WHERE}'}\n    volumes: ['./Caddyfile:/etc/caddy/Caddyfile']\n";
    let caddyfile = ":8080\nrespond /a x {env.A}\nrespond /b x {env.B}\nrespond /c {env.C}x 403\n";
    let places = folder(&[("compose.yaml", compose), ("Caddyfile", caddyfile)]);
    let options = Options::default();
    let systems = project::load(&[places.path().to_owned()], None, &options, &mut Sink::default());
    assert_eq!(answer(&systems, 80, "GET", "/a", None), "401");
    assert!(answer(&systems, 80, "GET", "/b", None).starts_with("Unknown"));
    assert_eq!(answer(&systems, 80, "GET", "/c", None), "403");
}

#[test]
fn reasons_name_files_as_the_user_does() {
    let compose = "services:\n  web:\n    image: nginx\n    ports: ['80:80']\n    volumes: ['./conf:/etc/nginx/conf.d', './nginx.conf:/etc/nginx/nginx.conf']\n";
    let main =
        "load_module modules/ngx_http_js_module.so;\nevents {}\nhttp {\n  include /etc/nginx/conf.d/*.conf;\n}\n";
    let conf = "js_import a from a.js;\nserver {\n  listen 80;\n  location / { js_content a.b; }\n}\n";
    let places = folder(&[("compose.yaml", compose), ("nginx.conf", main), ("conf/a.conf", conf)]);
    let (systems, problems) = load(&[places.path().to_owned()], &[]);
    let told = answer(&systems, 80, "GET", "/", None);
    assert!(told.contains(&format!("{}/conf/a.conf:4", places.path().display())), "{told} {problems:?}");
}

#[test]
fn compose_file_names_the_files_of_a_project() {
    let text = |port: u16| format!("services:\n  a:\n    image: x\n    ports: ['{port}:80']\n");
    let (one, two) = (text(8001), text(8002));
    let places = folder(&[("compose.yaml", &one), ("other.yml", &two), (".env", "COMPOSE_FILE=other.yml\n")]);
    let ports = |systems: &[System]| -> Vec<u16> {
        systems.iter().flat_map(|system| &system.gateway.listeners).map(|listener| listener.port).collect()
    };
    let options = Options::default();
    let systems = project::load(&[places.path().to_owned()], None, &options, &mut Sink::default());
    // The file that isn't named is whole: a project of its own.
    assert_eq!(ports(&systems), [8001, 8002]);
    let (systems, _) = load(&[places.path().to_owned()], &[("COMPOSE_FILE", "compose.yaml:other.yml")]);
    assert_eq!(ports(&systems), [8001, 8002]);
    assert_eq!(systems.len(), 1);
}
