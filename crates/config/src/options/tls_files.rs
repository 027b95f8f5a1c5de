//! Whether the files a `tls` block names are there and are what they should be.
//!
//! Not here: whether a certificate and a key belong together (`Source::check_key_pair`).
//! Reference: opts.go GenTLSConfig.   Parity: TLS-020.

use super::tls::{CertificatePair, TlsOptions};
use crate::lang::Source;

/// Reads what the block names; the error is the reference's text.
pub(crate) fn check(tls: &TlsOptions, source: &dyn Source) -> Result<(), String> {
    match (tls.cert_file.is_empty(), tls.key_file.is_empty()) {
        (false, true) => return Err("missing 'key_file' in TLS configuration".into()),
        (true, false) => return Err("missing 'cert_file' in TLS configuration".into()),
        (false, false) => {
            let pair = CertificatePair {
                cert_file: tls.cert_file.clone(),
                key_file: tls.key_file.clone(),
            };
            check_pair(&pair, source)
                .map_err(|e| format!("error parsing X509 certificate/key pair: {e}"))?;
        }
        (true, true) => {
            let total = tls.certificates.len();
            for (i, pair) in tls.certificates.iter().enumerate() {
                check_pair(pair, source).map_err(|e| {
                    format!("error parsing X509 certificate/key pair {}/{total}: {e}", i + 1)
                })?;
            }
        }
    }
    if !tls.ca_file.is_empty() {
        let pem = source.read(&tls.ca_file).map_err(|e| e.to_string())?;
        if !has_block(&pem, "CERTIFICATE") {
            return Err("failed to parse root ca certificate".into());
        }
    }
    Ok(())
}

fn check_pair(pair: &CertificatePair, source: &dyn Source) -> Result<(), String> {
    let cert = source.read(&pair.cert_file).map_err(|e| e.to_string())?;
    let key = source.read(&pair.key_file).map_err(|e| e.to_string())?;
    if !has_block(&cert, "") {
        return Err("tls: failed to find any PEM data in certificate input".into());
    }
    if !has_block(&key, "") {
        return Err("tls: failed to find any PEM data in key input".into());
    }
    if !has_block(&cert, "CERTIFICATE") && has_block(&cert, "PRIVATE KEY") {
        return Err(
            "tls: failed to find certificate PEM data in certificate input, but did find a \
                    private key; PEM inputs may have been switched"
                .into(),
        );
    }
    if !has_block(&key, "PRIVATE KEY") && has_block(&key, "CERTIFICATE") {
        return Err(
            "tls: found a certificate rather than a key in the PEM for the private key".into()
        );
    }
    source.check_key_pair(&cert, &key).map_err(|e| e.to_string())
}

/// Whether `pem` has a block whose label ends with `label`.
fn has_block(pem: &[u8], label: &str) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.lines().any(|line| {
        line.trim_end()
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"))
            .is_some_and(|found| {
                found.ends_with(label) && text.contains(&format!("-----END {found}-----"))
            })
    })
}
