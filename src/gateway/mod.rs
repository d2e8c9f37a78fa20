//! The model: a gateway is a function from a request to a decision.
//!
//! In: what [`crate::lower`] says a policy means. Out: the [`Gateway`] that [`eval::evaluate`] runs. Invariant: precedence is already
//! resolved (the first clause that matches wins), chains name each other by index, and every clause says where it comes from.

pub mod body;
pub mod eval;

use std::net::IpAddr;
use std::sync::Arc;

use crate::secret::Secret;
use crate::source::{SourceFile, Span};

/// A gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The files that origins point into.
    pub files: Vec<SourceFile>,
    /// At least one; the first is asked when a request names no port.
    pub listeners: Vec<Listener>,
    /// All chains; a [`ChainId`] is an index.
    pub chains: Vec<Chain>,
}

/// Index of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainId(pub usize);

/// The place in a file that causes something, and what it says there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Index into [`Gateway::files`].
    pub file: usize,
    /// The place.
    pub span: Span,
    /// What happens here, for people.
    pub note: String,
}

/// An address that answers.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The address that is bound.
    pub address: IpAddr,
    /// The port that is bound.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The largest request head in bytes; from twice this on a request is refused (431).
    pub head_bytes: u64,
    /// Where every request starts.
    pub chain: ChainId,
    /// Where it is declared.
    pub origin: Origin,
}

/// Clauses in order: the first that matches decides.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The clauses.
    pub clauses: Vec<Clause>,
    /// What happens when none matches.
    pub otherwise: Terminal,
    /// Where that is said.
    pub origin: Origin,
}

/// When something holds, do the steps, then end or go on.
#[derive(Debug, Clone)]
pub struct Clause {
    /// The condition.
    pub when: Predicate,
    /// What is done, in order; a step may end the request.
    pub steps: Vec<Step>,
    /// How it ends.
    pub then: Terminal,
    /// Where it is said.
    pub origin: Origin,
}

/// A condition on a request and on who was found to send it.
#[derive(Debug, Clone)]
pub enum Predicate {
    /// Holds.
    Always,
    /// One of these methods, exactly.
    Method(Vec<String>),
    /// The raw path.
    Path(PathTest),
    /// One of these host names, compared without port and case.
    Host(Vec<String>),
    /// A header.
    Header(String, HeaderTest),
    /// The authenticated client is this one.
    Client(String),
    /// The body names, with certainty, one of these models.
    Model(Vec<ModelTest>),
    /// All hold.
    All(Vec<Predicate>),
    /// One holds.
    Any(Vec<Predicate>),
    /// It doesn't hold.
    Not(Box<Predicate>),
}

/// A test of a path's bytes.
#[derive(Debug, Clone)]
pub enum PathTest {
    /// Exactly this.
    Exact(String),
    /// The whole path matches this expression.
    Regex(regex::bytes::Regex),
}

/// A test of a header's values.
#[derive(Debug, Clone)]
pub enum HeaderTest {
    /// It is there and not empty.
    Present,
    /// It stands once and is one of these, byte for byte.
    OneOf(Vec<String>),
    /// It stands at least once, and one value begins with this word in any case.
    Scheme(String),
}

/// A model's name or the start of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelTest {
    /// The text.
    pub text: String,
    /// Whether more may follow.
    pub prefix: bool,
}

/// Something that is done to a request.
#[derive(Debug, Clone)]
pub enum Step {
    /// Finds out who it is; nobody: the request ends with 401.
    Authenticate(Authenticate, Origin),
    /// A limit that applies from here on. It never changes the decision about a single request.
    Limit(Limit, Origin),
    /// A longer body ends the request with 413.
    BodyLimit(u64, Origin),
}

/// How callers show who they are.
#[derive(Debug, Clone)]
pub struct Authenticate {
    /// `Authorization: Bearer KEY` counts.
    pub bearer: bool,
    /// `X-API-Key: KEY` counts.
    pub x_api_key: bool,
    /// `Authorization: Basic` counts.
    pub basic: bool,
    /// Who has which credential.
    pub credentials: Arc<[Credential]>,
}

/// One credential.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Whose it is.
    pub client: String,
    /// What proves it; absent: its value isn't known, so that no request carries it.
    pub proof: Option<Proof>,
}

/// What proves who a caller is.
#[derive(Debug, Clone)]
pub enum Proof {
    /// The key itself.
    Key(Secret),
    /// A bcrypt or argon2id hash of the password.
    PasswordHash(Secret),
}

/// A limit in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// For whom it counts.
    pub per: Per,
    /// What it counts.
    pub kind: LimitKind,
}

/// For whom a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// One client address (an IPv6 client's /64).
    Ip,
    /// One client of the policy.
    Client,
}

/// What a limit counts.
#[derive(Debug, Clone, PartialEq)]
pub enum LimitKind {
    /// `requests` each `window`, `burst` at once.
    Rate {
        /// Requests in the window, on average.
        requests: u32,
        /// The window.
        window: std::time::Duration,
        /// Requests at once.
        burst: u32,
    },
    /// Requests in hand at once.
    Connections {
        /// So many.
        max: u32,
    },
}

/// How the work on a request ends, or where it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terminal {
    /// The upstream gets it.
    Forward {
        /// `host:port` of the first server.
        upstream: String,
        /// The Host header that it gets.
        host: String,
    },
    /// The gateway answers by itself.
    Respond(u16),
    /// Another chain decides.
    Then(ChainId),
}

impl Gateway {
    /// The listener on a port, or the first.
    pub fn listener(&self, port: Option<u16>) -> Option<&Listener> {
        match port {
            None => self.listeners.first(),
            Some(port) => self.listeners.iter().find(|listener| listener.port == port),
        }
    }
}
