//! The stand-in upstream: an HTTP/1.1 server on loopback that records what reaches it and answers as a request tells it to.
//!
//! In: requests with the headers [`PROBE`] (a number) and [`SCRIPT`]: `plain`, `stream:CHUNKS:MS`, `slow:MS`, `status:CODE`,
//! `with:NAME=VALUE`, `early`. Out: a [`Seen`] for each. Invariant: records every head as its raw bytes before it answers, has at most
//! [`MOST_CONNECTIONS`] threads, and ends all of them when it is dropped.

mod head;
mod script;
mod serve;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::poll;
pub use head::{PROBE, SCRIPT};

/// How many connections are served at once; more are closed unanswered.
pub const MOST_CONNECTIONS: usize = 512;
/// How soon a stop is noticed while nothing arrives.
const STOP_WITHIN: Duration = Duration::from_millis(20);

/// A request that reached the stand-in, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The number in [`PROBE`]; absent: none, or no number.
    pub id: Option<u64>,
    /// The head's bytes up to and with its empty line.
    pub raw_head: Vec<u8>,
    /// The method; empty if the head is broken.
    pub method: String,
    /// The request target, byte for byte.
    pub target: Vec<u8>,
    /// The headers in order, names as sent, values without blanks around them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// How many bytes of the body came, without chunking.
    pub body_len: u64,
    /// Whether the body came to its end.
    pub body_complete: bool,
    /// Whether the peer closed before it had sent its whole request or was sent the whole answer.
    pub client_left: bool,
}

impl Seen {
    /// The values of a header, in order, whatever the case of its name.
    pub fn header_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        super::body::values(&self.headers, name)
    }
}

/// The running stand-in.
pub struct Upstream {
    addr: SocketAddr,
    records: Arc<Records>,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Starts on a free port of 127.0.0.1. Errors: what the system says.
    pub fn start() -> std::io::Result<Self> {
        Self::answering("plain")
    }

    /// Starts with another script for requests that name none. Errors: what the system says.
    pub fn answering(unasked: &'static str) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let records = Arc::new(Records { unasked, list: Mutex::default(), changed: Condvar::new() });
        let stop = Arc::new(AtomicBool::new(false));
        let acceptor = std::thread::Builder::new().name("upstream".to_owned()).spawn({
            let (records, stop) = (records.clone(), stop.clone());
            move || accept(&listener, &records, &stop)
        })?;
        Ok(Upstream { addr, records, stop, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every request so far, in the order in which their heads came.
    pub fn all(&self) -> Vec<Seen> {
        self.records.lock().clone()
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.records.lock().len()
    }

    /// The requests behind the first `place`, in the order in which their heads came.
    pub fn since(&self, place: usize) -> Vec<Seen> {
        self.records.lock().get(place..).unwrap_or_default().to_vec()
    }

    /// The requests with this number; more than one if the gateway tried again.
    pub fn seen(&self, id: u64) -> Vec<Seen> {
        self.records.lock().iter().filter(|seen| seen.id == Some(id)).cloned().collect()
    }

    /// Waits up to `limit` for a request with this number of which `test` holds; nothing if none came.
    pub fn wait(&self, id: u64, limit: Duration, test: impl Fn(&Seen) -> bool) -> Option<Seen> {
        let until = Instant::now() + limit;
        let mut list = self.records.lock();
        loop {
            if let Some(seen) = list.iter().find(|seen| seen.id == Some(id) && test(seen)) {
                return Some(seen.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            list = self.records.changed.wait_timeout(list, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(acceptor) = self.acceptor.take() {
            // It returns an error only if it panicked, and then its sockets are closed.
            let _ = acceptor.join();
        }
    }
}

/// The records, shared by all connections.
struct Records {
    /// The script of a request that names none.
    unasked: &'static str,
    list: Mutex<Vec<Seen>>,
    changed: Condvar,
}

impl Records {
    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        lock(&self.list)
    }

    /// Adds a record; returns its place.
    fn add(&self, seen: Seen) -> usize {
        let mut list = self.lock();
        list.push(seen);
        self.changed.notify_all();
        list.len() - 1
    }

    fn change(&self, place: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.lock().get_mut(place) {
            change(seen);
        }
        self.changed.notify_all();
    }
}

/// A thread that panicked while it held the lock left nothing half done that matters here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts until told to stop, then shuts every connection so that its thread ends, and waits for them.
fn accept(listener: &TcpListener, records: &Records, stop: &AtomicBool) {
    let open: Mutex<HashMap<usize, TcpStream>> = Mutex::default();
    std::thread::scope(|threads| {
        for number in 0.. {
            let socket = loop {
                if stop.load(Ordering::Relaxed) {
                    break None;
                }
                // An error, such as too many open files, is waited out like silence.
                let _ = poll::wait(listener, false, Instant::now() + STOP_WITHIN);
                if let Ok((socket, _)) = listener.accept() {
                    break Some(socket);
                }
            };
            let Some(socket) = socket else { break };
            let Ok(twin) = socket.try_clone() else { continue };
            let mut sockets = lock(&open);
            if sockets.len() >= MOST_CONNECTIONS {
                continue;
            }
            sockets.insert(number, twin);
            let open = &open;
            let served = move || {
                serve::serve(&socket, records);
                // The twin would keep the connection open.
                let _ = socket.shutdown(Shutdown::Both);
                lock(open).remove(&number);
            };
            if std::thread::Builder::new().spawn_scoped(threads, served).is_err() {
                sockets.remove(&number);
            }
        }
        for socket in lock(&open).values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    });
}
