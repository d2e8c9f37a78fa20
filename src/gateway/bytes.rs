//! What servers do to the bytes of a path or a list. What Go does to them is in [`super::url`].
//!
//! In: bytes. Out: bytes. Invariant: total; what isn't well formed stays as it is.

use std::net::IpAddr;

use ipnet::IpNet;

use super::wire::unescape;

pub(super) fn before(bytes: &[u8], stop: u8) -> &[u8] {
    bytes.split(|&byte| byte == stop).next().unwrap_or_default()
}

pub(super) fn escape(bytes: &[u8], kept: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if kept.as_bytes().contains(&byte) {
            out.push(byte);
        } else {
            out.extend(format!("%{byte:02X}").bytes());
        }
    }
    out
}

/// An escape's two digits, if both are there.
fn escape_at(bytes: &[u8], at: usize) -> Option<(&[u8], u8)> {
    let escape = bytes.get(at..at + 3).filter(|escape| escape[0] == b'%')?;
    Some((escape, unescape(escape)?.first().copied()?))
}

pub(super) fn is_upper(escape: &[u8]) -> bool {
    !escape.iter().any(u8::is_ascii_lowercase)
}

/// Escapes resolved where that is wanted; wrong ones stay.
pub(super) fn unescape_if(bytes: &[u8], wanted: impl Fn(&[u8], u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match escape_at(bytes, at) {
            Some((escape, resolved)) if wanted(escape, resolved) => {
                out.push(resolved);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

pub(super) fn normalize_escapes(bytes: &[u8]) -> Vec<u8> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut out = unescape_if(bytes, |_, byte| unreserved(byte));
    for at in 0..out.len() {
        if escape_at(&out, at).is_some() {
            out[at..at + 3].make_ascii_uppercase();
        }
    }
    out
}

/// What is left behind so many characters, an escape counted as one.
pub(super) fn skip_characters(bytes: &[u8], count: usize) -> &[u8] {
    let mut rest = bytes;
    for _ in 0..count {
        let length = if rest.starts_with(b"%") && rest.len() > 2 { 3 } else { 1 };
        rest = rest.get(length..).unwrap_or_default();
    }
    rest
}

pub(super) fn in_network(bytes: &[u8], networks: &[IpNet]) -> bool {
    let address = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<IpAddr>().ok());
    address.is_some_and(|address| networks.iter().any(|network| network.contains(&address.to_canonical())))
}

/// A name or value of a form (`application/x-www-form-urlencoded`). `None`: a wrong escape.
pub(super) fn form_decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let blanks: Vec<u8> = bytes.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    unescape(&blanks)
}
