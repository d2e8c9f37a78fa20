//! What must not be shown of a config: keys, passwords and their hashes that stand in it.
//!
//! In: a config in any language. Out: the same file with these places hidden. Invariant: hidden is what follows the name of a credential
//! in the same line, what is shaped like a credential, and what a table of credentials is looked up by; names, paths and placeholders
//! (`$x`, `{x}`) stay, so that a line still says what it does.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::diag::Sink;
use crate::gateway::{Gateway, Origin, Step};
use crate::source::{SourceFile, Span};

/// Shorter texts are hidden in their own places only: they are parts of many words.
const SHORTEST: usize = 4;

/// The names of what carries a credential.
const NAMES: &str = r"(?:x[-_]api[-_]?key|api[-_]?key|apikey|(?:proxy[-_])?authorization|x[-_]auth[-_]token|passw(?:or)?d|passwd|secret)";

/// Each hides its group `s`.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let texts = [
        // A name, then its value in quotes of any kind, or bare.
        format!(r#"(?i){NAMES}["'`]?[^"'`\n;]*["'`](?:(?:bearer|basic)\s+)?(?P<s>[^"'`\n]+)["'`]"#),
        format!(
            r#"(?i){NAMES}["'`]?(?:\s*[:=]\s*|\s+)(?:(?:bearer|basic)\s+)?(?P<s>[^\s"'`;,{{}}()=!~|$][^\s"'`;,]*)"#
        ),
        r#"(?i)\b(?:bearer|basic)\s+(?P<s>[^\s"'`;,{}$()|]{4,})"#.to_owned(),
        // Hashes: crypt's, and bcrypt in Base64 as Caddy once wrote it.
        r#"(?P<s>\$(?:2[abxy]?|argon2id?|apr1|[156])\$[^\s"'`;,:]+)"#.to_owned(),
        r#"(?P<s>\{(?:SSHA|SHA|PLAIN)\}[^\s"'`;,:]+)"#.to_owned(),
        r#"(?P<s>JDJ[A-Za-z0-9+/=]{20,})"#.to_owned(),
    ];
    texts.iter().filter_map(|text| Regex::new(text).ok()).collect()
});

/// A table of nginx that is looked up by a credential, and the beginnings of its rows.
static TABLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r"(?i)\bmap\s+[^\s{{]*{NAMES}[^\s{{]*\s+\S+\s*\{{(?P<rows>[^}}]*)\}}")).ok());
static ROW: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?m)(?:^|;)\s*(?:"(?P<q>[^"\n]+)"|'(?P<p>[^'\n]+)'|(?P<s>[^\s"';#]+))\s"#).ok());

/// The same file with these places hidden.
pub fn hide(file: &SourceFile) -> SourceFile {
    let text: &str = &file.text;
    let mut found: Vec<Span> = Vec::new();
    for pattern in PATTERNS.iter() {
        let groups = pattern.captures_iter(text).filter_map(|captures| captures.name("s"));
        found.extend(groups.filter(|group| !is_reference(group.as_str())).map(|group| Span::new(group.range())));
    }
    let tables = TABLE.iter().flat_map(|table| table.captures_iter(text)).filter_map(|found| found.name("rows"));
    for (rows, row) in tables.flat_map(|rows| ROW.iter().map(move |row| (rows, row))) {
        let keys = row.captures_iter(rows.as_str()).filter_map(|row| row.name("q").or(row.name("p")).or(row.name("s")));
        let keys = keys.filter(|key| !["default", "hostnames", "volatile", "include"].contains(&key.as_str()));
        found.extend(keys.map(|key| Span::new(rows.start() + key.start()..rows.start() + key.end())));
    }
    if found.is_empty() { file.clone() } else { file.hiding(found) }
}

/// The texts that files hide, the longest first: a short one may be a part of it.
#[derive(Debug, Default)]
pub struct Hidden(Vec<String>);

impl Hidden {
    /// What these files hide.
    pub fn of<'f>(files: impl IntoIterator<Item = &'f SourceFile>) -> Hidden {
        let texts = files.into_iter().flat_map(SourceFile::hidden).filter(|text| text.len() >= SHORTEST);
        let texts: BTreeSet<String> = texts.map(str::to_owned).collect();
        let mut texts: Vec<String> = texts.into_iter().collect();
        texts.sort_by_key(|text| Reverse(text.len()));
        Hidden(texts)
    }

    /// The same text without them.
    pub fn shown(&self, text: &str) -> String {
        self.without(text).unwrap_or_else(|| text.to_owned())
    }

    /// The same text without them; `None`: none is in it.
    pub fn without(&self, text: &str) -> Option<String> {
        let mut out: Option<String> = None;
        for hidden in &self.0 {
            let now = out.as_deref().unwrap_or(text);
            if now.contains(hidden.as_str()) {
                out = Some(now.replace(hidden.as_str(), "***"));
            }
        }
        out
    }
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
            clause.steps.iter_mut().filter_map(Step::origin_mut).for_each(hide);
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
        assert_eq!(PATTERNS.len(), 6);
        assert!(TABLE.is_some() && ROW.is_some());
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
