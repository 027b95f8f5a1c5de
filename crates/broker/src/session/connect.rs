//! INFO and CONNECT.
//!
//! Reference: client.go processConnect.   Contract: CORE-013..020.

use super::{Phase, Session};
use crate::conn::flag;
use crate::worker::Worker;
use wire::connect::Connect;
use wire::error::{CloseReason, text};
use wire::info::Info;

impl Session {
    /// What INFO says to this connection.
    pub(super) fn info(&self, worker: &Worker) -> Info {
        let mut info = (*worker.broker.info()).clone();
        info.client_id = self.conn.id;
        info.client_ip = self.conn.peer.map_or_else(String::new, |peer| peer.ip().to_string());
        info.max_payload = self.limits.max_payload;
        info
    }

    pub(super) fn connect(&mut self, json: &[u8], worker: &mut Worker) {
        let mut connect = Connect::default();
        if let Err(error) = connect.update(json) {
            stdx::error!(worker.broker.log, "{} - {error}", self.conn.label());
            self.close(CloseReason::ProtocolViolation);
            return;
        }
        self.verbose = connect.verbose;
        self.pedantic = connect.pedantic;
        self.no_responders = connect.no_responders;
        self.protocol = connect.protocol;
        self.conn.set(flag::HEADERS, connect.headers && self.settings.headers);
        self.conn.set(flag::NO_ECHO, !connect.echo);
        if connect.new_account || !connect.account.is_empty() {
            self.send_error(text::AUTHORIZATION, worker);
            self.close(CloseReason::AuthenticationViolation);
            return;
        }
        if self.phase == Phase::Ready {
            // A second CONNECT may change the account: subscriptions made so far go (CORE-018).
            self.drop_subscriptions();
        }
        if !self.become_ready(worker) {
            return;
        }
        self.describe(&connect, worker);
        if !(0..=1).contains(&connect.protocol) {
            self.send_error(text::BAD_CLIENT_PROTOCOL, worker);
            self.close(CloseReason::BadClientProtocolVersion);
            return;
        }
        self.conn.set(flag::ASYNC_INFO, connect.protocol >= 1);
        if connect.no_responders && !self.headers() {
            self.send_error(text::NO_RESPONDERS_HEADERS, worker);
            self.close(CloseReason::NoRespondersRequiresHeaders);
            return;
        }
        if self.verbose {
            self.send_ok(worker);
        }
    }

    /// Enters the account, under its limits; `false` if it is full (CORE-035).
    pub(super) fn become_ready(&mut self, worker: &mut Worker) -> bool {
        self.phase = Phase::Ready;
        self.limits.max_payload = self.account.limits.payload(self.settings.max_payload);
        if !self.counted {
            self.counted = self.account.admit_client();
        }
        if !self.counted {
            let reason = CloseReason::MaxAccountConnectionsExceeded;
            self.refuse(text::MAX_ACCOUNT_CONNECTIONS, reason, worker);
        }
        self.counted
    }

    /// Writes down what the client says of itself, for the log and monitoring (CORE-053).
    fn describe(&self, connect: &Connect, worker: &Worker) {
        let mut client = String::new();
        if !connect.version.is_empty() {
            client = format!("v{}", connect.version);
        }
        for part in [&connect.lang, &connect.name] {
            if !part.is_empty() {
                if !client.is_empty() {
                    client.push(':');
                }
                client.push_str(part);
            }
        }
        let mut facts = self.conn.facts.lock();
        facts.rtt = Some(worker.now.mono.since(self.conn.start_mono));
        facts.name.clone_from(&connect.name);
        facts.lang.clone_from(&connect.lang);
        facts.version.clone_from(&connect.version);
        facts.account.clone_from(&self.account.name);
        facts.label.clear();
        if !client.is_empty() {
            facts.label = format!(" - {}", stdx::go_text::quote(client.as_bytes()));
        }
    }
}
