//! `/gatewayz`: connections to and from other clusters.
//!
//! Reference: monitor.go `Gatewayz`, `RemoteGatewayz`, `AccountGatewayz`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stdx::time::{Now, Timestamp};

use super::connz::{ConnFacts, Line as ConnLine};
use super::subsz::{Owner, SubFacts, SubLine};
use crate::error::Error;
use crate::json::{self, is_empty};
use crate::query::Query;
use crate::source::Source;

/// Unsubscribed subjects of an account after which a gateway sends only what is asked for.
const INTEREST_ONLY_THRESHOLD: u64 = 1000;

/// How messages of an account cross a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum InterestMode {
    /// Everything, until told otherwise.
    #[default]
    Optimistic,
    /// Being switched over.
    Transitioning,
    /// Only what the other side subscribed to.
    #[serde(rename = "Interest-Only")]
    InterestOnly,
}

/// One account's interest across one gateway connection.
#[derive(Clone, Debug, Default)]
pub struct GatewayAccount {
    /// The account.
    pub name: String,
    /// How its messages cross.
    pub mode: InterestMode,
    /// Subjects the other side does not want.
    pub no_interest: u64,
    /// Subscriptions in all (outbound only).
    pub num_subs: u64,
    /// Queue subscriptions (outbound only).
    pub num_queue_subs: u64,
    /// The subscriptions themselves (outbound only).
    pub subs: Vec<SubFacts>,
}

/// One gateway connection.
#[derive(Clone, Debug, Default)]
pub struct RemoteGateway {
    /// The remote cluster.
    pub name: String,
    /// Whether it is in the configuration, as opposed to learned by gossip.
    pub is_configured: bool,
    /// The connection; its kind is `Gateway`.
    pub connection: ConnFacts,
    /// Interest of accounts.
    pub accounts: Vec<GatewayAccount>,
}

/// This server's gateway.
#[derive(Clone, Debug, Default)]
pub struct GatewayFacts {
    /// The name of this cluster.
    pub name: String,
    /// The listener's host.
    pub host: String,
    /// The listener's port.
    pub port: u16,
    /// Connections to others, one per cluster.
    pub outbound: Vec<RemoteGateway>,
    /// Connections from others.
    pub inbound: Vec<RemoteGateway>,
}

/// What is asked; the field names are those of `$SYS` requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GatewayzOptions {
    /// Only this remote cluster.
    pub name: String,
    /// Show accounts.
    pub accounts: bool,
    /// Only this account; implies `accounts`.
    pub account_name: String,
    /// Show subjects of accounts.
    pub subscriptions: bool,
    /// Show subscriptions of accounts in full.
    pub subscriptions_detail: bool,
}

impl GatewayzOptions {
    pub(crate) fn from_query(query: &Query) -> Result<Self, Error> {
        let (subscriptions, subscriptions_detail) = query.subs()?;
        Ok(Self {
            accounts: query.bool("accs")?,
            name: query.text("gw_name"),
            account_name: query.text("acc_name"),
            subscriptions,
            subscriptions_detail,
        })
    }
}

#[derive(Debug, Serialize)]
struct AccountLine {
    name: String,
    interest_mode: InterestMode,
    #[serde(skip_serializing_if = "is_empty")]
    no_interest_count: u64,
    interest_only_threshold: u64,
    #[serde(skip_serializing_if = "is_empty")]
    num_subs: u64,
    #[serde(skip_serializing_if = "is_empty")]
    num_queue_subs: u64,
    #[serde(skip_serializing_if = "is_empty")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list_detail: Vec<SubLine>,
}

#[derive(Debug, Serialize)]
struct RemoteLine {
    configured: bool,
    connection: ConnLine,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<AccountLine>,
}

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Gatewayz {
    server_id: String,
    #[serde(serialize_with = "json::time")]
    now: Timestamp,
    #[serde(skip_serializing_if = "is_empty")]
    name: String,
    #[serde(skip_serializing_if = "is_empty")]
    host: String,
    #[serde(skip_serializing_if = "is_empty")]
    port: u16,
    /// Wire: `null` if a gateway was asked for by name and is not connected.
    outbound_gateways: Option<BTreeMap<String, RemoteLine>>,
    inbound_gateways: BTreeMap<String, Vec<RemoteLine>>,
}

/// Makes the document.
pub(crate) fn gatewayz(options: &GatewayzOptions, source: &dyn Source, now: Now) -> Gatewayz {
    let mut document = Gatewayz {
        server_id: source.server_id(),
        now: now.wall,
        name: String::new(),
        host: String::new(),
        port: 0,
        outbound_gateways: Some(BTreeMap::new()),
        inbound_gateways: BTreeMap::new(),
    };
    let Some(gateway) = source.gateway() else { return document };
    document.name = gateway.name;
    document.host = gateway.host;
    document.port = gateway.port;
    let asked = |remote: &RemoteGateway| options.name.is_empty() || options.name == remote.name;
    let outbound: BTreeMap<String, RemoteLine> = gateway
        .outbound
        .into_iter()
        .filter(asked)
        .map(|remote| (remote.name.clone(), line(remote, options, now)))
        .collect();
    let absent = !options.name.is_empty() && outbound.is_empty();
    document.outbound_gateways = (!absent).then_some(outbound);
    for remote in gateway.inbound.into_iter().filter(asked) {
        let lines = document.inbound_gateways.entry(remote.name.clone()).or_default();
        // Inbound connections are always accepted, never configured.
        lines.push(line(RemoteGateway { is_configured: false, ..remote }, options, now));
    }
    document
}

fn line(remote: RemoteGateway, options: &GatewayzOptions, now: Now) -> RemoteLine {
    let wanted = options.accounts || !options.account_name.is_empty();
    let named = |account: &GatewayAccount| {
        options.account_name.is_empty() || options.account_name == account.name
    };
    let accounts = remote.accounts.into_iter().filter(|account| wanted && named(account));
    RemoteLine {
        configured: remote.is_configured,
        connection: ConnLine::plain(remote.connection, now.wall),
        accounts: accounts.map(|account| account_line(account, options)).collect(),
    }
}

fn account_line(account: GatewayAccount, options: &GatewayzOptions) -> AccountLine {
    let mut line = AccountLine {
        name: account.name,
        interest_mode: account.mode,
        no_interest_count: account.no_interest,
        interest_only_threshold: INTEREST_ONLY_THRESHOLD,
        num_subs: account.num_subs,
        num_queue_subs: account.num_queue_subs,
        subscriptions_list: Vec::new(),
        subscriptions_list_detail: Vec::new(),
    };
    if options.subscriptions {
        line.subscriptions_list = account.subs.into_iter().map(|sub| sub.subject).collect();
    } else if options.subscriptions_detail {
        line.subscriptions_list_detail =
            account.subs.into_iter().map(|sub| SubLine::new(sub, Owner::Hidden)).collect();
    }
    line
}
