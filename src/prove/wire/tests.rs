use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::prove::upstream::Upstream;

const LIMIT: Duration = Duration::from_secs(10);
/// Far below the pause of a stream below, so that it is the close that is noticed and not a failed write.
const NOTICED: Duration = Duration::from_secs(2);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn request(script: &str, id: u64, rest: &str) -> String {
    let method = if rest.is_empty() { "GET" } else { "POST" };
    let end = if rest.is_empty() { "\r\n" } else { rest };
    format!("{method} /x?y=1 HTTP/1.1\r\nHost: h\r\nX-Llmguard-Script: {script}\r\nx-llmguard-probe: {id}\r\n{end}")
}

/// A server for one connection; `answer` gets it.
fn server(answer: impl FnOnce(TcpStream) + Send + 'static) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || answer(listener.accept().unwrap().0));
    Target::plain(addr)
}

/// A server that sends `bytes` once it has read a request's empty line, and closes.
fn replies(bytes: &'static [u8]) -> Target {
    server(|mut socket| {
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            got.push(byte[0]);
        }
        socket.write_all(bytes).unwrap();
    })
}

#[test]
fn a_plain_answer_and_its_record() {
    let upstream = Upstream::start().unwrap();
    let sent = request("plain", 7, "");
    let got = exchange(&Target::plain(upstream.addr()), "GET", sent.as_bytes(), LIMIT);
    assert_eq!((got.status, got.version, &got.end), (Some(200), "HTTP/1.1", &End::Complete));
    assert_eq!(got.body, b"{\"upstream\":true,\"probe\":7}\n");
    assert_eq!(got.header("x-accel-redirect"), Some(&b"/api/pull"[..]));
    assert_eq!(got.header("access-control-allow-origin"), Some(&b"*"[..]));
    let seen = &upstream.seen(7)[0];
    assert_eq!(seen.raw_head, sent.as_bytes());
    assert_eq!((seen.method.as_str(), seen.target.as_slice()), ("GET", &b"/x?y=1"[..]));
    assert_eq!((seen.body_len, seen.body_complete, seen.client_left), (0, true, false));
    assert_eq!(upstream.all().len(), 1);
}

#[test]
fn statuses_and_unknown_scripts() {
    let upstream = Upstream::start().unwrap();
    let target = Target::plain(upstream.addr());
    for (script, status, body) in [("status:503", 503, true), ("status:204", 204, false), ("x:1", 500, true)] {
        let got = exchange(&target, "GET", request(script, 1, "").as_bytes(), LIMIT);
        assert_eq!((got.status, got.end, !got.body.is_empty()), (Some(status), End::Complete, body), "{script}");
    }
    let head = request("plain", 1, "").replace("GET", "HEAD");
    let got = exchange(&target, "HEAD", head.as_bytes(), LIMIT);
    assert_eq!((got.status, got.end, got.body.len()), (Some(200), End::Complete, 0));
}

#[test]
fn a_stream_arrives_piece_by_piece() {
    let upstream = Upstream::start().unwrap();
    let target = Target::plain(upstream.addr());
    let got = exchange(&target, "GET", request("stream:4:80", 1, "").as_bytes(), LIMIT);
    // A busy machine may merge pieces and bring them later, never earlier.
    let (first, last) = (got.chunks[0].0, got.chunks[got.chunks.len() - 1].0);
    assert!(got.head_after <= first && first < last && last >= ms(240), "{:?}", got.chunks);
    assert_eq!(got.end, End::Complete);
    assert_eq!(got.body.iter().filter(|&&byte| byte == b'\n').count(), 4);
    let old = request("stream:2:1", 2, "").replace("HTTP/1.1", "HTTP/1.0");
    let got = exchange(&target, "GET", old.as_bytes(), LIMIT);
    assert_eq!((got.end.clone(), got.header("transfer-encoding")), (End::Complete, None));
    assert!(got.body.ends_with(b"\"chunk\":1,\"done\":false}\n"));
}

#[test]
fn a_client_that_leaves_is_noticed() {
    let upstream = Upstream::start().unwrap();
    let target = Target::plain(upstream.addr());
    let parts = [Part::now(request("stream:1000:5000", 1, ""))];
    std::thread::scope(|scope| {
        let got = scope.spawn(|| exchange_parts(&target, "GET", &parts, Some(Leave::After(ms(300))), LIMIT));
        assert!(upstream.wait(1, ms(100), |seen| seen.client_left).is_none());
        let got = got.join().unwrap();
        assert_eq!((got.status, got.end), (Some(200), End::Left));
    });
    assert!(upstream.wait(1, NOTICED, |seen| seen.client_left).is_some());
    let parts = [Part::now(request("slow:5000", 2, ""))];
    let got = exchange_parts(&target, "GET", &parts, Some(Leave::After(ms(50))), LIMIT);
    assert_eq!((got.status, got.end), (None, End::Left));
    assert!(upstream.wait(2, NOTICED, |seen| seen.client_left).is_some());
    let parts = [Part::now(request("plain", 3, "Content-Length: 100\r\n\r\nabc"))];
    exchange_parts(&target, "POST", &parts, Some(Leave::After(ms(50))), LIMIT);
    let seen = upstream.wait(3, NOTICED, |seen| seen.client_left).unwrap();
    assert_eq!((seen.body_len, seen.body_complete), (3, false));
}

#[test]
fn a_deadline_ends_the_wait() {
    let upstream = Upstream::start().unwrap();
    let got = exchange(&Target::plain(upstream.addr()), "GET", request("slow:5000", 1, "").as_bytes(), ms(100));
    assert_eq!((got.status, got.end), (None, End::TimedOut));
    assert!(got.took < ms(4000), "{:?}", got.took);
}

#[test]
fn a_body_is_sent_slowly_and_counted() {
    let upstream = Upstream::start().unwrap();
    let target = Target::plain(upstream.addr());
    let head = request("plain", 1, "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    let parts = [Part::now(head), Part::after(ms(60), "5\r\nhel"), Part::after(ms(60), "lo\r\n0\r\n\r\n")];
    let got = exchange_parts(&target, "POST", &parts, None, LIMIT);
    assert_eq!((got.status, got.interim, got.end), (Some(200), vec![100], End::Complete));
    assert!(got.head_after > ms(110), "{:?}", got.head_after);
    let seen = &upstream.seen(1)[0];
    assert_eq!((seen.body_len, seen.body_complete), (5, true));
    let early = request("early", 2, "Content-Length: 5\r\n\r\n");
    let got = exchange_parts(&target, "POST", &[Part::now(early), Part::after(LIMIT, "hello")], None, LIMIT);
    assert_eq!((got.status, got.end), (Some(200), End::Complete));
    assert!(got.took < ms(4000), "{:?}", got.took);
}

#[test]
fn requests_on_one_connection_are_recorded_each() {
    let upstream = Upstream::start().unwrap();
    let body = "Content-Length: 3\r\n\r\nabc";
    let both = request("plain", 1, body) + &request("plain", 2, "Connection: close\r\n\r\n");
    exchange_parts(&Target::plain(upstream.addr()), "POST", &[Part::now(both)], Some(Leave::After(ms(100))), LIMIT);
    assert!(upstream.wait(2, LIMIT, |_| true).is_some());
    let all: Vec<_> = upstream.all().into_iter().map(|seen| (seen.id, seen.body_len, seen.client_left)).collect();
    assert_eq!(all, [(Some(1), 3, false), (Some(2), 0, false)]);
}

#[test]
fn a_broken_head_is_recorded_and_refused() {
    let upstream = Upstream::start().unwrap();
    let target = Target::plain(upstream.addr());
    for head in ["GET /\r\n\r\n", "GET / HTTP/1.1\r\nno header\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
    {
        let got = exchange(&target, "GET", head.as_bytes(), LIMIT);
        assert_eq!((got.status, got.end), (Some(400), End::Complete), "{head:?}");
        assert_eq!(upstream.all().last().unwrap().raw_head, head.as_bytes());
    }
    exchange_parts(&target, "GET", &[Part::now("GET / HT")], Some(Leave::After(ms(20))), LIMIT);
    let until = Instant::now() + LIMIT;
    while upstream.all().len() < 4 && Instant::now() < until {
        std::thread::sleep(ms(5));
    }
    let cut = upstream.all().pop().unwrap();
    assert_eq!((cut.raw_head.as_slice(), cut.client_left), (&b"GET / HT"[..], true));
}

#[test]
fn a_stopped_upstream_leaves_no_connection() {
    let upstream = Upstream::start().unwrap();
    let mut idle = TcpStream::connect(upstream.addr()).unwrap();
    idle.set_read_timeout(Some(LIMIT)).unwrap();
    idle.write_all(request("stream:1000:5000", 1, "").as_bytes()).unwrap();
    assert!(upstream.wait(1, LIMIT, |_| true).is_some());
    let (addr, before) = (upstream.addr(), Instant::now());
    drop(upstream);
    assert!(before.elapsed() < ms(1000));
    idle.read_to_end(&mut Vec::new()).unwrap();
    assert!(matches!(exchange(&Target::plain(addr), "GET", b"", LIMIT).end, End::Refused(_)));
}

#[test]
fn an_answer_survives_the_reset_that_follows_it() {
    for _ in 0..20 {
        let target = server(|mut socket| {
            socket.read_exact(&mut [0; 100]).unwrap();
            socket.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig").unwrap();
            // Closing with unread bytes makes the kernel send a reset.
        });
        let got = exchange(&target, "POST", &vec![b'x'; 8 << 20], LIMIT);
        assert_eq!((got.status, got.body.as_slice(), got.end), (Some(413), &b"big"[..], End::Complete));
    }
    let target = server(|mut socket| socket.read_exact(&mut [0; 100]).unwrap());
    assert_eq!(exchange(&target, "POST", &vec![b'x'; 8 << 20], LIMIT).end, End::Reset);
}

#[test]
fn answers_end_as_their_framing_says() {
    let cases: [(&[u8], End, &[u8]); 8] = [
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", End::Complete, b"to the end"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nabc", End::Closed, b"abc"),
        (b"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n", End::Complete, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: x\r\n\r\n", End::Complete, b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", End::Closed, b"ok"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\nxyz", End::Complete, b""),
        (b"HTTP/1.1 20", End::Closed, b"HTTP/1.1 20"),
        (b"", End::Closed, b""),
    ];
    for (bytes, end, body) in cases {
        let got = exchange(&replies(bytes), "GET", b"GET / HTTP/1.1\r\n\r\n", LIMIT);
        assert_eq!((&got.end, got.body.as_slice()), (&end, body), "{}", String::from_utf8_lossy(bytes));
    }
    let got = exchange(&replies(b"<html>"), "GET", b"GET /\r\n\r\n", LIMIT);
    assert_eq!((matches!(got.end, End::Malformed(_)), got.body.as_slice()), (true, &b"<html>"[..]));
}

#[cfg(target_os = "linux")]
#[test]
fn the_source_address_is_chosen() {
    let target = server(|mut socket| {
        let text = format!("HTTP/1.1 200 OK\r\n\r\n{}", socket.peer_addr().unwrap().ip());
        socket.write_all(text.as_bytes()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        socket.read_to_end(&mut Vec::new()).unwrap();
    });
    let target = Target { source: Some("127.0.0.77".parse().unwrap()), ..target };
    assert_eq!(exchange(&target, "GET", b"GET / HTTP/1.1\r\n\r\n", LIMIT).body, b"127.0.0.77");
}

/// A TLS server that answers each connection with the SNI it got; also its certificate and its CA's, as PEM.
fn tls_server() -> (SocketAddr, String, String) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["llm.test".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &rcgen::Issuer::new(ca, ca_key)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
            if tls.complete_io(&mut socket).is_err() {
                continue;
            }
            let name = tls.server_name().unwrap_or("none").to_owned();
            let mut stream = rustls::Stream::new(&mut tls, &mut socket);
            let mut got = Vec::new();
            while !got.ends_with(b"\r\n\r\n") {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).unwrap();
                got.extend_from_slice(&bytes[..count]);
            }
            let body = format!("{name} {}", got.len());
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    (addr, leaf.pem(), ca_pem)
}

#[test]
fn tls_trusts_what_it_is_given_alone() {
    let (addr, leaf, ca) = tls_server();
    let (_, _, other) = tls_server();
    let large = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(300_000));
    let ask = |name: Option<&str>, pem: Option<&str>, bytes: &str| {
        let ca_pem = pem.map(|pem| pem.as_bytes().to_vec());
        let tls = Some(TlsOptions { server_name: name.map(str::to_owned), ca_pem, alpn: vec![] });
        exchange(&Target { addr, source: None, tls }, "GET", bytes.as_bytes(), LIMIT)
    };
    for pem in [Some(ca.as_str()), Some(leaf.as_str()), None] {
        assert_eq!(ask(Some("llm.test"), pem, "GET / HTTP/1.1\r\n\r\n").body, b"llm.test 18");
        assert_eq!(ask(None, pem, "GET / HTTP/1.1\r\n\r\n").body, b"none 18");
    }
    assert_eq!(ask(None, Some(&ca), &large).body, format!("none {}", large.len()).as_bytes());
    for (name, pem) in [("other.test", &ca), ("llm.test", &other), ("not a name", &ca), ("llm.test", &"x".to_owned())] {
        let got = ask(Some(name), Some(pem), "GET / HTTP/1.1\r\n\r\n");
        assert!(matches!(got.end, End::Handshake(_)), "{name}: {got:?}");
    }
    let plain = replies(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let tls = Some(TlsOptions::default());
    let got = exchange(&Target { tls, ..plain }, "GET", b"", ms(300));
    assert!(matches!(got.end, End::Handshake(_) | End::TimedOut), "{got:?}");
}

proptest! {
    #[test]
    fn any_answer_gives_an_exchange(bytes: Vec<u8>, cut in 0..64usize, prefix in 0..3usize) {
        let prefix: &[u8] = [b"" as &[u8], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"][prefix];
        let bytes = [prefix, &bytes].concat();
        let mut response = Response::new("GET");
        let (head, rest) = bytes.split_at(cut.min(bytes.len()));
        if response.feed(head, ms(1)).is_none() {
            response.feed(rest, ms(2));
        }
        response.finish(End::Closed, ms(3));
    }
}
