//! `{args[0]}`, `{args[1:]}` and the old `{args.0}` in imported tokens (Caddy 2.11, importargs.go and replacer.go).
//!
//! In: an import's arguments and a token's text. Out: what stands in the text's place. Invariant: a placeholder that names no argument
//! stays as it is.

use super::token::Token;

/// The arguments of an import.
#[derive(Clone, Copy)]
pub struct Args<'t>(pub &'t [Token]);

impl<'t> Args<'t> {
    /// The arguments that a token `{args[from:to]}` stands for; absent: it is none.
    pub fn spread(self, text: &str) -> Option<&'t [Token]> {
        let range = text.strip_prefix("{args[")?.strip_suffix("]}")?;
        let (start, end) = range.split_once(':')?;
        if start.contains('}') || end.contains('{') {
            return None;
        }
        let start = if start.is_empty() { 0 } else { number(start)? };
        let end = if end.is_empty() { self.0.len() } else { number(end)? };
        self.0.get(start..end)
    }

    /// The text with its placeholders replaced; absent: nothing changes.
    ///
    /// As in Caddy, `\{` and `\}` lose their backslash on the way, also where no argument is named.
    pub fn replace(self, text: &str) -> Option<String> {
        let bytes = text.as_bytes();
        let escape = |at: usize| at > 0 && bytes[at - 1] == b'\\' && matches!(bytes[at], b'{' | b'}');
        if !text.contains("{args") && !(0..bytes.len()).any(escape) {
            return None;
        }
        let mut out = String::new();
        let (mut written, mut at, mut unclosed) = (0, 0, 0);
        while at < bytes.len() {
            if escape(at) {
                out.push_str(text.get(written..at - 1).unwrap_or_default());
                written = at;
            } else if bytes[at] == b'{' {
                if unclosed > 100 {
                    return Some(String::new());
                }
                match closing(bytes, at) {
                    None => unclosed += 1,
                    Some(end) => {
                        out.push_str(text.get(written..at).unwrap_or_default());
                        match self.get(text.get(at + 1..end).unwrap_or_default()) {
                            Some(value) => {
                                out.push_str(value);
                                at = end;
                                written = end + 1;
                            }
                            None => written = at,
                        }
                    }
                }
            }
            at += 1;
        }
        out.push_str(text.get(written..).unwrap_or_default());
        Some(out)
    }

    fn get(self, key: &str) -> Option<&'t str> {
        let old = key.strip_prefix("args.");
        let new = key.strip_prefix("args[").and_then(|rest| rest.strip_suffix(']'));
        let token = self.0.get(number(old.or(new)?)?)?;
        Some(&token.text)
    }
}

/// The brace that closes the placeholder at `open`.
fn closing(bytes: &[u8], open: usize) -> Option<usize> {
    let find = |from: usize| bytes.get(from..)?.iter().position(|byte| *byte == b'}').map(|found| from + found);
    let mut end = find(open)?;
    while end < bytes.len() - 1 && bytes[end - 1] == b'\\' {
        end = find(end + 1)?;
    }
    Some(end)
}

/// A whole number as Go reads it.
fn number(text: &str) -> Option<usize> {
    text.strip_prefix('+').unwrap_or(text).parse().ok()
}
