//! `llmguard decide`: requests as JSON lines in, decisions as JSON lines out.
//!
//! Strings stand for bytes: one character U+0000 to U+00FF for each byte. One line out for each line in, flushed.

use std::io::{BufRead as _, Write as _};

use serde_json::{Value, json};

use super::configs::{self, Subject};
use super::{Exit, Global, fail};
use crate::gateway::eval::{Outcome, Verdict, evaluate};
use crate::gateway::{Gateway, Limit, LimitKind, Per};
use crate::http::line::{Line, text};
use crate::project::secrets::Hidden;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    configs: configs::ConfigArgs,
}

pub(super) fn run(args: &Args, global: &Global) -> Exit {
    if args.configs.reads_stdin() {
        let remedy =
            "write the config to a file, or ask for one request: llmguard trace - --as DIALECT --request 'GET /'";
        return fail("standard input can't be both the config and the requests", Some(remedy));
    }
    let subjects = match args.configs.subjects(global) {
        Ok(subjects) => subjects,
        Err(exit) => return exit,
    };
    let mut out = std::io::stdout().lock();
    let mut exit = Exit::Done;
    for line in std::io::stdin().lock().split(b'\n') {
        let Ok(line) = line else { break };
        if line.trim_ascii().is_empty() {
            continue;
        }
        let decision = match decide(&subjects, &line) {
            Ok(decision) => decision,
            Err(reason) => {
                exit = Exit::Failed;
                json!({"outcome": "invalid", "reason": reason})
            }
        };
        if writeln!(out, "{decision}").and_then(|()| out.flush()).is_err() {
            return exit;
        }
    }
    exit
}

/// The decision about one request line. Errors: why it is none.
fn decide(subjects: &[Subject], line: &[u8]) -> Result<Value, String> {
    let object: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    let (subject, request) = configs::address(subjects, &Line::read(object)?)?;
    Ok(decision(&subject.gateway, &evaluate(&subject.gateway, &request)))
}

/// The decision line of an outcome.
pub(super) fn decision(gateway: &Gateway, outcome: &Outcome) -> Value {
    let mut line = match &outcome.verdict {
        Verdict::Refused(status) => json!({"outcome": "refused", "status": status, "client": outcome.client}),
        Verdict::Answered(status) => json!({"outcome": "answered", "status": status, "client": outcome.client}),
        Verdict::Proxied { upstream, target, host } => json!({
            "outcome": "proxied", "client": outcome.client, "upstream": upstream, "target": text(target), "host": host,
        }),
        Verdict::Unknown { reason, .. } => {
            json!({"outcome": "unknown", "reason": Hidden::of(&gateway.files).shown(reason)})
        }
    };
    let steps = outcome.steps.iter().filter_map(|origin| {
        let file = gateway.files.get(origin.file())?;
        let place = file.line_column(origin.span().start);
        Some(json!({"file": file.name, "line": place.line, "column": place.column, "note": &*origin.note}))
    });
    if let Some(object) = line.as_object_mut() {
        if !outcome.limits.is_empty() {
            object.insert("limits".to_owned(), outcome.limits.iter().map(|(own, _)| limit(own)).collect());
        }
        object.insert("steps".to_owned(), steps.collect());
    }
    line
}

fn limit(limit: &Limit) -> Value {
    let per = match &limit.per {
        Per::Ip => "ip",
        Per::Client => "client",
        Per::All => "all",
        Per::Key(key) => key,
    };
    match &limit.kind {
        LimitKind::Rate { requests, window, burst } => {
            let seconds = window.as_secs_f64();
            let window = if seconds.fract() == 0.0 { json!(window.as_secs()) } else { json!(seconds) };
            json!({"kind": "rate", "per": per, "requests": requests, "window_s": window, "burst": burst})
        }
        LimitKind::Connections { max } => json!({"kind": "connections", "per": per, "max": max}),
    }
}
