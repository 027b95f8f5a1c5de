//! Verifying client certificates.
//!
//! Adds two things to the verifier of rustls: a certificate that is itself one of the configured
//! authorities is trusted, and a refused chain is remembered for the log line of its connection.
//! Not here: which user a certificate stands for (`auth`), pinned keys (`pin`).
//! Reference: Go's x509.Certificate.Verify; client.go doTLSHandshake (log details).

use super::facts::describe;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::{Arc, OnceLock};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a verifier refused, for the log: `CN=x SHA-256: 12ab...; CN=ca SHA-256: ...`.
pub(super) type Refused = Arc<OnceLock<String>>;

#[derive(Clone, Debug)]
pub(super) struct Verifier {
    inner: Arc<dyn ClientCertVerifier>,
    /// The configured authorities, DER.
    authorities: Arc<[CertificateDer<'static>]>,
    refused: Refused,
}

impl Verifier {
    pub(super) fn new(
        inner: Arc<dyn ClientCertVerifier>,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Self {
        Self { inner, authorities: authorities.into(), refused: Refused::default() }
    }

    pub(super) fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The same verifier with its own memory of what it refused, for one connection.
    pub(super) fn for_connection(&self) -> (Self, Refused) {
        let refused = Refused::default();
        (Self { refused: refused.clone(), ..self.clone() }, refused)
    }

    /// Compat(AUTH-009): Go accepts a leaf that is one of its roots, a common set-up with
    /// self-signed certificates; webpki refuses authorities as end entities.
    fn is_trusted_itself(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        if !self.authorities.iter().any(|authority| authority.as_ref() == leaf.as_ref()) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let (_, certificate) = X509Certificate::from_der(leaf)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if seconds < certificate.validity().not_before.timestamp() {
            return Err(CertificateError::NotValidYet.into());
        }
        if seconds > certificate.validity().not_after.timestamp() {
            return Err(CertificateError::Expired.into());
        }
        let usage = certificate
            .extended_key_usage()
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        match usage {
            Some(usage) if !usage.value.client_auth && !usage.value.any => {
                Err(CertificateError::InvalidPurpose.into())
            }
            _ => Ok(()),
        }
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.inner.verify_client_cert(end_entity, intermediates, now).or_else(|error| {
            if self.is_trusted_itself(end_entity, now).is_ok() {
                return Ok(ClientCertVerified::assertion());
            }
            let chain = std::iter::once(end_entity).chain(intermediates);
            let _ = self.refused.set(chain.map(|c| describe(c)).collect::<Vec<_>>().join("; "));
            Err(error)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
