//! The NATS text protocol: bytes in, frames out, bytes back.
