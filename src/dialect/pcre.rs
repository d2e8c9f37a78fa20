//! Regular expressions of PCRE → the model's patterns.
//!
//! In: a pattern as a config holds it. Out: a [`Pattern`] that matches the same bytes, its groups numbered alike and their names in lower
//! case, as nginx's variables are. Invariant: what this crate's engines can't say exactly is [`Pattern::Opaque`], never something near it.
//! Why one is opaque never quotes it: it may hold a key. nginx hands patterns to PCRE as bytes, without UTF mode: letters are ASCII, `.` is any byte but a line feed.

use std::sync::Arc;

use crate::gateway::{Pattern, Syntax};

/// Reads a pattern. Errors: it is malformed, so that no server takes it.
pub fn pattern(text: &[u8], caseless: bool) -> Result<Arc<Pattern>, String> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok(Arc::new(Pattern::Opaque("a regular expression that is not UTF-8".into())));
    };
    let syntax = if caseless { Syntax::PcreAnyCase } else { Syntax::Pcre };
    Pattern::shared(syntax, text, || compiled(text, caseless))
}

fn compiled(text: &str, caseless: bool) -> Result<Pattern, String> {
    let mut reader =
        Reader { text: text.as_bytes(), at: 0, out: String::with_capacity(text.len() + 16), needs: Needs::Regular };
    reader.run();
    let out = reader.out;
    match reader.needs {
        Needs::Unknown(what) => Ok(Pattern::Opaque(format!("a regular expression that holds {what}").into())),
        Needs::Fancy => {
            let flags = if caseless { "(?i)" } else { "" };
            match fancy_regex::Regex::new(&format!("{flags}{out}")) {
                Ok(regex) => Ok(Pattern::Fancy(Box::new(regex))),
                Err(_) => Ok(Pattern::Opaque("a regular expression that is not understood".into())),
            }
        }
        Needs::Regular => {
            match regex::bytes::RegexBuilder::new(&out).unicode(false).case_insensitive(caseless).build() {
                Ok(regex) => Ok(Pattern::Regular(regex)),
                Err(regex::Error::Syntax(_)) => Err(format!("`{text}` is not a regular expression")),
                Err(_) => Ok(Pattern::Opaque("a regular expression that is too large".into())),
            }
        }
    }
}

/// The names of the groups of a pattern, in lower case.
pub fn group_names(text: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in text.windows(2).enumerate().filter(|(_, pair)| pair == b"(?") {
        let rest = &text[at + 2..];
        let rest = rest.strip_prefix(b"P").unwrap_or(rest);
        let Some((open, rest)) = rest.split_first() else { continue };
        let close = match open {
            b'<' => b'>',
            b'\'' => b'\'',
            _ => continue,
        };
        let Some(end) = rest.iter().position(|&byte| byte == close) else { continue };
        let name = &rest[..end];
        if !name.is_empty() && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            names.push(String::from_utf8_lossy(name).to_ascii_lowercase());
        }
    }
    names
}

/// Which engine can say it.
enum Needs {
    Regular,
    Fancy,
    Unknown(&'static str),
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    out: String,
    needs: Needs,
}

impl Reader<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.escape(false),
                b'[' => self.class(),
                b'(' => self.group(),
                b'$' => self.out.push_str(r"(?:\n?\z)"),
                b'{' if !self.is_count() => self.out.push_str(r"\{"),
                b'*' | b'+' | b'?' | b'}' => {
                    self.out.push(char::from(byte));
                    if self.peek() == Some(b'+') && (byte != b'}' || self.closes_count()) {
                        self.fancy();
                    }
                }
                _ => self.literal_or_same(byte),
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn fancy(&mut self) {
        if matches!(self.needs, Needs::Regular) {
            self.needs = Needs::Fancy;
        }
    }

    fn unknown(&mut self, what: &'static str) {
        self.needs = Needs::Unknown(what);
    }

    /// Whether `{` at the place before begins a repetition (`{n}`, `{n,}`, `{n,m}`).
    fn is_count(&self) -> bool {
        let rest = &self.text[self.at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'}') else { return false };
        let (first, second) = match rest[..end].iter().position(|&byte| byte == b',') {
            Some(comma) => (&rest[..comma], &rest[comma + 1..end]),
            None => (&rest[..end], &rest[..0]),
        };
        !first.is_empty() && first.iter().chain(second).all(u8::is_ascii_digit)
    }

    /// Whether the `}` before the place closes a repetition.
    fn closes_count(&self) -> bool {
        let before = &self.text[..self.at - 1];
        let digits = before.iter().rev().take_while(|&&byte| byte.is_ascii_digit() || byte == b',').count();
        digits > 0 && before.len().checked_sub(digits + 1).and_then(|at| before.get(at)) == Some(&b'{')
    }

    fn literal_or_same(&mut self, byte: u8) {
        if byte.is_ascii() {
            self.out.push(char::from(byte));
        } else {
            self.out.push_str(&format!(r"\x{byte:02X}"));
        }
    }

    fn literal(&mut self, byte: u8) {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            self.out.push(char::from(byte));
        } else {
            self.out.push_str(&format!(r"\x{byte:02X}"));
        }
    }

    fn escape(&mut self, in_class: bool) {
        let Some(byte) = self.peek() else { return self.unknown("a backslash at its end") };
        self.at += 1;
        match byte {
            b'd' | b'D' | b'w' | b'W' | b's' | b'S' | b'n' | b'r' | b't' | b'f' | b'a' => {
                self.out.push('\\');
                self.out.push(char::from(byte));
            }
            b'b' if in_class => self.out.push_str(r"\x08"),
            b'b' | b'B' | b'A' | b'z' if !in_class => {
                self.out.push('\\');
                self.out.push(char::from(byte));
            }
            b'Z' if !in_class => self.out.push_str(r"(?:\n?\z)"),
            b'N' if !in_class => self.out.push_str(r"[^\n]"),
            b'h' if !in_class => self.out.push_str(r"[\t \xA0]"),
            b'v' if !in_class => self.out.push_str(r"[\n\x0B\x0C\r\x85]"),
            b'e' => self.out.push_str(r"\x1B"),
            b'x' => self.hexadecimal(),
            b'Q' if !in_class => {
                let rest = &self.text[self.at..];
                let end = rest.windows(2).position(|pair| pair == br"\E").unwrap_or(rest.len());
                let quoted = rest[..end].to_vec();
                self.at = (self.at + end + 2).min(self.text.len());
                quoted.into_iter().for_each(|byte| self.literal(byte));
            }
            b'E' => {}
            b'1'..=b'9' | b'k' | b'g' if !in_class => {
                self.fancy();
                self.out.push('\\');
                self.out.push(char::from(byte));
                if byte == b'g' {
                    self.unknown("a reference by `\\g`");
                }
            }
            byte if byte.is_ascii_alphanumeric() => self.unknown("an escape that is not understood"),
            byte => self.literal(byte),
        }
    }

    fn hexadecimal(&mut self) {
        let rest = &self.text[self.at..];
        let digits = rest.iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let value = rest.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok());
        match value.map(|digits| u8::from_str_radix(digits, 16).unwrap_or(0)) {
            Some(value) if self.peek() != Some(b'{') => {
                self.at += digits;
                self.literal(value);
            }
            _ => self.unknown("an escape that is not understood"),
        }
    }

    /// A class: what this crate's engine takes for an operator inside it is escaped.
    fn class(&mut self) {
        self.out.push('[');
        if self.peek() == Some(b'^') {
            self.at += 1;
            self.out.push('^');
        }
        let first = self.at;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b']' if self.at - 1 == first => self.out.push_str(r"\]"),
                b']' => return self.out.push(']'),
                b'[' if self.peek() == Some(b':') => {
                    let rest = &self.text[self.at..];
                    match rest.windows(2).position(|pair| pair == b":]") {
                        Some(end) => {
                            self.out.push('[');
                            self.out.extend(rest[..end + 2].iter().map(|&byte| char::from(byte)));
                            self.at += end + 2;
                        }
                        None => self.out.push_str(r"\["),
                    }
                }
                b'\\' => self.escape(true),
                b'-' if self.at - 1 == first || self.peek() == Some(b']') => self.out.push_str(r"\-"),
                b'-' if self.peek() == Some(b'-') => self.unknown("`--` in a class"),
                b'-' => self.out.push('-'),
                byte => self.literal(byte),
            }
        }
        self.unknown("a class without an end");
    }

    fn group(&mut self) {
        let rest = &self.text[self.at..];
        if rest.first() == Some(&b'*') {
            return self.unknown("a verb");
        }
        if rest.first() != Some(&b'?') {
            return self.out.push('(');
        }
        let rest = &rest[1..];
        let named = |start: &[u8], close: u8| {
            let name = rest.strip_prefix(start)?;
            let end = name.iter().position(|&byte| byte == close)?;
            let name = String::from_utf8_lossy(&name[..end]).to_ascii_lowercase();
            (!name.is_empty()).then_some((name, 1 + start.len() + end + 1))
        };
        let around: [&[u8]; 5] = [b"=", b"!", b"<=", b"<!", b">"];
        if let Some(kind) = around.iter().find(|kind| rest.starts_with(kind)) {
            self.fancy();
            self.at += 1 + kind.len();
            self.out.push_str("(?");
            self.out.extend(kind.iter().map(|&byte| char::from(byte)));
            return;
        }
        if let Some((name, length)) = named(b"<", b'>').or_else(|| named(b"P<", b'>')).or_else(|| named(b"'", b'\'')) {
            self.at += length;
            self.out.push_str(&format!("(?P<{name}>"));
            return;
        }
        if rest.starts_with(b"#") {
            self.at += 1 + rest.iter().position(|&byte| byte == b')').map_or(rest.len(), |end| end + 1);
            return;
        }
        let flags = rest.iter().take_while(|byte| matches!(byte, b'i' | b's' | b'-')).count();
        match rest.get(flags) {
            Some(b':' | b')') => {
                self.at += 1 + flags + 1;
                self.out.push_str("(?");
                self.out.extend(rest[..=flags].iter().map(|&byte| char::from(byte)));
            }
            _ => self.unknown("a group that is not understood"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str, on: &[u8]) -> bool {
        match &*pattern(text.as_bytes(), false).unwrap() {
            Pattern::Regular(regex) => regex.is_match(on),
            Pattern::Fancy(regex) => regex.is_match(std::str::from_utf8(on).unwrap()).unwrap(),
            Pattern::Opaque(why) => unreachable!("{why}"),
        }
    }

    #[test]
    fn patterns_match_as_pcre_does() {
        for (text, yes, no) in [
            (r"^/v1/models$", &b"/v1/models\n"[..], &b"/v1/models\n\n"[..]),
            (r"^/v1/models\z", b"/v1/models", b"/v1/models\n"),
            (r"^/a{foo}$", b"/a{foo}", b"/a"),
            (r"^/a{2,3}$", b"/aaa", b"/a"),
            (r"^/[]a]$", b"/]", b"/b"),
            (r"^[a&&b]+$", b"a&b", b"c"),
            (r"^/[\w\-.]+$", b"/a-b.c_d", b"/a b"),
            (r"^/(?!admin)", b"/x", b"/admin"),
            (r"^/a++b$", b"/aab", b"/a"),
            (r"^/(?i:api)/x$", b"/API/x", b"/API/X"),
            (r"^(?<Name>\d+)\/$", b"12/", b"x/"),
            (r"^.$", b"\xff", b"\n\n"),
            (r"^/\Qa.b\E$", b"/a.b", b"/axb"),
            (r"^[^\d]\x41$", b"-A", b"1A"),
            (r"^/[[:alpha:]]+$", b"/ab", b"/1"),
        ] {
            assert!(matches(text, yes), "{text} {}", yes.escape_ascii());
            assert!(!matches(text, no), "{text} {}", no.escape_ascii());
        }
        assert_eq!(group_names(br"^(?<A>x)(?P<b>y)(?'c'z)(?:w)(?<=q)"), ["a", "b", "c"]);
        assert!(pattern(b"(a", false).is_err());
        assert!(matches!(pattern(b"(?|a)", false).as_deref(), Ok(Pattern::Opaque(_))));
    }
}
