//! What is said below a finding: the request that shows it, what becomes of it, what the policy wants, what to do.
//!
//! In: a finding. Out: names and texts. Invariant: every format that has text says the same.

use serde_json::Value;

use crate::analysis::words;
use crate::finding::{Evidence, Finding};

/// A note's name, its text, and whether the text may be wrapped: a command may not.
pub(super) struct Note {
    pub name: &'static str,
    pub text: String,
    pub wraps: bool,
}

/// The notes of a finding, in the order in which they are read.
pub(super) fn notes(finding: &Finding) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |name, text, wraps| notes.push(Note { name, text, wraps });
    if let Some(evidence) = &finding.evidence {
        if !evidence.command.is_empty() {
            note("request", evidence.command.clone(), false);
        }
        note("happens", told(&evidence.actual), true);
        note("policy", wanted(evidence), true);
    }
    // A fix says it too, and who does it.
    let fixed = finding.fix.as_ref().map(|fix| fix.description.as_str());
    if let Some(help) = finding.help.as_ref().filter(|help| Some(help.as_str()) != fixed) {
        note("help", help.clone(), true);
    }
    if let Some(fix) = &finding.fix {
        let how = if fix.safe { "--fix" } else { "--fix --unsafe-fixes" };
        note("fix", format!("{} (`{how}` does it)", fix.description), true);
    }
    notes
}

/// A decision in words.
fn told(decision: &Value) -> String {
    format!("{}{}", outcome(decision), lines(decision, "; the answer has"))
}

/// The headers that a decision is about, in words.
fn lines(decision: &Value, of_answer: &str) -> String {
    let lines: Vec<String> = decision["answer_headers"].as_array().into_iter().flatten().map(line).collect();
    let passed: Vec<String> = decision["upstream_headers"].as_array().into_iter().flatten().map(line).collect();
    let with = |word: &str, lines: &[String]| match lines {
        [] => String::new(),
        lines => format!("{word} {}", lines.join(" and ")),
    };
    with(" and", &passed) + &with(of_answer, &lines)
}

/// A header line in words.
fn line(pair: &Value) -> String {
    format!("`{}: {}`", pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default())
}

/// What becomes of a request, in words.
fn outcome(decision: &Value) -> String {
    let text = |key: &str| decision[key].as_str().unwrap_or_default();
    let status = |value: &Value| value.as_u64().and_then(|status| u16::try_from(status).ok()).map(words::status);
    match text("outcome") {
        "proxied" => {
            // A listener's own address says nothing: the command names another.
            let own = text("host").starts_with("0.0.0.0") || text("host").starts_with("[::]");
            let host = if own { String::new() } else { format!(" (Host: {})", text("host")) };
            format!("the upstream {} gets `{}`{host}", text("upstream"), text("target"))
        }
        "unknown" => format!("not to be known: it {}", text("reason")),
        outcome => format!("{outcome} with {}", status(&decision["status"]).unwrap_or_default()),
    }
}

/// What the policy wants, in words.
fn wanted(evidence: &Evidence) -> String {
    // Where it goes is right: something else isn't.
    let named = |decision: &Value, key: &str| decision[key][0][0].as_str().map(str::to_owned);
    if outcome(&evidence.expected) == outcome(&evidence.actual) {
        for (key, whose) in [("answer_headers", "the answer"), ("upstream_headers", "it passed on")] {
            if let Some(name) = named(&evidence.actual, key) {
                return format!("wants {whose} without `{name}`");
            }
            if let Some(pair) = evidence.expected[key].get(0) {
                return format!("wants {whose} with {}", line(pair));
            }
        }
    }
    match evidence.expected["statuses"].as_array() {
        Some(list) => {
            let list: Vec<String> = list.iter().map(Value::to_string).collect();
            format!("wants it refused with {}", list.join(" or "))
        }
        None => format!("wants it {}{}", outcome(&evidence.expected), lines(&evidence.expected, ", with")),
    }
}

/// A message with all that is said below it.
pub(super) fn whole(finding: &Finding) -> String {
    let lines = notes(finding).into_iter().map(|note| format!("\n{}: {}", note.name, note.text));
    format!("{}{}", finding.message, lines.collect::<String>())
}
