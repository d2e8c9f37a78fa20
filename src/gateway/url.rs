//! Paths and queries as Go's net/url and path packages read and write them (Go 1.26.8), and as servers written in Go change them.
//!
//! In: bytes. Out: bytes. Invariant: total; a path that can't be decoded is taken as it stands.

use super::bytes::form_decoded;
use super::wire::unescape;

/// What may stand in a path besides letters and digits, unescaped, where Go writes it anew.
const PATH: &[u8] = b"-_.~$&+,/:;=@";

/// What may stand in a path that Go leaves as it is.
const VALID_PATH: &[u8] = b"-_.~$&+,/:;=@!'()*[]%";

/// Keys and values.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A change to a path, made in its escaped and in its decoded form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathChange {
    /// It loses this beginning; letters in any case, escapes like what they stand for.
    Prefix(Vec<u8>),
    /// It loses this end; the same.
    Suffix(Vec<u8>),
    /// It is cleaned, and text is replaced so many times; absent: everywhere.
    Text(Vec<u8>, Vec<u8>, Option<usize>),
}

/// `path.Clean`, a final `/` kept; `merge`: runs of `/` become one, else empty segments are segments like others.
pub fn clean(path: &[u8], merge: bool) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    let inner = if rooted { &path[1..] } else { path };
    let parts: Vec<&[u8]> = inner.split(|&byte| byte == b'/').collect();
    let last = parts.len() - 1;
    for (at, part) in parts.iter().enumerate() {
        match *part {
            // The empty part behind a final `/` is no segment.
            b"" if merge || at == last => {}
            b"." => {}
            b".." if kept.last().is_some_and(|kept| *kept != b"..") => {
                kept.pop();
            }
            b".." if rooted => {}
            part => kept.push(part),
        }
    }
    let mut out = if rooted { b"/".to_vec() } else { Vec::new() };
    out.extend(kept.join(&b'/'));
    if out.is_empty() {
        out.push(b'.');
    }
    if (out != b"/" || !kept.is_empty()) && path.ends_with(b"/") {
        out.push(b'/');
    }
    out
}

fn escaped(bytes: &[u8], kept: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(byte);
        } else {
            out.extend(format!("%{byte:02X}").bytes());
        }
    }
    out
}

/// A decoded path as Go writes it.
pub fn escape_path(path: &[u8]) -> Vec<u8> {
    if path == b"*" { path.to_vec() } else { escaped(path, PATH) }
}

/// A path as sent, as Go sends it on (`URL.EscapedPath`): as it is if nothing in it must be escaped, else written anew as a whole.
pub fn escaped_path(raw: &[u8]) -> Vec<u8> {
    let valid = raw.iter().all(|byte| byte.is_ascii_alphanumeric() || VALID_PATH.contains(byte));
    match unescape(raw) {
        Some(_) if valid => raw.to_vec(),
        Some(path) => escape_path(&path),
        None => escape_path(raw),
    }
}

/// `url.QueryEscape`.
pub fn escape_form(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for part in bytes.split_inclusive(|&byte| byte == b' ') {
        match part.strip_suffix(b" ") {
            Some(part) => {
                out.extend(escaped(part, b"-_.~"));
                out.push(b'+');
            }
            None => out.extend(escaped(part, b"-_.~")),
        }
    }
    out
}

/// The pairs of a query, decoded, and whether all of it was well formed (`url.ParseQuery`).
pub fn parse_query(query: &[u8]) -> (Pairs, bool) {
    let mut well = true;
    let mut pairs = Vec::new();
    for pair in query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let (key, value) = match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        match (form_decoded(key), form_decoded(value)) {
            (Some(key), Some(value)) if !pair.contains(&b';') => pairs.push((key, value)),
            _ => well = false,
        }
    }
    (pairs, well)
}

/// Pairs as a query, sorted by key (`url.Values.Encode`).
pub fn write_query(mut pairs: Pairs) -> Vec<u8> {
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    let pairs = pairs.iter().map(|(key, value)| [escape_form(key), escape_form(value)].join(&b'='));
    pairs.collect::<Vec<_>>().join(&b'&')
}

/// The host of an authority (`net.SplitHostPort`; without a port the whole).
pub fn without_port(authority: &[u8]) -> &[u8] {
    split_port(authority).map_or(authority, |(host, _)| host)
}

/// Host and port; `None`: not of that form.
pub fn split_port(authority: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = authority.iter().rposition(|&byte| byte == b':')?;
    let (host, port) = (&authority[..colon], &authority[colon + 1..]);
    if port.contains(&b']') || port.contains(&b'[') {
        return None;
    }
    match host.strip_prefix(b"[") {
        Some(inner) => {
            let inner = inner.strip_suffix(b"]")?;
            (!inner.contains(&b'[') && !inner.contains(&b']')).then_some((inner, port))
        }
        None => (!host.iter().any(|byte| b":[]".contains(byte))).then_some((host, port)),
    }
}

/// Letters in lower case as `strings.ToLower` makes them: bytes that aren't UTF-8 become U+FFFD, unless all is ASCII.
pub fn lower(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_ascii() {
        return bytes.to_ascii_lowercase();
    }
    // One character for one: `İ` is `i` in Go.
    let text = lossy(bytes);
    let text = String::from_utf8_lossy(&text);
    text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect::<String>().into_bytes()
}

/// Bytes that aren't UTF-8 become U+FFFD, one for each.
pub fn lossy(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        out.extend(chunk.invalid().iter().flat_map(|_| "\u{fffd}".bytes()));
    }
    out
}

/// Text replaced from left to right, so many times.
pub fn replace(bytes: &[u8], find: &[u8], with: &[u8], most: Option<usize>) -> Vec<u8> {
    let mut left = most.unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(bytes.len());
    if find.is_empty() {
        // Between all characters, and at both ends.
        for (at, byte) in bytes.iter().enumerate() {
            if (at == 0 || byte & 0xc0 != 0x80) && left > 0 {
                out.extend_from_slice(with);
                left -= 1;
            }
            out.push(*byte);
        }
        if left > 0 {
            out.extend_from_slice(with);
        }
        return out;
    }
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        match rest.strip_prefix(find) {
            Some(behind) if left > 0 => {
                out.extend_from_slice(with);
                rest = behind;
                left -= 1;
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

/// An escaped path after a change that is made to both of its forms (`net/http.Request.URL` as Caddy changes it).
pub fn changed(escaped: &[u8], change: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let raw = change(escaped);
    match unescape(&raw) {
        Some(path) if !path.is_empty() => escaped_path(&raw),
        _ => escape_path(&change(&unescape(escaped).unwrap_or_else(|| escaped.to_vec()))),
    }
}

impl PathChange {
    /// The escaped path after it.
    pub fn apply(&self, path: &[u8]) -> Vec<u8> {
        match self {
            PathChange::Prefix(prefix) => {
                let prefix = if prefix.starts_with(b"/") { prefix.clone() } else { [b"/", prefix.as_slice()].concat() };
                cut(path, &prefix, without_prefix)
            }
            PathChange::Suffix(suffix) => cut(path, suffix, without_suffix),
            PathChange::Text(find, with, most) => {
                let merge = !find.windows(2).any(|pair| pair == b"//");
                changed(path, &|path| replace(&clean(path, merge), find, with, *most))
            }
        }
    }
}

fn cut(path: &[u8], what: &[u8], without: fn(&[u8], &[u8]) -> Vec<u8>) -> Vec<u8> {
    let merge = !what.windows(2).any(|pair| pair == b"//");
    let stripped = without(&clean(path, merge), what) != clean(path, merge);
    let new = changed(path, &|path| without(&clean(path, merge), what));
    if stripped { canonical(&new) } else { new }
}

/// A path from the root without dot segments; its own spelling if that says the same.
fn canonical(escaped: &[u8]) -> Vec<u8> {
    let rooted = |path: &[u8]| if path.starts_with(b"/") { path.to_vec() } else { [b"/", path].concat() };
    let path = rooted(&unescape(escaped).unwrap_or_else(|| escaped.to_vec()));
    let path = unescape(&clean(&escape_path(&path), false)).unwrap_or(path);
    let raw = rooted(escaped);
    if unescape(&raw).is_some_and(|decoded| decoded == path) { escaped_path(&raw) } else { escape_path(&path) }
}

fn is_escape(text: &[u8], at: usize) -> bool {
    text.get(at..at + 3).is_some_and(|part| part[0] == b'%' && part[1..].iter().all(u8::is_ascii_hexdigit))
}

/// `strings.EqualFold` of a character of a path and one of a pattern, which Caddy takes byte by byte: beyond ASCII one that was escaped is
/// none of them.
fn same_letter(one: u8, escaped: bool, other: u8) -> bool {
    let lower = |byte: u8| char::from(byte).to_lowercase().next();
    (one.is_ascii() || !escaped) && lower(one) == lower(other)
}

/// The byte that stands at a place of a path, and whether it is escaped there. `None`: a wrong escape.
fn letter_at(path: &[u8], at: usize, decode: bool) -> Option<(u8, bool)> {
    let byte = *path.get(at)?;
    if !decode || byte != b'%' || path.len() < at + 3 {
        return Some((byte, false));
    }
    Some((*unescape(&path[at..at + 3])?.first()?, true))
}

fn without_prefix(path: &[u8], prefix: &[u8]) -> Vec<u8> {
    let (mut at, mut in_prefix) = (0, 0);
    while at < path.len() && in_prefix < prefix.len() {
        let Some((letter, escaped)) = letter_at(path, at, !is_escape(prefix, in_prefix)) else { return path.to_vec() };
        if !same_letter(letter, escaped, prefix[in_prefix]) {
            return path.to_vec();
        }
        at += if escaped { 3 } else { 1 };
        in_prefix += 1;
    }
    if in_prefix >= prefix.len() { path.get(at..).unwrap_or_default().to_vec() } else { path.to_vec() }
}

fn without_suffix(path: &[u8], suffix: &[u8]) -> Vec<u8> {
    let (mut at, mut in_suffix) = (path.len(), suffix.len());
    while at > 0 && in_suffix > 0 {
        let in_escape = (in_suffix >= 3 && is_escape(suffix, in_suffix - 3)) || is_escape(suffix, in_suffix - 1);
        let decode = !in_escape && at >= 3 && path[at - 3] == b'%';
        let Some((letter, escaped)) = letter_at(path, if decode { at - 3 } else { at - 1 }, decode) else {
            return path.to_vec();
        };
        if !same_letter(letter, escaped, suffix[in_suffix - 1]) {
            return path.to_vec();
        }
        at -= if decode { 3 } else { 1 };
        in_suffix -= 1;
    }
    if in_suffix == 0 { path[..at].to_vec() } else { path.to_vec() }
}

/// `path.Match`; a malformed pattern matches nothing.
pub fn glob(pattern: &[u8], name: &[u8]) -> bool {
    // Characters; a byte that isn't UTF-8 is one as well.
    let (pattern, name) = (lossy(pattern), lossy(name));
    let pattern: Vec<char> = String::from_utf8_lossy(&pattern).chars().collect();
    let name: Vec<char> = String::from_utf8_lossy(&name).chars().collect();
    let (mut at, mut in_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at) {
            None if in_name == name.len() => return true,
            None => None,
            Some('*') => {
                star = Some((at + 1, in_name));
                at += 1;
                continue;
            }
            Some(_) => match name.get(in_name) {
                None => None,
                Some(&letter) => match one(&pattern[at..], letter) {
                    None => return false,
                    Some((fits, length)) => fits.then_some(length),
                },
            },
        };
        match (step, star) {
            (Some(length), _) => {
                at += length;
                in_name += 1;
            }
            (None, Some((after, from))) if name.get(from).is_some_and(|&letter| letter != '/') => {
                star = Some((after, from + 1));
                (at, in_name) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

/// Whether a letter fits the beginning of a pattern, and how long that is. `None`: the pattern is malformed.
fn one(pattern: &[char], letter: char) -> Option<(bool, usize)> {
    match pattern.first()? {
        '?' => Some((letter != '/', 1)),
        '\\' => Some((*pattern.get(1)? == letter, 2)),
        '[' => {
            let mut at = 1;
            let negated = pattern.get(at) == Some(&'^');
            at += usize::from(negated);
            let mut fits = false;
            let start = at;
            loop {
                if pattern.get(at) == Some(&']') && at > start {
                    return Some((fits != negated, at + 1));
                }
                let end = |at: &mut usize| {
                    let mut letter = *pattern.get(*at)?;
                    if letter == '-' || letter == ']' {
                        return None;
                    }
                    if letter == '\\' {
                        *at += 1;
                        letter = *pattern.get(*at)?;
                    }
                    *at += 1;
                    Some(letter)
                };
                let low = end(&mut at)?;
                let mut high = low;
                if pattern.get(at) == Some(&'-') {
                    at += 1;
                    high = end(&mut at)?;
                }
                fits |= (low..=high).contains(&letter);
            }
        }
        own => Some((*own == letter, 1)),
    }
}

/// A pattern of Caddy's `path` matcher without escapes, both in lower case (2.11.9): `*` at one end, or at both, stands for anything.
pub fn path_pattern(pattern: &[u8], path: &[u8]) -> bool {
    let stars = pattern.iter().filter(|&&byte| byte == b'*').count();
    let (starts, ends) = (pattern.starts_with(b"*"), pattern.ends_with(b"*"));
    match stars {
        2 if starts && ends => {
            let part = &pattern[1..pattern.len() - 1];
            part.is_empty() || path.windows(part.len()).any(|window| window == part)
        }
        1 if starts => path.ends_with(&pattern[1..]),
        1 if ends => path.starts_with(&pattern[..pattern.len() - 1]),
        _ => glob(pattern, path),
    }
}

/// A pattern with escapes against an escaped path, both in lower case.
pub fn escaped_glob(pattern: &[u8], path: &[u8]) -> bool {
    let path = lower(path);
    let mut built: Vec<u8> = Vec::new();
    let (mut in_pattern, mut at) = (0, 0);
    while in_pattern < pattern.len() && at < path.len() {
        let mut letter = vec![path[at]];
        let mut spelling: &[u8] = b"";
        if path[at] == b'%' && path.len() >= at + 3 {
            spelling = &path[at..at + 3];
            match unescape(spelling) {
                Some(decoded) => letter = decoded,
                None => return false,
            }
            at += 2;
        }
        let raw_star = pattern[in_pattern] == b'%' && pattern.get(in_pattern + 1) == Some(&b'*');
        match pattern[in_pattern] {
            b'%' if pattern.len() >= in_pattern + 3 && !raw_star => {
                built.extend_from_slice(spelling);
                at += 1;
                in_pattern += 2;
            }
            b'%' | b'*' => {
                in_pattern += usize::from(pattern[in_pattern] == b'%');
                let rest = &path[at..];
                let until = match pattern.get(in_pattern + 1) {
                    Some(next) => match rest.iter().position(|byte| byte == next) {
                        Some(until) => until,
                        None => return false,
                    },
                    None => rest.len(),
                };
                match (raw_star, unescape(&rest[..until])) {
                    (false, Some(decoded)) => built.extend(decoded),
                    (false, None) => return false,
                    (true, _) => built.extend_from_slice(&rest[..until]),
                }
                at += until;
            }
            _ => {
                built.extend(letter);
                at += 1;
            }
        }
        in_pattern += 1;
    }
    if let Some(rest) = path.get(at..) {
        built.extend(unescape(rest).unwrap_or_else(|| rest.to_vec()));
    }
    glob(&replace(pattern, b"%*", b"*", None), &lower(&built))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, merged, kept) in [
            ("/", "/", "/"),
            ("", ".", "."),
            ("/a//b/", "/a/b/", "/a//b/"),
            ("//a", "/a", "//a"),
            ("//", "/", "//"),
            ("/a/.", "/a", "/a"),
            ("/a/./", "/a/", "/a/"),
            ("/a/../b", "/b", "/b"),
            ("/../../a", "/a", "/a"),
            ("/a/b/..", "/a", "/a"),
            ("/a//../b", "/b", "/a/b"),
            ("a/../..", "..", ".."),
        ] {
            assert_eq!(text(clean(path.as_bytes(), true)), merged, "{path}");
            assert_eq!(text(clean(path.as_bytes(), false)), kept, "{path}");
        }
    }

    #[test]
    fn what_must_be_escaped_is_escaped_with_all_the_rest() {
        for (raw, sent) in [
            ("/a%2fb", "/a%2fb"),
            ("/a\\b", "/a%5Cb"),
            ("/%61\\", "/a%5C"),
            ("/a#b", "/a%23b"),
            ("*", "*"),
            ("/(a)", "/(a)"),
        ] {
            assert_eq!(text(escaped_path(raw.as_bytes())), sent, "{raw}");
        }
    }

    #[test]
    fn prefixes_and_suffixes_go() {
        let prefix = |prefix: &str, path: &str| text(PathChange::Prefix(prefix.into()).apply(path.as_bytes()));
        assert_eq!(prefix("/ollama", "/ollama%2fapi/x"), "/api/x");
        assert_eq!(prefix("/ollama", "/OLLAMA//api"), "/api");
        assert_eq!(prefix("ollama", "/ollama"), "/");
        assert_eq!(prefix("/x", "/ollama"), "/ollama");
        assert_eq!(prefix("/a", "/a/../b"), "/b");
        let suffix = |suffix: &str, path: &str| text(PathChange::Suffix(suffix.into()).apply(path.as_bytes()));
        assert_eq!(suffix(".html", "/a.HTML"), "/a");
        assert_eq!(suffix("/b", "/a%2fb"), "/a");
    }

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, fits) in [
            ("/g/*/x", "/g/a/x", true),
            ("/g/*/x", "/g/a/b/x", false),
            ("/g/*/x", "/g//x", true),
            ("/q?z", "/qaz", true),
            ("/q?z", "/q/z", false),
            ("/[a-c]*", "/bx", true),
            ("/[^a-c]", "/b", false),
            ("/[a", "/a", false),
            ("/a\\*", "/a*", true),
            ("*/a/*/b", "/a/x/b", true),
            ("", "", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
        for (pattern, path, fits) in [
            ("/%2fz", "/%2Fz", true),
            ("/%2fz", "//z", false),
            ("/foo%2fbar", "/foo%2fbarbaz", false),
            ("/a%2fb/*", "/a%2fb/c", true),
        ] {
            assert_eq!(escaped_glob(pattern.as_bytes(), path.as_bytes()), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn hosts_lose_their_ports() {
        for (authority, host) in
            [("a:1", "a"), ("a", "a"), ("[::1]:2", "::1"), ("[::1]", "[::1]"), ("a:b:c", "a:b:c"), ("a:", "a")]
        {
            assert_eq!(text(without_port(authority.as_bytes()).to_vec()), host, "{authority}");
        }
    }
}
