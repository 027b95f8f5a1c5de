//! `gateway` (CONF-103).
//!
//! Reference: opts.go parseGateway, parseGateways.

use super::authorization::Authorization;
use super::cluster::{name, single_user};
use super::limits::{WriteTimeout, put_write_timeout};
use super::listen::Listen;
use super::reader::Reader;
use super::tls::TlsOptions;
use super::url::{self, Url};
use crate::lang::unit::Nanos;
use crate::lang::{Token, Value};

/// Another cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteGateway {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub urls: Vec<Url>,
    /// TLS for connecting to it.
    pub tls: Option<TlsOptions>,
}

/// What the configuration says about the gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayOptions {
    /// `name`, the cluster's.
    pub name: Option<String>,
    /// Listener.
    pub listen: Listen,
    /// `authorization`: user, password, timeout.
    pub authorization: Option<Authorization>,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// `advertise`.
    pub advertise: Option<String>,
    /// `connect_retries`.
    pub connect_retries: Option<i64>,
    /// `connect_backoff`.
    pub connect_backoff: bool,
    /// `gateways`.
    pub gateways: Vec<RemoteGateway>,
    /// `reject_unknown_cluster`.
    pub reject_unknown: bool,
    /// `write_deadline`.
    pub write_deadline: Option<Nanos>,
    /// `write_timeout`.
    pub write_timeout: Option<WriteTimeout>,
}

impl GatewayOptions {
    pub(crate) const KEYS: &[&str] = &[
        "name",
        "listen",
        "port",
        "host",
        "net",
        "authorization",
        "tls",
        "advertise",
        "connect_retries",
        "connect_backoff",
        "gateways",
        "reject_unknown",
        "reject_unknown_cluster",
        "write_deadline",
        "write_timeout",
    ];

    pub(super) fn read(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Some(map) = r.section(token, "Expected gateway to be a map") else { return };
        for (key, token) in map.written() {
            let lower = key.to_lowercase();
            if self.listen.read(&lower, token, r) {
                continue;
            }
            match lower.as_str() {
                "name" => {
                    if let Some(name) = name(token, r, "gateway name cannot contain spaces") {
                        self.name = Some(name);
                    }
                }
                "authorization" => {
                    if let Some(mut auth) = single_user(token, r, "Gateway") {
                        auth.default_permissions = None;
                        self.authorization = Some(auth);
                    }
                }
                "tls" => self.tls = TlsOptions::read(token, false, r),
                "advertise" => r.put(token, &mut self.advertise),
                "connect_retries" => r.put(token, &mut self.connect_retries),
                "connect_backoff" => r.put(token, &mut self.connect_backoff),
                "gateways" => self.read_gateways(token, r),
                "reject_unknown" | "reject_unknown_cluster" => {
                    r.put(token, &mut self.reject_unknown);
                }
                "write_deadline" => {
                    r.put_duration("write_deadline", token, &mut self.write_deadline);
                }
                "write_timeout" => put_write_timeout(token, r, &mut self.write_timeout),
                _ => r.unknown(key, token, Self::KEYS),
            }
        }
    }

    fn read_gateways(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Value::Array(items) = &token.value else {
            let found = token.value.type_name();
            let text = format!("Expected gateways field to be an array, got {found}");
            return r.error(token, text);
        };
        self.gateways.clear();
        for item in items.iter() {
            let Value::Map(map) = &item.value else {
                let found = item.value.display();
                r.error(item, format!("Expected gateway entry to be a map/struct, got {found}"));
                continue;
            };
            let mut remote = RemoteGateway::default();
            for (key, token) in map.written() {
                match key.to_lowercase().as_str() {
                    "name" => r.put(token, &mut remote.name),
                    "tls" => remote.tls = TlsOptions::read(token, false, r),
                    "url" => {
                        let Some(text) = r.string(token) else { continue };
                        match url::of_kind(&text, "gateway") {
                            Ok(url) => remote.urls.push(url),
                            Err(text) => r.error(token, text),
                        }
                    }
                    "urls" => {
                        if let Some(urls) = url::list(r, token, "gateway") {
                            remote.urls = urls;
                        }
                    }
                    _ => r.unknown(key, token, &["name", "tls", "url", "urls"]),
                }
            }
            self.gateways.push(remote);
        }
    }
}
