//! The TLS side of a listener, built once from its configuration.
//!
//! Not here: the handshake loop; a reload builds a new one and new connections use it.
//! Reference: opts.go GenTLSConfig.

use super::config::{HandshakeFirst, TlsConfig, TlsConfigError};
use super::facts::{HandshakeFacts, not_after};
use super::failure::HandshakeFailure;
use super::pin::PinnedCertificates;
use super::resolver::Resolver;
use super::verifier::{Refused, Verifier};
use super::version::MinVersion;
use super::{cipher, curve, key};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::sync::Arc;
use std::time::Duration;
use stdx::time::Timestamp;

/// Everything needed to accept TLS connections.
#[derive(Debug)]
pub struct ServerTls {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
    resolver: Arc<dyn ResolvesServerCert>,
    certificates: Arc<Resolver>,
    /// Those of the CA file, or of the system, if clients are verified.
    authorities: Vec<CertificateDer<'static>>,
    verifier: Option<Verifier>,
    /// What connections use if clients are not verified.
    shared: Arc<ServerConfig>,
    pinned: PinnedCertificates,
    handshake_first: HandshakeFirst,
    timeout: Duration,
    not_after: Option<Timestamp>,
}

/// The TLS configuration of one connection.
#[derive(Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    refused: Refused,
}

// === impl ServerTls ===

impl ServerTls {
    /// Reads the files and builds the configuration.
    pub fn new(config: &TlsConfig) -> Result<Self, TlsConfigError> {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites =
            cipher::select(&config.cipher_suites, config.allow_insecure_cipher_suites)?;
        provider.kx_groups = curve::select(&config.curve_preferences)?;
        let versions = versions(config.min_version, &provider);
        let pinned = PinnedCertificates::new(&config.pinned_certs)?;
        let keys = load_keys(config, &provider)?;
        let not_after = keys.first().and_then(|k| not_after(k.cert.first()?));
        let provider = Arc::new(provider);
        let verifier = config.verify.then(|| client_verifier(config, &provider)).transpose()?;
        let authorities = verifier.as_ref().map(|v| v.authorities().to_vec()).unwrap_or_default();
        let certificates = Arc::new(Resolver::new(keys));
        let resolver: Arc<dyn ResolvesServerCert> = certificates.clone();
        let shared = build(&provider, &versions, &resolver, verifier.clone())
            .map_err(|error| TlsConfigError::Library(error.to_string()))?;
        Ok(Self {
            provider,
            versions,
            resolver,
            certificates,
            authorities,
            verifier,
            shared: Arc::new(shared),
            pinned,
            handshake_first: config.handshake_first,
            timeout: config.timeout,
            not_after,
        })
    }

    /// The configuration for one more connection. If clients are verified it has its own, so that
    /// a refused certificate can be told in the log line of the right connection.
    pub fn acceptor(&self) -> Acceptor {
        let shared = || Acceptor { config: self.shared.clone(), refused: Refused::default() };
        let Some(verifier) = &self.verifier else { return shared() };
        let (verifier, refused) = verifier.for_connection();
        match build(&self.provider, &self.versions, &self.resolver, Some(verifier)) {
            Ok(config) => Acceptor { config: Arc::new(config), refused },
            // It was built before with the same parts.
            Err(_) => shared(),
        }
    }

    /// After the handshake: its facts, if the peer's key is one that is allowed.
    // Compat(AUTH-010): an unpinned key is told after the handshake, as a failed handshake.
    pub fn finish(
        &self,
        connection: &ServerConnection,
    ) -> Result<HandshakeFacts, HandshakeFailure> {
        let facts = HandshakeFacts::of(connection);
        self.pinned.check(facts.certificate.as_ref())?;
        Ok(facts)
    }

    /// Whether clients must have a certificate.
    pub fn verifies_clients(&self) -> bool {
        self.verifier.is_some()
    }

    /// Whether TLS comes before INFO.
    pub fn handshake_first(&self) -> HandshakeFirst {
        self.handshake_first
    }

    /// How long a handshake may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// When the first certificate stops being valid.
    // Compat(TLS-018)
    pub fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    /// Staples an OCSP answer to the certificate from now on.
    pub fn staple(&self, answer: Vec<u8>) {
        self.certificates.staple(answer);
    }

    /// The chain that is presented, the server's own certificate first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.certificates.chain()
    }

    /// Who may vouch for clients; nobody if clients are not verified.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The same certificates for listeners that never ask for client certificates, as the
    /// monitoring one.
    // Compat(TLS-021)
    pub fn without_client_certificates(&self) -> Result<Arc<ServerConfig>, TlsConfigError> {
        build(&self.provider, &self.versions, &self.resolver, None)
            .map(Arc::new)
            .map_err(|error| TlsConfigError::Library(error.to_string()))
    }
}

impl Acceptor {
    /// For `ServerConnection::new` or an adapter of it.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Puts what went wrong into words, with the certificates that were refused.
    pub fn failure(&self, error: &std::io::Error) -> HandshakeFailure {
        HandshakeFailure::from_io(error, self.refused.get().cloned())
    }
}

fn versions(
    least: MinVersion,
    provider: &CryptoProvider,
) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = vec![&rustls::version::TLS13];
    let has_tls12 = provider.cipher_suites.iter().any(|s| s.tls13().is_none());
    if least == MinVersion::Tls12 && has_tls12 {
        versions.push(&rustls::version::TLS12);
    }
    versions
}

fn load_keys(
    config: &TlsConfig,
    provider: &CryptoProvider,
) -> Result<Vec<CertifiedKey>, TlsConfigError> {
    let single = &config.certificate;
    let has_cert = !single.cert_file.as_os_str().is_empty();
    let has_key = !single.key_file.as_os_str().is_empty();
    if has_cert && !config.certificates.is_empty() {
        return Err(TlsConfigError::BothForms);
    }
    match (has_cert, has_key) {
        (true, false) => return Err(TlsConfigError::MissingKeyFile),
        (false, true) => return Err(TlsConfigError::MissingCertFile),
        (true, true) => {
            let key = key::load(single, provider)
                .map_err(|cause| TlsConfigError::Pair { position: String::new(), cause })?;
            return Ok(vec![key]);
        }
        (false, false) => {}
    }
    if config.certificates.is_empty() {
        return Err(TlsConfigError::NoCertificate);
    }
    let count = config.certificates.len();
    let load = |(i, files)| {
        key::load(files, provider).map_err(|cause| TlsConfigError::Pair {
            position: format!(" {}/{count}", i + 1),
            cause,
        })
    };
    config.certificates.iter().enumerate().map(load).collect()
}

fn client_verifier(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, TlsConfigError> {
    let (store, certificates) = key::authorities(config.ca_file.as_deref())?;
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider.clone())
        .build()
        .map_err(|error| TlsConfigError::Library(error.to_string()))?;
    Ok(Verifier::new(inner, certificates))
}

fn build(
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    resolver: &Arc<dyn ResolvesServerCert>,
    verifier: Option<Verifier>,
) -> Result<ServerConfig, rustls::Error> {
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(resolver.clone());
    // The order of preference is the server's.
    config.ignore_client_order = true;
    // No resumption: tickets cost each connection two more messages that NATS clients rarely use,
    // and a resumed session would skip the verification of the certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
