//! Policies for TLS connections: client certificates, and how policies are joined (Caddy 2.11, caddytls/connpolicy.go, httptype.go).
//!
//! In: policies as JSON. Out: the list that Caddy makes of them. Invariant: those without a matcher stand last.

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::Adapter;
use super::field::unknown;

/// `client_auth { … }`
pub(super) fn client_auth(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<Json> {
    tokens.advance();
    let mut json = Json::map(tokens.place());
    let mut certificates = Vec::new();
    while tokens.next_arg() {}
    let outer = tokens.nesting();
    while tokens.next_block(outer) {
        let place = tokens.place();
        match tokens.val() {
            "mode" => {
                let mode = tokens.only()?;
                json.set_full("mode", Json::text(tokens.place(), mode));
            }
            "trusted_ca_cert" => {
                let certificate = tokens.need()?;
                certificates.push(Json::text(tokens.place(), certificate));
            }
            "trusted_leaf_cert" => {
                let certificate = tokens.need()?;
                json.at(&["trusted_leaf_certs"], place).push(Json::text(tokens.place(), certificate));
            }
            // The files' certificates stand in Caddy's JSON; here their names are enough.
            "trusted_ca_cert_file" => {
                let file = tokens.need()?;
                certificates.push(Json::text(tokens.place(), file));
            }
            "trusted_leaf_cert_file" => {
                let file = tokens.need()?;
                json.at(&["trusted_leaf_certs"], place).push(Json::text(tokens.place(), file));
            }
            "trust_pool" => {
                tokens.need()?;
                let pool = trust_pool(adapter, tokens)?;
                json.set("ca", pool);
            }
            "verifier" => {
                let name = tokens.need()?;
                let place = tokens.place();
                if &*name != "leaf" {
                    adapter.plugin("the verifier of certificates", &name, place);
                }
                tokens.next_segment();
                json.at(&["verifiers"], place).push(Json::map(place).with("verifier", Json::text(place, name)));
            }
            _ => return Err(unknown(tokens)),
        }
    }
    if !certificates.is_empty() {
        if json.get("ca").is_some() {
            return Err(tokens.fault("the certificates to trust are given twice"));
        }
        let place = json.place;
        let list = Json::list(place, certificates);
        json.set("ca", Json::map(place).with("provider", Json::text(place, "inline")).with("trusted_ca_certs", list));
    }
    Ok(json)
}

/// The certificates to trust that the cursor's module names.
pub(super) fn trust_pool(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<Json> {
    let (name, place) = (tokens.text(), tokens.place());
    let json = Json::map(place).with("provider", Json::text(place, name.clone()));
    let mut inner = Dispenser::new(tokens.next_segment());
    inner.advance();
    let (line, member) = match &*name {
        "inline" => ("trust_der", "trusted_ca_certs"),
        "file" => ("pem_file", "pem_files"),
        "pki_root" | "pki_intermediate" => ("authority", "authority"),
        "system" | "combined" | "http" | "storage" => return Ok(json),
        _ => {
            adapter.plugin("the source of trusted certificates", &name, place);
            return Ok(json);
        }
    };
    let mut list = Json::list(place, Vec::new());
    let args = inner.args();
    if line == "trust_der" && !args.is_empty() {
        return Err(inner.wrong_count());
    }
    args.iter().for_each(|arg| list.push(Json::word(arg)));
    while inner.next_block(0) {
        if inner.val() != line {
            return Err(unknown(&inner));
        }
        inner.args().iter().for_each(|arg| list.push(Json::word(arg)));
    }
    if list.items().is_empty() {
        return Err(inner.fault("no certificate is named"));
    }
    Ok(json.with(member, list))
}

/// The members of a policy besides its matcher.
fn settings(policy: &Json) -> Json {
    let mut settings = policy.clone();
    settings.remove("match");
    settings
}

/// Whether a policy sets nothing.
pub(super) fn settings_empty(policy: &Json) -> bool {
    policy.members().iter().all(|member| &*member.key == "match")
}

/// Whether two maps have equal members, in whatever order.
fn same(one: &Json, two: &Json) -> bool {
    let within =
        |one: &Json, two: &Json| one.members().iter().all(|member| two.get(&member.key) == Some(&member.value));
    within(one, two) && within(two, one)
}

/// Joins policies that say the same. Err: what is in conflict.
pub(super) fn consolidate(mut policies: Vec<Json>) -> Result<Vec<Json>, String> {
    policies.sort_by_key(|policy| policy.get("match").is_none());
    let mut at = 0;
    while at < policies.len() {
        match partner(&policies, at)? {
            None => at += 1,
            Some(Join { other, joined }) => {
                policies[at] = joined;
                policies.remove(other);
            }
        }
    }
    Ok(policies)
}

/// What becomes of two policies.
struct Join {
    other: usize,
    joined: Json,
}

fn partner(policies: &[Json], at: usize) -> Result<Option<Join>, String> {
    let one = &policies[at];
    for (other, two) in policies.iter().enumerate() {
        if other == at {
            continue;
        }
        if same(one, two) {
            return Ok(Some(Join { other, joined: one.clone() }));
        }
        let names = |policy: &Json| policy.get("match").and_then(|set| set.get("sni")).map(|sni| sni.items().to_vec());
        if other == at + 1
            && let (Some(mut first), Some(second)) = (names(one), names(two))
            && same(&settings(one), &settings(two))
        {
            first.extend(second);
            let mut joined = one.clone();
            joined.set("match", Json::map(one.place).with("sni", Json::list(one.place, first)));
            return Ok(Some(Join { other, joined }));
        }
        if one.get("match") == two.get("match") {
            let mut joined = one.clone();
            for member in settings(two).members() {
                match one.get(&member.key) {
                    None => joined.set(&member.key, member.value.clone()),
                    Some(value) if &*member.key == "certificate_selection" => {
                        let mut tags = value.get("any_tag").map(Json::items).unwrap_or_default().to_vec();
                        let more = member.value.get("any_tag").map(Json::items).unwrap_or_default();
                        for tag in more {
                            if !tags.contains(tag) {
                                tags.push(tag.clone());
                            }
                        }
                        let tags = Json::list(value.place, tags);
                        joined.set(&member.key, Json::map(value.place).with("any_tag", tags));
                    }
                    Some(value) if *value == member.value || &*member.key == "insecure_secrets_log" => {}
                    Some(_) => return Err(format!("two TLS policies for the same hosts differ in `{}`", &*member.key)),
                }
            }
            return Ok(Some(Join { other, joined }));
        }
    }
    Ok(None)
}

/// Whether a name falls under a wildcard (certmagic 0.25 `MatchWildcard`).
pub(super) fn under(name: &str, wildcard: &str) -> bool {
    let (name, wildcard) = (name.to_lowercase(), wildcard.to_lowercase());
    if name == wildcard {
        return true;
    }
    let mut labels: Vec<&str> = name.split('.').collect();
    for at in 0..labels.len() {
        if labels[at].is_empty() {
            continue;
        }
        labels[at] = "*";
        if labels.join(".") == wildcard {
            return true;
        }
    }
    false
}
