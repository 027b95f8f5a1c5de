//! PING, PONG and connections that stopped answering.
//!
//! Reference: client.go processPingTimer.   Contract: CORE-020, CORE-036, CORE-037.

use super::{Phase, Session};
use crate::conn::flag;
use crate::settings::Settings;
use crate::worker::Worker;
use std::time::Duration;
use stdx::time::Mono;
use wire::encode;
use wire::error::{CloseReason, text};

/// The longest wait before the first PING to a client.
const FIRST: Duration = Duration::from_secs(2);
/// Round trips are measured anew after this long.
const RTT_EVERY: Duration = Duration::from_secs(3600);

/// What is known of a peer's being alive.
pub(super) struct Ping {
    due: Mono,
    unanswered: u32,
    heard: Mono,
    sent: Option<Mono>,
}

impl Ping {
    /// The state after accepting or CONNECT: the first PING comes soon, spread by up to a fifth.
    pub(super) fn first(settings: &Settings, worker: &mut Worker) -> Self {
        let now = worker.now.mono;
        let wait = settings.ping_interval.min(FIRST);
        let spread = wait.mul_f64((worker.random() >> 11) as f64 / (1u64 << 53) as f64 / 5.0);
        Self { due: now + wait + spread, unanswered: 0, heard: now, sent: None }
    }

    /// Bytes arrived.
    pub(super) fn heard(&mut self, now: Mono) {
        self.heard = now;
    }

    /// When `on_timer` has something to do.
    pub(super) fn due(&self) -> Mono {
        self.due
    }
}

impl Session {
    pub(super) fn on_ping(&mut self, worker: &mut Worker) {
        worker.send(&self.conn, encode::PONG);
        if worker.trace {
            self.trace_out("PONG", worker);
        }
        if !self.connect_received {
            return;
        }
        let first = !self.conn.has(flag::FIRST_PONG);
        if first && self.conn.has(flag::ASYNC_INFO) {
            let mut info = self.info(worker, false);
            info.connect_info = true;
            info.remote_account.clone_from(&self.account.name);
            info.acc_is_sys = self.account.is_system();
            worker.send(&self.conn, &info.line());
        }
        self.conn.set(flag::FIRST_PONG, true);
    }

    /// The first PING is due anew once CONNECT came.
    pub(super) fn restart_pings(&mut self, worker: &mut Worker) {
        self.ping = Ping::first(&self.settings, worker);
    }

    pub(super) fn on_pong(&mut self, worker: &mut Worker) {
        self.ping.unanswered = 0;
        if let Some(sent) = self.ping.sent {
            self.conn.facts.lock().rtt = Some(worker.now.mono.since(sent));
        }
    }

    /// A deadline of the session passed.
    pub fn on_timer(&mut self, worker: &mut Worker) {
        let now = worker.now.mono;
        if self.auth_deadline.is_some_and(|deadline| now >= deadline) && self.phase == Phase::New {
            self.auth_deadline = None;
            self.send_error(text::AUTHENTICATION_TIMEOUT, worker);
            self.close(CloseReason::AuthenticationTimeout);
            return;
        }
        if self.expires.is_some_and(|expires| now >= expires) {
            self.expires = None;
            self.send_error(text::USER_EXPIRED, worker);
            stdx::debug!(worker.broker.log, "{} - {}", self.conn.label(), text::USER_EXPIRED);
            self.close(CloseReason::AuthenticationExpired);
            return;
        }
        if self.phase == Phase::Closing || now < self.ping.due || self.auth_deadline.is_some() {
            return;
        }
        let interval = self.settings.ping_interval;
        self.ping.due = now + interval;
        let measure = self.ping.sent.is_none_or(|sent| now.since(sent) > RTT_EVERY);
        if now.since(self.ping.heard) < interval && !measure {
            return;
        }
        if self.ping.unanswered + 1 > self.settings.ping_max {
            stdx::debug!(
                worker.broker.log,
                "{} - Stale Client Connection - Closing",
                self.conn.label()
            );
            worker
                .broker
                .totals
                .stale_connections
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.send_error(text::STALE_CONNECTION, worker);
            self.close(CloseReason::StaleConnection);
            return;
        }
        self.ping.unanswered += 1;
        self.ping.sent = Some(now);
        if worker.broker.log.trace_enabled() {
            self.trace_out("PING", worker);
        }
        worker.send(&self.conn, encode::PING);
    }
}
