//! Routers: which one a request meets, and what it does there.
//!
//! In: the routers of all providers and an entry point. Out: a chain. Invariant: what Traefik drops is left out, so that requests fall
//! through to the next router as they do there (facts: pkg/server/router/router.go, pkg/muxer/http/mux.go, measured on 3.7.15).

use std::collections::{BTreeMap, BTreeSet};

use super::build::{Builder, origin};
use super::dynamic::{Dynamic, Router, provider_of};
use super::matcher::{Syntax, predicate};
use super::rule::Rule;
use super::statics::EntryPoint;
use super::template::guessable_in;
use super::tls::Choice;
use crate::gateway::{Chain, ChainId, Clause, Log, Predicate, Setting, Step, Terminal, Test, Value};

/// Providers in the order in which they win at equal priority.
const PROVIDERS: [&str; 4] = ["swarm", "docker", "file", "internal"];

/// The highest priority that a user may set.
const HIGHEST: i64 = i64::MAX - 1000;

/// How many routers of one priority are checked against each other.
const MOST_TIES: usize = 40;

/// Which routers stand below which, and why the others are dropped.
#[derive(Debug, Default)]
pub struct Family {
    /// The routers below each.
    pub children: BTreeMap<String, Vec<String>>,
    /// Why a router is dropped.
    pub dropped: BTreeMap<String, String>,
}

impl Family {
    /// Of all routers.
    pub fn of(dynamic: &Dynamic) -> Family {
        let mut family = Family::default();
        for (name, router) in &dynamic.routers {
            let Some(parents) = &router.parents else { continue };
            for parent in parents {
                let parent = super::dynamic::full_name(parent, provider_of(name));
                if dynamic.routers.contains_key(&parent) {
                    let children = family.children.entry(parent).or_default();
                    if !children.contains(name) {
                        children.push(name.clone());
                    }
                } else {
                    family.drop(name, format!("its parent `{parent}` does not exist"));
                }
            }
            let above = "can be said on a router without parents alone";
            if router.tls.is_some() {
                family.drop(name, format!("`tls` {above}"));
            } else if router.observed {
                family.drop(name, format!("`observability` {above}"));
            } else if !router.entry_points.is_empty() {
                family.drop(name, format!("`entryPoints` {above}"));
            }
        }
        family.cut_circles(dynamic);
        family.check(dynamic);
        family
    }

    fn drop(&mut self, name: &str, why: String) {
        self.dropped.entry(name.to_owned()).or_insert(why);
    }

    /// Walks down from the roots: a step back to a router above is taken out, and its last router is dropped.
    fn cut_circles(&mut self, dynamic: &Dynamic) {
        let mut visited: BTreeSet<String> = BTreeSet::new();
        let roots = dynamic.routers.iter().filter(|(_, router)| router.parents.is_none());
        for (root, _) in roots {
            let mut path: Vec<(String, usize)> = vec![(root.clone(), 0)];
            visited.insert(root.clone());
            while let Some((name, next)) = path.last_mut() {
                let mut children = self.children.get(name).cloned().unwrap_or_default();
                children.sort();
                let Some(child) = children.get(*next).cloned() else {
                    path.pop();
                    continue;
                };
                *next += 1;
                if path.iter().any(|(above, _)| *above == child) {
                    let guilty = path.last().map(|(name, _)| name.clone()).unwrap_or_default();
                    self.drop(&guilty, format!("it is above and below `{child}`"));
                    self.children.entry(guilty).or_default().retain(|name| *name != child);
                    if let Some((_, next)) = path.last_mut() {
                        *next -= 1;
                    }
                } else if visited.insert(child.clone()) {
                    path.push((child, 0));
                }
            }
        }
        for name in dynamic.routers.keys().filter(|name| !visited.contains(*name)) {
            self.drop(name, "no root leads to it".to_owned());
        }
    }

    fn check(&mut self, dynamic: &Dynamic) {
        for (name, router) in &dynamic.routers {
            let has_children = self.children.get(name).is_some_and(|children| !children.is_empty());
            if router.service.is_empty() && !has_children {
                self.drop(name, "it has neither a service nor routers below it".to_owned());
            } else if !router.service.is_empty() && has_children {
                self.drop(name, "it has a service and routers below it".to_owned());
            }
        }
    }
}

/// A router that can be asked.
struct Route {
    name: String,
    when: Predicate,
    priority: i64,
    rank: usize,
    chain: ChainId,
    place: crate::dialect::Place,
    rule: String,
    by_length: bool,
}

/// The work on the routers of one entry point.
pub struct Muxer<'b, 'c> {
    /// What is built.
    pub builder: &'b mut Builder<'c>,
    /// The tree of routers.
    pub family: &'b Family,
    /// The entry point.
    pub entry: &'b EntryPoint,
    /// What its routers say about TLS.
    pub choice: &'b Choice,
    /// Routers below others that are built already.
    pub built: BTreeMap<String, Result<ChainId, String>>,
    /// Why routers were dropped here.
    pub dropped: BTreeMap<String, String>,
}

impl Muxer<'_, '_> {
    /// The chain that asks the routers of this entry point which speak TLS or don't.
    pub fn chain(&mut self, routers: &[&String]) -> ChainId {
        let routes: Vec<Route> = routers.iter().filter_map(|name| self.root(name)).collect();
        self.ask(routes, "no router of this entry point takes the request")
    }

    /// A router without parents; absent: it is dropped, which is noted.
    fn root(&mut self, name: &str) -> Option<Route> {
        let dynamic = self.builder.dynamic;
        let router = dynamic.routers.get(name)?;
        // A root that the tree finds wrong is still built: it fails there if it must.
        let route = self.route(name, router).map_err(|why| self.dropped.insert(name.to_owned(), why));
        route.ok()
    }

    fn route(&mut self, name: &str, router: &Router) -> Result<Route, String> {
        let by_length = router.priority == 0;
        let priority = if by_length { i64::try_from(router.rule.len()).unwrap_or(i64::MAX) } else { router.priority };
        let internal = name.ends_with("@internal");
        if priority > HIGHEST && !internal && router.parents.is_none() {
            return Err(format!("the priority {priority} is over the highest that may be set"));
        }
        let chain = self.router(name, router)?;
        let syntax = match router.syntax.as_str() {
            "" if router.parents.is_none() && !router.default_rule => self.builder.statics.syntax,
            "v2" => Syntax::V2,
            _ => Syntax::V3,
        };
        let when = match guessable_in(&router.rule).filter(|_| Rule::parse(&router.rule).is_err()) {
            Some(why) => Predicate::Opaque(why.into()),
            None => Rule::parse(&router.rule)
                .and_then(|rule| predicate(&rule, syntax))
                .map_err(|why| format!("its rule: {why}"))?,
        };
        let provider = provider_of(name);
        let rank = PROVIDERS.iter().position(|own| *own == provider).unwrap_or(PROVIDERS.len());
        Ok(Route {
            name: name.to_owned(),
            when,
            priority,
            rank,
            chain,
            place: router.rule_place,
            rule: router.rule.clone(),
            by_length,
        })
    }

    /// What a router does with a request that it takes.
    fn router(&mut self, name: &str, router: &Router) -> Result<ChainId, String> {
        if router.parents.is_some()
            && let Some(built) = self.built.get(name)
        {
            return built.clone();
        }
        let built = self.build(name, router);
        if router.parents.is_some() {
            self.built.insert(name.to_owned(), built.clone());
        }
        built
    }

    fn build(&mut self, name: &str, router: &Router) -> Result<ChainId, String> {
        let provider = provider_of(name);
        let root = router.parents.is_none();
        if let Some(options) = router.tls.as_ref().or(self.entry.tls.as_ref().filter(|_| root))
            && !options.is_empty()
            && options != "default"
        {
            let options = super::dynamic::full_name(options, provider);
            if !self.builder.dynamic.tls_options.contains_key(&options) {
                return Err(format!("the TLS options `{options}` do not exist"));
            }
        }
        let children = self.family.children.get(name).cloned().unwrap_or_default();
        let mut open = Vec::new();
        let next = if !children.is_empty() {
            self.below(&children)?
        } else if router.service.is_empty() {
            return Err("it has neither a service nor routers below it".to_owned());
        } else {
            self.builder.service(&router.service, provider, &mut open)?.chain
        };
        let at = origin(router.place, "");
        let mut clauses: Vec<Clause> = self.choice.misdirected(name, &at).filter(|_| root).into_iter().collect();
        // A service of Traefik's own is its own matter (middlewares/observability: `ShouldAddAccessLogs`).
        let internal = router.service.ends_with("@internal");
        let logged = router.logged.or(self.entry.logged).unwrap_or(true);
        if root
            && self.builder.statics.access_log.is_some()
            && (!logged || (internal && !self.builder.statics.logs_internals))
        {
            let nowhere = Step::setting(Setting::Log(Log::default()), at.clone());
            clauses.push(Clause::steps(vec![nowhere], at.clone()));
        }
        if root && let Some(allowed) = &self.entry.encoded {
            let allowed = |name: &str| allowed.contains(&name.to_ascii_lowercase());
            clauses.extend(super::middleware::encoded_characters(&allowed, &origin(self.entry.place, "")));
        }
        let before = if root { self.entry.middlewares.as_slice() } else { &[] };
        let names: Vec<_> = before.iter().chain(&router.middlewares).cloned().collect();
        clauses.extend(self.builder.chained(&names, provider, &mut open)?);
        Ok(self.builder.gateway.add(Chain { clauses, otherwise: Terminal::Then(next), origin: at }))
    }

    /// The routers below another.
    fn below(&mut self, children: &[String]) -> Result<ChainId, String> {
        let dynamic = self.builder.dynamic;
        let mut routes = Vec::new();
        for name in children {
            let Some(router) = dynamic.routers.get(name).filter(|_| !self.family.dropped.contains_key(name)) else {
                continue;
            };
            match self.route(name, router) {
                Ok(route) => routes.push(route),
                Err(why) => drop(self.dropped.insert(name.clone(), why)),
            }
        }
        if routes.is_empty() {
            return Err(format!("none of the {} routers below it can be used", children.len()));
        }
        Ok(self.ask(routes, "no router at this level takes the request"))
    }

    /// Asks routers in the order of their priorities.
    fn ask(&mut self, mut routes: Vec<Route>, nobody: &'static str) -> ChainId {
        routes.sort_by(|left, right| right.priority.cmp(&left.priority).then(left.rank.cmp(&right.rank)));
        let wants: Vec<Wanted<'_>> = routes.iter().map(|route| wanted(&route.when)).collect();
        // Beside each, the conditions of those that may be asked before it.
        let mut all_rivals = Vec::with_capacity(routes.len());
        for (index, route) in routes.iter().enumerate() {
            // Traefik's own routers have no rank among the others (measured on 3.7.15: now the one is asked first, now the other).
            let own = PROVIDERS.len() - 1;
            let level = |(other, _): &(&Route, _)| other.priority == route.priority;
            let tied = |(other, _): &(&Route, _)| other.rank == route.rank || [other.rank, route.rank].contains(&own);
            let behind =
                routes[index + 1..].iter().zip(&wants[index + 1..]).take_while(level).filter(tied).take(MOST_TIES);
            let rivals = behind.filter(|(_, wants_other)| !apart(&wants[index], wants_other));
            all_rivals.push(rivals.map(|(other, _)| other.when.clone()).collect::<Vec<_>>());
        }
        drop(wants);
        let mut clauses = Vec::with_capacity(routes.len());
        for (route, rivals) in routes.into_iter().zip(all_rivals) {
            let why = if route.by_length { "the length of its rule" } else { "set" };
            let priority = format!("priority {} ({why})", route.priority);
            let note = format!("router `{}`, {priority}, takes the request: `{}`", route.name, shortened(&route.rule));
            let mut when = route.when;
            if !rivals.is_empty() {
                let tie = format!("depends on which of several routers with {priority} Traefik asks first");
                let sure = Predicate::Any(vec![Predicate::Any(rivals).negated(), Predicate::Opaque(tie.into())]);
                when = Predicate::All(vec![when, sure]);
            }
            clauses.push(Clause::new(when, Terminal::Then(route.chain), origin(route.place, note)));
        }
        let at = origin(self.entry.place, nobody);
        self.builder.gateway.add(Chain { clauses, otherwise: Terminal::Error(404), origin: at })
    }
}

/// Rules are shown in part when they are long: they may also hold keys, which nobody should see.
fn shortened(rule: &str) -> String {
    let shown = super::rule::without_values(rule);
    match shown.char_indices().nth(160) {
        Some((at, _)) => format!("{}…", &shown[..at]),
        None => shown,
    }
}

/// What a condition wants values to be, as far as that is plain.
type Wanted<'p> = Vec<(&'p Value, Texts<'p>)>;

/// What a value may be.
enum Texts<'p> {
    /// One of these.
    Whole(&'p [Vec<u8>]),
    /// It begins so.
    Begun(&'p [u8]),
}

fn wanted(predicate: &Predicate) -> Wanted<'_> {
    let mut out = Vec::new();
    let mut open = vec![predicate];
    while let Some(next) = open.pop() {
        match next {
            Predicate::All(parts) => open.extend(parts),
            Predicate::Value(value, Test::Equals(text)) => out.push((value, Texts::Whole(std::slice::from_ref(text)))),
            Predicate::Value(value, Test::OneOf(texts)) => out.push((value, Texts::Whole(texts))),
            Predicate::Value(value, Test::Prefix(start)) => out.push((value, Texts::Begun(start))),
            _ => {}
        }
    }
    out
}

/// Whether two conditions can't both hold: each wants another host, path or method.
fn apart(left: &Wanted<'_>, right: &Wanted<'_>) -> bool {
    left.iter().any(|(value, texts)| right.iter().any(|(other, others)| other == value && !texts.meet(others)))
}

impl Texts<'_> {
    /// Whether a text can be both.
    fn meet(&self, other: &Texts<'_>) -> bool {
        match (self, other) {
            (Texts::Whole(one), Texts::Whole(two)) => one.iter().any(|text| two.contains(text)),
            (Texts::Whole(texts), Texts::Begun(start)) | (Texts::Begun(start), Texts::Whole(texts)) => {
                texts.iter().any(|text| text.starts_with(start))
            }
            (Texts::Begun(one), Texts::Begun(two)) => one.starts_with(two) || two.starts_with(one),
        }
    }
}
