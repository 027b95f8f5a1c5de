//! What a stream's store says about itself, and the forms replicas exchange it in.
//!
//! Wire (replicated state): `42 | 1 | uv msgs | uv bytes | uv first | uv last | uv failed |
//! uv deleted | blocks`; a block is a sequence set (`seqset.rs`) or `33 | uv first | uv num`.
//! The JSON form of servers before 2.10 is read too.
//! Reference: store.go DecodeStreamState, filestore.go EncodedStreamState.

use std::ops::RangeInclusive;

use stdx::time::Timestamp;

use crate::codec::{Reader, put_uvarint};
use crate::seqset::SeqSet;

/// Totals and bounds of a stream's messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Messages present.
    pub msgs: u64,
    /// Bytes of their records on disk (file) or of their parts plus 16 (memory).
    pub bytes: u64,
    /// First sequence present; `last_seq + 1` when empty.
    pub first_seq: u64,
    /// Time of the first message; `None` when empty.
    pub first_ts: Option<Timestamp>,
    /// Highest sequence ever assigned.
    pub last_seq: u64,
    /// Time of the last sequence, even if it was removed; `None` before the first.
    pub last_ts: Option<Timestamp>,
    /// Distinct subjects present.
    pub num_subjects: u64,
    /// Sequences between first and last that are not present.
    pub num_deleted: u64,
}

/// Messages that damage on the disk took, until they are removed or replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// File the damage was found in, relative to the store's directory.
    pub file: String,
    /// Byte offset in the plain content of that file.
    pub offset: u64,
    /// Bytes that could not be read.
    pub bytes: u64,
    /// Sequences that may have been there; `None` when no sequence can be told.
    pub seqs: Option<RangeInclusive<u64>>,
}

/// Totals of the messages one subject or filter selects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimpleState {
    /// Messages.
    pub msgs: u64,
    /// First sequence, 0 if none.
    pub first: u64,
    /// Last sequence, 0 if none.
    pub last: u64,
}

/// One part of a list of deletes, in ascending order of sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Every sequence of a run.
    Run {
        /// First of the run.
        first: u64,
        /// Number of sequences.
        num: u64,
    },
    /// Single sequences.
    Set(SeqSet),
}

impl Deleted {
    /// Number of sequences.
    pub fn len(&self) -> u64 {
        match self {
            Self::Run { num, .. } => *num,
            Self::Set(set) => set.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A stream's state as replicas exchange it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicatedState {
    /// Messages present.
    pub msgs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// First sequence.
    pub first_seq: u64,
    /// Last sequence.
    pub last_seq: u64,
    /// Proposals that took a sequence and failed.
    pub failed: u64,
    /// What is missing between first and last.
    pub deleted: Vec<Deleted>,
}

const MAGIC: u8 = 42;
const VERSION: u8 = 1;
const RUN: u8 = 33;
const SET: u8 = 0x16;

impl ReplicatedState {
    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![MAGIC, VERSION];
        let deleted = self.deleted.iter().map(Deleted::len).sum();
        for v in [self.msgs, self.bytes, self.first_seq, self.last_seq, self.failed, deleted] {
            put_uvarint(&mut out, v);
        }
        for part in &self.deleted {
            match part {
                Deleted::Run { first, num } => {
                    out.push(RUN);
                    put_uvarint(&mut out, *first);
                    put_uvarint(&mut out, *num);
                }
                Deleted::Set(set) => set.encode(&mut out),
            }
        }
        out
    }

    /// Decodes the binary form, or the JSON form of old servers; `None` if it is neither.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.first() == Some(&b'{') {
            return Self::decode_json(bytes);
        }
        let mut r = Reader::new(bytes);
        if r.u8()? != MAGIC || r.u8()? != VERSION {
            return None;
        }
        let mut state = Self {
            msgs: r.uvarint()?,
            bytes: r.uvarint()?,
            first_seq: r.uvarint()?,
            last_seq: r.uvarint()?,
            failed: r.uvarint()?,
            deleted: Vec::new(),
        };
        if r.uvarint()? == 0 {
            return Some(state);
        }
        while r.remaining() > 0 {
            match *r.rest().first()? {
                SET => {
                    let (set, used) = SeqSet::decode(r.rest())?;
                    r.take(used)?;
                    state.deleted.push(Deleted::Set(set));
                }
                RUN => {
                    r.u8()?;
                    let (first, num) = (r.uvarint()?, r.uvarint()?);
                    first.checked_add(num)?;
                    state.deleted.push(Deleted::Run { first, num });
                }
                _ => return None,
            }
        }
        Some(state)
    }

    fn decode_json(bytes: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Legacy {
            messages: u64,
            bytes: u64,
            first_seq: u64,
            last_seq: u64,
            #[serde(default)]
            clfs: u64,
            #[serde(default)]
            deleted: Option<Vec<u64>>,
        }
        let l: Legacy = serde_json::from_slice(bytes).ok()?;
        let set: SeqSet = l.deleted.unwrap_or_default().into_iter().collect();
        let deleted = if set.is_empty() { vec![] } else { vec![Deleted::Set(set)] };
        let Legacy { messages: msgs, bytes, first_seq, last_seq, clfs: failed, .. } = l;
        Some(Self { msgs, bytes, first_seq, last_seq, failed, deleted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replicated_state_round_trips() {
        let state = ReplicatedState {
            msgs: 5,
            bytes: 500,
            first_seq: 3,
            last_seq: 5_000,
            failed: 7,
            deleted: vec![
                Deleted::Set([4, 9, 2100].into_iter().collect()),
                Deleted::Run { first: 3000, num: 900 },
            ],
        };
        assert_eq!(ReplicatedState::decode(&state.encode()), Some(state));
        assert_eq!(
            ReplicatedState { msgs: 1, first_seq: 1, last_seq: 300, ..Default::default() }.encode(),
            [42, 1, 1, 0, 1, 0xac, 2, 0, 0]
        );
    }

    #[test]
    fn json_of_old_servers_is_read() {
        let json =
            br#"{"messages":2,"bytes":60,"first_seq":1,"last_seq":4,"clfs":1,"deleted":[2,3]}"#;
        let state = ReplicatedState::decode(json).unwrap();
        assert_eq!((state.msgs, state.failed, state.deleted[0].len()), (2, 1, 2));
    }

    proptest! {
        #[test]
        fn decoding_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = ReplicatedState::decode(&bytes);
            let mut framed = vec![42, 1];
            framed.extend_from_slice(&bytes);
            let _ = ReplicatedState::decode(&framed);
        }
    }
}
