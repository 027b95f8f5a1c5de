//! The host: files, listeners, signals, logs; also the embeddable API.

#![forbid(unsafe_code)]
