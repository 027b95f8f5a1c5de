//! The outside world as the configuration sees it: files and environment, provided by the caller.
//!
//! Not here: any access to a disk or to the environment (the host implements `Source`).

/// Why the outside could not provide something, worded as the operator should read it
/// (`open x.conf: no such file or directory`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Files and environment variables, and the two questions only the host can answer.
pub trait Source {
    /// The bytes of the file at `path` (as written in the configuration, relative to the process).
    fn read(&self, path: &str) -> Result<Vec<u8>, SourceError>;

    /// The environment variable `name`, if set.
    fn env(&self, name: &str) -> Option<String>;

    /// Whether certificate chain and private key (both PEM) belong together; the error text follows
    /// `error parsing X509 certificate/key pair: `.
    fn check_key_pair(&self, _cert: &[u8], _key: &[u8]) -> Result<(), SourceError> {
        Ok(())
    }
}

/// A `Source` with no files and no environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Source for Nothing {
    fn read(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        Err(SourceError(format!("open {path}: no such file or directory")))
    }

    fn env(&self, _name: &str) -> Option<String> {
        None
    }
}
