//! TLS of the client listener: from configured names and files to a rustls configuration, and from
//! a finished handshake to the facts that authentication and monitoring want.
//!
//! Not here: sockets and the handshake loop; solicited connections.
//! Laws: TLS 1.2 is the least; a name that cannot be served is refused, never left out; a peer
//!       certificate is verified in full on every connection (no resumption).
//! Reference: opts.go parseTLS, GenTLSConfig; client.go doTLSHandshake.

pub mod cipher;
pub mod client;
pub mod config;
pub mod curve;
pub mod facts;
pub mod failure;
mod key;
pub mod opening;
pub mod pin;
pub mod rate_limit;
mod resolver;
pub mod server;
#[cfg(test)]
mod tests;
mod verifier;
pub mod version;

pub use client::{ClientTlsConfig, client};
pub use config::{CertificateFiles, HandshakeFirst, TlsConfig, TlsConfigError};
pub(crate) use facts::distinguished_name;
pub use facts::{HandshakeFacts, PeerCertificate};
pub use failure::HandshakeFailure;
pub use key::{authority_certificates as authorities, check_pair};
pub use opening::{AfterInfo, FirstStep, Opening};
pub use pin::PinnedCertificates;
pub use rate_limit::RateLimiter;
pub use server::{Acceptor, ServerTls};
