//! Values that a gateway computes from a request: what nginx calls variables and Caddy placeholders.
//!
//! In: the state of one request. Out: bytes, or nothing where they can't be known ([`super::state`] computes them). Invariant: no
//! value depends on a clock or on anything outside the request and the files.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Predicate, Test};

/// A value.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Value {
    /// These bytes.
    Literal(Cow<'static, [u8]>),
    /// One after the other.
    Concat(Vec<Value>),
    /// The method.
    Method,
    /// The request target that goes upstream as things stand: as sent until something rewrites it.
    Target,
    /// The part of [`Value::Target`] before its first `?`.
    RawPath,
    /// The path as rules see it: after the listener's [`super::PathView`] and every rewrite.
    Path,
    /// What follows the first `?`; empty without one.
    Query,
    /// The request target as the client sent it, authority removed.
    OriginalTarget,
    /// The request target exactly as the client sent it.
    SentTarget,
    /// The host: lower case, without its port; empty without one.
    Host,
    /// The name in the TLS handshake, without a final dot; empty without one or without TLS.
    ServerName,
    /// The authority as sent: of the target, else the Host header.
    Authority,
    /// A request header as it stands now; empty without one.
    Header(String, Join),
    /// A cookie.
    Cookie(String),
    /// The first query argument of this name in any case, as it stands in the query (nginx's `$arg_NAME`).
    Argument(String),
    /// All values of a query argument of just this name, decoded, with `,` between them (Go's `url.Values`).
    Parameter(String),
    /// The first of them (gorilla/mux).
    FirstParameter(String),
    /// `http` or `https`.
    Scheme,
    /// `HTTP/1.1` and the like.
    Protocol,
    /// The client's address.
    ClientIp,
    /// The listener's port.
    Port,
    /// The client whose credentials were verified; empty: nobody.
    Client,
    /// A group of the last match of [`super::Captures::Numbered`]; 0: the whole match.
    Capture(usize),
    /// A variable that a step has set; empty before.
    Variable(Arc<str>),
    /// The status of the error that is being handled; empty: none.
    ErrorStatus,
    /// The body.
    Body,
    /// The length of the body in bytes; empty: there is none.
    BodyLength,
    /// A table look-up.
    Lookup(Arc<Lookup>),
    /// The first of these that isn't empty.
    First(Vec<Value>),
    /// Those of these that aren't empty, with this between them.
    Joined(&'static str, Vec<Value>),
    /// A function of a value.
    Apply(Function, Box<Value>),
    /// Not to be known from the files: why.
    Opaque(Cow<'static, str>),
}

/// How the lines of a repeated header become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Join {
    /// The first line.
    First,
    /// The last line.
    Last,
    /// All lines with this between them.
    With(&'static str),
}

/// A table: the first row whose test passes gives the value.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Its name, for people.
    pub name: String,
    /// What is looked up.
    pub on: Value,
    /// Rows by the whole value; they come first.
    pub exact: std::collections::HashMap<Vec<u8>, Value>,
    /// Whether `exact` is asked with the value in lower case.
    pub any_case: bool,
    /// Rows by a test, in order.
    pub rows: Vec<(Row, Value)>,
    /// No row fits.
    pub otherwise: Value,
    /// Whether it is computed anew at each use; else the first answer stays for the request.
    pub volatile: bool,
}

/// Tables with no more rows are short.
const SHORT: usize = 64;

/// When a row of a table fits.
#[derive(Debug, Clone)]
pub enum Row {
    /// The value passes.
    Test(Test),
    /// Something else about the request holds.
    When(Predicate),
}

/// A function of bytes. Each says on which server it was measured.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Function {
    /// ASCII letters in lower case.
    Lower,
    /// ASCII letters in upper case.
    Upper,
    /// Percent escapes resolved once; wrong ones stay.
    Unescape,
    /// Everything percent-escaped that isn't in this set of bytes (as characters).
    Escape(&'static str),
    /// Without this beginning, if it is there.
    StripPrefix(Vec<u8>),
    /// With the second as its beginning where the first is.
    ReplaceStart(Box<(Vec<u8>, Vec<u8>)>),
    /// Without this end, if it is there.
    StripSuffix(Vec<u8>),
    /// [`Function::Clean`] with runs of `/` made one, for what begins with `/`; all else stays (Go's `URL.JoinPath`).
    CleanRooted,
    /// Escapes of RFC 3986's unreserved characters resolved, the others in capitals.
    NormalizeEscapes,
    /// The path as it stands if its escapes are right and every byte may stand in a path (RFC 3986), else all escapes resolved and set
    /// anew (Go's `URL.EscapedPath`).
    EscapedPath,
    /// Percent escapes resolved once, but for those of these characters in capitals.
    UnescapeExcept(&'static str),
    /// With a `/` in front, unless there is one or nothing at all.
    LeadingSlash,
    /// Without as many characters at its start as this value has bytes; a percent escape is one.
    Skip(Box<Value>),
    /// Each match of the expression replaced; `$1` are its groups.
    Replace(Box<Replace>),
    /// These strings replaced, each from left to right.
    ReplaceText(Vec<(Vec<u8>, Vec<u8>)>),
    /// The first of these values replaced by the second, from left to right, so many times; absent: everywhere.
    ReplaceValue(Box<(Value, Value)>, Option<usize>),
    /// What stands before the first of these bytes.
    Before(u8),
    /// What stands from the first of these bytes on.
    From(u8),
    /// An item of a list with commas, counted from its end (1: the last), blanks around it gone; empty: there are fewer.
    FromEnd(usize),
    /// The last item of a list with commas that isn't an address in one of these networks, blanks around it gone.
    LastOutside(Arc<[ipnet::IpNet]>),
    /// The user name that the value of an `Authorization` header claims, by Basic; empty: none (nginx 1.22.1).
    BasicUser,
    /// An address as its four or sixteen bytes.
    AddressBytes,
    /// What stands behind the first of these bytes; nothing without one.
    After(u8),
    /// With this before it, unless it is empty.
    Lead(Vec<u8>),
    /// A number of a list with this separator, counted from 0, from its end if `true`; nothing beyond.
    Part(u8, usize, bool),
    /// Letters of all scripts in lower case (Go's `strings.ToLower`).
    LowerText,
    /// Bytes that aren't UTF-8 become U+FFFD: what Go's regular expressions see.
    Lossy,
    /// `path.Clean` of Go, a final `/` kept; runs of `/` become one only if `true`.
    Clean(bool),
    /// A decoded path as Go writes it.
    EscapePath,
    /// A query's key or value as Go writes it.
    EscapeForm,
    /// An authority without its port (Go's `net.SplitHostPort`).
    WithoutPort,
    /// The port of an authority.
    PortOf,
    /// An escaped path after a change.
    Path(Box<ChangePath>),
    /// A query after changes to its arguments.
    Query(Box<[QueryChange]>),
    /// The number that MurmurHash2 makes of it, in decimal digits (32 bits, seed 0; nginx's `split_clients`).
    MurmurHash2,
    /// Its MD5 sum, 16 bytes.
    Md5,
    /// In hexadecimal digits, small ones.
    Hex,
    /// What base64 for URLs (RFC 4648, section 5), padded or not, stands for; nothing where it is malformed.
    FromBase64Url,
    /// An address, or the one that is believed to stand behind it.
    Believed(Arc<super::step::Trust>),
    /// The first address in a list of forwarded ones, or the last that isn't in these networks; nothing if none is an address.
    Forwarded(Option<Arc<[ipnet::IpNet]>>),
}

/// A change to an escaped path, with values.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum ChangePath {
    /// It loses this beginning.
    Prefix(Value),
    /// It loses this end.
    Suffix(Value),
    /// Text in it is replaced, so many times; absent: everywhere.
    Text(Value, Value, Option<usize>),
    /// Each match of an expression is replaced; `$1` are its groups.
    Pattern(Arc<super::Pattern>, Value),
}

/// A change to a query's arguments.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum QueryChange {
    /// The values of one are those of another.
    Rename(Value, Value),
    /// It has this value alone.
    Set(Value, Value),
    /// It has one more value.
    Add(Value, Value),
    /// It goes.
    Delete(Value),
}

/// A replacement by regular expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Replace {
    /// What is looked for.
    pub pattern: Arc<super::Pattern>,
    /// What stands instead.
    pub with: Vec<u8>,
    /// Every match, or only the first.
    pub all: bool,
}

impl PartialEq for Lookup {
    fn eq(&self, other: &Lookup) -> bool {
        std::ptr::eq(self, other)
    }
}

/// Short ones by what they hold, so that two which say the same are alike.
impl Hash for Lookup {
    fn hash<H: Hasher>(&self, sum: &mut H) {
        let Lookup { name: _, on, exact, any_case, rows, otherwise, volatile } = self;
        if exact.len() + rows.len() > SHORT {
            return std::ptr::hash(self, sum);
        }
        let mut exact: Vec<(&Vec<u8>, &Value)> = exact.iter().collect();
        exact.sort_unstable_by_key(|(key, _)| *key);
        (on, exact, any_case, otherwise, volatile, rows.len()).hash(sum);
        for (row, value) in rows {
            match row {
                Row::Test(test) => test.hash(sum),
                Row::When(predicate) => predicate.hash(sum),
            }
            value.hash(sum);
        }
    }
}

impl Value {
    /// These bytes.
    pub fn literal(bytes: impl Into<Vec<u8>>) -> Value {
        Value::Literal(Cow::Owned(bytes.into()))
    }

    /// The bytes, if they are fixed.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match self {
            Value::Literal(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether `test` is true of this value or one that it is computed from, tables' keys included.
    pub fn any(&self, test: &mut dyn FnMut(&Value) -> bool) -> bool {
        test(self)
            || match self {
                Value::Concat(parts) | Value::First(parts) => parts.iter().any(|part| part.any(test)),
                Value::Apply(_, inner) => inner.any(test),
                Value::Lookup(table) => table.on.any(test),
                _ => false,
            }
    }

    /// Whether a caller may keep this to itself: what hosts and paths there are isn't a secret, what else a request carries may be one.
    pub fn is_ones_own(&self) -> bool {
        match self {
            Value::Literal(_)
            | Value::Concat(_)
            | Value::First(_)
            | Value::Joined(..)
            | Value::Apply(..)
            | Value::Method
            | Value::Target
            | Value::RawPath
            | Value::Path
            | Value::OriginalTarget
            | Value::Host
            | Value::ServerName
            | Value::Authority
            | Value::Scheme
            | Value::Protocol
            | Value::Port
            // What is set is most often one of these.
            | Value::Variable(_) => false,
            Value::Query
            | Value::SentTarget
            | Value::Header(..)
            | Value::Cookie(_)
            | Value::Argument(_)
            | Value::Parameter(_)
            | Value::FirstParameter(_)
            | Value::ClientIp
            | Value::Client
            | Value::Capture(_)
            | Value::ErrorStatus
            | Value::Body
            | Value::BodyLength
            | Value::Lookup(_)
            | Value::Opaque(_) => true,
        }
    }

    /// Whether this is a header or a cookie that may carry a credential, or who it is.
    pub fn is_credential(&self) -> bool {
        match self {
            Value::Header(name, _) => super::predicate::is_credential(name),
            Value::Cookie(_) | Value::Client => true,
            _ => false,
        }
    }

    /// One after the other: neighbours that are fixed become one.
    pub fn concat(parts: Vec<Value>) -> Value {
        let mut out: Vec<Value> = Vec::with_capacity(parts.len());
        for part in parts {
            match (out.last_mut(), part) {
                (Some(Value::Literal(last)), Value::Literal(next)) => last.to_mut().extend_from_slice(&next),
                (_, part) => out.push(part),
            }
        }
        match out.len() {
            0 => Value::literal(""),
            1 => out.remove(0),
            _ => Value::Concat(out),
        }
    }
}
