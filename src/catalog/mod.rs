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

#[cfg(test)]
mod tests {
    use super::*;

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
