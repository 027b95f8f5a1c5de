//! The TLS block of a listener as plain data, and what can be wrong with it.
//!
//! Not here: reading it from the configuration file; building a rustls configuration (`server`).
//! Reference: opts.go TLSConfigOpts, GenTLSConfig.

use super::version::MinVersion;
use std::path::PathBuf;
use std::time::Duration;

/// Seconds a handshake may take unless configured.
// Compat(TLS-008)
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long `handshake_first: auto` waits for a client to begin.
// Compat(TLS-007)
pub const DEFAULT_FALLBACK_DELAY: Duration = Duration::from_millis(50);

/// What a `tls` block says. `insecure` has no place here: it is about servers that we dial.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The certificate and its key (`cert_file`, `key_file`).
    pub certificate: CertificateFiles,
    /// Several certificates, chosen by server name (`certs`). Not beside `certificate`.
    pub certificates: Vec<CertificateFiles>,
    /// Authorities of client certificates (`ca_file`); those of the system if absent.
    pub ca_file: Option<PathBuf>,
    /// Whether clients must have a verified certificate (`verify`, `verify_and_map`).
    pub verify: bool,
    /// Cipher suites by Go's names (`cipher_suites`); empty for the default.
    pub cipher_suites: Vec<String>,
    /// Whether insecure names may stand among them; we serve none even so.
    pub allow_insecure_cipher_suites: bool,
    /// Key exchange groups by name (`curve_preferences`); empty for the default.
    pub curve_preferences: Vec<String>,
    /// The least version (`min_version`).
    pub min_version: MinVersion,
    /// SHA-256 of the public keys that peers may have, in hex (`pinned_certs`); empty for any.
    pub pinned_certs: Vec<String>,
    /// Whether TLS comes before INFO (`handshake_first`).
    pub handshake_first: HandshakeFirst,
    /// How long a handshake may take (`timeout`).
    pub timeout: Duration,
}

/// A PEM file with a certificate chain, and one with its key. Empty paths for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub cert_file: PathBuf,
    /// The private key of the leaf.
    pub key_file: PathBuf,
}

/// Whether the handshake comes before INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandshakeFirst {
    /// INFO first, as every client understands.
    #[default]
    Off,
    /// TLS first; clients that wait for INFO fail.
    On,
    /// TLS first for clients that begin within this time, INFO first for the others.
    Fallback(Duration),
}

impl HandshakeFirst {
    /// Reads the word forms; a duration is the caller's to parse (`Self::after`).
    // Compat(TLS-007)
    pub fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "true" | "on" => Some(Self::On),
            "false" | "off" => Some(Self::Off),
            "auto" | "auto_fallback" => Some(Self::Fallback(DEFAULT_FALLBACK_DELAY)),
            _ => None,
        }
    }

    /// TLS first, with a fall back after `delay`; without one if that is zero.
    pub fn after(delay: Duration) -> Self {
        if delay.is_zero() { Self::On } else { Self::Fallback(delay) }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificate: CertificateFiles::default(),
            certificates: vec![],
            ca_file: None,
            verify: false,
            cipher_suites: vec![],
            allow_insecure_cipher_suites: false,
            curve_preferences: vec![],
            min_version: MinVersion::default(),
            pinned_certs: vec![],
            handshake_first: HandshakeFirst::default(),
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// Why a `tls` block is refused. The texts are those of the reference, except where it accepts what
/// cannot be served here: those name the cause and a remedy.
// Compat(TLS-020)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsConfigError {
    /// A certificate without a key.
    #[error("missing 'key_file' in TLS configuration")]
    MissingKeyFile,
    /// A key without a certificate.
    #[error("missing 'cert_file' in TLS configuration")]
    MissingCertFile,
    /// No certificate at all.
    #[error(
        "no certificate in TLS configuration; set 'cert_file' and 'key_file', or 'certs', without \
         which no handshake can succeed"
    )]
    NoCertificate,
    /// Both forms of naming certificates.
    #[error("error parsing tls config, cannot combine 'cert_file' option with 'certs' option")]
    BothForms,
    /// A certificate or key does not load.
    #[error("error parsing X509 certificate/key pair{position}: {cause}")]
    Pair {
        /// Empty, or which of several: ` 1/2`.
        position: String,
        /// What is wrong.
        cause: PairError,
    },
    /// The CA file does not load.
    #[error("{0}")]
    CaFile(String),
    /// The CA file holds no certificate.
    #[error("failed to parse root ca certificate")]
    NoAuthorities,
    /// A CA certificate cannot be used.
    #[error(
        "certificate {index} of 'ca_file' cannot be used: {cause}; replace it by an X.509 version \
         3 certificate"
    )]
    BadAuthority {
        /// Its place, from one.
        index: usize,
        /// What rustls says.
        cause: String,
    },
    /// Neither a CA file nor authorities of the system.
    #[error(
        "clients must be verified, but there is no 'ca_file' and the system has no certificate \
         authorities{0}"
    )]
    NoSystemAuthorities(String),
    /// No such cipher suite.
    #[error("unrecognized cipher {0}")]
    UnknownCipher(String),
    /// Insecure suites without the consent to them.
    #[error(
        "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: {}",
        .0.join(", ")
    )]
    InsecureCiphers(Vec<String>),
    /// A suite that cannot be served.
    #[error(
        "cipher suite {0} is not supported by this server, which serves only authenticated \
         encryption with ephemeral keys; remove it from 'cipher_suites', or replace it by \
         TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or its ECDSA form"
    )]
    UnsupportedCipher(String),
    /// No such group.
    #[error("unrecognized curve preference {0}")]
    UnknownCurve(String),
    /// A group that cannot be served.
    #[error(
        "curve preference {0} is not supported by this server; remove it from \
         'curve_preferences', or replace it by CurveP384"
    )]
    UnsupportedCurve(String),
    /// A pin is not a hash.
    #[error(
        "error parsing tls config, 'pinned_certs' key {0} does not look like hex-encoded sha256 \
         of DER encoded SubjectPublicKeyInfo"
    )]
    BadPin(String),
    /// Names and versions that leave nothing to serve.
    #[error("TLS configuration cannot be served: {0}")]
    Library(String),
}

/// What is wrong with a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// A file cannot be read; as Go prints it: `open x: no such file or directory`.
    #[error("{0}")]
    Read(String),
    /// The certificate file is not PEM.
    #[error("tls: failed to find any PEM data in certificate input")]
    NoCertificatePem,
    /// The key file holds no private key.
    #[error("tls: failed to find any PEM data in key input")]
    NoKeyPem,
    /// A certificate does not parse.
    #[error("x509: malformed certificate: {0}")]
    MalformedCertificate(String),
    /// The key is of a kind or size that cannot be served.
    #[error(
        "tls: private key cannot be used: {0}; use an RSA key of 2048 to 8192 bits, or an ECDSA \
         (P-256, P-384, P-521) or Ed25519 key, without a passphrase"
    )]
    UnusableKey(String),
    /// The key belongs to another certificate.
    #[error("tls: private key does not match public key")]
    Mismatch,
    /// The key is not even of the certificate's kind.
    #[error("tls: private key type does not match public key type")]
    MismatchedKind,
}
