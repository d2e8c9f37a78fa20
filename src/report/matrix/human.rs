//! The matrix for a terminal: a table for each way in, at most [`WIDTH`] columns wide.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::*;

/// How wide the text is at most.
const WIDTH: usize = 100;
/// How wide the name of a row is at most.
const LABEL: usize = 38;
/// How wide a caller's name is before it goes on in the next line.
const CALLER: usize = 16;
/// What stands between columns.
const GAP: usize = 2;

const STRONG: Style = Style::new().bold();
const WEAK: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const UNSURE: Style = AnsiColor::Yellow.on_default();
const MILD: Style = AnsiColor::Cyan.on_default();

pub(super) fn write(matrix: &Matrix) -> String {
    let mut out = String::new();
    paragraph(&mut out, "", &format!("who reaches what: {}", subject(matrix)), STRONG);
    for way in &matrix.ways {
        out.push('\n');
        for name in way_names(matrix, way) {
            paragraph(&mut out, "", &name, STRONG);
        }
        table(&mut out, matrix, way);
        if let Some(limits) = limits(matrix, way) {
            paragraph(&mut out, "  ", &format!("limits: {limits}"), WEAK);
        }
    }
    let (told, rest) = told(matrix);
    if !told.is_empty() {
        out.push('\n');
    }
    for told in told {
        let place = told.place.map(|place| format!("{place}: ")).unwrap_or_default();
        let (mark, style) = (mark(told.difference), style_of(told.difference));
        let text = wrapped(&format!("{place}{}", told.text), WIDTH - 2);
        for (at, line) in text.iter().enumerate() {
            let start = if at == 0 { painted(mark, style) } else { " ".to_owned() };
            let _ = writeln!(out, "{start} {line}");
        }
    }
    if rest > 0 {
        let _ = writeln!(out, "  and {rest} more");
    }
    let notes = footnotes(matrix);
    if !notes.is_empty() {
        out.push('\n');
    }
    for (name, text) in notes {
        paragraph(&mut out, "", &format!("{name}: {text}"), Style::new());
    }
    let legend: Vec<String> = legend(matrix).iter().map(|(word, meaning)| format!("{word}: {meaning}")).collect();
    out.push('\n');
    paragraph(&mut out, "", &legend.join("; "), WEAK);
    out
}

/// One table, in several parts where it would be too wide.
fn table(out: &mut String, matrix: &Matrix, way: &Way) {
    let labels: Vec<Vec<String>> = way.rows.iter().map(|row| label(way, row)).collect();
    let label_width = labels.iter().flatten().map(|line| width(line)).max().unwrap_or_default().min(LABEL);
    let heads: Vec<Vec<String>> =
        way.columns.iter().map(|column| wrapped(&who(&matrix.columns[*column]), CALLER)).collect();
    let column_width = |at: usize| {
        let cells = way.rows.iter().map(|row| width(&words(&row.cells[at])));
        cells.chain(heads[at].iter().map(|line| width(line))).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heads.len()).map(column_width).collect();
    let mut start = 0;
    while start < widths.len() {
        if start > 0 {
            out.push('\n');
        }
        let mut end = start;
        let mut total = 2 + label_width;
        while end < widths.len() && (end == start || total + GAP + widths[end] <= WIDTH) {
            total += GAP + widths[end];
            end += 1;
        }
        part(out, way, &labels, label_width, &heads, &widths, start..end);
        start = end;
    }
}

fn part(
    out: &mut String,
    way: &Way,
    labels: &[Vec<String>],
    label_width: usize,
    heads: &[Vec<String>],
    widths: &[usize],
    columns: std::ops::Range<usize>,
) {
    let height = columns.clone().map(|at| heads[at].len()).max().unwrap_or_default();
    for line in 0..height {
        let mut text = format!("  {}", " ".repeat(label_width));
        for at in columns.clone() {
            // Names stand at the foot of their column.
            let own = (line + heads[at].len()).checked_sub(height).and_then(|line| heads[at].get(line));
            text.push_str(&padded(own.map_or("", String::as_str), widths[at], STRONG));
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    let all: usize = columns.clone().map(|at| GAP + widths[at]).sum();
    let _ = writeln!(out, "  {}", painted(&"─".repeat(label_width + all), WEAK));
    for (row, label) in way.rows.iter().zip(labels) {
        for (line, label) in label.iter().enumerate() {
            let mut text = format!(
                "  {}{}",
                painted(label, if line == 0 { Style::new() } else { WEAK }),
                " ".repeat(label_width.saturating_sub(width(label)))
            );
            if line == 0 {
                for at in columns.clone() {
                    let cell = &row.cells[at];
                    text.push_str(&padded(&words(cell), widths[at], style(cell)));
                }
            }
            let _ = writeln!(out, "{}", text.trim_end());
        }
    }
}

/// The lines that name a row: its group, and below it the endpoints that differ from the rest of the group.
fn label(way: &Way, row: &Row) -> Vec<String> {
    let first = format!("{} ({})", row.group, share(way, row));
    let own = shown_endpoints(row).into_iter().map(|name| clipped(&format!("  {name}"), LABEL));
    std::iter::once(first).chain(own).collect()
}

/// An answer, its mark in front, and the policy's where it differs.
fn words(cell: &Cell) -> String {
    let word = cell.answer.word();
    match (cell.difference, instead(cell)) {
        (Some(difference), Some(instead)) => format!("{} {word} ({instead})", mark(difference)),
        _ => format!("  {word}"),
    }
}

fn style(cell: &Cell) -> Style {
    match (cell.difference, &cell.answer) {
        (Some(difference), _) => style_of(difference),
        (None, Answer::Passes) => GOOD,
        (None, Answer::Unknown) => UNSURE,
        (None, _) => WEAK,
    }
}

fn style_of(difference: Difference) -> Style {
    match difference {
        Difference::Looser => BAD,
        Difference::MaybeLooser => UNSURE,
        Difference::Stricter => MILD,
    }
}

fn painted(text: &str, style: Style) -> String {
    if style.is_plain() || text.is_empty() { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

/// A text behind the gap between columns, and blanks up to a width.
fn padded(text: &str, to: usize, style: Style) -> String {
    let blanks = to.saturating_sub(width(text));
    format!("{}{}{}", " ".repeat(GAP), painted(text, style), " ".repeat(blanks))
}

/// A text over as many lines as it needs, those after the first indented.
fn paragraph(out: &mut String, indent: &str, text: &str, style: Style) {
    for (at, line) in wrapped(text, WIDTH - indent.len() - 2).iter().enumerate() {
        let more = if at > 0 { "  " } else { "" };
        let _ = writeln!(out, "{indent}{more}{}", painted(line, style));
    }
}

/// Lines of at most this width, broken between words; a longer word is broken where it must be.
pub(super) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let mut word: String = word.to_owned();
        while let Some(line) = lines.last_mut() {
            let room = most.saturating_sub(if line.is_empty() { 0 } else { width(line) + 1 });
            if width(&word) <= room {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&word);
                break;
            }
            if line.is_empty() {
                let rest = word.chars().skip(most).collect();
                *line = word.chars().take(most).collect();
                word = rest;
            }
            lines.push(String::new());
        }
    }
    lines
}

fn clipped(text: &str, most: usize) -> String {
    match width(text) > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}
