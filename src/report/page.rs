//! Pages of Markdown, such as those of the rules, for a terminal.
//!
//! In: Markdown with headings, paragraphs, lists, code. Out: text with colours, wrapped. Invariant: code stays as it is, so that it can be pasted.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

const HEADING: Style = Style::new().bold();
const CODE: Style = AnsiColor::Cyan.on_default();
const INDENT: &str = "    ";

/// A page.
pub fn terminal(markdown: &str, width: usize) -> String {
    let mut out = String::new();
    let mut paragraph = String::new();
    let mut fenced = false;
    for line in markdown.lines() {
        let code = line.strip_prefix(INDENT).filter(|_| paragraph.is_empty());
        if line.starts_with("```") {
            flush(&mut paragraph, width, &mut out);
            fenced = !fenced;
        } else if let Some(code) = if fenced { Some(line) } else { code } {
            let _ = match code.is_empty() {
                true => writeln!(out),
                false => writeln!(out, "{INDENT}{CODE}{code}{CODE:#}"),
            };
        } else if let Some(heading) = line.strip_prefix('#') {
            flush(&mut paragraph, width, &mut out);
            let _ = writeln!(out, "{HEADING}{}{HEADING:#}", heading.trim_start_matches('#').trim());
        } else if line.trim().is_empty() {
            flush(&mut paragraph, width, &mut out);
            out.push('\n');
        } else {
            if line.starts_with(['-', '*', '|']) {
                flush(&mut paragraph, width, &mut out);
            }
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line.trim());
        }
    }
    flush(&mut paragraph, width, &mut out);
    out
}

/// Writes a paragraph, what stands in backticks coloured.
fn flush(paragraph: &mut String, width: usize, out: &mut String) {
    if paragraph.is_empty() {
        return;
    }
    let mut code = false;
    for line in wrapped(&paragraph.replace("**", ""), width) {
        let mut parts = line.split('`').peekable();
        while let Some(part) = parts.next() {
            let _ = match code {
                true => write!(out, "{CODE}{part}{CODE:#}"),
                false => write!(out, "{part}"),
            };
            code ^= parts.peek().is_some();
        }
        out.push('\n');
    }
    paragraph.clear();
}

/// A text in lines of at most so many characters, as far as its words allow; a text in backticks isn't broken.
pub fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut ticks = 0;
    let mut word = String::new();
    for piece in text.split(' ') {
        if !word.is_empty() {
            word.push(' ');
        }
        word.push_str(piece);
        ticks += piece.matches('`').count();
        // A long command in backticks would make one long line: it is broken where it must be.
        if ticks % 2 == 1 && word.chars().count() < most {
            continue;
        }
        let done = std::mem::take(&mut word);
        let Some(last) = lines.last_mut() else { break };
        if !last.is_empty() && last.chars().count() + 1 + done.chars().count() > most {
            lines.push(done);
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(&done);
        }
    }
    if let (Some(last), false) = (lines.last_mut(), word.is_empty()) {
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(&word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a `b c` d", 5), ["a", "`b c`", "d"]);
        assert_eq!(wrapped("a `b c", 20), ["a `b c"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn pages_become_text() {
        let page = terminal("# a\n\nOne `x`\ntwo.\n\n    curl -i\n\n```nginx\na {\n    b;\n}\n```\n", 80);
        let plain = anstream::adapter::strip_str(&page).to_string();
        assert_eq!(plain, "a\n\nOne x two.\n\n    curl -i\n\n    a {\n        b;\n    }\n");
    }
}
