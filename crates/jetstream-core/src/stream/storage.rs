//! Where a stream's messages are: in files or in memory, told apart here and nowhere else.
//!
//! Laws: a caller cannot tell the two apart except by durability and byte counts.

use std::collections::BTreeMap;

use stdx::time::Timestamp;
use store::disk::Disk;
use store::{
    ColdRead, Due, Error, Expired, Fetched, FileStore, Filter, Job, JobResult, Lost, MemStore,
    Message, MessageStore, NewMessage, Removed, ReplicatedState, Result, Settings, SimpleState,
    State, Ticket,
};

/// A stream's messages.
pub enum Storage<D: Disk> {
    /// In block files.
    File(Box<FileStore<D>>),
    /// In memory.
    Memory(Box<MemStore>),
}

macro_rules! either {
    ($self:expr, $store:pat => $file:expr, $other:pat => $memory:expr) => {
        match $self {
            Self::File($store) => $file,
            Self::Memory($other) => $memory,
        }
    };
}

impl<D: Disk> Storage<D> {
    /// Whether it survives the process.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Uses up the next sequence without storing anything; the last time moves with it.
    pub fn skip_touching(&mut self, now: Timestamp) -> Result<u64> {
        either!(self, s => s.skip(0, now, true).map(|a| a.seq), s => s.skip_touching(now))
    }

    /// From now on changes are queued, and jobs are handed out for them.
    pub fn hand_out_jobs(&mut self) {
        either!(self, s => s.hand_out_jobs(), _s => ());
    }

    /// From now on questions end in [`Error::Cold`] where they would wait for the disk, or no
    /// longer.
    pub fn defer_reads(&mut self, on: bool) {
        either!(self, s => s.defer_reads(on), _s => ());
    }

    /// The read that the last question wanted.
    pub fn take_cold(&mut self) -> Option<ColdRead<D>> {
        either!(self, s => s.take_cold(), _s => None)
    }

    /// Takes what was read; whoever wanted it asks again.
    pub fn complete_read(&mut self, fetched: Fetched<D>) {
        either!(self, s => s.complete_read(fetched), _s => ());
    }

    /// Whoever wanted what came back has asked again.
    pub fn forget_read(&mut self) {
        either!(self, s => s.forget_read(), _s => ());
    }

    /// Whether something is queued that nobody carries out yet.
    pub fn has_jobs(&self) -> bool {
        either!(self, s => s.has_jobs(), _s => false)
    }

    /// Whether questions about subjects are answered from memory.
    pub fn is_at_hand(&self) -> bool {
        either!(self, s => s.is_at_hand(), _s => true)
    }

    /// Whether a job that was handed out is not completed yet.
    pub fn is_under_way(&self) -> bool {
        either!(self, s => s.is_under_way(), _s => false)
    }

    /// The ticket of the last change.
    pub fn ticket(&self) -> Ticket {
        either!(self, s => s.ticket(), _s => Ticket(0))
    }

    /// Bytes that a crash now would have to read, as no index knows of them.
    pub fn unindexed(&self) -> u64 {
        either!(self, s => s.unindexed(), _s => 0)
    }

    /// The parts that making an index copies, at most.
    pub fn picture_size(&self) -> u64 {
        either!(self, s => s.picture_size(), _s => 0)
    }

    /// Whether a block that went took the last index along.
    pub fn has_lost_index(&self) -> bool {
        either!(self, s => s.has_lost_index(), _s => false)
    }

    /// Whether nothing on the disk would tell of a last block that goes.
    pub fn is_unlisted(&self) -> bool {
        either!(self, s => s.is_unlisted(), _s => false)
    }

    /// Writes an index, so that a later crash has less to read.
    pub fn checkpoint(&mut self) -> Result<()> {
        either!(self, s => s.checkpoint(), _s => Ok(()))
    }

    /// Whether the disk has no room for it.
    pub fn is_full(&self) -> bool {
        either!(self, s => s.is_full(), _s => false)
    }

    /// Whether it can make room on a full disk.
    pub fn can_make_room(&self) -> bool {
        either!(self, s => s.can_make_room(), _s => false)
    }

    /// Whether there is room to note the removal of a message.
    pub fn check_remove(&self) -> Result<()> {
        either!(self, s => s.check_remove(), _s => Ok(()))
    }

    /// Whether there is room for a purge, or it makes some.
    pub fn check_purge(&self, filter: &Filter, seq: u64, keep: u64) -> Result<()> {
        either!(self, s => s.check_purge(filter, seq, keep), _s => Ok(()))
    }

    /// Whether there is room for new settings, or they make some.
    pub fn check_update(&self, settings: &Settings, now: Timestamp) -> Result<()> {
        either!(self, s => s.check_update(settings, now), _s => Ok(()))
    }

    /// Has a block rewritten of which most is gone, if there is one.
    pub fn maintain(&mut self) -> Result<()> {
        either!(self, s => s.maintain().map(|_| ()), _s => Ok(()))
    }

    /// Gives back what an idle store can do without.
    pub fn rest(&mut self) {
        either!(self, s => s.rest(), _s => ());
    }

    /// Closes files, which are opened again at need.
    pub fn close_files(&mut self) {
        either!(self, s => s.close_files(), _s => ());
    }

    /// Whether it has files open.
    pub fn holds_files(&self) -> bool {
        either!(self, s => s.holds_files(), _s => false)
    }

    /// Puts new settings in force.
    pub fn update(&mut self, settings: Settings, now: Timestamp) -> Result<()> {
        either!(self, s => s.update(settings, now), s => {
            s.update(settings, now);
            Ok(())
        })
    }

    /// Replaces the configuration document.
    pub fn write_meta(&mut self, text: &[u8]) -> Result<()> {
        either!(self, s => s.write_meta(text), _s => Ok(()))
    }

    /// Removes what expired; with delete markers, returns it instead.
    pub fn expire(&mut self, now: Timestamp) -> Result<Vec<Expired>> {
        either!(self, s => s.expire(now), s => Ok(s.expire(now)))
    }

    /// Forgets an expiry that was carried out.
    pub fn expired(&mut self, seq: u64, subject: &[u8]) {
        either!(self, s => s.expired(seq, subject), s => s.expired(seq, subject));
    }

    /// When something expires next.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        either!(self, s => s.next_expiry(), s => s.next_expiry())
    }

    /// Schedules that are due.
    pub fn due_schedules(&mut self, now: Timestamp) -> Vec<Due> {
        either!(self, s => s.due_schedules(now), s => s.due_schedules(now))
    }

    /// When a schedule fires next.
    pub fn next_schedule(&self) -> Option<Timestamp> {
        either!(self, s => s.next_schedule(), s => s.next_schedule())
    }

    /// Moves a schedule.
    pub fn reschedule(&mut self, subject: &[u8], at: Timestamp) {
        either!(self, s => s.reschedule(subject, at), s => s.reschedule(subject, at));
    }

    /// Ends a schedule.
    pub fn unschedule(&mut self, seq: u64) {
        either!(self, s => s.unschedule(seq), s => s.unschedule(seq));
    }

    /// Messages whose headers must be read again for their schedules.
    pub fn unscheduled(&mut self) -> Result<Vec<Message>> {
        either!(self, s => s.unscheduled(), s => Ok(s.unscheduled()))
    }

    /// Enters a schedule found by reading a message again.
    pub fn schedule(&mut self, seq: u64, subject: &[u8], at: Timestamp) {
        either!(self, s => s.schedule(seq, subject, at), s => s.schedule(seq, subject, at));
    }

    /// State of each subject a filter selects.
    pub fn subjects_state(&mut self, filter: &Filter) -> Result<BTreeMap<Box<[u8]>, SimpleState>> {
        either!(self, s => s.subjects_state(filter), s => Ok(s.subjects_state(filter)))
    }

    /// What damage took.
    pub fn lost(&self) -> &[Lost] {
        either!(self, s => s.lost(), _s => &[])
    }

    /// Starts or stops recording removed messages.
    pub fn record_removals(&mut self, on: bool) {
        either!(self, s => s.record_removals(on), s => s.record_removals(on));
    }

    /// Messages removed since the last call.
    pub fn take_removals(&mut self) -> Vec<Removed> {
        either!(self, s => s.take_removals(), s => s.take_removals())
    }

    /// How many removals [`Self::take_removals`] would give.
    pub fn removals(&self) -> usize {
        either!(self, s => s.removals(), s => s.removals())
    }

    /// The latest of them, without the first `keep`, which stay.
    pub fn take_removals_after(&mut self, keep: usize) -> Vec<Removed> {
        either!(self, s => s.take_removals_after(keep), s => s.take_removals_after(keep))
    }

    /// Writes everything out and closes.
    pub fn close(&mut self) -> Result<()> {
        either!(self, s => s.close(), _s => Ok(()))
    }

    /// The last sequence of a literal subject.
    pub fn last_of(&mut self, subject: &[u8]) -> Result<Option<u64>> {
        let found = self.multi_last(&Filter::Literal(subject.into()), 0, 0)?;
        Ok(found.last().copied())
    }

    /// The last message of a literal subject.
    pub fn load_last_of(&mut self, subject: &[u8]) -> Result<Option<Message>> {
        match self.last_of(subject)? {
            None => Ok(None),
            Some(seq) => match self.load(seq) {
                Ok(message) => Ok(Some(message)),
                Err(Error::NotFound | Error::Eof) => Ok(None),
                Err(e) => Err(e),
            },
        }
    }
}

impl<D: Disk> MessageStore for Storage<D> {
    fn append(&mut self, m: &NewMessage<'_>, now: Timestamp) -> Result<(u64, Ticket)> {
        either!(self, s => MessageStore::append(&mut **s, m, now), s => MessageStore::append(&mut **s, m, now))
    }
    fn append_at(
        &mut self,
        m: &NewMessage<'_>,
        seq: u64,
        ts: Timestamp,
        check_discard: bool,
    ) -> Result<Ticket> {
        either!(self,
            s => MessageStore::append_at(&mut **s, m, seq, ts, check_discard),
            s => MessageStore::append_at(&mut **s, m, seq, ts, check_discard))
    }
    fn skip_many(&mut self, seq: u64, num: u64, now: Timestamp) -> Result<Ticket> {
        either!(self,
            s => MessageStore::skip_many(&mut **s, seq, num, now),
            s => MessageStore::skip_many(&mut **s, seq, num, now))
    }
    fn take_jobs(&mut self) -> Result<Vec<Job>> {
        either!(self, s => MessageStore::take_jobs(&mut **s), s => MessageStore::take_jobs(&mut **s))
    }
    fn complete(&mut self, result: JobResult) -> Result<()> {
        either!(self,
            s => MessageStore::complete(&mut **s, result),
            s => MessageStore::complete(&mut **s, result))
    }
    fn written(&self) -> Ticket {
        either!(self, s => MessageStore::written(&**s), s => MessageStore::written(&**s))
    }
    fn durable(&self) -> Ticket {
        either!(self, s => MessageStore::durable(&**s), s => MessageStore::durable(&**s))
    }
    fn load(&mut self, seq: u64) -> Result<Message> {
        either!(self, s => s.load(seq), s => s.load(seq))
    }
    fn next(&mut self, filter: &Filter, from: u64) -> Result<Option<Message>> {
        either!(self, s => s.next(filter, from), s => Ok(s.next(filter, from)))
    }
    fn prev(&mut self, filter: &Filter, from: u64) -> Result<Option<Message>> {
        either!(self, s => s.prev(filter, from), s => Ok(s.prev(filter, from)))
    }
    fn num_pending(&mut self, filter: &Filter, from: u64, last: bool) -> Result<u64> {
        either!(self, s => s.num_pending(filter, from, last), s => Ok(s.num_pending(filter, from, last)))
    }
    fn filtered_state(&mut self, filter: &Filter, from: u64) -> Result<SimpleState> {
        either!(self, s => s.filtered_state(filter, from), s => Ok(s.filtered_state(filter, from)))
    }
    fn multi_last(&mut self, filter: &Filter, max_seq: u64, max: usize) -> Result<Vec<u64>> {
        either!(self, s => s.multi_last(filter, max_seq, max), s => s.multi_last(filter, max_seq, max))
    }
    fn subjects_totals(&self, filter: &Filter) -> std::collections::HashMap<Box<[u8]>, u64> {
        either!(self, s => s.subjects_totals(filter), s => s.subjects_totals(filter))
    }
    fn seq_at_time(&mut self, t: Timestamp) -> Result<u64> {
        either!(self, s => s.seq_at_time(t), s => Ok(s.seq_at_time(t)))
    }
    fn remove(&mut self, seq: u64, erase: bool) -> Result<bool> {
        either!(self,
            s => MessageStore::remove(&mut **s, seq, erase),
            s => MessageStore::remove(&mut **s, seq, erase))
    }
    fn purge(&mut self, filter: &Filter, seq: u64, keep: u64) -> Result<u64> {
        either!(self,
            s => MessageStore::purge(&mut **s, filter, seq, keep),
            s => MessageStore::purge(&mut **s, filter, seq, keep))
    }
    fn compact(&mut self, seq: u64) -> Result<u64> {
        either!(self, s => s.compact(seq), s => Ok(s.compact(seq)))
    }
    fn truncate(&mut self, seq: u64) -> Result<()> {
        either!(self, s => s.truncate(seq), s => s.truncate(seq))
    }
    fn state(&self) -> State {
        either!(self, s => s.state(), s => s.state())
    }
    fn deleted_seqs(&self, limit: usize) -> Vec<u64> {
        either!(self, s => s.deleted_seqs(limit), s => s.deleted_seqs(limit))
    }
    fn replicated_state(&self, failed: u64) -> ReplicatedState {
        either!(self, s => s.replicated_state(failed), s => s.replicated_state(failed))
    }
}
