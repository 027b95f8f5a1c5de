//! One block file of messages, as the store keeps it in memory.
//!
//! Not here: reading and writing of the file (`file::read`, `file::append`), the scan of a whole
//! block (`scan.rs`).
//! Laws: `first..=last` are the sequences the block answers for; `deleted` holds those between
//!       that are gone; `msgs == last - first + 1 - deleted.len()`; empty means first > last.
//! Reference: filestore.go msgBlock.

pub(crate) mod column;
pub(crate) mod scan;
pub(crate) mod shape;

use crate::crypt::Secret;
use crate::hash::HashKey;
use crate::seqset::SeqSet;
use column::{Column, Marks};

/// How a block's file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Not looked at yet.
    Unknown,
    Plain,
    Compressed,
}

#[derive(Clone)]
pub(crate) struct Block {
    pub(crate) index: u32,
    pub(crate) first: u64,
    pub(crate) first_ts: i64,
    pub(crate) last: u64,
    pub(crate) last_ts: i64,
    pub(crate) msgs: u64,
    /// Bytes of the records of messages present.
    pub(crate) bytes: u64,
    pub(crate) deleted: SeqSet,
    /// Messages with a time to live ever stored here.
    pub(crate) ttls: u64,
    /// Schedules ever stored here.
    pub(crate) schedules: u64,
    /// Bytes of all records, deleted ones and tombstones included, uncompressed.
    pub(crate) len: u64,
    pub(crate) form: Form,
    /// Hash of the last record.
    pub(crate) checksum: [u8; 8],
    pub(crate) secret: Option<Secret>,
    pub(crate) hash: HashKey,
    pub(crate) marks: Option<Marks>,
    pub(crate) column: Option<Box<Column>>,
    /// Tombstones in the block, if known.
    pub(crate) tombstones: Option<u32>,
    /// Set when compaction last found nothing to gain.
    pub(crate) no_compact: bool,
    /// Damage was found in it that is still there, as nothing could be set aside.
    pub(crate) is_holed: bool,
    /// For dropping the columns used least recently.
    pub(crate) used: u64,
}

impl Block {
    /// An empty block that follows sequence `last`.
    pub(crate) fn new(stream: &str, index: u32, last: u64, last_ts: i64) -> Self {
        Self {
            index,
            first: last + 1,
            first_ts: 0,
            last,
            last_ts,
            msgs: 0,
            bytes: 0,
            deleted: SeqSet::default(),
            ttls: 0,
            schedules: 0,
            len: 0,
            form: Form::Unknown,
            checksum: [0; 8],
            secret: None,
            hash: HashKey::new(&format!("{stream}-{index}")),
            marks: None,
            column: None,
            tombstones: None,
            no_compact: false,
            is_holed: false,
            used: 0,
        }
    }

    /// Whether `seq` is present.
    pub(crate) fn contains(&self, seq: u64) -> bool {
        self.msgs > 0 && self.first <= seq && seq <= self.last && !self.deleted.contains(seq)
    }

    /// Messages present with a sequence of at least `seq`.
    pub(crate) fn count_from(&self, seq: u64) -> u64 {
        if seq <= self.first {
            return self.msgs;
        }
        if seq > self.last {
            return 0;
        }
        (self.last - seq + 1).saturating_sub(self.deleted.count_range(seq, self.last))
    }

    /// Takes `seq` out of the accounts; the caller has checked that it is present.
    ///
    /// Returns true when the first sequence moved, so that `first_ts` needs to be looked up.
    pub(crate) fn take_out(&mut self, seq: u64, record_len: u64) -> bool {
        self.msgs = self.msgs.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(record_len);
        self.no_compact = false;
        if let Some(column) = &mut self.column {
            column.remove(seq);
        }
        if seq != self.first {
            self.deleted.insert(seq);
            return false;
        }
        let mut next = seq + 1;
        while next <= self.last && self.deleted.remove(next) {
            next += 1;
        }
        self.first = next;
        self.first_ts = 0;
        true
    }

    /// Whether half of the file would be saved by rewriting it.
    pub(crate) fn is_wasteful(&self) -> bool {
        self.bytes * 2 < self.len && !self.no_compact
    }

    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.marks.as_ref().map_or(0, Marks::memory)
            + self.column.as_ref().map_or(0, |c| c.memory())
    }
}
