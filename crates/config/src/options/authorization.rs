//! `authorization`: one user or many, permissions, auth callout (CONF-108, CONF-020).
//!
//! Reference: opts.go parseAuthorization, parseUsers, parseAuthCallout.

use std::collections::BTreeSet;

use super::permissions::Permissions;
use super::reader::{Reader, quote};
use super::{GLOBAL_ACCOUNT, nkey};
use crate::lang::unit;
use crate::lang::{Token, Value};

/// A user with a name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// Name.
    pub username: String,
    /// Password, plain or bcrypt.
    pub password: String,
    /// Permissions of its own or the section's default; `None` allows everything.
    pub permissions: Option<Permissions>,
    /// The account it belongs to; `None` is `$G`.
    pub account: Option<String>,
    /// Kinds of connection it may use, upper case; `None` or empty is any.
    pub allowed_connection_types: Option<BTreeSet<String>>,
    /// Whether it must come through a trusted proxy.
    pub proxy_required: bool,
}

/// A user with an nkey.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NkeyUser {
    /// Public key.
    pub nkey: String,
    /// See `User::permissions`.
    pub permissions: Option<Permissions>,
    /// See `User::account`.
    pub account: Option<String>,
    /// See `User::allowed_connection_types`.
    pub allowed_connection_types: Option<BTreeSet<String>>,
    /// See `User::proxy_required`.
    pub proxy_required: bool,
}

/// `auth_callout`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthCallout {
    /// Public account key that signs the answers.
    pub issuer: String,
    /// Account in which the questions are asked.
    pub account: String,
    /// Users the service itself uses.
    pub auth_users: Vec<String>,
    /// Public curve key to encrypt the questions for.
    pub xkey: Option<String>,
    /// Accounts the answers may name; empty is any.
    pub allowed_accounts: Vec<String>,
}

/// An `authorization` block without its users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Authorization {
    /// `user`.
    pub username: Option<String>,
    /// `password`.
    pub password: Option<String>,
    /// `token`.
    pub token: Option<String>,
    /// `timeout`, seconds.
    pub timeout: Option<f64>,
    /// `default_permissions`, already given to users without their own.
    pub default_permissions: Option<Permissions>,
    /// `auth_callout`.
    pub callout: Option<AuthCallout>,
    /// `proxy_required`.
    pub proxy_required: bool,
}

/// A whole block as read.
#[derive(Default)]
pub(super) struct Block {
    pub(super) auth: Authorization,
    /// Whether `users` was written and readable, even if empty.
    pub(super) has_users: bool,
    pub(super) users: Vec<User>,
    pub(super) nkeys: Vec<NkeyUser>,
}

const KEYS: &[&str] = &[
    "user",
    "username",
    "pass",
    "password",
    "token",
    "timeout",
    "users",
    "default_permission",
    "default_permissions",
    "permissions",
    "auth_callout",
    "auth_hook",
    "proxy_required",
];

impl Block {
    pub(super) fn read(token: &Token, r: &mut Reader<'_>) -> Option<Self> {
        let mut block = Self::default();
        for (key, token) in r.map(token)?.written() {
            let auth = &mut block.auth;
            match key.to_lowercase().as_str() {
                "user" | "username" => r.put(token, &mut auth.username),
                "pass" | "password" => r.put(token, &mut auth.password),
                "token" => r.put(token, &mut auth.token),
                "timeout" => auth.timeout = Some(timeout(key, token, r, "authorization")?),
                "users" => {
                    if let Some((users, nkeys)) = users(token, r) {
                        block.has_users = true;
                        block.users = users;
                        block.nkeys = nkeys;
                    }
                }
                "default_permission" | "default_permissions" | "permissions" => {
                    auth.default_permissions =
                        Permissions::read(token, r).or(auth.default_permissions.take());
                }
                "auth_callout" | "auth_hook" => {
                    r.keys.record("auth_callout", &token.position);
                    auth.callout = callout(token, r).or(auth.callout.take());
                }
                "proxy_required" => {
                    r.keys.record("proxy_required", &token.position);
                    r.put(token, &mut auth.proxy_required);
                }
                _ => r.unknown(key, token, KEYS),
            }
        }
        let default = block.auth.default_permissions.clone();
        apply_default(&mut block.users, &mut block.nkeys, default.as_ref());
        Some(block)
    }

    /// Names and keys of all users, for duplicate checks.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let users = self.users.iter().map(|user| user.username.as_str());
        users.chain(self.nkeys.iter().map(|user| user.nkey.as_str()))
    }
}

/// Gives `default` to every user without permissions of its own.
pub(super) fn apply_default(
    users: &mut [User],
    nkeys: &mut [NkeyUser],
    default: Option<&Permissions>,
) {
    let slots = users.iter_mut().map(|user| &mut user.permissions);
    for slot in slots.chain(nkeys.iter_mut().map(|user| &mut user.permissions)) {
        if slot.is_none() {
            *slot = default.cloned();
        }
    }
}

/// `timeout` in seconds or as a duration; high ones earn a warning (CONF-020).
pub(super) fn timeout(key: &str, token: &Token, r: &mut Reader<'_>, what: &str) -> Option<f64> {
    let seconds = match &token.value {
        Value::Integer(n) => *n as f64,
        Value::Float(n) => *n,
        Value::String(_) => match unit::duration(&super::reader::text(token)) {
            Ok(nanos) => nanos.as_secs_f64(),
            Err(e) => {
                r.error(token, format!("error parsing {what} config, 'timeout' {e}"));
                return None;
            }
        },
        _ => {
            r.error(token, format!("error parsing {what} config, 'timeout' wrong type"));
            return None;
        }
    };
    if seconds > 60.0 {
        let reason = format!(
            "timeout of {} ({seconds:.6} seconds) is high, consider keeping it under 60 seconds. \
             possibly caused by unquoted duration; use '1m' instead of 1m, for example",
            token.value.display()
        );
        r.warn_use(token, key, &reason);
    }
    Some(seconds)
}

const USER_KEYS: &[&str] = &[
    "nkey",
    "user",
    "username",
    "pass",
    "password",
    "permission",
    "permissions",
    "authorization",
    "allowed_connection_types",
    "connection_types",
    "clients",
    "proxy_required",
];

/// An array of users; `None` after an error that leaves no users at all.
pub(super) fn users(token: &Token, r: &mut Reader<'_>) -> Option<(Vec<User>, Vec<NkeyUser>)> {
    let Value::Array(items) = &token.value else {
        let found = token.value.display();
        r.error(token, format!("Expected users field to be an array, got {found}"));
        return None;
    };
    let (mut users, mut nkeys) = (Vec::new(), Vec::new());
    for item in items.iter() {
        let Value::Map(map) = &item.value else {
            let found = item.value.display();
            r.error(item, format!("Expected user entry to be a map/struct, got {found}"));
            continue;
        };
        let (mut user, mut key_user) = (User::default(), NkeyUser::default());
        // Compat: what is wrong with the whole entry is reported at the last key read.
        let mut last = item;
        let before = r.found.errors.len();
        for (key, token) in map.written() {
            last = token;
            match key.to_lowercase().as_str() {
                "nkey" => r.put(token, &mut key_user.nkey),
                "user" | "username" => r.put(token, &mut user.username),
                "pass" | "password" => r.put(token, &mut user.password),
                "permission" | "permissions" | "authorization" => {
                    user.permissions = Permissions::read(token, r);
                }
                "allowed_connection_types" | "connection_types" | "clients" => {
                    user.allowed_connection_types = connection_types(token, r);
                }
                "proxy_required" => {
                    r.keys.record("proxy_required", &token.position);
                    r.put(token, &mut user.proxy_required);
                }
                _ => r.unknown(key, token, USER_KEYS),
            }
        }
        if key_user.nkey.is_empty() && user.username.is_empty() {
            if r.mismatched_since(before) {
                // What is missing is what could not be read.
                continue;
            }
            r.error(last, "User entry requires a user");
            return None;
        }
        if key_user.nkey.is_empty() {
            users.push(user);
            continue;
        }
        if !nkey::is_public_user(&key_user.nkey) {
            r.error(last, "Not a valid public nkey for a user");
            return None;
        }
        if !user.username.is_empty() || !user.password.is_empty() {
            r.error(last, "Nkey users do not take usernames or passwords");
            return None;
        }
        key_user.permissions = user.permissions;
        key_user.allowed_connection_types = user.allowed_connection_types;
        key_user.proxy_required = user.proxy_required;
        nkeys.push(key_user);
    }
    Some((users, nkeys))
}

const CONNECTION_TYPES: &[&str] =
    &["STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS"];

fn connection_types(token: &Token, r: &mut Reader<'_>) -> Option<BTreeSet<String>> {
    let names = r.strings("allowed connection types", token)?;
    let upper = names.iter().map(|name| name.to_uppercase());
    let (known, unknown): (Vec<_>, Vec<_>) =
        upper.partition(|name| CONNECTION_TYPES.contains(&name.as_str()));
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.iter().map(|name| quote(name)).collect();
        r.error(token, format!("invalid connection types [{}]", unknown.join(" ")));
    }
    Some(known.into_iter().collect())
}

const CALLOUT_KEYS: &[&str] =
    &["issuer", "account", "acc", "auth_users", "users", "xkey", "key", "allowed_accounts"];

fn callout(token: &Token, r: &mut Reader<'_>) -> Option<AuthCallout> {
    let Value::Map(map) = &token.value else {
        let found = token.value.display();
        r.error(token, format!("Expected authorization callout to be a map/struct, got {found}"));
        return None;
    };
    let mut callout = AuthCallout::default();
    let mut last = token;
    let before = r.found.errors.len();
    for (key, token) in map.written() {
        last = token;
        match key.to_lowercase().as_str() {
            "issuer" => {
                callout.issuer = r.string(token)?;
                if !nkey::is_public_account(&callout.issuer) {
                    let found = quote(&callout.issuer);
                    r.error(
                        token,
                        format!(
                            "Expected callout user to be a valid public account nkey, got {found}"
                        ),
                    );
                    return None;
                }
            }
            "account" | "acc" => r.put(token, &mut callout.account),
            "auth_users" | "users" => {
                callout.auth_users.extend(names(token, r, "auth_users field")?);
            }
            "xkey" | "key" => {
                let xkey = r.string(token)?;
                if !nkey::is_public_curve(&xkey) {
                    let found = quote(&xkey);
                    r.error(
                        token,
                        format!("Expected callout xkey to be a valid public xkey, got {found}"),
                    );
                    return None;
                }
                callout.xkey = Some(xkey);
            }
            "allowed_accounts" => {
                callout.allowed_accounts.extend(names(token, r, "allowed accounts field")?);
            }
            _ => {
                let text = format!("Unknown field {} parsing authorization callout", quote(key));
                r.unknown_as(key, token, CALLOUT_KEYS, &text);
            }
        }
    }
    if callout.account.is_empty() {
        callout.account = GLOBAL_ACCOUNT.into();
    }
    if r.mismatched_since(before) {
        return None;
    }
    if callout.issuer.is_empty() {
        r.error(last, "Authorization callouts require an issuer to be specified");
        return None;
    }
    if callout.auth_users.is_empty() {
        r.error(last, "Authorization callouts require authorized users to be specified");
        return None;
    }
    Some(callout)
}

fn names(token: &Token, r: &mut Reader<'_>, field: &str) -> Option<Vec<String>> {
    let Value::Array(items) = &token.value else {
        // Compat: the type named is the reference's own wrapper.
        r.error(token, format!("Expected {field} to be an array, got *conf.token"));
        return None;
    };
    Some(items.iter().filter_map(|item| r.string(item)).collect())
}
