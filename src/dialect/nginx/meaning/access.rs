//! The access phase: `allow` and `deny`, `auth_basic`, `auth_request`, put together by `satisfy`.
//!
//! In: a scope. Out: clauses. Invariant: in this order, and not for nginx's requests to itself (facts: `ngx_http_core_access_phase`,
//! measured on nginx 1.22.1 and 1.31.3). An access module that isn't evaluated makes the answer unknown.

use std::sync::Arc;

use crate::gateway::value::Join;
use crate::gateway::{
    Authenticate, Chain, Clause, Condition, Function, Origin, Predicate, Rewrite, Statuses, Step, Terminal, Test, Value,
};

use super::block::Line;
use super::scope::{Scope, UserFile};
use super::server::Server;
use super::users::Users;
use super::{Reader, inherit, state};

/// What a module of this phase does with its answer.
#[derive(Clone, Copy)]
struct Way {
    /// `satisfy any`: answers are remembered.
    any: bool,
}

/// What [`state::ACCESS`] holds where a module let the request in.
const LET_IN: &str = "in";

fn access_is(value: &str) -> Predicate {
    Predicate::Value(state::variable(state::ACCESS), Test::Equals(value.as_bytes().to_vec()))
}

impl Way {
    /// The clause for a request that the module lets in.
    fn yes(self, when: impl Into<Condition>, origin: Origin) -> Clause {
        let steps = if self.any { vec![state::set(state::ACCESS, LET_IN)] } else { Vec::new() };
        Clause { steps, ..Clause::new(when, Terminal::Return, origin) }
    }

    /// The clause for a request that it refuses.
    fn no(self, when: impl Into<Condition>, status: u16, origin: Origin) -> Clause {
        if !self.any {
            return Clause::new(when, Terminal::Error(status), origin);
        }
        // 401 is kept in preference to 403.
        let kept = vec![(access_is("401"), Value::literal("401"))];
        let value = state::either("access", kept, Value::literal(status.to_string()));
        let steps = vec![Step::set(state::ACCESS.into(), value, Origin::default())];
        Clause { steps, ..Clause::new(when, Terminal::Return, origin) }
    }
}

impl<'c> Reader<'c> {
    /// The access phase of a scope, for a chain that is called.
    pub fn access(&mut self, server: &mut Server<'c>, scope: &Scope) -> Vec<Clause> {
        let way = Way { any: scope.satisfy_any };
        let mut modules: Vec<Chain> = Vec::new();
        if !scope.rules.is_empty() {
            modules.push(rules(scope, way));
        }
        modules.extend(self.basic(scope, way));
        modules.extend(self.subrequest(server, scope, way));
        if let Some((why, origin)) = scope.opaque_access.as_deref() {
            let when = Predicate::Opaque(why.clone().into());
            let clause = Clause::new(when, Terminal::unknown(why.clone()), origin.clone());
            modules.push(Chain { clauses: vec![clause], otherwise: Terminal::Return, origin: Origin::default() });
        }
        if modules.is_empty() {
            return Vec::new();
        }
        let subrequest = self.shared(b"subrequest", || state::is_set(state::SUBREQUEST));
        let mut clauses = vec![Clause::new(subrequest, Terminal::Return, Origin::default())];
        if way.any {
            clauses.push(Clause::steps(vec![state::set(state::ACCESS, "")], Origin::default()));
        }
        let last = if way.any { None } else { modules.pop() };
        for module in modules {
            let call = vec![Step::Call(self.gateway.add(module))];
            let when = if way.any { access_is(LET_IN).negated() } else { Predicate::Always };
            clauses.push(Clause { steps: call, ..Clause::new(when, Terminal::Next, Origin::default()) });
        }
        if let Some(last) = last {
            clauses.extend(last.clauses);
            clauses.push(Clause::new(Predicate::Always, last.otherwise, last.origin));
        }
        if way.any {
            for status in [401, 403] {
                let note = format!("`satisfy any`: nothing lets the request in ({status})");
                let when = access_is(&status.to_string());
                clauses.push(Clause::new(when, Terminal::Error(status), server.origin.noted(note)));
            }
        }
        clauses
    }

    fn basic(&mut self, scope: &Scope, way: Way) -> Option<Chain> {
        let (realm, origin) = scope.realm.as_deref()?;
        // Without a file of users nobody is asked.
        let (file, _) = scope.user_file.as_deref()?;
        let mut clauses = Vec::new();
        if realm.as_literal().is_none() {
            let off = Predicate::Value(realm.clone(), Test::Equals(b"off".to_vec()));
            clauses.push(Clause::new(
                off,
                Terminal::Return,
                origin.noted("the value of `auth_basic` is `off`: nobody is asked"),
            ));
        }
        let mut refused = "no user of the file with the right password (401)";
        let (mut credentials, mut incomplete) = (None, None);
        // Callers may choose whose file is asked, so not even what is nobody's is surely wrong there.
        let computed = match file {
            UserFile::Computed => Some("depends on a user file with a computed name"),
            UserFile::Named(_) => None,
        };
        let given = || {
            Predicate::Value(
                Value::Apply(Function::BasicUser, Box::new(Value::Header("authorization".to_owned(), Join::First))),
                Test::NotEmpty,
            )
        };
        match file {
            UserFile::Computed => {}
            UserFile::Named(name) => match self.users(name) {
                Users::Known(known) => credentials = Some(known),
                Users::Missing => {
                    let user = self.shared(b"user", given);
                    let note = "the file of users is missing: any user gets 403";
                    clauses.push(way.no(user, 403, origin.noted(note)));
                    refused = "no user and password are given (401)";
                }
                Users::Unknown(why) => incomplete = Some(why),
            },
        }
        let key = match file {
            UserFile::Computed => b"users".to_vec(),
            UserFile::Named(name) => [b"users of ", name.as_slice()].concat(),
        };
        let who = self.shared(&key, || match computed {
            Some(why) => Predicate::All(vec![given(), Predicate::Opaque(why.into())]),
            None => Predicate::Authenticated(Arc::new(Authenticate {
                basic: true,
                padding_optional: true,
                blocking: true,
                credentials: credentials.unwrap_or_else(|| Arc::from([])),
                incomplete,
                ..Authenticate::default()
            })),
        });
        clauses.push(way.yes(who, origin.noted("the user's password is right")));
        clauses.push(way.no(Predicate::Always, 401, origin.noted(refused)));
        Some(Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() })
    }

    fn subrequest(&mut self, server: &mut Server<'c>, scope: &Scope, way: Way) -> Option<Chain> {
        let (uri, origin) = scope.auth_request.as_deref()?;
        let line = Line::lone("auth_request", &[], origin);
        // The name is a complex value that is never split: a `?` belongs to the path.
        let path = self.template(&line, uri);
        let rewrite = Rewrite {
            method: Some(Value::literal("GET")),
            path: Some(path),
            query: Some(Value::literal("")),
            target: None,
        };
        let mut steps = state::moved_to(rewrite, origin.noted("nginx asks itself for"));
        steps.push(state::set(state::SUBREQUEST, "1"));
        let clause = Clause::steps(steps, Origin::default());
        let ask = self.gateway.add(Chain {
            clauses: vec![clause],
            otherwise: Terminal::Then(server.start),
            origin: Origin::default(),
        });
        let answered = |statuses: Statuses| Predicate::Subrequest(ask, None, statuses);
        let clauses = vec![
            way.yes(answered(Statuses(vec![(200, 299)])), origin.clone()),
            way.no(answered(Statuses::one(401)), 401, origin.noted("the answer to `auth_request` is 401")),
            way.no(answered(Statuses::one(403)), 403, origin.noted("the answer to `auth_request` is 403")),
        ];
        let note = "`auth_request` got another answer than 2xx, 401 or 403 (500)";
        Some(Chain { clauses, otherwise: Terminal::Error(500), origin: origin.noted(note) })
    }
}

/// `allow` and `deny`: the first that fits.
fn rules(scope: &Scope, way: Way) -> Chain {
    let mut clauses = Vec::new();
    for rule in scope.rules.iter() {
        let when = inherit::from_networks(&rule.networks);
        clauses.push(match rule.allow {
            true => way.yes(when, rule.origin.clone()),
            false => way.no(when, 403, rule.origin.clone()),
        });
    }
    Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() }
}
