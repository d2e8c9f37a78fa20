//! Entry points: what is done to every request before a router is asked.
//!
//! In: an entry point and the routers on it. Out: listeners. Invariant: the path is normalised, the forwarding headers are made, and what
//! `Connection` names is gone before any rule is asked (facts: pkg/server/server_entrypoint_tcp.go, pkg/middlewares/forwardedheaders).

use super::build::origin;
use super::path::{HOST, QUERY, apply, moved};
use super::statics::{EntryPoint, Trusted};
use crate::gateway::value::Join;
use crate::gateway::{
    Chain, ChainId, Clause, Edit, Function, Gateway, HeaderEdit, Listener, Log, Origin, Predicate, Setting, Step,
    Terminal, Test, TimeoutOf, Value, Wire,
};

/// Headers that only Traefik sets, unless it trusts the peer.
const MANAGED: [&str; 11] = [
    "X-Forwarded-Proto",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Prefix",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-Real-Ip",
];

/// What Go's net/http 1.26 does before Traefik sees a request.
fn wire(entry: &EntryPoint) -> Wire {
    Wire { refused_methods: &[("CONNECT", 501)], underscores: entry.underscores, ..Wire::go(entry.head_bytes) }
}

/// Adds the listener of an entry point. `routers`: the chain that asks the routers.
pub fn listen(gateway: &mut Gateway, entry: &EntryPoint, tls: bool, routers: ChainId, log: Option<&Log>) {
    let at = origin(entry.place, "");
    let mut clauses = vec![fragment(&at), normalised(entry, &at)];
    clauses.extend(untrusted(entry, &at));
    clauses.push(Clause::steps(forwarded(tls, &at), at.clone()));
    clauses.push(framed(&at));
    clauses.push(Clause::steps(settings(entry, log, &at), at.clone()));
    let chain = gateway.add(Chain { clauses, otherwise: Terminal::Then(routers), origin: at });
    let what = if tls { "with TLS" } else { "without TLS" };
    let note = format!("the request comes to entry point `{}` ({what})", entry.name);
    gateway.listeners.push(Listener {
        address: entry.address,
        both: true,
        port: entry.port,
        tls,
        wire: wire(entry),
        handshake: None,
        chain,
        origin: origin(entry.place, note),
    });
}

fn fragment(at: &Origin) -> Clause {
    let path = apply(Function::Before(b'?'), Value::OriginalTarget);
    let found = Predicate::Value(path, Test::Contains(b"#".to_vec()));
    Clause::new(found, Terminal::Error(400), at.noted("the path holds a `#`"))
}

/// The path: escapes normalised, dot segments resolved; the query: `;` is `&`.
fn normalised(entry: &EntryPoint, at: &Origin) -> Clause {
    let path = apply(Function::Before(b'?'), Value::OriginalTarget);
    let path = apply(Function::EscapedPath, apply(Function::NormalizeEscapes, path));
    let path = if entry.sanitizes { apply(Function::CleanRooted, path) } else { path };
    let to = if entry.escapes_semicolons { "%3B" } else { "&" };
    let semicolons = |value: Value| apply(Function::ReplaceText(vec![(b";".to_vec(), to.into())]), value);
    let query = semicolons(apply(Function::From(b'?'), Value::OriginalTarget));
    let mut steps =
        vec![Step::set(HOST.into(), Value::Authority, at.clone()), Step::set(QUERY.into(), query, at.clone())];
    let parsed = crate::gateway::Rewrite { query: Some(semicolons(Value::Query)), ..Default::default() };
    steps.push(Step::rewrite(parsed, at.clone()));
    steps.extend(moved(path, at));
    Clause::steps(steps, at.clone())
}

fn edit(name: &str, edit: Edit, at: &Origin) -> Step {
    Step::request_header(HeaderEdit { name: name.to_owned(), edit }, at.clone())
}

/// The forwarding headers of peers that aren't trusted go.
fn untrusted(entry: &EntryPoint, at: &Origin) -> Option<Clause> {
    let when = match &entry.trusted {
        Trusted::All => return None,
        Trusted::Peers(peers) if peers.is_empty() => Predicate::Always,
        Trusted::Peers(peers) => Predicate::Client(peers.clone().into()).negated(),
    };
    let names = MANAGED.iter().flat_map(|name| [(*name).to_owned(), name.replace('-', "_")]);
    let steps = names.map(|name| edit(&name, Edit::Remove, at)).collect();
    Some(Clause { when: when.into(), steps, then: Terminal::Next, origin: at.clone() })
}

/// The forwarding headers that Traefik sets; what `Connection` names goes.
fn forwarded(tls: bool, at: &Origin) -> Vec<Step> {
    let header = |name: &str| Value::Header(name.to_owned(), Join::First);
    let lower = |value: Value| apply(Function::Lower, value);
    let upgrade = Value::Concat(vec![lower(header("Connection")), Value::literal(" "), lower(header("Upgrade"))]);
    let scheme = Value::Lookup(std::sync::Arc::new(crate::gateway::Lookup {
        name: "scheme".to_owned(),
        on: upgrade,
        exact: [(b"upgrade websocket".to_vec(), Value::literal(if tls { "wss" } else { "ws" }))].into(),
        any_case: false,
        rows: Vec::new(),
        otherwise: Value::Scheme,
        volatile: true,
    }));
    let list = Value::Header("X-Forwarded-For".to_owned(), Join::With(", "));
    vec![
        edit("X-Real-Ip", Edit::Default(Value::ClientIp), at),
        edit("X-Forwarded-Proto", Edit::Default(scheme), at),
        edit("X-Forwarded-Host", Edit::Default(Value::Authority), at),
        edit("X-Forwarded-Port", Edit::Default(Value::literal(if tls { "443" } else { "80" })), at),
        edit("X-Forwarded-For", Edit::Set(list), at),
        edit("Connection", Edit::RemoveListed, at),
    ]
}

/// A body that isn't sent in chunks has its length in a header, which rules may look at.
fn framed(at: &Origin) -> Clause {
    let chunked = Predicate::Header("Transfer-Encoding".to_owned(), crate::gateway::Lines::Any, Test::Anything);
    let when = Predicate::All(vec![Predicate::BodyOver(0), chunked.negated()]);
    let steps = vec![edit("Content-Length", Edit::Default(Value::BodyLength), at)];
    Clause { when: when.into(), steps, then: Terminal::Next, origin: at.clone() }
}

fn settings(entry: &EntryPoint, log: Option<&Log>, at: &Origin) -> Vec<Step> {
    let of = [TimeoutOf::Request, TimeoutOf::Answer, TimeoutOf::KeepAlive];
    let times = of.into_iter().zip(entry.timeouts).zip(entry.timeouts_at);
    let mut steps: Vec<Step> = times
        .map(|((of, time), own)| {
            let at = own.map_or_else(|| at.clone(), |own| Origin::new(own.file(), own.span(), ""));
            Step::setting(Setting::Timeout(of, time), at)
        })
        .collect();
    steps.extend(log.cloned().map(|log| Step::setting(Setting::Log(log), at.clone())));
    steps.push(Step::setting(Setting::BodyLimit(None), Origin::default()));
    steps.extend(super::service::settings(at));
    steps
}
