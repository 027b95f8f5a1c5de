//! From the `tls` block of the options to what the listener needs, and what of it is in force.
//!
//! Law: what is in force is swapped whole; connections keep what they began with.

use crate::ocsp::{Ocsp, OcspError, Stapling};
use config::Options;
use config::options::{HandshakeFirst as Configured, TlsOptions, TlsVersion};
use net::conn::ClientTls;
use net::tls::version::MinVersion;
use net::tls::{
    CertificateFiles, ClientTlsConfig, HandshakeFirst, ServerTls, TlsConfig, TlsConfigError,
};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// The largest file that is looked at; certificates are a few kilobytes.
const MAX_FILE: u64 = 4 << 20;

/// The TLS side of listeners as it is now.
#[derive(Default)]
pub(crate) struct Slot {
    client: RwLock<Option<Arc<ClientTls>>>,
}

impl Slot {
    /// What new connections get.
    pub(crate) fn client(&self) -> Option<Arc<ClientTls>> {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, client: Option<Arc<ClientTls>>) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
    }
}

/// What stands in the files that a `tls` block names, so that a change can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// Of the files as they are now. One that cannot be read differs from one that can.
    pub(crate) fn of(tls: Option<&TlsOptions>) -> Self {
        let mut hasher = DefaultHasher::new();
        for path in tls.map(named_files).unwrap_or_default() {
            path.hash(&mut hasher);
            let mut content = Vec::new();
            let read = std::fs::File::open(&path)
                .and_then(|file| file.take(MAX_FILE).read_to_end(&mut content));
            read.is_ok().hash(&mut hasher);
            content.hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}

/// The files that a `tls` block names.
fn named_files(tls: &TlsOptions) -> Vec<PathBuf> {
    let pairs = tls.certificates.iter().flat_map(|pair| [&pair.cert_file, &pair.key_file]);
    let all = [&tls.cert_file, &tls.key_file, &tls.ca_file].into_iter().chain(pairs);
    all.filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

/// The TLS side of the client listener, and what keeps its staple fresh.
pub(crate) struct Made {
    pub client: Arc<ClientTls>,
    pub stapling: Option<Stapling>,
}

/// Why a listener cannot have TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates or rules of TLS do not work.
    #[error(transparent)]
    Config(#[from] TlsConfigError),
    /// OCSP does not work.
    #[error(transparent)]
    Ocsp(#[from] OcspError),
}

/// Makes the TLS side of the client listener. Blocks where a responder has to be asked.
pub(crate) fn client(
    tls: &TlsOptions,
    options: &Options,
    ocsp: &Arc<Ocsp>,
) -> Result<Made, TlsError> {
    let server = ServerTls::new(&translate(tls, options))?;
    let client = ClientTls::new(server, options.client.allow_non_tls, tls.rate_limit);
    let stapling = ocsp.staple(&client, tls, options)?;
    let client = Arc::new(ocsp.check_peers(client, tls, options)?);
    Ok(Made { client, stapling })
}

/// The TLS side of asking a web server; without a block, the authorities of the system count.
pub(crate) fn outgoing(tls: Option<&TlsOptions>) -> Result<net::http::ClientTls, TlsConfigError> {
    let Some(tls) = tls else { return net::tls::client(&ClientTlsConfig::default()) };
    let has_certificate = !tls.cert_file.is_empty();
    net::tls::client(&ClientTlsConfig {
        certificate: has_certificate.then(|| pair(&tls.cert_file, &tls.key_file)),
        ca_file: (!tls.ca_file.is_empty()).then(|| PathBuf::from(&tls.ca_file)),
        insecure: tls.insecure,
    })
}

fn pair(cert: &str, key: &str) -> CertificateFiles {
    CertificateFiles { cert_file: PathBuf::from(cert), key_file: PathBuf::from(key) }
}

fn translate(tls: &TlsOptions, options: &Options) -> TlsConfig {
    TlsConfig {
        certificate: pair(&tls.cert_file, &tls.key_file),
        certificates: tls.certificates.iter().map(|p| pair(&p.cert_file, &p.key_file)).collect(),
        ca_file: (!tls.ca_file.is_empty()).then(|| PathBuf::from(&tls.ca_file)),
        verify: tls.verify || tls.map,
        cipher_suites: tls.cipher_suites.clone(),
        allow_insecure_cipher_suites: tls.allow_insecure_cipher_suites,
        curve_preferences: tls.curve_preferences.clone(),
        min_version: match tls.min_version {
            Some(TlsVersion::V1_3) => MinVersion::Tls13,
            Some(TlsVersion::V1_2) | None => MinVersion::Tls12,
        },
        pinned_certs: tls.pinned_certs.iter().cloned().collect(),
        handshake_first: match tls.handshake_first {
            Configured::Off => HandshakeFirst::Off,
            Configured::On => HandshakeFirst::On,
            Configured::Fallback(delay) => HandshakeFirst::after(delay.to_std()),
        },
        timeout: options.tls_timeout(),
    }
}
