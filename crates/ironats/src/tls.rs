//! From the `tls` block of the options to what the listener needs.

use config::Options;
use config::options::{HandshakeFirst as Configured, TlsOptions, TlsVersion};
use net::conn::ClientTls;
use net::tls::version::MinVersion;
use net::tls::{
    CertificateFiles, ClientTlsConfig, HandshakeFirst, ServerTls, TlsConfig, TlsConfigError,
};
use std::path::PathBuf;

/// The TLS side of the client listener.
pub(crate) fn client(tls: &TlsOptions, options: &Options) -> Result<ClientTls, TlsConfigError> {
    let server = ServerTls::new(&translate(tls, options))?;
    Ok(ClientTls::new(server, options.client.allow_non_tls, tls.rate_limit))
}

/// The TLS side of asking a web server; without a block, the authorities of the system count.
pub(crate) fn outgoing(tls: Option<&TlsOptions>) -> Result<net::http::ClientTls, TlsConfigError> {
    let Some(tls) = tls else { return net::tls::client(&ClientTlsConfig::default()) };
    let has_certificate = !tls.cert_file.is_empty();
    net::tls::client(&ClientTlsConfig {
        certificate: has_certificate.then(|| files(&tls.cert_file, &tls.key_file)),
        ca_file: (!tls.ca_file.is_empty()).then(|| PathBuf::from(&tls.ca_file)),
        insecure: tls.insecure,
    })
}

fn files(cert: &str, key: &str) -> CertificateFiles {
    CertificateFiles { cert_file: PathBuf::from(cert), key_file: PathBuf::from(key) }
}

fn translate(tls: &TlsOptions, options: &Options) -> TlsConfig {
    TlsConfig {
        certificate: files(&tls.cert_file, &tls.key_file),
        certificates: tls.certificates.iter().map(|p| files(&p.cert_file, &p.key_file)).collect(),
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
