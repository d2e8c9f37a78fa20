//! Who a request's credentials belong to.
//!
//! In: the credentials that a gateway knows, and a request. Out: the client's name, or nobody. Invariant: keys and hashes are compared,
//! never shown; a hash whose scheme isn't known here makes the answer unknown, never yes.

use std::sync::Arc;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};

use super::password::verify;
use crate::http::Request;
use crate::secret::Secret;

/// The name that a request gives as its client's for one whom the files don't list, where not all are known.
pub const UNLISTED: &str = "some-user";

/// How callers show who they are.
#[derive(Debug, Clone, Default, Hash)]
pub struct Authenticate {
    /// `Authorization: Bearer KEY` counts.
    pub bearer: bool,
    /// `X-API-Key: KEY` counts.
    pub x_api_key: bool,
    /// `Authorization: Basic` counts.
    pub basic: bool,
    /// Basic credentials count without their padding too (nginx 1.22.1).
    pub padding_optional: bool,
    /// Of several Authorization lines the first counts, instead of none, and one blank stands behind `Basic` (Go's net/http 1.26).
    pub first_line: bool,
    /// Whether a worker that checks a password does nothing else meanwhile (nginx 1.22.1).
    pub blocking: bool,
    /// Who has which credential.
    pub credentials: Arc<[Credential]>,
    /// The credentials aren't all known: why. A caller whom the known ones don't prove may still be somebody.
    pub incomplete: Option<String>,
}

/// One credential.
#[derive(Debug, Clone, Hash)]
pub struct Credential {
    /// Whose it is.
    pub client: String,
    /// What proves it; absent: its value isn't known, so that no request carries it.
    pub proof: Option<Proof>,
}

/// What proves who a caller is.
#[derive(Debug, Clone, Hash)]
pub enum Proof {
    /// The key itself.
    Key(Secret),
    /// The password itself, for Basic.
    Password(Secret),
    /// A hash of the password, in the server's own notation.
    PasswordHash(Secret),
}

/// Whose credentials a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// This client's.
    Client(String),
    /// Nobody's.
    Nobody,
    /// Not to be known: why.
    Unknown(String),
}

impl Authenticate {
    /// Whose credentials a request with these headers carries: Bearer's client, else X-API-Key's, else Basic's.
    pub fn who(&self, request: &Request, headers: &Headers<'_>) -> Who {
        if let Some(name) = &request.as_client
            && (self.credentials.iter().any(|credential| credential.client == *name)
                || self.incomplete.is_some() && name == UNLISTED)
        {
            return Who::Client(name.clone());
        }
        let by_key = |given: &[u8]| {
            let found = self
                .credentials
                .iter()
                .find(|credential| matches!(&credential.proof, Some(Proof::Key(key)) if key.equals(given)));
            found.map(|credential| credential.client.clone())
        };
        let authorization = match self.first_line {
            true => headers.all("authorization").next(),
            false => headers.only("authorization"),
        };
        let bearer = authorization.filter(|_| self.bearer).and_then(|value| credentials_of(value, "bearer"));
        if let Some(client) = bearer.and_then(by_key) {
            return Who::Client(client);
        }
        if let Some(client) = headers.only("x-api-key").filter(|_| self.x_api_key).and_then(by_key) {
            return Who::Client(client);
        }
        let basic = authorization.filter(|_| self.basic);
        let basic = basic.and_then(|value| basic_credentials(value, self.padding_optional, self.first_line));
        let Some((user, password)) = basic else { return Who::Nobody };
        let Ok(user) = String::from_utf8(user) else { return Who::Nobody };
        let mut unknown = self.incomplete.clone();
        for credential in self.credentials.iter().filter(|credential| credential.client == user) {
            let right = match &credential.proof {
                Some(Proof::PasswordHash(hash)) => verify(hash, &password),
                Some(Proof::Password(own)) => Some(own.equals(&password)),
                Some(Proof::Key(_)) | None => continue,
            };
            match right {
                Some(true) => return Who::Client(user),
                Some(false) => {}
                None => {
                    unknown = Some(format!("depends on the password hash of `{user}`, whose scheme is not known here"))
                }
            }
        }
        // What is nobody's is no user's password either, whatever the files don't tell.
        let unknown = unknown.filter(|_| request.as_client.as_deref() != Some(""));
        unknown.map_or(Who::Nobody, Who::Unknown)
    }
}

/// User and password of a Basic header (RFC 7617). Without need of padding nothing behind it counts either (nginx 1.22.1); with
/// `one_blank` a second blank behind the scheme belongs to the credentials (Go's net/http 1.26).
pub(super) fn basic_credentials(value: &[u8], padding_optional: bool, one_blank: bool) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut given = match one_blank {
        true => value.get(..6).filter(|start| start.eq_ignore_ascii_case(b"Basic ")).map(|_| &value[6..])?,
        false => credentials_of(value, "basic")?,
    };
    // Bits behind the last byte mean nothing (RFC 4648, section 3.5): every server overlooks them.
    let mut padding = DecodePaddingMode::RequireCanonical;
    if padding_optional {
        padding = DecodePaddingMode::Indifferent;
        given = given.split(|&byte| byte == b'=').next()?;
    }
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(padding);
    let decoded = GeneralPurpose::new(&alphabet::STANDARD, config).decode(given).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

/// Headers as they stand on a request's way.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'h>(pub &'h [(Vec<u8>, Vec<u8>)]);

impl<'h> Headers<'h> {
    /// The values of a header, in order; of `*`: those of all headers.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let lines = self.0.iter().filter(move |(own, _)| name == "*" || own.eq_ignore_ascii_case(name.as_bytes()));
        lines.map(|(_, value)| value.as_slice())
    }

    /// The value of a header that stands exactly once.
    pub fn only(self, name: &str) -> Option<&'h [u8]> {
        let mut values = self.all(name);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }
}

/// What follows an authentication scheme and its blanks (RFC 9110, section 11.4); the scheme in any case.
pub(super) fn credentials_of<'v>(value: &'v [u8], scheme: &str) -> Option<&'v [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    let blanks = rest.iter().take_while(|&&byte| byte == b' ').count();
    (start.eq_ignore_ascii_case(scheme.as_bytes()) && blanks > 0).then(|| &rest[blanks..])
}
