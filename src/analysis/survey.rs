//! What a gateway does with every request that matters, beside what the policy wants.
//!
//! In: a [`Gateway`] and a [`Measure`]. Out: a [`Survey`]: requests that get through and should not ([`Gap`]), requests whose fate the files
//! don't tell ([`Doubt`]), and how requests that should get through are treated ([`Route`]). Invariant: each gap carries a request, and one
//! cause has one gap, with the simplest request that shows it; the evaluator decides, nothing here guesses.

use std::collections::BTreeSet;

use super::caller::{self, Caller, Who};
use super::entry::{self, Entry};
use super::measure::{Measure, On, Reached, forwards};
use super::witness::{self, Ask, Twist};
use crate::catalog::{CatalogEndpoint, Reach};
use crate::gateway::eval::{Outcome, Verdict, ways};
use crate::gateway::{Gateway, Origin, Setting};
use crate::http::{Request, Version};
use crate::source::Span;

/// What was found out about a gateway.
#[derive(Debug, Default)]
pub struct Survey {
    /// What gets through and should not, the plainest first.
    pub gaps: Vec<Gap>,
    /// What the files don't tell, and the policy would refuse; one a reason.
    pub doubts: Vec<Doubt>,
    /// How requests are treated that reach the upstream as the policy wants, or in spite of it: one for each place and entry.
    pub routes: Vec<Route>,
    /// How a request for inference without a credential is refused, one an entry that refuses it.
    pub refusals: Vec<Route>,
    /// Servers that requests go to and that the policy isn't about.
    pub others: BTreeSet<String>,
}

/// A request that was asked.
#[derive(Debug, Clone)]
pub struct Witness {
    /// What was sent.
    pub request: Request,
    /// By whom.
    pub caller: Caller,
    /// How it differs from the plain request.
    pub twist: Twist,
    /// Index of the listener.
    pub listener: usize,
    /// The Host that it needs; absent: any.
    pub host: Option<Vec<u8>>,
}

/// A request that gets through and should not.
#[derive(Debug, Clone)]
pub struct Gap {
    /// The simplest that shows it.
    pub witness: Witness,
    /// What becomes of it.
    pub actual: Outcome,
    /// What the policy wants.
    pub wanted: Outcome,
    /// What it reaches: an index into the catalogue's endpoints, and how surely; absent: a path that the catalogue doesn't know.
    pub endpoint: Option<(usize, Reach)>,
    /// All endpoints that plain requests of this caller reach the same way, by index.
    pub also: BTreeSet<usize>,
    /// Whether another entry refuses what this one lets through.
    pub refused_elsewhere: bool,
}

/// A request that may get through and should not.
#[derive(Debug, Clone)]
pub struct Doubt {
    /// The request.
    pub witness: Witness,
    /// What isn't known.
    pub reason: String,
    /// What becomes of it if it gets through.
    pub through: Outcome,
    /// What the policy wants.
    pub wanted: Outcome,
}

/// How one request is treated.
#[derive(Debug, Clone)]
pub struct Route {
    /// The request.
    pub witness: Witness,
    /// The endpoint that was asked for, by index.
    pub endpoint: usize,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// What becomes of a request like a witness's, with a change.
pub fn again(gateway: &Gateway, witness: &Witness, change: &dyn Fn(&mut Request)) -> Outcome {
    let mut request = witness.request.clone();
    change(&mut request);
    answer(gateway, &request, &witness.caller).outcome
}

/// What becomes of a request, as far as one caller knows the environment.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What becomes of it.
    pub outcome: Outcome,
    /// Where the files don't tell: a way on which the upstream sees it.
    pub through: Option<Outcome>,
}

/// Surveys a gateway. `every_upstream`: requests to any server count, whatever it is called.
pub fn survey(gateway: &Gateway, measure: &Measure, every_upstream: bool) -> Survey {
    let mut work = Work { gateway, measure, every_upstream, survey: Survey::default() };
    let mut plain = witness::plain(&measure.kind);
    // Clients send a body, and rules may look at its length.
    for ask in plain.iter_mut().filter(|ask| ask.method == "POST") {
        ask.body = Some(b"{}".to_vec());
    }
    for entry in entry::entries(gateway) {
        work.entry(&entry, &plain);
    }
    let Survey { gaps, refusals, .. } = &mut work.survey;
    // What is open to everybody is open to clients.
    let open: Vec<(Option<(usize, Span)>, BTreeSet<usize>)> = gaps
        .iter()
        .filter(|gap| gap.witness.caller.on == On::Nobody)
        .map(|gap| (cause(&gap.actual), gap.also.clone()))
        .collect();
    gaps.retain(|gap| {
        let place = cause(&gap.actual);
        let covers = |(own, also): &(_, BTreeSet<usize>)| *own == place && gap.also.is_subset(also);
        gap.witness.caller.on == On::Nobody || !open.iter().any(covers)
    });
    for gap in gaps.iter_mut() {
        let own = (gap.witness.listener, &gap.witness.host);
        let asked =
            |route: &Route| matches!(route.outcome.verdict, Verdict::Refused(401 | 403)) && route.outcome.asks_who;
        let mut others = refusals.iter().filter(|route| (route.witness.listener, &route.witness.host) != own);
        gap.refused_elsewhere = others.any(asked);
    }
    work.survey
}

/// How dangerous what a gap reaches is: 0 most.
pub fn rank(endpoint: Option<&CatalogEndpoint>) -> usize {
    const GROUPS: &[&str] =
        &["admin", "account", "chat", "completions", "embeddings", "images", "audio", "show", "list", "root"];
    let known = endpoint.and_then(|own| GROUPS.iter().position(|group| *group == own.group));
    known.unwrap_or(GROUPS.len())
}

/// Endpoints that people know, the most telling first: they make the plainest examples.
const KNOWN: &[&str] = &[
    "/api/pull",
    "/api/delete",
    "/api/push",
    "/api/create",
    "/api/copy",
    "/api/me",
    "/api/chat",
    "/v1/chat/completions",
    "/api/generate",
    "/api/embed",
    "/api/tags",
    "/v1/models",
    "/api/show",
];

/// How telling an example an endpoint is: 0 most.
pub fn telling(endpoint: Option<&CatalogEndpoint>) -> (usize, usize) {
    let known = endpoint.and_then(|own| KNOWN.iter().position(|path| *path == own.path));
    (rank(endpoint), known.unwrap_or(KNOWN.len()))
}

struct Work<'g> {
    gateway: &'g Gateway,
    measure: &'g Measure,
    every_upstream: bool,
    survey: Survey,
}

impl Work<'_> {
    fn entry(&mut self, entry: &Entry, plain: &[Ask]) {
        if !entry.forwards {
            return;
        }
        let candidates = caller::candidates(&entry.boundaries, self.measure);
        let clients = caller::accepted(candidates, &|caller| {
            plain.iter().map(|ask| forwards(&asked(self.gateway, entry, caller, ask).1.outcome.verdict)).collect()
        });
        let strangers = caller::strangers(&entry.boundaries);
        for caller in strangers.iter().chain(&clients) {
            plain.iter().for_each(|ask| self.judge(entry, caller, ask));
        }
        let nearly = clients.iter().flat_map(caller::nearly);
        for caller in nearly {
            plain.iter().for_each(|ask| self.judge(entry, &caller, ask));
        }
        let twisted = witness::twisted(&self.measure.kind, &entry.boundaries);
        let plain_ones = strangers.iter().filter(|caller| caller.who == Who::Nobody);
        for caller in plain_ones.chain(clients.iter().take(2)) {
            twisted.iter().for_each(|ask| self.judge(entry, caller, ask));
        }
    }

    fn judge(&mut self, entry: &Entry, caller: &Caller, ask: &Ask) {
        let (witness, answer) = asked(self.gateway, entry, caller, ask);
        if let Some(through) = answer.through {
            let Verdict::Unknown { reason, .. } = &answer.outcome.verdict else { return };
            if let Some((wanted, _)) = self.forbidden(&witness, &through) {
                self.doubt(witness, reason.clone(), through, wanted);
            }
            return;
        }
        self.treated(&witness, ask, &answer.outcome);
        if !forwards(&answer.outcome.verdict) {
            return;
        }
        if let Some((wanted, endpoint)) = self.forbidden(&witness, &answer.outcome) {
            let witness = self.simpler(witness, &answer.outcome);
            self.gap(witness, answer.outcome, wanted, endpoint);
        }
    }

    /// A witness without its body, where that gets through the same way.
    fn simpler(&self, witness: Witness, outcome: &Outcome) -> Witness {
        if witness.request.body.is_none() {
            return witness;
        }
        let request = Request { body: None, body_bytes: 0, ..witness.request.clone() };
        let bare = answer(self.gateway, &request, &witness.caller).outcome;
        let same = bare.verdict == outcome.verdict && cause(&bare) == cause(outcome);
        if same { Witness { request, ..witness } } else { witness }
    }

    /// What the policy says where it forbids a request that the upstream sees, and the endpoint that it reaches.
    fn forbidden(&mut self, witness: &Witness, outcome: &Outcome) -> Option<(Outcome, Option<(usize, Reach)>)> {
        let measure = self.measure;
        let sent = &witness.request;
        let Reached { method, path, endpoint: reached } = match measure.reached(sent, outcome, self.every_upstream) {
            Ok(reached) => reached,
            Err(other) => {
                self.survey.others.insert(other.to_owned());
                return None;
            }
        };
        let on = &witness.caller.on;
        let effective = measure.decides(on, method, &path);
        if forwards(&effective.verdict) {
            return None;
        }
        // What a client's key opens beyond the catalogue, or loosely, harms only where it is dangerous.
        let dangerous = reached.is_some_and(|(endpoint, _)| ["admin", "account"].contains(&endpoint.group.as_str()));
        let listed = reached.is_some_and(|(endpoint, reach)| endpoint.group != "root" && reach == Reach::Handled);
        if *on != On::Nobody && !dangerous && !listed {
            return None;
        }
        let index =
            |endpoint: &CatalogEndpoint| measure.kind.endpoints.iter().position(|own| std::ptr::eq(own, endpoint));
        let endpoint = reached.and_then(|(endpoint, reach)| Some((index(endpoint)?, reach)));
        let as_sent = measure.decides(on, &sent.method, &sent.target);
        Some((if forwards(&as_sent.verdict) { effective } else { as_sent }, endpoint))
    }

    fn gap(&mut self, witness: Witness, actual: Outcome, wanted: Outcome, endpoint: Option<(usize, Reach)>) {
        let endpoints = &self.measure.kind.endpoints;
        let rank_of = |endpoint: Option<(usize, Reach)>| {
            let known = endpoint.and_then(|(index, _)| endpoints.get(index));
            (endpoint.map_or(Reach::Loosely, |(_, reach)| reach), telling(known))
        };
        let place = cause(&actual);
        let outsider = witness.caller.on == On::Nobody;
        let alike = |other: &Gap| {
            cause(&other.actual) == place
                && (other.witness.caller.on == On::Nobody) == outsider
                && other.witness.caller.who <= witness.caller.who
                && other.witness.twist <= witness.twist
        };
        // The requests of one kind by one caller at one place are one gap, shown by the most dangerous.
        let own = rank_of(endpoint);
        for other in self.survey.gaps.iter_mut().filter(|other| alike(other)) {
            let same = witness.twist == other.witness.twist && other.witness.caller.who == witness.caller.who;
            if same {
                other.also.extend(endpoint.map(|(index, _)| index));
                if own < rank_of(other.endpoint) {
                    let also = std::mem::take(&mut other.also);
                    *other = Gap { witness, actual, wanted, endpoint, also, refused_elsewhere: false };
                }
                return;
            }
            // What plain requests reach as well needs no twist.
            if endpoint.is_none_or(|(index, _)| other.also.contains(&index)) {
                return;
            }
        }
        let also = endpoint.map(|(index, _)| index).into_iter().collect();
        self.survey.gaps.push(Gap { witness, actual, wanted, endpoint, also, refused_elsewhere: false });
    }

    fn doubt(&mut self, witness: Witness, reason: String, through: Outcome, wanted: Outcome) {
        if !self.survey.doubts.iter().any(|doubt| doubt.reason == reason) {
            self.survey.doubts.push(Doubt { witness, reason, through, wanted });
        }
    }

    /// Keeps how plain requests for known endpoints are treated.
    fn treated(&mut self, witness: &Witness, ask: &Ask, outcome: &Outcome) {
        if witness.twist != Twist::Plain || matches!(witness.caller.who, Who::Stranger(_)) {
            return;
        }
        let endpoints = &self.measure.kind.endpoints;
        let own = |endpoint: &CatalogEndpoint| endpoint.method == ask.method && endpoint.example() == ask.target;
        let Some(endpoint) = endpoints.iter().position(own) else { return };
        let inference = rank(endpoints.get(endpoint)) >= 2 && endpoints[endpoint].model.is_some();
        let same = |route: &&Route| {
            (route.witness.listener, &route.witness.host) == (witness.listener, &witness.host)
                && cause(&route.outcome) == cause(outcome)
        };
        let list = match &outcome.verdict {
            Verdict::Proxied { upstream, .. } if self.every_upstream || self.measure.guards(upstream) => {
                &mut self.survey.routes
            }
            Verdict::Refused(_) if witness.caller.who == Who::Nobody && inference => &mut self.survey.refusals,
            _ => return,
        };
        let same_endpoint = |route: &&Route| endpoints[route.endpoint].group == endpoints[endpoint].group;
        if !list.iter().filter(same).any(|route| same_endpoint(&route)) {
            list.push(Route { witness: witness.clone(), endpoint, outcome: outcome.clone() });
        }
    }
}

/// The place that lets a request through, or stops it: the last one of its way that lies in a file.
pub fn cause(outcome: &Outcome) -> Option<(usize, Span)> {
    place(outcome).map(|origin| (origin.file(), origin.span()))
}

/// The last step that lies in a file.
pub fn place(outcome: &Outcome) -> Option<&Origin> {
    outcome.steps.iter().rev().find(|origin| origin.span() != Span::default()).or(outcome.steps.last())
}

/// Sends one request, and says what becomes of it.
pub fn asked(gateway: &Gateway, entry: &Entry, caller: &Caller, ask: &Ask) -> (Witness, Answer) {
    let listener = &gateway.listeners[entry.listener];
    let mut request = entry::request(listener, entry.host.as_deref(), &ask.method, &ask.target);
    if caller.http2 {
        request.version = Version::Http2;
    }
    if ask.version == Version::Http10 {
        request.version = Version::Http10;
        request.headers.clear();
    }
    request.body_bytes = ask.body.as_ref().map_or(0, |body| body.len() as u64);
    request.body.clone_from(&ask.body);
    let request = caller.sends(request);
    let answer = answer(gateway, &request, caller);
    let host = entry.host.clone();
    (Witness { request, caller: caller.clone(), twist: ask.twist, listener: entry.listener, host }, answer)
}

/// What becomes of a request; a caller who knows the environment has the values of its variables, and nobody else has one of them.
fn answer(gateway: &Gateway, request: &Request, caller: &Caller) -> Answer {
    let all: Vec<_> = ways(gateway, request).collect();
    let fits = |assumed: &[(String, bool)]| {
        assumed.iter().all(|(why, yes)| !crate::gateway::is_environment(why) || *yes == caller.knows(why))
    };
    let fitting: Vec<_> = all.iter().filter(|way| fits(&way.assumed)).collect();
    let kept = if fitting.is_empty() { all.iter().collect() } else { fitting };
    let Some(first) = kept.first() else {
        return Answer { outcome: crate::gateway::eval::evaluate(gateway, request), through: None };
    };
    let differs = kept.iter().find(|way| way.outcome.verdict != first.outcome.verdict);
    let reason = match (differs, &first.outcome.verdict) {
        (None, Verdict::Unknown { reason, reached: false }) => reason.clone(),
        (None, _) => return Answer { outcome: first.outcome.clone(), through: None },
        (Some(_), _) => {
            let open = first.assumed.iter().find(|(why, _)| !crate::gateway::is_environment(why));
            open.or(first.assumed.first()).map(|(why, _)| why.clone()).unwrap_or_default()
        }
    };
    let through = kept.iter().find(|way| forwards(&way.outcome.verdict)).map(|way| way.outcome.clone());
    // Where nothing at all is known, the request may get through.
    let through = through.or_else(|| {
        let unknown = |verdict: &Verdict| matches!(verdict, Verdict::Unknown { .. });
        // What a gateway shows of itself reaches no upstream, whatever it is.
        let own = |outcome: &Outcome| outcome.settings.iter().any(|(setting, _)| matches!(setting, Setting::Shows(_)));
        let open = |outcome: &Outcome| unknown(&outcome.verdict) && !own(outcome);
        kept.iter().find(|way| open(&way.outcome)).map(|way| way.outcome.clone())
    });
    let outcome = Outcome { verdict: Verdict::Unknown { reason, reached: false }, ..first.outcome.clone() };
    Answer { outcome, through }
}
