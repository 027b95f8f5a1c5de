//! `mqtt` (CONF-107).
//!
//! Reference: opts.go parseMQTT.

use super::listen::Listen;
use super::reader::Reader;
use super::tls::TlsOptions;
use super::websocket::SimpleAuth;
use crate::lang::Token;
use crate::lang::unit::Nanos;

/// What the configuration says about MQTT clients.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MqttOptions {
    /// Listener; the section counts only with a port.
    pub listen: Listen,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// `authorization`.
    pub authorization: Option<SimpleAuth>,
    /// `no_auth_user`.
    pub no_auth_user: Option<String>,
    /// `ack_wait`.
    pub ack_wait: Option<Nanos>,
    /// `js_api_timeout`.
    pub js_api_timeout: Option<Nanos>,
    /// `max_ack_pending`.
    pub max_ack_pending: Option<u16>,
    /// `js_domain`.
    pub js_domain: Option<String>,
    /// `stream_replicas`.
    pub stream_replicas: Option<i64>,
    /// `consumer_memory_storage`.
    pub consumer_memory_storage: bool,
    /// `consumer_inactive_threshold`.
    pub consumer_inactive_threshold: Option<Nanos>,
    /// `reject_qos2_publish`.
    pub reject_qos2_publish: bool,
    /// `downgrade_qos2_subscribe`.
    pub downgrade_qos2_subscribe: bool,
}

impl MqttOptions {
    pub(crate) const KEYS: &[&str] = &[
        "listen",
        "port",
        "host",
        "net",
        "tls",
        "authorization",
        "authentication",
        "no_auth_user",
        "ack_wait",
        "ackwait",
        "js_api_timeout",
        "api_timeout",
        "max_ack_pending",
        "max_pending",
        "max_inflight",
        "js_domain",
        "stream_replicas",
        "consumer_replicas",
        "consumer_memory_storage",
        "consumer_inactive_threshold",
        "consumer_auto_cleanup",
        "reject_qos2_publish",
        "downgrade_qos2_subscribe",
    ];

    pub(super) fn read(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Some(map) = r.section(token, "Expected mqtt to be a map") else { return };
        for (key, token) in map.written() {
            let lower = key.to_lowercase();
            if !self.listen.read(&lower, token, r) {
                self.read_key(key, &lower, token, r);
            }
        }
    }

    fn read_key(&mut self, key: &str, lower: &str, token: &Token, r: &mut Reader<'_>) {
        match lower {
            "tls" => self.tls = TlsOptions::read(token, true, r),
            "authorization" | "authentication" => self.authorization = SimpleAuth::read(token, r),
            "no_auth_user" => r.put(token, &mut self.no_auth_user),
            "ack_wait" | "ackwait" => r.put_duration("ack_wait", token, &mut self.ack_wait),
            "js_api_timeout" | "api_timeout" => {
                r.put_duration("js_api_timeout", token, &mut self.js_api_timeout);
            }
            "max_ack_pending" | "max_pending" | "max_inflight" => {
                let Some(n) = r.integer(token) else { return };
                match u16::try_from(n) {
                    Ok(n) => self.max_ack_pending = Some(n),
                    Err(_) => {
                        let text = format!("invalid value {n}, should in [0..65535] range");
                        r.error(token, text);
                    }
                }
            }
            "js_domain" => r.put(token, &mut self.js_domain),
            "stream_replicas" => r.put(token, &mut self.stream_replicas),
            "consumer_replicas" => {
                let reason = "consumer replicas setting ignored in this server version";
                r.warn_use(token, key, reason);
            }
            "consumer_memory_storage" => r.put(token, &mut self.consumer_memory_storage),
            "consumer_inactive_threshold" | "consumer_auto_cleanup" => {
                let field = "consumer_inactive_threshold";
                r.put_duration(field, token, &mut self.consumer_inactive_threshold);
            }
            "reject_qos2_publish" => r.put(token, &mut self.reject_qos2_publish),
            "downgrade_qos2_subscribe" => r.put(token, &mut self.downgrade_qos2_subscribe),
            _ => r.unknown(key, token, Self::KEYS),
        }
    }
}
