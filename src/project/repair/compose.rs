//! Repairs of compose files.
//!
//! In: a place. Out: a port's address, a flag of a server's command, a value. Invariant: an item keeps its quotes.

use super::traefik::timeout;
use super::yaml::Yaml;
use super::{Change, Repair, time};
use crate::dialect::document::NodeId;
use crate::source::{SourceFile, Span};

const LOOPBACK: &str = "127.0.0.1";

pub(super) fn changes(source: &SourceFile, yaml: &Yaml<'_>, at: Span, repair: &Repair) -> Option<Vec<Change>> {
    let change = match repair {
        Repair::Remove => yaml.remove(at.start),
        Repair::Value(value) => yaml.replace(at.start, value),
        Repair::DoubleDollars => {
            let (text, span) = scalar(source, yaml, yaml.find(at.start)?.node)?;
            yaml.checked(Change { span, text: text.replace("$$", "$").replace('$', "$$") })
        }
        Repair::OnLoopback => on_loopback(source, yaml, at.start),
        Repair::CloseAdmin => flag(source, yaml, at.start, "--api.insecure", "false"),
        Repair::Timeout(of, long) => {
            let found = yaml.find(at.start)?;
            let own = yaml.node(found.node).text()?.to_owned();
            let entry = own.get(.."--entrypoints.".len()).filter(|start| start.eq_ignore_ascii_case("--entrypoints."));
            let entry = own[entry?.len()..].split('.').next()?;
            let name = format!("--entrypoints.{entry}.transport.respondingTimeouts.{}", timeout(*of)?);
            flag(source, yaml, at.start, &name, &time(*long))
        }
        _ => None,
    };
    Some(vec![change?])
}

/// A published port on the host's own address.
fn on_loopback(source: &SourceFile, yaml: &Yaml<'_>, at: usize) -> Option<Change> {
    let (port, _) = yaml.find(at)?.item?;
    if yaml.node(port).is_map() {
        return yaml.set_in(port, &["host_ip"], LOOPBACK);
    }
    let (text, span) = scalar(source, yaml, port)?;
    // What stands in `${}` may hold colons.
    let mut depth = 0_usize;
    let colons: Vec<usize> = text
        .char_indices()
        .filter(|(_, c)| {
            depth = match c {
                '{' | '[' => depth + 1,
                '}' | ']' => depth.saturating_sub(1),
                _ => depth,
            };
            depth == 0 && *c == ':'
        })
        .map(|(at, _)| at)
        .collect();
    let new = match colons.as_slice() {
        [] => format!("{LOOPBACK}::{text}"),
        [_] => format!("{LOOPBACK}:{text}"),
        [.., second, _] => format!("{LOOPBACK}{}", &text[*second..]),
    };
    yaml.checked(Change { span, text: new })
}

/// A flag of a command whose other flags stand around a place.
fn flag(source: &SourceFile, yaml: &Yaml<'_>, at: usize, name: &str, value: &str) -> Option<Change> {
    let found = yaml.find(at)?;
    let (item, list) = found.item?;
    let named = |id: &NodeId| {
        let text = yaml.node(*id).text().unwrap_or_default();
        text.split('=').next().is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    let new = format!("{name}={value}");
    match yaml.node(list).items().map(|item| item.id).find(named) {
        Some(own) => {
            let (_, span) = scalar(source, yaml, own)?;
            yaml.checked(Change { span, text: new })
        }
        None => {
            let quote = source.slice(yaml.span(item)).chars().next().filter(|c| ['"', '\''].contains(c));
            let quote = quote.map(String::from).unwrap_or_default();
            yaml.add_item(item, &format!("{quote}{new}{quote}"))
        }
    }
}

/// The text of a scalar as written, and its place, both without quotes.
fn scalar<'s>(source: &'s SourceFile, yaml: &Yaml<'_>, id: NodeId) -> Option<(&'s str, Span)> {
    let span = yaml.span(id);
    let written = source.slice(span);
    let quoted = written.len() >= 2 && written.starts_with(['"', '\'']);
    let inner = if quoted { Span { start: span.start + 1, end: span.end - 1 } } else { span };
    let text = source.slice(inner);
    (yaml.node(id).text()? == text).then_some((text, inner))
}
