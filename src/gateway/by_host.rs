//! What is decided by the host alone, and the name that its connection was opened for, whatever else a request is.
//!
//! In: a listener and a request to it. Out: whether conditions hold for all requests that differ from that one in nothing but method, path,
//! query, body and other headers. Invariant: a yes or a no is what [`super::eval`] finds for each of them; all else is not known.

use super::state::State;
use super::{Captures, Function, Listener, Predicate, Select, Terminal, Test, Value};
use crate::http::Request;

/// The host of a request, as conditions see it.
pub struct ByHost<'r> {
    state: State<'r>,
    /// Every answer that it gave about a value, in order.
    pub answers: Vec<bool>,
}

impl<'r> ByHost<'r> {
    /// `None`: the listener refuses such a host, or reads none.
    pub fn new(listener: &'r Listener, request: &'r Request) -> Option<ByHost<'r>> {
        let read = listener.wire.read(request, None).ok().filter(|_| !listener.wire.raw)?;
        Some(ByHost { state: State::new(request, listener, read), answers: Vec::new() })
    }

    /// Whether a condition holds; `None`: that depends on something else, or it leaves more behind than its answer.
    pub fn holds(&mut self, predicate: &Predicate) -> Option<bool> {
        let among = |own: &mut Self, parts: &[Predicate], decisive: bool| {
            let mut all = true;
            for part in parts {
                match own.holds(part) {
                    Some(holds) if holds == decisive => return Some(decisive),
                    Some(_) => {}
                    None => all = false,
                }
            }
            all.then_some(!decisive)
        };
        match predicate {
            Predicate::Always => Some(true),
            Predicate::Value(value, test) if self.is_plain(test) => {
                let value = self.value(value)?;
                let holds = self.state.test(test, &value)?;
                self.answers.push(holds);
                Some(holds)
            }
            Predicate::All(parts) => among(self, parts, false),
            Predicate::Any(parts) => among(self, parts, true),
            Predicate::Not(part) => self.holds(part).map(|holds| !holds),
            _ => None,
        }
    }

    /// The way on from a table by the host; `None`: it is by something else.
    pub fn selected<'t>(&mut self, select: &'t Select) -> Option<std::borrow::Cow<'t, Terminal>> {
        use std::borrow::Cow;
        let value = self.value(&select.on)?;
        let found = select.find(&value).map(|chain| Cow::Owned(Terminal::Then(chain)));
        Some(found.unwrap_or(Cow::Borrowed(&select.otherwise)))
    }

    /// Whether bytes pass a test; `None`: it looks at more than them.
    pub fn passes(&mut self, test: &Test, bytes: &[u8]) -> Option<bool> {
        if self.is_plain(test) { self.state.test(test, bytes) } else { None }
    }

    /// A value that the host decides.
    pub fn value(&mut self, value: &Value) -> Option<Vec<u8>> {
        match value {
            Value::First(parts) => {
                let first = self.value(parts.first()?)?;
                (!first.is_empty()).then_some(first)
            }
            Value::Concat(parts) => {
                let parts: Option<Vec<Vec<u8>>> = parts.iter().map(|part| self.value(part)).collect();
                Some(parts?.concat())
            }
            Value::Apply(function, inner) if is_fixed(function) => {
                let inner = self.value(inner)?;
                self.state.value(&Value::Apply(function.clone(), Box::new(Value::literal(inner))))
            }
            Value::Literal(_) | Value::Host | Value::Authority | Value::ServerName => self.state.value(value),
            _ => None,
        }
    }

    /// Whether a test looks at nothing but the value and the host, and leaves nothing behind where it fails.
    fn is_plain(&mut self, test: &Test) -> bool {
        match test {
            Test::Regex(_, captures) => *captures != Captures::Renewed,
            Test::AnyCase(inner) => self.is_plain(inner),
            Test::Same(value) | Test::Begins(value) => self.value(value).is_some(),
            Test::Affix(_) | Test::PathPattern(_) => false,
            _ => true,
        }
    }
}

/// Whether a function computes with nothing but its argument.
fn is_fixed(function: &Function) -> bool {
    use Function::{Lossy, Lower, LowerText, Replace, ReplaceStart, StripPrefix, StripSuffix, WithoutPort};
    matches!(
        function,
        Lossy | Lower | LowerText | Replace(_) | ReplaceStart(_) | StripPrefix(_) | StripSuffix(_) | WithoutPort
    )
}
