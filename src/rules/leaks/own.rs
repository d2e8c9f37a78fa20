//! What a gateway answers about itself, to whom.
//!
//! In: a gateway. Out: for each place that shows something of it to somebody without a credential, on an address that others reach, the
//! request that shows it. Invariant: the evaluator decides.

use crate::analysis::answer;
use crate::analysis::caller::Caller;
use crate::analysis::entry::{self, Entry};
use crate::analysis::survey::{self, Witness};
use crate::analysis::witness::Twist;
use crate::finding::{Evidence, Place};
use crate::gateway::eval::{Outcome, Verdict};
use crate::gateway::{Gateway, Origin, Own, Setting, Step};
use crate::rules::Context;
use crate::rules::access::{asked, cause};

/// Where servers show it by themselves.
const USUAL: &[&str] = &[
    "/config/",
    "/api/rawdata",
    "/dashboard/",
    "/",
    "/metrics",
    "/status",
    "/nginx_status",
    "/stub_status",
    "/basic_status",
];
/// How many paths of a config's own are tried.
const MOST_PATHS: usize = 100;

/// Something shown.
pub struct Shown {
    /// Where.
    pub place: Place,
    /// The same for whoever mends it.
    pub origin: Origin,
    /// The path.
    pub path: String,
    /// The port.
    pub port: u16,
    /// The request.
    pub witness: Witness,
    /// What is told of it.
    pub evidence: Evidence,
}

/// Where it is shown: each entry and each place once.
pub fn shown(context: &Context<'_>, own: Own) -> Vec<Shown> {
    let gateway = context.gateway;
    let mut found: Vec<Shown> = Vec::new();
    if !shows_any(gateway, own) {
        return found;
    }
    for entry in entry::entries(gateway) {
        let Some(listener) = gateway.listeners.get(entry.listener) else { continue };
        if listener.address.is_loopback() || listener.wire.raw {
            continue;
        }
        for path in paths(gateway, &entry) {
            let request = entry::request(listener, entry.host.as_deref(), "GET", &path);
            let Some(outcome) = answer::ask(gateway, &request) else { continue };
            let says = outcome.settings().any(|(setting, _)| *setting == Setting::Shows(own));
            let Some(place) = cause(gateway, &outcome).filter(|_| says && answers(&outcome)) else { continue };
            let same = |other: &Shown| (&other.place.file.name, other.place.span) == (&place.file.name, place.span);
            if found.iter().any(same) {
                break;
            }
            let host = entry.host.clone();
            let (caller, extra) = (Caller::nobody(), Vec::new());
            let witness = Witness { request, caller, twist: Twist::Own, listener: entry.listener, host, extra };
            let evidence = asked(context, &witness, &outcome);
            let Some(origin) = survey::place(&outcome).cloned() else { continue };
            found.push(Shown { place, origin, path, port: listener.port, witness, evidence });
            break;
        }
    }
    found
}

fn shows_any(gateway: &Gateway, own: Own) -> bool {
    let steps = gateway.chains.iter().flat_map(|chain| &chain.clauses).flat_map(|clause| &clause.steps);
    let is = |step: &Step| matches!(step, Step::Setting(said) if said.what == Setting::Shows(own));
    steps.into_iter().any(is)
}

fn paths(gateway: &Gateway, entry: &Entry) -> Vec<String> {
    let own = entry.boundaries(gateway).paths.iter().filter_map(|path| std::str::from_utf8(path).ok());
    let sendable = |path: &&str| path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    let own = own.filter(sendable).take(MOST_PATHS);
    USUAL.iter().copied().chain(own).map(str::to_owned).collect()
}

fn answers(outcome: &Outcome) -> bool {
    matches!(outcome.verdict, Verdict::Answered(200..=399))
}
