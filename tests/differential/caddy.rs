//! Random configs of Caddy. In: choices. Out: cases; [`crate::harness`] shows how one is written.

use crate::harness::Generator;

/// The generator.
pub fn generator() -> Option<&'static dyn Generator> {
    None
}
