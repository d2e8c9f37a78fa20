//! What a gateway does with one request.
//!
//! In: a [`Gateway`] and a [`Request`]. Out: an [`Outcome`]. Invariant: total (no panic, bounded work), without a special case for any
//! server; every outcome names at least one place that caused it; what can't be known is never taken for a yes or a no: both ways are
//! walked, and the answer stands only if it is the same.

mod start;

use std::sync::Arc;

pub use super::outcome::{Change, Changed, Outcome, Verdict, Way};
use super::outcome::{by_itself, nothing, status_of, unknown};
use super::state::{State, computed, forwarded, reason};
use super::*;
use crate::http::{Request, Version};

/// How often a request may start over before it ends with 500 (nginx 1.22.1 allows ten internal redirects).
pub const RESTARTS: usize = 10;

/// How many clauses a request may pass; no server's config needs a fraction of it.
const WORK: usize = 100_000;

/// How many questions whose answer can't be known are tried both ways.
const FORKS: usize = 6;

/// How deep requests of the gateway to itself go.
const SUBREQUESTS: usize = 3;

/// Decides about one request.
pub fn evaluate(gateway: &Gateway, request: &Request) -> Outcome {
    let mut all: Option<Outcome> = None;
    for Way { assumed, outcome } in walked(gateway, request, Noted::Facts) {
        let outcome = match all.take() {
            Some(first) => merged(first, outcome, assumed.first().map(|(why, _)| why.as_str())),
            None => outcome,
        };
        if matches!(outcome.verdict, Verdict::Unknown { reached: false, .. }) {
            return outcome;
        }
        all = Some(outcome);
    }
    all.unwrap_or_else(nothing)
}

/// The ways that a request may go: one, where the files answer every question. At least one.
pub fn ways<'g>(gateway: &'g Gateway, request: &'g Request) -> impl Iterator<Item = Way> + use<'g> {
    walked(gateway, request, Noted::All)
}

/// The same ways with the decision and the places that led to it alone: for whoever asks very much and keeps little.
pub fn decisions<'g>(gateway: &'g Gateway, request: &'g Request) -> impl Iterator<Item = Way> + use<'g> {
    walked(gateway, request, Noted::Places)
}

/// What is noted on a way beside the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Noted {
    /// The places that led there.
    Places,
    /// What holds for the request, and what changed in it, too.
    Facts,
    /// What people want to know, too.
    All,
}

/// The ways that a request may go.
fn walked<'g>(gateway: &'g Gateway, request: &'g Request, noted: Noted) -> impl Iterator<Item = Way> + use<'g> {
    let mut next = Some(Vec::new());
    std::iter::from_fn(move || {
        let mut assumed: Vec<bool> = next.take()?;
        let mut run = Run::new(gateway, &assumed, noted);
        let mut outcome = run.request(request);
        let (asked, doubts) = (run.asked, run.doubts);
        if asked > FORKS {
            outcome.verdict = unknown(doubts.first().map(|(why, _)| why.clone()).unwrap_or_default());
        }
        // Questions beyond the last assumption were taken for a no.
        assumed.resize(doubts.len(), false);
        let told = doubts.into_iter().zip(&assumed).map(|((why, negated), yes)| (why, *yes != negated));
        let way = Way { assumed: told.collect(), outcome };
        // The next combination, counting upwards from the last question.
        while assumed.last() == Some(&true) {
            assumed.pop();
        }
        if let Some(last) = assumed.last_mut() {
            *last = true;
            next = Some(assumed);
        }
        Some(way)
    })
}

/// The outcome of two that may both be: theirs if they decide alike, else unknown.
fn merged(mut first: Outcome, other: Outcome, why: Option<&str>) -> Outcome {
    if first.verdict == other.verdict {
        first.client = first.client.filter(|client| other.client.as_ref() == Some(client));
        return first;
    }
    let reached =
        |verdict: &Verdict| matches!(verdict, Verdict::Proxied { .. } | Verdict::Unknown { reached: true, .. });
    let reason = match (&first.verdict, &other.verdict) {
        (Verdict::Unknown { reason, .. }, _) | (_, Verdict::Unknown { reason, .. }) => reason.clone(),
        _ => why.unwrap_or("not to be known from the files").to_owned(),
    };
    let reached = reached(&first.verdict) && reached(&other.verdict);
    Outcome { verdict: Verdict::Unknown { reason, reached }, client: None, ..first }
}

/// One way through a gateway.
struct Run<'g> {
    gateway: &'g Gateway,
    /// What is assumed about the first questions that can't be answered.
    assumed: &'g [bool],
    noted: Noted,
    asked: usize,
    /// Why the first [`FORKS`] of them can't, and what is so if the caller doesn't know what that hangs on.
    doubts: Vec<(String, bool)>,
    /// Whether the caller is taken for one who knows no variable of the environment: what hangs on one is not so.
    unknowing: bool,
    /// Why such a thing can't be known, the last that was met.
    secret: Option<String>,
    work: usize,
    depth: usize,
}

/// Where a called chain comes back to.
#[derive(Clone, Copy)]
struct Frame {
    chain: ChainId,
    clause: usize,
    step: usize,
}

/// What to do next.
enum Go {
    /// On to this clause and step of a chain.
    At(Frame),
    /// It is over.
    End(Verdict),
}

struct Walk<'r> {
    state: State<'r>,
    stack: Vec<Frame>,
    errors: Option<Arc<Errors>>,
    /// Handlers within handlers, and where each goes on.
    guards: Vec<(Arc<Errors>, Vec<Frame>)>,
    handling: bool,
    /// The status of the answer, whatever is answered.
    status: Option<u16>,
    restarts: usize,
    noted: Noted,
    outcome: Outcome,
}

impl<'r> Walk<'r> {
    fn new(state: State<'r>, outcome: Outcome, noted: Noted) -> Walk<'r> {
        let (stack, guards) = (Vec::new(), Vec::new());
        Walk { state, stack, errors: None, guards, handling: false, status: None, restarts: 0, noted, outcome }
    }
}

impl<'g> Run<'g> {
    fn new(gateway: &'g Gateway, assumed: &'g [bool], noted: Noted) -> Run<'g> {
        Run { gateway, assumed, noted, asked: 0, doubts: Vec::new(), unknowing: false, secret: None, work: 0, depth: 0 }
    }
}

impl Run<'_> {
    /// Walks from a chain to the end.
    fn walk(&mut self, state: State<'_>, chain: ChainId, outcome: Outcome) -> Outcome {
        self.finish(Walk::new(state, outcome, self.noted), Go::At(Frame { chain, clause: 0, step: 0 }))
    }

    /// Goes on until it is over.
    fn finish(&mut self, mut walk: Walk<'_>, mut go: Go) -> Outcome {
        let verdict = loop {
            let at = match go {
                Go::At(at) => at,
                Go::End(verdict) => break verdict,
            };
            self.work += 1;
            if self.work > WORK {
                break unknown("the chains of this gateway never end");
            }
            go = self.advance(&mut walk, at);
        };
        let Walk { state, mut outcome, .. } = walk;
        for said in &mut outcome.settings {
            if matches!(said.what, Setting::ResponseHeader(HeaderEdit { edit: Edit::SetLate(_), .. }, _))
                && let Some(made) = computed(&state, &said.what, true)
            {
                *said = Said::new(made, said.origin.clone());
            }
        }
        outcome.verdict = verdict;
        outcome.client = state.client;
        outcome.method = state.method;
        outcome.headers = state.headers;
        outcome
    }

    /// Does the clause at a place: its condition, its steps from there on, its end.
    fn advance(&mut self, walk: &mut Walk<'_>, at: Frame) -> Go {
        let Some(chain) = self.gateway.chains.get(at.chain.0) else { return Go::End(unknown("a chain is missing")) };
        let Some(clause) = chain.clauses.get(at.clause) else {
            note(walk, &chain.origin, None);
            return self.end(walk, &chain.otherwise, at);
        };
        if at.step == 0 {
            let holds = self.decide(walk, &clause.when);
            if self.noted == Noted::All {
                tell(walk, clause, holds);
            }
            if !holds {
                return Go::At(Frame { clause: at.clause + 1, ..at });
            }
            note(walk, &clause.origin, None);
        }
        for (index, step) in clause.steps.iter().enumerate().skip(at.step) {
            if let Step::Call(chain) = step {
                walk.stack.push(Frame { step: index + 1, ..at });
                return Go::At(Frame { chain: *chain, clause: 0, step: 0 });
            }
            if let Step::Guard(errors) = step {
                let mut behind = walk.stack.clone();
                behind.push(Frame { step: clause.steps.len(), ..at });
                walk.guards.push((Arc::clone(errors), behind));
            }
            // Asked for decisions alone too: a look into a table may leave groups of a match behind.
            if let (true, Step::Limit(limit)) = (self.noted != Noted::Facts, step) {
                let key = walk.state.value(&limit.what.key);
                walk.outcome.keys.push(key);
            }
            self.run(step, walk);
        }
        self.end(walk, &clause.then, at)
    }

    fn end(&mut self, walk: &mut Walk<'_>, terminal: &Terminal, at: Frame) -> Go {
        let start = |chain: ChainId| Go::At(Frame { chain, clause: 0, step: 0 });
        match terminal {
            Terminal::Forward(forward) => Go::End(forwarded(&mut walk.state, forward)),
            Terminal::Respond(status) => Go::End(by_itself(walk.status.unwrap_or(*status))),
            Terminal::RespondWith(value) => match walk.state.value(value) {
                Some(text) => Go::End(by_itself(walk.status.unwrap_or_else(|| status_of(&text)))),
                None => Go::End(unknown(reason(&walk.state))),
            },
            Terminal::Error(status) => self.error(walk, *status),
            Terminal::ErrorWith(value) => match walk.state.value(value) {
                Some(text) => self.error(walk, status_of(&text)),
                None => Go::End(unknown(reason(&walk.state))),
            },
            Terminal::Next => Go::At(Frame { clause: at.clause + 1, step: 0, ..at }),
            Terminal::Then(chain) => start(*chain),
            Terminal::Restart(chain) => {
                walk.restarts += 1;
                if walk.restarts > RESTARTS { Go::End(by_itself(500)) } else { start(*chain) }
            }
            Terminal::Select(select) => match walk.state.value(&select.on) {
                Some(value) => match select.find(&value) {
                    Some(chain) => start(chain),
                    None => self.end(walk, &select.otherwise, at),
                },
                None => Go::End(unknown(reason(&walk.state))),
            },
            Terminal::Return => match walk.stack.pop() {
                Some(frame) => Go::At(frame),
                None => Go::End(unknown("nothing in the files answers")),
            },
            Terminal::Unknown(why) => Go::End(unknown(Cow::clone(why))),
        }
    }

    /// Does one step; where people want to know, headers of the answer are computed as they stand here.
    fn run(&self, step: &Step, walk: &mut Walk<'_>) {
        match step {
            Step::Setting(said) if self.noted == Noted::All => {
                let made = computed(&walk.state, &said.what, false);
                let said = made.map_or_else(|| said.clone(), |made| Said::new(made, said.origin.clone()));
                walk.outcome.settings.push(said);
            }
            _ => run(step, walk),
        }
    }

    /// The gateway fails: whoever handles that status goes on.
    fn error(&mut self, walk: &mut Walk<'_>, status: u16) -> Go {
        let lost = |setting: &Setting| matches!(setting, Setting::ResponseHeader(_, Answers::Unfailed));
        walk.outcome.settings.retain(|said| !lost(&said.what));
        while let Some((errors, behind)) = walk.guards.pop() {
            if let Some(case) = errors.cases.iter().find(|case| case.statuses.contain(status)) {
                walk.stack = behind;
                walk.state.error = Some(status);
                note(walk, &case.origin, None);
                for step in &case.steps {
                    self.run(step, walk);
                }
                return Go::At(Frame { chain: case.chain, clause: 0, step: 0 });
            }
        }
        let errors = walk.errors.clone().filter(|_| !walk.handling);
        let case = errors.as_ref().and_then(|errors| errors.cases.iter().find(|case| case.statuses.contain(status)));
        let Some(case) = case else { return Go::End(by_itself(self.shown(status))) };
        walk.handling = errors.as_ref().is_some_and(|errors| !errors.recursive);
        walk.state.error = Some(status);
        note(walk, &case.origin, None);
        for step in &case.steps {
            self.run(step, walk);
        }
        walk.status = match &case.status {
            None => None,
            Some(value) => match walk.state.value(value).and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok())
            {
                Some(status) => Some(status),
                None => return Go::End(unknown(reason(&walk.state))),
            },
        };
        if case.restart {
            walk.restarts += 1;
            if walk.restarts > RESTARTS {
                return Go::End(by_itself(500));
            }
        }
        Go::At(Frame { chain: case.chain, clause: 0, step: 0 })
    }

    /// The status that a client gets for an error that nobody handles.
    fn shown(&self, status: u16) -> u16 {
        self.gateway.shown.iter().find(|(own, _)| *own == status).map_or(status, |(_, shown)| *shown)
    }

    /// Whether a condition holds; what can't be known is asked from the assumptions.
    fn decide(&mut self, walk: &mut Walk<'_>, predicate: &Predicate) -> bool {
        if let Some(holds) = self.holds(walk, predicate) {
            return holds;
        }
        if self.doubts.len() < FORKS {
            let doubt = self.doubt(walk, predicate);
            self.doubts.push(doubt);
        }
        let answer = self.assumed.get(self.asked).copied().unwrap_or(false);
        self.asked += 1;
        answer
    }

    /// Why a condition can't be known, and what it is for a caller who knows no variable of the environment. Where even that hangs on
    /// something, that is why.
    fn doubt(&mut self, walk: &mut Walk<'_>, predicate: &Predicate) -> (String, bool) {
        self.unknowing = true;
        let holds = self.holds(walk, predicate);
        self.unknowing = false;
        match (holds, self.secret.take()) {
            (Some(holds), Some(why)) => (why, holds),
            _ => (reason(&walk.state).into_owned(), false),
        }
    }

    /// Kleene's logic.
    fn holds(&mut self, walk: &mut Walk<'_>, predicate: &Predicate) -> Option<bool> {
        match predicate {
            Predicate::All(parts) => {
                let mut all = Some(true);
                for part in parts {
                    match self.holds(walk, part) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => all = None,
                    }
                }
                all
            }
            Predicate::Any(parts) => {
                let mut any = Some(false);
                for part in parts {
                    match self.holds(walk, part) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => any = None,
                    }
                }
                any
            }
            Predicate::Not(part) => self.holds(walk, part).map(|holds| !holds),
            // It was asked already, and is still not to be known.
            Predicate::Subrequest(..) if self.unknowing => None,
            Predicate::Subrequest(chain, path, statuses) => self.subrequest(walk, *chain, path.as_ref(), statuses),
            other if self.unknowing => {
                let before = walk.state.why.take();
                let known = walk.state.holds_simple(other);
                let secret = walk.state.why.take_if(|why| known.is_none() && is_environment(why));
                walk.state.why = walk.state.why.take().or(before);
                match secret {
                    Some(why) => {
                        self.secret = Some(why);
                        Some(false)
                    }
                    None => known,
                }
            }
            other => walk.state.holds_simple(other),
        }
    }

    /// A request of the gateway to itself: what its answer would be.
    fn subrequest(
        &mut self,
        walk: &mut Walk<'_>,
        chain: ChainId,
        path: Option<&Value>,
        statuses: &Statuses,
    ) -> Option<bool> {
        if self.depth >= SUBREQUESTS {
            walk.state.why = Some("requests of the gateway to itself never end".to_owned());
            return None;
        }
        let mut state = walk.state.clone();
        if let Some(path) = path {
            state.path = walk.state.value(path);
            state.target.clone_from(&state.path);
        }
        self.depth += 1;
        let outcome = self.walk(state, chain, nothing());
        self.depth -= 1;
        let before = walk.outcome.steps.len();
        walk.outcome.steps.extend(outcome.steps);
        let moved = |change: Change| Change { after: before + change.after, ..change };
        walk.outcome.changes.extend(outcome.changes.into_iter().map(moved));
        walk.outcome.asks_who |= outcome.asks_who;
        match outcome.verdict {
            Verdict::Refused(status) | Verdict::Answered(status) => Some(statuses.contain(status)),
            Verdict::Proxied { upstream, .. } => {
                walk.state.why = Some(format!("depends on the answer of {upstream}"));
                None
            }
            Verdict::Unknown { reason, .. } => {
                walk.state.why = Some(reason);
                None
            }
        }
    }
}

/// Notes what people want to know: whether anybody was asked who they are, and conditions on the caller that didn't hold.
fn tell(walk: &mut Walk<'_>, clause: &Clause, holds: bool) {
    let mut who = false;
    let mut caller = false;
    clause.when.any(&mut |part| {
        who |= part.asks_who();
        caller |= part.asks_caller();
        false
    });
    who |= clause.steps.iter().any(|step| match step {
        Step::Set(said) => predicate::is_own(&said.what.0) && said.what.1.any(&mut Value::is_credential),
        _ => false,
    });
    walk.outcome.asks_who |= who;
    if !holds && caller && !clause.origin.note.is_empty() {
        let after = walk.outcome.steps.len();
        walk.outcome.missed.push((after, clause.origin.clone()));
    }
}

/// Does one step.
fn run(step: &Step, walk: &mut Walk<'_>) {
    match step {
        Step::Limit(said) => {
            let Said { what: limit, origin } = &**said;
            note(walk, origin, None);
            if walk.noted > Noted::Places {
                walk.outcome.limits.push((limit.clone(), origin.clone()));
            }
        }
        Step::Set(said) => {
            let Said { what: (name, value), origin } = &**said;
            let value = walk.state.value(value);
            note(walk, origin, None);
            if walk.noted == Noted::Places {
                walk.state.variables.insert(name.clone(), value);
                return;
            }
            let before = walk.state.variables.insert(name.clone(), value.clone());
            changed(walk, origin, Changed::Variable(name.clone()), before.unwrap_or(Some(Vec::new())), value);
        }
        Step::Rewrite(said) => self::rewrite(walk, &said.what, &said.origin),
        Step::RequestHeader(said) => {
            let Said { what: edit, origin } = &**said;
            if walk.noted == Noted::Places || *origin == Origin::default() {
                walk.state.edit(edit);
                note(walk, origin, None);
                return;
            }
            // Kept where it changes nothing too: it tells that this header isn't the caller's to choose.
            let before = walk.state.lines(&edit.name);
            walk.state.edit(edit);
            let now = walk.state.lines(&edit.name);
            note(walk, origin, None);
            let after = walk.outcome.steps.len();
            let what = Changed::Header(edit.name.clone());
            let (before, now) = (Some(before), Some(now));
            walk.outcome.changes.push(Change { after, origin: origin.clone(), what, before, now });
        }
        Step::OnError(errors) => walk.errors.clone_from(errors),
        Step::ClientIp(said) => {
            let Said { what: trust, origin } = &**said;
            if walk.state.take_client_ip(trust) {
                note(walk, origin, None);
            }
        }
        // What a gateway shows of itself is a part of what is decided.
        Step::Setting(said) if walk.noted == Noted::Places && !matches!(said.what, Setting::Shows(_)) => {}
        Step::Setting(said) => walk.outcome.settings.push(said.clone()),
        Step::Guard(_) | Step::Call(_) => {}
    }
}

/// Changes what is asked for. All parts are computed from what stood before.
fn rewrite(walk: &mut Walk<'_>, rewrite: &Rewrite, origin: &Origin) {
    let mut new = |value: &Option<Value>| value.as_ref().map(|value| walk.state.value(value));
    let (method, path) = (new(&rewrite.method), new(&rewrite.path));
    let (query, target) = (new(&rewrite.query), new(&rewrite.target));
    let shown = path.clone().or_else(|| target.clone()).or_else(|| method.clone());
    note(walk, origin, shown.as_ref().map(Option::as_deref));
    if let Some(Some(method)) = method {
        let before = std::mem::replace(&mut walk.state.method, method.clone());
        changed(walk, origin, Changed::Method, Some(before), Some(method));
    }
    let state = &mut walk.state;
    let places = [
        (Changed::Path, &mut state.path, path),
        (Changed::Query, &mut state.query, query),
        (Changed::Target, &mut state.target, target),
    ];
    let done: Vec<_> = places
        .into_iter()
        .filter_map(|(what, place, new)| Some((what, std::mem::replace(place, new.clone()?), new?)))
        .collect();
    for (what, before, now) in done {
        changed(walk, origin, what, before, now);
    }
}

/// Notes a change, if it is one.
fn changed(walk: &mut Walk<'_>, origin: &Origin, what: Changed, before: Option<Vec<u8>>, now: Option<Vec<u8>>) {
    // Without a place it is the server's own bookkeeping.
    if walk.noted > Noted::Places && (before != now || now.is_none()) && *origin != Origin::default() {
        let after = walk.outcome.steps.len();
        walk.outcome.changes.push(Change { after, origin: origin.clone(), what, before, now });
    }
}

/// Leaves a trace, with the bytes that came out if there are any.
fn note(walk: &mut Walk<'_>, origin: &Origin, bytes: Option<Option<&[u8]>>) {
    if origin.note.is_empty() {
        return;
    }
    let note = match bytes {
        None => origin.note.clone(),
        Some(None) => format!("{} (not to be known)", origin.note).into(),
        Some(Some(bytes)) => format!("{} `{}`", origin.note, bytes.escape_ascii()).into(),
    };
    walk.outcome.steps.push(origin.noted(note));
}

#[cfg(test)]
mod tests;
