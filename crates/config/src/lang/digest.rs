//! The digest of a configuration: SHA-256 over its canonical JSON (CONF-017).
//!
//! Laws: keys sorted, Go's HTML escaping, one trailing newline; reordering or respelling a
//!       configuration does not change its digest.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::value::{Map, Token, Value};

/// `sha256:` and the hexadecimal digest of `map`.
pub fn digest(map: &Map) -> String {
    let mut json = String::new();
    write_map(&mut json, map);
    json.push('\n');
    let mut out = String::from("sha256:");
    for byte in Sha256::digest(json.as_bytes()) {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn write_map(out: &mut String, map: &Map) {
    out.push('{');
    for (i, (key, token)) in map.sorted().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(out, key.as_bytes());
        out.push(':');
        write_token(out, token);
    }
    out.push('}');
}

fn write_token(out: &mut String, token: &Token) {
    match &token.value {
        Value::String(bytes) => write_string(out, bytes),
        Value::Integer(n) => {
            let _ = write!(out, "{n}");
        }
        Value::Float(n) => out.push_str(&float(*n)),
        Value::Bool(b) => {
            let _ = write!(out, "{b}");
        }
        Value::DateTime(t) => write_string(out, t.as_bytes()),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_token(out, item);
            }
            out.push(']');
        }
        Value::Map(map) => write_map(out, map),
    }
}

fn write_string(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c if u32::from(c) < 0x20 => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        for _ in chunk.invalid() {
            out.push_str("\\ufffd");
        }
    }
    out.push('"');
}

/// A float as Go's JSON writes it: shortest form, exponent only below 1e-6 or from 1e21.
pub(crate) fn float(n: f64) -> String {
    let magnitude = n.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{n:e}");
        return match text.split_once('e') {
            Some((mantissa, exponent)) if !exponent.starts_with('-') => {
                format!("{mantissa}e+{exponent}")
            }
            _ => text,
        };
    }
    format!("{n}")
}
