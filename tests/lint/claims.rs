//! What findings claim of real servers, each rule's claim put to one.
//!
//! In: a server that runs a case's config, and a finding with its request. Out: [`Said`]. Invariant: every rule is either in [`CLAIMS`], or in
//! [`NO_REQUEST`] with the reason why no request can show what it says.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;

use llmguard::analysis::survey;
use llmguard::finding::Finding;
use llmguard::gateway::LimitKind;
use llmguard::gateway::eval::Outcome;
use llmguard::http::Request;
use llmguard::prove::answer::Answer;
use llmguard::prove::config::site::Site;
use llmguard::prove::moved::known_password;
use llmguard::prove::question::Question;
use llmguard::prove::upstream::Seen;
use llmguard::prove::wire::Exchange;

/// What a server says to a finding.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It does what the finding says.
    Right,
    /// It does something else.
    Wrong(String),
    /// It can't be asked: why.
    Unasked(String),
}

/// Puts a finding's claim to a server.
type Claim = fn(&Asker<'_>) -> Said;

/// How each rule's claim is put to a server.
const CLAIMS: &[(&str, Claim)] = &[
    ("admin-reachable", outcome),
    ("account-reachable", outcome),
    ("inference-reachable", outcome),
    ("metadata-reachable", outcome),
    ("unlisted-path-reachable", outcome),
    ("unguarded-server", outcome),
    ("path-spelling", outcome),
    ("method-not-guarded", outcome),
    ("any-key-accepted", outcome),
    ("empty-key-accepted", outcome),
    ("inexact-key", outcome),
    ("client-header-opens", outcome),
    ("every-key-is-admin", outcome),
    ("client-exceeds-policy", outcome),
    ("fails-open-when-unset", outcome),
    ("config-exposed", outcome),
    ("metrics-exposed", outcome),
    ("key-in-query", outcome),
    ("any-origin-allowed", outcome),
    ("origin-lookalike-allowed", outcome),
    ("preflight-refused", outcome),
    ("errors-without-cors", outcome),
    ("doubled-cors-headers", doubled),
    ("no-rate-limit", nothing_refused),
    ("guessing-not-limited", guesses),
    ("client-chosen-limit-key", chosen_key),
    ("looser-limit", looser),
    ("no-connection-limit", many_at_once),
    ("no-body-limit", any_body),
    ("small-body-limit", small_body),
    ("limit-status-not-429", limit_status),
    ("limit-queues", queues),
    ("short-read-timeout", silence),
    ("write-timeout-cuts-streams", silence),
    ("buffered-stream", held),
    ("compressed-stream", compressed),
    ("upstream-refuses-host", host_passed),
    ("http10-upstream", http10),
    ("credential-logged", credential_logged),
    ("query-logged", query_logged),
    ("credential-passed-on", passed_on),
    ("accel-redirect-followed", redirect_followed),
    ("version-shown", version_shown),
];

/// Rules whose findings have no request, and why.
pub const NO_REQUEST: &[(&str, &str)] = &[
    ("upstream-published", PUBLISHED),
    ("guard-walked-around", PUBLISHED),
    ("host-network", PUBLISHED),
    ("vulnerable-image", PUBLISHED),
    ("no-client-timeout", "that nothing ends a slow client can't be waited for"),
    ("health-check-path", "health checks aren't moved: they would ask the stand-in"),
    ("key-without-tls", "it says how keys travel, not what is answered"),
    ("upstream-chosen-by-client", "its request names an upstream that isn't there"),
    ("placeholder-key", FILES),
    ("weak-key", FILES),
    ("committed-key", FILES),
    ("unusable-hash", FILES),
    ("cheap-hash", FILES),
    ("slow-hash", FILES),
    ("shared-network", FILES),
    ("exposed-by-default", FILES),
    ("key-without-tls", "that others can listen is nothing that a server answers"),
    ("request-splitting", "the stand-in reads one request from a connection: what a line break makes of it is two"),
    ("upstream-chosen-by-client", "the server that a caller chooses is nobody's, and can't be moved"),
    ("image-not-pinned", FILES),
    ("ollama-any-origin", FILES),
    ("ollama-host-wrong", FILES),
    ("healthcheck-never-passes", FILES),
    ("docker-socket-mounted", FILES),
    ("privileged-container", FILES),
    ("no-gpu-reserved", FILES),
    ("dollar-not-doubled", FILES),
    ("unset-variable", FILES),
    ("obsolete-key", FILES),
    ("cannot-evaluate", "it says that the answer isn't known"),
    ("does-not-load", FILES),
    ("missing-include", FILES),
    ("missing-module", FILES),
    ("loads-with-problems", FILES),
    ("deprecated-directive", FILES),
    ("unused-ignore", FILES),
];

/// A fact of the files, not of an answer.
const FILES: &str = "what it says is in the files, not in an answer";
pub const PUBLISHED: &str = "a published port needs a Docker engine";

/// The longest wait that a claim is worth.
const LONGEST: u64 = 5;
/// So many requests come before something counts as not limited.
const MANY: usize = 40;
/// What is looked for in logs.
const MARK: &str = "llmguard-mark-7f3a9c";

/// How the claim of a rule is put; absent: it has no request.
pub fn claim(rule: &str) -> Option<Claim> {
    CLAIMS.iter().find(|(own, _)| *own == rule).map(|(_, claim)| *claim)
}

/// A finding, and the server that is asked about it.
pub struct Asker<'a> {
    pub site: &'a Site,
    pub finding: &'a Finding,
    /// The address that requests come from: each finding its own, so that what limits count for one isn't counted for another.
    pub from: IpAddr,
    /// The longest body that the policy allows.
    pub body: u64,
}

impl Asker<'_> {
    /// The finding's request as it goes onto the wire.
    pub fn request(&self) -> Request {
        Request { client_ip: self.from, ..wire(self.finding) }
    }

    /// What the evaluator says of it.
    fn expected(&self) -> Outcome {
        let witness = self.finding.witness.as_ref().unwrap();
        survey::again(&self.site.gateway, witness, &|request| request.client_ip = self.from)
    }

    fn send(&self, request: Request, script: &'static str, chunked: bool) -> (Exchange, Vec<Seen>) {
        let question = Question { request, script, chunked, ..Question::new("", "", b"", Vec::new()) };
        let (exchange, seen) = self.site.exchange(&question);
        (exchange, seen.into_iter().map(|(_, seen)| seen).collect())
    }

    /// The statuses of so many requests, one after the other, each changed.
    fn flood(&self, count: usize, change: impl Fn(&mut Request, usize)) -> Vec<Option<u16>> {
        let one = |index| {
            let mut request = self.request();
            change(&mut request, index);
            self.send(request, "status:200", false).0.status
        };
        (0..count).map(one).collect()
    }

    /// The same all at once; the upstream takes its time.
    fn at_once(&self, count: usize) -> Vec<Option<u16>> {
        std::thread::scope(|scope| {
            let one = || self.send(self.request(), "slow:1500", false).0.status;
            let all: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        })
    }

    /// The first text in backticks of the message that `fits`.
    fn named(&self) -> Vec<String> {
        self.finding.message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// The first number of the message in front of a unit.
    fn number(&self, unit: &str) -> Option<u64> {
        let words: Vec<&str> = self.finding.message.split(' ').collect();
        words.windows(2).find(|pair| pair[1].trim_end_matches(':') == unit).and_then(|pair| pair[0].parse().ok())
    }

    /// What the server has written so far.
    fn logged(&self, text: &str) -> bool {
        let folder = self.site.world.folder.path();
        let kept = std::fs::read_dir(folder.join("logs")).into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut all = kept.chain([folder.join("server.log")]).filter_map(|path| std::fs::read(path).ok());
        all.any(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    }

    fn soon_logged(&self, text: &str) -> Said {
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            if self.logged(text) {
                return Said::Right;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if self.site.world.notes.iter().any(|note| note.contains("is written nowhere")) {
            return Said::Unasked("its log isn't moved".to_owned());
        }
        Said::Wrong(format!("`{text}` is in no log"))
    }
}

/// A finding's request as it goes onto the wire: logins have the passwords that users have here.
pub fn wire(finding: &Finding) -> Request {
    let mut request = finding.witness.as_ref().unwrap().request.clone();
    request.client_ip = [127, 0, 0, 1].into();
    if let Some(user) = request.as_client.take().filter(|user| !user.is_empty()) {
        let login = format!("{user}:{}", known_password(&user));
        let login = base64::engine::general_purpose::STANDARD.encode(login);
        request.headers.push((b"Authorization".to_vec(), format!("Basic {login}").into_bytes()));
    }
    request
}

fn set(request: &mut Request, name: &str, value: &str) {
    request.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name.as_bytes()));
    request.headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
}

fn said(right: bool, otherwise: impl std::fmt::Debug) -> Said {
    if right { Said::Right } else { Said::Wrong(format!("{otherwise:?}")) }
}

/// What becomes of the request, and the headers that the finding names.
fn outcome(asker: &Asker<'_>) -> Said {
    let expected = Answer::of(&asker.expected());
    let question =
        Question { request: asker.request(), script: "status:200", ..Question::new("", "", b"", Vec::new()) };
    let (exchange, seen) = asker.site.exchange(&question);
    let observed = Answer::observed(&exchange, seen.first().map(|(addr, seen)| (*addr, seen)));
    if observed != expected {
        return Said::Wrong(format!("said {expected:?}, was {observed:?}"));
    }
    let evidence = asker.finding.evidence.as_ref().unwrap();
    for (actual, wanted) in [(&evidence.actual, true), (&evidence.expected, false)] {
        let Some(lines) = actual["answer_headers"].as_array() else { continue };
        let names = lines.iter().chain(evidence.actual["answer_headers"].as_array().unwrap());
        let names = names.chain(evidence.expected["answer_headers"].as_array().unwrap());
        let name = names.map(|line| line[0].as_str().unwrap()).next().unwrap();
        let values: Vec<&str> = lines.iter().map(|line| line[1].as_str().unwrap()).collect();
        let got: Vec<String> =
            exchange.header_all(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        if (got == values) != wanted {
            return Said::Wrong(format!("`{name}`: said {values:?} ({wanted}), was {got:?}"));
        }
    }
    Said::Right
}

fn doubled(asker: &Asker<'_>) -> Said {
    let (exchange, seen) = asker.send(asker.request(), "with:Access-Control-Allow-Origin=*", false);
    let lines = exchange.header_all("Access-Control-Allow-Origin").count();
    let origin = asker.request().header("origin").next().map(<[u8]>::to_vec);
    let passed = seen.first().and_then(|seen| seen.header_all("origin").next().map(<[u8]>::to_vec));
    said(lines == 2 && passed == origin, (lines, passed))
}

fn nothing_refused(asker: &Asker<'_>) -> Said {
    let statuses = asker.flood(MANY, |_, _| {});
    said(statuses.iter().all(|status| *status == Some(200)), statuses)
}

fn guesses(asker: &Asker<'_>) -> Said {
    let guess = |request: &mut Request, index: usize| {
        let key = format!("guess-{index}-of-many-that-are-wrong");
        set(request, "Authorization", &format!("Bearer {key}"));
        set(request, "X-API-Key", &key);
    };
    let statuses = asker.flood(MANY, guess);
    said(statuses.iter().all(|status| matches!(status, Some(401 | 403))), statuses)
}

fn chosen_key(asker: &Asker<'_>) -> Said {
    let limits = asker.expected().limits;
    let allowed = limits.iter().filter_map(|(limit, _)| match limit.kind {
        LimitKind::Rate { requests, burst, .. } => Some(u64::from(requests).max(u64::from(burst))),
        LimitKind::Connections { .. } => None,
    });
    let Some(most) = allowed.min().filter(|most| *most < 400) else {
        return Said::Unasked("its limit takes too many requests to reach".to_owned());
    };
    let count = usize::try_from(most).unwrap() * 2 + MANY;
    let names = asker.named();
    let Some(name) = names.last().filter(|_| asker.finding.message.contains("header `")).cloned() else {
        return Said::Unasked("only headers are tried".to_owned());
    };
    let refused = |statuses: &[Option<u16>]| statuses.iter().filter(|status| **status != Some(200)).count();
    let value = |index: usize| {
        let address = format!("198.51.{}.{}", index / 250, index % 250 + 1);
        if name.eq_ignore_ascii_case("forwarded") { format!("for={address}") } else { address }
    };
    let others = asker.flood(count, |request, index| set(request, &name, &value(index)));
    let same = asker.flood(count, |request, _| set(request, &name, &value(60_000)));
    said(refused(&others) == 0 && refused(&same) > 0, (refused(&others), refused(&same), count))
}

fn looser(asker: &Asker<'_>) -> Said {
    let message = &asker.finding.message;
    let number = |word: usize| message.split(' ').nth(word).and_then(|word| word.parse::<usize>().ok());
    if message.starts_with("bodies up to") {
        return any_body(asker);
    }
    match (number(0), message) {
        (Some(count), message) if message.contains("requests at a time") => {
            let statuses = asker.at_once(count);
            said(statuses.iter().all(|status| *status == Some(200)), statuses)
        }
        (Some(count), _) if count <= 250 && message.contains("requests in 1 s") => {
            let statuses = asker.flood(count, |_, _| std::thread::sleep(Duration::from_secs(1) / count as u32));
            said(statuses.iter().all(|status| *status == Some(200)), statuses)
        }
        (Some(_), _) => Said::Unasked("its limit takes too many requests to reach".to_owned()),
        _ => Said::Unasked("the time is too long to wait for".to_owned()),
    }
}

fn many_at_once(asker: &Asker<'_>) -> Said {
    let allowed = asker.finding.message.split(' ').filter_map(|word| word.parse::<usize>().ok()).next_back();
    let statuses = asker.at_once(allowed.map_or(MANY, |most| most + 1));
    said(statuses.iter().all(|status| *status == Some(200)), statuses)
}

fn any_body(asker: &Asker<'_>) -> Said {
    let mut request = asker.request();
    let length = asker.body + 1;
    (request.body, request.body_bytes) = (None, length);
    let (exchange, seen) = asker.send(request, "status:200", asker.finding.message.contains("in chunks"));
    let whole = seen.iter().any(|seen| seen.body_complete && seen.body_len == length);
    said(whole && exchange.status == Some(200), (exchange.status, exchange.end, seen.first().map(|seen| seen.body_len)))
}

fn small_body(asker: &Asker<'_>) -> Said {
    let mut request = asker.request();
    (request.body, request.body_bytes) = (None, 10_000_000);
    let witness = asker.finding.witness.as_ref().unwrap();
    let expected = survey::again(&asker.site.gateway, witness, &|own| {
        (own.client_ip, own.body, own.body_bytes) = (asker.from, None, 10_000_000);
    });
    let Answer::Refused(status) = Answer::of(&expected) else { return Said::Wrong("it isn't refused".to_owned()) };
    let (exchange, _) = asker.send(request, "status:200", false);
    said(exchange.status == Some(status), (exchange.status, exchange.end))
}

fn limit_status(asker: &Asker<'_>) -> Said {
    let Some(status) = asker.number("instead").and_then(|status| u16::try_from(status).ok()) else {
        return Said::Wrong("its message has no status".to_owned());
    };
    let limits = asker.expected().limits;
    let connections = asker.finding.message.contains("connection limit");
    let most = limits.iter().filter_map(|(limit, _)| match limit.kind {
        LimitKind::Rate { burst, .. } if !connections => Some(burst),
        LimitKind::Connections { max } if connections => Some(max),
        _ => None,
    });
    let Some(most) = most.min().filter(|most| *most < 100) else {
        return Said::Unasked("its limit takes too many requests to reach".to_owned());
    };
    let count = most as usize + MANY;
    let statuses = if connections { asker.at_once(count) } else { asker.flood(count, |_, _| {}) };
    said(statuses.contains(&Some(status)), statuses)
}

fn queues(asker: &Asker<'_>) -> Said {
    let limits = asker.expected().limits;
    let interval = limits.iter().find_map(|(limit, _)| match limit.kind {
        LimitKind::Rate { requests, window, .. } if limit.waits => Some(window / requests.max(1)),
        _ => None,
    });
    let Some(interval) = interval.filter(|interval| interval.as_secs() < LONGEST / 4) else {
        return Said::Unasked("the wait is too long".to_owned());
    };
    let start = Instant::now();
    let statuses = asker.flood(5, |_, _| {});
    let took = start.elapsed();
    said(statuses.iter().all(|own| *own == Some(200)) && took >= interval * 3, (statuses, took))
}

/// The server ends an answer after so many seconds without a word.
fn silence(asker: &Asker<'_>) -> Said {
    match asker.number("s") {
        Some(seconds) if seconds <= LONGEST => {
            let (exchange, _) = asker.send(asker.request(), "slow:9000", false);
            said(exchange.status != Some(200), exchange.status)
        }
        Some(seconds) => Said::Unasked(format!("it takes {seconds} s to show")),
        None => Said::Wrong("its message has no time".to_owned()),
    }
}

fn held(asker: &Asker<'_>) -> Said {
    let (exchange, _) = asker.send(asker.request(), "stream:5:200", false);
    // What is passed on as it comes arrives over most of a second.
    let first = exchange.chunks.first().map_or(exchange.took, |(at, _)| *at);
    let spread = exchange.took.saturating_sub(first);
    said(exchange.status == Some(200) && spread < Duration::from_millis(300), (exchange.status, spread))
}

fn compressed(asker: &Asker<'_>) -> Said {
    let mut request = asker.request();
    set(&mut request, "Accept-Encoding", "gzip");
    // What is short isn't compressed.
    let (exchange, _) = asker.send(request, "stream:60:1", false);
    said(exchange.header("content-encoding").is_some(), exchange.headers)
}

fn host_passed(asker: &Asker<'_>) -> Said {
    let mut request = asker.request();
    let Some(host) = asker.named().last().cloned() else { return Said::Wrong("its message has no Host".to_owned()) };
    if asker.finding.witness.as_ref().unwrap().host.is_none() {
        set(&mut request, "Host", "gateway.example.com");
    }
    let (_, seen) = asker.send(request, "status:200", false);
    let got = seen.first().and_then(|seen| seen.header_all("host").next().map(<[u8]>::to_vec));
    let got = got.map(|got| String::from_utf8_lossy(&got).into_owned());
    said(got.as_deref() == Some(host.as_str()), (got, host))
}

fn http10(asker: &Asker<'_>) -> Said {
    let (_, seen) = asker.send(asker.request(), "status:200", false);
    let head = seen.first().map(|seen| String::from_utf8_lossy(&seen.raw_head).into_owned()).unwrap_or_default();
    said(head.lines().next().is_some_and(|line| line.ends_with("HTTP/1.0")), head)
}

fn credential_logged(asker: &Asker<'_>) -> Said {
    if asker.finding.message.contains("of a request that fails") {
        // Only where the upstream can't be reached.
        return Said::Unasked("its upstream would have to fail".to_owned());
    }
    let names = asker.named();
    let mut request = asker.request();
    for name in &names[..names.len() - 1] {
        match (name.strip_prefix("Cookie "), name.strip_prefix('?')) {
            (Some(cookie), _) => set(&mut request, "Cookie", &format!("{cookie}={MARK}")),
            (_, Some(argument)) => request.target.extend(format!("?{argument}{MARK}").bytes()),
            _ if name == "Authorization" => set(&mut request, name, &format!("Bearer {MARK}")),
            _ => set(&mut request, name, MARK),
        }
    }
    asker.send(request, "status:200", false);
    asker.soon_logged(MARK)
}

fn query_logged(asker: &Asker<'_>) -> Said {
    if asker.finding.message.contains("requests that fail") {
        return Said::Unasked("its upstream would have to fail".to_owned());
    }
    let mut request = asker.request();
    request.target.extend(format!("?q={MARK}").bytes());
    asker.send(request, "status:200", false);
    asker.soon_logged(MARK)
}

fn passed_on(asker: &Asker<'_>) -> Said {
    let mut request = asker.request();
    let names = asker.named();
    for name in names.iter().filter(|name| ["Cookie", "Origin"].contains(&name.as_str())) {
        set(&mut request, name, "https://app.llmguard.invalid");
    }
    let (_, seen) = asker.send(request.clone(), "status:200", false);
    let Some(seen) = seen.first() else { return Said::Wrong("it isn't passed on".to_owned()) };
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| {
            let sent = request.header(name).next().map(<[u8]>::to_vec);
            sent.is_none() || seen.header_all(name).next().map(<[u8]>::to_vec) != sent
        })
        .collect();
    said(missing.is_empty(), missing)
}

/// Its redirect leads back to the upstream or to somewhere that refuses: what it answered doesn't arrive.
fn redirect_followed(asker: &Asker<'_>) -> Said {
    let (exchange, _) = asker.send(asker.request(), "plain", false);
    let (plain, _) = asker.send(asker.request(), "status:200", false);
    said(exchange.status != Some(200) && plain.status == Some(200), (exchange.status, plain.status))
}

fn version_shown(asker: &Asker<'_>) -> Said {
    let (exchange, _) = asker.send(asker.request(), "status:200", false);
    let server = exchange.header("server").map(|value| String::from_utf8_lossy(value).into_owned());
    said(server.as_deref().is_some_and(|server| server.contains("nginx/1.")), server)
}
