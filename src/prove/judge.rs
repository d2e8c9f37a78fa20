//! Whether a server's answer is the one that the policy means.
//!
//! In: the evaluator's outcome, what the server sent, what reached the upstream. Out: complaints, or none. Invariant: judged is what a
//! client and an upstream can see, by the contract's lines 1 to 11; nothing is let through here that a server forces (see
//! [`super::differences`]).

use std::net::IpAddr;

use super::question::Question;
use super::upstream::Seen;
use super::wire::Exchange;
use crate::gateway::eval::{Outcome, Verdict};
use crate::policy::plan::{Cors, Plan, Tls};

/// What a server did with a question.
#[derive(Debug, Clone)]
pub struct Observed {
    /// What came back.
    pub exchange: Exchange,
    /// What arrived behind it.
    pub seen: Vec<Seen>,
    /// Whether all of it was seen. What a config decides has no answer's headers and body, and not those that a proxy adds by itself.
    pub whole: bool,
}

impl Observed {
    /// What a client and an upstream would see of a decision. `None`: it isn't known.
    pub fn decided(outcome: &Outcome, question: &Question) -> Option<Observed> {
        let (status, seen) = match &outcome.verdict {
            Verdict::Refused(status) | Verdict::Answered(status) => (*status, None),
            Verdict::Proxied { target, host, .. } => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let own = outcome.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
                let own = own.map(|(name, value)| (text(name), value.clone()));
                let headers = std::iter::once(("Host".to_owned(), host.clone().into_bytes())).chain(own).collect();
                let method = text(&outcome.method);
                let body_len = question.request.body_bytes;
                (
                    200,
                    Some(Seen {
                        method,
                        target: target.clone(),
                        headers,
                        body_len,
                        body_complete: true,
                        ..Seen::default()
                    }),
                )
            }
            Verdict::Unknown { .. } => return None,
        };
        let status = (status != 444).then_some(status);
        let exchange = Exchange { status, ..Exchange::default() };
        Some(Observed { exchange, seen: seen.into_iter().collect(), whole: false })
    }
}

/// The headers that the upstream never gets from a client.
const REMOVED: &[&str] = &[
    "X-API-Key",
    "Cookie",
    "Proxy-Authorization",
    "Origin",
    "Referer",
    "Forwarded",
    "X-Forwarded-Prefix",
    "X-HTTP-Method-Override",
    // These end at the gateway: a tunnel would pass by every rule, a body that is at hand waits for nothing.
    "Upgrade",
    "Expect",
];

/// Everything in which an answer is not what the policy means.
pub fn complaints(plan: &Plan, question: &Question, expected: &Outcome, observed: &Observed) -> Vec<String> {
    let mut judge = Judge { plan, question, observed, list: Vec::new() };
    match &expected.verdict {
        Verdict::Refused(status) => judge.refused(*status),
        Verdict::Answered(status) => judge.answered(*status),
        Verdict::Proxied { target, host, .. } => judge.proxied(target, host),
        Verdict::Unknown { reason, .. } => judge.list.push(format!("the policy itself says nothing: {reason}")),
    }
    judge.list
}

struct Judge<'a> {
    plan: &'a Plan,
    question: &'a Question,
    observed: &'a Observed,
    list: Vec<String>,
}

impl Judge<'_> {
    fn complain(&mut self, text: impl Into<String>) {
        self.list.push(text.into());
    }

    fn not_forwarded(&mut self) {
        if let Some(seen) = self.observed.seen.first() {
            let text = format!("reached the upstream as `{} {}`", seen.method, String::from_utf8_lossy(&seen.target));
            self.complain(text);
        }
    }

    /// The answer's status, 444 where there was none.
    fn status(&self) -> u16 {
        self.observed.exchange.status.unwrap_or(444)
    }

    fn expect_status(&mut self, allowed: &[u16]) -> bool {
        let status = self.status();
        if allowed.contains(&status) {
            return true;
        }
        let end = if status == 444 { format!(" ({:?})", self.observed.exchange.end) } else { String::new() };
        self.complain(format!("status {status}{end} instead of {}", list(allowed)));
        false
    }

    fn refused(&mut self, status: u16) {
        // Line 10: of a body that turns out too large, what came before may be on its way, but never the end of a request.
        let limit = self.plan.limits.body;
        let cut = self.observed.seen.iter().all(|seen| !seen.body_complete && seen.body_len <= limit);
        if status != 413 || !self.question.chunked || !cut {
            self.not_forwarded();
        }
        match status {
            // Line 1: the server's own refusal, whatever it is.
            400 | 431 if self.status() >= 400 => return,
            421 | 444 if self.expect_status(&[421, 404, 444]) && self.status() == 444 => return,
            // Line 2 as well: where the handshake refuses nobody, the Host does.
            444 => {}
            // Behind a failed handshake there are no headers to look at.
            _ if !self.expect_status(&[status]) => return,
            _ => {}
        }
        if self.observed.whole {
            self.refusal_headers();
        }
        if status == 401 && self.observed.whole {
            self.challenges();
        }
    }

    /// What every refusal from line 2 on carries.
    fn refusal_headers(&mut self) {
        self.cors_headers();
        let exchange = &self.observed.exchange;
        let cache: Vec<&[u8]> = exchange.header_all("Cache-Control").collect();
        if cache != [b"no-store"] {
            self.complain("no single `Cache-Control: no-store`");
        }
        let json = serde_json::from_slice::<serde_json::Value>(&exchange.body);
        let own = json.is_ok_and(|json| json.get("error").is_some_and(serde_json::Value::is_string));
        if !own && self.question.request.method != b"HEAD" {
            self.complain(format!("the body is no `{{\"error\": …}}`: `{}`", shown(&exchange.body)));
        }
        self.no_version();
    }

    fn no_version(&mut self) {
        let server = self.observed.exchange.header("Server").unwrap_or_default().to_vec();
        if server.iter().any(u8::is_ascii_digit) {
            self.complain(format!("the Server header tells a version: `{}`", shown(&server)));
        }
    }

    fn challenges(&mut self) {
        let auth = &self.plan.auth;
        let lines = self.observed.exchange.header_all("WWW-Authenticate").map(String::from_utf8_lossy);
        let given = lines.collect::<Vec<_>>().join(", ");
        let own = given.matches(&format!("realm=\"{}\"", auth.realm)).count();
        if own != given.matches("realm=").count() {
            self.complain(format!("a realm that is not `{}`: `{given}`", auth.realm));
        }
        let all = given.to_ascii_lowercase();
        for (scheme, wanted) in [("bearer ", auth.bearer || auth.x_api_key), ("basic ", auth.basic)] {
            let count = all.matches(scheme).count();
            if count != usize::from(wanted) {
                self.complain(format!("{count} {scheme}challenges instead of {}: `{all}`", usize::from(wanted)));
            }
        }
    }

    fn answered(&mut self, status: u16) {
        self.not_forwarded();
        if !self.expect_status(&[status]) || !self.observed.whole {
            return;
        }
        self.cors_headers();
        self.no_version();
        if status == 204
            && let Some(cors) = self.plan.cors.clone()
        {
            self.preflight(&cors);
        }
        if status == 200 && self.question.request.method == b"GET" && self.observed.exchange.body.trim_ascii() != b"OK"
        {
            self.complain(format!("the health answer is `{}`", shown(&self.observed.exchange.body)));
        }
    }

    fn preflight(&mut self, cors: &Cors) {
        let wanted = [
            ("Access-Control-Allow-Methods", cors.methods.join(", ")),
            ("Access-Control-Allow-Headers", cors.headers.join(", ")),
            ("Access-Control-Max-Age", cors.max_age.as_secs().to_string()),
        ];
        for (name, value) in wanted {
            let given: Vec<String> = self
                .observed
                .exchange
                .header_all(name)
                .map(|value| String::from_utf8_lossy(value).replace(' ', ""))
                .collect();
            if given != [value.replace(' ', "")] {
                self.complain(format!("{name} is {given:?} instead of `{value}`"));
            }
        }
    }

    /// Exactly one `Access-Control-Allow-Origin` for a listed origin, none for others; `Vary: Origin` where it depends on it.
    fn cors_headers(&mut self) {
        let origin = self.question.request.single_header("origin").filter(|origin| !origin.is_empty());
        let wanted: Option<Vec<u8>> = match (&self.plan.cors, origin) {
            (Some(cors), Some(_)) if cors.any => Some(b"*".to_vec()),
            (Some(cors), Some(origin)) if cors.origins.iter().any(|own| own.as_bytes() == origin) => {
                Some(origin.to_vec())
            }
            _ => None,
        };
        let exchange = &self.observed.exchange;
        let given: Vec<&[u8]> = exchange.header_all("Access-Control-Allow-Origin").collect();
        let right = match &wanted {
            Some(wanted) => given == [wanted.as_slice()],
            None => given.is_empty() || (self.plan.cors.as_ref().is_some_and(|cors| cors.any) && given == [b"*"]),
        };
        let given: Vec<String> = given.iter().map(|value| shown(value)).collect();
        let varies = exchange
            .header_all("Vary")
            .any(|value| String::from_utf8_lossy(value).to_ascii_lowercase().contains("origin"));
        let exact = self.plan.cors.as_ref().is_some_and(|cors| !cors.any);
        if !right {
            let wanted = wanted.as_deref().map_or("none".to_owned(), shown);
            self.complain(format!("Access-Control-Allow-Origin is {given:?} instead of {wanted}"));
        } else if wanted.is_some() && exact && !varies {
            self.complain("no `Vary: Origin`");
        }
    }

    fn proxied(&mut self, target: &[u8], host: &str) {
        let seen = match self.observed.seen.as_slice() {
            [seen] => seen,
            [] => {
                let status = self.status();
                return self.complain(format!("status {status}, and nothing reached the upstream"));
            }
            several => return self.complain(format!("reached the upstream {} times", several.len())),
        };
        self.expect_status(&[200]);
        if self.observed.whole {
            self.cors_headers();
        }
        if self.observed.exchange.header_all("Server").any(|server| server == b"upstream") {
            self.complain("the upstream's Server header is shown");
        }
        let request = &self.question.request;
        if seen.target != target {
            self.complain(format!("the upstream got target `{}` instead of `{}`", shown(&seen.target), shown(target)));
        }
        if seen.method.as_bytes() != request.method {
            self.complain(format!("the upstream got method `{}`", seen.method));
        }
        if seen.body_len != request.body_bytes || !seen.body_complete {
            self.complain(format!("the upstream got {} of {} bytes of the body", seen.body_len, request.body_bytes));
        }
        self.upstream_headers(seen, host);
    }

    /// Line 11: what is removed, set and replaced.
    fn upstream_headers(&mut self, seen: &Seen, host: &str) {
        let all = |name: &str| -> Vec<String> { seen.header_all(name).map(whole).collect() };
        let client = client_address(self.plan, self.question).to_string();
        let scheme = if self.plan.listen.tls == Tls::Off { "http" } else { "https" };
        let key = self.plan.upstream.api_key.as_ref().and_then(|key| key.value.as_ref());
        let authorization: Vec<String> = key.map(|key| format!("Bearer {}", key.reveal())).into_iter().collect();
        for (name, wanted, own) in [
            ("Host", vec![host.to_owned()], true),
            ("Authorization", authorization, true),
            ("X-Real-IP", vec![client.clone()], false),
            ("X-Forwarded-Proto", vec![scheme.to_owned()], false),
        ] {
            let given = all(name);
            if !(own || self.observed.whole) {
                continue;
            }
            if given != wanted {
                // The upstream's own key is no less a secret here.
                let text = if name == "Authorization" {
                    "not what it must be".to_owned()
                } else {
                    format!("{given:?} instead of {wanted:?}")
                };
                self.complain(format!("the upstream got {name} {text}"));
            }
        }
        for name in REMOVED.iter().filter(|name| !all(name).is_empty()) {
            self.complain(format!("the upstream got {name}"));
        }
        if !self.observed.whole {
            return;
        }
        let forwarded = all("X-Forwarded-For");
        if forwarded.last().and_then(|value| value.rsplit(',').next()).map(str::trim) != Some(&client) {
            self.complain(format!("the upstream got X-Forwarded-For {forwarded:?}, which doesn't end with {client}"));
        }
        for name in ["X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server"] {
            let sent: Vec<String> = self.question.request.header(name).map(whole).collect();
            if all(name).iter().any(|value| sent.contains(value)) {
                self.complain(format!("the upstream got the client's {name}"));
            }
        }
    }
}

/// The client's address: the rightmost of X-Forwarded-For that isn't trusted when the peer is, else the peer.
pub fn client_address(plan: &Plan, question: &Question) -> IpAddr {
    let trusted = |address: &IpAddr| plan.listen.trusted_proxies.iter().any(|net| net.contains(address));
    let peer = question.request.client_ip;
    if !trusted(&peer) {
        return peer;
    }
    let values: Vec<String> = question.request.header("x-forwarded-for").map(whole).collect();
    let joined = values.join(",");
    let mut addresses = joined.rsplit(',').map_while(|part| part.trim().parse::<IpAddr>().ok());
    addresses.find(|address| !trusted(address)).unwrap_or(peer)
}

fn list(statuses: &[u16]) -> String {
    statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}

/// All of the bytes, to be compared.
fn whole(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes for people: the first hundred.
pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).escape_debug().to_string().replace("\\\"", "\"")
}
