//! Fixtures shared by every test: servers, peers, raw clients, certificates.
//!
//! Not here: conversation scripts (`conformance`), load (`bench`), product code of any kind.
//! Laws: everything listens on loopback with ports from the operating system; every wait has a
//!       deadline and ends on an event; a fixture that fails panics with the server's log; every
//!       process started here is killed when its handle is dropped.

#![expect(clippy::unwrap_used, reason = "a fixture that fails is a test that fails")]

pub mod alloc;
pub mod binary;
pub mod certs;
pub mod client;
pub mod frame;
pub mod golden;
pub mod http;
pub mod ocsp;
pub mod server;
pub mod wait;

pub use binary::Which;
pub use client::Client;
pub use expect_test::{expect, expect_file};
pub use frame::{Frame, Msg};
pub use server::{Server, ServerBuilder};
pub use tempfile::{TempDir, tempdir};
pub use wait::{DEADLINE, eventually};
