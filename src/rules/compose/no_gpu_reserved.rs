//! The policy wants a GPU for the model server, and its container gets none.
//!
//! ## What it finds
//!
//! A model server without a reserved GPU where the policy file's `[deploy]` has one (NVIDIA, if it says nothing).
//!
//! ## Why it matters
//!
//! Models run on the processor: answers take minutes, time-outs end them, and the queue behind a limit made for a GPU never empties.
//!
//! ## Wrong
//!
//! ```yaml
//! ollama: { image: ollama/ollama:0.32.15 }
//! ```
//!
//! ## Right
//!
//! ```yaml
//! ollama:
//!   image: ollama/ollama:0.32.15
//!   deploy:
//!     resources:
//!       reservations:
//!         devices: [{driver: nvidia, count: all, capabilities: [gpu]}]
//! ```

use super::{finding, model_servers};
use crate::finding::{Finding, Severity};
use crate::policy::plan::Gpu;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "no-gpu-reserved", severity: Severity::Warning, source: include_str!("no_gpu_reserved.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let Some(own) = &context.deployed else { return };
    if context.measure.is_built_in() || context.measure.plan.deploy.gpu == Gpu::None {
        return;
    }
    for service in model_servers(own).filter(|service| service.gpu.is_none()) {
        let message = format!("`{}` gets no GPU, and the policy wants one", service.name);
        let help = "reserve it under `deploy.resources.reservations.devices`, or say `gpu = false` under `[deploy]` in the policy";
        let own = finding(context, (RULE.id, RULE.severity), &service.origin, message);
        found.extend(own.map(|own| own.label("no device is reserved").help(help)));
    }
}
