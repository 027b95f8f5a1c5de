//! Removing many messages: all, up to a sequence, by filter, all but the newest.
//!
//! A full purge moves the whole directory aside and a block with one tombstone into its place, so
//! that it happens at once or not at all.
//! Laws: the last sequence survives; a finished purge is durable when it returns.
//! Reference: filestore.go Purge, PurgeEx, Compact.   Parity: RET-009, RET-014, FSTORE-019.

use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::file::recover::{NEW_MSGS, OLD_MSGS};
use crate::file::remove::Why;
use crate::file::{FileStore, MSGS, block_path, key_path};
use crate::filter::Filter;

impl<D: Disk> FileStore<D> {
    /// Removes every message; returns how many.
    pub fn purge(&mut self) -> Result<u64> {
        self.purge_to(0)
    }

    /// Removes every message and makes `first` the next sequence if that is further on.
    pub(super) fn purge_to(&mut self, first: u64) -> Result<u64> {
        self.check_open()?;
        let purged = self.msgs;
        if self.removals.is_some() {
            self.note_all_removed()?;
        }
        self.flush()?;
        let is_blank = first <= self.last_seq + 1 && self.blank_if_full()?;
        if !is_blank {
            self.empty_if_full();
            self.drop_every_block();
        }
        self.subjects.clear();
        self.unmarked.clear();
        self.timeless.clear();
        self.oldest = None;
        (self.msgs, self.bytes, self.first_ts) = (0, 0, 0);
        if first > self.last_seq + 1 {
            self.last_seq = first - 1;
        }
        self.first_seq = self.last_seq + 1;
        if let Some(wheel) = &mut self.ttls {
            wheel.clear();
        }
        if let Some(schedules) = &mut self.schedules {
            schedules.clear();
        }
        self.pending_markers = super::expire::Pending::default();
        let result = if is_blank { Ok(()) } else { self.swap_directory() };
        if let Err(e) = &result {
            self.commit.latch(e);
        }
        result?;
        self.forgive_lost();
        self.changed();
        self.checkpoint()?;
        Ok(purged)
    }

    fn drop_every_block(&mut self) {
        let old: Vec<u32> = self.blocks.iter().map(|b| b.index).collect();
        self.tail.file = None;
        self.tail.buf.clear();
        self.blocks.clear();
        self.columns.clear();
        for index in old {
            self.forget_reads(index);
            self.commit.dropped.push(index);
        }
    }

    fn note_all_removed(&mut self) -> Result<()> {
        let mut from = self.first_seq;
        while let Some(m) = self.next(&Filter::All, from)? {
            from = m.seq + 1;
            let bytes = crate::record::record_len(m.subject.len(), m.header.len(), m.payload.len());
            if let Some(removals) = &mut self.removals {
                removals.push(super::Removed { seq: m.seq, subject: m.subject, bytes });
            }
        }
        Ok(())
    }

    /// Starts a block with a tombstone and swaps it for everything there was.
    fn swap_directory(&mut self) -> Result<()> {
        let io = |op: &'static str, path: &str| {
            let path = path.to_string();
            move |e| Error::io(op, &path, e)
        };
        self.roll()?;
        if self.last_seq > 0 {
            self.write_tombstone(self.last_seq, self.last_ts)?;
        }
        self.flush()?;
        let index = self.tail_index().unwrap_or(0);
        let (blk, key) = (block_path(index), key_path(index));
        if let Some(file) = &self.tail.file {
            file.sync_data().map_err(io("sync", &blk))?;
        }
        self.disk.remove_dir_all(NEW_MSGS).map_err(io("remove", NEW_MSGS))?;
        self.disk.remove_dir_all(OLD_MSGS).map_err(io("remove", OLD_MSGS))?;
        self.disk.create_dir_all(NEW_MSGS).map_err(io("create", NEW_MSGS))?;
        // The block moves last: once it is there, recovery may drop the old directory.
        if self.options.encryption.is_some() {
            self.disk
                .rename(&key, &format!("{NEW_MSGS}/{index}.key"))
                .map_err(io("rename", &key))?;
        }
        self.disk.rename(&blk, &format!("{NEW_MSGS}/{index}.blk")).map_err(io("rename", &blk))?;
        self.disk.sync_dir(NEW_MSGS).map_err(io("sync", NEW_MSGS))?;
        self.disk.sync_dir("").map_err(io("sync", ""))?;
        self.disk.rename(MSGS, OLD_MSGS).map_err(io("rename", MSGS))?;
        self.disk.rename(NEW_MSGS, MSGS).map_err(io("rename", NEW_MSGS))?;
        self.disk.sync_dir("").map_err(io("sync", ""))?;
        self.index_on_disk = false;
        // What is left of the old directory is dropped by the next open if this fails.
        let _ = self.disk.remove_dir_all(OLD_MSGS);
        Ok(())
    }

    /// Removes messages a filter selects: those before `seq` (0: no bound), leaving the newest
    /// `keep`. Returns how many.
    ///
    /// As the reference has it, `seq` of 1 removes nothing, and with all subjects a sequence wins
    /// over `keep`.
    pub fn purge_filtered(&mut self, filter: &Filter, seq: u64, keep: u64) -> Result<u64> {
        self.check_open()?;
        if seq == 1 {
            return Ok(0);
        }
        if *filter == Filter::All {
            if seq > 1 {
                return self.compact(seq);
            }
            if keep == 0 {
                return self.purge();
            }
        }
        let mut most = u64::MAX;
        if keep > 0 {
            let total = self.filtered_state(filter, 1)?.msgs;
            if keep >= total {
                return Ok(0);
            }
            most = total - keep;
        }
        let mut purged = 0;
        let mut from = self.first_seq;
        while purged < most {
            let Some(next) = self.again(|s| s.next_seq(filter, from))? else { break };
            if seq > 1 && next >= seq {
                break;
            }
            purged += u64::from(self.again(|s| s.take(next, Why::Asked))?);
            from = next + 1;
        }
        self.forgive_lost();
        self.changed();
        Ok(purged)
    }

    /// Removes every message before `seq`. Returns how many.
    pub fn compact(&mut self, seq: u64) -> Result<u64> {
        self.check_open()?;
        if seq == 0 || seq > self.last_seq {
            return self.purge_to(seq);
        }
        if self.first_seq > seq {
            return Ok(0);
        }
        let before = self.msgs;
        self.invalidate_index()?;
        while let Some(at) = self.blocks.iter().position(|b| b.msgs > 0) {
            if self.blocks[at].last >= seq || at + 1 == self.blocks.len() {
                break;
            }
            self.again(|s| s.drop_whole(at))?;
            self.settle_first();
        }
        let mut from = self.first_seq;
        while let Some(next) = self.again(|s| s.next_seq(&Filter::All, from))?.filter(|&n| n < seq)
        {
            self.again(|s| s.take(next, Why::Asked))?;
            from = next + 1;
        }
        self.settle_first();
        self.mark_limits()?;
        self.forgive_lost();
        self.changed();
        if self.has_doomed() {
            // Whole blocks went without tombstones: only their files can tell.
            self.barrier()?;
        }
        Ok(before - self.msgs)
    }
}
