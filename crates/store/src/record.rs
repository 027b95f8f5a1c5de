//! One message record of a block file, byte by byte.
//!
//! ```text
//! u32 total (bit 31: has header) | u64 seq (bit 63 erased, bit 62 tombstone) | i64 timestamp
//! | u16 subject length | subject | [u32 header length | header] | payload | 8-byte hash
//! ```
//! The hash covers seq, timestamp, subject, header and payload, and none of the three lengths.
//! Laws: a length from disk is believed only after the hash at its far end matched.
//! Reference: filestore.go writeMsgRecordLocked, msgFromBufEx, eraseMsg.   Parity: FSTORE-003.

use crate::codec::{u32_at, u64_at};
use crate::hash::HashKey;

/// Bytes before the subject.
pub(crate) const HEAD: usize = 22;
/// Bytes of a record without subject, header and payload.
pub(crate) const EMPTY: usize = 30;
/// Records longer than this are refused when written and disbelieved when read.
pub(crate) const MAX_RECORD: u64 = 32 << 20;
const HEADER_BIT: u32 = 1 << 31;
/// The record holds no message: it was erased, or its sequence was skipped.
pub(crate) const ERASED: u64 = 1 << 63;
/// The record says that an earlier sequence was removed.
pub(crate) const TOMBSTONE: u64 = 1 << 62;

/// Bytes a message takes in a block; also what `max_bytes` counts.
pub fn record_len(subject: usize, header: usize, payload: usize) -> u64 {
    let header = if header > 0 { header as u64 + 4 } else { 0 };
    EMPTY as u64 + subject as u64 + header + payload as u64
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    /// Erased in place, or skipped.
    Erased,
    /// Removal of an earlier message; its timestamp is that message's.
    Tombstone,
}

/// One record in a buffer, its lengths checked against each other but not yet its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    /// The whole record.
    bytes: &'a [u8],
    pub(crate) seq: u64,
    pub(crate) ts: i64,
    pub(crate) kind: Kind,
    subject_end: usize,
    body_start: usize,
    header_end: usize,
}

impl<'a> Record<'a> {
    /// The record at the head of `bytes`; `None` when its lengths contradict each other.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < EMPTY {
            return None;
        }
        let raw = u32_at(bytes, 0);
        let total = (raw & !HEADER_BIT) as usize;
        let bytes = bytes.get(..total)?;
        if total < EMPTY || total as u64 > MAX_RECORD {
            return None;
        }
        let subject_end = HEAD + u16::from_le_bytes([bytes[20], bytes[21]]) as usize;
        let body_end = total - 8;
        let (body_start, header_end) = if raw & HEADER_BIT != 0 {
            let start = subject_end + 4;
            let stated = start.checked_add(u32_at(bytes, subject_end) as usize)?;
            (start, header_end(bytes.get(start..body_end)?, stated - start) + start)
        } else {
            (subject_end, subject_end)
        };
        if header_end > body_end {
            return None;
        }
        let raw_seq = u64_at(bytes, 4);
        let kind = if raw_seq & TOMBSTONE != 0 {
            Kind::Tombstone
        } else if raw_seq & ERASED != 0 || raw_seq == 0 {
            Kind::Erased
        } else {
            Kind::Message
        };
        let seq = raw_seq & !(ERASED | TOMBSTONE);
        let ts = u64_at(bytes, 12) as i64;
        Some(Self { bytes, seq, ts, kind, subject_end, body_start, header_end })
    }

    /// The record at the head of `bytes`, if its hash matches too.
    pub(crate) fn verify(bytes: &'a [u8], key: &HashKey) -> Option<Self> {
        let record = Self::parse(bytes)?;
        record.is_intact(key).then_some(record)
    }

    pub(crate) fn is_intact(&self, key: &HashKey) -> bool {
        let body_end = self.bytes.len() - 8;
        let hash = if self.has_header() {
            key.hash(&[
                &self.bytes[4..20],
                &self.bytes[HEAD..self.subject_end],
                &self.bytes[self.body_start..body_end],
            ])
        } else {
            key.hash(&[&self.bytes[4..20], &self.bytes[HEAD..body_end]])
        };
        hash == self.checksum()
    }

    pub(crate) fn has_header(&self) -> bool {
        self.body_start != self.subject_end
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn subject(&self) -> &'a [u8] {
        &self.bytes[HEAD..self.subject_end]
    }

    pub(crate) fn header(&self) -> &'a [u8] {
        &self.bytes[self.body_start..self.header_end]
    }

    pub(crate) fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header_end..self.bytes.len() - 8]
    }

    pub(crate) fn checksum(&self) -> [u8; 8] {
        self.bytes[self.bytes.len() - 8..].try_into().unwrap_or_default()
    }
}

/// Where a header block ends in `body`, if its stated length is right or can be corrected.
///
/// The hash does not cover that length, but a header block ends at its first blank line.
fn header_end(body: &[u8], stated: usize) -> usize {
    const BLANK: &[u8] = b"\r\n\r\n";
    let first = || memchr::memmem::find(body, BLANK).map(|at| at + BLANK.len());
    match body.get(..stated) {
        Some(header) if memchr::memmem::find(header, BLANK) == stated.checked_sub(BLANK.len()) => {
            stated
        }
        _ if body.starts_with(b"NATS/1.0") => first().unwrap_or(stated),
        _ => stated,
    }
}

/// Appends one message record and returns its hash.
pub(crate) fn put_message(
    out: &mut Vec<u8>,
    key: &HashKey,
    seq: u64,
    ts: i64,
    subject: &[u8],
    header: &[u8],
    payload: &[u8],
) -> [u8; 8] {
    let total = record_len(subject.len(), header.len(), payload.len()) as u32;
    let flag = if header.is_empty() { 0 } else { HEADER_BIT };
    let at = out.len();
    out.reserve(total as usize);
    out.extend_from_slice(&(total | flag).to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&ts.to_le_bytes());
    out.extend_from_slice(&(subject.len() as u16).to_le_bytes());
    out.extend_from_slice(subject);
    let hash = if header.is_empty() {
        out.extend_from_slice(payload);
        key.hash(&[&out[at + 4..at + 20], &out[at + HEAD..]])
    } else {
        out.extend_from_slice(&(header.len() as u32).to_le_bytes());
        out.extend_from_slice(header);
        out.extend_from_slice(payload);
        let body = at + HEAD + subject.len() + 4;
        key.hash(&[&out[at + 4..at + 20], subject, &out[body..]])
    };
    out.extend_from_slice(&hash);
    hash
}

/// Appends an empty record: a tombstone (`seq | TOMBSTONE`) or a skip (`seq | ERASED`).
pub(crate) fn put_empty(out: &mut Vec<u8>, key: &HashKey, raw_seq: u64, ts: i64) -> [u8; 8] {
    put_message(out, key, raw_seq, ts, &[], &[], &[])
}

/// Overwrites a message record with `noise` under the erased bit, keeping its length.
///
/// Returns the bytes to write at the record's place. `noise` must have `len - EMPTY` bytes.
pub(crate) fn erased(key: &HashKey, seq: u64, len: usize, noise: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&(seq | ERASED).to_le_bytes());
    out.extend_from_slice(&[0; 10]);
    out.extend_from_slice(noise);
    let hash = key.hash(&[&out[4..20], noise]);
    out.extend_from_slice(&hash);
    out
}

/// Whether `bytes`, with which a file ends, are the beginning of a record whose end was never
/// written; `next` is the sequence that a message would have had.
///
/// A whole record of which only the length is wrong looks like that too, and proves itself by its
/// true one.
pub(crate) fn is_cut_short(bytes: &[u8], key: &HashKey, next: u64) -> bool {
    if bytes.len() < 4 {
        return true;
    }
    let raw = u32_at(bytes, 0);
    let (total, flag) = ((raw & !HEADER_BIT) as usize, raw & HEADER_BIT);
    if total <= bytes.len() || total < EMPTY || total as u64 > MAX_RECORD {
        return false;
    }
    if bytes.len() >= 12 {
        let raw_seq = u64_at(bytes, 4);
        let seq = raw_seq & !(ERASED | TOMBSTONE);
        let is_next = match (raw_seq & TOMBSTONE != 0, raw_seq & ERASED != 0) {
            (true, _) => seq < next && total == EMPTY,
            (false, true) => seq >= next && total == EMPTY,
            (false, false) => seq == next,
        };
        if !is_next {
            return false;
        }
    }
    if bytes.len() >= HEAD {
        let subject = u16::from_le_bytes([bytes[20], bytes[21]]) as usize;
        if HEAD + subject + if flag == 0 { 8 } else { 12 } > total {
            return false;
        }
    }
    let Ok(len) = u32::try_from(bytes.len()) else { return false };
    let mut whole = bytes.to_vec();
    [flag, flag ^ HEADER_BIT].into_iter().all(|flag| {
        if let Some(place) = whole.get_mut(..4) {
            place.copy_from_slice(&(len | flag).to_le_bytes());
        }
        Record::verify(&whole, key).is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_round_trip(seq in 1u64..1 << 61, ts in any::<i64>(),
            subject in "[a-z.]{0,40}", header in proptest::collection::vec(any::<u8>(), 0..60),
            payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = HashKey::new("S-1");
            let mut out = vec![9; 3];
            put_message(&mut out, &key, seq, ts, subject.as_bytes(), &header, &payload);
            let r = Record::verify(&out[3..], &key).unwrap();
            prop_assert_eq!((r.seq, r.ts, r.kind), (seq, ts, Kind::Message));
            prop_assert_eq!(r.subject(), subject.as_bytes());
            prop_assert_eq!(r.header(), &header[..]);
            prop_assert_eq!(r.payload(), &payload[..]);
            prop_assert_eq!(r.len() as u64, record_len(subject.len(), header.len(), payload.len()));
        }

        #[test]
        fn an_unfinished_record_is_told_from_a_whole_one(cut in 1usize..200, bit in 0u32..25,
            header in proptest::bool::ANY, payload in proptest::collection::vec(any::<u8>(), 50..200)) {
            let key = HashKey::new("S-1");
            let mut out = Vec::new();
            let header = if header { &b"NATS/1.0\r\nA: b\r\n\r\n"[..] } else { b"" };
            put_message(&mut out, &key, 7, 1, b"a.b", header, &payload);
            let part = &out[..cut.min(out.len() - 1)];
            prop_assert!(is_cut_short(part, &key, 7));
            prop_assert!(part.len() < 12 || !is_cut_short(part, &key, 6));
            // Whatever its length says, it is there.
            let length = u32_at(&out, 0) ^ (1 << bit);
            out[..4].copy_from_slice(&length.to_le_bytes());
            prop_assert!(!is_cut_short(&out, &key, 7));
        }

        #[test]
        fn parsing_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = is_cut_short(&bytes, &HashKey::new("x"), 1);
            if let Some(r) = Record::parse(&bytes) {
                let _ = (r.subject(), r.header(), r.payload(), r.is_intact(&HashKey::new("x")));
            }
        }
    }
}
