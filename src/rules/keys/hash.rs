//! What a password hash is worth.
//!
//! In: a hash in the notation of its server. Out: its scheme, and whether its shape can be one. Invariant: nothing of it is shown but the
//! scheme and the cost.

/// The digits of `crypt`'s own base64.
fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"./".contains(&byte)
}

/// A scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// bcrypt and its cost.
    Bcrypt(u32),
    /// argon2id.
    Argon2,
    /// Cheap for whoever guesses: its name.
    Cheap(&'static str),
    /// Another one that costs enough.
    Other,
    /// None: why.
    Malformed(&'static str),
}

/// The scheme of a hash.
pub fn scheme(hash: &str) -> Scheme {
    let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(is_digit);
    let parts: Vec<&str> = hash.split('$').collect();
    match parts.as_slice() {
        ["", kind, cost, rest] if ["2", "2a", "2b", "2x", "2y"].contains(kind) => match cost.parse() {
            Ok(cost @ 4..=31) if digits(rest, 53) => Scheme::Bcrypt(cost),
            Ok(4..=31) => Scheme::Malformed("a bcrypt hash has 60 characters"),
            _ => Scheme::Malformed("the cost of bcrypt is 04 to 31"),
        },
        ["", kind, ..] if kind.starts_with('2') => Scheme::Malformed("a bcrypt hash is `$2b$COST$…`"),
        ["", "apr1", _, sum] if digits(sum, 22) => Scheme::Cheap("apr1 (MD5)"),
        ["", "1", _, sum] if digits(sum, 22) => Scheme::Cheap("MD5"),
        ["", "apr1" | "1", ..] => Scheme::Malformed("a sum of MD5 has 22 characters"),
        ["", "5", .., sum] if digits(sum, 43) => Scheme::Other,
        ["", "6", .., sum] if digits(sum, 86) => Scheme::Other,
        ["", "5" | "6", ..] => Scheme::Malformed("its sum has another length"),
        ["", "argon2id", "v=19", _, salt, sum] if !salt.is_empty() && !sum.is_empty() => Scheme::Argon2,
        ["", "argon2id", ..] => Scheme::Malformed("an argon2id hash is `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH`"),
        [one] if one.starts_with("{SHA}") => match one.len() {
            33 => Scheme::Cheap("SHA-1 without a salt"),
            _ => Scheme::Malformed("a sum of SHA-1 in base64 has 28 characters"),
        },
        [one] if one.starts_with("{SSHA}") => Scheme::Cheap("SHA-1"),
        [one] if digits(one, 13) => Scheme::Cheap("DES"),
        _ => Scheme::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::{Scheme, scheme};

    #[test]
    fn shapes_are_told_apart() {
        let bcrypt = format!("$2b$12${}", "a".repeat(53));
        for (hash, expected) in [
            (bcrypt.as_str(), Scheme::Bcrypt(12)),
            ("$apr1$saltsalt$gTCTa4ve4jRrfV4IBeTFK1", Scheme::Cheap("apr1 (MD5)")),
            ("{SHA}7w67t3KY4fvYH3VqTvw1uXfJPa4=", Scheme::Cheap("SHA-1 without a salt")),
            ("abl0Ai80nKXlE", Scheme::Cheap("DES")),
            ("$5$$7Igb8ZC5zZgaZ.GAb9vQOV2MxsUd00N7YUe/qeWq8L6", Scheme::Other),
            ("$2y$10$...", Scheme::Malformed("a bcrypt hash has 60 characters")),
        ] {
            assert_eq!(scheme(hash), expected);
        }
    }
}
