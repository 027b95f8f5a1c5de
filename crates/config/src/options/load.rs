//! From a file to `Options`: every top-level key is handed to its section.
//!
//! Laws: keys are read in file order; nothing stops at the first error (CONF-013).
//! Reference: opts.go ProcessConfigFile, processConfigFile, processConfigFileLine.

use super::authorization::Block;
use super::client::ClientOptions;
use super::cluster::name;
use super::jetstream::JetStreamOptions;
use super::limits::LimitOptions;
use super::logging::LoggingOptions;
use super::monitoring::MonitoringOptions;
use super::ocsp::{OcspCache, OcspOptions};
use super::operator::OperatorOptions;
use super::process::ProcessOptions;
use super::reader::{Reader, quote};
use super::system::SystemOptions;
use super::tls::TlsOptions;
use super::{Options, accounts, proxies};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lang::{self, Map, Source, SyntaxError, Token, Value};

/// A configuration that may be used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub options: Options,
    /// What the operator should know.
    pub warnings: Vec<Diagnostic>,
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is not written in the configuration language, or cannot be read.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// It says things that make no sense; one line each, with a line break behind every one.
    #[error("{0}")]
    Invalid(Diagnostics),
}

/// Loads the configuration file at `path`.
pub fn load(path: &str, source: &dyn Source) -> Result<Loaded, LoadError> {
    finish(&lang::parse_file(path, source)?, path, source)
}

/// Loads a configuration from text. `file` names it in messages and is where includes start from.
pub fn load_text(data: &[u8], file: &str, source: &dyn Source) -> Result<Loaded, LoadError> {
    finish(&lang::parse(data, file, source)?, file, source)
}

fn finish(map: &Map, file: &str, source: &dyn Source) -> Result<Loaded, LoadError> {
    let (mut options, found) = read(map, file, source);
    options.config_file = file.into();
    options.config_digest = lang::digest(map);
    if found.errors.is_empty() {
        Ok(Loaded { options, warnings: found.warnings })
    } else {
        Err(LoadError::Invalid(found))
    }
}

/// Reads a parsed configuration, whatever is wrong with it.
pub fn read(map: &Map, file: &str, source: &dyn Source) -> (Options, Diagnostics) {
    let mut r = Reader::new(source);
    let mut options = Options::default();
    if map.is_empty() {
        let text = format!("{file}: config has no values or is empty");
        r.found.warnings.push(Diagnostic::general(text));
    }
    options.system.read_first(map, &mut r);
    for (key, token) in map.written() {
        let lower = key.to_lowercase();
        r.keys.record(&lower, &token.position);
        if !read_scalars(&mut options, &lower, token, &mut r)
            && !read_section(&mut options, &lower, token, &mut r)
        {
            let known: Vec<&str> = TOP_LEVEL_KEYS.concat();
            r.unknown(key, token, &known);
        }
    }
    check_callout_accounts(&options, &mut r);
    options.keys = std::mem::take(&mut r.keys);
    (options, r.found)
}

/// Every top-level key, by section.
pub const TOP_LEVEL_KEYS: &[&[&str]] = &[
    ClientOptions::KEYS,
    LimitOptions::KEYS,
    LoggingOptions::KEYS,
    MonitoringOptions::KEYS,
    ProcessOptions::KEYS,
    SystemOptions::KEYS,
    OperatorOptions::KEYS,
    JetStreamOptions::TOP_KEYS,
    SECTION_KEYS,
];

const SECTION_KEYS: &[&str] = &[
    "server_name",
    "server_tags",
    "server_metadata",
    "feature_flags",
    "tls",
    "ocsp",
    "ocsp_cache",
    "authorization",
    "accounts",
    "mappings",
    "maps",
    "no_auth_user",
    "proxies",
    "cluster",
    "gateway",
    "leaf",
    "leafnodes",
    "websocket",
    "ws",
    "mqtt",
];

fn read_scalars(options: &mut Options, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
    options.client.read(key, token, r)
        || options.limits.read(key, token, r)
        || options.logging.read(key, token, r)
        || options.monitoring.read(key, token, r)
        || options.process.read(key, token, r)
        || options.system.read(key, token, r)
        || options.operator.read(key, token, r)
        || options.jetstream.read_top(key, token, r)
        || read_server(options, key, token, r)
}

fn read_server(options: &mut Options, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
    match key {
        "server_name" => {
            if let Some(name) = name(token, r, "server name cannot contain spaces") {
                options.server_name = Some(name);
            }
        }
        "server_tags" => read_tags(&mut options.server_tags, token, r),
        "server_metadata" => {
            let Value::Map(map) = &token.value else {
                let found = token.value.type_name();
                r.error(token, format!("error parsing metadata: unsupported type {found}"));
                return true;
            };
            for (key, token) in map.written() {
                if let Some(value) = r.string(token) {
                    options.server_metadata.insert(key.into(), value);
                }
            }
        }
        "feature_flags" => read_feature_flags(options, token, r),
        "no_auth_user" => r.put(token, &mut options.no_auth_user),
        _ => return false,
    }
    true
}

fn read_section(options: &mut Options, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
    match key {
        "tls" => options.tls = TlsOptions::read(token, true, r),
        "ocsp" => {
            if let Some(ocsp) = OcspOptions::read(token, r) {
                options.ocsp = Some(ocsp);
            }
        }
        "ocsp_cache" => {
            if let Some(cache) = OcspCache::read(token, r) {
                options.ocsp_cache = Some(cache);
            }
        }
        "authorization" => read_authorization(options, token, r),
        "accounts" => accounts::read(options, token, r),
        "mappings" | "maps" => accounts::read_global_mappings(options, token, r),
        "proxies" => options.trusted_proxies = proxies::read(token, r),
        "cluster" => options.cluster.read(token, r),
        "gateway" => options.gateway.read(token, r),
        "leaf" | "leafnodes" => options.leafnode.read(token, r),
        "websocket" | "ws" => options.websocket.read(token, r),
        "mqtt" => options.mqtt.read(token, r),
        _ => return false,
    }
    true
}

fn read_tags(tags: &mut Vec<String>, token: &Token, r: &mut Reader<'_>) {
    let mut add = |tag: &str| {
        let tag = tag.trim().to_lowercase();
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    };
    match &token.value {
        Value::String(_) => add(&super::reader::text(token)),
        Value::Array(items) => {
            for item in items.iter() {
                match item.value.as_text() {
                    Some(tag) => add(&tag),
                    None => {
                        let text = "error parsing tags: unsupported type *conf.token where string \
                                    is expected";
                        return r.error(token, text);
                    }
                }
            }
        }
        other => {
            let found = other.type_name();
            r.error(token, format!("error parsing tags: unsupported type {found}"));
        }
    }
}

fn read_feature_flags(options: &mut Options, token: &Token, r: &mut Reader<'_>) {
    let Value::Map(map) = &token.value else {
        let found = token.value.type_name();
        return r.error(token, format!("error parsing feature flags: unsupported type {found}"));
    };
    for (name, token) in map.written() {
        let Value::Bool(on) = token.value else {
            let (name, found) = (quote(name), token.value.type_name());
            let text = format!("error parsing feature flag {name}: expected bool, got {found}");
            r.error(token, text);
            continue;
        };
        options.feature_flags.insert(name.into(), on);
    }
}

fn read_authorization(options: &mut Options, token: &Token, r: &mut Reader<'_>) {
    let Some(mut block) = Block::read(token, r) else { return };
    let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let auth = &block.auth;
    let (user, pass, secret) = (set(&auth.username), set(&auth.password), set(&auth.token));
    let others = !options.users.is_empty() || !options.nkeys.is_empty();
    let refused = if (user || pass) && secret {
        Some("Cannot have a user/pass and token")
    } else if !block.has_users && !others {
        None
    } else if user {
        Some("Can not have a single user/pass and a users array")
    } else if secret {
        Some("Can not have a token and a users array")
    } else {
        None
    };
    options.authorization = Some(block.auth.clone());
    if let Some(text) = refused {
        return r.error(token, text);
    }
    let mut taken: std::collections::HashSet<&str> =
        options.users.iter().map(|user| user.username.as_str()).collect();
    taken.extend(options.nkeys.iter().map(|user| user.nkey.as_str()));
    for name in block.names() {
        if !taken.insert(name) {
            let what =
                if block.users.iter().any(|user| user.username == name) { "user" } else { "nkey" };
            return r.error(token, format!("Duplicate {what} {} detected", quote(name)));
        }
    }
    options.users.append(&mut block.users);
    options.nkeys.append(&mut block.nkeys);
}

fn check_callout_accounts(options: &Options, r: &mut Reader<'_>) {
    let callout = options.authorization.as_ref().and_then(|auth| auth.callout.as_ref());
    for name in callout.iter().flat_map(|callout| &callout.allowed_accounts) {
        if options.account(name).is_none() {
            let name = quote(name);
            r.push(Diagnostic::general(format!(
                "auth_callout allowed account {name} not found in configured accounts"
            )));
        }
    }
}
