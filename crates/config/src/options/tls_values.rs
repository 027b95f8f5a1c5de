//! The values a `tls` block may hold, each with its own words for what is wrong with it.
//!
//! Reference: opts.go parseTLS, parseTLSVersion; ocsp_peer.go parseOCSPPeer.

use std::collections::BTreeSet;

use super::reader::{array, quote, string, text};
use super::tls::{CertificatePair, HandshakeFirst, OcspPeer, TlsVersion};
use crate::diagnostic::Diagnostic;
use crate::lang::unit::{self, Nanos};
use crate::lang::{Token, Value};

type Checked<T> = Result<T, Diagnostic>;

pub(super) fn at(token: &Token, text: impl Into<String>) -> Diagnostic {
    Diagnostic::at(&token.position, text)
}

pub(super) fn named(
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

pub(super) fn timeout(token: &Token) -> Checked<f64> {
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

pub(super) fn pinned(token: &Token) -> Checked<BTreeSet<String>> {
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

pub(super) fn handshake_first(key: &str, token: &Token) -> Checked<HandshakeFirst> {
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

pub(super) fn version(token: &Token) -> Checked<TlsVersion> {
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

pub(super) fn certificates(token: &Token) -> Checked<Vec<CertificatePair>> {
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

pub(super) fn ca_certs_match(token: &Token) -> Checked<Vec<String>> {
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

pub(super) fn ocsp_peer(token: &Token) -> Checked<OcspPeer> {
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
