//! `<n>.len`: the lengths of a block's records, which their hashes do not cover.
//!
//! A record's hash covers subject and payload as one run of bytes, so a damaged subject length
//! makes another subject and payload of them that still verifies. This file, ours alone and
//! ignored by other servers, tells. It is written when a block is sealed and at close; one that is
//! missing, damaged or about other records proves nothing and costs nothing.
//!
//! Wire: `"len1" | 8-byte hash of the rest | (uv total | uv subject length | u16 of the record's
//! hash)*`, in the order of the block.
//! Laws: a record is doubted only if this file is intact and about that very record.

use crate::block::scan::{Hole, Scan};
use crate::codec::{Reader, put_uvarint};
use crate::hash::HashKey;
use crate::record::Record;

const MAGIC: &[u8; 4] = b"len1";

/// The file for these plain block bytes.
pub(crate) fn encode(plain: &[u8], key: &HashKey) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some(record) = plain.get(at..).and_then(Record::parse) {
        at += record.len();
        put_uvarint(&mut entries, record.len() as u64);
        put_uvarint(&mut entries, record.subject().len() as u64);
        entries.extend_from_slice(&record.checksum()[..2]);
    }
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&key.hash(&[MAGIC, &entries]));
    out.extend_from_slice(&entries);
    out
}

/// Offsets of records in `plain` whose subject has another length than was written.
pub(crate) fn doubts(plain: &[u8], file: &[u8], key: &HashKey) -> Vec<usize> {
    let mut out = Vec::new();
    let Some((head, entries)) = file.split_at_checked(12) else { return out };
    if !head.starts_with(MAGIC) || head.get(4..) != Some(&key.hash(&[MAGIC, entries])[..]) {
        return out;
    }
    let mut r = Reader::new(entries);
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

/// What it lists, if it is intact.
fn listed<'a>(file: &'a [u8], key: &HashKey) -> Option<&'a [u8]> {
    let (head, entries) = file.split_at_checked(12)?;
    let is_intact =
        head.starts_with(MAGIC) && head.get(4..) == Some(&key.hash(&[MAGIC, entries])[..]);
    is_intact.then_some(entries)
}

/// Where the records end that it lists, if it is intact.
pub(crate) fn extent(file: &[u8], key: &HashKey) -> Option<u64> {
    let mut r = Reader::new(listed(file, key)?);
    let mut end = 0u64;
    while let (Some(total), Some(_), Some(_)) = (r.uvarint(), r.uvarint(), r.array::<2>()) {
        end = end.saturating_add(total);
    }
    Some(end)
}

/// How many messages a block has according to its file; `None` if that is damaged.
pub(crate) fn messages(file: &[u8], key: &HashKey) -> Option<u64> {
    let (mut r, mut count) = (Reader::new(listed(file, key)?), 0);
    while let (Some(_), Some(subject), Some(_)) = (r.uvarint(), r.uvarint(), r.array::<2>()) {
        // Tombstones and skips have none.
        count += u64::from(subject > 0);
    }
    Some(count)
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
    use crate::record::put_message;
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
        assert_eq!(messages(&file, &key), Some(5));
        let mut torn = file.clone();
        torn[20] ^= 1;
        assert!(doubts(&plain, &torn, &key).is_empty(), "a damaged file proves nothing");
        assert_eq!(messages(&torn, &key), None);
    }

    proptest! {
        #[test]
        fn any_file_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let (plain, key) = block();
            prop_assert!(doubts(&plain, &bytes, &key).is_empty());
            let mut framed = MAGIC.to_vec();
            framed.extend_from_slice(&key.hash(&[MAGIC, &bytes]));
            framed.extend_from_slice(&bytes);
            let _ = doubts(&plain, &framed, &key);
            let _ = messages(&framed, &key);
        }
    }
}
