//! The report for people: source lines with the places marked, the request as a command, what happens, what the policy wants, what to do.

use std::fmt::Write as _;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Look, Report, notes, page};
use crate::finding::{Finding, Place, Severity};
use crate::source::Span;

/// Places further away in the same file are shown apart.
const NEAR_LINES: usize = 400;

pub(super) fn write(report: &Report, look: Look) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let _ = writeln!(out, "{}\n", picture(finding, look.width));
    }
    if look.summary {
        let _ = writeln!(out, "{}", report.summary());
    }
    out
}

/// The picture of a finding.
fn picture(finding: &Finding, width: usize) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    let mut group = Group::with_title(level.primary_title(finding.message.as_str()).id(finding.rule));
    let own = excerpts(finding);
    for excerpt in &own {
        group = group.element(excerpt.snippet());
    }
    let notes: Vec<(&str, String)> = notes::notes(finding)
        .into_iter()
        .map(|note| match note.wraps {
            // Behind the bar and `= name: `.
            true => (note.name, page::wrapped(&note.text, width.saturating_sub(16).max(30)).join("\n")),
            false => (note.name, note.text),
        })
        .collect();
    for (name, text) in &notes {
        group = group.element(Level::NOTE.with_name(*name).message(text.as_str()));
    }
    Renderer::styled().term_width(width).render(&[group])
}

/// Lines of one file, and what is marked in them.
struct Excerpt {
    name: String,
    text: String,
    line: usize,
    marks: Vec<(AnnotationKind, std::ops::Range<usize>, String)>,
}

impl Excerpt {
    fn snippet(&self) -> Snippet<'_, Annotation<'_>> {
        let marks = self.marks.iter().map(|(kind, span, label)| {
            let label = if label.is_empty() { None } else { Some(label.as_str()) };
            kind.span(span.clone()).label(label)
        });
        Snippet::source(self.text.as_str()).path(self.name.as_str()).line_start(self.line).annotations(marks)
    }
}

/// The finding's own file first, then the others in the order of its way.
fn excerpts(finding: &Finding) -> Vec<Excerpt> {
    let primary = (&finding.place, finding.label.as_str(), AnnotationKind::Primary);
    let related = finding.related.iter().map(|(place, label)| (place, label.as_str(), AnnotationKind::Context));
    let mut groups: Vec<Vec<(&Place, &str, AnnotationKind)>> = vec![vec![primary]];
    for (place, label, kind) in related {
        let near = |other: &Place| {
            other.file.name == place.file.name && other.start().line.abs_diff(place.start().line) < NEAR_LINES
        };
        match groups.iter_mut().find(|group| near(group[0].0)) {
            // The same place twice would be marked twice.
            Some(group) if group.iter().any(|(own, ..)| own.span == place.span) => {}
            Some(group) => group.push((place, label, kind)),
            None => groups.push(vec![(place, label, kind)]),
        }
    }
    groups.iter().map(|group| excerpt(group)).collect()
}

/// Whole lines around some places of one file; of a place that has several lines the first is marked.
fn excerpt(places: &[(&Place, &str, AnnotationKind)]) -> Excerpt {
    let file = &places[0].0.file;
    let text: &str = &file.text;
    let clamp = |at: usize| at.min(text.len());
    let first = places.iter().map(|(place, ..)| clamp(place.span.start)).min().unwrap_or_default();
    let last = places.iter().map(|(place, ..)| clamp(place.span.start)).max().unwrap_or_default();
    let lines = Span {
        start: text[..first].rfind('\n').map_or(0, |at| at + 1),
        end: text[last..].find('\n').map_or(text.len(), |at| last + at),
    };
    let (whole, _) = file.shown(lines, lines.start);
    // Of a line end that has two characters the first would be shown.
    let carriage = |at: usize| whole[..at].matches("\r\n").count();
    let marks = places.iter().map(|(place, label, kind)| {
        let start = clamp(place.span.start);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = place.span.end.clamp(start, line_end);
        let end = start + text[start..end].trim_end().len();
        let (_, from) = file.shown(lines, start);
        let (_, to) = file.shown(lines, end);
        let (from, to) = (from - carriage(from), to - carriage(to));
        (*kind, from..to.max(from), (*label).to_owned())
    });
    let marks = marks.collect();
    let shown = whole.replace("\r\n", "\n");
    let text = shown.strip_suffix('\r').unwrap_or(&shown).to_owned();
    Excerpt { name: file.name.clone(), text, line: file.line_column(lines.start).line, marks }
}
