//! A broker without sockets: sessions are driven with bytes, and what they were sent is read back.

use crate::account::AccountDefinition;
use crate::account::definition::{
    ExportDefinition, ExportKind, ImportDefinition, ImportKind, LatencyDefinition,
    MappingDefinition, Rename, ResponseType, Sampling, ServiceDefinition,
};
use crate::broker::Broker;
use crate::conn::{Conn, Kind, Transport};
use crate::outbox::Sink;
use crate::session::Session;
use crate::settings::Settings;
use crate::worker::Worker;
use bytes::Bytes;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use stdx::log::Log;
use stdx::time::{Mono, Now, Timestamp};
use subject::mapping::Destination;
use wire::info::Info;

/// Keeps what is written.
#[derive(Default)]
pub(crate) struct Collect(Mutex<Vec<u8>>);

impl Sink for Collect {
    fn direct(&self) -> bool {
        true
    }
    fn try_write(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut all = self.0.lock();
        let before = all.len();
        slices.iter().for_each(|slice| all.extend_from_slice(slice));
        Ok(all.len() - before)
    }
    fn wake(&self) {}
}

/// A peer that is gone: nothing can be written to it.
pub(crate) struct Gone;

impl Sink for Gone {
    fn direct(&self) -> bool {
        true
    }
    fn try_write(&self, _: &[io::IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn wake(&self) {}
}

/// One server with one network thread, and its clock.
pub(crate) struct House {
    pub worker: Worker,
}

pub(crate) struct Client {
    pub session: Session,
    sink: Arc<Collect>,
}

/// 2026-11-21T00:00:00Z, where every test starts.
const START: i64 = 1_795_219_200_000_000_000;

impl House {
    pub(crate) fn new(accounts: &[AccountDefinition]) -> Self {
        let info = Info {
            server_name: "S1".into(),
            cluster: "C1".into(),
            headers: true,
            ..Info::default()
        };
        // Every account has a user; the first one's stands in for clients without credentials.
        let user = |name: &str| auth::User {
            name: format!("u-{name}"),
            password: auth::password::Secret::new("p"),
            account: name.into(),
            permissions: None,
            connection_types: auth::ConnectionTypes::default(),
        };
        let config = auth::AuthConfig {
            users: accounts.iter().map(|account| user(&account.name)).collect(),
            no_auth_user: accounts.first().map(|a| format!("u-{}", a.name)).unwrap_or_default(),
            ..auth::AuthConfig::default()
        };
        let authenticator = auth::Authenticator::new(config).unwrap();
        let settings = Settings::default();
        let broker = Arc::new(Broker::new(settings, info, authenticator, Log::discard(), 1));
        broker.define_accounts(accounts).map(|_| ()).unwrap();
        let now = Now { mono: Mono(1_000_000_000), wall: Timestamp(START) };
        Self { worker: Worker::new(0, broker, now, |bytes| bytes.fill(7)) }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        let now = self.worker.now;
        self.worker.now = Now { mono: now.mono + by, wall: now.wall + by };
        self.worker.on_timer();
    }

    /// A client of `account` that has connected.
    pub(crate) fn connect(&mut self, account: &str) -> Client {
        self.connect_with(account, "")
    }

    /// As `connect`, with further fields of CONNECT.
    pub(crate) fn connect_with(&mut self, account: &str, fields: &str) -> Client {
        let mut client = self.accept();
        let connect = format!(
            r#"CONNECT {{"headers":true,"no_responders":true,"verbose":false,"name":"n-{account}",
            "lang":"py","version":"1","user":"u-{account}","pass":"p"{fields}}}"#
        );
        client.send(self, &(connect.replace('\n', "") + "\r\nPING\r\n"));
        client.session.conn.facts.lock().rtt = Some(Duration::from_micros(500));
        client.read();
        client
    }

    /// A client that has sent nothing.
    pub(crate) fn accept(&mut self) -> Client {
        let broker = self.worker.broker.clone();
        let id = broker.next_conn_id();
        let peer = Some("127.0.0.1:4000".parse().unwrap());
        let now = self.worker.now;
        let conn = Conn::new(id, Kind::Client, Transport::Tcp, peer, 64 << 20, now);
        let conn = Arc::new(conn);
        let sink = Arc::new(Collect::default());
        conn.outbox.lock().attach(sink.clone());
        broker.register(&conn);
        Client { session: Session::new(conn, &mut self.worker), sink }
    }
}

impl Client {
    /// Lets the session take `bytes`, all of them.
    pub(crate) fn send(&mut self, house: &mut House, bytes: &str) {
        let data = Bytes::copy_from_slice(bytes.as_bytes());
        self.session.on_bytes(&data, &mut house.worker);
        house.worker.flush_touched();
    }

    /// What came since the last call, with plain line ends.
    pub(crate) fn read(&self) -> String {
        let all = std::mem::take(&mut *self.sink.0.lock());
        String::from_utf8(all).unwrap().replace("\r\n", "\n")
    }

    pub(crate) fn end(&mut self, house: &mut House) {
        self.session.end(&mut house.worker);
        house.worker.flush_touched();
    }
}

/// `PUB` with the size filled in.
pub(crate) fn publish(subject: &str, reply: &str, payload: &str) -> String {
    let blank = if reply.is_empty() { "" } else { " " };
    format!("PUB {subject}{blank}{reply} {}\r\n{payload}\r\n", payload.len())
}

/// `HPUB` with the sizes filled in; `fields` are whole header lines.
pub(crate) fn publish_with(subject: &str, reply: &str, fields: &str, payload: &str) -> String {
    let header = format!("NATS/1.0\r\n{fields}\r\n");
    let (head, total) = (header.len(), header.len() + payload.len());
    let blank = if reply.is_empty() { "" } else { " " };
    format!("HPUB {subject}{blank}{reply} {head} {total}\r\n{header}{payload}\r\n")
}

/// The first of the server's reply subjects in `text`.
pub(crate) fn reply_in(text: &str) -> String {
    let start = text.find("_R_.").unwrap_or_else(|| panic!("no reply subject in {text:?}"));
    text[start..].split([' ', '\n']).next().unwrap_or_default().to_owned()
}

/// `text` with reply subjects of the server made equal.
pub(crate) fn scrub(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("_R_.") {
        out.push_str(&rest[..at]);
        out.push_str("_R_");
        let tail = &rest[at..];
        rest = &tail[tail.find([' ', '\n']).unwrap_or(tail.len())..];
    }
    out + rest
}

pub(crate) fn account(name: &str) -> AccountDefinition {
    AccountDefinition { name: name.into(), ..AccountDefinition::default() }
}

impl AccountDefinition {
    pub(crate) fn export(mut self, export: ExportDefinition) -> Self {
        self.exports.push(export);
        self
    }
    pub(crate) fn import(mut self, import: ImportDefinition) -> Self {
        self.imports.push(import);
        self
    }
    pub(crate) fn map(mut self, source: &str, to: &[(&str, u8)]) -> Self {
        let to = to
            .iter()
            .map(|(subject, weight)| Destination { weight: *weight, ..Destination::new(*subject) });
        let mapping = MappingDefinition { source: source.into(), destinations: to.collect() };
        self.mappings.push(mapping);
        self
    }
}

pub(crate) fn stream(subject: &str) -> ExportDefinition {
    ExportDefinition {
        subject: subject.into(),
        accounts: Vec::new(),
        account_token_position: 0,
        kind: ExportKind::Stream,
    }
}

pub(crate) fn service(subject: &str) -> ExportDefinition {
    let kind = ExportKind::Service(ServiceDefinition::default());
    ExportDefinition { kind, ..stream(subject) }
}

impl ExportDefinition {
    pub(crate) fn only(mut self, accounts: &[&str]) -> Self {
        self.accounts = accounts.iter().map(|name| (*name).to_owned()).collect();
        self
    }
    pub(crate) fn token(mut self, position: usize) -> Self {
        self.account_token_position = position;
        self
    }
    fn service(&mut self) -> &mut ServiceDefinition {
        match &mut self.kind {
            ExportKind::Service(service) => service,
            ExportKind::Stream => panic!("not a service"),
        }
    }
    pub(crate) fn responds(mut self, response: ResponseType) -> Self {
        self.service().response = response;
        self
    }
    pub(crate) fn within(mut self, threshold: Duration) -> Self {
        self.service().threshold = Some(threshold);
        self
    }
    pub(crate) fn measured(mut self, sampling: Sampling, subject: &str) -> Self {
        self.service().latency = Some(LatencyDefinition { sampling, subject: subject.into() });
        self
    }
}

pub(crate) fn use_stream(account: &str, subject: &str, rename: Rename) -> ImportDefinition {
    let kind = ImportKind::Stream { rename, allow_trace: false };
    ImportDefinition { account: account.into(), subject: subject.into(), kind }
}

pub(crate) fn use_service(account: &str, subject: &str, to: &str) -> ImportDefinition {
    let to = (!to.is_empty()).then(|| to.to_owned());
    let kind = ImportKind::Service { to, share: false };
    ImportDefinition { account: account.into(), subject: subject.into(), kind }
}

impl ImportDefinition {
    pub(crate) fn shared(mut self) -> Self {
        if let ImportKind::Service { share, .. } = &mut self.kind {
            *share = true;
        }
        self
    }
}
