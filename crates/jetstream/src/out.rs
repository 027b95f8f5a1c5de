//! A shard's side of what its machines ask for.
//!
//! Hot path.

use std::sync::Arc;

use broker::Worker;
use broker::account::Account;
use broker::dispatch::Inside;
use bytes::Bytes;
use jetstream_core::{Out, Outgoing};
use stdx::log::Log;

use crate::answers::Answers;
use crate::random::Random;

/// What a shard lends its machines, one after the other.
pub(crate) struct Lent {
    pub(crate) worker: Worker,
    pub(crate) answers: Answers,
    pub(crate) scratch: Vec<u8>,
    pub(crate) random: Random,
}

impl Lent {
    /// What the machines of this stream are lent while they handle one event.
    pub(crate) fn out<'a>(&'a mut self, stream: u32, account: &'a Arc<Account>) -> ShardOut<'a> {
        ShardOut { lent: self, account, stream }
    }
}

/// What a machine is lent while it handles one event.
pub(crate) struct ShardOut<'a> {
    pub(crate) lent: &'a mut Lent,
    account: &'a Arc<Account>,
    stream: u32,
}

impl Out for ShardOut<'_> {
    fn send(&mut self, m: Outgoing<'_>) -> bool {
        let header_len = m.header.len();
        let own;
        let data = match m.shared {
            Some(shared) => shared,
            None => {
                let mut both = Vec::with_capacity(header_len + m.payload.len());
                both.extend_from_slice(m.header);
                both.extend_from_slice(m.payload);
                own = Bytes::from(both);
                &own
            }
        };
        let inside = Inside {
            to: m.to,
            shown: (m.subject != m.to).then_some(m.subject),
            reply: m.reply,
            data,
            body: 0..data.len(),
            header_len,
        };
        self.lent.worker.publish_inside(self.account, &inside)
    }

    fn answer(&mut self, reply: &[u8], body: &[u8]) {
        self.lent.answers.push(self.stream, reply, body);
    }

    fn tell(&mut self, reply: &[u8], body: &[u8]) {
        self.lent.answers.push_told(self.stream, reply, body);
    }

    fn confirm(&mut self, to: &[u8], header: &[u8]) {
        self.lent.answers.push_header(self.stream, to, header);
    }

    fn scratch(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.lent.scratch)
    }

    fn give_back(&mut self, buffer: Vec<u8>) {
        self.lent.scratch = buffer;
    }

    fn has_interest(&mut self, subject: &[u8]) -> bool {
        self.account.is_wanted(subject)
    }

    fn has_system_interest(&mut self, subject: &[u8]) -> bool {
        let system = self.lent.worker.broker.system_account();
        // The system account's own streams tell there anyway.
        system
            .is_some_and(|system| !Arc::ptr_eq(&system, self.account) && system.is_wanted(subject))
    }

    fn send_to_system(&mut self, subject: &[u8], payload: &[u8]) {
        if let Some(system) = self.lent.worker.broker.system_account() {
            self.lent.worker.publish(&system, subject, None, b"", payload);
        }
    }

    fn has_subscriber(&mut self, subject: &[u8], group: &[u8]) -> bool {
        self.account.is_subscribed(subject, group)
    }

    fn random(&mut self) -> u64 {
        self.lent.random.next()
    }

    fn log(&self) -> &Log {
        &self.lent.worker.broker.log
    }
}
