//! What one network thread owns and lends to the sessions it runs: caches, pools, scratch space.
//!
//! Law: never shared; everything here is reused, so the message path does not allocate.
//! Hot path.

use crate::account::Account;
use crate::account::latency::Samples;
use crate::broker::Broker;
use crate::conn::Conn;
use crate::dispatch::cache::MatchCache;
use crate::dispatch::queue::Lots;
use crate::outbox::{self, Chunk, Pool};
use crate::stats::Traffic;
use crate::sub::{Handle, Sub};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use stdx::time::{Mono, Now};
use subject::sublist::Matched;
use wire::error::CloseReason;

const STALL: Duration = Duration::from_millis(2);
const STALL_LONG: Duration = Duration::from_millis(5);
/// No deadline.
pub(crate) const NEVER: Mono = Mono(u64::MAX);

/// One network thread's context.
pub struct Worker {
    /// Index among the workers; selects its counters.
    pub id: usize,
    /// The server.
    pub broker: Arc<Broker>,
    /// The time of the event being handled.
    pub now: Now,
    pub(crate) cache: MatchCache,
    pub(crate) pool: Pool,
    pub(crate) touched: Vec<Arc<Conn>>,
    pub(crate) scratch: Matched<Handle>,
    pub(crate) prefix: Vec<u8>,
    pub(crate) sizes: Vec<u8>,
    /// Scratch for queue groups.
    pub(crate) lots: Lots,
    /// Several plain subscriptions get the current run.
    pub(crate) shares: bool,
    /// The current run as its last target got it, if others may get it too.
    pub(crate) encoded: Option<Arc<Vec<u8>>>,
    /// Scratch for the addresses of a result's connections.
    pub(crate) targets: Vec<usize>,
    pub(crate) run: Vec<crate::dispatch::RunMsg>,
    /// Finished runs, in the same order.
    pub(crate) waiting: Vec<crate::session::Waiting>,
    /// Subscriptions that had their last message, and the accounts they are in.
    pub(crate) expired: Vec<(Arc<Account>, Arc<Sub>)>,
    /// Of what the current dispatch delivered: what stayed inside the server, or was counted
    /// where it went.
    pub(crate) uncounted: Traffic,
    /// Scratch for subjects as importers see them.
    pub(crate) renamed: Vec<u8>,
    /// Scratch for mapped subjects: of the open run, and of the message at hand.
    pub(crate) mapped: [Vec<u8>; 2],
    /// When answers from other accounts are overdue.
    pub(crate) due: Mono,
    /// Latency samples of the whole server that wait for a flush.
    pub(crate) samples: Arc<Samples>,
    /// The deadline that was last asked about.
    pub(crate) waited_for: Mono,
    /// The last target found far behind during this read: its producer is held back (CORE-041).
    pub(crate) stalled_on: Option<Arc<Conn>>,
    /// The last target found a little behind during this read.
    pub(crate) ahead_of: Option<Arc<Conn>>,
    spare: VecDeque<Chunk>,
    /// Whether results are remembered (SUBJ-015).
    pub(crate) cache_matches: bool,
    random: u64,
    entropy: Entropy,
    /// Protocol lines go to the log (`-V`); looked up once per read.
    pub(crate) trace: bool,
}

/// Fills a buffer with unpredictable bytes.
pub type Entropy = fn(&mut [u8]);

impl Worker {
    /// A worker's context. `entropy` makes nonces and starts its random choices.
    pub fn new(id: usize, broker: Arc<Broker>, now: Now, entropy: Entropy) -> Self {
        let mut seed = [0; 8];
        entropy(&mut seed);
        let samples = broker.samples.clone();
        let cache_matches = !broker.settings().no_match_cache;
        Self {
            cache_matches,
            id,
            broker,
            now,
            cache: MatchCache::default(),
            pool: Pool::default(),
            touched: Vec::new(),
            scratch: Matched::default(),
            prefix: Vec::with_capacity(256),
            sizes: Vec::with_capacity(64),
            lots: Lots::default(),
            shares: false,
            encoded: None,
            targets: Vec::new(),
            run: Vec::new(),
            waiting: Vec::new(),
            expired: Vec::new(),
            uncounted: Traffic::default(),
            renamed: Vec::new(),
            mapped: [Vec::new(), Vec::new()],
            due: NEVER,
            samples,
            waited_for: NEVER,
            stalled_on: None,
            ahead_of: None,
            spare: VecDeque::new(),
            random: u64::from_le_bytes(seed) | 1,
            entropy,
            trace: false,
        }
    }

    /// Learns whether the log wants protocol lines: before what a read brought, and before what the
    /// server itself has to say.
    #[inline]
    pub(crate) fn look_at_the_log(&mut self) {
        self.trace = self.broker.log.trace_enabled();
    }

    /// Whether a flush has anything to do.
    #[inline]
    pub fn owes_flush(&self) -> bool {
        !self.touched.is_empty() || self.samples.any() || self.due <= self.now.mono
    }

    /// Writes out every outbox touched since the last call. Once per read, or per few small ones.
    pub fn flush_touched(&mut self) {
        if self.samples.any() || self.due <= self.now.mono {
            self.tend_services();
        }
        self.flush_early();
    }

    /// Writes out the outboxes touched so far, in the middle of a read.
    pub(crate) fn flush_early(&mut self) {
        // Taken out so that `self` can be lent; put back to keep its room.
        let mut touched = std::mem::take(&mut self.touched);
        for conn in touched.drain(..) {
            outbox::flush(&conn, &mut self.spare, &mut self.pool);
        }
        self.touched = touched;
    }

    /// Writes one connection's outbox as its owner.
    pub fn flush_owned(&mut self, conn: &Conn, sink: &Arc<dyn outbox::Sink>) -> outbox::Flushed {
        outbox::flush_owned(conn, sink, &mut self.spare, &mut self.pool)
    }

    /// Counts `n` bytes at the front of `writing` as written by a layer.
    pub fn written(&mut self, conn: &Conn, writing: &mut VecDeque<Chunk>, n: usize) {
        let held = conn.outbox.lock().note_written(n);
        held.into_iter().for_each(Waker::wake);
        outbox::advance(writing, n, &mut self.pool);
    }

    /// Sends protocol bytes to a connection; they leave with the next flush. Who asks more than it
    /// reads is a slow consumer of answers as others are of messages (CORE-040).
    pub fn send(&mut self, conn: &Arc<Conn>, bytes: &[u8]) {
        let mut out = conn.outbox.lock();
        if out.is_closed() {
            return;
        }
        out.push(bytes, &mut self.pool);
        let ended = out.over_limit() && out.close(CloseReason::SlowConsumerPendingBytes);
        let first = out.touch();
        drop(out);
        if first {
            self.touched.push(conn.clone());
        }
        if ended {
            self.broker.slow_consumer_of_answers(conn);
        }
    }

    /// Until when the producer just served is to be held back, because a target of its is far
    /// behind: 2 ms, or 5 ms if the target is at its limit (CORE-041).
    pub fn take_stall(&mut self) -> Option<Mono> {
        let target = self.stalled_on.take()?;
        let out = target.outbox.lock();
        if !out.stalls_producers() || out.is_closed() {
            return None;
        }
        let wait = if out.over_limit() { STALL_LONG } else { STALL };
        Some(self.now.mono + wait)
    }

    /// The peer that the producer just served, whose task `producer` wakes, is to wait for, until
    /// it has taken what it is owed.
    pub fn take_hold(&mut self, producer: &Waker) -> Option<Arc<Conn>> {
        let target = self.ahead_of.take()?;
        let held = target.outbox.lock().hold(producer);
        held.then_some(target)
    }

    /// Housekeeping, about once a minute: forget stale matches, give memory back.
    pub fn sweep(&mut self) {
        self.cache.sweep();
        self.pool.trim();
    }

    /// A nonce: 11 unpredictable bytes as 15 characters (AUTH-006).
    pub(crate) fn nonce(&self) -> String {
        let mut raw = [0; 11];
        (self.entropy)(&mut raw);
        data_encoding::BASE64URL_NOPAD.encode(&raw)
    }

    /// A pseudo-random number (xorshift64*).
    #[inline]
    pub(crate) fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
