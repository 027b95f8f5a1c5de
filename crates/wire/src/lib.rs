//! The NATS text protocol: bytes in, frames out, bytes back.
//!
//! Not here: what a frame does (`broker::session`), sockets (`net`).
//! Laws: any split of the same bytes gives the same frames; nothing here allocates per frame,
//!       panics on input, or reads a clock.

pub mod connect;
pub mod encode;
pub mod error;
pub mod header;
pub mod info;
pub mod json;
pub mod parser;
pub mod proxy;
