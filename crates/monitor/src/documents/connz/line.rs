//! The fields of one connection, in order.
//!
//! Reference: monitor.go `ConnInfo`, `ConnInfo.fill`; server.go saveClosedClient.

use std::time::Duration;

use serde::Serialize;
use stdx::go_text;
use stdx::time::{Now, Timestamp};

use super::{ClosedConnFacts, ConnFacts, ConnType, ConnzOptions, PeerCert, TlsFacts};
use crate::documents::subsz::{Owner, SubFacts, SubLine};
use crate::documents::varz::ProxyKey;
use crate::json::{self, is_empty};

/// The account every client belongs to when none is configured; never named in this document.
const GLOBAL_ACCOUNT: &str = "$G";

#[derive(Debug, Default, Serialize)]
pub(crate) struct Line {
    cid: u64,
    kind: &'static str,
    #[serde(rename = "type", skip_serializing_if = "is_empty")]
    conn_type: &'static str,
    ip: String,
    port: u16,
    #[serde(serialize_with = "json::time")]
    start: Timestamp,
    #[serde(serialize_with = "json::time")]
    last_activity: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json::time_or_zero")]
    stop: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_empty")]
    reason: String,
    rtt: String,
    uptime: String,
    idle: String,
    pending_bytes: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    #[serde(skip_serializing_if = "is_empty")]
    stalls: u64,
    subscriptions: u64,
    #[serde(skip_serializing_if = "is_empty")]
    name: String,
    #[serde(skip_serializing_if = "is_empty")]
    lang: String,
    #[serde(skip_serializing_if = "is_empty")]
    version: String,
    #[serde(skip_serializing_if = "is_empty")]
    tls_version: String,
    #[serde(skip_serializing_if = "is_empty")]
    tls_cipher_suite: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tls_peer_certs: Vec<PeerCert>,
    #[serde(skip_serializing_if = "is_empty")]
    tls_first: bool,
    #[serde(skip_serializing_if = "is_empty")]
    authorized_user: String,
    #[serde(skip_serializing_if = "is_empty")]
    account: String,
    #[serde(skip_serializing_if = "is_empty")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list_detail: Vec<SubLine>,
    #[serde(skip_serializing_if = "is_empty")]
    jwt: String,
    #[serde(skip_serializing_if = "is_empty")]
    issuer_key: String,
    #[serde(skip_serializing_if = "is_empty")]
    name_tag: String,
    #[serde(skip_serializing_if = "is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    mqtt_client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyKey>,
}

impl Line {
    pub(super) fn open(
        mut conn: ConnFacts,
        subs: Vec<SubFacts>,
        options: &ConnzOptions,
        now: Now,
    ) -> Self {
        let tls = conn.tls.take().unwrap_or_default();
        let mut identity = Identity::of(&mut conn);
        let mut line = Self::plain(conn, now.wall);
        line.set_tls(tls, options.auth);
        line.set_subs(subs, Owner::Hidden, options);
        if options.auth {
            identity.hide_global_account();
            line.set_user(&mut identity);
            line.set_token(&mut identity);
            line.name_tag = identity.name_tag;
        }
        line
    }

    pub(super) fn closed(
        closed: &ClosedConnFacts,
        subs: Vec<SubFacts>,
        options: &ConnzOptions,
    ) -> Self {
        let mut conn = closed.conn.clone();
        let tls = conn.tls.take().unwrap_or_default();
        let mut identity = Identity::of(&mut conn);
        // The clock of a closed connection stands still.
        let mut line = Self::plain(conn, closed.stop);
        line.stop = Some(closed.stop);
        line.reason.clone_from(&closed.reason);
        line.set_tls(tls, false);
        line.set_subs(subs, Owner::Shown, options);
        // Compat(MON-011): token fields of closed connections show even without auth=1.
        line.set_token(&mut identity);
        if options.auth {
            identity.hide_global_account();
            line.set_user(&mut identity);
            if !line.account.is_empty() {
                line.name_tag = identity.name_tag;
            }
        }
        line
    }

    /// The fields of any connection, gateways' too, measured at `at`.
    pub(crate) fn plain(conn: ConnFacts, at: Timestamp) -> Self {
        let since = |earlier: Timestamp| {
            let elapsed = at.0.saturating_sub(earlier.0);
            go_text::uptime(Duration::from_nanos(u64::try_from(elapsed).unwrap_or(0)))
        };
        Self {
            cid: conn.cid,
            kind: conn.kind.text(),
            conn_type: conn.conn_type.map_or("", ConnType::text),
            // Without a port the address was never known.
            ip: if conn.port == 0 { String::new() } else { conn.ip },
            port: conn.port,
            start: conn.start,
            last_activity: conn.last_activity,
            rtt: json::rtt(conn.rtt),
            uptime: since(conn.start),
            idle: since(conn.last_activity),
            pending_bytes: conn.pending_bytes,
            in_msgs: conn.in_msgs,
            out_msgs: conn.out_msgs,
            in_bytes: conn.in_bytes,
            out_bytes: conn.out_bytes,
            stalls: conn.stalls,
            subscriptions: conn.subscriptions,
            name: conn.name,
            lang: conn.lang,
            version: conn.version,
            mqtt_client: conn.mqtt_client,
            proxy: (!conn.proxy_key.is_empty()).then_some(ProxyKey { key: conn.proxy_key }),
            ..Self::default()
        }
    }

    fn set_tls(&mut self, tls: TlsFacts, with_certs: bool) {
        self.tls_version = tls.version;
        self.tls_cipher_suite = tls.cipher_suite;
        self.tls_first = tls.first;
        if with_certs {
            self.tls_peer_certs = tls.peer_certs;
        }
    }

    fn set_subs(&mut self, subs: Vec<SubFacts>, owner: Owner, options: &ConnzOptions) {
        if options.subscriptions_detail {
            self.subscriptions_list_detail =
                subs.into_iter().map(|sub| SubLine::new(sub, owner)).collect();
        } else if options.subscriptions {
            self.subscriptions_list = subs.into_iter().map(|sub| sub.subject).collect();
        }
    }

    fn set_user(&mut self, identity: &mut Identity) {
        self.authorized_user = std::mem::take(&mut identity.user);
        self.account = std::mem::take(&mut identity.account);
    }

    fn set_token(&mut self, identity: &mut Identity) {
        self.jwt = std::mem::take(&mut identity.jwt);
        self.issuer_key = std::mem::take(&mut identity.issuer_key);
        self.tags = std::mem::take(&mut identity.tags);
    }
}

/// Who is behind a connection; shown only where it may be.
struct Identity {
    user: String,
    account: String,
    name_tag: String,
    jwt: String,
    issuer_key: String,
    tags: Vec<String>,
}

impl Identity {
    fn of(conn: &mut ConnFacts) -> Self {
        Self {
            user: std::mem::take(&mut conn.authorized_user),
            account: std::mem::take(&mut conn.account),
            name_tag: std::mem::take(&mut conn.name_tag),
            jwt: std::mem::take(&mut conn.jwt),
            issuer_key: std::mem::take(&mut conn.issuer_key),
            tags: std::mem::take(&mut conn.tags),
        }
    }

    fn hide_global_account(&mut self) {
        if self.account == GLOBAL_ACCOUNT {
            self.account.clear();
        }
    }
}
