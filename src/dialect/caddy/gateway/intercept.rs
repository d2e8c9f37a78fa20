//! `intercept`: what the handlers behind it answer is looked at before it goes out (intercept.go; measured on 2.11.9).
//!
//! In: its JSON. Out: a mark on the requests that pass it, and what stands before each answer of the gateway's own behind it. Invariant: an
//! upstream's answer decides nothing here, since the upstream has seen the request; errors are no answers, so they pass.

use super::placeholder::Unknown;
use super::{Compiler, is_set, number, set, text};
use crate::dialect::document::Ref;
use crate::gateway::*;

/// One `intercept`.
pub(super) struct Intercept {
    /// The variable that is set behind it.
    mark: String,
    /// What it does with which answers; the first that fits counts.
    cases: Vec<Case>,
}

/// What becomes of an answer.
struct Case {
    /// Its statuses; absent: all.
    statuses: Option<Statuses>,
    /// What else it must have, which isn't known here.
    doubt: Option<Predicate>,
    /// Its new status, or the routes that may answer instead.
    becomes: Becomes,
    origin: Origin,
}

enum Becomes {
    Status(Value),
    Routes(ChainId),
}

impl<'d> Compiler<'d, '_> {
    pub(super) fn intercept(&mut self, node: Ref<'d>) -> Clause {
        let mark = format!("intercept:{}", node.id.0);
        let mut cases = Vec::new();
        for one in node.get("handle_response").into_iter().flat_map(|list| list.items()) {
            let place = one.place();
            let wants = one.get("match");
            let codes = wants.and_then(|wants| wants.get("status_code"));
            let codes = codes.map(|codes| codes.items().filter_map(number).map(class).collect());
            let headers = wants.and_then(|wants| wants.get("headers"));
            let doubt = headers.map(|_| Predicate::Opaque(self.reason(place, "the headers of the answer")));
            let becomes = match text(one, "status_code").filter(|code| !code.is_empty()) {
                Some(code) => Becomes::Status(self.value(code, Unknown::Empty, place)),
                None => Becomes::Routes(self.routes(one.get("routes"), Terminal::Return, Origin::default())),
            };
            let origin = self.origin(place, "`intercept` handles this answer");
            cases.push(Case { statuses: codes.map(Statuses), doubt, becomes, origin });
        }
        self.intercepts.push(Intercept { mark: mark.clone(), cases });
        Clause::steps(vec![set(&mark, Value::literal("1"))], Origin::default())
    }

    /// What stands before an answer with this status.
    pub(super) fn intercepted(&self, status: &Value) -> Vec<Clause> {
        let mut clauses = Vec::new();
        for Intercept { mark, cases } in self.intercepts.iter().rev() {
            for case in cases {
                let mut when = vec![is_set(mark)];
                if let Some(Statuses(ranges)) = &case.statuses {
                    let within = |(least, most): &(u16, u16)| {
                        Predicate::Value(status.clone(), Test::Between((*least).into(), (*most).into()))
                    };
                    when.push(Predicate::Any(ranges.iter().map(within).collect()));
                }
                when.extend(case.doubt.clone());
                // What answers instead isn't looked at again.
                let mut steps = vec![set(mark, Value::literal(""))];
                let then = match &case.becomes {
                    Becomes::Status(status) => {
                        Terminal::RespondWith(Box::new(Value::First(vec![status.clone(), Value::literal("500")])))
                    }
                    Becomes::Routes(chain) => {
                        steps.push(Step::Call(*chain));
                        Terminal::Next
                    }
                };
                clauses.push(Clause { when: Predicate::All(when).into(), steps, then, origin: case.origin.clone() });
            }
        }
        clauses
    }
}

/// A status, or with one digit its class.
fn class(code: i64) -> (u16, u16) {
    let code = u16::try_from(code).unwrap_or(0);
    if code < 100 { (code * 100, code * 100 + 99) } else { (code, code) }
}
