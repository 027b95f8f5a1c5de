//! Protocol versions by the names in use.
//!
//! Reference: server.go tlsVersion, tlsVersionFromString; opts.go parseTLSVersion.

use rustls::ProtocolVersion;

/// The least version a listener accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MinVersion {
    /// TLS 1.2
    #[default]
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// A `min_version` that is not accepted; the texts are those of the reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// There is no such version.
    #[error("unknown version: {0}")]
    Unknown(String),
    /// The version is too old to be served.
    #[error("unsupported TLS version: TLS {0}")]
    TooOld(String),
}

impl MinVersion {
    /// Reads `1.2` or `1.3`.
    // Compat(TLS-002)
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        match text {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            "1.0" | "1.1" => Err(VersionError::TooOld(text.to_owned())),
            _ => Err(VersionError::Unknown(text.to_owned())),
        }
    }
}

/// A negotiated version as monitoring and logs print it: `1.3`.
pub fn name(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "1.3".to_owned(),
        other => format!("Unknown [0x{:x}]", u16::from(other)),
    }
}
