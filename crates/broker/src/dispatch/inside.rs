//! Messages that parts of the server itself publish: acknowledgements, deliveries, advisories.
//!
//! Laws: they pass no permissions (their makers decide who may get what), and everything else
//!       as any message does: imports, queue groups, limits of the receivers.
//! Hot path.

use super::{Run, RunMsg, Shown};
use crate::account::Account;
use crate::stats::Traffic;
use crate::worker::Worker;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// A message made inside the server.
#[derive(Clone, Debug)]
pub struct Inside<'a> {
    /// Whose interest decides who gets it.
    pub to: &'a [u8],
    /// The subject its receivers see, if not `to`.
    pub shown: Option<&'a [u8]>,
    /// The reply subject they see.
    pub reply: Option<&'a [u8]>,
    /// Bytes that hold the message.
    pub data: &'a Bytes,
    /// Where in them its header block and payload lie, one after the other.
    pub body: Range<usize>,
    /// Length of the header block; 0 if it has none.
    pub header_len: usize,
}

impl Worker {
    /// Delivers a message inside `account`; it leaves with the next [`Self::flush_touched`].
    /// `false` if nobody got it.
    pub fn publish_inside(&mut self, account: &Arc<Account>, message: &Inside<'_>) -> bool {
        self.look_at_the_log();
        // Messages are bounded by `max_payload`, records by 32 MiB.
        let body = message.body.start as u32..message.body.end as u32;
        let msg = RunMsg::part(body, message.header_len as u32);
        let shown = Shown { subject: message.shown, reply: message.reply };
        let run = Run {
            data: message.data,
            subject: message.to,
            msgs: std::slice::from_ref(&msg),
            whole: None,
            origin: None,
            via: None,
            inside: Some(&shown),
            trace: None,
        };
        let got = self.dispatch(account, &run);
        let sent = self.counted(got);
        account.counters.add(self.id, Traffic::default(), sent);
        self.broker.counters.add(self.id, Traffic::default(), sent);
        got.msgs > 0
    }
}
