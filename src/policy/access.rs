//! Allow and deny lists: groups and written-out endpoints become endpoint sets.
//!
//! In: the lists of `[access]` and of clients, and the catalogue's kind. Out: [`EndpointSet`]s. Invariant: what is denied is in no
//! set; a grant that would do nothing is an error, not silence.

use super::file::{AccessFile, ClientFile, nearest};
use super::parse;
use super::plan::{Endpoint, EndpointSet, ModelPattern, ModelPlace};
use super::validate::Check;
use super::value::{HealthSetting, Spanned};
use crate::catalog::{CatalogEndpoint, Kind, ModelField};
use crate::source::Span;

/// The groups that only a client's own list may name.
const GUARDED: &[&str] = &["admin", "account"];

/// One entry of a list.
struct Entry {
    text: String,
    span: Span,
    endpoints: Vec<Endpoint>,
    /// Its guarded group, when the whole entry is one.
    guarded: Option<&'static str>,
    /// Whether it is written out as `METHOD /path`.
    written: bool,
}

/// The lists of `[access]`, resolved.
pub(super) struct Lists<'k> {
    kind: &'k Kind,
    allow: Vec<Entry>,
    deny: Vec<Entry>,
    /// Whether every entry of both lists could be read, so that what they leave is what was meant.
    complete: bool,
}

impl<'k> Lists<'k> {
    /// Resolves `access.allow` and `access.deny`.
    pub(super) fn read(file: &AccessFile, kind: &'k Kind, check: &mut Check<'_>) -> Lists<'k> {
        let span = file.places.at("");
        let allow = entries(kind, "access.allow", file.allow.as_ref(), &["inference", "models"], span, check);
        let deny = entries(kind, "access.deny", file.deny.as_ref(), GUARDED, span, check);
        for entry in &allow {
            if let Some(group) = entry.guarded {
                check.error(
                    entry.span,
                    format!("`access.allow` opens group `{group}` to every client"),
                    format!("name `{group}` in the `allow` of the one client that needs it, and take it out of `access.deny`"),
                );
            }
        }
        let given = |list: &Option<Spanned<Vec<Spanned<String>>>>| list.as_ref().map(|list| list.value.len());
        let complete = given(&file.allow).is_none_or(|count| count == allow.len())
            && given(&file.deny).is_none_or(|count| count == deny.len());
        let lists = Lists { kind, allow, deny, complete };
        for entry in lists.allow.iter().filter(|entry| entry.guarded.is_none()) {
            lists.refuse_dead_grant(entry, check);
        }
        lists
    }

    /// Whether nobody without a list of their own may use anything, and the lists say so without a mistake.
    pub(super) fn nothing(&self) -> bool {
        self.complete && self.common().allow.is_empty()
    }

    /// What everybody may use who has no list of their own.
    pub(super) fn common(&self) -> EndpointSet {
        self.without_denied(self.allow.iter().flat_map(|entry| &entry.endpoints))
    }

    /// `access.public`, resolved.
    pub(super) fn public(&self, file: &AccessFile, check: &mut Check<'_>) -> EndpointSet {
        let entries = entries(self.kind, "access.public", file.public.as_ref(), &[], file.places.at(""), check);
        for entry in &entries {
            let guarded = entry.guarded.or_else(|| self.guarded_endpoint(entry));
            match guarded {
                Some(group) if entry.written => check.error(
                    entry.span,
                    format!("`access.public` opens `{}` of group `{group}` to everybody", entry.text),
                    "let a client with a key do this instead",
                ),
                Some(group) => check.error(
                    entry.span,
                    format!("`access.public` opens group `{group}` to everybody"),
                    "let a client with a key do this instead",
                ),
                None => {
                    if let Some(deny) = self.deny.iter().find(|deny| denies_all(deny, entry)) {
                        check.warning(
                            entry.span,
                            format!("`{}` is not public: `access.deny` covers it by `{}`", entry.text, deny.text),
                            "take it out of one of the two lists",
                        );
                    }
                }
            }
        }
        self.without_denied(entries.iter().flat_map(|entry| &entry.endpoints))
    }

    /// What one client may use.
    pub(super) fn client(&self, file: &ClientFile, check: &mut Check<'_>) -> EndpointSet {
        let Some(list) = &file.allow else {
            // A list of the wrong type has its own error.
            if self.nothing() && !file.places.keys.contains_key("allow") {
                check.warning(
                    file.places.at(""),
                    "this client may use nothing: `access.allow` less `access.deny` is empty",
                    "name what clients may use in `access.allow`, such as [\"inference\", \"models\"]",
                );
            }
            return self.common();
        };
        let own = entries(self.kind, "allow", file.allow.as_ref(), &[], file.places.at("allow"), check);
        if list.value.is_empty() {
            check.error(
                file.places.at("allow"),
                "`allow` is empty: this client could do nothing",
                "leave the key out for `access.allow`, or name what the client may use",
            );
        }
        for entry in &own {
            let stray = entry.endpoints.iter().find(|endpoint| {
                !self.is_guarded(endpoint)
                    && !self.allow.iter().flat_map(|entry| &entry.endpoints).any(|allowed| covers(allowed, endpoint))
            });
            if let Some(endpoint) = stray {
                let message = if entry.written {
                    format!("`{}` is not in `access.allow`", entry.text)
                } else {
                    format!("`{}` holds `{endpoint}`, which is not in `access.allow`", entry.text)
                };
                check.error(
                    entry.span,
                    message,
                    "a client's list narrows `access.allow`: add it there, or take it out here",
                );
            }
            self.refuse_dead_grant(entry, check);
        }
        let set = self.without_denied(own.iter().flat_map(|entry| &entry.endpoints));
        let dead = |entry: &Entry| entry.guarded.is_some() || self.guarded_endpoint(entry).is_some();
        if set.allow.is_empty() && own.len() == list.value.len() && !own.is_empty() && !own.iter().any(dead) {
            check.warning(
                list.span,
                "this client may use nothing: `access.deny` covers the whole list",
                "take what it needs out of `access.deny`",
            );
        }
        set
    }

    /// A guarded grant that `access.deny` covers would do nothing.
    fn refuse_dead_grant(&self, entry: &Entry, check: &mut Check<'_>) {
        let guarded = entry.guarded.or_else(|| if entry.written { self.guarded_endpoint(entry) } else { None });
        let (Some(group), Some(deny)) = (guarded, self.deny.iter().find(|deny| denies_all(deny, entry))) else {
            return;
        };
        check.error(
            entry.span,
            format!("`{}` would do nothing: `access.deny` covers it by `{}`", entry.text, deny.text),
            format!("set `access.deny` to a list that leaves `{group}` out where this grant is meant, such as deny = [\"{}\"]", if group == "admin" { "account" } else { "admin" }),
        );
    }

    fn guarded_endpoint(&self, entry: &Entry) -> Option<&'static str> {
        GUARDED.iter().copied().find(|group| {
            let members = self.kind.group(group).unwrap_or_default();
            members.iter().any(|member| entry.endpoints.iter().any(|endpoint| overlaps(&endpoint_of(member), endpoint)))
        })
    }

    fn is_guarded(&self, endpoint: &Endpoint) -> bool {
        GUARDED
            .iter()
            .flat_map(|group| self.kind.group(group).unwrap_or_default())
            .any(|member| overlaps(&endpoint_of(member), endpoint))
    }

    fn without_denied<'e>(&self, allowed: impl Iterator<Item = &'e Endpoint>) -> EndpointSet {
        let denied = || self.deny.iter().flat_map(|entry| &entry.endpoints);
        let mut allow: Vec<Endpoint> =
            allowed.filter(|endpoint| !denied().any(|denied| covers(denied, endpoint))).cloned().collect();
        allow.sort();
        allow.dedup();
        let mut except: Vec<Endpoint> =
            denied().filter(|denied| allow.iter().any(|endpoint| overlaps(endpoint, denied))).cloned().collect();
        except.sort();
        except.dedup();
        EndpointSet { allow, except }
    }
}

fn denies_all(deny: &Entry, entry: &Entry) -> bool {
    entry.endpoints.iter().all(|endpoint| deny.endpoints.iter().any(|denied| covers(denied, endpoint)))
}

/// Whether every request of `inner` is one of `outer`.
fn covers(outer: &Endpoint, inner: &Endpoint) -> bool {
    outer.method == inner.method && outer.path.covers(&inner.path)
}

fn overlaps(a: &Endpoint, b: &Endpoint) -> bool {
    a.method == b.method && a.path.overlaps(&b.path)
}

fn endpoint_of(entry: &CatalogEndpoint) -> Endpoint {
    let model = match entry.model {
        None => ModelPlace::None,
        Some(ModelField::Body) => ModelPlace::Body,
        Some(ModelField::Path) => ModelPlace::Path,
        Some(ModelField::Form) => ModelPlace::Form,
    };
    Endpoint { method: entry.method.clone(), path: super::plan::PathPattern::parse(&entry.path), model }
}

/// Resolves one list, reporting what can't stand in it.
fn entries(
    kind: &Kind,
    key: &str,
    list: Option<&Spanned<Vec<Spanned<String>>>>,
    default: &[&str],
    default_span: Span,
    check: &mut Check<'_>,
) -> Vec<Entry> {
    let given: Vec<(String, Span)> = match list {
        Some(list) => list.value.iter().map(|item| (item.value.clone(), item.span)).collect(),
        None => default.iter().map(|name| ((*name).to_owned(), default_span)).collect(),
    };
    let mut out = Vec::new();
    for (text, span) in given {
        match entry(kind, &text) {
            Ok((endpoints, guarded, written)) => out.push(Entry { text, span, endpoints, guarded, written }),
            Err((message, help)) => check.error(span, format!("`{key}` {message}"), help),
        }
    }
    out
}

type Resolved = (Vec<Endpoint>, Option<&'static str>, bool);

fn entry(kind: &Kind, text: &str) -> Result<Resolved, parse::Wrong> {
    if let Some((method, path)) = text.split_once(' ') {
        if method.is_empty() || method.len() > 24 || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let capitals = method.to_ascii_uppercase();
            let help = if !capitals.is_empty() && capitals.bytes().all(|byte| byte.is_ascii_uppercase()) {
                format!("methods are matched byte for byte: \"{capitals} {}\"", path.escape_debug())
            } else {
                "write one method in capitals and the path, such as \"GET /v1/models\"".to_owned()
            };
            return parse::wrong(format!("has a method that can't be matched: `{}`", method.escape_debug()), help);
        }
        let path = parse::path(path, true).map_err(|(message, help)| (format!("can't hold this: {message}"), help))?;
        let known = kind.endpoints.iter().map(endpoint_of);
        let model = known
            .filter(|known| known.method == method && known.path.overlaps(&path))
            .map(|known| known.model)
            .max()
            .unwrap_or(ModelPlace::None);
        return Ok((vec![Endpoint { method: method.to_owned(), path, model }], None, true));
    }
    if text == "all" {
        return parse::wrong(
            "names `all`, which is no group: nobody has looked at all that an upstream may come to have",
            format!("name the groups: {}", kind.group_names().join(", ")),
        );
    }
    match kind.group(text) {
        Some(members) => {
            let guarded = GUARDED.iter().copied().find(|group| *group == text);
            Ok((members.into_iter().map(endpoint_of).collect(), guarded, false))
        }
        None => {
            let help = match nearest(text, kind.group_names().into_iter()) {
                Some(known) => format!("did you mean `{known}`?"),
                None if text.starts_with('/') => {
                    let known = kind.endpoints.iter().find(|endpoint| endpoint.path == text);
                    let method = known.map_or("METHOD", |endpoint| endpoint.method.as_str());
                    format!("an endpoint needs its method: \"{method} {}\"", text.escape_debug())
                }
                None => format!(
                    "groups of {}: {}; or an endpoint as \"METHOD /path\"",
                    kind.kind,
                    kind.group_names().join(", ")
                ),
            };
            parse::wrong(format!("names an unknown group `{}`", text.escape_debug()), help)
        }
    }
}

/// `access.health`.
pub(super) fn health(file: &AccessFile, check: &mut Check<'_>) -> Option<String> {
    match &file.health {
        None => Some("/health".to_owned()),
        Some(Spanned { value: HealthSetting::Off, .. }) => None,
        Some(Spanned { value: HealthSetting::Path(path), span }) => match parse::path(path, false) {
            Ok(_) => Some(path.clone()),
            Err((message, help)) => {
                check.error(*span, format!("`access.health`: {message}"), help);
                None
            }
        },
    }
}

/// `access.models`.
pub(super) fn models(file: &AccessFile, check: &mut Check<'_>) -> Vec<ModelPattern> {
    let mut out = Vec::new();
    for item in file.models.iter().flat_map(|list| &list.value) {
        let (text, prefix) = match item.value.strip_suffix('*') {
            Some(text) => (text, true),
            None => (item.value.as_str(), false),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte);
        if text.is_empty() || text.len() > 200 || !text.bytes().all(plain) {
            check.error(
                item.span,
                format!("`access.models` names `{}`", item.value.escape_debug()),
                "write exact names of A-Z a-z 0-9 . _ : / @ + -, a `*` only at the end, such as \"qwen3:*\"",
            );
        } else {
            out.push(ModelPattern { text: text.to_owned(), prefix });
        }
    }
    out
}
