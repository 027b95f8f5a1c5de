//! Which message: next, previous, last, first of a subject, at a time.
//!
//! Questions are answered from the subject table and the columns; messages are read only when
//! they are returned.
//! Laws: an answer is the same whether or not columns are in memory.
//! Reference: filestore.go LoadNextMsg, LoadPrevMsg, LoadLastMsg, MultiLastSeqs, GetSeqFromTime.

use std::collections::HashSet;

use stdx::time::Timestamp;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file::FileStore;
use crate::filter::Filter;
use crate::message::Message;
use crate::subjects::{Place, SubjectId};

/// Blocks to look through for a wildcard before the subject table is asked where to go on.
const PATIENCE: usize = 2;

impl<D: Disk> FileStore<D> {
    /// The first message at or after `from` that the filter selects.
    pub fn next(&mut self, filter: &Filter, from: u64) -> Result<Option<Message>> {
        let mut from = from;
        loop {
            let Some(seq) = self.again(|s| s.next_seq(filter, from))? else { return Ok(None) };
            match self.load(seq) {
                Ok(m) => return Ok(Some(m)),
                // Damage found on the way: it is reported as lost, what follows is not.
                Err(Error::Damaged { .. } | Error::NotFound) => from = seq + 1,
                Err(e) => return Err(e.reached(seq)),
            }
        }
    }

    /// The last message at or before `from` that the filter selects.
    pub fn prev(&mut self, filter: &Filter, from: u64) -> Result<Option<Message>> {
        let mut from = from;
        loop {
            let Some(seq) = self.again(|s| s.prev_seq(filter, from))? else { return Ok(None) };
            match self.load(seq) {
                Ok(m) => return Ok(Some(m)),
                Err(Error::Damaged { .. } | Error::NotFound) if seq > 0 => from = seq - 1,
                Err(e) => return Err(e),
            }
        }
    }

    /// Whether the columns of all blocks are in memory.
    pub fn is_at_hand(&self) -> bool {
        self.blocks.iter().all(|b| b.msgs == 0 || b.column.is_some())
    }

    /// The last message the filter selects.
    pub fn last(&mut self, filter: &Filter) -> Result<Option<Message>> {
        self.prev(filter, self.last_seq)
    }

    /// The subject of a message, without reading it if possible.
    pub fn subject_of(&mut self, seq: u64) -> Result<bytes::Bytes> {
        let at = self.locate(seq)?;
        if let Some(column) = &self.blocks[at].column {
            let id = column.get(seq);
            if id != 0 {
                return Ok(bytes::Bytes::copy_from_slice(self.subjects.text(id)));
            }
        }
        Ok(self.load(seq)?.subject)
    }

    /// The first sequence at or after `from` that the filter selects.
    pub(super) fn next_seq(&mut self, filter: &Filter, from: u64) -> Result<Option<u64>> {
        let from = from.max(self.first_seq);
        if self.msgs == 0 || from > self.last_seq {
            return Ok(None);
        }
        match filter {
            Filter::All => Ok(self.next_present(from)),
            Filter::Literal(subject) => {
                let Some(id) = self.subjects.find(subject) else { return Ok(None) };
                let t = self.subjects.totals(id);
                let (low, high) = (self.lower(t.first), self.upper(t.last));
                if low >= from && matches!(t.first, Place::Exact(_)) {
                    return Ok(Some(low));
                }
                self.scan_forward(from.max(low), high, |_, other| other == id, usize::MAX)
                    .map(|r| r.0)
            }
            _ => self.next_matching(filter, from),
        }
    }

    fn next_matching(&mut self, filter: &Filter, mut from: u64) -> Result<Option<u64>> {
        loop {
            let matcher = |s: &Self, id| filter.matches(s.subjects.text(id));
            let (found, reached) = self.scan_forward(from, self.last_seq, matcher, PATIENCE)?;
            if found.is_some() || reached > self.last_seq {
                return Ok(found);
            }
            // Nothing near: the subject table knows the next place that can match.
            let jump = self
                .subjects
                .iter()
                .filter(|(_, text)| filter.matches(text))
                .map(|(id, _)| self.subjects.totals(id))
                .filter(|t| self.upper(t.last) >= reached)
                .map(|t| self.lower(t.first).max(reached))
                .min();
            let Some(jump) = jump else { return Ok(None) };
            from = jump;
        }
    }

    /// The last sequence at or before `from` that the filter selects.
    pub(super) fn prev_seq(&mut self, filter: &Filter, from: u64) -> Result<Option<u64>> {
        let from = from.min(self.last_seq);
        if self.msgs == 0 || from < self.first_seq {
            return Ok(None);
        }
        match filter {
            Filter::All => Ok(self.prev_present(from)),
            Filter::Literal(subject) => {
                let Some(id) = self.subjects.find(subject) else { return Ok(None) };
                let t = self.subjects.totals(id);
                if let Place::Exact(last) = t.last
                    && last <= from
                {
                    return Ok(Some(last));
                }
                let (low, high) = (self.lower(t.first), self.upper(t.last).min(from));
                let found = self.scan_back(low, high, |_, other| other == id, usize::MAX)?.0;
                if from == self.last_seq
                    && let Some(seq) = found
                {
                    self.settle(id, None, Some(seq));
                }
                Ok(found)
            }
            _ => self.prev_matching(filter, from),
        }
    }

    fn prev_matching(&mut self, filter: &Filter, mut from: u64) -> Result<Option<u64>> {
        loop {
            let matcher = |s: &Self, id| filter.matches(s.subjects.text(id));
            let (found, reached) = self.scan_back(self.first_seq, from, matcher, PATIENCE)?;
            if found.is_some() || reached <= self.first_seq {
                return Ok(found);
            }
            let jump = self
                .subjects
                .iter()
                .filter(|(_, text)| filter.matches(text))
                .map(|(id, _)| self.subjects.totals(id))
                .filter(|t| self.lower(t.first) < reached)
                .map(|t| self.upper(t.last).min(reached - 1))
                .max();
            let Some(jump) = jump else { return Ok(None) };
            from = jump;
        }
    }

    fn next_present(&self, from: u64) -> Option<u64> {
        let mut at = self.block_at(from)?;
        let mut seq = from;
        while let Some(b) = self.blocks.get(at) {
            if b.msgs > 0 && seq <= b.last {
                seq = seq.max(b.first);
                while seq <= b.last {
                    if !b.deleted.contains(seq) {
                        return Some(seq);
                    }
                    seq += 1;
                }
            }
            at += 1;
        }
        None
    }

    fn prev_present(&self, from: u64) -> Option<u64> {
        let at = self.block_at(from).unwrap_or(self.blocks.len().checked_sub(1)?);
        let mut seq = from;
        for b in self.blocks.range(..=at).rev() {
            if b.msgs == 0 || b.first > seq {
                continue;
            }
            seq = seq.min(b.last);
            while seq >= b.first {
                if !b.deleted.contains(seq) {
                    return Some(seq);
                }
                seq -= 1;
            }
        }
        None
    }

    /// Looks through columns upwards; returns the match, and the first sequence not looked at.
    fn scan_forward(
        &mut self,
        from: u64,
        to: u64,
        matches: impl Fn(&Self, SubjectId) -> bool,
        most: usize,
    ) -> Result<(Option<u64>, u64)> {
        let Some(start) = self.block_at(from) else { return Ok((None, self.last_seq + 1)) };
        let mut looked = 0;
        for at in start..self.blocks.len() {
            let (first, msgs) = (self.blocks[at].first, self.blocks[at].msgs);
            if msgs == 0 {
                continue;
            }
            if first > to {
                return Ok((None, self.last_seq + 1));
            }
            if looked == most {
                return Ok((None, first.max(from)));
            }
            looked += 1;
            self.ensure_column(at).map_err(|e| e.reached(first.max(from)))?;
            if let Some(column) = &self.blocks[at].column {
                let (b_first, b_last) = (self.blocks[at].first, self.blocks[at].last);
                let found = column
                    .range(from.max(b_first), to.min(b_last))
                    .find(|&(_, id)| matches(self, id));
                if let Some((seq, _)) = found {
                    return Ok((Some(seq), seq));
                }
            }
        }
        Ok((None, self.last_seq + 1))
    }

    /// Looks through columns downwards; returns the match, and the first sequence looked at.
    fn scan_back(
        &mut self,
        from: u64,
        to: u64,
        matches: impl Fn(&Self, SubjectId) -> bool,
        most: usize,
    ) -> Result<(Option<u64>, u64)> {
        let end = self.block_at(to).unwrap_or(self.blocks.len().saturating_sub(1));
        let mut looked = 0;
        let mut reached = to.saturating_add(1);
        for at in (0..=end).rev() {
            let (first, last, msgs) = match self.blocks.get(at) {
                Some(b) => (b.first, b.last, b.msgs),
                None => continue,
            };
            if msgs == 0 {
                continue;
            }
            if last < from {
                break;
            }
            if looked == most {
                return Ok((None, reached));
            }
            looked += 1;
            self.ensure_column(at)?;
            if let Some(column) = &self.blocks[at].column {
                let found = column
                    .range(from.max(first), to.min(last))
                    .rev()
                    .find(|&(_, id)| matches(self, id));
                if let Some((seq, _)) = found {
                    return Ok((Some(seq), seq));
                }
            }
            reached = first;
        }
        Ok((None, 0))
    }

    /// No message of the subject is before this.
    pub(super) fn lower(&self, place: Place) -> u64 {
        match place {
            Place::Exact(seq) | Place::Bound(seq) => seq.max(self.first_seq),
            Place::Block(index) => {
                let at = self.blocks.partition_point(|b| b.index < index);
                self.blocks.get(at).map_or(self.first_seq, |b| b.first)
            }
        }
    }

    /// No message of the subject is after this.
    pub(super) fn upper(&self, place: Place) -> u64 {
        match place {
            Place::Exact(seq) | Place::Bound(seq) => seq.min(self.last_seq),
            Place::Block(index) => {
                let at = self.blocks.partition_point(|b| b.index <= index);
                at.checked_sub(1)
                    .and_then(|at| self.blocks.get(at))
                    .map_or(self.last_seq, |b| b.last)
            }
        }
    }

    fn settle(&mut self, id: SubjectId, first: Option<u64>, last: Option<u64>) {
        let mut t = self.subjects.totals(id);
        if let Some(seq) = first {
            t.first = Place::Exact(seq);
        }
        if let Some(seq) = last {
            t.last = Place::Exact(seq);
        }
        self.subjects.set(id, t);
    }

    /// The first message of a subject.
    pub(super) fn first_of(&mut self, id: SubjectId) -> Result<Option<u64>> {
        let t = self.subjects.totals(id);
        if let Place::Exact(seq) = t.first {
            return Ok(Some(seq));
        }
        let (low, high) = (self.lower(t.first), self.upper(t.last));
        let found = self.scan_forward(low, high, |_, other| other == id, usize::MAX)?.0;
        if found.is_some() {
            self.settle(id, found, None);
        }
        Ok(found)
    }

    /// The last message of a subject.
    pub(super) fn last_of(&mut self, id: SubjectId) -> Result<Option<u64>> {
        let t = self.subjects.totals(id);
        if let Place::Exact(seq) = t.last {
            return Ok(Some(seq));
        }
        let (low, high) = (self.lower(t.first), self.upper(t.last));
        let found = self.scan_back(low, high, |_, other| other == id, usize::MAX)?.0;
        if found.is_some() {
            self.settle(id, None, found);
        }
        Ok(found)
    }

    /// Subjects a filter selects.
    pub(super) fn matching(&self, filter: &Filter) -> Vec<SubjectId> {
        match filter {
            Filter::Literal(subject) => self.subjects.find(subject).into_iter().collect(),
            _ => {
                self.subjects.iter().filter(|(_, t)| filter.matches(t)).map(|(id, _)| id).collect()
            }
        }
    }

    /// The last sequence of every subject the filter selects, not after `max_seq` (0: any),
    /// ascending. More than `max_allowed` (0: any) is an error.
    pub fn multi_last(
        &mut self,
        filter: &Filter,
        max_seq: u64,
        max_allowed: usize,
    ) -> Result<Vec<u64>> {
        self.again(|s| s.multi_last_once(filter, max_seq, max_allowed))
    }

    fn multi_last_once(
        &mut self,
        filter: &Filter,
        max_seq: u64,
        max_allowed: usize,
    ) -> Result<Vec<u64>> {
        let max_seq = if max_seq == 0 { self.last_seq } else { max_seq.min(self.last_seq) };
        let mut seqs = Vec::new();
        let mut wanted: HashSet<SubjectId> = HashSet::new();
        for id in self.matching(filter) {
            let t = self.subjects.totals(id);
            match t.last {
                Place::Exact(seq) if seq <= max_seq => seqs.push(seq),
                _ if self.lower(t.first) > max_seq => {}
                _ => {
                    wanted.insert(id);
                }
            }
        }
        if !wanted.is_empty() && self.msgs > 0 {
            let end = self.block_at(max_seq).unwrap_or(self.blocks.len() - 1);
            for at in (0..=end).rev() {
                if wanted.is_empty() {
                    break;
                }
                if self.blocks[at].msgs == 0 {
                    continue;
                }
                self.ensure_column(at)?;
                if let Some(column) = &self.blocks[at].column {
                    let range = column.range(self.blocks[at].first, max_seq).rev();
                    seqs.extend(range.filter(|(_, id)| wanted.remove(id)).map(|(seq, _)| seq));
                }
            }
        }
        if max_allowed > 0 && seqs.len() > max_allowed {
            return Err(Error::TooManyResults);
        }
        seqs.sort_unstable();
        Ok(seqs)
    }

    /// The sequence of the first message not stored before `t`; `last_seq + 1` if none.
    pub fn seq_at_time(&mut self, t: Timestamp) -> Result<u64> {
        let Some(at) = self.blocks.iter().position(|b| b.msgs > 0 && b.last_ts >= t.0) else {
            return Ok(self.last_seq + 1);
        };
        let (mut low, mut high) = (self.blocks[at].first, self.blocks[at].last + 1);
        // Times ascend with sequences: halve the range over the messages present.
        while low < high {
            let middle = low + (high - low) / 2;
            match self.next(&Filter::All, middle)? {
                Some(m) if m.seq < high && m.ts.0 < t.0 => low = m.seq + 1,
                Some(_) | None => high = middle,
            }
        }
        Ok(self.next(&Filter::All, low)?.map_or(self.last_seq + 1, |m| m.seq))
    }
}
