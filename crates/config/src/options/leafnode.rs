//! `leafnodes` (CONF-104).
//!
//! Not here: its `remotes` (`leaf_remote`).
//! Reference: opts.go parseLeafNodes, parseLeafAuthorization, parseLeafUsers; leafnode.go.

use super::authorization::timeout;
use super::compression::Compression;
use super::leaf_remote::{self, RemoteLeaf};
use super::limits::{WriteTimeout, put_write_timeout};
use super::listen::Listen;
use super::nkey;
use super::reader::{Reader, quote};
use super::tls::TlsOptions;
use crate::lang::unit::Nanos;
use crate::lang::{Token, Value};

/// A user only leafnodes may connect as.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeafUser {
    /// Name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Account it is bound to; `None` is `$G`.
    pub account: Option<String>,
    /// Whether it must come through a trusted proxy.
    pub proxy_required: bool,
}

/// `authorization` of leafnodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeafAuthorization {
    /// `user`.
    pub username: Option<String>,
    /// `password`.
    pub password: Option<String>,
    /// `nkey`, a user's public key.
    pub nkey: Option<String>,
    /// `account` every leafnode is bound to.
    pub account: Option<String>,
    /// `timeout`, seconds.
    pub timeout: Option<f64>,
    /// `users`.
    pub users: Vec<LeafUser>,
    /// `proxy_required`.
    pub proxy_required: bool,
}

/// What the configuration says about leafnodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeafNodeOptions {
    /// Listener.
    pub listen: Listen,
    /// `authorization`.
    pub authorization: Option<LeafAuthorization>,
    /// `remotes` to connect to.
    pub remotes: Vec<RemoteLeaf>,
    /// `reconnect`.
    pub reconnect_interval: Option<Nanos>,
    /// `dial_timeout`.
    pub dial_timeout: Option<Nanos>,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// `advertise`.
    pub advertise: Option<String>,
    /// `no_advertise`.
    pub no_advertise: Option<bool>,
    /// `min_version` of a connecting leafnode, at least 2.8.0.
    pub min_version: Option<String>,
    /// `compression`.
    pub compression: Compression,
    /// `isolate_leafnode_interest`.
    pub isolate_interest: bool,
    /// `write_deadline`.
    pub write_deadline: Option<Nanos>,
    /// `write_timeout`.
    pub write_timeout: Option<WriteTimeout>,
}

impl LeafNodeOptions {
    pub(crate) const KEYS: &[&str] = &[
        "listen",
        "port",
        "host",
        "net",
        "authorization",
        "remotes",
        "reconnect",
        "reconnect_delay",
        "reconnect_interval",
        "dial_timeout",
        "tls",
        "leafnode_advertise",
        "advertise",
        "no_advertise",
        "min_version",
        "minimum_version",
        "compression",
        "isolate_leafnode_interest",
        "isolate",
        "write_deadline",
        "write_timeout",
    ];

    pub(super) fn read(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Some(map) = r.section(token, "Expected map to define a leafnode") else { return };
        for (key, token) in map.written() {
            let lower = key.to_lowercase();
            if !self.listen.read(&lower, token, r) {
                self.read_key(key, &lower, token, r);
            }
        }
    }

    fn read_key(&mut self, key: &str, lower: &str, token: &Token, r: &mut Reader<'_>) {
        match lower {
            "authorization" => {
                let Some(auth) = LeafAuthorization::read(token, r) else { return };
                if let Err(text) = auth.check() {
                    r.error(token, text);
                }
                self.authorization = Some(auth);
            }
            "remotes" => {
                if let Some(remotes) = leaf_remote::read_all(token, r) {
                    self.remotes = remotes;
                }
            }
            "reconnect" | "reconnect_delay" | "reconnect_interval" => {
                r.put_duration("reconnect", token, &mut self.reconnect_interval);
            }
            "dial_timeout" => r.put_duration("dial_timeout", token, &mut self.dial_timeout),
            "tls" => self.tls = TlsOptions::read(token, true, r),
            "leafnode_advertise" | "advertise" => r.put(token, &mut self.advertise),
            "no_advertise" => r.put(token, &mut self.no_advertise),
            "min_version" | "minimum_version" => {
                let Some(version) = r.string(token) else { return };
                match check_min_version(&version) {
                    Ok(()) => self.min_version = Some(version),
                    Err(text) => r.error(token, text),
                }
            }
            "compression" => self.compression.read(key, "s2_auto", token, r),
            "isolate_leafnode_interest" | "isolate" => r.put(token, &mut self.isolate_interest),
            "write_deadline" => r.put_duration("write_deadline", token, &mut self.write_deadline),
            "write_timeout" => put_write_timeout(token, r, &mut self.write_timeout),
            _ => r.unknown(key, token, Self::KEYS),
        }
    }
}

impl LeafAuthorization {
    fn read(token: &Token, r: &mut Reader<'_>) -> Option<Self> {
        const KEYS: &[&str] = &[
            "user",
            "username",
            "pass",
            "password",
            "nkey",
            "timeout",
            "users",
            "account",
            "proxy_required",
        ];
        let mut auth = Self::default();
        for (key, token) in r.map(token)?.written() {
            match key.to_lowercase().as_str() {
                "user" | "username" => r.put(token, &mut auth.username),
                "pass" | "password" => r.put(token, &mut auth.password),
                "nkey" => {
                    let Some(key) = r.string(token) else { continue };
                    if !nkey::is_public_user(&key) {
                        r.error(token, "Not a valid public nkey for leafnode authorization");
                    }
                    auth.nkey = Some(key);
                }
                "timeout" => {
                    auth.timeout = Some(timeout(key, token, r, "leafnode authorization")?);
                }
                "users" => auth.users = leaf_users(token, r).unwrap_or_default(),
                "account" => r.put(token, &mut auth.account),
                "proxy_required" => r.put(token, &mut auth.proxy_required),
                _ => r.unknown(key, token, KEYS),
            }
        }
        Some(auth)
    }

    /// One user or many, and no name twice.
    pub(crate) fn check(&self) -> Result<(), String> {
        let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        if self.users.is_empty() {
            return Ok(());
        }
        if set(&self.username) {
            return Err("can not have a single user/pass and a users array".into());
        }
        if set(&self.nkey) {
            return Err("can not have a single nkey and a users array".into());
        }
        for (i, user) in self.users.iter().enumerate() {
            if self.users.iter().take(i).any(|other| other.username == user.username) {
                let name = quote(&user.username);
                return Err(format!("duplicate user {name} detected in leafnode authorization"));
            }
        }
        Ok(())
    }
}

fn leaf_users(token: &Token, r: &mut Reader<'_>) -> Option<Vec<LeafUser>> {
    const KEYS: &[&str] = &["user", "username", "pass", "password", "account", "proxy_required"];
    let Value::Array(items) = &token.value else {
        let found = token.value.display();
        r.error(token, format!("Expected users field to be an array, got {found}"));
        return None;
    };
    let mut users = Vec::new();
    for item in items.iter() {
        let Value::Map(map) = &item.value else {
            let found = item.value.display();
            r.error(item, format!("Expected user entry to be a map/struct, got {found}"));
            continue;
        };
        let mut user = LeafUser::default();
        for (key, token) in map.written() {
            match key.to_lowercase().as_str() {
                "user" | "username" => r.put(token, &mut user.username),
                "pass" | "password" => r.put(token, &mut user.password),
                "account" => r.put(token, &mut user.account),
                "proxy_required" => r.put(token, &mut user.proxy_required),
                _ => r.unknown(key, token, KEYS),
            }
        }
        users.push(user);
    }
    Some(users)
}

/// At least 2.8.0, in semantic versioning.
pub(crate) fn check_min_version(version: &str) -> Result<(), String> {
    let invalid = || "invalid leafnode's minimum version: invalid semver".to_string();
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let tail = version.get(core.len()..).unwrap_or_default();
    let tail_ok =
        tail.len() != 1 && tail.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b));
    let numbers: Vec<u64> = core
        .split('.')
        .map(|n| {
            let canonical = n == "0" || !n.starts_with('0');
            let digits = !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
            (canonical && digits).then(|| n.parse().ok()).flatten()
        })
        .collect::<Option<_>>()
        .ok_or_else(invalid)?;
    match numbers.as_slice() {
        [major, minor, _] if tail_ok && (*major, *minor) >= (2, 8) => Ok(()),
        [_, _, _] if tail_ok => Err("the minimum version should be at least 2.8.0".into()),
        _ => Err(invalid()),
    }
}
