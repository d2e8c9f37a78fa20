//! The kinds of upstream: which endpoints exist, which are dangerous, where the model's name stands.
//!
//! In: `schemas/upstreams/*.toml`, built into the program. Out: [`Kind`]s. Invariant: the data is checked by a test, so that reading
//! it never fails at run time.

use serde::Deserialize;

/// The data of every kind, in the order in which they are offered.
const KINDS: &[(&str, &str)] = &[
    ("ollama", include_str!("../../schemas/upstreams/ollama.toml")),
    ("vllm", include_str!("../../schemas/upstreams/vllm.toml")),
    ("llama-cpp", include_str!("../../schemas/upstreams/llama-cpp.toml")),
    ("openai", include_str!("../../schemas/upstreams/openai.toml")),
];

/// The leaf groups, which mean the same for every kind.
pub const LEAF_GROUPS: &[&str] =
    &["chat", "completions", "embeddings", "audio", "images", "list", "show", "admin", "account", "root"];

/// One kind of upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Its name in a policy.
    pub kind: String,
    /// Its name for people.
    pub title: String,
    /// The port that it listens on by default.
    pub default_port: Option<u16>,
    /// The request that tells whether it lives.
    pub health: Health,
    /// Groups made of leaf groups.
    pub groups: std::collections::BTreeMap<String, Vec<String>>,
    /// Every endpoint of any version.
    #[serde(rename = "endpoint")]
    pub endpoints: Vec<CatalogEndpoint>,
    /// Request fields with effects beyond the request itself.
    #[serde(rename = "field", default)]
    pub fields: Vec<Field>,
}

/// The request that tells whether an upstream lives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
}

/// One endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogEndpoint {
    /// The method.
    pub method: String,
    /// The path, with `:param` segments.
    pub path: String,
    /// Its leaf group.
    pub group: String,
    /// Whether and how the answer streams.
    pub streams: Option<Streams>,
    /// Where the request names its model.
    pub model: Option<ModelField>,
    /// A second key that the upstream takes for `model`.
    pub model_alias: Option<String>,
    /// The first version that has it.
    pub since: Option<String>,
    /// The last version that has it.
    pub until: Option<String>,
    /// Something worth knowing.
    pub note: Option<String>,
}

/// How an answer streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Streams {
    /// `application/x-ndjson`.
    Ndjson,
    /// `text/event-stream`.
    Sse,
}

/// Where a request names its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelField {
    /// In a JSON body.
    Body,
    /// In the path.
    Path,
    /// In a form.
    Form,
}

/// A request field with effects beyond the request itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The field, as a dotted path.
    pub name: String,
    /// The endpoints that take it.
    pub endpoints: Vec<String>,
    /// What it does.
    pub effect: String,
}

impl Kind {
    /// The kind of that name.
    pub fn find(name: &str) -> Option<Kind> {
        let (_, text) = KINDS.iter().find(|(own, _)| *own == name)?;
        toml::from_str(text).ok()
    }

    /// The names of all kinds.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(name, _)| *name)
    }

    /// Every group that a policy may name for this kind, leaf groups first.
    pub fn group_names(&self) -> Vec<&str> {
        LEAF_GROUPS.iter().copied().chain(self.groups.keys().map(String::as_str)).collect()
    }

    /// The endpoints of a leaf or composite group. `None`: no such group.
    pub fn group(&self, name: &str) -> Option<Vec<&CatalogEndpoint>> {
        let leaves: Vec<&str> = match self.groups.get(name) {
            Some(leaves) => leaves.iter().map(String::as_str).collect(),
            None if LEAF_GROUPS.contains(&name) => vec![name],
            None => return None,
        };
        Some(self.endpoints.iter().filter(|endpoint| leaves.contains(&endpoint.group.as_str())).collect())
    }
}

/// How surely a request reaches an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// The endpoint's handler runs.
    Handled,
    /// The spelling names it loosely: the server redirects there or knows it not (a slash more, another case, `//`, `..`).
    Loosely,
}

impl Kind {
    /// The endpoint that a request reaches when the server gets this method and target, the surest first: escapes are resolved once and
    /// nothing else is (measured on Ollama's router, gin 1.10; Starlette and httplib resolve them once, too).
    pub fn reached(&self, method: &[u8], target: &[u8]) -> Option<(&CatalogEndpoint, Reach)> {
        let path = target.split(|&byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        let path = decoded(without_authority(path));
        let exact = self.endpoints.iter().find(|own| own.method.as_bytes() == method && own.matches(&path));
        if let Some(endpoint) = exact {
            return Some((endpoint, Reach::Handled));
        }
        let plain = plain(&path);
        let method = method.to_ascii_uppercase();
        let same = |own: &&CatalogEndpoint| own.method.as_bytes() == method && own.matches(&plain);
        self.endpoints.iter().filter(|own| own.path != "/").find(same).map(|endpoint| (endpoint, Reach::Loosely))
    }
}

impl CatalogEndpoint {
    /// Whether a decoded path is this endpoint's; a `:param` is one segment that isn't empty.
    fn matches(&self, path: &[u8]) -> bool {
        let mut segments = path.split(|&byte| byte == b'/');
        let mut own = self.path.split('/');
        loop {
            match (own.next(), segments.next()) {
                (None, None) => return true,
                (Some(own), Some(given)) if own.starts_with(':') && !given.is_empty() => {}
                (Some(own), Some(given)) if own.as_bytes() == given => {}
                _ => return false,
            }
        }
    }

    /// Its path with each `:param` filled in by a plain word.
    pub fn example(&self) -> String {
        let fill = |segment: &'_ str| if segment.starts_with(':') { "x".to_owned() } else { segment.to_owned() };
        self.path.split('/').map(fill).collect::<Vec<_>>().join("/")
    }
}

fn without_authority(target: &[u8]) -> &[u8] {
    let Some(at) = target.windows(3).position(|window| window == b"://").filter(|_| !target.starts_with(b"/")) else {
        return target;
    };
    let rest = &target[at + 3..];
    rest.iter().position(|&byte| byte == b'/').map_or(b"/", |slash| &rest[slash..])
}

/// Percent escapes resolved once; wrong ones stay.
fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        match (byte, digit(path.get(at + 1)), digit(path.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// What a path loosely says: escapes gone, lower case, without dot segments, empty ones, and what follows `;`.
fn plain(path: &[u8]) -> Vec<u8> {
    let path = decoded(path).to_ascii_lowercase();
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        let segment = segment.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    segments.iter().flat_map(|segment| [b"/", *segment].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_reach_endpoints_as_the_router_reads_them() {
        let kind = Kind::find("ollama").unwrap_or_else(|| panic!("no ollama"));
        let reached = |method: &str, target: &str| {
            kind.reached(method.as_bytes(), target.as_bytes()).map(|(own, reach)| (own.path.as_str(), reach))
        };
        for target in ["/api/pull", "/api/pull?x", "/api/%70ull", "/api%2Fpull", "http://evil/api/pull"] {
            assert_eq!(reached("POST", target), Some(("/api/pull", Reach::Handled)), "{target}");
        }
        for target in ["/api/pull/", "//api/pull", "/API/pull", "/x/../api/pull", "/api/%2570ull", "/api/./pull;x"] {
            assert_eq!(reached("POST", target), Some(("/api/pull", Reach::Loosely)), "{target}");
        }
        assert_eq!(reached("GET", "/v1/models/a"), Some(("/v1/models/:model", Reach::Handled)));
        assert_eq!(reached("GET", "/v1/models/a/b"), None);
        assert_eq!(reached("GET", "/api/pull"), None);
        assert_eq!(reached("GET", "/"), Some(("/", Reach::Handled)));
        assert_eq!(reached("GET", "//"), None);
    }

    #[test]
    fn every_kind_is_well_formed() {
        for (name, text) in KINDS {
            let kind: Kind = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(kind.kind, *name);
            let mut seen = std::collections::BTreeSet::new();
            for endpoint in &kind.endpoints {
                assert!(LEAF_GROUPS.contains(&endpoint.group.as_str()), "{name}: {endpoint:?}");
                assert!(endpoint.path.starts_with('/'), "{name}: {endpoint:?}");
                assert!(seen.insert((&endpoint.method, &endpoint.path)), "{name}: twice {endpoint:?}");
            }
            for leaves in kind.groups.values() {
                assert!(leaves.iter().all(|leaf| LEAF_GROUPS.contains(&leaf.as_str())), "{name}");
            }
        }
    }
}
