//! Deadlines of messages, by second: which sequences expire, and the bytes of `thw.db`.
//!
//! Wire: `0x01 | u64 count | u64 high | count * (sv expires | uv seq)`.
//! Laws: an entry is in the wheel at most once per sequence; `len` counts entries.
//! Reference: thw/thw.go.   Parity: FSTORE-007.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::codec::{Reader, put_uvarint, put_varint};

const SECOND: i64 = 1_000_000_000;
const VERSION: u8 = 1;

/// Sequences by the time they expire, in nanoseconds since the epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wheel {
    /// Each shared with pictures of the wheel until it changes.
    slots: BTreeMap<i64, Arc<HashMap<u64, i64>>>,
    len: u64,
}

impl Wheel {
    pub(crate) fn add(&mut self, seq: u64, expires: i64) {
        let slot = self.slots.entry(expires.div_euclid(SECOND)).or_default();
        self.len += u64::from(Arc::make_mut(slot).insert(seq, expires).is_none());
    }

    pub(crate) fn remove(&mut self, seq: u64, expires: i64) -> bool {
        let key = expires.div_euclid(SECOND);
        let Some(slot) = self.slots.get_mut(&key) else { return false };
        let found = slot.contains_key(&seq) && Arc::make_mut(slot).remove(&seq).is_some();
        if slot.is_empty() {
            self.slots.remove(&key);
        }
        self.len -= u64::from(found);
        found
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The parts a copy is made of.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<i64> {
        self.slots.first_key_value().and_then(|(_, slot)| slot.values().min().copied())
    }

    /// At most `limit` entries due at `now`, by ascending sequence; they stay until removed.
    pub(crate) fn due(&self, now: i64, limit: usize) -> Vec<(u64, i64)> {
        let mut due: Vec<(u64, i64)> = self
            .slots
            .range(..=now.div_euclid(SECOND))
            .flat_map(|(_, slot)| slot.iter())
            .filter(|&(_, &expires)| expires <= now)
            .map(|(&seq, &expires)| (seq, expires))
            .take(limit)
            .collect();
        due.sort_unstable();
        due
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn encode(&self, high: u64) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&high.to_le_bytes());
        for slot in self.slots.values() {
            let mut entries: Vec<_> = slot.iter().collect();
            entries.sort_unstable();
            for (&seq, &expires) in entries {
                put_varint(&mut out, expires);
                put_uvarint(&mut out, seq);
            }
        }
        out
    }

    /// The wheel and the sequence it was valid up to (exclusive).
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, u64)> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return None;
        }
        let (count, high) = (r.u64()?, r.u64()?);
        let mut wheel = Self::default();
        for _ in 0..count {
            let expires = r.varint()?;
            wheel.add(r.uvarint()?, expires);
        }
        (r.remaining() == 0).then_some((wheel, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn wheels_round_trip(entries in proptest::collection::btree_map(1u64..10_000, 0i64..i64::MAX / 2, 0..50)) {
            let mut wheel = Wheel::default();
            for (&seq, &at) in &entries {
                wheel.add(seq, at);
            }
            // A copy stays what it was.
            let copy = wheel.clone();
            for (&seq, &at) in &entries {
                prop_assert!(seq % 2 == 0 || wheel.remove(seq, at));
                wheel.add(seq + 20_000, at);
            }
            let (back, high) = Wheel::decode(&copy.encode(77)).unwrap();
            prop_assert_eq!(high, 77);
            prop_assert_eq!(back.len(), entries.len() as u64);
            prop_assert_eq!(back.next(), entries.values().min().copied());
            prop_assert_eq!(back.due(i64::MAX, usize::MAX).into_iter().collect::<BTreeMap<_, _>>(), entries);
        }

        #[test]
        fn decoding_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut framed = vec![1, 3, 0, 0, 0, 0, 0, 0, 0];
            framed.extend_from_slice(&bytes);
            let _ = Wheel::decode(&framed);
            let _ = Wheel::decode(&bytes);
        }
    }

    // Contract: FSTORE-007
    #[test]
    fn one_entry_has_the_reference_bytes() {
        let mut wheel = Wheel::default();
        wheel.add(3, 1_000_000_000);
        let mut expected = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
        expected.extend_from_slice(&[0x80, 0xa8, 0xd6, 0xb9, 0x07, 3]);
        assert_eq!(wheel.encode(4), expected);
    }
}
