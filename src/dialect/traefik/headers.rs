//! The middleware `headers`: headers of request and answer, CORS, allowed hosts.
//!
//! In: its settings. Out: clauses, or why Traefik refuses it. Invariant: a preflight is answered here, whatever follows (facts:
//! pkg/middlewares/headers, unrolled/secure 1.0.9, measured on Traefik 3.7.15).

use super::build::refuse;
use super::middleware::compiled;
use super::node::Node;
use super::path::{HOST, variable};
use super::template::unknown_in;
use crate::gateway::value::{Join, Row};
use crate::gateway::{
    Answers, Clause, Edit, HeaderEdit, Lookup, Origin, Predicate, Setting, Step, Terminal, Test, Value,
};

/// Settings that switch CORS on.
const CORS: [&str; 8] = [
    "accessControlAllowCredentials",
    "accessControlAllowHeaders",
    "accessControlAllowMethods",
    "accessControlAllowOriginList",
    "accessControlAllowOriginListRegex",
    "accessControlExposeHeaders",
    "accessControlMaxAge",
    "addVaryHeader",
];

/// Settings of which one at least must say something, besides CORS.
const OTHERS: [&str; 26] = [
    "customRequestHeaders",
    "customResponseHeaders",
    "allowedHosts",
    "hostsProxyHeaders",
    "sslRedirect",
    "sslTemporaryRedirect",
    "sslForceHost",
    "sslHost",
    "sslProxyHeaders",
    "stsSeconds",
    "stsIncludeSubdomains",
    "stsPreload",
    "forceSTSHeader",
    "frameDeny",
    "customFrameOptionsValue",
    "contentTypeNosniff",
    "browserXssFilter",
    "customBrowserXSSValue",
    "contentSecurityPolicy",
    "contentSecurityPolicyReportOnly",
    "publicKey",
    "referrerPolicy",
    "featurePolicy",
    "permissionsPolicy",
    "isDevelopment",
    "stsSeconds",
];

/// Numbers that count when they are there at all.
const NUMBERS: [&str; 2] = ["accessControlMaxAge", "stsSeconds"];

/// Response headers that settings make: the setting, the header, what it is for `true`.
const SECURE: [(&str, &str, &str); 9] = [
    ("frameDeny", "X-Frame-Options", "DENY"),
    ("contentTypeNosniff", "X-Content-Type-Options", "nosniff"),
    ("browserXssFilter", "X-XSS-Protection", "1; mode=block"),
    ("customFrameOptionsValue", "X-Frame-Options", ""),
    ("customBrowserXSSValue", "X-XSS-Protection", ""),
    ("contentSecurityPolicy", "Content-Security-Policy", ""),
    ("contentSecurityPolicyReportOnly", "Content-Security-Policy-Report-Only", ""),
    ("referrerPolicy", "Referrer-Policy", ""),
    ("permissionsPolicy", "Permissions-Policy", ""),
];

/// Whether a setting says something.
fn says(node: &Node, name: &str) -> bool {
    node.get(name).is_some_and(|found| {
        NUMBERS.contains(&name)
            || !found.children.is_empty()
            || found.items.as_ref().is_some_and(|items| !items.is_empty())
            || !["", "false", "False", "FALSE", "f", "F", "0"].contains(&&*found.value)
    })
}

/// The clauses of `headers`. Errors: why Traefik refuses it.
pub fn headers(node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    let cors = CORS.iter().any(|name| says(node, name));
    if !cors && !OTHERS.iter().any(|name| says(node, name)) {
        return Err("it sets nothing".to_owned());
    }
    for (expression, _) in node.list("accessControlAllowOriginListRegex") {
        compiled(expression)?;
    }
    let mut clauses = Vec::new();
    if cors {
        clauses.push(preflight(node, at));
    }
    let mut steps = request_headers(node);
    steps.extend(response_headers(node, at));
    clauses.push(Clause::steps(steps, at.noted("")));
    clauses.extend(allowed_hosts(node, at));
    Ok(clauses)
}

fn first(name: &str) -> Value {
    Value::Header(name.to_owned(), Join::First)
}

fn preflight(node: &Node, at: &Origin) -> Clause {
    let given = |name: &str| Predicate::Value(first(name), Test::NotEmpty);
    let when =
        Predicate::All(vec![Predicate::method(&["OPTIONS"]), given("Access-Control-Request-Method"), given("Origin")]);
    let note = at.noted(format!("{}: it answers every CORS preflight itself", at.note));
    let steps =
        cors_headers(node, at).into_iter().flat_map(|(name, edit, at)| answer_header(name, edit, &at)).collect();
    Clause { steps, ..Clause::new(when, Terminal::Error(200), note) }
}

fn request_headers(node: &Node) -> Vec<Step> {
    let steps = node.named_texts("customRequestHeaders").into_iter().map(|(name, value, place)| {
        let origin = Origin::new(place.file(), place.span(), format!("the request header {name} is set"));
        let known = |value: &str| match unknown_in(value) {
            Some(why) => Value::Opaque(why.into()),
            None => Value::literal(value),
        };
        if name.eq_ignore_ascii_case("host") && !value.is_empty() {
            return Step::set(HOST.into(), known(value), origin);
        }
        let edit = if value.is_empty() { Edit::Remove } else { Edit::Set(known(value)) };
        Step::request_header(HeaderEdit { name, edit }, origin)
    });
    steps.collect()
}

fn response_headers(node: &Node, at: &Origin) -> Vec<Step> {
    let mut edits: Vec<(String, String)> = Vec::new();
    edits
        .extend(node.named_texts("customResponseHeaders").into_iter().map(|(name, value, _)| (name, value.to_owned())));
    for (setting, header, value) in SECURE.into_iter().filter(|(setting, ..)| says(node, setting)) {
        let value = if value.is_empty() { node.text(setting) } else { value };
        edits.push((header.to_owned(), value.to_owned()));
    }
    if let Some(seconds) = node.int("stsSeconds").filter(|seconds| *seconds > 0) {
        edits.push(("Strict-Transport-Security".to_owned(), format!("max-age={seconds}")));
    }
    let edits = edits.into_iter().map(|(name, value)| {
        let edit = if value.is_empty() { Edit::Remove } else { Edit::Set(Value::literal(value)) };
        (name, edit, at.clone())
    });
    edits.chain(cors_headers(node, at)).flat_map(|(name, edit, at)| answer_header(name, edit, &at)).collect()
}

/// A header of the answer, which stands instead of the upstream's own.
fn answer_header(name: String, edit: Edit, at: &Origin) -> [Step; 2] {
    let gone = HeaderEdit { name: name.clone(), edit: Edit::Remove };
    let settings = [Setting::UpstreamHeader(gone), Setting::ResponseHeader(HeaderEdit { name, edit }, Answers::All)];
    settings.map(|setting| Step::setting(setting, at.clone()))
}

/// The headers of CORS that every answer gets, each with the place that says so.
fn cors_headers(node: &Node, at: &Origin) -> Vec<(String, Edit, Origin)> {
    let mut edits = Vec::new();
    let origins = node.list("accessControlAllowOriginList");
    let patterns = node.list("accessControlAllowOriginListRegex");
    if !(origins.is_empty() && patterns.is_empty()) {
        // The origin is looked at when the answer is there: a later middleware that takes it away takes this away too.
        let said = patterns.first().or(origins.first()).map(|(_, place)| *place);
        let at = said.map_or_else(|| at.clone(), |said| Origin::new(said.file(), said.span(), at.note.clone()));
        let edit = Edit::SetLate(allowed_origin(&origins, &patterns));
        edits.push(("Access-Control-Allow-Origin".to_owned(), edit, at));
    }
    if node.flag("accessControlAllowCredentials") {
        edits.push(("Access-Control-Allow-Credentials".to_owned(), Edit::Set(Value::literal("true")), at.clone()));
    }
    edits
}

/// What `Access-Control-Allow-Origin` is: the first of the list that is the origin or `*`, else the origin if a pattern fits it.
fn allowed_origin(origins: &[(&str, super::super::Place)], patterns: &[(&str, super::super::Place)]) -> Value {
    let until_any = origins.iter().take_while(|(origin, _)| *origin != "*");
    let exact = until_any.map(|(origin, _)| (origin.as_bytes().to_vec(), Value::literal(*origin))).collect();
    let any = origins.iter().any(|(origin, _)| *origin == "*");
    let rows = patterns
        .iter()
        .filter_map(|(pattern, _)| Some((Row::Test(super::matcher::regex(pattern).ok()?), first("Origin"))));
    Value::Lookup(std::sync::Arc::new(Lookup {
        name: "Access-Control-Allow-Origin".to_owned(),
        on: first("Origin"),
        exact,
        any_case: false,
        rows: if any { Vec::new() } else { rows.collect() },
        otherwise: Value::literal(if any { "*" } else { "" }),
        volatile: true,
    }))
}

fn allowed_hosts(node: &Node, at: &Origin) -> Option<Clause> {
    let hosts: Vec<Vec<u8>> = node.list("allowedHosts").into_iter().map(|(host, _)| host.into()).collect();
    if hosts.is_empty() || node.flag("isDevelopment") {
        return None;
    }
    let mut values: Vec<Value> = node.list("hostsProxyHeaders").into_iter().map(|(name, _)| first(name)).collect();
    values.push(variable(HOST));
    let good = Predicate::Value(Value::First(values), Test::AnyCase(Box::new(Test::OneOf(hosts.into()))));
    Some(refuse(good.negated(), 500, at.noted(format!("{}: the host is none of `allowedHosts`", at.note))))
}
