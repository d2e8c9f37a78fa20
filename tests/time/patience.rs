//! Timeouts on both sides, streams that are longer than all of them, and clients that leave.

use std::time::Duration;

use llmguard::policy::plan::Proxy;
use llmguard::prove::http2;
use llmguard::prove::question::Question;
use llmguard::prove::wire::{End, Exchange, Leave, Part};

use crate::rig::{DEADLINE, Rig, SLACK, Words as _, chat, request};

pub const POLICY: &str = r#"
[upstream]
kind = "ollama"
[limits]
rate = false
[timeouts]
connect = "1s"
read = "3s"
send = "2s"
client_header = "2s"
client_body = "2s"
[[client]]
name = "laptop"
api_key = "env:KEY"
"#;

pub const TLS_POLICY: &str = r#"
[upstream]
kind = "ollama"
[listen]
tls = "internal"
server_names = ["llm.test"]
[limits]
rate = false
[[client]]
name = "laptop"
api_key = "env:KEY"
"#;

const AT_ONCE: Duration = Duration::from_millis(250);
const READ: Duration = Duration::from_secs(3);
const CLIENT_HEADER: Duration = Duration::from_secs(2);
const CLIENT_BODY: Duration = Duration::from_secs(2);

/// What Caddy 2.11.9 answers when a body stalls: its transport or its server may notice first (both seen).
const CADDY_STALLED_BODY: [Option<u16>; 2] = [Some(499), Some(504)];
/// What Traefik 3.7.15 answers when the bound of head and body ends in the middle of a body: its middleware that reads the body has no
/// other word for it. Nothing is forwarded.
const TRAEFIK_STALLED_BODY: u16 = 500;

pub fn cases(rig: Rig<'_>) {
    rig.at_once(&[
        half_a_head,
        a_dripping_head,
        half_a_body,
        a_refusal_waits_for_no_body,
        a_dripping_body,
        silence_before_the_head,
        silence_in_a_stream,
        a_long_stream,
        the_first_chunk,
        a_client_that_leaves,
    ]);
}

/// How long a head may take: Traefik has one bound for head and body (listed).
fn head_bound(rig: &Rig<'_>) -> Duration {
    if rig.proxy() == Proxy::Traefik { CLIENT_HEADER + CLIENT_BODY } else { CLIENT_HEADER }
}

fn around(took: Duration, bound: Duration) -> bool {
    took + Duration::from_millis(200) >= bound && took <= bound + SLACK
}

fn half_a_head(rig: &Rig<'_>) {
    let id = rig.id();
    let got = rig.ask_in_parts(&chat(), id, |bytes| vec![Part::now(&bytes[..40])], None);
    let ended = matches!(got.status, None | Some(400 | 408)) && around(got.took, head_bound(rig));
    rig.check("half a head", ended && rig.seen(id).is_empty(), (got.status, &got.end, got.took));
}

fn a_dripping_head(rig: &Rig<'_>) {
    let id = rig.id();
    let drip = |_| {
        let line = |number| Part::after(Duration::from_millis(400), format!("X-Drip-{number}: x\r\n"));
        [Part::now("POST /api/chat HTTP/1.1\r\nHost: llm.test\r\n")].into_iter().chain((0..40).map(line)).collect()
    };
    let got = rig.ask_in_parts(&chat(), id, drip, None);
    let ended = matches!(got.status, None | Some(400 | 408)) && around(got.took, head_bound(rig));
    rig.check("a dripping head", ended && rig.seen(id).is_empty(), (got.status, &got.end, got.took));
}

/// All but the last ten bytes.
fn most(bytes: Vec<u8>) -> Vec<Part> {
    vec![Part::now(&bytes[..bytes.len() - 10])]
}

fn half_a_body(rig: &Rig<'_>) {
    let id = rig.id();
    let got = rig.ask_in_parts(&chat(), id, most, None);
    let (statuses, bound): (&[Option<u16>], _) = match rig.proxy() {
        // `reset_timedout_connection`: no answer.
        Proxy::Nginx => (&[None], CLIENT_BODY),
        Proxy::Caddy => (&CADDY_STALLED_BODY, CLIENT_BODY),
        Proxy::Traefik => (&[Some(TRAEFIK_STALLED_BODY)], CLIENT_HEADER + CLIENT_BODY),
    };
    let seen = rig.seen(id);
    let right =
        statuses.contains(&got.status) && around(got.took, bound) && seen.iter().all(|seen| !seen.body_complete);
    rig.check("half a body", right, (got.status, &got.end, got.took, seen.len()));
}

/// Whoever may not send a body at all is not waited for.
fn a_refusal_waits_for_no_body(rig: &Rig<'_>) {
    let pull = request("POST", "/api/pull").body(vec![b'x'; 4000], false);
    let unknown = rig.ask_in_parts(&pull, rig.id(), most, None);
    rig.check(
        "401 before a body",
        (unknown.status, unknown.head_after < SLACK) == (Some(401), true),
        (unknown.status, unknown.head_after),
    );
    let known = Question { request: chat().request, ..pull.clone() };
    let mut known = known.body(vec![b'x'; 4000], false);
    known.request.target = b"/api/pull".to_vec();
    let forbidden = rig.ask_in_parts(&known, rig.id(), most, None);
    rig.check(
        "403 before a body",
        (forbidden.status, forbidden.head_after < SLACK) == (Some(403), true),
        (forbidden.status, forbidden.head_after),
    );
}

/// Eight parts of a body, 800 ms apart: no pause is too long, the whole takes 6 s.
fn a_dripping_body(rig: &Rig<'_>) {
    let id = rig.id();
    let drip = |bytes: Vec<u8>| {
        let (head, body) = bytes.split_at(bytes.len() - 80);
        let parts = body.chunks(10).map(|part| Part::after(Duration::from_millis(800), part));
        [Part::now(head)].into_iter().chain(parts).collect()
    };
    let got = rig.ask_in_parts(&chat(), id, drip, None);
    let right = match rig.proxy() {
        Proxy::Nginx => got.status == Some(200),
        // Listed: `read` also runs while a slow body is being uploaded.
        Proxy::Caddy => matches!(got.status, Some(502 | 504)) && around(got.took, READ),
        // Listed: one bound for head and body.
        Proxy::Traefik => got.status == Some(TRAEFIK_STALLED_BODY) && around(got.took, CLIENT_HEADER + CLIENT_BODY),
    };
    let seen = rig.seen(id);
    let whole = seen.iter().all(|seen| seen.body_complete) == (rig.proxy() != Proxy::Caddy);
    rig.check("a dripping body", right && whole, (got.status, &got.end, got.took, seen.len()));
}

fn silence_before_the_head(rig: &Rig<'_>) {
    let got = rig.ask(&chat().script("slow:9000"));
    rig.check("silence before the head", got.status == Some(504) && around(got.took, READ), (got.status, got.took));
}

fn silence_in_a_stream(rig: &Rig<'_>) {
    let got = rig.ask(&chat().script("stream:2:5000"));
    let right = match rig.proxy() {
        // Listed: `read` bounds the wait for the head, not a pause inside a stream.
        Proxy::Traefik => got.end == End::Complete && got.chunks.len() == 2,
        // Never a clean end, which would look like a whole answer.
        Proxy::Nginx | Proxy::Caddy => got.end != End::Complete && around(got.took, READ) && got.chunks.len() == 1,
    };
    rig.check("silence in a stream", right && got.status == Some(200), (&got.end, got.took, &got.chunks));
}

fn a_long_stream(rig: &Rig<'_>) {
    let got = rig.ask(&chat().script("stream:14:500"));
    let whole = got.end == End::Complete && got.chunks.len() == 14;
    rig.check("a stream longer than every timeout", whole, (&got.end, got.took, &got.chunks));
}

/// The best of three: a busy machine may be late once.
pub fn soon(mut ask: impl FnMut() -> Exchange) -> (bool, Exchange) {
    let mut got = ask();
    for _ in 0..2 {
        if is_soon(&got) {
            break;
        }
        got = ask();
    }
    (is_soon(&got), got)
}

fn is_soon(got: &Exchange) -> bool {
    got.chunks.len() >= 4 && got.chunks.first().is_some_and(|(at, _)| *at <= AT_ONCE)
}

fn the_first_chunk(rig: &Rig<'_>) {
    for chunked in [false, true] {
        let question = Question { chunked, ..chat().script("stream:4:300") };
        let (right, got) = soon(|| rig.ask(&question));
        // Listed: the response to a chunked POST isn't streamed.
        let held = chunked && rig.proxy() == Proxy::Traefik;
        rig.check(if chunked { "first chunk, chunked" } else { "first chunk" }, right != held, &got.chunks);
    }
}

fn a_client_that_leaves(rig: &Rig<'_>) {
    for (what, script, leave) in LEAVING {
        let id = rig.id();
        rig.ask_in_parts(&chat().script(script), id, |bytes| vec![Part::now(bytes)], Some(*leave));
        rig.check(what, rig.sees_the_client_leave(id, SOON_AFTER), "the upstream still works");
    }
}

/// Before any timeout of these policies could end the upstream's work.
const SOON_AFTER: Duration = Duration::from_millis(1200);
const LEAVING: &[(&str, &str, Leave)] = &[
    ("a client leaves a stream", "stream:50:100", Leave::AtBody(10)),
    ("a client leaves before the head", "slow:8000", Leave::After(Duration::from_millis(400))),
];

/// The same over HTTP/2, where a client leaves by RST_STREAM.
pub fn over_http2(rig: Rig<'_>) {
    for (what, script, leave) in LEAVING {
        let (id, question) = (rig.id(), chat().script(script));
        let (fields, body) = question.fields(id);
        let target = rig.engine.target(&question);
        let got = http2::exchange_parts(&target, &fields, &[Part::now(body)], Some(*leave), DEADLINE);
        rig.check(what, rig.sees_the_client_leave(id, SOON_AFTER) && got.end == End::Left, (&got.end, "the upstream"));
    }
    let question = chat().script("stream:4:300");
    let (right, got) = soon(|| {
        let (fields, body) = question.fields(rig.id());
        http2::exchange(&rig.engine.target(&question), &fields, &body, DEADLINE)
    });
    rig.check("first chunk over HTTP/2", right && got.version == "HTTP/2", (got.version, &got.chunks));
}
