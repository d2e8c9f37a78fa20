//! Rates: of an address and of a client, in the contract's order.

use std::time::Duration;

use llmguard::policy::plan::Proxy;
use llmguard::prove::question::Question;

use crate::rig::{KEY, OWNER_KEY, Rig, Words as _, basic, request};

pub const POLICY: &str = r#"
[upstream]
kind = "ollama"
[listen]
trusted_proxies = ["127.0.0.9/32"]
[limits]
rate = { requests = 60, per = "1m", burst = 4 }
[[client]]
name = "laptop"
api_key = "env:KEY"
rate = { requests = 6, per = "1m", burst = 3 }
[[client]]
name = "owner"
api_key = "env:OWNER_KEY"
password_hash = "$2a$05$Hw.nG0T/IMChR43IcnxDUO9kGx1jnsWwR.XUtiFqo0m/N8ybv5amm"
rate = { requests = 6, per = "1m", burst = 3 }
"#;

pub fn cases(rig: Rig<'_>) {
    rig.at_once(&[order, refill, networks, direct, shared, forbidden]);
}

fn wrong(address: &str) -> Question {
    request("GET", "/api/tags").from(address).with("X-API-Key", "wrong-key-0123456789abcdef")
}

fn good(path: &str) -> Question {
    request("GET", path).with("Authorization", &format!("Bearer {KEY}"))
}

fn order(rig: &Rig<'_>) {
    let statuses: Vec<u16> = (0..4).map(|_| rig.status(&wrong("127.30.0.1"))).collect();
    rig.check("within the burst", statuses == [401; 4], &statuses);
    let asked = [
        ("no good key", wrong("127.30.0.1")),
        ("a good key", good("/api/tags")),
        ("forbidden", good("/api/pull")),
        (
            "foreign",
            request("GET", "/api/tags").with("Origin", "https://evil.test").with("Authorization", "Basic eDp5"),
        ),
    ];
    for (what, question) in asked {
        let got = rig.ask(&question.from("127.30.0.1"));
        let retry = got.header("Retry-After").map(|v| String::from_utf8_lossy(v).into_owned());
        rig.check(
            what,
            got.status == Some(429) && retry.as_ref().is_some_and(|v| v.parse::<u32>().is_ok_and(|n| n > 0)),
            (got.status, retry),
        );
    }
    let health = rig.status(&request("GET", "/health").from("127.30.0.1"));
    rig.check("health has no limit", health == 200, health);
}

/// One request a second comes back, and the whole burst in four.
fn refill(rig: &Rig<'_>) {
    let ask = |n: usize| (0..n).map(|_| rig.status(&wrong("127.30.0.2"))).collect::<Vec<_>>();
    let all = vec![401, 401, 401, 401, 429];
    rig.check("the burst", ask(5) == all, "not four");
    std::thread::sleep(Duration::from_millis(1200));
    let later = ask(2);
    // Listed: behind Caddy a spent burst comes back at once a window later, not one by one.
    let one = if rig.proxy() == Proxy::Caddy { [429, 429] } else { [401, 429] };
    rig.check("a second later", later == one, later);
    std::thread::sleep(Duration::from_millis(4200));
    let later = ask(5);
    rig.check("a window later", later == all, later);
}

fn networks(rig: &Rig<'_>) {
    let ask = |address: &str| rig.status(&wrong("127.0.0.9").with("X-Forwarded-For", address));
    let one: Vec<u16> =
        ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:2:0:0:0:3", "2001:DB8:1:2::4", "2001:db8:1:2::5"]
            .map(ask)
            .to_vec();
    let other = ask("2001:db8:1:3::1");
    rig.check("a /64 is one", one == [401, 401, 401, 401, 429] && other == 401, (one, other));
}

fn direct(rig: &Rig<'_>) {
    let statuses: Vec<u16> = (10..16).map(|n| rig.status(&wrong(&format!("127.30.1.{n}")))).collect();
    rig.check("direct peers", statuses == [401; 6], statuses);
}

/// One client, three ways to say so, one bucket of three.
fn shared(rig: &Rig<'_>) {
    let login = basic("owner", &rig.engine.moved.passwords["owner"]);
    let bearer = || request("GET", "/api/tags").with("Authorization", &format!("Bearer {OWNER_KEY}"));
    let key = || request("GET", "/api/tags").with("X-API-Key", OWNER_KEY);
    let by_password = || request("GET", "/api/tags").with("Authorization", &login);
    let asked = [bearer(), key(), bearer(), key(), bearer(), by_password()];
    let statuses = from_everywhere(rig, 1, asked);
    // Listed: behind nginx a Basic client's own rate counts per claimed name and IP.
    let last = if rig.proxy() == Proxy::Nginx { 200 } else { 429 };
    rig.check("one rate for every way", statuses == [200, 200, 200, 429, 429, last], statuses);
    if rig.proxy() == Proxy::Nginx {
        let failed = basic("owner", "wrong-password");
        let failing =
            (0..3).map(|_| rig.status(&by_password().with("X-Try", "1").from("127.33.0.1"))).collect::<Vec<_>>();
        let after = rig.status(&request("GET", "/api/tags").with("Authorization", &failed).from("127.33.0.1"));
        rig.check("failed logins count", failing == [200; 3] && after == 429, (failing, after));
    }
}

/// Each request from an address of its own, so that only the client's rate counts.
fn from_everywhere(rig: &Rig<'_>, net: u8, asked: impl IntoIterator<Item = Question>) -> Vec<u16> {
    let asked = asked.into_iter().zip(1..);
    asked.map(|(question, host)| rig.status(&question.from(&format!("127.31.{net}.{host}")))).collect()
}

fn forbidden(rig: &Rig<'_>) {
    let paths = ["/api/pull"; 4].into_iter().chain(["/api/tags"; 4]);
    let statuses = from_everywhere(rig, 2, paths.map(good));
    rig.check("forbidden requests don't count", statuses == [403, 403, 403, 403, 200, 200, 200, 429], statuses);
}
