//! `/leafz`: leafnode connections.
//!
//! Reference: monitor.go `Leafz`, `LeafInfo`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stdx::time::{Now, Timestamp};

use super::varz::ProxyKey;
use crate::error::Error;
use crate::json::{self, is_empty};
use crate::query::Query;
use crate::source::Source;

/// One leafnode connection.
#[derive(Clone, Debug, Default)]
pub struct LeafFacts {
    /// The connection id.
    pub id: u64,
    /// The remote server's name.
    pub name: String,
    /// Whether this server is the spoke.
    pub is_spoke: bool,
    /// Whether the leafnode is isolated from other leafnodes.
    pub is_isolated: bool,
    /// The local account it is bound to.
    pub account: String,
    /// The remote address.
    pub ip: String,
    /// The remote port.
    pub port: u16,
    /// The last measured round trip.
    pub rtt: Duration,
    /// Messages from it.
    pub in_msgs: u64,
    /// Messages to it.
    pub out_msgs: u64,
    /// Bytes from it.
    pub in_bytes: u64,
    /// Bytes to it.
    pub out_bytes: u64,
    /// Subjects it is subscribed to.
    pub subjects: Vec<String>,
    /// The negotiated compression.
    pub compression: String,
    /// The key of the trusted proxy in between.
    pub proxy_key: String,
}

/// What is asked; the field names are those of `$SYS` requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LeafzOptions {
    subscriptions: bool,
    account: String,
}

impl LeafzOptions {
    /// The same of one account.
    pub(crate) fn of(self, account: &str) -> Self {
        Self { account: account.to_owned(), ..self }
    }

    pub(crate) fn from_query(query: &Query) -> Result<Self, Error> {
        Ok(Self { subscriptions: query.bool("subs")?, account: query.text("acc") })
    }
}

#[derive(Debug, Serialize)]
struct Line {
    id: u64,
    name: String,
    is_spoke: bool,
    #[serde(skip_serializing_if = "is_empty")]
    is_isolated: bool,
    account: String,
    ip: String,
    port: u16,
    rtt: String,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "is_empty")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    compression: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyKey>,
}

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Leafz {
    server_id: String,
    #[serde(serialize_with = "json::time")]
    now: Timestamp,
    leafnodes: usize,
    leafs: Vec<Line>,
}

/// Makes the document.
pub(crate) fn leafz(options: &LeafzOptions, source: &dyn Source, now: Now) -> Leafz {
    let leafs: Vec<Line> = source
        .leafs()
        .into_iter()
        .filter(|leaf| options.account.is_empty() || leaf.account == options.account)
        .map(|leaf| Line {
            id: leaf.id,
            name: leaf.name,
            is_spoke: leaf.is_spoke,
            is_isolated: leaf.is_isolated,
            account: leaf.account,
            ip: leaf.ip,
            port: leaf.port,
            rtt: json::rtt(leaf.rtt),
            in_msgs: leaf.in_msgs,
            out_msgs: leaf.out_msgs,
            in_bytes: leaf.in_bytes,
            out_bytes: leaf.out_bytes,
            subscriptions: leaf.subjects.len(),
            subscriptions_list: if options.subscriptions { leaf.subjects } else { Vec::new() },
            compression: leaf.compression,
            proxy: (!leaf.proxy_key.is_empty()).then_some(ProxyKey { key: leaf.proxy_key }),
        })
        .collect();
    Leafz { server_id: source.server_id(), now: now.wall, leafnodes: leafs.len(), leafs }
}
