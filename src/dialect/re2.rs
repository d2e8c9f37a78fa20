//! Regular expressions of Go (RE2 syntax) as [`Pattern`]s.
//!
//! In: an expression as Go's `regexp.Compile` takes it. Out: the same for the `regex` crate, or why Go refuses it. Invariant: what Go refuses
//! is refused, above all look-around and back references; where the two libraries read the same text differently it is rewritten (facts:
//! regexp/syntax of Go 1.26). Text that isn't UTF-8 must come as [`crate::gateway::Function::Lossy`] makes it.

use regex_syntax::ast::{Ast, RepetitionKind, RepetitionRange};

use std::sync::Arc;

use crate::gateway::{Pattern, Syntax};

/// The largest number in Go's `{n,m}`.
const MOST_REPEATS: u32 = 1000;

/// Compiles an expression. Errors: what Go says against it, in a few words.
pub fn compile(expression: &str) -> Result<Arc<Pattern>, String> {
    Pattern::shared(Syntax::Re2, expression, || compiled(expression))
}

fn compiled(expression: &str) -> Result<Pattern, String> {
    let rewritten = Translator { rest: expression, out: String::new(), repeated: false, groups: 0 }.run()?;
    if regex_syntax::ast::parse::Parser::new().parse(&rewritten).is_ok_and(|ast| !repeats_fit(&ast, MOST_REPEATS)) {
        return Err("invalid repeat count".to_owned());
    }
    match regex::bytes::RegexBuilder::new(&rewritten).size_limit(64 << 20).build() {
        Ok(regex) => Ok(Pattern::Regular(regex)),
        Err(regex::Error::CompiledTooBig(_)) => {
            Ok(Pattern::Opaque("depends on a very large regular expression".into()))
        }
        Err(error) => {
            let text = error.to_string();
            Err(text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
        }
    }
}

/// Whether numbers of repeats within each other, multiplied, are at most `most` (`repeatIsValid` of Go's regexp/syntax). The parser bounds
/// how deep groups stand in each other.
fn repeats_fit(ast: &Ast, most: u32) -> bool {
    match ast {
        Ast::Repetition(repetition) => {
            let count = match &repetition.op.kind {
                RepetitionKind::Range(RepetitionRange::Exactly(0) | RepetitionRange::Bounded(_, 0)) => return true,
                RepetitionKind::Range(RepetitionRange::Exactly(count) | RepetitionRange::AtLeast(count)) => *count,
                RepetitionKind::Range(RepetitionRange::Bounded(_, count)) => *count,
                _ => return repeats_fit(&repetition.ast, most),
            };
            count <= most && repeats_fit(&repetition.ast, most.checked_div(count).unwrap_or(most))
        }
        Ast::Group(group) => repeats_fit(&group.ast, most),
        Ast::Alternation(all) => all.asts.iter().all(|ast| repeats_fit(ast, most)),
        Ast::Concat(all) => all.asts.iter().all(|ast| repeats_fit(ast, most)),
        _ => true,
    }
}

struct Translator<'e> {
    rest: &'e str,
    out: String,
    /// Whether what stands last is a repetition: another one must not follow.
    repeated: bool,
    groups: usize,
}

impl<'e> Translator<'e> {
    fn run(mut self) -> Result<String, String> {
        while let Some(letter) = self.rest.chars().next() {
            let repeated = std::mem::take(&mut self.repeated);
            match letter {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => {
                    self.groups = self.groups.checked_sub(1).ok_or("unexpected )")?;
                    self.take(1);
                }
                '*' | '+' | '?' => {
                    if repeated {
                        return Err("invalid nested repetition operator".to_owned());
                    }
                    self.take(1);
                    self.lazy();
                }
                '{' => match repeat(self.rest) {
                    Some((length, most)) => {
                        if repeated {
                            return Err("invalid nested repetition operator".to_owned());
                        }
                        if most > MOST_REPEATS {
                            return Err("invalid repeat count".to_owned());
                        }
                        self.take(length);
                        self.lazy();
                    }
                    None => self.literal('{'),
                },
                '}' => self.literal('}'),
                other => self.take(other.len_utf8()),
            }
        }
        if self.groups > 0 { Err("missing closing )".to_owned()) } else { Ok(self.out) }
    }

    fn take(&mut self, bytes: usize) {
        let (now, rest) = self.rest.split_at(bytes);
        self.out.push_str(now);
        self.rest = rest;
    }

    fn literal(&mut self, letter: char) {
        self.rest = &self.rest[letter.len_utf8()..];
        self.out.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
    }

    fn lazy(&mut self) {
        if self.rest.starts_with('?') {
            self.take(1);
        }
        self.repeated = true;
    }

    fn group(&mut self) -> Result<(), String> {
        self.groups += 1;
        let Some(inner) = self.rest.strip_prefix("(?") else {
            self.take(1);
            return Ok(());
        };
        if inner.starts_with("P<") || (inner.starts_with('<') && !inner.starts_with("<=") && !inner.starts_with("<!")) {
            let end = inner.find('>').ok_or("invalid named capture")?;
            let name = &inner[inner.find('<').unwrap_or(0) + 1..end];
            if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
                return Err(format!("invalid named capture `{name}`"));
            }
            // Rust's names begin with a letter; what a group is called matters to nobody where Go's may begin with a digit.
            if name.starts_with(|letter: char| letter.is_ascii_digit()) {
                self.rest = &self.rest[end + 3..];
                self.out.push('(');
            } else {
                self.take(end + 3);
            }
            return Ok(());
        }
        let end = inner.find([':', ')']).ok_or("missing closing )")?;
        let flags = &inner[..end];
        let known = flags.chars().all(|letter| "imsU-".contains(letter));
        if !known || flags.matches('-').count() > 1 || flags.ends_with('-') {
            let shown: String = self.rest.chars().take(3).collect();
            return Err(format!("invalid or unsupported Perl syntax: `{shown}`"));
        }
        if inner[end..].starts_with(')') {
            self.groups -= 1;
            if flags.is_empty() {
                return Err("missing argument to repetition operator".to_owned());
            }
        }
        self.take(2 + end + 1);
        Ok(())
    }

    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(letter) = self.rest[1..].chars().next() else { return Err("trailing backslash".to_owned()) };
        let word = match letter {
            'd' | 'D' => "0-9",
            'w' | 'W' => "0-9A-Za-z_",
            's' | 'S' => r"\t\n\f\r ",
            _ => "",
        };
        if !word.is_empty() {
            self.rest = &self.rest[2..];
            let not = if letter.is_ascii_uppercase() { "^" } else { "" };
            self.out.push_str(&format!("[{not}{word}]"));
            return Ok(());
        }
        match letter {
            'Q' if !in_class => {
                let quoted = &self.rest[2..];
                let end = quoted.find("\\E").unwrap_or(quoted.len());
                self.out.push_str(&regex::escape(&quoted[..end]));
                self.rest = quoted[end..].strip_prefix("\\E").unwrap_or_default();
            }
            'b' | 'B' if !in_class => {
                self.rest = &self.rest[2..];
                self.out.push_str(&format!("(?-u:\\{letter})"));
            }
            'A' | 'z' if !in_class => self.take(2),
            'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'p' | 'P' | 'x' => {
                let length = match self.rest[2..].starts_with('{') {
                    true if "pPx".contains(letter) => self.rest.find('}').ok_or("invalid escape")? + 1,
                    _ if letter == 'x' => 4,
                    _ if "pP".contains(letter) => 3,
                    _ => 2,
                };
                if !self.rest.is_char_boundary(length) || length > self.rest.len() {
                    return Err("invalid escape sequence".to_owned());
                }
                self.take(length);
            }
            '0'..='7' => self.octal(letter)?,
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => {
                self.rest = &self.rest[1..];
                self.literal(other);
            }
            other => return Err(format!("invalid escape sequence: `\\{other}`")),
        }
        Ok(())
    }

    fn octal(&mut self, first: char) -> Result<(), String> {
        let digits: String = self.rest[1..].chars().take(3).take_while(|digit| ('0'..='7').contains(digit)).collect();
        if first != '0' && digits.len() == 1 {
            return Err(format!("invalid escape sequence: `\\{first}`"));
        }
        let code = u32::from_str_radix(&digits, 8).unwrap_or_default();
        self.rest = &self.rest[1 + digits.len()..];
        self.out.push_str(&format!("\\x{{{code:x}}}"));
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        self.take(1);
        if self.rest.starts_with('^') {
            self.take(1);
        }
        let mut first = true;
        loop {
            let Some(letter) = self.rest.chars().next() else { return Err("missing closing ]".to_owned()) };
            match letter {
                ']' if !first => {
                    self.take(1);
                    return Ok(());
                }
                '[' => match self.rest.find(":]").filter(|_| self.rest.starts_with("[:")) {
                    Some(end) => self.take(end + 2),
                    None => self.literal('['),
                },
                '\\' => self.escape(true)?,
                '&' | '~' | ']' | '^' => self.literal(letter),
                other => self.take(other.len_utf8()),
            }
            first = false;
        }
    }
}

/// The length of a `{n}`, `{n,}` or `{n,m}` at the start, and its largest number.
fn repeat(text: &str) -> Option<(usize, u32)> {
    let end = text.find('}')?;
    let (least, most) = match text[1..end].split_once(',') {
        Some((least, most)) => (least, most),
        None => (&text[1..end], &text[1..end]),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(least) || !(most.is_empty() || digits(most)) {
        return None;
    }
    let number = |text: &str| text.parse().unwrap_or(u32::MAX);
    Some((end + 1, number(least).max(if most.is_empty() { 0 } else { number(most) })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, text: &[u8]) -> Option<bool> {
        match compile(expression).as_deref() {
            Ok(Pattern::Regular(regex)) => Some(regex.is_match(text)),
            _ => None,
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for expression in [
            "a(?=b)",
            "a(?!b)",
            "(?<=a)b",
            "(?<!a)b",
            r"(a)\1",
            "a**",
            "a{1001}",
            "a{2}{3}",
            "(",
            ")",
            "[a",
            r"\h",
            r"\8",
            "(?x)a",
            "(?P<>a)",
            "*a",
            r"a\",
            "[b-a]",
            "(a{900}){900}",
            "((a{10}){10}){11}",
            "(a{2,}){501}",
        ] {
            assert_eq!(matches(expression, b""), None, "{expression}");
        }
    }

    #[test]
    fn what_both_read_differently_is_read_as_go_does() {
        for (expression, text, expected) in [
            (r"^\d$", "٣", false),
            (r"^\w$", "é", false),
            (r"^[\W]$", "é", true),
            (r"^[[a]$", "[", true),
            (r"^[a&&b]$", "&", true),
            (r"^a{,2}$", "a{,2}", true),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^\<$", "<", true),
            (r"^\057$", "/", true),
            (r"^[]a]$", "]", true),
            (r"^a{2}$", "aa", true),
            (r"(?i)^ABC$", "abc", true),
            ("^.$", "é", true),
            ("^(a{30}){30}$", "a", false),
            ("^(?:a{500}b{500}){2}$", "a", false),
            ("a+?b", "aab", true),
        ] {
            assert_eq!(matches(expression, text.as_bytes()), Some(expected), "{expression} on {text}");
        }
    }
}
