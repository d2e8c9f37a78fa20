//! Where a block of Lua code ends.
//!
//! In: bytes behind the `{` of a `…_by_lua_block`. Out: the place of its `}`. Invariant: linear, and braces in strings, comments and long
//! brackets don't count (the rules of lua-nginx-module 0.10.23).

/// The place of the `}` that closes code which begins at `start`, else the end of the file.
pub fn code_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    let mut depth = 0usize;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        at = match byte {
            b'{' => {
                depth += 1;
                at + 1
            }
            b'}' if depth == 0 => return at,
            b'}' => {
                depth -= 1;
                at + 1
            }
            b'"' | b'\'' => at + string_length(rest),
            b'-' if rest.starts_with(b"--") => at + 2 + comment_length(&rest[2..]),
            b'[' => at + long_bracket_length(rest).unwrap_or(1),
            _ => at + 1,
        };
    }
    bytes.len()
}

/// The length of a string with its quotes; one that the line ends is no string.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' => return at,
            _ if byte == text[0] => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of a comment behind its `--`.
fn comment_length(text: &[u8]) -> usize {
    let line = || text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    long_bracket_length(text).unwrap_or_else(line)
}

/// The length of `[==[ … ]==]`, if that stands here.
fn long_bracket_length(text: &[u8]) -> Option<usize> {
    let level = text.strip_prefix(b"[")?.iter().take_while(|byte| **byte == b'=').count();
    if text.get(level + 1) != Some(&b'[') {
        return None;
    }
    let close: Vec<u8> = [b"]".as_slice(), &b"=".repeat(level), b"]"].concat();
    let inner = &text[level + 2..];
    let found = inner.windows(close.len()).position(|part| part == close);
    Some(found.map_or(text.len(), |at| level + 2 + at + close.len()))
}
