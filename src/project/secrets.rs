//! What must not be shown of a config: keys, passwords and their hashes that stand in it.
//!
//! In: a config in any language. Out: the same file with these places hidden. Invariant: hidden is what follows the name of a credential
//! in the same line, what is shaped like a credential, and what a table of credentials is looked up by; names, paths and placeholders
//! (`$x`, `{x}`) stay, so that a line still says what it does.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;

use crate::diag::Sink;
use crate::gateway::{Gateway, Origin};
use crate::source::{SourceFile, Span};

/// Shorter texts are hidden in their own places only: they are parts of many words.
const SHORTEST: usize = 4;

/// The names of what carries a credential.
const NAMES: &str = "(?i-u:api[-_]?key|authorization|x[-_]auth[-_]token|passw(?:or)?d|secret)";

/// Each pattern hides its group `s`.
type Patterns = LazyLock<Vec<Regex>>;

/// A name, then its value in quotes of any kind, or bare.
static NAMED: Patterns = LazyLock::new(|| {
    compiled(&[
        &format!(r#"(?i)^{NAMES}["'`]?[^"'`\n;]*["'`](?:(?:bearer|basic)\s+)?(?P<s>[^"'`\n]+)["'`]"#),
        &format!(
            r#"(?i)^{NAMES}["'`]?(?:\s*[:=]\s*|\s+)(?:(?:bearer|basic)\s+)?(?P<s>[^\s"'`;,{{}}()=!~|$][^\s"'`;,]*)"#
        ),
    ])
});
static SCHEMES: Patterns = LazyLock::new(|| compiled(&[r#"(?i)^(?:bearer|basic)\s+(?P<s>[^\s"'`;,{}$()|]{4,})"#]));
/// Hashes: crypt's, and bcrypt in Base64 as Caddy once wrote it.
static HASHES: Patterns = LazyLock::new(|| {
    compiled(&[
        r#"^(?P<s>\$(?:2[abxy]?|argon2id?|apr1|[156])\$[^\s"'`;,:]+)"#,
        r#"^(?P<s>\{(?:SSHA|SHA|PLAIN)\}[^\s"'`;,:]+)"#,
        "^(?P<s>JDJ[A-Za-z0-9+/=]{20,})",
    ])
});
/// A table of nginx that is looked up by a credential, and the beginnings of its rows.
static TABLE: Patterns =
    LazyLock::new(|| compiled(&[&format!(r"(?i)^map\s+[^\s{{]*{NAMES}[^\s{{]*\s+\S+\s*\{{(?P<s>[^}}]*)\}}")]));
static ROW: Patterns =
    LazyLock::new(|| compiled(&[r#"(?m)(?:^|;)\s*(?:"(?P<q>[^"\n]+)"|'(?P<p>[^'\n]+)'|(?P<s>[^\s"';#]+))\s"#]));

/// What a hidden place begins with, in any case, whether that must begin a word, and the patterns that match from there on. One search for all of
/// these is all that most files need.
static STARTS: &[(&str, bool, &Patterns)] = &[
    ("api-key", false, &NAMED),
    ("api_key", false, &NAMED),
    ("apikey", false, &NAMED),
    ("authorization", false, &NAMED),
    ("x-auth-token", false, &NAMED),
    ("x-auth_token", false, &NAMED),
    ("x_auth-token", false, &NAMED),
    ("x_auth_token", false, &NAMED),
    ("passwd", false, &NAMED),
    ("password", false, &NAMED),
    ("secret", false, &NAMED),
    ("bearer", true, &SCHEMES),
    ("basic", true, &SCHEMES),
    ("$2", false, &HASHES),
    ("$argon2i", false, &HASHES),
    ("$apr1$", false, &HASHES),
    ("$1$", false, &HASHES),
    ("$5$", false, &HASHES),
    ("$6$", false, &HASHES),
    ("{ssha}", false, &HASHES),
    ("{sha}", false, &HASHES),
    ("{plain}", false, &HASHES),
    ("jdj", false, &HASHES),
    ("map", true, &TABLE),
];

static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let starts = STARTS.iter().map(|(start, ..)| start);
    AhoCorasick::builder().ascii_case_insensitive(true).match_kind(MatchKind::Standard).build(starts).ok()
});

fn compiled(texts: &[&str]) -> Vec<Regex> {
    texts.iter().filter_map(|text| Regex::new(text).ok()).collect()
}

/// The same file with these places hidden.
pub fn hide(file: &SourceFile) -> SourceFile {
    let text: &str = &file.text;
    let mut found: Vec<Span> = Vec::new();
    // Where the last match of each pattern ends: the next begins behind it.
    let mut ends: Vec<(*const Regex, usize)> = Vec::new();
    for hit in SEARCH.iter().flat_map(|search| search.find_overlapping_iter(text)) {
        let (_, word, patterns) = STARTS[hit.pattern().as_usize()];
        let in_word = || text[..hit.start()].chars().next_back().is_some_and(regex_syntax::is_word_character);
        if word && in_word() {
            continue;
        }
        for pattern in patterns.iter() {
            let at = ends.iter().position(|(own, _)| std::ptr::eq(*own, pattern)).unwrap_or_else(|| {
                ends.push((pattern, 0));
                ends.len() - 1
            });
            if hit.start() < ends[at].1 {
                continue;
            }
            let Some(captures) = pattern.captures(&text[hit.start()..]) else { continue };
            let behind = |range: Range<usize>| hit.start() + range.start..hit.start() + range.end;
            ends[at].1 = behind(captures.get_match().range()).end;
            let Some(group) = captures.name("s") else { continue };
            let range = behind(group.range());
            if std::ptr::eq(patterns, &TABLE) {
                found.extend(
                    keys(&text[range.clone()]).map(|key| Span::new(range.start + key.start..range.start + key.end)),
                );
            } else if !is_reference(group.as_str()) {
                found.push(Span::new(range));
            }
        }
    }
    if found.is_empty() { file.clone() } else { file.hiding(found) }
}

/// The places of the keys of a table's rows.
fn keys(rows: &str) -> impl Iterator<Item = Range<usize>> {
    let found = ROW.iter().flat_map(|row| row.captures_iter(rows));
    let keys = found.filter_map(|row| row.name("q").or(row.name("p")).or(row.name("s")));
    keys.filter(|key| !["default", "hostnames", "volatile", "include"].contains(&key.as_str())).map(|key| key.range())
}

/// The texts that files hide.
#[derive(Debug, Default)]
pub struct Hidden {
    texts: HashSet<Box<str>>,
    /// Their lengths, the longest first.
    lengths: Vec<usize>,
    /// Whether one of them may begin with four bytes, by [`Hidden::sieve`]: most places are passed over so.
    starts: Vec<bool>,
}

impl Hidden {
    /// What these files hide.
    pub fn of<'f>(files: impl IntoIterator<Item = &'f SourceFile>) -> Hidden {
        let texts = files.into_iter().flat_map(SourceFile::hidden).filter(|text| text.len() >= SHORTEST);
        let texts: HashSet<Box<str>> = texts.map(Box::from).collect();
        let mut lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        let mut hidden = Hidden { starts: vec![false; (16 * texts.len()).next_power_of_two()], lengths, texts };
        for text in &hidden.texts {
            if let Some(start) = text.as_bytes().first_chunk() {
                let place = sieve(start, hidden.starts.len());
                hidden.starts[place] = true;
            }
        }
        hidden
    }

    /// The same text without them.
    pub fn shown(&self, text: &str) -> String {
        self.without(text).unwrap_or_else(|| text.to_owned())
    }

    /// The same text without them; `None`: none is in it.
    pub fn without(&self, text: &str) -> Option<String> {
        if self.texts.is_empty() {
            return None;
        }
        let mut spans: Vec<Range<usize>> = Vec::new();
        for (at, start) in text.as_bytes().windows(SHORTEST).enumerate() {
            let Some(start) = start.first_chunk() else { continue };
            if !self.starts[sieve(start, self.starts.len())] {
                continue;
            }
            let here = |length: &usize| text.get(at..at + length).is_some_and(|part| self.texts.contains(part));
            let Some(length) = self.lengths.iter().find(|length| here(length)) else { continue };
            match spans.last_mut() {
                Some(last) if at < last.end => last.end = last.end.max(at + length),
                _ => spans.push(at..at + length),
            }
        }
        let (mut out, mut at) = (String::new(), 0);
        for span in &spans {
            out.push_str(&text[at..span.start]);
            out.push_str("***");
            at = span.end;
        }
        out.push_str(&text[at..]);
        (!spans.is_empty()).then_some(out)
    }
}

/// The place of four bytes in a table of so many.
fn sieve(start: &[u8; SHORTEST], places: usize) -> usize {
    (u32::from_le_bytes(*start).wrapping_mul(0x9e37_79b1).rotate_left(16) as usize) % places.max(1)
}

/// What is wrong with files, without what they hide.
pub fn hide_problems(sink: &mut Sink, hidden: &Hidden) {
    for problem in &mut sink.list {
        let label = problem.span.as_mut().map(|(_, label)| label);
        for text in [Some(&mut problem.message), problem.help.as_mut(), label].into_iter().flatten() {
            if let Some(shown) = hidden.without(text) {
                *text = shown;
            }
        }
    }
}

/// What a gateway says about its places, without what its files hide.
pub fn hide_notes(gateway: &mut Gateway, hidden: &Hidden) {
    if hidden.texts.is_empty() {
        return;
    }
    let hide = |origin: &mut Origin| {
        if let Some(shown) = hidden.without(&origin.note) {
            origin.note = shown.into();
        }
    };
    gateway.listeners.iter_mut().for_each(|listener| hide(&mut listener.origin));
    for chain in &mut gateway.chains {
        hide(&mut chain.origin);
        for clause in &mut chain.clauses {
            hide(&mut clause.origin);
            for step in &mut clause.steps {
                // A step that is shared stays so.
                if step.origin().is_some_and(|origin| hidden.without(&origin.note).is_some()) {
                    step.origin_mut().into_iter().for_each(hide);
                }
            }
        }
    }
}

/// A variable or a placeholder and nothing else, the name of another header, or a pattern that any value fits.
fn is_reference(text: &str) -> bool {
    let text = text.trim().trim_end_matches([')', ';', ',']);
    let braces = text.starts_with('{') && text.ends_with('}');
    let variable =
        text.starts_with('$') && text[1..].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_{}".contains(&byte));
    braces || variable || text.bytes().all(|byte| byte.is_ascii_punctuation())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_and_the_rest_is_shown() {
        for (text, shown) in [
            ("if ($http_x_api_key != \"k-1\") { return 401; }", "if ($http_x_api_key != \"***\") { return 401; }"),
            ("if ($http_authorization = \"Bearer abc\") {", "if ($http_authorization = \"Bearer ***\") {"),
            ("proxy_set_header Authorization \"Bearer up-key\";", "proxy_set_header Authorization \"Bearer ***\";"),
            ("proxy_set_header Authorization \"\";", "proxy_set_header Authorization \"\";"),
            ("proxy_set_header X-API-Key $http_x_api_key;", "proxy_set_header X-API-Key $http_x_api_key;"),
            (
                "map $http_x_api_key $who {\n  default \"\";\n  \"k1\" ann;\n  k2 bob; k3 eve;\n}",
                "map $http_x_api_key $who {\n  default \"\";\n  \"***\" ann;\n  *** bob; *** eve;\n}",
            ),
            ("@key header X-API-Key k1", "@key header X-API-Key ***"),
            ("@key header Authorization \"Bearer {$API_KEY}\"", "@key header Authorization \"Bearer {$API_KEY}\""),
            ("header_up -X-API-Key", "header_up -X-API-Key"),
            ("ann $2a$14$abc.def/ghi", "ann ***"),
            (
                "rule: Header(`X-API-Key`, `k1`) && Path(`/api/tags`)",
                "rule: Header(`X-API-Key`, `***`) && Path(`/api/tags`)",
            ),
            ("- \"ann:$apr1$abc$def\"", "- \"ann:***\""),
            (
                "auth_basic \"LLM\"; auth_basic_user_file .htpasswd;",
                "auth_basic \"LLM\"; auth_basic_user_file .htpasswd;",
            ),
            ("- API_KEY=${API_KEY}", "- API_KEY=${API_KEY}"),
            ("- API_KEY=abc", "- API_KEY=***"),
            ("location /api/ { proxy_pass http://a; }", "location /api/ { proxy_pass http://a; }"),
        ] {
            let file = hide(&SourceFile::new("x", "x", text));
            assert_eq!(file.shown(Span::new(0..text.len()), 0).0, shown);
        }
        let lengths = [&NAMED, &SCHEMES, &HASHES, &TABLE, &ROW].map(|patterns| patterns.len());
        assert_eq!(lengths, [2, 1, 3, 1, 1]);
        assert!(SEARCH.is_some());
    }

    #[test]
    fn what_is_wrong_is_said_without_keys() {
        let file = hide(&SourceFile::new("x", "x", "rule: HeaderRegexp(`X-API-Key`, `^key-one(?!x)$`)"));
        let mut sink = Sink::default();
        let problem = crate::diag::Diagnostic::new(crate::diag::Severity::Error, "wrong: `^key-one(?!x)$`");
        sink.push(problem.at(&file, Span::new(0..4), "`^key-one(?!x)$`").help("mend `^key-one(?!x)$`"));
        hide_problems(&mut sink, &Hidden::of([&file]));
        let told = sink.list[0].render(false);
        assert!(!told.contains("key-one") && told.matches("***").count() == 4, "{told}");
    }
}
