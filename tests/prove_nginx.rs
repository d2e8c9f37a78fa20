//! A configuration of nginx moved aside: it boots on the real server, and does there what it did.
//!
//! In: a tree with includes, certificates, logs and upstreams that aren't here. Out: answers of nginx old and new. Needs `LLMGUARD_NGINX`
//! and `LLMGUARD_NGINX_OLD` (`tests/servers/install.sh`).

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use llmguard::diag::Sink;
use llmguard::dialect::Options;
use llmguard::dialect::nginx::read;
use llmguard::gateway::Gateway;
use llmguard::http::{Request, Sni, Version};
use llmguard::prove::answer::Answer;
use llmguard::prove::config::nginx::{self, From};
use llmguard::prove::config::site::Site;
use llmguard::prove::config::world::World;

const MAIN: &str = "user www-data; daemon on; worker_processes auto; pid /run/nginx.pid;
error_log /var/log/nginx/error.log warn;
events { worker_connections 64; }
http {
    include mime.types;
    access_log /var/log/nginx/access.log;
    resolver 192.0.2.53 valid=10s;
    proxy_temp_path /var/cache/nginx/proxy 1 2;
    upstream pool { server llm-1:11434 weight=2; server llm-2:11434; keepalive 4; }
    include /etc/nginx/conf.d/*.conf;
}
";
const SITE: &str = "server {
    listen 80 default_server; listen [::]:80 ipv6only=on;
    server_name _;
    location / { return 404; }
    location /pool/ { proxy_pass http://pool/; proxy_set_header Host $host; }
    location /one { proxy_pass https://llm.test:8443; include snippets/proxy.conf; }
    location /computed/ { set $up llm.test; proxy_pass http://$up:11434/x$request_uri; }
    location /users { auth_basic a; auth_basic_user_file users; return 204; }
}
server {
    listen 443 ssl; server_name llm.test;
    ssl_certificate /etc/letsencrypt/live/llm.test/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/llm.test/privkey.pem;
    ssl_dhparam /nowhere/dhparam.pem;
    location / { auth_basic a; auth_basic_user_file \"users\"; proxy_pass http://127.0.0.1:11434; }
}
";

fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("etc/nginx/nginx.conf", MAIN),
        ("etc/nginx/mime.types", "types { text/plain txt; }\n"),
        ("etc/nginx/conf.d/site.conf", SITE),
        ("etc/nginx/snippets/proxy.conf", "proxy_set_header X-Api-Key \"\";\n"),
        ("etc/nginx/users", "ann:$apr1$not$known\n"),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn program(variable: &str) -> PathBuf {
    std::env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| panic!("{variable} names no nginx"))
}

fn request(port: u16, target: &str, headers: &[(&str, &str)]) -> Request {
    let headers = [("Host", "llm.test")].iter().chain(headers);
    Request {
        method: b"GET".to_vec(),
        target: target.as_bytes().to_vec(),
        headers: headers.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
        version: Version::Http11,
        client_ip: [127, 0, 0, 1].into(),
        to: None,
        body: None,
        body_bytes: 0,
        port: Some(port),
        tls: None,
        sni: Sni::AsHost,
        as_client: None,
    }
}

/// Moves the tree, starts this nginx on it, and looks at what it answers.
fn boots(program: &Path) {
    let folder = tree();
    let mut sink = Sink::default();
    let options = Options { root: Some(folder.path().to_owned()), ..Options::default() };
    let main = folder.path().join("etc/nginx/nginx.conf");
    let config = read::read(&main, "nginx.conf", &options, &mut sink);
    assert!(!sink.has_errors(), "{:?}", sink.list);
    let mut world = World::new().unwrap();
    let moved = nginx::stage(&config, From { root: Some(folder.path()), program }, &mut world).unwrap();
    let launch = nginx::launch(&moved, program, &world).unwrap();
    let names: Vec<&str> = world.listeners.iter().map(|(own, _)| own.as_str()).collect();
    for own in ["*:80", "[::]:80", "*:443"] {
        assert!(names.contains(&own), "{names:?}");
    }
    let port = |own: &str| world.listeners.iter().find(|(name, _)| name == own).unwrap().1.port();
    let (plain, tls) = (port("*:80"), port("*:443"));
    // TLS is asked for where the gateway has a listener that speaks it.
    let mut gateway = Gateway::default();
    gateway.listeners.push(llmguard::gateway::Listener {
        address: [127, 0, 0, 1].into(),
        both: false,
        port: tls,
        tls: true,
        wire: llmguard::gateway::Wire::strict(8192),
        handshake: None,
        chain: llmguard::gateway::ChainId(0),
        origin: llmguard::gateway::Origin::default(),
    });
    let stand_in = |world: &World, own: &str| {
        let found = world.upstreams.iter().find(|(name, _)| name == own);
        found.unwrap_or_else(|| panic!("no {own}")).1.addr()
    };
    let pool = stand_in(&world, "llm-1:11434");
    let one = stand_in(&world, "llm.test:8443");
    let local = stand_in(&world, "127.0.0.1:11434");
    let computed = stand_in(&world, "an upstream that the config computes");
    let mut site = Site::start(world, gateway, &launch).unwrap();
    let ask = |port: u16, target: &str, headers: &[(&str, &str)]| site.ask(&request(port, target, headers));
    assert_eq!(ask(plain, "/", &[]), Answer::Refused(404));
    match ask(plain, "/pool/a?b", &[]) {
        Answer::Proxied { port, target, host } => {
            assert_eq!(port, pool.port());
            assert_eq!((target.as_str(), host.as_str()), ("/a?b", "llm.test"));
        }
        other => panic!("{other:?}"),
    }
    let proxied = |addr: std::net::SocketAddr, target: &str| Answer::Proxied {
        port: addr.port(),
        target: target.to_owned(),
        host: addr.to_string(),
    };
    assert_eq!(ask(plain, "/one/..%2f", &[]), Answer::Refused(404));
    assert_eq!(ask(plain, "/one//x", &[]), proxied(one, "/one//x"));
    assert_eq!(ask(plain, "/computed/y?z", &[]), proxied(computed, "/x/computed/y?z"));
    assert_eq!(ask(plain, "/users", &[]), Answer::Answered(204));
    let login = ("Authorization", "Basic YW5uOm1hZGUtZm9yLXRoaXMtcHJvb2YtYW5u");
    assert_eq!(ask(tls, "/v1", &[]), Answer::Refused(401));
    assert_eq!(ask(tls, "/v1", &[login]), proxied(local, "/v1"));
    site.alive().unwrap();
    let world = site.stop();
    assert!(!fs::read_to_string(world.folder.path().join("logs/access.log")).unwrap().is_empty());
    assert_eq!(fs::read_to_string(folder.path().join("etc/nginx/conf.d/site.conf")).unwrap(), SITE);
}

#[test]
fn a_tree_boots_beside_its_own_server() {
    boots(&program("LLMGUARD_NGINX"));
}

#[test]
fn it_boots_on_the_oldest_nginx_too() {
    boots(&program("LLMGUARD_NGINX_OLD"));
}
