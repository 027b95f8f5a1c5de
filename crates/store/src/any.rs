//! One interface over both stores: what a stream engine calls.
//!
//! Laws: a caller cannot tell the stores apart except by durability and byte counts.

use std::collections::HashMap;

use stdx::time::Timestamp;

use crate::disk::Disk;
use crate::error::Result;
use crate::file::append::NewMessage;
use crate::file::{FileStore, Job, JobResult, Ticket};
use crate::filter::Filter;
use crate::mem::MemStore;
use crate::message::Message;
use crate::state::{ReplicatedState, SimpleState, State};

/// A stream's messages, wherever they are kept.
pub trait MessageStore {
    /// Stores a message at the next sequence; returns the sequence and what completes with it.
    fn append(&mut self, message: &NewMessage<'_>, now: Timestamp) -> Result<(u64, Ticket)>;
    /// Stores a message at a given sequence and time.
    fn append_at(
        &mut self,
        message: &NewMessage<'_>,
        seq: u64,
        ts: Timestamp,
        check_discard: bool,
    ) -> Result<Ticket>;
    /// Uses up sequences without storing anything.
    fn skip_many(&mut self, seq: u64, num: u64, now: Timestamp) -> Result<Ticket>;
    /// Loads by sequence.
    fn load(&mut self, seq: u64) -> Result<Message>;
    /// First match at or after a sequence.
    fn next(&mut self, filter: &Filter, from: u64) -> Result<Option<Message>>;
    /// Last match at or before a sequence.
    fn prev(&mut self, filter: &Filter, from: u64) -> Result<Option<Message>>;
    /// Number of matches from a sequence on.
    fn num_pending(&mut self, filter: &Filter, from: u64, last_per_subject: bool) -> Result<u64>;
    /// Number and bounds of matches from a sequence on.
    fn filtered_state(&mut self, filter: &Filter, from: u64) -> Result<SimpleState>;
    /// Last sequences of all subjects a filter selects.
    fn multi_last(&mut self, filter: &Filter, max_seq: u64, max_allowed: usize)
    -> Result<Vec<u64>>;
    /// Number of messages by subject.
    fn subjects_totals(&self, filter: &Filter) -> HashMap<Box<[u8]>, u64>;
    /// Sequence of the first message at or after a time.
    fn seq_at_time(&mut self, t: Timestamp) -> Result<u64>;
    /// Removes one message, overwriting its bytes if `erase`.
    fn remove(&mut self, seq: u64, erase: bool) -> Result<bool>;
    /// Removes the messages a filter selects, before a sequence, keeping the newest.
    fn purge(&mut self, filter: &Filter, seq: u64, keep: u64) -> Result<u64>;
    /// Removes everything before a sequence.
    fn compact(&mut self, seq: u64) -> Result<u64>;
    /// Removes everything after a sequence.
    fn truncate(&mut self, seq: u64) -> Result<()>;
    /// Totals and bounds.
    fn state(&self) -> State;
    /// Single deleted sequences.
    fn deleted_seqs(&self, limit: usize) -> Vec<u64>;
    /// The state replicas exchange.
    fn replicated_state(&self, failed: u64) -> ReplicatedState;
    /// Disk work to run on any threads, in any order; call it after changes and after each
    /// [`Self::complete`].
    fn take_jobs(&mut self) -> Result<Vec<Job>>;
    /// Takes the outcome of a job.
    fn complete(&mut self, result: JobResult) -> Result<()>;
    /// Changes up to this ticket survive the end of this process.
    fn written(&self) -> Ticket;
    /// Changes up to this ticket survive a power cut.
    fn durable(&self) -> Ticket;
}

impl<D: Disk> MessageStore for FileStore<D> {
    fn append(&mut self, message: &NewMessage<'_>, now: Timestamp) -> Result<(u64, Ticket)> {
        Self::append(self, message, now).map(|a| (a.seq, a.ticket))
    }
    fn append_at(
        &mut self,
        message: &NewMessage<'_>,
        seq: u64,
        ts: Timestamp,
        check_discard: bool,
    ) -> Result<Ticket> {
        Self::append_at(self, message, seq, ts, check_discard).map(|a| a.ticket)
    }
    fn skip_many(&mut self, seq: u64, num: u64, now: Timestamp) -> Result<Ticket> {
        Self::skip_many(self, seq, num, now)
    }
    fn load(&mut self, seq: u64) -> Result<Message> {
        Self::load(self, seq)
    }
    fn next(&mut self, filter: &Filter, from: u64) -> Result<Option<Message>> {
        Self::next(self, filter, from)
    }
    fn prev(&mut self, filter: &Filter, from: u64) -> Result<Option<Message>> {
        Self::prev(self, filter, from)
    }
    fn num_pending(&mut self, filter: &Filter, from: u64, last_per_subject: bool) -> Result<u64> {
        Self::num_pending(self, filter, from, last_per_subject)
    }
    fn filtered_state(&mut self, filter: &Filter, from: u64) -> Result<SimpleState> {
        Self::filtered_state(self, filter, from)
    }
    fn multi_last(
        &mut self,
        filter: &Filter,
        max_seq: u64,
        max_allowed: usize,
    ) -> Result<Vec<u64>> {
        Self::multi_last(self, filter, max_seq, max_allowed)
    }
    fn subjects_totals(&self, filter: &Filter) -> HashMap<Box<[u8]>, u64> {
        Self::subjects_totals(self, filter)
    }
    fn seq_at_time(&mut self, t: Timestamp) -> Result<u64> {
        Self::seq_at_time(self, t)
    }
    fn remove(&mut self, seq: u64, erase: bool) -> Result<bool> {
        if erase { self.erase(seq) } else { Self::remove(self, seq) }
    }
    fn purge(&mut self, filter: &Filter, seq: u64, keep: u64) -> Result<u64> {
        self.purge_filtered(filter, seq, keep)
    }
    fn compact(&mut self, seq: u64) -> Result<u64> {
        Self::compact(self, seq)
    }
    fn truncate(&mut self, seq: u64) -> Result<()> {
        Self::truncate(self, seq)
    }
    fn state(&self) -> State {
        Self::state(self)
    }
    fn deleted_seqs(&self, limit: usize) -> Vec<u64> {
        Self::deleted_seqs(self, limit)
    }
    fn replicated_state(&self, failed: u64) -> ReplicatedState {
        Self::replicated_state(self, failed)
    }
    fn take_jobs(&mut self) -> Result<Vec<Job>> {
        Self::take_jobs(self)
    }
    fn complete(&mut self, result: JobResult) -> Result<()> {
        Self::complete(self, result)
    }
    fn written(&self) -> Ticket {
        Self::written(self)
    }
    fn durable(&self) -> Ticket {
        Self::durable(self)
    }
}

impl MessageStore for MemStore {
    fn append(&mut self, message: &NewMessage<'_>, now: Timestamp) -> Result<(u64, Ticket)> {
        Self::append(self, message, now).map(|seq| (seq, Ticket(0)))
    }
    fn append_at(
        &mut self,
        message: &NewMessage<'_>,
        seq: u64,
        ts: Timestamp,
        check_discard: bool,
    ) -> Result<Ticket> {
        Self::append_at(self, message, seq, ts, check_discard).map(|_| Ticket(0))
    }
    fn skip_many(&mut self, seq: u64, num: u64, now: Timestamp) -> Result<Ticket> {
        Self::skip_many(self, seq, num, now).map(|_| Ticket(0))
    }
    fn load(&mut self, seq: u64) -> Result<Message> {
        Self::load(self, seq)
    }
    fn next(&mut self, filter: &Filter, from: u64) -> Result<Option<Message>> {
        Ok(Self::next(self, filter, from))
    }
    fn prev(&mut self, filter: &Filter, from: u64) -> Result<Option<Message>> {
        Ok(Self::prev(self, filter, from))
    }
    fn num_pending(&mut self, filter: &Filter, from: u64, last_per_subject: bool) -> Result<u64> {
        Ok(Self::num_pending(self, filter, from, last_per_subject))
    }
    fn filtered_state(&mut self, filter: &Filter, from: u64) -> Result<SimpleState> {
        Ok(Self::filtered_state(self, filter, from))
    }
    fn multi_last(
        &mut self,
        filter: &Filter,
        max_seq: u64,
        max_allowed: usize,
    ) -> Result<Vec<u64>> {
        Self::multi_last(self, filter, max_seq, max_allowed)
    }
    fn subjects_totals(&self, filter: &Filter) -> HashMap<Box<[u8]>, u64> {
        Self::subjects_totals(self, filter)
    }
    fn seq_at_time(&mut self, t: Timestamp) -> Result<u64> {
        Ok(Self::seq_at_time(self, t))
    }
    fn remove(&mut self, seq: u64, _: bool) -> Result<bool> {
        Self::remove(self, seq)
    }
    fn purge(&mut self, filter: &Filter, seq: u64, keep: u64) -> Result<u64> {
        Ok(self.purge_filtered(filter, seq, keep))
    }
    fn compact(&mut self, seq: u64) -> Result<u64> {
        Ok(Self::compact(self, seq))
    }
    fn truncate(&mut self, seq: u64) -> Result<()> {
        Self::truncate(self, seq)
    }
    fn state(&self) -> State {
        Self::state(self)
    }
    fn deleted_seqs(&self, limit: usize) -> Vec<u64> {
        Self::deleted_seqs(self, limit)
    }
    fn replicated_state(&self, failed: u64) -> ReplicatedState {
        Self::replicated_state(self, failed)
    }
    fn take_jobs(&mut self) -> Result<Vec<Job>> {
        Ok(Vec::new())
    }
    fn complete(&mut self, _: JobResult) -> Result<()> {
        Ok(())
    }
    fn written(&self) -> Ticket {
        Ticket(0)
    }
    fn durable(&self) -> Ticket {
        Ticket(0)
    }
}
