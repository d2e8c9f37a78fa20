//! Entries that are alike are asked once: what comes of it is what comes of asking each.
//!
//! In: `fixtures/alike`, gateways with many sites of which some differ by names and places alone, and the cases of `fixtures/lint`. Out: a
//! failure where a gap, a doubt or a route is told by one way of asking and not by the other.

use std::collections::BTreeSet;
use std::path::Path;

use llmguard::analysis::measure::Measure;
use llmguard::analysis::survey::{Survey, survey, survey_each};
use llmguard::diag::Sink;
use llmguard::dialect::Options;
use llmguard::project;

/// All that a survey says, as lines.
fn lines(survey: &Survey) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for gap in &survey.gaps {
        let (sent, place) = (&gap.witness.request, llmguard::analysis::survey::cause(&gap.actual));
        all.insert(format!("gap {place:?} {sent:?} {:?} {:?} {:?}", gap.actual.verdict, gap.wanted.verdict, gap.also));
    }
    for doubt in &survey.doubts {
        all.insert(format!("doubt {} {:?} {:?}", doubt.reason, doubt.witness.request, doubt.through.verdict));
    }
    for (kind, routes) in [("route", &survey.routes), ("refusal", &survey.refusals)] {
        for route in routes {
            all.insert(format!("{kind} {:?} {:?} {:?}", route.witness.request, route.endpoint, route.outcome));
        }
    }
    all.extend(survey.others.keys().map(|other| format!("other {other}")));
    all
}

/// Whether both ways of asking say the same about a path's configs; how many entries were spared.
fn compared(path: &Path, broken: &mut Vec<String>) -> usize {
    let measure = Measure::built_in().unwrap();
    let systems = project::load(&[path.to_owned()], None, &Options::default(), &mut Sink::default());
    let mut all = 0;
    for system in &systems {
        let (each, spared) = survey_each(&system.gateway, &measure, true);
        let (each, alike) = (lines(&each), lines(&survey(&system.gateway, &measure, true)));
        for line in each.symmetric_difference(&alike) {
            let by = if each.contains(line) { "asking each" } else { "asking once" };
            broken.push(format!("{}: {by}: {line}", path.display()));
        }
        all += spared;
    }
    all
}

#[test]
fn asking_once_says_what_asking_each_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/alike");
    let mut broken = Vec::new();
    for (case, least) in [("nginx", 20), ("caddy", 16), ("traefik", 16)] {
        let spared = compared(&folder.join(case), &mut broken);
        if spared < least {
            broken.push(format!("{case}: only {spared} entries are like others"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
