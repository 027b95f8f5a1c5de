//! Counting: messages a filter selects from a sequence on, totals by subject, deletes.
//!
//! Subjects with one message, or lying wholly on one side of the sequence, are counted from the
//! subject table; only the others are looked up, in whichever half of the columns is smaller.
//! Laws: counts are exact under any deletes.
//! Reference: filestore.go NumPending, FilteredState, SubjectsTotals, EncodedStreamState.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::disk::Disk;
use crate::error::Result;
use crate::file::FileStore;
use crate::file::remove::Why;
use crate::filter::Filter;
use crate::seqset::SeqSet;
use crate::state::{Deleted, ReplicatedState, SimpleState};
use crate::subjects::{Place, SubjectId};

impl<D: Disk> FileStore<D> {
    /// How many messages from `from` on the filter selects; with `last_per_subject`, only the
    /// last of each subject counts.
    pub fn num_pending(
        &mut self,
        filter: &Filter,
        from: u64,
        last_per_subject: bool,
    ) -> Result<u64> {
        if self.msgs == 0 || from > self.last_seq {
            return Ok(0);
        }
        let from = from.max(self.first_seq);
        self.again(|s| {
            if last_per_subject {
                s.count_last(filter, from)
            } else if *filter == Filter::All {
                Ok(s.blocks.iter().map(|b| b.count_from(from)).sum())
            } else {
                s.count(filter, from)
            }
        })
    }

    fn count(&mut self, filter: &Filter, from: u64) -> Result<u64> {
        let mut total = 0;
        let mut split: HashSet<SubjectId> = HashSet::new();
        let mut split_total = 0;
        for id in self.matching(filter) {
            let t = self.subjects.totals(id);
            if self.lower(t.first) >= from {
                total += t.total;
            } else if self.upper(t.last) >= from {
                split.insert(id);
                split_total += t.total;
            }
        }
        if split.is_empty() {
            return Ok(total);
        }
        let after = self.blocks.iter().map(|b| b.count_from(from)).sum::<u64>();
        if after * 2 <= self.msgs {
            return Ok(total + self.count_split(&split, from, self.last_seq)?);
        }
        let before = self.count_split(&split, self.first_seq, from - 1)?;
        Ok(total + split_total.saturating_sub(before))
    }

    fn count_split(&mut self, ids: &HashSet<SubjectId>, from: u64, to: u64) -> Result<u64> {
        let mut total = 0;
        let start = self.block_at(from).unwrap_or(self.blocks.len());
        for at in start..self.blocks.len() {
            if self.blocks[at].msgs == 0 {
                continue;
            }
            if self.blocks[at].first > to {
                break;
            }
            self.ensure_column(at)?;
            if let Some(column) = &self.blocks[at].column {
                let b = &self.blocks[at];
                let range = column.range(from.max(b.first), to.min(b.last));
                total += range.filter(|(_, id)| ids.contains(id)).count() as u64;
            }
        }
        Ok(total)
    }

    fn count_last(&mut self, filter: &Filter, from: u64) -> Result<u64> {
        let mut total = 0;
        for id in self.matching(filter) {
            let t = self.subjects.totals(id);
            let counts = match t.last {
                Place::Exact(seq) => seq >= from,
                _ if self.lower(t.last) >= from
                    && matches!(t.last, Place::Block(_))
                    && t.total == 1 =>
                {
                    self.last_of(id)?.is_some_and(|seq| seq >= from)
                }
                _ if self.upper(t.last) < from => false,
                _ => self.last_of(id)?.is_some_and(|seq| seq >= from),
            };
            total += u64::from(counts);
        }
        Ok(total)
    }

    /// Messages, first and last sequence a filter selects from `from` on.
    pub fn filtered_state(&mut self, filter: &Filter, from: u64) -> Result<SimpleState> {
        let msgs = self.num_pending(filter, from, false)?;
        if msgs == 0 {
            return Ok(SimpleState::default());
        }
        let first = self.again(|s| s.next_seq(filter, from))?.unwrap_or(0);
        let last = self.again(|s| s.prev_seq(filter, s.last_seq))?.unwrap_or(0);
        Ok(SimpleState { msgs, first, last })
    }

    /// Number of messages of each subject the filter selects.
    pub fn subjects_totals(&self, filter: &Filter) -> HashMap<Box<[u8]>, u64> {
        let total = |id| self.subjects.totals(id).total;
        self.matching(filter)
            .into_iter()
            .map(|id| (self.subjects.text(id).into(), total(id)))
            .collect()
    }

    /// State of each subject the filter selects.
    pub fn subjects_state(&mut self, filter: &Filter) -> Result<BTreeMap<Box<[u8]>, SimpleState>> {
        self.again(|s| {
            let mut out = BTreeMap::new();
            for id in s.matching(filter) {
                let first = s.first_of(id)?.unwrap_or(0);
                let last = s.last_of(id)?.unwrap_or(0);
                let msgs = s.subjects.totals(id).total;
                out.insert(s.subjects.text(id).into(), SimpleState { msgs, first, last });
            }
            Ok(out)
        })
    }

    /// What is missing between the first and the last sequence, ascending.
    pub fn deleted(&self) -> Vec<Deleted> {
        let mut out: Vec<Deleted> = Vec::new();
        if self.msgs == 0 {
            return out;
        }
        let mut expected = self.first_seq;
        for b in self.blocks.iter().filter(|b| b.msgs > 0) {
            if b.first > expected {
                push_run(&mut out, expected, b.first - expected);
            }
            if !b.deleted.is_empty() {
                out.push(Deleted::Set(b.deleted.clone()));
            }
            expected = b.last + 1;
        }
        if expected <= self.last_seq {
            push_run(&mut out, expected, self.last_seq + 1 - expected);
        }
        out
    }

    /// Single deleted sequences, for stream info; at most `limit`.
    pub fn deleted_seqs(&self, limit: usize) -> Vec<u64> {
        self.deleted()
            .into_iter()
            .flat_map(|part| -> Box<dyn Iterator<Item = u64>> {
                match part {
                    Deleted::Run { first, num } => Box::new(first..first + num),
                    Deleted::Set(set) => Box::new(set.iter().collect::<Vec<_>>().into_iter()),
                }
            })
            .take(limit)
            .collect()
    }

    /// The state replicas exchange; `failed` counts proposals that took a sequence in vain.
    pub fn replicated_state(&self, failed: u64) -> ReplicatedState {
        ReplicatedState {
            msgs: self.msgs,
            bytes: self.bytes,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            failed,
            deleted: self.deleted(),
        }
    }

    /// Removes what a leader's state says is deleted.
    pub fn sync_deleted(&mut self, parts: &[Deleted]) -> Result<()> {
        self.check_open()?;
        for part in parts {
            let seqs: SeqSet = match part {
                Deleted::Set(set) => set.clone(),
                Deleted::Run { first, num } => {
                    let last = first.saturating_add(num.saturating_sub(1)).min(self.last_seq);
                    let mut from = *first;
                    while let Some(seq) =
                        self.again(|s| s.next_seq(&Filter::All, from))?.filter(|&s| s <= last)
                    {
                        self.again(|s| s.take(seq, Why::Asked))?;
                        from = seq + 1;
                    }
                    continue;
                }
            };
            let last = self.last_seq;
            for seq in seqs.iter().take_while(|&s| s <= last) {
                self.again(|s| s.take(seq, Why::Asked))?;
            }
        }
        self.changed();
        Ok(())
    }
}

fn push_run(out: &mut Vec<Deleted>, first: u64, num: u64) {
    out.push(Deleted::Run { first, num });
}
