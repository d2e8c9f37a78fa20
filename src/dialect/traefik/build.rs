//! What building a gateway from Traefik's configuration needs at every step.
//!
//! In: the configuration as read. Out: chains. Invariant: middlewares are built as Traefik builds them, so that a router is dropped
//! exactly where Traefik drops it.

use std::collections::HashMap;

use super::dynamic::{Dynamic, full_name, provider_of};
use super::middleware;
use super::statics::Static;
use crate::dialect::{Options, Place};
use crate::gateway::{ChainId, Clause, ErrorCase, Gateway, Origin, Predicate, Terminal};

/// A service as built.
#[derive(Debug, Clone)]
pub struct Service {
    /// Where a request goes that reaches it.
    pub chain: ChainId,
    /// Whether it tells others when it is down.
    pub watched: bool,
}

/// The work on a gateway.
pub struct Builder<'c> {
    /// What is built.
    pub gateway: &'c mut Gateway,
    /// The providers' configuration.
    pub dynamic: &'c Dynamic,
    /// The static configuration.
    pub statics: &'c Static,
    /// What is taken for given.
    pub options: &'c Options,
    /// What `errors` of the chain of middlewares in hand answer, the outermost first: it has the last word on an answer.
    pub caught: Vec<ErrorCase>,
    /// Services that are built already, or why they can't be.
    pub services: HashMap<String, Result<Service, String>>,
}

/// The place of something, with a note.
pub fn origin(place: Place, note: impl Into<crate::gateway::Note>) -> Origin {
    Origin::new(place.file(), place.span(), note)
}

/// A clause that ends a request which meets a condition.
pub fn refuse(when: Predicate, status: u16, origin: Origin) -> Clause {
    Clause::new(when, Terminal::Error(status), origin)
}

impl Builder<'_> {
    /// The clauses of the middlewares of a router or service.
    ///
    /// Errors: why it is dropped.
    pub fn chained(
        &mut self,
        names: &[(String, Place)],
        provider: &str,
        open: &mut Vec<String>,
    ) -> Result<Vec<Clause>, String> {
        let outside = std::mem::take(&mut self.caught);
        let built = self.middlewares(names, provider, open);
        self.caught = outside;
        built
    }

    /// The clauses of a list of middlewares, named beside `holder`. `open`: the middlewares and services that are being built, for loops.
    ///
    /// Errors: why what uses them is dropped.
    pub fn middlewares(
        &mut self,
        names: &[(String, Place)],
        provider: &str,
        open: &mut Vec<String>,
    ) -> Result<Vec<Clause>, String> {
        let mut clauses = Vec::new();
        for (name, _) in names {
            let name = full_name(name, provider);
            let dynamic = self.dynamic;
            let node = dynamic.middlewares.get(&name).ok_or_else(|| format!("middleware `{name}` does not exist"))?;
            let mark = format!("middleware:{name}");
            if open.contains(&mark) {
                return Err(format!("middleware `{name}` uses itself"));
            }
            open.push(mark);
            let built = middleware::build(self, node, provider_of(&name), open);
            open.pop();
            clauses.extend(built.map_err(|why| format!("middleware `{name}`: {why}"))?);
        }
        Ok(clauses)
    }
}
