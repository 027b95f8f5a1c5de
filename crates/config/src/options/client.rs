//! The client listener.

use super::listen::Listen;
use super::reader::Reader;
use crate::lang::Token;

/// What the configuration says about the client listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientOptions {
    /// `listen`, `host`, `port`.
    pub listen: Listen,
    /// `client_advertise`: `host:port` clients and other servers are told.
    pub advertise: Option<String>,
    /// `allow_non_tls`: plain connections beside TLS ones.
    pub allow_non_tls: bool,
    /// `proxy_protocol`: every connection starts with a PROXY header.
    pub proxy_protocol: bool,
    /// `no_header_support`: headers are not offered.
    pub no_header_support: bool,
    /// `disable_sublist_cache`.
    pub no_sublist_cache: bool,
    /// `no_fast_producer_stall`: fast publishers are not slowed for slow consumers.
    pub no_fast_producer_stall: bool,
    /// No client listener at all. Only an embedding program sets this.
    pub dont_listen: bool,
}

impl ClientOptions {
    pub(super) const KEYS: &[&str] = &[
        "listen",
        "port",
        "host",
        "net",
        "client_advertise",
        "allow_non_tls",
        "proxy_protocol",
        "no_header_support",
        "disable_sublist_cache",
        "no_sublist_cache",
        "no_fast_producer_stall",
    ];

    pub(super) fn read(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        match key {
            "client_advertise" => r.put(token, &mut self.advertise),
            "allow_non_tls" => r.put(token, &mut self.allow_non_tls),
            "proxy_protocol" => r.put(token, &mut self.proxy_protocol),
            "no_header_support" => r.put(token, &mut self.no_header_support),
            "disable_sublist_cache" | "no_sublist_cache" => {
                r.put(token, &mut self.no_sublist_cache);
            }
            "no_fast_producer_stall" => r.put(token, &mut self.no_fast_producer_stall),
            _ => return self.listen.read(key, token, r),
        }
        true
    }
}
