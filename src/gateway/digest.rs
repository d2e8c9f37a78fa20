//! Digests, and how they are written.
//!
//! In: bytes. Out: bytes or a number. Invariant: total; the same bytes give the same digest.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::{Digest as _, Md5};

/// The MD5 sum of these parts, one after the other.
pub(super) fn md5(parts: &[&[u8]]) -> [u8; 16] {
    parts.iter().fold(Md5::new(), |sum, part| sum.chain_update(part)).finalize().into()
}

/// Two small digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// What base64 for URLs stands for; bits behind the last byte mean nothing, nor does what follows a `=`.
pub(super) fn from_base64_url(text: &[u8]) -> Vec<u8> {
    let text = text.split(|&byte| byte == b'=').next().unwrap_or_default();
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, config).decode(text).unwrap_or_default()
}

/// MurmurHash2 with 32 bits and the seed 0 (Austin Appleby; `ngx_murmur_hash2`).
pub(super) fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let (words, rest) = bytes.as_chunks::<4>();
    let mut hash = bytes.len() as u32;
    for word in words {
        let word = u32::from_le_bytes(*word).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (word ^ (word >> 24)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, &byte| (last << 8) | u32::from(byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}
