//! The host: files, listeners, signals, logs; also the embeddable API.

#![forbid(unsafe_code)]

pub mod log;
pub mod ports;
pub mod process;
pub mod signal;
