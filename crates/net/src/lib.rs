//! Sockets, TLS, the read and write loops.
