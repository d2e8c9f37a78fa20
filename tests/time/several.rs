//! Several servers: the work is spread, a dead one is passed over, and nothing is sent twice.

use std::time::Duration;

use llmguard::policy::plan::Proxy;
use llmguard::prove::question::Question;
use llmguard::prove::upstream::Upstream;
use llmguard::prove::wire::End;

use crate::rig::{Bare, Manner, Rig, SLACK, Words as _, chat};

pub const POLICY: &str = r#"
[upstream]
kind = "ollama"
servers = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
[limits]
rate = false
[timeouts]
connect = "1s"
read = "5s"
[[client]]
name = "laptop"
api_key = "env:KEY"
"#;

const CONNECT: Duration = Duration::from_secs(1);
/// Traefik's p2c prefers a dead server, which has nothing in flight, also when it tries again: until its health check has noticed
/// (`connect`, five seconds at most, and half of that for the answer), a request may get 502 (measured on 3.7.15; seen in its source).
const TRAEFIK_NOTICES: Duration = Duration::from_millis(2500);
/// Streams at once.
const MANY: usize = 30;

pub fn cases(mut rig: Rig<'_>) {
    spread(&rig);
    let hanging = rig.engine.upstreams.remove(1).addr();
    drop(rig.engine.upstreams.remove(0));
    let hangs = Bare::start(hanging, Manner::Hangs);
    if rig.proxy() == Proxy::Traefik {
        std::thread::sleep(TRAEFIK_NOTICES);
    }
    never_twice(&rig, &hangs);
    drop(hangs);
    passed_over(&rig);
}

fn spread(rig: &Rig<'_>) {
    let ends: Vec<End> = std::thread::scope(|threads| {
        let ask = || threads.spawn(|| rig.ask(&chat().script("stream:4:400")).end);
        let asking: Vec<_> = (0..MANY).map(|_| ask()).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let share = |upstream: &Upstream| upstream.all().iter().filter(|seen| seen.method == "POST").count();
    let shares: Vec<usize> = rig.engine.upstreams.iter().map(share).collect();
    rig.check("30 streams at once", ends.iter().all(|end| *end == End::Complete), ends.len());
    rig.check("their shares", shares.iter().all(|share| (6..=14).contains(share)), &shares);
}

/// One server takes requests and closes, one refuses: what reached a server is never sent again.
fn never_twice(rig: &Rig<'_>, hangs: &Bare) {
    for chunked in [false, true] {
        let before = hangs.heads().len();
        for _ in 0..40 {
            let (id, exchange, seen) = rig.ask_and_see(&Question { chunked, ..chat() });
            let hung = hangs.heads().iter().filter(|head| **head == id).count();
            let status = if hung == 0 { 200 } else { 502 };
            let right = exchange.status == Some(status) && hung + seen.len() == 1;
            rig.check("a request reaches one server once", right, (chunked, exchange.status, hung, seen.len()));
            if hangs.heads().len() > before {
                break;
            }
            // A server that hung up is left out for a while.
            std::thread::sleep(Duration::from_millis(200));
        }
        rig.check("one met the server that hangs up", hangs.heads().len() > before, chunked);
    }
}

/// Two of three refuse, and the third is busy.
fn passed_over(rig: &Rig<'_>) {
    std::thread::scope(|threads| {
        threads.spawn(|| rig.ask(&chat().script("stream:16:300")));
        if rig.proxy() == Proxy::Traefik {
            std::thread::sleep(TRAEFIK_NOTICES);
        }
        for _ in 0..6 {
            let (_, got, seen) = rig.ask_and_see(&chat());
            let right = got.status == Some(200) && seen.len() == 1 && got.took < CONNECT + SLACK;
            rig.check("two dead servers are passed over", right, (got.status, got.took));
        }
    });
}
