//! `jetstream`, `store_dir`, `default_js_domain` (CONF-110).
//!
//! Reference: opts.go parseJetStream, parseJetStreamLimits, parseJetStreamLimitsBatch,
//! parseJetStreamTPM, getStorageSize.

use std::collections::BTreeMap;

use super::reader::{Reader, mismatch, quote, string, text};
use crate::diagnostic::Diagnostic;
use crate::lang::unit::Nanos;
use crate::lang::{Token, Value};

/// How stored data is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreCipher {
    /// ChaCha20-Poly1305.
    ChaCha,
    /// AES-GCM.
    Aes,
}

/// `limits.batch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JetStreamBatchLimits {
    /// `max_inflight_per_stream`.
    pub max_inflight_per_stream: Option<i64>,
    /// `max_inflight_total`.
    pub max_inflight_total: Option<i64>,
    /// `max_msgs`.
    pub max_msgs: Option<i64>,
    /// `timeout`.
    pub timeout: Option<Nanos>,
}

/// `limits`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JetStreamLimits {
    /// `max_ack_pending`.
    pub max_ack_pending: Option<i64>,
    /// `max_ha_assets`.
    pub max_ha_assets: Option<i64>,
    /// `max_request_batch`.
    pub max_request_batch: Option<i64>,
    /// `duplicate_window`.
    pub duplicate_window: Option<Nanos>,
    /// `batch`.
    pub batch: JetStreamBatchLimits,
}

/// `tpm`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JetStreamTpm {
    /// `keys_file`.
    pub keys_file: Option<String>,
    /// `encryption_password`.
    pub encryption_password: Option<String>,
    /// `srk_password`.
    pub srk_password: Option<String>,
    /// `pcr`.
    pub pcr: Option<i64>,
}

/// What the configuration says about JetStream; sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JetStreamOptions {
    /// Whether it is on.
    pub enabled: bool,
    /// `strict` checking of requests, on by default.
    pub strict: Option<bool>,
    /// `store_dir`, here or at top level.
    pub store_dir: Option<String>,
    /// `sync_interval`.
    pub sync_interval: Option<Nanos>,
    /// `sync_interval: always`.
    pub sync_always: bool,
    /// `max_memory_store`; 0 is a real limit.
    pub max_memory: Option<i64>,
    /// `max_file_store`; 0 is a real limit.
    pub max_store: Option<i64>,
    /// `domain`.
    pub domain: Option<String>,
    /// `key`.
    pub key: Option<String>,
    /// `prev_key`.
    pub prev_key: Option<String>,
    /// `cipher`.
    pub cipher: Option<StoreCipher>,
    /// `extension_hint`.
    pub extension_hint: Option<String>,
    /// `limits`.
    pub limits: JetStreamLimits,
    /// `tpm`.
    pub tpm: Option<JetStreamTpm>,
    /// `unique_tag`, lower case.
    pub unique_tag: Option<String>,
    /// `max_outstanding_catchup`.
    pub max_outstanding_catchup: Option<i64>,
    /// `max_buffered_size`.
    pub max_buffered_size: Option<i64>,
    /// `max_buffered_msgs`.
    pub max_buffered_msgs: Option<i64>,
    /// `request_queue_limit`.
    pub request_queue_limit: Option<i64>,
    /// `info_queue_limit`.
    pub info_queue_limit: Option<i64>,
    /// `meta_compact`, entries.
    pub meta_compact: Option<u64>,
    /// `meta_compact_size`.
    pub meta_compact_size: Option<u64>,
    /// `meta_compact_sync`.
    pub meta_compact_sync: bool,
    /// `max_concurrent_io`, 4 to 8192.
    pub max_concurrent_io: Option<i64>,
    /// `default_js_domain`: account to domain.
    pub default_domains: BTreeMap<String, String>,
}

type Checked<T = ()> = Result<T, Diagnostic>;

impl JetStreamOptions {
    pub(super) const TOP_KEYS: &[&str] =
        &["store_dir", "storedir", "jetstream", "default_js_domain"];
    pub(crate) const KEYS: &[&str] = &[
        "strict",
        "store",
        "store_dir",
        "storedir",
        "sync",
        "sync_interval",
        "max_memory_store",
        "max_mem_store",
        "max_mem",
        "max_file_store",
        "max_file",
        "domain",
        "enable",
        "enabled",
        "key",
        "ek",
        "encryption_key",
        "prev_key",
        "prev_ek",
        "prev_encryption_key",
        "cipher",
        "extension_hint",
        "limits",
        "tpm",
        "unique_tag",
        "max_outstanding_catchup",
        "max_buffered_size",
        "max_buffered_msgs",
        "request_queue_limit",
        "info_queue_limit",
        "meta_compact",
        "meta_compact_size",
        "meta_compact_sync",
        "max_concurrent_io",
    ];

    pub(super) fn read_top(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        match key {
            "store_dir" | "storedir" => {
                let read = self.put_store_dir(token);
                r.keep(read);
            }
            "jetstream" => {
                // Compat: the rest of the section is dropped after an error of this kind.
                let read = self.read(token, r);
                r.keep(read);
            }
            "default_js_domain" => {
                let Value::Map(map) = &token.value else {
                    let found = token.value.type_name();
                    let text = format!("error default_js_domain config: unsupported type {found}");
                    r.error(token, text);
                    return true;
                };
                for (account, domain) in map.written() {
                    if let Some(domain) = r.string(domain) {
                        self.default_domains.insert(account.into(), domain);
                    }
                }
            }
            _ => return false,
        }
        true
    }

    fn read(&mut self, token: &Token, r: &mut Reader<'_>) -> Checked {
        match &token.value {
            Value::Bool(on) => self.enabled = *on,
            Value::String(_) => match text(token).to_lowercase().as_str() {
                "enabled" | "enable" => self.enabled = true,
                "disabled" | "disable" => self.enabled = false,
                _ => return Err(switch(token)),
            },
            Value::Map(map) => {
                let mut enabled = true;
                for (key, token) in map.written() {
                    let lower = key.to_lowercase();
                    if lower == "enable" || lower == "enabled" {
                        r.put(token, &mut enabled);
                    } else if !self.read_text(&lower, token, r)
                        && !self.read_size(key, &lower, token)?
                    {
                        self.read_key(key, &lower, token, r)?;
                    }
                }
                self.enabled = enabled;
            }
            other => {
                let found = other.type_name();
                let text = format!("Expected map, bool or string to define JetStream, got {found}");
                return Err(at(token, text));
            }
        }
        Ok(())
    }

    fn read_text(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        let slot = match key {
            "domain" => &mut self.domain,
            "key" | "ek" | "encryption_key" => &mut self.key,
            "prev_key" | "prev_ek" | "prev_encryption_key" => &mut self.prev_key,
            "extension_hint" => &mut self.extension_hint,
            _ => return false,
        };
        r.put(token, slot);
        true
    }

    fn read_size(&mut self, key: &str, lower: &str, token: &Token) -> Checked<bool> {
        let slot = match lower {
            "max_memory_store" | "max_mem_store" | "max_mem" => {
                self.max_memory = Some(size("max_mem_store", token)?);
                return Ok(true);
            }
            "max_file_store" | "max_file" => {
                self.max_store = Some(size("max_file_store", token)?);
                return Ok(true);
            }
            "max_outstanding_catchup" => &mut self.max_outstanding_catchup,
            "max_buffered_size" => &mut self.max_buffered_size,
            "meta_compact_size" => {
                let size = size(lower, token)?;
                self.meta_compact_size =
                    Some(u64::try_from(size).map_err(|_| absolute(key, token, ""))?);
                return Ok(true);
            }
            "meta_compact" => {
                let Value::Integer(n) = token.value else { return Err(absolute(key, token, "")) };
                self.meta_compact = Some(u64::try_from(n).map_err(|_| absolute(key, token, ""))?);
                return Ok(true);
            }
            "max_concurrent_io" => {
                self.max_concurrent_io = match token.value {
                    Value::Integer(n) if (4..=8192).contains(&n) => Some(n),
                    _ => return Err(absolute(key, token, " between 4 and 8192")),
                };
                return Ok(true);
            }
            "max_buffered_msgs" => {
                self.max_buffered_msgs = Some(plain_size(key, token)?);
                return Ok(true);
            }
            "request_queue_limit" => {
                self.request_queue_limit = Some(plain_size(key, token)?);
                return Ok(true);
            }
            "info_queue_limit" => {
                self.info_queue_limit = Some(plain_size(key, token)?);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *slot = Some(size(lower, token)?);
        Ok(true)
    }

    fn read_key(&mut self, key: &str, lower: &str, token: &Token, r: &mut Reader<'_>) -> Checked {
        match lower {
            "strict" => match token.value {
                Value::Bool(on) => self.strict = Some(on),
                _ => {
                    let found = token.value.display();
                    let text = format!("Expected 'true' or 'false' for bool value, got '{found}'");
                    return Err(at(token, text));
                }
            },
            "store" | "store_dir" | "storedir" => self.put_store_dir(token)?,
            "sync" | "sync_interval" => {
                self.sync_always =
                    token.value.as_text().is_some_and(|text| text.eq_ignore_ascii_case("always"));
                if self.sync_always {
                    self.sync_interval = Some(Nanos::from_secs(120));
                } else {
                    r.put_duration(key, token, &mut self.sync_interval);
                }
            }
            "cipher" => self.cipher = Some(cipher(token)?),
            "limits" => self.limits = limits(token, r)?,
            "tpm" => self.tpm = Some(self.read_tpm(token, r)?),
            "unique_tag" => {
                if let Some(tag) = r.string(token) {
                    self.unique_tag = Some(tag.trim().to_lowercase());
                }
            }
            "meta_compact_sync" => r.put(token, &mut self.meta_compact_sync),
            _ => r.unknown(key, token, Self::KEYS),
        }
        Ok(())
    }

    fn put_store_dir(&mut self, token: &Token) -> Checked {
        if self.store_dir.as_deref().is_some_and(|dir| !dir.is_empty()) {
            return Err(at(token, "Duplicate 'store_dir' configuration"));
        }
        self.store_dir = Some(string(token)?);
        Ok(())
    }

    fn read_tpm(&mut self, token: &Token, r: &mut Reader<'_>) -> Checked<JetStreamTpm> {
        const KEYS: &[&str] =
            &["keys_file", "encryption_password", "srk_password", "pcr", "cipher"];
        let Value::Map(map) = &token.value else {
            // Compat: the reference names the wrong section.
            let found = token.value.type_name();
            let text = format!("Expected a map to define JetStreamLimits, got {found}");
            return Err(at(token, text));
        };
        let mut tpm = JetStreamTpm::default();
        for (key, token) in map.written() {
            match key.to_lowercase().as_str() {
                "keys_file" => r.put(token, &mut tpm.keys_file),
                "encryption_password" => r.put(token, &mut tpm.encryption_password),
                "srk_password" => r.put(token, &mut tpm.srk_password),
                "pcr" => r.put(token, &mut tpm.pcr),
                "cipher" => self.cipher = Some(cipher(token)?),
                _ => r.unknown(key, token, KEYS),
            }
        }
        Ok(tpm)
    }
}

fn limits(token: &Token, r: &mut Reader<'_>) -> Checked<JetStreamLimits> {
    const KEYS: &[&str] =
        &["max_ack_pending", "max_ha_assets", "max_request_batch", "duplicate_window", "batch"];
    let Value::Map(map) = &token.value else {
        let found = token.value.type_name();
        let text = format!("Expected a map to define JetStreamLimits, got {found}");
        return Err(at(token, text));
    };
    let mut limits = JetStreamLimits::default();
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            "max_ack_pending" => r.put(token, &mut limits.max_ack_pending),
            "max_ha_assets" => r.put(token, &mut limits.max_ha_assets),
            "max_request_batch" => r.put(token, &mut limits.max_request_batch),
            // Compat: an error in this duration and in `timeout` below has no place.
            "duplicate_window" => limits.duplicate_window = r.strict_duration(token),
            "batch" => limits.batch = batch_limits(token, r)?,
            _ => r.unknown(key, token, KEYS),
        }
    }
    Ok(limits)
}

fn batch_limits(token: &Token, r: &mut Reader<'_>) -> Checked<JetStreamBatchLimits> {
    const KEYS: &[&str] = &["max_inflight_per_stream", "max_inflight_total", "max_msgs", "timeout"];
    let Value::Map(map) = &token.value else {
        let found = token.value.type_name();
        return Err(at(token, format!("Expected a map to define batch limits, got {found}")));
    };
    let mut limits = JetStreamBatchLimits::default();
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            "max_inflight_per_stream" => r.put(token, &mut limits.max_inflight_per_stream),
            "max_inflight_total" => r.put(token, &mut limits.max_inflight_total),
            "max_msgs" => r.put(token, &mut limits.max_msgs),
            "timeout" => limits.timeout = r.strict_duration(token),
            _ => r.unknown(key, token, KEYS),
        }
    }
    Ok(limits)
}

fn at(token: &Token, text: impl Into<String>) -> Diagnostic {
    Diagnostic::at(&token.position, text)
}

/// A word that should have been `enabled` or `disabled`.
pub(super) fn switch(token: &Token) -> Diagnostic {
    let found = text(token);
    at(token, format!("Expected 'enabled' or 'disabled' for string value, got '{found}'"))
}

fn absolute(key: &str, token: &Token, bounds: &str) -> Diagnostic {
    let found = token.value.display();
    at(token, format!("Expected an absolute size for {}{bounds}, got {found}", quote(key)))
}

pub(super) fn plain_size(key: &str, token: &Token) -> Checked<i64> {
    match token.value {
        Value::Integer(n) => Ok(n),
        _ => {
            let found = token.value.display();
            let text = format!("Expected a parseable size for {}, got {found}", quote(key));
            Err(at(token, text))
        }
    }
}

/// A size as integer, or as text with one letter (`10G`, powers of 1024).
fn size(field: &str, token: &Token) -> Checked<i64> {
    let fail = |cause: String| at(token, format!("{field} {cause}"));
    let spelled = match &token.value {
        Value::Integer(n) => return Ok(*n),
        Value::String(_) => text(token),
        _ => return Err(fail("must be int64 or string".into())),
    };
    let Some(letter) = spelled.chars().next_back() else { return Ok(0) };
    let number = spelled.get(..spelled.len() - letter.len_utf8()).unwrap_or_default();
    let digits = number.parse::<i64>().map_err(|e| {
        let cause = match e.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                "value out of range"
            }
            _ => "invalid syntax",
        };
        fail(format!("strconv.ParseInt: parsing {}: {cause}", quote(number)))
    })?;
    let shift = match letter {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => return Err(fail("sizes defined as strings must end in K, M, G, T".into())),
    };
    Ok(digits.wrapping_mul(1 << shift))
}

fn cipher(token: &Token) -> Checked<StoreCipher> {
    let name = token.value.as_text().ok_or_else(|| mismatch(token, "string"))?;
    match name.to_lowercase().as_str() {
        "chacha" | "chachapoly" => Ok(StoreCipher::ChaCha),
        "aes" => Ok(StoreCipher::Aes),
        _ => Err(at(token, format!("Unknown cipher type: {}", quote(&name)))),
    }
}
