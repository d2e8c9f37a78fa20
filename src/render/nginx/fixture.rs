//! Plans by hand, and what must hold for each of their renderings.

use std::time::Duration;

use super::render;
use crate::policy::plan::*;
use crate::policy::rate::Rate;
use crate::render::{Output, Site};
use crate::secret::Secret;

fn key(name: &str, value: &str) -> KeySource {
    KeySource { origin: KeyOrigin::Env(name.into()), value: Some(Secret::new(value)), span: Default::default() }
}

fn endpoints(text: &str) -> Vec<Endpoint> {
    let mut all: Vec<Endpoint> = text
        .split(',')
        .filter(|line| !line.trim().is_empty())
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(method, path)| Endpoint {
            method: method.into(),
            path: PathPattern::parse(path),
            model: match path {
                "/v1/models/:model" => ModelPlace::Path,
                "/v1/audio/transcriptions" => ModelPlace::Form,
                "/api/version" | "/api/tags" | "/v1/models" => ModelPlace::None,
                _ => ModelPlace::Body,
            },
        })
        .collect();
    all.sort();
    all
}

const BASE: &str = "GET /api/tags,HEAD /api/tags,GET /api/version,HEAD /api/version,GET /v1/models,GET /v1/models/:model,\
    POST /api/chat,POST /api/generate,POST /api/embed,POST /api/embeddings,POST /api/show,POST /v1/chat/completions,POST /v1/audio/transcriptions,\
    POST /v1/completions,POST /v1/embeddings,POST /v1/responses,POST /v1/messages";

pub fn sample() -> Plan {
    let set = |allow: &str, except: &str| EndpointSet { allow: endpoints(allow), except: endpoints(except) };
    let client = |name: &str, keys: Vec<KeySource>, password: Option<&str>, set: usize| Client {
        name: name.into(),
        keys,
        password: password.map(|hash| Password {
            env: None,
            hash: Some(Secret::new(hash)),
            algorithm: Some(HashAlgorithm::Bcrypt { cost: 4 }),
            span: Default::default(),
        }),
        set,
        rate: None,
        places: Places::default(),
    };
    let mut vercel = client("vercel", vec![key("VERCEL_KEY", "vercelkey-0123456789abcdefABCDEF-1")], None, 1);
    vercel.rate = Some(Rate { requests: 30, per: Duration::from_secs(60), burst: 10 });
    Plan {
        policy_file: "llmguard.toml".into(),
        upstream: Upstream {
            kind: "ollama".into(),
            servers: vec![Server { host: "127.0.0.1".into(), port: 11434 }],
            servers_given: true,
            host: "localhost:11434".into(),
            api_key: Some(key("UPSTREAM_KEY", "upstreamkey-0123456789abcdef")),
            balance: Balance::LeastConnections,
            health: ("GET".into(), "/api/version".into()),
        },
        listen: Listen {
            address: [127, 0, 0, 1].into(),
            port: 8080,
            server_names: vec!["llm.test".into(), "alt.llm.test".into()],
            tls: Tls::Off,
            trusted_proxies: vec![],
        },
        auth: Auth { bearer: true, x_api_key: true, basic: true, realm: "LLM API".into(), anonymous: false },
        clients: vec![
            client(
                "laptop",
                vec![
                    key("LAPTOP_KEY", "laptopkey-0123456789abcdefABCDEF-1"),
                    key("LAPTOP_KEY_2", "laptopkey-0123456789abcdefABCDEF-2"),
                ],
                None,
                0,
            ),
            vercel,
            client("carol", vec![], Some("$2b$04$CAROL"), 0),
            client("owner", vec![key("OWNER_KEY", "ownerkey--0123456789abcdefABCDEF-1")], Some("$2b$04$OWNER"), 2),
        ],
        access: Access {
            public: set("GET /api/version", ""),
            health: Some("/health".into()),
            models: vec![],
            sets: vec![
                set(BASE, ""),
                set(
                    "POST /api/chat,POST /v1/chat/completions,POST /v1/responses,POST /v1/messages,GET /v1/models,GET /v1/models/:model",
                    "",
                ),
                set(
                    &format!(
                        "{BASE},POST /api/:verb,DELETE /api/delete,HEAD /api/blobs/:digest,POST /api/blobs/:digest"
                    ),
                    "POST /api/push,POST /api/signout,POST /api/me",
                ),
            ],
        },
        limits: Limits {
            rate: Some(Rate { requests: 600, per: Duration::from_secs(60), burst: 60 }),
            connections: Some(8),
            body: 1 << 20,
            header: 16384,
        },
        timeouts: Timeouts {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(600),
            send: Duration::from_secs(60),
            client_header: Duration::from_secs(10),
            client_body: Duration::from_secs(60),
        },
        cors: Some(Cors {
            origins: vec!["https://app.example.com".into(), "http://localhost:3000".into()],
            any: false,
            methods: vec!["GET".into(), "POST".into()],
            headers: vec!["Authorization".into(), "Content-Type".into(), "X-API-Key".into()],
            max_age: Duration::from_secs(86400),
        }),
        log: Log::Json(LogPath::Default),
        deploy: Deploy {
            proxy: Proxy::Nginx,
            proxy_image: None,
            ollama_image: None,
            models_dir: None,
            gpu: Gpu::None,
            publish: None,
            egress: true,
        },
        places: Places::default(),
    }
}

fn variant(name: char) -> Plan {
    let mut plan = sample();
    match name {
        'b' => {
            plan.listen.tls =
                Tls::Files { certificate: "/etc/llm/cert.pem".into(), private_key: "/etc/llm/key.pem".into() };
        }
        'c' => {
            plan.listen.server_names.clear();
            plan.auth.basic = false;
            plan.clients.retain(|client| !client.keys.is_empty());
            for client in &mut plan.clients {
                client.password = None;
                client.rate = None;
            }
            plan.cors = None;
            plan.limits.rate = None;
            plan.limits.connections = None;
            plan.access.public = EndpointSet::default();
            plan.upstream.api_key = None;
        }
        'd' => {
            plan.auth.anonymous = true;
            plan.auth.basic = false;
            plan.clients.clear();
            plan.access.sets.truncate(1);
            plan.access.public = EndpointSet::default();
            plan.upstream.api_key = None;
        }
        'e' => plan.listen.trusted_proxies.extend("127.0.0.77/32".parse::<ipnet::IpNet>()),
        'f' => plan.upstream.servers.push(Server { host: "127.0.0.1".into(), port: 11435 }),
        'g' => {
            plan.access.models = vec![
                ModelPattern { text: "ok".into(), prefix: false },
                ModelPattern { text: "qwen3:".into(), prefix: true },
            ];
        }
        _ => {}
    }
    plan
}

#[test]
fn every_variant_renders_twice_the_same_without_secrets_in_the_open() {
    for name in "abcdefg".chars() {
        let site = Site { command: "llmguard render --target nginx".into(), root: false };
        let mut output = Output::default();
        render(&variant(name), &site, &mut output);
        assert!(output.gaps.is_empty(), "{name}: {:?}", output.gaps);
        let mut again = Output::default();
        render(&variant(name), &site, &mut again);
        assert_eq!(output.files, again.files);
        for file in output.files.iter().filter(|file| !file.secret) {
            let shown = file.content.contains("0123456789abcdef") || file.content.contains("$2b$");
            assert!(!shown, "{name}: a secret in {}", file.path);
        }
    }
}
