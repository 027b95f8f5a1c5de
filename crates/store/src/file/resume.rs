//! Going on from an index that is older than the last records: only what came after it is read.
//!
//! ```text
//! blocks   1 2 3 4 5 | 5' 6 7        index.db says what 1 to 5 held when it was written;
//!          by index  | read          the end of 5 and all of 6 and 7 are taken in, in order
//! ```
//! A crash leaves such an index; with one written now and then, the time to open depends on what
//! came since, not on how much there is.
//! Not here: opening by the index alone, or by every block (`recover.rs`).
//! Laws: only an index that this server wrote is gone on from (`index.own` names it), as the other server
//!       changes old blocks without a word in it; whatever is not as it must be leads to reading
//!       every block, never to a guess.

use std::sync::{Mutex, PoisonError};

use crate::block::scan::Found;
use crate::block::{Block, Form};
use crate::disk::{Disk, DiskFile, Open};
use crate::error::{Error, Result};
use crate::file::gather::{Outcome, Spare};
use crate::file::index_db::Index;
use crate::file::own::OWN;
use crate::file::recover::Prior;
use crate::file::{FileStore, block_path};
use crate::record::Record;
use crate::seqset::SeqSet;

/// More than this is read as fast together with everything else, in less memory.
const MOST_BYTES: u64 = 256 << 20;
/// Messages of the index that went since; each costs a read.
const MOST_REMOVED: usize = 50_000;

/// What came after an index.
pub(super) struct News {
    /// The index's last block, and all after it.
    outcomes: Vec<Outcome>,
    /// What they say was removed.
    removed: SeqSet,
}

impl<D: Disk> FileStore<D> {
    /// Whether we wrote the index that ends in `hash`.
    pub(super) fn is_own_index(&self, hash: [u8; 8]) -> bool {
        let mut signed = [0; 8];
        let file = self.disk.open(OWN, Open::Read);
        file.and_then(|f| f.read_at(&mut signed, 0)).is_ok_and(|n| n == 8) && signed == hash
    }

    /// What came after `index`; `None` if that cannot be told for certain.
    pub(super) fn news_since(&self, index: &Index, indices: &[u32]) -> Result<Option<News>> {
        let at = indices.partition_point(|&i| i < index.last_block);
        let Some(new) = indices.get(at..).filter(|new| new.first() == Some(&index.last_block))
        else {
            return Ok(None);
        };
        if !index.is_own || !self.describes(index, indices.get(..=at).unwrap_or_default())? {
            return Ok(None);
        }
        let mut bytes = 0;
        for &i in new {
            let path = block_path(i);
            let file =
                self.disk.open(&path, Open::Read).map_err(|e| Error::io("open", &path, e))?;
            let size = file.size().map_err(|e| Error::io("stat", &path, e))?;
            if size == 0 && new.last() != Some(&i) {
                // Its `.len` may tell that it was not always.
                return Ok(None);
            }
            bytes += size;
        }
        if bytes > MOST_BYTES {
            return Ok(None);
        }
        Ok(self.read_news(index, new).filter(|news| self.follows(index, news)))
    }

    /// Reads these blocks; `None` if one of them is not whole.
    fn read_news(&self, index: &Index, new: &[u32]) -> Option<News> {
        let slots: Vec<Mutex<Option<Outcome>>> = new.iter().map(|_| Mutex::default()).collect();
        let hasher = index.subjects.hasher();
        self.disk.parallel(new.len(), &|i| {
            let read = self.scan_block(new[i], &hasher, &Prior::default(), &mut Spare::default());
            *slots[i].lock().unwrap_or_else(PoisonError::into_inner) = read.ok();
        });
        let mut news = News { outcomes: Vec::with_capacity(new.len()), removed: SeqSet::default() };
        for slot in slots {
            let outcome = slot.into_inner().unwrap_or_else(PoisonError::into_inner)?;
            if outcome.salvaged || !outcome.scan.holes.is_empty() || outcome.scan.repeats > 0 {
                return None;
            }
            for &(seq, _) in &outcome.scan.tombstones {
                news.removed.insert(seq);
            }
            news.outcomes.push(outcome);
        }
        Some(news)
    }

    /// Whether these blocks go on where the index ends.
    fn follows(&self, index: &Index, news: &News) -> bool {
        let Some(tail) = news.outcomes.first() else { return false };
        let mut at = 0;
        let mut ends = index.checksum == [0; 8];
        while let Some(record) = tail.plain.get(at..).and_then(Record::parse) {
            ends |= record.checksum() == index.checksum;
            at += record.len();
        }
        // Sequences ascend from block to block, and all that a tombstone names were given.
        let mut last = index.last_seq;
        for outcome in &news.outcomes {
            let (messages, erased) = (&outcome.scan.messages, &outcome.scan.erased);
            let seqs = || messages.iter().map(|m| m.seq).chain(erased.iter().map(|e| e.0));
            let is_tail = outcome.index == index.last_block;
            if !is_tail && seqs().min().is_some_and(|first| first <= last) {
                return false;
            }
            last = last.max(seqs().max().unwrap_or(0));
        }
        ends && news.removed.iter().all(|seq| seq <= last)
    }

    /// Takes in what came after the index that was adopted; false if every block must be read
    /// after all.
    pub(super) fn catch_up(&mut self, news: News) -> Result<bool> {
        let News { outcomes, removed } = news;
        let known = self.last_seq;
        let gone: Vec<u64> = removed
            .iter()
            .take_while(|&seq| seq <= known)
            .filter(|&seq| self.locate(seq).is_ok())
            .take(MOST_REMOVED + 1)
            .collect();
        if gone.len() > MOST_REMOVED {
            return Ok(false);
        }
        for outcome in &outcomes {
            self.take_in(outcome, &removed, known);
        }
        self.msgs = self.blocks.iter().map(|b| b.msgs).sum();
        self.bytes = self.blocks.iter().map(|b| b.bytes).sum();
        self.align_empty_blocks();
        self.settle_first();
        self.open_tail()?;
        let epoch = self.epoch;
        for seq in gone {
            let read = self.load(seq);
            if self.epoch != epoch {
                // It was not there, and everything has been read meanwhile.
                return Ok(true);
            }
            let Ok(message) = read else { return Ok(false) };
            self.discount(&message)?;
        }
        self.align_empty_blocks();
        self.settle_first();
        Ok(self.epoch == epoch || !self.blocks.is_empty())
    }

    fn take_in(&mut self, outcome: &Outcome, removed: &SeqSet, known: u64) {
        let is_new = self.tail_index() != Some(outcome.index);
        if is_new {
            let name = &self.settings.name;
            let mut block = Block::new(name, outcome.index, self.last_seq, self.last_ts);
            block.secret.clone_from(&outcome.secret);
            block.form = outcome.form;
            block.tombstones = Some(outcome.scan.tombstones.len() as u32);
            self.blocks.push_back(block);
        }
        let Some(mut block) = self.blocks.pop_back() else { return };
        block.checksum = outcome.scan.checksum;
        if outcome.form == Form::Plain {
            block.len = outcome.plain.len() as u64;
        }
        let mut erased = outcome.scan.erased.iter().filter(|e| e.0 > known).peekable();
        for m in outcome.scan.messages.iter().filter(|m| m.seq > known) {
            while let Some(&(seq, ts)) = erased.next_if(|e| e.0 < m.seq) {
                self.pass(&mut block, seq, ts);
            }
            if removed.contains(m.seq) {
                self.pass(&mut block, m.seq, m.ts);
            } else {
                self.enter(&mut block, m, m.subject(&outcome.plain));
            }
        }
        for &(seq, ts) in erased {
            self.pass(&mut block, seq, ts);
        }
        for &(seq, ts) in &outcome.scan.tombstones {
            if seq == self.last_seq && self.last_ts == 0 {
                // An erased record has no time of its own.
                self.last_ts = ts;
            }
        }
        self.blocks.push_back(block);
    }

    /// Counts a message in the block that is read.
    fn enter(&mut self, block: &mut Block, m: &Found, subject: &[u8]) {
        if block.msgs == 0 {
            (block.first, block.first_ts) = (m.seq, m.ts);
            block.deleted.clear();
        } else if m.seq > block.last + 1 {
            block.deleted.insert_range(block.last + 1, m.seq - 1);
        }
        (block.last, block.last_ts) = (m.seq, m.ts);
        block.msgs += 1;
        block.bytes += u64::from(m.len);
        block.ttls += u64::from(m.has_ttl);
        block.schedules += u64::from(m.has_schedule);
        if !subject.is_empty() {
            self.subjects.add(subject, m.seq);
        }
        (self.last_seq, self.last_ts) = (m.seq, m.ts);
    }

    /// Goes past sequences that hold no message.
    fn pass(&mut self, block: &mut Block, seq: u64, ts: i64) {
        if block.msgs == 0 {
            (block.first, block.first_ts) = (seq + 1, 0);
        } else {
            block.deleted.insert_range(block.last + 1, seq);
        }
        (block.last, block.last_ts) = (seq, ts.max(block.last_ts));
        (self.last_seq, self.last_ts) = (seq, ts);
    }
}
