//! What a handshake established: version, suite and the peer's certificates as facts.
//!
//! Not here: deciding by them (`auth`).
//! Laws: nothing in a certificate can make this panic; what does not parse is left out.
//! Reference: monitor.go makePeerCerts, tlsCertNotAfter.

use super::{cipher, version};
use auth::dn::{Attribute, Value};
use auth::{CertificateFacts, DistinguishedName};
use rustls::ServerConnection;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use stdx::time::Timestamp;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// What is known after a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeFacts {
    /// The version as monitoring prints it: `1.3`.
    pub version: String,
    /// The suite as monitoring prints it: `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: String,
    /// The peer's own certificate, for authentication; `None` without one.
    pub certificate: Option<CertificateFacts>,
    /// All certificates the peer sent, for monitoring.
    pub peer_certificates: Vec<PeerCertificate>,
    /// The same, DER.
    pub chain: Vec<Box<[u8]>>,
}

/// One certificate as monitoring prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject, RFC 2253.
    pub subject: String,
    /// SHA-256 of the public key info, in hex.
    pub spki_sha256: String,
    /// SHA-256 of the certificate, in hex.
    pub cert_sha256: String,
}

impl HandshakeFacts {
    /// Reads a connection whose handshake is complete.
    pub fn of(connection: &ServerConnection) -> Self {
        let chain = connection.peer_certificates().unwrap_or_default();
        let facts: Vec<CertificateFacts> =
            chain.iter().filter_map(|der| certificate(der)).collect();
        let suite = connection.negotiated_cipher_suite();
        Self {
            version: connection.protocol_version().map(version::name).unwrap_or_default(),
            cipher_suite: suite.map(|s| cipher::name(s.suite())).unwrap_or_default(),
            chain: chain.iter().map(|der| der.as_ref().into()).collect(),
            peer_certificates: facts.iter().map(PeerCertificate::from).collect(),
            // The first of the chain, not the first that parses.
            certificate: chain.first().and_then(|der| certificate(der)),
        }
    }
}

impl From<&CertificateFacts> for PeerCertificate {
    fn from(facts: &CertificateFacts) -> Self {
        Self {
            subject: facts.subject.to_rfc2253(),
            spki_sha256: hex(&facts.spki_sha256),
            cert_sha256: hex(&facts.cert_sha256),
        }
    }
}

/// The facts of a DER certificate; `None` if it does not parse.
pub fn certificate(der: &[u8]) -> Option<CertificateFacts> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let mut facts = CertificateFacts {
        subject: distinguished_name(parsed.subject()),
        spki_sha256: Sha256::digest(parsed.public_key().raw).into(),
        cert_sha256: Sha256::digest(der).into(),
        ..CertificateFacts::default()
    };
    if let Ok(Some(names)) = parsed.subject_alternative_name() {
        for name in &names.value.general_names {
            match name {
                GeneralName::RFC822Name(text) => facts.emails.push((*text).to_owned()),
                GeneralName::DNSName(text) => facts.dns_names.push((*text).to_owned()),
                GeneralName::URI(text) => facts.uris.push((*text).to_owned()),
                _ => {}
            }
        }
    }
    Some(facts)
}

/// When the certificate stops being valid.
// Compat(TLS-018)
pub fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(Timestamp(parsed.validity().not_after.timestamp().checked_mul(1_000_000_000)?))
}

/// A certificate in a log line: `CN=x SHA-256: 12ab...`.
pub(super) fn describe(der: &[u8]) -> String {
    let subject = certificate(der).map(|facts| facts.subject.to_rfc2253()).unwrap_or_default();
    format!("{subject} SHA-256: {}", hex(&Sha256::digest(der)))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

pub(crate) fn distinguished_name(name: &X509Name<'_>) -> DistinguishedName {
    let attribute = |a: &x509_parser::prelude::AttributeTypeAndValue<'_>| {
        let value = match a.as_str() {
            Ok(text) => Value::Text(text.to_owned()),
            // Two bytes per character, which only old certificates have.
            Err(_) => match utf16(a.attr_value().tag().0, a.attr_value().data) {
                Some(text) => Value::Text(text),
                None => Value::Der(a.attr_value().data.to_vec()),
            },
        };
        Attribute::new(a.attr_type().to_id_string(), value)
    };
    DistinguishedName::new(name.iter_rdn().map(|rdn| rdn.iter().map(attribute).collect()).collect())
}

/// The text of a BMPString (tag 30).
fn utf16(tag: u32, data: &[u8]) -> Option<String> {
    let (pairs, []) = data.as_chunks::<2>() else { return None };
    if tag != 30 {
        return None;
    }
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    String::from_utf16(&units).ok()
}
