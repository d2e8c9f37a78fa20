//! `.env` files as Compose reads them: interpolation's `.env`, `env_file` and `label_file`.
//!
//! In: the text and the variables that it may name. Out: names with their values in order, or what is wrong. Invariant: as compose-go
//! 2.9.1 (dotenv/parser.go): values in double quotes and bare ones are interpolated, those in single quotes aren't.

use super::super::{Variable, Variables};
use super::interpolate::{Stop, interpolate};
use crate::source::Span;

/// A variable of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where it stands.
    pub span: Span,
    /// The variable that its value depends on and that isn't known.
    pub unknown: Option<String>,
}

/// Why a file can't be read, and where.
pub type Problem = (usize, String);

/// Reads a file. `known` wins over the file's own variables in values, as the environment does.
pub fn parse(text: &str, known: &Variables) -> Result<Vec<Line>, Problem> {
    let mut lines: Vec<Line> = Vec::new();
    let mut own = known.clone();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while let Some(start) = statement(rest) {
        rest = &rest[start..];
        let at = text.len() - rest.len();
        let (name, value) = key(rest).ok_or_else(|| (at, "this is no variable: write NAME=VALUE".to_owned()))?;
        let (value, quoted, behind) = match value {
            Some(value) => extract(value).ok_or_else(|| (at, "the quote isn't closed".to_owned()))?,
            None => {
                // A name alone takes its value from the environment, or is nothing.
                if let Variable::Set(value) = known.get(name) {
                    lines.push(Line { name: name.into(), value: value.into(), span: span(at, name), unknown: None });
                }
                rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
                continue;
            }
        };
        let (value, unknown) = match quoted {
            Some(b'\'') => (value, None),
            _ => {
                let done = interpolate(&value, &own).map_err(|stop| (at, refusal(stop)))?;
                let unknown = done.unknown().map(str::to_owned);
                (done.text, unknown)
            }
        };
        if !known.values.contains_key(name) {
            own.values.insert(name.to_owned(), value.clone());
        }
        lines.push(Line { name: name.to_owned(), value, span: span(at, name), unknown });
        rest = behind;
    }
    Ok(lines)
}

fn span(at: usize, name: &str) -> Span {
    Span { start: at, end: at + name.len() }
}

fn refusal(stop: Stop) -> String {
    match stop {
        Stop::Invalid => "a `$` begins no variable: write `$$` for the sign itself".to_owned(),
        Stop::TooLong => "the value grows too long".to_owned(),
        Stop::Required(name, _) => format!("`{name}` must be set"),
    }
}

/// Where the next statement begins.
fn statement(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        at += rest.len() - rest.trim_start().len();
        if !text[at..].starts_with('#') {
            return (at < text.len()).then_some(at);
        }
        at += text[at..].find('\n').unwrap_or(text.len() - at);
    }
}

/// The name at the beginning, and what follows its `=`; no value: the line ends without one.
fn key(text: &str) -> Option<(&str, Option<&str>)> {
    let blank = |c: char| matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}');
    let text = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start_matches(blank),
        _ => text,
    };
    let end = text.find(['=', ':', '\n']);
    let fits = |c: char| blank(c) || c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
    // Without any of these Compose takes the text for an empty name; that is never meant.
    let name = text.get(..end?)?;
    let trimmed = name.trim_end();
    if trimmed.is_empty() || !name.chars().all(fits) || trimmed.contains(' ') {
        return None;
    }
    let value = (text.as_bytes()[name.len()] != b'\n').then(|| text[name.len() + 1..].trim_start_matches(blank));
    Some((trimmed, value))
}

/// A value, the quotes that it stood in, and what follows it.
fn extract(text: &str) -> Option<(String, Option<u8>, &str)> {
    let Some(quote) = text.bytes().next().filter(|byte| matches!(byte, b'"' | b'\'')) else {
        let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
        let value = line.split(" #").next().unwrap_or_default();
        return Some((value.trim_end().to_owned(), None, rest));
    };
    let mut value = Vec::new();
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        if byte == quote && !escaped {
            let value = String::from_utf8_lossy(&value).into_owned();
            let value = if quote == b'"' { unescape(&value) } else { value };
            return Some((value, Some(quote), &text[at + 1..]));
        }
        if byte == b'\\' && !escaped {
            escaped = true;
            continue;
        }
        if escaped && byte != quote {
            value.push(b'\\');
        }
        escaped = false;
        value.push(byte);
    }
    None
}

/// Go's escapes, as far as Compose knows them; `\$` becomes `$$`, which stands for the sign itself.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(next) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let digits = rest.bytes().skip(1).take(3).take_while(u8::is_ascii_digit).count();
        let (known, length) = match next {
            'a' => (Some('\u{7}'), 1),
            'b' => (Some('\u{8}'), 1),
            'f' => (Some('\u{c}'), 1),
            'n' => (Some('\n'), 1),
            'r' => (Some('\r'), 1),
            't' => (Some('\t'), 1),
            'v' => (Some('\u{b}'), 1),
            '"' | '\\' => (Some(next), 1),
            '0' => (u8::from_str_radix(&rest[1..=digits], 8).ok().filter(|_| digits == 3).map(char::from), 1 + digits),
            _ => (None, next.len_utf8()),
        };
        match (next, known) {
            ('$', _) => out.push_str("$$"),
            (_, Some(known)) => out.push(known),
            (_, None) => {
                out.push('\\');
                out.push_str(&rest[..length]);
            }
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_mean_what_compose_makes_of_them() {
        let known =
            Variables { values: [("H".to_owned(), "host".to_owned())].into(), complete: true, ..Default::default() };
        let text = "\u{feff}# c\nA=1\n export B = two words # c\nC='$A \\n'\nD=\"$A\\n\\$A\\\"\"\nE: ${A}#x\nH\nG\nH=own\nI=$H\nJ=\nK='a\nb'\nL=last";
        let lines = parse(text, &known).unwrap();
        let lines: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.value.as_str())).collect();
        assert_eq!(
            lines,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "$A \\n"),
                ("D", "1\n$A\""),
                ("E", "1#x"),
                ("H", "host"),
                ("H", "own"),
                ("I", "host"),
                ("J", ""),
                ("K", "a\nb"),
                ("L", "last"),
            ]
        );
        for text in ["A B=1\n", "A='x", "A=${", "é$=1", "=x\n"] {
            assert!(parse(text, &known).is_err(), "{text}");
        }
    }
}
