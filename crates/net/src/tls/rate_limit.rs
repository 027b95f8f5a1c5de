//! How many TLS handshakes a listener begins in a second.
//!
//! Reference: rate_counter.go.

use std::time::Duration;
use stdx::time::Mono;

/// Counts handshakes in windows of a second; a window begins with the first handshake after the
/// last one ended.
// Compat(TLS-009)
#[derive(Debug)]
pub struct RateLimiter {
    limit: u64,
    count: u64,
    blocked: u64,
    end: Option<Mono>,
}

impl RateLimiter {
    /// What a connection beyond the limit is told.
    pub const CLIENT_ERROR: &'static str =
        "Connection throttling is active. Please try again later.";
    const WINDOW: Duration = Duration::from_secs(1);

    /// Allows `limit` handshakes per second; `None` if there is no limit (zero or less).
    pub fn new(limit: i64) -> Option<Self> {
        let limit = u64::try_from(limit).ok().filter(|limit| *limit > 0)?;
        Some(Self { limit, count: 0, blocked: 0, end: None })
    }

    /// Whether one more handshake may begin.
    pub fn allow(&mut self, now: Mono) -> bool {
        if self.end.is_none_or(|end| now > end) {
            self.end = Some(now + Self::WINDOW);
            self.count = 0;
        }
        let allowed = self.count < self.limit;
        if allowed {
            self.count += 1;
        } else {
            self.blocked += 1;
        }
        allowed
    }

    /// How many were turned away since the last call; asked once a second for the log line
    /// `Rejected N connections due to TLS rate limiting`.
    pub fn take_blocked(&mut self) -> u64 {
        std::mem::take(&mut self.blocked)
    }
}
