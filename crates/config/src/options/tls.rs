//! A `tls` block, wherever it stands.
//!
//! Not here: reading the files it names (`tls_files`), building a TLS configuration (`net`).
//! Laws: reading stops at the first error of a block, as in the reference.
//! Reference: opts.go parseTLS, TLSConfigOpts; ocsp_peer.go parseOCSPPeer.   Parity: TLS-*, CONF-014.

use std::collections::BTreeSet;

use super::reader::{Reader, array, quote, string, text};
use super::tls_names::{CURVES, INSECURE_CIPHER_SUITES, SECURE_CIPHER_SUITES};
use crate::diagnostic::Diagnostic;
use crate::lang::unit::{self, Nanos};
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

fn at(token: &Token, text: impl Into<String>) -> Diagnostic {
    Diagnostic::at(&token.position, text)
}

fn named(
    key: &str,
    token: &Token,
    what: &str,
    known: impl Fn(&str) -> bool,
) -> Checked<Vec<String>> {
    let items = array(token)?;
    if items.is_empty() {
        return Err(at(token, format!("error parsing tls config, '{key}' cannot be empty")));
    }
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        let name = string(item)?;
        if !known(&name) {
            return Err(at(item, format!("unrecognized {what} {name}")));
        }
        names.push(name);
    }
    Ok(names)
}

fn timeout(token: &Token) -> Checked<f64> {
    match &token.value {
        Value::Integer(n) => Ok(*n as f64),
        Value::Float(n) => Ok(*n),
        Value::String(_) => match unit::duration(&text(token)) {
            Ok(nanos) => Ok(nanos.as_secs_f64()),
            Err(e) => Err(at(token, format!("error parsing tls config, 'timeout' {e}"))),
        },
        _ => Err(at(token, "error parsing tls config, 'timeout' wrong type")),
    }
}

fn pinned(token: &Token) -> Checked<BTreeSet<String>> {
    let Value::Array(items) = &token.value else {
        let text = "error parsing tls config, expected 'pinned_certs' to be a list of hex-encoded \
                    sha256 of DER encoded SubjectPublicKeyInfo";
        return Err(at(token, text));
    };
    let mut pinned = BTreeSet::new();
    for item in items.iter() {
        let entry = string(item)?.to_lowercase();
        if entry.len() != 64 || !entry.bytes().all(|b| b.is_ascii_hexdigit()) {
            let text = format!(
                "error parsing tls config, 'pinned_certs' key {entry} does not look like \
                 hex-encoded sha256 of DER encoded SubjectPublicKeyInfo"
            );
            return Err(at(item, text));
        }
        pinned.insert(entry);
    }
    Ok(pinned)
}

fn handshake_first(key: &str, token: &Token) -> Checked<HandshakeFirst> {
    let spelled = match &token.value {
        Value::Bool(true) => return Ok(HandshakeFirst::On),
        Value::Bool(false) => return Ok(HandshakeFirst::Off),
        Value::String(_) => text(token),
        other => {
            let found = other.type_name();
            let key = quote(key);
            return Err(at(
                token,
                format!("field {key} should be a boolean or a string, got {found}"),
            ));
        }
    };
    match spelled.to_lowercase().as_str() {
        "true" | "on" => Ok(HandshakeFirst::On),
        "false" | "off" => Ok(HandshakeFirst::Off),
        "auto" | "auto_fallback" => Ok(HandshakeFirst::Fallback(Nanos::from_millis(50))),
        _ => match unit::duration(&spelled) {
            Ok(nanos) => Ok(HandshakeFirst::Fallback(nanos)),
            Err(_) => {
                let text = format!("field {}'s value {} is invalid", quote(key), quote(&spelled));
                Err(at(token, text))
            }
        },
    }
}

fn version(token: &Token) -> Checked<TlsVersion> {
    let fail = |cause: String| at(token, format!("error parsing tls config: {cause}"));
    let Some(spelled) = token.value.as_text() else {
        return Err(fail(format!("'min_version' wrong type: {}", token.value.display())));
    };
    match spelled.as_str() {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        "1.0" | "1.1" => Err(fail(format!("unsupported TLS version: TLS {spelled}"))),
        _ => Err(fail(format!("unknown version: {spelled}"))),
    }
}

fn certificates(token: &Token) -> Checked<Vec<CertificatePair>> {
    let unsupported = |token: &Token, found: &str| {
        at(token, format!("error parsing certificates config: unsupported type {found}"))
    };
    let Value::Array(items) = &token.value else {
        // Compat: the type named is that of the whole block.
        return Err(unsupported(token, "map[string]interface {}"));
    };
    let mut pairs = Vec::with_capacity(items.len());
    for item in items.iter() {
        let Value::Map(map) = &item.value else {
            return Err(unsupported(item, item.value.type_name()));
        };
        let mut pair = CertificatePair::default();
        let mut last = item;
        for (key, token) in map.written() {
            last = token;
            let file =
                token.value.as_text().ok_or_else(|| unsupported(token, token.value.type_name()))?;
            match key {
                "cert_file" => pair.cert_file = file,
                "key_file" => pair.key_file = file,
                _ => {
                    let key = quote(key);
                    return Err(at(
                        token,
                        format!("error parsing tls certs config, unknown field {key}"),
                    ));
                }
            }
        }
        if pair.cert_file.is_empty() || pair.key_file.is_empty() {
            let text = "error parsing certificates config: both 'cert_file' and 'cert_key' options \
                        are required";
            return Err(at(last, text));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

fn ca_certs_match(token: &Token) -> Checked<Vec<String>> {
    match &token.value {
        Value::String(_) => Ok(vec![text(token)]),
        Value::Array(items) => items
            .iter()
            .map(|item| {
                item.value.as_text().ok_or_else(|| {
                    let text = "error parsing ca_cert_match: unsupported type *conf.token where \
                                string is expected";
                    at(token, text)
                })
            })
            .collect(),
        _ => Ok(Vec::new()),
    }
}

fn ocsp_peer(token: &Token) -> Checked<OcspPeer> {
    let map = match &token.value {
        Value::Bool(verify) => return Ok(OcspPeer { verify: *verify, ..OcspPeer::default() }),
        Value::Map(map) => map,
        _ => {
            // Compat: the type named is that of the whole block.
            let text = "error parsing ocsp peer config: unsupported type map[string]interface {}";
            return Err(at(token, text));
        }
    };
    // Compat: an error inside is reported at its own place behind the place of the block.
    let nested = |inner: Diagnostic| at(token, inner.to_string());
    let mut peer = OcspPeer::default();
    for (key, token) in map.written() {
        let unknown =
            || at(token, format!("error parsing tls peer config, unknown field [{}]", quote(key)));
        let flag = || match token.value {
            Value::Bool(on) => Ok(on),
            _ => Err(nested(unknown())),
        };
        let seconds = |slot: &mut f64| match ocsp_seconds(key, token) {
            Ok(seconds) if seconds >= 0.0 => {
                *slot = seconds;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(nested(error)),
        };
        match key.to_lowercase().as_str() {
            "verify" => peer.verify = flag()?,
            "warn_only" => peer.warn_only = flag()?,
            "unknown_is_good" => peer.unknown_is_good = flag()?,
            "allow_when_ca_unreachable" => peer.allow_when_ca_unreachable = flag()?,
            "allowed_clockskew" => seconds(&mut peer.clock_skew)?,
            "ca_timeout" => seconds(&mut peer.ca_timeout)?,
            "cache_ttl_when_next_update_unset" => seconds(&mut peer.ttl_unset_next_update)?,
            _ => return Err(nested(unknown())),
        }
    }
    Ok(peer)
}

fn ocsp_seconds(key: &str, token: &Token) -> Checked<f64> {
    let fail = |cause: String| {
        at(token, format!("error parsing tls peer config, conversion error: {cause}"))
    };
    match &token.value {
        Value::Integer(n) => Ok(*n as f64),
        Value::Float(n) => Ok(*n),
        Value::String(_) => match unit::duration(&text(token)) {
            Ok(nanos) => Ok(nanos.as_secs_f64()),
            // Compat: this one key does not say why.
            Err(_) if key.eq_ignore_ascii_case("allowed_clockskew") => {
                Err(fail("unexpected type".into()))
            }
            Err(e) => Err(fail(e.to_string())),
        },
        _ => Err(fail("unexpected type".into())),
    }
}
