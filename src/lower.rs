//! Plan → [`Gateway`]: the one definition of what a policy means. The clauses stand in the order of the contract.
//!
//! In: a [`Plan`] and its file. Out: a gateway with one listener. Invariant: each line of the contract is one clause or step.

use std::sync::Arc;

use crate::gateway::*;
use crate::policy::plan::*;
use crate::policy::rate::Rate;
use crate::source::{SourceFile, Span};

/// Gives a plan its meaning.
pub fn gateway(plan: &Plan, file: &SourceFile) -> Gateway {
    let mut chains = Chains { plan, list: Vec::new(), headers: ChainId(0) };
    chains.headers = chains.upstream_headers();
    let entry = chains.entry();
    let handshake = chains.handshake(entry);
    let listener = Listener {
        address: plan.listen.address,
        both: true,
        port: plan.listen.port,
        tls: plan.listen.tls != Tls::Off,
        wire: Wire::strict(plan.limits.header),
        handshake,
        chain: entry,
        origin: at(
            plan.places.at("listen.address"),
            format!("listens on {}:{}", plan.listen.address, plan.listen.port),
        ),
    };
    Gateway { files: vec![file.clone()], listeners: vec![listener], chains: chains.list, ..Gateway::default() }
}

/// The headers that the upstream never gets from a client (line 11 of the contract).
const REMOVED: &[&str] = &[
    "Authorization",
    "X-API-Key",
    "Cookie",
    "Proxy-Authorization",
    "Origin",
    "Referer",
    "Forwarded",
    "X-Forwarded-Prefix",
    "X-HTTP-Method-Override",
];

struct Chains<'p> {
    plan: &'p Plan,
    list: Vec<Chain>,
    /// What is done to the headers of all that goes upstream.
    headers: ChainId,
}

fn at(span: Span, note: impl Into<String>) -> Origin {
    Origin::new(0, span, note.into())
}

impl Chains<'_> {
    fn add(&mut self, clauses: Vec<Clause>, otherwise: Terminal, origin: Origin) -> ChainId {
        self.list.push(Chain { clauses, otherwise, origin });
        ChainId(self.list.len() - 1)
    }

    fn origin(&self, key: &str, note: impl Into<String>) -> Origin {
        at(self.plan.places.at(key), note)
    }

    /// Line 11: what is removed, and the upstream's own key, whose value stays out of the model.
    fn upstream_headers(&mut self) -> ChainId {
        let origin = self.origin("upstream.kind", "");
        let edit =
            |name: &str, edit: Edit| Step::request_header(HeaderEdit { name: name.to_owned(), edit }, origin.clone());
        let mut steps: Vec<Step> = REMOVED.iter().map(|name| edit(name, Edit::Remove)).collect();
        if self.plan.upstream.api_key.is_some() {
            steps.push(edit("Authorization", Edit::Set(Value::literal("Bearer ***"))));
        }
        steps.push(edit("X-Real-IP", Edit::Set(Value::ClientIp)));
        let clause = Clause::steps(steps, Origin::default());
        self.add(vec![clause], Terminal::Return, Origin::default())
    }

    /// Where TLS is spoken, an unknown name in the handshake ends it.
    fn handshake(&mut self, entry: ChainId) -> Option<ChainId> {
        let plan = self.plan;
        if !plan.listen.names_decide_handshakes() {
            return None;
        }
        let name = Value::Apply(Function::Lower, Box::new(Value::ServerName));
        let unknown = Clause::new(
            is_one_of(name, &plan.listen.server_names).negated(),
            Terminal::Respond(444),
            self.origin("listen.server_names", "the name in the TLS handshake is none of the server names"),
        );
        Some(self.add(vec![unknown], Terminal::Then(entry), Origin::default()))
    }

    /// Lines 2 to 5: unknown Host, preflight, health, then what is counted.
    fn entry(&mut self) -> ChainId {
        let plan = self.plan;
        let counted = self.counted();
        let mut clauses = Vec::new();
        if !plan.listen.server_names.is_empty() {
            clauses.push(Clause {
                when: is_one_of(Value::Host, &plan.listen.server_names).negated().into(),
                steps: Vec::new(),
                then: Terminal::Respond(421),
                origin: self.origin("listen.server_names", "the Host is none of the server names"),
            });
        }
        if let Some(cors) = &plan.cors {
            clauses.push(Clause {
                when: Predicate::All(vec![
                    Predicate::method(&["OPTIONS"]),
                    listed(cors),
                    present("access-control-request-method"),
                ])
                .into(),
                steps: Vec::new(),
                then: Terminal::Respond(204),
                origin: self.origin("cors.origins", "a preflight from a listed origin"),
            });
        }
        if let Some(health) = &plan.access.health {
            clauses.push(Clause {
                when: Predicate::All(vec![
                    Predicate::method(&["GET", "HEAD"]),
                    Predicate::Value(Value::RawPath, Test::Equals(health.clone().into_bytes())),
                ])
                .into(),
                steps: Vec::new(),
                then: Terminal::Respond(200),
                origin: self.origin("access.health", "the gateway's own health answer"),
            });
        }
        let mut steps = Vec::new();
        if let Some(rate) = plan.limits.rate {
            steps.push(Step::limit(rate_limit(Per::Ip, rate), self.origin("limits.rate", "counted for this address")));
        }
        if let Some(max) = plan.limits.connections {
            let kind = LimitKind::Connections { max };
            let limit = Limit { per: Per::Ip, key: Value::ClientIp, kind, refusal: 429, waits: false };
            steps.push(Step::limit(limit, self.origin("limits.connections", "counted for this address")));
        }
        clauses.push(Clause {
            when: Predicate::Always.into(),
            steps,
            then: Terminal::Then(counted),
            origin: at(Span::default(), ""),
        });
        self.add(clauses, Terminal::Respond(403), at(Span::default(), ""))
    }

    /// Lines 6 to 8: foreign origins, public endpoints, then who it is.
    fn counted(&mut self) -> ChainId {
        let plan = self.plan;
        let mut clauses = vec![self.foreign_origin()];
        clauses.extend(self.forwards(&plan.access.public, "access.public", "a public endpoint", None));
        if plan.auth.anonymous {
            let everybody = self.set(plan.access.sets.first(), None);
            clauses.push(Clause {
                when: Predicate::Always.into(),
                steps: Vec::new(),
                then: Terminal::Then(everybody),
                origin: self.origin("auth.anonymous", "nobody is asked who they are"),
            });
        } else {
            let known = self.known();
            let authenticate = Authenticate {
                bearer: plan.auth.bearer,
                x_api_key: plan.auth.x_api_key,
                basic: plan.auth.basic,
                credentials: credentials(&plan.clients),
                ..Authenticate::default()
            };
            let proven = Predicate::Authenticated(Arc::new(authenticate));
            let nobody = self.origin("client", "no valid credential");
            clauses.push(Clause::new(proven.negated(), Terminal::Respond(401), nobody));
            clauses.push(Clause::new(Predicate::Always, Terminal::Then(known), Origin::default()));
        }
        self.add(clauses, Terminal::Respond(403), at(Span::default(), ""))
    }

    /// Line 6.
    fn foreign_origin(&self) -> Clause {
        let plan = self.plan;
        let present = present("origin");
        let foreign = match &plan.cors {
            Some(cors) => Predicate::All(vec![present, listed(cors).negated()]),
            None => present,
        };
        let matters = if plan.auth.anonymous {
            Predicate::Always
        } else {
            let reads = Predicate::method(&["GET", "HEAD"]);
            Predicate::Any(vec![
                Predicate::Header("authorization".to_owned(), Lines::Any, Test::Scheme("basic".to_owned())),
                Predicate::All(vec![Predicate::Not(Box::new(reads)), in_set(&plan.access.public)]),
            ])
        };
        Clause {
            when: Predicate::All(vec![foreign, matters]).into(),
            steps: Vec::new(),
            then: Terminal::Respond(403),
            origin: self.origin("cors.origins", "the Origin is not listed"),
        }
    }

    /// Line 9 and on, for each client.
    fn known(&mut self) -> ChainId {
        let plan = self.plan;
        let mut done: Vec<((usize, Option<Rate>), ChainId)> = Vec::new();
        let mut clauses = Vec::new();
        for client in &plan.clients {
            let key = (client.set, client.rate);
            let chain = match done.iter().find(|(known, _)| *known == key) {
                Some((_, chain)) => *chain,
                None => {
                    let chain = self.set(plan.access.sets.get(client.set), client.rate);
                    done.push((key, chain));
                    chain
                }
            };
            clauses.push(Clause {
                when: Predicate::Value(Value::Client, Test::Equals(client.name.clone().into_bytes())).into(),
                steps: Vec::new(),
                then: Terminal::Then(chain),
                origin: at(client.places.at(""), format!("client {}", client.name)),
            });
        }
        self.add(clauses, Terminal::Respond(403), self.origin("client", "no client of the policy"))
    }

    /// Lines 9 to 11 for one set of endpoints.
    fn set(&mut self, set: Option<&EndpointSet>, rate: Option<Rate>) -> ChainId {
        let empty = EndpointSet::default();
        let clauses = self.forwards(set.unwrap_or(&empty), "access.allow", "an allowed endpoint", rate);
        self.add(clauses, Terminal::Respond(403), self.origin("access.allow", "not an allowed endpoint"))
    }

    /// One clause an endpoint, with what still applies: models, the client's rate, the body's size.
    fn forwards(&self, set: &EndpointSet, key: &str, note: &str, rate: Option<Rate>) -> Vec<Clause> {
        let plan = self.plan;
        let mut clauses = Vec::new();
        for endpoint in &set.allow {
            let mut when = vec![is(endpoint)];
            when.extend(
                set.except
                    .iter()
                    .filter(|except| except.method == endpoint.method)
                    .map(|except| Predicate::Not(Box::new(is(except)))),
            );
            let mut too_large = when.clone();
            too_large.push(Predicate::BodyOver(plan.limits.body));
            let origin = self.origin("limits.body", "the body is too large");
            let mut too_large = Clause::new(Predicate::All(too_large), Terminal::Respond(413), origin);
            let refused = self.model_test(endpoint).map(|allowed| {
                let refused = when.iter().cloned().chain([allowed.negated()]).collect();
                let origin = self.origin("access.models", "the model is not allowed, or not certain");
                Clause::new(Predicate::All(refused), Terminal::Respond(403), origin)
            });
            let mut steps = Vec::new();
            if let Some(rate) = rate {
                steps.push(Step::limit(rate_limit(Per::Client, rate), self.origin(key, "counted for this client")));
            }
            if refused.is_none() {
                too_large.steps.clone_from(&steps);
            }
            clauses.push(too_large);
            clauses.extend(refused);
            steps.push(Step::Call(self.headers));
            let server = plan.upstream.servers.first().map(Server::to_string).unwrap_or_default();
            clauses.push(Clause {
                when: Predicate::All(when).into(),
                steps,
                then: Terminal::Forward(Arc::new(Forward {
                    upstream: Value::literal(server),
                    target: Value::Target,
                    host: Value::literal(plan.upstream.host.as_str()),
                })),
                origin: self.origin(key, format!("{note}: {endpoint}")),
            });
        }
        clauses
    }

    /// When an endpoint names a model and models are limited: the test that must hold.
    fn model_test(&self, endpoint: &Endpoint) -> Option<Predicate> {
        let models = &self.plan.access.models;
        if models.is_empty() {
            return None;
        }
        match endpoint.model {
            ModelPlace::None => None,
            ModelPlace::Body => Some(Predicate::Model(
                models.iter().map(|model| ModelTest { text: model.text.clone(), prefix: model.prefix }).collect(),
            )),
            ModelPlace::Path => Some(Predicate::Value(Value::RawPath, model_path(endpoint, models))),
            // A form is never certain: no model holds.
            ModelPlace::Form => Some(Predicate::Model(Vec::new())),
        }
    }
}

/// The paths of an endpoint whose last parameter is an allowed model.
fn model_path(endpoint: &Endpoint, models: &[ModelPattern]) -> Test {
    let names: Vec<String> = models
        .iter()
        .map(|model| format!("{}{}", regex::escape(&model.text), if model.prefix { "[A-Za-z0-9._:-]*" } else { "" }))
        .collect();
    let mut path = endpoint.path.regex();
    if let Some(start) = path.rfind(PARAM_REGEX) {
        path.replace_range(start..start + PARAM_REGEX.len(), &format!("(?:{})", names.join("|")));
    }
    path_test(&path, &endpoint.path)
}

/// The condition that a request is this endpoint.
fn is(endpoint: &Endpoint) -> Predicate {
    let path = match endpoint.path.literal() {
        Some(literal) => Test::Equals(literal.into_bytes()),
        None => path_test(&endpoint.path.regex(), &endpoint.path),
    };
    Predicate::All(vec![Predicate::method(&[&endpoint.method]), Predicate::Value(Value::RawPath, path)])
}

/// A whole-path expression; one that can't be built matches its own pattern's text, which no request can spell.
fn path_test(regex: &str, path: &PathPattern) -> Test {
    match regex::bytes::RegexBuilder::new(&format!(r"^(?:{regex})\z")).unicode(false).build() {
        Ok(regex) => Test::Regex(Arc::new(Pattern::Regular(regex)), Captures::Dropped),
        Err(_) => Test::Equals(path.to_string().into_bytes()),
    }
}

fn in_set(set: &EndpointSet) -> Predicate {
    let allowed = Predicate::Any(set.allow.iter().map(is).collect());
    let excepted = Predicate::Any(set.except.iter().map(is).collect());
    Predicate::All(vec![allowed, excepted.negated()])
}

/// A header that stands once and is one of the origins; with `*`: one that is there.
fn listed(cors: &Cors) -> Predicate {
    if cors.any {
        return present("origin");
    }
    let origins = cors.origins.iter().map(|origin| origin.clone().into_bytes()).collect();
    Predicate::Header("origin".to_owned(), Lines::Only, Test::OneOf(origins))
}

/// A header that is there and not empty.
fn present(header: &str) -> Predicate {
    Predicate::Header(header.to_owned(), Lines::Any, Test::NotEmpty)
}

fn is_one_of(value: Value, texts: &[String]) -> Predicate {
    Predicate::Value(value, Test::OneOf(texts.iter().map(|text| text.clone().into_bytes()).collect()))
}

fn rate_limit(per: Per, rate: Rate) -> Limit {
    let kind = LimitKind::Rate { requests: rate.requests, window: rate.per, burst: rate.burst };
    let key = if per == Per::Client { Value::Client } else { Value::ClientIp };
    Limit { per, key, kind, refusal: 429, waits: false }
}

/// Every key and password of every client; one without a value proves nothing.
fn credentials(clients: &[Client]) -> Arc<[Credential]> {
    let mut list = Vec::new();
    for client in clients {
        let keys = client.keys.iter().map(|key| key.value.clone().map(Proof::Key));
        let passwords = client.password.iter().map(|password| password.hash.clone().map(Proof::PasswordHash));
        list.extend(keys.chain(passwords).map(|proof| Credential { client: client.name.clone(), proof }));
    }
    list.into()
}
