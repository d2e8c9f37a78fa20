//! Waiting for a socket until a moment. In: a socket, what is awaited, a moment. Out: what it is ready for.
//!
//! Invariant: never waits past the moment, and a socket in error counts as ready, so that the next call reports the error.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a socket is ready for; nothing when the moment came first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ready {
    /// A read returns at once: with bytes, the end, or an error.
    pub(super) read: bool,
    /// A write takes at least one byte or returns an error.
    pub(super) write: bool,
}

/// Waits until `socket` can be read, or written if `write` is set, or `until` has come.
///
/// Errors: what the system says; a signal that interrupts the wait counts as "not ready".
pub(super) fn wait(socket: &impl AsFd, write: bool, until: Instant) -> std::io::Result<Ready> {
    let wanted = if write { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let mut sockets = [PollFd::new(socket, wanted)];
    match poll(&mut sockets, Some(&timespec(until.saturating_duration_since(Instant::now())))) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let got = sockets[0].revents();
    let broken = got.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
    Ok(Ready { read: broken || got.contains(PollFlags::IN), write: write && (broken || got.contains(PollFlags::OUT)) })
}

fn timespec(wait: Duration) -> Timespec {
    // An hour is longer than any deadline here, and keeps the number inside every platform's range.
    let wait = wait.min(Duration::from_secs(3600));
    Timespec { tv_sec: wait.as_secs() as _, tv_nsec: wait.subsec_nanos() as _ }
}
