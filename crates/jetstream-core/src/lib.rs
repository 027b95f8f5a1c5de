//! Stream and consumer state machines.
//!
//! Bytes, events and a `Now` in; calls of a [`store::MessageStore`] and of an [`Out`] come out. A
//! machine decides first (may this message be stored, who gets it?) and then applies; the apply
//! step is deterministic, so that a replicated log can drive it.
//!
//! Not here: the API's documents and rules (`jetstream_api`), which streams there are, threads,
//! files' places, timers (`jetstream`).

#![forbid(unsafe_code)]

pub mod consumer;
pub mod out;
pub mod stream;

pub use out::{Facts, Out, Outgoing};
