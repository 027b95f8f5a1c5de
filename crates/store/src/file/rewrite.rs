//! Block files written anew: sealing with compression, compaction, erasure.
//!
//! Not here: when a block is dropped (`remove.rs`).
//! Laws: a file is replaced by rename after its successor was synced; the last record of a
//!       sealed block that proves the last sequence is kept.
//! Reference: filestore.go compactWithFloor, recompressOnDiskIfNeeded, eraseMsg.
//! Parity: FSTORE-012, FSTORE-013, RET-012.

use std::sync::Arc;

use crate::block::Form;
use crate::block::scan::scan;
use crate::block::shape::{doubts, encode};
use crate::compress::{Compression, compress_block};
use crate::disk::{Disk, DiskFile, Open, read_all, replace};
use crate::error::{Error, Result};
use crate::file::reseal::{Keep, Purpose, sift};
use crate::file::{FileStore, MSGS, block_path, shape_path};
use crate::record::{self, EMPTY};

/// Blocks that one call of `maintain` looks at; each may cost a read of 16 bytes.
const LOOK_AT: usize = 64;

impl<D: Disk> FileStore<D> {
    /// Gives a block that stops growing its final form.
    pub(super) fn seal(&mut self, index: u32) -> Result<()> {
        let Some(at) = self.position_of(index) else { return Ok(()) };
        if self.blocks[at].msgs == 0 {
            return self.drop_block(at);
        }
        if self.disk.is_deferred() {
            self.jobs.ask(index, Purpose::Seal);
            return Ok(());
        }
        if self.options.compression == Compression::None || self.blocks[at].form == Form::Compressed
        {
            return self.write_shape(at);
        }
        let path = block_path(index);
        let file = self.file_of(index)?;
        let (plain, form) =
            super::read::read_block(&*file, self.blocks[at].secret.as_ref(), &path)?;
        if form == Form::Plain && !plain.bytes.is_empty() {
            self.write_block_file(at, &plain.bytes, true)?;
        }
        // The tail cannot be read as a compressed block.
        self.write_shape_of(at, &plain.bytes)
    }

    /// The lengths file of a block, if there is one.
    pub(super) fn read_shape(&self, index: u32) -> Option<Vec<u8>> {
        read_all(&self.disk, &shape_path(index), 64 << 20).ok()
    }

    /// Notes the lengths of a block's records, unless an older note doubts what is there.
    pub(super) fn write_shape(&mut self, at: usize) -> Result<()> {
        let plain = self.content(at)?;
        self.write_shape_of(at, &plain)
    }

    pub(super) fn write_shape_of(&mut self, at: usize, plain: &[u8]) -> Result<()> {
        let index = self.blocks[at].index;
        let old = self.read_shape(index);
        let key = &self.blocks[at].hash;
        if old.is_some_and(|old| !doubts(plain, &old, key).is_empty()) {
            return Ok(());
        }
        let bytes = encode(plain, key);
        self.tell_shape(index, bytes)
    }

    /// Has the lengths of a block written, after the block itself is durable: what tells of a block
    /// that a power cut took along would report a loss where nothing was promised.
    pub(super) fn tell_shape(&mut self, index: u32, bytes: Vec<u8>) -> Result<()> {
        let block = block_path(index);
        let file = self.file_of(index)?;
        file.sync_data().map_err(|e| Error::io("sync", &block, e))?;
        self.disk.sync_dir(MSGS).map_err(|e| Error::io("sync", MSGS, e))?;
        let path = shape_path(index);
        self.disk.tell(&block, &path, bytes).map_err(|e| Error::io("write", &path, e))
    }

    /// Replaces a block's file by these plain bytes, compressed if sealed and so configured.
    pub(super) fn write_block_file(&mut self, at: usize, plain: &[u8], sealed: bool) -> Result<()> {
        let (index, is_tail) = (self.blocks[at].index, at + 1 == self.blocks.len());
        let pack = sealed && self.options.compression == Compression::S2 && plain.len() > 8;
        let mut bytes = if pack { compress_block(plain) } else { plain.to_vec() };
        if let Some(secret) = &self.blocks[at].secret {
            secret.apply(0, &mut bytes);
        }
        let path = block_path(index);
        let had_shape = self.read_shape(index).is_some();
        replace(&self.disk, &path, &bytes).map_err(|e| Error::io("write", &path, e))?;
        self.touch_dir(MSGS);
        self.forget_reads(index);
        if had_shape {
            // About other offsets now.
            let _ = self.disk.remove_file(&shape_path(index));
        }
        let block = &mut self.blocks[at];
        block.form = if pack { Form::Compressed } else { Form::Plain };
        block.len = plain.len() as u64;
        if is_tail && self.tail.file.is_some() {
            let file =
                self.disk.open(&path, Open::Write).map_err(|e| Error::io("open", &path, e))?;
            self.tail.file = Some(Arc::new(file));
            self.tail.buf.clear();
            (self.tail.start, self.tail.flushed) = (plain.len() as u64, plain.len() as u64);
        }
        Ok(())
    }

    /// Rewrites one sealed block of which more than half is dead, if there is any.
    ///
    /// Called now and then by the owner; returns the bytes that were freed. Where jobs are handed
    /// out, this is one, and nothing is freed yet.
    pub fn maintain(&mut self) -> Result<u64> {
        self.check_open()?;
        self.mend_late();
        let last = self.blocks.len().saturating_sub(1);
        // Where others wait for the caller, a call looks at some blocks only, each time at the next.
        let all = !self.disk.is_deferred();
        let from = if all { 0 } else { self.blocks.partition_point(|b| b.index < self.looked_at) };
        let to = if all { last } else { last.min(from + LOOK_AT) };
        self.looked_at = self.blocks.get(to).filter(|_| to < last).map_or(0, |b| b.index);
        for at in from..to {
            self.form_of(at)?;
            if self.blocks[at].is_wasteful() {
                if self.disk.is_deferred() {
                    self.jobs.ask(self.blocks[at].index, Purpose::Compact);
                    return Ok(0);
                }
                return self.again(|s| s.compact_block(at));
            }
        }
        Ok(0)
    }

    /// Rewrites a sealed block without what was removed from it.
    pub(super) fn compact_block(&mut self, at: usize) -> Result<u64> {
        let Some(block) = self.blocks.get(at) else { return Ok(0) };
        let (index, before, block_is_holed) = (block.index, block.len, block.is_holed);
        let plain = self.content(at)?;
        let keep = Keep::new(&self.blocks[at], self.last_seq);
        let key = &self.blocks[at].hash;
        let (kept, here) = sift(&plain, key, &keep, |seq| self.needs_tombstone(index, seq));
        if here < plain.len() && block_is_holed {
            // Known, and not to be mended now.
            self.blocks[at].no_compact = true;
            return Ok(0);
        }
        if here < plain.len() {
            // Damage: the scan sets it aside, nothing is rewritten from bytes unproven.
            return self.rescan().map(|()| 0);
        }
        if kept.len() == plain.len() {
            self.blocks[at].no_compact = true;
            return Ok(0);
        }
        self.settle_before_compaction(at)?;
        if kept.is_empty() && self.blocks[at].msgs == 0 {
            self.unlink_block(index);
            return Ok(before);
        }
        self.invalidate_index()?;
        // What a limit removed goes without a tombstone, and the list still has it.
        self.disown_blocks();
        self.write_block_file(at, &kept, true)?;
        let block = &mut self.blocks[at];
        (block.marks, block.column, block.tombstones) = (None, None, None);
        block.no_compact = true;
        self.changed();
        self.write_shape_of(at, &kept)?;
        Ok(before.saturating_sub(kept.len() as u64))
    }

    /// What says that records are gone, and which sequence was last, is durable before they go.
    pub(super) fn settle_before_compaction(&mut self, at: usize) -> Result<()> {
        let may_tell = self.blocks.get(at).is_some_and(|b| b.last >= self.last_seq);
        if may_tell && self.locate(self.last_seq).is_err() {
            // A limit removed it, without a tombstone: the record was what told.
            self.write_tombstone(self.last_seq, self.last_ts)?;
        }
        self.barrier()
    }

    /// Whether a tombstone in block `index` still hides a record of an earlier block's file, or
    /// is the last witness of the last sequence.
    pub(super) fn needs_tombstone(&self, index: u32, seq: u64) -> bool {
        if seq >= self.last_seq {
            return true;
        }
        let at = self.blocks.partition_point(|b| b.last < seq);
        self.blocks.get(at).is_some_and(|b| b.index <= index && !b.contains(seq))
    }

    /// Overwrites the record of `seq` with noise.
    pub(super) fn erase_record(&mut self, at: usize, seq: u64) -> Result<()> {
        // The tombstone is durable before the record is touched: a torn overwrite is then a hole
        // that is known to be nobody's loss.
        self.barrier()?;
        let index = self.blocks[at].index;
        let mut plain = self.content(at)?;
        let found = scan(&plain, &self.blocks[at].hash, &self.subjects.hasher());
        let Some(m) = found.messages.iter().find(|m| m.seq == seq) else { return Ok(()) };
        let mut noise = vec![0; m.len as usize - EMPTY];
        self.disk.random(&mut noise).map_err(|e| Error::io("random", "noise", e))?;
        let bytes = record::erased(&self.blocks[at].hash, seq, m.len as usize, &noise);
        let range = m.offset as usize..m.offset as usize + bytes.len();
        if let Some(place) = plain.get_mut(range.clone()) {
            place.copy_from_slice(&bytes);
        }
        if self.blocks[at].form == Form::Compressed {
            return self.write_block_file(at, &plain, true);
        }
        let path = block_path(index);
        let file = self.disk.open(&path, Open::Write).map_err(|e| Error::io("open", &path, e))?;
        file.write_at(&bytes, range.start as u64).map_err(|e| Error::io("write", &path, e))?;
        let file = Arc::new(file);
        self.touch(&file);
        if at + 1 == self.blocks.len() && range.start as u64 >= self.tail.start {
            let from = range.start - self.tail.start as usize;
            if let Some(place) = self.tail.buf.get_mut(from..from + bytes.len()) {
                place.copy_from_slice(&bytes);
            }
        }
        if range.end == plain.len() {
            self.blocks[at].checksum = bytes.last_chunk::<8>().copied().unwrap_or_default();
        }
        self.forget_reads(index);
        Ok(())
    }
}
