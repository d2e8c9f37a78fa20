//! What is done to a request on its way, and what holds for it from there on.
//!
//! In: a clause. Out: changes to the state of one request, or facts about how it is treated. Invariant: a step never ends a request;
//! only a clause's condition and end do.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::{ChainId, Origin, Value};

/// Something that is done to a request; clones share it.
#[derive(Debug, Clone)]
pub enum Step {
    /// A limit that applies from here on. It never changes the decision about a single request.
    Limit(Arc<Said<Limit>>),
    /// A variable gets a value.
    Set(Arc<Said<(Arc<str>, Value)>>),
    /// Method, path, query or target change.
    Rewrite(Arc<Said<Rewrite>>),
    /// A request header changes: what follows sees it so, and the upstream.
    RequestHeader(Arc<Said<Arc<HeaderEdit>>>),
    /// From here on these handle the gateway's own errors; absent: nobody.
    OnError(Option<Arc<Errors>>),
    /// Whoever fails from here on asks these first, and then those that were set so before. What handles the error goes on behind this
    /// clause, as if nothing had failed, with these handlers gone.
    Guard(Arc<Errors>),
    /// Another chain runs first; [`super::Terminal::Return`] comes back here.
    Call(ChainId),
    /// The address of the client is what somebody trusted says.
    ClientIp(Arc<Said<Trust>>),
    /// A fact about how the request is treated, for whoever judges that.
    Setting(Arc<Said<Setting>>),
}

/// Something, and where it is said.
#[derive(Debug, Clone, PartialEq)]
pub struct Said<T> {
    /// What.
    pub what: T,
    /// Where.
    pub origin: Origin,
}

/// Whose word about the address of a client counts.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Trust {
    /// Peers in these networks are believed.
    pub peers: Arc<[IpNet]>,
    /// What they say: addresses, the nearest last.
    pub says: Value,
    /// Whether trusted addresses in that list are passed over too.
    pub recursive: bool,
}

/// Changes to what is asked for; absent parts stay.
#[derive(Debug, Clone, Default)]
pub struct Rewrite {
    /// The method.
    pub method: Option<Value>,
    /// The path that rules see.
    pub path: Option<Value>,
    /// The query.
    pub query: Option<Value>,
    /// The target that goes upstream.
    pub target: Option<Value>,
}

/// A change to a header.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct HeaderEdit {
    /// The header's name, in any case; for [`Edit::Remove`] `*` at an end, or at both, stands for anything.
    pub name: String,
    /// What happens to it.
    pub edit: Edit,
}

/// What happens to a header.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Edit {
    /// It is this and nothing else; an empty value removes it.
    Set(Value),
    /// The same, computed when the request has come to its end: inner rules may have changed what it is made of.
    SetLate(Value),
    /// Another line.
    Add(Value),
    /// It is this if it isn't there.
    Default(Value),
    /// Its lines are what this makes of them; the name may be `*` for all headers.
    Change(super::Function),
    /// It goes.
    Remove,
    /// It goes, and so do all headers that it names (RFC 9110, section 7.6.1).
    RemoveListed,
}

/// Who handles which of the gateway's own errors.
#[derive(Debug, Clone, Default)]
pub struct Errors {
    /// The first that lists the status.
    pub cases: Vec<ErrorCase>,
    /// Whether errors in their handlers are handled as well.
    pub recursive: bool,
}

/// What happens with an error.
#[derive(Debug, Clone)]
pub struct ErrorCase {
    /// These statuses.
    pub statuses: Statuses,
    /// Where the request goes on.
    pub chain: ChainId,
    /// Whether that counts as a restart.
    pub restart: bool,
    /// What is done before.
    pub steps: Vec<Step>,
    /// The status of the answer, whatever that chain says: absent, that chain's own.
    pub status: Option<Value>,
    /// Where it is said.
    pub origin: Origin,
}

/// A set of statuses: ranges, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Statuses(pub Vec<(u16, u16)>);

/// A limit in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// For whom it counts.
    pub per: Per,
    /// What tells callers apart: requests of which it has the same value are counted together.
    pub key: Value,
    /// What it counts.
    pub kind: LimitKind,
    /// The status of what is refused.
    pub refusal: u16,
    /// Whether requests over it wait instead of being refused at once.
    pub waits: bool,
}

/// For whom a limit counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Per {
    /// One client address (an IPv6 client's /64).
    Ip,
    /// One client of the policy.
    Client,
    /// Everybody together.
    All,
    /// Something else, in the config's own words; callers may choose it.
    Key(String),
}

/// What a limit counts.
#[derive(Debug, Clone, PartialEq)]
pub enum LimitKind {
    /// `requests` each `window`, `burst` at once.
    Rate {
        /// Requests in the window, on average.
        requests: u32,
        /// The window.
        window: Duration,
        /// Requests at once.
        burst: u32,
    },
    /// Requests in hand at once.
    Connections {
        /// So many.
        max: u32,
    },
}

/// A fact about how a request is treated.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// How long something may take; absent: for ever.
    Timeout(TimeoutOf, Option<Duration>),
    /// Whether answers are held until they are whole, streams too.
    BufferResponses(bool),
    /// Whether bodies are held until they are whole.
    BufferRequests(bool),
    /// The content types whose answers are held while they are compressed, `*` for all; empty: each part goes on at once.
    Compress(Vec<String>),
    /// A header of the answer, and of which answers.
    ResponseHeader(HeaderEdit, Answers),
    /// A header of the upstream's answer, before the gateway's own are added.
    UpstreamHeader(HeaderEdit),
    /// What was said before about headers of the answer and about logs holds no more.
    Anew,
    /// The longest body that is taken, in bytes; absent: any.
    BodyLimit(Option<u64>),
    /// The gateway asks the upstream this by itself, method and path, and sends it nothing while that fails.
    HealthCheck(String, String),
    /// The protocol towards the upstream: `1.0`, `1.1` or `2`.
    UpstreamHttp(&'static str),
    /// Whether the server names its version.
    ShowsVersion(bool),
    /// What is logged about the request.
    Log(Log),
    /// The gateway answers with something about itself.
    Shows(Own),
    /// Only the gateway itself comes here, no client.
    Inner,
    /// Whether a header of the upstream's answer leads the request to another place of the gateway, one that clients don't reach too.
    FollowsUpstream(bool),
}

/// Which answers have a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// All.
    All,
    /// Those with a status below 400.
    Good,
    /// All but those to the gateway's own errors.
    Unfailed,
}

/// What a gateway shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Own {
    /// Its configuration, keys and hashes included; some let it be changed there.
    Config,
    /// Numbers about its work.
    Metrics,
}

/// What a timeout bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeoutOf {
    /// A request's head.
    ClientHeader,
    /// A pause in a request's body, or the whole of it.
    ClientBody,
    /// A whole request, head and body.
    Request,
    /// A pause in writing the answer.
    Send,
    /// The whole of the answer, streams too.
    Answer,
    /// An idle connection.
    KeepAlive,
    /// The connection to the upstream.
    Connect,
    /// A pause in the upstream's answer.
    Read,
    /// A pause in writing to the upstream.
    UpstreamSend,
}

/// One log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Log {
    /// Where it is written; absent: nowhere.
    pub to: Option<String>,
    /// What a row holds; headers that are written wholesale are [`super::Value::Header`]s named `*`.
    pub fields: Vec<Value>,
    /// Headers whose values are left out where headers are written wholesale, in lower case.
    pub hidden: Vec<String>,
    /// The statuses for which a row is written; absent: all.
    pub only: Option<Statuses>,
}

impl Step {
    /// [`Step::Limit`].
    pub fn limit(what: Limit, origin: Origin) -> Step {
        Step::Limit(Said::new(what, origin))
    }

    /// [`Step::Set`].
    pub fn set(name: Arc<str>, value: Value, origin: Origin) -> Step {
        Step::Set(Said::new((name, value), origin))
    }

    /// [`Step::Rewrite`].
    pub fn rewrite(what: Rewrite, origin: Origin) -> Step {
        Step::Rewrite(Said::new(what, origin))
    }

    /// [`Step::RequestHeader`].
    pub fn request_header(what: impl Into<Arc<HeaderEdit>>, origin: Origin) -> Step {
        Step::RequestHeader(Said::new(what.into(), origin))
    }

    /// [`Step::ClientIp`].
    pub fn client_ip(what: Trust, origin: Origin) -> Step {
        Step::ClientIp(Said::new(what, origin))
    }

    /// [`Step::Setting`].
    pub fn setting(what: Setting, origin: Origin) -> Step {
        Step::Setting(Said::new(what, origin))
    }

    /// Where it is said, for those that say where.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Step::Limit(said) => Some(&said.origin),
            Step::Set(said) => Some(&said.origin),
            Step::Rewrite(said) => Some(&said.origin),
            Step::RequestHeader(said) => Some(&said.origin),
            Step::ClientIp(said) => Some(&said.origin),
            Step::Setting(said) => Some(&said.origin),
            Step::OnError(_) | Step::Guard(_) | Step::Call(_) => None,
        }
    }

    /// The same, to be changed in this clone alone.
    pub fn origin_mut(&mut self) -> Option<&mut Origin> {
        match self {
            Step::Limit(said) => Some(&mut Arc::make_mut(said).origin),
            Step::Set(said) => Some(&mut Arc::make_mut(said).origin),
            Step::Rewrite(said) => Some(&mut Arc::make_mut(said).origin),
            Step::RequestHeader(said) => Some(&mut Arc::make_mut(said).origin),
            Step::ClientIp(said) => Some(&mut Arc::make_mut(said).origin),
            Step::Setting(said) => Some(&mut Arc::make_mut(said).origin),
            Step::OnError(_) | Step::Guard(_) | Step::Call(_) => None,
        }
    }
}

impl<T> Said<T> {
    /// This, said there.
    pub fn new(what: T, origin: Origin) -> Arc<Said<T>> {
        Arc::new(Said { what, origin })
    }
}

impl Statuses {
    /// One status.
    pub fn one(status: u16) -> Statuses {
        Statuses(vec![(status, status)])
    }

    /// Whether a status is one of these.
    pub fn contain(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}
