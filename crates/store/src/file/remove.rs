//! Taking single messages out, and dropping blocks that hold none any more.
//!
//! Removals by users write a tombstone into the tail, so that they survive the loss of the index;
//! removals by limits do not, since limits are applied again at every open. Once a user removes
//! something the limits may find room again and would spare what they removed before: then, and at
//! close, the tombstones missing so far are written.
//! Laws: a block file is unlinked only after everything appended before is durable; tombstones
//!       that still hide a record move to the tail before their block goes.
//! Reference: filestore.go removeMsgFromBlock, removeMsgBlock.   Parity: FSTORE-004, RET-012.

use crate::block::scan::scan;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file::{FileStore, Removed, block_path, key_path, shape_path};
use crate::message::{Message, message_ttl};
use crate::record::{EMPTY, record_len};
use crate::seqset::SeqSet;

/// Why a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Asked for: survives the loss of the index.
    Asked,
    /// Asked for, and its bytes must go.
    Erased,
    /// By a limit that will be applied again.
    Limit,
}

impl<D: Disk> FileStore<D> {
    /// Removes a message; false if it was not there. With reads that are deferred it may have to be
    /// asked again.
    pub fn remove(&mut self, seq: u64) -> Result<bool> {
        self.remove_asked(seq, Why::Asked)
    }

    /// Removes a message and overwrites its bytes on disk (not when encrypted, as its key stream
    /// would be reused); false if it was not there.
    pub fn erase(&mut self, seq: u64) -> Result<bool> {
        let why = if self.options.encryption.is_some() { Why::Asked } else { Why::Erased };
        self.remove_asked(seq, why)
    }

    fn remove_asked(&mut self, seq: u64, why: Why) -> Result<bool> {
        self.check_open()?;
        self.check_room()?;
        if seq == 0 {
            return Err(Error::NotFound);
        }
        if seq > self.last_seq {
            return Err(Error::Eof);
        }
        let removed = self.again(|s| s.take(seq, why))?;
        self.changed();
        Ok(removed)
    }

    /// Removes one message from every account.
    pub(super) fn take(&mut self, seq: u64, why: Why) -> Result<bool> {
        if self.locate(seq).is_err() {
            return Ok(false);
        }
        let message = match self.load(seq) {
            Ok(message) => message,
            // Found damaged, and so already out of the accounts.
            Err(Error::NotFound | Error::Damaged { .. }) => return Ok(false),
            Err(e) => return Err(e),
        };
        // From here on the store changes.
        self.waiting(|s| s.take_out(seq, why, &message))
    }

    fn take_out(&mut self, seq: u64, why: Why, message: &Message) -> Result<bool> {
        let at = self.locate(seq)?;
        let tail_empties = self.blocks[at].msgs == 1 && at + 1 == self.blocks.len();
        if why == Why::Limit {
            self.unmarked.insert(seq);
            if !message.header.is_empty() && message_ttl(&message.header) < 0 {
                self.timeless.insert(seq);
            }
        } else {
            self.mark_limits()?;
        }
        if why != Why::Limit || tail_empties {
            self.write_tombstone(seq, message.ts.0)?;
        }
        let Ok(at) = self.locate(seq) else { return Ok(false) };
        if why == Why::Erased {
            self.erase_record(at, seq)?;
        }
        self.account_removal(at, message)?;
        if self.blocks.get(at).is_some_and(|b| b.msgs == 0) && at + 1 != self.blocks.len() {
            self.drop_block(at)?;
        }
        if seq == self.first_seq {
            self.settle_first();
        }
        Ok(true)
    }

    /// Writes the tombstones that removals by limits did without.
    pub(super) fn mark_limits(&mut self) -> Result<()> {
        self.dropped_timeless = false;
        if std::mem::take(&mut self.dropped_by_limit) && self.has_doomed() {
            // The dropped file must not be found again once there is room.
            self.barrier()?;
        }
        if self.unmarked.is_empty() {
            return Ok(());
        }
        self.timeless.clear();
        let unmarked = std::mem::take(&mut self.unmarked);
        self.mark_all(&unmarked)
    }

    /// The same for those that never expire: with what age takes, other limits find room again.
    pub(super) fn mark_timeless(&mut self) -> Result<()> {
        if std::mem::take(&mut self.dropped_timeless) && self.has_doomed() {
            self.barrier()?;
        }
        if self.timeless.is_empty() {
            return Ok(());
        }
        let timeless = std::mem::take(&mut self.timeless);
        for seq in timeless.iter() {
            self.unmarked.remove(seq);
        }
        self.mark_all(&timeless)
    }

    fn mark_all(&mut self, seqs: &SeqSet) -> Result<()> {
        let ts = self.last_ts;
        for seq in seqs.iter().filter(|&seq| seq <= self.last_seq).collect::<Vec<_>>() {
            self.write_tombstone(seq, ts)?;
        }
        Ok(())
    }

    /// Takes a message out of the accounts whose removal is on the disk already.
    pub(super) fn discount(&mut self, m: &Message) -> Result<()> {
        match self.locate(m.seq) {
            Ok(at) => self.account_removal(at, m),
            Err(_) => Ok(()),
        }
    }

    fn account_removal(&mut self, at: usize, m: &Message) -> Result<()> {
        let len = record_len(m.subject.len(), m.header.len(), m.payload.len());
        self.msgs = self.msgs.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(len);
        let first_moved = self.blocks[at].take_out(m.seq, len);
        self.forget_message(m, len);
        if first_moved && self.blocks[at].msgs > 0 {
            let first = self.blocks[at].first;
            self.blocks[at].first_ts = match self.load(first) {
                Ok(next) => next.ts.0,
                Err(Error::NotFound | Error::Damaged { .. }) => return Ok(()),
                Err(e) => return Err(e),
            };
        }
        Ok(())
    }

    /// Takes a message out of everything that is not its block.
    pub(super) fn forget_message(&mut self, m: &Message, len: u64) {
        if !m.subject.is_empty()
            && let Some(id) = self.subjects.find(&m.subject)
        {
            self.subjects.remove_one(id, m.seq);
        }
        if !m.header.is_empty() {
            let ttl = message_ttl(&m.header);
            if ttl > 0
                && let Some(wheel) = &mut self.ttls
            {
                wheel.remove(m.seq, m.ts.0.saturating_add(ttl.saturating_mul(1_000_000_000)));
            }
        }
        if let Some(schedules) = &mut self.schedules {
            schedules.remove_seq(m.seq);
        }
        if let Some(removals) = &mut self.removals {
            removals.push(Removed { seq: m.seq, subject: m.subject.clone(), bytes: len });
        }
    }

    /// Drops a whole block with its messages (limits, compaction of the stream).
    pub(super) fn drop_whole(&mut self, at: usize) -> Result<()> {
        self.ensure_column(at)?;
        let detailed = self.removals.is_some() || self.ttls.is_some() || self.schedules.is_some();
        if self.defers && detailed && at + 1 < self.blocks.len() {
            // Each of its messages will be looked at: it is brought into the system's memory.
            self.whole_plain(at)?;
        }
        self.waiting(|s| s.drop_messages(at, detailed))
    }

    fn drop_messages(&mut self, at: usize, detailed: bool) -> Result<()> {
        let (first, last) = (self.blocks[at].first, self.blocks[at].last);
        if detailed && self.blocks[at].msgs > 0 {
            let seqs: Vec<u64> = (first..=last).filter(|&s| self.blocks[at].contains(s)).collect();
            for seq in seqs {
                let m = self.load(seq)?;
                let len = record_len(m.subject.len(), m.header.len(), m.payload.len());
                self.forget_message(&m, len);
            }
        } else if let Some(column) = self.blocks[at].column.take() {
            for (seq, id) in column.range(first, last) {
                self.subjects.remove_one(id, seq);
            }
        }
        let may_outlive = self.blocks[at].ttls > 0 || self.ttls.is_some();
        let block = &mut self.blocks[at];
        self.msgs = self.msgs.saturating_sub(block.msgs);
        self.bytes = self.bytes.saturating_sub(block.bytes);
        (block.msgs, block.bytes, block.first, block.first_ts) = (0, 0, last + 1, 0);
        block.deleted.clear();
        block.column = Some(Box::default());
        if at + 1 == self.blocks.len() {
            self.unmarked.insert_range(first, last);
            return self.write_tombstone(self.last_seq, self.last_ts);
        }
        let index = self.blocks[at].index;
        self.drop_block(at)?;
        self.dropped_by_limit = true;
        self.dropped_timeless |= may_outlive;
        if self.position_of(index).is_some() {
            // The file stays for its tombstones, so its records need some too.
            self.unmarked.insert_range(first, last);
            if may_outlive {
                self.timeless.insert_range(first, last);
            }
        }
        Ok(())
    }

    /// Drops a sealed block without messages.
    pub(super) fn drop_block(&mut self, at: usize) -> Result<()> {
        let Some(block) = self.blocks.get(at) else { return Ok(()) };
        let (index, last) = (block.index, block.last);
        if self.blocks[at].tombstones != Some(0) {
            let plain = self.content(at)?;
            let found = scan(&plain, &self.blocks[at].hash, &self.subjects.hasher());
            let moved: Vec<(u64, i64)> = found
                .tombstones
                .into_iter()
                .filter(|&(seq, _)| {
                    // Records of this very block go with it.
                    let elsewhere =
                        self.block_at(seq).is_some_and(|b| b < at) || seq == self.last_seq;
                    elsewhere && self.needs_tombstone(index, seq)
                })
                .collect();
            if (moved.len() * EMPTY) as u64 > self.block_size / 4 {
                // Moving them would only fill the next block.
                return Ok(());
            }
            self.blocks[at].tombstones = Some(0);
            for (seq, ts) in moved {
                self.carry_tombstone(at, seq, ts)?;
            }
        }
        if last == self.last_seq && self.locate(last).is_err() {
            self.carry_tombstone(at, self.last_seq, self.last_ts)?;
        }
        self.unlink_block(index);
        Ok(())
    }

    /// Writes a tombstone into the tail; while the tail is being sealed, into the next one.
    fn carry_tombstone(&mut self, at: usize, seq: u64, ts: i64) -> Result<()> {
        if at + 1 == self.blocks.len() {
            self.carried.push((seq, ts));
            return Ok(());
        }
        self.write_tombstone(seq, ts)
    }

    /// Takes a block out of the list; its files go once all that came before is durable.
    pub(super) fn unlink_block(&mut self, index: u32) {
        let Some(at) = self.position_of(index) else { return };
        // Failing to remove the index leaves one that names a missing block, and so is not used.
        let _ = self.invalidate_index();
        self.disown_blocks();
        if at == 0 {
            self.dropped_by_limit |= !self.unmarked.is_empty();
            self.dropped_timeless |= !self.timeless.is_empty();
            self.unmarked.remove_below(self.blocks[at].last + 1);
            self.timeless.remove_below(self.blocks[at].last + 1);
        }
        self.blocks.remove(at);
        self.columns.remove(&index);
        self.forget_reads(index);
        self.commit.dropped.push(index);
        // First what would tell that the block is missing.
        self.doom(shape_path(index));
        self.doom(block_path(index));
        if self.options.encryption.is_some() {
            self.doom(key_path(index));
        }
        self.changed();
    }
}
