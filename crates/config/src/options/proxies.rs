//! `proxies`: keys of proxies that may vouch for clients.
//!
//! Reference: opts.go parseProxies, parseProxiesTrusted.

use super::nkey;
use super::reader::{Reader, quote};
use crate::lang::{Token, Value};

pub(super) fn read(token: &Token, r: &mut Reader<'_>) -> Option<Vec<String>> {
    let map = r.section(token, "expected proxies to be a map/struct")?;
    let mut trusted = Vec::new();
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            "trusted" => trusted = read_trusted(token, r).unwrap_or_default(),
            _ => r.unknown(key, token, &["trusted"]),
        }
    }
    Some(trusted)
}

fn read_trusted(token: &Token, r: &mut Reader<'_>) -> Option<Vec<String>> {
    let Value::Array(items) = &token.value else {
        let found = token.value.type_name();
        let text = format!("expected proxies' trusted field to be an array, got {found}");
        r.error(token, text);
        return None;
    };
    let mut keys = Vec::new();
    for item in items.iter() {
        let Value::Map(map) = &item.value else {
            let found = item.value.type_name();
            let text = format!("expected proxies' trusted entry to be a map/struct, got {found}");
            r.error(item, text);
            continue;
        };
        let mut public = String::new();
        for (key, token) in map.written() {
            match key.to_lowercase().as_str() {
                "key" | "public_key" => {
                    let Some(key) = r.string(token) else { continue };
                    public = key;
                    if !nkey::is_public(&public) {
                        r.error(token, format!("invalid proxy key {}", quote(&public)));
                    }
                }
                _ => r.unknown(key, token, &["key", "public_key"]),
            }
        }
        keys.push(public);
    }
    Some(keys)
}
