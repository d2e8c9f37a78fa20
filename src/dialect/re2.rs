//! Regular expressions of Go (RE2 syntax) as [`Pattern`]s.
//!
//! In: an expression. Out: the same for the `regex` crate, or why Go refuses it. Invariant: `\d`, `\w`, `\s` and `\b` know ASCII only, as in
//! Go (regexp/syntax, 1.26); all else that both read, both read alike. Text that isn't UTF-8 must come as
//! [`crate::gateway::Function::Lossy`] makes it.

use crate::gateway::Pattern;

/// Compiles an expression. Errors: what is wrong with it.
pub fn compile(pattern: &str) -> Result<Pattern, String> {
    let translated = translate(pattern)?;
    match regex::bytes::RegexBuilder::new(&translated).size_limit(64 << 20).build() {
        Ok(regex) => Ok(Pattern::Regular(regex)),
        Err(error) => Err(error.to_string().lines().last().unwrap_or_default().trim().to_owned()),
    }
}

fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let Some(next) = chars.next() else { return Err("a final backslash".to_owned()) };
                match (next, in_class) {
                    ('d', false) => out.push_str("[0-9]"),
                    ('d', true) => out.push_str("0-9"),
                    ('D', false) => out.push_str("[^0-9]"),
                    ('D', true) => out.push_str("[^0-9]"),
                    ('w', false) => out.push_str("[0-9A-Za-z_]"),
                    ('w', true) => out.push_str("0-9A-Za-z_"),
                    ('W', _) => out.push_str("[^0-9A-Za-z_]"),
                    ('s', false) => out.push_str("[\\t\\n\\f\\r ]"),
                    ('s', true) => out.push_str("\\t\\n\\f\\r "),
                    ('S', _) => out.push_str("[^\\t\\n\\f\\r ]"),
                    ('b', false) => out.push_str("(?-u:\\b)"),
                    ('B', false) => out.push_str("(?-u:\\B)"),
                    ('Q', false) => {
                        let mut quoted = String::new();
                        while let Some(c) = chars.next() {
                            if c == '\\' && chars.peek() == Some(&'E') {
                                chars.next();
                                break;
                            }
                            quoted.push(c);
                        }
                        out.push_str(&regex::escape(&quoted));
                    }
                    ('C' | '<' | '>', _) => return Err(format!("Go knows no `\\{next}`")),
                    (next, _) => out.extend(['\\', next]),
                }
            }
            '[' if in_class => {
                if chars.peek() == Some(&':') {
                    out.push(c);
                    // A named class runs to its own `:]`.
                    for c in chars.by_ref() {
                        out.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                } else {
                    out.push_str("\\[");
                }
            }
            '[' => {
                in_class = true;
                out.push(c);
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
                if chars.peek() == Some(&']') {
                    chars.next();
                    out.push_str("\\]");
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(c);
            }
            // Set operations of the crate's own.
            '&' | '~' if in_class => out.extend(['\\', c]),
            '-' if in_class && chars.peek() == Some(&'-') => out.push_str("\\-"),
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii() {
        let matches = |pattern: &str, text: &str| match compile(pattern) {
            Ok(Pattern::Regular(regex)) => regex.is_match(text.as_bytes()),
            other => panic!("{pattern}: {other:?}"),
        };
        for (pattern, text, expected) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١", false),
            (r"^[\w.-]+$", "a_b.c-d", true),
            (r"^[\w.-]+$", "é", false),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^\Qa.b\E$", "axb", false),
            (r"^[[:alpha:]]$", "x", true),
            (r"^[]a]$", "]", true),
            (r"^[[a]$", "[", true),
            (r"\bx\b", "a x b", true),
            (r"(?i)^ABC$", "abc", true),
            (r"^[a&&b]$", "&", true),
            (r"^.$", "é", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(compile("(?=x)").is_err() && compile("(").is_err() && compile(r"\1").is_err());
    }
}
