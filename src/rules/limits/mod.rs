//! How much one caller may ask for, and whether that holds.

pub mod client_chosen_limit_key;
pub mod guessing_not_limited;
pub mod limit_queues;
pub mod limit_status_not_429;
pub mod looser_limit;
pub mod no_body_limit;
pub mod no_client_timeout;
pub mod no_connection_limit;
pub mod no_rate_limit;
pub mod small_body_limit;

use super::Context;
use crate::analysis::measure::forwards;
use crate::analysis::survey::{self, Route};
use crate::http::Request;

/// More bytes than any limit allows.
const ENDLESS: u64 = 1 << 40;

/// Whether a request gets through with a body of so many bytes; `chunked`: without saying how many.
fn passes(context: &Context<'_>, route: &Route, bytes: u64, chunked: bool) -> bool {
    let longer = |request: &mut Request| {
        request.body_bytes = bytes;
        if chunked {
            request.headers.push((b"Transfer-Encoding".to_vec(), b"chunked".to_vec()));
        }
    };
    forwards(&survey::again(context.gateway, &route.witness, &longer).verdict)
}

/// The longest body in bytes that gets through, where one of `refused` bytes doesn't.
fn longest(context: &Context<'_>, route: &Route, mut refused: u64) -> u64 {
    let mut through = 0;
    while refused - through > 1 {
        let middle = through + (refused - through) / 2;
        match passes(context, route, middle, false) {
            true => through = middle,
            false => refused = middle,
        }
    }
    through
}
