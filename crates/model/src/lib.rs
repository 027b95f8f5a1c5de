//! The few structures that threads share, under every order in which they can meet.
//!
//! `cargo xtask loom` builds the product's own code with loom's atomics and locks in place of the
//! real ones and runs these models; without it this crate is empty.
//!
//! Laws: a model drives product code, not a copy; it is small enough to be exhausted (three
//!       threads, a few steps each), and it fails if the order it is about is broken on purpose.

#![cfg(all(ironats_loom, test))]
#![expect(clippy::unwrap_used, reason = "a model that cannot go on fails")]

mod generations;
mod outbox;
mod signal;
