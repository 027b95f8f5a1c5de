//! A server that exists only as facts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stdx::log::Log;
use stdx::time::{Mono, Now, Timestamp};

use crate::*;

/// 2026-11-21T08:00:00Z.
pub(super) const NOON: i64 = 1_795_248_000_000_000_000;

pub(super) fn now() -> Now {
    Now { mono: Mono(0), wall: Timestamp(NOON) }
}

pub(super) fn ago(nanos: i64) -> Timestamp {
    Timestamp(NOON - nanos)
}

pub(super) struct Fake {
    pub(super) log: Log,
    pub(super) counts: RequestCounts,
    pub(super) open: Vec<ConnFacts>,
    pub(super) closed: Vec<Arc<ClosedConnFacts>>,
    pub(super) subs: Vec<SubFacts>,
    pub(super) listeners: Vec<ListenerFault>,
    pub(super) metrics: bool,
    pub(super) jetstream: JetStreamHealth,
    pub(super) routes: Vec<RouteFacts>,
    pub(super) gateway: Option<GatewayFacts>,
    pub(super) leafs: Vec<LeafFacts>,
    pub(super) queues: Vec<QueueFacts>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            log: Log::discard(),
            counts: RequestCounts::default(),
            open: Vec::new(),
            metrics: true,
            closed: Vec::new(),
            subs: Vec::new(),
            listeners: Vec::new(),
            jetstream: JetStreamHealth::Off,
            routes: Vec::new(),
            gateway: None,
            leafs: Vec::new(),
            queues: Vec::new(),
        }
    }
}

pub(super) fn conn(cid: u64, account: &str, user: &str) -> ConnFacts {
    ConnFacts {
        cid,
        conn_type: Some(ConnType::Nats),
        ip: "127.0.0.1".into(),
        port: 40_000 + u16::try_from(cid).unwrap(),
        start: ago(93_784_000_000_000),
        last_activity: ago(1_500_000_000),
        rtt: Duration::from_nanos(402_345),
        in_msgs: 2,
        in_bytes: 3,
        out_msgs: 1,
        out_bytes: 243,
        subscriptions: 1,
        name: format!("c<{cid}>&"),
        lang: "py".into(),
        version: "1.0".into(),
        authorized_user: user.into(),
        account: account.into(),
        name_tag: account.into(),
        ..ConnFacts::default()
    }
}

pub(super) fn sub(cid: u64, account: &str, subject: &str, queue: &str) -> SubFacts {
    SubFacts {
        account: account.into(),
        account_tag: account.into(),
        subject: subject.into(),
        queue: queue.into(),
        sid: "1".into(),
        msgs: 7,
        max: 0,
        cid,
    }
}

pub(super) fn closed(cid: u64, account: &str, reason: &str) -> Arc<ClosedConnFacts> {
    let mut conn = conn(cid, account, "b");
    conn.last_activity = ago(40_000_000_000);
    Arc::new(ClosedConnFacts { conn, stop: ago(10_000_000_000), reason: reason.into() })
}

/// Two clients in two accounts, one in the global one, one closed, a handful of subscriptions.
pub(super) fn server() -> Fake {
    let mut tls = conn(7, "A", "a");
    tls.tls = Some(TlsFacts {
        version: "1.3".into(),
        cipher_suite: "TLS_AES_128_GCM_SHA256".into(),
        peer_certs: vec![PeerCert {
            subject: "CN=a".into(),
            spki_sha256: "aa".into(),
            cert_sha256: "bb".into(),
        }],
        first: true,
    });
    tls.stalls = 3;
    let mut ws = conn(8, "B", "b");
    ws.conn_type = Some(ConnType::Websocket);
    ws.proxy_key = "SPROXY".into();
    Fake {
        open: vec![conn(9, "$G", ""), tls, ws],
        closed: vec![closed(5, "B", "Client Closed")],
        subs: vec![
            sub(7, "A", "foo.>", "q1"),
            sub(7, "A", "bar", ""),
            sub(8, "B", "foo.*", ""),
            sub(9, "$G", "<x>&", ""),
        ],
        queues: vec![
            QueueFacts { name: "sendq".into(), pending: 0, in_progress: 0 },
            QueueFacts { name: "recvq".into(), pending: 2, in_progress: 1 },
        ],
        ..Fake::default()
    }
}

impl Source for Fake {
    fn metrics_enabled(&self) -> bool {
        self.metrics
    }
    fn server_id(&self) -> String {
        "NC65TXTSZMMSW5W7IJ26MD5ZDFZCCNETJM4MVSRSBZBIZXFDEGVWGL2B".into()
    }
    fn server_name(&self) -> String {
        "fake".into()
    }
    fn log(&self) -> &Log {
        &self.log
    }
    fn request_counts(&self) -> &RequestCounts {
        &self.counts
    }
    fn varz(&self) -> Varz {
        Varz {
            server_id: self.server_id(),
            server_name: self.server_name(),
            version: "2.14.5".into(),
            proto: 1,
            go: "rust1.95".into(),
            host: "127.0.0.1".into(),
            port: 4222,
            auth_required: true,
            max_connections: 65_536,
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            http_host: "127.0.0.1".into(),
            http_port: 8222,
            auth_timeout: 2.0,
            max_control_line: 4096,
            max_payload: 1_048_576,
            max_pending: 67_108_864,
            tls_timeout: 2.5,
            write_deadline: Duration::from_secs(10),
            start: ago(93_784_000_000_000),
            connections: 3,
            total_connections: 4,
            in_msgs: 6,
            in_bytes: 9,
            in_client_msgs: 6,
            in_client_bytes: 9,
            subscriptions: 4,
            config_load_time: ago(93_784_000_000_000),
            feature_flags: BTreeMap::from([("js_ack_fc_v2".into(), false)]),
            system_account: "$SYS".into(),
            ..Varz::default()
        }
    }
    fn process(&self) -> ProcessFacts {
        ProcessFacts { mem: 16_445_440, cores: 2, gomaxprocs: 2, gomemlimit: 0, cpu: 0.3 }
    }
    fn expvar(&self) -> ExpvarFacts {
        ExpvarFacts {
            command_line: vec!["nats-server".into(), "--pass=[REDACTED]".into()],
            allocated: 1000,
            resident: 2000,
        }
    }
    fn stacks(&self) -> String {
        "thread 1 main\n".into()
    }
    fn connection_counts(&self, account: Option<&str>) -> Option<ConnCounts> {
        let of = |conn: &ConnFacts| account.is_none_or(|account| account == conn.account);
        if let Some(account) = account
            && !self.account_names().contains(&account.to_owned())
        {
            return None;
        }
        Some(ConnCounts {
            open: self.open.iter().filter(|conn| of(conn)).count() as u64,
            closed: self.closed.iter().filter(|closed| of(&closed.conn)).count() as u64,
        })
    }
    fn visit_connections(&self, account: Option<&str>, visit: &mut dyn FnMut(ConnFacts)) {
        let of = |conn: &&ConnFacts| account.is_none_or(|account| account == conn.account);
        self.open.iter().filter(of).cloned().for_each(visit);
    }
    fn connection(&self, cid: u64) -> Option<ConnFacts> {
        self.open.iter().find(|conn| conn.cid == cid).cloned()
    }
    fn connection_subs(&self, cid: u64) -> Vec<SubFacts> {
        self.subs.iter().filter(|sub| sub.cid == cid).cloned().collect()
    }
    fn closed_connections(&self) -> Vec<Arc<ClosedConnFacts>> {
        self.closed.clone()
    }
    fn closed_connection_subs(&self, cid: u64) -> Vec<SubFacts> {
        let found = self.closed.iter().find(|closed| closed.conn.cid == cid);
        found.map(|closed| sub(cid, &closed.conn.account, "m", "")).into_iter().collect()
    }
    fn sublists(&self, account: Option<&str>) -> Vec<SublistFacts> {
        let of = |name: &&String| account.is_none_or(|account| account == **name);
        let list = |name: &String| SublistFacts {
            subscriptions: self.subs.iter().filter(|sub| sub.account == *name).count() as u64,
            cached: 8,
            inserts: 5,
            removes: 1,
            matches: 22,
            cache_hits: 5,
            fanout_max: 2,
            fanout_total: 5,
        };
        self.account_names().iter().filter(of).map(list).collect()
    }
    fn find_subs(
        &self,
        account: Option<&str>,
        test: Option<&str>,
        page: std::ops::Range<u64>,
    ) -> (u64, Vec<SubFacts>) {
        let wanted = |sub: &&SubFacts| {
            account.is_none_or(|account| account == sub.account)
                && test.is_none_or(|test| {
                    subject::token::matches(test.as_bytes(), sub.subject.as_bytes())
                })
        };
        let all: Vec<SubFacts> = self.subs.iter().filter(wanted).cloned().collect();
        let total = all.len() as u64;
        let (start, end) = (page.start.min(total) as usize, page.end.min(total) as usize);
        (total, all[start..end].to_vec())
    }
    fn system_account(&self) -> Option<String> {
        Some("$SYS".into())
    }
    fn account_names(&self) -> Vec<String> {
        ["B", "$SYS", "A", "$G"].map(String::from).to_vec()
    }
    fn account(&self, name: &str) -> Option<AccountFacts> {
        if !self.account_names().iter().any(|known| known == name) {
            return None;
        }
        Some(account_facts(name))
    }
    fn account_stat(&self, name: &str) -> Option<AccountStat> {
        let clients = self.open.iter().filter(|conn| conn.account == name).count() as u64;
        Some(AccountStat {
            account: name.into(),
            name_tag: name.into(),
            clients,
            subscriptions: 2,
            sent: [
                MsgBytes { msgs: 1, bytes: 243 },
                MsgBytes::default(),
                MsgBytes::default(),
                MsgBytes::default(),
            ],
            ..AccountStat::default()
        })
    }
    fn listener_faults(&self) -> Vec<ListenerFault> {
        self.listeners.clone()
    }
    fn queues(&self) -> Vec<QueueFacts> {
        self.queues.clone()
    }
    fn jetstream_health(&self, _: &HealthzOptions) -> JetStreamHealth {
        self.jetstream.clone()
    }
    fn routes(&self) -> Vec<RouteFacts> {
        self.routes.clone()
    }
    fn gateway(&self) -> Option<GatewayFacts> {
        self.gateway.clone()
    }
    fn leafs(&self) -> Vec<LeafFacts> {
        self.leafs.clone()
    }
}

fn account_facts(name: &str) -> AccountFacts {
    let latency = || Some(LatencyFacts { sampling: 50, results: "lat.x".into() });
    let target = |subject: &str, weight| MappingTarget {
        subject: subject.into(),
        weight,
        cluster: String::new(),
    };
    AccountFacts {
        updated: ago(93_784_000_000_000),
        complete: true,
        clients: 1,
        subscriptions: 10,
        mappings: BTreeMap::from([
            ("x.*".into(), vec![target("x.$1", 20), target("y.$1", 100)]),
            ("foo".into(), vec![target("bar", 100)]),
        ]),
        exports: vec![
            ExportFacts {
                subject: "svc.>".into(),
                kind: ExportKind::Service,
                response_type: "Singleton".into(),
                latency: latency(),
                ..ExportFacts::default()
            },
            ExportFacts {
                subject: "str.>".into(),
                approved_accounts: vec!["B".into()],
                ..ExportFacts::default()
            },
        ],
        imports: vec![
            ImportFacts {
                subject: "str.>".into(),
                account: "A".into(),
                local_subject: "p.str.>".into(),
                ..ImportFacts::default()
            },
            ImportFacts {
                subject: "svc.a".into(),
                account: "A".into(),
                local_subject: "my.a".into(),
                kind: ExportKind::Service,
                share: true,
                latency: Some(LatencyFacts { sampling: 0, results: "lat.y".into() }),
                ..ImportFacts::default()
            },
        ],
        name_tag: name.into(),
        revoked_users: BTreeMap::from([("UABC".into(), ago(0))]),
        sublist: SublistFacts { subscriptions: 10, inserts: 10, ..SublistFacts::default() },
        responses: BTreeMap::from([(
            "_R_.x".into(),
            ImportFacts {
                subject: "in".into(),
                account: "B".into(),
                local_subject: "_R_.x".into(),
                kind: ExportKind::Service,
                tracking: true,
                tracking_header: BTreeMap::from([("Uber-Trace-Id".into(), vec!["1".into()])]),
                latency: latency(),
                ..ImportFacts::default()
            },
        )]),
        ..AccountFacts::default()
    }
}
