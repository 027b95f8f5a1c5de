//! What the broker needs of the configuration; `node` translates, reload replaces it whole.

use std::time::Duration;

/// Limits and switches of client connections. Defaults are the reference's.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub max_control_line: usize,
    pub max_payload: i64,
    /// Bytes owed to a client before it is closed as slow; 0: no limit.
    pub max_pending: usize,
    /// Connections; `None`: no limit.
    pub max_connections: Option<u64>,
    /// Subscriptions per connection; 0: no limit.
    pub max_subscriptions: usize,
    /// Tokens per subscription; 0: no limit.
    pub max_sub_tokens: usize,
    pub ping_interval: Duration,
    pub ping_max: u32,
    pub write_deadline: Duration,
    /// A client that took something within the deadline is kept, however slow it is.
    pub write_retry: bool,
    /// Time a client has to authenticate.
    pub auth_timeout: Duration,
    pub no_fast_producer_stall: bool,
    pub headers: bool,
    /// Do not remember who wants a subject.
    pub no_match_cache: bool,
    pub max_closed_clients: usize,
    pub max_traced_msg_len: usize,
    pub trace_headers: bool,
    /// Trace the system account too.
    pub trace_verbose: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_control_line: 4096,
            max_payload: 1 << 20,
            max_pending: 64 << 20,
            max_connections: Some(65536),
            max_subscriptions: 0,
            max_sub_tokens: 0,
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            write_deadline: Duration::from_secs(10),
            write_retry: false,
            auth_timeout: Duration::from_secs(2),
            no_fast_producer_stall: false,
            headers: true,
            no_match_cache: false,
            max_closed_clients: 10_000,
            max_traced_msg_len: 0,
            trace_headers: false,
            trace_verbose: false,
        }
    }
}
