//! A disk without room: what is refused, what goes on, and what makes room.
//!
//! ```text
//! a write finds no room ─► full: appends and skips are refused, nothing is changed
//!    blocks that are gone from the stream's beginning ─► synced, unlinked ─► the write again
//! a write succeeds ─► as before
//! ```
//! Changes that were accepted before stay queued, unanswered, until they are written. A block that
//! goes from the beginning needs nothing written first: no older file holds a record that one of
//! its tombstones hides, and a newer one that was written tells the last sequence.
//! Laws: what is refused has changed nothing; unlinking goes from the oldest on, so that a crash
//!       leaves a suffix of the stream.

use std::sync::Arc;

use stdx::time::Timestamp;

use crate::block::column::Marks;
use crate::block::{Block, Form};
use crate::disk::queue::{QueuedFile, Step};
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, NO_SPACE, Result};
use crate::file::index_db::INDEX;
use crate::file::own::OWN;
use crate::file::{FileStore, MSGS, Recovery, SyncJob, block_path, key_path, shape_path};
use crate::filter::Filter;
use crate::record::{self, EMPTY, ERASED, Record, TOMBSTONE};
use crate::settings::Settings;

/// A removal that writes tombstones is begun only if there is as much room.
pub(super) const ROOM: u64 = 64 << 10;

impl<D: Disk> FileStore<D> {
    /// Opens the store once more, on a disk that has no room for what opening would write: that
    /// waits, as changes of a store that hands out jobs do.
    pub(super) fn recover_without_room(
        mut self,
        meta: &[u8],
        now: Timestamp,
    ) -> Result<(Self, Recovery)> {
        let Some(lock) = self._lock.take() else { return Err(Error::Closed) };
        let disk = self.disk.base().clone();
        let mut store = Self::bare(disk, self.settings, *self.options, lock)?;
        store.open_meta(meta)?;
        store.disk.defer(true);
        let recovery = store.recover(now)?;
        Ok((store, recovery))
    }

    /// The newest block of which surely something is written.
    pub(super) fn trust_blocks(&mut self) {
        // Of the last one there may be only what waits.
        let skip = usize::from(self.disk.is_deferred());
        let written = self.blocks.iter().rev().skip(skip).find(|b| b.msgs > 0);
        self.newest = written.map_or(0, |b| b.index);
        self.commit.newest = self.newest;
    }

    /// Whether the last write found no room.
    pub fn is_full(&self) -> bool {
        self.commit.full.is_some()
    }

    pub(super) fn check_full(&self) -> Result<()> {
        match &self.commit.full {
            None => Ok(()),
            Some((file, what)) => Err(Error::DiskFull { file: file.clone(), what }),
        }
    }

    /// Whether something small can be written, as far as that can be known.
    fn check_some_room(&self) -> Result<()> {
        self.check_full()?;
        // What cannot be asked is found out by writing.
        if self.disk.room().is_ok_and(|room| room < ROOM) {
            return Err(Error::DiskFull { file: MSGS.into(), what: NO_SPACE });
        }
        Ok(())
    }

    /// Whether the removal of a message can be noted; asked before one that is answered.
    pub fn check_remove(&self) -> Result<()> {
        self.check_open()?;
        self.check_some_room()
    }

    /// The same for a purge, which may make the room it needs.
    pub fn check_purge(&self, filter: &Filter, seq: u64, keep: u64) -> Result<()> {
        self.check_open()?;
        let frees = *filter == Filter::All
            && self.blocks.front().is_some_and(|first| match (seq, keep) {
                (0, 0) => true,
                (0, keep) => self.msgs.saturating_sub(keep) >= first.msgs,
                (seq, _) => first.last < seq,
            });
        let empties = frees && (seq, keep) == (0, 0) && self.can_empty();
        let whole = *filter == Filter::All && (seq, keep) == (0, 0);
        let makes_room = frees && self.can_drop_first() || empties || whole && self.can_blank();
        if makes_room { Ok(()) } else { self.check_some_room() }
    }

    /// The same for new settings, by which messages may have to go.
    pub fn check_update(&self, new: &Settings, now: Timestamp) -> Result<()> {
        self.check_open()?;
        let frees = self.blocks.front().is_some_and(|first| {
            let msgs = new.max_msgs.is_some_and(|max| max > 0 && self.msgs - first.msgs >= max);
            let bytes = new.max_bytes.is_some_and(|max| max > 0 && self.bytes - first.bytes >= max);
            let aged = new.max_age.filter(|age| !age.is_zero()).is_some_and(|age| {
                let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
                first.last_ts <= now.0.saturating_sub(age)
            });
            !new.discard_new && (msgs || bytes) || aged
        });
        if frees && self.can_drop_first() { Ok(()) } else { self.check_some_room() }
    }

    /// No block there is now tells the last sequence for certain from now on.
    pub(super) fn distrust_blocks(&mut self) {
        (self.newest, self.commit.newest) = (0, 0);
        self.commit.witnesses = self.next_index;
    }

    /// Whether the first block's file can go before anything is written.
    fn can_drop_first(&self) -> bool {
        self.blocks.front().is_some_and(|b| b.index < self.commit.newest)
    }

    /// Whether the only block can be emptied where it is, and that makes enough room.
    fn can_empty(&self) -> bool {
        let written = |file: &QueuedFile<D>| file.slot().base().and_then(DiskFile::size);
        let plain = |b: &Block| b.secret.is_none() && b.form == Form::Plain;
        // With a key stream, what is overwritten would give the key away.
        self.disk.is_deferred()
            && self.jobs.run.is_none()
            && self.last_seq > 0
            && self.blocks.len() == 1
            && self.blocks.front().is_some_and(plain)
            && self.tail.file.as_ref().is_some_and(|f| written(f).is_ok_and(|len| len >= ROOM))
    }

    /// Before all messages are purged: on a full disk a single block is not only replaced by one
    /// without messages, for which there is no room, but emptied. A tombstone of the last sequence
    /// takes the place of its first record, which needs no room, then the rest goes.
    pub(super) fn empty_if_full(&mut self) {
        if self.check_some_room().is_ok() || self.can_drop_first() || !self.can_empty() {
            return;
        }
        let (Some(block), Some(file)) = (self.blocks.front(), &self.tail.file) else { return };
        let mut record = Vec::new();
        record::put_empty(&mut record, &block.hash, self.last_seq | TOMBSTONE, self.last_ts);
        let (slot, len) = (Arc::clone(file.slot()), record.len() as u64);
        let steps = vec![
            Step::Write { slot: slot.clone(), offset: 0, data: record.into(), appends: false },
            Step::SyncFile(slot.clone()),
            Step::SetLen { slot: slot.clone(), len },
            Step::SyncFile(slot.clone()),
        ];
        self.disk.preempt(&slot, steps);
    }

    /// Whether the only block can be emptied where it is, with nothing that waits to be written.
    fn can_blank(&self) -> bool {
        let plain = |b: &Block| b.secret.is_none() && b.form == Form::Plain && b.len > 0;
        // With a key stream, what is overwritten would give the key away.
        self.disk.is_deferred()
            && self.disk.is_empty()
            && self.jobs.run.is_none()
            && self.last_seq > 0
            && self.tail.flushed == self.tail.start + self.tail.buf.len() as u64
            && self.blocks.len() == 1
            && self.blocks.front().is_some_and(plain)
            && self.late.is_empty()
    }

    /// Before all messages are purged where no new block can be written: the first record of the only
    /// one is written over by one that skips everything, then the rest goes. Neither needs room, and a
    /// crash between the two finds a stream without messages. False if that cannot be.
    pub(super) fn blank_if_full(&mut self) -> Result<bool> {
        if self.check_some_room().is_ok() || !self.can_blank() || self.can_empty() {
            return Ok(false);
        }
        self.ensure_tail(0)?;
        let plain = self.content(0)?;
        let (Some(block), Some(file)) = (self.blocks.front(), &self.tail.file) else {
            return Ok(false);
        };
        let (index, file) = (block.index, Arc::clone(file));
        let Some(len) = Record::verify(&plain, &block.hash).map(|record| record.len()) else {
            return Ok(false);
        };
        let mut record = Vec::with_capacity(len);
        let (seq, noise) = (self.last_seq | ERASED, vec![0; len - EMPTY]);
        let checksum =
            record::put_message(&mut record, &block.hash, seq, self.last_ts, b"", b"", &noise);
        // What lists its messages goes first, or they would be missed.
        self.index_on_disk = true;
        self.invalidate_index()?;
        for path in [OWN.to_owned(), shape_path(index)] {
            let _ = self.disk.remove_file(&path);
        }
        self.disk.sync_dir(MSGS).map_err(|e| Error::io("sync", MSGS, e))?;
        let path = block_path(index);
        file.write_at(&record, 0).map_err(|e| Error::io("write", &path, e))?;
        file.sync_data().map_err(|e| Error::io("sync", &path, e))?;
        file.set_len(len as u64).map_err(|e| Error::io("truncate", &path, e))?;
        file.sync_data().map_err(|e| Error::io("sync", &path, e))?;
        self.touch(&file);
        self.forget_reads(index);
        let mut block = Block::new(&self.settings.name, index, self.last_seq, self.last_ts);
        (block.form, block.len, block.checksum) = (Form::Plain, len as u64, checksum);
        (block.marks, block.tombstones) = (Some(Marks::default()), Some(0));
        self.columns.clear();
        self.blocks.clear();
        self.blocks.push_back(block);
        self.tail.buf.clear();
        (self.tail.start, self.tail.flushed) = (len as u64, len as u64);
        Ok(true)
    }

    /// Dropped blocks whose files can go before anything is written.
    fn bound(&self) -> u32 {
        let first = self.blocks.front().map_or(u32::MAX, |b| b.index);
        // A rewritten one that waits for its place would bring it back, and what hides its records is
        // in those after it.
        let dropped = self.commit.dropped.iter().copied();
        let returns = dropped.filter(|&index| self.disk.renames_to(&block_path(index))).min();
        first.min(self.commit.newest).min(returns.unwrap_or(u32::MAX))
    }

    /// Whether room can be made.
    pub fn can_make_room(&self) -> bool {
        let bound = self.bound();
        self.is_full() && self.commit.dropped.iter().any(|&index| index < bound)
    }

    /// A sync after which files go that need not wait for what there is no room for.
    pub(super) fn make_room(&mut self) -> Option<SyncJob<D>> {
        if !self.can_make_room() {
            return None;
        }
        let later = std::mem::take(&mut self.commit.dirty.doomed);
        let bound = self.bound();
        let dropped = std::mem::take(&mut self.commit.dropped);
        let (mut free, kept): (Vec<u32>, Vec<u32>) = dropped.iter().partition(|&&i| i < bound);
        self.commit.dropped = kept;
        free.sort_unstable();
        // What lists them goes first, or they would be missed.
        self.commit.dirty.doomed.extend([OWN.to_owned(), INDEX.to_owned()]);
        for index in free {
            let doomed = &mut self.commit.dirty.doomed;
            // So would this tell.
            doomed.extend([shape_path(index), block_path(index)]);
            if self.options.encryption.is_some() {
                doomed.push(key_path(index));
            }
        }
        Some(self.start_sync_before(later))
    }

    /// A sync of what was written, if there is any, on a full disk: what takes the place of files
    /// that are to go may not be among it, so that they stay.
    pub(super) fn sync_when_full(&mut self) -> Option<SyncJob<D>> {
        let later = std::mem::take(&mut self.commit.dirty.doomed);
        if self.commit.dirty.is_empty() {
            self.commit.dirty.doomed = later;
            return None;
        }
        Some(self.start_sync_before(later))
    }
}
