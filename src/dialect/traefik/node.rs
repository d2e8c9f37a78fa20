//! Settings as Traefik's own decoder sees them, whatever they were written as: file, labels, flags or environment.
//!
//! In: documents, or names with dots and their values. Out: a tree of [`Node`]s that holds known fields with values of their kinds, or
//! the first thing that makes Traefik refuse the whole source (facts: paerser 0.2.2, measured on Traefik 3.7.15). Invariant: total; no
//! deeper than [`DEEPEST`].

use std::borrow::Cow;
use std::time::Duration;

use super::fields::{Field, Kind};
use crate::dialect::document::{self, Ref};
use crate::dialect::scalar::parse_bool;
use crate::dialect::{Place, document::Document};

/// How deep settings nest at most: Traefik's own need 12.
const DEEPEST: usize = 40;

/// What stands in front of a list that is taken for a text.
const LIST_MARK: &str = "║24║";

/// A setting with what is inside.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// The name as written.
    pub name: Box<str>,
    /// Where the name stands.
    pub place: Place,
    /// The text of a scalar.
    pub value: Box<str>,
    /// Where the value stands.
    pub value_place: Place,
    /// The items of a list of scalars; absent: it is no list.
    pub items: Option<Vec<(Box<str>, Place)>>,
    /// What is inside.
    pub children: Vec<Node>,
}

/// Where settings come from: their rules differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A YAML or TOML file.
    File,
    /// Labels, flags, environment variables.
    Names,
}

/// Why a source is refused as a whole.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Where.
    pub place: Place,
    /// Why, for people.
    pub why: String,
}

impl Refusal {
    fn new(place: Place, why: impl Into<String>) -> Refusal {
        Refusal { place, why: why.into() }
    }
}

impl Node {
    /// A setting inside, in any case; the last one counts.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.children.iter().rev().find(|child| child.name.eq_ignore_ascii_case(name))
    }

    /// A setting further inside.
    pub fn path(&self, names: &[&str]) -> Option<&Node> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    /// The text of a setting; empty: it isn't there.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).map(|node| &*node.value).unwrap_or_default()
    }

    /// A truth value; false: it isn't there.
    pub fn flag(&self, name: &str) -> bool {
        parse_bool(self.text(name)).unwrap_or(false)
    }

    /// A truth value, if it is there.
    pub fn bool(&self, name: &str) -> Option<bool> {
        parse_bool(self.text(name))
    }

    /// A whole number, if it is there.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok()
    }

    /// A duration, if it is there.
    pub fn time(&self, name: &str) -> Option<Duration> {
        duration(self.text(name)).and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos)
    }

    /// The texts of a list, blanks around them gone, with their places.
    pub fn list(&self, name: &str) -> Vec<(&str, Place)> {
        self.get(name).map(Node::texts).unwrap_or_default()
    }

    /// The texts of this list; one text stands for several with commas between.
    pub fn texts(&self) -> Vec<(&str, Place)> {
        match &self.items {
            Some(items) => items.iter().map(|(text, place)| (text.trim(), *place)).collect(),
            None if self.value.is_empty() => Vec::new(),
            None => self.value.split(',').map(|text| (text.trim(), self.value_place)).collect(),
        }
    }

    /// Texts by name: what nests deeper has dots in its name.
    pub fn named_texts(&self, name: &str) -> Vec<(String, &str, Place)> {
        let mut out = Vec::new();
        if let Some(node) = self.get(name) {
            let mut open: Vec<(String, &Node)> =
                node.children.iter().rev().map(|child| (child.name.to_string(), child)).collect();
            while let Some((name, node)) = open.pop() {
                open.extend(node.children.iter().rev().map(|child| (format!("{name}.{}", child.name), child)));
                if node.children.is_empty() {
                    out.push((name, &*node.value, node.place));
                }
            }
        }
        out
    }

    /// The groups of a list.
    pub fn groups(&self, name: &str) -> &[Node] {
        self.get(name).map(|node| node.children.as_slice()).unwrap_or_default()
    }

    /// From the top of a document; keys of the top that `known` doesn't have are left out, as Traefik overlooks them.
    ///
    /// Errors: what Traefik refuses the file for.
    pub fn of_document(document: &Document, known: &Field) -> Result<Node, Refusal> {
        let mut top = Node::default();
        let Some(root) = document.root() else { return Ok(top) };
        top.value_place = root.place();
        if !root.is_map() && !root.is_null() {
            return Err(Refusal::new(root.place(), "a map was expected here"));
        }
        for (entry, value) in root.entries() {
            if known.get(&entry.key, false).is_some()
                && let Some(node) = of_ref(&entry.key, entry.key_place, value, 0)?
            {
                top.children.push(node);
            }
        }
        check_children(&top, known, Source::File)?;
        Ok(top)
    }

    /// From names with dots, such as labels, and their values. `root` is the first part of every name.
    ///
    /// Errors: what Traefik refuses them all for.
    pub fn of_names<'n>(
        names: impl IntoIterator<Item = (&'n str, &'n str, Place)>,
        root: &str,
        known: &Field,
    ) -> Result<Node, Refusal> {
        let mut sorted: Vec<(&str, &str, Place)> = names.into_iter().collect();
        sorted.sort_by_key(|(name, ..)| *name);
        let mut top = Node::default();
        for (name, value, place) in sorted {
            let parts = parts(name, place)?;
            if parts.first().is_none_or(|first| &**first != root) {
                let own = name.split('.').next().unwrap_or_default();
                return Err(Refusal::new(place, format!("invalid label root `{own}`: it is `{root}`")));
            }
            if parts.len() > DEEPEST {
                return Err(Refusal::new(place, "nested too deep"));
            }
            let mut at = &mut top;
            for part in &parts[1..] {
                let index = match at.children.iter().position(|child| child.name.eq_ignore_ascii_case(part)) {
                    Some(index) => index,
                    None => {
                        at.children.push(Node { name: (**part).into(), place, value_place: place, ..Node::default() });
                        at.children.len() - 1
                    }
                };
                at = &mut at.children[index];
            }
            at.value = value.into();
            (at.place, at.value_place) = (place, place);
        }
        check_children(&top, known, Source::Names)?;
        drop_unread(&mut top, known);
        Ok(top)
    }
}

/// The parts of a name: `a.b[0].c` is `a`, `b`, `[0]`, `c`.
fn parts(name: &str, place: Place) -> Result<Vec<Cow<'_, str>>, Refusal> {
    let mut parts = Vec::new();
    for part in name.split('.') {
        if part.is_empty() {
            return Err(Refusal::new(place, format!("invalid element: `{name}`")));
        }
        if part.starts_with('[') {
            return Err(Refusal::new(place, format!("a name must not begin with `[`: `{part}`")));
        }
        match part.find('[').filter(|_| part.ends_with(']')) {
            Some(at) => parts.extend([Cow::Borrowed(&part[..at]), Cow::Borrowed(&part[at..])]),
            None => parts.push(Cow::Borrowed(part)),
        }
    }
    Ok(parts)
}

fn of_ref(name: &str, place: Place, value: Ref<'_>, depth: usize) -> Result<Option<Node>, Refusal> {
    let value_place = value.place();
    if depth > DEEPEST {
        return Err(Refusal::new(value_place, "nested too deep"));
    }
    let mut node = Node { name: name.into(), place, value_place, ..Node::default() };
    match value.node().map(|node| &node.kind) {
        None | Some(document::Kind::Null | document::Kind::Alias(_)) => return Ok(None),
        Some(document::Kind::Scalar(text, style)) => {
            if *style == document::Style::Plain && crate::dialect::scalar::is_null(text) {
                return Ok(None);
            }
            node.value = value.printed().unwrap_or_default().into();
        }
        Some(document::Kind::Map(_)) => {
            for (entry, inner) in value.entries() {
                node.children.extend(of_ref(&entry.key, entry.key_place, inner, depth + 1)?);
            }
        }
        Some(document::Kind::List(_)) => {
            let mut items: Vec<(Box<str>, Place)> = Vec::new();
            for (index, item) in value.items().enumerate() {
                if item.is_map() {
                    let mut group = of_ref(&format!("[{index}]"), item.place(), item, depth + 1)?;
                    node.children.extend(group.take());
                } else if item.is_list() {
                    return Err(Refusal::new(item.place(), "a list inside a list"));
                } else {
                    items.push((item.printed().unwrap_or_default().into(), item.place()));
                }
            }
            if !items.is_empty() {
                let texts: Vec<&str> = items.iter().map(|(text, _)| &**text).collect();
                node.value = format!("{LIST_MARK}{}", texts.join("║")).into();
            }
            node.items = Some(items);
        }
    }
    Ok(Some(node))
}

fn check_children(node: &Node, field: &Field, source: Source) -> Result<(), Refusal> {
    for child in &node.children {
        let known = field.get(&child.name, source == Source::Names).ok_or_else(|| {
            let near = field.fields.iter().min_by_key(|field| strsim::osa_distance(field.name, &child.name));
            let near = near.filter(|near| strsim::osa_distance(near.name, &child.name) < 3);
            let near = near.map(|near| format!("; did you mean `{}`?", near.name)).unwrap_or_default();
            Refusal::new(child.place, format!("unknown field `{}`{near}", child.name))
        })?;
        check(child, known, source)?;
    }
    Ok(())
}

/// Whether a setting has the form of its field (paerser's `AddMetadata` and `Fill`).
fn check(node: &Node, field: &Field, source: Source) -> Result<(), Refusal> {
    let wrong = |what: &str| Err(Refusal::new(node.value_place, format!("`{}` {what}", node.name)));
    let unread = if source == Source::File { field.not_from_files } else { field.not_from_labels };
    let grouped = matches!(field.kind, Kind::Group | Kind::Named | Kind::Texts);
    if grouped && node.children.is_empty() && !field.may_be_empty && !unread {
        return wrong("needs something inside");
    }
    match field.kind {
        Kind::Any => Ok(()),
        Kind::Texts => Ok(()),
        Kind::Group => check_children(node, field, source),
        Kind::Named => node.children.iter().try_for_each(|child| check_children(child, field, source)),
        Kind::Groups if source == Source::Names && field.in_labels.is_some() => {
            if node.children.is_empty() && !unread {
                return wrong("needs something inside");
            }
            check_children(node, field, source)
        }
        Kind::Groups => node.children.iter().try_for_each(|child| check_children(child, field, source)),
        Kind::List => match node.children.iter().find(|child| !child.children.is_empty()) {
            Some(_) => wrong("is a list of texts"),
            None => Ok(()),
        },
        _ if !node.children.is_empty() => wrong("is one value, with nothing inside"),
        _ if unread => Ok(()),
        Kind::Bool if parse_bool(&node.value).is_none() => wrong("is true or false"),
        Kind::Int if node.value.parse::<i64>().is_err() => wrong("is a whole number"),
        Kind::Float if node.value.parse::<f64>().is_err() => wrong("is a number"),
        Kind::Time if duration(&node.value).is_none() => wrong("is a duration such as `30s`"),
        _ => Ok(()),
    }
}

/// Takes out what labels can't set.
fn drop_unread(node: &mut Node, field: &Field) {
    node.children.retain(|child| field.get(&child.name, true).is_none_or(|known| !known.not_from_labels));
    for child in &mut node.children {
        let Some(known) = field.get(&child.name, true) else { continue };
        match known.kind {
            Kind::Group => drop_unread(child, known),
            Kind::Named => child.children.iter_mut().for_each(|inner| drop_unread(inner, known)),
            _ => {}
        }
    }
}

/// A duration in nanoseconds: a whole number of seconds, or Go's `time.ParseDuration`.
pub fn duration(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(seconds.saturating_mul(1_000_000_000));
    }
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(rest.len());
        nanos += number
            * match &rest[..end] {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 6e10,
                "h" => 3.6e12,
                _ => return None,
            };
        rest = &rest[end..];
    }
    Some((sign * nanos) as i64)
}
