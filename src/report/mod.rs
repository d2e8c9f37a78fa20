//! Findings → text: for people, for editors and for machines.
//!
//! In: a [`Report`]. Out: text. Invariant: the same report gives the same bytes; no secret is in it.

mod concise;
mod github;
mod gitlab;
mod human;
mod json;
mod junit;
pub mod matrix;
mod notes;
pub mod page;
mod sarif;
pub mod schema;

use crate::finding::{Finding, Severity};
use crate::source::SourceFile;

/// What a run found.
#[derive(Debug)]
pub struct Report {
    /// The policy's file; absent: the built-in one.
    pub policy: Option<String>,
    /// All files that were read, sorted.
    pub files: Vec<String>,
    /// The same with their texts.
    pub sources: Vec<SourceFile>,
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
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of GitHub's workflows.
    Github,
    /// GitLab's code quality report.
    Gitlab,
    /// JUnit's XML.
    Junit,
}

/// How the report for people looks.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// Whether one line about all of it ends the report.
    pub summary: bool,
}

impl Report {
    /// How many findings there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The report as text.
    pub fn write(&self, format: Format, look: Look) -> String {
        match format {
            Format::Human => human::write(self, look),
            Format::Concise => concise::write(self),
            Format::Json => json::write(self),
            Format::Sarif => sarif::write(self),
            Format::Github => github::write(self),
            Format::Gitlab => gitlab::write(self),
            Format::Junit => junit::write(self),
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
        let fixes = |safe: bool| {
            let own = self.findings.iter().filter_map(|finding| finding.fix.as_ref());
            own.filter(|fix| fix.safe == safe).count()
        };
        text.push_str(&match (fixes(true), fixes(false)) {
            (0, 0) => String::new(),
            (0, risky) => format!("; {risky} can be mended with `--fix --unsafe-fixes`"),
            (safe, 0) => format!("; {safe} can be mended with `--fix`"),
            (safe, risky) => format!("; {safe} can be mended with `--fix`, {risky} more with `--unsafe-fixes`"),
        });
        if self.suppressed > 0 {
            text.push_str(&format!("; {} suppressed", self.suppressed));
        }
        text
    }
}
