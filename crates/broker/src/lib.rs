//! Accounts, sessions, and the dispatch of one message to many outboxes.
//!
//! The hot path is one synchronous call chain: bytes read -> `session::Session::on_bytes` ->
//! `wire::parser` -> `dispatch` -> appended to each target's `outbox::Outbox`; at the end of the
//! read the touched outboxes are flushed once.
//!
//! Not here: sockets and timers (`net`), who may log in (`auth`), the config file (`config`).
//! Laws: no lock is held across a syscall; a connection's session has one owner, everything shared
//!       is in `conn::Conn`; a `PUB` in steady state allocates nothing.

pub mod account;
pub mod broker;
pub mod closed;
pub mod conn;
pub mod dispatch;
mod evict;
pub mod outbox;
mod revise;
pub mod session;
pub mod settings;
pub mod stats;
pub mod sub;
pub mod tracing;
pub mod witness;
pub mod worker;

#[cfg(test)]
mod tests;

pub use broker::Broker;
pub use conn::Conn;
pub use session::Session;
pub use worker::Worker;
