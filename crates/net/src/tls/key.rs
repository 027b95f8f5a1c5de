//! Loading a certificate chain with its key, and the authorities of clients.
//!
//! Reference: opts.go GenTLSConfig; Go's tls.LoadX509KeyPair.

use super::config::{CertificateFiles, PairError, TlsConfigError};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::Path;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

/// Reads a file; the error is as Go prints it.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        let cause = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
            _ => error.to_string(),
        };
        format!("open {}: {cause}", path.display())
    })
}

/// Loads one pair of files.
pub(super) fn load(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, PairError> {
    let chain = read(&files.cert_file).map_err(PairError::Read)?;
    let key = read(&files.key_file).map_err(PairError::Read)?;
    pair(&chain, &key, provider)
}

/// Whether a chain and a key, both PEM, can be served and belong together.
pub fn check_pair(chain: &[u8], key: &[u8]) -> Result<(), PairError> {
    pair(chain, key, &rustls::crypto::aws_lc_rs::default_provider()).map(drop)
}

fn pair(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, PairError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| PairError::NoCertificatePem)?;
    let leaf = chain.first().ok_or(PairError::NoCertificatePem)?;
    let (_, leaf) = X509Certificate::from_der(leaf)
        .map_err(|error| PairError::MalformedCertificate(error.to_string()))?;
    let leaf_key = leaf.public_key().raw.to_vec();
    let leaf_kind = leaf.public_key().algorithm.algorithm.clone();
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| PairError::NoKeyPem)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| PairError::UnusableKey(error.to_string()))?;
    // Not left to rustls, which refuses certificates of X.509 version 1 here; serving one is fine.
    if let Some(public) = key.public_key()
        && public.as_ref() != leaf_key
    {
        let kind = SubjectPublicKeyInfo::from_der(&public).map(|(_, key)| key.algorithm.algorithm);
        return Err(match kind {
            Ok(kind) if kind != leaf_kind => PairError::MismatchedKind,
            _ => PairError::Mismatch,
        });
    }
    Ok(CertifiedKey::new(chain, key))
}

/// The certificates of a CA file's authorities, or of the system's.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn authority_certificates(
    ca_file: Option<&Path>,
) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    authorities(ca_file).map(|(_, certificates)| certificates)
}

/// The authorities of a CA file, or those of the system, with their certificates.
pub(super) fn authorities(
    ca_file: Option<&Path>,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsConfigError> {
    let mut store = RootCertStore::empty();
    let Some(path) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = store.add_parsable_certificates(found.certs.iter().cloned());
        if added == 0 {
            let cause = found.errors.first().map(|e| format!(" ({e})")).unwrap_or_default();
            return Err(TlsConfigError::NoSystemAuthorities(cause));
        }
        return Ok((store, found.certs));
    };
    let pem = read(path).map_err(TlsConfigError::CaFile)?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsConfigError::NoAuthorities)?;
    if certificates.is_empty() {
        return Err(TlsConfigError::NoAuthorities);
    }
    for (i, certificate) in certificates.iter().enumerate() {
        store.add(certificate.clone()).map_err(|error| TlsConfigError::BadAuthority {
            index: i + 1,
            cause: error.to_string(),
        })?;
    }
    Ok((store, certificates))
}
