//! Which requests to ask: the catalogue's endpoints, and what a config tells apart, plainly and in spellings that slip through.
//!
//! In: a kind of upstream and what an entry tells apart. Out: [`Ask`]s, the plainest first. Invariant: the same input gives the same list; no
//! credential is in it.

use super::boundary::Boundaries;
use crate::catalog::{CatalogEndpoint, Kind};
use crate::http::Version;

/// How many of a config's own paths are tried.
const MOST_PATHS: usize = 60;
/// From so many endpoints on, some of each group stand for all.
const MANY_ENDPOINTS: usize = 120;
const SOME_OF_A_GROUP: usize = 5;

/// Spellings on which servers and upstreams differ (`fixtures/conformance`, measured). `{path}` whole; `{head}` all before the last segment;
/// `{last}` that; `{tail}` without the leading slash; `{PATH}` in capitals; `{encoded}` its last segment's first byte escaped.
const SPELLINGS: &[&str] = &[
    "{path}/",
    "{head}/{encoded}",
    "/{path}",
    "{head}//{last}",
    "/.{path}",
    "/x/..{path}",
    "{path}/x/..",
    "{path}%2f",
    "{head}%2f{last}",
    "/x/%2e%2e{path}",
    "/%2f{tail}",
    "{path};x",
    "{path}%00",
    "{path}%0a",
    "{path}%20",
    "{path}\\",
    "{PATH}",
    "{path}%252f",
    "{path}#x",
    "{path}?",
    "{path}?x=/v1/models",
    "http://gateway.invalid{path}",
    "{path}.json",
    "/v1/..{path}",
    "/health/..{path}",
];

/// Methods that conditions forget.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "post"];

/// A request without its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// How it differs from the plain request.
    pub twist: Twist,
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// The protocol; HTTP/1.0 comes without a Host.
    pub version: Version,
    /// The body, if it matters.
    pub body: Option<Vec<u8>>,
}

/// How a request differs from the plain one for an endpoint, the plainest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Twist {
    /// Not at all.
    Plain,
    /// Below a path that the config names.
    Below,
    /// A path that the config names.
    Own,
    /// Another method.
    Method,
    /// HTTP/1.0 without a Host.
    Hostless,
    /// Another spelling of the path.
    Spelling,
}

/// The endpoints of a kind that stand for all.
pub fn endpoints(kind: &Kind) -> Vec<&CatalogEndpoint> {
    if kind.endpoints.len() <= MANY_ENDPOINTS {
        return kind.endpoints.iter().collect();
    }
    let mut seen: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let some = kind.endpoints.iter().filter(|endpoint| {
        let count = seen.entry(endpoint.group.as_str()).or_default();
        *count += 1;
        *count <= SOME_OF_A_GROUP
    });
    some.collect()
}

/// One endpoint of each group whose reach matters most: dangerous, expensive, telling.
fn representatives(kind: &Kind) -> Vec<&CatalogEndpoint> {
    let one = |group: &&str| {
        let own = || kind.endpoints.iter().filter(|endpoint| endpoint.group == **group);
        // What people know best: pulling a model, chatting.
        let known = |endpoint: &&CatalogEndpoint| {
            ["/api/pull", "/api/chat", "/v1/chat/completions"].contains(&endpoint.path.as_str())
        };
        own().find(known).or_else(|| own().find(|endpoint| endpoint.method == "POST")).or_else(|| own().next())
    };
    ["admin", "chat", "list"].iter().filter_map(one).collect()
}

/// The plain requests: one an endpoint.
pub fn plain(kind: &Kind) -> Vec<Ask> {
    let ask = |endpoint: &CatalogEndpoint| Ask::new(Twist::Plain, &endpoint.method, endpoint.example());
    endpoints(kind).into_iter().map(ask).collect()
}

/// The requests that slip through where the plain ones don't.
pub fn twisted(kind: &Kind, boundaries: &Boundaries) -> Vec<Ask> {
    let chosen = representatives(kind);
    let mut list = Vec::new();
    let texts = boundaries.paths.iter().filter_map(|path| std::str::from_utf8(path).ok());
    let paths: Vec<&str> = texts.filter(|path| path.starts_with('/') && path.len() > 1 && sendable(path)).collect();
    // Of many paths the shortest tell most: longer ones are mostly examples of what begins with them.
    let mut sorted = paths.clone();
    sorted.sort_by_key(|path| (path.len(), *path));
    sorted.truncate(MOST_PATHS);
    for path in &sorted {
        let below = path.trim_end_matches('/');
        list.extend(
            chosen.iter().map(|endpoint| Ask::new(Twist::Below, &endpoint.method, format!("{below}{}", endpoint.path))),
        );
    }
    for path in &sorted {
        list.extend(["GET", "POST"].map(|method| Ask::new(Twist::Own, method, (*path).to_owned())));
    }
    for endpoint in &chosen {
        for method in METHODS.iter().filter(|method| **method != endpoint.method) {
            list.push(Ask::new(Twist::Method, method, endpoint.example()));
        }
    }
    for endpoint in &chosen {
        let ask = Ask::new(Twist::Hostless, &endpoint.method, endpoint.example());
        list.push(Ask { version: Version::Http10, ..ask });
    }
    for spelling in SPELLINGS {
        for endpoint in &chosen {
            list.push(Ask::new(Twist::Spelling, &endpoint.method, respelled(spelling, &endpoint.example())));
        }
    }
    list
}

impl Ask {
    /// A request without a body.
    pub fn new(twist: Twist, method: &str, target: String) -> Ask {
        Ask { twist, method: method.to_owned(), target, version: Version::Http11, body: None }
    }
}

/// Whether a path can stand in a request line as it is.
fn sendable(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
}

/// A spelling of a path; the parts are those of [`SPELLINGS`].
pub fn respelled(spelling: &str, path: &str) -> String {
    let (head, last) = path.rsplit_once('/').unwrap_or(("", path));
    let encoded = last.bytes().next().map(|first| format!("%{first:02x}{}", &last[1..])).unwrap_or_default();
    spelling
        .replace("{path}", path)
        .replace("{head}", head)
        .replace("{last}", last)
        .replace("{tail}", path.trim_start_matches('/'))
        .replace("{PATH}", &path.to_ascii_uppercase())
        .replace("{encoded}", &encoded)
}
