//! The rules: each looks at a gateway beside the policy and says what is wrong. One file a rule; its head is its page.
//!
//! In: a [`Context`]. Out: [`Finding`]s. Invariant: rules see gateways, outcomes and facts, never text or syntax; a finding about access
//! carries the request that shows it.

mod access;
mod cannot_evaluate;
mod compose;
mod cors;
mod evidence;
mod fails_open_when_unset;
mod keys;
mod leaks;
mod limits;
mod loading;
mod operation;
mod treatment;
mod unused_ignore;

use crate::analysis::measure::Measure;
use crate::analysis::survey::Survey;
use crate::diag::Diagnostic;
use crate::finding::{Edit, Finding, Fix, Place, Severity};
use crate::gateway::{Gateway, Origin};
use crate::project::deployment::Deployment;
use crate::project::repair::Change;
pub use crate::project::repair::{Repair, Workbench};

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub id: &'static str,
    /// How bad its findings are at most.
    pub severity: Severity,
    /// The text of its file, whose head is its page.
    pub source: &'static str,
    /// What finds it.
    pub check: fn(&Context<'_>, &mut Vec<Finding>),
}

/// Every rule, in the order of the list that `llmguard rules` prints.
pub const RULES: &[Rule] = &[
    access::admin_reachable::RULE,
    access::account_reachable::RULE,
    access::inference_reachable::RULE,
    access::metadata_reachable::RULE,
    access::unlisted_path_reachable::RULE,
    access::upstream_published::RULE,
    compose::guard_walked_around::RULE,
    compose::host_network::RULE,
    access::unguarded_server::RULE,
    access::path_spelling::RULE,
    access::method_not_guarded::RULE,
    access::upstream_chosen_by_client::RULE,
    access::request_splitting::RULE,
    access::any_key_accepted::RULE,
    access::empty_key_accepted::RULE,
    access::inexact_key::RULE,
    access::client_header_opens::RULE,
    access::every_key_is_admin::RULE,
    access::client_exceeds_policy::RULE,
    limits::no_rate_limit::RULE,
    limits::guessing_not_limited::RULE,
    limits::client_chosen_limit_key::RULE,
    limits::looser_limit::RULE,
    limits::no_connection_limit::RULE,
    limits::no_body_limit::RULE,
    limits::small_body_limit::RULE,
    limits::no_client_timeout::RULE,
    limits::limit_status_not_429::RULE,
    limits::limit_queues::RULE,
    operation::short_read_timeout::RULE,
    operation::write_timeout_cuts_streams::RULE,
    operation::buffered_stream::RULE,
    operation::compressed_stream::RULE,
    operation::upstream_refuses_host::RULE,
    operation::health_check_path::RULE,
    operation::http10_upstream::RULE,
    keys::placeholder_key::RULE,
    keys::weak_key::RULE,
    keys::committed_key::RULE,
    keys::unusable_hash::RULE,
    keys::cheap_hash::RULE,
    keys::slow_hash::RULE,
    leaks::config_exposed::RULE,
    leaks::credential_logged::RULE,
    leaks::key_in_query::RULE,
    leaks::key_without_tls::RULE,
    leaks::query_logged::RULE,
    leaks::credential_passed_on::RULE,
    leaks::metrics_exposed::RULE,
    leaks::accel_redirect_followed::RULE,
    leaks::version_shown::RULE,
    cors::any_origin_allowed::RULE,
    cors::origin_lookalike_allowed::RULE,
    cors::preflight_refused::RULE,
    cors::errors_without_cors::RULE,
    cors::doubled_cors_headers::RULE,
    fails_open_when_unset::RULE,
    compose::exposed_by_default::RULE,
    compose::shared_network::RULE,
    compose::vulnerable_image::RULE,
    compose::image_not_pinned::RULE,
    compose::ollama_any_origin::RULE,
    compose::ollama_host_wrong::RULE,
    compose::healthcheck_never_passes::RULE,
    compose::docker_socket_mounted::RULE,
    compose::privileged_container::RULE,
    compose::no_gpu_reserved::RULE,
    compose::dollar_not_doubled::RULE,
    compose::unset_variable::RULE,
    compose::obsolete_key::RULE,
    cannot_evaluate::RULE,
    loading::does_not_load::RULE,
    loading::missing_include::RULE,
    loading::missing_module::RULE,
    loading::loads_with_problems::RULE,
    loading::deprecated_directive::RULE,
    unused_ignore::RULE,
];

/// What rules look at.
#[derive(Debug)]
pub struct Context<'a> {
    /// What the config means, its secrets hidden.
    pub gateway: &'a Gateway,
    /// Its files, where they are repaired.
    pub workbench: &'a Workbench<'a>,
    /// The policy.
    pub measure: &'a Measure,
    /// What becomes of every request that matters.
    pub survey: &'a Survey,
    /// The same if every variable that isn't known is unset; absent: all are known.
    pub unset: Option<(&'a Gateway, &'a Survey)>,
    /// What reading the config brought up.
    pub problems: &'a [Diagnostic],
    /// The compose project whose published ports these are; absent: this is something else.
    pub deployed: Option<Deployed<'a>>,
}

/// A compose project.
#[derive(Debug)]
pub struct Deployed<'a> {
    /// What it runs; its origins are this gateway's.
    pub deployment: &'a Deployment,
    /// Its proxies and its published ports, each with what becomes of requests.
    pub parts: Vec<(&'a Gateway, &'a Survey)>,
}

impl Context<'_> {
    /// The place of an origin of this gateway. `None`: it lies in no file.
    pub fn place(&self, origin: &Origin) -> Option<Place> {
        place(self.gateway, origin)
    }

    /// The change that makes something hold at the place of an origin: that of the setting where it is written, else that of what it is about
    /// (the `proxy_pass`, the entry point, the port). `None`: the file can't be changed so, or it holds already. Whether it is
    /// safe is the repair's own word; a rule that knows better says `Fix { safe: …, ..fix }`.
    pub fn repair(&self, repair: Repair, origin: &Origin) -> Option<Fix> {
        let file = self.gateway.files.get(origin.file())?;
        let changes = self.workbench.repair(origin.file(), origin.span(), &repair)?;
        let edit = |change: Change| Edit { file: file.name.clone(), span: change.span, text: change.text };
        let edits = changes.into_iter().map(edit).collect();
        Some(Fix { description: repair.description(), safe: repair.is_safe(), edits })
    }
}

impl Context<'_> {
    /// The same for several changes at one place: all of them, or none.
    pub fn repairs(&self, repairs: impl IntoIterator<Item = Repair>, origin: &Origin) -> Option<Fix> {
        let fixes: Option<Vec<Fix>> = repairs.into_iter().map(|repair| self.repair(repair, origin)).collect();
        let together = |mut one: Fix, other: Fix| {
            one.description = format!("{}, {}", one.description, other.description);
            one.safe &= other.safe;
            one.edits.extend(other.edits);
            one
        };
        fixes?.into_iter().reduce(together)
    }
}

/// The place of an origin. `None`: it lies in no file.
pub fn place(gateway: &Gateway, origin: &Origin) -> Option<Place> {
    Some(Place { file: gateway.files.get(origin.file())?.clone(), span: origin.span() })
}

impl Rule {
    /// The rule of this name.
    pub fn find(id: &str) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.id == id)
    }

    /// Its page: Markdown.
    pub fn page(&self) -> String {
        let lines = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
        let severity = self.severity.name();
        format!("# {} ({severity})\n\n{}\n", self.id, lines.collect::<Vec<_>>().join("\n"))
    }

    /// The first sentence of its page.
    pub fn summary(&self) -> String {
        let lines = self.source.lines().map_while(|line| line.strip_prefix("//! "));
        lines.take(1).collect()
    }
}

/// The pages of all rules and their index, as files: names and Markdown.
pub fn pages() -> Vec<(String, String)> {
    let mut index =
        "# Rules\n\nWhat `llmguard lint` finds. `llmguard explain RULE` shows a page in the terminal.\n\n".to_owned();
    index.push_str("| rule | severity | finds |\n|---|---|---|\n");
    for rule in RULES {
        index.push_str(&format!("| [{0}]({0}.md) | {1} | {2} |\n", rule.id, rule.severity.name(), rule.summary()));
    }
    let own = RULES.iter().map(|rule| (format!("{}.md", rule.id), rule.page()));
    std::iter::once(("README.md".to_owned(), index)).chain(own).collect()
}

/// Everything that all rules find.
pub fn check(context: &Context<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    RULES.iter().for_each(|rule| (rule.check)(context, &mut found));
    found
}
