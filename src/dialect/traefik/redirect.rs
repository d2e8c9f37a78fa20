//! The middlewares that redirect.
//!
//! In: their settings. Out: clauses, or why Traefik refuses them. Invariant: a request is redirected only if that changes its URL (facts:
//! pkg/middlewares/redirect, measured on Traefik 3.7.15).

use std::collections::HashMap;
use std::sync::Arc;

use super::middleware::compiled;
use super::node::Node;
use super::path::{HOST, apply, variable};
use crate::gateway::value::{Join, Replace, Row};
use crate::gateway::{Captures, Clause, Function, Lookup, Origin, Pattern, Predicate, Step, Terminal, Test, Value};

/// The URL that a redirect looks at.
const URL: &str = "url";

/// `redirectRegex`. Errors: why Traefik refuses it.
pub fn regex(node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    let pattern = compiled(node.text("regex"))?;
    let url = Value::Concat(vec![Value::Scheme, Value::literal("://"), variable(HOST), Value::Target]);
    redirect(url, pattern, node.text("replacement"), node.flag("permanent"), at)
}

/// `redirectScheme`. Errors: why Traefik refuses it.
pub fn scheme(node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    let scheme = node.text("scheme");
    if scheme.is_empty() {
        return Err("`scheme` is missing".to_owned());
    }
    let port = match (scheme, node.text("port")) {
        (_, "") | ("http", "80") | ("https", "443") => String::new(),
        (_, port) => format!(":{port}"),
    };
    let pattern = compiled(r"^(https?:\/\/)?(\[[\w:.]+\]|[\w\._-]+)?(:\d+)?(.*)$")?;
    let with = format!("{scheme}://${{2}}{port}${{4}}");
    redirect(client_url()?, pattern, &with, node.flag("permanent"), at)
}

fn redirect(
    url: Value,
    pattern: Arc<Pattern>,
    with: &str,
    permanent: bool,
    at: &Origin,
) -> Result<Vec<Clause>, String> {
    // What Go's net/url takes for an authority; anything else is a URL that it can't read.
    let absolute = Test::Regex(compiled("^[a-zA-Z][^:/]*://")?, Captures::Dropped);
    let well = compiled(r"^[^:]*://(?:\[[^\]]*\]|[^:/?#\[\]]*)(?::[0-9]*)?(?:[/?#]|$)")?;
    let well = Test::Regex(well, Captures::Dropped);
    let replace = Replace { pattern: pattern.clone(), with: with.as_bytes().to_vec(), all: true };
    let new = apply(Function::Replace(Box::new(replace)), variable(URL));
    let matches = Predicate::Value(variable(URL), Test::Regex(pattern, Captures::Dropped));
    let broken = Predicate::All(vec![
        matches.clone(),
        Predicate::Value(new.clone(), absolute),
        Predicate::Value(new.clone(), well).negated(),
    ]);
    // Before a colon in the first segment stands a scheme.
    let colon = Test::Regex(compiled("^[^/?#]*:")?, Captures::Dropped);
    let scheme = Test::Regex(compiled("^[a-zA-Z][a-zA-Z0-9+.-]*:")?, Captures::Dropped);
    let nameless = Predicate::All(vec![
        matches.clone(),
        Predicate::Value(new.clone(), colon),
        Predicate::Value(new.clone(), scheme).negated(),
    ]);
    let broken = Predicate::Any(vec![broken, nameless]);
    let changed = Predicate::Value(new, Test::Same(Box::new(variable(URL)))).negated();
    let is_get = Predicate::method(&["GET"]);
    let (get, other) = if permanent { (301, 308) } else { (302, 307) };
    let end = |when: Vec<Predicate>, status: u16| {
        Clause::new(Predicate::All(when), Terminal::Error(status), at.noted(format!("{}: it redirects", at.note)))
    };
    Ok(vec![
        Clause::steps(vec![Step::set(URL.into(), url, at.noted(""))], at.noted("")),
        Clause::new(broken, Terminal::Error(502), at.noted(format!("{}: where it redirects to is no URL", at.note))),
        end(vec![matches.clone(), changed.clone(), is_get.clone()], get),
        end(vec![matches, changed, is_get.negated()], other),
    ])
}

fn table(name: &str, on: Value, exact: &[(&str, &str)], otherwise: Value) -> Value {
    let exact = exact.iter().map(|(from, to)| (from.as_bytes().to_vec(), Value::literal(*to)));
    Value::Lookup(Arc::new(Lookup {
        name: name.to_owned(),
        on,
        exact: exact.collect::<HashMap<_, _>>(),
        any_case: true,
        rows: Vec::new(),
        otherwise,
        volatile: true,
    }))
}

/// The URL as the client wrote it: the scheme that X-Forwarded-Proto says, the port only where it isn't the scheme's own.
fn client_url() -> Result<Value, String> {
    let said = Value::Header("X-Forwarded-Proto".to_owned(), Join::First);
    let schemes = [("http", "http"), ("ws", "http"), ("https", "https"), ("wss", "https")];
    let scheme = table("scheme", said, &schemes, Value::Scheme);
    let authority = compiled(r"^(?:\[([^\]]*)\]|([^:\[\]]*)):([^:\[\]]*)$")?;
    let part = |with: &str| {
        let replace = Replace { pattern: authority.clone(), with: with.as_bytes().to_vec(), all: false };
        apply(Function::Replace(Box::new(replace)), variable(HOST))
    };
    let port = Value::Lookup(Arc::new(Lookup {
        name: "port".to_owned(),
        on: variable(HOST),
        exact: HashMap::new(),
        any_case: false,
        rows: vec![(Row::Test(Test::Regex(authority.clone(), Captures::Dropped)), part(":$3"))],
        otherwise: Value::literal(""),
        volatile: true,
    }));
    let own = [("http:80", ""), ("https:443", "")];
    let port = table("port", Value::Concat(vec![scheme.clone(), port.clone()]), &own, port);
    Ok(Value::Concat(vec![scheme, Value::literal("://"), part("$1$2"), port, Value::Target]))
}
