//! What must not be shown of a policy that holds what it shouldn't: literal keys, hashes, passwords.
//!
//! In: the policy's text, which may be broken. Out: the places to hide. Invariant: a value under a name
//! that speaks of a secret, known to the policy or not, is hidden unless it is a reference (`env:NAME`, `file:PATH`); in a comment,
//! and in a line of broken TOML, where nobody knows what is a value, whatever could be a key is hidden too
//! (not a password without quotes on a line without its name: it looks like any word).

use toml::de::{DeTable, DeValue};

use super::file::nearest;
use super::parse::{self, KEY_LENGTH};
use crate::source::{SourceFile, Span};

/// The same file with these places hidden.
pub fn hide(file: &SourceFile) -> SourceFile {
    let (root, errors) = DeTable::parse_recoverable(&file.text);
    let mut found = Found { file, secrets: Vec::new(), strings: Vec::new() };
    found.table(root.get_ref(), false);
    found.strings.sort();
    let mut broken: Vec<usize> = errors.iter().map(|error| error.span().unwrap_or_default().start).collect();
    broken.sort_unstable();
    // Sorted, since a file may have an error in each of its lines.
    let within = |place: &std::ops::Range<usize>| {
        let first = broken.partition_point(|error| *error < place.start);
        broken.get(first).is_some_and(|error| *error < place.end || place.end == file.text.len())
    };
    let mut at = 0;
    for line in file.text.split_inclusive('\n') {
        let place = at..at + line.len();
        if within(&place) {
            text(line, at, &mut found.secrets);
        } else if let Some(comment) = found.comment(line, at) {
            text(&line[comment..], at + comment, &mut found.secrets);
        }
        at = place.end;
    }
    file.hiding(found.secrets)
}

/// Characters of the shortest password that `llmguard key hash` takes.
const SHORTEST_PASSWORD: usize = 12;

/// Words in the name of a key whose value may be a secret.
const SECRET_WORDS: &[&str] = &["key", "password", "passwd", "pwd", "hash", "token", "secret", "bearer", "credential"];

fn is_secret_name(key: &str) -> bool {
    let key = key.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
        || nearest(&key, ["api_key", "password_hash"].into_iter()).is_some()
}

fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// What was found in a file.
struct Found<'f> {
    file: &'f SourceFile,
    secrets: Vec<Span>,
    /// Every string, with its quotes.
    strings: Vec<Span>,
}

impl Found<'_> {
    fn table(&mut self, of: &DeTable<'_>, secret: bool) {
        for (key, item) in of.iter() {
            self.strings.push(Span::new(key.span()));
            // The certificate's key is a path, and a path is what its errors are about.
            let secret = secret || (is_secret_name(key.get_ref()) && key.get_ref() != "private_key");
            self.value(item.get_ref(), Span::new(item.span()), secret);
        }
    }

    fn value(&mut self, of: &DeValue<'_>, span: Span, secret: bool) {
        match of {
            DeValue::Table(inner) if !secret || !self.file.slice(span).starts_with('{') => self.table(inner, secret),
            DeValue::Array(list) => {
                for item in list.iter() {
                    self.value(item.get_ref(), Span::new(item.span()), secret);
                }
            }
            DeValue::String(text) => {
                self.strings.push(span);
                let literal = secret && !is_reference(text) && !text.is_empty();
                if literal || text.contains("PRIVATE KEY") || is_misplaced_key(text) {
                    self.secrets.push(self.inside_quotes(span));
                }
            }
            // No secret is written like this, so whatever it is, it is hidden.
            _ if secret => self.secrets.push(span),
            _ => {}
        }
    }

    /// A string's place without its quotes; text without quotes, as broken TOML may have it, as it is.
    fn inside_quotes(&self, span: Span) -> Span {
        let text = self.file.slice(span);
        let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''));
        let start = usize::from(quote.is_some());
        let end = usize::from(text.len() > 1 && quote.is_some_and(|quote| text.ends_with(quote)));
        Span { start: span.start + start, end: span.end - end }
    }

    /// Where the comment of a line begins.
    fn comment(&self, line: &str, at: usize) -> Option<usize> {
        // Strings are sorted and apart from each other.
        let outside = |place: usize| {
            let next = self.strings.partition_point(|span| span.start < place);
            next.checked_sub(1).and_then(|last| self.strings.get(last)).is_none_or(|span| place >= span.end)
        };
        line.match_indices('#').map(|(hash, _)| hash).find(|hash| outside(at + hash))
    }
}

/// `env:` before something that is no variable's name: the key itself, probably.
fn is_misplaced_key(text: &str) -> bool {
    text.strip_prefix("env:").is_some_and(|name| parse::variable(name).is_err() && parse::could_be_key(name))
}

/// What could be a key in text that is no value: the value under a secret's name, long texts in quotes, and long
/// runs of a key's characters.
fn text(line: &str, at: usize, secrets: &mut Vec<Span>) {
    let in_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let lower = line.to_ascii_lowercase();
    let word = SECRET_WORDS.iter().filter_map(|word| Some(lower.find(word)? + word.len())).min();
    // From the end of the name that has the word in it to the end of the line.
    if let Some(word) = word {
        let text = line[word..].trim_start_matches(in_key).trim_start_matches(|c| " \t=:,\"'[{".contains(c)).trim_end();
        if !is_reference(text) && !text.is_empty() {
            let start = line.trim_end().len() - text.len();
            secrets.push(Span { start: at + start, end: at + start + text.len() });
        }
    }
    let quote = |c: char| matches!(c, '"' | '\'');
    let first_quote = line.find(quote).unwrap_or(line.len());
    for (start, run) in runs(line, |c| !quote(c)) {
        if start > first_quote
            && run.len() >= SHORTEST_PASSWORD
            && !run.contains([' ', '=', '\\', '/', ':'])
            && !is_reference(run)
        {
            secrets.push(Span { start: at + start, end: at + start + run.trim_end().len() });
        }
    }
    for (start, run) in runs(line, in_key) {
        if run.len() >= *KEY_LENGTH.start() && !line[..start].ends_with("env:") {
            secrets.push(Span { start: at + start, end: at + start + run.len() });
        }
    }
}

/// The longest pieces of a text that hold only such characters, each with its place.
fn runs(text: &str, of: impl Fn(char) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split(move |c| !of(c)).map(move |run| {
        let at = start;
        start += run.len();
        start += text[start..].chars().next().map_or(0, char::len_utf8);
        (at, run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_secret_is_shown() {
        for (text, shown) in [
            ("api_key = \"sk-literal\" # c", "api_key = \"***\" # c"),
            ("api_key = [\"env:A\", \"sk\", 'file:b']", "api_key = [\"env:A\", \"***\", 'file:b']"),
            ("password_hash = '$2y$05$abc'", "password_hash = '***'"),
            ("apikey = 'sk'\nname = 'a'", "apikey = '***'\nname = 'a'"),
            (
                "client = [{ name = 'a', api_key = 'sk' }, { Token = 5 }]",
                "client = [{ name = 'a', api_key = '***' }, { Token = *** }]",
            ),
            ("a.secret.b = ['x']\nprivate_key = 'k.pem'", "a.secret.b = ['***']\nprivate_key = 'k.pem'"),
            ("private_key = '-----BEGIN PRIVATE KEY-----'", "private_key = '***'"),
            ("api_key = ['env:sk-1-2-3-4-5-6-7-8', 'env:A-B']", "api_key = ['***', 'env:A-B']"),
            ("api_key = \"sk-literal", "api_key = \"***"),
            ("api_key = sk-literal, # c", "api_key = ***"),
            ("api_key = \"env:A", "api_key = \"env:A"),
            ("a = '#' # password = x", "a = '#' # password = ***"),
            ("x \"abcdefghijklmnopqrst\" y", "x \"***\" y"),
            ("api_key = ['env:A_VERY_LONG_NAME_INDEED', 'ab", "api_key = ['env:A_VERY_LONG_NAME_INDEED', '***"),
        ] {
            let file = hide(&SourceFile::new("x", "x", text));
            assert_eq!(file.shown(Span::new(0..text.len()), 0).0, shown);
        }
    }
}
