//! The matrix as a page: tables with headings, light and dark, without scripts and without anything from elsewhere.

use super::*;

const STYLE: &str = include_str!("page.css");

pub(super) fn write(matrix: &Matrix) -> String {
    let mut page = Page(String::new());
    page.head(matrix);
    for way in &matrix.ways {
        page.way(matrix, way);
    }
    page.told(matrix);
    page.notes(matrix);
    page.line("</main>\n</body>\n</html>");
    page.0
}

/// Text as markup.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A text whose parts in backticks are code.
fn with_code(text: &str) -> String {
    let part = |(at, part): (usize, &str)| match at % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    };
    text.split('`').enumerate().map(part).collect()
}

struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn head(&mut self, matrix: &Matrix) {
        let subject = escaped(&subject(matrix));
        self.line("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
        self.line("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        self.line("<meta name=\"generator\" content=\"llmguard\">");
        self.line(&format!(
            "<title>Who reaches what: {subject}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>"
        ));
        self.line(&format!("<h1>Who reaches what</h1>\n<p class=\"about\">{subject}</p>"));
        if matrix.compared {
            let bad = matrix.count(Difference::Looser) > 0;
            let class = if bad {
                "sum bad"
            } else if matrix.differs() {
                "sum mild"
            } else {
                "sum"
            };
            self.line(&format!("<p class=\"{class}\">{}</p>", escaped(&matrix.summary())));
        }
    }

    fn way(&mut self, matrix: &Matrix, way: &Way) {
        let names: Vec<String> =
            way_names(matrix, way).iter().map(|name| format!("<span>{}</span>", escaped(name))).collect();
        self.line(&format!("<section>\n<h2>{}</h2>", names.concat()));
        let label = escaped(&way_names(matrix, way).join("; "));
        self.line(&format!("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{label}\">\n<table>"));
        self.line("<caption>Open a group to see its endpoints.</caption>");
        self.line("<thead>\n<tr>\n<th scope=\"col\">endpoints</th>");
        for column in &way.columns {
            self.line(&format!("<th scope=\"col\"><span>{}</span></th>", escaped(&who(&matrix.columns[*column]))));
        }
        self.line("</tr>\n</thead>\n<tbody>");
        for row in &way.rows {
            self.row(way, row);
        }
        self.line("</tbody>\n</table>\n</div>");
        if let Some(limits) = limits(matrix, way) {
            self.line(&format!("<p class=\"limits\">Limits: {}</p>", with_code(&limits)));
        }
        self.line("</section>");
    }

    fn row(&mut self, way: &Way, row: &Row) {
        let items: Vec<String> =
            row.endpoints.iter().map(|endpoint| format!("<li><code>{}</code></li>", escaped(endpoint))).collect();
        let mut ends = shown_endpoints(row);
        if ends.is_empty() {
            ends.extend(deeds(&row.group).map(str::to_owned));
        }
        let ends: Vec<String> =
            ends.iter().map(|own| format!("<span class=\"ends\">{}</span>", escaped(own))).collect();
        self.line("<tr>");
        self.line(&format!(
            "<th scope=\"row\"><details><summary>{}<span class=\"count\">{}</span>{}</summary><ul>{}</ul></details></th>",
            escaped(&row.group),
            share(way, row),
            ends.concat(),
            items.concat()
        ));
        for cell in &row.cells {
            let title = cell.place.as_ref().map(|place| {
                format!(" title=\"{}\"", escaped(&format!("{}:{} {}", place.file, place.line, place.note)))
            });
            let mark = cell.difference.map(|own| format!("{} ", mark(own))).unwrap_or_default();
            let instead =
                instead(cell).map(|own| format!("<small>policy: {}</small>", escaped(&own))).unwrap_or_default();
            let word = escaped(&cell.answer.word());
            self.line(&format!(
                "<td class=\"{}\"{}><span>{mark}{word}</span>{instead}</td>",
                class(cell),
                title.unwrap_or_default()
            ));
        }
        self.line("</tr>");
    }

    fn told(&mut self, matrix: &Matrix) {
        let (told, rest) = told(matrix);
        if told.is_empty() {
            return;
        }
        self.line("<section>\n<h2>What differs, and where</h2>\n<ul class=\"told\">");
        for told in told {
            let place = told.place.map(|place| format!(" <code>{}</code>", escaped(&place))).unwrap_or_default();
            self.line(&format!("<li><b>{}</b>{}{place}</li>", mark(told.difference), with_code(&told.text)));
        }
        if rest > 0 {
            self.line(&format!("<li>and {rest} more</li>"));
        }
        self.line("</ul>\n</section>");
    }

    fn notes(&mut self, matrix: &Matrix) {
        self.line("<section>\n<h2>How to read it</h2>\n<dl>");
        for (word, meaning) in legend(matrix) {
            self.line(&format!("<dt>{}</dt><dd>{}</dd>", escaped(&word), escaped(meaning)));
        }
        for (name, text) in footnotes(matrix) {
            self.line(&format!("<dt>{}</dt><dd>{}</dd>", escaped(name), with_code(&text)));
        }
        self.line("</dl>\n</section>");
    }
}

/// The class of a cell, for its colours.
pub(super) fn class(cell: &Cell) -> &'static str {
    match (cell.difference, &cell.answer) {
        (Some(difference), _) => difference.name(),
        (None, Answer::Passes) => "pass",
        (None, Answer::Unknown) => "unsure",
        (None, _) => "stop",
    }
}
