//! What offenders get, and what the others notice of them: nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod churn;
mod crash;
mod crowd;
mod flood;
mod hostile;
mod slow;
mod slow_write;
mod upkeep;
