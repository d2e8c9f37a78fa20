//! What takes time, on every real server: timeouts, streams, clients that leave, several upstreams, stopping, rates, and what the log says.
//!
//! One test a server; a server that isn't there is a named skip. Each group of cases has a server of its own, and groups and cases run at
//! once, since most of them wait. What a server forces is asserted as it stands in the contract's list; what is not in that list
//! is a constant here with its measurement.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

#[path = "../common/mod.rs"]
mod common;

mod log;
mod patience;
mod rates;
mod rig;
mod several;
mod stopping;
mod trusted;
mod upstreams;

use std::sync::Mutex;

use llmguard::policy::plan::Proxy;
use rig::{Bench, Rig};

/// A group: its name, its policy, and its cases.
type Group = (&'static str, &'static str, fn(Rig<'_>));

const GROUPS: &[Group] = &[
    ("patience", patience::POLICY, patience::cases),
    ("http2", patience::TLS_POLICY, patience::over_http2),
    ("upstreams", patience::POLICY, upstreams::cases),
    ("several", several::POLICY, several::cases),
    ("stopping", patience::POLICY, stopping::cases),
    ("trusted", trusted::POLICY, trusted::cases),
    ("log", log::POLICY, log::cases),
    ("rates", rates::POLICY, rates::cases),
];

fn in_time(proxy: Proxy, test: &str, variable: &str) {
    let Some(program) = common::server(test, variable) else { return };
    let bench = Bench { proxy, program, wrong: Mutex::default() };
    let only = std::env::var("LLMGUARD_TIME_GROUP").ok();
    std::thread::scope(|threads| {
        for (name, policy, cases) in GROUPS.iter().filter(|(name, ..)| only.as_deref().is_none_or(|only| only == *name))
        {
            let bench = &bench;
            threads.spawn(move || cases(Rig::start(bench, name, policy)));
        }
    });
    let wrong = bench.wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} things are not as the policy says:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nginx_of_debian_keeps_time() {
    in_time(Proxy::Nginx, "time-nginx-old", "LLMGUARD_NGINX_OLD");
}

#[test]
fn current_nginx_keeps_time() {
    in_time(Proxy::Nginx, "time-nginx", "LLMGUARD_NGINX");
}

#[test]
fn caddy_keeps_time() {
    in_time(Proxy::Caddy, "time-caddy", "LLMGUARD_CADDY");
}

#[test]
fn traefik_keeps_time() {
    in_time(Proxy::Traefik, "time-traefik", "LLMGUARD_TRAEFIK");
}
