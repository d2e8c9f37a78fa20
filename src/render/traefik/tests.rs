//! Renders plans that a test describes in JSON, and what must never be in the files.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use super::*;
use crate::policy::plan::*;
use crate::secret::Secret;
use crate::source::Span;

fn texts(json: &Json) -> Vec<String> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

fn endpoints(json: &Json) -> Vec<Endpoint> {
    let mut all: Vec<_> = texts(json)
        .iter()
        .filter_map(|text| text.split_once(' '))
        .map(|(method, path)| Endpoint {
            method: method.to_owned(),
            path: PathPattern::parse(path),
            model: ModelPlace::None,
        })
        .collect();
    all.sort();
    all
}

fn rate(json: &Json) -> Option<Rate> {
    let of = |name: &str| json[name].as_u64().and_then(|n| u32::try_from(n).ok());
    Some(Rate { requests: of("requests")?, per: Duration::from_secs(json["per"].as_u64()?), burst: of("burst")? })
}

fn seconds(json: &Json, or: u64) -> Duration {
    Duration::from_secs(json.as_u64().unwrap_or(or))
}

fn key(name: &str) -> KeySource {
    let origin = match name.strip_prefix("file:") {
        Some(path) => KeyOrigin::File(PathBuf::from(path)),
        None => KeyOrigin::Env(name.to_owned()),
    };
    KeySource { origin, value: None, span: Span::default() }
}

fn client(json: &Json) -> Client {
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let password = text("hash").map(|hash| Password {
        env: hash.strip_prefix("env:").map(str::to_owned),
        algorithm: hash.starts_with("$argon2id").then_some(HashAlgorithm::Argon2id),
        hash: (!hash.starts_with("env:")).then(|| Secret::new(hash)),
        span: Span::default(),
    });
    Client {
        name: text("name").unwrap_or_default(),
        keys: texts(&json["keys"]).iter().map(|name| key(name)).collect(),
        password,
        set: json["set"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
        rate: rate(&json["rate"]),
        places: Places::default(),
    }
}

/// A plan out of what the JSON names, with the policy's defaults.
fn plan(json: &Json) -> Option<Plan> {
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let set = |json: &Json| EndpointSet { allow: endpoints(&json["allow"]), except: endpoints(&json["except"]) };
    let listen: std::net::SocketAddr = text("address").unwrap_or("127.0.0.1:8080".to_owned()).parse().ok()?;
    let methods = texts(&json["methods"]);
    let has = |name: &str| methods.iter().any(|method| method == name);
    let tls = match &json["tls"] {
        Json::Array(pair) => {
            let path = |at: usize| pair.get(at).and_then(Json::as_str).map(PathBuf::from);
            Tls::Files { certificate: path(0)?, private_key: path(1)? }
        }
        Json::String(kind) if kind == "auto" => Tls::Auto { email: text("acme_email"), ca: text("acme_ca") },
        Json::String(_) => Tls::Internal,
        _ => Tls::Off,
    };
    let server = |text: &String| text.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.parse().unwrap_or(0)));
    let servers =
        texts(&json["upstreams"]).iter().filter_map(server).map(|(host, port)| Server { host, port }).collect();
    let origins = texts(&json["origins"]);
    let any = origins == ["*"];
    Some(Plan {
        policy_file: "llmguard.toml".to_owned(),
        upstream: Upstream {
            kind: "ollama".to_owned(),
            servers,
            servers_given: true,
            host: text("upstream_host").unwrap_or("localhost:11434".to_owned()),
            api_key: text("upstream_key").map(|name| key(&name)),
            balance: Balance::LeastConnections,
            health: ("GET".to_owned(), "/api/version".to_owned()),
        },
        listen: Listen {
            address: listen.ip(),
            port: listen.port(),
            server_names: texts(&json["server_names"]),
            tls,
            trusted_proxies: texts(&json["trusted"]).iter().filter_map(|net| net.parse().ok()).collect(),
        },
        auth: Auth {
            bearer: has("bearer"),
            x_api_key: has("x-api-key"),
            basic: has("basic"),
            realm: text("realm").unwrap_or("LLM API".to_owned()),
            anonymous: json["anonymous"].as_bool().unwrap_or(false),
        },
        clients: json["clients"].as_array().into_iter().flatten().map(client).collect(),
        access: Access {
            public: EndpointSet { allow: endpoints(&json["public"]), except: Vec::new() },
            health: text("health"),
            models: texts(&json["models"]).into_iter().map(|text| ModelPattern { text, prefix: false }).collect(),
            sets: json["sets"].as_array().into_iter().flatten().map(set).collect(),
        },
        limits: Limits {
            rate: rate(&json["rate"]),
            connections: json["connections"].as_u64().and_then(|n| u32::try_from(n).ok()),
            body: json["body"].as_u64().unwrap_or(1 << 20),
            header: json["header"].as_u64().unwrap_or(16384),
        },
        timeouts: Timeouts {
            connect: seconds(&json["connect"], 10),
            read: seconds(&json["read"], 600),
            send: Duration::from_secs(60),
            client_header: seconds(&json["client_header"], 10),
            client_body: seconds(&json["client_body"], 60),
        },
        cors: (!origins.is_empty()).then(|| Cors {
            any,
            origins: if any { Vec::new() } else { origins },
            methods: texts(&json["cors_methods"]),
            headers: texts(&json["cors_headers"]),
            max_age: Duration::from_secs(86400),
        }),
        log: match json["log"].as_str() {
            None => Log::Off,
            Some("default") => Log::Json(LogPath::Default),
            Some(path) => Log::Json(LogPath::File(path.to_owned())),
        },
        deploy: Deploy {
            proxy: Proxy::Traefik,
            proxy_image: None,
            ollama_image: None,
            models_dir: None,
            gpu: Gpu::None,
            publish: None,
            egress: true,
        },
        places: Places::default(),
    })
}

fn rendered(plan: &Plan) -> Output {
    let mut out = Output::default();
    render(plan, &Site { command: "llmguard render --target traefik-file".to_owned(), root: true }, &mut out);
    out
}

fn content<'a>(out: &'a Output, path: &str) -> &'a str {
    out.files.iter().find(|file| file.path == path).map_or("", |file| &file.content)
}

/// `LLMGUARD_SPEC` names a JSON file, `LLMGUARD_OUT` a folder: what the proof against the real server runs.
#[test]
fn from_a_description() -> Result<(), Box<dyn std::error::Error>> {
    let (Ok(spec), Ok(folder)) = (std::env::var("LLMGUARD_SPEC"), std::env::var("LLMGUARD_OUT")) else { return Ok(()) };
    let json: Json = serde_json::from_str(&std::fs::read_to_string(spec)?)?;
    let out = rendered(&plan(&json).ok_or("not a plan")?);
    for file in &out.files {
        std::fs::write(PathBuf::from(&folder).join(file.path.trim_start_matches("traefik/")), &file.content)?;
    }
    println!("{:?} {:?}", out.gaps, out.notes);
    Ok(())
}

fn small() -> Json {
    serde_json::json!({
        "methods": ["bearer", "x-api-key", "basic"], "upstreams": ["127.0.0.1:11434"], "realm": "a {{ b }} \" c",
        "clients": [{"name": "no", "keys": ["A_KEY", "file:/k"], "set": 0}, {"name": "carol", "hash": "$argon2id$x", "set": 0}],
        "sets": [{"allow": ["POST /api/chat"]}], "models": ["llama3"], "log": "default",
    })
}

#[test]
fn what_traefik_cannot_do_is_said() {
    let out = plan(&small()).map(|plan| rendered(&plan)).unwrap_or_default();
    let keys: Vec<&str> = out.gaps.iter().map(|gap| gap.key.as_str()).collect();
    assert_eq!(keys, ["access.models", "api_key", "password_hash"]);
    assert!(content(&out, "traefik/dynamic.yml").contains("# WEAKER THAN THE POLICY: `access.models`"));
}

#[test]
fn text_of_the_policy_starts_no_go_template() {
    let out = plan(&small()).map(|plan| rendered(&plan)).unwrap_or_default();
    let dynamic = content(&out, "traefik/dynamic.yml");
    assert!(dynamic.contains(r#"WWW-Authenticate: "Bearer realm=\"a {{`{{`}} b }} \\\" c\", Basic"#), "{dynamic}");
    assert!(dynamic.contains(r#"X-Llmguard-Client: "no""#));
}

#[test]
fn without_a_usable_credential_nothing_is_open() {
    let mut json = small();
    json["clients"] = serde_json::json!([{"name": "carol", "hash": "$argon2id$x", "set": 0}]);
    let tree = plan(&json).map(|plan| Tree::new(&plan)).unwrap_or_default();
    let roots: Vec<&str> = tree.routers.iter().filter(|r| r.parents.is_empty()).map(|r| r.name.as_str()).collect();
    assert_eq!(roots, ["lg-root"]);
    assert!(tree.routers.iter().all(|router| router.service != Some(routers::UPSTREAM)));
}

#[test]
fn durations_are_exact_in_go() {
    for (millis, text) in [(1000, "1s"), (1500, "1500ms"), (60_000, "60s")] {
        assert_eq!(go_duration(Duration::from_millis(millis)).to_string(), text);
    }
    assert_eq!(go_duration(Duration::from_nanos(1_500)).to_string(), "1500ns");
}
