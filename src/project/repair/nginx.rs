//! Repairs of nginx's configs.
//!
//! In: a place. Out: a directive that is changed, or a new one in the innermost block around the place that may hold it. Invariant: an inner
//! `proxy_set_header` hides the outer ones, so a new one goes where the others stand.

use super::lines::Lines;
use super::{Change, Repair, Workbench, size, time};
use crate::dialect::nginx::context::Context;
use crate::dialect::nginx::lexer;
use crate::dialect::nginx::table::TABLE;
use crate::dialect::tree::NodeId;
use crate::gateway::TimeoutOf;
use crate::source::{SourceFile, Span};

const SET_HEADER: &str = "proxy_set_header";

/// `None`: it isn't valid.
pub(super) fn read(source: &SourceFile) -> Option<Lines<'_>> {
    let (tree, faults) = lexer::parse(source.bytes());
    faults.is_empty().then(|| Lines::new(&source.text, tree, true))
}

pub(super) fn changes(
    all: &Workbench<'_>,
    source: &SourceFile,
    lines: &Lines<'_>,
    at: Span,
    repair: &Repair,
) -> Option<Vec<Change>> {
    let here = lines.at(at.start)?;
    let change = match repair {
        Repair::Remove => lines.remove(here),
        Repair::Value(value) => lines.set_args(here, 1, value)?,
        Repair::RefuseAtOnce => at_once(lines, here)?,
        Repair::DropHeader(name) => header(all, source, lines, here, name, "\"\"")?,
        Repair::UpstreamHost(host) => header(all, source, lines, here, "Host", &word(host))?,
        Repair::HideVersion => hide_version(lines, here)?,
        Repair::OnEveryAnswer => always(lines, here)?,
        Repair::IgnoreUpstreamOrders => ignore_orders(lines, here)?,
        _ => {
            let (name, value) = directive(repair)?;
            set(lines, here, name, &value)?
        }
    };
    Some(vec![change])
}

/// The directive that says it.
fn directive(repair: &Repair) -> Option<(&'static str, String)> {
    Some(match repair {
        Repair::Timeout(of, long) => (timeout(*of), time(*long)),
        Repair::StreamAnswers => ("proxy_buffering", "off".to_owned()),
        Repair::NoCompression => ("gzip", "off".to_owned()),
        Repair::BodyLimit(bytes) => ("client_max_body_size", size(*bytes, "k", "m")),
        Repair::UpstreamHttp11 => ("proxy_http_version", "1.1".to_owned()),
        Repair::RateStatus(status) => ("limit_req_status", status.to_string()),
        Repair::ConnectionsStatus(status) => ("limit_conn_status", status.to_string()),
        Repair::AuthFile(path) => ("auth_basic_user_file", word(path)),
        _ => return None,
    })
}

fn timeout(of: TimeoutOf) -> &'static str {
    match of {
        TimeoutOf::ClientHeader => "client_header_timeout",
        TimeoutOf::ClientBody | TimeoutOf::Request => "client_body_timeout",
        TimeoutOf::Send | TimeoutOf::Answer => "send_timeout",
        TimeoutOf::KeepAlive => "keepalive_timeout",
        TimeoutOf::Connect => "proxy_connect_timeout",
        TimeoutOf::Read => "proxy_read_timeout",
        TimeoutOf::UpstreamSend => "proxy_send_timeout",
    }
}

/// The directive's value at a place.
fn set(lines: &Lines<'_>, here: NodeId, name: &str, value: &str) -> Option<Change> {
    if lines.word(here, 0) == name {
        return lines.set_args(here, 1, value);
    }
    let (block, near) = holder(lines, here, name)?;
    if let Some(own) = lines.children(block).into_iter().find(|child| lines.word(*child, 0) == name) {
        return lines.set_args(own, 1, value);
    }
    lines.insert(block, near, &[(0, format!("{name} {value};"))])
}

/// `server_tokens off;` for all that the server around a place answers.
fn hide_version(lines: &Lines<'_>, here: NodeId) -> Option<Change> {
    const NAME: &str = "server_tokens";
    let mut at = here;
    while lines.word(here, 0) != NAME && lines.word(at, 0) != "server" {
        match lines.parent(at) {
            Some(parent) => at = parent,
            None => break,
        }
    }
    set(lines, at, NAME, "off")
}

/// `add_header` with `always`.
fn always(lines: &Lines<'_>, here: NodeId) -> Option<Change> {
    let end = lines.words(here).last()?.end;
    let fits = lines.word(here, 0) == "add_header" && lines.word(here, 3).is_empty();
    fits.then(|| Change { span: Span { start: end, end }, text: " always".to_owned() })
}

/// `proxy_ignore_headers`, where none is said: another one would end what it says.
fn ignore_orders(lines: &Lines<'_>, here: NodeId) -> Option<Change> {
    const NAME: &str = "proxy_ignore_headers";
    const ORDERS: &str = "X-Accel-Redirect X-Accel-Buffering X-Accel-Charset X-Accel-Expires X-Accel-Limit-Rate";
    if lines.all().any(|id| lines.word(id, 0) == NAME) {
        return None;
    }
    set(lines, here, NAME, ORDERS)
}

/// The innermost block around a directive, itself included, that may hold another one, and what stands in it around that directive.
fn holder(lines: &Lines<'_>, here: NodeId, name: &str) -> Option<(Option<NodeId>, Option<NodeId>)> {
    let may_hold = |block: NodeId| {
        let contexts = contexts(lines, block);
        TABLE.find(name.as_bytes()).any(|(_, rule)| contexts.iter().any(|context| rule.fits(*context)))
    };
    let (mut at, mut near) = (Some(here), None);
    while let Some(id) = at {
        if lines.is_block(id) && may_hold(id) {
            return Some((Some(id), near));
        }
        near = Some(id);
        at = lines.parent(id);
    }
    // Outside of every block a part of a configuration goes on in the block that includes it: as its other directives do.
    let beside = near.filter(|near| !lines.is_block(*near))?;
    let rules = |name: &str| TABLE.find(name.as_bytes()).map(|(_, rule)| rule.contexts).collect::<Vec<_>>();
    let fits = rules(lines.word(beside, 0)).iter().any(|own| rules(name).iter().any(|new| own.meets(*new)));
    fits.then_some((None, Some(beside)))
}

/// What a block may be; a part of a configuration doesn't say where it stands.
fn contexts(lines: &Lines<'_>, block: NodeId) -> Vec<Context> {
    let name = lines.word(block, 0).as_bytes();
    let outer = match lines.parent(block) {
        Some(parent) => contexts(lines, parent),
        None => vec![Context::Main, Context::Http, Context::Server, Context::Location],
    };
    outer.into_iter().map(|outer| outer.inside(name)).filter(|context| *context != Context::Unknown).collect()
}

/// A request header towards the upstream.
fn header(
    all: &Workbench<'_>,
    source: &SourceFile,
    lines: &Lines<'_>,
    here: NodeId,
    name: &str,
    value: &str,
) -> Option<Change> {
    let is_own = |id: &NodeId| lines.word(*id, 0) == SET_HEADER && lines.word(*id, 1).eq_ignore_ascii_case(name);
    if is_own(&here) {
        return lines.set_args(here, 2, value);
    }
    let new = [(0, format!("{SET_HEADER} {name} {value};"))];
    let first = holder(lines, here, SET_HEADER)?;
    let (mut block, mut near) = first;
    loop {
        let children = lines.children(block);
        let others: Vec<NodeId> = children.iter().copied().filter(|id| lines.word(*id, 0) == SET_HEADER).collect();
        if let Some(own) = others.iter().copied().find(is_own) {
            return lines.set_args(own, 2, value);
        }
        if let Some(last) = others.last() {
            return lines.insert(block, Some(*last), &new);
        }
        // What is included here stands here. What can't be found may set some too: then they would be hidden, or not.
        let included = children.iter().copied().filter(|id| lines.word(*id, 0) == "include");
        for include in included.filter(|_| near.is_some_and(|near| !matches!(lines.word(near, 0), "server" | "http"))) {
            let headers = included_headers(all.files, lines.word(include, 1))?;
            if headers.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                return None;
            }
            if !headers.is_empty() {
                return lines.insert(block, Some(include), &new);
            }
        }
        match block {
            None => break,
            Some(id) => (block, near) = (lines.parent(id), Some(id)),
        }
    }
    // Those that are included into blocks around were looked at.
    let setting = || all.files.iter().filter(|file| file.text.contains(SET_HEADER)).collect();
    let elsewhere = all.setting_headers.get_or_init(setting).iter().filter(|file| file.name != source.name);
    let included = || lines.all().filter(|id| lines.word(*id, 0) == "include").map(|id| lines.word(id, 1));
    let hidden = elsewhere.into_iter().any(|file| !included().any(|word| names(word, file)));
    if hidden { None } else { lines.insert(first.0, first.1, &new) }
}

/// Whether a word of `include` means a file.
fn names(word: &str, file: &SourceFile) -> bool {
    let word = word.trim_matches(['"', '\'']);
    !word.is_empty() && !word.contains(['*', '?', '[']) && file.path.ends_with(word.trim_start_matches('/'))
}

/// The headers that an included file sets. `None`: it isn't here, or it isn't plain.
fn included_headers(files: &[SourceFile], word: &str) -> Option<Vec<String>> {
    let mut fitting = files.iter().filter(|file| names(word, file));
    let (file, None) = (fitting.next()?, fitting.next()) else { return None };
    let (tree, faults) = lexer::parse(file.bytes());
    let lines = Lines::new(&file.text, tree, true);
    let plain = faults.is_empty() && !lines.all().any(|id| lines.is_block(id) || lines.word(id, 0) == "include");
    let set = lines.all().filter(|id| lines.word(*id, 0) == SET_HEADER);
    plain.then(|| set.map(|id| lines.word(id, 1).to_owned()).collect())
}

/// `limit_req` with `nodelay`.
fn at_once(lines: &Lines<'_>, here: NodeId) -> Option<Change> {
    let words = lines.words(here);
    let text = |span: &Span| &lines.text[span.start..span.end];
    if lines.word(here, 0) != "limit_req" || words.iter().any(|word| text(word) == "nodelay") {
        return None;
    }
    match words.iter().find(|word| text(word).starts_with("delay=")) {
        Some(delay) => Some(Change { span: *delay, text: "nodelay".to_owned() }),
        None => {
            let end = words.last()?.end;
            Some(Change { span: Span { start: end, end }, text: " nodelay".to_owned() })
        }
    }
}

/// A value as a word.
fn word(value: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !"{};\"'#\\".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}
