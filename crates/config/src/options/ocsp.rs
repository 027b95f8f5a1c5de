//! `ocsp` (stapling) and `ocsp_cache`.
//!
//! Reference: opts.go case "ocsp", ocsp_responsecache.go parseOCSPResponseCache.

use super::reader::{Reader, quote, text};
use crate::lang::unit;
use crate::lang::{Token, Value};

/// When staples are fetched and demanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OcspMode {
    /// Only for certificates that ask for it.
    #[default]
    Auto,
    /// Always; the server refuses to start without.
    Always,
    /// Never.
    Never,
    /// For certificates that ask for it; the server stops when revoked.
    Must,
}

/// `ocsp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OcspOptions {
    /// `mode`.
    pub mode: OcspMode,
    /// `url` or `urls`: responders instead of the certificates' own.
    pub override_urls: Vec<String>,
}

impl OcspOptions {
    pub(super) fn read(token: &Token, r: &mut Reader<'_>) -> Option<Self> {
        let map = match &token.value {
            Value::Bool(true) => return Some(Self::default()),
            Value::Bool(false) => {
                return Some(Self { mode: OcspMode::Never, ..Self::default() });
            }
            Value::Map(map) => map,
            other => {
                let found = other.type_name();
                r.error(token, format!("error parsing ocsp config: unsupported type {found}"));
                return None;
            }
        };
        let mut ocsp = Self::default();
        for (key, token) in map.written() {
            match key {
                "mode" => match r.string(token)?.to_lowercase().as_str() {
                    "always" => ocsp.mode = OcspMode::Always,
                    "must" => ocsp.mode = OcspMode::Must,
                    "never" => ocsp.mode = OcspMode::Never,
                    "auto" => ocsp.mode = OcspMode::Auto,
                    // Compat: the reference prints the type, not the text.
                    _ => r.error(token, "error parsing ocsp config: unsupported ocsp mode string"),
                },
                "urls" => ocsp.override_urls = r.strings("ocsp urls", token)?,
                "url" => ocsp.override_urls = vec![r.string(token)?],
                _ => {
                    let hint = crate::suggest::suffix(key, &["mode", "urls", "url"]);
                    let text = "error parsing ocsp config: unsupported field string";
                    r.error(token, format!("{text}{hint}"));
                    return None;
                }
            }
        }
        Some(ocsp)
    }
}

/// `ocsp_cache`.
#[derive(Clone, Debug, PartialEq)]
pub struct OcspCache {
    /// Whether answers are kept on disk; `none` keeps nothing.
    pub local: bool,
    /// Directory.
    pub local_store: String,
    /// Keep a revocation against a later good answer.
    pub preserve_revoked: bool,
    /// Seconds between saves, at least 1.
    pub save_interval: f64,
}

impl Default for OcspCache {
    fn default() -> Self {
        Self {
            local: true,
            local_store: "_rc_".into(),
            preserve_revoked: false,
            save_interval: 300.0,
        }
    }
}

impl OcspCache {
    pub(super) fn read(token: &Token, r: &mut Reader<'_>) -> Option<Self> {
        let map = match &token.value {
            Value::Bool(local) => return Some(Self { local: *local, ..Self::default() }),
            Value::Map(map) => map,
            other => {
                let found = other.type_name();
                r.error(token, format!("error parsing tags: unsupported type {found}"));
                return None;
            }
        };
        let mut cache = Self::default();
        for (key, token) in map.written() {
            let unknown =
                format!("error parsing OCSP peer cache config, unknown field [{}]", quote(key));
            match (key.to_lowercase().as_str(), &token.value) {
                ("type", Value::String(_)) => match text(token).to_lowercase().as_str() {
                    "none" => cache.local = false,
                    "local" => cache.local = true,
                    _ => {
                        let found = text(token);
                        r.error(
                            token,
                            format!("error parsing OCSP peer cache config, unknown type [{found}]"),
                        );
                        return None;
                    }
                },
                ("local_store", Value::String(_)) => cache.local_store = text(token),
                ("preserve_revoked", Value::Bool(on)) => cache.preserve_revoked = *on,
                ("save_interval", _) => cache.save_interval = save_interval(token, r)?,
                _ => {
                    r.error(token, unknown);
                    return None;
                }
            }
        }
        Some(cache)
    }
}

fn save_interval(token: &Token, r: &mut Reader<'_>) -> Option<f64> {
    let seconds = match &token.value {
        Value::Integer(n) => *n as f64,
        Value::Float(n) => *n,
        Value::String(_) => match unit::duration(&text(token)) {
            Ok(nanos) => nanos.as_secs_f64(),
            Err(e) => {
                r.error(token, format!("error parsing tls peer config, conversion error: {e}"));
                return None;
            }
        },
        _ => {
            let text = "error parsing OCSP peer cache config, conversion error: unexpected type";
            r.error(token, text);
            return None;
        }
    };
    Some(seconds.trunc().max(1.0))
}
