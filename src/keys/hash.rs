//! A password's hash for `password_hash`: bcrypt for every target, argon2id for Caddy alone.
//!
//! In: a password. Out: its hash with what the user should know. Invariant: the whole password counts (bcrypt never cuts it),
//! and a password that a cheap hash can't protect is refused.

use std::collections::BTreeSet;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Argon2, Params, Version};

use super::Error;
use crate::secret::Secret;

/// How to hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `$2y$`: nginx, Traefik and Caddy verify it.
    Bcrypt {
        /// log2 of the rounds, in [`COSTS`].
        cost: u32,
    },
    /// `$argon2id$` with 46 MiB, one pass, one lane (Caddy's own default): only Caddy verifies it.
    Argon2id,
}

/// The cost without another wish.
pub const DEFAULT_COST: u32 = 8;

/// The costs that are accepted. Below 5 the password alone protects the hash; above 14 one request takes seconds.
pub const COSTS: std::ops::RangeInclusive<u32> = 5..=14;

/// Characters below which a password is refused.
pub const SHORTEST: usize = 12;

/// Characters below which a password gets a warning.
pub const SHORT: usize = 20;

/// Different characters below which a password is refused.
const FEWEST_DIFFERENT: usize = 6;

/// Bytes that bcrypt takes: 72 with the NUL that ends them.
const BCRYPT_LONGEST: usize = 71;

/// A hash and what there is to say about its password.
#[derive(Debug, Clone)]
pub struct Hashed {
    /// In its crypt (`$2y$…`) or PHC form.
    pub hash: Secret,
    /// Sentences for the user, for standard error; they don't show the password.
    pub warnings: Vec<String>,
}

/// Hashes a password with a fresh salt. A strong one comes from [`super::generate`].
///
/// Errors: a password with control characters, one that is too short, too simple, or too long for bcrypt; a cost outside [`COSTS`].
pub fn hash(password: &Secret, algorithm: Algorithm) -> Result<Hashed, Error> {
    let text = password.reveal();
    let warnings = judge(text)?;
    let hash = match algorithm {
        Algorithm::Bcrypt { cost } => bcrypt(text, cost)?,
        Algorithm::Argon2id => argon2id(text)?,
    };
    Ok(Hashed { hash: Secret::new(hash), warnings })
}

/// Why this cost, and what another one does: a paragraph for standard error.
///
/// The numbers were measured on one core of a shared machine with nginx 1.22, Traefik 3.7 and Caddy 2.11.
pub fn explanation(algorithm: Algorithm) -> String {
    match algorithm {
        Algorithm::Bcrypt { cost } => format!(
            "bcrypt with cost {cost}: nginx and Traefik compute the hash again on every single request (Caddy remembers it), and in nginx \
             every stream of that worker stands still meanwhile. Measured with one nginx worker: cost 5 lets 199 logins a second through and \
             another client waits 10 ms; cost 10 lets 12 through and it waits 274 ms; cost 12 lets 2 through and it waits 0.9 s; Traefik's \
             cost 14 takes about 1 s a request. Each step doubles it, and whoever guesses passwords makes you pay it. So take a \
             cost from 5 to 8 and let a long random password protect the hash: 20 random characters can't be guessed at any cost. \
             Programs should use an API key, which costs nothing to check."
        ),
        Algorithm::Argon2id => "argon2id with 46 MiB: only Caddy verifies it; nginx and Traefik answer 401 for ever, so rendering for them \
             fails. One login takes about 62 ms and 46 MiB, and Caddy remembers the good ones; eight clients guessing at once took \
             762 MB. A long random password protects the hash better than a higher cost. Programs should use an API key, \
             which costs nothing to check."
            .to_owned(),
    }
}

/// Refuses a password that would not hold; gives back what to warn about.
fn judge(text: &str) -> Result<Vec<String>, Error> {
    let fresh = "take a generated one";
    let length = text.chars().count();
    let different = text.chars().collect::<BTreeSet<_>>().len();
    if text.chars().any(char::is_control) {
        let message = "the password has control characters, which Basic authentication can't carry";
        return Err(Error::new(message, "leave out NUL, tabs and line ends"));
    }
    if length < SHORTEST {
        let message =
            format!("the password has {length} characters, {SHORTEST} are the least: the hash must be cheap to check");
        return Err(Error::new(message, fresh));
    }
    if different < FEWEST_DIFFERENT {
        let message = format!("the password has only {different} different characters and would be guessed");
        return Err(Error::new(message, fresh));
    }
    let mut warnings = Vec::new();
    if length < SHORT {
        warnings.push(format!(
            "the password has {length} characters; with a hash this cheap it should have {SHORT} random ones"
        ));
    }
    if !text.is_ascii() {
        warnings.push("the password is not plain ASCII: some clients send it in another encoding and fail".to_owned());
    }
    Ok(warnings)
}

fn bcrypt(text: &str, cost: u32) -> Result<String, Error> {
    if !COSTS.contains(&cost) {
        let message = format!("a bcrypt cost of {cost} is out of range");
        return Err(Error::new(message, format!("use {} to {}", COSTS.start(), COSTS.end())));
    }
    if text.len() > BCRYPT_LONGEST {
        let message = format!("the password has {} bytes, and bcrypt takes {BCRYPT_LONGEST}", text.len());
        return Err(Error::new(message, "take a shorter one; more than 43 random characters add nothing"));
    }
    let parts = bcrypt::non_truncating_hash_with_result(text, cost)
        .map_err(|error| Error::new(format!("bcrypt failed ({error})"), "try again"))?;
    Ok(parts.format_for_version(bcrypt::Version::TwoY))
}

fn argon2id(text: &str) -> Result<String, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::new(format!("argon2id failed ({error})"), "try again");
    let params = Params::new(47_104, 1, 1, None).map_err(|error| failed(&error))?;
    let argon2 = Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2.hash_password(text.as_bytes()).map_err(|error| failed(&error))?.to_string())
}

#[cfg(test)]
mod tests {

    use argon2::password_hash::{PasswordVerifier as _, phc::PasswordHash};

    use super::*;

    #[test]
    fn hashes_verify_for_their_password_alone() {
        let password = crate::keys::generate().unwrap();
        let bcrypt = hash(&password, Algorithm::Bcrypt { cost: 5 }).unwrap();
        assert!(bcrypt.hash.reveal().starts_with("$2y$05$") && bcrypt.hash.reveal().len() == 60);
        assert!(bcrypt.warnings.is_empty());
        assert!(bcrypt::verify(password.reveal(), bcrypt.hash.reveal()).unwrap());
        assert!(!bcrypt::verify("another password", bcrypt.hash.reveal()).unwrap());
        let argon2 = hash(&password, Algorithm::Argon2id).unwrap();
        assert!(argon2.hash.reveal().starts_with("$argon2id$v=19$m=47104,t=1,p=1$"), "{}", argon2.hash.reveal());
        let parsed = PasswordHash::new(argon2.hash.reveal()).unwrap();
        assert!(Argon2::default().verify_password(password.reveal().as_bytes(), &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"another password", &parsed).is_err());
    }

    #[test]
    fn weak_passwords_are_refused_or_warned_about() {
        let bcrypt = Algorithm::Bcrypt { cost: 5 };
        let long = "abcdefgh".repeat(9);
        for (password, algorithm, words) in [
            ("", bcrypt, "0 characters"),
            ("short-123", bcrypt, "9 characters"),
            ("äöüäöüßßéèà", bcrypt, "11 characters"),
            ("aaaaaaaaaaaaaaaaaaaaaaaa", bcrypt, "only 1 different"),
            ("abcabcabcabcabcabcabc", Algorithm::Argon2id, "only 3 different"),
            ("with a NUL \0 inside it", bcrypt, "control"),
            ("with a line end at its end\n", bcrypt, "control"),
            (long.as_str(), bcrypt, "72 bytes"),
            ("correct horse battery", Algorithm::Bcrypt { cost: 4 }, "out of range"),
            ("correct horse battery", Algorithm::Bcrypt { cost: 15 }, "out of range"),
            ("correct horse battery", Algorithm::Bcrypt { cost: u32::MAX }, "out of range"),
        ] {
            let error = hash(&Secret::new(password), algorithm).unwrap_err();
            assert!(error.message.contains(words), "{password:?}: {error}");
        }
        for (password, warnings) in
            [("correct horse", 1), ("correct horse battery", 0), ("cörrect horse battery", 1), ("cörrect horse", 2)]
        {
            assert_eq!(hash(&Secret::new(password), bcrypt).unwrap().warnings.len(), warnings, "{password}");
        }
        assert!(hash(&Secret::new(&long[1..]), bcrypt).is_ok(), "71 bytes");
        assert!(hash(&Secret::new(long), Algorithm::Argon2id).is_ok(), "72 bytes");
    }

    #[test]
    fn the_explanation_names_the_cost() {
        assert!(explanation(Algorithm::Bcrypt { cost: 7 }).starts_with("bcrypt with cost 7:"));
        assert!(!explanation(Algorithm::Argon2id).contains('\n'));
    }
}
