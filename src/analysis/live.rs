//! Which part of a gateway requests may come to, as far as their host decides.
//!
//! In: a gateway and where requests start. Out: a [`Live`]: chains in the order in which they are met, each with the clauses that may be reached
//! there. Invariant: whatever a request with that host comes to is in it.

use std::collections::HashSet;

use crate::gateway::by_host::ByHost;
use crate::gateway::{Chain, ChainId, Clause, Errors, Gateway, Listener, Predicate, Step, Terminal};
use crate::http::Request;

/// What requests may come to. Two are equal where it is the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Live {
    parts: Vec<Part>,
    /// What the host decided on the way.
    answers: Vec<bool>,
}

/// What of a chain they may come to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Part {
    chain: ChainId,
    /// Indices of clauses.
    clauses: Vec<u32>,
    /// Whether its end may be reached, if it isn't a table by the host.
    end: bool,
}

/// Clauses and ends of chains.
#[derive(Debug, Default)]
pub struct Behind<'g> {
    /// The clauses.
    pub clauses: Vec<&'g Clause>,
    /// The ends, of clauses too.
    pub ends: Vec<&'g Terminal>,
}

impl Live {
    /// What requests to a listener with this one's host may come to.
    pub fn by_host(gateway: &Gateway, listener: &Listener, request: &Request) -> Live {
        Live::walk(gateway, listener.chain, None, ByHost::new(listener, request))
    }

    /// What the handshake of its connection may come to, before the listener's own chain.
    pub fn opening(gateway: &Gateway, listener: &Listener, request: &Request) -> Live {
        let walk = |start| Live::walk(gateway, start, Some(listener.chain), ByHost::new(listener, request));
        listener.handshake.map(walk).unwrap_or_default()
    }

    /// What any request may come to from a chain.
    pub fn from(gateway: &Gateway, start: ChainId) -> Live {
        Live::walk(gateway, start, None, None)
    }

    fn walk(gateway: &Gateway, start: ChainId, until: Option<ChainId>, mut host: Option<ByHost<'_>>) -> Live {
        let mut live = Live::default();
        let mut met = Met { next: vec![start], seen: until.into_iter().chain([start]).collect() };
        let mut at = 0;
        while let Some(id) = met.next.get(at).copied() {
            at += 1;
            let Some(chain) = gateway.chains.get(id.0) else { continue };
            let mut part = Part { chain: id, clauses: Vec::new(), end: true };
            for (index, clause) in (0..).zip(&chain.clauses) {
                let holds = host.as_mut().and_then(|host| host.holds(&clause.when));
                if holds == Some(false) {
                    continue;
                }
                part.clauses.push(index);
                met.terminal(&clause.then, host.as_mut());
                met.steps(&clause.steps);
                clause.when.any(&mut |part| {
                    if let Predicate::Subrequest(chain, ..) = part {
                        met.chain(*chain);
                    }
                    false
                });
                // What handles an error of a guarded clause goes on behind it.
                let guards = clause.steps.iter().any(|step| matches!(step, Step::Guard(_)));
                if holds == Some(true) && !matches!(clause.then, Terminal::Next) && !guards {
                    part.end = false;
                    break;
                }
            }
            if part.end {
                part.end = !met.terminal(&chain.otherwise, host.as_mut());
            }
            live.parts.push(part);
        }
        live.answers = host.map(|host| host.answers).unwrap_or_default();
        live
    }

    /// The chains, in the order in which they are met.
    pub fn chains(&self) -> impl Iterator<Item = ChainId> + '_ {
        self.parts.iter().map(|part| part.chain)
    }

    /// Each chain with the clauses that may be reached, and whether its end may.
    pub fn parts<'g>(&self, gateway: &'g Gateway) -> impl Iterator<Item = (&'g Chain, Vec<&'g Clause>, bool)> {
        self.parts.iter().filter_map(move |part| {
            let chain = gateway.chains.get(part.chain.0)?;
            let clauses = part.clauses.iter().filter_map(|index| chain.clauses.get(*index as usize));
            Some((chain, clauses.collect(), part.end))
        })
    }

    /// All clauses and ends.
    pub fn behind<'g>(&'g self, gateway: &'g Gateway) -> Behind<'g> {
        let mut behind = Behind::default();
        for (chain, clauses, end) in self.parts(gateway) {
            behind.ends.extend(clauses.iter().map(|clause| &clause.then));
            behind.ends.extend(end.then_some(&chain.otherwise));
            behind.clauses.extend(clauses);
        }
        behind
    }
}

impl<'g> Behind<'g> {
    /// All of some chains.
    pub fn of(chains: impl IntoIterator<Item = &'g Chain>) -> Behind<'g> {
        let mut behind = Behind::default();
        for chain in chains {
            behind.ends.push(&chain.otherwise);
            behind.ends.extend(chain.clauses.iter().map(|clause| &clause.then));
            behind.clauses.extend(&chain.clauses);
        }
        behind
    }
}

/// Chains that were met.
struct Met {
    next: Vec<ChainId>,
    seen: HashSet<ChainId>,
}

impl Met {
    fn chain(&mut self, id: ChainId) {
        if self.seen.insert(id) {
            self.next.push(id);
        }
    }

    /// Where a chain's or a clause's end leads; whether it is a table that the host decided about.
    fn terminal(&mut self, terminal: &Terminal, host: Option<&mut ByHost<'_>>) -> bool {
        match terminal {
            Terminal::Then(chain) | Terminal::Restart(chain) => self.chain(*chain),
            Terminal::Select(select) => {
                let mut host = host;
                if let Some(way) = host.as_mut().and_then(|host| host.selected(select)) {
                    self.terminal(&way, host);
                    return true;
                }
                let mut chains: Vec<ChainId> = select.exact.chains().chain(select.prefixes.chains()).collect();
                chains.sort_unstable();
                chains.into_iter().for_each(|chain| self.chain(chain));
                self.terminal(&select.otherwise, host);
            }
            _ => {}
        }
        false
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Call(chain) => self.chain(*chain),
                Step::OnError(Some(errors)) | Step::Guard(errors) => self.handlers(errors),
                _ => {}
            }
        }
    }

    fn handlers(&mut self, errors: &Errors) {
        for case in &errors.cases {
            self.chain(case.chain);
            self.steps(&case.steps);
        }
    }
}
