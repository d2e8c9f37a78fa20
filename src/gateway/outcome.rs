//! What became of a request, and what happened to it on the way.
//!
//! In: what [`super::eval`] saw. Out: facts, for whoever judges or shows them. Invariant: headers and changes hold what the request and the
//! config hold, secrets too: only names are for people, values are for who compares them.

use std::borrow::Cow;
use std::sync::Arc;

use super::{HeaderLines, Limit, Origin, Said, Setting};

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The decision.
    pub verdict: Verdict,
    /// Who it was, when that was verified.
    pub client: Option<String>,
    /// The limits that applied on the way, and where they are said.
    pub limits: Vec<(Limit, Origin)>,
    /// What each of `limits` counted it by; absent: not to be known. Only [`super::eval::ways`] fills it in.
    pub keys: Vec<Option<Vec<u8>>>,
    /// What else held for it, and where that is said; the last of a kind is in force. Values of headers of the answer are as they were when
    /// that was said, computed; only [`super::eval::ways`] does that.
    pub settings: Vec<Arc<Said<Setting>>>,
    /// The method as it stands at the end.
    pub method: Vec<u8>,
    /// The request headers as they stand at the end: what an upstream gets, the connection's own ones excepted.
    pub headers: HeaderLines,
    /// The places that led here, in order.
    pub steps: Vec<Origin>,
    /// What steps changed, in order.
    pub changes: Vec<Change>,
    /// Conditions on the caller that didn't hold, each with how many of `steps` came before. Only [`super::eval::ways`] fills it in.
    pub missed: Vec<(usize, Origin)>,
    /// Whether anything on the way looked at who is asking. Only [`super::eval::ways`] fills it in.
    pub asks_who: bool,
}

impl Outcome {
    /// Its settings, and where they are said.
    pub fn settings(&self) -> impl DoubleEndedIterator<Item = (&Setting, &Origin)> + ExactSizeIterator {
        self.settings.iter().map(|said| (&said.what, &said.origin))
    }
}

/// What a step changed in a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// How many of [`Outcome::steps`] came before.
    pub after: usize,
    /// Where the change is said.
    pub origin: Origin,
    /// What changed.
    pub what: Changed,
    /// What it was; absent: not to be known.
    pub before: Option<Vec<u8>>,
    /// What it is now; absent: not to be known.
    pub now: Option<Vec<u8>>,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The method.
    Method,
    /// The path that rules see.
    Path,
    /// The query.
    Query,
    /// The target that goes upstream.
    Target,
    /// A request header; its lines with `, ` between them.
    Header(String),
    /// A variable.
    Variable(Arc<str>),
}

/// One way that a request may go, if these assumptions hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// The questions that the files don't answer, in the order in which they came up: why, and what is assumed.
    pub assumed: Vec<(String, bool)>,
    /// What becomes of the request then.
    pub outcome: Outcome,
}

/// The decision about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The gateway refuses: a status from 400 on, 444 for a connection that is closed without an answer.
    Refused(u16),
    /// The gateway answers by itself with another status.
    Answered(u16),
    /// The upstream sees it.
    Proxied {
        /// `host:port` of the first server.
        upstream: String,
        /// The request target that it gets.
        target: Vec<u8>,
        /// The Host header that it gets.
        host: String,
    },
    /// Not to be known from the files.
    Unknown {
        /// Why.
        reason: String,
        /// Whether the upstream sees it, whatever the answer is.
        reached: bool,
    },
}

/// The status that a computed text is; what is none is 500.
pub(super) fn status_of(text: &[u8]) -> u16 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

/// The decision of a gateway that answers by itself.
pub(super) fn by_itself(status: u16) -> Verdict {
    if status >= 400 { Verdict::Refused(status) } else { Verdict::Answered(status) }
}

/// The decision that the files don't tell.
pub(super) fn unknown(why: impl Into<Cow<'static, str>>) -> Verdict {
    Verdict::Unknown { reason: why.into().into_owned(), reached: false }
}

/// No outcome yet.
pub(super) fn nothing() -> Outcome {
    Outcome {
        verdict: unknown("no listener on this port"),
        client: None,
        limits: Vec::new(),
        keys: Vec::new(),
        settings: Vec::new(),
        method: Vec::new(),
        headers: Vec::new(),
        steps: Vec::new(),
        changes: Vec::new(),
        missed: Vec::new(),
        asks_who: false,
    }
}
