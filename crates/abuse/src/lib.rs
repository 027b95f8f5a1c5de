//! Peers that misbehave, in numbers and for long, and the honest ones beside them.
//!
//! Not here: speed (`bench`), single conversations (`conformance`), fixtures (`testkit`).
//! Laws: a run prints its seed; honest peers check every message they are owed; whoever finds
//!       something wrong panics with what was seen.

#![expect(clippy::unwrap_used, reason = "a check that cannot go on should say so and end")]

pub mod bystander;
pub mod churn;
pub mod crash;
pub mod crowd;
pub mod memory;
pub mod random;
pub mod stuck;
