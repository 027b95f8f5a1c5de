//! The wall of defaults: what an option is when nobody set it.
//!
//! Laws: options stay as they were set; these methods answer with the value in effect.
//! Reference: server/const.go; opts.go setBaselineOptions, getDefaultAuthTimeout, normalizeBasePath.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lang::unit::Nanos;
use crate::options::{
    Compression, CompressionError, CompressionMode, Options, RemoteLeaf, TlsOptions, WriteTimeout,
};

/// Default port for clients.
pub const CLIENT_PORT: i64 = 4222;
/// Port assumed for a leafnode URL without one.
pub const LEAFNODE_PORT: u16 = 7422;
/// Payloads above this size earn a warning at start.
pub const MAX_PAYLOAD_WARN: i64 = 8 * 1024 * 1024;

const TLS_TIMEOUT: f64 = 2.0;
const AUTH_TIMEOUT: f64 = 2.0;
const TWO_MINUTES: Nanos = Nanos::from_secs(120);

/// Feature flags this server knows, with their defaults (CLI-016).
pub const FEATURE_FLAGS: &[(&str, bool)] =
    &[("js_ack_fc_v2", false), ("js_raft_delete_range", false)];

fn positive(value: Option<i64>) -> Option<i64> {
    value.filter(|n| *n != 0)
}

fn time(value: Option<Nanos>, default: Nanos) -> Duration {
    value.filter(|nanos| *nanos != Nanos(0)).unwrap_or(default).to_std()
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX)
}

/// Handshake time of a `tls` block, in seconds.
fn tls_seconds(tls: Option<&TlsOptions>) -> f64 {
    tls.and_then(|tls| tls.timeout).filter(|t| *t != 0.0).unwrap_or(TLS_TIMEOUT)
}

/// Time to authenticate: as set, or two seconds, or one more than the TLS handshake has.
fn auth_time(set: Option<f64>, tls: Option<&TlsOptions>) -> Duration {
    let default = if tls.is_some() { tls_seconds(tls) + 1.0 } else { AUTH_TIMEOUT };
    seconds(set.filter(|t| *t != 0.0).unwrap_or(default))
}

/// Client listener and limits.
impl Options {
    /// Host for clients.
    pub fn client_host(&self) -> &str {
        self.client.listen.host_or_any()
    }

    /// Port for clients; 0 asks the system for one.
    pub fn client_port(&self) -> i64 {
        match self.client.listen.port_if_set() {
            None => CLIENT_PORT,
            Some(-1) => 0,
            Some(port) => port,
        }
    }

    /// Longest protocol line, bytes.
    pub fn max_control_line(&self) -> i64 {
        positive(self.limits.max_control_line).unwrap_or(4096)
    }

    /// Largest message, bytes.
    pub fn max_payload(&self) -> i64 {
        positive(self.limits.max_payload).unwrap_or(1024 * 1024)
    }

    /// Most bytes waiting for one client.
    pub fn max_pending(&self) -> i64 {
        positive(self.limits.max_pending).unwrap_or(64 * 1024 * 1024)
    }

    /// Most connections; not positive is unlimited.
    pub fn max_connections(&self) -> i64 {
        positive(self.limits.max_connections).unwrap_or(64 * 1024)
    }

    /// Most subscriptions per connection; 0 is unlimited.
    pub fn max_subscriptions(&self) -> i64 {
        self.limits.max_subscriptions.unwrap_or(0)
    }

    /// Closed connections remembered.
    pub fn max_closed_clients(&self) -> i64 {
        positive(self.limits.max_closed_clients).unwrap_or(10_000)
    }

    /// Time between pings.
    pub fn ping_interval(&self) -> Duration {
        time(self.limits.ping_interval, TWO_MINUTES)
    }

    /// Unanswered pings before a connection is stale.
    pub fn ping_max(&self) -> i64 {
        positive(self.limits.ping_max).unwrap_or(2)
    }

    /// Longest write.
    pub fn write_deadline(&self) -> Duration {
        time(self.limits.write_deadline, Nanos::from_secs(10))
    }

    /// What happens after it.
    pub fn write_timeout(&self) -> WriteTimeout {
        self.limits.write_timeout.unwrap_or_default()
    }

    /// How long lame duck mode takes.
    pub fn lame_duck_duration(&self) -> Duration {
        time(self.limits.lame_duck_duration, TWO_MINUTES)
    }

    /// How long it waits before it closes clients.
    pub fn lame_duck_grace_period(&self) -> Duration {
        time(self.limits.lame_duck_grace_period, Nanos::from_secs(10))
    }

    /// Every how many failures to connect one is logged.
    pub fn connect_error_reports(&self) -> i64 {
        positive(self.limits.connect_error_reports).unwrap_or(3600)
    }

    /// The same for failures to reconnect.
    pub fn reconnect_error_reports(&self) -> i64 {
        positive(self.limits.reconnect_error_reports).unwrap_or(1)
    }

    /// Time for the TLS handshake of a client.
    pub fn tls_timeout(&self) -> Duration {
        seconds(tls_seconds(self.tls.as_ref()))
    }

    /// Time for a client to authenticate.
    pub fn auth_timeout(&self) -> Duration {
        let set = self.authorization.as_ref().and_then(|auth| auth.timeout);
        auth_time(set, self.tls.as_ref())
    }
}

/// Log, monitoring, feature flags.
impl Options {
    /// Whether lines begin with the time.
    pub fn logtime(&self) -> bool {
        self.logging.logtime.unwrap_or(true)
    }

    /// Host of the monitoring endpoints.
    pub fn monitoring_host(&self) -> &str {
        match self.monitoring.host.as_deref() {
            None | Some("") => self.client_host(),
            Some(host) => host,
        }
    }

    /// `http_base_path`, with a slash in front, none behind, and without `.` and `..`.
    pub fn http_base_path(&self) -> String {
        let mut parts: Vec<&str> = Vec::new();
        for part in self.monitoring.base_path.as_deref().unwrap_or_default().split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        format!("/{}", parts.join("/"))
    }

    /// Known feature flags with the configuration's word over the default.
    pub fn effective_feature_flags(&self) -> BTreeMap<&'static str, bool> {
        FEATURE_FLAGS
            .iter()
            .map(|(name, default)| {
                (*name, self.feature_flags.get(*name).copied().unwrap_or(*default))
            })
            .collect()
    }

    /// What the log says of the feature flags the configuration sets: of those this server knows,
    /// and of the others.
    pub fn described_feature_flags(&self) -> (String, String) {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (name, on) in &self.feature_flags {
            let default = FEATURE_FLAGS.iter().find(|(flag, _)| flag == name);
            match default.map(|(_, default)| (*default, *on)) {
                None => unknown.push(name.clone()),
                Some((true, true)) => known.push(format!("{name} (enabled)")),
                Some((true, false)) => known.push(format!("{name} (opt-out)")),
                Some((false, true)) => known.push(format!("{name} (opt-in)")),
                Some((false, false)) => known.push(format!("{name} (disabled)")),
            }
        }
        if known.is_empty() {
            known.push("none".to_owned());
        }
        (known.join(", "), unknown.join(", "))
    }
}

/// Other servers.
impl Options {
    /// Time for a route to authenticate.
    pub fn cluster_auth_timeout(&self) -> Duration {
        let set = self.cluster.authorization.as_ref().and_then(|auth| auth.timeout);
        auth_time(set, self.cluster.tls.as_ref())
    }

    /// Connections per route; not positive disables pooling.
    pub fn cluster_pool_size(&self) -> i64 {
        positive(self.cluster.pool_size).unwrap_or(3)
    }

    /// Accounts with a route of their own; the system account has one unless pooling is off.
    pub fn cluster_pinned_accounts(&self) -> Vec<String> {
        let mut accounts = self.cluster.pinned_accounts.clone();
        if self.cluster_pool_size() > 0
            && let Some(system) = self.system_account()
            && !accounts.iter().any(|name| name == system)
        {
            accounts.push(system.into());
        }
        accounts
    }

    /// Compression of routes.
    pub fn cluster_compression(&self) -> Result<CompressionMode, CompressionError> {
        self.cluster.compression.normalized(CompressionMode::Fast, CompressionMode::Accept)
    }

    /// Time for a gateway to authenticate.
    pub fn gateway_auth_timeout(&self) -> Duration {
        let set = self.gateway.authorization.as_ref().and_then(|auth| auth.timeout);
        auth_time(set, self.gateway.tls.as_ref())
    }

    /// Time for a leafnode to authenticate.
    pub fn leafnode_auth_timeout(&self) -> Duration {
        let set = self.leafnode.authorization.as_ref().and_then(|auth| auth.timeout);
        auth_time(set, self.leafnode.tls.as_ref())
    }

    /// Time before a leafnode connects again.
    pub fn leafnode_reconnect_interval(&self) -> Duration {
        time(self.leafnode.reconnect_interval, Nanos::from_secs(1))
    }

    /// Compression of accepted leafnodes.
    pub fn leafnode_compression(&self) -> Result<CompressionMode, CompressionError> {
        leaf_compression(&self.leafnode.compression)
    }
}

impl RemoteLeaf {
    /// Compression of this connection.
    pub fn effective_compression(&self) -> Result<CompressionMode, CompressionError> {
        leaf_compression(&self.compression)
    }

    /// How long to wait for the first INFO.
    pub fn effective_first_info_timeout(&self) -> Duration {
        let set = self.first_info_timeout.filter(|timeout| *timeout > Nanos(0));
        time(set, Nanos::from_secs(1))
    }
}

fn leaf_compression(compression: &Compression) -> Result<CompressionMode, CompressionError> {
    let auto = CompressionMode::Auto(Compression::default_thresholds());
    compression.normalized(auto.clone(), auto)
}

/// JetStream.
impl Options {
    /// Time between syncs to disk.
    pub fn jetstream_sync_interval(&self) -> Duration {
        self.jetstream.sync_interval.unwrap_or(TWO_MINUTES).to_std()
    }

    /// Requests that may wait.
    pub fn jetstream_request_queue_limit(&self) -> i64 {
        self.jetstream.request_queue_limit.filter(|n| *n > 0).unwrap_or(10_000)
    }

    /// Info requests that may wait.
    pub fn jetstream_info_queue_limit(&self) -> i64 {
        let set = self.jetstream.info_queue_limit.filter(|n| *n > 0);
        set.unwrap_or_else(|| self.jetstream_request_queue_limit())
    }

    /// Disk operations at once.
    pub fn jetstream_max_concurrent_io(&self) -> i64 {
        self.jetstream.max_concurrent_io.unwrap_or(4096)
    }
}
