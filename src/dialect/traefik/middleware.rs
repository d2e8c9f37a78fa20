//! The middlewares: what each decides about a request, and what it changes on it.
//!
//! In: a middleware's settings. Out: clauses, or why Traefik refuses it (which drops every router that uses it). Invariant: each kind is
//! one entry of [`KINDS`] (facts: pkg/middlewares of Traefik, measured on 3.7.15).

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::build::{Builder, origin, refuse};
use super::dynamic::switched_off;
use super::node::Node;
use super::rule::Rule;
use super::{auth, headers, path, redirect};
use crate::dialect::re2;
use crate::gateway::value::Join;
use crate::gateway::{
    Clause, ErrorCase, Errors, Limit, LimitKind, Origin, Per, Predicate, Setting, Statuses, Step, Terminal, Test, Value,
};

/// What builds a middleware of one kind: its settings, its provider, what is being built, its place.
type Build = fn(&mut Builder<'_>, &Node, &str, &mut Vec<String>, &Origin) -> Result<Vec<Clause>, String>;

/// All kinds.
const KINDS: &[(&str, Build)] = &[
    ("addPrefix", |_, node, _, _, at| path::add_prefix(node, at)),
    ("stripPrefix", |builder, node, _, _, at| Ok(path::strip_prefix(builder, node, at))),
    ("stripPrefixRegex", |builder, node, _, _, at| path::strip_prefix_regex(builder, node, at)),
    ("replacePath", |_, node, _, _, at| Ok(path::replace_path(node, at))),
    ("replacePathRegex", |builder, node, _, _, at| path::replace_path_regex(builder, node, at)),
    ("chain", |builder, node, provider, open, _| {
        let names: Vec<_> =
            node.list("middlewares").into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
        builder.middlewares(&names, provider, open)
    }),
    ("ipWhiteList", |_, node, _, _, at| auth::ip_allow_list(node, at)),
    ("ipAllowList", |_, node, _, _, at| auth::ip_allow_list(node, at)),
    ("headers", |_, node, _, _, at| headers::headers(node, at)),
    ("encodedCharacters", |_, node, _, _, at| Ok(encoded_characters(&|name| node.flag(name), at))),
    ("errors", errors),
    ("rateLimit", |_, node, _, _, at| rate_limit(node, at)),
    ("redirectRegex", |_, node, _, _, at| redirect::regex(node, at)),
    ("redirectScheme", |_, node, _, _, at| redirect::scheme(node, at)),
    ("basicAuth", |builder, node, _, _, at| auth::basic(builder, node, at)),
    ("digestAuth", |builder, node, _, _, at| auth::digest(builder, node, at)),
    ("forwardAuth", |_, node, _, _, at| auth::forward(node, at)),
    ("inFlightReq", |_, node, _, _, at| in_flight(node, at)),
    ("buffering", |_, node, _, _, at| buffering(node, at)),
    ("circuitBreaker", |_, node, _, _, _| circuit_breaker(node)),
    ("compress", |_, node, _, _, at| compress(node, at)),
    ("passTLSClientCert", |_, _, _, _, _| Ok(Vec::new())),
    ("retry", |_, node, _, _, _| retry(node)),
    ("contentType", |_, _, _, _, _| Ok(Vec::new())),
    ("grpcWeb", |_, _, _, _, at| Ok(grpc_web(at))),
];

/// The clauses of a middleware. Errors: why Traefik refuses it.
pub fn build(
    builder: &mut Builder<'_>,
    node: &Node,
    provider: &str,
    open: &mut Vec<String>,
) -> Result<Vec<Clause>, String> {
    let given: Vec<&Node> = node.children.iter().filter(|child| !switched_off(child)).collect();
    let [kind] = given.as_slice() else {
        return Err(match given.len() {
            0 => "it has no kind".to_owned(),
            _ => "it has several kinds, which Traefik doesn't support".to_owned(),
        });
    };
    let at = origin(kind.place, format!("middleware `{}` ({})", node.name, kind.name)).shared();
    if kind.name.eq_ignore_ascii_case("plugin") {
        return plugin(builder, kind, &at);
    }
    let found = KINDS.iter().find(|(name, _)| kind.name.eq_ignore_ascii_case(name));
    let (_, build) = found.ok_or_else(|| format!("the kind `{}` is not known here", kind.name))?;
    build(builder, kind, provider, open, &at)
}

fn plugin(builder: &Builder<'_>, node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    let Some(plugin) = node.children.first() else { return Err("it names no plugin".to_owned()) };
    if builder.statics.plugins.as_ref().is_some_and(|known| !known.contains(&*plugin.name)) {
        return Err(format!("the plugin `{}` is not in the static configuration", plugin.name));
    }
    let why = format!("depends on the plugin `{}`", plugin.name);
    Ok(vec![Clause::new(Predicate::Opaque(why.clone().into()), Terminal::unknown(why), at.clone())])
}

/// What refuses escaped characters in a path, by the names of the settings that allow them.
pub fn encoded_characters(allowed: &dyn Fn(&str) -> bool, at: &Origin) -> Vec<Clause> {
    const ESCAPES: [(&str, &str); 7] = [
        ("allowEncodedSlash", "%2F|%2f"),
        ("allowEncodedBackSlash", "%5C|%5c"),
        ("allowEncodedNullCharacter", "%00"),
        ("allowEncodedSemicolon", "%3B|%3b"),
        ("allowEncodedPercent", "%25"),
        ("allowEncodedQuestionMark", "%3F|%3f"),
        ("allowEncodedHash", "%23"),
    ];
    let denied: Vec<&str> = ESCAPES.iter().filter(|(name, _)| !allowed(name)).map(|(_, escapes)| *escapes).collect();
    let pattern = super::matcher::regex(&denied.join("|"));
    let found = match pattern {
        Ok(pattern) if !denied.is_empty() => Predicate::Value(path::variable(path::PATH), pattern),
        _ => return Vec::new(),
    };
    vec![refuse(found, 400, at.noted("`encodedCharacters` refuses an escape in the path"))]
}

/// `errors`: what fails with one of these statuses is answered by a page of a service, which keeps the status.
fn errors(
    builder: &mut Builder<'_>,
    node: &Node,
    provider: &str,
    open: &mut Vec<String>,
    at: &Origin,
) -> Result<Vec<Clause>, String> {
    let caught = statuses(node.list("status").into_iter().map(|(text, _)| text))?;
    let service = builder.service(node.text("service"), provider, open)?;
    let mut rewrites: Vec<((u16, u16), u16)> = Vec::new();
    for (range, status, _) in node.named_texts("statusRewrites") {
        let status = status.parse().map_err(|_| format!("`{status}` is no status"))?;
        rewrites.extend(statuses([range.as_str()])?.into_iter().map(|range| (range, status)));
    }
    let mut cases = Vec::new();
    let kept = builder.end(Terminal::Respond(500), at.noted("the page fails, and the status stays"));
    let fails = ErrorCase {
        statuses: Statuses(vec![(0, 999)]),
        chain: kept,
        restart: false,
        steps: Vec::new(),
        status: None,
        origin: at.noted(""),
    };
    let fails = Step::Guard(Errors { cases: vec![fails], recursive: false }.into());
    // A status that is rewritten is shown to the page as it is then; each needs a chain of its own.
    for (range, status) in rewrites.into_iter().map(|(range, status)| (range, Some(status))).chain([((0, 999), None)]) {
        let both = caught.iter().map(|(low, high)| ((*low).max(range.0), (*high).min(range.1)));
        let both: Vec<(u16, u16)> = both.filter(|(low, high)| low <= high).collect();
        let shown = status.map_or(Value::ErrorStatus, |status: u16| Value::literal(status.to_string()));
        let note = match status {
            Some(status) => format!("`errors` asks a service for a page; `statusRewrites` makes the status {status}"),
            None => "`errors` asks a service for a page".to_owned(),
        };
        let mut page = path::page(node.text("query"), shown.clone(), &at.noted(note));
        page.push(fails.clone());
        let clauses = vec![Clause { then: Terminal::Then(service.chain), ..Clause::steps(page, at.noted("")) }];
        let chain = crate::gateway::Chain { clauses, otherwise: Terminal::Next, origin: at.noted("") };
        cases.push(ErrorCase {
            statuses: Statuses(both),
            chain: builder.gateway.add(chain),
            restart: false,
            steps: Vec::new(),
            status: Some(shown),
            origin: at.noted(""),
        });
    }
    builder.caught.extend(cases);
    let errors = Errors { cases: builder.caught.clone(), recursive: false };
    Ok(vec![Clause::steps(vec![Step::OnError(Some(errors.into()))], at.noted(""))])
}

/// Ranges of statuses such as `500-599` or `404`. Errors: what is no number.
pub(super) fn statuses<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Vec<(u16, u16)>, String> {
    let number = |text: &str| text.parse::<i64>().map_err(|_| format!("`{text}` is no status"));
    let mut ranges = Vec::new();
    for text in texts {
        let mut codes = text.split('-');
        let first = codes.next().unwrap_or_default();
        let last = codes.next().unwrap_or(first);
        let (first, last) = (number(first)?, number(last)?);
        let fit = |code: i64| u16::try_from(code.clamp(0, 999)).unwrap_or_default();
        ranges.push((fit(first), fit(last)));
    }
    Ok(ranges)
}

/// For whom a limit counts, and by what. Errors: why Traefik refuses it.
fn criterion(node: &Node, otherwise: (Per, Value)) -> Result<(Per, Value), String> {
    let Some(source) = node.get("sourceCriterion") else { return Ok(otherwise) };
    let header = source.text("requestHeaderName");
    match (source.get("ipStrategy"), header, source.flag("requestHost")) {
        (Some(_), "", false) => Ok(match auth::strategy(source)? {
            auth::Address::Peer => (Per::Ip, Value::ClientIp),
            auth::Address::Header(value) => (Per::Ip, value),
        }),
        (None, "", false) => Ok(otherwise),
        (None, "", true) => Ok(by_host()),
        (None, name, false) => {
            Ok((Per::Key(format!("the header {name}")), Value::Header(name.to_owned(), Join::First)))
        }
        _ => Err("`sourceCriterion` has more than one criterion".to_owned()),
    }
}

/// A limit for each Host.
fn by_host() -> (Per, Value) {
    (Per::Key("the Host".to_owned()), path::variable(path::HOST))
}

fn rate_limit(node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    let (per, key) = criterion(node, (Per::Ip, Value::ClientIp))?;
    let period = super::node::duration(node.text("period")).unwrap_or(1_000_000_000);
    let period = u64::try_from(period).map_err(|_| "`period` is negative")?;
    let window = if period == 0 { Duration::from_secs(1) } else { Duration::from_nanos(period) };
    let requests = u32::try_from(node.int("average").unwrap_or(0)).unwrap_or(0);
    if requests == 0 {
        return Ok(Vec::new());
    }
    let burst = u32::try_from(node.int("burst").unwrap_or(1).max(1)).unwrap_or(u32::MAX);
    let kind = LimitKind::Rate { requests, window, burst };
    let limit = Limit { per, key, kind, refusal: 429, waits: false };
    Ok(vec![Clause::steps(vec![Step::limit(limit, at.clone())], at.noted(""))])
}

fn in_flight(node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    let (per, key) = criterion(node, by_host())?;
    let Some(max) = u32::try_from(node.int("amount").unwrap_or(0)).ok().filter(|max| *max > 0) else {
        return Ok(vec![refuse(Predicate::Always, 429, at.noted("`inFlightReq` allows no request at all"))]);
    };
    let limit = Limit { per, key, kind: LimitKind::Connections { max }, refusal: 429, waits: false };
    Ok(vec![Clause::steps(vec![Step::limit(limit, at.clone())], at.noted(""))])
}

fn buffering(node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    for name in ["maxRequestBodyBytes", "memRequestBodyBytes", "maxResponseBodyBytes", "memResponseBodyBytes"] {
        if node.int(name).is_some_and(|bytes| bytes < 0) {
            return Err(format!("`{name}` is negative"));
        }
    }
    expression(node.text("retryExpression"), true)?;
    let most = node.int("maxRequestBodyBytes").and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
    let mut clauses = vec![Clause::steps(
        vec![
            Step::setting(Setting::BodyLimit(most), at.clone()),
            Step::setting(Setting::BufferRequests(true), at.clone()),
            Step::setting(Setting::BufferResponses(true), at.clone()),
        ],
        at.noted(""),
    )];
    clauses.extend(most.map(|most| {
        refuse(Predicate::BodyOver(most), 413, at.noted(format!("the body is over `maxRequestBodyBytes` ({most})")))
    }));
    Ok(clauses)
}

fn circuit_breaker(node: &Node) -> Result<Vec<Clause>, String> {
    expression(node.text("expression"), false).map(|()| Vec::new())
}

/// Whether an expression of oxy can be read. Errors: why not.
fn expression(text: &str, may_be_empty: bool) -> Result<(), String> {
    if text.is_empty() && may_be_empty {
        return Ok(());
    }
    // A comparison is written as a matcher, so that one grammar serves for both.
    static COMPARISON: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
        let pattern = r"([A-Z][A-Za-z]*)\([0-9., ]*\)\s*(?:<=|>=|<|>|==|!=)\s*(?:-?[0-9.]+|`[^`]*`|[0-9]+)";
        regex::Regex::new(pattern).ok()
    });
    let comparison = COMPARISON.as_ref().ok_or("an expression of comparisons is wrong")?;
    let text = comparison.replace_all(text, "$1(`1`)");
    Rule::parse(&text).map(drop).map_err(|why| format!("the expression can't be read: {why}"))
}

fn compress(node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    const ENCODINGS: [&str; 3] = ["zstd", "br", "gzip"];
    let (excluded, included) = (node.list("excludedContentTypes"), node.list("includedContentTypes"));
    if !excluded.is_empty() && !included.is_empty() {
        return Err("`excludedContentTypes` and `includedContentTypes` exclude each other".to_owned());
    }
    let encodings: Vec<&str> = match node.get("encodings") {
        Some(list) => list.texts().into_iter().map(|(text, _)| text).collect(),
        None => ENCODINGS.to_vec(),
    };
    if let Some(other) = encodings.iter().find(|encoding| !ENCODINGS.contains(encoding)) {
        return Err(format!("unsupported encoding `{other}`"));
    }
    let default = node.text("defaultEncoding");
    if !default.is_empty() && !encodings.contains(&default) {
        return Err(format!("unsupported default encoding `{default}`"));
    }
    let media = |(text, _): &(&str, crate::dialect::Place)| text.trim().is_empty() || text.starts_with('/');
    if excluded.iter().chain(&included).any(media) {
        return Err("a content type can't be read".to_owned());
    }
    // Each part of a stream is compressed and sent at once (measured).
    Ok(vec![Clause::steps(vec![Step::setting(Setting::Compress(Vec::new()), at.clone())], at.noted(""))])
}

fn retry(node: &Node) -> Result<Vec<Clause>, String> {
    let listed = node.list("status");
    if listed.is_empty() && node.flag("disableRetryOnNetworkError") {
        return Err("neither a status nor a network error is retried".to_owned());
    }
    if node.int("attempts").unwrap_or(0) <= 0 {
        return Err("`attempts` is missing or not positive".to_owned());
    }
    statuses(listed.into_iter().map(|(text, _)| text)).map(|_| Vec::new())
}

fn grpc_web(at: &Origin) -> Vec<Clause> {
    let header = |name: &str| Value::Header(name.to_owned(), Join::First);
    let contains = |name: &str, text: &str| {
        Predicate::Value(header(name), Test::AnyCase(Box::new(Test::Contains(text.as_bytes().to_vec()))))
    };
    let call = Predicate::All(vec![Predicate::method(&["POST"]), contains("Content-Type", "application/grpc-web")]);
    let preflight =
        Predicate::All(vec![Predicate::method(&["OPTIONS"]), contains("Access-Control-Request-Headers", "x-grpc-web")]);
    let why = "depends on the gRPC-Web wrapper";
    vec![Clause::new(Predicate::Any(vec![call, preflight]), Terminal::unknown(why), at.noted(why))]
}

/// A regular expression of a setting. Errors: why Traefik refuses it.
pub fn compiled(expression: &str) -> Result<Arc<crate::gateway::Pattern>, String> {
    re2::compile(expression).map_err(|why| format!("the expression `{expression}`: {why}"))
}
