//! A small HTTP/2 client for one request, over TLS with ALPN `h2` or with prior knowledge on a plain port.
//!
//! In: where to, the fields with their pseudo-fields, the body with its pace. Out: the same [`Exchange`] as of HTTP/1.
//! Invariant: fields go onto the wire as they are given, in their order; nothing is added, checked or lowercased.

mod frame;
mod session;

use std::time::{Duration, Instant};

use super::wire::{Connection, End, Exchange, Leave, Pace, Part, Response, Target, TlsOptions, Turn, converse};
use session::Session;

/// A header or a pseudo-field such as `:path`.
pub type Field = (String, Vec<u8>);

/// How long a client that leaves takes to say so.
const FAREWELL: Duration = Duration::from_millis(50);

/// The usual fields of a request: the four pseudo-fields, then `headers` with lowercase names.
pub fn fields(method: &str, scheme: &str, authority: &str, path: &[u8], headers: &[Field]) -> Vec<Field> {
    let pseudo: [(&str, &[u8]); 4] = [
        (":method", method.as_bytes()),
        (":scheme", scheme.as_bytes()),
        (":authority", authority.as_bytes()),
        (":path", path),
    ];
    let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.to_vec()));
    pseudo.into_iter().chain(headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))).collect()
}

/// Sends one request and reads its answer. Without body bytes the head ends the request.
///
/// A server that answers in HTTP/1 instead, as plain ports do, gives that answer (`version` tells).
pub fn exchange(target: &Target, fields: &[Field], body: &[u8], deadline: Duration) -> Exchange {
    let part = [Part::now(body)];
    exchange_parts(target, fields, if body.is_empty() { &[] } else { &part }, None, deadline)
}

/// Like [`exchange`], with the body in parts over time and a client that may leave early (RST_STREAM, then a close).
pub fn exchange_parts(
    target: &Target,
    fields: &[Field],
    parts: &[Part],
    leave: Option<Leave>,
    deadline: Duration,
) -> Exchange {
    let opened = Instant::now();
    let deadline = opened + deadline;
    let tls = target.tls.clone().map(|tls| TlsOptions { alpn: vec![b"h2".to_vec()], ..tls });
    let connection = Connection::open(&Target { tls, ..target.clone() }, deadline);
    let mut connection = match connection {
        Ok(connection) if target.tls.is_some() && connection.alpn() != Some(b"h2") => {
            let end = End::Handshake("the server did not choose `h2` by ALPN".to_owned());
            return Exchange { end, took: opened.elapsed(), ..Exchange::default() };
        }
        Ok(connection) => connection,
        Err(end) => return Exchange { end, took: opened.elapsed(), ..Exchange::default() },
    };
    let mut pace = Pace::new(parts, leave, deadline);
    let mut session = Session::new(fields, !parts.is_empty());
    let (mut inbox, mut fresh) = (Vec::new(), true);
    let end = loop {
        if let Some(end) = pace.over(session.body_len()) {
            if end == End::Left {
                session.cancel();
                say(&mut connection, &mut session, &mut inbox);
            }
            break end;
        }
        if let Some(bytes) = pace.due(connection.sent() && session.framed() && session.outbox.is_empty()) {
            session.queue(bytes);
        }
        session.send(pace.spent());
        connection.queue(&std::mem::take(&mut session.outbox));
        let turn = connection.turn(pace.next(), &mut inbox);
        if fresh && inbox.starts_with(b"HTTP/") {
            return in_http1(&mut connection, fields, &inbox, Pace::new(&[], leave, deadline));
        }
        fresh &= inbox.len() < b"HTTP/".len();
        match (session.feed(&mut inbox, pace.elapsed()), turn) {
            (Some(end), _) | (None, Turn::Over(end)) => break end,
            (None, Turn::Open) => {}
        }
    };
    session.finish(end, pace.elapsed())
}

fn say(connection: &mut Connection, session: &mut Session, inbox: &mut Vec<u8>) {
    let until = Instant::now() + FAREWELL;
    connection.queue(&std::mem::take(&mut session.outbox));
    while !connection.sent() && Instant::now() < until && connection.turn(until, inbox) == Turn::Open {}
}

/// Reads on in HTTP/1, of which `begun` came already.
fn in_http1(connection: &mut Connection, fields: &[Field], begun: &[u8], pace: Pace<'_>) -> Exchange {
    let method = super::body::values(fields, ":method").next().unwrap_or_default();
    let mut response = Response::new(&String::from_utf8_lossy(method));
    match response.feed(begun, pace.elapsed()) {
        Some(end) => response.finish(end, pace.elapsed()),
        None => converse(connection, response, pace),
    }
}

#[cfg(test)]
mod tests;
