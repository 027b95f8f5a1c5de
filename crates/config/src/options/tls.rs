//! A `tls` block, wherever it stands.
//!
//! Not here: reading the files it names (`tls_files`), building a TLS configuration (`net`).
//! Laws: reading stops at the first error of a block, as in the reference.
//! Reference: opts.go parseTLS, TLSConfigOpts; ocsp_peer.go parseOCSPPeer.   Parity: TLS-*, CONF-014.

use std::collections::BTreeSet;

use super::reader::{Reader, quote};
use super::tls_names::{CURVES, INSECURE_CIPHER_SUITES, SECURE_CIPHER_SUITES};
use super::tls_values::{
    at, ca_certs_match, certificates, handshake_first, named, ocsp_peer, pinned, timeout, version,
};
use crate::diagnostic::Diagnostic;
use crate::lang::unit::Nanos;
use crate::lang::{Token, Value};
use crate::suggest;

/// When the TLS handshake happens relative to INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandshakeFirst {
    /// INFO first.
    #[default]
    Off,
    /// Handshake first.
    On,
    /// Handshake first; INFO if nothing came within this time.
    Fallback(Nanos),
}

/// The oldest TLS version accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// A certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificatePair {
    /// PEM file.
    pub cert_file: String,
    /// PEM file.
    pub key_file: String,
}

/// `ocsp_peer`; times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct OcspPeer {
    /// Whether peers' certificates are checked.
    pub verify: bool,
    /// Allowed clock skew.
    pub clock_skew: f64,
    /// How long to wait for a responder.
    pub ca_timeout: f64,
    /// How long an answer without an end is good.
    pub ttl_unset_next_update: f64,
    /// Log instead of refusing.
    pub warn_only: bool,
    /// Unknown counts as good.
    pub unknown_is_good: bool,
    /// Unreachable responder counts as good.
    pub allow_when_ca_unreachable: bool,
}

impl Default for OcspPeer {
    fn default() -> Self {
        Self {
            verify: false,
            clock_skew: 30.0,
            ca_timeout: 2.0,
            ttl_unset_next_update: 3600.0,
            warn_only: false,
            unknown_is_good: false,
            allow_when_ca_unreachable: false,
        }
    }
}

/// What a `tls` block says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsOptions {
    /// PEM file of the certificate chain.
    pub cert_file: String,
    /// PEM file of its private key.
    pub key_file: String,
    /// PEM file of the authorities clients (or servers) are verified against.
    pub ca_file: String,
    /// Several certificates instead of one.
    pub certificates: Vec<CertificatePair>,
    /// Demand and verify the peer's certificate.
    pub verify: bool,
    /// `verify_and_map`: identify the user by certificate; sets `verify`.
    pub map: bool,
    /// `verify_cert_and_check_known_urls`, routes and gateways only; sets `verify`.
    pub check_known_urls: bool,
    /// Do not verify the server when connecting out.
    pub insecure: bool,
    /// `handshake_first`.
    pub handshake_first: HandshakeFirst,
    /// `timeout` of the handshake, seconds.
    pub timeout: Option<f64>,
    /// `connection_rate_limit`, handshakes per second.
    pub rate_limit: i64,
    /// `cipher_suites` by name; empty is every secure one.
    pub cipher_suites: Vec<String>,
    /// `allow_insecure_cipher_suites`.
    pub allow_insecure_cipher_suites: bool,
    /// `curve_preferences` by name; empty is the default order.
    pub curve_preferences: Vec<String>,
    /// `pinned_certs`: lower-case hex SHA-256 of public keys; empty is any.
    pub pinned_certs: BTreeSet<String>,
    /// `min_version`.
    pub min_version: Option<TlsVersion>,
    /// `ocsp_peer`.
    pub ocsp_peer: Option<OcspPeer>,
    /// `cert_match_by` (Windows).
    pub cert_match_by: Option<String>,
    /// `cert_match` (Windows).
    pub cert_match: Option<String>,
    /// `ca_certs_match` (Windows).
    pub ca_certs_match: Vec<String>,
    /// `cert_match_skip_invalid` (Windows).
    pub cert_match_skip_invalid: bool,
}

pub(crate) const KEYS: &[&str] = &[
    "cert_file",
    "key_file",
    "ca_file",
    "insecure",
    "verify",
    "verify_and_map",
    "verify_cert_and_check_known_urls",
    "allow_insecure_cipher_suites",
    "cipher_suites",
    "curve_preferences",
    "timeout",
    "connection_rate_limit",
    "pinned_certs",
    "cert_store",
    "cert_match_by",
    "cert_match",
    "ca_certs_match",
    "handshake_first",
    "first",
    "immediate",
    "cert_match_skip_invalid",
    "ocsp_peer",
    "certs",
    "certificates",
    "min_version",
];

type Checked<T = ()> = Result<T, Diagnostic>;

impl TlsOptions {
    /// Reads a block. `accepts_clients` tells listeners (and leaf remotes) from routes and gateways.
    pub(super) fn read(token: &Token, accepts_clients: bool, r: &mut Reader<'_>) -> Option<Self> {
        let read = Self::try_read(token, accepts_clients, r);
        let mut tls = r.keep(read)?;
        match super::tls_files::check(&tls, r.source) {
            Ok(()) => {
                tls.verify |= !accepts_clients;
                Some(tls)
            }
            Err(text) => {
                r.error(token, text);
                None
            }
        }
    }

    fn try_read(token: &Token, accepts_clients: bool, r: &mut Reader<'_>) -> Checked<Self> {
        let Value::Map(map) = &token.value else {
            return Err(super::reader::mismatch(token, "map[string]interface {}"));
        };
        let mut tls = Self::default();
        for (key, token) in map.written() {
            let lower = key.to_lowercase();
            if lower == "ocsp_peer" {
                tls.ocsp_peer = Some(ocsp_peer(token)?);
                r.keys.record("tls.ocsp_peer", &token.position);
                continue;
            }
            let known = tls.read_files(&lower, token)?
                || tls.read_checks(&lower, token, accepts_clients)?
                || tls.read_choices(key, &lower, token)?
                || tls.read_store(&lower, token)?;
            if !known {
                let text = format!("error parsing tls config, unknown field {}", quote(key));
                return Err(at(token, format!("{text}{}", suggest::suffix(key, KEYS))));
            }
        }
        if !tls.certificates.is_empty() && !tls.cert_file.is_empty() {
            let text = "error parsing tls config, cannot combine 'cert_file' option with 'certs' \
                        option";
            return Err(at(token, text));
        }
        let insecure: Vec<&str> = tls
            .cipher_suites
            .iter()
            .map(String::as_str)
            .filter(|name| INSECURE_CIPHER_SUITES.contains(name))
            .collect();
        if !tls.allow_insecure_cipher_suites && !insecure.is_empty() {
            let text = format!(
                "insecure cipher suites configured without 'allow_insecure_cipher_suites' option \
                 set: {}",
                insecure.join(", ")
            );
            return Err(at(token, text));
        }
        Ok(tls)
    }

    fn read_files(&mut self, key: &str, token: &Token) -> Checked<bool> {
        let slot = match key {
            "cert_file" => &mut self.cert_file,
            "key_file" => &mut self.key_file,
            "ca_file" => &mut self.ca_file,
            "certs" | "certificates" => {
                self.certificates = certificates(token)?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *slot = token.value.as_text().ok_or_else(|| {
            at(token, format!("error parsing tls config, expected '{key}' to be filename"))
        })?;
        Ok(true)
    }

    fn read_checks(&mut self, key: &str, token: &Token, accepts_clients: bool) -> Checked<bool> {
        let known = [
            "insecure",
            "verify",
            "verify_and_map",
            "verify_cert_and_check_known_urls",
            "allow_insecure_cipher_suites",
        ];
        if !known.contains(&key) {
            return Ok(false);
        }
        let Value::Bool(on) = token.value else {
            let text = format!("error parsing tls config, expected '{key}' to be a boolean");
            return Err(at(token, text));
        };
        match key {
            "insecure" => self.insecure = on,
            "verify" => self.verify = on,
            "verify_and_map" => {
                self.verify |= on;
                self.map = on;
            }
            "verify_cert_and_check_known_urls" => {
                if on && accepts_clients {
                    let text = "verify_cert_and_check_known_urls not supported in this context";
                    return Err(at(token, text));
                }
                self.verify |= on;
                self.check_known_urls = on;
            }
            _ => self.allow_insecure_cipher_suites = on,
        }
        Ok(true)
    }

    fn read_choices(&mut self, key: &str, lower: &str, token: &Token) -> Checked<bool> {
        match lower {
            "cipher_suites" => {
                let known = |name: &str| {
                    SECURE_CIPHER_SUITES.contains(&name) || INSECURE_CIPHER_SUITES.contains(&name)
                };
                self.cipher_suites = named(lower, token, "cipher", known)?;
            }
            "curve_preferences" => {
                let known = |name: &str| CURVES.contains(&name);
                self.curve_preferences = named(lower, token, "curve preference", known)?;
            }
            "timeout" => self.timeout = Some(timeout(token)?),
            "connection_rate_limit" => match token.value {
                Value::Integer(n) => self.rate_limit = n,
                _ => {
                    let text = "error parsing tls config, 'connection_rate_limit' wrong type";
                    return Err(at(token, text));
                }
            },
            "pinned_certs" => self.pinned_certs = pinned(token)?,
            "handshake_first" | "first" | "immediate" => {
                self.handshake_first = handshake_first(key, token)?;
            }
            "min_version" => self.min_version = Some(version(token)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The Windows certificate store, which no other system has (TLS-017).
    fn read_store(&mut self, key: &str, token: &Token) -> Checked<bool> {
        let filled = |slot: &mut Option<String>| {
            *slot = token.value.as_text().filter(|text| !text.is_empty());
            slot.clone().ok_or_else(|| {
                at(token, format!("expected '{key}' to be a valid non-empty string"))
            })
        };
        match key {
            "cert_store" => {
                let store = filled(&mut None)?.to_lowercase();
                let known = store == "windowscurrentuser" || store == "windowslocalmachine";
                let text = if known {
                    "cert_store not compatible with current operating system"
                } else {
                    "cert store type not implemented"
                };
                return Err(at(token, text));
            }
            "cert_match_by" => {
                let by = filled(&mut self.cert_match_by)?.to_lowercase();
                if !["issuer", "subject", "thumbprint"].contains(&by.as_str()) {
                    return Err(at(token, "cert match by type not implemented"));
                }
            }
            "cert_match" => {
                filled(&mut self.cert_match)?;
            }
            "ca_certs_match" => self.ca_certs_match = ca_certs_match(token)?,
            "cert_match_skip_invalid" => match token.value {
                Value::Bool(on) => self.cert_match_skip_invalid = on,
                _ => return Err(at(token, "expected 'cert_match_skip_invalid' to be a boolean")),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }
}
