//! Starting the real servers on loopback and asking them.
//!
//! In: a program installed on this machine, rendered files, requests as bytes. Out: what came back over the wire
//! ([`wire::Exchange`]) and what arrived behind the gateway ([`upstream::Seen`]). Invariant: nothing here judges an answer, and
//! every child process, thread and socket ends with the value that owns it.

pub mod http2;
pub mod server;
pub mod upstream;
pub mod wire;

mod body;
mod poll;
