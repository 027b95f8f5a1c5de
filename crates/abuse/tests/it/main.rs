//! What offenders get, and what the others notice of them: nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod advisories;
mod callout;
mod callout_operator;
mod churn;
mod crash;
mod crowd;
mod descriptors;
mod flood;
mod hostile;
mod jetstream_room;
mod proxy;
mod slow;
mod slow_write;
mod stuck;
mod token;
mod upkeep;
