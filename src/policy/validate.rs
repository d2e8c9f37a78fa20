//! From the file as written to the plan: every rule of the policy, every problem at once.
//!
//! In: a [`PolicyFile`] and the variables that it names. Out: a [`Plan`], and diagnostics. Invariant: checking goes on after a
//! problem; the plan is given only when there is no error.

use std::path::PathBuf;

use super::access::{self, Lists};
use super::file::{self, CorsFile, DeployFile, ListenFile, LogFile, PolicyFile, UpstreamFile, nearest};
use super::plan::*;
use super::value::{GpuSetting, RateSetting, Spanned};
use super::variables::Variables;
use super::{clients, parse};
use crate::catalog::Kind;
use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::{SourceFile, Span};

use super::rate::Rate;

/// What the checks share: where to report, and what the policy may name.
pub(super) struct Check<'a> {
    pub(super) file: &'a SourceFile,
    pub(super) variables: &'a Variables,
    pub(super) sink: &'a mut Sink,
}

impl Check<'_> {
    pub(super) fn add(&mut self, severity: Severity, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.sink.push(Diagnostic::new(severity, message).at(self.file, span, "").help(help));
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, span, message, help);
    }

    pub(super) fn warning(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, span, message, help);
    }

    /// A path of the policy as an absolute one.
    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        let folder = self.file.folder();
        let joined = folder.join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    /// One of a few words, else the default.
    fn word<'w, T: Copy>(
        &mut self,
        key: &str,
        given: Option<&Spanned<String>>,
        words: &'w [(&'w str, T)],
        default: T,
    ) -> T {
        let Some(given) = given else { return default };
        match words.iter().find(|(word, _)| *word == given.value) {
            Some((_, value)) => *value,
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let help = match nearest(&given.value, known.iter().copied()) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("write one of: {}", known.join(", ")),
                };
                self.error(given.span, format!("`{key}` can't be `{}`", given.value.escape_debug()), help);
                default
            }
        }
    }
}

/// Reads, checks and resolves a policy. `None` when it has errors, which are then in the sink.
pub fn plan(file: &SourceFile, variables: &Variables, sink: &mut Sink) -> Option<Plan> {
    let policy = file::read(file, sink);
    // A file that is no TOML would only bring errors that follow from that.
    if sink.list.iter().any(|problem| problem.help.as_deref() == Some("this is not valid TOML")) {
        return None;
    }
    let mut check = Check { file, variables, sink };
    let plan = resolve(policy, &mut check);
    plan.filter(|_| !sink.has_errors())
}

fn resolve(policy: PolicyFile, check: &mut Check<'_>) -> Option<Plan> {
    if let Some(version) = &policy.version
        && version.value != 1
    {
        check.error(
            version.span,
            format!("version {} of the policy's format is not known", version.value),
            "write version = 1, or use a newer llmguard",
        );
    }
    if policy.upstream.is_none() && !policy.places.keys.contains_key("upstream") {
        check.error(Span::default(), "the policy names no upstream", "add:\n[upstream]\nkind = \"ollama\"");
    }
    let upstream_file = policy.upstream.as_ref();
    // Groups have the same names for every kind, so that the rest can be checked without a right one.
    let kind = upstream_file.and_then(|file| kind(file, check)).or_else(|| Kind::find("ollama"))?;
    let upstream = upstream_file.and_then(|file| upstream(file, &kind, check));
    let listen = listen(&policy.listen, check);
    let anonymous = policy.auth.anonymous.as_ref().is_some_and(|anonymous| anonymous.value);
    let lists = Lists::read(&policy.access, &kind, check);
    let mut sets = Vec::new();
    let clients = clients::read(&policy.client, &lists, &mut sets, check);
    let auth = auth(&policy, &clients, anonymous, check);
    if anonymous {
        sets.push(lists.common());
    }
    let access = Access {
        public: lists.public(&policy.access, check),
        health: access::health(&policy.access, check),
        models: access::models(&policy.access, check),
        sets,
    };
    let limits = limits(&policy, &access, check);
    let second = |key: &Option<Spanned<super::value::Duration>>, default: u64| {
        key.as_ref().map_or(std::time::Duration::from_secs(default), |key| key.value.0)
    };
    let timeouts = Timeouts {
        connect: second(&policy.timeouts.connect, 10),
        read: second(&policy.timeouts.read, 600),
        send: second(&policy.timeouts.send, 60),
        client_header: second(&policy.timeouts.client_header, 10),
        client_body: second(&policy.timeouts.client_body, 60),
    };
    let cors = policy.cors.as_ref().map(|cors| self::cors(cors, auth.basic, check));
    let log = log(&policy.log, check);
    let deploy = deploy(&policy.deploy, check);
    Some(Plan {
        policy_file: check.file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        upstream: upstream?,
        listen: listen?,
        auth,
        clients,
        access,
        limits,
        timeouts,
        cors,
        log,
        deploy,
        places: policy.places,
    })
}

fn kind(file: &UpstreamFile, check: &mut Check<'_>) -> Option<Kind> {
    let Some(kind) = &file.kind else {
        if !file.places.keys.contains_key("kind") {
            check.error(
                file.places.at(""),
                "`upstream` has no `kind`",
                "add kind = \"ollama\" (or vllm, llama-cpp, openai)",
            );
        }
        return None;
    };
    let found = Kind::find(&kind.value);
    if found.is_none() {
        let help = match nearest(&kind.value, Kind::names()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("known kinds: {}", Kind::names().collect::<Vec<_>>().join(", ")),
        };
        check.error(kind.span, format!("unknown kind of upstream `{}`", kind.value.escape_debug()), help);
    }
    found
}

fn upstream(file: &UpstreamFile, kind: &Kind, check: &mut Check<'_>) -> Option<Upstream> {
    let mut servers = Vec::new();
    for item in file.servers.iter().flat_map(|list| &list.value) {
        match parse::server(&item.value) {
            Ok(server) if servers.contains(&server) => {
                check.error(item.span, format!("server `{server}` stands twice"), "name each server once")
            }
            Ok(server) => servers.push(server),
            Err((message, help)) => check.error(item.span, message, help),
        }
    }
    let servers_given = file.servers.is_some();
    match (&file.servers, kind.default_port) {
        (Some(list), _) if list.value.is_empty() => check.error(
            list.span,
            "`upstream.servers` is empty",
            "name a server as \"host:port\", or leave the key out",
        ),
        (None, Some(port)) => servers.push(Server { host: "127.0.0.1".to_owned(), port }),
        (None, None) => check.error(
            file.places.at("kind"),
            format!("kind `{}` has no server of its own", kind.kind),
            "add servers = [\"host:port\"]",
        ),
        _ => {}
    }
    let host = match &file.host {
        None => format!("localhost:{}", servers.first()?.port),
        Some(host) => {
            let (name, port) = host.value.split_once(':').unwrap_or((&host.value, "1"));
            if !parse::is_host_name(name) || port.parse::<u16>().is_err() {
                check.error(
                    host.span,
                    format!("`{}` can't be a Host header", host.value.escape_debug()),
                    "write a name and port, such as \"localhost:11434\"",
                );
            }
            host.value.clone()
        }
    };
    let api_key = file.api_key.as_ref().and_then(|key| upstream_key(key, check));
    let balance = check.word(
        "upstream.balance",
        file.balance.as_ref(),
        &[("least-connections", Balance::LeastConnections), ("round-robin", Balance::RoundRobin)],
        Balance::LeastConnections,
    );
    if let Some(balance) = &file.balance
        && servers.len() == 1
    {
        check.warning(
            balance.span,
            "`upstream.balance` does nothing with one server",
            "name several servers, or leave it out",
        );
    }
    let health = (kind.health.method.clone(), kind.health.path.clone());
    (!servers.is_empty()).then_some(Upstream {
        kind: kind.kind.clone(),
        servers,
        servers_given,
        host,
        api_key,
        balance,
        health,
    })
}

fn upstream_key(key: &Spanned<String>, check: &mut Check<'_>) -> Option<KeySource> {
    let Some(name) = key.value.strip_prefix("env:") else {
        check.error(
            key.span,
            "`upstream.api_key` must be `env:NAME`",
            "put the key into .env and name its variable here",
        );
        return None;
    };
    let name = parse::variable(name).map_err(|(message, help)| check.error(key.span, message, help)).ok()?;
    let value = check.variables.get(&name).cloned();
    match &value {
        None => check.add(
            Severity::Note,
            key.span,
            format!("variable `{name}` is not set: the upstream gets no key"),
            "set it in the environment or in .env",
        ),
        Some(value)
            if !value.reveal().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte))
                || value.reveal().len() > 512 =>
        {
            check.error(
                key.span,
                format!("the key in `{name}` holds what no bearer token may"),
                "a token has A-Z a-z 0-9 . _ ~ + / = - only",
            );
        }
        Some(_) => {}
    }
    Some(KeySource { origin: KeyOrigin::Env(name), value, span: key.span })
}

fn listen(file: &ListenFile, check: &mut Check<'_>) -> Option<Listen> {
    let (address, port) = match &file.address {
        None => (std::net::IpAddr::from([127, 0, 0, 1]), 8080),
        Some(text) => match parse::listen(&text.value) {
            Ok(bound) => bound,
            Err((message, help)) => {
                check.error(text.span, format!("`listen.address`: {message}"), help);
                return None;
            }
        },
    };
    let mut server_names: Vec<String> = Vec::new();
    for name in file.server_names.iter().flat_map(|list| &list.value) {
        let lower = name.value.to_ascii_lowercase();
        if !parse::is_host_name(&name.value) {
            check.error(
                name.span,
                format!("`{}` is no host name", name.value.escape_debug()),
                "write exact names without port or wildcard, such as \"llm.example.com\"",
            );
        } else if !server_names.contains(&lower) {
            server_names.push(lower);
        }
    }
    let mut trusted_proxies = Vec::new();
    for cidr in file.trusted_proxies.iter().flat_map(|list| &list.value) {
        let net = cidr
            .value
            .parse::<ipnet::IpNet>()
            .or_else(|_| cidr.value.parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
        match net {
            Ok(net) if net.prefix_len() == 0 => check.error(
                cidr.span,
                "this trusts everybody's `X-Forwarded-For`",
                "name the addresses of the proxies in front, such as \"10.0.0.5/32\"",
            ),
            Ok(net) => trusted_proxies.push(net.trunc()),
            Err(_) => check.error(
                cidr.span,
                format!("`{}` is no address range", cidr.value.escape_debug()),
                "write a CIDR, such as \"10.0.0.0/8\" or \"192.0.2.7/32\"",
            ),
        }
    }
    let tls = tls(file, &server_names, check);
    if tls == Some(Tls::Off) && !address.is_loopback() {
        check.warning(
            file.places.at("address"),
            "keys cross the network in clear: the address is not loopback and `listen.tls` is off",
            "set tls = \"files\", \"auto\" or \"internal\", or keep to 127.0.0.1 behind something that ends TLS",
        );
    }
    Some(Listen { address, port, server_names, tls: tls?, trusted_proxies })
}

fn tls(file: &ListenFile, names: &[String], check: &mut Check<'_>) -> Option<Tls> {
    #[derive(Clone, Copy, PartialEq)]
    enum Word {
        Off,
        Files,
        Auto,
        Internal,
    }
    let words = [("off", Word::Off), ("files", Word::Files), ("auto", Word::Auto), ("internal", Word::Internal)];
    let word = check.word("listen.tls", file.tls.as_ref(), &words, Word::Off);
    let place = file.tls.as_ref().map_or(file.places.at(""), |tls| tls.span);
    for (key, given, wanted, name) in [
        ("certificate", &file.certificate, Word::Files, "files"),
        ("private_key", &file.private_key, Word::Files, "files"),
        ("acme_email", &file.acme_email, Word::Auto, "auto"),
        ("acme_ca", &file.acme_ca, Word::Auto, "auto"),
    ] {
        if let Some(given) = given
            && word != wanted
        {
            check.error(given.span, format!("`listen.{key}` needs tls = \"{name}\""), "set it, or leave this key out");
        }
    }
    if matches!(word, Word::Auto | Word::Internal) && names.is_empty() {
        check.error(place, "a certificate needs names", "add server_names = [\"llm.example.com\"]");
        return None;
    }
    match word {
        Word::Off => Some(Tls::Off),
        Word::Internal => Some(Tls::Internal),
        Word::Files => {
            for (key, given) in [("certificate", &file.certificate), ("private_key", &file.private_key)] {
                match given {
                    None if !file.places.keys.contains_key(key) => check.error(
                        place,
                        format!("tls = \"files\" needs `{key}`"),
                        format!("add {key} = \"PATH.pem\", relative to the policy"),
                    ),
                    Some(path) if path.value.is_empty() || path.value.contains(|c: char| c.is_control()) => check
                        .error(
                            path.span,
                            format!("`listen.{key}` names no file"),
                            "write a path relative to the policy",
                        ),
                    _ => {}
                }
            }
            let (certificate, private_key) = (file.certificate.as_ref()?, file.private_key.as_ref()?);
            Some(Tls::Files {
                certificate: check.absolute(&certificate.value),
                private_key: check.absolute(&private_key.value),
            })
        }
        Word::Auto => {
            for name in names.iter().filter(|name| !is_public_name(name)) {
                check.error(
                    place,
                    format!("no public CA gives a certificate for `{name}`"),
                    "use tls = \"internal\" or \"files\" for such names",
                );
            }
            let plain = |text: &Spanned<String>| {
                text.value.len() <= 254
                    && text.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@._+-:/~".contains(&byte))
            };
            for (key, given) in [("acme_email", &file.acme_email), ("acme_ca", &file.acme_ca)] {
                let shape = if key == "acme_email" { "@" } else { "https://" };
                if let Some(text) = given.as_ref().filter(|text| !plain(text) || !text.value.contains(shape)) {
                    check.error(
                        text.span,
                        format!("`listen.{key}` can't be `{}`", text.value.escape_debug()),
                        if key == "acme_email" {
                            "write an e-mail address"
                        } else {
                            "write the https:// address of the CA's directory"
                        },
                    );
                }
            }
            let text = |given: &Option<Spanned<String>>| given.as_ref().map(|text| text.value.clone());
            Some(Tls::Auto { email: text(&file.acme_email), ca: text(&file.acme_ca) })
        }
    }
}

/// Whether a public CA could give a certificate for this name; test CAs may for `.test`.
fn is_public_name(name: &str) -> bool {
    let private = ["localhost", "internal", "local", "home", "lan"];
    name.contains('.')
        && name.parse::<std::net::IpAddr>().is_err()
        && !private.iter().any(|suffix| name == *suffix || name.ends_with(&format!(".{suffix}")))
}

fn auth(policy: &PolicyFile, clients: &[Client], anonymous: bool, check: &mut Check<'_>) -> Auth {
    let file = &policy.auth;
    let has_key = policy.client.iter().any(|client| client.api_key.is_some());
    let has_password = policy.client.iter().any(|client| client.password_hash.is_some());
    let (mut bearer, mut x_api_key, mut basic) = (true, true, has_password);
    if let Some(methods) = &file.methods {
        (bearer, x_api_key, basic) = (false, false, false);
        for method in &methods.value {
            match method.value.as_str() {
                "bearer" => bearer = true,
                "x-api-key" => x_api_key = true,
                "basic" => basic = true,
                other => {
                    let help = nearest(other, ["bearer", "x-api-key", "basic"].into_iter())
                        .map_or("write bearer, x-api-key or basic".to_owned(), |known| {
                            format!("did you mean `{known}`?")
                        });
                    check.error(method.span, format!("unknown method `{}`", other.escape_debug()), help);
                }
            }
        }
        if has_key && !bearer && !x_api_key {
            check.error(methods.span, "clients have keys and no method accepts one", "add \"bearer\" or \"x-api-key\"");
        }
        if has_password && !basic {
            check.error(
                methods.span,
                "clients have passwords and `basic` is not accepted",
                "add \"basic\", or take the hashes out",
            );
        }
        if basic && !has_password && !anonymous {
            check.warning(
                methods.span,
                "`basic` is accepted and no client has a password",
                "take it out, or add a `password_hash`",
            );
        }
    }
    if anonymous {
        let place = file.places.at("anonymous");
        check.warning(
            place,
            "everybody who reaches the gateway may use it",
            "give each caller a key instead: [[client]] with api_key = \"env:NAME\"",
        );
        if let Some(client) = policy.client.first() {
            check.error(
                client.places.at(""),
                "a client stands beside `auth.anonymous`",
                "with anonymous = true nobody is asked who they are: remove one of the two",
            );
        }
        (bearer, x_api_key, basic) = (false, false, false);
    } else if clients.is_empty() && !policy.places.keys.contains_key("client") {
        check.error(
            Span::default(),
            "the policy names no client",
            "add:\n[[client]]\nname = \"laptop\"\napi_key = \"env:LAPTOP_KEY\"",
        );
    }
    let realm = file.realm.as_ref().map_or("LLM API", |realm| realm.value.as_str()).to_owned();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" ._:/@()+,-".contains(&byte);
    if realm.is_empty() || realm.len() > 64 || !realm.bytes().all(plain) {
        check.error(
            file.places.at("realm"),
            format!("`auth.realm` can't be `{}`", realm.escape_debug()),
            "use letters, digits, blanks and ._:/@()+,- only, at most 64",
        );
    }
    Auth { bearer, x_api_key, basic, realm, anonymous }
}

fn limits(policy: &PolicyFile, access: &Access, check: &mut Check<'_>) -> Limits {
    let file = &policy.limits;
    let rate = match file.rate.as_ref().map(|rate| rate.value) {
        None => Some(Rate { requests: 600, per: std::time::Duration::from_secs(60), burst: 60 }),
        Some(RateSetting::On(rate)) => Some(rate),
        Some(RateSetting::Off) => {
            check.warning(
                file.places.at("rate"),
                "without a rate limit keys can be guessed as fast as the network allows",
                "leave `limits.rate` out for 600 a minute",
            );
            None
        }
    };
    let body = file.body.as_ref().map_or(32 << 20, |size| size.value.0);
    if !access.models.is_empty() && body > 8 << 20 {
        let place = if file.body.is_some() { file.places.at("body") } else { policy.access.places.at("models") };
        check.error(
            place,
            "`access.models` reads every body, and bodies may be over 8 MiB",
            "set body = \"8MiB\" or less in [limits]: reading bodies costs memory",
        );
    }
    let header = file.header.as_ref().map_or(16 << 10, |size| size.value.0);
    if !(8 << 10..=1 << 20).contains(&header) {
        check.error(
            file.places.at("header"),
            format!("`limits.header` is {header} bytes"),
            "it must be from 8KiB to 1MiB",
        );
    }
    Limits { rate, connections: file.connections.as_ref().map(|count| count.value.0), body, header }
}

fn cors(file: &CorsFile, basic: bool, check: &mut Check<'_>) -> Cors {
    let allow_any = file.allow_any.as_ref().is_some_and(|any| any.value);
    let mut origins: Vec<String> = Vec::new();
    let mut any = false;
    match &file.origins {
        None if !file.places.keys.contains_key("origins") => check.error(
            file.places.at(""),
            "`cors` names no `origins`",
            "add origins = [\"https://app.example.com\"], or leave [cors] out",
        ),
        Some(list) if list.value.is_empty() => {
            check.error(list.span, "`cors.origins` is empty", "name an origin, or leave [cors] out")
        }
        _ => {}
    }
    for item in file.origins.iter().flat_map(|list| &list.value) {
        match (item.value.as_str(), parse::origin(&item.value)) {
            ("*", _) if !allow_any => check.error(
                item.span,
                "`*` lets every web page call",
                "name the pages' origins; where it is really meant, add allow_any = true",
            ),
            ("*", _) if basic => check.error(
                item.span,
                "`*` and Basic don't go together: every page could use a password that the browser remembers",
                "name the origins, or use keys only",
            ),
            ("*", _) => any = true,
            (_, Ok(origin)) if !origins.contains(&origin) => origins.push(origin),
            (_, Ok(_)) => {}
            (_, Err((message, help))) => check.error(item.span, format!("`cors.origins`: {message}"), help),
        }
    }
    if any && !origins.is_empty() {
        check.error(
            file.places.at("origins"),
            "`*` stands beside other origins",
            "`*` covers them: keep it alone, or take it out",
        );
    }
    let mut words =
        |key: &str, given: &Option<Spanned<Vec<Spanned<String>>>>, default: &[&str], upper: bool| -> Vec<String> {
            let Some(list) = given else { return default.iter().map(|&word| word.to_owned()).collect() };
            for item in &list.value {
                let plain = |byte: u8| {
                    if upper { byte.is_ascii_uppercase() } else { byte.is_ascii_alphanumeric() || byte == b'-' }
                };
                if item.value.is_empty() || item.value.len() > 64 || !item.value.bytes().all(plain) {
                    check.error(
                        item.span,
                        format!("`cors.{key}` can't hold `{}`", item.value.escape_debug()),
                        if upper {
                            "write methods in capitals, such as \"POST\""
                        } else {
                            "write header names, such as \"Content-Type\""
                        },
                    );
                }
            }
            list.value.iter().map(|item| item.value.clone()).collect()
        };
    let methods = words("methods", &file.methods, &["GET", "POST"], true);
    let headers = words("headers", &file.headers, &["Authorization", "Content-Type", "X-API-Key"], false);
    let max_age = file.max_age.as_ref().map_or(std::time::Duration::from_secs(24 * 3600), |age| age.value.0);
    Cors { origins, any, methods, headers, max_age }
}

/// Whether a path can be written into every target: printable, without what a config language reads.
fn is_plain_path(path: &str) -> bool {
    !path.is_empty() && path.len() <= 1024 && path.chars().all(|c| !c.is_control() && !"\"'`\\$;{}#*?<>|".contains(c))
}

fn log(file: &LogFile, check: &mut Check<'_>) -> Log {
    let json = check.word("log.format", file.format.as_ref(), &[("json", true), ("off", false)], true);
    let path = match &file.path {
        None => LogPath::Default,
        Some(path) if path.value == "stdout" => LogPath::Stdout,
        Some(path) => {
            let climbs = path.value.split('/').any(|part| part == "..");
            if !is_plain_path(&path.value) || path.value.ends_with('/') || climbs || path.value.contains(' ') {
                check.error(
                    path.span,
                    format!("`log.path` can't be `{}`", path.value.escape_debug()),
                    "write a file's path without blanks, quotes and `..`, such as \"logs/access.log\", or \"stdout\"",
                );
            }
            LogPath::File(path.value.clone())
        }
    };
    if json { Log::Json(path) } else { Log::Off }
}

fn deploy(file: &DeployFile, check: &mut Check<'_>) -> Deploy {
    let proxies = [("caddy", Proxy::Caddy), ("nginx", Proxy::Nginx), ("traefik", Proxy::Traefik)];
    let proxy = check.word("deploy.proxy", file.proxy.as_ref(), &proxies, Proxy::Caddy);
    for (key, image) in [("proxy_image", &file.proxy_image), ("ollama_image", &file.ollama_image)] {
        let Some(image) = image else { continue };
        let plain = image.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/:@-".contains(&byte));
        let name = image.value.rsplit('/').next().unwrap_or_default();
        let pinned = image.value.contains("@sha256:")
            || name.split_once(':').is_some_and(|(_, tag)| !tag.is_empty() && tag != "latest");
        if !plain || !pinned || image.value.len() > 256 {
            check.error(
                image.span,
                format!("`deploy.{key}` is not pinned: `{}`", image.value.escape_debug()),
                "name a version, such as \"caddy:2.11.7\"; `latest` changes under your feet",
            );
        }
    }
    if let Some(dir) = &file.models_dir
        && !(is_plain_path(&dir.value)
            && !dir.value.contains(':')
            && (dir.value.starts_with('/') || dir.value.starts_with("./")))
    {
        check.error(
            dir.span,
            format!("`deploy.models_dir` can't be `{}`", dir.value.escape_debug()),
            "write an absolute path, or one that starts with ./",
        );
    }
    if let Some(publish) = &file.publish {
        let mut parts = publish.value.rsplitn(3, ':');
        let mut port = || parts.next().is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let ports = port() && port();
        let host = parts.next();
        let host_ok = host
            .is_none_or(|host| host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok());
        if !ports || !host_ok {
            check.error(
                publish.span,
                format!("`deploy.publish` can't be `{}`", publish.value.escape_debug()),
                "write address:port:port, such as \"127.0.0.1:8080:8080\"",
            );
        }
    }
    let gpu = match file.gpu.as_ref().map(|gpu| &gpu.value) {
        None => Gpu::NvidiaAll,
        Some(GpuSetting::Off) => Gpu::None,
        Some(GpuSetting::On { vendor, .. }) if vendor == "amd" => Gpu::Amd,
        Some(GpuSetting::On { count: Some(Some(count)), .. }) => Gpu::NvidiaCount(*count),
        Some(GpuSetting::On { device_ids, .. }) if !device_ids.is_empty() => {
            if device_ids
                .iter()
                .any(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:=/".contains(&b)))
            {
                check.error(
                    file.places.at("gpu"),
                    "`deploy.gpu` has a device id that is none",
                    "write ids as `nvidia-smi -L` shows them, such as \"0\" or \"GPU-3a2b…\"",
                );
            }
            Gpu::NvidiaIds(device_ids.clone())
        }
        Some(GpuSetting::On { .. }) => Gpu::NvidiaAll,
    };
    let text = |key: &Option<Spanned<String>>| key.as_ref().map(|key| key.value.clone());
    Deploy {
        proxy,
        proxy_image: text(&file.proxy_image),
        ollama_image: text(&file.ollama_image),
        models_dir: text(&file.models_dir),
        gpu,
        publish: text(&file.publish),
        egress: file.egress.as_ref().is_none_or(|egress| egress.value),
    }
}
