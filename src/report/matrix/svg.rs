//! The matrix as a picture that stands alone: text in a font of one width, so that it fits wherever it is drawn.

use std::fmt::Write as _;

use super::html::{class, escaped};
use super::*;

/// How wide a character is at most in any usual font of one width, by its size.
const CHARACTER: f64 = 0.62;
const SIZE: f64 = 13.0;
const SMALL: f64 = 11.0;
/// Around everything.
const MARGIN: f64 = 24.0;
/// Between cells.
const GAP: f64 = 4.0;
/// The height of a line of a row.
const LINE: f64 = 16.0;
/// How wide a caller's name and a line of text are at most, in characters.
const CALLER: usize = 16;
const TEXT: usize = 100;
const SMALL_TEXT: usize = 120;

const STYLE: &str = "
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1b2330; }
.page { fill: #ffffff; } .h { font-size: 20px; font-weight: 700; } .b { font-weight: 700; } text.s { font-size: 11px; }
.soft { fill: #566173; } .m { text-anchor: middle; } .rule { stroke: #dfe3ea; }
rect.pass { fill: #d9f0e1; } text.pass { fill: #12552f; font-weight: 700; }
rect.stop { fill: #eceff3; } text.stop { fill: #4a5565; }
rect.unsure, rect.maybe-looser { fill: #fdecc8; } text.unsure, text.maybe-looser { fill: #6b4500; }
rect.looser { fill: #b3261e; } text.looser { fill: #ffffff; font-weight: 700; }
rect.stricter { fill: #ffffff; stroke: #6f97d6; stroke-width: 1.5; } text.stricter { fill: #1f4f99; }
text.s { font-weight: 400; }
@media (prefers-color-scheme: dark) {
text { fill: #e6eaf1; } .page { fill: #11151c; } .soft { fill: #a3adbd; } .rule { stroke: #2d3644; }
rect.pass { fill: #173d29; } text.pass { fill: #a5e3bf; } rect.stop { fill: #252d39; } text.stop { fill: #b3bdcc; }
rect.unsure, rect.maybe-looser { fill: #4a3609; } text.unsure, text.maybe-looser { fill: #ffd88a; }
rect.looser { fill: #e5534b; } text.looser { fill: #14080a; }
rect.stricter { fill: #11151c; stroke: #4c73b3; } text.stricter { fill: #9cc2ff; }
}
";

pub(super) fn write(matrix: &Matrix) -> String {
    let mut picture = Picture { body: String::new(), y: MARGIN, right: 0.0 };
    picture.text("h", MARGIN, 20.0, 20.0, "Who reaches what");
    picture.lines("soft", &subject(matrix));
    if matrix.compared {
        picture.lines("b", &matrix.summary());
    }
    for way in &matrix.ways {
        picture.y += LINE;
        for name in way_names(matrix, way) {
            picture.lines("b", &name);
        }
        picture.table(matrix, way);
        if let Some(limits) = limits(matrix, way) {
            picture.lines("s soft", &format!("limits: {limits}"));
        }
    }
    picture.y += LINE;
    let (told, rest) = told(matrix);
    for told in told {
        let place = told.place.map(|place| format!("{place}: ")).unwrap_or_default();
        picture.lines("s", &format!("{} {place}{}", mark(told.difference), told.text));
    }
    if rest > 0 {
        picture.lines("s", &format!("and {rest} more"));
    }
    for (name, text) in footnotes(matrix) {
        picture.lines("s soft", &format!("{name}: {text}"));
    }
    let legend: Vec<String> = legend(matrix).iter().map(|(word, meaning)| format!("{word}: {meaning}")).collect();
    picture.lines("s soft", &legend.join("; "));
    picture.finished(matrix)
}

struct Picture {
    body: String,
    /// Where the next thing goes.
    y: f64,
    /// How far anything reaches.
    right: f64,
}

impl Picture {
    /// One line of text at `x`, `down` below the last, its letters of this size.
    fn text(&mut self, class: &str, x: f64, down: f64, size: f64, text: &str) {
        self.y += down;
        self.right = self.right.max(x + length(text, size));
        let _ =
            writeln!(self.body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>", self.y, escaped(text));
    }

    /// A text over as many lines as it needs.
    fn lines(&mut self, class: &str, text: &str) {
        let small = class.split(' ').any(|own| own == "s");
        let (size, most) = if small { (SMALL, SMALL_TEXT) } else { (SIZE, TEXT) };
        for line in super::human::wrapped(text, most) {
            self.text(class, MARGIN, LINE + 2.0, size, &line);
        }
        self.y += 2.0;
    }

    fn table(&mut self, matrix: &Matrix, way: &Way) {
        let labels: Vec<(String, Vec<String>)> =
            way.rows.iter().map(|row| (format!("{} ({})", row.group, share(way, row)), shown_endpoints(row))).collect();
        let label = |(first, more): &(String, Vec<String>)| {
            more.iter().map(|line| length(line, SMALL) + 12.0).fold(length(first, SIZE), f64::max)
        };
        let label_width = labels.iter().map(label).fold(0.0, f64::max) + 12.0;
        let heads: Vec<Vec<String>> =
            way.columns.iter().map(|column| super::human::wrapped(&who(&matrix.columns[*column]), CALLER)).collect();
        let width = |at: usize| {
            let cells = way.rows.iter().flat_map(|row| words(&row.cells[at])).map(|word| length(&word, SIZE));
            cells.chain(heads[at].iter().map(|line| length(line, SIZE))).fold(64.0, f64::max) + 16.0
        };
        let widths: Vec<f64> = (0..heads.len()).map(width).collect();
        let height = heads.iter().map(Vec::len).max().unwrap_or_default();
        self.y += 6.0;
        let top = self.y;
        let mut x = MARGIN + label_width;
        for (head, width) in heads.iter().zip(&widths) {
            for (line, text) in head.iter().enumerate() {
                let y = top + LINE * (height - head.len() + line + 1) as f64;
                self.centred("b m", x + width / 2.0, y, text);
            }
            x += width + GAP;
        }
        self.right = self.right.max(x);
        self.y = top + LINE * height as f64 + 8.0;
        for (row, (first, more)) in way.rows.iter().zip(&labels) {
            let two = row.cells.iter().any(|cell| instead(cell).is_some());
            let lines = (1 + more.len()).max(if two { 2 } else { 1 });
            let height = LINE * lines as f64 + 10.0;
            let y = self.y;
            let start = y + (height - LINE * (1 + more.len()) as f64) / 2.0;
            self.y = start;
            self.text("b", MARGIN, 12.5, SIZE, first);
            for line in more {
                self.text("s soft", MARGIN + 12.0, LINE, SMALL, line);
            }
            let mut x = MARGIN + label_width;
            for (cell, width) in row.cells.iter().zip(&widths) {
                self.cell(cell, (x, y), (*width, height));
                x += width + GAP;
            }
            self.y = y + height + GAP;
        }
    }

    fn centred(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let _ = writeln!(self.body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text));
    }

    fn cell(&mut self, cell: &Cell, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let class = class(cell);
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"6\"/>"
        );
        let lines = words(cell);
        let start = y + (height - LINE * lines.len() as f64) / 2.0 + 12.5;
        for (line, text) in lines.iter().enumerate() {
            let size = if line == 0 { "m" } else { "m s" };
            self.centred(&format!("{size} {class}"), x + width / 2.0, start + LINE * line as f64, text);
        }
    }

    fn finished(self, matrix: &Matrix) -> String {
        let (width, height) = (self.right + MARGIN, self.y + MARGIN);
        let about = escaped(&format!("{}. {}", subject(matrix), matrix.summary()));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"title about\" \
             width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">\n\
             <title id=\"title\">Who reaches what</title>\n<desc id=\"about\">{about}</desc>\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n{}</svg>\n",
            self.body
        )
    }
}

/// An answer with its mark, and the policy's where it differs.
fn words(cell: &Cell) -> Vec<String> {
    let mark = cell.difference.map(|own| format!("{} ", mark(own))).unwrap_or_default();
    let first = format!("{mark}{}", cell.answer.word());
    std::iter::once(first).chain(instead(cell).map(|own| format!("policy: {own}"))).collect()
}

fn length(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * CHARACTER
}
