//! Sockets, TLS, the read and write loops.
//!
//! Not here: what bytes mean (`broker::session`), which ports to open (`ironats`).

#![deny(unsafe_code)]

pub mod clock;
pub mod conn;
pub mod http;
pub mod listener;
#[cfg(target_os = "linux")]
mod ticker;
#[cfg(not(target_os = "linux"))]
#[path = "ticker_none.rs"]
mod ticker;
pub mod tls;
mod unsafe_sockopt;
pub mod workers;
