//! What becomes of a request, said so that a server's answer and the evaluator's can be compared.
//!
//! In: an outcome, or what a server sent and what reached a stand-in. Out: an [`Answer`]. Invariant: two answers are equal if a client and
//! an upstream can't tell them apart by outcome, status, upstream, target and Host.

use std::net::SocketAddr;

use super::upstream::Seen;
use super::wire::{End, Exchange};
use crate::gateway::eval::{Outcome, Verdict};
use crate::http::line::text;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Refused with a status; 444: closed without an answer.
    Refused(u16),
    /// Answered by the gateway itself.
    Answered(u16),
    /// An upstream saw it.
    Proxied {
        /// The upstream's port.
        port: u16,
        /// The request target that it got; one character for each byte.
        target: String,
        /// The Host that it got.
        host: String,
    },
    /// The evaluator can't know: why.
    Unknown(String),
    /// The server did something else: what.
    Strange(String),
}

impl Answer {
    /// What the evaluator says.
    pub fn of(outcome: &Outcome) -> Answer {
        match &outcome.verdict {
            Verdict::Refused(status) => Answer::Refused(*status),
            Verdict::Answered(status) => Answer::Answered(*status),
            Verdict::Proxied { upstream, target, host } => {
                let port = upstream.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
                Answer::Proxied { port, target: text(target), host: host.clone() }
            }
            Verdict::Unknown { reason, .. } => Answer::Unknown(reason.clone()),
        }
    }

    /// What a server did; `seen` is what reached a stand-in at this address.
    pub fn observed(exchange: &Exchange, seen: Option<(SocketAddr, &Seen)>) -> Answer {
        // Of a body that turns out too large the start may be on its way.
        let refused_late = |seen: &Seen| exchange.status == Some(413) && !seen.body_complete;
        match (seen, exchange.status, &exchange.end) {
            (Some((addr, seen)), ..) if !refused_late(seen) => {
                let host = seen.header_all("host").next().map(text).unwrap_or_default();
                Answer::Proxied { port: addr.port(), target: text(&seen.target), host }
            }
            (_, Some(status @ 400..), _) => Answer::Refused(status),
            (_, Some(status), _) => Answer::Answered(status),
            (_, None, End::Closed | End::Reset | End::StreamReset(_) | End::GoAway(_) | End::Handshake(_)) => {
                Answer::Refused(444)
            }
            (_, None, end) => Answer::Strange(format!("{end:?}")),
        }
    }
}
