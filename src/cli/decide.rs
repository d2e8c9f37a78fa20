//! `llmguard decide`: requests as JSON lines in, decisions as JSON lines out.
//!
//! Strings stand for bytes: one character U+0000 to U+00FF for each byte. One line out for each line in, flushed.

use std::io::{BufRead as _, Write as _};

use serde_json::{Value, json};

use super::configs::{self, Subject};
use super::{Exit, Global, fail};
use crate::analysis::decision;
use crate::gateway::eval::evaluate;
use crate::http::line::Line;

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
            break;
        }
    }
    // The program ends here: nobody needs the memory of a large gateway piece by piece.
    std::mem::forget(subjects);
    exit
}

/// The decision about one request line. Errors: why it is none.
fn decide(subjects: &[Subject], line: &[u8]) -> Result<Value, String> {
    let object: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    let (subject, request) = configs::address(subjects, &Line::read(object)?)?;
    Ok(decision::line(&subject.gateway, &evaluate(&subject.gateway, &request)))
}
