//! Who reaches what: the endpoints of the catalogue against the callers, for each way into gateways, beside what the policy wants.
//!
//! In: gateways and a [`Measure`]. Out: a [`Matrix`]. Invariant: the evaluator gives every answer; what is treated alike is told once (endpoints
//! of a group, callers, ways in), so the picture is as small as the differences in it; no credential's value is in it.

mod ask;
mod fold;
mod seats;

use super::measure::Measure;
use crate::gateway::Gateway;
use crate::project::Neighbour;

/// The group of endpoints that the policy names and the catalogue lacks.
pub const BEYOND: &str = "other";

/// Who reaches what.
#[derive(Debug)]
pub struct Matrix {
    /// The policy's file; absent: the built-in one.
    pub policy: Option<String>,
    /// Whether configs are compared with the policy; else the policy itself is shown.
    pub compared: bool,
    /// What the upstream is.
    pub upstream: String,
    /// All files that were read, sorted.
    pub files: Vec<String>,
    /// Who asks.
    pub columns: Vec<Column>,
    /// The ways in that lead to the upstream; where none does, all there are.
    pub ways: Vec<Way>,
    /// The ways in that don't.
    pub closed: Vec<Closed>,
    /// What limits the policy sets.
    pub limits: Vec<String>,
    /// Clients of the policy whose credentials can't be told from others here.
    pub untold: Vec<String>,
}

/// Callers who are treated alike everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What they are.
    pub kind: Kind,
    /// Who they are, in words: at least one.
    pub names: Vec<String>,
}

/// What callers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Without any credential.
    Nobody,
    /// With a credential that is nobody's, is empty, or is nearly one.
    WrongKey,
    /// With something that is no credential and opens something.
    Trick,
    /// A client of the policy.
    Client,
    /// A credential that the config accepts; whose it is the policy doesn't tell.
    Credential,
    /// Another container of the project, past the gateway.
    Container,
}

/// One way in, or several that are alike.
#[derive(Debug)]
pub struct Way {
    /// Each with its system, listener and host.
    pub names: Vec<WayName>,
    /// The columns that matter here: indexes.
    pub columns: Vec<usize>,
    /// The endpoints, in the order of their groups.
    pub rows: Vec<Row>,
    /// What limits hold for requests that get through.
    pub limits: Vec<String>,
}

/// What a way in is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayName {
    /// The config.
    pub system: String,
    /// Address and port.
    pub listener: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The Host that a request must carry; absent: any other.
    pub host: Option<String>,
    /// Whether other hosts are treated otherwise.
    pub only: bool,
    /// What stands before the upstream's own paths; mostly empty.
    pub below: String,
    /// Whether it is so only if the variables that aren't known are unset.
    pub unset: bool,
}

/// A way in that doesn't lead to the upstream.
#[derive(Debug)]
pub struct Closed {
    /// Where.
    pub name: WayName,
    /// All answers that it gives.
    pub answers: Vec<Answer>,
}

/// Endpoints of one group that are treated alike.
#[derive(Debug)]
pub struct Row {
    /// The group.
    pub group: String,
    /// Whether these are all endpoints of the group.
    pub whole: bool,
    /// `METHOD /path` of each.
    pub endpoints: Vec<String>,
    /// One for each of the way's columns.
    pub cells: Vec<Cell>,
}

/// What one caller gets.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What the config (or the policy that is shown) answers.
    pub answer: Answer,
    /// What the policy wants; absent: nothing is compared.
    pub wanted: Option<Answer>,
    /// How that differs.
    pub difference: Option<Difference>,
    /// The place in the files that decides; absent: none does.
    pub place: Option<Place>,
    /// Why the answer isn't known, or as what the upstream gets the request; mostly absent.
    pub remark: Option<String>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What happens there, as a fragment of a sentence.
    pub note: String,
}

/// What becomes of a request, the least that a caller reaches first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// There is no way from there.
    Unreachable,
    /// Refused with this status.
    Refused(u16),
    /// Answered by the gateway itself.
    Answered(u16),
    /// Another server gets it.
    Elsewhere(String),
    /// Not to be known from the files.
    Unknown,
    /// The upstream gets it.
    Passes,
}

/// How an answer differs from what the policy wants, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It passes, and the policy refuses it.
    Looser,
    /// It may pass, and the policy refuses it.
    MaybeLooser,
    /// The policy lets it pass, and no way in does.
    Stricter,
}

/// A gateway that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What it is called.
    pub name: &'a str,
    /// What it does.
    pub gateway: &'a Gateway,
    /// What other containers reach past it; absent: it is in no compose project.
    pub neighbours: Option<&'a [Neighbour]>,
    /// Whether variables that aren't known are taken for unset.
    pub unset: bool,
}

/// What configs do, beside the policy. Those that take unknown variables for unset come last, each in the order of the others; what is no
/// looser there isn't told.
pub fn of_configs(subjects: &[Subject<'_>], measure: &Measure) -> Matrix {
    let own = fold::matrix(subjects, measure, true, false);
    let reaches = own.ways.iter().flat_map(|way| &way.rows).flat_map(|row| &row.cells);
    let mut reaches = reaches.map(|cell| &cell.answer);
    if reaches.clone().any(|answer| *answer == Answer::Passes)
        || !(reaches.any(is_elsewhere) || own.closed.iter().flat_map(|closed| &closed.answers).any(is_elsewhere))
    {
        return own;
    }
    // Where no server looks like the policy's, any may be it.
    fold::matrix(subjects, measure, true, true)
}

/// What the policy says.
pub fn of_policy(measure: &Measure) -> Matrix {
    let name = measure.name.as_deref().unwrap_or("the built-in policy");
    let subject = Subject { name, gateway: &measure.gateway, neighbours: None, unset: false };
    fold::matrix(&[subject], measure, false, true)
}

fn is_elsewhere(answer: &Answer) -> bool {
    matches!(answer, Answer::Elsewhere(_))
}

impl Matrix {
    /// How many endpoints and callers differ in this way, each counted once a way in.
    pub fn count(&self, difference: Difference) -> usize {
        let rows = self.ways.iter().flat_map(|way| &way.rows);
        let differs = |row: &Row| row.cells.iter().filter(|cell| cell.difference == Some(difference)).count();
        rows.map(|row| row.endpoints.len() * differs(row)).sum()
    }

    /// Whether anything differs.
    pub fn differs(&self) -> bool {
        [Difference::Looser, Difference::MaybeLooser, Difference::Stricter].iter().any(|own| self.count(*own) > 0)
    }

    /// One line about all of it.
    pub fn summary(&self) -> String {
        if !self.compared {
            return String::new();
        }
        let kinds = [
            (Difference::Looser, "looser"),
            (Difference::MaybeLooser, "perhaps looser"),
            (Difference::Stricter, "stricter"),
        ];
        let counted = kinds.map(|(difference, word)| (self.count(difference), word));
        let mut parts = counted.into_iter().filter(|(count, _)| *count > 0);
        let Some((count, word)) = parts.next() else { return "as the policy wants it".to_owned() };
        let answers = if count == 1 { "answer is" } else { "answers are" };
        let rest: String = parts.map(|(count, word)| format!(", {count} {word}")).collect();
        format!("{count} {answers} {word} than the policy{rest}")
    }
}

impl Kind {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Nobody => "nobody",
            Kind::WrongKey => "wrong-key",
            Kind::Trick => "trick",
            Kind::Client => "client",
            Kind::Credential => "credential",
            Kind::Container => "container",
        }
    }
}

impl Difference {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Difference::Looser => "looser",
            Difference::MaybeLooser => "maybe-looser",
            Difference::Stricter => "stricter",
        }
    }
}

impl Answer {
    /// In a word.
    pub fn word(&self) -> String {
        match self {
            Answer::Unreachable => "no way".to_owned(),
            Answer::Refused(444) => "closed".to_owned(),
            Answer::Refused(status) | Answer::Answered(status) => status.to_string(),
            Answer::Elsewhere(_) => "elsewhere".to_owned(),
            Answer::Unknown => "unknown".to_owned(),
            Answer::Passes => "passes".to_owned(),
        }
    }
}

impl WayName {
    /// Listener and host, for people.
    pub fn words(&self) -> String {
        let tls = if self.tls { " (TLS)" } else { "" };
        let host = match &self.host {
            Some(host) => format!("Host {host}"),
            None if self.only => "any host".to_owned(),
            None => "any other host".to_owned(),
        };
        let below = if self.below.is_empty() { String::new() } else { format!(", below {}", self.below) };
        let unset = if self.unset { ", if the variables that aren't known are unset" } else { "" };
        format!("{}{tls}, {host}{below}{unset}", self.listener)
    }
}
