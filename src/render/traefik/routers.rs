//! The tree of routers: the contract's lines as levels, in order.
//!
//! In: the plan. Out: routers with their parents, priorities, rules and middlewares. Levels: the origin (its fixed CORS header) → host,
//! preflight, health → limits of the address → foreign origin, public, credentials → what the client may use → its own rate → the body.
//! Invariant: only the first level stands on the entry point. A router without parents would be open to everybody, so a child whose
//! parents don't exist is not made; limits sit on routers with several parents, which Traefik builds once (measured on 3.7.15).

use crate::policy::plan::{Access, KeyOrigin, Plan};
use crate::policy::rate::Rate;

use super::rules;

/// One router.
pub(super) struct Router {
    /// Its name, which the access log shows.
    pub(super) name: String,
    /// Empty: it stands on the entry point.
    pub(super) parents: Vec<String>,
    /// The highest that matches is taken, among the children of one parent.
    pub(super) priority: usize,
    /// What it matches; may hold Go template actions.
    pub(super) rule: String,
    /// In order.
    pub(super) middlewares: Vec<String>,
    /// Where it ends, if it does.
    pub(super) service: Option<&'static str>,
}

/// The routers, and what their middlewares need to know.
#[derive(Default)]
pub(super) struct Tree {
    /// In the contract's order.
    pub(super) routers: Vec<Router>,
    /// The statuses that some router answers with.
    pub(super) statuses: Vec<u16>,
    /// The clients' own rates, by the number of their group.
    pub(super) rates: Vec<(usize, Rate)>,
}

/// Clients that may use the same and have the same rate of their own.
struct Group {
    set: usize,
    rate: Option<Rate>,
    members: Vec<String>,
}

/// The service that forwards.
pub(super) const UPSTREAM: &str = "lg-upstream";
/// Traefik's own service that never answers: a router before it does.
const NOWHERE: &str = "noop@internal";

impl Tree {
    /// The whole tree.
    pub(super) fn new(plan: &Plan) -> Tree {
        let mut tree = Tree::default();
        let origins = tree.origins(plan);
        let limits = tree.before_the_limits(plan, origins);
        let leaves = tree.callers(plan, &limits);
        tree.body(plan, &leaves);
        tree
    }

    /// Adds a router below `parents`, if there are any.
    fn pass(
        &mut self,
        name: &str,
        parents: &[String],
        priority: usize,
        rule: String,
        middlewares: &[&str],
    ) -> Vec<String> {
        if parents.is_empty() {
            return Vec::new();
        }
        let middlewares = middlewares.iter().map(|&name| name.to_owned()).collect();
        let (name, parents) = (name.to_owned(), parents.to_vec());
        self.routers.push(Router { name: name.clone(), parents, priority, rule, middlewares, service: None });
        vec![name]
    }

    /// Adds a router that ends at `service`.
    fn end(
        &mut self,
        name: &str,
        parents: &[String],
        priority: usize,
        rule: String,
        middlewares: &[&str],
        service: &'static str,
    ) {
        if !self.pass(name, parents, priority, rule, middlewares).is_empty()
            && let Some(router) = self.routers.last_mut()
        {
            router.service = Some(service);
        }
    }

    /// Adds a router that answers `status` itself.
    fn answer(&mut self, name: &str, parents: &[String], priority: usize, rule: String, status: u16, extra: &[&str]) {
        if !self.statuses.contains(&status) {
            self.statuses.push(status);
        }
        let deny = format!("lg-deny-{status}");
        let middlewares: Vec<&str> =
            ["lg-answer"].into_iter().chain(extra.iter().copied()).chain([deny.as_str()]).collect();
        self.end(name, parents, priority, rule, &middlewares, NOWHERE);
    }

    /// Level one: a router for each listed origin with its fixed header (Traefik's CORS middleware can't echo an origin that is
    /// stripped later, and would answer preflights itself), and one for all else. The last one has no listed origin.
    fn origins(&mut self, plan: &Plan) -> Vec<String> {
        let mut rules: Vec<String> = Vec::new();
        match &plan.cors {
            Some(cors) if cors.any => rules.push(rules::ORIGIN.to_owned()),
            Some(cors) => rules.extend(cors.origins.iter().map(|origin| rules::header("Origin", origin))),
            None => {}
        }
        let mut names = Vec::new();
        for (at, rule) in rules.into_iter().enumerate() {
            let (name, cors) = (format!("lg-origin-{}", at + 1), format!("lg-cors-{}", at + 1));
            names.push(name.clone());
            self.root(name, 2 + at, rule, vec!["lg-clean".to_owned(), cors]);
        }
        names.push("lg-root".to_owned());
        self.root("lg-root".to_owned(), 1, rules::ALL.to_owned(), vec!["lg-clean".to_owned()]);
        names
    }

    fn root(&mut self, name: String, priority: usize, rule: String, middlewares: Vec<String>) {
        self.routers.push(Router { name, parents: Vec::new(), priority, rule, middlewares, service: None });
    }

    /// Host, preflight and health, then the routers that count requests.
    fn before_the_limits(&mut self, plan: &Plan, origins: Vec<String>) -> Vec<String> {
        if !plan.listen.server_names.is_empty() {
            self.answer("lg-unknown-host", &origins, 1000, rules::unknown_host(&plan.listen.server_names), 421, &[]);
        }
        if plan.cors.is_some() {
            let (_, listed) = origins.split_last().map_or((None, [].as_slice()), |(last, listed)| (Some(last), listed));
            let rule = "Method(`OPTIONS`) && HeaderRegexp(`Access-Control-Request-Method`, `.`)".to_owned();
            self.answer("lg-preflight", listed, 900, rule, 204, &["lg-preflight"]);
        }
        if let Some(path) = &plan.access.health {
            self.answer("lg-health", &origins, 800, rules::health(path), 200, &[]);
        }
        let mut ways = origins;
        if plan.cors.is_some() {
            // `addVaryHeader` keeps the upstream's own Vary, but would answer a preflight itself: OPTIONS goes another way.
            let mut next = self.pass("lg-vary", &ways, 2, "!Method(`OPTIONS`)".to_owned(), &["lg-vary"]);
            next.extend(self.pass("lg-options", &ways, 1, rules::ALL.to_owned(), &["lg-vary-options"]));
            ways = next;
        }
        let mut limits =
            self.pass("lg-limits", &ways, 1, rules::ALL.to_owned(), &limiters(plan, ["lg-rate-ip", "lg-connections"]));
        if !plan.listen.trusted_proxies.is_empty() {
            // A router of its own: with an ipStrategy everybody who comes directly would share one bucket.
            let rule = rules::peers(&plan.listen.trusted_proxies);
            let names = ["lg-rate-ip-behind-proxy", "lg-connections-behind-proxy"];
            limits.extend(self.pass("lg-limits-behind-proxy", &ways, 2, rule, &limiters(plan, names)));
        }
        limits
    }

    /// Foreign origins, public endpoints, credentials, and what each client may use. Returns the routers whose requests may be forwarded.
    fn callers(&mut self, plan: &Plan, limits: &[String]) -> Vec<String> {
        self.foreign_origin(plan, limits);
        let Access { public, sets, .. } = &plan.access;
        let mut leaves = Vec::new();
        if !public.allow.is_empty() {
            leaves.extend(self.pass("lg-public", limits, 3_000_000, rules::set(public), &[]));
        }
        if plan.auth.anonymous {
            if let Some(set) = sets.first() {
                leaves.extend(self.pass("lg-allowed-1", limits, 2, rules::set(set), &[]));
            }
            self.answer("lg-forbidden", limits, 1, rules::ALL.to_owned(), 403, &[]);
            return leaves;
        }
        let mut groups: Vec<Group> = Vec::new();
        for client in &plan.clients {
            if !groups.iter().any(|group| (group.set, group.rate) == (client.set, client.rate)) {
                groups.push(Group { set: client.set, rate: client.rate, members: Vec::new() });
            }
        }
        self.credentials(plan, limits, &mut groups);
        self.answer("lg-unauthorized", limits, 1, rules::ALL.to_owned(), 401, &["lg-challenge"]);
        let mut known = Vec::new();
        for (at, group) in groups.iter().enumerate() {
            let number = at + 1;
            let limiter = format!("lg-rate-{number}");
            let rule = sets.get(group.set).map_or_else(|| rules::NEVER.to_owned(), rules::set);
            let own: &[&str] = if group.rate.is_some() { &[&limiter] } else { &[] };
            leaves.extend(self.pass(&format!("lg-allowed-{number}"), &group.members, 2, rule, own));
            self.rates.extend(group.rate.map(|rate| (number, rate)));
            known.extend(group.members.iter().cloned());
        }
        self.answer("lg-forbidden", &known, 1, rules::ALL.to_owned(), 403, &[]);
        leaves
    }

    fn foreign_origin(&mut self, plan: &Plan, limits: &[String]) {
        let Some(foreign) = rules::foreign_origin(plan.cors.as_ref()) else { return };
        let rule = if plan.auth.anonymous {
            foreign
        } else {
            let writing: Vec<_> = plan
                .access
                .public
                .allow
                .iter()
                .filter(|e| !["GET", "HEAD"].contains(&e.method.as_str()))
                .cloned()
                .collect();
            let public = if writing.is_empty() { String::new() } else { format!(" || {}", rules::endpoints(&writing)) };
            format!("{foreign} && (HeaderRegexp(`Authorization`, `^(?i:basic) `){public})")
        };
        self.answer("lg-foreign-origin", limits, 4_000_000, rule, 403, &[]);
    }

    /// A router for each client and kind of credential: Bearer before X-API-Key before Basic.
    fn credentials(&mut self, plan: &Plan, limits: &[String], groups: &mut [Group]) {
        let mut join = |set: usize, rate: Option<Rate>, names: Vec<String>| {
            if let Some(group) = groups.iter_mut().find(|group| (group.set, group.rate) == (set, rate)) {
                group.members.extend(names);
            }
        };
        for (accepted, kind, first) in
            [(plan.auth.bearer, "bearer", 2_000_000_usize), (plan.auth.x_api_key, "key", 1_000_000)]
        {
            for (at, client) in plan.clients.iter().enumerate().filter(|_| accepted) {
                let keys: Vec<String> = client
                    .keys
                    .iter()
                    .filter_map(|key| match &key.origin {
                        KeyOrigin::Env(name) => Some(format!(r#"{{{{ template "lg-{kind}" (env "{name}") }}}}"#)),
                        KeyOrigin::File(_) => None,
                    })
                    .collect();
                if !keys.is_empty() {
                    let (name, tag) = (format!("lg-{kind}-{}", client.name), format!("lg-client-{}", client.name));
                    let priority = first.saturating_sub(at);
                    join(client.set, client.rate, self.pass(&name, limits, priority, keys.join(" || "), &[&tag]));
                }
            }
        }
        if !plan.auth.basic {
            return;
        }
        // Never without users: Traefik unmounts such a router, and what it guards falls through.
        let users: Vec<_> = plan.clients.iter().filter(|client| super::password(client).is_some()).collect();
        if users.is_empty() {
            return;
        }
        let basic = self.pass(
            "lg-basic",
            limits,
            10,
            "HeaderRegexp(`Authorization`, `^(?i:basic) `)".to_owned(),
            &["lg-basic"],
        );
        for (at, client) in users.iter().enumerate() {
            let rule = rules::header("X-Llmguard-Client", &client.name);
            let name = format!("lg-basic-{}", client.name);
            join(client.set, client.rate, self.pass(&name, &basic, users.len() - at, rule, &[]));
        }
    }

    /// The body's limit. `lg-whole` reads a body of known length before it is forwarded, and leaves the response streaming; one of unknown
    /// length needs `buffering`, which holds the response too.
    fn body(&mut self, plan: &Plan, leaves: &[String]) {
        let limit = plan.limits.body.max(1);
        self.answer("lg-too-large", leaves, 30, rules::length_above(limit), 413, &[]);
        self.end("lg-stream", leaves, 20, rules::length_at_most(limit), &["lg-whole"], UPSTREAM);
        let buffered: &[&str] = if plan.upstream.servers.len() > 1 { &["lg-body", "lg-retry"] } else { &["lg-body"] };
        self.end("lg-buffered", leaves, 10, rules::ALL.to_owned(), buffered, UPSTREAM);
    }
}

/// The limiters that the policy asks for, out of rate and connections.
fn limiters<'a>(plan: &Plan, [rate, connections]: [&'a str; 2]) -> Vec<&'a str> {
    let rate = plan.limits.rate.is_some().then_some(rate);
    rate.into_iter().chain(plan.limits.connections.is_some().then_some(connections)).collect()
}
