//! `FileStore`: a stream's messages in the reference's block files.
//!
//! ```text
//! <stream>/meta.inf meta.sum [meta.key]
//! <stream>/msgs/<n>.blk [<n>.key] index.db thw.db sched.db
//! <stream>/obs/<consumer>/meta.inf meta.sum [meta.key] o.dat
//! <stream>/__damaged__/...        what could not be read, set aside
//! ```
//! Not here: each operation has its own file of this folder.
//! Laws: blocks ascend by index and by sequence, and the last one is the tail that grows;
//!       an index is used once per process; `state` is the sum of the blocks;
//!       the subject table counts exactly the messages present.
//! Reference: filestore.go fileStore.

pub(crate) mod append;
mod checkpoint;
mod cold;
mod commit;
pub(crate) mod damage;
pub(crate) mod expire;
mod full;
mod gather;
pub(crate) mod index_db;
mod job;
mod keys;
pub(crate) mod legacy;
mod limits;
mod missing;
pub(crate) mod own;
mod part;
mod pending;
mod purge;
mod query;
mod read;
mod recover;
mod remove;
mod reseal;
pub(crate) mod restore;
mod resume;
mod rewrite;
pub(crate) mod snapshot;
mod torn;
mod truncate;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use stdx::time::Timestamp;

pub use cold::{ColdKey, ColdRead, Fetched};
pub use commit::{SyncJob, Synced, Ticket};
pub use expire::Expired;
pub use job::{Job, JobKind, JobResult};
pub use part::ReadBudget;
pub use restore::{Unpacker, restore_files};
pub use snapshot::{Packer, SnapshotFile, SnapshotPlan, damaged_places};

use crate::block::Block;
use crate::crypt::Secret;
use crate::disk::Disk;
use crate::disk::queue::{Dirty, Queue, QueuedFile};
use crate::error::{Error, Result};
use crate::schedule::Schedules;
use crate::settings::{Options, Settings};
use crate::state::{Lost, State};
use crate::subjects::Subjects;
use crate::wheel::Wheel;

pub(crate) const MSGS: &str = "msgs";

/// What an append says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The sequence given to the message.
    pub seq: u64,
    /// Completed once the message is durable.
    pub ticket: Ticket,
}

/// A message that left the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its sequence.
    pub seq: u64,
    /// Its subject.
    pub subject: Bytes,
    /// Bytes it counted for.
    pub bytes: u64,
}

/// The end of the tail block that is in memory.
struct Tail<F> {
    file: Option<Arc<F>>,
    /// Records from `start` on, in the clear.
    buf: Vec<u8>,
    start: u64,
    /// Everything before this offset was written to the file.
    flushed: u64,
    /// It was closed for a while, and is to be found as it was left.
    is_resting: bool,
}

/// Where the last read ended, so that the next one in sequence needs no search.
#[derive(Clone, Debug, Default)]
struct Cursor {
    block: u32,
    seq: u64,
    offset: u64,
    /// The message it read last, and where its record lies.
    last: (u64, u64),
}

impl Cursor {
    fn follows(&self, block: u32, seq: u64) -> bool {
        self.block == block && self.seq == seq
    }

    /// Whether the next record in sequence begins there.
    fn leads_to(&self, block: u32, offset: u64) -> bool {
        self.block == block && self.offset == offset
    }

    /// Where the record of `seq` begins, if that is known.
    fn offset_of(&self, block: u32, seq: u64) -> Option<u64> {
        if self.follows(block, seq) {
            return Some(self.offset);
        }
        (self.block == block && self.last.0 == seq).then_some(self.last.1)
    }
}

/// A stream's messages in block files.
pub struct FileStore<D: Disk> {
    disk: Queue<D>,
    _lock: Option<D::Lock>,
    settings: Settings,
    options: Box<Options>,
    block_size: u64,
    secret: Option<Secret>,
    blocks: VecDeque<Block>,
    next_index: u32,
    subjects: Subjects,
    msgs: u64,
    bytes: u64,
    first_seq: u64,
    first_ts: i64,
    last_seq: u64,
    last_ts: i64,
    lost: Vec<Lost>,
    /// Damage that there was no room to mend.
    late: Vec<torn::Late>,
    tail: Tail<QueuedFile<D>>,
    files: VecDeque<(u32, Arc<QueuedFile<D>>)>,
    window: Option<(u32, u64, Bytes)>,
    parts: Option<Box<part::Parts>>,
    cursor: Cursor,
    plain: Option<(u32, Bytes)>,
    /// Counts how often something that was read became outdated.
    generation: u64,
    /// Reads that would wait for the disk are handed out, not done.
    defers: bool,
    cold: Option<Box<cold::Cold<D>>>,
    ttls: Option<Wheel>,
    schedules: Option<Box<Schedules>>,
    commit: commit::Commit<D::File>,
    /// An index.db lies on the disk.
    index_on_disk: bool,
    /// Our own file lists blocks, and so has to be told of one that goes.
    lists_blocks: bool,
    /// The last sequence it knows of, and its time, if this process wrote it.
    owned: Option<(u64, i64)>,
    /// The block the last index ends in, and the length it knows of.
    indexed: Option<(u32, u64)>,
    /// The block that [`Self::maintain`] looks at next.
    looked_at: u32,
    removals: Option<Vec<Removed>>,
    pending_markers: expire::Pending,
    clock: u64,
    /// Counts how often everything was read anew.
    epoch: u64,
    schedules_valid_to: u64,
    /// No message before this sequence ages; its time, if it is there.
    oldest: Option<(u64, i64)>,
    /// Removed by limits, their records still on disk without a tombstone.
    unmarked: crate::seqset::SeqSet,
    /// Those of them that never expire: they come back when what they made room for does.
    timeless: crate::seqset::SeqSet,
    /// The block that holds the newest message or skipped sequence.
    newest: u32,
    /// A limit dropped a whole block whose file is not unlinked yet.
    dropped_by_limit: bool,
    /// The same, and it held messages that never expire.
    dropped_timeless: bool,
    jobs: job::Jobs,
    /// Tombstones for the tail that is about to be started.
    carried: Vec<(u64, i64)>,
    closed: bool,
    /// Blocks that hold a column.
    columns: BTreeSet<u32>,
}

/// What `open` found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The index was used as it is.
    pub from_index: bool,
    /// The index was used, and what came after it was read. Otherwise every block was read.
    pub resumed: bool,
    /// Blocks there are.
    pub blocks: usize,
    /// Bytes after the last whole record that were cut off.
    pub torn_bytes: u64,
}

impl<D: Disk> FileStore<D> {
    /// Opens or creates the store in `disk`, taking the directory for this process.
    ///
    /// `meta` is the stream's configuration document, written if there is none. Every file is
    /// checked before any is changed; on error nothing was changed.
    pub fn open(
        disk: D,
        settings: Settings,
        options: Options,
        meta: &[u8],
        now: Timestamp,
    ) -> Result<(Self, Recovery)> {
        disk.create_dir_all(MSGS).map_err(|e| Error::io("create", MSGS, e))?;
        let lock = disk.lock("").map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => Error::Locked(settings.name.clone()),
            _ => Error::io("lock", "", e),
        })?;
        // Found out at the first new block, this would be an hour into the publishing.
        for (dir, name) in [("", settings.name.as_str()), (MSGS, MSGS)] {
            disk.check_writable(dir).map_err(|e| Error::io("open", name, e))?;
        }
        let mut store = Self::bare(disk, settings, options, lock)?;
        store.open_meta(meta)?;
        match store.recover(now) {
            Ok(recovery) => Ok((store, recovery)),
            Err(Error::DiskFull { .. }) => store.recover_without_room(meta, now),
            Err(e) => Err(e),
        }
    }

    fn bare(disk: D, settings: Settings, options: Options, lock: D::Lock) -> Result<Self> {
        let mut seed = [0; 8];
        disk.random(&mut seed).map_err(|e| Error::io("random", "seed", e))?;
        let encrypted = options.encryption.is_some();
        let block_size = options.block_size.unwrap_or_else(|| settings.block_size(encrypted));
        Ok(Self {
            disk: Queue::new(disk),
            _lock: Some(lock),
            block_size,
            settings,
            options: Box::new(options),
            secret: None,
            blocks: VecDeque::new(),
            next_index: 1,
            subjects: Subjects::new(u64::from_le_bytes(seed)),
            msgs: 0,
            bytes: 0,
            first_seq: 0,
            first_ts: 0,
            last_seq: 0,
            last_ts: 0,
            lost: Vec::new(),
            late: Vec::new(),
            tail: Tail { file: None, buf: Vec::new(), start: 0, flushed: 0, is_resting: false },
            files: VecDeque::new(),
            window: None,
            parts: None,
            cursor: Cursor::default(),
            plain: None,
            generation: 0,
            defers: false,
            cold: None,
            ttls: None,
            schedules: None,
            commit: commit::Commit::default(),
            index_on_disk: false,
            lists_blocks: false,
            owned: None,
            indexed: None,
            looked_at: 0,
            removals: None,
            pending_markers: expire::Pending::default(),
            clock: 0,
            epoch: 0,
            schedules_valid_to: u64::MAX,
            oldest: None,
            unmarked: crate::seqset::SeqSet::default(),
            timeless: crate::seqset::SeqSet::default(),
            newest: 0,
            dropped_by_limit: false,
            dropped_timeless: false,
            jobs: job::Jobs::default(),
            carried: Vec::new(),
            closed: false,
            columns: BTreeSet::new(),
        })
    }

    /// Totals and bounds.
    pub fn state(&self) -> State {
        let time = |ts: i64| (ts != 0).then_some(Timestamp(ts));
        State {
            msgs: self.msgs,
            bytes: self.bytes,
            first_seq: self.first_seq,
            first_ts: time(self.first_ts).filter(|_| self.msgs > 0),
            last_seq: self.last_seq,
            last_ts: time(self.last_ts),
            num_subjects: self.subjects.len() as u64,
            num_deleted: if self.msgs == 0 {
                0
            } else {
                (self.last_seq - self.first_seq + 1).saturating_sub(self.msgs)
            },
        }
    }

    /// How often damage made the store read every block anew since it was opened.
    pub fn rescans(&self) -> u64 {
        self.epoch
    }

    /// What damage took, and where.
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Starts or stops recording removed messages for [`Self::take_removals`].
    pub fn record_removals(&mut self, on: bool) {
        self.removals = on.then(Vec::new);
    }

    /// Messages removed since the last call.
    pub fn take_removals(&mut self) -> Vec<Removed> {
        self.removals.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// How many removals [`Self::take_removals`] would give.
    pub fn removals(&self) -> usize {
        self.removals.as_ref().map_or(0, Vec::len)
    }

    /// The latest of them, without the first `keep`, which stay.
    pub fn take_removals_after(&mut self, keep: usize) -> Vec<Removed> {
        let after = |all: &mut Vec<Removed>| all.split_off(keep.min(all.len()));
        self.removals.as_mut().map(after).unwrap_or_default()
    }

    /// Bytes on disk: `(all records, records of messages present)`.
    pub fn utilization(&self) -> (u64, u64) {
        (self.blocks.iter().map(|b| b.len).sum(), self.bytes)
    }

    /// Bytes of memory held by indexes, for figures.
    pub fn memory(&self) -> usize {
        self.subjects.memory()
            + self.blocks.iter().map(Block::memory).sum::<usize>()
            + self.tail.buf.capacity()
            + self.parts.as_ref().map_or(0, |p| p.memory())
    }

    /// Gives back what only a busy store needs: buffers, caches, open files. It takes them again
    /// by itself; a store with changes that are not durable yet keeps what they need.
    pub fn rest(&mut self) {
        (self.window, self.plain, self.parts, self.cold) = (None, None, None, None);
        self.cursor = Cursor::default();
        self.files = VecDeque::new();
        self.disk.rest();
        self.blocks.shrink_to_fit();
        self.jobs.waiting.shrink_to_fit();
        self.columns.clear();
        for block in &mut self.blocks {
            block.column = None;
            if let Some(marks) = &mut block.marks {
                marks.shrink();
            }
        }
        self.close_files();
    }

    /// Closes its files, which are opened again at need; a store with changes that are not durable
    /// yet keeps those.
    pub fn close_files(&mut self) {
        self.files.clear();
        if self.closed || self.is_under_way() || self.commit.durable < self.commit.changes {
            return;
        }
        self.commit.dirty = Dirty::default();
        self.tail.start = self.tail.flushed;
        self.tail.buf = Vec::new();
        self.tail.is_resting |= self.tail.file.take().is_some();
    }

    /// Whether it has files open.
    pub fn holds_files(&self) -> bool {
        self.tail.file.is_some() || !self.files.is_empty()
    }

    /// Writes everything out, makes it durable, leaves a valid index, and closes.
    ///
    /// Blocks for as long as the device takes; with jobs under way elsewhere it fails with
    /// [`Error::UnderWay`].
    pub fn close(&mut self) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        if self.disk.is_deferred() {
            self.drain()?;
            self.disk.defer(false);
        }
        self.mark_limits()?;
        self.sync()?;
        self.mend_late();
        self.sync()?;
        if let Some(at) = self.blocks.len().checked_sub(1) {
            self.write_shape(at)?;
        }
        if self.late.is_empty() {
            // By an index nobody would look at the damage again.
            self.write_index()?;
        }
        self.closed = true;
        self.files.clear();
        self.tail.file = None;
        self._lock = None;
        Ok(())
    }

    fn check_open(&self) -> Result<()> {
        if self.closed {
            return Err(Error::Closed);
        }
        self.commit.check()
    }

    fn tail_index(&self) -> Option<u32> {
        self.blocks.back().map(|b| b.index)
    }

    /// Position of the block that answers for `seq`: the first whose last is not before it.
    fn block_at(&self, seq: u64) -> Option<usize> {
        let i = self.blocks.partition_point(|b| b.last < seq);
        (i < self.blocks.len()).then_some(i)
    }

    /// Position of the block with this index.
    fn position_of(&self, index: u32) -> Option<usize> {
        let i = self.blocks.partition_point(|b| b.index < index);
        self.blocks.get(i).is_some_and(|b| b.index == index).then_some(i)
    }

    /// Recomputes the first sequence from the blocks.
    fn settle_first(&mut self) {
        match self.blocks.iter().find(|b| b.msgs > 0) {
            Some(b) => (self.first_seq, self.first_ts) = (b.first, b.first_ts),
            None => (self.first_seq, self.first_ts) = (self.last_seq + 1, 0),
        }
    }

    /// Asserts the laws of this type; called by tests after each step.
    pub fn check(&self) {
        let msgs: u64 = self.blocks.iter().map(|b| b.msgs).sum();
        let bytes: u64 = self.blocks.iter().map(|b| b.bytes).sum();
        assert_eq!((msgs, bytes), (self.msgs, self.bytes), "state is the sum of the blocks");
        let counted: u64 = self.subjects.iter().map(|(id, _)| self.subjects.totals(id).total).sum();
        assert_eq!(counted, self.msgs, "subjects count messages present");
        let mut last = 0;
        for b in &self.blocks {
            if b.msgs > 0 {
                assert!(b.first > last, "blocks ascend: {} after {last}", b.first);
                assert_eq!(b.msgs, b.last - b.first + 1 - b.deleted.len(), "block {}", b.index);
                last = b.last;
            }
        }
        assert!(self.msgs == 0 || last <= self.last_seq);
    }
}

/// The path of block `index`.
fn block_path(index: u32) -> String {
    format!("{MSGS}/{index}.blk")
}

fn shape_path(index: u32) -> String {
    format!("{MSGS}/{index}.len")
}

fn key_path(index: u32) -> String {
    format!("{MSGS}/{index}.key")
}
