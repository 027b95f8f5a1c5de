//! Public keys that peers must have one of.
//!
//! Reference: client.go matchesPinnedCert; opts.go pinned_certs.

use super::config::TlsConfigError;
use auth::CertificateFacts;
use std::collections::HashSet;

/// The SHA-256 hashes of the allowed public key infos; any key is allowed if there are none.
#[derive(Clone, Debug, Default)]
pub struct PinnedCertificates(HashSet<[u8; 32]>);

/// The peer's key is not among the pinned ones, or it has none.
// Compat(AUTH-010)
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("certificate not pinned")]
pub struct NotPinned {
    /// The hash of the peer's key, if it has one.
    pub key: Option<[u8; 32]>,
}

impl NotPinned {
    /// The log's second line about it.
    pub fn detail(&self) -> String {
        let Some(key) = self.key else {
            return "Failed pinned cert test as client did not provide a certificate".to_owned();
        };
        let key = super::facts::hex(&key);
        format!("Failed pinned cert test for key id: {key}")
    }
}

impl PinnedCertificates {
    /// Reads hashes in hex, in either case.
    pub fn new<S: AsRef<str>>(hashes: impl IntoIterator<Item = S>) -> Result<Self, TlsConfigError> {
        let parse = |text: S| {
            hash(text.as_ref())
                .ok_or_else(|| TlsConfigError::BadPin(text.as_ref().to_ascii_lowercase()))
        };
        hashes.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a peer with this certificate, or without any, may connect.
    pub fn check(&self, certificate: Option<&CertificateFacts>) -> Result<(), NotPinned> {
        let key = certificate.map(|facts| facts.spki_sha256);
        if self.0.is_empty() || key.is_some_and(|key| self.0.contains(&key)) {
            Ok(())
        } else {
            Err(NotPinned { key })
        }
    }
}

fn hash(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |i: usize| char::from(*pair.get(i)?).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(out)
}
