//! A small HTTP/1.1 server for monitoring: listeners, heads, keep-alive, TLS; and a smaller client.
//!
//! Not here: what is served (`monitor`), the profiling endpoints, WebSocket upgrades.
//! Laws: a client may hold a socket, never a thread; nothing a client sends makes more than
//!       1 MiB of head and one body-sized read buffer live; a request is answered before its body
//!       is read, and the body is then thrown away.
//!
//! Why not a framework: what is contract here is small and particular (idle keep-alive without a
//! limit on the header clock, the refusals' texts, any method, bodies ignored), and a monitoring
//! port needs no bodies, no async handlers and no HTTP/2. Heads are parsed by `httparse`.
//! Reference: net/http Server with ReadHeaderTimeout 5 s and MaxHeaderBytes 1 MiB, as server.go
//! startMonitoring sets it up.

mod body;
mod client;
mod connection;
mod head;
mod listener;
mod reply;

pub use client::{Answer, GetError, get};
pub use connection::Handler;
pub use head::Request;
pub use listener::{Terms, Tls, serve};
pub use reply::Response;

/// How a request goes over TLS.
pub type ClientTls = std::sync::Arc<rustls::ClientConfig>;

#[cfg(test)]
mod tests;
