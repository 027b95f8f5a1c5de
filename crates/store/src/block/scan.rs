//! Reading a whole block without trusting it.
//!
//! Every record is proven by its hash before the next one is looked for where it ends. After a
//! record that does not prove itself, the scan moves on byte by byte until a record does, so that
//! damage takes only the bytes it hit.
//! Laws: sequences of messages ascend; a hole never overlaps a proven record; no input panics.
//! Reference: filestore.go rebuildStateFromBufLocked (which gives up at the first damage).
//! Parity: FSTORE-008, FSTORE-009.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::hash::HashKey;
use crate::message::header_value;
use crate::record::{EMPTY, HEAD, Kind, MAX_RECORD, Record};

/// A message found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) seq: u64,
    pub(crate) ts: i64,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) subject_hash: u64,
    pub(crate) subject_len: u16,
    pub(crate) has_ttl: bool,
    pub(crate) has_schedule: bool,
}

impl Found {
    /// The message's subject in the plain bytes that were scanned.
    pub(crate) fn subject<'a>(&self, plain: &'a [u8]) -> &'a [u8] {
        let at = self.offset as usize + HEAD;
        plain.get(at..at + usize::from(self.subject_len)).unwrap_or_default()
    }
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    /// Highest sequence proven before the hole; zero at the head of a block.
    pub(crate) after: u64,
    /// Lowest sequence proven after it; zero when the hole reaches the end.
    pub(crate) before: u64,
}

/// Everything a block file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scan {
    pub(crate) messages: Vec<Found>,
    /// Erased or skipped sequences with their times.
    pub(crate) erased: Vec<(u64, i64)>,
    /// Removed sequences of this or earlier blocks, with the removed message's time.
    pub(crate) tombstones: Vec<(u64, i64)>,
    pub(crate) holes: Vec<Hole>,
    /// Hash of the last proven record.
    pub(crate) checksum: [u8; 8],
    /// Where the last proven record ends.
    pub(crate) end: u64,
    /// Messages that repeat an earlier sequence.
    pub(crate) repeats: u32,
}

/// Scans the plain bytes of a block.
pub(crate) fn scan(plain: &[u8], key: &HashKey, hasher: &FixedState) -> Scan {
    scan_into(plain, key, hasher, Vec::new())
}

/// The same, listing the messages in memory that is used again.
pub(crate) fn scan_into(
    plain: &[u8],
    key: &HashKey,
    hasher: &FixedState,
    mut messages: Vec<Found>,
) -> Scan {
    messages.clear();
    let mut out = Scan { messages, ..Scan::default() };
    let mut last = 0u64;
    let mut at = 0;
    while at < plain.len() {
        let rest = plain.get(at..).unwrap_or_default();
        if let Some(record) = Record::verify(rest, key)
            && is_plausible(&record)
        {
            note(&mut out, &record, at, &mut last, hasher);
            at += record.len();
            out.end = at as u64;
            continue;
        }
        let end = resume(plain, at + 1, last, key);
        let hole = Hole { offset: at as u64, len: (end - at) as u64, after: last, before: 0 };
        out.holes.push(hole);
        at = end;
    }
    fill_bounds(&mut out, plain, key);
    out
}

fn note(out: &mut Scan, record: &Record<'_>, at: usize, last: &mut u64, hasher: &FixedState) {
    out.checksum = record.checksum();
    match record.kind {
        Kind::Tombstone => {
            out.tombstones.push((record.seq, record.ts));
            return;
        }
        _ if record.seq <= *last && record.seq != 0 => {
            out.repeats += 1;
            return;
        }
        Kind::Erased => out.erased.push((record.seq, record.ts)),
        Kind::Message => {
            let header = record.header();
            out.messages.push(Found {
                seq: record.seq,
                ts: record.ts,
                offset: at as u32,
                len: record.len() as u32,
                subject_hash: hasher.hash_one(record.subject()),
                subject_len: record.subject().len() as u16,
                has_ttl: !header.is_empty() && header_value(header, b"Nats-TTL").is_some(),
                has_schedule: !header.is_empty()
                    && header_value(header, b"Nats-Schedule").is_some(),
            });
        }
    }
    *last = record.seq.max(*last);
}

/// What a hash cannot prove: that the split into subject and header is the one that was written.
pub(crate) fn is_plausible(record: &Record<'_>) -> bool {
    match record.kind {
        Kind::Message => true,
        Kind::Tombstone => record.len() == EMPTY,
        // An erased record keeps its length, and has neither subject nor header.
        Kind::Erased => record.subject().is_empty() && !record.has_header(),
    }
}

/// The next offset at or after `from` at which a proven record begins, or the end.
///
/// Random bytes that look like a length are common, and hashing what they span is dear; a
/// sequence near those already seen is rare by chance, so it is asked for first.
fn resume(plain: &[u8], from: usize, last: u64, key: &HashKey) -> usize {
    let mut at = from;
    while at + EMPTY <= plain.len() {
        let rest = plain.get(at..).unwrap_or_default();
        // A total of at most 32 MiB has a small high byte: nearly all offsets fall here.
        let high = rest.get(3).copied().unwrap_or(0) & 0x7f;
        if u64::from(high) << 24 <= MAX_RECORD
            && let Some(record) = Record::parse(rest)
            && is_plausible(&record)
            && record.seq < last.saturating_add(1 << 56)
            && record.is_intact(key)
        {
            return at;
        }
        at += 1;
    }
    plain.len()
}

/// Tells each hole the lowest sequence after it.
fn fill_bounds(out: &mut Scan, plain: &[u8], key: &HashKey) {
    if out.holes.is_empty() {
        return;
    }
    let mut holes = std::mem::take(&mut out.holes);
    for hole in &mut holes {
        let end = hole.offset + hole.len;
        let by_message = out
            .messages
            .get(out.messages.partition_point(|m| u64::from(m.offset) < end))
            .map(|m| m.seq);
        let mut at = end as usize;
        // A skip record may come first.
        let mut by_erased = None;
        while let Some(record) = plain.get(at..).and_then(|rest| Record::verify(rest, key)) {
            if record.kind != Kind::Tombstone {
                by_erased = Some(record.seq);
                break;
            }
            at += record.len();
        }
        hole.before = match (by_message, by_erased) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b).unwrap_or(0),
        };
    }
    out.holes = holes;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{TOMBSTONE, put_empty, put_message};
    use proptest::prelude::*;

    fn block(n: u64) -> (Vec<u8>, Vec<usize>, HashKey) {
        let key = HashKey::new("S-1");
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        for seq in 1..=n {
            starts.push(bytes.len());
            let header = if seq % 3 == 0 { &b"NATS/1.0\r\nA: b\r\n\r\n"[..] } else { b"" };
            put_message(&mut bytes, &key, seq, seq as i64, b"foo.bar", header, &[seq as u8; 40]);
        }
        (bytes, starts, key)
    }

    // Contract: FSTORE-008
    #[test]
    fn a_cut_tail_is_one_hole() {
        let (bytes, starts, key) = block(5);
        for cut in starts[4] + 1..bytes.len() {
            let s = scan(&bytes[..cut], &key, &FixedState::with_seed(1));
            assert_eq!(s.messages.len(), 4);
            let hole = Hole {
                offset: starts[4] as u64,
                len: (cut - starts[4]) as u64,
                after: 4,
                before: 0,
            };
            assert_eq!(s.holes, [hole]);
        }
    }

    // Every single flipped bit costs at most the record it is in.
    #[test]
    fn flips_cost_one_record() {
        let (bytes, starts, key) = block(6);
        for byte in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[byte] ^= 1 << bit;
                let s = scan(&bad, &key, &FixedState::with_seed(1));
                let hit = starts.iter().rposition(|&at| at <= byte).unwrap() as u64 + 1;
                let got: Vec<u64> = s.messages.iter().map(|m| m.seq).collect();
                let missing: Vec<u64> = (1..=6).filter(|s| !got.contains(s)).collect();
                assert!(
                    missing.is_empty() || missing == [hit],
                    "byte {byte} bit {bit}: {missing:?}"
                );
                if let [hole] = s.holes[..] {
                    assert_eq!(
                        (hole.after, hole.before),
                        (hit - 1, if hit == 6 { 0 } else { hit + 1 })
                    );
                }
            }
        }
    }

    #[test]
    fn zeroed_pages_do_not_stop_the_scan() {
        let (mut bytes, starts, key) = block(50);
        bytes[starts[10] + 5..starts[20] + 5].fill(0);
        let s = scan(&bytes, &key, &FixedState::with_seed(1));
        assert_eq!(s.messages.len(), 50 - 11);
        assert_eq!((s.holes[0].after, s.holes[0].before), (10, 22));
    }

    proptest! {
        #[test]
        fn scanning_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..600), at in 0usize..600) {
            let key = HashKey::new("S-1");
            let mut mixed = bytes;
            let mut tomb = Vec::new();
            put_empty(&mut tomb, &key, 9 | TOMBSTONE, 1);
            let at = at.min(mixed.len());
            mixed.splice(at..at, tomb);
            let s = scan(&mixed, &key, &FixedState::with_seed(1));
            prop_assert_eq!(s.tombstones, vec![(9, 1)]);
        }
    }
}
