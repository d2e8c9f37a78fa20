//! The texts inside what a server read, and the shape around them.
//!
//! In: JSON, or nginx's configuration. Out: strings, differences, directives. Invariant: nothing is judged here.

use serde_json::Value;

/// Every string of a JSON document, keys included.
pub fn strings(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|item| strings(item, out)),
        Value::Object(object) => {
            for (key, item) in object {
                out.push(key.clone());
                strings(item, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Where two JSON documents differ in more than their strings and numbers: a pointer to the first such place.
pub fn difference(one: &Value, two: &Value) -> Option<String> {
    let inner = |name: &str, one: &Value, two: &Value| difference(one, two).map(|place| format!("/{name}{place}"));
    match (one, two) {
        (Value::String(_), Value::String(_)) | (Value::Number(_), Value::Number(_)) => None,
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            one.iter().zip(two).enumerate().find_map(|(at, (one, two))| inner(&at.to_string(), one, two))
        }
        (Value::Object(one), Value::Object(two)) if one.keys().eq(two.keys()) => {
            one.iter().zip(two.values()).find_map(|((name, one), two)| inner(name, one, two))
        }
        (one, two) => (one != two).then(|| format!(": {one} or {two}")),
    }
}

/// nginx's configuration as its own reader takes it apart: each directive with its arguments; `{` and `}` are directives of their own.
pub fn nginx_directives(text: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() => {}
            '#' => while chars.next().is_some_and(|c| c != '\n') {},
            ';' => out.push(std::mem::take(&mut words)),
            '{' => {
                out.push(std::mem::take(&mut words));
                out.push(vec!["{".to_owned()]);
            }
            '}' => out.push(vec!["}".to_owned()]),
            quote @ ('"' | '\'') => {
                let mut word = String::new();
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => match chars.next().unwrap() {
                            c @ ('"' | '\'' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c if c == quote => break,
                        c => word.push(c),
                    }
                }
                words.push(word);
            }
            c => {
                let mut word = c.to_string();
                let mut variable = false;
                while let Some(&next) = chars.peek() {
                    let ends = next.is_ascii_whitespace() || next == ';' || (next == '{' && !variable);
                    if ends {
                        break;
                    }
                    variable = next == '$';
                    word.push(next);
                    chars.next();
                    if next == '\\' {
                        word.extend(chars.next());
                    }
                }
                words.push(word);
            }
        }
    }
    assert!(words.is_empty(), "the last directive doesn't end: {words:?}");
    out
}
