//! Reports of traced messages on their way out: numbered and signed on the system account's thread,
//! as everything the server says of itself.
//!
//! Not here: what a report says (`broker::tracing`).
//! Laws: without a system account nothing is told; what waits is bounded, and what finds no room is
//!       lost, as a trace may be.
//! Reference: events.go sendInternalAccountSysMsg, internalSendLoop.   Contract: TRACE-003, TRACE-011.

use crate::system::{System, encoding};
use broker::tracing::{Herald, Report};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of reports that may wait.
const BYTES_MOST: usize = 32 << 20;

/// Hands reports over to the system account's thread.
pub(crate) struct Reports {
    system: Arc<System>,
    waiting: Arc<AtomicUsize>,
}

impl Reports {
    pub(crate) fn new(system: Arc<System>) -> Self {
        Self { system, waiting: Arc::default() }
    }
}

impl Herald for Reports {
    fn publish(&self, report: Report) {
        if self.system.account().is_none() {
            return;
        }
        let bytes = report.members.len() + report.accept.len() + report.dest.len();
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > BYTES_MOST {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return;
        }
        let waiting = self.waiting.clone();
        let posted = self.system.post(move |context| {
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            let Report { account, dest, accept, members } = report;
            let document = format!("{{\"server\":{},{members}}}", context.server_json());
            let (header, body) = encoding::packed_for(accept.as_bytes(), document.into_bytes());
            // Wire: the reference writes an empty reply here, which shows as two blanks.
            context.publish_in(&account, &dest, Some(b""), &header, &body);
        });
        if !posted {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}
