//! One connection of the test client, plain or TLS. In: bytes to send. Out: bytes received, and how it ended.
//!
//! Invariant: reading goes first. What the peer sent before it closed or reset is handed out before the end is reported, and a
//! write that fails only stops the sending.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use socket2::{Domain, Protocol, Socket, Type};

use super::{End, Target, tls};
use crate::prove::poll;

/// How much is handed to TLS at once: one full record, so that "sent" stays close to "on the wire".
const PIECE: usize = 16 * 1024;

pub(in crate::prove) struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    unsent: VecDeque<u8>,
    /// Set once the peer takes no more bytes; whatever else is queued is dropped.
    deaf: bool,
    reset: bool,
}

/// What one [`Connection::turn`] brought.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::prove) enum Turn {
    /// The connection stands; bytes may have come.
    Open,
    /// Nothing more will come.
    Over(End),
}

impl Connection {
    /// Connects and finishes the TLS handshake. Errors: why there is no connection, as the exchange's end.
    pub(in crate::prove) fn open(target: &Target, deadline: Instant) -> Result<Self, End> {
        let socket = connect(target, deadline).map_err(|error| match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => End::TimedOut,
            _ => End::Refused(error.to_string()),
        })?;
        let tls = target.tls.as_ref().map(|options| tls::client(options, target.addr.ip()));
        let tls = tls.transpose().map_err(End::Handshake)?.map(Box::new);
        let mut connection = Connection { socket, tls, unsent: VecDeque::new(), deaf: false, reset: false };
        let mut early = Vec::new();
        while connection.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            if Instant::now() >= deadline {
                return Err(End::TimedOut);
            }
            match connection.turn(deadline, &mut early) {
                Turn::Open => {}
                Turn::Over(End::Handshake(reason)) => return Err(End::Handshake(reason)),
                Turn::Over(End::Reset) => return Err(End::Handshake("reset during the handshake".to_owned())),
                Turn::Over(_) => return Err(End::Handshake("closed during the handshake".to_owned())),
            }
        }
        Ok(connection)
    }

    /// The protocol that the server chose by ALPN.
    pub(in crate::prove) fn alpn(&self) -> Option<&[u8]> {
        self.tls.as_ref().and_then(|tls| tls.alpn_protocol())
    }

    /// Queues bytes behind those not yet sent.
    pub(in crate::prove) fn queue(&mut self, bytes: &[u8]) {
        if !self.deaf {
            self.unsent.extend(bytes);
        }
    }

    /// Whether everything queued has left, or never will.
    pub(in crate::prove) fn sent(&self) -> bool {
        self.unsent.is_empty() && !self.wants_write()
    }

    /// Waits until bytes can be moved or `until` has come, and moves them once; appends what came to `inbox`.
    pub(in crate::prove) fn turn(&mut self, until: Instant, inbox: &mut Vec<u8>) -> Turn {
        let ready = match poll::wait(&self.socket, !self.sent(), until) {
            Ok(ready) => ready,
            Err(error) => return Turn::Over(End::Refused(error.to_string())),
        };
        if ready.read {
            match self.receive(inbox) {
                Ok(Turn::Open) => {}
                Ok(over) => return over,
                Err(error) => return Turn::Over(ended(&error)),
            }
        }
        if ready.write
            && let Err(error) = self.send()
        {
            self.reset |= ended(&error) == End::Reset;
            self.deaf = true;
            self.unsent.clear();
        }
        Turn::Open
    }

    fn wants_write(&self) -> bool {
        !self.deaf && self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    fn receive(&mut self, inbox: &mut Vec<u8>) -> std::io::Result<Turn> {
        let mut bytes = [0; 32 * 1024];
        let count = match &mut self.tls {
            None => self.socket.read(&mut bytes),
            Some(tls) => tls.read_tls(&mut self.socket),
        };
        let count = match count {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(Turn::Open);
            }
            count => count?,
        };
        let Some(tls) = &mut self.tls else {
            inbox.extend_from_slice(bytes.get(..count).unwrap_or_default());
            return Ok(if count == 0 { self.closed() } else { Turn::Open });
        };
        if let Err(error) = tls.process_new_packets() {
            // The alert tells the peer why; whether it arrives changes nothing here.
            let _ = tls.write_tls(&mut self.socket);
            return Ok(Turn::Over(End::Handshake(error.to_string())));
        }
        loop {
            match tls.reader().read(&mut bytes) {
                Ok(0) => return Ok(self.closed()),
                Ok(count) => inbox.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(_) => break,
            }
        }
        Ok(if count == 0 { self.closed() } else { Turn::Open })
    }

    /// The end of the stream; a reset may have been reported to a write before.
    fn closed(&self) -> Turn {
        Turn::Over(if self.reset { End::Reset } else { End::Closed })
    }

    fn send(&mut self) -> std::io::Result<()> {
        let (next, _) = self.unsent.as_slices();
        let written = match &mut self.tls {
            None => self.socket.write(next),
            Some(tls) if tls.wants_write() => tls.write_tls(&mut self.socket).map(|_| 0),
            Some(tls) => tls.writer().write(next.get(..PIECE).unwrap_or(next)),
        };
        match written {
            Ok(count) => drop(self.unsent.drain(..count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn connect(target: &Target, deadline: Instant) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target.addr), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = target.source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    socket.connect_timeout(&target.addr.into(), left)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn ended(error: &std::io::Error) -> End {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => End::Reset,
        ErrorKind::UnexpectedEof => End::Closed,
        _ => End::Refused(error.to_string()),
    }
}
