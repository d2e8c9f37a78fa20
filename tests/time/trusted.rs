//! Who the client is behind a trusted proxy: as the upstream, the limiter and the log see it.

use llmguard::policy::plan::Proxy;
use llmguard::prove::question::Question;
use serde_json::Value;

use crate::rig::{KEY, Rig, Words as _, request};

pub const POLICY: &str = r#"
[upstream]
kind = "ollama"
[listen]
trusted_proxies = ["127.0.0.9/32", "10.0.0.0/8"]
[limits]
rate = { requests = 3, per = "1m", burst = 3 }
[[client]]
name = "laptop"
api_key = "env:KEY"
"#;

/// The trusted peer, and some who aren't.
const PEER: &str = "127.0.0.9";
const STRANGERS: &[&str] = &["127.0.0.7", "127.0.0.8"];

/// X-Forwarded-For from the trusted peer, line by line, and the client that it means. `N` is another digit in each request. Each means
/// a client of its own, so each has a bucket of its own.
const VECTORS: &[(&[&str], &str)] = &[
    (&["9.9.9.1"], "9.9.9.1"),
    (&["6.6.6.N, 9.9.9.2"], "9.9.9.2"),
    (&["6.6.6.N, 9.9.9.3, 10.1.1.1"], "9.9.9.3"),
    (&["6.6.6.N", "9.9.9.4"], "9.9.9.4"),
    (&["junkN, 9.9.9.5"], "9.9.9.5"),
    (&["2001:db8::7"], "2001:db8::7"),
    (&[], PEER),
];

/// Values that the contract says nothing exact about: the client, the same for every `N`, as nginx 1.22 and 1.31 and Caddy 2.11.7 see it.
const UNCLEAR: &[(&str, &str, &str)] = &[
    // Only trusted ones: nginx takes the leftmost, Caddy the peer.
    ("10.2.2.2, 10.1.1.1", "10.2.2.2", PEER),
    // What is no address ends nginx's search, Caddy passes over it.
    ("9.9.9.8, junkN", PEER, "9.9.9.8"),
    // Both cut a port.
    ("9.9.9.6:123N", "9.9.9.6", "9.9.9.6"),
];

/// Traefik 3.7.15 takes an address with its port for a client, so behind a proxy that writes ports each connection has a bucket of its own.
const TRAEFIK_A_BUCKET_FOR_EACH_PORT: bool = true;

/// What the upstream is told by Traefik 3.7.15 about a client that comes without X-Forwarded-For or from a peer that isn't trusted, where the policy
/// has `trusted_proxies`: nothing but X-Real-IP. The same setting lets the header end with the client for all who come through the proxy.
const TRAEFIK_FORWARDED_FOR_WITHOUT_A_PROXY: &[&str] = &[];

pub fn cases(rig: Rig<'_>) {
    for (number, (lines, client)) in VECTORS.iter().enumerate() {
        let statuses = asked(&rig, &format!("vector-{number}"), PEER, lines, client);
        rig.check(
            "three pass, whatever stands left of the client",
            statuses == [200, 200, 200, 429],
            (lines, statuses),
        );
    }
    for (number, (line, nginx, caddy)) in UNCLEAR.iter().enumerate() {
        let client = if rig.proxy() == Proxy::Nginx { nginx } else { caddy };
        let statuses = asked(&rig, &format!("unclear-{number}"), PEER, &[line], client);
        // Beside the bucket of the peer, which is empty by now.
        let shared = if *client == PEER { [429; 4] } else { [200, 200, 200, 429] };
        let port = line.contains(':') && rig.proxy() == Proxy::Traefik && TRAEFIK_A_BUCKET_FOR_EACH_PORT;
        let right = if port { statuses == [200; 4] } else { statuses == shared };
        rig.check("unclear", right || rig.proxy() == Proxy::Traefik && !port, (line, statuses));
    }
    // Whoever isn't trusted is the client, whatever he says, and shares no bucket with others who come directly.
    for (number, stranger) in STRANGERS.iter().enumerate() {
        let statuses = asked(&rig, &format!("stranger-{number}"), stranger, &["9.9.9.N"], stranger);
        rig.check("a stranger", statuses == [200, 200, 200, 429], (stranger, statuses));
    }
}

/// Asks four times and judges what the upstream and the log are told.
fn asked(rig: &Rig<'_>, name: &str, peer: &str, lines: &[&str], client: &str) -> Vec<u16> {
    let path = format!("/v1/models/{name}");
    let mut statuses = Vec::new();
    for round in 1..=4 {
        let lines: Vec<String> = lines.iter().map(|line| line.replace('N', &round.to_string())).collect();
        let question = request("GET", &path).from(peer).with("Authorization", &format!("Bearer {KEY}"));
        let question: Question = lines.iter().fold(question, |question, line| question.with("X-Forwarded-For", line));
        let (_, got, seen) = rig.ask_and_see(&question);
        statuses.push(got.status.unwrap_or(444));
        // Listed: behind Traefik it is all what the trusted proxy sent.
        let raw = rig.proxy() == Proxy::Traefik && peer == PEER && !lines.is_empty();
        let (logged, real) = if raw { (lines.join(", "), PEER) } else { (client.to_owned(), client) };
        let forwarded = if rig.proxy() == Proxy::Traefik && !raw {
            TRAEFIK_FORWARDED_FOR_WITHOUT_A_PROXY
        } else {
            &[logged.as_str()]
        };
        for seen in seen {
            let told =
                |name| seen.header_all(name).map(|v| String::from_utf8_lossy(v).into_owned()).collect::<Vec<_>>();
            let told = (told("X-Forwarded-For"), told("X-Real-IP"));
            let right = told.0 == forwarded && told.1 == [real];
            rig.check("the upstream is told", right, (&lines, told));
        }
        let of_this = |line: &&String| line.contains(&path);
        let log = rig.log_lines(|all| all.iter().filter(of_this).count() >= statuses.len());
        let last =
            log.iter().rfind(of_this).and_then(|line| serde_json::from_str::<Value>(line).ok()).unwrap_or_default();
        let address = match rig.proxy() {
            Proxy::Nginx => &last["ip"],
            Proxy::Caddy => &last["request"]["client_ip"],
            Proxy::Traefik => &last["ClientHost"],
        };
        rig.check("the log is told", *address == logged.as_str(), (&lines, address));
    }
    statuses
}
