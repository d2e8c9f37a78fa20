//! Findings → text: for people, for editors and for machines.
//!
//! In: a [`Report`]. Out: text. Invariant: the same report gives the same bytes; no secret is in it.

mod concise;
mod human;
mod json;
pub mod matrix;

use crate::finding::{Finding, Severity};

/// What a run found.
#[derive(Debug)]
pub struct Report {
    /// The policy's file; absent: the built-in one.
    pub policy: Option<String>,
    /// All files that were read, sorted.
    pub files: Vec<String>,
    /// In order.
    pub findings: Vec<Finding>,
    /// How many were suppressed.
    pub suppressed: usize,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// With source lines, the request and the fix.
    Human,
    /// A line a finding.
    Concise,
    /// For programs.
    Json,
}

impl Report {
    /// How many findings there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The report as text.
    pub fn write(&self, format: Format) -> String {
        match format {
            Format::Human => human::write(self),
            Format::Concise => concise::write(self),
            Format::Json => json::write(self),
        }
    }

    /// One line about all of it.
    pub fn summary(&self) -> String {
        let counted = |severity: Severity, word: &str| match self.count(severity) {
            0 => None,
            1 => Some(format!("1 {word}")),
            count => Some(format!("{count} {word}s")),
        };
        let kinds = [(Severity::Error, "error"), (Severity::Warning, "warning")];
        let mut parts: Vec<String> = kinds.iter().filter_map(|(severity, word)| counted(*severity, word)).collect();
        parts.extend(match self.count(Severity::Info) {
            0 => None,
            count => Some(format!("{count} info")),
        });
        let mut text = match parts.is_empty() {
            true => "nothing found".to_owned(),
            false => format!("found {}", parts.join(", ")),
        };
        text.push_str(match self.files.len() {
            1 => " in 1 file",
            _ => "",
        });
        if self.files.len() != 1 {
            text.push_str(&format!(" in {} files", self.files.len()));
        }
        let fixable = self.findings.iter().filter(|finding| finding.fix.as_ref().is_some_and(|fix| fix.safe)).count();
        if fixable > 0 {
            text.push_str(&format!("; {fixable} can be mended with `--fix`"));
        }
        if self.suppressed > 0 {
            text.push_str(&format!("; {} suppressed", self.suppressed));
        }
        text
    }
}
