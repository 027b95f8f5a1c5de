//! Which subject each sequence of a block has, four bytes a message.
//!
//! Filters are answered by running over these numbers instead of reading messages. A column can
//! be dropped at any time and rebuilt from its block.
//! Laws: a removed sequence reads as zero; sequences ascend.

use crate::subjects::SubjectId;

/// Subject numbers by sequence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    base: u64,
    ids: Vec<SubjectId>,
    /// Present when sequences are too sparse for `base + position`.
    seqs: Option<Vec<u64>>,
}

/// Holes longer than this make a column list its sequences.
const DENSE_GAP: u64 = 1024;

impl Column {
    pub(crate) fn push(&mut self, seq: u64, id: SubjectId) {
        if self.ids.is_empty() {
            (self.base, self.seqs) = (seq, None);
        }
        if let Some(seqs) = &mut self.seqs {
            seqs.push(seq);
        } else {
            let gap = seq - self.base - self.ids.len() as u64;
            if gap > DENSE_GAP {
                let base = self.base;
                let mut seqs: Vec<u64> = (base..base + self.ids.len() as u64).collect();
                seqs.push(seq);
                self.seqs = Some(seqs);
            } else {
                self.ids.resize(self.ids.len() + gap as usize, 0);
            }
        }
        self.ids.push(id);
    }

    pub(crate) fn memory(&self) -> usize {
        self.ids.capacity() * 4 + self.seqs.as_ref().map_or(0, |s| s.capacity() * 8)
    }

    pub(crate) fn shrink(&mut self) {
        self.ids.shrink_to_fit();
        if let Some(seqs) = &mut self.seqs {
            seqs.shrink_to_fit();
        }
    }

    /// Position of the first entry not before `seq`.
    fn position(&self, seq: u64) -> usize {
        match &self.seqs {
            Some(seqs) => seqs.partition_point(|&s| s < seq),
            None => (seq.saturating_sub(self.base) as usize).min(self.ids.len()),
        }
    }

    fn seq_at(&self, position: usize) -> u64 {
        match &self.seqs {
            Some(seqs) => seqs.get(position).copied().unwrap_or(0),
            None => self.base + position as u64,
        }
    }

    fn exact(&self, seq: u64) -> Option<usize> {
        let position = self.position(seq);
        (position < self.ids.len() && self.seq_at(position) == seq).then_some(position)
    }

    /// The subject of `seq`, or zero.
    pub(crate) fn get(&self, seq: u64) -> SubjectId {
        self.exact(seq).and_then(|p| self.ids.get(p)).copied().unwrap_or(0)
    }

    /// Forgets `seq`.
    pub(crate) fn remove(&mut self, seq: u64) {
        if let Some(place) = self.exact(seq).and_then(|p| self.ids.get_mut(p)) {
            *place = 0;
        }
    }

    /// Present entries with `from <= seq <= to`, ascending.
    pub(crate) fn range(
        &self,
        from: u64,
        to: u64,
    ) -> impl DoubleEndedIterator<Item = (u64, SubjectId)> + '_ {
        let start = self.position(from);
        let end = self.position(to.saturating_add(1)).max(start);
        self.ids
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .enumerate()
            .filter(|&(_, &id)| id != 0)
            .map(move |(i, &id)| (self.seq_at(start + i), id))
    }
}

/// Where to start reading for a sequence: one mark for every 4 KiB of records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    marks: Vec<(u64, u32)>,
}

const STRIDE: u32 = 4096;
/// Marks from one part to the next.
const PART: usize = 16;

impl Marks {
    /// Notes that the record of `seq` lies at `offset`; called in ascending order.
    pub(crate) fn note(&mut self, seq: u64, offset: u32) {
        if self.marks.last().is_none_or(|&(_, at)| offset >= at + STRIDE) {
            self.marks.push((seq, offset));
        }
    }

    /// The span in which the record of `seq` begins: from a record start up to the next mark.
    pub(crate) fn span(&self, seq: u64) -> Option<(u32, Option<u32>)> {
        let after = self.marks.partition_point(|&(s, _)| s <= seq);
        let (_, start) = *self.marks.get(after.checked_sub(1)?)?;
        Some((start, self.marks.get(after).map(|&(_, at)| at)))
    }

    /// The part of the block that holds the record of `seq`: where it begins, and where it ends
    /// unless it is the last one.
    pub(crate) fn part(&self, seq: u64) -> Option<(u32, Option<u32>)> {
        let mark = self.marks.partition_point(|&(s, _)| s <= seq).checked_sub(1)?;
        let first = mark / PART * PART;
        let (_, start) = *self.marks.get(first)?;
        Some((start, self.marks.get(first + PART).map(|&(_, at)| at)))
    }

    pub(crate) fn memory(&self) -> usize {
        self.marks.capacity() * 16
    }

    pub(crate) fn shrink(&mut self) {
        self.marks.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_columns_answer_alike() {
        for stride in [1u64, 3, 5000] {
            let mut column = Column::default();
            for i in 0..100u64 {
                column.push(10 + i * stride, i as u32 + 1);
            }
            column.remove(10 + 5 * stride);
            assert_eq!(column.get(10 + 7 * stride), 8);
            assert_eq!(column.get(10 + 5 * stride), 0);
            let from = 10 + 3 * stride;
            let got: Vec<u32> = column.range(from, from + 4 * stride).map(|(_, id)| id).collect();
            assert_eq!(got, [4, 5, 7, 8]);
            let last = column.range(0, u64::MAX).next_back().unwrap();
            assert_eq!(last, (10 + 99 * stride, 100));
        }
    }
}
