//! Keys and passwords as a config holds them: what they are worth, and where they stand.
//!
//! In: the gateway. Out: findings that never show a value. Invariant: the policy's own keys and hashes are the policy's matter.

pub mod cheap_hash;
pub mod committed_key;
pub mod placeholder_key;
pub mod slow_hash;
pub mod unusable_hash;
pub mod weak_key;

mod hash;
mod held;
mod logins;
