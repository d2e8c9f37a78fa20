//! Conditions on a request, on what was done to it so far, and on who sent it.
//!
//! In: values and tests. Out: true, false or not to be known (Kleene's logic; [`super::eval`] computes it). Invariant: a test sees bytes,
//! never a server's rules.

use std::borrow::Cow;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Authenticate, ChainId, Pattern, Statuses, Value};

/// A condition.
#[derive(Debug, Clone, Hash)]
pub enum Predicate {
    /// Holds.
    Always,
    /// A value passes a test.
    Value(Value, Test),
    /// The lines of a request header (`*`: of any) pass a test. A header that isn't there passes none.
    Header(String, Lines, Test),
    /// A pair of the query of this name has a value that passes, both decoded as forms are (WHATWG URL: `+` is a blank; here a pair with a
    /// wrong escape or a `;` doesn't count).
    Argument(Vec<u8>, Test),
    /// The address of the client is in one of these networks.
    Client(Arc<[IpNet]>),
    /// The same by a computed name; here none passes in a query of which any pair doesn't count (Go's `url.ParseQuery`, heeding its
    /// error).
    Parameter(Value, Test),
    /// The request proves who it is; from then on that is known.
    Authenticated(Arc<Authenticate>),
    /// The body is longer than this, in bytes.
    BodyOver(u64),
    /// The body names, with certainty, one of these models.
    Model(Vec<ModelTest>),
    /// A request of the gateway to itself for this path (absent: the same), answered by this chain, ends with one of these statuses.
    Subrequest(ChainId, Option<Value>, Statuses),
    /// All hold.
    All(Vec<Predicate>),
    /// One holds.
    Any(Vec<Predicate>),
    /// It doesn't hold.
    Not(Box<Predicate>),
    /// Not to be known from the files: why.
    Opaque(Cow<'static, str>),
}

/// Which lines of a repeated header count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lines {
    /// One of them passes.
    Any,
    /// There is exactly one, and it passes.
    Only,
}

/// A test of bytes.
#[derive(Debug, Clone, Hash)]
pub enum Test {
    /// Passes.
    Anything,
    /// Not empty.
    NotEmpty,
    /// Exactly these bytes.
    Equals(Vec<u8>),
    /// One of these.
    OneOf(Arc<[Vec<u8>]>),
    /// The same bytes as this value has.
    Same(Box<Value>),
    /// Begins so.
    Prefix(Vec<u8>),
    /// Begins with what this value is.
    Begins(Box<Value>),
    /// Is an address in one of these networks.
    Network(Arc<[IpNet]>),
    /// Ends so.
    Suffix(Vec<u8>),
    /// Holds this.
    Contains(Vec<u8>),
    /// A computed value in which `*` at an end stands for anything.
    Affix(Box<Value>),
    /// A computed pattern of Caddy's `path` matcher; one with `%` or `//` is not followed.
    PathPattern(Box<Value>),
    /// A pattern of Go's `path.Match`.
    Glob(Vec<u8>),
    /// The same for an escaped path: an escape in the pattern stands for that spelling alone (Caddy's `path` matcher, 2.11.9).
    EscapedGlob(Vec<u8>),
    /// A whole number from the first to the second of these.
    Between(i64, i64),
    /// The same as [`Test`], ASCII letters in any case.
    AnyCase(Box<Test>),
    /// Matches; what its groups found is kept.
    Regex(Arc<Pattern>, Captures),
    /// Begins with this authentication scheme and a blank, in any case.
    Scheme(String),
}

/// What becomes of a regular expression's groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Captures {
    /// Nothing.
    Dropped,
    /// They are [`Value::Capture`]s until the next match; named ones are variables too.
    Numbered,
    /// As [`Captures::Numbered`]; without a match there are none.
    Renewed,
    /// They are variables: each of these prefixes and the group's number or name.
    Prefixed(Arc<[String]>),
}

/// A model's name or the start of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelTest {
    /// The text.
    pub text: String,
    /// Whether more may follow.
    pub prefix: bool,
}

/// Headers that carry credentials, in lower case.
const CREDENTIALS: &[&str] =
    &["authorization", "x-api-key", "api-key", "x-auth-token", "cookie", "proxy-authorization"];

/// Whether a header of this name carries credentials.
pub fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether a variable is the config's own; those that a dialect needs for itself have other names.
pub(super) fn is_own(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Predicate {
    /// Whether `test` is true of this predicate or one inside it.
    pub fn any(&self, test: &mut dyn FnMut(&Predicate) -> bool) -> bool {
        test(self)
            || match self {
                Predicate::All(parts) | Predicate::Any(parts) => parts.iter().any(|part| part.any(test)),
                Predicate::Not(part) => part.any(test),
                _ => false,
            }
    }

    /// Whether this looks at who is asking: a credential, an address, another server's answer.
    pub fn asks_who(&self) -> bool {
        match self {
            Predicate::Authenticated(_) | Predicate::Client(_) | Predicate::Subrequest(..) => true,
            Predicate::Header(name, ..) => is_credential(name),
            Predicate::Value(value, _) => value.any(&mut |part| part.is_credential() || *part == Value::ClientIp),
            _ => false,
        }
    }

    /// Whether this looks at what a caller is free to send beside method, path and Host.
    pub fn asks_caller(&self) -> bool {
        match self {
            Predicate::Header(name, ..) => !name.eq_ignore_ascii_case("host"),
            Predicate::Client(_) | Predicate::Argument(..) | Predicate::Parameter(..) => true,
            Predicate::Value(value, _) => value.any(&mut |part| match part {
                Value::Header(..) | Value::Cookie(_) | Value::Argument(_) | Value::ClientIp => true,
                Value::Variable(name) => is_own(name),
                _ => false,
            }),
            _ => false,
        }
    }

    /// The contrary.
    pub fn negated(self) -> Predicate {
        match self {
            Predicate::Not(inner) => *inner,
            other => Predicate::Not(Box::new(other)),
        }
    }

    /// The method is one of these, exactly.
    pub fn method(methods: &[&str]) -> Predicate {
        Predicate::Value(Value::Method, Test::OneOf(methods.iter().map(|method| method.as_bytes().to_vec()).collect()))
    }
}

impl Test {
    /// A value in which `*` at an end stands for anything (Caddy's `header` matcher, 2.11.9).
    pub fn of_affix(pattern: &[u8]) -> Test {
        match (pattern.strip_prefix(b"*"), pattern.strip_suffix(b"*")) {
            (Some(b""), _) => Test::Anything,
            (Some(end), Some(_)) => Test::Contains(end[..end.len() - 1].into()),
            (Some(end), None) => Test::Suffix(end.into()),
            (None, Some(start)) => Test::Prefix(start.into()),
            (None, None) => Test::Equals(pattern.into()),
        }
    }
}
