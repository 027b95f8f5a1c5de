//! Opening a directory: with its index if that still holds, otherwise by reading every block.
//!
//! ```text
//! unfinished purge ─► staged files ─► index.db valid? ── yes ─► blocks as listed, none read
//!                                            ├─ older ─► what came after it is read (resume.rs)
//!                                            └── no ──► scan all, newest first ─► damage healed
//! ─► tail opened ─► wheels ─► limits enforced
//! ```
//! Not here: how every block is read at once (`gather.rs`).
//! Laws: `last_seq` never goes back behind what any proven record or index says; a block that
//!       cannot be read is set aside and its range reported.
//! Reference: filestore.go recoverFullState, recoverMsgs, recoverPartialPurge.

use stdx::time::Timestamp;
use stdx::{notice, warning};

use crate::block::scan::{Found, Hole, Scan, scan};
use crate::block::{Block, Form};
use crate::crypt::Secret;
use crate::disk::{Disk, DiskFile, Foreign, Open, exists};
use crate::error::{Error, Result};
use crate::file::gather::Gathered;
use crate::file::index_db::{INDEX, Index, IndexBlock};
use crate::file::read::read_block;
use crate::file::{FileStore, MSGS, Recovery, block_path, key_path, shape_path};
use crate::hash::HashKey;
use crate::record::EMPTY;
use crate::subjects::Subjects;

pub(super) const NEW_MSGS: &str = "__new_msgs__";
pub(super) const OLD_MSGS: &str = "__msgs__";

/// What was known before the blocks were read.
#[derive(Default)]
pub(super) struct Prior {
    pub(super) last_seq: u64,
    pub(super) last_ts: i64,
    pub(super) blocks: Vec<IndexBlock>,
    /// Subjects of the messages it lists.
    pub(super) subjects: Option<Subjects>,
    /// Nothing was stored after this was noted.
    pub(super) is_current: bool,
    /// It comes from a server before 2.10: no tombstones say what it calls removed.
    pub(super) is_legacy: bool,
    /// Numbers of `.len` files without a block, ascending.
    pub(super) orphans: Vec<u32>,
}

impl Prior {
    /// Makes holes of messages whose subject is none that was known when they were.
    ///
    /// A subject's length is not covered by the record's hash; a wrong one splits the same bytes
    /// into another subject and payload.
    pub(super) fn doubt_subjects(&self, index: u32, scan: &mut Scan, plain: &[u8]) {
        let Some(subjects) = &self.subjects else { return };
        let at = self.blocks.partition_point(|b| b.index < index);
        let Some(known) = self.blocks.get(at).filter(|b| b.index == index) else { return };
        let doubtful = |m: &Found| {
            known.first <= m.seq
                && m.seq <= known.last
                && !known.deleted.contains(m.seq)
                && subjects.find(m.subject(plain)).is_none()
                && m.subject_len > 0
        };
        if !scan.messages.iter().any(doubtful) {
            return;
        }
        let mut after = 0;
        let mut holes = Vec::new();
        for (i, m) in scan.messages.iter().enumerate() {
            if doubtful(m) {
                let before = scan.messages.get(i + 1).map_or(m.seq + 1, |n| n.seq);
                holes.push(Hole {
                    offset: u64::from(m.offset),
                    len: u64::from(m.len),
                    after,
                    before,
                });
            }
            after = m.seq;
        }
        scan.messages.retain(|m| !doubtful(m));
        scan.holes.extend(holes);
        scan.holes.sort_unstable_by_key(|h| h.offset);
    }
}

/// A block that has holes or could not be read at all.
pub(super) struct Damage {
    pub(super) index: u32,
    pub(super) scan: Option<Scan>,
    pub(super) plain: Vec<u8>,
    pub(super) why: Option<Error>,
    pub(super) salvaged: bool,
}

impl Damage {
    /// Whether the block may be whole and only this process cannot read it: it is not permitted to,
    /// lacks what it takes to open a file, or does not know the form. Such a block stays in place.
    pub(super) fn is_no_damage(&self) -> bool {
        match &self.why {
            Some(Error::Unknown { .. } | Error::ReadOnly { .. } | Error::DiskFull { .. }) => true,
            Some(e @ Error::Io { op, .. }) => *op == "open" && !e.is_missing(),
            _ => false,
        }
    }
}

impl<D: Disk> FileStore<D> {
    pub(super) fn recover(&mut self, now: Timestamp) -> Result<Recovery> {
        self.finish_purge()?;
        self.read_lost();
        let (indices, legacy, orphans) = self.list_blocks()?;
        let highest = indices.last().max(orphans.last());
        self.next_index = highest.map_or(1, |i| i.saturating_add(1));
        self.index_on_disk = exists(&self.disk, INDEX).unwrap_or(true);
        self.lists_blocks = true;
        let index = self.read_index_file()?;
        let mut recovery = Recovery::default();
        let is_own = index.as_ref().is_some_and(|index| index.is_own);
        let is_newer = |index: &Index| orphans.last().is_some_and(|o| *o >= index.last_block);
        match index {
            Some(index) if is_newer(&index) => {
                recovery.torn_bytes = self.read_everything(Some(index), &indices, orphans)?;
            }
            Some(index) if self.index_holds(&index, &indices)? => {
                self.adopt_index(index);
                // Their blocks were dropped before it was written.
                orphans.iter().for_each(|&i| drop(self.disk.remove_file(&shape_path(i))));
                recovery.from_index = true;
            }
            Some(index) => match self.news_since(&index, &indices)? {
                Some(news) => {
                    self.adopt_index(index);
                    recovery.resumed = self.catch_up(news)?;
                    if !recovery.resumed {
                        self.forget_everything();
                        let index = self.read_index_file()?;
                        recovery.torn_bytes = self.read_everything(index, &indices, orphans)?;
                    }
                }
                None => {
                    recovery.torn_bytes = self.read_everything(Some(index), &indices, orphans)?;
                }
            },
            None => recovery.torn_bytes = self.read_everything(None, &indices, orphans)?,
        }
        self.open_tail()?;
        self.recover_wheels()?;
        self.enforce_on_open(now)?;
        if !legacy.is_empty() {
            self.retire_legacy(&legacy)?;
        }
        // Another's names no blocks should it go: there is to be one of ours.
        if recovery.from_index && is_own {
            self.indexed = self.blocks.back().map(|b| (b.index, b.len));
        }
        recovery.blocks = self.blocks.len();
        Ok(recovery)
    }

    fn read_everything(
        &mut self,
        index: Option<Index>,
        indices: &[u32],
        orphans: Vec<u32>,
    ) -> Result<u64> {
        let mut prior = index
            .map(|i| self.prior_of(i))
            .or_else(|| self.read_legacy(indices))
            .or_else(|| self.prior_without_index(indices))
            .unwrap_or_default();
        prior.orphans = orphans;
        if !indices.is_empty() {
            notice!(
                self.options.log,
                "Filestore [{}] no current index, reading {} blocks",
                self.settings.name,
                indices.len()
            );
        }
        self.scan_all(indices, &prior)
    }

    /// As before anything was adopted.
    fn forget_everything(&mut self) {
        self.blocks.clear();
        self.subjects.clear();
        self.columns.clear();
        self.rest();
        (self.msgs, self.bytes) = (0, 0);
        (self.first_seq, self.first_ts) = (0, 0);
        (self.last_seq, self.last_ts) = (0, 0);
        self.tail.file = None;
        self.tail.is_resting = false;
        self.tail.buf.clear();
        (self.tail.start, self.tail.flushed) = (0, 0);
    }

    /// Finishes or undoes a purge that a crash interrupted.
    fn finish_purge(&mut self) -> Result<()> {
        let staged = self.disk.list(NEW_MSGS).unwrap_or_default();
        if staged.iter().any(|e| e.name.ends_with(".blk")) {
            // The tombstone block is complete: only the old messages are left to go.
            self.disk.remove_dir_all(MSGS).map_err(|e| Error::io("remove", MSGS, e))?;
            self.disk.rename(NEW_MSGS, MSGS).map_err(|e| Error::io("rename", NEW_MSGS, e))?;
        } else if !staged.is_empty() {
            for entry in &staged {
                // A key that moved already leaves a block that cannot be read any more.
                if let Some(index) = number(&entry.name, ".key") {
                    let _ = self.disk.remove_file(&block_path(index));
                }
            }
            self.disk.remove_dir_all(NEW_MSGS).map_err(|e| Error::io("remove", NEW_MSGS, e))?;
        }
        if !staged.is_empty() || self.disk.list(OLD_MSGS).is_ok() {
            self.disk.remove_dir_all(OLD_MSGS).map_err(|e| Error::io("remove", OLD_MSGS, e))?;
            self.disk.sync_dir("").map_err(|e| Error::io("sync", "", e))?;
        }
        self.disk.create_dir_all(MSGS).map_err(|e| Error::io("create", MSGS, e))
    }

    /// Block numbers, ascending, names of files that servers before 2.10 left, and numbers of `.len`
    /// files without a block, ascending. Staging files, of which the named one is whole, are removed.
    fn list_blocks(&mut self) -> Result<(Vec<u32>, Vec<String>, Vec<u32>)> {
        let entries = match self.disk.list(MSGS) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io("list", MSGS, e)),
        };
        let (mut indices, mut legacy) = (Vec::new(), Vec::new());
        for entry in &entries {
            let name = &entry.name;
            let path = format!("{MSGS}/{name}");
            if let Some(index) = number(name, ".blk") {
                indices.push(index);
            } else if let Some(index) = number(name, ".key.next") {
                self.finish_key_change(index, &path);
            } else if name.ends_with(".tmp") || number(name, ".new").is_some() {
                let _ = self.disk.remove_file(&path);
            } else if number(name, ".idx").is_some() || number(name, ".fss").is_some() {
                legacy.push(name.clone());
            }
        }
        indices.sort_unstable();
        let shapes = entries.iter().filter_map(|e| number(&e.name, ".len"));
        let mut orphans: Vec<u32> =
            shapes.filter(|index| indices.binary_search(index).is_err()).collect();
        orphans.sort_unstable();
        Ok((indices, legacy, orphans))
    }

    /// A crash between the renames of a block and of its key leaves the block under the new one.
    fn finish_key_change(&mut self, index: u32, staged: &str) {
        let Some(encryption) = &self.options.encryption else { return };
        let context = format!("{}:{index}", self.settings.name);
        let key = HashKey::new(&format!("{}-{index}", self.settings.name));
        let readable = |path: &str| {
            let file = crate::disk::read_all(&self.disk, path, 1 << 16).ok()?;
            let opened = encryption.open(&context, &file, path).ok()?;
            let block = self.disk.open(&block_path(index), Open::Read).ok()?;
            let (plain, _) = read_block(&block, Some(&opened.secret), path).ok()?;
            (plain.bytes.is_empty() || crate::record::Record::verify(&plain.bytes, &key).is_some())
                .then_some(())
        };
        let done = if readable(staged).is_some() && readable(&key_path(index)).is_none() {
            self.disk.rename(staged, &key_path(index))
        } else {
            self.disk.remove_file(staged)
        };
        if done.and_then(|()| self.disk.sync_dir(MSGS)).is_err() {
            warning!(
                self.options.log,
                "Filestore [{}] could not finish a key change of block {index}",
                self.settings.name
            );
        }
    }

    /// Whether these are the blocks the index describes, by their names and sizes.
    pub(super) fn describes(&self, index: &Index, indices: &[u32]) -> Result<bool> {
        let listed = index.blocks.iter().filter(|b| b.msgs() > 0 || b.index == index.last_block);
        if !index.is_consistent()
            || index.blocks.last().map(|b| b.index) != Some(index.last_block)
            || indices.last() != Some(&index.last_block)
            || listed.clone().any(|b| indices.binary_search(&b.index).is_err())
        {
            return Ok(false);
        }
        let unlisted = |i: &u32| !index.blocks.iter().any(|b| b.index == *i);
        if indices.iter().any(unlisted) {
            return Ok(false);
        }
        for b in listed {
            let path = block_path(b.index);
            let file =
                self.disk.open(&path, Open::Read).map_err(|e| Error::io("open", &path, e))?;
            let size = file.size().map_err(|e| Error::io("stat", &path, e))?;
            let mut head = [0; 3];
            file.read_at(&mut head, 0).map_err(|e| Error::io("read", &path, e))?;
            let may_be_packed = self.options.encryption.is_some() || head == *b"cmp";
            if size < b.bytes && !may_be_packed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the index describes exactly what is on the disk.
    fn index_holds(&self, index: &Index, indices: &[u32]) -> Result<bool> {
        if !self.describes(index, indices)? {
            return Ok(false);
        }
        let Ok(secret) = self.block_secret(index.last_block) else { return Ok(false) };
        let path = block_path(index.last_block);
        let file = self.disk.open(&path, Open::Read).map_err(|e| Error::io("open", &path, e))?;
        let size = file.size().map_err(|e| Error::io("stat", &path, e))?;
        // It had no record when none is named: what ends in zeros now is a write that was torn.
        if size == 0 || index.checksum == [0; 8] {
            return Ok(size == 0 && index.checksum == [0; 8]);
        }
        if !self.ends_in(index.last_block, index.checksum) {
            return Ok(false);
        }
        let mut end = [0; EMPTY];
        if size < EMPTY as u64 || file.read_at(&mut end, size - EMPTY as u64).is_err() {
            return Ok(true);
        }
        if let Some(secret) = &secret {
            secret.apply(size - EMPTY as u64, &mut end);
        }
        // Only a message's record is written once: a removal can be noted again, word for word.
        let is_message = u32::from_le_bytes([end[0], end[1], end[2], end[3]]) != EMPTY as u32;
        Ok(is_message || self.index_covers(index, &file, secret.as_ref()))
    }

    /// Whether everything that the last block says is in the index.
    fn index_covers(&self, index: &Index, file: &impl DiskFile, secret: Option<&Secret>) -> bool {
        let path = block_path(index.last_block);
        let Ok((plain, _)) = read_block(file, secret, &path) else { return false };
        let key = HashKey::new(&format!("{}-{}", self.settings.name, index.last_block));
        let found = scan(&plain.bytes, &key, &index.subjects.hasher());
        let last = found.messages.last().map(|m| m.seq).max(found.erased.last().map(|e| e.0));
        let is_there = |seq: u64| {
            let at = index.blocks.partition_point(|b| b.last < seq);
            let block = index.blocks.get(at);
            block.is_some_and(|b| b.msgs() > 0 && b.first <= seq && !b.deleted.contains(seq))
        };
        last.is_none_or(|last| last <= index.last_seq)
            && !found.tombstones.iter().any(|&(seq, _)| is_there(seq))
    }

    fn adopt_index(&mut self, index: Index) {
        for b in index.blocks {
            let mut block = Block::new(&self.settings.name, b.index, 0, 0);
            block.msgs = b.msgs();
            block.bytes = b.bytes;
            (block.first, block.first_ts) = (b.first, b.first_ts);
            (block.last, block.last_ts) = (b.last, b.last_ts);
            (block.ttls, block.schedules) = (b.ttls, b.schedules);
            block.deleted = b.deleted;
            self.blocks.push_back(block);
        }
        if let Some(tail) = self.blocks.back_mut() {
            tail.checksum = index.checksum;
        }
        self.subjects = index.subjects;
        (self.msgs, self.bytes) = (index.msgs, index.bytes);
        (self.first_seq, self.first_ts) = (index.first_seq, index.first_ts);
        (self.last_seq, self.last_ts) = (index.last_seq, index.last_ts);
    }

    fn prior_of(&self, index: Index) -> Prior {
        let current = index.blocks.last().map(|b| (b.index, index.checksum));
        let is_current = current.is_some_and(|(i, sum)| self.ends_in(i, sum));
        Prior {
            last_seq: index.last_seq,
            last_ts: index.last_ts,
            blocks: index.blocks,
            subjects: Some(index.subjects),
            is_current,
            ..Prior::default()
        }
    }

    /// Whether a block's file still ends in the record with this hash.
    fn ends_in(&self, index: u32, checksum: [u8; 8]) -> bool {
        let Ok(secret) = self.block_secret(index) else { return false };
        let Ok(file) = self.disk.open(&block_path(index), Open::Read) else { return false };
        let Ok(size) = file.size() else { return false };
        let mut found = [0; 8];
        if size < 8 || checksum == [0; 8] || file.read_at(&mut found, size - 8).is_err() {
            return false;
        }
        if let Some(secret) = secret {
            secret.apply(size - 8, &mut found);
        }
        found == checksum
    }

    /// Takes over what the blocks said together. Returns torn bytes set aside.
    pub(super) fn adopt_scan(&mut self, gathered: Gathered, prior: &Prior) -> Result<u64> {
        let Gathered { subjects, blocks, damages, tombstones, unmarked, last } = gathered;
        self.subjects = subjects;
        for seq in unmarked.iter() {
            self.unmarked.insert(seq);
        }
        self.columns = blocks.iter().filter(|b| b.column.is_some()).map(|b| b.index).collect();
        (self.last_seq, self.last_ts) = last;
        self.blocks = blocks.into();
        self.msgs = self.blocks.iter().map(|b| b.msgs).sum();
        self.bytes = self.blocks.iter().map(|b| b.bytes).sum();
        self.settle_first();
        let (torn, last_seq) = self.heal(damages, prior, &tombstones);
        let is_new = self.tail_index().is_some_and(|tail| self.is_late(tail));
        if is_new {
            // Whoever gives up at the first damage would not see what comes behind it.
            self.roll_plain()?;
        }
        if last_seq > self.last_seq {
            self.remember_last(last_seq, prior.last_ts, is_new)?;
        }
        self.drop_idle_blocks();
        self.align_empty_blocks();
        self.settle_first();
        Ok(torn)
    }

    /// Keeps sequences from being given twice when their records are gone.
    fn remember_last(&mut self, seq: u64, ts: i64, is_new: bool) -> Result<()> {
        self.last_seq = seq;
        self.last_ts = self.last_ts.max(ts);
        if !is_new {
            self.roll()?;
        }
        self.write_tombstone(seq, self.last_ts)?;
        self.flush()
    }

    /// Blocks without messages are kept only for tombstones, as tail, and as the last witness of the
    /// last sequence.
    fn drop_idle_blocks(&mut self) {
        let Some(tail) = self.tail_index() else { return };
        let idle: Vec<u32> = self
            .blocks
            .iter()
            .filter(|b| {
                b.msgs == 0
                    && b.index != tail
                    && b.tombstones == Some(0)
                    && b.last < self.last_seq
                    && !self.is_late(b.index)
            })
            .map(|b| b.index)
            .collect();
        for index in idle {
            self.unlink_block(index);
        }
    }

    /// Gives blocks without messages the place in the order they have by index.
    pub(super) fn align_empty_blocks(&mut self) {
        let mut last = 0;
        let total = self.blocks.len();
        for (i, b) in self.blocks.iter_mut().enumerate() {
            if b.msgs == 0 {
                let at = if i + 1 == total { self.last_seq } else { last.max(b.last) };
                (b.first, b.first_ts, b.last) = (at + 1, 0, at);
                b.deleted.clear();
                if i + 1 == total {
                    b.last_ts = self.last_ts;
                }
            } else if i + 1 == total && b.last < self.last_seq {
                // Sequences after the tail's last record are known only from tombstones.
                b.deleted.insert_range(b.last + 1, self.last_seq);
                (b.last, b.last_ts) = (self.last_seq, self.last_ts);
            }
            last = b.last.max(last);
        }
    }

    /// Makes the last block the one that grows, or starts the first one.
    pub(super) fn open_tail(&mut self) -> Result<()> {
        if self.tail.file.is_some() {
            return Ok(());
        }
        let Some(at) = self.blocks.len().checked_sub(1) else {
            self.last_seq = self.last_seq.max(self.settings.first_seq.saturating_sub(1));
            self.first_seq = self.last_seq + 1;
            return self.roll();
        };
        let index = self.blocks[at].index;
        let path = block_path(index);
        self.ensure_secret(at)?;
        let file = match self.disk.open(&path, Open::Write) {
            Err(e) if self.tail.is_resting && e.kind() == std::io::ErrorKind::NotFound => {
                return Err(self.latch_foreign(&path, Foreign::Replaced));
            }
            other => other.map_err(|e| Error::io("open", &path, e))?,
        };
        let size = file.size().map_err(|e| Error::io("stat", &path, e))?;
        if self.blocks[at].form == Form::Unknown {
            let mut head = [0; 5];
            file.read_at(&mut head, 0).map_err(|e| Error::io("read", &path, e))?;
            if let Some(secret) = &self.blocks[at].secret {
                secret.apply(0, &mut head);
            }
            let is_packed = size > 4 && crate::compress::is_compressed(&head);
            self.blocks[at].form = if is_packed { Form::Compressed } else { Form::Plain };
        }
        if self.blocks[at].form == Form::Compressed {
            // A compressed block cannot grow.
            return self.roll();
        }
        let left = self.blocks[at].len;
        if std::mem::take(&mut self.tail.is_resting) && size != left {
            return Err(self.latch_foreign(&path, Foreign::Longer { left, found: size }));
        }
        self.blocks[at].len = size;
        // A handle from before would not see what waits to be written through this one.
        self.files.retain(|(i, _)| *i != index);
        self.tail.file = Some(std::sync::Arc::new(file));
        (self.tail.start, self.tail.flushed) = (size, size);
        self.tail.buf.clear();
        Ok(())
    }
}

impl<D: Disk> FileStore<D> {
    /// While it rested somebody else wrote to it: nothing more is written.
    fn latch_foreign(&mut self, path: &str, what: Foreign) -> Error {
        let error = Error::io("open", path, std::io::Error::other(what));
        self.commit.latch(&error);
        error
    }
}

/// The number in front of `suffix`.
fn number(name: &str, suffix: &str) -> Option<u32> {
    let digits = name.strip_suffix(suffix)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
