//! Regular expressions in RE2's syntax for what Caddy's own matchers can't say exactly.
//!
//! In: parts of a plan. Out: anchored expressions. Invariant: each matches whole values, byte for byte, and nothing else.

use std::collections::BTreeMap;

use crate::policy::plan::{Endpoint, ModelPattern, Segment};

/// A well-formed API key.
const KEY: &str = "[A-Za-z0-9_-]{20,256}";
/// What stands in a JSON string as it is.
const PLAIN: &str = r#"[^"\\\x00-\x1f]"#;
/// How deep lists and objects may lie in a body whose model is looked for: RE2 has no recursion.
const DEPTH: usize = 24;

/// `Authorization: Bearer KEY`, the key as first group. The variable joins repeated headers by a comma, which no key has.
pub fn bearer() -> String {
    format!("^(?i:bearer) +({KEY})$")
}

/// `X-API-Key: KEY`, the key as first group.
pub fn x_api_key() -> String {
    format!("^({KEY})$")
}

/// `Authorization: Basic` with base64 behind it, once; the base64 as first group.
pub fn basic() -> String {
    "^(?i:basic) +([A-Za-z0-9+/]+=*)$".to_owned()
}

/// `Authorization: Basic` of the user `name`: the base64 of every text that begins with the name and a colon.
pub fn basic_user(name: &str) -> String {
    let mut text = String::from("^Basic ");
    for group in format!("{name}:").as_bytes().chunks(3) {
        let bits = group.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        let free = [24, 16, 8, 0].get(group.len()).copied().unwrap_or_default();
        for place in (0..4).rev().map(|sextet| sextet * 6) {
            match u32::saturating_sub(free, place) {
                0 => text.push_str(&regex::escape(&sextet(bits >> place).to_string())),
                open @ 1..6 => {
                    text.push('[');
                    (0..1 << open).for_each(|low| text.push(sextet(bits >> place | low)));
                    text.push(']');
                }
                _ => {}
            }
        }
    }
    text
}

/// The base64 sign of the low six bits.
fn sextet(bits: u32) -> char {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    ALPHABET.get((bits & 63) as usize).map_or('=', |&sign| char::from(sign))
}

/// A request line `METHOD target` of one of the endpoints, with or without a query; nothing for none.
pub fn lines<'e>(endpoints: impl IntoIterator<Item = &'e Endpoint>) -> Option<String> {
    targets(endpoints.into_iter().map(|endpoint| (endpoint.method.as_str(), endpoint.path.regex())))
}

/// A request line `GET path` or `HEAD path`.
pub fn health(path: &str) -> Option<String> {
    targets(["GET", "HEAD"].map(|method| (method, regex::escape(path))))
}

/// A request line of one of the endpoints whose last `:param` is one of the models.
pub fn model_lines<'e>(endpoints: impl IntoIterator<Item = &'e Endpoint>, models: &[ModelPattern]) -> Option<String> {
    let names = alternatives(models.iter().map(|model| match model.prefix {
        true => regex::escape(&model.text) + "[A-Za-z0-9._:-]*",
        false => regex::escape(&model.text),
    }));
    targets(endpoints.into_iter().map(|endpoint| {
        let segments = &endpoint.path.segments;
        let last = segments.iter().rposition(|segment| matches!(segment, Segment::Param(_)));
        let path = segments.iter().enumerate().map(|(at, segment)| match segment {
            Segment::Param(_) if Some(at) == last => format!("/{names}"),
            segment => crate::policy::plan::PathPattern { segments: vec![segment.clone()] }.regex(),
        });
        (endpoint.method.as_str(), path.collect())
    }))
}

fn targets<'e>(targets: impl IntoIterator<Item = (&'e str, String)>) -> Option<String> {
    let mut methods = BTreeMap::<&str, Vec<String>>::new();
    for (method, path) in targets {
        methods.entry(method).or_default().push(path);
    }
    let lines = methods.into_iter().map(|(method, paths)| format!("{method} {}", alternatives(paths)));
    let lines = lines.collect::<Vec<_>>();
    (!lines.is_empty()).then(|| format!(r"^{}(?:\?|$)", alternatives(lines)))
}

fn alternatives(parts: impl IntoIterator<Item = String>) -> String {
    let parts = parts.into_iter().collect::<Vec<_>>();
    match parts.as_slice() {
        [one] => one.clone(),
        _ => format!("(?:{})", parts.join("|")),
    }
}

/// A decimal number greater than `limit`. (Caddy's own limit refuses only when so much has been forwarded.)
pub fn greater_than(limit: u64) -> String {
    let digits = limit.to_string();
    let mut parts = vec![format!("[1-9][0-9]{{{},}}", digits.len())];
    for (at, digit) in digits.char_indices() {
        let Some(next) = digit.to_digit(10).map(|digit| digit + 1).filter(|&next| next < 10) else { continue };
        let rest = digits.len() - at - 1;
        let head = digits.get(..at).unwrap_or_default();
        parts.push(format!("{head}[{next}-9][0-9]{{{rest}}}"));
    }
    format!("^0*{}$", alternatives(parts))
}

/// A JSON object with exactly one key `model` or `name`, whatever its case, whose value is one of the models: no escapes in keys or in
/// that value. Inside lists and objects what isn't JSON in ways that leave no doubt about the model (`[}`, `1.2.3`) passes too: RE2
/// would have to hold a copy of the whole grammar for each kind of bracket at each depth.
pub fn body(models: &[ModelPattern]) -> String {
    let space = r"[ \t\r\n]*";
    let string = format!(r#""(?:{PLAIN}|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{{4}}))*""#);
    let scalar = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null";
    let mut nested = format!(r#"[\[{{](?:[^"\[\]{{}}]|{string})*[\]}}]"#);
    for _ in 1..DEPTH {
        nested = format!(r#"[\[{{](?:[^"\[\]{{}}]|{string}|{nested})*[\]}}]"#);
    }
    let value = format!("(?:{string}|{scalar}|{nested})");
    let other = format!(r#""{}"{space}:{space}{value}{space}"#, other_than(&["model", "name"]));
    let names = alternatives(models.iter().map(|model| match model.prefix {
        true => format!("{}{PLAIN}*", regex::escape(&model.text)),
        false => regex::escape(&model.text),
    }));
    let model = format!(r#""(?i:model|name)"{space}:{space}"{names}"{space}"#);
    format!(r"(?s)^{space}\{{{space}(?:{other},{space})*{model}(?:,{space}{other})*\}}{space}$")
}

/// A text of plain signs that is none of the words in any case.
fn other_than(words: &[&str]) -> String {
    let mut heads = BTreeMap::<char, Vec<&str>>::new();
    for word in words {
        let mut rest = word.chars();
        if let Some(head) = rest.next() {
            heads.entry(head).or_default().push(rest.as_str());
        }
    }
    let mut parts = Vec::new();
    if !words.contains(&"") {
        parts.push(String::new());
    }
    if heads.is_empty() {
        parts.push(format!("{PLAIN}+"));
    } else {
        let both = |head: char| [head.to_ascii_lowercase(), head.to_ascii_uppercase()];
        let all = heads.keys().flat_map(|&head| both(head)).collect::<String>();
        parts.push(format!(r#"[^"\\\x00-\x1f{all}]{PLAIN}*"#));
        parts.extend(heads.iter().map(|(&head, rests)| {
            let [lower, upper] = both(head);
            format!("[{lower}{upper}]{}", other_than(rests))
        }));
    }
    format!("(?:{})", parts.join("|"))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use regex::Regex;

    use super::*;

    #[test]
    fn numbers_beyond_a_limit() {
        for limit in [0, 9, 10, 99, 8192, 1_048_576, 33_554_432, 1_999_999] {
            let over = Regex::new(&greater_than(limit)).unwrap();
            for number in [limit + 1, limit + 2, limit + 10, limit * 2 + 1, limit * 10 + 1, u64::MAX] {
                assert!(over.is_match(&number.to_string()), "{number} > {limit}");
                assert!(over.is_match(&format!("000{number}")), "{number} > {limit}");
            }
            for number in [0, limit / 10, limit / 2, limit.saturating_sub(1), limit] {
                assert!(!over.is_match(&number.to_string()), "{number} > {limit}");
            }
        }
    }

    #[test]
    fn users_are_known_by_their_base64() {
        for name in ["a", "ab", "abc", "carol", "owner-2", "x9"] {
            let pattern = Regex::new(&basic_user(name)).unwrap();
            for password in ["", "x", "\u{ff}\u{ff}", "~~~", "long password with : in it"] {
                let header = |user: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
                assert!(pattern.is_match(&header(name)), "{name} {password}");
                for other in [format!("{name}x"), format!("x{name}"), name.to_uppercase(), String::new()] {
                    assert!(!pattern.is_match(&header(&other)), "{other} {password}");
                }
            }
        }
    }

    #[test]
    fn a_model_must_be_certain() {
        let pattern = |text: &str, prefix| ModelPattern { text: text.to_owned(), prefix };
        let body = Regex::new(&body(&[pattern("qwen3:30b", false), pattern("gemma", true)])).unwrap();
        for good in [
            r#"{"model":"qwen3:30b"}"#,
            r#" {"a":{"model":"evil"},"b":[1,{"c":"\"]"}], "Name" : "gemma3:4b" , "modelx":null} "#,
            r#"{"":1,"mod":2,"models":3,"nam":4,"model":"gemma"}"#,
        ] {
            assert!(body.is_match(good), "{good}");
        }
        for bad in [
            "",
            "{}",
            r#"{"model":"evil"}"#,
            r#"{"model":"qwen3:30bx"}"#,
            r#"{"model":"gemma","MODEL":"evil"}"#,
            r#"{"nAme":"evil","model":"gemma"}"#,
            r#"{"m\u006fdel":"evil","model":"gemma"}"#,
            r#"{"model":"gemma\u0000"}"#,
            r#"{"a":"\","model":"evil","b":"","model":"gemma"}"#,
            r#"{"model":"gemma"} {"model":"evil"}"#,
            r#"{"model":"gemma",}"#,
        ] {
            assert!(!body.is_match(bad), "{bad}");
        }
    }
}
