//! The server as monitoring sees it.
//!
//! Laws: the message path is never locked out for longer than one connection or one account takes
//!       to describe.
//! Contract: MON-*.

use crate::Node;
use crate::accounts;
use crate::claims;
use broker::account::Account;
use broker::conn::Conn;
use broker::stats::Traffic;
use broker::sub::Sub;
use monitor::{
    AccountFacts, AccountStat, ClosedConnFacts, ConnCounts, ConnFacts, ConnKind, ConnType,
    ExpvarFacts, KindCounts, ListenerFault, MsgBytes, PeerCert, ProcessFacts, ProxiesVarz,
    ProxyKey, QueueFacts, RequestCounts, Source, SubFacts, SublistFacts, TlsFacts, Varz,
};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stdx::log::Log;
use stdx::time::Timestamp;

impl Source for Node {
    fn server_id(&self) -> String {
        self.broker.info().server_id.clone()
    }

    fn server_name(&self) -> String {
        self.broker.info().server_name.clone()
    }

    fn log(&self) -> &Log {
        self.log()
    }

    fn request_counts(&self) -> &RequestCounts {
        &self.requests
    }

    fn varz(&self) -> Varz {
        let options = self.options();
        let settings = self.broker.settings();
        let info = self.broker.info();
        let (received, sent) = self.broker.counters.totals();
        let totals = &self.broker.totals;
        let slow = totals.slow_consumers.load(Ordering::Relaxed);
        let stale = totals.stale_connections.load(Ordering::Relaxed);
        let only_clients = |clients| KindCounts { clients, ..KindCounts::default() };
        let monitoring = &options.monitoring;
        Varz {
            server_id: info.server_id.clone(),
            server_name: info.server_name.clone(),
            version: info.version.clone(),
            proto: i64::from(info.proto),
            go: info.go.clone(),
            host: info.host.clone(),
            port: info.port,
            auth_required: info.auth_required,
            tls_required: info.tls_required,
            tls_verify: info.tls_verify,
            connect_urls: info.connect_urls.clone(),
            max_connections: settings
                .max_connections
                .map_or(-1, |n| if n == 0 { -1 } else { i64::try_from(n).unwrap_or(i64::MAX) }),
            max_subscriptions: settings.max_subscriptions as i64,
            ping_interval: settings.ping_interval,
            ping_max: i64::from(settings.ping_max),
            http_host: options.monitoring_host().into(),
            http_port: monitoring.http_port.unwrap_or(0),
            http_base_path: monitoring.base_path.clone().unwrap_or_default(),
            https_port: monitoring.https_port.unwrap_or(0),
            auth_timeout: settings.auth_timeout.as_secs_f64(),
            max_control_line: settings.max_control_line as i64,
            max_payload: settings.max_payload,
            max_pending: settings.max_pending as i64,
            tls_timeout: options.tls_timeout().as_secs_f64(),
            write_deadline: settings.write_deadline,
            write_timeout: match options.limits.write_timeout {
                Some(config::options::WriteTimeout::Close) => "close".into(),
                Some(config::options::WriteTimeout::Retry) => "retry".into(),
                _ => String::new(),
            },
            start: self.started.wall,
            connections: self.broker.connection_count() as u64,
            total_connections: totals.connections.load(Ordering::Relaxed),
            in_msgs: received.msgs,
            in_bytes: received.bytes,
            in_client_msgs: received.msgs,
            in_client_bytes: received.bytes,
            out_msgs: sent.msgs,
            out_bytes: sent.bytes,
            out_client_msgs: sent.msgs,
            out_client_bytes: sent.bytes,
            slow_consumers: slow,
            stale_connections: stale,
            stalled_clients: totals.stalled_clients.load(Ordering::Relaxed),
            subscriptions: self.broker.accounts().iter().map(|a| a.subscriptions() as u64).sum(),
            config_load_time: self.loaded(),
            config_digest: options.config_digest.clone(),
            tags: options.server_tags.clone(),
            metadata: options.server_metadata.clone(),
            feature_flags: options
                .effective_feature_flags()
                .into_iter()
                .map(|(name, on)| (name.to_owned(), on))
                .collect(),
            system_account: self.system_account().unwrap_or_default(),
            trusted_operators_jwt: options.operator.operators.clone(),
            trusted_operators_claim: options
                .operator
                .claims
                .iter()
                .filter_map(|claims| serde_json::to_value(claims).ok())
                .collect(),
            pinned_account_fails: self
                .claims()
                .map_or(0, |claims| claims.pinned_fails().load(Ordering::Relaxed)),
            tls_ocsp_peer_verify: options
                .tls
                .as_ref()
                .and_then(|tls| tls.ocsp_peer.as_ref())
                .is_some_and(|peer| peer.verify),
            ocsp_peer_cache: self.ocsp_facts.get().and_then(|facts| facts()),
            slow_consumer_stats: only_clients(slow),
            stale_connection_stats: only_clients(stale),
            tls_cert_not_after: self.tls_not_after(),
            proxies: options.trusted_proxies.as_ref().map(|trusted| ProxiesVarz {
                trusted: trusted.iter().map(|key| ProxyKey { key: key.clone() }).collect(),
            }),
            jetstream: self
                .jetstream_facts(&monitor::JszOptions::default())
                .map(|facts| facts.varz())
                .unwrap_or_default(),
            ..Varz::default()
        }
    }

    fn process(&self) -> ProcessFacts {
        self.process.facts()
    }

    fn expvar(&self) -> ExpvarFacts {
        self.process.expvar()
    }

    fn stacks(&self) -> String {
        self.process.stacks()
    }

    fn connection_counts(&self, account: Option<&str>) -> Option<ConnCounts> {
        match account {
            None => Some(ConnCounts {
                open: self.broker.connection_count() as u64,
                closed: self.broker.closed_count() as u64,
            }),
            Some(name) if self.claims().is_some_and(|claims| claims.has_ended(name)) => None,
            Some(name) => {
                let account = self.broker.account(name)?;
                let closed = self.broker.closed();
                let closed = closed.iter().filter(|c| c.conn.facts.lock().account == name).count();
                let open = account.clients.load(Ordering::Relaxed);
                Some(ConnCounts { open, closed: closed as u64 })
            }
        }
    }

    fn visit_connections(&self, account: Option<&str>, visit: &mut dyn FnMut(ConnFacts)) {
        for conn in self.broker.connections() {
            if account.is_none_or(|name| conn.facts.lock().account == name) {
                visit(self.conn_facts(&conn));
            }
        }
    }

    fn connection(&self, cid: u64) -> Option<ConnFacts> {
        self.broker.connection(cid).map(|conn| self.conn_facts(&conn))
    }

    fn connection_subs(&self, cid: u64) -> Vec<SubFacts> {
        let Some(conn) = self.broker.connection(cid) else { return Vec::new() };
        let account = conn.facts.lock().account.clone();
        let tag = self.account_tag(&account);
        let subs = conn.subscriptions();
        subs.iter().map(|sub| sub_facts(sub, &account, &tag)).collect()
    }

    fn closed_connections(&self) -> Vec<Arc<ClosedConnFacts>> {
        let describe = |closed: broker::closed::Closed| {
            let mut conn = self.conn_facts(&closed.conn);
            conn.subscriptions = closed.subscriptions as u64;
            conn.pending_bytes = 0;
            Arc::new(ClosedConnFacts {
                conn,
                stop: closed.stop,
                reason: closed.reason.text().into(),
            })
        };
        self.broker.closed().into_iter().map(describe).collect()
    }

    fn closed_connection_subs(&self, cid: u64) -> Vec<SubFacts> {
        let subs = self.broker.closed_subs(cid);
        let account = subs.first().and_then(|sub| sub.conn()).map(|conn| {
            let facts = conn.facts.lock();
            facts.account.clone()
        });
        let account = account.unwrap_or_default();
        let tag = self.account_tag(&account);
        subs.iter().map(|sub| sub_facts(sub, &account, &tag)).collect()
    }

    fn sublists(&self, account: Option<&str>) -> Vec<SublistFacts> {
        self.accounts_named(account).iter().map(|account| sublist_facts(account)).collect()
    }

    fn find_subs(
        &self,
        account: Option<&str>,
        test: Option<&str>,
        page: Range<u64>,
    ) -> (u64, Vec<SubFacts>) {
        let (mut total, mut found) = (0, Vec::new());
        for account in self.accounts_named(account) {
            let rest = page.start.saturating_sub(total)..page.end.saturating_sub(total);
            let (count, subs) = account.subs_page(test.map(str::as_bytes), rest);
            total += count;
            let tag = self.account_tag(&account.name);
            found.extend(subs.iter().map(|sub| sub_facts(sub, &account.name, &tag)));
        }
        (total, found)
    }

    fn system_account(&self) -> Option<String> {
        self.options().system_account().map(str::to_owned)
    }

    fn account_names(&self) -> Vec<String> {
        self.broker.accounts().iter().map(|account| account.name.clone()).collect()
    }

    fn account(&self, name: &str) -> Option<AccountFacts> {
        let account = self.broker.account(name)?;
        let facts = AccountFacts {
            updated: self.loaded(),
            expired: false,
            complete: true,
            jetstream: self.jetstream.load().as_ref().is_some_and(|js| js.account(name).is_some()),
            leafnodes: 0,
            clients: account.clients.load(Ordering::Relaxed),
            subscriptions: account.subscriptions() as u64,
            mappings: accounts::mappings(&account),
            exports: accounts::exports(&account),
            imports: accounts::imports(&account),
            jwt: String::new(),
            issuer_key: String::new(),
            name_tag: name.into(),
            tags: Vec::new(),
            decoded_jwt: None,
            jwt_issues: Vec::new(),
            revoked_users: Default::default(),
            sublist: sublist_facts(&account),
            responses: accounts::responses(&account),
        };
        Some(
            match self
                .claims()
                .and_then(|claims| claims.token(name))
                .filter(|t| !t.token.is_empty())
            {
                None => facts,
                Some(token) => claims::account_facts(token, facts),
            },
        )
    }

    fn account_stat(&self, name: &str) -> Option<AccountStat> {
        let account = self.broker.account(name)?;
        let (received, sent) = account.counters.totals();
        Some(AccountStat {
            account: name.into(),
            name_tag: self.account_tag(name),
            clients: account.clients.load(Ordering::Relaxed),
            leafnodes: 0,
            subscriptions: account.subscriptions() as u64,
            sent: [msg_bytes(sent), MsgBytes::default(), MsgBytes::default(), MsgBytes::default()],
            received: [
                msg_bytes(received),
                MsgBytes::default(),
                MsgBytes::default(),
                MsgBytes::default(),
            ],
            slow_consumers: account.slow_consumers.load(Ordering::Relaxed),
        })
    }

    fn listener_faults(&self) -> Vec<ListenerFault> {
        if self.accepting.load(Ordering::Acquire) || self.options().client.dont_listen {
            return Vec::new();
        }
        vec![ListenerFault { name: "server", error: None }]
    }

    fn metrics_enabled(&self) -> bool {
        self.options().monitoring.metrics != Some(false)
    }

    fn jetstream(&self, options: &monitor::JszOptions) -> Option<monitor::JetStreamFacts> {
        self.jetstream_facts(options)
    }

    fn jetstream_health(&self, options: &monitor::HealthzOptions) -> monitor::JetStreamHealth {
        self.check_jetstream(options)
    }

    fn queues(&self) -> Vec<QueueFacts> {
        let (pending, in_progress) = self.system().waiting();
        vec![QueueFacts { name: "System recvQ".into(), pending, in_progress }]
    }
}

impl Node {
    fn accounts_named(&self, name: Option<&str>) -> Vec<Arc<Account>> {
        match name {
            None => self.broker.accounts(),
            Some(name) => self.broker.account(name).into_iter().collect(),
        }
    }
}

fn msg_bytes(traffic: Traffic) -> MsgBytes {
    MsgBytes { msgs: traffic.msgs, bytes: traffic.bytes }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Node {
    /// What people call an account.
    pub(crate) fn account_tag(&self, name: &str) -> String {
        self.claims().map_or_else(|| name.to_owned(), |claims| claims.name_of(name))
    }

    fn conn_facts(&self, conn: &Conn) -> ConnFacts {
        let mut facts = conn_facts(conn);
        if !facts.account.is_empty() {
            facts.name_tag = self.account_tag(&facts.account);
        }
        facts
    }
}

fn conn_facts(conn: &Conn) -> ConnFacts {
    let (pending, out_msgs, out_bytes, stalls) = {
        let out = conn.outbox.lock();
        (out.pending() as u64, out.msgs, out.bytes, out.stalls)
    };
    let subscriptions = conn.subs.lock().len() as u64;
    let facts = conn.facts.lock();
    let token = facts.token.as_deref();
    ConnFacts {
        cid: conn.id,
        kind: ConnKind::Client,
        conn_type: Some(ConnType::Nats),
        ip: conn.peer().map_or_else(String::new, |peer| peer.ip().to_string()),
        port: conn.peer().map_or(0, |peer| peer.port()),
        start: conn.start,
        last_activity: Timestamp(conn.last_activity.load(Ordering::Relaxed) as i64),
        rtt: facts.rtt.unwrap_or_default(),
        pending_bytes: pending,
        in_msgs: conn.in_msgs.load(Ordering::Relaxed),
        out_msgs,
        in_bytes: conn.in_bytes.load(Ordering::Relaxed),
        out_bytes,
        stalls,
        subscriptions,
        name: facts.name.clone(),
        lang: facts.lang.clone(),
        version: facts.version.clone(),
        tls: facts.tls.as_deref().map(|tls| TlsFacts {
            version: tls.version.clone(),
            cipher_suite: tls.cipher_suite.clone(),
            peer_certs: tls
                .peer_certs
                .iter()
                .map(|(subject, spki, cert)| PeerCert {
                    subject: subject.clone(),
                    spki_sha256: spki.clone(),
                    cert_sha256: cert.clone(),
                })
                .collect(),
            first: tls.first,
        }),
        authorized_user: facts.who.raw().into(),
        account: facts.account.clone(),
        name_tag: facts.account.clone(),
        proxy_key: facts.proxy.as_deref().unwrap_or_default().to_owned(),
        // Compat(AUTH-034): who sees a bearer's token could use it.
        jwt: token.map(|token| token.shown_jwt().to_owned()).unwrap_or_default(),
        issuer_key: token.map(|t| t.signer(&facts.account).to_owned()).unwrap_or_default(),
        tags: token.map(|token| token.tags.clone()).unwrap_or_default(),
        ..ConnFacts::default()
    }
}

fn sub_facts(sub: &Sub, account: &str, tag: &str) -> SubFacts {
    SubFacts {
        account: account.into(),
        account_tag: tag.into(),
        subject: lossy(sub.filter()),
        queue: sub.queue().map(lossy).unwrap_or_default(),
        sid: lossy(sub.sid()),
        msgs: sub.delivered(),
        max: sub.max(),
        cid: sub.conn().map_or(0, |conn| conn.id),
    }
}

fn sublist_facts(account: &Account) -> SublistFacts {
    SublistFacts {
        subscriptions: account.subscriptions() as u64,
        inserts: account.inserts.load(Ordering::Relaxed),
        removes: account.removes.load(Ordering::Relaxed),
        matches: account.counters.lookups().0,
        cached: account.cached.load(Ordering::Relaxed),
        cache_hits: account.counters.lookups().1,
        fanout_max: account.fanout_max.load(Ordering::Relaxed),
        fanout_total: account.fanout_total.load(Ordering::Relaxed),
    }
}
