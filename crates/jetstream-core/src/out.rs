//! What a machine may ask of the world while it handles one event.
//!
//! Laws: calls take effect in their order; nothing here blocks.

use std::sync::Arc;

use bytes::Bytes;

use crate::stream::{BatchLimits, OpenBatches};

/// A message on its way to the account's subscribers.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Whose interest decides who gets it.
    pub to: &'a [u8],
    /// The subject its receivers see.
    pub subject: &'a [u8],
    /// The reply subject they see.
    pub reply: Option<&'a [u8]>,
    /// Header block with its blank line, or empty.
    pub header: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
    /// Bytes that hold header and payload one after the other, so that large ones need no copy.
    pub shared: Option<&'a Bytes>,
}

impl<'a> Outgoing<'a> {
    /// A message whose receivers see the subject it is sent to.
    pub fn new(subject: &'a [u8], header: &'a [u8], payload: &'a [u8]) -> Self {
        Self { to: subject, subject, reply: None, header, payload, shared: None }
    }
}

/// The world around a machine; a shard in production, a recorder in tests.
pub trait Out {
    /// Answers a request once everything stored so far is as safe as configured.
    fn answer(&mut self, reply: &[u8], body: &[u8]) {
        self.send(Outgoing::new(reply, b"", body));
    }
    /// Answers with what does not depend on what was stored: a refusal, an acknowledgement.
    fn tell(&mut self, reply: &[u8], body: &[u8]) {
        self.answer(reply, body);
    }
    /// Sends a header alone, once everything stored so far is as safe as configured; not at all if
    /// that fails.
    fn confirm(&mut self, to: &[u8], header: &[u8]) {
        self.send(Outgoing::new(to, header, b""));
    }
    /// A buffer to write something in.
    fn scratch(&mut self) -> Vec<u8> {
        Vec::new()
    }
    /// Takes the buffer back, for the next one.
    fn give_back(&mut self, _buffer: Vec<u8>) {}
    /// Sends inside the stream's account. `false` if nobody got it.
    fn send(&mut self, message: Outgoing<'_>) -> bool;
    /// Whether somebody subscribes to `subject` in the system account now.
    fn has_system_interest(&mut self, _subject: &[u8]) -> bool {
        false
    }
    /// Sends inside the system account.
    fn send_to_system(&mut self, _subject: &[u8], _payload: &[u8]) {}
    /// Whether somebody subscribes to `subject` (literal) now.
    fn has_interest(&mut self, subject: &[u8]) -> bool;
    /// Whether somebody subscribes to `subject` itself, in queue group `group` if one is named: only
    /// such a subscription makes a push consumer active.
    fn has_subscriber(&mut self, subject: &[u8], _group: &[u8]) -> bool {
        self.has_interest(subject)
    }
    /// An unpredictable number, for identifiers.
    fn random(&mut self) -> u64;
    /// The server's log.
    fn log(&self) -> &stdx::log::Log;
}

/// What of its surroundings a machine has to know.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The account's name.
    pub account: String,
    /// Its hash, for ack subjects of version 2.
    pub account_hash: String,
    /// The domain, if one is configured.
    pub domain: Option<String>,
    /// This server's name, id and version, for advisories and cluster info.
    pub server_name: String,
    /// The server's public key.
    pub server_id: String,
    /// Ack subjects of version 2 are emitted (feature flag `js_ack_fc_v2`).
    pub ack_v2: bool,
    /// The largest message a client may send, bytes; `None` if that does not matter.
    pub max_payload: Option<usize>,
    /// What batches may use.
    pub batches: BatchLimits,
    /// The batches that the whole server has open.
    pub open_batches: Arc<OpenBatches>,
}
