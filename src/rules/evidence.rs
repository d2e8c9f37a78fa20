//! What is told of the request that shows a finding.
//!
//! In: a request, what becomes of it, what should. Out: [`Evidence`]. Invariant: no credential is in it.

use serde_json::Value;

use super::Context;
use crate::analysis::survey::{Gap, Witness};
use crate::analysis::{curl, decision};
use crate::finding::Evidence;
use crate::gateway::Gateway;
use crate::gateway::eval::Outcome;

/// A request whose outcome isn't what the policy wants.
pub fn evidence(
    context: &Context<'_>,
    gateway: &Gateway,
    witness: &Witness,
    actual: &Outcome,
    wanted: &Outcome,
) -> Evidence {
    let expected = decision::verdict(&context.measure.gateway, wanted).into();
    told(gateway, witness, actual, decision::verdict(gateway, actual).into(), expected)
}

/// The request of a gap.
pub fn of_gap(context: &Context<'_>, gateway: &Gateway, gap: &Gap) -> Evidence {
    evidence(context, gateway, &gap.witness, &gap.actual, &gap.wanted)
}

/// A request that goes where it should: something else about it is wrong.
pub fn right_way(gateway: &Gateway, witness: &Witness, outcome: &Outcome) -> Evidence {
    let decision = Value::from(decision::verdict(gateway, outcome));
    told(gateway, witness, outcome, decision.clone(), decision)
}

/// A request with these decisions; `way` is the one that it takes.
pub fn told(gateway: &Gateway, witness: &Witness, way: &Outcome, actual: Value, expected: Value) -> Evidence {
    Evidence {
        request: decision::request(gateway, witness),
        command: curl::command(gateway, witness),
        expected,
        actual,
        steps: decision::steps(gateway, way),
    }
}
