//! Batches that are under way, and what they may use.
//!
//! Not here: what their messages do (`batch_atomic.rs`, `batch_fast.rs`).
//! Laws: an open batch counts for the whole server until it is gone, however it went; one that
//!       nothing is heard of ends by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use jetstream_api::advisory::{Advisory, BatchAbandonReason, BatchAbandoned};
use jetstream_api::json;
use jetstream_api::subject::Event;
use stdx::time::{Mono, Now};
use store::disk::Disk;

use super::Stream;
use super::batch_atomic::Atomic;
use super::batch_fast::Fast;
use super::pub_ack::push_number;
use crate::consumer::nuid;
use crate::out::{Out, Outgoing};

/// Longest name of a batch, bytes.
pub(super) const MAX_ID: usize = 64;
/// Bytes of all atomic batches that may wait for their end.
const MAX_STAGED: usize = 1 << 30;

/// What the configuration says of batches; `None` for the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchLimits {
    /// Batches open at once in one stream.
    pub in_stream: Option<usize>,
    /// Batches open at once in the server.
    pub in_server: Option<usize>,
    /// Messages of one atomic batch.
    pub messages: Option<u64>,
    /// How long nothing may be heard of a batch.
    pub idle: Option<Duration>,
}

impl BatchLimits {
    pub(super) fn messages(&self) -> u64 {
        self.messages.unwrap_or(1000)
    }

    pub(super) fn deadline(&self, now: Now) -> Mono {
        now.mono + self.idle.unwrap_or(Duration::from_secs(10))
    }
}

/// How many batches the server has open.
#[derive(Debug, Default)]
pub struct OpenBatches {
    atomic: AtomicUsize,
    fast: AtomicUsize,
    staged: AtomicUsize,
}

/// The kinds of batches, which are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Atomic,
    Fast,
}

impl OpenBatches {
    fn count(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Atomic => &self.atomic,
            Kind::Fast => &self.fast,
        }
    }
}

/// One open batch in the server's count.
#[derive(Debug)]
pub(super) struct Slot {
    open: Arc<OpenBatches>,
    kind: Kind,
    staged: usize,
}

impl Slot {
    /// Counts a batch, if a stream that has `here` of its kind may have one more.
    pub(super) fn take(
        open: &Arc<OpenBatches>,
        kind: Kind,
        here: usize,
        limits: &BatchLimits,
    ) -> Option<Self> {
        let (in_stream, in_server) = match kind {
            Kind::Atomic => (50, 1000),
            Kind::Fast => (1000, 50_000),
        };
        if here >= limits.in_stream.unwrap_or(in_stream) {
            return None;
        }
        let slot = Self { open: open.clone(), kind, staged: 0 };
        let before = open.count(kind).fetch_add(1, Ordering::Relaxed);
        (before < limits.in_server.unwrap_or(in_server)).then_some(slot)
    }

    /// Counts bytes that wait. `false` if that is too much for the server.
    pub(super) fn stage(&mut self, bytes: usize) -> bool {
        self.staged += bytes;
        self.open.staged.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= MAX_STAGED
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.count(self.kind).fetch_sub(1, Ordering::Relaxed);
        self.open.staged.fetch_sub(self.staged, Ordering::Relaxed);
    }
}

/// A stream's open batches.
#[derive(Default)]
pub(super) struct Batches {
    pub(super) atomic: HashMap<Box<[u8]>, Atomic>,
    pub(super) fast: HashMap<Box<[u8]>, Fast>,
    /// No batch ends by itself before this.
    look: Option<Mono>,
}

impl Batches {
    /// Notes when a batch ends by itself.
    pub(super) fn expect(&mut self, deadline: Mono) {
        self.look = Some(self.look.map_or(deadline, |look| look.min(deadline)));
    }
}

impl<D: Disk> Stream<D> {
    /// The open batches.
    pub(super) fn batches(&mut self) -> &mut Batches {
        self.batches.get_or_insert_default()
    }

    /// When [`Self::expire_batches`] may have something to do.
    pub fn next_batch_expiry(&self) -> Option<Mono> {
        self.batches.as_ref().and_then(|batches| batches.look)
    }

    /// Ends batches that nothing was heard of for too long.
    pub fn expire_batches<O: Out>(&mut self, now: Now, out: &mut O) {
        let Some(batches) = &mut self.batches else { return };
        if batches.look.is_none_or(|look| look > now.mono) {
            return;
        }
        let overdue = batches.atomic.extract_if(|_, batch| batch.deadline <= now.mono);
        let mut overdue: Vec<_> = overdue.map(|(id, batch)| (batch.deadline, id)).collect();
        overdue.sort_unstable();
        batches.fast.retain(|_, batch| batch.deadline > now.mono);
        let atomic = batches.atomic.values().map(|batch| batch.deadline);
        batches.look = atomic.chain(batches.fast.values().map(|batch| batch.deadline)).min();
        if batches.look.is_none() {
            self.batches = None;
        }
        for (_, id) in overdue {
            self.advise_abandoned(&id, BatchAbandonReason::Timeout, now, out);
        }
    }

    /// Ends batches that the configuration does not allow any more.
    pub(super) fn drop_batches(&mut self) {
        if let Some(batches) = &mut self.batches {
            if !self.config.allow_atomic {
                batches.atomic.clear();
            }
            if !self.config.allow_batched {
                batches.fast.clear();
            }
        }
    }

    /// Tells that a batch was given up (ADV: stream_batch_abandoned).
    pub(super) fn advise_abandoned<O: Out>(
        &self,
        id: &[u8],
        reason: BatchAbandonReason,
        now: Now,
        out: &mut O,
    ) {
        let stream = self.config.name.as_str();
        let subject = Event::BatchAbandoned { stream }.subject();
        let subject = subject.as_bytes();
        let (here, system) = (out.has_interest(subject), out.has_system_interest(subject));
        if !here && !system {
            return;
        }
        let fact = BatchAbandoned {
            account: String::new(),
            stream: stream.to_owned(),
            domain: self.facts.domain.clone().unwrap_or_default(),
            batch: String::from_utf8_lossy(id).into_owned(),
            reason,
        };
        let mut advisory = Advisory { id: nuid(out), timestamp: now.wall, fact };
        if here {
            out.send(Outgoing::new(subject, b"", &json::to_json(&advisory)));
        }
        if system {
            // Operators are told whose stream it is.
            advisory.fact.account.clone_from(&self.facts.account);
            out.send_to_system(subject, &json::to_json(&advisory));
        }
    }

    /// The answer to the end of a batch.
    pub(super) fn batch_ack(&self, seq: u64, id: &[u8], count: u64, duplicate: bool) -> Vec<u8> {
        let mut body = self.ack_head.to_vec();
        push_number(&mut body, seq);
        if duplicate {
            body.extend_from_slice(b",\"duplicate\": true");
        }
        body.extend_from_slice(b",\"batch\":");
        body.extend_from_slice(stdx::go_text::quote(id).as_bytes());
        body.extend_from_slice(b",\"count\":");
        push_number(&mut body, count);
        body.push(b'}');
        body
    }
}
