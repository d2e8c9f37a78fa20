//! JSON as Go's encoding/json reads it, with places.
//!
//! In: a file. Out: a [`Document`], and an error where the text is no JSON (RFC 8259; nothing of it is used then). Invariant: iterative,
//! linear time; of a key that stands twice the last value counts, with a warning.

use std::collections::HashMap;

use super::Place;
use super::document::{Document, Entry, Kind, NodeId, Style};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::{SourceFile, Span};

/// How deep lists and maps may stand in each other (encoding/json).
const MOST_DEPTH: usize = 10_000;

/// Reads a file. `file` is the index that its places get.
pub fn read(file: usize, source: &SourceFile, sink: &mut Sink) -> Document {
    let mut reader = Reader { text: &source.text, at: 0, file, document: Document::default(), repeated: Vec::new() };
    match reader.document() {
        Ok(root) => reader.document.root = Some(root),
        Err(Fault { at, what }) => {
            let end = source.text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
            let message = Diagnostic::new(Severity::Error, format!("this is not JSON: {what}"));
            sink.push(message.at(source, Span::new(at..end), ""));
            return Document::default();
        }
    }
    for (key, span) in std::mem::take(&mut reader.repeated) {
        let message = Diagnostic::new(Severity::Warning, format!("the key `{key}` stands twice: only the last counts"));
        sink.push(message.at(source, span, "").help("remove one of the two"));
    }
    reader.document
}

/// Why a text is no JSON.
struct Fault {
    at: usize,
    what: &'static str,
}

/// A list or map that isn't closed yet.
enum Open {
    List { start: usize, items: Vec<NodeId> },
    Map { start: usize, entries: Vec<Entry>, known: HashMap<Box<str>, usize>, key: Option<(Box<str>, Place)> },
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    file: usize,
    document: Document,
    repeated: Vec<(Box<str>, Span)>,
}

impl Reader<'_> {
    fn place(&self, start: usize) -> Place {
        Place::new(self.file, Span::new(start..self.at))
    }

    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault<T>(&self, what: &'static str) -> Result<T, Fault> {
        Err(Fault { at: self.at, what })
    }

    fn document(&mut self) -> Result<NodeId, Fault> {
        let root = self.value()?;
        match self.peek() {
            None => Ok(root),
            Some(_) => self.fault("something follows the end of the value"),
        }
    }

    fn value(&mut self) -> Result<NodeId, Fault> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let mut done = match self.opened(&mut open)? {
                Some(node) => node,
                None => continue,
            };
            // What is complete goes into what is open, which may complete that.
            loop {
                match open.last_mut() {
                    None => return Ok(done),
                    Some(Open::List { items, .. }) => items.push(done),
                    Some(Open::Map { entries, known, key, .. }) => {
                        let Some((key, key_place)) = key.take() else { return self.fault("a value without a key") };
                        let entry = Entry { key: key.clone(), key_place, value: done };
                        match known.get(&key) {
                            Some(&at) => {
                                self.repeated.push((key, key_place.span()));
                                entries[at] = entry;
                            }
                            None => {
                                known.insert(key, entries.len());
                                entries.push(entry);
                            }
                        }
                    }
                }
                let close = if matches!(open.last(), Some(Open::List { .. })) { b']' } else { b'}' };
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        break;
                    }
                    Some(byte) if byte == close => {
                        self.at += 1;
                        done = self.closed(&mut open)?;
                    }
                    _ => return self.fault("a comma or the end of the list or map is missing"),
                }
            }
        }
    }

    /// Reads on from where a value (or a key and its value) stands. `None`: a list or map was opened.
    fn opened(&mut self, open: &mut Vec<Open>) -> Result<Option<NodeId>, Fault> {
        self.peek();
        if let Some(Open::Map { .. }) = open.last() {
            let start = self.at;
            if self.peek() != Some(b'"') {
                return self.fault("a key in double quotes is missing");
            }
            let key = self.string()?;
            let place = self.place(start);
            if self.peek() != Some(b':') {
                return self.fault("a colon is missing");
            }
            self.at += 1;
            if let Some(Open::Map { key: slot, .. }) = open.last_mut() {
                *slot = Some((key.into(), place));
            }
        }
        let next = self.peek();
        let start = self.at;
        if !matches!(next, Some(b'{' | b'[')) {
            return self.scalar(next).map(Some);
        }
        if open.len() >= MOST_DEPTH {
            return self.fault("lists and maps stand too deep in each other");
        }
        self.at += 1;
        let list = next == Some(b'[');
        open.push(match list {
            true => Open::List { start, items: Vec::new() },
            false => Open::Map { start, entries: Vec::new(), known: HashMap::new(), key: None },
        });
        if self.peek() == Some(if list { b']' } else { b'}' }) {
            self.at += 1;
            return self.closed(open).map(Some);
        }
        Ok(None)
    }

    fn closed(&mut self, open: &mut Vec<Open>) -> Result<NodeId, Fault> {
        let (start, kind) = match open.pop() {
            Some(Open::List { start, items }) => (start, Kind::List(items.into())),
            Some(Open::Map { start, entries, .. }) => (start, Kind::Map(entries.into())),
            None => return self.fault("nothing is open here"),
        };
        let place = self.place(start);
        Ok(self.document.add(place, kind))
    }

    fn scalar(&mut self, next: Option<u8>) -> Result<NodeId, Fault> {
        let start = self.at;
        let kind = match next {
            None => return self.fault("the text ends before the value"),
            Some(b'"') => Kind::Scalar(self.string()?.into(), Style::Quoted),
            Some(_) => {
                let rest = &self.text[start..];
                let word = &rest
                    [..rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count()];
                self.at += word.len();
                match word {
                    "null" => Kind::Null,
                    "true" | "false" => Kind::Scalar(word.into(), Style::Plain),
                    number if is_number(number) => Kind::Scalar(number.into(), Style::Plain),
                    _ => return Err(Fault { at: start, what: "this is no value" }),
                }
            }
        };
        let place = self.place(start);
        Ok(self.document.add(place, kind))
    }

    /// A string from its opening quote on.
    fn string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().take_while(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\').count();
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return self.fault("a control character in a string"),
                None => return self.fault("a string without an end"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let letter = self.text.as_bytes().get(self.at + 1);
        let plain = match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return self.fault("no such escape"),
        };
        self.at += 2;
        Ok(plain)
    }

    /// `\uXXXX`, two for a character beyond U+FFFF; half of one is U+FFFD.
    fn unicode(&mut self) -> Result<char, Fault> {
        let unit = |at: usize| {
            let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            u16::from_str_radix(digits, 16).ok()
        };
        let Some(first) = unit(self.at) else { return self.fault("no such escape") };
        let second = unit(self.at + 6).filter(|_| (0xd800..0xdc00).contains(&first));
        let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
        self.at += if pair.is_some() { 12 } else { 6 };
        Ok(pair.or_else(|| char::from_u32(first.into())).unwrap_or('\u{fffd}'))
    }
}

/// Whether a word is a number of JSON.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (number, exponent) = match word.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        None => (word, "0"),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && digits(part) && digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::document::Ref;

    fn shown(node: Ref<'_>) -> String {
        match &node.node().unwrap().kind {
            Kind::Null => "null".to_owned(),
            Kind::Scalar(text, Style::Quoted) => format!("{text:?}"),
            Kind::Scalar(text, Style::Plain) => text.to_string(),
            Kind::List(_) => format!("[{}]", node.items().map(shown).collect::<Vec<_>>().join(",")),
            Kind::Map(_) => {
                let entries = node.entries().map(|(entry, value)| format!("{}:{}", entry.key, shown(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
            Kind::Alias(_) => "*".to_owned(),
        }
    }

    fn read_text(text: &str) -> (Document, Sink) {
        let mut sink = Sink::default();
        (read(0, &SourceFile::new("x.json", "x.json", text), &mut sink), sink)
    }

    #[test]
    fn values_have_their_places() {
        let text = r#" {"a": [1, -2.5e3, true, null, "x\u00e9\ud83d\ude00\n"], "b": {}, "c": []} "#;
        let (document, sink) = read_text(text);
        assert!(sink.list.is_empty());
        let root = document.root().unwrap();
        assert_eq!(shown(root), "{a:[1,-2.5e3,true,null,\"xé😀\\n\"],b:{},c:[]}");
        let span = root.get("a").unwrap().items().nth(1).unwrap().place().span();
        assert_eq!(&text[span.start..span.end], "-2.5e3");
        let span = root.get("b").unwrap().place().span();
        assert_eq!(&text[span.start..span.end], "{}");
    }

    #[test]
    fn of_a_repeated_key_the_last_counts() {
        let (document, sink) = read_text(r#"{"a": 1, "b": 2, "a": 3}"#);
        assert_eq!(shown(document.root().unwrap()), "{a:3,b:2}");
        assert_eq!(sink.list.len(), 1);
    }

    #[test]
    fn what_is_no_json_is_told() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{a:1}",
            "01",
            "1.",
            "\"\u{1}\"",
            "\"\\x\"",
            "[1] 2",
            "nul",
            "[",
            "{\"a\":1,}",
            "\"",
            "'a'",
        ] {
            let (document, sink) = read_text(text);
            assert!(document.root.is_none() && sink.has_errors(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(read_text(&deep).1.has_errors());
    }
}
