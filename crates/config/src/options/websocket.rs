//! `websocket` (CONF-106).
//!
//! Reference: opts.go parseWebsocket, parseSimpleAuth.

use std::collections::BTreeMap;

use super::listen::Listen;
use super::reader::{Reader, text};
use super::tls::TlsOptions;
use crate::lang::unit::{self, Nanos};
use crate::lang::{Token, Value};

/// `authorization` of `websocket` and `mqtt`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimpleAuth {
    /// `user`.
    pub username: Option<String>,
    /// `password`.
    pub password: Option<String>,
    /// `token`.
    pub token: Option<String>,
    /// `timeout`, seconds.
    pub timeout: Option<f64>,
}

impl SimpleAuth {
    pub(super) fn read(token: &Token, r: &mut Reader<'_>) -> Option<Self> {
        const KEYS: &[&str] = &["user", "username", "pass", "password", "token", "timeout"];
        let mut auth = Self::default();
        for (key, token) in r.map(token)?.written() {
            match key.to_lowercase().as_str() {
                "user" | "username" => r.put(token, &mut auth.username),
                "pass" | "password" => r.put(token, &mut auth.password),
                "token" => r.put(token, &mut auth.token),
                "timeout" => {
                    auth.timeout = Some(match &token.value {
                        Value::Integer(n) => *n as f64,
                        Value::Float(n) => *n,
                        // Compat: anything else is one second.
                        _ => 1.0,
                    });
                }
                _ => r.unknown(key, token, KEYS),
            }
        }
        Some(auth)
    }
}

/// What the configuration says about WebSocket clients.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebsocketOptions {
    /// Listener; the section counts only with a port.
    pub listen: Listen,
    /// `advertise`.
    pub advertise: Option<String>,
    /// `no_tls`.
    pub no_tls: bool,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// `same_origin`.
    pub same_origin: bool,
    /// `allowed_origins`.
    pub allowed_origins: Vec<String>,
    /// `handshake_timeout`.
    pub handshake_timeout: Option<Nanos>,
    /// `compression`.
    pub compression: bool,
    /// `authorization`.
    pub authorization: Option<SimpleAuth>,
    /// `jwt_cookie`.
    pub jwt_cookie: Option<String>,
    /// `user_cookie`.
    pub user_cookie: Option<String>,
    /// `pass_cookie`.
    pub pass_cookie: Option<String>,
    /// `token_cookie`.
    pub token_cookie: Option<String>,
    /// `no_auth_user`.
    pub no_auth_user: Option<String>,
    /// `headers` of the answer.
    pub headers: BTreeMap<String, String>,
    /// `ping_interval`.
    pub ping_interval: Option<Nanos>,
}

impl WebsocketOptions {
    pub(crate) const KEYS: &[&str] = &[
        "listen",
        "port",
        "host",
        "net",
        "advertise",
        "no_tls",
        "tls",
        "same_origin",
        "allowed_origins",
        "allowed_origin",
        "allow_origins",
        "allow_origin",
        "origins",
        "origin",
        "handshake_timeout",
        "compress",
        "compression",
        "authorization",
        "authentication",
        "jwt_cookie",
        "user_cookie",
        "pass_cookie",
        "token_cookie",
        "no_auth_user",
        "headers",
        "ping_interval",
    ];

    pub(super) fn read(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Some(map) = r.section(token, "Expected websocket to be a map") else { return };
        for (key, token) in map.written() {
            let lower = key.to_lowercase();
            if !self.listen.read(&lower, token, r) && !self.read_text(&lower, token, r) {
                self.read_key(key, &lower, token, r);
            }
        }
    }

    fn read_text(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        let slot = match key {
            "advertise" => &mut self.advertise,
            "jwt_cookie" => &mut self.jwt_cookie,
            "user_cookie" => &mut self.user_cookie,
            "pass_cookie" => &mut self.pass_cookie,
            "token_cookie" => &mut self.token_cookie,
            "no_auth_user" => &mut self.no_auth_user,
            _ => return false,
        };
        r.put(token, slot);
        true
    }

    fn read_key(&mut self, key: &str, lower: &str, token: &Token, r: &mut Reader<'_>) {
        match lower {
            "no_tls" => r.put(token, &mut self.no_tls),
            "tls" => self.tls = TlsOptions::read(token, true, r),
            "same_origin" => r.put(token, &mut self.same_origin),
            "allowed_origins" | "allowed_origin" | "allow_origins" | "allow_origin" | "origins"
            | "origin" => {
                self.allowed_origins = r.strings("allowed origins", token).unwrap_or_default();
            }
            "handshake_timeout" => self.read_handshake_timeout(token, r),
            "compress" | "compression" => r.put(token, &mut self.compression),
            "authorization" | "authentication" => self.authorization = SimpleAuth::read(token, r),
            "headers" => self.read_headers(token, r),
            "ping_interval" => r.put_duration("ping_interval", token, &mut self.ping_interval),
            _ => r.unknown(key, token, Self::KEYS),
        }
    }

    fn read_handshake_timeout(&mut self, token: &Token, r: &mut Reader<'_>) {
        match &token.value {
            Value::Integer(n) => self.handshake_timeout = Some(Nanos::from_secs(*n)),
            Value::String(_) => match unit::duration(&text(token)) {
                Ok(nanos) => self.handshake_timeout = Some(nanos),
                Err(e) => r.error(token, e.to_string()),
            },
            other => {
                let found = other.type_name();
                let text = format!("error parsing handshake timeout: unsupported type {found}");
                r.error(token, text);
            }
        }
    }

    fn read_headers(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Value::Map(map) = &token.value else {
            let found = token.value.type_name();
            return r.error(token, format!("error parsing headers: unsupported type {found}"));
        };
        self.headers.clear();
        for (key, token) in map.written() {
            match token.value.as_text() {
                Some(value) => {
                    self.headers.insert(key.into(), value);
                }
                None => {
                    let found = token.value.type_name();
                    let text = format!("error parsing header key {key}: unsupported type {found}");
                    r.error(token, text);
                }
            }
        }
    }
}
