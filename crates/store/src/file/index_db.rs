//! `index.db`: everything the store knows about its blocks, so that opening reads none of them.
//!
//! ```text
//! 0x0b | version | uv msgs | uv bytes | uv first | sv first ts | uv last | sv last ts
//! | uv subjects | (uv len | text | uv total | uv first block | uv last block)*
//! | uv blocks | (uv index | uv bytes | uv first | sv ts | uv last | sv ts | uv deleted
//!                | uv ttls | uv schedules | [set])*
//! | uv last block | 8 bytes hash of its last record | 8 bytes hash of all before
//! ```
//! Laws: an index is believed only if its own hash holds, the last block still ends in the same
//!       record, and exactly its blocks exist.
//! Reference: filestore.go _writeFullState, recoverFullState.   Parity: FSTORE-006.

use std::hash::BuildHasher;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::block::Block;
use crate::codec::{Reader, put_uvarint, put_varint};
use crate::disk::{Disk, read_all};
use crate::error::{Error, Result};
use crate::file::FileStore;
use crate::filter::is_plausible_subject;
use crate::hash::HashKey;
use crate::seqset::SeqSet;
use crate::subjects::{Loading, Place, Subjects, Totals};

pub(super) const MAGIC: u8 = 11;
pub(super) const VERSION: u8 = 4;
/// From this many subjects on the table is split.
const LARGE: usize = 100_000;
/// Subjects that one thread takes at a time.
const RUN: u64 = 16_384;
const MAX_INDEX: u64 = 16 << 30;
pub(super) const INDEX: &str = "msgs/index.db";
pub(super) const WHEEL: &str = "msgs/thw.db";
pub(super) const SCHEDULES: &str = "msgs/sched.db";

/// One block as the index lists it.
#[derive(Clone, Debug)]
pub(crate) struct IndexBlock {
    pub(crate) index: u32,
    pub(crate) bytes: u64,
    pub(crate) first: u64,
    pub(crate) first_ts: i64,
    pub(crate) last: u64,
    pub(crate) last_ts: i64,
    pub(crate) ttls: u64,
    pub(crate) schedules: u64,
    pub(crate) deleted: SeqSet,
}

impl IndexBlock {
    /// What an index says of `block`.
    pub(crate) fn of(block: &Block) -> Self {
        Self {
            index: block.index,
            bytes: block.bytes,
            first: block.first,
            first_ts: block.first_ts,
            last: block.last,
            last_ts: block.last_ts,
            ttls: block.ttls,
            schedules: block.schedules,
            deleted: block.deleted.clone(),
        }
    }

    /// As the index lists it; `base` is what its times count from.
    pub(super) fn encode(&self, base: i64, out: &mut Vec<u8>) {
        put_uvarint(out, u64::from(self.index));
        put_uvarint(out, self.bytes);
        put_uvarint(out, self.first);
        put_varint(out, self.first_ts.wrapping_sub(base));
        put_uvarint(out, self.last);
        put_varint(out, self.last_ts.wrapping_sub(base));
        put_uvarint(out, self.deleted.len());
        put_uvarint(out, self.ttls);
        put_uvarint(out, self.schedules);
        if !self.deleted.is_empty() {
            self.deleted.encode(out);
        }
    }

    pub(crate) fn msgs(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first).saturating_sub(self.deleted.len())
    }
}

/// A decoded index whose own hash holds.
pub(crate) struct Index {
    pub(crate) msgs: u64,
    pub(crate) bytes: u64,
    pub(crate) first_seq: u64,
    pub(crate) first_ts: i64,
    pub(crate) last_seq: u64,
    pub(crate) last_ts: i64,
    pub(crate) subjects: Subjects,
    pub(crate) blocks: Vec<IndexBlock>,
    pub(crate) last_block: u32,
    pub(crate) checksum: [u8; 8],
    /// This server wrote it (`resume.rs`).
    pub(crate) is_own: bool,
}

impl Index {
    /// Decodes the plain body (without the trailing hash of the file).
    pub(crate) fn decode(body: &[u8], seed: u64, parallel: Parallel<'_>) -> Option<Self> {
        let mut r = Reader::new(body);
        let (magic, version) = (r.u8()?, r.u8()?);
        if magic != MAGIC || !(1..=VERSION).contains(&version) {
            return None;
        }
        let (msgs, bytes) = (r.uvarint()?, r.uvarint()?);
        let (first_seq, first_ts) = (r.uvarint()?, r.varint()?);
        let (last_seq, last_ts) = (r.uvarint()?, r.varint()?);
        let subjects = decode_subjects(&mut r, version, seed, parallel)?;
        let count = r.uvarint()?;
        let mut blocks = Vec::new();
        for _ in 0..count {
            blocks.push(decode_block(&mut r, version, first_ts)?);
        }
        let last_block = u32::try_from(r.uvarint()?).ok()?;
        let checksum = r.array()?;
        Some(Self {
            msgs,
            bytes,
            first_seq,
            first_ts,
            last_seq,
            last_ts,
            subjects,
            blocks,
            last_block,
            checksum,
            is_own: false,
        })
    }

    /// Whether the totals are those of the blocks.
    pub(crate) fn is_consistent(&self) -> bool {
        let msgs: u64 = self.blocks.iter().map(IndexBlock::msgs).sum();
        let bytes: u64 = self.blocks.iter().map(|b| b.bytes).sum();
        let ascending = self.blocks.windows(2).all(|w| w[0].index < w[1].index);
        let last = self.blocks.last().map_or(0, |b| b.last);
        msgs == self.msgs && bytes == self.bytes && ascending && last == self.last_seq
    }
}

/// Runs `job(0)`..`job(n - 1)`, several at a time where that helps.
pub(crate) type Parallel<'a> = &'a dyn Fn(usize, &(dyn Fn(usize) + Sync));

/// A subject's entry: where its text lies, and its totals. The reference wrote some without text.
fn read_entry<'a>(r: &mut Reader<'a>, version: u8) -> Option<(usize, &'a [u8], Totals)> {
    let len = usize::try_from(r.uvarint()?).ok()?;
    let at = r.position();
    let text = r.take(len)?;
    let none = Totals { total: 0, first: Place::Block(0), last: Place::Block(0) };
    if len == 0 {
        return Some((at, text, none));
    }
    let total = r.uvarint()?;
    let first = u32::try_from(r.uvarint()?).ok()?;
    let last = if total > 1 || version >= 4 { u32::try_from(r.uvarint()?).ok()? } else { first };
    Some((at, text, Totals { total, first: Place::Block(first), last: Place::Block(last) }))
}

/// The reference wrote indexes with damaged subjects once.
fn is_whole(text: &[u8], totals: &Totals) -> bool {
    is_plausible_subject(text) && totals.total > 0 && text.len() <= usize::from(u16::MAX)
}

fn decode_subjects(
    r: &mut Reader<'_>,
    version: u8,
    seed: u64,
    parallel: Parallel<'_>,
) -> Option<Subjects> {
    let count = r.uvarint()?;
    // A subject takes five bytes at least: no more room is made than the file can fill.
    let room = usize::try_from(count).ok()?.min(r.remaining() / 5);
    if room >= LARGE {
        let mut subjects = Subjects::large(seed);
        subjects.reserve(room);
        return load_subjects(r, version, count, subjects, parallel);
    }
    let mut subjects = Subjects::new(seed);
    subjects.reserve(room);
    for _ in 0..count {
        let (_, text, totals) = read_entry(r, version)?;
        if text.is_empty() {
            continue;
        }
        if !is_whole(text, &totals) || !subjects.insert(text, totals) {
            return None;
        }
    }
    Some(subjects)
}

/// The same by several threads, each with a run of entries.
fn load_subjects(
    r: &mut Reader<'_>,
    version: u8,
    count: u64,
    subjects: Subjects,
    parallel: Parallel<'_>,
) -> Option<Subjects> {
    let mut runs = Vec::new();
    for n in 0..count {
        if n % RUN == 0 {
            runs.push(r.clone());
        }
        read_entry(r, version)?;
    }
    let (hasher, loading) = (subjects.hasher(), Loading::new(subjects));
    let is_damaged = AtomicBool::new(false);
    parallel(runs.len(), &|number| {
        let Some(mut r) = runs.get(number).cloned() else { return };
        let mut deal = loading.deal(RUN as usize);
        for _ in 0..RUN.min(count - number as u64 * RUN) {
            match read_entry(&mut r, version) {
                Some((_, [], _)) => {}
                Some((at, text, totals)) if is_whole(text, &totals) => {
                    deal.push(hasher.hash_one(text), at, text, totals);
                }
                _ => is_damaged.store(true, Ordering::Relaxed),
            }
        }
        loading.enter(number, &deal, r.whole());
    });
    if is_damaged.into_inner() { None } else { loading.finish() }
}

pub(super) fn decode_block(r: &mut Reader<'_>, version: u8, base: i64) -> Option<IndexBlock> {
    let index = u32::try_from(r.uvarint()?).ok()?;
    let bytes = r.uvarint()?;
    let (first, first_ts) = (r.uvarint()?, r.varint()?.wrapping_add(base));
    let (last, last_ts) = (r.uvarint()?, r.varint()?.wrapping_add(base));
    let deleted_len = r.uvarint()?;
    let ttls = if version >= 2 { r.uvarint()? } else { 0 };
    let schedules = if version >= 3 { r.uvarint()? } else { 0 };
    let mut deleted = SeqSet::default();
    if deleted_len > 0 {
        let (set, used) = SeqSet::decode(r.rest())?;
        r.take(used)?;
        deleted = set;
    }
    Some(IndexBlock { index, bytes, first, first_ts, last, last_ts, ttls, schedules, deleted })
}

impl<D: Disk> FileStore<D> {
    /// The index file if there is one whose hash holds.
    pub(super) fn read_index_file(&self) -> Result<Option<Index>> {
        let bytes = match read_all(&self.disk, INDEX, MAX_INDEX) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", INDEX, e)),
        };
        let Some((body, hash)) = bytes.split_last_chunk::<8>() else { return Ok(None) };
        if bytes.len() < 32 || HashKey::new(&self.settings.name).hash(&[body]) != *hash {
            return Ok(None);
        }
        let opened;
        let plain = match &self.secret {
            // A restored snapshot is in the clear until it is first written.
            Some(secret)
                if body.first() != Some(&MAGIC) || body.get(1).is_none_or(|&v| v > VERSION) =>
            {
                opened = secret.unseal(body);
                opened.as_deref()
            }
            Some(secret) => {
                opened = secret.unseal(body);
                opened.as_deref().or(Some(body))
            }
            None => Some(body),
        };
        let mut seed = [0; 8];
        self.disk.random(&mut seed).map_err(|e| Error::io("random", "seed", e))?;
        let index = plain.and_then(|p| {
            Index::decode(p, u64::from_le_bytes(seed), &|n, job| self.disk.parallel(n, job))
        });
        Ok(index.map(|index| Index { is_own: self.is_own_index(*hash), ..index }))
    }

    /// The deadlines file, and the sequence it is valid up to.
    pub(super) fn read_wheel(&self) -> Option<(crate::wheel::Wheel, u64)> {
        crate::wheel::Wheel::decode(&read_all(&self.disk, WHEEL, MAX_INDEX).ok()?)
    }

    /// The schedules file, and the sequence it is valid up to.
    pub(super) fn read_schedules(&self) -> Option<(crate::schedule::Schedules, u64)> {
        crate::schedule::Schedules::decode(&read_all(&self.disk, SCHEDULES, MAX_INDEX).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One run after the other.
    const ALONE: Parallel<'_> = &|n, job| (0..n).for_each(job);

    use proptest::prelude::*;

    /// An index as versions 1 to 3 wrote it: last block only for several messages, counters later.
    fn old(version: u8) -> Vec<u8> {
        let mut out = vec![MAGIC, version];
        for v in [3, 90, 1] {
            put_uvarint(&mut out, v);
        }
        put_varint(&mut out, 1000);
        put_uvarint(&mut out, 4);
        put_varint(&mut out, 4000);
        put_uvarint(&mut out, 2);
        put_uvarint(&mut out, 1);
        out.extend_from_slice(b"a");
        for v in [1, 7] {
            put_uvarint(&mut out, v);
        }
        put_uvarint(&mut out, 1);
        out.extend_from_slice(b"b");
        for v in [2, 7, 7] {
            put_uvarint(&mut out, v);
        }
        for v in [1, 7, 90, 1] {
            put_uvarint(&mut out, v);
        }
        put_varint(&mut out, 0);
        put_uvarint(&mut out, 4);
        put_varint(&mut out, 3000);
        put_uvarint(&mut out, 1);
        for _ in 1..version {
            put_uvarint(&mut out, 5);
        }
        SeqSet::from_iter([2]).encode(&mut out);
        put_uvarint(&mut out, 7);
        out.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        out
    }

    /// The subjects of an index, `again` of them a second time.
    fn many(count: u64, again: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_uvarint(&mut out, count + again);
        for n in (0..count).chain(0..again) {
            let text = format!("many.{n}");
            put_uvarint(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
            for v in [n % 3 + 1, n / 1000, n / 1000 + 1] {
                put_uvarint(&mut out, v);
            }
        }
        out
    }

    #[test]
    fn many_subjects_are_loaded_by_several_threads() {
        let threads: Parallel<'_> = &|n, job| {
            std::thread::scope(|s| {
                for at in 0..n {
                    s.spawn(move || job(at));
                }
            });
        };
        let count = LARGE as u64 + RUN + 17;
        let bytes = many(count, 0);
        let subjects = decode_subjects(&mut Reader::new(&bytes), 4, 7, threads).unwrap();
        assert_eq!(subjects.len() as u64, count);
        for n in (0..count).step_by(997) {
            let id = subjects.find(format!("many.{n}").as_bytes()).unwrap();
            let block = (n / 1000) as u32;
            let (first, last) = (Place::Block(block), Place::Block(block + 1));
            assert_eq!(subjects.totals(id), Totals { total: n % 3 + 1, first, last }, "{n}");
        }
        let twice = many(count, 1);
        assert!(decode_subjects(&mut Reader::new(&twice), 4, 7, threads).is_none());
        let cut = &bytes[..bytes.len() - 1];
        assert!(decode_subjects(&mut Reader::new(cut), 4, 7, threads).is_none());
    }

    // Contract: FSTORE-006
    #[test]
    fn versions_one_to_three_are_read() {
        for version in 1..=3 {
            let index = Index::decode(&old(version), 1, ALONE).unwrap();
            assert!(index.is_consistent(), "version {version}");
            assert_eq!((index.msgs, index.last_seq, index.last_block), (3, 4, 7));
            assert_eq!(index.subjects.len(), 2);
            let b = &index.blocks[0];
            assert_eq!(
                (b.first_ts, b.last_ts, b.ttls),
                (1000, 4000, if version > 1 { 5 } else { 0 })
            );
        }
        assert!(Index::decode(&old(5), 1, ALONE).is_none());
    }

    proptest! {
        #[test]
        fn decoding_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0usize..200) {
            let _ = Index::decode(&bytes, 1, ALONE);
            let mut near = old(3);
            let at = cut % near.len();
            near[at] = near[at].wrapping_add(1);
            let _ = Index::decode(&near, 1, ALONE);
            near.truncate(at);
            prop_assert!(Index::decode(&near, 1, ALONE).is_none());
        }
    }
}
