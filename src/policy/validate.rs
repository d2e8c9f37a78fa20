//! From the file as written to the plan: every rule of the policy, every problem at once.
//!
//! In: a [`PolicyFile`] and the variables that it names. Out: a [`Plan`], and diagnostics. Invariant: checking goes on after a
//! problem; the plan is given only when there is no error.

use std::path::PathBuf;

use super::access::{self, Lists};
use super::file::{self, PolicyFile, nearest};
use super::plan::*;
use super::value::{RateSetting, Spanned};
use super::variables::Variables;
use super::{clients, cors, deploy, listen, upstream};
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
    pub(super) fn word<'w, T: Copy>(
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
    let file = &super::secrets::hide(file);
    let policy = file::read(file, sink);
    // A file that is no TOML would only bring errors that follow from that.
    if policy.broken {
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
    let kind = upstream_file.and_then(|file| upstream::kind(file, check)).or_else(|| Kind::find("ollama"))?;
    let upstream = upstream_file.and_then(|file| upstream::upstream(file, &kind, check));
    let listen = listen::listen(&policy.listen, check);
    let anonymous = policy.auth.anonymous.as_ref().is_some_and(|anonymous| anonymous.value);
    let lists = Lists::read(&policy.access, &kind, check);
    let mut sets = Vec::new();
    let clients = clients::read(&policy.client, &lists, &mut sets, check);
    let auth = auth(&policy, &clients, anonymous, check);
    if anonymous {
        if lists.nothing() {
            check.warning(
                policy.access.places.at("allow"),
                "nobody may use anything: `access.allow` less `access.deny` is empty",
                "name what may be used, such as [\"inference\", \"models\"]",
            );
        }
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
    let cors = policy.cors.as_ref().map(|cors| cors::cors(cors, auth.basic, check));
    let log = deploy::log(&policy.log, check);
    let deploy = deploy::deploy(&policy.deploy, listen.as_ref().map(|listen| &listen.tls), check);
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
                    (bearer, x_api_key, basic) = (true, true, true);
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
        if anonymous {
            check.warning(
                methods.span,
                "`auth.methods` does nothing with `auth.anonymous`",
                "leave it out, or take `anonymous` out and name clients",
            );
        }
        if basic && !has_password && !anonymous && methods.value.iter().any(|method| method.value == "basic") {
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
