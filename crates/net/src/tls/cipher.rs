//! Cipher suites by the names of Go's `crypto/tls`, which are those of IANA.
//!
//! Laws: every name the reference knows is here, with what becomes of it.
//! Reference: ciphersuites.go; opts.go parseCipher.

use super::config::TlsConfigError;
use rustls::crypto::aws_lc_rs::cipher_suite as suite;
use rustls::{CipherSuite, SupportedCipherSuite};

/// The suites of TLS 1.3 in the server's order of preference.
// Compat(TLS-003): `cipher_suites` does not reach TLS 1.3, these are always offered.
pub(super) const TLS13: [SupportedCipherSuite; 3] = [
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_AES_256_GCM_SHA384,
    suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// The suites of TLS 1.2 in the server's order of preference.
pub(super) const TLS12: [SupportedCipherSuite; 6] = [
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// Suites the reference serves and we cannot: no authenticated encryption.
const CBC: [&str; 4] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
];

/// Suites the reference serves only with `allow_insecure_cipher_suites`, and we never.
const INSECURE: [&str; 12] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

/// The suites to offer, in the server's order, for the configured names; all if there are none.
// Compat(TLS-003)
pub(super) fn select(
    names: &[String],
    allow_insecure: bool,
) -> Result<Vec<SupportedCipherSuite>, TlsConfigError> {
    if names.is_empty() {
        return Ok(TLS13.into_iter().chain(TLS12).collect());
    }
    let mut chosen = Vec::new();
    let (mut insecure, mut unsupported) = (Vec::new(), Vec::new());
    for wanted in names {
        let known = TLS13.into_iter().chain(TLS12).find(|s| name(s.suite()) == *wanted);
        if let Some(known) = known {
            chosen.push(known.suite());
        } else if INSECURE.contains(&wanted.as_str()) {
            insecure.push(wanted.clone());
        } else if CBC.contains(&wanted.as_str()) {
            unsupported.push(wanted.clone());
        } else {
            return Err(TlsConfigError::UnknownCipher(wanted.clone()));
        }
    }
    if !allow_insecure && !insecure.is_empty() {
        return Err(TlsConfigError::InsecureCiphers(insecure));
    }
    if let Some(first) = unsupported.into_iter().chain(insecure).next() {
        return Err(TlsConfigError::UnsupportedCipher(first));
    }
    let wanted = TLS12.into_iter().filter(|s| chosen.contains(&s.suite()));
    Ok(TLS13.into_iter().chain(wanted).collect())
}

/// A suite as monitoring and logs print it: `TLS_AES_128_GCM_SHA256`.
pub fn name(suite: CipherSuite) -> String {
    match suite.as_str() {
        // rustls writes the suites of TLS 1.3 with the version.
        Some(text) => text.replacen("TLS13_", "TLS_", 1),
        None => format!("0x{:04X}", u16::from(suite)),
    }
}
