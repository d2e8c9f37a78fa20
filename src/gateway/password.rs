//! Whether a password belongs to a hash.
//!
//! In: a hash in the notation of `crypt`, `htpasswd` or LDAP (RFC 2307), and a password. Out: yes, no, or nothing where the scheme isn't
//! known here. Invariant: nothing is shown; a malformed hash belongs to no password. Which of the schemes a server knows is its reader's
//! matter; here stands what Debian's libcrypt and nginx's `ngx_crypt.c` know, but for scrypt and GOST.

mod des;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use argon2::PasswordVerifier as _;
use argon2::password_hash::phc;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::digest::md5;
use crate::secret::Secret;

/// The digits of `crypt`'s own base64.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Longer salts never fit: what is made from them has the shorter one.
const LONGEST_SHA_SALT: usize = 16;

/// Whether a password belongs to a hash. Remembered, since each check costs what an attacker's guess should cost.
pub(super) fn verify(hash: &Secret, password: &[u8]) -> Option<bool> {
    type Known = Mutex<HashMap<(String, Vec<u8>), Option<bool>>>;
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let key = (hash.reveal().to_owned(), password.to_vec());
    let known = KNOWN.get_or_init(Known::default);
    if let Ok(known) = known.lock()
        && let Some(answer) = known.get(&key)
    {
        return *answer;
    }
    let answer = check(&key.0, password);
    if let Ok(mut known) = known.lock() {
        known.insert(key, answer);
    }
    answer
}

fn check(hash: &str, password: &[u8]) -> Option<bool> {
    let parts: Vec<&str> = hash.split('$').collect();
    Some(match parts.as_slice() {
        ["", "argon2id", ..] => {
            let parsed = phc::PasswordHash::new(hash);
            parsed.is_ok_and(|parsed| argon2::Argon2::default().verify_password(password, &parsed).is_ok())
        }
        ["", scheme, ..] if scheme.starts_with('2') => bcrypt::verify(password, hash).unwrap_or(false),
        ["", scheme @ ("apr1" | "1"), salt, _] => md5_crypt(password, scheme, salt) == hash,
        // The crate takes no empty salt.
        ["", "5" | "6", .., "", _] => return None,
        ["", "5" | "6", .., salt, _] => {
            salt.len() <= LONGEST_SHA_SALT && sha_crypt::ShaCrypt::default().verify_password(password, hash).is_ok()
        }
        ["", "y", ..] => yescrypt::Yescrypt::default().verify_password(password, hash).is_ok(),
        ["", "apr1" | "1" | "5" | "6", ..] => false,
        [one] => match (one.strip_prefix("{SHA}"), one.strip_prefix("{SSHA}")) {
            (Some(sum), _) => STANDARD.encode(Sha1::digest(password)) == sum,
            (_, Some(sum)) => {
                let sum = STANDARD.decode(sum).unwrap_or_default();
                sum.split_at_checked(20).is_some_and(|(sum, salt)| {
                    Sha1::new().chain_update(password).chain_update(salt).finalize()[..] == *sum
                })
            }
            _ => return des::crypt(password, one).map(|made| made == *one),
        },
        _ => return None,
    })
}

/// What the MD5 scheme of FreeBSD (`1`) and Apache (`apr1`) makes of a password.
fn md5_crypt(password: &[u8], scheme: &str, salt: &str) -> String {
    let salt = salt.get(..8).unwrap_or(salt);
    let inner = md5(&[password, salt.as_bytes(), password]);
    let mut whole = [password, b"$", scheme.as_bytes(), b"$", salt.as_bytes()].concat();
    whole.extend(inner.iter().cycle().take(password.len()));
    let mut length = password.len();
    while length > 0 {
        whole.push(if length & 1 == 1 { 0 } else { password[0] });
        length >>= 1;
    }
    let mut sum = md5(&[&whole]);
    for round in 0..1000 {
        let (first, last) = if round & 1 == 1 { (password, &sum[..]) } else { (&sum[..], password) };
        let salt = if round % 3 == 0 { &[] } else { salt.as_bytes() };
        let middle = if round % 7 == 0 { &[] } else { password };
        sum = md5(&[first, salt, middle, last]);
    }
    let mut text = format!("${scheme}${salt}$");
    for [high, middle, low] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        digits(&mut text, u32::from_be_bytes([0, sum[high], sum[middle], sum[low]]), 4);
    }
    digits(&mut text, u32::from(sum[11]), 2);
    text
}

/// So many digits of a number, the lowest first.
fn digits(text: &mut String, number: u32, count: u32) {
    text.extend((0..count).map(|at| char::from(DIGITS[(number >> (6 * at)) as usize & 63])));
}

#[cfg(test)]
mod tests {
    use super::check;

    /// Made by Debian's libcrypt 4.4 (`orange`; the last: no password at all).
    const RIGHT: &[(&str, &str)] = &[
        ("orange", "$1$$Ro.kDk5GNLNQbdJyDEovy1"),
        ("orange", "$apr1$saltsalt$gTCTa4ve4jRrfV4IBeTFK1"),
        ("orange", "$5$rounds=1000$saltsalt$P6erV1WpGv6A3Y8BcDbEGb/TbpQ1SOvKL92cn51h711"),
        (
            "orange",
            "$6$saltsaltsaltsalt$tTGhW9JddlDmNp7MupdPB76.Jm.I8Q43wAMeD2URMNU5gkSgySPW6FYvDWjVBHeJDiQvUGLJJ87cW7kMEjf310",
        ),
        ("orange", "$y$j75$saltsalt$Qz1AKyvKlOIKT9kBxuUzbgkD9xJSCHoXJQyYq.xFK55"),
        ("orange", "$y$j9T$saltsalt$iDPG6WGL4ejRokXdvoEzg.VWWKPBTNWB15FQf9apyT0"),
        ("orange", "{SHA}7w67t3KY4fvYH3VqTvw1uXfJPa4="),
        ("orange", "{SSHA}thyUs/bS/Su1kVP5DIXNSsLQ841zYWx0"),
        ("orange", "abl0Ai80nKXlE"),
        ("longerthan8chars", "abNyxOnyxSgjw"),
        ("päss", "abxNd6oRGYP9Q"),
        ("", "abmF1QH4PEr.E"),
    ];

    #[test]
    fn each_scheme_knows_its_password() {
        for (password, hash) in RIGHT {
            assert_eq!(check(hash, password.as_bytes()), Some(true), "{hash}");
            assert_eq!(check(hash, b"apple"), Some(false), "{hash}");
        }
    }

    #[test]
    fn malformed_hashes_belong_to_nobody() {
        for hash in
            ["$1$x", "$apr1$", "$5$rounds=10$saltsalt$x", "$6$", "$y$j9T$", "{SHA}", "{SSHA}x", "$2y$", "$argon2id$"]
        {
            assert_eq!(check(hash, b""), Some(false), "{hash}");
        }
        for hash in ["$7$A6..../....saltsalt$x", "$gy$j75$saltsalt$x", "$5$$x", "orange", "{MD5}x", ""] {
            assert_eq!(check(hash, b"orange"), None, "{hash}");
        }
    }
}
