//! Where the facts come from: the one trait a server implements to be watched.
//!
//! Not here: how facts become documents (`documents`), which server implements this (`node`).
//! Laws: no method may block on a peer or a disk; visitors are called without a lock that the
//! hot path needs for longer than one item.

use std::ops::Range;
use std::sync::Arc;

use stdx::log::Log;

use crate::counts::RequestCounts;
use crate::documents::account::{AccountFacts, AccountStat};
use crate::documents::connz::{ClosedConnFacts, ConnCounts, ConnFacts};
use crate::documents::expvar::ExpvarFacts;
use crate::documents::gatewayz::GatewayFacts;
use crate::documents::healthz::{JetStreamHealth, ListenerFault};
use crate::documents::jsz::JetStreamFacts;
use crate::documents::leafz::LeafFacts;
use crate::documents::queuez::QueueFacts;
use crate::documents::routez::{RouteFacts, SubjectPermission};
use crate::documents::subsz::{SubFacts, SublistFacts};
use crate::documents::varz::{ProcessFacts, Varz};

/// Facts about one running server. Methods with a body describe a server without that feature.
pub trait Source {
    /// The server's id (56 characters, `N…`).
    fn server_id(&self) -> String;

    /// The server's name; its id when none is configured.
    fn server_name(&self) -> String;

    /// Where refused health checks are reported.
    fn log(&self) -> &Log;

    /// HTTP request counts, kept for the life of the server.
    fn request_counts(&self) -> &RequestCounts;

    /// Everything of `/varz` except what the others give: `now`, `uptime`, the process, and
    /// `http_req_stats` are filled in by this crate.
    fn varz(&self) -> Varz;

    /// CPU, memory and cores of the process.
    fn process(&self) -> ProcessFacts;

    /// Arguments and memory for `/debug/vars`; secrets in the arguments are already redacted
    /// (Compat CLI-007).
    fn expvar(&self) -> ExpvarFacts;

    /// A dump of what the threads do; free text.
    fn stacks(&self) -> String;

    /// How many connections are open and closed, of `account` or of all; `None` if the account
    /// does not exist. Clients and leafnodes count, other servers do not.
    fn connection_counts(&self, account: Option<&str>) -> Option<ConnCounts>;

    /// Calls `visit` for each open client and leafnode, of `account` or of all, in any order.
    fn visit_connections(&self, account: Option<&str>, visit: &mut dyn FnMut(ConnFacts));

    /// One open connection (client or leafnode), or `None` once it is gone.
    fn connection(&self, cid: u64) -> Option<ConnFacts>;

    /// The subscriptions of one open connection; empty once it is gone.
    fn connection_subs(&self, cid: u64) -> Vec<SubFacts>;

    /// The last closed connections, oldest first; the ring's size is `max_closed_clients`.
    fn closed_connections(&self) -> Vec<Arc<ClosedConnFacts>>;

    /// The subscriptions one of them had, with their account, as far as they are remembered.
    fn closed_connection_subs(&self, cid: u64) -> Vec<SubFacts>;

    /// Counters of the interest index of every account, or of `account` only.
    fn sublists(&self, account: Option<&str>) -> Vec<SublistFacts>;

    /// The local subscriptions, of `account` or of all, that a message on `test` would reach (all of
    /// them for `None`): how many there are, and those on the page, in an order that holds as long
    /// as none comes or goes. There may be millions: only those on the page may be described.
    fn find_subs(
        &self,
        account: Option<&str>,
        test: Option<&str>,
        page: Range<u64>,
    ) -> (u64, Vec<SubFacts>);

    /// The system account's name, if there is one.
    fn system_account(&self) -> Option<String>;

    /// The names of all accounts, in any order.
    fn account_names(&self) -> Vec<String>;

    /// One account in detail, or `None` if there is no such account.
    fn account(&self, name: &str) -> Option<AccountFacts>;

    /// Traffic of one account, or `None` if there is no such account.
    fn account_stat(&self, name: &str) -> Option<AccountStat>;

    /// Listeners that are configured but not accepting; empty when the server is ready.
    fn listener_faults(&self) -> Vec<ListenerFault>;

    /// Whether `/metrics` is served.
    fn metrics_enabled(&self) -> bool {
        true
    }

    /// Internal queues for `/ipqueuesz`, by name.
    fn queues(&self) -> Vec<QueueFacts>;

    /// JetStream, as far as `options` ask about it; `None` if it is off.
    fn jetstream(&self, _options: &crate::JszOptions) -> Option<JetStreamFacts> {
        None
    }

    /// What the health check finds in JetStream.
    fn jetstream_health(&self, _options: &crate::HealthzOptions) -> JetStreamHealth {
        JetStreamHealth::Off
    }

    /// The cluster's import and export permissions, if configured.
    fn route_permissions(&self) -> (Option<SubjectPermission>, Option<SubjectPermission>) {
        (None, None)
    }

    /// Connected routes, one per pooled connection.
    fn routes(&self) -> Vec<RouteFacts> {
        Vec::new()
    }

    /// This server's gateway, if it is part of a super-cluster.
    fn gateway(&self) -> Option<GatewayFacts> {
        None
    }

    /// Connected leafnodes.
    fn leafs(&self) -> Vec<LeafFacts> {
        Vec::new()
    }
}
