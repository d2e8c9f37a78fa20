//! The admin API: where it listens, and whom it answers (admin.go; measured on 2.11.9).
//!
//! In: the top of the JSON. Out: a listener more. Invariant: it is there unless it is switched off, also where no file names it: whoever
//! reaches it reads the whole config, keys included, and may load another.

use super::network::{Address, bound, join};
use super::placeholder::Unknown;
use super::{Compiler, apply, text, texts, truth};
use crate::dialect::Place;
use crate::dialect::document::Ref;
use crate::gateway::value::Join;
use crate::gateway::*;

/// Where it listens if nothing is said.
const DEFAULT: &str = "localhost:2019";
/// Where it listens for others, if that is switched on.
const REMOTE: &str = ":2021";
/// The longest head that it takes.
const HEAD: u64 = 64 << 10;

/// The methods of an endpoint, all if there is none, and what it then does.
type Endpoint = (&'static [u8], bool, &'static [&'static str], Answer);

/// What an endpoint answers with.
#[derive(Clone, Copy)]
enum Answer {
    /// This status.
    Status(u16),
    /// It depends on this.
    Depends(&'static str),
}

/// Its endpoints: the path, whether others may follow, the methods, what they answer. The first that fits counts; what has other methods
/// is 405.
const ENDPOINTS: &[Endpoint] = &[
    (b"/config/", false, &["GET"], Answer::Status(200)),
    (b"/config/", true, &["GET"], Answer::Depends("what the config has there")),
    (b"/config/", true, &["POST", "PUT", "PATCH", "DELETE"], Answer::Depends("whether the admin API takes the change")),
    (b"/load", false, &["POST"], Answer::Depends("whether the admin API takes the config that is sent")),
    (b"/adapt", false, &["POST"], Answer::Depends("whether the config that is sent can be adapted")),
    (b"/stop", false, &["POST"], Answer::Status(200)),
    (b"/reverse_proxy/upstreams", false, &["GET"], Answer::Status(200)),
    (b"/metrics", false, &[], Answer::Status(200)),
    (b"/debug/vars", false, &[], Answer::Status(200)),
    (b"/debug/pprof/", false, &[], Answer::Status(200)),
    (b"/debug/pprof/cmdline", false, &[], Answer::Status(200)),
    (b"/debug/pprof/", true, &[], Answer::Depends("what the profiler has there")),
    (b"/id/", true, &[], Answer::Depends("the `@id`s of the config")),
    (b"/pki/", true, &[], Answer::Depends("the certificate authorities")),
];

impl<'d> Compiler<'d, '_> {
    /// Adds the listeners of the admin API.
    pub(super) fn admin(&mut self, root: Ref<'d>) {
        let admin = root.get("admin").filter(|admin| !admin.is_null());
        if let Some(remote) = admin.and_then(|admin| admin.get("remote")).filter(|remote| !remote.is_null()) {
            self.admin_for_others(remote);
        }
        if admin.is_some_and(|admin| truth(admin, "disabled")) {
            return;
        }
        let listen = admin.and_then(|admin| admin.get("listen")).filter(|listen| listen.text() != Some(""));
        let place = listen.or(admin).map(Ref::place).unwrap_or_default();
        let named = listen.and_then(Ref::text);
        let variable = self.options.variables.values.get("CADDY_ADMIN").map(String::as_str);
        let written = named.or(variable.filter(|address| !address.is_empty())).unwrap_or(DEFAULT);
        let why = match (named, variable) {
            (Some(_), _) => "",
            (None, Some(_)) => ": the variable `CADDY_ADMIN` says so",
            (None, None) => ", as nothing else is said",
        };
        let Some((host, port)) = self.admin_address(written, place) else { return };
        let note = format!("Caddy's admin API listens on {}{why}", join(&host, port));
        let clauses = self.admin_clauses(admin, &host, port, place);
        let nothing = self.origin(place, "the admin API has nothing there");
        let chain = self.chain(clauses, Terminal::Respond(404), nothing);
        let wire = Wire { http1_only: true, ..Wire::go(HEAD) };
        let origin = self.origin(place, note);
        self.gateway.listeners.push(Listener {
            address: bound(&host),
            both: true,
            port,
            tls: false,
            wire,
            handshake: None,
            chain,
            origin,
        });
    }

    /// Host and port of an address; absent: it is no network address, or none at all, which is told.
    fn admin_address(&mut self, written: &str, place: Place) -> Option<(String, u16)> {
        let value = self.value(written, Unknown::Empty, place);
        let address = value.as_literal().map(|text| String::from_utf8_lossy(text).into_owned());
        match address.as_deref().map(Address::parse) {
            Some(Some(Address::Network { host, first, last })) if first == last => return Some((host, first)),
            Some(Some(Address::Local(_))) => {}
            Some(Some(Address::Network { .. })) => self.refused(place, "the admin API takes one port alone"),
            Some(None) => self.refused(place, format!("`{written}` is no address")),
            None => {
                let help = "set its variables with --env-file";
                let message = "the address of the admin API is not known";
                self.problem(crate::diag::Severity::Warning, place, message, help);
            }
        }
        None
    }

    fn admin_clauses(&self, admin: Option<Ref<'d>>, host: &str, port: u16, place: Place) -> Vec<Clause> {
        let at = |note: &'static str| self.origin(place, note);
        let refused =
            |when: Predicate, status: u16, note: &'static str| Clause::new(when, Terminal::Respond(status), at(note));
        let header = |name: &str| Value::Header(name.to_owned(), Join::First);
        let socket = Predicate::Value(header("Upgrade"), Test::Contains(b"websocket".to_vec()));
        let mut clauses = vec![refused(socket, 400, "the admin API takes no WebSockets")];
        let allowed = origins(admin, host, port);
        if !matches!(host, "" | "0.0.0.0" | "::") {
            let hosts = allowed.iter().map(|(_, host)| host.clone().into_bytes()).collect();
            let known = Predicate::Value(Value::Authority, Test::AnyCase(Box::new(Test::OneOf(hosts))));
            clauses.push(refused(known.negated(), 403, "the admin API doesn't know this Host"));
        }
        let says = Value::First(vec![header("Origin"), header("Referer")]);
        let there = |name: &str| Predicate::Header(name.to_owned(), Lines::Any, Test::Anything);
        let browser = match admin.is_some_and(|admin| truth(admin, "enforce_origin")) {
            true => Predicate::Always,
            false => Predicate::Any(vec![there("Origin"), there("Sec-Fetch-Mode")]),
        };
        let null = Predicate::Value(says.clone(), Test::Equals(b"null".to_vec()));
        let null = Predicate::All(vec![browser.clone(), null]);
        clauses.push(refused(null, 400, "the admin API takes no opaque origin"));
        let alike: Vec<String> = allowed.iter().map(|(scheme, host)| origin_pattern(scheme, host)).collect();
        let pattern = Pattern::of(&format!("(?-u)^(?:{})(?:[/?#]|$)", alike.join("|")));
        let own = Predicate::Value(says, Test::Regex(pattern, Captures::Dropped));
        let foreign = Predicate::All(vec![browser, own.negated()]);
        clauses.push(refused(foreign, 403, "the admin API doesn't know this origin"));
        let path = apply(Function::EscapedPath, Value::RawPath);
        let clean = Predicate::Value(apply(Function::CleanRooted, path.clone()), Test::Same(Box::new(path)));
        clauses.push(refused(clean.negated(), 307, "the admin API redirects to the clean path"));
        let folders = [&b"/config"[..], b"/id", b"/pki", b"/debug/pprof"].map(<[u8]>::to_vec);
        let folder = Predicate::Value(Value::Path, Test::OneOf(folders.into()));
        clauses.push(refused(folder, 307, "the admin API redirects to the folder"));
        for (path, below, methods, answer) in ENDPOINTS {
            let test = if *below { Test::Prefix(path.to_vec()) } else { Test::Equals(path.to_vec()) };
            let here = Predicate::Value(Value::Path, test);
            let method = if methods.is_empty() { Predicate::Always } else { Predicate::method(methods) };
            let then = match answer {
                Answer::Status(status) => Terminal::Respond(*status),
                Answer::Depends(what) => Terminal::RespondWith(Box::new(Value::Opaque(self.reason(place, what)))),
            };
            let shows = Step::setting(Setting::Shows(Own::Config), at(""));
            let answer = Clause::new(Predicate::All(vec![here, method]), then, at("the admin API answers"));
            clauses.push(Clause { steps: vec![shows], ..answer });
        }
        let known = ENDPOINTS.iter().map(|(path, below, ..)| {
            Predicate::Value(
                Value::Path,
                if *below { Test::Prefix(path.to_vec()) } else { Test::Equals(path.to_vec()) },
            )
        });
        clauses.push(refused(Predicate::Any(known.collect()), 405, "the admin API doesn't take this method there"));
        clauses
    }

    /// The listener that others reach with certificates of their own.
    fn admin_for_others(&mut self, remote: Ref<'d>) {
        let place = remote.place();
        let Some((host, port)) = self.admin_address(text(remote, "listen").unwrap_or(REMOTE), place) else { return };
        let note = format!("Caddy's admin API listens for others on {}", join(&host, port));
        let why = self.reason(place, "the certificates that `remote` lets in");
        let chain = self.chain(Vec::new(), Terminal::RespondWith(Box::new(Value::Opaque(why))), self.origin(place, ""));
        let wire = Wire { http1_only: true, ..Wire::go(HEAD) };
        let origin = self.origin(place, note);
        self.gateway.listeners.push(Listener {
            address: bound(&host),
            both: true,
            port,
            tls: true,
            wire,
            handshake: None,
            chain,
            origin,
        });
    }
}

/// The origins that are allowed: scheme, empty for any, and host.
fn origins(admin: Option<Ref<'_>>, host: &str, port: u16) -> Vec<(String, String)> {
    let named = texts(admin.and_then(|admin| admin.get("origins")));
    if !named.is_empty() {
        let parts = |origin: &String| match origin.split_once("://") {
            Some((scheme, rest)) => (scheme.to_owned(), rest.split('/').next().unwrap_or_default().to_owned()),
            None => (String::new(), origin.split('/').next().unwrap_or_default().to_owned()),
        };
        return named.iter().map(parts).collect();
    }
    let is_loopback = host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    let hosts = if is_loopback { vec!["localhost", "::1", "127.0.0.1"] } else { vec![host] };
    hosts.into_iter().map(|host| (String::new(), join(host, port))).collect()
}

/// The start of an origin that is allowed.
fn origin_pattern(scheme: &str, host: &str) -> String {
    let scheme = if scheme.is_empty() { "[A-Za-z][A-Za-z0-9+.-]*".to_owned() } else { regex::escape(scheme) };
    format!("{scheme}://(?:[^/?#@]*@)?{}", regex::escape(host))
}
