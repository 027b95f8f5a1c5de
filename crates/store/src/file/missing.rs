//! Blocks that nobody dropped and that are not there, or empty: what tells of them.
//!
//! A sealed block has a `<n>.len` beside it. Whoever drops a block removes that file first, so that
//! one without a block, or with an empty one, says that the block was lost. The index may know the
//! block better (`damage.rs`); here is what it does not know: there is none, or it is older.
//! Laws: a `.len` goes before its block, whatever drops it; one that is left is removed only after
//!       what it tells was noted.

use std::collections::HashSet;

use crate::block::shape::{self, Held};
use crate::disk::Disk;
use crate::file::recover::Prior;
use crate::file::{FileStore, block_path, shape_path};
use crate::hash::HashKey;
use crate::seqset::SeqSet;
use crate::state::Lost;

/// A block that is known from its `.len` alone.
struct Missing {
    index: u32,
    /// What it held; `None` if its `.len` does not hold either.
    held: Option<Held>,
}

impl Missing {
    fn count(&self) -> Option<u64> {
        match self.held.as_ref()? {
            Held::Count(count) => Some(*count),
            Held::Seqs { runs, .. } => Some(runs.iter().map(|(first, end)| end - first + 1).sum()),
        }
    }
}

/// Ranges that the loss of one block is told as; more are told as one, with what was removed between.
const MOST_RANGES: usize = 4096;

/// The ranges of `first..=end` that are not removed; no more than are told.
fn without(mut first: u64, end: u64, removed: &SeqSet, out: &mut Vec<(u64, u64)>) {
    // As every removed sequence is in a tombstone that was read, there are no more of them than
    // that, however long the run is.
    while first <= end && out.len() <= MOST_RANGES {
        let Some(gone) = removed.next_from(first).filter(|gone| *gone <= end) else {
            out.push((first, end));
            return;
        };
        if gone > first {
            out.push((first, gone - 1));
        }
        let Some(next) = gone.checked_add(1) else { return };
        first = next;
    }
    if first <= end
        && let Some(last) = out.last_mut()
    {
        // Told as one.
        last.1 = end;
    }
}

impl<D: Disk> FileStore<D> {
    /// Reports blocks without content that the index does not list; the last sequence they prove.
    pub(super) fn report_unlisted(&mut self, prior: &Prior, tombs: &SeqSet) -> u64 {
        let (mut last, mut proven) = (0, self.last_seq.max(prior.last_seq));
        let missing = self.missing(prior);
        for (i, m) in missing.iter().enumerate() {
            if let Some(Held::Seqs { runs, last: used }) = &m.held {
                self.report_seqs(m.index, runs, tombs);
                (last, proven) = (last.max(*used), proven.max(*used));
                continue;
            }
            let held = m.count().unwrap_or(0);
            let after = self.start_after(m.index);
            // Several in a row share what lies between those before and after them.
            let follows = |next: &Missing| self.start_after(next.index) == after;
            let shared = missing.get(i + 1).is_some_and(follows);
            let first = self.first_in(m, &missing, prior).max(last + 1);
            let of_count = first.saturating_add(held).saturating_sub(1);
            let end = match after {
                Some(after) if shared => of_count.min(after),
                Some(after) => after,
                None if shared => of_count,
                None => of_count.max(self.last_seq),
            };
            let path = block_path(m.index);
            if end >= first {
                self.add_lost(&path, 0, 0, Some(first..=end), tombs);
                (last, proven) = (end, proven.max(end));
            } else if m.held.is_none() && after.is_none() {
                self.add_lost(&path, 0, 0, None, tombs);
            }
        }
        proven
    }

    /// These sequences were in a block that is gone; those of them that nobody removed are lost.
    fn report_seqs(&mut self, index: u32, runs: &[(u64, u64)], tombs: &SeqSet) {
        let mut lost = Vec::new();
        for &(first, end) in runs {
            without(first, end, tombs, &mut lost);
        }
        let (Some(first), Some(last)) = (lost.first(), lost.last()) else { return };
        if lost.len() > MOST_RANGES {
            lost = vec![(first.0, last.1)];
        }
        let file = block_path(index);
        // A crash may have come between noting them and forgetting what told of them.
        let told: HashSet<(u64, u64)> = self
            .lost
            .iter()
            .filter(|lost| lost.file == file)
            .filter_map(|lost| Some(lost.seqs.clone()?.into_inner()))
            .collect();
        let new = lost.into_iter().filter(|range| !told.contains(range));
        self.lost.extend(new.map(|(first, last)| Lost {
            file: file.clone(),
            offset: 0,
            bytes: 0,
            seqs: Some(first..=last),
        }));
    }

    /// What their `.len` told is noted.
    pub(super) fn forget_unlisted(&self, prior: &Prior) {
        for &index in &prior.orphans {
            let _ = self.disk.remove_file(&shape_path(index));
        }
    }

    /// In the order of their numbers; those that held nothing are none.
    fn missing(&self, prior: &Prior) -> Vec<Missing> {
        let listed = prior.blocks.last().map_or(0, |b| b.index);
        let tail = self.tail_index();
        let empty = self.blocks.iter().filter(|b| b.len == 0 && Some(b.index) != tail);
        let mut indices: Vec<u32> = empty.map(|b| b.index).collect();
        // An empty file without a `.len` may have waited for its first record.
        indices.retain(|&index| self.held_by(index).is_some());
        indices.extend(&prior.orphans);
        indices.sort_unstable();
        indices.retain(|&index| index >= listed);
        let missing = indices.into_iter().map(|index| {
            let known = prior.blocks.last().filter(|b| b.index == index);
            let held = self.held_by(index).map(|held| match (held, known) {
                (Held::Count(n), Some(known)) => Held::Count(n.saturating_sub(known.msgs())),
                // What the index knows of is reported, or removed, according to that.
                (Held::Seqs { runs, last }, Some(known)) => {
                    let after = known.last.saturating_add(1);
                    let new = runs.into_iter().filter(|run| run.1 >= after);
                    let runs = new.map(|(first, end)| (first.max(after), end)).collect();
                    Held::Seqs { runs, last }
                }
                (held, None) => held,
            });
            Missing { index, held }
        });
        missing.filter(|m| m.held != Some(Held::Count(0))).collect()
    }

    fn held_by(&self, index: u32) -> Option<Held> {
        let file = self.read_shape(index)?;
        shape::held(&file, &HashKey::new(&format!("{}-{index}", self.settings.name)))
    }

    /// The first sequence that may have been in it.
    fn first_in(&self, m: &Missing, missing: &[Missing], prior: &Prior) -> u64 {
        let before = self.end_before(m.index).max(prior.blocks.last().map_or(0, |b| b.last));
        if before > 0 {
            return before + 1;
        }
        let start = self.settings.first_seq.max(1);
        let is_first = missing.first().is_some_and(|first| first.index == 1);
        match self.start_after(m.index) {
            // Blocks before it were dropped, nobody knows where they ended.
            Some(after) if !is_first => {
                let later = missing.iter().filter(|n| n.index >= m.index);
                let between = later.filter(|n| self.start_after(n.index) == Some(after));
                let held: u64 = between.filter_map(Missing::count).sum();
                (after + 1).saturating_sub(held).max(start)
            }
            _ => start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_RANGES, without};
    use crate::seqset::SeqSet;

    fn ranges(first: u64, end: u64, removed: &[u64]) -> Vec<(u64, u64)> {
        let mut set = SeqSet::default();
        for seq in removed {
            set.insert(*seq);
        }
        let mut out = Vec::new();
        without(first, end, &set, &mut out);
        out
    }

    #[test]
    fn what_was_removed_is_left_out() {
        assert_eq!(ranges(5, 9, &[]), [(5, 9)]);
        assert_eq!(ranges(5, 9, &[1, 5, 7, 10]), [(6, 6), (8, 9)]);
        assert_eq!(ranges(5, 7, &[5, 6, 7]), []);
        assert_eq!(ranges(u64::MAX - 1, u64::MAX, &[u64::MAX]), [(u64::MAX - 1, u64::MAX - 1)]);
        assert_eq!(ranges(1, u64::MAX, &[3000]), [(1, 2999), (3001, u64::MAX)]);
    }

    #[test]
    fn what_is_torn_to_pieces_is_told_as_one() {
        let many = MOST_RANGES as u64 * 3;
        let odd: Vec<u64> = (1..many).step_by(2).collect();
        let found = ranges(1, many, &odd);
        assert!(found.len() > MOST_RANGES, "{}", found.len());
        assert_eq!((found[0].0, found.last().unwrap().1), (2, many));
    }
}
