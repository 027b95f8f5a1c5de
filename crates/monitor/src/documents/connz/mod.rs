//! `/connz`: clients and leafnodes, open and closed.
//!
//! Not here: the order of the list (`connz/order.rs`), the fields of one line (`connz/line.rs`).
//! Laws: facts of at most one page are held at a time, whatever the number of connections.
//! Reference: monitor.go `Connz`, `ConnInfo`, `HandleConnz`.

mod line;
mod order;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stdx::time::{Now, Timestamp};

pub(crate) use self::line::Line;
use self::order::{Column, Rank};
use super::page;
use crate::error::Error;
use crate::json;
use crate::query::Query;
use crate::source::Source;

/// Connections on a page when no limit is asked for.
const LIMIT_DEFAULT: i64 = 1024;

/// Which connections to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "i64")]
pub enum ConnState {
    /// Open ones.
    #[default]
    Open,
    /// Closed ones still remembered.
    Closed,
    /// Both.
    All,
}

impl From<i64> for ConnState {
    // Wire: a number in `$SYS` requests.
    fn from(number: i64) -> Self {
        match number {
            1 => Self::Closed,
            2 => Self::All,
            _ => Self::Open,
        }
    }
}

/// What is asked; the field names are those of `$SYS` requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConnzOptions {
    /// The column to sort by; empty for the connection id.
    pub sort: String,
    /// Show users, accounts and certificates.
    pub auth: bool,
    /// Show subjects.
    pub subscriptions: bool,
    /// Show subscriptions in full.
    pub subscriptions_detail: bool,
    /// Connections to skip.
    pub offset: i64,
    /// Connections to show; 0 or less for 1024.
    pub limit: i64,
    /// Only this one; 0 for any.
    pub cid: u64,
    /// Only those of this MQTT client id.
    pub mqtt_client: String,
    /// Open, closed, or both.
    pub state: ConnState,
    /// Only those of this user.
    pub user: String,
    /// Only those of this account.
    pub acc: String,
    /// Only open ones with a subscription that this subject could reach.
    pub filter_subject: String,
}

impl ConnzOptions {
    pub(crate) fn from_query(query: &Query) -> Result<Self, Error> {
        let auth = query.bool("auth")?;
        let (subscriptions, subscriptions_detail) = query.subs()?;
        Ok(Self {
            sort: query.text("sort"),
            auth,
            subscriptions,
            subscriptions_detail,
            offset: query.int("offset")?,
            limit: query.int("limit")?,
            cid: query.uint64("cid")?,
            state: query.state()?,
            user: query.text("user"),
            acc: query.text("acc"),
            mqtt_client: query.text("mqtt_client"),
            filter_subject: String::new(),
        })
    }

    fn account(&self) -> Option<&str> {
        (!self.acc.is_empty()).then_some(self.acc.as_str())
    }

    fn subject_filter(&self) -> Result<Option<&str>, Error> {
        match self.filter_subject.as_str() {
            "" | ">" => Ok(None),
            _ if self.acc.is_empty() => Err(Error::FilterNeedsAccount),
            filter => Ok(Some(filter)),
        }
    }

    fn wants_open(&self) -> bool {
        self.state != ConnState::Closed
    }

    fn wants_closed(&self) -> bool {
        self.state != ConnState::Open
    }
}

/// What a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kinds speak for themselves")]
pub enum ConnKind {
    #[default]
    Client,
    Leafnode,
    Gateway,
}

impl ConnKind {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Client => "Client",
            Self::Leafnode => "Leafnode",
            Self::Gateway => "Gateway",
        }
    }
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the protocols speak for themselves")]
pub enum ConnType {
    Nats,
    Websocket,
    Mqtt,
}

impl ConnType {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Websocket => "websocket",
            Self::Mqtt => "mqtt",
        }
    }
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub struct ConnFacts {
    /// The connection id, from 1.
    pub cid: u64,
    /// What it is.
    pub kind: ConnKind,
    /// What it speaks; `None` for anything but a client.
    pub conn_type: Option<ConnType>,
    /// The remote address, as text without the port.
    pub ip: String,
    /// The remote port; 0 if unknown.
    pub port: u16,
    /// When it was accepted.
    pub start: Timestamp,
    /// When a message last passed.
    pub last_activity: Timestamp,
    /// The last measured round trip; zero before the first.
    pub rtt: Duration,
    /// Bytes queued for it.
    pub pending_bytes: u64,
    /// Messages received from it.
    pub in_msgs: u64,
    /// Messages sent to it.
    pub out_msgs: u64,
    /// Payload bytes received from it.
    pub in_bytes: u64,
    /// Payload bytes sent to it.
    pub out_bytes: u64,
    /// Times it was held back for a slow consumer.
    pub stalls: u64,
    /// Its subscriptions.
    pub subscriptions: u64,
    /// `name` of CONNECT (of a leafnode: the remote server's name).
    pub name: String,
    /// `lang` of CONNECT.
    pub lang: String,
    /// `version` of CONNECT.
    pub version: String,
    /// TLS, once the handshake is complete.
    pub tls: Option<TlsFacts>,
    /// The user name, nkey, or JWT subject; `[REDACTED]` for a token.
    pub authorized_user: String,
    /// The account's name; empty before CONNECT.
    pub account: String,
    /// The account's tag; its name when it has none.
    pub name_tag: String,
    /// The user's JWT; empty for bearer tokens, which must not be shown (Compat MON-011).
    pub jwt: String,
    /// Who signed that JWT.
    pub issuer_key: String,
    /// Tags of that JWT.
    pub tags: Vec<String>,
    /// The MQTT client id.
    pub mqtt_client: String,
    /// The key of the trusted proxy in between.
    pub proxy_key: String,
}

/// TLS of one connection.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    /// `1.2` or `1.3`.
    pub version: String,
    /// The suite's IANA name.
    pub cipher_suite: String,
    /// The peer's chain, leaf first.
    pub peer_certs: Vec<PeerCert>,
    /// Whether TLS came before INFO.
    pub first: bool,
}

/// A certificate the peer showed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PeerCert {
    /// The subject as RFC 2253 text.
    #[serde(skip_serializing_if = "json::is_empty")]
    pub subject: String,
    /// SHA-256 of the public key info, in hex.
    #[serde(skip_serializing_if = "json::is_empty")]
    pub spki_sha256: String,
    /// SHA-256 of the certificate, in hex.
    #[serde(skip_serializing_if = "json::is_empty")]
    pub cert_sha256: String,
}

/// One closed connection.
#[derive(Clone, Debug, Default)]
pub struct ClosedConnFacts {
    /// What it was when it closed.
    pub conn: ConnFacts,
    /// When it closed.
    pub stop: Timestamp,
    /// Why, in the words of the contract.
    pub reason: String,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnCounts {
    /// Open clients and leafnodes.
    pub open: u64,
    /// Remembered closed ones.
    pub closed: u64,
}

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Connz {
    server_id: String,
    #[serde(serialize_with = "json::time")]
    now: Timestamp,
    num_connections: usize,
    total: u64,
    offset: i64,
    limit: i64,
    connections: Option<Vec<Line>>,
}

/// A connection that matched, with what it is sorted by.
struct Match {
    rank: Rank,
    cid: u64,
    /// `None` while it is open: its facts are read again once it is known to be on the page.
    closed: Option<Arc<ClosedConnFacts>>,
}

/// Makes the document.
pub(crate) fn connz(options: &ConnzOptions, source: &dyn Source, now: Now) -> Result<Connz, Error> {
    let column = Column::parse(&options.sort, options.state)?;
    let subject_filter = options.subject_filter()?;
    let mut document = Connz {
        server_id: source.server_id(),
        now: now.wall,
        num_connections: 0,
        total: 0,
        offset: options.offset.max(0),
        limit: limit(options),
        connections: None,
    };
    let Some(counts) = source.connection_counts(options.account()) else {
        // Compat(MON-010): an account nobody knows gives neither an id nor a list.
        document.server_id.clear();
        return Ok(document);
    };
    if options.wants_open() {
        document.total += counts.open;
    }
    if options.wants_closed() {
        document.total += counts.closed;
    }
    let mut matches = find(options, subject_filter, column, source, now);
    matches.sort_by(|a, b| column.compare(&a.rank, &b.rank).then(a.cid.cmp(&b.cid)));
    let shown = page(matches.len(), document.offset, document.limit);
    let lines: Vec<Line> = matches
        .get(shown)
        .unwrap_or_default()
        .iter()
        .filter_map(|found| line(found, options, source, now))
        .collect();
    document.num_connections = lines.len();
    document.connections = Some(lines);
    Ok(document)
}

fn limit(options: &ConnzOptions) -> i64 {
    match options.limit {
        _ if options.cid > 0 => 1,
        ..=0 => LIMIT_DEFAULT,
        asked => asked,
    }
}

fn find(
    options: &ConnzOptions,
    subject_filter: Option<&str>,
    column: Column,
    source: &dyn Source,
    now: Now,
) -> Vec<Match> {
    let mut matches = Vec::new();
    if options.wants_open() {
        let mut consider = |conn: ConnFacts| {
            if options.cid > 0 || is_wanted(&conn, options) {
                let rank = column.rank(&conn, None, now);
                matches.push(Match { rank, cid: conn.cid, closed: None });
            }
        };
        match options.cid {
            0 => source.visit_connections(options.account(), &mut consider),
            // Compat(MON-010): by id, only clients are found among the open connections, and
            // account and user are not looked at.
            cid => source
                .connection(cid)
                .filter(|conn| conn.kind == ConnKind::Client)
                .into_iter()
                .for_each(&mut consider),
        }
    }
    if let Some(filter) = subject_filter {
        matches.retain(|found| {
            let subs = source.connection_subs(found.cid);
            subs.iter()
                .any(|sub| subject::overlap::collides(filter.as_bytes(), sub.subject.as_bytes()))
        });
    }
    let found_by_id = options.cid > 0 && !matches.is_empty();
    if options.wants_closed() && !found_by_id {
        let closed = source.closed_connections().into_iter().filter(|closed| {
            (options.cid == 0 || closed.conn.cid == options.cid) && is_wanted(&closed.conn, options)
        });
        matches.extend(closed.map(|closed| Match {
            rank: column.rank(&closed.conn, Some(&closed), now),
            cid: closed.conn.cid,
            closed: Some(closed),
        }));
    }
    matches
}

fn is_wanted(conn: &ConnFacts, options: &ConnzOptions) -> bool {
    let same = |asked: &str, found: &str| asked.is_empty() || asked == found;
    same(&options.acc, &conn.account)
        && same(&options.user, &conn.authorized_user)
        && same(&options.mqtt_client, &conn.mqtt_client)
}

fn line(found: &Match, options: &ConnzOptions, source: &dyn Source, now: Now) -> Option<Line> {
    let wants_subs = options.subscriptions || options.subscriptions_detail;
    if let Some(closed) = &found.closed {
        let subs = if wants_subs { source.closed_connection_subs(found.cid) } else { Vec::new() };
        return Some(Line::closed(closed, subs, options));
    }
    // It may have closed since it was counted; then the page is one line shorter.
    let conn = source.connection(found.cid)?;
    let subs = if wants_subs { source.connection_subs(found.cid) } else { Vec::new() };
    Some(Line::open(conn, subs, options, now))
}
