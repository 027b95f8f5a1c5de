//! Reading every block at once: what they say together.
//!
//! ```text
//! thread:  scan a block ─► wait for its turn ─► admit ─► account, count subjects
//!                          (newest first: short)         (several at a time)
//! ```
//! Only the order in which tombstones take messages matters, and only what depends on it happens in
//! order: a tombstone is always known before the message it removes.
//! Not here: what follows from the result (`recover.rs`, `damage.rs`).
//! Laws: what is gathered does not depend on how many threads gathered it, but for the numbers of
//!       subject records.

use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, PoisonError};

use foldhash::fast::FixedState;

use crate::block::column::{Column, Marks};
use crate::block::scan::{Found, Scan, scan_into};
use crate::block::shape::{doubts, drop_doubtful};
use crate::block::{Block, Form};
use crate::crypt::Secret;
use crate::disk::{Disk, Open};
use crate::error::{Error, Result};
use crate::file::index_db::IndexBlock;
use crate::file::read::read_block_into;
use crate::file::recover::{Damage, Prior};
use crate::file::{FileStore, block_path};
use crate::hash::HashKey;
use crate::seqset::SeqSet;
use crate::subjects::{Batch, Filling, SubjectId, Subjects};

/// From this many blocks on the subject table is split, so that threads can fill it together.
const LARGE: usize = 8;

/// Everything the blocks say.
pub(super) struct Gathered {
    pub(super) subjects: Subjects,
    /// Ascending.
    pub(super) blocks: Vec<Block>,
    pub(super) damages: Vec<Damage>,
    pub(super) tombstones: SeqSet,
    /// Removed according to a server that wrote no tombstones.
    pub(super) unmarked: SeqSet,
    /// Highest sequence that any record proves, and its time.
    pub(super) last: (u64, i64),
}

/// One block file, read.
pub(super) struct Outcome {
    pub(super) index: u32,
    pub(super) secret: Option<Secret>,
    pub(super) form: Form,
    pub(super) plain: Vec<u8>,
    pub(super) scan: Scan,
    pub(super) salvaged: bool,
}

/// Memory that the next block uses again.
#[derive(Default)]
pub(super) struct Spare {
    plain: Vec<u8>,
    messages: Vec<Found>,
    ids: Vec<SubjectId>,
    batch: Batch,
}

/// What must be taken in newest first.
struct Order {
    tombstones: SeqSet,
    unmarked: SeqSet,
    last: (u64, i64),
    /// First sequence of the block admitted last: earlier blocks end before it.
    ceiling: u64,
    column_budget: usize,
    next: usize,
}

/// What later blocks say of one.
struct Verdict {
    gone: SeqSet,
    ceiling: u64,
    keep_column: bool,
}

/// What came of one block.
#[derive(Default)]
struct Product {
    block: Option<Block>,
    damage: Option<Damage>,
}

impl<D: Disk> FileStore<D> {
    /// Reads every block and builds all state from them. Returns torn bytes set aside.
    pub(super) fn scan_all(&mut self, indices: &[u32], prior: &Prior) -> Result<u64> {
        let mut seed = [0; 8];
        self.disk.random(&mut seed).map_err(|e| Error::io("random", "seed", e))?;
        let mut gathered = self.gather(indices, prior, u64::from_le_bytes(seed));
        if let Some(at) = gathered.damages.iter().position(Damage::is_no_damage)
            && let Some(why) = gathered.damages.swap_remove(at).why
        {
            return Err(why);
        }
        self.adopt_scan(gathered, prior)
    }

    fn gather(&self, indices: &[u32], prior: &Prior, seed: u64) -> Gathered {
        let many = indices.len() >= LARGE;
        let subjects = if many { Subjects::large(seed) } else { Subjects::new(seed) };
        let hasher = subjects.hasher();
        let filling = Filling::new(subjects, indices.len());
        let order = Mutex::new(Order {
            tombstones: SeqSet::default(),
            unmarked: SeqSet::default(),
            last: (0, 0),
            ceiling: u64::MAX,
            column_budget: self.options.column_budget,
            next: 0,
        });
        let turn = Condvar::new();
        let products: Vec<Mutex<Product>> = indices.iter().map(|_| Mutex::default()).collect();
        let spares: Mutex<Vec<Spare>> = Mutex::default();
        self.disk.parallel(indices.len(), &|i| {
            let at = indices.len() - 1 - i;
            let mut spare =
                spares.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
            let outcome = self.scan_block(indices[at], &hasher, prior, &mut spare);
            let verdict = {
                let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
                while order.next != i {
                    order = turn.wait(order).unwrap_or_else(PoisonError::into_inner);
                }
                let verdict = outcome.as_ref().ok().map(|o| order.admit(o, prior));
                order.next += 1;
                turn.notify_all();
                verdict
            };
            let product = match (outcome, verdict) {
                (Ok(outcome), Some(verdict)) => {
                    finish(&self.settings.name, i, outcome, &verdict, &filling, &mut spare)
                }
                (outcome, _) => unreadable(indices[at], outcome.err()),
            };
            *products[at].lock().unwrap_or_else(PoisonError::into_inner) = product;
            spares.lock().unwrap_or_else(PoisonError::into_inner).push(spare);
        });
        let order = order.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut gathered = Gathered {
            subjects: filling.finish(),
            blocks: Vec::with_capacity(indices.len()),
            damages: Vec::new(),
            tombstones: order.tombstones,
            unmarked: order.unmarked,
            last: order.last,
        };
        for product in products {
            let product = product.into_inner().unwrap_or_else(PoisonError::into_inner);
            gathered.blocks.extend(product.block);
            gathered.damages.extend(product.damage);
        }
        gathered
    }

    pub(super) fn scan_block(
        &self,
        index: u32,
        hasher: &FixedState,
        prior: &Prior,
        spare: &mut Spare,
    ) -> Result<Outcome> {
        let path = block_path(index);
        let secret = self.block_secret(index)?;
        let file = self.disk.open(&path, Open::Read).map_err(|e| Error::io("open", &path, e))?;
        let buffer = std::mem::take(&mut spare.plain);
        let (plain, form) = read_block_into(&file, secret.as_ref(), &path, buffer)?;
        if let Some(count) = &self.options.bytes_read {
            count.fetch_add(plain.bytes.len() as u64, Ordering::Relaxed);
        }
        let key = HashKey::new(&format!("{}-{index}", self.settings.name));
        let messages = std::mem::take(&mut spare.messages);
        let mut scan = scan_into(&plain.bytes, &key, hasher, messages);
        if let Some(shape) = self.read_shape(index) {
            drop_doubtful(&mut scan, &doubts(&plain.bytes, &shape, &key));
        }
        prior.doubt_subjects(index, &mut scan, &plain.bytes);
        Ok(Outcome { index, secret, form, plain: plain.bytes, scan, salvaged: plain.salvaged })
    }
}

impl Order {
    /// Takes in a block's tombstones and bounds; later blocks were taken in before.
    fn admit(&mut self, outcome: &Outcome, prior: &Prior) -> Verdict {
        let scan = &outcome.scan;
        for &(seq, ts) in &scan.tombstones {
            self.tombstones.insert(seq);
            self.see_last(seq, ts);
        }
        for &(seq, ts) in &scan.erased {
            self.see_last(seq, ts);
        }
        for hole in scan.holes.iter().filter(|h| h.before > 0) {
            // A doubted record's sequence is proven even where its subject is not.
            self.see_last(hole.before - 1, self.last.1);
        }
        // Sequences of messages ascend.
        if let Some(last) = scan.messages.last() {
            self.see_last(last.seq, last.ts);
        }
        let budget = scan.messages.len() * size_of::<SubjectId>();
        let keep_column = self.column_budget >= budget;
        if keep_column {
            self.column_budget -= budget;
        }
        let gone = self.gone(outcome, &prior.blocks);
        if prior.is_legacy {
            for seq in gone.iter().filter(|&seq| !self.tombstones.contains(seq)) {
                self.unmarked.insert(seq);
            }
        }
        let verdict = Verdict { gone, ceiling: self.ceiling, keep_column };
        let first = scan.messages.iter().find(|m| !verdict.takes(m.seq));
        if let Some(first) = first {
            self.ceiling = first.seq;
        }
        verdict
    }

    /// Which messages of a block were removed: by a tombstone, or according to an older index, as
    /// sequences are never given twice.
    fn gone(&self, outcome: &Outcome, known: &[IndexBlock]) -> SeqSet {
        let messages = &outcome.scan.messages;
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
            return SeqSet::default();
        };
        let at = known.partition_point(|b| b.index < outcome.index);
        let known = known.get(at).filter(|b| b.index == outcome.index);
        let before = known.map_or(0, |b| b.first);
        let by_index = known.map(|b| &b.deleted).filter(|set| !set.is_empty());
        if self.tombstones.count_range(first.seq, last.seq) == 0
            && by_index.is_none()
            && before <= first.seq
        {
            return SeqSet::default();
        }
        messages
            .iter()
            .map(|m| m.seq)
            .filter(|&seq| {
                self.tombstones.contains(seq)
                    || seq < before
                    || by_index.is_some_and(|set| set.contains(seq))
            })
            .collect()
    }

    fn see_last(&mut self, seq: u64, ts: i64) {
        if seq > self.last.0 || (seq == self.last.0 && self.last.1 == 0) {
            self.last = (seq, ts);
        }
    }
}

impl Verdict {
    /// Whether a message is not there: removed, or a later block has its place.
    fn takes(&self, seq: u64) -> bool {
        seq >= self.ceiling || self.gone.contains(seq)
    }
}

fn unreadable(index: u32, why: Option<Error>) -> Product {
    let damage = Damage { index, scan: None, plain: Vec::new(), why, salvaged: false };
    Product { block: None, damage: Some(damage) }
}

/// Accounts for a block that was admitted, and counts its subjects.
fn finish(
    stream: &str,
    number: usize,
    mut outcome: Outcome,
    verdict: &Verdict,
    filling: &Filling,
    spare: &mut Spare,
) -> Product {
    let mut batch = filling.batch(std::mem::take(&mut spare.batch));
    let mut block = account(stream, &outcome, verdict, &mut batch);
    let ids = &mut spare.ids;
    ids.clear();
    ids.resize(outcome.scan.messages.len(), 0);
    filling.add(number, &batch, ids);
    if verdict.keep_column {
        let mut column = Column::default();
        for (m, &id) in outcome.scan.messages.iter().zip(&*ids) {
            if !verdict.takes(m.seq) {
                column.push(m.seq, id);
            }
        }
        column.shrink();
        block.column = Some(Box::new(column));
    }
    spare.batch = batch;
    let is_damaged = !outcome.scan.holes.is_empty() || outcome.salvaged;
    block.is_holed = is_damaged;
    let mut product = Product { block: Some(block), damage: None };
    if is_damaged {
        outcome.scan.messages.shrink_to_fit();
        let Outcome { index, scan, plain, salvaged, .. } = outcome;
        product.damage = Some(Damage { index, scan: Some(scan), plain, why: None, salvaged });
    } else {
        (spare.plain, spare.messages) = (outcome.plain, outcome.scan.messages);
    }
    product
}

/// A block's own accounts; the subjects of its messages go to `batch`.
fn account(stream: &str, outcome: &Outcome, verdict: &Verdict, batch: &mut Batch) -> Block {
    let scan = &outcome.scan;
    let mut block = Block::new(stream, outcome.index, 0, 0);
    block.secret = outcome.secret.clone();
    block.form = outcome.form;
    block.len = outcome.plain.len() as u64;
    block.checksum = scan.checksum;
    block.tombstones = Some(scan.tombstones.len() as u32);
    let mut marks = Marks::default();
    for (place, m) in scan.messages.iter().enumerate() {
        marks.note(m.seq, m.offset);
        block.ttls += u64::from(m.has_ttl);
        block.schedules += u64::from(m.has_schedule);
        if m.seq >= verdict.ceiling {
            continue;
        }
        if block.msgs > 0 && m.seq > block.last + 1 {
            // What lies between messages is deleted.
            block.deleted.insert_range(block.last + 1, m.seq - 1);
        }
        if verdict.gone.contains(m.seq) {
            // The block answers for the record as long as its file holds it.
            if block.msgs > 0 {
                block.deleted.insert(m.seq);
            }
            (block.last, block.last_ts) = (m.seq, m.ts);
            continue;
        }
        if block.msgs == 0 {
            (block.first, block.first_ts) = (m.seq, m.ts);
        }
        (block.last, block.last_ts) = (m.seq, m.ts);
        block.msgs += 1;
        block.bytes += u64::from(m.len);
        if m.subject_len > 0 {
            batch.push(m.subject_hash, m.seq, place as u32, m.subject(&outcome.plain));
        }
    }
    finish_skips(&mut block, &scan.erased);
    if block.msgs == 0 {
        block.last = block.last.min(verdict.ceiling - 1);
    }
    marks.shrink();
    block.marks = Some(marks);
    block
}

/// Skipped sequences after the last message still belong to the block.
fn finish_skips(block: &mut Block, erased: &[(u64, i64)]) {
    if let Some(&(seq, ts)) = erased.last()
        && seq > block.last
    {
        if block.msgs > 0 {
            block.deleted.insert_range(block.last + 1, seq);
        }
        // An erased record has no time, and must not make the messages before it look old.
        (block.last, block.last_ts) = (seq, ts.max(block.last_ts));
    }
}
