//! Sockets, TLS, the read and write loops.

pub mod tls;
