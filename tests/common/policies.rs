//! Random policies without errors: every key of the policy file, with values at the edges of what the checks admit.
//!
//! In: nothing. Out: strategies of [`Sample`]s. Invariant: `validate` accepts each; its files (certificates, keys) are made by
//! [`Sample::files`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use llmguard::catalog::Kind;
use llmguard::policy::variables::Variables;
use llmguard::render::internal_tls;
use llmguard::secret::Secret;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};

const BCRYPT: &str = "$2y$05$XDNgYCSFGuKAdXoFPBxpCOJAVqJzrgGyvQkzPj8LpOxQG5lmHJ4Xa";
const ARGON2ID: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$8yRZAB8S6tQ3hM0y1r0Yc4mP0gq3dC2GqQ0Oq9Jm0mE";

/// A policy and what it needs.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The policy file.
    pub text: String,
    /// Its variables.
    pub values: BTreeMap<String, String>,
    /// Its `file:` keys.
    key_files: BTreeMap<String, String>,
    /// Its certificate and private key.
    pair: Option<(String, String)>,
}

impl Sample {
    /// The variables as the policy's reader wants them.
    pub fn variables(&self) -> Variables {
        let process = self.values.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
        Variables { process, file: None }
    }

    /// Writes the files that the policy names beside it.
    pub fn files(&self, folder: &Path) {
        for (name, key) in &self.key_files {
            fs::write(folder.join(name), format!("{key}\n")).unwrap();
        }
        if let Some((certificate, key)) = &self.pair {
            let policy: toml::Table = self.text.parse().unwrap();
            let names = policy["listen"].get("server_names").and_then(|names| names.as_array()).into_iter().flatten();
            let names: Vec<String> = names.map(|name| name.as_str().unwrap().to_owned()).collect();
            let own = (!names.is_empty()).then(|| made_for(&names));
            let (pem, private) = own.as_ref().unwrap_or_else(|| made());
            fs::write(folder.join(certificate), pem).unwrap();
            fs::write(folder.join(key), private).unwrap();
        }
    }
}

/// A certificate and its key, made once.
pub fn made() -> &'static (String, String) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    MADE.get_or_init(|| made_for(&["llm.example.com".to_owned()]))
}

/// A certificate for these names and its key.
fn made_for(names: &[String]) -> (String, String) {
    let made = internal_tls::internal(names, None, SystemTime::now()).unwrap();
    (made.leaf_pem.clone(), made.leaf_key.reveal().to_owned())
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list<S: AsRef<str>>(items: &[S]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item.as_ref())).collect::<Vec<_>>().join(", "))
}

/// `key = value` lines of those that are given.
fn table(name: &str, lines: Vec<(&str, Option<String>)>) -> String {
    let lines: String = lines.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}\n", value?))).collect();
    format!("[{name}]\n{lines}\n")
}

fn port() -> impl Strategy<Value = u16> {
    select(vec![1, 80, 443, 1024, 8080, 11434, 65535])
}

fn host() -> impl Strategy<Value = String> {
    "[a-z0-9_]([A-Za-z0-9_-]{0,61}[a-z])?(\\.[a-z_]([a-z0-9_-]{0,61}[a-z])?){1,2}"
}

fn server() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        3 => Just("10.1.2.3".to_owned()),
        1 => Just("127.0.0.1".to_owned()),
        1 => Just("[2001:db8::1]".to_owned()),
        1 => Just("host.docker.internal".to_owned()),
        2 => host(),
    ];
    (host, port()).prop_map(|(host, port)| format!("{host}:{port}"))
}

fn duration() -> impl Strategy<Value = String> {
    select(vec!["1ms", "500ms", "1s", "7s", "90s", "5m", "24h", "8784h"]).prop_map(quoted)
}

fn rate() -> impl Strategy<Value = String> {
    let number = || select(vec![1_u32, 2, 7, 60, 600, 999_999, 1_000_000]);
    prop_oneof![
        1 => Just("false".to_owned()),
        2 => (number(), select(vec!["s", "min"])).prop_map(|(number, unit)| format!("\"{number}/{unit}\"")),
        3 => (number(), duration(), of(number())).prop_map(|(requests, per, burst)| {
            let burst = burst.map_or(String::new(), |burst| format!(", burst = {burst}"));
            format!("{{ requests = {requests}, per = {per}{burst} }}")
        }),
    ]
}

fn word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_~@+,=-][A-Za-z0-9._~@+,=:-]{0,20}"
}

/// The part of a path after a first segment.
fn rest() -> impl Strategy<Value = String> {
    (vec(prop_oneof![3 => word(), 1 => "\\.[a-z][A-Za-z0-9.]{0,4}", 1 => ":[A-Za-z0-9_]{1,8}"], 0..4), any::<bool>())
        .prop_map(|(segments, slash)| {
            let text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
            if slash { format!("{text}/") } else { text }
        })
}

/// An endpoint below `/prefix…`, so that no guarded one is meant.
fn endpoint(prefix: &'static str) -> impl Strategy<Value = String> {
    let method = prop_oneof![3 => select(vec!["GET", "POST", "HEAD", "DELETE", "PATCH", "OPTIONS"]).prop_map(str::to_owned), 1 => "[A-Z]{1,24}"];
    (method, word(), rest()).prop_map(move |(method, first, rest)| format!("{method} /{prefix}{first}{rest}"))
}

#[derive(Debug, Clone)]
struct Access {
    allow: Option<Vec<String>>,
    guarded: bool,
    deny: Option<Vec<String>>,
    public: Option<Vec<String>>,
    health: Option<String>,
    models: Option<Vec<String>>,
}

fn access(kind: &'static str) -> impl Strategy<Value = Access> {
    let groups: Vec<String> = Kind::find(kind)
        .unwrap()
        .group_names()
        .into_iter()
        .filter(|group| !matches!(*group, "admin" | "account"))
        .map(str::to_owned)
        .collect();
    let entries = |prefix| vec(prop_oneof![2 => select(groups.clone()), 3 => endpoint(prefix)], 0..6);
    let wide = weighted(0.15, Just("GET /:a/:b".to_owned()));
    let health = prop_oneof![
        3 => Just("false".to_owned()),
        5 => (word(), vec(word(), 0..3)).prop_map(|(first, rest)| {
            quoted(&format!("/{first}{}", rest.iter().map(|part| format!("/{part}")).collect::<String>()))
        }),
        1 => Just("\"/\"".to_owned()),
    ];
    let model = ("[A-Za-z0-9._:/@+-]{1,40}|[A-Za-z0-9._:/@+-]{200}", any::<bool>())
        .prop_map(|(text, prefix)| if prefix { format!("{text}*") } else { text });
    (
        weighted(0.8, (entries("w"), wide)),
        any::<bool>(),
        of((any::<bool>(), vec(endpoint("w"), 0..2), vec(any::<Index>(), 0..2))),
        of(entries("pub")),
        of(health),
        weighted(0.3, vec(model, 1..8)),
    )
        .prop_map(|(allow, guarded, deny, public, health, models)| {
            let allow = allow.map(|(mut list, wide)| {
                list.extend(wide);
                list
            });
            let deny = match deny {
                None => guarded.then(|| vec!["account".to_owned()]),
                Some((all, more, copies)) => {
                    let written: Vec<&String> = allow.iter().flatten().filter(|entry| entry.contains(" /w")).collect();
                    let copies =
                        copies.iter().filter(|_| !written.is_empty()).map(|index| (*index.get(&written)).clone());
                    let mut list: Vec<String> = more.into_iter().chain(copies).collect();
                    if !guarded {
                        list.push("account".to_owned());
                        list.extend(all.then(|| "admin".to_owned()));
                    }
                    Some(list)
                }
            };
            Access { allow, guarded, deny, public, health, models }
        })
}

#[derive(Debug, Clone)]
struct Client {
    name: String,
    keys: Vec<(u8, usize)>,
    password: Option<u8>,
    allow: Option<Vec<Index>>,
    rate: Option<String>,
}

fn client() -> impl Strategy<Value = Client> {
    let name = prop_oneof![
        5 => "[a-z0-9-]{1,32}",
        1 => select(vec!["default", "hostnames", "include", "volatile", "-", "--", "0", "null", "true", "1e3", "no", "0x1"])
            .prop_map(str::to_owned),
    ];
    let keys = vec((0_u8..9, select(vec![20_usize, 21, 32, 40, 255, 256])), 0..3);
    (name, keys, weighted(0.3, 0_u8..7), weighted(0.4, vec(any::<Index>(), 1..4)), weighted(0.3, rate()))
        .prop_map(|(name, keys, password, allow, rate)| Client { name, keys, password, allow, rate })
}

#[derive(Debug, Clone)]
struct Cors {
    any: bool,
    origins: Vec<String>,
    methods: Option<Vec<String>>,
    headers: Option<Vec<String>>,
    max_age: Option<String>,
}

fn cors() -> impl Strategy<Value = Cors> {
    let scheme =
        prop_oneof![6 => Just("https".to_owned()), 2 => Just("http".to_owned()), 1 => "[a-z][a-z0-9+.-]{0,12}"];
    let host = prop_oneof![4 => "[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9])?(\\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z])?){0,3}", 1 => Just("[2001:db8::1]".to_owned())];
    let origin = (scheme, host, of(select(vec![1_u16, 3000, 65535]))).prop_map(|(scheme, host, port)| {
        format!("{scheme}://{host}{}", port.map_or(String::new(), |port| format!(":{port}")))
    });
    (
        weighted(0.15, Just(())),
        vec(origin, 1..4),
        of(vec("[A-Z]{1,10}|[A-Z]{64}", 1..4)),
        of(vec("[A-Za-z0-9-]{1,20}|[A-Za-z0-9-]{64}", 1..5)),
        of(duration()),
    )
        .prop_map(|(any, origins, methods, headers, max_age)| Cors {
            any: any.is_some(),
            origins,
            methods,
            headers,
            max_age,
        })
}

fn deploy() -> impl Strategy<Value = String> {
    let image = prop_oneof![
        Just("caddy:2.11.7"),
        Just("registry.example.com:5000/team/proxy_x.y-z:v1.2-alpine"),
        Just("nginx@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    ];
    let gpu = select(vec![
        "false",
        "{ vendor = \"nvidia\", count = \"all\" }",
        "{ vendor = \"nvidia\", count = 64 }",
        "{ vendor = \"nvidia\", device_ids = [\"0\", \"GPU-3a2b:0/1\"] }",
        "{ vendor = \"amd\" }",
    ]);
    let folder = prop_oneof![Just("/srv/models"), Just("./models (old) & ä%!"), Just("/a b/c,=@[x]~^")];
    let publish = select(vec!["8080:80", "127.0.0.1:8080:8080", "[::1]:443:443", "0.0.0.0:65535:1"]);
    (
        select(vec!["caddy", "nginx", "traefik"]),
        of(image),
        of(image_of_ollama()),
        of(folder),
        of(gpu),
        of(publish),
        of(any::<bool>()),
    )
        .prop_map(|(proxy, image, ollama, folder, gpu, publish, egress)| {
            table(
                "deploy",
                vec![
                    ("proxy", Some(quoted(proxy))),
                    ("proxy_image", image.map(quoted)),
                    ("ollama_image", ollama.map(quoted)),
                    ("models_dir", folder.map(quoted)),
                    ("gpu", gpu.map(str::to_owned)),
                    ("publish", publish.map(quoted)),
                    ("egress", egress.map(|egress| egress.to_string())),
                ],
            )
        })
}

fn image_of_ollama() -> impl Strategy<Value = &'static str> {
    select(vec!["ollama/ollama:0.32.15", "ollama/ollama:0.32.15-rocm"])
}

fn limits_and_timeouts(models: bool) -> impl Strategy<Value = String> {
    let body = if models { vec!["1k", "64KiB", "8MiB"] } else { vec!["1k", "64KiB", "8MiB", "32MiB", "1024g"] };
    let connections = select(vec![1, 16, 65_535, 65_536, 1_000_000]);
    let limits =
        (of(rate()), weighted(0.3, connections), select(body), of(select(vec!["8KiB", "16k", "100KiB", "1MiB"])))
            .prop_map(|(rate, connections, body, header)| {
                table(
                    "limits",
                    vec![
                        ("rate", rate),
                        ("connections", connections.map(|count| count.to_string())),
                        ("body", Some(quoted(body))),
                        ("header", header.map(quoted)),
                    ],
                )
            });
    let timeouts = (of(duration()), of(duration()), of(duration()), of(duration()), of(duration())).prop_map(
        |(connect, read, send, client_header, client_body)| {
            table(
                "timeouts",
                vec![
                    ("connect", connect),
                    ("read", read),
                    ("send", send),
                    ("client_header", client_header),
                    ("client_body", client_body),
                ],
            )
        },
    );
    (limits, timeouts).prop_map(|(limits, timeouts)| format!("{limits}{timeouts}"))
}

fn log() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        2 => Just("stdout".to_owned()),
        2 => Just("/var/log/llm/access.log".to_owned()),
        4 => "[A-Za-z0-9äß@%+=,:()&!^_-]{1,16}(/[A-Za-z0-9ü@%+=,:()&!^._-]{1,16}){0,2}/a[A-Za-z0-9é日@%+=,:()&!^._-]{0,16}",
    ];
    (of(select(vec!["json", "off"])), of(path)).prop_map(|(format, path)| {
        table("log", vec![("format", format.map(quoted)), ("path", path.map(|path| quoted(&path)))])
    })
}

#[derive(Debug, Clone)]
struct Listen {
    address: Option<String>,
    names: Vec<String>,
    tls: &'static str,
    pair: (String, String),
    acme: (bool, bool),
    trusted: Vec<String>,
}

fn listen() -> impl Strategy<Value = Listen> {
    let address = (select(vec!["127.0.0.1", "0.0.0.0", "[::]", "[::1]"]), port())
        .prop_map(|(host, port)| format!("{host}:{port}"));
    let file = || "[A-Za-z0-9 ._@%+=,;'()&!#~äß-]{1,16}x";
    let net = select(vec![
        "10.0.0.0/8",
        "10.1.2.3/9",
        "192.0.2.7",
        "192.0.2.7/32",
        "2001:db8::/32",
        "::1/128",
        "fe80::1",
        "128.0.0.0/1",
    ]);
    (
        of(address),
        vec(prop_oneof!["[a-z]([a-z0-9_-]{0,61}[a-z])?", host()], 0..4),
        select(vec!["off", "off", "files", "auto", "internal"]),
        (file(), file()),
        any::<(bool, bool)>(),
        vec(net.prop_map(str::to_owned), 0..4),
    )
        .prop_map(|(address, names, tls, pair, acme, trusted)| Listen { address, names, tls, pair, acme, trusted })
}

impl Listen {
    fn pair(&self) -> (String, String) {
        (format!("c{}", self.pair.0), format!("k{}", self.pair.1))
    }

    fn text(&self) -> String {
        let mut names = self.names.clone();
        if self.tls == "auto" {
            names.iter_mut().for_each(|name| *name = format!("{}.example.com", name.split('.').next().unwrap()));
        }
        if matches!(self.tls, "auto" | "internal") && names.is_empty() {
            names.push("llm.example.com".to_owned());
        }
        let (certificate, key) = self.pair();
        let when = |tls: &str, value: &str| (self.tls == tls).then(|| quoted(value));
        table(
            "listen",
            vec![
                ("address", self.address.as_deref().map(quoted)),
                ("server_names", Some(list(&names))),
                ("tls", Some(quoted(self.tls))),
                ("certificate", when("files", &certificate)),
                ("private_key", when("files", &key)),
                ("acme_email", when("auto", "me+llm@example.com").filter(|_| self.acme.0)),
                ("acme_ca", when("auto", "https://ca.example.com:14000/dir~1").filter(|_| self.acme.1)),
                ("trusted_proxies", Some(list(&self.trusted))),
            ],
        )
    }
}

/// Any policy without errors.
pub fn policy() -> impl Strategy<Value = Sample> {
    select(vec!["ollama", "vllm", "llama-cpp", "openai"]).prop_flat_map(|kind| {
        access(kind).prop_flat_map(move |access| {
            let models = access.models.is_some();
            let upstream = (of(vec(server(), 1..4)), of((host(), of(port()))), any::<bool>(), any::<bool>());
            let clients = weighted(0.85, vec(client(), 1..6)).prop_map(Option::unwrap_or_default);
            let rest = (
                listen(),
                limits_and_timeouts(models),
                of(cors()),
                log(),
                deploy(),
                of("[A-Za-z0-9 ._:/@()+,-]{1,63}[A-Za-z0-9._:/@()+,-]"),
                0_u8..3,
            );
            (Just(access), upstream, clients, rest)
                .prop_map(move |(access, upstream, clients, rest)| assemble(kind, &access, upstream, &clients, rest))
        })
    })
}

type Upstream = (Option<Vec<String>>, Option<(String, Option<u16>)>, bool, bool);
type Rest = (Listen, String, Option<Cors>, String, String, Option<String>, u8);

fn assemble(kind: &str, access: &Access, upstream: Upstream, clients: &[Client], rest: Rest) -> Sample {
    let (servers, host, api_key, balance) = upstream;
    let (listen, limits, cors, log, deploy, realm, methods) = rest;
    let mut values = BTreeMap::new();
    let mut key_files = BTreeMap::new();
    let mut servers = servers.or_else(|| (kind == "openai").then(|| vec!["10.0.0.1:8000".to_owned()]));
    if let Some(servers) = &mut servers {
        servers.iter_mut().for_each(|server| server.make_ascii_lowercase());
        servers.sort();
        servers.dedup();
    }
    if api_key {
        values.insert("UPSTREAM_KEY".to_owned(), "up._~+/=-key".to_owned());
    }
    let upstream = table(
        "upstream",
        vec![
            ("kind", Some(quoted(kind))),
            ("servers", servers.as_deref().map(list)),
            (
                "host",
                host.map(|(host, port)| {
                    quoted(&format!("{host}{}", port.map_or(String::new(), |port| format!(":{port}"))))
                }),
            ),
            ("api_key", api_key.then(|| "\"env:UPSTREAM_KEY\"".to_owned())),
            ("balance", balance.then(|| "\"round-robin\"".to_owned())),
        ],
    );

    let mut names: Vec<&str> = Vec::new();
    let (mut has_key, mut has_password) = (false, false);
    let mut client_text = String::new();
    for (at, client) in clients.iter().enumerate() {
        if names.contains(&client.name.as_str()) {
            continue;
        }
        names.push(&client.name);
        let mut keys = client.keys.clone();
        if keys.is_empty() && client.password.is_none() {
            keys.push((0, 32));
        }
        has_key |= !keys.is_empty();
        let references: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(number, (how, length))| {
                let value = format!("{:-<length$}", format!("Key_{at}_{number}_"));
                match how {
                    0 => {
                        let name = format!("key file {at} {number}&ä%(1).key");
                        key_files.insert(name.clone(), value);
                        format!("file:{name}")
                    }
                    1 => {
                        let name = format!("_{:x<120}{at}_{number}", "l");
                        values.insert(name.clone(), value);
                        format!("env:{name}")
                    }
                    _ => {
                        let name = format!("KEY_{at}_{number}");
                        values.insert(name.clone(), value);
                        format!("env:{name}")
                    }
                }
            })
            .collect();
        let password = client.password.map(|how| match how {
            0 => ARGON2ID.to_owned(),
            1 => BCRYPT.to_owned(),
            _ => {
                values.insert(format!("HASH_{at}"), BCRYPT.to_owned());
                format!("env:HASH_{at}")
            }
        });
        has_password |= password.is_some();
        let default = ["inference".to_owned(), "models".to_owned()];
        let entries = access.allow.as_deref().unwrap_or(&default);
        let own = client.allow.as_ref().filter(|_| !entries.is_empty()).map(|indices| {
            let mut own: Vec<String> = indices.iter().map(|index| index.get(entries).clone()).collect();
            own.extend((access.guarded && at == 0).then(|| "admin".to_owned()));
            list(&own)
        });
        client_text.push_str(&table(
            "[client]",
            vec![
                ("name", Some(quoted(&client.name))),
                ("api_key", (!references.is_empty()).then(|| list(&references))),
                ("password_hash", password.as_deref().map(quoted)),
                ("allow", own),
                ("rate", client.rate.clone()),
            ],
        ));
    }

    let keys: &[&str] = match methods {
        0 => &["bearer"],
        1 => &["x-api-key"],
        _ => &["bearer", "x-api-key"],
    };
    let accepted: Vec<&str> = keys.iter().copied().filter(|_| has_key).chain(has_password.then_some("basic")).collect();
    let given = (methods != 2 || !has_key) && !accepted.is_empty();
    let auth = table(
        "auth",
        vec![
            ("methods", given.then(|| list(&accepted))),
            ("realm", realm.as_deref().map(quoted)),
            ("anonymous", clients.is_empty().then(|| "true".to_owned())),
        ],
    );
    let access = table(
        "access",
        vec![
            ("allow", access.allow.as_deref().map(list)),
            ("deny", access.deny.as_deref().map(list)),
            ("public", access.public.as_deref().map(list)),
            ("health", access.health.clone()),
            ("models", access.models.as_deref().map(list)),
        ],
    );
    let cors = cors.map_or(String::new(), |cors| {
        let any = cors.any && !has_password;
        let usable = |origin: &&String| !origin.ends_with("http://") && !is_default_port(origin);
        let mut origins: Vec<&String> = cors.origins.iter().filter(usable).collect();
        let fallback = "https://app.example.com".to_owned();
        if origins.is_empty() {
            origins.push(&fallback);
        }
        table(
            "cors",
            vec![
                ("origins", Some(if any { "[\"*\"]".to_owned() } else { list(&origins) })),
                ("allow_any", any.then(|| "true".to_owned())),
                ("methods", cors.methods.as_deref().map(list)),
                ("headers", cors.headers.as_deref().map(list)),
                ("max_age", cors.max_age),
            ],
        )
    });
    let text =
        format!("version = 1\n{upstream}{}{auth}{access}{limits}{cors}{log}{deploy}{client_text}", listen.text());
    Sample { text, values, key_files, pair: (listen.tls == "files").then(|| listen.pair()) }
}

fn is_default_port(origin: &str) -> bool {
    (origin.starts_with("https:") && origin.ends_with(":443"))
        || (origin.starts_with("http:") && origin.ends_with(":80"))
}
