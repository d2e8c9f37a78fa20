//! What an answer looks like to its caller, and what the logs keep of the request.
//!
//! In: outcomes of [`ways`]. Out: the headers that the gateway puts onto the answer, those of the upstream's that it lets through, the logs
//! that hold. Invariant: what an inner level says anew ends what an outer one said.

use crate::gateway::eval::{Outcome, Verdict, ways};
use crate::gateway::{Answers, Edit, Gateway, HeaderEdit, Log, Origin, Setting};
use crate::http::Request;

/// A header of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its value; absent: not to be known.
    pub value: Option<Vec<u8>>,
    /// Where it is said.
    pub origin: Origin,
}

/// What becomes of a request; absent: the files don't tell.
pub fn ask(gateway: &Gateway, request: &Request) -> Option<Outcome> {
    let mut all = ways(gateway, request).map(|way| way.outcome);
    let first = all.next()?;
    let known = !matches!(first.verdict, Verdict::Unknown { reached: false, .. });
    (known && all.all(|other| other.verdict == first.verdict)).then_some(first)
}

/// The settings that hold of those that an inner level may say anew.
fn in_force(outcome: &Outcome) -> impl Iterator<Item = (&Setting, &Origin)> {
    let start = outcome.settings().rposition(|(setting, _)| *setting == Setting::Anew).unwrap_or(0);
    outcome.settings().skip(start)
}

/// The logs that get a row.
pub fn logs(outcome: &Outcome) -> Vec<(&Log, &Origin)> {
    let mut found = Vec::new();
    for (setting, origin) in in_force(outcome) {
        match setting {
            Setting::Log(log) if *log == Log::default() => found.clear(),
            Setting::Log(log) if log.to.is_some() => found.push((log, origin)),
            _ => {}
        }
    }
    found
}

/// The lines of a header that the gateway puts onto the answer.
pub fn lines(outcome: &Outcome, name: &str) -> Vec<Line> {
    let good = match outcome.verdict {
        Verdict::Refused(status) | Verdict::Answered(status) => status < 400,
        Verdict::Proxied { .. } | Verdict::Unknown { .. } => true,
    };
    let mut found: Vec<Line> = Vec::new();
    for (setting, origin) in in_force(outcome) {
        let Setting::ResponseHeader(HeaderEdit { name: edited, edit }, answers) = setting else { continue };
        if !covers(edited, name) || (*answers == Answers::Good && !good) {
            continue;
        }
        match edit {
            Edit::Remove => found.clear(),
            Edit::Default(_) if !found.is_empty() => {}
            Edit::Set(value) | Edit::SetLate(value) | Edit::Add(value) | Edit::Default(value) => {
                if matches!(edit, Edit::Set(_) | Edit::SetLate(_)) {
                    found.clear();
                }
                let value = value.as_literal().map(<[u8]>::to_vec);
                if value.as_ref().is_none_or(|value| !value.is_empty()) {
                    found.push(Line { value, origin: origin.clone() });
                }
            }
            Edit::Change(_) | Edit::RemoveListed => {}
        }
    }
    found
}

/// Whether the upstream's own lines of a header are taken away or replaced.
pub fn hides(outcome: &Outcome, name: &str) -> bool {
    in_force(outcome).any(|(setting, _)| match setting {
        Setting::UpstreamHeader(edit) => {
            covers(&edit.name, name) && matches!(edit.edit, Edit::Remove | Edit::Set(_) | Edit::SetLate(_))
        }
        _ => false,
    })
}

/// Whether an edit of one header, with `*` at its ends for anything, is one of another's.
pub fn covers(edited: &str, name: &str) -> bool {
    let (edited, name) = (edited.to_ascii_lowercase(), name.to_ascii_lowercase());
    match (edited.strip_prefix('*'), edited.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(part), Some(_)) => name.contains(part.trim_end_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => edited == name,
    }
}
