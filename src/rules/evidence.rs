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
use crate::http::line::text;

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
    let mut evidence = Evidence {
        request: decision::request(gateway, witness),
        command: curl::command(gateway, witness),
        expected,
        actual,
        steps: decision::steps(gateway, way),
    };
    // What a client's request carries in its target goes on to the upstream.
    if let (Some((_, key)), Some(_)) = (&witness.caller.argument, witness.caller.shown_client()) {
        let key = text(key);
        for told in [&mut evidence.expected, &mut evidence.actual, &mut evidence.steps] {
            hide(told, &key);
        }
    }
    evidence
}

/// Takes a key out of all texts.
fn hide(told: &mut Value, key: &str) {
    match told {
        Value::String(text) if !key.is_empty() && text.contains(key) => *text = text.replace(key, "***"),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, key)),
        Value::Object(fields) => fields.values_mut().for_each(|field| hide(field, key)),
        _ => {}
    }
}
