//! Each way in, asked for each endpoint by each caller.
//!
//! In: gateways, seats, the policy. Out: cells as they are found, nothing folded. Invariant: of several means of a caller the one that reaches
//! most counts, and of several that reach the same the plainest.

use super::seats::Seat;
use super::{Answer, BEYOND, Cell, Difference, Kind, Place, Subject, WayName};
use crate::analysis::caller::Caller;
use crate::analysis::entry::{self, Entry};
use crate::analysis::measure::{Measure, On, forwards};
use crate::analysis::survey::{self, asked};
use crate::analysis::witness::{Ask, Twist};
use crate::analysis::words;
use crate::catalog::ModelField;
use crate::gateway::eval::{Outcome, Verdict};
use crate::http::line::text;

/// How many of a config's own paths may stand before the upstream's.
const MOST_MOUNTS: usize = 40;

/// Groups by which a path is known to lead to the upstream, and how many callers are tried.
const LEADING: &[&str] = &["chat", "list", "admin"];
const MOST_LEADING: usize = 6;

/// An endpoint, and the request that asks for it.
#[derive(Debug)]
pub struct Endpoint {
    pub group: String,
    /// `METHOD /path`.
    pub name: String,
    pub ask: Ask,
}

/// A way in, before anything is folded.
#[derive(Debug)]
pub struct RawWay {
    pub name: WayName,
    /// By seat, then by endpoint; absent: that seat has nothing to do here.
    pub cells: Vec<Option<Vec<Cell>>>,
    pub limits: Vec<String>,
}

/// Every endpoint of the catalogue, and what the policy names beyond it.
pub fn endpoints(measure: &Measure) -> Vec<Endpoint> {
    let model = measure.plan.access.models.first().map(|pattern| pattern.example());
    let body = model.as_ref().map(|model| format!("{{\"model\":\"{model}\"}}").into_bytes());
    let mut out: Vec<Endpoint> = Vec::new();
    for endpoint in &measure.kind.endpoints {
        let target = match (&model, endpoint.model) {
            (Some(model), Some(ModelField::Path)) => {
                endpoint.path.rsplit_once('/').map(|(head, _)| format!("{head}/{model}"))
            }
            _ => None,
        };
        let mut ask = Ask::new(Twist::Plain, &endpoint.method, target.unwrap_or_else(|| endpoint.example()));
        ask.body = body.clone().filter(|_| endpoint.model == Some(ModelField::Body));
        let name = format!("{} {}", endpoint.method, endpoint.path);
        out.push(Endpoint { group: endpoint.group.clone(), name, ask });
    }
    let access = &measure.plan.access;
    for own in access.sets.iter().chain([&access.public]).flat_map(|set| &set.allow) {
        let path = own.path.to_string();
        let segments = path.split('/').map(|segment| if segment.starts_with(':') { "x" } else { segment });
        let target = segments.collect::<Vec<_>>().join("/");
        let name = format!("{} {path}", own.method);
        let known = measure.kind.reached(own.method.as_bytes(), target.as_bytes());
        if known.is_none_or(|(endpoint, _)| endpoint.method != own.method)
            && !out.iter().any(|other| other.name == name)
        {
            out.push(Endpoint { group: BEYOND.to_owned(), name, ask: Ask::new(Twist::Plain, &own.method, target) });
        }
    }
    out
}

/// What asks and judges.
pub struct Asker<'a> {
    pub subjects: &'a [Subject<'a>],
    pub measure: &'a Measure,
    pub endpoints: &'a [Endpoint],
    pub seats: &'a [Seat],
    /// Whether the policy is held against it.
    pub compared: bool,
    /// Whether any server is the policy's.
    pub every_upstream: bool,
}

impl Asker<'_> {
    /// All ways into one system.
    pub fn ways(&self, system: usize, entries: &[Entry]) -> Vec<RawWay> {
        let mut out = Vec::new();
        for entry in entries {
            let listener = &self.subjects[system].gateway.listeners[entry.listener];
            let only = entries.iter().filter(|other| other.listener == entry.listener).count() == 1;
            let mounts = self.mounts(system, entry);
            // Where nothing but a path of the config leads to the upstream, its own paths are no way in.
            let plain = mounts.is_empty() || self.leads(system, entry, "");
            for below in plain.then(String::new).into_iter().chain(mounts) {
                let name = WayName {
                    system: self.subjects[system].name.to_owned(),
                    listener: entry::authority(listener),
                    tls: listener.tls,
                    host: entry.host.as_deref().map(text),
                    only,
                    below,
                    unset: self.subjects[system].unset,
                };
                out.push(self.way(system, entry, name));
            }
        }
        out
    }

    /// The paths of the config below which the upstream's own paths are reached.
    fn mounts(&self, system: usize, entry: &Entry) -> Vec<String> {
        let mut paths: Vec<String> = Vec::new();
        let gateway = self.subjects[system].gateway;
        for path in entry.boundaries(gateway).paths.iter().filter_map(|path| std::str::from_utf8(path).ok()) {
            let path = path.trim_end_matches('/');
            let plain = path.starts_with('/')
                && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte))
                && !path[1..].split('/').any(|segment| segment.is_empty() || segment.starts_with('.'));
            let listed = self.endpoints.iter().any(|endpoint| endpoint.ask.target == path);
            if plain && !listed && !paths.iter().any(|own| own == path) {
                paths.push(path.to_owned());
            }
        }
        paths.sort_by_key(|path| path.len());
        paths.truncate(MOST_MOUNTS);
        paths.retain(|path| self.leads(system, entry, path));
        paths
    }

    /// Whether some caller reaches an endpoint by its path below this one.
    fn leads(&self, system: usize, entry: &Entry, below: &str) -> bool {
        let some = LEADING.iter().filter_map(|group| self.endpoints.iter().find(|endpoint| endpoint.group == *group));
        let mut asks = some.map(|endpoint| (endpoint, prefixed(&endpoint.ask, below)));
        asks.any(|(endpoint, ask)| {
            let kinds = [Kind::Nobody, Kind::Client, Kind::Credential];
            let seats = self.seats.iter().filter(|seat| kinds.contains(&seat.kind) && self.knows(system, seat));
            seats.take(MOST_LEADING).flat_map(|seat| seat.callers.iter().take(2)).any(|caller| {
                let (witness, answer) = asked(self.subjects[system].gateway, entry, caller, &ask);
                let outcome = answer.through.unwrap_or(answer.outcome);
                let reached = self.measure.reached(&witness.request, &outcome, self.every_upstream);
                let same = |reached: Option<(&crate::catalog::CatalogEndpoint, _)>| match reached {
                    Some((own, _)) => format!("{} {}", own.method, own.path) == endpoint.name,
                    None => false,
                };
                forwards(&outcome.verdict) && reached.is_ok_and(|reached| same(reached.endpoint))
            })
        })
    }

    /// Whether a system knows a seat.
    fn knows(&self, system: usize, seat: &Seat) -> bool {
        let read = self.subjects.iter().filter(|subject| !subject.unset).count();
        seat.system.is_none_or(|own| own == system || self.subjects[system].unset && own + read == system)
    }

    fn way(&self, system: usize, entry: &Entry, name: WayName) -> RawWay {
        let mut limits: Vec<String> = Vec::new();
        let asks: Vec<Ask> = self.endpoints.iter().map(|endpoint| prefixed(&endpoint.ask, &name.below)).collect();
        let mut seat = |seat: &Seat| -> Option<Vec<Cell>> {
            if !self.knows(system, seat) {
                return None;
            }
            if seat.callers.is_empty() {
                self.subjects[system].neighbours?;
                return Some(self.endpoints.iter().map(|endpoint| self.past_the_gateway(seat, endpoint)).collect());
            }
            let cell = |(endpoint, ask)| self.cell(system, entry, seat, endpoint, ask, &mut limits);
            Some(self.endpoints.iter().zip(&asks).map(cell).collect())
        };
        let cells = self.seats.iter().map(&mut seat).collect();
        RawWay { name, cells, limits }
    }

    /// What a container gets that needs no gateway.
    fn past_the_gateway(&self, seat: &Seat, endpoint: &Endpoint) -> Cell {
        let reaches = seat.names != ["another container"];
        let answer = if reaches { Answer::Passes } else { Answer::Unreachable };
        let wanted = self.compared.then(|| self.wanted(&seat.on, endpoint));
        let looser = reaches && wanted.as_ref().is_some_and(|wanted| *wanted != Answer::Passes);
        let difference = looser.then_some(Difference::Looser);
        let remark = reaches.then(|| "past the gateway, on a network that they share".to_owned());
        Cell { answer, wanted, difference, place: None, remark }
    }

    fn cell(
        &self,
        system: usize,
        entry: &Entry,
        seat: &Seat,
        endpoint: &Endpoint,
        ask: &Ask,
        limits: &mut Vec<String>,
    ) -> Cell {
        let mut best: Option<Cell> = None;
        for caller in &seat.callers {
            let cell = self.one(system, entry, caller, endpoint, ask, limits);
            if best.as_ref().is_none_or(|best| level(&cell.answer) > level(&best.answer)) {
                best = Some(cell);
            }
        }
        best.unwrap_or_else(|| self.past_the_gateway(seat, endpoint))
    }

    /// What one request gets.
    fn one(
        &self,
        system: usize,
        entry: &Entry,
        caller: &Caller,
        endpoint: &Endpoint,
        ask: &Ask,
        limits: &mut Vec<String>,
    ) -> Cell {
        let gateway = self.subjects[system].gateway;
        let (witness, found) = asked(gateway, entry, caller, ask);
        let effective = found.through.as_ref().unwrap_or(&found.outcome);
        let reached = self.measure.reached(&witness.request, effective, self.every_upstream);
        let mut remark = None;
        let answer = match (&found.outcome.verdict, &reached) {
            (Verdict::Refused(status), _) => Answer::Refused(*status),
            (Verdict::Answered(status), _) => Answer::Answered(*status),
            (_, Err(other)) => Answer::Elsewhere((*other).to_owned()),
            (Verdict::Proxied { .. } | Verdict::Unknown { reached: true, .. }, Ok(_)) => Answer::Passes,
            (Verdict::Unknown { reason, .. }, Ok(_)) => {
                remark = Some(reason.clone());
                Answer::Unknown
            }
        };
        let wanted = self.compared.then(|| self.wanted(&caller.on, endpoint));
        // What arrives may be another endpoint than the one that was asked for.
        let arrives = reached.ok().and_then(|reached| {
            let Verdict::Proxied { target, .. } = &effective.verdict else { return None };
            let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
            let same = path == endpoint.ask.target.as_bytes() && *reached.method == endpoint.ask.method.as_bytes();
            (!same).then(|| (text(reached.method), text(path), reached.path))
        });
        if let Some((method, path, _)) = arrives.as_ref().filter(|_| answer == Answer::Passes) {
            remark = Some(format!("it arrives as {method} {path}"));
        }
        let allowed = match arrives {
            Some((method, _, path)) => forwards(&self.decides(&caller.on, method.as_bytes(), &path, endpoint).verdict),
            None => wanted == Some(Answer::Passes),
        };
        let difference = match &answer {
            _ if !self.compared || allowed => None,
            Answer::Passes => Some(Difference::Looser),
            Answer::Unknown => Some(Difference::MaybeLooser),
            _ => None,
        };
        if answer == Answer::Passes {
            let own = found.outcome.limits.iter().map(|(limit, _)| words::limit(limit));
            own.for_each(|limit| {
                if !limits.contains(&limit) {
                    limits.push(limit)
                }
            });
        }
        Cell { answer, wanted, difference, place: place(gateway, effective), remark }
    }

    fn decides(&self, on: &On, method: &[u8], path: &[u8], endpoint: &Endpoint) -> Outcome {
        self.measure.decides_with(on, method, path, endpoint.ask.body.as_deref())
    }

    /// What the policy answers.
    fn wanted(&self, on: &On, endpoint: &Endpoint) -> Answer {
        let ask = &endpoint.ask;
        match self.decides(on, ask.method.as_bytes(), ask.target.as_bytes(), endpoint).verdict {
            Verdict::Refused(status) => Answer::Refused(status),
            Verdict::Answered(status) => Answer::Answered(status),
            Verdict::Proxied { .. } | Verdict::Unknown { reached: true, .. } => Answer::Passes,
            Verdict::Unknown { .. } => Answer::Unknown,
        }
    }

    /// What limits the policy sets to requests that it lets through.
    pub fn limits(&self) -> Vec<String> {
        let mut limits: Vec<String> = Vec::new();
        for seat in self.seats {
            let asks = self.endpoints.iter().map(|endpoint| (endpoint, &endpoint.ask));
            let outcomes = asks
                .map(|(endpoint, ask)| self.decides(&seat.on, ask.method.as_bytes(), ask.target.as_bytes(), endpoint));
            for outcome in outcomes.filter(|outcome| forwards(&outcome.verdict)) {
                let own = outcome.limits.iter().map(|(limit, _)| words::limit(limit));
                own.for_each(|limit| {
                    if !limits.contains(&limit) {
                        limits.push(limit)
                    }
                });
            }
        }
        limits
    }
}

/// The same request below a path.
fn prefixed(ask: &Ask, below: &str) -> Ask {
    Ask { target: format!("{below}{}", ask.target), ..ask.clone() }
}

/// How far an answer lets a caller.
pub fn level(answer: &Answer) -> u8 {
    match answer {
        Answer::Unreachable | Answer::Refused(_) => 0,
        Answer::Answered(_) => 1,
        Answer::Elsewhere(_) => 2,
        Answer::Unknown => 3,
        Answer::Passes => 4,
    }
}

/// The place that decides.
fn place(gateway: &crate::gateway::Gateway, outcome: &Outcome) -> Option<Place> {
    let origin = survey::place(outcome)?;
    let file = gateway.files.get(origin.file())?;
    let line = file.line_column(origin.span().start).line;
    Some(Place { file: file.name.replace('\\', "/"), line, note: origin.note.to_string() })
}
