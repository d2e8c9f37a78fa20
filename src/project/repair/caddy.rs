//! Repairs of Caddyfiles.
//!
//! In: a place. Out: a line of a directive's block that is changed, or a new one, and the blocks that it needs. Invariant: a brace ends its line,
//! as Caddy demands.

use super::lines::Lines;
use super::{Change, Repair, size, time};
use crate::dialect::caddy::tree;
use crate::dialect::tree::NodeId;
use crate::gateway::TimeoutOf;
use crate::source::{SourceFile, Span};

const PROXY: &str = "reverse_proxy";
const BODY: &str = "request_body";

pub(super) fn read(source: &SourceFile) -> Lines<'_> {
    Lines::new(&source.text, tree::tree(&source.text), false)
}

pub(super) fn changes(lines: &Lines<'_>, at: Span, repair: &Repair) -> Option<Vec<Change>> {
    let here = || lines.at(at.start);
    let one = |change: Option<Change>| change.map(|change| vec![change]);
    match repair {
        Repair::Remove => one(Some(lines.remove(here()?))),
        Repair::Value(value) => one(lines.set_args(here()?, 1, value)),
        Repair::NoCompression => one(around(lines, here()?, "encode").map(|encode| lines.remove(encode))),
        Repair::Timeout(of, long) => match of {
            TimeoutOf::Read | TimeoutOf::UpstreamSend | TimeoutOf::Connect => {
                let name = match of {
                    TimeoutOf::Read => "read_timeout",
                    TimeoutOf::Connect => "dial_timeout",
                    _ => "write_timeout",
                };
                let proxy = around(lines, here()?, PROXY)?;
                let here = here()?;
                if *of == TimeoutOf::Read && lines.word(here, 0) == "response_header_timeout" {
                    return one(lines.set_args(here, 1, &time(*long)));
                }
                one(put(lines, proxy, &["transport http"], name, &format!("{name} {}", time(*long))))
            }
            TimeoutOf::ClientHeader
            | TimeoutOf::ClientBody
            | TimeoutOf::Request
            | TimeoutOf::Send
            | TimeoutOf::Answer
            | TimeoutOf::KeepAlive => {
                let name = match of {
                    TimeoutOf::ClientHeader => "read_header",
                    TimeoutOf::ClientBody | TimeoutOf::Request => "read_body",
                    TimeoutOf::Send | TimeoutOf::Answer => "write",
                    _ => "idle",
                };
                one(global(lines, &["servers", "timeouts"], name, &format!("{name} {}", time(*long))))
            }
        },
        Repair::EndlessAnswers => one(here().filter(|id| lines.word(*id, 0) == "write").map(|own| lines.remove(own))),
        Repair::StreamAnswers => {
            let proxy = around(lines, here()?, PROXY)?;
            let held = lines.children(Some(proxy)).into_iter().find(|id| lines.word(*id, 0) == "response_buffers");
            match held {
                Some(held) => one(Some(lines.remove(held))),
                None => one(put(lines, proxy, &[], "flush_interval", "flush_interval -1")),
            }
        }
        Repair::DropHeader(name) => {
            let proxy = around(lines, here()?, PROXY)?;
            let line = format!("header_up -{name}");
            one(put(lines, proxy, &[], &line, &line))
        }
        Repair::UpstreamHost(host) => {
            let proxy = around(lines, here()?, PROXY)?;
            one(put(lines, proxy, &[], "header_up Host", &format!("header_up Host {}", word(host))))
        }
        Repair::BodyLimit(bytes) => one(body_limit(lines, here()?, &size(*bytes, "KiB", "MiB"))),
        Repair::CloseAdmin => one(global(lines, &[], "admin", "admin off")),
        Repair::UpstreamHttp11
        | Repair::HideVersion
        | Repair::RateStatus(_)
        | Repair::ConnectionsStatus(_)
        | Repair::RefuseAtOnce
        | Repair::AuthFile(_)
        | Repair::IgnoreUpstreamOrders
        | Repair::OnEveryAnswer
        | Repair::DoubleDollars
        | Repair::OnLoopback => None,
    }
}

/// The nearest directive of this name around another, itself included.
fn around(lines: &Lines<'_>, mut at: NodeId, name: &str) -> Option<NodeId> {
    while lines.word(at, 0) != name {
        at = lines.parent(at)?;
    }
    Some(at)
}

/// A line in the block of a directive, below these heads; the line that begins with `key` is replaced.
fn put(lines: &Lines<'_>, mut at: NodeId, heads: &[&str], key: &str, line: &str) -> Option<Change> {
    let begins = |id: &NodeId, with: &str| with.split(' ').enumerate().all(|(at, word)| lines.word(*id, at) == word);
    for (depth, head) in heads.iter().enumerate() {
        let children = lines.children(Some(at));
        match children.iter().copied().find(|id| begins(id, head)) {
            Some(found) => at = found,
            // Another kind of the same thing, such as `transport fastcgi`, has other lines.
            None if children.iter().any(|id| Some(lines.word(*id, 0)) == head.split(' ').next()) => return None,
            None => return add(lines, at, &heads[depth..], line),
        }
    }
    match lines.children(Some(at)).into_iter().find(|id| begins(id, key)) {
        Some(own) if lines.is_block(own) => None,
        Some(own) => lines.set_args(own, 0, line),
        None => add(lines, at, &[], line),
    }
}

/// A new line in the block of a directive, which is opened where it has none.
fn add(lines: &Lines<'_>, at: NodeId, heads: &[&str], line: &str) -> Option<Change> {
    let new = nested(heads, line);
    if !lines.is_block(at) {
        return lines.open_block(at, &new);
    }
    let last = lines.children(Some(at)).into_iter().rfind(|id| !lines.is_block(*id));
    lines.insert(Some(at), last, &new)
}

fn nested(heads: &[&str], line: &str) -> Vec<(usize, String)> {
    let mut new: Vec<(usize, String)> =
        heads.iter().enumerate().map(|(depth, head)| (depth, format!("{head} {{"))).collect();
    new.push((heads.len(), line.to_owned()));
    new.extend((0..heads.len()).rev().map(|depth| (depth, "}".to_owned())));
    new
}

/// A line among the global options.
fn global(lines: &Lines<'_>, heads: &[&str], key: &str, line: &str) -> Option<Change> {
    let first = lines.children(None).into_iter().next();
    if let Some(options) = first.filter(|id| lines.is_block(*id) && lines.words(*id).is_empty()) {
        return put(lines, options, heads, key, line);
    }
    let (end, unit) = (lines.line_break(), lines.unit());
    let inner: String =
        nested(heads, line).iter().map(|(depth, line)| format!("{}{line}{end}", unit.repeat(depth + 1))).collect();
    let at = first.map_or(0, |first| lines.line_start(lines.span(first).start));
    Some(Change { span: Span { start: at, end: at }, text: format!("{{{end}{inner}}}{end}{end}") })
}

/// `request_body` beside a directive.
fn body_limit(lines: &Lines<'_>, here: NodeId, size: &str) -> Option<Change> {
    let line = format!("max_size {size}");
    if let Some(own) = around(lines, here, BODY) {
        return put(lines, own, &[], "max_size", &line);
    }
    let here = around(lines, here, PROXY).unwrap_or(here);
    let block = lines.parent(here);
    match lines.children(block).into_iter().find(|id| lines.word(*id, 0) == BODY) {
        Some(own) => put(lines, own, &[], "max_size", &line),
        None => {
            let anchor = lines.children(block).into_iter().take_while(|id| *id != here).last();
            let anchor = anchor.filter(|id| !lines.is_block(*id)).or(Some(here));
            lines.insert(block, anchor, &nested(&[BODY], &line))
        }
    }
}

/// A value as a word.
fn word(value: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !"\"`{}#".contains(c);
    let placeholder = value.starts_with('{') && value.ends_with('}') && !value.contains([' ', '"']);
    if !value.is_empty() && (placeholder || value.chars().all(plain)) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('"', "\\\""))
}
