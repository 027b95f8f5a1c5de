//! What a handler has at hand while it answers: the server, the time, and a way to publish.
//!
//! Law: every message that names the server carries a number higher than the one before.

use super::System;
use super::queue::Task;
use super::service::OwnedRequest;
use crate::Node;
use broker::Worker;
use broker::account::Account;
use monitor::event::{ServerInfo, server_json};
use std::sync::Arc;
use std::time::Duration;
use stdx::time::{Mono, Now};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The state of the thread between items.
pub(super) struct State {
    pub(super) worker: Worker,
    pub(super) entropy: broker::worker::Entropy,
    /// The number of the last message that named the server.
    pub(super) seq: u64,
    /// Work for later.
    pub(super) timers: Vec<(Mono, Task)>,
}

/// What a handler has at hand.
pub struct Context<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) state: &'a mut State,
}

impl Context<'_> {
    /// The server.
    pub fn node(&self) -> &Arc<Node> {
        self.node
    }

    /// The system account's machinery.
    pub fn system(&self) -> &Arc<System> {
        self.node.system()
    }

    /// The time of the item at hand.
    pub fn now(&self) -> Now {
        self.state.worker.now
    }

    /// The server's own block of an event or answer, numbered and with the time.
    pub fn server_json(&mut self) -> String {
        self.state.seq += 1;
        let options = self.node.options();
        let info = self.node.broker.info();
        server_json(&ServerInfo {
            name: &info.server_name,
            host: &info.host,
            id: &info.server_id,
            cluster: &info.cluster,
            domain: &info.domain,
            version: crate::VERSION,
            tags: &options.server_tags,
            metadata: &options.server_metadata,
            feature_flags: options
                .effective_feature_flags()
                .into_iter()
                .map(|(name, on)| (name.to_owned(), on))
                .collect(),
            jetstream: info.jetstream,
            seq: self.state.seq,
            time: self.state.worker.now.wall,
        })
    }

    /// A new id for an event: 22 characters.
    pub fn event_id(&mut self) -> String {
        let mut id = String::with_capacity(22);
        let mut raw = [0; 32];
        while id.len() < 22 {
            (self.state.entropy)(&mut raw);
            // Those from 248 on would make some characters likelier.
            let fair = raw.iter().filter(|b| **b < 248);
            let digits = fair.filter_map(|b| BASE62.get(usize::from(b % 62)));
            id.extend(digits.take(22 - id.len()).map(|b| char::from(*b)));
        }
        id
    }

    /// Whether anybody but the server itself listens on `subject` of the system account.
    pub fn is_wanted(&self, subject: &[u8]) -> bool {
        self.system().is_wanted(subject)
    }

    /// Publishes in the system account; `false` if nobody got it or there is no such account.
    pub fn publish(&mut self, subject: &[u8], payload: &[u8]) -> bool {
        let account = self.system().account();
        account.is_some_and(|account| self.publish_in(&account, subject, None, b"", payload))
    }

    /// Publishes in any account; `false` if nobody got it.
    pub fn publish_in(
        &mut self,
        account: &Arc<Account>,
        subject: &[u8],
        reply: Option<&[u8]>,
        header: &[u8],
        payload: &[u8],
    ) -> bool {
        self.state.worker.publish(account, subject, reply, header, payload)
    }

    /// Answers a request with `payload` as it is; nothing if no answer is wanted.
    pub fn answer(&mut self, request: &OwnedRequest, payload: &[u8]) {
        self.answer_with(request, b"", payload);
    }

    /// Answers a request, with a header block.
    pub fn answer_with(&mut self, request: &OwnedRequest, header: &[u8], payload: &[u8]) {
        let reply = request.reply.as_deref().filter(|reply| !reply.is_empty());
        if let (Some(reply), Some(account)) = (reply, self.system().account()) {
            self.publish_in(&account, reply, None, header, payload);
        }
    }

    /// Runs `task` after `delay`.
    pub fn after(&mut self, delay: Duration, task: Task) {
        let due = self.now().mono + delay;
        self.state.timers.push((due, task));
    }
}
