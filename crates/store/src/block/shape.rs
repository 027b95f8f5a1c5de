//! `<n>.len`: what a block holds that its records' hashes do not cover, and that it is there at all.
//!
//! A record's hash covers subject and payload as one run of bytes, so a damaged subject length
//! makes another subject and payload of them that still verifies. This file, ours alone and
//! ignored by other servers, tells; and without its block it says which sequences went with that. It
//! is written when a block is sealed or written anew and at close; one that is missing, damaged or
//! about other records proves nothing and costs nothing.
//!
//! Wire: `"len2" | 8-byte hash of all but itself | uv last | uv runs | (uv gap, uv more)* | entries`;
//! `last` is the highest sequence used, skipped ones included, and each run is `more + 1` sequences
//! of messages, `gap` after where the run before it ended. Entries, in the order of the block: `(uv total |
//! uv subject length | u16 of the record's hash)*`. `"len1"`, written before, has nothing but entries.
//! Laws: a record is doubted only if this file is intact and about that very record.

use crate::block::scan::{Hole, Scan};
use crate::codec::{Reader, put_uvarint};
use crate::hash::HashKey;
use crate::record::{Kind, Record};

pub(crate) const MAGIC: &[u8; 4] = b"len2";
pub(crate) const OLD: &[u8; 4] = b"len1";

/// The messages of a block, as its file lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// So many: an old file.
    Count(u64),
    /// Runs of sequences, ascending, and the last sequence used.
    Seqs { runs: Vec<(u64, u64)>, last: u64 },
}

/// The file for these plain block bytes.
pub(crate) fn encode(plain: &[u8], key: &HashKey) -> Vec<u8> {
    let (mut entries, mut runs) = (Vec::new(), Vec::<(u64, u64)>::new());
    let (mut at, mut last) = (0, 0);
    while let Some(record) = plain.get(at..).and_then(Record::parse) {
        at += record.len();
        put_uvarint(&mut entries, record.len() as u64);
        put_uvarint(&mut entries, record.subject().len() as u64);
        entries.extend_from_slice(&record.checksum()[..2]);
        // As the scan does, which leaves out what repeats an earlier sequence.
        if record.kind == Kind::Tombstone || record.seq <= last {
            continue;
        }
        last = record.seq;
        match runs.last_mut() {
            _ if record.kind != Kind::Message => {}
            Some((_, end)) if *end + 1 == record.seq => *end = record.seq,
            _ => runs.push((record.seq, record.seq)),
        }
    }
    let mut body = Vec::new();
    put_uvarint(&mut body, last);
    put_uvarint(&mut body, runs.len() as u64);
    let mut before = 0;
    for (first, end) in runs {
        put_uvarint(&mut body, first - before);
        put_uvarint(&mut body, end - first);
        before = end;
    }
    body.extend_from_slice(&entries);
    frame(MAGIC, &body, key)
}

/// The file with this body.
pub(crate) fn frame(magic: &[u8; 4], body: &[u8], key: &HashKey) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend_from_slice(&key.hash(&[magic, body]));
    out.extend_from_slice(body);
    out
}

/// An intact file.
struct Listed<'a> {
    held: Option<Held>,
    entries: &'a [u8],
}

fn listed<'a>(file: &'a [u8], key: &HashKey) -> Option<Listed<'a>> {
    let (head, body) = file.split_at_checked(12)?;
    let (magic, hash) = head.split_at(4);
    if hash != key.hash(&[magic, body]) {
        return None;
    }
    if magic == OLD {
        return Some(Listed { held: None, entries: body });
    }
    if magic != MAGIC {
        return None;
    }
    let mut r = Reader::new(body);
    let (last, count) = (r.uvarint()?, r.uvarint()?);
    let (mut runs, mut before) = (Vec::new(), 0u64);
    for _ in 0..count {
        let (gap, more) = (r.uvarint()?, r.uvarint()?);
        let first = before.checked_add(gap).filter(|first| *first > before)?;
        before = first.checked_add(more).filter(|end| *end <= last)?;
        runs.push((first, before));
    }
    Some(Listed { held: Some(Held::Seqs { runs, last }), entries: r.rest() })
}

/// Offsets of records in `plain` whose subject has another length than was written.
pub(crate) fn doubts(plain: &[u8], file: &[u8], key: &HashKey) -> Vec<usize> {
    let mut out = Vec::new();
    let Some(listed) = listed(file, key) else { return out };
    let mut r = Reader::new(listed.entries);
    let mut at = 0;
    while let (Some(total), Some(subject), Some(sum)) = (r.uvarint(), r.uvarint(), r.array::<2>()) {
        // Where a record starts follows from the lengths before it, not from the block.
        let record = plain.get(at..).and_then(Record::parse);
        if let Some(record) = record
            && record.len() as u64 == total
            && record.checksum()[..2] == sum
            && record.subject().len() as u64 != subject
        {
            out.push(at);
        }
        let Some(next) = usize::try_from(total).ok().and_then(|t| at.checked_add(t)) else {
            return out;
        };
        at = next;
    }
    out
}

/// Where the records end that it lists, if it is intact.
pub(crate) fn extent(file: &[u8], key: &HashKey) -> Option<u64> {
    let mut r = Reader::new(listed(file, key)?.entries);
    let mut end = 0u64;
    while let (Some(total), Some(_), Some(_)) = (r.uvarint(), r.uvarint(), r.array::<2>()) {
        end = end.saturating_add(total);
    }
    Some(end)
}

/// The messages a block has according to its file; `None` if that is damaged.
pub(crate) fn held(file: &[u8], key: &HashKey) -> Option<Held> {
    let listed = listed(file, key)?;
    if listed.held.is_some() {
        return listed.held;
    }
    let (mut r, mut count) = (Reader::new(listed.entries), 0);
    while let (Some(_), Some(subject), Some(_)) = (r.uvarint(), r.uvarint(), r.array::<2>()) {
        // Tombstones and skips have none.
        count += u64::from(subject > 0);
    }
    Some(Held::Count(count))
}

/// Makes holes of the messages at these offsets.
pub(crate) fn drop_doubtful(scan: &mut Scan, doubts: &[usize]) {
    if doubts.is_empty() {
        return;
    }
    let doubtful = |offset: u32| doubts.contains(&(offset as usize));
    let mut after = 0;
    let mut holes = Vec::new();
    for (i, m) in scan.messages.iter().enumerate() {
        if doubtful(m.offset) {
            let before = scan.messages.get(i + 1).map_or(m.seq + 1, |n| n.seq);
            holes.push(Hole { offset: u64::from(m.offset), len: u64::from(m.len), after, before });
        }
        after = m.seq;
    }
    scan.messages.retain(|m| !doubtful(m.offset));
    scan.holes.extend(holes);
    scan.holes.sort_unstable_by_key(|h| h.offset);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ERASED, TOMBSTONE, put_empty, put_message};
    use proptest::prelude::*;

    fn block() -> (Vec<u8>, HashKey) {
        let key = HashKey::new("S-1");
        let mut plain = Vec::new();
        for seq in 1..=5 {
            put_message(&mut plain, &key, seq, 1, b"user.12", b"", b"3 is the payload");
        }
        (plain, key)
    }

    #[test]
    fn a_shifted_subject_is_doubted_though_its_hash_holds() {
        let (mut plain, key) = block();
        let file = encode(&plain, &key);
        assert!(doubts(&plain, &file, &key).is_empty());
        let start = plain.len() / 5 * 2;
        plain[start + 20] -= 1;
        let record = Record::verify(&plain[start..], &key).unwrap();
        assert_eq!(record.subject(), b"user.1", "the hash alone does not tell");
        assert_eq!(doubts(&plain, &file, &key), [start]);
        assert_eq!(held(&file, &key), Some(Held::Seqs { runs: vec![(1, 5)], last: 5 }));
        let mut torn = file.clone();
        torn[20] ^= 1;
        assert!(doubts(&plain, &torn, &key).is_empty(), "a damaged file proves nothing");
        assert_eq!(held(&torn, &key), None);
        // As it was written before it knew sequences.
        let entries = listed(&file, &key).unwrap().entries;
        let old = frame(OLD, entries, &key);
        assert_eq!(doubts(&plain, &old, &key), [start]);
        assert_eq!(extent(&old, &key), Some(plain.len() as u64));
        assert_eq!(held(&old, &key), Some(Held::Count(5)));
    }

    #[test]
    fn sequences_are_listed_without_what_was_skipped() {
        let (mut plain, key) = block();
        put_empty(&mut plain, &key, 9 | ERASED, 1);
        put_message(&mut plain, &key, 10, 1, b"", b"", b"no subject");
        put_message(&mut plain, &key, 3, 1, b"again", b"", b"");
        put_empty(&mut plain, &key, 400 | TOMBSTONE, 1);
        put_empty(&mut plain, &key, 12 | ERASED, 1);
        let file = encode(&plain, &key);
        let runs = vec![(1, 5), (10, 10)];
        assert_eq!(held(&file, &key), Some(Held::Seqs { runs, last: 12 }));
        assert_eq!(extent(&file, &key), Some(plain.len() as u64));
    }

    #[test]
    fn runs_that_contradict_themselves_prove_nothing() {
        let (_, key) = block();
        let file = |body: &[u64]| {
            let mut bytes = Vec::new();
            body.iter().for_each(|n| put_uvarint(&mut bytes, *n));
            frame(MAGIC, &bytes, &key)
        };
        assert!(held(&file(&[9, 2, 1, 3, 2, 3]), &key).is_some());
        for bad in [
            &[9, 2, 1, 3, 2, 4][..],
            &[9, 2, 1, 3, 0, 3],
            &[9, 3, 1, 3, 2, 3],
            &[9, 1, 1, u64::MAX],
        ] {
            assert_eq!(held(&file(bad), &key), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_file_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..100), old: bool) {
            let (plain, key) = block();
            prop_assert!(doubts(&plain, &bytes, &key).is_empty());
            let framed = frame(if old { OLD } else { MAGIC }, &bytes, &key);
            let _ = doubts(&plain, &framed, &key);
            let _ = extent(&framed, &key);
            let _ = held(&framed, &key);
        }
    }
}
