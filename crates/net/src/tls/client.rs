//! The TLS side of connections that the server opens itself.
//!
//! Law: the peer's certificate is verified unless the configuration says in so many words that it
//!       is not to be.
//! Reference: opts.go GenTLSConfig.

use super::config::{CertificateFiles, TlsConfigError};
use super::key;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::path::PathBuf;
use std::sync::Arc;

/// What is configured for such a connection.
#[derive(Clone, Debug, Default)]
pub struct ClientTlsConfig {
    /// What is shown to peers that ask for a certificate.
    pub certificate: Option<CertificateFiles>,
    /// Authorities; those of the system if not given.
    pub ca_file: Option<PathBuf>,
    /// Whether whoever answers is believed.
    pub insecure: bool,
}

/// Reads the files and builds the configuration.
///
/// # Errors
/// A file cannot be read or used.
pub fn client(config: &ClientTlsConfig) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let library = |error: Error| TlsConfigError::Library(error.to_string());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(library)?;
    let builder = if config.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider.clone())))
    } else {
        let (roots, _) = key::authorities(config.ca_file.as_deref())?;
        builder.with_root_certificates(roots)
    };
    let Some(files) = &config.certificate else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let key = key::load(files, &provider)
        .map_err(|cause| TlsConfigError::Pair { position: String::new(), cause })?;
    let resolver = rustls::sign::SingleCertAndKey::from(key);
    Ok(Arc::new(builder.with_client_cert_resolver(Arc::new(resolver))))
}

/// Believes whoever answers (`insecure: true`).
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
