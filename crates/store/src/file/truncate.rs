//! Cutting a store back to a sequence: everything after it is as if it had never been.
//!
//! Laws: afterwards `last_seq` is the given sequence, and removals before it stay removed; blocks
//!       go from the last to the first, so that a crash leaves a prefix.
//! Reference: filestore.go Truncate.

use crate::block::scan::scan;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file::FileStore;
use crate::record::record_len;

impl<D: Disk> FileStore<D> {
    /// Removes every message after `seq`; 0 empties the store and starts again at 1.
    pub fn truncate(&mut self, seq: u64) -> Result<()> {
        self.check_open()?;
        if seq == 0 {
            return self.reset();
        }
        if seq > self.last_seq {
            return Err(Error::Eof);
        }
        self.mark_limits()?;
        self.barrier()?;
        self.invalidate_index()?;
        self.disown_sequences()?;
        self.remove_wheel_files()?;
        let ts = self.time_at(seq)?;
        self.oldest = None;
        self.distrust_blocks();
        let tombstones = self.tombstones_from(seq)?;
        let stale = tombstones.iter().any(|&(s, _)| s > seq);
        let dropped = self.forget_after(seq)?;
        (self.last_seq, self.last_ts) = (seq, ts);
        self.settle_first();
        // A new tail keeps what the dropped blocks knew; only then do they go, last one first.
        let doomed: Vec<u32> = dropped.into_iter().rev().collect();
        for index in &doomed {
            if let Some(at) = self.position_of(*index) {
                self.blocks.remove(at);
                self.columns.remove(index);
            }
            self.forget_reads(*index);
        }
        self.tail.file = None;
        self.tail.buf.clear();
        (self.tail.start, self.tail.flushed) = (0, 0);
        let fresh = self.next_index;
        self.roll_plain()?;
        // Those for sequences that go too: a crash may leave their records, and not the block that
        // says they were removed.
        self.write_all_tombstones(&tombstones)?;
        if self.locate(seq).is_err() {
            // No record will prove the last sequence.
            self.write_all_tombstones(&[(seq, ts)])?;
        }
        self.barrier()?;
        for index in doomed {
            self.doom(super::shape_path(index));
            self.doom(super::block_path(index));
            if self.options.encryption.is_some() {
                self.doom(super::key_path(index));
            }
        }
        self.changed();
        self.barrier()?;
        self.cut_block(seq)?;
        if stale {
            self.shed_tombstones(fresh, &tombstones, (seq, ts))?;
        }
        self.checkpoint()
    }

    /// Writes tombstones of sequences past the last one too, which a block that is sealed by the
    /// ordinary way would drop.
    fn write_all_tombstones(&mut self, tombstones: &[(u64, i64)]) -> Result<()> {
        for &(seq, ts) in tombstones {
            let full = self.blocks.back().is_some_and(|b| {
                b.len > 0 && b.len + crate::record::EMPTY as u64 > self.block_size
            });
            if full {
                self.flush()?;
                self.roll_plain()?;
            }
            self.write_tombstone(seq, ts)?;
        }
        Ok(())
    }

    fn write_tombstones(&mut self, tombstones: &[(u64, i64)]) -> Result<()> {
        tombstones.iter().try_for_each(|&(seq, ts)| self.write_tombstone(seq, ts))
    }

    /// Starts the tail again without tombstones of sequences that are given again from now on.
    fn shed_tombstones(
        &mut self,
        from: u32,
        tombstones: &[(u64, i64)],
        last: (u64, i64),
    ) -> Result<()> {
        let old: Vec<u32> = self.blocks.iter().map(|b| b.index).filter(|&i| i >= from).collect();
        self.barrier()?;
        self.roll_plain()?;
        let kept: Vec<_> = tombstones.iter().copied().filter(|t| t.0 < last.0).collect();
        self.write_tombstones(&kept)?;
        if self.locate(last.0).is_err() {
            self.write_tombstone(last.0, last.1)?;
        }
        self.barrier()?;
        for index in old {
            self.unlink_block(index);
        }
        self.barrier()
    }

    /// Time of `seq`, or of the last message before it if it was removed.
    fn time_at(&mut self, seq: u64) -> Result<i64> {
        if let Ok(m) = self.load(seq) {
            return Ok(m.ts.0);
        }
        let before = self.prev(&crate::Filter::All, seq)?;
        Ok(before.map_or(self.last_ts, |m| m.ts.0))
    }

    /// Tombstones anywhere from the block of `seq` on.
    fn tombstones_from(&mut self, seq: u64) -> Result<Vec<(u64, i64)>> {
        let start = self.block_at(seq).unwrap_or(self.blocks.len());
        let mut out = Vec::new();
        for at in start..self.blocks.len() {
            if self.blocks[at].tombstones == Some(0) {
                continue;
            }
            let plain = self.content(at)?;
            let found = scan(&plain, &self.blocks[at].hash, &self.subjects.hasher());
            out.extend(found.tombstones);
        }
        Ok(out)
    }

    /// Takes every message after `seq` out of the accounts; returns blocks that go entirely.
    fn forget_after(&mut self, seq: u64) -> Result<Vec<u32>> {
        let mut next = self.last_seq;
        while let Some(m) = self.prev(&crate::Filter::All, next)?.filter(|m| m.seq > seq) {
            let Ok(at) = self.locate(m.seq) else { break };
            let len = record_len(m.subject.len(), m.header.len(), m.payload.len());
            self.msgs -= 1;
            self.bytes -= len;
            let block = &mut self.blocks[at];
            block.msgs -= 1;
            block.bytes -= len;
            block.deleted.insert(m.seq);
            if let Some(column) = &mut block.column {
                column.remove(m.seq);
            }
            self.forget_message(&m, len);
            next = m.seq - 1;
        }
        let mut gone = Vec::new();
        for b in &mut self.blocks {
            if b.last <= seq {
                continue;
            }
            if b.first > seq || b.msgs == 0 {
                gone.push(b.index);
                continue;
            }
            b.deleted.remove_above(seq);
            b.last = seq;
        }
        Ok(gone)
    }

    /// Cuts the records after `seq` off the file of its block.
    fn cut_block(&mut self, seq: u64) -> Result<()> {
        let Some(at) = self.blocks.iter().position(|b| b.msgs > 0 && b.last == seq) else {
            return Ok(());
        };
        if at + 1 == self.blocks.len() {
            return Ok(());
        }
        let mut plain = self.content(at)?;
        let found = scan(&plain, &self.blocks[at].hash, &self.subjects.hasher());
        let end = found
            .messages
            .iter()
            .filter(|m| m.seq <= seq)
            .map(|m| (m.offset + m.len) as usize)
            .max()
            .unwrap_or(0);
        // Tombstones of this block were carried over already.
        plain.truncate(end);
        self.write_block_file(at, &plain, true)?;
        let block = &mut self.blocks[at];
        (block.marks, block.column, block.tombstones) = (None, None, None);
        self.columns.remove(&block.index);
        self.changed();
        self.write_shape_of(at, &plain)
    }

    fn reset(&mut self) -> Result<()> {
        self.purge()?;
        self.invalidate_index()?;
        self.disown_sequences()?;
        self.remove_wheel_files()?;
        let index = self.tail_index();
        self.tail.file = None;
        self.tail.buf.clear();
        self.blocks.clear();
        self.columns.clear();
        (self.last_seq, self.last_ts, self.first_seq) = (0, 0, 0);
        self.roll_plain()?;
        if let Some(index) = index {
            self.doom(super::shape_path(index));
            self.doom(super::block_path(index));
            if self.options.encryption.is_some() {
                self.doom(super::key_path(index));
            }
        }
        self.changed();
        self.settle_first();
        self.checkpoint()
    }
}
