//! The model: a gateway is a function from a request to a decision.
//!
//! In: what [`crate::lower`] says a policy means, and what the dialects read from a server's own configs. Out: the [`Gateway`] that
//! [`eval::evaluate`] runs. Invariant: precedence is already resolved (clauses run in their order), chains name each other by index, and
//! every clause says where it comes from.

pub mod auth;
pub mod body;
pub mod by_host;
mod bytes;
mod condition;
mod conditions;
mod digest;
pub mod eval;
mod origin;
pub mod outcome;
mod password;
mod pattern;
pub mod predicate;
mod state;
pub mod step;
mod table;
mod url;
pub mod value;
pub mod wire;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use auth::{Authenticate, Credential, Proof};
pub use condition::Condition;
pub use origin::{Note, Origin};
pub use pattern::{Pattern, Syntax};
pub use predicate::{Captures, Lines, ModelTest, Predicate, Test};
pub use step::{
    Answers, Edit, ErrorCase, Errors, HeaderEdit, Limit, LimitKind, Log, Own, Per, Rewrite, Said, Setting, Statuses,
    Step, TimeoutOf, Trust,
};
pub use table::Table;
pub use value::{ChangePath, Function, Lookup, QueryChange, Value};
pub use wire::{PathView, Wire};

use crate::http::Request;
use crate::source::SourceFile;

/// How a reason begins that names a variable of the environment; its name follows in backticks.
pub const ENVIRONMENT: &str = "depends on the environment variable ";

/// Whether what isn't known is the value of an environment variable.
pub fn is_environment(why: &str) -> bool {
    why.starts_with(ENVIRONMENT)
}

/// The reason where what a variable says is no secret, a host or a path: whoever asks may know it.
pub fn guessable(variable: &str) -> String {
    format!("depends on the value of the environment variable `{variable}`, which callers may know")
}

/// The variable of the environment that a reason names.
pub fn environment_variable(why: &str) -> Option<&str> {
    why.strip_prefix(ENVIRONMENT)?.split('`').nth(1)
}

/// Header lines in their order: name and value.
pub type HeaderLines = Vec<(Vec<u8>, Vec<u8>)>;

/// A gateway.
#[derive(Debug, Clone, Default)]
pub struct Gateway {
    /// The files that origins point into.
    pub files: Vec<SourceFile>,
    /// In file order; the first is asked when a request names no port.
    pub listeners: Vec<Listener>,
    /// All chains; a [`ChainId`] is an index.
    pub chains: Vec<Chain>,
    /// Who handles what a listener refuses to read, by the chain where its requests start, and, once the request line is in order, by
    /// the chain that the host leads to; absent: nobody.
    pub refusals: HashMap<ChainId, Arc<Errors>>,
    /// Who reads requests otherwise than the listener, by the chain that the handshake leads to, and, for what stands behind the host, by
    /// the chain that this one leads to.
    pub wires: HashMap<ChainId, Arc<Wire>>,
    /// Statuses of errors that are another one for the client where nobody handles them.
    pub shown: &'static [(u16, u16)],
}

/// Index of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainId(pub usize);

/// An address that answers.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The address that is bound.
    pub address: IpAddr,
    /// Whether all addresses of one family stand for those of the other too.
    pub both: bool,
    /// The port that is bound.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// What is refused before any rule, and how a target becomes the path that rules see.
    pub wire: Wire,
    /// Where a connection with TLS starts, before anything is read of a request: what doesn't end here leads to `chain`, and finds
    /// there the variables that were set; absent: nothing is decided.
    pub handshake: Option<ChainId>,
    /// Where every request starts.
    pub chain: ChainId,
    /// Where it is declared.
    pub origin: Origin,
}

/// Clauses in order: each that matches runs its steps; unless it ends with [`Terminal::Next`], it decides.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The clauses.
    pub clauses: Vec<Clause>,
    /// What happens when none decided.
    pub otherwise: Terminal,
    /// Where that is said.
    pub origin: Origin,
}

/// When something holds, do the steps, then end or go on.
#[derive(Debug, Clone)]
pub struct Clause {
    /// The condition.
    pub when: Condition,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// How it ends.
    pub then: Terminal,
    /// Where it is said.
    pub origin: Origin,
}

/// How the work on a request ends, or where it goes on.
#[derive(Debug, Clone)]
pub enum Terminal {
    /// The upstream gets it.
    Forward(Arc<Forward>),
    /// The gateway answers by itself with this status; 444: it closes the connection instead. No error handler is asked.
    Respond(u16),
    /// The same with a computed status; what is no status is 500.
    RespondWith(Box<Value>),
    /// The gateway fails with this status: the error handlers in force are asked first.
    Error(u16),
    /// The same with a computed status; what is no status is 500.
    ErrorWith(Box<Value>),
    /// The next clause of this chain.
    Next,
    /// Another chain decides.
    Then(ChainId),
    /// Another chain decides, counted: after [`eval::RESTARTS`] of these a request ends with 500.
    Restart(ChainId),
    /// A table of chains decides which.
    Select(Arc<Select>),
    /// Back to behind the innermost [`Step::Call`]; without one nothing answers, which is unknown.
    Return,
    /// Not to be known from the files: why.
    Unknown(Box<Cow<'static, str>>),
}

/// Where a request is sent, and as what.
#[derive(Debug, Clone)]
pub struct Forward {
    /// `host:port` of the first server.
    pub upstream: Value,
    /// The request target that it gets.
    pub target: Value,
    /// The Host header that it gets.
    pub host: Value,
}

/// Chains by a value: exactly, else by the longest prefix, else `otherwise`.
#[derive(Debug, Clone)]
pub struct Select {
    /// The value that is looked up.
    pub on: Value,
    /// By the whole value.
    pub exact: Table,
    /// By its beginning.
    pub prefixes: Table,
    /// The lengths that occur in `prefixes`, longest first.
    pub lengths: Vec<usize>,
    /// None of these.
    pub otherwise: Terminal,
}

impl Terminal {
    /// [`Terminal::Unknown`].
    pub fn unknown(why: impl Into<Cow<'static, str>>) -> Terminal {
        Terminal::Unknown(Box::new(why.into()))
    }
}

impl Listener {
    /// Whether peers with an IPv6 address, or else with an IPv4 one, come here.
    pub fn speaks(&self, ipv6: bool) -> bool {
        self.address.is_ipv6() == ipv6 || (self.both && self.address.is_unspecified())
    }

    /// How well its address fits where a request comes to: 2 the same, 1 one of all, 0 another.
    fn takes(&self, request: &Request) -> u8 {
        match request.to {
            Some(to) if to == self.address => 2,
            Some(to) => u8::from(self.address.is_unspecified() && self.speaks(to.is_ipv6())),
            None => u8::from(self.speaks(request.client_ip.is_ipv6())),
        }
    }
}

impl Select {
    /// A table of whole values and one of their beginnings.
    pub fn new(on: Value, exact: Table, prefixes: Table, otherwise: Terminal) -> Select {
        let mut lengths: Vec<usize> = prefixes.texts().map(<[u8]>::len).collect();
        lengths.sort_unstable_by(|one, two| two.cmp(one));
        lengths.dedup();
        lengths.shrink_to_fit();
        Select { on, exact, prefixes, lengths, otherwise }
    }

    /// The chain for a value.
    pub fn find(&self, value: &[u8]) -> Option<ChainId> {
        let by_prefix = |length: &usize| self.prefixes.get(value.get(..*length)?);
        self.exact.get(value).or_else(|| self.lengths.iter().find_map(by_prefix))
    }
}

impl Gateway {
    /// The listener on a port, or the first.
    pub fn listener(&self, port: Option<u16>) -> Option<&Listener> {
        match port {
            None => self.listeners.first(),
            Some(port) => self.listeners.iter().find(|listener| listener.port == port),
        }
    }

    /// The listener that a request comes to: on its port, else the first; of those that share a port the one that speaks TLS or doesn't, as
    /// asked, and at the address that fits best.
    pub fn listening(&self, request: &Request) -> Option<&Listener> {
        let port = self.listener(request.port)?.port;
        let there = self.listeners.iter().filter(|own| own.port == port).rev();
        there.max_by_key(|own| (request.tls == Some(own.tls), own.takes(request)))
    }

    /// Adds a chain.
    pub fn add(&mut self, chain: Chain) -> ChainId {
        self.chains.push(chain.fitted());
        ChainId(self.chains.len() - 1)
    }

    /// Puts a chain in the place of one that was added.
    pub fn replace(&mut self, id: ChainId, chain: Chain) {
        if let Some(place) = self.chains.get_mut(id.0) {
            *place = chain.fitted();
        }
    }

    /// Whether any clause knows this client.
    pub fn has_client(&self, name: &str) -> bool {
        let clauses = self.chains.iter().flat_map(|chain| &chain.clauses);
        clauses.into_iter().any(|clause| {
            clause.when.any(&mut |part| match part {
                Predicate::Authenticated(who) => who.credentials.iter().any(|credential| credential.client == name),
                _ => false,
            })
        })
    }
}

impl Chain {
    /// The same in as little memory as it needs, since a config has very many: neighbours that hold always become one, and the
    /// first that only ends it is its end.
    fn fitted(mut self) -> Chain {
        let clauses = &mut self.clauses;
        clauses.dedup_by(|next, last| {
            let one = last.goes_on_with(next);
            if one {
                last.steps.append(&mut next.steps);
                last.then = std::mem::replace(&mut next.then, Terminal::Next);
            }
            one
        });
        if let Some(end) = clauses.iter().position(Clause::is_end)
            && let Some(end) = clauses.drain(end..).next()
        {
            (self.otherwise, self.origin) = (end.then, end.origin);
        }
        clauses.iter_mut().for_each(|clause| clause.steps.shrink_to_fit());
        clauses.shrink_to_fit();
        self
    }
}

impl Clause {
    /// A clause without steps.
    pub fn new(when: impl Into<Condition>, then: Terminal, origin: Origin) -> Clause {
        Clause { when: when.into(), steps: Vec::new(), then, origin }
    }

    /// The same, said at another place.
    pub fn at(&self, place: &Origin) -> Clause {
        Clause { origin: place.noted(self.origin.note.clone()), ..self.clone() }
    }

    /// Whether the next clause does always and silently what could as well be done here.
    fn goes_on_with(&self, next: &Clause) -> bool {
        let always = |clause: &Clause| matches!(*clause.when, Predicate::Always);
        // Errors go on behind the clause of their guard.
        let guards = |clause: &Clause| clause.steps.iter().any(|step| matches!(step, Step::Guard(_)));
        let both = always(self) && always(next) && !guards(self) && !guards(next);
        both && matches!(self.then, Terminal::Next) && next.origin.note.is_empty() && !next.steps.is_empty()
    }

    /// Whether it ends the chain, always, and does nothing else.
    fn is_end(&self) -> bool {
        matches!(*self.when, Predicate::Always) && self.steps.is_empty() && !matches!(self.then, Terminal::Next)
    }

    /// Steps that are always done, then the next clause.
    pub fn steps(steps: Vec<Step>, origin: Origin) -> Clause {
        Clause { when: Condition::default(), steps, then: Terminal::Next, origin }
    }
}
