//! Lists of routes: which run, in which order, and where an error goes (RouteList, Subroute, Invoke).
//!
//! In: lists of routes. Out: chains. Invariant: a chain returns where Caddy would call the next handler; a group's first match is
//! remembered for the whole request, error routes included.

use std::sync::Arc;

use super::{Compiler, is_set, set, text, truth, var, variable};
use crate::dialect::document::Ref;
use crate::gateway::*;

impl<'d> Compiler<'d, '_> {
    /// A list of routes; `otherwise`: what follows them.
    pub(super) fn routes(&mut self, routes: Option<Ref<'d>>, otherwise: Terminal, origin: Origin) -> ChainId {
        let mut clauses = Vec::new();
        for route in routes.into_iter().flat_map(|routes| routes.items()) {
            self.route(route, &mut clauses);
        }
        self.chain(clauses, otherwise, origin)
    }

    /// One route.
    pub(super) fn route(&mut self, route: Ref<'d>, clauses: &mut Vec<Clause>) {
        let sets = route.get("match");
        let mut when = self.sets(sets);
        let words = self.words(sets);
        let place = sets.unwrap_or(route).place();
        let mut steps = Vec::new();
        if let Some(group) = text(route, "group").filter(|group| !group.is_empty()) {
            let name = format!("group:{group}");
            when = Predicate::All(vec![is_set(&name).negated(), when]);
            steps.push(set(&name, Value::literal("1")));
        }
        if sets.is_some_and(reads_body) {
            let others = sets.map_or(Vec::new(), |sets| self.matchers_without_body(sets));
            if !others.is_empty() {
                let over = Predicate::All(vec![is_set(var::BODY_OVER), Predicate::All(others).negated()]);
                let why = self.reason(place, "which matcher of the set Caddy asks first: one fails to read the body");
                clauses.push(Clause::new(over, Terminal::unknown(why), self.origin(place, "")));
            }
            let message = Value::literal("request body: http: request body too large");
            let origin = self.origin(place, "the matcher reads the body, which is longer than `max_size` allows");
            clauses.push(self.fails(is_set(var::BODY_OVER), Value::literal("413"), message, origin));
        }
        let handlers = route.get("handle").filter(|handlers| handlers.items().next().is_some());
        if let Some(handlers) = handlers {
            let chain = self.handlers(handlers, Terminal::Return);
            steps.push(Step::Call(chain));
        }
        let then = if truth(route, "terminal") { ends() } else { Terminal::Next };
        clauses.push(Clause { when: when.into(), steps, then, origin: self.origin(place, words) });
    }

    /// A route's handlers, one after the other.
    fn handlers(&mut self, handlers: Ref<'d>, otherwise: Terminal) -> ChainId {
        let mut clauses = Vec::new();
        for handler in handlers.items() {
            self.handler(handler, &mut clauses);
        }
        self.chain(clauses, otherwise, Origin::default())
    }

    /// `subroute`: routes within a route, with error routes of their own. What follows them is under these as well.
    pub(super) fn subroute(&mut self, node: Ref<'d>) -> Clause {
        let mut steps = Vec::new();
        if let Some(errors) = node.get("errors").filter(|_| node.get("routes").is_some()) {
            let chain = self.routes(errors.get("routes"), Terminal::Return, Origin::default());
            let origin = self.origin(errors.place(), "the error routes of this block are asked");
            steps.push(Step::Guard(guard(chain, Vec::new(), origin)));
        }
        let chain = self.routes(node.get("routes"), Terminal::Return, Origin::default());
        steps.push(Step::Call(chain));
        Clause::steps(steps, Origin::default())
    }

    /// `invoke`: a named route.
    pub(super) fn invoke(&mut self, node: Ref<'d>) -> Clause {
        let name = text(node, "name").unwrap_or_default();
        match self.named.get(name) {
            Some(chain) => {
                let origin = self.origin(node.place(), format!("the named route `{name}` is invoked"));
                Clause::steps(vec![Step::Call(*chain)], origin)
            }
            None => {
                let origin = self.origin(node.place(), format!("there is no named route `{name}`: Caddy fails"));
                self.breaks(Predicate::Always, &format!("invoke: route '{name}' not found"), origin)
            }
        }
    }

    /// The named routes of a server: they may invoke each other.
    pub(super) fn named_routes(&mut self, routes: Option<Ref<'d>>) {
        self.named.clear();
        let routes: Vec<_> = routes.into_iter().flat_map(|routes| routes.entries()).collect();
        for (entry, _) in &routes {
            let chain = self.chain(Vec::new(), Terminal::Return, Origin::default());
            self.named.insert(entry.key.to_string(), chain);
        }
        for (entry, route) in routes {
            let mut clauses = Vec::new();
            self.route(route, &mut clauses);
            if let Some(chain) = self.named.get(&*entry.key).and_then(|id| self.gateway.chains.get_mut(id.0)) {
                chain.clauses = clauses;
            }
        }
    }
}

/// All errors go to a chain.
pub(super) fn guard(chain: ChainId, steps: Vec<Step>, origin: Origin) -> Arc<Errors> {
    let case =
        ErrorCase { statuses: Statuses(vec![(0, u16::MAX)]), chain, restart: false, steps, status: None, origin };
    Arc::new(Errors { cases: vec![case], recursive: true })
}

/// The end of a terminal route that nothing answered: an empty 200, while an error is handled its status.
pub(super) fn ends() -> Terminal {
    Terminal::RespondWith(Box::new(Value::First(vec![Value::ErrorStatus, Value::literal("200")])))
}

/// Whether a matcher reads the request's body.
pub(super) fn reads_body(node: Ref<'_>) -> bool {
    let named = |text: &str| text.contains("{http.request.body");
    node.text().is_some_and(named)
        || node.items().any(reads_body)
        || node.entries().any(|(entry, value)| named(&entry.key) || reads_body(value))
}

/// The status of an error route's answer that names none: the error's, if it has one.
pub(super) fn default_status() -> Value {
    Value::First(vec![variable(var::ERROR_STATUS), Value::literal("200")])
}
