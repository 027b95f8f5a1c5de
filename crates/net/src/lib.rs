//! Sockets, TLS, the read and write loops.
//!
//! Not here: what bytes mean (`broker::session`), which ports to open (`ironats`).

#![forbid(unsafe_code)]

pub mod clock;
pub mod conn;
pub mod http;
pub mod listener;
pub mod ocsp;
mod pause;
pub mod tls;
pub mod workers;
