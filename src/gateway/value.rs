//! Values that a gateway computes from a request: what nginx calls variables and Caddy placeholders.
//!
//! In: the state of one request. Out: bytes, or nothing where they can't be known ([`super::state`] computes them). Invariant: no
//! value depends on a clock or on anything outside the request and the files.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Predicate, Test};

/// A value.
#[derive(Debug, Clone, PartialEq)]
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
    /// The host: lower case, without its port; empty without one.
    Host,
    /// The authority as sent: of the target, else the Host header.
    Authority,
    /// A request header as it stands now; empty without one.
    Header(String, Join),
    /// A cookie.
    Cookie(String),
    /// A query argument, as it stands in the query.
    Argument(String),
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
    /// A table look-up.
    Lookup(Arc<Lookup>),
    /// The first of these that isn't empty.
    First(Vec<Value>),
    /// A function of a value.
    Apply(Function, Box<Value>),
    /// Not to be known from the files: why.
    Opaque(Cow<'static, str>),
}

/// How the lines of a repeated header become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// When a row of a table fits.
#[derive(Debug, Clone)]
pub enum Row {
    /// The value passes.
    Test(Test),
    /// Something else about the request holds.
    When(Predicate),
}

/// A function of bytes. Each says on which server it was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Without this end, if it is there.
    StripSuffix(Vec<u8>),
    /// Dot segments resolved, runs of `/` made one (Go's `path.Clean`, keeping a final `/`).
    CleanPath,
    /// Each match of the expression replaced; `$1` are its groups.
    Replace(Box<Replace>),
    /// These strings replaced, each from left to right.
    ReplaceText(Vec<(Vec<u8>, Vec<u8>)>),
    /// What stands before the first of these bytes.
    Before(u8),
    /// Without so many bytes at its beginning.
    Skip(usize),
    /// The user name that the value of an `Authorization` header claims, by Basic; empty: none (nginx 1.22.1).
    BasicUser,
    /// An address as its four or sixteen bytes.
    AddressBytes,
}

/// A replacement by regular expression.
#[derive(Debug, Clone)]
pub struct Replace {
    /// What is looked for.
    pub pattern: Arc<super::Pattern>,
    /// What stands instead.
    pub with: Vec<u8>,
    /// Every match, or only the first.
    pub all: bool,
}

impl PartialEq for Replace {
    fn eq(&self, other: &Replace) -> bool {
        Arc::ptr_eq(&self.pattern, &other.pattern) && self.with == other.with && self.all == other.all
    }
}

impl Eq for Replace {}

impl PartialEq for Lookup {
    fn eq(&self, other: &Lookup) -> bool {
        std::ptr::eq(self, other)
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
