//! The image has known holes, and requests reach them.
//!
//! ## What it finds
//!
//! A version of Ollama with published vulnerabilities whose endpoints somebody reaches who should not: anybody (an error), or
//! any client (a warning). The list and its date are in `cves.toml` beside this rule.
//!
//! ## Why it matters
//!
//! Nearly all known holes of Ollama are in the endpoints that manage models: files read and overwritten, memory read, code run.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST http://HOST:8080/api/pull
//!
//! ## Wrong
//!
//! ```yaml
//! ollama:
//!   image: ollama/ollama:0.1.33
//!   ports: ["11434:11434"]
//! ```
//!
//! ## Right
//!
//! ```yaml
//! ollama:
//!   image: ollama/ollama:0.32.15
//! ```

use std::collections::BTreeSet;

use serde::Deserialize;

use super::super::evidence::of_gap;
use super::{finding, leads_to};
use crate::analysis::measure::On;
use crate::analysis::survey::{self, Gap};
use crate::finding::{Finding, Severity};
use crate::gateway::Gateway;
use crate::project::deployment::Service;
use crate::rules::{Context, Deployed, Rule, place};

/// The rule.
pub const RULE: Rule =
    Rule { id: "vulnerable-image", severity: Severity::Error, source: include_str!("vulnerable_image.rs"), check };

/// The holes that are known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// The day on which the list was put together.
    date: String,
    /// Where it comes from.
    source: String,
    #[serde(rename = "cve")]
    cves: Vec<Cve>,
}

/// One hole.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cve {
    id: String,
    /// Paths of the catalogue; none: any request.
    endpoints: Vec<String>,
    /// The first version without it.
    fixed: Option<String>,
    /// The last version that is known to have it.
    last: Option<String>,
    what: String,
}

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let Some(own) = &context.deployed else { return };
    for service in own.deployment.services.iter().filter(|service| service.is_a("ollama")) {
        found.extend(vulnerable(context, own, service));
    }
}

fn vulnerable(context: &Context<'_>, own: &Deployed<'_>, service: &Service) -> Option<Finding> {
    let image = service.image.as_ref()?;
    let version = version(image.tag.as_deref()?)?;
    let known: Known = toml::from_str(include_str!("cves.toml")).ok()?;
    let gaps = own.parts.iter().flat_map(|(gateway, survey)| survey.gaps.iter().map(move |gap| (*gateway, gap)));
    // A port that is published on loopback alone is for whoever sits at the machine.
    let outside = |gateway: &Gateway, gap: &Gap| {
        let listener = gateway.listeners.get(gap.witness.listener);
        !listener.is_some_and(|listener| listener.wire.raw && listener.address.is_loopback())
    };
    let gaps = gaps.filter(|(gateway, gap)| leads_to(&gap.actual, service) && outside(gateway, gap));
    let mut gaps: Vec<(&Gateway, &Gap)> = gaps.collect();
    gaps.sort_by_key(|(_, gap)| gap.witness.caller.on != On::Nobody);
    let holes: Vec<&Cve> = known.cves.iter().filter(|cve| cve.is_in(version)).collect();
    let (gateway, gap, cves) = gaps.into_iter().find_map(|(gateway, gap)| {
        let paths = paths(context, gap);
        let open =
            |cve: &&Cve| cve.endpoints.is_empty() || cve.endpoints.iter().any(|path| paths.contains(path.as_str()));
        let cves: Vec<&Cve> = holes.iter().copied().filter(open).collect();
        (!cves.is_empty()).then_some((gateway, gap, cves))
    })?;
    let (who, severity) = match gap.witness.caller.on {
        On::Nobody => ("anybody", Severity::Error),
        On::Client(_) | On::SomeClient => ("any client", Severity::Warning),
    };
    let worst = cves.iter().max_by_key(|cve| cve.fixed.as_deref().and_then(version_of))?;
    let more = match cves.len() {
        1 => String::new(),
        2 => " and one hole more".to_owned(),
        count => format!(" and {} holes more", count - 1),
    };
    let opened = paths(context, gap);
    let path = worst.endpoints.iter().find(|path| opened.contains(path.as_str())).map_or("/", String::as_str);
    let message = format!("`{}` has {} ({}){more}, and {who} reaches `{path}`", image.text, worst.id, worst.what);
    let ids: Vec<&str> = cves.iter().map(|cve| cve.id.as_str()).collect();
    let newest = cves.iter().filter_map(|cve| cve.fixed.as_deref()).max_by_key(|fixed| version_of(fixed));
    let remedy = newest.map_or("use a newer version".to_owned(), |fixed| format!("use {fixed} or newer"));
    let help = format!("{remedy}, and close the endpoint; {} (as of {}: {})", ids.join(", "), known.date, known.source);
    let way = survey::lets_through(&gap.actual).and_then(|origin| place(gateway, origin));
    let finding = finding(context, (RULE.id, severity), &image.origin, message)?.label("this version has the hole");
    Some(finding.help(help).with(way, "requests get there here").shown_by(&gap.witness, of_gap(context, gateway, gap)))
}

/// The paths of the endpoints that a gap opens.
fn paths<'c>(context: &'c Context<'_>, gap: &Gap) -> BTreeSet<&'c str> {
    let indexes = gap.also.iter().copied().chain(gap.endpoint.map(|(index, _)| index));
    indexes.filter_map(|index| context.measure.kind.endpoints.get(index)).map(|own| own.path.as_str()).collect()
}

impl Cve {
    /// Whether a version is known to have it.
    fn is_in(&self, version: (u32, u32, u32)) -> bool {
        let before = self.fixed.as_deref().and_then(version_of).is_some_and(|fixed| version < fixed);
        before || self.last.as_deref().and_then(version_of).is_some_and(|last| version <= last)
    }
}

/// The version that a tag names, as `0.5.4` and `0.5.4-rocm` do.
fn version(tag: &str) -> Option<(u32, u32, u32)> {
    version_of(tag.split('-').next().unwrap_or_default().trim_start_matches('v'))
}

fn version_of(text: &str) -> Option<(u32, u32, u32)> {
    let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    match numbers?.as_slice() {
        [major, minor, patch] => Some((*major, *minor, *patch)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hole_names_versions_and_endpoints_of_the_catalogue() {
        let known: Known = toml::from_str(include_str!("cves.toml")).unwrap();
        let kind = crate::catalog::Kind::find("ollama").unwrap();
        assert!(!known.cves.is_empty());
        for cve in &known.cves {
            for text in cve.fixed.iter().chain(&cve.last) {
                assert!(version_of(text).is_some(), "{}: {text}", cve.id);
            }
            assert!(cve.fixed.is_some() != cve.last.is_some(), "{}", cve.id);
            for path in &cve.endpoints {
                assert!(kind.endpoints.iter().any(|own| own.path == *path), "{}: {path}", cve.id);
            }
        }
        let holes = |text: &str| known.cves.iter().filter(|cve| cve.is_in(version(text).unwrap())).count();
        assert!(holes("0.1.28") > holes("0.5.4-rocm") && holes("0.32.15") == 0);
    }
}
