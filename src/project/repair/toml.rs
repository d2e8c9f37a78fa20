//! Changes to TOML: a key set, an entry taken away.
//!
//! In: a file and a row of keys, or a place. Out: one [`Change`]: what differs, and nothing around it. Invariant: the format of the rest is kept.

use toml_edit::{DocumentMut, Item, Table, value};

use super::Change;
use crate::diag::Sink;
use crate::dialect::document::{Kind, NodeId};
use crate::dialect::toml;
use crate::source::{SourceFile, Span};

/// The keys on the way to a place.
pub(super) fn keys_at(source: &SourceFile, at: usize) -> Option<Vec<String>> {
    let mut sink = Sink::default();
    let document = toml::read(0, source, &mut sink);
    if sink.has_errors() {
        return None;
    }
    // A table's own place is its header alone: the whole tree is looked through for the key or value there.
    let mut waiting: Vec<(NodeId, Vec<String>)> = vec![(document.root?, Vec::new())];
    let mut best: Option<Vec<String>> = None;
    while let Some((id, keys)) = waiting.pop() {
        let Kind::Map(entries) = &document.node(id)?.kind else { continue };
        for entry in entries {
            let keys: Vec<String> = keys.iter().cloned().chain([entry.key.to_string()]).collect();
            let value = document.node(entry.value)?;
            let holds = |span: Span| span.start <= at && at < span.end;
            let is_table = matches!(value.kind, Kind::Map(_));
            if holds(entry.key_place.span()) || holds(value.place.span()) && !is_table {
                best = best.filter(|best| best.len() > keys.len()).or(Some(keys.clone()));
            }
            waiting.push((entry.value, keys));
        }
    }
    best
}

/// A value below a row of keys, in any case.
pub(super) fn set(source: &SourceFile, keys: &[&str], new: impl Into<toml_edit::Value>) -> Option<Change> {
    let mut document: DocumentMut = source.text.parse().ok()?;
    let (last, above) = keys.split_last()?;
    let table = above.iter().try_fold(document.as_table_mut(), |table, key| inner(table, key))?;
    let name = spelled(table, last);
    match table.get_mut(&name) {
        Some(Item::Value(old)) => {
            let decor = old.decor().clone();
            *old = new.into();
            *old.decor_mut() = decor;
        }
        Some(_) => return None,
        None => drop(table.insert(&name, value(new))),
    }
    Some(difference(&source.text, &document.to_string()))
}

/// The entry of a row of keys goes.
pub(super) fn remove(source: &SourceFile, keys: &[String]) -> Option<Change> {
    let mut document: DocumentMut = source.text.parse().ok()?;
    let (last, above) = keys.split_last()?;
    let table = above.iter().try_fold(document.as_table_mut(), |table, key| table.get_mut(key)?.as_table_mut())?;
    table.remove(last)?;
    Some(difference(&source.text, &document.to_string()))
}

/// The table of a key, made where there is none.
fn inner<'t>(table: &'t mut Table, key: &str) -> Option<&'t mut Table> {
    let name = spelled(table, key);
    let item = table.entry(&name).or_insert_with(|| {
        let mut new = Table::new();
        new.set_implicit(true);
        Item::Table(new)
    });
    item.as_table_mut()
}

/// A key as the table spells it.
fn spelled(table: &Table, key: &str) -> String {
    let own = table.iter().map(|(own, _)| own).find(|own| own.eq_ignore_ascii_case(key));
    own.unwrap_or(key).to_owned()
}

/// What differs between two texts, without what they begin and end with.
fn difference(old: &str, new: &str) -> Change {
    let start: usize = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let backwards = old_rest.chars().rev().zip(new_rest.chars().rev());
    let end: usize = backwards.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    Change { span: Span { start, end: old.len() - end }, text: new_rest[..new_rest.len() - end].to_owned() }
}
