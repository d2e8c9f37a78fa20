//! What a gateway does with every request that matters, beside what the policy wants.
//!
//! In: a [`Gateway`] and a [`Measure`]. Out: a [`Survey`]: requests that get through and should not ([`Gap`]), requests whose fate the files
//! don't tell ([`Doubt`]), and how requests that should get through are treated ([`Route`]). Invariant: each gap carries a request, and one
//! cause has one gap, with the simplest request that shows it; the evaluator decides, nothing here guesses. Of entries that are alike the
//! first is asked everything, and the others again what told something there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{Hash, RandomState};

use super::caller::{self, Caller, Who};
pub use super::cause::{cause, gap_at, lets_through, place};
use super::entry::{self, Entry};
use super::measure::{Measure, On, Reached, forwards};
use super::merged::Merged;
use super::shape::shape;
use super::side_by_side;
use super::witness::{self, Ask, Twist};
use crate::catalog::{CatalogEndpoint, Reach};
use crate::gateway::eval::{Outcome, Verdict, Way, decisions, ways};
use crate::gateway::{Gateway, HeaderLines, Setting};
use crate::http::{Request, Version};
use crate::source::Span;

/// How many entries are asked before what they brought up is merged.
const AT_ONCE: usize = 64;

/// What was found out about a gateway.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// What gets through and should not, the plainest first.
    pub gaps: Vec<Gap>,
    /// What the files don't tell, and the policy would refuse; one a reason.
    pub doubts: Vec<Doubt>,
    /// How requests are treated that reach the upstream as the policy wants, or in spite of it: one for each place and entry.
    pub routes: Vec<Route>,
    /// How a request for inference without a credential is refused, one an entry that refuses it.
    pub refusals: Vec<Route>,
    /// Servers that requests go to and that the policy isn't about, each with such a request.
    pub others: BTreeMap<String, Witness>,
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
    /// Headers that are no credential and matter.
    pub extra: HeaderLines,
}

impl Witness {
    /// The same with a header more.
    pub fn with(mut self, name: &str, value: &str) -> Witness {
        let line = (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        self.request.headers.push(line.clone());
        self.extra.push(line);
        self
    }

    /// The same without the caller's credential.
    pub fn without_credential(mut self) -> Witness {
        let shown = |(name, value): &(Vec<u8>, Vec<u8>)| {
            self.caller.headers.iter().any(|(own, sent)| own == name && sent.trim_ascii() == value.trim_ascii())
        };
        self.request.headers.retain(|line| !shown(line));
        self.request.as_client = None;
        if let (Some((name, value)), Who::Client) = (&self.caller.argument, &self.caller.who) {
            let added = name.len() + value.len() + 2;
            self.request.target.truncate(self.request.target.len().saturating_sub(added));
        }
        self.caller = Caller::nobody();
        self
    }
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
    answer(gateway, &request, &witness.caller, ways(gateway, &request)).outcome
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
    let entries = entry::entries(gateway);
    let keys = RandomState::new();
    let shapes = side_by_side::each(&entries, |entry| shape(gateway, measure, every_upstream, entry, &keys));
    of_entries(gateway, measure, every_upstream, &entries, &Likeness::new(shapes))
}

/// The same without a look at which entries are alike: what [`survey`] is held against. Returns how many of them would not have been
/// asked everything, too.
pub fn survey_each(gateway: &Gateway, measure: &Measure, every_upstream: bool) -> (Survey, usize) {
    let entries = entry::entries(gateway);
    let keys = RandomState::new();
    let shapes = side_by_side::each(&entries, |entry| shape(gateway, measure, every_upstream, entry, &keys));
    let spared = Likeness::new(shapes).first.iter().enumerate().filter(|(at, first)| at != *first).count();
    let each = Likeness::new(0..entries.len());
    (of_entries(gateway, measure, every_upstream, &entries, &each), spared)
}

/// Which entries are alike.
struct Likeness {
    /// For each entry the first one that is like it.
    first: Vec<usize>,
    /// Those of which there are others.
    followed: HashSet<usize>,
}

impl Likeness {
    /// By what is equal for entries that are alike.
    fn new<S: Hash + Eq>(shapes: impl IntoIterator<Item = S>) -> Likeness {
        let mut by_shape: HashMap<S, usize> = HashMap::new();
        let first = shapes.into_iter().enumerate().map(|(at, shape)| *by_shape.entry(shape).or_insert(at));
        let first: Vec<usize> = first.collect();
        let followed = first.iter().enumerate().filter(|(at, first)| at != *first).map(|(_, first)| *first);
        Likeness { followed: followed.collect(), first }
    }
}

fn of_entries(
    gateway: &Gateway,
    measure: &Measure,
    every_upstream: bool,
    entries: &[Entry],
    alike: &Likeness,
) -> Survey {
    let mut plain = witness::plain(&measure.kind);
    // Clients send a body, and rules may look at its length.
    for ask in plain.iter_mut().filter(|ask| ask.method == "POST") {
        ask.body = Some(b"{}".to_vec());
    }
    let Likeness { first, followed } = alike;
    let mut all = Merged::new(measure);
    let mut known: HashMap<usize, Survey> = HashMap::new();
    let asked = |at: &usize| Work::new(gateway, measure, every_upstream).asked(&entries[*at], &plain);
    let repeated = |known: &HashMap<usize, Survey>, at: &usize| {
        let like = known.get(&first[*at])?;
        Work::new(gateway, measure, every_upstream).repeated(like, &entries[*at])
    };
    // What some found is merged in their order before others are asked: all of it together would need very much memory.
    let numbers: Vec<usize> = (0..entries.len()).collect();
    for some in numbers.chunks(AT_ONCE) {
        let (new, more): (Vec<usize>, Vec<usize>) = some.iter().partition(|at| first[**at] == **at);
        let mut found: Vec<(usize, Survey)> = new.iter().copied().zip(side_by_side::each(&new, asked)).collect();
        known.extend(found.iter().filter(|(at, _)| followed.contains(at)).cloned());
        let again = |at: &usize| repeated(&known, at).unwrap_or_else(|| asked(at));
        found.extend(more.iter().copied().zip(side_by_side::each(&more, again)));
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().for_each(|(_, found)| all.add(found));
    }
    let Survey { gaps, refusals, .. } = &mut all.survey;
    // What is open to everybody is open to clients.
    let mut open: HashMap<Cause, Vec<BTreeSet<usize>>> = HashMap::new();
    for gap in gaps.iter().filter(|gap| gap.witness.caller.on == On::Nobody) {
        open.entry(gap_at(&gap.actual)).or_default().push(gap.also.clone());
    }
    gaps.retain(|gap| {
        let covers = |also: &BTreeSet<usize>| gap.also.is_subset(also);
        gap.witness.caller.on == On::Nobody || !open.get(&gap_at(&gap.actual)).is_some_and(|all| all.iter().any(covers))
    });
    let asked = |route: &&Route| matches!(route.outcome.verdict, Verdict::Refused(401 | 403)) && route.outcome.asks_who;
    let mut asking = refusals.iter().filter(asked).map(|route| (route.witness.listener, &route.witness.host));
    if let Some(first) = asking.next() {
        let other = asking.find(|own| *own != first);
        for gap in gaps.iter_mut() {
            let own = (gap.witness.listener, &gap.witness.host);
            gap.refused_elsewhere = own != first || other.is_some();
        }
    }
    all.survey
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

/// The place that decided.
pub(super) type Cause = Option<(usize, Span)>;

/// What all requests with these have in common: the first of them says all that the others would.
type Kind = (Cause, Who, On, Twist, Option<(usize, Reach)>);

/// The work on one entry.
struct Work<'g> {
    gateway: &'g Gateway,
    measure: &'g Measure,
    every_upstream: bool,
    survey: Survey,
    /// What the gaps are about.
    known: HashSet<Kind>,
}

impl<'g> Work<'g> {
    fn new(gateway: &'g Gateway, measure: &'g Measure, every_upstream: bool) -> Work<'g> {
        Work { gateway, measure, every_upstream, survey: Survey::default(), known: HashSet::new() }
    }

    /// What requests by one entry bring up: each gap with its own endpoint alone.
    fn asked(mut self, entry: &Entry, plain: &[Ask]) -> Survey {
        self.entry(entry, plain);
        self.survey
    }

    /// What requests by one entry bring up, where those by another one like it brought this up. `None`: it isn't like it after all.
    fn repeated(mut self, like: &Survey, entry: &Entry) -> Option<Survey> {
        for gap in &like.gaps {
            let witness = moved(self.gateway, &gap.witness, entry);
            let actual = self.whole(&witness.request, &witness.caller).outcome;
            same_kind(&actual.verdict, &gap.actual.verdict).then_some(())?;
            self.survey.gaps.push(Gap { witness, actual, ..gap.clone() });
        }
        for doubt in &like.doubts {
            let witness = moved(self.gateway, &doubt.witness, entry);
            let Answer { outcome, through: Some(through) } = self.whole(&witness.request, &witness.caller) else {
                return None;
            };
            let Verdict::Unknown { reason, .. } = outcome.verdict else { return None };
            self.survey.doubts.push(Doubt { witness, reason, through, wanted: doubt.wanted.clone() });
        }
        for (from, to) in [(&like.routes, &mut self.survey.routes), (&like.refusals, &mut self.survey.refusals)] {
            for route in from {
                let witness = moved(self.gateway, &route.witness, entry);
                let all = ways(self.gateway, &witness.request);
                let outcome = answer(self.gateway, &witness.request, &witness.caller, all).outcome;
                same_kind(&outcome.verdict, &route.outcome.verdict).then_some(())?;
                to.push(Route { witness, endpoint: route.endpoint, outcome });
            }
        }
        for witness in like.others.values() {
            let witness = moved(self.gateway, witness, entry);
            let Verdict::Proxied { upstream, .. } = self.whole(&witness.request, &witness.caller).outcome.verdict
            else {
                return None;
            };
            self.survey.others.entry(upstream).or_insert(witness);
        }
        Some(self.survey)
    }

    fn entry(&mut self, entry: &Entry, plain: &[Ask]) {
        if !entry.forwards(self.gateway) {
            return;
        }
        let apart = entry.apart(self.gateway);
        let candidates = caller::candidates(&apart.boundaries, self.measure);
        let reached = |caller: &Caller| -> Vec<bool> {
            let reaches = |ask| self.decided(&sent(self.gateway, entry, caller, ask), caller).outcome.verdict;
            plain.iter().map(|ask| forwards(&reaches(ask))).collect()
        };
        let mut clients = caller::accepted(candidates.clone(), &Caller::nobody(), &reached);
        // Where strangers are kept out by their addresses, clients come from those that are named.
        let mut insider = None;
        if clients.is_empty() && !apart.inside.is_empty() && !reached(&Caller::nobody()).contains(&true) {
            for way in &apart.inside {
                let own = Caller::nobody().by(*way);
                clients = caller::accepted(candidates.iter().map(|one| one.clone().by(*way)).collect(), &own, &reached);
                insider = insider.or_else(|| reached(&own).contains(&true).then_some(own));
                if !clients.is_empty() {
                    break;
                }
            }
        }
        let mut strangers = caller::strangers(&apart.boundaries);
        if let Some((to, from)) = apart.over_ipv6 {
            strangers.insert(1, Caller::nobody().by((from, to)));
        }
        if let Some(insider) = &insider {
            plain.iter().for_each(|ask| self.let_in(entry, insider, ask));
        }
        for caller in strangers.iter().chain(&clients) {
            plain.iter().for_each(|ask| self.judge(entry, caller, ask));
        }
        let nearly = clients.iter().flat_map(caller::nearly);
        for caller in nearly {
            plain.iter().for_each(|ask| self.judge(entry, &caller, ask));
        }
        let twisted = witness::twisted(&self.measure.kind, &apart.boundaries);
        let plain_ones = strangers.iter().filter(|caller| caller.who == Who::Nobody);
        for caller in plain_ones.chain(clients.iter().take(2)) {
            twisted.iter().for_each(|ask| self.judge(entry, caller, ask));
        }
    }

    /// Keeps how somebody is treated who is let in for the address.
    fn let_in(&mut self, entry: &Entry, insider: &Caller, ask: &Ask) {
        let request = sent(self.gateway, entry, insider, ask);
        let answer = self.decided(&request, insider);
        if forwards(&answer.outcome.verdict) && answer.through.is_none() {
            self.treated(entry, insider, ask, &request, &answer.outcome);
        }
    }

    fn judge(&mut self, entry: &Entry, caller: &Caller, ask: &Ask) {
        let request = sent(self.gateway, entry, caller, ask);
        let answer = self.decided(&request, caller);
        if let Some(through) = answer.through {
            let Verdict::Unknown { reason, .. } = &answer.outcome.verdict else { return };
            let known = self.survey.doubts.iter().any(|doubt| doubt.reason == *reason);
            let other = || witness_of(entry, caller, ask, request.clone());
            if let Some((wanted, _)) = self.forbidden(&request, &caller.on, &through, &other).filter(|_| !known) {
                let reason = reason.clone();
                let Some(through) = self.whole(&request, caller).through else { return };
                let witness = witness_of(entry, caller, ask, request);
                self.survey.doubts.push(Doubt { witness, reason, through, wanted });
            }
            return;
        }
        self.treated(entry, caller, ask, &request, &answer.outcome);
        if !forwards(&answer.outcome.verdict) {
            return;
        }
        let other = || witness_of(entry, caller, ask, request.clone());
        let Some((wanted, endpoint)) = self.forbidden(&request, &caller.on, &answer.outcome, &other) else { return };
        let kind = (gap_at(&answer.outcome), caller.who.clone(), caller.on.clone(), ask.twist, endpoint);
        if self.known.insert(kind) {
            let actual = self.whole(&request, caller).outcome;
            let witness = witness_of(entry, caller, ask, self.simpler(request, caller, &actual));
            let also = endpoint.map(|(index, _)| index).into_iter().collect();
            let gap = Gap { witness, actual, wanted, endpoint, also, refused_elsewhere: false };
            self.survey.gaps.push(gap);
        }
    }

    /// What becomes of a request, with no more than it takes to see whether it is worth keeping.
    fn decided(&self, request: &Request, caller: &Caller) -> Answer {
        answer(self.gateway, request, caller, decisions(self.gateway, request))
    }

    /// The same with all that happens to it.
    fn whole(&self, request: &Request, caller: &Caller) -> Answer {
        answer(self.gateway, request, caller, ways(self.gateway, request))
    }

    /// A request without its body, where that gets through the same way.
    fn simpler(&self, request: Request, caller: &Caller, outcome: &Outcome) -> Request {
        if request.body.is_none() {
            return request;
        }
        let bare = Request { body: None, body_bytes: 0, ..request.clone() };
        let without = self.decided(&bare, caller).outcome;
        let same = without.verdict == outcome.verdict && cause(&without) == cause(outcome);
        if same { bare } else { request }
    }

    /// What the policy says where it forbids a request that the upstream sees, and the endpoint that it reaches. What goes to another server
    /// is remembered as that.
    fn forbidden(
        &mut self,
        sent: &Request,
        on: &On,
        outcome: &Outcome,
        witness: &dyn Fn() -> Witness,
    ) -> Option<(Outcome, Option<(usize, Reach)>)> {
        let measure = self.measure;
        let Reached { method, path, endpoint: reached } = match measure.reached(sent, outcome, self.every_upstream) {
            Ok(reached) => reached,
            Err(other) => {
                if !self.survey.others.contains_key(other) {
                    self.survey.others.insert(other.to_owned(), witness());
                }
                return None;
            }
        };
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

    /// Keeps how plain requests for known endpoints are treated.
    fn treated(&mut self, entry: &Entry, caller: &Caller, ask: &Ask, request: &Request, outcome: &Outcome) {
        if ask.twist != Twist::Plain || matches!(caller.who, Who::Stranger(_)) {
            return;
        }
        let endpoints = &self.measure.kind.endpoints;
        let own = |endpoint: &CatalogEndpoint| endpoint.method == ask.method && endpoint.example() == ask.target;
        let Some(endpoint) = endpoints.iter().position(own) else { return };
        let inference = rank(endpoints.get(endpoint)) >= 2 && endpoints[endpoint].model.is_some();
        let place = cause(outcome);
        let same = |route: &&Route| cause(&route.outcome) == place;
        let through = match &outcome.verdict {
            Verdict::Proxied { upstream, .. } if self.every_upstream || self.measure.guards(upstream) => true,
            Verdict::Refused(_) if caller.who == Who::Nobody && inference => false,
            _ => return,
        };
        let list = if through { &self.survey.routes } else { &self.survey.refusals };
        let same_endpoint = |route: &&Route| endpoints[route.endpoint].group == endpoints[endpoint].group;
        if list.iter().filter(same).any(|route| same_endpoint(&route)) {
            return;
        }
        let outcome = self.whole(request, caller).outcome;
        let route = Route { witness: witness_of(entry, caller, ask, request.clone()), endpoint, outcome };
        if through { self.survey.routes.push(route) } else { self.survey.refusals.push(route) }
    }
}

/// Sends one request, and says what becomes of it.
pub fn asked(gateway: &Gateway, entry: &Entry, caller: &Caller, ask: &Ask) -> (Witness, Answer) {
    let request = sent(gateway, entry, caller, ask);
    let answer = answer(gateway, &request, caller, ways(gateway, &request));
    (witness_of(entry, caller, ask, request), answer)
}

/// The request that a caller sends.
fn sent(gateway: &Gateway, entry: &Entry, caller: &Caller, ask: &Ask) -> Request {
    let mut request = entry.request(gateway, &ask.method, &ask.target);
    request.client_ip = entry.apart(gateway).from;
    if caller.http2 {
        request.version = Version::Http2;
    }
    if ask.version == Version::Http10 {
        request.version = Version::Http10;
        request.headers.clear();
    }
    request.body_bytes = ask.body.as_ref().map_or(0, |body| body.len() as u64);
    request.body.clone_from(&ask.body);
    let mut request = caller.sends(request);
    if caller.on == On::Nobody && request.as_client.is_none() {
        request.as_client = Some(String::new());
    }
    request
}

/// The witness of an entry as one of another that is like it.
fn moved(gateway: &Gateway, witness: &Witness, entry: &Entry) -> Witness {
    let mut request = witness.request.clone();
    let plain = entry.request(gateway, "", "");
    (request.port, request.tls) = (plain.port, plain.tls);
    let hosts = request.headers.iter_mut().filter(|(name, _)| name == b"Host");
    hosts.zip(plain.headers).for_each(|(line, own)| *line = own);
    Witness { request, listener: entry.listener, host: entry.host.clone(), ..witness.clone() }
}

/// Whether two decisions differ by nothing but the name of a server.
fn same_kind(one: &Verdict, other: &Verdict) -> bool {
    match (one, other) {
        (Verdict::Proxied { target, .. }, Verdict::Proxied { target: other, .. }) => target == other,
        (Verdict::Unknown { reached, .. }, Verdict::Unknown { reached: other, .. }) => reached == other,
        _ => one == other,
    }
}

fn witness_of(entry: &Entry, caller: &Caller, ask: &Ask, request: Request) -> Witness {
    let (caller, host) = (caller.clone(), entry.host.clone());
    Witness { request, caller, twist: ask.twist, listener: entry.listener, host, extra: Vec::new() }
}

/// What becomes of a request; a caller who knows the environment has the values of its variables, and nobody else has one of them.
fn answer(gateway: &Gateway, request: &Request, caller: &Caller, all: impl Iterator<Item = Way>) -> Answer {
    let mut all: Vec<_> = all.collect();
    let only = if all.len() == 1 { all.pop() } else { None };
    if let Some(way) = only {
        if !matches!(way.outcome.verdict, Verdict::Unknown { reached: false, .. }) {
            return Answer { outcome: way.outcome, through: None };
        }
        all.push(way);
    }
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
        let own = |outcome: &Outcome| outcome.settings().any(|(setting, _)| matches!(setting, Setting::Shows(_)));
        let open = |outcome: &Outcome| unknown(&outcome.verdict) && !own(outcome);
        kept.iter().find(|way| open(&way.outcome)).map(|way| way.outcome.clone())
    });
    let outcome = Outcome { verdict: Verdict::Unknown { reason, reached: false }, ..first.outcome.clone() };
    Answer { outcome, through }
}
