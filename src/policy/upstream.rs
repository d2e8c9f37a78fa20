//! The `[upstream]` table: kind, servers, Host, key.
//!
//! In: the table and the variables. Out: the catalogue's kind, an [`Upstream`]. Invariant: at least one server, each named once.

use super::file::{UpstreamFile, nearest};
use super::parse;
use super::plan::{Balance, KeyOrigin, KeySource, Server, Upstream};
use super::validate::Check;
use super::value::Spanned;
use crate::catalog::Kind;
use crate::diag::Severity;

pub(super) fn kind(file: &UpstreamFile, check: &mut Check<'_>) -> Option<Kind> {
    let Some(kind) = &file.kind else {
        if !file.places.keys.contains_key("kind") {
            check.error(
                file.places.at(""),
                "`upstream` has no `kind`",
                "add kind = \"ollama\" (or vllm, llama-cpp, openai)",
            );
        }
        return None;
    };
    let found = Kind::find(&kind.value);
    if found.is_none() {
        let help = match nearest(&kind.value, Kind::names()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("known kinds: {}", Kind::names().collect::<Vec<_>>().join(", ")),
        };
        check.error(kind.span, format!("unknown kind of upstream `{}`", kind.value.escape_debug()), help);
    }
    found
}

pub(super) fn upstream(file: &UpstreamFile, kind: &Kind, check: &mut Check<'_>) -> Option<Upstream> {
    let mut servers = Vec::new();
    for item in file.servers.iter().flat_map(|list| &list.value) {
        match parse::server(&item.value) {
            Ok(server) if servers.contains(&server) => {
                check.error(item.span, format!("server `{server}` stands twice"), "name each server once")
            }
            Ok(server) => servers.push(server),
            Err((message, help)) => check.error(item.span, message, help),
        }
    }
    let servers_given = file.servers.is_some();
    match (&file.servers, kind.default_port) {
        (Some(list), _) if list.value.is_empty() => check.error(
            list.span,
            "`upstream.servers` is empty",
            "name a server as \"host:port\", or leave the key out",
        ),
        (None, Some(port)) => servers.push(Server { host: "127.0.0.1".to_owned(), port }),
        (None, None) => check.error(
            file.places.at("kind"),
            format!("kind `{}` has no default server", kind.kind),
            "add servers = [\"host:port\"]",
        ),
        _ => {}
    }
    let host = match &file.host {
        None => format!("localhost:{}", servers.first()?.port),
        Some(host) => {
            let (name, port) = host.value.split_once(':').unwrap_or((&host.value, "1"));
            if !parse::is_host_name(name) || !port.parse::<u16>().is_ok_and(|port| port > 0) {
                check.error(
                    host.span,
                    format!("`{}` can't be a Host header", host.value.escape_debug()),
                    "write a name and port, such as \"localhost:11434\"",
                );
            }
            host.value.clone()
        }
    };
    let api_key = file.api_key.as_ref().and_then(|key| upstream_key(key, check));
    let balance = check.word(
        "upstream.balance",
        file.balance.as_ref(),
        &[("least-connections", Balance::LeastConnections), ("round-robin", Balance::RoundRobin)],
        Balance::LeastConnections,
    );
    if let Some(balance) = &file.balance
        && servers.len() == 1
    {
        check.warning(
            balance.span,
            "`upstream.balance` does nothing with one server",
            "name several servers, or leave it out",
        );
    }
    let health = (kind.health.method.clone(), kind.health.path.clone());
    (!servers.is_empty()).then_some(Upstream {
        kind: kind.kind.clone(),
        servers,
        servers_given,
        host,
        api_key,
        balance,
        health,
    })
}

fn upstream_key(key: &Spanned<String>, check: &mut Check<'_>) -> Option<KeySource> {
    let Some(name) = key.value.strip_prefix("env:") else {
        check.error(
            key.span,
            "`upstream.api_key` must be `env:NAME`",
            "put the key into .env and name its variable here",
        );
        return None;
    };
    let name = parse::variable(name).map_err(|(message, help)| check.error(key.span, message, help)).ok()?;
    let value = check.variables.get(&name).cloned();
    match &value {
        None => check.add(
            Severity::Note,
            key.span,
            format!("variable `{name}` is not set: the upstream gets no key"),
            "set it in the environment or in .env",
        ),
        Some(value)
            if !value.reveal().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte))
                || value.reveal().len() > 512 =>
        {
            check.error(
                key.span,
                format!("the key in `{name}` holds what no bearer token may"),
                "a token has A-Z a-z 0-9 . _ ~ + / = - only",
            );
        }
        Some(_) => {}
    }
    Some(KeySource { origin: KeyOrigin::Env(name), value, span: key.span })
}
