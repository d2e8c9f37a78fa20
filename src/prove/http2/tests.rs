use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use proptest::prelude::*;

use super::frame::{self, Frame, put, put_headers};
use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// A server's side of one connection.
struct Peer {
    socket: TcpStream,
    inbox: Vec<u8>,
}

impl Peer {
    fn read(&mut self) -> bool {
        let mut bytes = [0; 65536];
        let count = self.socket.read(&mut bytes).unwrap_or(0);
        self.inbox.extend_from_slice(&bytes[..count]);
        count > 0
    }

    /// The next frame that is not about windows or settings; nothing at the end.
    fn frame(&mut self) -> Option<Frame> {
        loop {
            match Frame::take(&mut self.inbox).unwrap() {
                Some(frame) if matches!(frame.kind, frame::SETTINGS | frame::WINDOW_UPDATE) => {}
                Some(frame) => return Some(frame),
                None if !self.read() => return None,
                None => {}
            }
        }
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut bytes = Vec::new();
        put(&mut bytes, kind, flags, stream, payload);
        self.socket.write_all(&bytes).unwrap();
    }

    fn head(&mut self, status: &str, headers: &[(&str, &str)], end: bool) {
        let list = std::iter::once((":status", status)).chain(headers.iter().copied());
        let fields: Vec<_> = list.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
        let mut bytes = Vec::new();
        put_headers(&mut bytes, 1, &fields, end);
        self.socket.write_all(&bytes).unwrap();
    }
}

/// A server for one connection that has taken the preface and sent its settings, with this first window.
fn server(window: u32, answer: impl FnOnce(Peer) + Send + 'static) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut peer = Peer { socket: listener.accept().unwrap().0, inbox: Vec::new() };
        while peer.inbox.len() < 24 {
            assert!(peer.read());
        }
        assert!(peer.inbox.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        peer.inbox.drain(..24);
        let settings = [&[0, 4][..], &window.to_be_bytes(), &[0, 0x99, 1, 2, 3, 4]].concat();
        peer.send(frame::SETTINGS, 0, 0, &settings);
        answer(peer);
    });
    Target::plain(addr)
}

fn get() -> Vec<Field> {
    fields("GET", "http", "llm.test", b"/x", &[])
}

#[test]
fn fields_arrive_as_given() {
    let sent =
        fields("POST", "http", "llm.test", b"/a b", &[("X-Key".to_owned(), b"k ".to_vec()), ("e".into(), vec![])]);
    let expected = sent.clone();
    let target = server(65_535, move |mut peer| {
        let head = peer.frame().unwrap();
        let got = loona_hpack::Decoder::new().decode(&head.payload).unwrap();
        let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
        assert_eq!(got, expected);
        let body = peer.frame().unwrap();
        assert_eq!((body.payload.as_slice(), body.flags), (&b"body"[..], frame::END_STREAM));
        peer.head("103", &[("link", "x")], false);
        // RFC 7541 C.6.1: an answer with Huffman codes and a table.
        let block = b"\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b";
        peer.send(frame::HEADERS, 0, 1, &block[..5]);
        peer.send(frame::CONTINUATION, frame::END_HEADERS, 1, &block[5..]);
        peer.send(frame::PING, 0, 0, b"12345678");
        peer.send(frame::DATA, frame::PADDED, 1, b"\x02one,__");
        peer.send(frame::DATA, 0, 1, b"two");
        peer.head("999", &[("trailer", "x")], true);
        let pong = peer.frame().unwrap();
        assert_eq!((pong.kind, pong.flags, pong.payload.as_slice()), (frame::PING, frame::ACK, &b"12345678"[..]));
    });
    let got = exchange(&target, &sent, b"body", LIMIT);
    assert_eq!((got.status, got.version, got.interim.as_slice()), (Some(302), "HTTP/2", &[103][..]));
    assert_eq!((got.body.as_slice(), &got.end), (&b"one,two"[..], &End::Complete));
    assert_eq!(got.headers, [("cache-control".to_owned(), b"private".to_vec())]);
}

#[test]
fn a_large_body_respects_the_windows() {
    const SIZE: usize = 3 << 20;
    let target = server(10_000, |mut peer| {
        let (mut came, mut window, mut connection) = (0, 10_000, 65_535);
        assert_eq!(peer.frame().unwrap().kind, frame::HEADERS);
        loop {
            let data = peer.frame().unwrap();
            came += data.payload.len();
            window -= data.payload.len() as i64;
            connection -= data.payload.len() as i64;
            assert!(window >= 0 && connection >= 0, "{window} {connection}");
            if data.has(frame::END_STREAM) {
                break;
            }
            if window == 0 {
                peer.send(frame::WINDOW_UPDATE, 0, 1, &300_000u32.to_be_bytes());
                window += 300_000;
            }
            if connection == 0 {
                peer.send(frame::WINDOW_UPDATE, 0, 0, &500_000u32.to_be_bytes());
                connection += 500_000;
            }
        }
        peer.head("200", &[("came", &came.to_string())], false);
        let mut updates = 65_535;
        for _ in 0..SIZE / 16_384 {
            // Reads only what the client gives back.
            while updates < 16_384 {
                assert!(peer.read());
                while let Some(update) = Frame::take(&mut peer.inbox).unwrap() {
                    if update.kind == frame::WINDOW_UPDATE && update.stream == 1 {
                        updates += update.number(0).unwrap();
                    }
                }
            }
            peer.send(frame::DATA, 0, 1, &[b'y'; 16_384]);
            updates -= 16_384;
        }
        peer.send(frame::DATA, frame::END_STREAM, 1, b"");
        peer.read();
    });
    let fields = fields("POST", "http", "llm.test", b"/x", &[]);
    let got = exchange(&target, &fields, &vec![b'x'; SIZE], LIMIT);
    assert_eq!((got.end.clone(), got.header("came")), (End::Complete, Some(SIZE.to_string().as_bytes())));
    assert_eq!(got.body.len(), SIZE);
}

#[test]
fn refusals_of_http2_are_told_apart() {
    let ends = [
        (frame::RST_STREAM, 1, vec![0, 0, 0, 8], End::StreamReset(8)),
        (frame::GOAWAY, 0, vec![0, 0, 0, 0, 0, 0, 0, 11], End::GoAway(11)),
        (frame::GOAWAY, 0, vec![0, 0, 0, 1, 0, 0, 0, 0], End::GoAway(0)),
        (frame::GOAWAY, 0, vec![0, 0, 0], End::Malformed("a frame of type 7 is too short".to_owned())),
        (frame::DATA, 1, vec![1], End::Malformed("a body before its head".to_owned())),
        (frame::CONTINUATION, 1, vec![], End::Malformed("a CONTINUATION of nothing".to_owned())),
        (frame::PUSH_PROMISE, 1, vec![], End::Malformed("a push, which was turned off".to_owned())),
        (0x77, 1, vec![1], End::Closed),
    ];
    for (kind, stream, payload, end) in ends {
        let target = server(65_535, move |mut peer| {
            peer.frame();
            peer.send(kind, 0, stream, &payload);
            peer.socket.shutdown(std::net::Shutdown::Write).unwrap();
            while peer.read() {}
        });
        assert_eq!(exchange(&target, &get(), b"", LIMIT).end, end);
    }
}

#[test]
fn an_answer_in_http1_is_read_too() {
    // Read to the end: a socket dropped with bytes unread is reset, not closed.
    let target = server(65_535, |mut peer| {
        peer.socket.shutdown(std::net::Shutdown::Write).unwrap();
        while peer.read() {}
    });
    assert_eq!(exchange(&target, &get(), b"", LIMIT).end, End::Closed);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::plain(listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        socket.read_exact(&mut [0; 24]).unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad").unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        while socket.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
    });
    let got = exchange(&target, &get(), b"", LIMIT);
    assert_eq!((got.status, got.version, got.body.as_slice()), (Some(400), "HTTP/1.1", &b"bad"[..]));
}

#[test]
fn a_client_that_leaves_says_so() {
    let (tell, told) = std::sync::mpsc::channel();
    let target = server(65_535, move |mut peer| {
        peer.frame();
        peer.head("200", &[], false);
        peer.send(frame::DATA, 0, 1, b"first");
        let reset = peer.frame().unwrap();
        tell.send((reset.kind, reset.payload)).unwrap();
        while peer.read() {}
    });
    let got = exchange_parts(&target, &get(), &[], Some(Leave::AtBody(1)), LIMIT);
    assert_eq!((got.status, got.end), (Some(200), End::Left));
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), (frame::RST_STREAM, vec![0, 0, 0, 8]));
}

#[test]
fn a_body_may_come_slowly() {
    let target = server(65_535, |mut peer| {
        let kinds: Vec<_> =
            (0..3).map(|_| peer.frame().unwrap()).map(|frame| (frame.flags, frame.payload.len())).collect();
        assert_eq!(kinds[1..], [(0, 2), (frame::END_STREAM, 3)]);
        peer.head("200", &[], true);
        while peer.read() {}
    });
    let wait = Duration::from_millis(60);
    let got = exchange_parts(&target, &get(), &[Part::after(wait, "ab"), Part::after(wait, "cde")], None, LIMIT);
    assert_eq!((got.status, &got.end), (Some(200), &End::Complete));
    assert!(got.head_after >= wait * 2, "{:?}", got.head_after);
}

proptest! {
    #[test]
    fn any_frames_give_an_exchange(
        frames in prop::collection::vec((0..11u8, any::<u8>(), 0..3u32, any::<Vec<u8>>()), 0..20),
        tail: Vec<u8>,
    ) {
        let mut inbox = Vec::new();
        for (kind, flags, stream, payload) in frames {
            put(&mut inbox, kind, flags, stream, &payload);
        }
        inbox.extend_from_slice(&tail);
        let mut session = Session::new(&get(), true);
        session.queue(&[0; 100_000]);
        session.feed(&mut inbox, Duration::ZERO);
        session.send(true);
        session.finish(End::Closed, Duration::ZERO);
    }

    #[test]
    fn any_header_block_gives_an_exchange(block: Vec<u8>) {
        let mut inbox = Vec::new();
        put(&mut inbox, frame::HEADERS, frame::END_HEADERS, 1, &block);
        Session::new(&get(), false).feed(&mut inbox, Duration::ZERO);
    }
}
