//! Rules about compose projects: how the model server is reached past its proxy, and how its container is run.
//!
//! In: [`super::Deployed`]. Out: findings at the line of the compose file that causes them. Invariant: they look at services that are
//! started, once for each project.

pub mod docker_socket_mounted;
pub mod dollar_not_doubled;
pub mod exposed_by_default;
pub mod guard_walked_around;
pub mod healthcheck_never_passes;
pub mod host_network;
pub mod image_not_pinned;
pub mod no_gpu_reserved;
pub mod obsolete_key;
pub mod ollama_any_origin;
pub mod ollama_host_wrong;
pub mod privileged_container;
pub mod shared_network;
pub mod unset_variable;
pub mod vulnerable_image;

use super::access::upstream_published;
use super::{Context, Deployed};
use crate::analysis::survey::{Gap, Route, Survey};
use crate::finding::{Finding, Severity};
use crate::gateway::eval::{Outcome, Verdict};
use crate::gateway::{Gateway, Listener, Origin};
use crate::project::deployment::{Attached, Role, Service};

/// The rule that a way past every proxy belongs to.
pub fn class(context: &Context<'_>, listener: &Listener) -> &'static str {
    let on_host =
        |service: &Service| matches!(&service.network, Attached::Host(origin) if same(origin, &listener.origin));
    match &context.deployed {
        Some(_) if guard(context).is_some() => guard_walked_around::RULE.id,
        Some(own) if own.deployment.services.iter().any(on_host) => host_network::RULE.id,
        _ => upstream_published::RULE.id,
    }
}

fn same(a: &Origin, b: &Origin) -> bool {
    (a.file(), a.span()) == (b.file(), b.span())
}

/// How a proxy of the project refuses requests without a credential.
fn guard<'a>(context: &'a Context<'_>) -> Option<(&'a Gateway, &'a Route)> {
    let asks = |route: &&Route| matches!(route.outcome.verdict, Verdict::Refused(401 | 403)) && route.outcome.asks_who;
    let parts = &context.deployed.as_ref()?.parts;
    parts.iter().find_map(|(gateway, survey)| Some((*gateway, survey.refusals.iter().find(asks)?)))
}

/// The model servers of a project: by their image, or because a proxy sends such requests there.
fn model_servers<'a>(own: &'a Deployed<'_>) -> impl Iterator<Item = &'a Service> {
    let is_one = |service: &&Service| match service.role {
        Role::ModelServer(_) => true,
        Role::Proxy | Role::ProxyWithDocker => false,
        Role::Other => own.parts.iter().any(|(_, survey)| outcomes(survey).any(|outcome| leads_to(outcome, service))),
    };
    own.deployment.services.iter().filter(is_one)
}

/// What becomes of the requests that reach model servers.
fn outcomes(survey: &Survey) -> impl Iterator<Item = &Outcome> {
    let routes = survey.routes.iter().map(|route: &Route| &route.outcome);
    routes.chain(survey.gaps.iter().map(|gap: &Gap| &gap.actual))
}

/// Whether a request ends at a service.
fn leads_to(outcome: &Outcome, service: &Service) -> bool {
    let Verdict::Proxied { upstream, .. } = &outcome.verdict else { return false };
    service.names.contains(upstream.rsplit_once(':').map_or(upstream.as_str(), |(host, _)| host))
}

/// A finding of a rule at a place of the project.
fn finding(
    context: &Context<'_>,
    rule: (&'static str, Severity),
    origin: &Origin,
    message: impl Into<String>,
) -> Option<Finding> {
    Some(Finding::new(rule.0, rule.1, message, context.place(origin)?))
}
