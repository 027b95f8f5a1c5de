//! Key exchange groups by the names of the configuration.
//!
//! Reference: ciphersuites.go curvePreferenceMap, defaultCurvePreferences.

use super::config::TlsConfigError;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::kx_group;

type Group = &'static dyn SupportedKxGroup;

/// The groups by name in the order of preference.
// Compat(TLS-004)
fn known() -> [(&'static str, Group); 4] {
    [
        ("X25519MLKEM768", kx_group::X25519MLKEM768),
        ("X25519", kx_group::X25519),
        ("CurveP256", kx_group::SECP256R1),
        ("CurveP384", kx_group::SECP384R1),
    ]
}

/// Groups the reference serves and we cannot.
const UNSUPPORTED: [&str; 1] = ["CurveP521"];

/// The groups to offer for the configured names, in their order; all that are known if there are
/// none.
pub(super) fn select(names: &[String]) -> Result<Vec<Group>, TlsConfigError> {
    if names.is_empty() {
        return Ok(known().map(|(_, group)| group).to_vec());
    }
    names
        .iter()
        .map(|name| {
            let found = known().into_iter().find(|(known, _)| known == name);
            found.map(|(_, group)| group).ok_or_else(|| {
                if UNSUPPORTED.contains(&name.as_str()) {
                    TlsConfigError::UnsupportedCurve(name.clone())
                } else {
                    TlsConfigError::UnknownCurve(name.clone())
                }
            })
        })
        .collect()
}
