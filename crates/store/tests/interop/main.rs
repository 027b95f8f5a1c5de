//! The Go server and this crate on the same directories, in turn.
//!
//! `NATS_PEER` names the server binary; without it the tests say so and pass. Everything runs on
//! loopback and in temporary directories.

#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

mod backup;
mod peer;
mod swap;
mod times;
