//! The questions for one policy: who × what, every spelling, credential, host, origin and body that servers read differently.
//!
//! In: a [`Plan`] whose keys are known, passwords of its clients, and `questions.toml`. Out: [`Question`]s, each from an address of
//! its own (127/8), so that limits for one address never meet. Invariant: the same plan gives the same questions.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use serde::Deserialize;

use super::question::{Question, usual_name};
use crate::analysis::witness;
use crate::catalog::Kind;
use crate::http::{Sni, Version};
use crate::policy::plan::{Client, Endpoint, ModelPlace, PathPattern, Plan, Segment};

/// Longer bodies aren't sent: a limit beyond this would take the proof's memory and time.
const MOST_BODY: u64 = 64 << 20;

/// Passwords by client, for those that have one.
pub type Passwords = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    spellings: Vec<String>,
    targets: Vec<String>,
    methods: Vec<String>,
    probes: Vec<String>,
    model_bodies: Vec<String>,
    credential: Vec<Headers>,
    beside: Vec<Headers>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Headers {
    headers: Vec<(String, String)>,
}

type HeaderList = Vec<(Vec<u8>, Vec<u8>)>;

/// Every question for this plan. Errors: the data is broken (a test forbids it).
pub fn questions(plan: &Plan, passwords: &Passwords) -> Result<Vec<Question>, String> {
    let data = data()?;
    let mut asker = Asker { plan, passwords, data: &data, list: Vec::new() };
    asker.endpoints();
    asker.spellings();
    asker.credentials();
    asker.methods_and_targets();
    asker.hosts();
    asker.origins();
    asker.bodies();
    asker.heads();
    asker.models();
    if plan.listen.tls != crate::policy::plan::Tls::Off {
        asker.over_http2();
    }
    let mut list = asker.list;
    for (index, question) in list.iter_mut().enumerate() {
        question.request.client_ip = address(index);
        if question.request.sni == Sni::AsHost {
            question.request.sni = usual_name(plan);
        }
    }
    Ok(list)
}

/// An own address for each question: 127.1.0.1 and on.
pub fn address(index: usize) -> IpAddr {
    let [_, high, middle, low] = (index as u32 / 250 * 256 + index as u32 % 250 + 1).to_be_bytes();
    IpAddr::from([127, high + 1, middle, low])
}

struct Asker<'a> {
    plan: &'a Plan,
    passwords: &'a Passwords,
    data: &'a Data,
    list: Vec<Question>,
}

fn header(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.as_bytes().to_vec())
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
}

/// Good and bad spellings of a good login: base64 decoders differ in what they overlook.
fn basic_spellings(name: &str, password: &str) -> Vec<(&'static str, String)> {
    let good = basic(name, password);
    let (bare, padding) = good.split_at(good.trim_end_matches('=').len());
    let text = good.replacen("Basic ", "", 1);
    vec![
        ("without padding", bare.to_owned()),
        ("one more =", format!("{good}=")),
        ("a group of padding more", format!("{good}====")),
        ("padding in between", format!("Basic {}=={}", &text[..4], &text[4..])),
        ("junk behind", format!("{bare}{padding} x")),
        ("a blank inside", format!("Basic {} {}", &text[..4], &text[4..])),
        ("two blanks", format!("Basic  {text}")),
        ("a tab", format!("Basic\t{text}")),
        ("no blank", format!("Basic{text}")),
        ("a colon more in the name", basic(&format!("{name}:"), password)),
        ("a blank before the name", basic(&format!(" {name}"), password)),
        ("no name", basic("", password)),
        ("bytes behind the password", basic(name, &format!("{password}{}", "x".repeat(80)))),
    ]
}

/// A path of a pattern: every parameter filled with a plain word.
fn example(path: &PathPattern) -> String {
    path.segments.iter().fold(String::new(), |text, segment| match segment {
        Segment::Literal(literal) => format!("{text}/{literal}"),
        Segment::Param(_) => format!("{text}/llama3:8b"),
    })
}

impl Asker<'_> {
    fn host(&self) -> String {
        self.plan.listen.server_names.first().cloned().unwrap_or_else(|| "localhost".to_owned())
    }

    fn ask(&mut self, name: &str, method: &str, target: &str, mut headers: HeaderList) -> &mut Question {
        headers.insert(0, header("Host", &self.host()));
        let name = format!("{name}: {method} {target}");
        self.list.push(Question::new(name, method, target.as_bytes(), headers));
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// The first credential of a client that shows it to be who it is.
    fn credential(&self, client: &Client) -> Option<HeaderList> {
        let key = client.keys.iter().find_map(|key| key.value.as_ref());
        match key {
            Some(key) if self.plan.auth.bearer => {
                Some(vec![header("Authorization", &format!("Bearer {}", key.reveal()))])
            }
            Some(key) if self.plan.auth.x_api_key => Some(vec![header("X-API-Key", key.reveal())]),
            _ => Some(vec![header("Authorization", &basic(&client.name, self.passwords.get(&client.name)?))]),
        }
    }

    /// Some callers: nobody, a stranger, and up to six clients that differ in what they may use.
    fn callers(&self) -> Vec<(String, HeaderList)> {
        let mut out = vec![
            ("nobody".to_owned(), Vec::new()),
            ("a stranger".to_owned(), vec![header("Authorization", "Bearer wrong-key-00000000000000000000000")]),
        ];
        let mut sets = Vec::new();
        for client in &self.plan.clients {
            let kind = (client.set, client.keys.is_empty());
            if let Some(headers) = self.credential(client).filter(|_| !sets.contains(&kind) && sets.len() < 6) {
                sets.push(kind);
                out.push((client.name.clone(), headers));
            }
        }
        out
    }

    /// A caller who may use something, and an endpoint that it may use, POST where there is one.
    fn good(&self) -> (HeaderList, Endpoint) {
        let caller = self.plan.clients.iter().find_map(|client| Some((self.credential(client)?, client.set)));
        let (headers, set) = caller.unwrap_or_default();
        let allow = self.plan.access.sets.get(set).map(|set| set.allow.as_slice()).unwrap_or_default();
        let plain = |endpoint: &&Endpoint| endpoint.model == ModelPlace::None || self.plan.access.models.is_empty();
        let posts = |endpoint: &&Endpoint| endpoint.method == "POST" && plain(endpoint);
        let fallback = Endpoint { method: "GET".to_owned(), path: PathPattern::parse("/"), model: ModelPlace::None };
        let endpoint = allow.iter().find(posts).or_else(|| allow.iter().find(plain)).cloned().unwrap_or(fallback);
        (headers, endpoint)
    }

    /// Who × what: every endpoint of the kind and of the policy, and what gateways are probed for.
    fn endpoints(&mut self) {
        let mut what: Vec<(String, String)> = Vec::new();
        if let Some(kind) = Kind::find(&self.plan.upstream.kind) {
            let known = kind.endpoints.iter().take(90);
            what.extend(known.map(|endpoint| (endpoint.method.clone(), example(&PathPattern::parse(&endpoint.path)))));
        }
        let sets = self.plan.access.sets.iter().chain([&self.plan.access.public]);
        for endpoint in sets.flat_map(|set| set.allow.iter().chain(&set.except)) {
            what.push((endpoint.method.clone(), example(&endpoint.path)));
        }
        what.extend(self.data.probes.iter().map(|path| ("GET".to_owned(), path.clone())));
        what.extend(["/health", "/", "/health?x"].map(|path| ("HEAD".to_owned(), path.to_owned())));
        what.extend(["/health", "/", "/api/tags"].map(|path| ("POST".to_owned(), path.to_owned())));
        if let Some(health) = &self.plan.access.health {
            what.push(("GET".to_owned(), health.clone()));
            what.push(("DELETE".to_owned(), health.clone()));
        }
        what.sort();
        what.dedup();
        for (name, headers) in self.callers() {
            for (method, target) in &what {
                self.ask(&name, method, target, headers.clone());
            }
        }
    }

    /// Texts that are not an allowed path, a forbidden path, or the health path.
    fn spellings(&mut self) {
        let (headers, endpoint) = self.good();
        let allowed = example(&endpoint.path);
        let data = self.data;
        for spelling in &data.spellings {
            for (who, headers) in [("spelling, nobody", Vec::new()), ("spelling, a client", headers.clone())] {
                self.ask(who, &endpoint.method, &witness::respelled(spelling, &allowed), headers.clone());
                self.ask(who, "POST", &witness::respelled(spelling, "/api/pull"), headers);
            }
            if let Some(health) = self.plan.access.health.clone() {
                self.ask("spelling of health", "GET", &witness::respelled(spelling, &health), Vec::new());
            }
        }
    }

    /// Every way to show a key, on an allowed and on a forbidden path; every client's every credential.
    fn credentials(&mut self) {
        let (_, endpoint) = self.good();
        let target = example(&endpoint.path);
        let data = self.data;
        let keyed = self.plan.clients.iter().find_map(|client| {
            Some((client.name.clone(), client.keys.iter().find_map(|key| key.value.clone())?.reveal().to_owned()))
        });
        let (name, key) =
            keyed.unwrap_or_else(|| ("nobody".to_owned(), "no-key-of-this-gateway-0000000000000".to_owned()));
        for credential in &data.credential {
            let headers = fill(&credential.headers, &name, &key);
            self.ask("credential", &endpoint.method, &target, headers.clone());
            self.ask("credential", "POST", "/api/pull", headers);
        }
        for credential in &data.beside {
            let mut headers = fill(&credential.headers, &name, &key);
            headers.extend(self.good().0);
            self.ask("beside a good credential", &endpoint.method, &target, headers);
        }
        for client in &self.plan.clients.clone() {
            for key in client.keys.iter().filter_map(|key| key.value.clone()) {
                self.ask(
                    &client.name,
                    &endpoint.method,
                    &target,
                    vec![header("Authorization", &format!("Bearer {}", key.reveal()))],
                );
                self.ask(&client.name, &endpoint.method, &target, vec![header("X-API-Key", key.reveal())]);
                self.ask(
                    "a key as password",
                    &endpoint.method,
                    &target,
                    vec![header("Authorization", &basic(&client.name, key.reveal()))],
                );
            }
            let Some(password) = self.passwords.get(&client.name).cloned() else { continue };
            let wrong = [
                (client.name.clone(), format!("{password}x")),
                (client.name.clone(), String::new()),
                (client.name.to_uppercase(), password.clone()),
                ("nobody".to_owned(), password.clone()),
            ];
            for (user, password) in wrong {
                self.ask(
                    "wrong Basic",
                    &endpoint.method,
                    &target,
                    vec![header("Authorization", &basic(&user, &password))],
                );
            }
            let good = basic(&client.name, &password);
            self.ask("good Basic", &endpoint.method, &target, vec![header("Authorization", &good)]);
            self.ask(
                "good Basic, lower case",
                &endpoint.method,
                &target,
                vec![header("authorization", &good.replacen("Basic", "basic", 1))],
            );
            for (what, spelled) in basic_spellings(&client.name, &password) {
                let headers = vec![header("Authorization", &spelled)];
                self.ask(&format!("Basic, {what}"), &endpoint.method, &target, headers);
            }
            self.ask("good Basic", "POST", "/api/pull", vec![header("Authorization", &good)]);
            self.ask(
                "good Basic beside a wrong key",
                &endpoint.method,
                &target,
                vec![header("Authorization", &good), header("X-API-Key", "wrong")],
            );
            self.ask(
                "wrong Basic beside a good key",
                &endpoint.method,
                &target,
                vec![header("Authorization", &basic(&client.name, "wrong")), header("X-API-Key", &key)],
            );
            self.ask("password as key", &endpoint.method, &target, vec![header("X-API-Key", &password)]);
        }
    }

    fn methods_and_targets(&mut self) {
        let (headers, endpoint) = self.good();
        let path = example(&endpoint.path);
        let (data, host) = (self.data, self.host());
        for (who, headers) in [("nobody", Vec::new()), ("a client", headers)] {
            for method in &data.methods {
                self.ask(who, method, &path, headers.clone());
                self.ask(who, method, "/api/pull", headers.clone());
            }
            for target in &data.targets {
                let target = target
                    .replace("{path}", &path)
                    .replace("{host}", &host)
                    .replace("{key}", "not-a-key-0000000000000000");
                self.ask(who, &endpoint.method, &target, headers.clone());
            }
            self.ask(who, "OPTIONS", "*", headers.clone());
            self.ask(who, &endpoint.method, &format!("http://evil.example{path}"), headers.clone());
            {
                let version = Version::Http10;
                self.ask(who, &endpoint.method, &path, headers.clone()).request.version = version;
                self.ask(who, "POST", "/api/pull", headers.clone()).request.version = version;
                self.ask(who, "GET", "/health", headers.clone()).request.version = version;
            }
        }
    }

    fn hosts(&mut self) {
        let (headers, endpoint) = self.good();
        let path = example(&endpoint.path);
        let own = self.host();
        let mut hosts = vec![
            "evil.example".to_owned(),
            "127.0.0.1".to_owned(),
            "[::1]:80".to_owned(),
            String::new(),
            "localhost".to_owned(),
            format!("x{own}"),
            format!("{own}.evil.example"),
            format!("{own}."),
            format!("{own}:9999"),
            own.to_uppercase(),
            format!("evil.example:{own}"),
            "a b".to_owned(),
        ];
        hosts.extend(self.plan.listen.server_names.clone());
        for host in hosts {
            for (who, headers) in [("nobody", Vec::new()), ("a client", headers.clone())] {
                for (method, path) in [(endpoint.method.as_str(), path.as_str()), ("GET", "/health")] {
                    let question = self.ask(&format!("Host `{host}`, {who}"), method, path, headers.clone());
                    question.request.headers[0].1 = host.clone().into_bytes();
                }
            }
        }
        let twice = [header("Host", &own), header("Host", "evil.example")];
        for list in [twice.to_vec(), vec![twice[1].clone(), twice[0].clone()], Vec::new()] {
            let mut all = list;
            all.extend(headers.clone());
            self.ask("two Hosts, or none", &endpoint.method, &path, Vec::new()).request.headers = all.clone();
            let question = self.ask("two Hosts, or none, HTTP/1.0", &endpoint.method, &path, Vec::new());
            question.request.headers = all;
            question.request.version = Version::Http10;
        }
    }

    fn origins(&mut self) {
        let (client, endpoint) = self.good();
        let path = example(&endpoint.path);
        let mut origins = vec!["https://evil.example".to_owned(), "null".to_owned(), "http://localhost".to_owned()];
        for origin in self.plan.cors.iter().flat_map(|cors| &cors.origins) {
            origins.extend([
                origin.clone(),
                format!("{origin}.evil.example"),
                origin.to_uppercase(),
                format!("{origin}/"),
                format!("x{origin}"),
                format!("{origin}:1"),
            ]);
        }
        let public = self.plan.access.public.allow.first().cloned();
        let basics: Vec<HeaderList> = self
            .passwords
            .iter()
            .take(1)
            .map(|(name, password)| vec![header("Authorization", &basic(name, password))])
            .collect();
        for origin in origins {
            let with = |headers: &HeaderList| {
                let mut all = vec![header("Origin", &origin)];
                all.extend(headers.iter().cloned());
                all
            };
            let name = format!("Origin `{origin}`");
            let preflight = with(&vec![
                header("Access-Control-Request-Method", "POST"),
                header("Access-Control-Request-Headers", "authorization"),
            ]);
            for target in [path.as_str(), "/api/pull", "/health", "/nothing"] {
                self.ask(&format!("preflight, {name}"), "OPTIONS", target, preflight.clone());
            }
            for (who, headers) in [
                ("nobody", Vec::new()),
                ("a client", client.clone()),
                ("Basic by a stranger", vec![header("Authorization", &basic("nobody", "wrong"))]),
            ]
            .into_iter()
            .chain(basics.iter().map(|headers| ("Basic", headers.clone())))
            {
                let name = format!("{name}, {who}");
                self.ask(&name, "OPTIONS", &path, with(&headers));
                self.ask(&name, &endpoint.method, &path, with(&headers));
                self.ask(&name, "POST", "/api/pull", with(&headers));
                self.ask(&name, "GET", "/health", with(&headers));
                if let Some(public) = &public {
                    let target = example(&public.path);
                    for method in [public.method.as_str(), "GET", "POST"] {
                        self.ask(&name, method, &target, with(&headers));
                    }
                }
            }
        }
        let twice = vec![
            header("Origin", "https://evil.example"),
            header("Origin", "https://evil.example"),
            header("Access-Control-Request-Method", "POST"),
        ];
        self.ask("two Origins", "OPTIONS", &path, twice);
    }

    fn bodies(&mut self) {
        let (client, endpoint) = self.good();
        let path = example(&endpoint.path);
        let limit = self.plan.limits.body;
        let public = self.plan.access.public.allow.iter().find(|endpoint| endpoint.method == "POST").cloned();
        let lengths = [1, 4096, limit, limit + 1, limit + 100_000];
        for length in lengths.into_iter().filter(|&length| length <= MOST_BODY) {
            for chunked in [false, true] {
                let name = format!("{length} bytes{}", if chunked { " in chunks" } else { "" });
                let body = |question: &mut Question| *question = question.clone().sized(length, chunked);
                body(self.ask(&name, &endpoint.method, &path, client.clone()));
                // Refusals need no large uploads to differ: one size over the limit is enough.
                if length <= limit + 1 {
                    body(self.ask(&name, &endpoint.method, &path, Vec::new()));
                    body(self.ask(&name, "POST", "/api/pull", client.clone()));
                }
                if let Some(public) = &public {
                    body(self.ask(&name, "POST", &example(&public.path), Vec::new()));
                }
            }
        }
    }

    /// Request heads around the limit, in lines of at most 1 KiB.
    fn heads(&mut self) {
        let (client, endpoint) = self.good();
        let path = example(&endpoint.path);
        let limit = usize::try_from(self.plan.limits.header).unwrap_or(0);
        for (name, total) in [
            ("head at three quarters of the limit", limit * 3 / 4),
            ("head at the limit", limit - 600),
            ("head at twice the limit", limit * 2 + 2048),
        ] {
            let mut headers = client.clone();
            headers.extend((0..total / 1024).map(|index| header(&format!("X-Pad-{index}"), &"a".repeat(1024 - 16))));
            self.ask(name, &endpoint.method, &path, headers);
        }
        let mut long = client.clone();
        long.push(header("X-Pad", &"a".repeat(limit / 2 - 200)));
        self.ask("a line of half the limit", &endpoint.method, &path, long);
        self.ask("a long query", &endpoint.method, &format!("{path}?{}", "a".repeat(limit / 2 - 200)), client.clone());
        self.ask(
            "a query over twice the limit",
            &endpoint.method,
            &format!("{path}?{}", "a".repeat(limit * 2)),
            client,
        );
    }

    /// Listed models and their neighbours, in bodies and paths; bodies that name none for certain.
    fn models(&mut self) {
        let Some(first) = self.plan.access.models.first().map(|model| model.text.clone()) else { return };
        let callers: Vec<(HeaderList, usize)> =
            self.plan.clients.iter().filter_map(|client| Some((self.credential(client)?, client.set))).collect();
        let place = |place: ModelPlace| {
            callers.iter().find_map(|(headers, set)| {
                let allow = &self.plan.access.sets.get(*set)?.allow;
                let endpoint = allow.iter().find(|endpoint| endpoint.model == place && endpoint.method != "HEAD")?;
                Some((headers.clone(), endpoint.clone()))
            })
        };
        let (in_body, in_path) = (place(ModelPlace::Body), place(ModelPlace::Path));
        let mut names = vec!["llmguard-other-model".to_owned()];
        for model in self.plan.access.models.iter().take(6) {
            let text = &model.text;
            names.extend([
                text.clone(),
                format!("{text}x"),
                format!("x{text}"),
                text.to_uppercase(),
                format!("{text}*"),
            ]);
            names.push(text[..text.len() - 1].to_owned());
        }
        if let Some((headers, endpoint)) = in_body {
            let path = example(&endpoint.path);
            let plain = names.iter().map(|name| format!("{{\"model\":\"{name}\"}}"));
            let odd = self.data.model_bodies.iter().map(|body| body.replace("{model}", &first));
            for body in plain.chain(odd).collect::<Vec<_>>() {
                let name = format!("body `{body}`");
                let question = self.ask(&name, &endpoint.method, &path, headers.clone());
                *question = question.clone().body(body.into_bytes(), false);
            }
        }
        // What a path can't spell plainly is asked for by the spellings.
        let plain = |name: &&String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte));
        if let Some((headers, endpoint)) = in_path {
            for name in names.iter().filter(plain).filter(|name| !name.is_empty() && !name.starts_with('.')) {
                let path = example(&endpoint.path).replace("llama3:8b", name);
                self.ask("a model in the path", &endpoint.method, &path, headers.clone());
            }
        }
    }

    /// What HTTP/2 carries and HTTP/1 can't: blanks around values, empty values; and the common cases once more.
    fn over_http2(&mut self) {
        let (client, endpoint) = self.good();
        let path = example(&endpoint.path);
        let mut again: Vec<Question> = self
            .list
            .iter()
            .filter(|question| {
                question.name.starts_with("credential")
                    || question.name.starts_with("nobody")
                    || question.name.starts_with("preflight")
            })
            .cloned()
            .collect();
        again.retain(|question| {
            question.request.version == Version::Http11 && question.request.target.starts_with(b"/")
        });
        // RFC 9113, section 8.2.1: such names are malformed before any rule.
        again.retain(|question| question.request.headers.iter().all(|(name, _)| !name.contains(&b' ')));
        self.list.extend(again.into_iter().map(|question| Question {
            name: format!("HTTP/2, {}", question.name),
            request: crate::http::Request { version: Version::Http2, ..question.request },
            ..question
        }));
        for (name, value) in [
            ("Authorization", "Bearer "),
            ("Authorization", "Bearer"),
            ("Authorization", ""),
            ("X-API-Key", ""),
            ("X-API-Key", " "),
        ] {
            self.ask("HTTP/2, empty credential", &endpoint.method, &path, vec![header(name, value)]).request.version =
                Version::Http2;
        }
        for (name, value) in &client {
            let mut padded = value.clone();
            padded.push(b' ');
            let question =
                self.ask("HTTP/2, blank behind the key", &endpoint.method, &path, vec![(name.clone(), padded)]);
            question.request.version = Version::Http2;
        }
        for sni in [Sni::Absent, Sni::Name("evil.example".to_owned())] {
            self.ask("unknown SNI", &endpoint.method, &path, client.clone()).request.sni = sni;
        }
    }
}

fn data() -> Result<Data, String> {
    toml::from_str(include_str!("questions.toml")).map_err(|error| error.to_string())
}

/// Every spelling of a path in ASCII.
pub(super) fn respelled(path: &str) -> Vec<String> {
    data().map_or(Vec::new(), |data| data.spellings.iter().map(|spelling| witness::respelled(spelling, path)).collect())
}

fn fill(headers: &[(String, String)], name: &str, key: &str) -> HeaderList {
    let other_case: String = key
        .chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    let basic_key = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{key}"));
    let filled = |text: &str| {
        text.replace("{basic-key}", &basic_key)
            .replace("{KEY}", &other_case)
            .replace("{cut}", &key[..key.len() - 1])
            .replace("{key}", key)
            .replace("{name}", name)
    };
    headers.iter().map(|(name, value)| header(&filled(name), &filled(value))).collect()
}
