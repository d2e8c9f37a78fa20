//! Findings: what is wrong with a config, where, with the request that shows it, and what to do.
//!
//! In: what rules say. Out: [`Finding`]s in order, without those that are suppressed. Invariant: the same input gives the same findings in the
//! same order; every one has a place in a file that was read.

pub mod baseline;
pub mod fingerprint;
pub mod fix;
pub mod ignore;

use serde_json::Value;

use crate::analysis::survey::Witness;
use crate::source::{LineColumn, SourceFile, Span};

/// How bad a finding is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// An outsider gets what the policy forbids, or the config doesn't load.
    Error,
    /// A protection that the policy asks for is missing or weaker, or can't be judged.
    Warning,
    /// Hygiene.
    Info,
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// A place in a file.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file, its secrets hidden.
    pub file: SourceFile,
    /// The place in it.
    pub span: Span,
}

impl Place {
    /// Where it begins.
    pub fn start(&self) -> LineColumn {
        self.file.line_column(self.span.start)
    }

    /// Where it ends.
    pub fn end(&self) -> LineColumn {
        self.file.line_column(self.span.end)
    }

    fn key(&self) -> (&str, usize, usize, usize) {
        let start = self.start();
        (&self.file.name, start.line, start.column, self.span.end)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in lower case, the user's text in backticks.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What to say there.
    pub label: String,
    /// Other places that have a part in it, and what to say there.
    pub related: Vec<(Place, String)>,
    /// A request that it is about.
    pub witness: Option<Box<Witness>>,
    /// What is told of the request that shows it.
    pub evidence: Option<Evidence>,
    /// What to do.
    pub help: Option<String>,
    /// A change that mends it.
    pub fix: Option<Fix>,
}

/// The request that shows a finding, what becomes of it and what the policy wants.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The request line.
    pub request: Value,
    /// The request as a command to paste.
    pub command: String,
    /// What the policy wants.
    pub expected: Value,
    /// What becomes of it.
    pub actual: Value,
    /// Its way through the files.
    pub steps: Value,
}

impl Evidence {
    /// The same with lines of a header in the answer: those that it has, and those that it should have.
    pub fn answer_lines(mut self, name: &str, has: &[&str], wanted: &[&str]) -> Evidence {
        for (decision, values) in [(&mut self.actual, has), (&mut self.expected, wanted)] {
            decision["answer_headers"] = values.iter().map(|value| serde_json::json!([name, value])).collect();
        }
        self
    }

    /// The same with a header that the upstream gets and should not.
    pub fn upstream_gets(mut self, name: &str, value: &str) -> Evidence {
        self.actual["upstream_headers"] = serde_json::json!([[name, value]]);
        self.expected["upstream_headers"] = serde_json::json!([]);
        self
    }
}

/// A change that mends a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What it does, as an order: `set the read timeout to 600 seconds`.
    pub description: String,
    /// Whether no request that was right before is treated otherwise.
    pub safe: bool,
    /// What is changed.
    pub edits: Vec<Edit>,
}

/// A change to the text of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// The file's name.
    pub file: String,
    /// What is replaced; empty: the text goes in between.
    pub span: Span,
    /// What stands there then.
    pub text: String,
}

impl Finding {
    /// A finding at a place.
    pub fn new(rule: &'static str, severity: Severity, message: impl Into<String>, place: Place) -> Finding {
        Finding {
            rule,
            severity,
            message: message.into(),
            place,
            label: String::new(),
            related: Vec::new(),
            witness: None,
            evidence: None,
            help: None,
            fix: None,
        }
    }

    /// The same with what to say at its place.
    pub fn label(mut self, label: impl Into<String>) -> Finding {
        self.label = label.into();
        self
    }

    /// The same with what to do.
    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into());
        self
    }

    /// The same with another place.
    pub fn with(mut self, place: Option<Place>, label: impl Into<String>) -> Finding {
        self.related.extend(place.map(|place| (place, label.into())));
        self
    }

    /// The same with a change that mends it, if there is one.
    pub fn fixed_by(mut self, fix: Option<Fix>) -> Finding {
        self.fix = fix;
        self
    }

    /// The same with a request that it is about.
    pub fn about(mut self, witness: &Witness) -> Finding {
        self.witness = Some(Box::new(witness.clone()));
        self
    }

    /// The same with a request that shows it.
    pub fn shown_by(mut self, witness: &Witness, evidence: Evidence) -> Finding {
        self.evidence = Some(evidence);
        self.about(witness)
    }

    /// The text of the line where it begins, without the blanks around it: what names it when lines move.
    pub fn context(&self) -> String {
        let text: &str = &self.place.file.text;
        let start = self.place.span.start.min(text.len());
        let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let to = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let (shown, _) = self.place.file.shown(Span { start: from, end: to }, from);
        shown.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Sorts findings and takes out doubles: by file, line, column, rule.
pub fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (a.place.key(), a.rule, &a.message).cmp(&(b.place.key(), b.rule, &b.message)));
    findings.dedup_by(|a, b| (a.rule, a.place.key(), &a.message) == (b.rule, b.place.key(), &b.message));
    findings
}
