//! How work on a request begins: a listener, a connection, and what is refused before any rule.
//!
//! In: a request. Out: what is known when its first chain starts, or the end. Invariant: a connection that doesn't come about carries no
//! request, however that looks.

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::gateway::wire::Read;

/// What a connection with TLS brings along.
#[derive(Default)]
struct Opened {
    /// The variables that were set.
    variables: HashMap<Arc<str>, Option<Vec<u8>>>,
    /// Who handles what isn't read; absent: whoever does without TLS.
    errors: Option<Arc<Errors>>,
    /// How requests are read; absent: as without TLS.
    wire: Option<Arc<Wire>>,
}

impl Run<'_> {
    /// What becomes of a request.
    pub(super) fn request(&mut self, request: &Request) -> Outcome {
        let mut outcome = nothing();
        outcome.method.clone_from(&request.method);
        let Some(listener) = self.gateway.listening(request) else { return outcome };
        outcome.steps.push(listener.origin.clone());
        if listener.wire.raw {
            return self.raw(listener, request, outcome);
        }
        if request.tls.is_some_and(|tls| tls != listener.tls) && !(listener.tls && listener.wire.plain_too) {
            outcome.steps.push(listener.origin.noted("this listener doesn't speak that protocol"));
            outcome.verdict = Verdict::Refused(400);
            return outcome;
        }
        let mut opened = Opened::default();
        if let Some(start) = listener.handshake.filter(|_| request.tls.unwrap_or(listener.tls)) {
            match self.handshake(listener, request, start, &mut outcome) {
                Some(found) => opened = found,
                None => return outcome,
            }
        }
        let own = opened.wire.clone();
        let wire = own.as_deref().unwrap_or(&listener.wire);
        let behind = self.behind_host(listener, request, wire, &opened);
        let read = match wire.read(request, behind.as_deref()) {
            Ok(read) => read,
            Err((status, why)) => {
                outcome.steps.push(listener.origin.noted(why));
                // The body's length isn't known before the whole head is read (nginx 1.22.1 and 1.31.3: no 413 then).
                let bare = Request { body: None, body_bytes: 0, ..request.clone() };
                let read = wire.remains(&bare, behind.as_deref());
                return self.refused(listener, &bare, read, status, opened, outcome);
            }
        };
        let state = State::new(request, listener, read).with(opened.variables);
        self.walk(state, listener.chain, outcome)
    }

    /// Opens a connection with TLS; absent: it doesn't come about, which is the outcome.
    fn handshake(
        &mut self,
        listener: &Listener,
        request: &Request,
        start: ChainId,
        outcome: &mut Outcome,
    ) -> Option<Opened> {
        let state = State::new(request, listener, Read::nothing());
        let mut walk = Walk::new(state, std::mem::replace(outcome, nothing()), self.noted);
        let (mut errors, mut wire) = (None, None);
        let mut at = Frame { chain: start, clause: 0, step: 0 };
        let verdict = loop {
            if at.chain == listener.chain {
                break None;
            }
            errors = self.gateway.refusals.get(&at.chain).cloned().or(errors);
            wire = self.gateway.wires.get(&at.chain).cloned().or(wire);
            self.work += 1;
            match self.advance(&mut walk, at) {
                Go::End(verdict) => break Some(verdict),
                Go::At(_) if self.work > WORK => break Some(unknown("the chains of this gateway never end")),
                Go::At(next) => at = next,
            }
        };
        *outcome = walk.outcome;
        match verdict {
            None => Some(Opened { variables: walk.state.variables, errors, wire }),
            Some(verdict) => {
                outcome.verdict = verdict;
                None
            }
        }
    }

    /// What a listener refuses to read is an error of the gateway, if somebody handles those.
    fn refused(
        &mut self,
        listener: &Listener,
        request: &Request,
        read: Read<'_>,
        status: u16,
        opened: Opened,
        mut outcome: Outcome,
    ) -> Outcome {
        let Some(errors) =
            opened.errors.as_ref().or_else(|| self.gateway.refusals.get(&listener.chain)).filter(|_| status != 444)
        else {
            outcome.verdict = by_itself(self.shown(status));
            return outcome;
        };
        let state = State::new(request, listener, read).with(opened.variables);
        // Without a host that was read nothing is chosen by it (nginx 1.22.1 and 1.31.3).
        let begun = state.path.as_ref().is_some_and(|path| !path.is_empty()) || request.version == Version::Http2;
        let known = begun && !state.host.is_empty();
        let by_host = if known { self.by_host(state.clone(), listener.chain, &self.gateway.refusals) } else { None };
        let mut walk = Walk::new(state, outcome, self.noted);
        walk.errors = Some(by_host.unwrap_or_else(|| errors.clone()));
        let go = self.error(&mut walk, status);
        self.finish(walk, go)
    }

    /// How the server of the host reads what stands behind the host, if that is another one.
    fn behind_host(
        &mut self,
        listener: &Listener,
        request: &Request,
        wire: &Wire,
        opened: &Opened,
    ) -> Option<Arc<Wire>> {
        if self.gateway.wires.is_empty() {
            return None;
        }
        let read = Read { host: Some(wire.host_of(request)?), ..Read::nothing() };
        let state = State::new(request, listener, read).with(opened.variables.clone());
        self.by_host(state, listener.chain, &self.gateway.wires)
    }

    /// What there is where the host leads to.
    fn by_host<T>(&mut self, state: State<'_>, chain: ChainId, there: &HashMap<ChainId, Arc<T>>) -> Option<Arc<T>> {
        let mut walk = Walk::new(state, nothing(), Noted::Places);
        let mut at = Frame { chain, clause: 0, step: 0 };
        for _ in 0..WORK / 100 {
            match self.advance(&mut walk, at) {
                Go::At(next) => at = next,
                Go::End(_) => return None,
            }
            if let Some(found) = there.get(&at.chain).filter(|_| at.chain != chain) {
                return Some(found.clone());
            }
        }
        None
    }

    /// A listener that passes on bytes: the upstream sees whatever arrives.
    fn raw(&mut self, listener: &Listener, request: &Request, outcome: Outcome) -> Outcome {
        let state = State::new(request, listener, Read::nothing());
        let mut outcome = self.walk(state, listener.chain, outcome);
        if let Verdict::Proxied { target, host, .. } = &mut outcome.verdict {
            target.clone_from(&request.target);
            let own = request.header("host").next().unwrap_or_default();
            *host = own.iter().map(|&byte| char::from(byte)).collect();
        }
        outcome
    }
}
