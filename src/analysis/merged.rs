//! What all entries brought up, as one.
//!
//! In: the surveys of entries, one after the other. Out: their [`Survey`]. Invariant: requests of one kind by one caller at one place are one gap,
//! shown by the most dangerous; what comes first is told.

use std::collections::{HashMap, HashSet};

use super::measure::{Measure, On};
use super::survey::{Cause, Gap, Survey, cause, telling};
use crate::catalog::Reach;

/// What all entries brought up.
pub struct Merged<'m> {
    measure: &'m Measure,
    /// All of it.
    pub survey: Survey,
    /// The reasons of its doubts.
    reasons: HashSet<String>,
    /// The gaps by their place, and whether clients need no credential for them.
    by_cause: HashMap<(Cause, bool), Vec<usize>>,
}

impl Merged<'_> {
    /// Nothing so far.
    pub fn new(measure: &Measure) -> Merged<'_> {
        Merged { measure, survey: Survey::default(), reasons: HashSet::new(), by_cause: HashMap::new() }
    }

    /// Adds what an entry brought up.
    pub fn add(&mut self, found: Survey) {
        found.gaps.into_iter().for_each(|gap| self.gap(gap));
        for doubt in found.doubts {
            if self.reasons.insert(doubt.reason.clone()) {
                self.survey.doubts.push(doubt);
            }
        }
        self.survey.routes.extend(found.routes);
        self.survey.refusals.extend(found.refusals);
        self.survey.others.extend(found.others);
    }

    /// Adds a gap with one endpoint.
    fn gap(&mut self, gap: Gap) {
        let endpoints = &self.measure.kind.endpoints;
        let rank_of = |endpoint: Option<(usize, Reach)>| {
            let known = endpoint.and_then(|(index, _)| endpoints.get(index));
            (endpoint.map_or(Reach::Loosely, |(_, reach)| reach), telling(known))
        };
        let kind = |gap: &Gap| (gap.witness.twist, gap.witness.caller.who.clone());
        let gaps = &mut self.survey.gaps;
        let place = (cause(&gap.actual), gap.witness.caller.on == On::Nobody);
        let alike = self.by_cause.entry(place).or_default();
        // The requests of one kind by one caller at one place are one gap, shown by the most dangerous.
        for index in alike.iter() {
            let Some(other) = gaps.get_mut(*index) else { continue };
            if other.witness.caller.who > gap.witness.caller.who || other.witness.twist > gap.witness.twist {
                continue;
            }
            if kind(other) == kind(&gap) {
                other.also.extend(gap.endpoint.map(|(index, _)| index));
                if rank_of(gap.endpoint) < rank_of(other.endpoint) {
                    let also = std::mem::take(&mut other.also);
                    *other = Gap { also, ..gap };
                }
                return;
            }
            // What plain requests reach as well needs no twist.
            if gap.endpoint.is_none_or(|(index, _)| other.also.contains(&index)) {
                return;
            }
        }
        alike.push(gaps.len());
        gaps.push(gap);
    }
}
