//! Files and environment for the configuration.

use config::{Source, SourceError};

/// The real ones.
pub struct System;

impl Source for System {
    fn read(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        std::fs::read(path)
            .map_err(|error| SourceError(format!("open {path}: {}", stdx::os_text::reason(&error))))
    }

    fn check_key_pair(&self, cert: &[u8], key: &[u8]) -> Result<(), SourceError> {
        net::tls::check_pair(cert, key).map_err(|error| SourceError(error.to_string()))
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
