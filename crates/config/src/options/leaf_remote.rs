//! `remotes` of `leafnodes` (CONF-105).
//!
//! Reference: opts.go parseRemoteLeafNodes; leafnode.go validateLeafNodeProxyOptions.

use super::compression::Compression;
use super::permissions::subjects_of;
use super::reader::{Reader, quote, text};
use super::tls::TlsOptions;
use super::url::{self, Url};
use super::{GLOBAL_ACCOUNT, nkey};
use crate::lang::unit::Nanos;
use crate::lang::{Token, Value};

/// HTTP proxy for WebSocket leafnodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafProxy {
    /// `url`.
    pub url: String,
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: String,
    /// `timeout`.
    pub timeout: Option<Nanos>,
}

/// A server to connect to as a leafnode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteLeaf {
    /// `urls`.
    pub urls: Vec<Url>,
    /// `no_randomize`.
    pub no_randomize: bool,
    /// `account` here that is joined; `None` is `$G`.
    pub local_account: Option<String>,
    /// `credentials` file.
    pub credentials: Option<String>,
    /// `nkey` seed.
    pub nkey: Option<String>,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// `hub`.
    pub hub: bool,
    /// `deny_imports`.
    pub deny_imports: Vec<String>,
    /// `deny_exports`.
    pub deny_exports: Vec<String>,
    /// `ws_compression`.
    pub ws_compression: bool,
    /// `ws_no_masking`.
    pub ws_no_masking: bool,
    /// `jetstream_cluster_migrate`.
    pub jetstream_cluster_migrate: bool,
    /// Its `leader_migrate_delay`.
    pub leader_migrate_delay: Option<Nanos>,
    /// `isolate_leafnode_interest`.
    pub isolate_interest: bool,
    /// `request_isolation`.
    pub request_isolation: bool,
    /// `compression`.
    pub compression: Compression,
    /// `first_info_timeout`.
    pub first_info_timeout: Option<Nanos>,
    /// `dial_timeout`.
    pub dial_timeout: Option<Nanos>,
    /// `disabled`.
    pub disabled: bool,
    /// `proxy`.
    pub proxy: LeafProxy,
    /// `ignore_discovered_servers`.
    pub ignore_discovered_servers: bool,
}

pub(crate) const KEYS: &[&str] = &[
    "no_randomize",
    "dont_randomize",
    "url",
    "urls",
    "account",
    "local",
    "creds",
    "credentials",
    "nkey",
    "seed",
    "tls",
    "hub",
    "deny_imports",
    "deny_import",
    "deny_exports",
    "deny_export",
    "ws_compress",
    "ws_compression",
    "websocket_compress",
    "websocket_compression",
    "ws_no_masking",
    "websocket_no_masking",
    "jetstream_cluster_migrate",
    "js_cluster_migrate",
    "isolate_leafnode_interest",
    "isolate",
    "request_isolation",
    "compression",
    "first_info_timeout",
    "dial_timeout",
    "disabled",
    "proxy",
    "ignore_discovered_servers",
];

pub(super) fn read_all(token: &Token, r: &mut Reader<'_>) -> Option<Vec<RemoteLeaf>> {
    let Value::Array(items) = &token.value else {
        let found = token.value.type_name();
        r.error(token, format!("Expected remotes field to be an array, got {found}"));
        return None;
    };
    let mut names = Vec::new();
    let mut remotes = Vec::new();
    for item in items.iter() {
        let Value::Map(map) = &item.value else {
            let found = item.value.display();
            r.error(
                item,
                format!("Expected remote leafnode entry to be a map/struct, got {found}"),
            );
            continue;
        };
        let mut remote = RemoteLeaf::default();
        let mut proxy = item;
        let mut last = item;
        for (key, token) in map.written() {
            last = token;
            let lower = key.to_lowercase();
            if lower == "proxy" {
                proxy = token;
                remote.read_proxy(token, r);
            } else if !remote.read_flag(&lower, token, r) {
                remote.read_key(key, &lower, token, r);
            }
        }
        match remote.check_proxy() {
            Ok(Some(warning)) => r.warn(proxy, warning),
            Ok(None) => {}
            Err(text) => {
                r.error(proxy, text);
                continue;
            }
        }
        let name = remote.name(false);
        if names.contains(&name) {
            r.error(last, format!("duplicate remote {}", remote.name(true)));
            continue;
        }
        names.push(name);
        remotes.push(remote);
    }
    Some(remotes)
}

impl RemoteLeaf {
    fn read_flag(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        let slot = match key {
            "no_randomize" | "dont_randomize" => &mut self.no_randomize,
            "hub" => &mut self.hub,
            "ws_compress" | "ws_compression" | "websocket_compress" | "websocket_compression" => {
                &mut self.ws_compression
            }
            "ws_no_masking" | "websocket_no_masking" => &mut self.ws_no_masking,
            "isolate_leafnode_interest" | "isolate" => &mut self.isolate_interest,
            "request_isolation" => &mut self.request_isolation,
            "disabled" => &mut self.disabled,
            "ignore_discovered_servers" => &mut self.ignore_discovered_servers,
            _ => return false,
        };
        r.put(token, slot);
        true
    }

    fn read_key(&mut self, key: &str, lower: &str, token: &Token, r: &mut Reader<'_>) {
        match lower {
            "url" | "urls" => self.read_urls(token, r),
            "account" | "local" => r.put(token, &mut self.local_account),
            "creds" | "credentials" => {
                let Some(path) = r.string(token) else { return };
                if self.nkey.is_some() {
                    return r.error(token, BOTH);
                }
                self.credentials = Some(expand_path(&path, r));
            }
            "nkey" | "seed" => {
                let Some(seed) = r.string(token) else { return };
                if !nkey::is_user_seed(&seed) {
                    let seed = quote(&seed);
                    let text = format!("Remote leafnode nkey is not a valid seed: {seed}");
                    return r.error(token, text);
                }
                if self.credentials.is_some() {
                    return r.error(token, BOTH);
                }
                self.nkey = Some(seed);
            }
            "tls" => self.tls = TlsOptions::read(token, true, r),
            "deny_imports" | "deny_import" => {
                if let Some(subjects) = subjects_of(token, r, false) {
                    self.deny_imports = subjects.unwrap_or_default();
                }
            }
            "deny_exports" | "deny_export" => {
                if let Some(subjects) = subjects_of(token, r, false) {
                    self.deny_exports = subjects.unwrap_or_default();
                }
            }
            "jetstream_cluster_migrate" | "js_cluster_migrate" => self.read_migrate(token, r),
            "compression" => self.compression.read(key, "s2_auto", token, r),
            "first_info_timeout" => r.put_duration(key, token, &mut self.first_info_timeout),
            "dial_timeout" => r.put_duration(key, token, &mut self.dial_timeout),
            _ => r.unknown(key, token, KEYS),
        }
    }

    fn read_urls(&mut self, token: &Token, r: &mut Reader<'_>) {
        match &token.value {
            Value::Array(_) => {
                if let Some(urls) = url::list(r, token, "leafnode") {
                    self.urls = urls;
                }
            }
            Value::String(_) => match url::of_kind(&text(token), "leafnode") {
                Ok(url) => self.urls.push(url),
                Err(text) => r.error(token, text),
            },
            other => {
                let found = other.display();
                r.error(
                    token,
                    format!("Expected remote leafnode url to be an array or string, got {found}"),
                );
            }
        }
    }

    fn read_migrate(&mut self, token: &Token, r: &mut Reader<'_>) {
        match &token.value {
            Value::Bool(on) => self.jetstream_cluster_migrate = *on,
            Value::Map(map) => {
                self.jetstream_cluster_migrate = true;
                if let Some(delay) = map.get("leader_migrate_delay") {
                    r.put_duration("leader_migrate_delay", delay, &mut self.leader_migrate_delay);
                }
            }
            other => {
                let found = other.type_name();
                r.error(
                    token,
                    format!("Expected boolean or map for jetstream_cluster_migrate, got {found}"),
                );
            }
        }
    }

    fn read_proxy(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Some(map) = r.section(token, "Expected proxy to be a map") else { return };
        for (key, token) in map.written() {
            match key.to_lowercase().as_str() {
                "url" => r.put(token, &mut self.proxy.url),
                "username" => r.put(token, &mut self.proxy.username),
                "password" => r.put(token, &mut self.proxy.password),
                "timeout" => r.put_duration("proxy timeout", token, &mut self.proxy.timeout),
                _ => r.unknown(key, token, &["url", "username", "password", "timeout"]),
            }
        }
    }

    /// Whether the proxy can be used; the text inside `Ok` is a warning.
    pub(crate) fn check_proxy(&self) -> Result<Option<&'static str>, String> {
        let proxy = &self.proxy;
        if proxy.url.is_empty() {
            return Ok(None);
        }
        let url = url::parse(&proxy.url).map_err(|e| format!("invalid proxy URL: {e}"))?;
        if url.scheme != "http" && url.scheme != "https" {
            let scheme = url.scheme;
            return Err(format!("proxy URL scheme must be http or https, got: {scheme}"));
        }
        if url.host.is_empty() {
            return Err("proxy URL must specify a host".into());
        }
        if proxy.timeout.is_some_and(|timeout| timeout < Nanos(0)) {
            return Err("proxy timeout must be >= 0".into());
        }
        if proxy.username.is_empty() != proxy.password.is_empty() {
            let text = "proxy username and password must both be specified or both be empty";
            return Err(text.into());
        }
        if let Some(url) = self.urls.iter().find(|url| url.scheme == "wss" && self.tls.is_none()) {
            return Err(format!(
                "proxy is configured but remote URL {} requires TLS and no TLS configuration is \
                 provided. When using proxy with TLS endpoints, ensure TLS is properly configured \
                 for the leafnode remote",
                url.redacted()
            ));
        }
        let websockets = self.urls.iter().filter(|url| url.is_websocket()).count();
        Ok(match (self.urls.len(), websockets) {
            (0, _) => None,
            (_, 0) => Some(
                "proxy configuration will be ignored: proxy settings only apply to WebSocket \
                 connections (ws:// or wss://), but all configured URLs use TCP connections \
                 (nats://)",
            ),
            (all, some) if some < all => Some(
                "proxy configuration will only be used for WebSocket URLs: proxy settings do not \
                 apply to TCP connections (nats://)",
            ),
            _ => None,
        })
    }

    /// What makes a remote the same as another: URLs, account, credentials.
    pub(crate) fn name(&self, redacted: bool) -> String {
        let urls: Vec<String> = self.urls.iter().map(|url| quote(&url.redacted())).collect();
        let account = self.local_account.as_deref().unwrap_or(GLOBAL_ACCOUNT);
        let login = match (&self.credentials, &self.nkey) {
            (Some(file), _) => format!(", credentials={}", quote(file)),
            (None, Some(_)) if redacted => ", nkey=\"[REDACTED]\"".into(),
            (None, Some(seed)) => format!(", nkey={}", quote(seed)),
            (None, None) => String::new(),
        };
        let users = if redacted {
            String::new()
        } else {
            let users = self.urls.iter().map(|url| format!("{:?}{:?}", url.user, url.password));
            users.collect()
        };
        format!("urls=[{}], account={}{login}{users}", urls.join(" "), quote(account))
    }
}

const BOTH: &str = "Remote leafnode can not have both creds and nkey defined";

/// Expands `$NAME`, `${NAME}` and a leading `~`.
fn expand_path(path: &str, r: &mut Reader<'_>) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        let (name, after) = match behind.strip_prefix('{').and_then(|b| b.split_once('}')) {
            Some(braced) => braced,
            None => {
                let end = behind
                    .find(|c: char| c != '_' && !c.is_ascii_alphanumeric())
                    .unwrap_or(behind.len());
                behind.split_at(end)
            }
        };
        out.push_str(&r.source.env(name).unwrap_or_default());
        rest = after;
    }
    out.push_str(rest);
    match out.strip_prefix('~') {
        Some(tail) => {
            let home = r.source.env("HOME").unwrap_or_default();
            format!("{}/{}", home.trim_end_matches('/'), tail.trim_start_matches('/'))
        }
        None => out,
    }
}
