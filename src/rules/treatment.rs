//! What rules say about how requests are treated that get through: one finding for one cause.
//!
//! In: the routes of a survey. Out: findings at the place that says how a request is treated, or, where nobody says it, at the place that lets
//! it through. Invariant: a place has one finding of a question, whatever number of routes inherit it; what nobody says has one a way in.

use super::{Context, Rule};
use crate::analysis::survey::{self, Route};
use crate::catalog::CatalogEndpoint;
use crate::finding::Finding;
use crate::gateway::{Limit, LimitKind, Origin, Setting, TimeoutOf};
use crate::source::Span;
use std::collections::HashSet;
use std::time::Duration;

/// What is wrong with how a route is treated.
pub struct Told {
    /// Where that is said; without a place: nowhere, it is the server's default.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
    /// What to say at the place.
    pub label: String,
    /// What to do.
    pub help: String,
    /// What mends it.
    pub repair: Option<super::Repair>,
    /// Other places that have a part in it, and what to say there.
    pub related: Vec<(Origin, String)>,
}

impl Told {
    /// Something that is wrong, said here.
    pub fn new(origin: &Origin, message: impl Into<String>, label: impl Into<String>, help: impl Into<String>) -> Told {
        let (message, label, help) = (message.into(), label.into(), help.into());
        Told { origin: origin.clone(), message, label, help, repair: None, related: Vec::new() }
    }

    /// The same with what mends it.
    pub fn mended(self, repair: super::Repair) -> Told {
        Told { repair: Some(repair), ..self }
    }

    /// The same with another place.
    pub fn with(mut self, origin: &Origin, label: impl Into<String>) -> Told {
        self.related.push((origin.clone(), label.into()));
        self
    }
}

/// The routes through a gateway's own rules that reach what costs most: generations, embeddings and the like.
pub fn inference<'c>(context: &'c Context<'_>) -> impl Iterator<Item = (&'c Route, &'c CatalogEndpoint)> + use<'c> {
    let known = |route: &'c Route| Some((route, context.measure.kind.endpoints.get(route.endpoint)?));
    let routes = context.survey.routes.iter().filter_map(known);
    routes.filter(|(route, endpoint)| {
        let raw = context.gateway.listeners.get(route.witness.listener).is_none_or(|listener| listener.wire.raw);
        !raw && is_inference(endpoint)
    })
}

/// Whether an endpoint makes a model work.
pub fn is_inference(endpoint: &CatalogEndpoint) -> bool {
    ["chat", "completions", "embeddings", "images", "audio"].contains(&endpoint.group.as_str())
}

/// The findings of a rule about routes: one for each place that causes them.
pub fn findings(
    context: &Context<'_>,
    rule: &Rule,
    judge: &dyn Fn(&Route, &CatalogEndpoint) -> Option<Told>,
    found: &mut Vec<Finding>,
) {
    let mut seen: HashSet<(usize, Span)> = HashSet::new();
    let mut entries: HashSet<(usize, Option<Vec<u8>>)> = HashSet::new();
    for (route, endpoint) in inference(context) {
        let Some(told) = judge(route, endpoint) else { continue };
        let said = has_place(&told.origin);
        let entry = (route.witness.listener, route.witness.host.clone());
        let origin = if said { Some(&told.origin) } else { survey::place(&route.outcome) };
        let Some(origin) = origin else { continue };
        let key = (origin.file(), origin.span());
        if seen.contains(&key) || (!said && entries.contains(&entry)) {
            continue;
        }
        let Some(place) = context.place(origin) else { continue };
        seen.insert(key);
        if !said {
            entries.insert(entry);
        }
        let mut finding = Finding::new(rule.id, rule.severity, told.message, place).label(told.label).help(told.help);
        finding = finding.about(&route.witness);
        for (origin, label) in told.related.iter().filter(|(origin, _)| has_place(origin)) {
            finding = finding.with(context.place(origin), label.clone());
        }
        finding.fix = told.repair.and_then(|repair| context.repair(repair, origin));
        found.push(finding);
    }
}

/// Whether an origin lies in a file.
pub fn has_place(origin: &Origin) -> bool {
    origin.span() != Span::default()
}

/// The setting of a kind that is in force, and where it is said.
pub fn setting<'r, T>(route: &'r Route, pick: impl Fn(&'r Setting) -> Option<T>) -> Option<(T, &'r Origin)> {
    route.outcome.settings().rev().find_map(|(setting, origin)| Some((pick(setting)?, origin)))
}

/// A timeout that is in force; `None` inside: there is no end.
pub fn timeout(route: &Route, of: TimeoutOf) -> Option<(Option<Duration>, &Origin)> {
    setting(route, |setting| match setting {
        Setting::Timeout(own, time) if *own == of => Some(*time),
        _ => None,
    })
}

/// The limits on the rate that count a request, where each is said, and what it counts by.
pub fn rates<'r>(route: &'r Route) -> impl Iterator<Item = Counted<'r>> {
    limits(route).filter(|counted| matches!(counted.limit.kind, LimitKind::Rate { .. }))
}

/// The limits that count a request.
pub fn limits<'r>(route: &'r Route) -> impl Iterator<Item = Counted<'r>> {
    let keys = route.outcome.keys.iter().map(Option::as_deref).chain(std::iter::repeat(None));
    route.outcome.limits.iter().zip(keys).map(|((limit, origin), key)| Counted { limit, origin, key })
}

/// A limit that counts a request.
pub struct Counted<'r> {
    /// The limit.
    pub limit: &'r Limit,
    /// Where it is said.
    pub origin: &'r Origin,
    /// What it counts the request by; absent: not to be known.
    pub key: Option<&'r [u8]>,
}

/// A time with its unit.
pub fn seconds(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

/// A size with its unit.
pub fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1_000_000) => format!("{} MB", bytes / 1_000_000),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}
