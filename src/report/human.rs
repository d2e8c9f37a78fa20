//! The report for people: source lines with the places marked, the request as a command, what happens, what the policy wants, what to do.

use std::fmt::Write as _;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Look, Report, notes, page};
use crate::finding::{Finding, Place, Severity};
use crate::source::Span;

/// So many characters stay around a mark in a line that is too long, and at the line's beginning.
const AROUND: usize = 16;

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
    let own = excerpts(finding, width.saturating_sub(8));
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
    let picture = Renderer::styled().term_width(width).render(&[group]);
    // The picture counts columns in what it shows: what is hidden or left out moves what stands behind it.
    match own.first().and_then(|excerpt| excerpt.column()) {
        Some(shown) => {
            let (name, start) = (&finding.place.file.name, finding.place.start());
            let at = |column: usize| format!("{name}:{}:{column}", start.line);
            picture.replacen(&format!("{}\n", at(shown)), &format!("{}\n", at(start.column)), 1)
        }
        None => picture,
    }
}

/// Lines of one file, and what is marked in them.
struct Excerpt {
    name: String,
    text: String,
    line: usize,
    marks: Vec<Mark>,
}

type Mark = (AnnotationKind, std::ops::Range<usize>, String);

impl Excerpt {
    /// The column that the first mark is shown in.
    fn column(&self) -> Option<usize> {
        let start = self.marks.first()?.1.start;
        let line = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        Some(self.text[line..start].chars().count() + 1)
    }

    /// The same without what makes lines too long and isn't marked.
    fn fitting(mut self, most: usize) -> Excerpt {
        let mut text = String::new();
        let mut cuts: Vec<(std::ops::Range<usize>, usize)> = Vec::new();
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            let end = start + line.trim_end().len();
            let mut kept = start;
            if line.chars().count() > most {
                let near = |range: &std::ops::Range<usize>| (start..end).contains(&range.start);
                let mut keep: Vec<(usize, usize)> = vec![(start, start + AROUND)];
                let own = self.marks.iter().map(|(_, range, _)| range).filter(|range| near(range));
                keep.extend(
                    own.map(|range| {
                        (range.start.saturating_sub(AROUND), range.end.min(range.start + most / 2) + AROUND)
                    }),
                );
                keep.sort_unstable();
                keep.push((end, end));
                let mut at = start;
                for (from, to) in keep {
                    let (from, to) =
                        (boundary(&self.text, from.clamp(at, end)), boundary(&self.text, to.clamp(at, end)));
                    if from > at + 1 {
                        text.push_str(&self.text[kept..at]);
                        cuts.push((at..from, text.len()));
                        text.push('…');
                        kept = from;
                    }
                    at = at.max(to);
                }
            }
            start += line.len();
            text.push_str(&self.text[kept..start]);
        }
        let moved = |offset: usize| match cuts.iter().rfind(|(cut, _)| cut.start < offset) {
            Some((cut, at)) => at + '…'.len_utf8() + offset.saturating_sub(cut.end),
            None => offset,
        };
        self.marks.iter_mut().for_each(|(_, range, _)| *range = moved(range.start)..moved(range.end));
        Excerpt { text, ..self }
    }

    fn snippet(&self) -> Snippet<'_, Annotation<'_>> {
        let marks = self.marks.iter().map(|(kind, span, label)| {
            let label = if label.is_empty() { None } else { Some(label.as_str()) };
            kind.span(span.clone()).label(label)
        });
        Snippet::source(self.text.as_str()).path(self.name.as_str()).line_start(self.line).annotations(marks)
    }
}

/// The finding's own file first, then the others in the order of its way.
fn excerpts(finding: &Finding, most: usize) -> Vec<Excerpt> {
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
    groups.iter().map(|group| excerpt(group).fitting(most)).collect()
}

/// The first boundary of a character from here on.
fn boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
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
    let marks: Vec<Mark> = marks.collect();
    let shown = whole.replace("\r\n", "\n");
    let text = shown.strip_suffix('\r').unwrap_or(&shown).to_owned();
    Excerpt { name: file.name.clone(), text, line: file.line_column(lines.start).line, marks }
}
