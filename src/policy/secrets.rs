//! What must not be shown of a policy that holds what it shouldn't: literal keys, hashes, passwords.
//!
//! In: the policy's text, which may be broken. Out: the places to hide. Invariant: a value under a name
//! that speaks of a secret, known to the policy or not, is hidden unless it is a reference (`env:NAME`, `file:PATH`); in a line of
//! broken TOML, where nobody knows what is a value, whatever could be a key is hidden too.

use toml::de::{DeTable, DeValue};

use super::parse::{self, KEY_LENGTH};
use crate::source::{SourceFile, Span};

/// The same file with these places hidden.
pub fn hide(file: &SourceFile) -> SourceFile {
    let (root, errors) = DeTable::parse_recoverable(&file.text);
    let mut secrets = Vec::new();
    table(root.get_ref(), &mut secrets);
    for error in errors {
        let start = error.span().unwrap_or_default().start.min(file.text.len());
        let line_start = file.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = file.text[line_start..].lines().next().unwrap_or_default();
        broken_line(line, line_start, &mut secrets);
    }
    file.hiding(secrets)
}

/// Words in the name of a key whose value may be a secret.
const SECRET_WORDS: &[&str] = &["key", "password", "passwd", "pwd", "hash", "token", "secret", "bearer", "credential"];

fn is_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

fn table(of: &DeTable<'_>, secrets: &mut Vec<Span>) {
    for (key, item) in of.iter() {
        // The certificate's key is a path, and a path is what its errors are about.
        let secret = is_secret_name(key.get_ref()) && key.get_ref() != "private_key";
        value(item.get_ref(), Span::new(item.span()), secret, secrets);
    }
}

fn value(of: &DeValue<'_>, span: Span, secret: bool, secrets: &mut Vec<Span>) {
    match of {
        DeValue::Table(inner) => table(inner, secrets),
        DeValue::Array(list) => {
            for item in list.iter() {
                value(item.get_ref(), Span::new(item.span()), secret, secrets);
            }
        }
        DeValue::String(text)
            if ((secret && !is_reference(text) && !text.is_empty())
                || text.contains("PRIVATE KEY")
                || is_misplaced_key(text)) =>
        {
            let quote = if span.end - span.start >= 2 { 1 } else { 0 };
            secrets.push(Span { start: span.start + quote, end: span.end - quote });
        }
        _ if secret => secrets.push(span),
        _ => {}
    }
}

/// `env:` before something that is no variable's name: the key itself, probably.
fn is_misplaced_key(text: &str) -> bool {
    text.strip_prefix("env:").is_some_and(|name| parse::variable(name).is_err() && parse::could_be_key(name))
}

/// What could be a key in a line that is not TOML: the value under a secret's name, and long runs of a key's characters.
fn broken_line(line: &str, at: usize, secrets: &mut Vec<Span>) {
    let in_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if let Some((name, value)) = line.split_once('=')
        && is_secret_name(name)
    {
        let text = value.trim_start_matches([' ', '\t', '"', '\'', '[']);
        if !is_reference(text) {
            secrets.push(Span { start: at + line.len() - text.len(), end: at + line.trim_end().len() });
        }
    }
    let mut start = 0;
    for run in line.split(|c| !in_key(c)) {
        if run.len() >= *KEY_LENGTH.start() && !line[..start].ends_with("env:") {
            secrets.push(Span { start: at + start, end: at + start + run.len() });
        }
        start += run.len();
        start += line[start..].chars().next().map_or(0, char::len_utf8);
    }
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
            ("a.secret.b = ['x']\nprivate_key = 'k.pem'", "a.secret.b = ['x']\nprivate_key = 'k.pem'"),
            ("private_key = '-----BEGIN PRIVATE KEY-----'", "private_key = '***'"),
            ("api_key = ['env:sk-1-2-3-4-5-6-7-8', 'env:A-B']", "api_key = ['***', 'env:A-B']"),
            ("api_key = \"sk-literal", "api_key = \"***"),
            ("api_key = sk-literal, # c", "api_key = ***"),
            ("api_key = \"env:A", "api_key = \"env:A"),
            ("x \"abcdefghijklmnopqrst\" y", "x \"***\" y"),
            ("api_key = ['env:A_VERY_LONG_NAME_INDEED', 'ab", "api_key = ['env:A_VERY_LONG_NAME_INDEED', 'ab"),
        ] {
            let file = hide(&SourceFile::new("x", "x", text));
            assert_eq!(file.shown(Span::new(0..text.len()), 0).0, shown);
        }
    }
}
