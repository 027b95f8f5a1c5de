//! Operator mode: operators, resolver, trusted keys.
//!
//! Not here: what the tokens of accounts say (`auth`).
//! Reference: opts.go cases "operator" to "resolver_pinned_accounts", "trusted".

use std::collections::{BTreeMap, BTreeSet};

use auth::jwt::{AccountClaims, OperatorClaims, undecorated};

use super::nkey;
use super::reader::{Reader, quote, text};
use super::tls::TlsOptions;
use super::url;
use crate::lang::unit::{self, Nanos};
use crate::lang::{Map, Token, Value};

/// Where account JWTs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolver {
    /// `MEM`: from `resolver_preload` only.
    Memory,
    /// `URL(…)`.
    Url(String),
    /// `type: full`: a directory with every account.
    Full {
        /// `dir`.
        dir: String,
        /// `limit` of accounts.
        limit: i64,
        /// `interval` between syncs.
        interval: Option<Nanos>,
        /// `allow_delete`.
        allow_delete: bool,
        /// `hard_delete`.
        hard_delete: bool,
        /// `timeout` of a fetch.
        timeout: Option<Nanos>,
    },
    /// `type: cache`: a directory with some.
    Cache {
        /// `dir`.
        dir: String,
        /// `limit` of accounts.
        limit: i64,
        /// `ttl`.
        ttl: Option<Nanos>,
        /// `timeout` of a fetch.
        timeout: Option<Nanos>,
    },
}

/// What the configuration says about operator mode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OperatorOptions {
    /// Operator JWTs, without the lines around them in their files.
    pub operators: Vec<String>,
    /// What they say.
    pub claims: Vec<OperatorClaims>,
    /// `resolver`.
    pub resolver: Option<Resolver>,
    /// `resolver_tls`.
    pub resolver_tls: Option<TlsOptions>,
    /// `resolver_preload`: account key to JWT.
    pub resolver_preload: BTreeMap<String, String>,
    /// `resolver_pinned_accounts`.
    pub resolver_pinned_accounts: BTreeSet<String>,
    /// `trusted_keys`.
    pub trusted_keys: Vec<String>,
    /// `default_sentinel`.
    pub default_sentinel: Option<String>,
}

/// What every JWT begins with.
const JWT_PREFIX: &str = "eyJ";

impl OperatorOptions {
    pub(super) const KEYS: &[&str] = &[
        "operator",
        "operators",
        "roots",
        "root",
        "root_operators",
        "root_operator",
        "resolver",
        "account_resolver",
        "accounts_resolver",
        "resolver_tls",
        "resolver_preload",
        "resolver_pinned_accounts",
        "trusted",
        "trusted_keys",
        "default_sentinel",
    ];

    pub(super) fn read(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        match key {
            "operator" | "operators" | "roots" | "root" | "root_operators" | "root_operator" => {
                self.read_operators(token, r);
            }
            "resolver" | "account_resolver" | "accounts_resolver" => self.read_resolver(token, r),
            "resolver_tls" => self.resolver_tls = TlsOptions::read(token, true, r),
            "resolver_preload" => self.read_preload(token, r),
            "resolver_pinned_accounts" => {
                if let Some(keys) = r.strings("resolver_pinned_accounts", token) {
                    self.resolver_pinned_accounts = keys.into_iter().collect();
                }
            }
            "trusted" | "trusted_keys" => {
                if let Some(keys) = r.strings("trusted", token) {
                    self.trusted_keys = keys;
                }
                // Compat: reported at the last key of the list.
                let at = match &token.value {
                    Value::Array(items) => items.last().unwrap_or(token),
                    _ => token,
                };
                for key in &self.trusted_keys {
                    if !nkey::is_public_operator(key) {
                        let text = format!(
                            "trust key {} required to be a valid public operator nkey",
                            quote(key)
                        );
                        r.error(at, text);
                    }
                }
            }
            "default_sentinel" => r.put(token, &mut self.default_sentinel),
            _ => return false,
        }
        true
    }

    fn read_operators(&mut self, token: &Token, r: &mut Reader<'_>) {
        let mut names = Vec::new();
        match &token.value {
            Value::String(_) => names.push(text(token)),
            Value::Array(items) => {
                for item in items.iter() {
                    match item.value.as_text() {
                        Some(name) => names.push(name),
                        None => r.error(
                            token,
                            "error parsing operators: unsupported type *conf.token where string \
                             is expected",
                        ),
                    }
                }
            }
            other => {
                let found = other.type_name();
                r.error(token, format!("error parsing operators: unsupported type {found}"));
            }
        }
        (self.operators, self.claims) = (Vec::new(), Vec::new());
        for name in names {
            let text = match r.source.read(&name) {
                Ok(contents) => String::from_utf8_lossy(&contents).into_owned(),
                Err(_) if name.starts_with(JWT_PREFIX) => name,
                Err(e) => {
                    r.error(token, format!("error parsing operator JWT: {e}"));
                    continue;
                }
            };
            let jwt = undecorated(&text);
            match OperatorClaims::decode(jwt) {
                Ok(claims) => {
                    self.operators.push(jwt.to_owned());
                    self.claims.push(claims);
                }
                Err(e) => r.error(token, format!("error parsing operator JWT: {e}")),
            }
        }
    }

    /// Whether users log in with tokens.
    pub fn is_trusting(&self) -> bool {
        !self.claims.is_empty() || !self.trusted_keys.is_empty()
    }

    /// The keys that vouch for accounts.
    pub fn all_trusted_keys(&self) -> Vec<String> {
        let operators = self.claims.iter().flat_map(OperatorClaims::trusted_keys);
        self.trusted_keys.iter().cloned().chain(operators).collect()
    }

    /// Where account JWTs come from: what the configuration says, else what the one operator says.
    pub fn account_resolver(&self) -> Option<Resolver> {
        if let Some(resolver) = &self.resolver {
            return Some(resolver.clone());
        }
        let [operator] = &self.claims[..] else { return None };
        let address = url::of_kind(&operator.nats.account_server_url, "account resolver").ok()?;
        (!address.scheme.is_empty() || !address.host.is_empty())
            // Compat(AUTH-018): where the operator's tool puts them.
            .then(|| Resolver::Url(format!("{}/accounts", operator.nats.account_server_url.trim())))
    }

    /// The system account that the one operator names.
    pub(super) fn system_account(&self) -> Option<&str> {
        let [operator] = &self.claims[..] else { return None };
        Some(operator.nats.system_account.as_str()).filter(|key| !key.is_empty())
    }

    /// The only accounts that may log in, and with them the system account; `None`: any.
    pub fn pinned_accounts(&self, system: Option<&str>) -> Option<BTreeSet<String>> {
        if self.resolver_pinned_accounts.is_empty() {
            return None;
        }
        let mut pinned = self.resolver_pinned_accounts.clone();
        pinned.extend(system.map(str::to_owned));
        Some(pinned)
    }

    fn read_resolver(&mut self, token: &Token, r: &mut Reader<'_>) {
        const REFUSAL: &str = "error parsing account resolver, should be MEM or  URL(\"url\") or a \
                               map containing dir and type state=[FULL|CACHE])";
        let before = r.found.errors.len();
        self.resolver = match &token.value {
            Value::String(_) => resolver_word(token, r),
            Value::Map(map) => resolver_map(map, token, r),
            other => {
                let found = other.type_name();
                let text = format!("error parsing operator resolver, wrong type {found}");
                return r.error(token, text);
            }
        };
        if self.resolver.is_none() && r.found.errors.len() == before {
            r.error(token, REFUSAL);
        }
    }

    fn read_preload(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Value::Map(map) = &token.value else {
            return r.error(token, "preload should be a map of account_public_key:account_jwt");
        };
        self.resolver_preload.clear();
        for (key, token) in map.written() {
            match token.value.as_text() {
                None => r.error(token, "preload map value should be a string JWT"),
                Some(jwt) if AccountClaims::decode(&jwt).is_err() => {
                    r.error(token, "invalid account JWT");
                }
                Some(jwt) => {
                    self.resolver_preload.insert(key.into(), jwt);
                }
            }
        }
    }
}

fn resolver_word(token: &Token, r: &mut Reader<'_>) -> Option<Resolver> {
    let spelled = text(token);
    let lower = spelled.to_ascii_lowercase();
    if lower.contains("mem") {
        return Some(Resolver::Memory);
    }
    let behind = spelled.get(lower.find("url")? + 3..)?;
    let address = behind
        .strip_prefix('(')
        .and_then(|inner| inner.split_once(')'))
        .map(|(inner, _)| inner.trim().trim_matches('"'))
        .filter(|inner| !inner.contains(char::is_whitespace))
        .unwrap_or_default();
    match url::of_kind(address, "account resolver") {
        Ok(_) => Some(Resolver::Url(address.into())),
        Err(text) => {
            r.error(token, text);
            None
        }
    }
}

#[derive(Default)]
struct ResolverKeys {
    dir: String,
    kind: String,
    limit: i64,
    allow_delete: bool,
    hard_delete: Option<bool>,
    ttl: Option<Nanos>,
    interval: Option<Nanos>,
    timeout: Option<Nanos>,
}

fn resolver_map(map: &Map, at: &Token, r: &mut Reader<'_>) -> Option<Resolver> {
    let mut keys = ResolverKeys::default();
    // Compat: exact spelling only; other keys are not looked at.
    for (key, token) in map.written() {
        match key {
            "dir" => r.put(token, &mut keys.dir),
            "type" => r.put(token, &mut keys.kind),
            "allow_delete" => r.put(token, &mut keys.allow_delete),
            "hard_delete" => r.put(token, &mut keys.hard_delete),
            "limit" => r.put(token, &mut keys.limit),
            "ttl" => keys.ttl = resolver_duration(token, at, r)?,
            "interval" => keys.interval = resolver_duration(token, at, r)?,
            "timeout" => keys.timeout = resolver_duration(token, at, r)?,
            _ => {}
        }
    }
    let positive = |d: Option<Nanos>| d.filter(|d| *d != Nanos(0));
    let kind = keys.kind.to_uppercase();
    if (kind == "CACHE" || kind == "FULL") && keys.dir.is_empty() {
        r.error(at, "dir has no value and needs to point to a directory");
    }
    match kind.as_str() {
        "CACHE" => {
            if positive(keys.interval).is_some() {
                r.error(at, "CACHE does not accept sync");
            }
            if keys.allow_delete {
                r.error(at, "CACHE does not accept allow_delete");
            }
            if keys.hard_delete.is_some() {
                r.error(at, "CACHE does not accept hard_delete");
            }
            let ResolverKeys { dir, limit, ttl, timeout, .. } = keys;
            Some(Resolver::Cache { dir, limit, ttl, timeout })
        }
        "FULL" => {
            if positive(keys.ttl).is_some() {
                r.error(at, "FULL does not accept ttl");
            }
            if keys.hard_delete.is_some() && !keys.allow_delete {
                r.error(at, "hard_delete has no effect without delete");
            }
            let hard_delete = keys.hard_delete.unwrap_or(false);
            let ResolverKeys { dir, limit, interval, allow_delete, timeout, .. } = keys;
            Some(Resolver::Full { dir, limit, interval, allow_delete, hard_delete, timeout })
        }
        "MEM" | "MEMORY" => Some(Resolver::Memory),
        _ => None,
    }
}

/// `None` after an error.
fn resolver_duration(token: &Token, at: &Token, r: &mut Reader<'_>) -> Option<Option<Nanos>> {
    let spelled = r.string(token)?;
    match unit::duration(&spelled) {
        Ok(nanos) => Some(Some(nanos)),
        Err(e) => {
            r.error(at, e.to_string());
            None
        }
    }
}
