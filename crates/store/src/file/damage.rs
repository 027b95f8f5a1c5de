//! Damage: what it took, where the bytes went, and how the rest stays whole.
//!
//! A block with holes is copied to `__damaged__`, then rewritten without them, so that every
//! server can read what is left. A torn end of the last block is cut off the same way. What was
//! lost is written to `__damaged__/lost.json` and stays in the state until it is purged.
//! Not here: the end of an append that was never finished, and what there is no room to mend
//! (`torn.rs`).
//! Laws: no bytes are dropped that are not zeros, an unfinished append, or kept in `__damaged__`;
//!       sequences are never given anew; failing to set aside never fails the open, it only leaves
//!       the block as it is, and nothing is appended to it.
//! Parity: FSTORE-008 to FSTORE-010, FSTORE-025 (the reference deletes, and reports less).

use std::ops::RangeInclusive;

use stdx::{error, warning};

use crate::block::Form;
use crate::disk::{Disk, DiskFile, Open, read_all, replace};
use crate::error::{Error, Result};
use crate::file::recover::{Damage, Prior};
use crate::file::{FileStore, MSGS, block_path, key_path, shape_path};
use crate::seqset::SeqSet;
use crate::state::Lost;

const ASIDE: &str = "__damaged__";
const LOST: &str = "__damaged__/lost.json";

#[derive(serde::Serialize, serde::Deserialize)]
struct LostEntry {
    file: String,
    offset: u64,
    bytes: u64,
    first: Option<u64>,
    last: Option<u64>,
}

impl<D: Disk> FileStore<D> {
    /// Reports lost ranges of the scanned blocks and sets their damaged files aside. Returns torn
    /// bytes, and the last sequence that is known to have been given.
    pub(super) fn heal(
        &mut self,
        mut damages: Vec<Damage>,
        prior: &Prior,
        tombstones: &SeqSet,
    ) -> (u64, u64) {
        let before = self.lost.len();
        let late: Vec<u32> = std::mem::take(&mut self.late).iter().map(|l| l.index).collect();
        let tail = self.tail_index();
        let mut torn = damages.last_mut().map_or(0, |last| self.cut_unfinished(last, prior));
        damages.retain(|d| d.salvaged || d.scan.as_ref().is_none_or(|s| !s.holes.is_empty()));
        for damage in &damages {
            torn += self.report_block(damage, prior, tombstones, tail, &late);
        }
        self.report_missing(prior, tombstones);
        let last_seq = self.report_unlisted(prior, tombstones);
        // Noted before it is mended: a block that is mended tells of nothing any more.
        if self.lost.len() > before {
            let (log, name) = (&self.options.log, &self.settings.name);
            for part in
                self.lost[before..].chunk_by(|a, b| (&a.file, a.offset) == (&b.file, b.offset))
            {
                let Some(Lost { file, offset, bytes, .. }) = part.first() else { continue };
                let seqs = describe(part);
                error!(
                    log,
                    "Filestore [{name}] lost data: {file} at byte {offset}, {bytes} bytes, sequences {seqs}"
                );
            }
            self.write_lost();
        }
        for damage in damages {
            self.mend(damage);
        }
        self.forget_unlisted(prior);
        (torn, last_seq)
    }

    fn report_block(
        &mut self,
        damage: &Damage,
        prior: &Prior,
        tombs: &SeqSet,
        tail: Option<u32>,
        late: &[u32],
    ) -> u64 {
        let file = block_path(damage.index);
        let known = prior.blocks.iter().find(|b| b.index == damage.index);
        let Some(scan) = &damage.scan else {
            // The whole block: the index or its neighbours tell what it held.
            let range =
                known.map_or_else(|| self.between(damage.index), |b| Some(b.first..=b.last));
            self.add_lost(&file, 0, 0, range, tombs);
            return 0;
        };
        let mut torn = 0;
        for hole in &scan.holes {
            if late.contains(&damage.index) && self.is_known_hole(damage.index, hole.offset) {
                continue;
            }
            let at_end = hole.before == 0;
            if at_end && Some(damage.index) == tail && !damage.salvaged {
                torn += hole.len;
                let rest = damage.plain.get(hole.offset as usize..).unwrap_or_default();
                let expected = prior.last_seq > hole.after;
                if rest.iter().all(|&b| b == 0) && !expected {
                    continue;
                }
                // Unfinished writes look like this too: nothing in them was acknowledged.
                let seqs = expected.then(|| hole.after + 1..=prior.last_seq);
                self.add_lost(&file, hole.offset, hole.len, seqs, tombs);
                continue;
            }
            let first = if hole.after == 0 {
                known.map_or_else(|| self.end_before(damage.index) + 1, |b| b.first)
            } else {
                hole.after + 1
            };
            let last = if at_end {
                known.map(|b| b.last).or_else(|| self.start_after(damage.index))
            } else {
                Some(hole.before - 1)
            };
            self.add_lost(&file, hole.offset, hole.len, last.map(|l| first..=l), tombs);
        }
        if damage.salvaged && scan.holes.is_empty() {
            let first = scan.messages.last().map_or(0, |m| m.seq) + 1;
            let last = known.map(|b| b.last).or_else(|| self.start_after(damage.index));
            self.add_lost(&file, scan.end, 0, last.map(|l| first..=l), tombs);
        }
        torn
    }

    /// Blocks that a valid index lists and the directory lacks, and records cut off at their end.
    fn report_missing(&mut self, prior: &Prior, tombs: &SeqSet) {
        if prior.blocks.last().is_none_or(|b| b.last < prior.last_seq)
            && prior.last_seq > self.last_seq
        {
            // Used according to somebody who does not know where they lay.
            let from = prior.blocks.last().map_or(0, |b| b.last).max(self.last_seq) + 1;
            self.add_lost(MSGS, 0, 0, Some(from..=prior.last_seq), tombs);
        }
        for b in &prior.blocks {
            if b.msgs() == 0 || self.lost.iter().any(|l| l.file == block_path(b.index)) {
                continue;
            }
            let Some(at) = self.position_of(b.index) else {
                self.add_lost_except(
                    &block_path(b.index),
                    0,
                    b.bytes,
                    b.first..=b.last,
                    &b.deleted,
                    tombs,
                );
                continue;
            };
            let (first, last, len) =
                (self.blocks[at].first, self.blocks[at].last, self.blocks[at].len);
            let none = self.blocks[at].msgs == 0;
            let end = if none { b.first.saturating_sub(1) } else { last };
            if b.last > end {
                self.add_lost_except(
                    &block_path(b.index),
                    len,
                    0,
                    end + 1..=b.last,
                    &b.deleted,
                    tombs,
                );
            }
            if !none && prior.is_current && first > b.first {
                self.add_lost_except(
                    &block_path(b.index),
                    0,
                    0,
                    b.first..=first - 1,
                    &b.deleted,
                    tombs,
                );
            }
        }
    }

    pub(super) fn add_lost(
        &mut self,
        file: &str,
        offset: u64,
        bytes: u64,
        seqs: Option<RangeInclusive<u64>>,
        tombs: &SeqSet,
    ) {
        match seqs {
            Some(range) => {
                self.add_lost_except(file, offset, bytes, range, &SeqSet::default(), tombs);
            }
            None => self.push_lost(Lost { file: file.into(), offset, bytes, seqs: None }),
        }
    }

    /// Adds a range, unless every sequence of it was removed on purpose.
    fn add_lost_except(
        &mut self,
        file: &str,
        offset: u64,
        bytes: u64,
        range: RangeInclusive<u64>,
        deleted: &SeqSet,
        tombs: &SeqSet,
    ) {
        let (first, last) = range.into_inner();
        if first > last {
            // Damage between two neighbours hit nothing but tombstones or erased records.
            self.push_lost(Lost { file: file.into(), offset, bytes, seqs: None });
            return;
        }
        let gone = |seq: u64| deleted.contains(seq) || tombs.contains(seq);
        // Very long ranges are runs of skipped sequences; they are reported whole.
        if last - first < 1 << 20 {
            let Some(first) = (first..=last).find(|&s| !gone(s)) else { return };
            let last = (first..=last).rev().find(|&s| !gone(s)).unwrap_or(first);
            self.push_lost(Lost { file: file.into(), offset, bytes, seqs: Some(first..=last) });
        } else {
            self.push_lost(Lost { file: file.into(), offset, bytes, seqs: Some(first..=last) });
        }
    }

    fn push_lost(&mut self, lost: Lost) {
        if !self.lost.contains(&lost) {
            self.lost.push(lost);
        }
    }

    pub(super) fn end_before(&self, index: u32) -> u64 {
        self.blocks
            .iter()
            .take_while(|b| b.index < index)
            .filter(|b| b.msgs > 0)
            .map(|b| b.last)
            .max()
            .unwrap_or(0)
    }

    pub(super) fn start_after(&self, index: u32) -> Option<u64> {
        self.blocks.iter().find(|b| b.index > index && b.msgs > 0).map(|b| b.first - 1)
    }

    fn between(&self, index: u32) -> Option<RangeInclusive<u64>> {
        let first = self.end_before(index) + 1;
        self.start_after(index).filter(|&last| last >= first).map(|last| first..=last)
    }

    pub(super) fn set_aside(&mut self, damage: Damage) -> Result<()> {
        let path = block_path(damage.index);
        let name = self.free_name(&format!("{}.blk", damage.index));
        self.disk.create_dir_all(ASIDE).map_err(|e| Error::io("create", ASIDE, e))?;
        let Some(scan) = damage.scan else {
            // Not readable at all: the file itself goes aside, with its key.
            let why = damage.why.map(|e| e.to_string()).unwrap_or_default();
            warning!(
                self.options.log,
                "Filestore [{}] block {} is set aside as {name}: {why}",
                self.settings.name,
                damage.index
            );
            self.disk.rename(&path, &name).map_err(|e| Error::io("rename", &path, e))?;
            let _ = self.disk.rename(&key_path(damage.index), &format!("{name}.key"));
            // It is reported already.
            let _ = self.disk.remove_file(&shape_path(damage.index));
            self.index_on_disk = true;
            self.invalidate_index()?;
            return self.sync_both();
        };
        let zeros = scan.holes.iter().all(|h| {
            damage
                .plain
                .get(h.offset as usize..(h.offset + h.len) as usize)
                .is_some_and(|b| b.iter().all(|&b| b == 0))
        });
        if !zeros || damage.salvaged {
            let original =
                read_all(&self.disk, &path, u64::MAX).map_err(|e| Error::io("read", &path, e))?;
            replace(&self.disk, &name, &original).map_err(|e| Error::io("write", &name, e))?;
            if let Ok(key) = read_all(&self.disk, &key_path(damage.index), 1 << 16) {
                replace(&self.disk, &format!("{name}.key"), &key)
                    .map_err(|e| Error::io("write", &name, e))?;
            }
            self.sync_both()?;
        }
        self.rewrite_without(damage.index, &damage.plain, &scan.holes)
    }

    fn sync_both(&mut self) -> Result<()> {
        self.disk.sync_dir(ASIDE).map_err(|e| Error::io("sync", ASIDE, e))?;
        self.disk.sync_dir("").map_err(|e| Error::io("sync", "", e))?;
        self.disk.sync_dir(MSGS).map_err(|e| Error::io("sync", MSGS, e))
    }

    fn rewrite_without(
        &mut self,
        index: u32,
        plain: &[u8],
        holes: &[crate::block::scan::Hole],
    ) -> Result<()> {
        let mut kept = Vec::with_capacity(plain.len());
        let mut from = 0;
        for hole in holes {
            kept.extend_from_slice(plain.get(from..hole.offset as usize).unwrap_or_default());
            from = (hole.offset + hole.len) as usize;
        }
        kept.extend_from_slice(plain.get(from..).unwrap_or_default());
        let Some(at) = self.position_of(index) else { return Ok(()) };
        self.index_on_disk = true;
        self.invalidate_index()?;
        let only_tail = holes.len() == 1 && holes[0].offset + holes[0].len == plain.len() as u64;
        let grows = at + 1 == self.blocks.len() && self.tail.file.is_some();
        if only_tail && self.blocks[at].form == Form::Plain && !grows {
            let path = block_path(index);
            let file =
                self.disk.open(&path, Open::Write).map_err(|e| Error::io("open", &path, e))?;
            file.set_len(kept.len() as u64).map_err(|e| Error::io("truncate", &path, e))?;
            file.sync_data().map_err(|e| Error::io("sync", &path, e))?;
            self.blocks[at].len = kept.len() as u64;
            self.blocks[at].is_holed = false;
            self.forget_reads(index);
            // It lists what was cut off.
            let _ = self.disk.remove_file(&shape_path(index));
            return Ok(());
        }
        let sealed = at + 1 != self.blocks.len();
        self.write_block_file(at, &kept, sealed)?;
        self.blocks[at].is_holed = false;
        self.blocks[at].marks = None;
        self.blocks[at].column = None;
        // The block is mended, whatever becomes of this.
        if sealed && let Err(e) = self.write_shape_of(at, &kept) {
            let name = &self.settings.name;
            warning!(self.options.log, "Filestore [{name}] lengths of block {index}: {e}");
        }
        Ok(())
    }

    fn free_name(&self, base: &str) -> String {
        let taken = self.disk.list(ASIDE).unwrap_or_default();
        (0..)
            .map(|n| if n == 0 { base.to_string() } else { format!("{base}.{n}") })
            .find(|name| !taken.iter().any(|e| e.name == *name))
            .map_or_else(String::new, |name| format!("{ASIDE}/{name}"))
    }

    pub(super) fn read_lost(&mut self) {
        let Ok(bytes) = read_all(&self.disk, LOST, 64 << 20) else { return };
        self.lost = decode_lost(&bytes);
    }

    fn write_lost(&mut self) {
        let entries: Vec<LostEntry> = self
            .lost
            .iter()
            .map(|l| LostEntry {
                file: l.file.clone(),
                offset: l.offset,
                bytes: l.bytes,
                first: l.seqs.as_ref().map(|r| *r.start()),
                last: l.seqs.as_ref().map(|r| *r.end()),
            })
            .collect();
        let Ok(text) = serde_json::to_vec(&entries) else { return };
        let written = self
            .disk
            .create_dir_all(ASIDE)
            .and_then(|()| replace(&self.disk, LOST, &text))
            .and_then(|()| self.disk.sync_dir(ASIDE))
            .and_then(|()| self.disk.sync_dir(""));
        if let Err(e) = written {
            warning!(
                self.options.log,
                "Filestore [{}] could not note lost data: {e}",
                self.settings.name
            );
        }
    }

    /// Forgets losses below the first sequence (purged, compacted).
    pub(super) fn forgive_lost(&mut self) {
        let (before, first) = (self.lost.len(), self.first_seq);
        self.lost.retain(|l| l.seqs.as_ref().is_some_and(|r| *r.end() >= first));
        if self.lost.len() < before {
            self.write_lost();
        }
    }

    pub(super) fn is_known_hole(&self, index: u32, offset: u64) -> bool {
        let file = block_path(index);
        self.lost.iter().any(|l| l.file == file && l.offset == offset)
    }

    /// A record did not prove itself: reads everything anew.
    pub(super) fn heal_read(&mut self, at: usize, seq: u64) -> Result<Error> {
        let file = block_path(self.blocks[at].index);
        let (offset, _) =
            self.blocks[at].marks.as_ref().and_then(|m| m.span(seq)).unwrap_or((0, None));
        error!(
            self.options.log,
            "Filestore [{}] message {seq} in {file} near byte {offset} is damaged, reading every block anew",
            self.settings.name
        );
        match self.rescan() {
            Err(Error::Rescanned) | Ok(()) => {
                Ok(Error::Damaged { file, offset: u64::from(offset), seq })
            }
            Err(e) => Err(e),
        }
    }

    /// Asks again after damage was found and every block read anew.
    pub(super) fn again<T>(
        &mut self,
        mut question: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        match question(self) {
            Err(Error::Rescanned) => question(self),
            other => other,
        }
    }

    /// Rebuilds all state from the blocks. Always ends in an error: what was asked must be asked
    /// again, since positions of blocks may have changed.
    pub(super) fn rescan(&mut self) -> Result<()> {
        self.waiting(Self::rescan_now)
    }

    fn rescan_now(&mut self) -> Result<()> {
        self.epoch += 1;
        self.oldest = None;
        self.distrust_blocks();
        self.flush()?;
        let blocks = self.blocks.iter().map(crate::file::index_db::IndexBlock::of).collect();
        let subjects =
            Some(std::mem::replace(&mut self.subjects, crate::subjects::Subjects::new(0)));
        let (last_seq, last_ts) = (self.last_seq, self.last_ts);
        let prior =
            Prior { last_seq, last_ts, blocks, subjects, is_current: true, ..Prior::default() };
        let indices: Vec<u32> = self.blocks.iter().map(|b| b.index).collect();
        for index in &indices {
            self.forget_reads(*index);
        }
        self.tail.file = None;
        self.tail.is_resting = false;
        self.index_on_disk = true;
        self.invalidate_index()?;
        self.scan_all(&indices, &prior)?;
        self.open_tail()?;
        Err(Error::Rescanned)
    }
}

/// What a `lost.json` says; nothing if it does not decode.
pub(crate) fn decode_lost(bytes: &[u8]) -> Vec<Lost> {
    let entries: Vec<LostEntry> = serde_json::from_slice(bytes).unwrap_or_default();
    let lost = entries.into_iter().map(|e| Lost {
        file: e.file,
        offset: e.offset,
        bytes: e.bytes,
        seqs: e.first.zip(e.last).map(|(a, b)| a..=b),
    });
    lost.collect()
}

/// The sequences of losses at one place, in a line.
fn describe(lost: &[Lost]) -> String {
    let mut seqs = lost.iter().filter_map(|lost| lost.seqs.as_ref());
    let Some(first) = seqs.next() else { return "unknown".into() };
    match seqs.next_back() {
        None => format!("{}..{}", first.start(), first.end()),
        Some(last) => format!("{}..{} in {} parts", first.start(), last.end(), lost.len()),
    }
}
