//! An upstream that isn't there, doesn't accept, doesn't read, or comes back; and server-sent events.

use std::net::SocketAddr;
use std::time::Duration;

use llmguard::policy::plan::Proxy;
use socket2::{Domain, Socket, Type};

use crate::patience::soon;
use crate::rig::{Bare, DEADLINE, Manner, Rig, SLACK, chat, patiently};

const CONNECT: Duration = Duration::from_secs(1);
const SEND: Duration = Duration::from_secs(2);

/// Traefik 3.7.15 has no bound for writing to an upstream, so one that takes a connection and never reads is waited for without end
/// (measured: no answer in 20 s with `send = "2s"`). The client can leave.
const TRAEFIK_UPSTREAM_NOT_READING: Option<u16> = None;

pub fn cases(mut rig: Rig<'_>) {
    let addr = rig.engine.upstreams[0].addr();
    // Its port is free from here on.
    rig.engine.upstreams.clear();
    for _ in 0..3 {
        let got = rig.ask(&chat());
        rig.check("nobody listens", got.status == Some(502) && got.took < SLACK, (got.status, got.took));
    }
    {
        let _back = Bare::start(addr, Manner::Answers);
        rig.check("a lone server that is back", rig.status(&chat()) == 200, "not 200 at once");
    }
    {
        let _events = Bare::start(addr, Manner::Events(4, Duration::from_millis(300)));
        let (right, got) = soon(|| rig.ask(&chat()));
        rig.check("first event", right, (got.status, got.header("content-type"), &got.chunks));
    }
    {
        let _full = Full::at(addr);
        let got = rig.ask(&chat());
        let right = matches!(got.status, Some(502 | 504)) && got.took >= CONNECT && got.took < CONNECT + SLACK;
        rig.check("an upstream that doesn't accept", right, (got.status, &got.end, got.took));
    }
    {
        let _deaf = Bare::start(addr, Manner::Deaf);
        let got = rig.ask(&chat().body(vec![b'x'; 16 << 20], false));
        let right = match rig.proxy() {
            Proxy::Nginx | Proxy::Caddy => matches!(got.status, Some(502 | 504)) && got.took <= SEND * 2 + SLACK,
            Proxy::Traefik => got.status == TRAEFIK_UPSTREAM_NOT_READING && got.took >= DEADLINE,
        };
        rig.check("an upstream that doesn't read", right, (got.status, &got.end, got.took));
    }
}

/// A listener whose queue is full, so that nobody's connection comes about.
struct Full {
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl Full {
    fn at(addr: SocketAddr) -> Full {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = socket();
        listener.set_reuse_address(true).unwrap();
        patiently(|| listener.bind(&addr.into()));
        patiently(|| listener.listen(0));
        let mut queued = Vec::new();
        loop {
            let next = socket();
            if next.connect_timeout(&addr.into(), Duration::from_millis(150)).is_err() {
                return Full { _listener: listener, _queued: queued };
            }
            queued.push(next);
        }
    }
}
