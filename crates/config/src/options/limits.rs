//! Sizes, counts and times that bound clients.

use super::reader::{Reader, text};
use crate::lang::Token;
use crate::lang::unit::{self, Nanos};

/// What happens to a connection whose write takes longer than its deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteTimeout {
    /// Clients are closed, other servers retried.
    #[default]
    Default,
    /// The connection is closed.
    Close,
    /// The write goes on.
    Retry,
}

/// The `max_*` family, pings, deadlines, lame duck mode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitOptions {
    /// `max_control_line`, bytes.
    pub max_control_line: Option<i64>,
    /// `max_payload`, bytes.
    pub max_payload: Option<i64>,
    /// `max_pending`, bytes.
    pub max_pending: Option<i64>,
    /// `max_connections`; 0 is stored as -1, which is unlimited.
    pub max_connections: Option<i64>,
    /// `max_subscriptions` per connection; 0 is unlimited.
    pub max_subscriptions: Option<i64>,
    /// `max_sub_tokens`, 1 to 255.
    pub max_sub_tokens: Option<u8>,
    /// `max_closed_clients` remembered for monitoring.
    pub max_closed_clients: Option<i64>,
    /// `ping_interval`.
    pub ping_interval: Option<Nanos>,
    /// `ping_max` unanswered pings.
    pub ping_max: Option<i64>,
    /// `write_deadline`.
    pub write_deadline: Option<Nanos>,
    /// `write_timeout`.
    pub write_timeout: Option<WriteTimeout>,
    /// `lame_duck_duration`, at least 30 s.
    pub lame_duck_duration: Option<Nanos>,
    /// `lame_duck_grace_period`, at least 0.
    pub lame_duck_grace_period: Option<Nanos>,
    /// `connect_error_reports`: every how many failures to connect one is logged.
    pub connect_error_reports: Option<i64>,
    /// `reconnect_error_reports`.
    pub reconnect_error_reports: Option<i64>,
}

impl LimitOptions {
    pub(super) const KEYS: &[&str] = &[
        "max_control_line",
        "max_payload",
        "max_pending",
        "max_connections",
        "max_conn",
        "max_subscriptions",
        "max_subs",
        "max_sub_tokens",
        "max_subscription_tokens",
        "max_closed_clients",
        "ping_interval",
        "ping_max",
        "write_deadline",
        "write_timeout",
        "lame_duck_duration",
        "lame_duck_grace_period",
        "connect_error_reports",
        "reconnect_error_reports",
    ];

    pub(super) fn read(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        match key {
            "max_control_line" => put_i32(key, token, r, &mut self.max_control_line),
            "max_payload" => put_i32(key, token, r, &mut self.max_payload),
            "max_pending" => r.put(token, &mut self.max_pending),
            "max_connections" | "max_conn" => {
                if let Some(n) = r.integer(token) {
                    self.max_connections = Some(if n == 0 { -1 } else { n });
                }
            }
            "max_subscriptions" | "max_subs" => r.put(token, &mut self.max_subscriptions),
            "max_sub_tokens" | "max_subscription_tokens" => self.sub_tokens(key, token, r),
            "max_closed_clients" => r.put(token, &mut self.max_closed_clients),
            "ping_interval" => r.put_duration(key, token, &mut self.ping_interval),
            "ping_max" => r.put(token, &mut self.ping_max),
            "write_deadline" => r.put_duration(key, token, &mut self.write_deadline),
            "write_timeout" => put_write_timeout(token, r, &mut self.write_timeout),
            "lame_duck_duration" => self.lame_duck_duration(token, r),
            "lame_duck_grace_period" => self.lame_duck_grace_period(token, r),
            "connect_error_reports" => r.put(token, &mut self.connect_error_reports),
            "reconnect_error_reports" => r.put(token, &mut self.reconnect_error_reports),
            _ => return false,
        }
        true
    }

    fn sub_tokens(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) {
        let Some(n) = r.integer(token) else { return };
        match u8::try_from(n) {
            // Compat(CONF-024): zero is refused with the same words as a negative number.
            Ok(0) => r.error(token, format!("{key} value can not be negative")),
            Ok(n) => self.max_sub_tokens = Some(n),
            Err(_) if n < 0 => r.error(token, format!("{key} value can not be negative")),
            Err(_) => r.error(token, format!("{key} value is too big")),
        }
    }

    fn lame_duck_duration(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Some(duration) = put_strict("lame_duck_duration", token, r) else { return };
        if duration < Nanos::from_secs(30) {
            let text = format!("invalid lame_duck_duration of {duration}, minimum is 30 seconds");
            return r.error(token, text);
        }
        self.lame_duck_duration = Some(duration);
    }

    fn lame_duck_grace_period(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Some(period) = put_strict("lame_duck_grace_period", token, r) else { return };
        if period < Nanos(0) {
            return r.error(token, "invalid lame_duck_grace_period, needs to be positive");
        }
        self.lame_duck_grace_period = Some(period);
    }
}

/// An integer that must fit 31 bits (CONF-024).
fn put_i32(key: &str, token: &Token, r: &mut Reader<'_>, slot: &mut Option<i64>) {
    match r.integer(token) {
        Some(n) if n > i64::from(i32::MAX) => {
            r.error(token, format!("{key} value is too big"));
        }
        Some(n) => *slot = Some(n),
        None => {}
    }
}

fn put_strict(field: &str, token: &Token, r: &mut Reader<'_>) -> Option<Nanos> {
    let spelled = r.string(token)?;
    match unit::duration(&spelled) {
        Ok(nanos) => Some(nanos),
        Err(e) => {
            r.error(token, format!("error parsing {field}: {e}"));
            None
        }
    }
}

/// `write_timeout`, here and in cluster, gateway and leafnodes.
pub(super) fn put_write_timeout(
    token: &Token,
    r: &mut Reader<'_>,
    slot: &mut Option<WriteTimeout>,
) {
    if r.string(token).is_none() {
        return;
    }
    match text(token).as_str() {
        "default" => *slot = Some(WriteTimeout::Default),
        "close" => *slot = Some(WriteTimeout::Close),
        "retry" => *slot = Some(WriteTimeout::Retry),
        _ => r.error(token, "write_timeout must be 'default', 'close' or 'retry'"),
    }
}
