//! Gaps in access, each of which belongs to exactly one rule.
//!
//! In: the gaps of a survey. Out: findings of the rule that a gap belongs to. Invariant: [`class`] is total: no gap is without a rule.

pub mod account_reachable;
pub mod admin_reachable;
pub mod any_key_accepted;
pub mod client_exceeds_policy;
pub mod client_header_opens;
pub mod empty_key_accepted;
pub mod every_key_is_admin;
pub mod inexact_key;
pub mod inference_reachable;
pub mod metadata_reachable;
pub mod method_not_guarded;
pub mod path_spelling;
pub mod request_splitting;
pub mod unguarded_server;
pub mod unlisted_path_reachable;
pub mod upstream_chosen_by_client;
pub mod upstream_published;

use super::evidence::{evidence, of_gap};
use super::{Context, Repair, Rule};
use crate::analysis::caller::{self, Trick, Who};
use crate::analysis::measure::On;
use crate::analysis::survey::{self, Gap, Witness};
use crate::analysis::witness::Twist;
use crate::catalog::{CatalogEndpoint, Reach};
use crate::finding::{Evidence, Finding, Place, Severity};
use crate::gateway::eval::Outcome;
use crate::gateway::{Gateway, Listener};
use crate::source::Span;

/// What is done with an endpoint, in words: by its path, else by its group.
const DEEDS: &[(&str, &str)] = &[
    ("/api/pull", "pull models"),
    ("/api/push", "push models"),
    ("/api/create", "create models"),
    ("/api/copy", "copy models"),
    ("/api/delete", "delete models"),
    ("/api/blobs/:digest", "upload files"),
    ("chat", "chat"),
    ("completions", "generate text"),
    ("embeddings", "make embeddings"),
    ("images", "make images"),
    ("audio", "transcribe audio"),
    ("show", "read the details of models"),
    ("list", "list the models"),
    ("account", "use the owner's account"),
    ("root", "see that the server runs"),
];

/// How many deeds a message names.
const MOST_DEEDS: usize = 3;

/// How many other places of a request's way are shown.
const MOST_RELATED: usize = 4;

/// The rule that a gap belongs to.
pub fn class(context: &Context<'_>, gap: &Gap) -> &'static str {
    let endpoint = endpoint(context, gap);
    let group = endpoint.map(|own| own.group.as_str());
    let witness = &gap.witness;
    if let Some(listener) = raw(context, gap) {
        return super::compose::class(context, listener);
    }
    match (&witness.caller.who, witness.twist) {
        (Who::Client, Twist::Spelling | Twist::Method | Twist::Hostless) => path_spelling::RULE.id,
        (Who::Client, _) if matches!(group, Some("admin" | "account")) => every_key_is_admin::RULE.id,
        (Who::Client, _) => client_exceeds_policy::RULE.id,
        (Who::Stranger(Trick::Wrong), _) => any_key_accepted::RULE.id,
        (Who::Stranger(Trick::Empty), _) => empty_key_accepted::RULE.id,
        (Who::Stranger(Trick::Nearly(_)), _) => inexact_key::RULE.id,
        (Who::Stranger(Trick::Header(_) | Trick::Argument(_) | Trick::Cookie(_)), _) => client_header_opens::RULE.id,
        (Who::Nobody, Twist::Spelling) => path_spelling::RULE.id,
        (Who::Nobody, Twist::Method) => method_not_guarded::RULE.id,
        (Who::Nobody, Twist::Hostless) => unguarded_server::RULE.id,
        (Who::Nobody, _) if gap.refused_elsewhere && survey::rank(endpoint) < 3 => unguarded_server::RULE.id,
        (Who::Nobody, _) => match group {
            Some("admin") => admin_reachable::RULE.id,
            Some("account") => account_reachable::RULE.id,
            Some("list" | "show") => metadata_reachable::RULE.id,
            Some("root") | None => unlisted_path_reachable::RULE.id,
            Some(_) => inference_reachable::RULE.id,
        },
    }
}

/// What is said where only the address of a caller makes the difference.
fn over_ipv6() -> Words {
    let help = "end the list with what holds for everybody (`deny all`, `0.0.0.0/0 ::/0`), or don't listen on IPv6";
    Words { label: "the lists of addresses on the way here leave IPv6 out", help: help.to_owned() }
}

/// What a rule says about a gap of its own.
pub struct Words {
    /// What to say at the place.
    pub label: &'static str,
    /// What to do.
    pub help: String,
}

/// The findings of one rule: one a gap.
pub fn findings(
    context: &Context<'_>,
    rule: &'static str,
    severity: Severity,
    words: &dyn Fn(&Gap) -> Words,
) -> Vec<Finding> {
    // A port that is published on the host's own address is for the host's own programs.
    let inner = |gap: &&Gap| raw(context, gap).is_some_and(|listener| listener.address.is_loopback());
    let own = context.survey.gaps.iter().filter(|gap| class(context, gap) == rule && !inner(gap));
    let told = own.filter_map(|gap| {
        let place = lets_through(context.gateway, &gap.actual)?;
        let Words { label, help } = match gap.witness.caller.way {
            Some(_) if gap.witness.caller.who == Who::Nobody => over_ipv6(),
            _ => words(gap),
        };
        let loosely = gap.endpoint.is_some_and(|(_, reach)| reach == Reach::Loosely);
        let severity = if loosely || gap.endpoint.is_none() { severity.max(Severity::Warning) } else { severity };
        let finding = Finding::new(rule, severity, message(context, gap), place).label(label).help(help);
        let finding = on_the_way(context.gateway, &gap.actual, finding);
        Some(finding.shown_by(&gap.witness, of_gap(context, context.gateway, gap)))
    });
    told.collect()
}

/// The findings of a rule about published ports, each with the change that publishes the port on the host's own address.
pub fn published(context: &Context<'_>, rule: &Rule, words: &dyn Fn(&Gap) -> Words) -> Vec<Finding> {
    let mended = |finding: Finding| {
        let own = |listener: &&Listener| {
            let place = context.place(&listener.origin);
            place.is_some_and(|place| place.span == finding.place.span && place.file.name == finding.place.file.name)
        };
        let listener = context.gateway.listeners.iter().find(own);
        let fix = listener.and_then(|listener| context.repair(Repair::OnLoopback, &listener.origin));
        finding.fixed_by(fix)
    };
    findings(context, rule.id, rule.severity, words).into_iter().map(mended).collect()
}

/// The listener of a gap with no gateway behind it.
fn raw<'c>(context: &Context<'c>, gap: &Gap) -> Option<&'c Listener> {
    context.gateway.listeners.get(gap.witness.listener).filter(|listener| listener.wire.raw)
}

/// The endpoint that a gap reaches.
pub fn endpoint<'c>(context: &'c Context<'_>, gap: &Gap) -> Option<&'c CatalogEndpoint> {
    context.measure.kind.endpoints.get(gap.endpoint?.0)
}

/// The place that lets a request through, which is to be mended.
pub fn lets_through(gateway: &Gateway, outcome: &Outcome) -> Option<Place> {
    super::place(gateway, survey::lets_through(outcome)?)
}

/// The place where a request ends up.
pub fn cause(gateway: &Gateway, outcome: &Outcome) -> Option<Place> {
    super::place(gateway, survey::place(outcome)?)
}

/// A finding with the other places of a request's way.
pub fn on_the_way(gateway: &Gateway, outcome: &Outcome, mut finding: Finding) -> Finding {
    let cause = survey::gap_at(outcome);
    let others = outcome.steps.iter().filter(|step| step.span() != Span::default() && !step.note.is_empty());
    let mut others: Vec<_> = others.filter(|step| Some((step.file(), step.span())) != cause).collect();
    others.dedup_by_key(|step| (step.file(), step.span()));
    // The listener first, then what stands nearest to the cause.
    let skipped = others.len().saturating_sub(MOST_RELATED);
    let kept = others.iter().enumerate().filter(|(index, _)| *index == 0 || *index > skipped);
    for (_, step) in kept {
        finding = finding.with(super::place(gateway, step), step.note.to_string());
    }
    finding
}

/// A request beside what the policy says about it.
pub fn asked(context: &Context<'_>, witness: &Witness, outcome: &Outcome) -> Evidence {
    let wanted = context.measure.decides(&witness.caller.on, &witness.request.method, &witness.request.target);
    evidence(context, context.gateway, witness, outcome, &wanted)
}

/// Who can do what.
pub fn message(context: &Context<'_>, gap: &Gap) -> String {
    let who = match (&gap.witness.caller.who, &gap.witness.caller.on) {
        (Who::Nobody, _) => "an unauthenticated client".to_owned(),
        (Who::Client, On::Client(name)) => format!("client `{name}`"),
        (Who::Client, _) => "any valid client".to_owned(),
        _ => caller::words(&gap.witness.caller),
    };
    let how = match gap.witness.twist {
        Twist::Plain | Twist::Below | Twist::Own => String::new(),
        Twist::Method => format!(" by the method `{}`", String::from_utf8_lossy(&gap.witness.request.method)),
        Twist::Hostless => " by HTTP/1.0 without a Host".to_owned(),
        Twist::Spelling => format!(" by writing `{}`", String::from_utf8_lossy(&gap.witness.request.target)),
    };
    let by = if gap.witness.request.client_ip.is_ipv6() { " over IPv6" } else { "" };
    match gap.endpoint {
        None => {
            let sent = &gap.witness.request;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!("{who} reaches the upstream with `{} {}`{by}", text(&sent.method), text(&sent.target))
        }
        Some((_, Reach::Loosely)) => {
            let path = endpoint(context, gap).map(|own| own.path.as_str()).unwrap_or_default();
            format!("{who} reaches the upstream past the rules for `{path}`{how}{by}")
        }
        Some(_) => format!("{who} can {}{how}{by}", deeds(context, gap)),
    }
}

/// What the endpoints of a gap let somebody do, the most dangerous first.
fn deeds(context: &Context<'_>, gap: &Gap) -> String {
    let endpoints = &context.measure.kind.endpoints;
    let own = gap.endpoint.map(|(index, _)| index);
    let mut indexes: Vec<usize> =
        own.into_iter().chain(gap.also.iter().copied().filter(|it| Some(*it) != own)).collect();
    let first = usize::from(own.is_some());
    indexes[first..].sort_by_key(|index| survey::telling(endpoints.get(*index)));
    let mut named: Vec<String> = Vec::new();
    let mut counted = 0;
    for endpoint in indexes.iter().filter_map(|index| endpoints.get(*index)) {
        let deed = DEEDS.iter().find(|(key, _)| *key == endpoint.path || *key == endpoint.group);
        let deed = deed
            .map_or_else(|| format!("call `{} {}`", endpoint.method, endpoint.path), |(_, deed)| (*deed).to_owned());
        if named.contains(&deed) {
            counted += 1;
        } else if named.len() < MOST_DEEDS {
            named.push(deed);
            counted += 1;
        }
    }
    let rest = indexes.len() - counted;
    match (named.split_last(), rest) {
        (Some((last, [])), 0) => last.clone(),
        (Some((last, before)), 0) => format!("{} and {last}", before.join(", ")),
        (_, 1) => format!("{}, and call one more endpoint", named.join(", ")),
        (_, rest) => format!("{}, and call {rest} more endpoints", named.join(", ")),
    }
}
