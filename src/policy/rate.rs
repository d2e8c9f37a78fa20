//! A rate: `requests` each `per` on average, `burst` at once. What a target can't say exactly is measured here.

use std::time::Duration;

/// At most `burst` at once, `requests` each `per` on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    /// How many requests come on average in `per`; at least 1.
    pub requests: u32,
    /// The length of time that `requests` are for; never zero.
    pub per: Duration,
    /// How many may come at once; at least 1.
    pub burst: u32,
}

impl Rate {
    /// Requests per second, on average.
    pub fn per_second(&self) -> f64 {
        f64::from(self.requests) / self.per.as_secs_f64()
    }

    /// The window in which `burst` requests come on average.
    pub fn burst_window(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.burst) / self.per_second())
    }

    /// How far `value` lies from `exact`, as a part of `exact`: 0.05 is the most that a target may round.
    pub fn deviation(exact: f64, value: f64) -> f64 {
        ((value - exact) / exact).abs()
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} per {:?}, burst {}", self.requests, self.per, self.burst)
    }
}
