//! `/routez`: connections to the other servers of the cluster.
//!
//! Reference: monitor.go `Routez`, `RouteInfo`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stdx::go_text;
use stdx::time::{Now, Timestamp};

use super::subsz::{Owner, SubFacts, SubLine};
use crate::error::Error;
use crate::json::{self, is_empty};
use crate::query::Query;
use crate::source::Source;

/// Subjects a route may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SubjectPermission {
    /// Allowed.
    #[serde(skip_serializing_if = "is_empty")]
    pub allow: Vec<String>,
    /// Denied.
    #[serde(skip_serializing_if = "is_empty")]
    pub deny: Vec<String>,
}

/// One route connection.
#[derive(Clone, Debug, Default)]
pub struct RouteFacts {
    /// The connection id.
    pub rid: u64,
    /// The remote server's id.
    pub remote_id: String,
    /// The remote server's name.
    pub remote_name: String,
    /// Whether this side connected.
    pub did_solicit: bool,
    /// Whether it is in the configuration, as opposed to learned by gossip.
    pub is_configured: bool,
    /// The remote address.
    pub ip: String,
    /// The remote port.
    pub port: u16,
    /// When it was connected.
    pub start: Timestamp,
    /// When a message last passed.
    pub last_activity: Timestamp,
    /// The last measured round trip.
    pub rtt: Duration,
    /// What the remote imports, if restricted.
    pub import: Option<SubjectPermission>,
    /// What the remote exports, if restricted.
    pub export: Option<SubjectPermission>,
    /// Bytes queued for it.
    pub pending_bytes: u64,
    /// Messages from it.
    pub in_msgs: u64,
    /// Messages to it.
    pub out_msgs: u64,
    /// Bytes from it.
    pub in_bytes: u64,
    /// Bytes to it.
    pub out_bytes: u64,
    /// The remote's subscriptions on this connection.
    pub subs: Vec<SubFacts>,
    /// The account it is pinned to; empty for a pooled connection.
    pub account: String,
    /// The negotiated compression, `off` included.
    pub compression: String,
}

/// What is asked; the field names are those of `$SYS` requests.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RoutezOptions {
    subscriptions: bool,
    subscriptions_detail: bool,
}

impl RoutezOptions {
    pub(crate) fn from_query(query: &Query) -> Result<Self, Error> {
        let (subscriptions, subscriptions_detail) = query.subs()?;
        Ok(Self { subscriptions, subscriptions_detail })
    }
}

#[derive(Debug, Serialize)]
struct Line {
    rid: u64,
    remote_id: String,
    remote_name: String,
    did_solicit: bool,
    is_configured: bool,
    ip: String,
    port: u16,
    #[serde(serialize_with = "json::time")]
    start: Timestamp,
    #[serde(serialize_with = "json::time")]
    last_activity: Timestamp,
    rtt: String,
    uptime: String,
    idle: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<SubjectPermission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<SubjectPermission>,
    pending_size: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "is_empty")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list_detail: Vec<SubLine>,
    #[serde(skip_serializing_if = "is_empty")]
    account: String,
    #[serde(skip_serializing_if = "is_empty")]
    compression: String,
}

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Routez {
    server_id: String,
    server_name: String,
    #[serde(serialize_with = "json::time")]
    now: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<SubjectPermission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<SubjectPermission>,
    num_routes: usize,
    routes: Vec<Line>,
}

/// Makes the document.
pub(crate) fn routez(options: RoutezOptions, source: &dyn Source, now: Now) -> Routez {
    let (import, export) = source.route_permissions();
    let routes: Vec<Line> =
        source.routes().into_iter().map(|route| line(route, options, now)).collect();
    Routez {
        server_id: source.server_id(),
        server_name: source.server_name(),
        now: now.wall,
        import,
        export,
        num_routes: routes.len(),
        routes,
    }
}

fn line(route: RouteFacts, options: RoutezOptions, now: Now) -> Line {
    let since = |earlier: Timestamp| {
        let elapsed = now.wall.0.saturating_sub(earlier.0);
        go_text::uptime(Duration::from_nanos(u64::try_from(elapsed).unwrap_or(0)))
    };
    let mut line = Line {
        rid: route.rid,
        remote_id: route.remote_id,
        remote_name: route.remote_name,
        did_solicit: route.did_solicit,
        is_configured: route.is_configured,
        ip: route.ip,
        port: route.port,
        start: route.start,
        last_activity: route.last_activity,
        rtt: json::rtt(route.rtt),
        uptime: since(route.start),
        idle: since(route.last_activity),
        import: route.import,
        export: route.export,
        pending_size: route.pending_bytes,
        in_msgs: route.in_msgs,
        out_msgs: route.out_msgs,
        in_bytes: route.in_bytes,
        out_bytes: route.out_bytes,
        subscriptions: route.subs.len(),
        subscriptions_list: Vec::new(),
        subscriptions_list_detail: Vec::new(),
        account: route.account,
        compression: route.compression,
    };
    if options.subscriptions_detail {
        line.subscriptions_list_detail =
            route.subs.into_iter().map(|sub| SubLine::new(sub, Owner::Hidden)).collect();
    } else if options.subscriptions {
        line.subscriptions_list = route.subs.into_iter().map(|sub| sub.subject).collect();
    }
    line
}
