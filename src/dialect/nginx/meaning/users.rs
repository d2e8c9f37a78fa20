//! `auth_basic_user_file`: who is in it.
//!
//! In: the name of a file. Out: its users with their hashes. Invariant: hashes are [`Secret`]s; what can't be read is never taken for an
//! empty file (facts on the format measured on nginx 1.22.1).

use std::io::Read as _;
use std::sync::Arc;

use crate::gateway::{Authenticate, Chain, Clause, Credential, Gateway, Origin, Predicate, Proof, Terminal};
use crate::secret::Secret;
use crate::source::{SourceFile, Span};

use super::Reader;

/// A file of users.
#[derive(Debug, Clone)]
pub enum Users {
    /// Its users.
    Known(Arc<[Credential]>),
    /// Its folder is there, the file isn't.
    Missing,
    /// Nobody knows what is in it: why.
    Unknown(String),
}

/// Files of users aren't longer.
const MOST_BYTES: u64 = 16 << 20;

impl Reader<'_> {
    /// The users of a file.
    pub fn users(&mut self, name: &[u8]) -> Users {
        if let Some(known) = self.users.get(name) {
            return known.clone();
        }
        let path = self.path(name);
        let shown = String::from_utf8_lossy(name).into_owned();
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
        let users = match read {
            Ok(_) => Users::Known(parse(&bytes).into()),
            Err(error)
                if !self.options.copied
                    && error.kind() == std::io::ErrorKind::NotFound
                    && path.parent().is_some_and(|folder| folder.is_dir()) =>
            {
                Users::Missing
            }
            Err(_) => Users::Unknown(format!("depends on the users in `{shown}`, which can't be read here")),
        };
        self.users.insert(name.to_vec(), users.clone());
        users
    }
}

/// A password file by itself: its users, and nothing that answers.
pub fn passwords(file: SourceFile) -> Gateway {
    let credentials: Arc<[Credential]> = parse(file.bytes()).into();
    let origin = Origin::new(0, Span::new(0..file.text.lines().next().map_or(0, str::len)), "these users");
    let who = Authenticate { basic: true, padding_optional: true, credentials, ..Authenticate::default() };
    let clause = Clause::new(Predicate::Authenticated(Arc::new(who)), Terminal::Return, origin.clone());
    let hashes = file.text.split_inclusive('\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len();
        Some(line.find(':').map(|colon| Span::new(at + colon + 1..at + line.trim_end().len().max(colon + 1))))
    });
    let file = file.hiding(hashes.flatten().collect());
    let chain = Chain { clauses: vec![clause], otherwise: Terminal::Return, origin };
    Gateway { files: vec![file], chains: vec![chain], ..Gateway::default() }
}

/// The lines of a file: `user:hash`, perhaps `:` and more.
fn parse(bytes: &[u8]) -> Vec<Credential> {
    let mut credentials: Vec<Credential> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|&byte| byte == b':').filter(|_| line.first() != Some(&b'#')) else {
            continue;
        };
        let rest = &line[colon + 1..];
        let hash = rest.split(|&byte| byte == b':').next().unwrap_or_default();
        let (Ok(user), Ok(hash)) = (std::str::from_utf8(&line[..colon]), std::str::from_utf8(hash)) else { continue };
        // Of two lines for a user the first counts.
        if seen.insert(user.to_owned()) {
            credentials.push(Credential { client: user.to_owned(), proof: proof(hash) });
        }
    }
    credentials
}

/// What proves a password; absent: no password does.
fn proof(hash: &str) -> Option<Proof> {
    if let Some(plain) = hash.strip_prefix("{PLAIN}") {
        return Some(Proof::Password(Secret::new(plain)));
    }
    let des = hash.len() == 13 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    let known = des || (hash.starts_with(['$', '{']) && !hash.starts_with("$argon2"));
    known.then(|| Proof::PasswordHash(Secret::new(hash)))
}
