//! Caddy: one Caddyfile for 2.11.7 and later (before 2.11.5 `read_body_idle` stops the start).
//!
//! In: a plan. Out: `caddy/Caddyfile`. Invariant: one `route` whose lines stand in the contract's order; paths, keys and origins are
//! compared with `vars` and `vars_regexp`, which see the request's own bytes (Caddy's `path` and `header` matchers fold, clean and
//! expand); keys and hashes from the environment stay there.

mod parts;
mod regex;
mod who;

use minijinja::{Value, context};

use super::escape::{Token, caddy_argument, caddy_arguments, caddy_with_braces, comment};
use super::template::{self, Template};
use super::{Output, Site};
use crate::policy::plan::{Endpoint, EndpointSet, ModelPlace, Plan};

const TEMPLATES: &[Template] = &[("Caddyfile", include_str!("../../../templates/caddy/Caddyfile"))];

/// The path of a logged URI: without the query, and without the authority of an absolute-form target, which may hold a password.
const URI: &str = "^(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?([^?#]*).*$";

/// What a user must know before the first start.
const RATE_MODULE: &str = "caddy: the rate limits need a Caddy with the rate_limit module, and one without it refuses to start: use the \
    Dockerfile that the target `compose` writes, or `caddy add-package github.com/mholt/caddy-ratelimit`, or choose the module on Caddy's \
    download page; with `limits.rate = false` and no client's own rate any Caddy does, but then nothing slows the guessing of keys";

/// Renders the target `caddy`.
pub fn render(plan: &Plan, site: &Site, out: &mut Output) {
    parts::gaps(plan, out);
    let mut extra = vec![
        "Run it in this folder: caddy run --config Caddyfile --envfile ../.env".to_owned(),
        "It needs Caddy 2.11.7 or later.".to_owned(),
    ];
    if plan.limits.rate.is_some() || plan.clients.iter().any(|client| client.rate.is_some()) {
        extra.push(
            "Its rate limits need the module http.handlers.rate_limit (github.com/mholt/caddy-ratelimit);".to_owned(),
        );
        extra.push("three ways to it: the Dockerfile that the target `compose` writes; caddy add-package; Caddy's download page.".to_owned());
        out.notes.push(RATE_MODULE.to_owned());
    }
    out.notes.extend(parts::acme_note(plan));
    let head = out.head(plan, site, &extra);
    let literal_hash =
        |client: &crate::policy::plan::Client| client.password.as_ref().is_some_and(|hash| hash.env.is_none());
    match file(plan, &head) {
        Ok(text) if plan.clients.iter().any(literal_hash) => {
            out.secret_file("caddy/Caddyfile", text, 0o640, Some("caddy"));
        }
        Ok(text) => out.file("caddy/Caddyfile", text),
        Err(reason) => out.refuse("", plan.places.at(""), reason, "change that value, or choose another target"),
    }
}

fn file(plan: &Plan, head: &[String]) -> Result<String, String> {
    let limits = &plan.limits;
    let public = &plan.access.public;
    let values = context! {
        head => head.iter().map(|line| Value::from(comment(line))).collect::<Vec<_>>(),
        uri_regex => caddy_with_braces(URI)?,
        uri_path => caddy_with_braces("${1}")?,
        log_output => parts::log_output(&plan.log)?,
        timeouts => parts::timeouts(&plan.timeouts)?,
        balance => parts::balance(plan)?,
        servers => parts::words(plan.upstream.servers.iter().map(ToString::to_string))?,
        upstream_host => caddy_argument(&plan.upstream.host)?,
        upstream_key => plan.upstream.api_key.as_ref().map(|key| who::secret("Bearer ", &key.origin)).transpose()?,
        // Go counts a little more than the bytes of a head; up to the limit they must pass, from twice the limit on not (2.11.9: +4 KiB)
        header_bytes => limits.header.saturating_mul(5) / 4,
        body_bytes => limits.body,
        large_regex => caddy_with_braces(&regex::greater_than(limits.body))?,
        models => models(plan)?,
        cors => parts::cors(plan)?,
        origins => parts::origins(plan)?,
        every_origin => plan.cors.as_ref().is_some_and(|cors| cors.any),
        health_regex => pattern(plan.access.health.as_deref().and_then(regex::health))?,
        rate => limits.rate.map(|rate| parts::rate(&rate)).transpose()?,
        public_regex => pattern(regex::lines(&public.allow))?,
        public_except => pattern(regex::lines(&public.except))?,
        public_writes => public.allow.iter().any(|endpoint| !matches!(endpoint.method.as_str(), "GET" | "HEAD")),
        sets => plan.access.sets.iter().enumerate().map(set).collect::<Result<Vec<_>, _>>()?,
    };
    let values = context! { ..parts::listener(&plan.listen)?, ..who::values(plan)?, ..values };
    template::render(TEMPLATES, "Caddyfile", values)
}

/// A regular expression as an argument, if there is one.
fn pattern(regex: Option<String>) -> Result<Option<Token>, String> {
    regex.map(|regex| caddy_with_braces(&regex)).transpose()
}

/// The endpoints that one kind of client may use. A set of nothing matches nothing.
fn set((at, set): (usize, &EndpointSet)) -> Result<Value, String> {
    let allow = regex::lines(&set.allow).unwrap_or_else(|| "^$".to_owned());
    Ok(context! {
        id => who::set_id(at)?,
        allow => caddy_with_braces(&allow)?,
        except => pattern(regex::lines(&set.except))?,
    })
}

/// `access.models`: which requests name a model where, and which models are allowed.
fn models(plan: &Plan) -> Result<Option<Value>, String> {
    let models = &plan.access.models;
    if models.is_empty() {
        return Ok(None);
    }
    let sets = plan.access.sets.iter().chain([&plan.access.public]);
    let mut all = sets.flat_map(|set| &set.allow).collect::<Vec<&Endpoint>>();
    all.sort();
    all.dedup();
    let at = |place: ModelPlace| all.iter().copied().filter(move |endpoint| endpoint.model == place);
    Ok(Some(context! {
        uncertain => pattern(regex::lines(at(ModelPlace::Form)))?,
        paths => pattern(regex::lines(at(ModelPlace::Path)))?,
        path_names => pattern(regex::model_lines(at(ModelPlace::Path), models))?,
        bodies => pattern(regex::lines(at(ModelPlace::Body)))?,
        body => caddy_with_braces(&regex::body(models))?,
    }))
}

/// Arguments, one after the other, for a template.
fn arguments<'t>(texts: impl IntoIterator<Item = &'t String>) -> Result<Token, String> {
    Ok(caddy_arguments(texts.into_iter().map(|text| caddy_argument(text)).collect::<Result<Vec<_>, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Sink;
    use crate::policy::validate;
    use crate::policy::variables::Variables;
    use crate::secret::Secret;
    use crate::source::SourceFile;

    const KEY: &str = "lp_0123456789abcdefABCDEF-laptop1";

    fn rendered(policy: &str) -> Output {
        let file = SourceFile::new("llmguard.toml", "/p/llmguard.toml", policy);
        let process = [("LAPTOP_KEY".to_owned(), Secret::new(KEY))].into();
        let mut sink = Sink::default();
        let plan = validate::plan(&file, &Variables { process, file: None }, &mut sink);
        let plan = plan.unwrap_or_else(|| panic!("{:?}", sink.sorted()));
        let mut out = Output::default();
        render(&plan, &Site { command: "llmguard render {$X}".to_owned(), root: false }, &mut out);
        out
    }

    const SMALL: &str = "[upstream]\nkind = \"ollama\"\n[[client]]\nname = \"laptop\"\napi_key = \"env:LAPTOP_KEY\"\n";

    #[test]
    fn keys_are_named_and_never_written() {
        let (one, two) = (rendered(SMALL), rendered(SMALL));
        assert_eq!(one.files, two.files);
        let text = &one.files[0].content;
        assert!(!text.contains(KEY) && text.contains("vars lg_key {env.LAPTOP_KEY}"));
        assert!(!text.contains("{$"), "Caddy would expand this even in a comment");
        assert!(one.notes.iter().any(|note| note.contains("rate_limit module")));
    }

    #[test]
    fn what_caddy_cannot_do_is_said() {
        let out = rendered(&format!("{SMALL}[limits]\nconnections = 8\n"));
        assert_eq!(out.gaps.iter().map(|gap| gap.key.as_str()).collect::<Vec<_>>(), ["limits.connections"]);
        assert!(out.files[0].content.contains("# WEAKER THAN THE POLICY: `limits.connections`"));
    }

    #[test]
    fn a_literal_hash_is_not_for_everybody() {
        let hash = "$2a$05$Hw.nG0T/IMChR43IcnxDUO9kGx1jnsWwR.XUtiFqo0m/N8ybv5amm";
        let out = rendered(&format!(
            "[upstream]\nkind = \"ollama\"\n[[client]]\nname = \"carol\"\npassword_hash = \"{hash}\"\n"
        ));
        assert!(out.files[0].secret && out.files[0].mode == 0o640);
    }
}
