//! Delivered, acknowledged, pending and redelivered sequences of a consumer, and their bytes.
//!
//! Wire (`o.dat`): `0x16 | 2 | uv floor consumer | uv floor stream | uv delivered consumer |
//! uv delivered stream | uv pending | [sv base seconds | (uv stream - floor | uv consumer - floor
//! | sv base - seconds)*] | uv redelivered | (uv stream - floor | uv count)*`.
//! Version 1 kept delivered relative to the floor, no consumer sequences, times after the base.
//! Laws: every pending sequence is above the floor and not above delivered; floors never exceed
//!       what was delivered.
//! Reference: store.go encodeConsumerState, filestore.go decodeConsumerState, UpdateDelivered,
//! UpdateAcks.   Parity: FSTORE-017.

use std::collections::BTreeMap;

use stdx::time::Timestamp;

use crate::codec::{Reader, put_uvarint, put_varint};
use crate::error::{Error, Result};

/// One message, counted by the consumer and by its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequencePair {
    /// Consumer sequence: counts deliveries.
    pub consumer: u64,
    /// Stream sequence.
    pub stream: u64,
}

/// A delivered message that waits for its acknowledgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Consumer sequence of its first delivery.
    pub consumer_seq: u64,
    /// When it was last delivered; kept to the second on disk.
    pub ts: Timestamp,
}

/// How messages are acknowledged, as far as the state changes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckPolicy {
    /// Not at all.
    None,
    /// An acknowledgement covers all before it.
    All,
    /// Each one.
    #[default]
    Explicit,
}

/// A consumer's progress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerState {
    /// Last delivered.
    pub delivered: SequencePair,
    /// Everything up to here is acknowledged.
    pub ack_floor: SequencePair,
    /// Waiting for acknowledgement, by stream sequence.
    pub pending: BTreeMap<u64, Pending>,
    /// Deliveries after the first, by stream sequence.
    pub redelivered: BTreeMap<u64, u64>,
}

const MAGIC: u8 = 0x16;
const SECOND: i64 = 1_000_000_000;
const TOP_BIT: u64 = 1 << 63;

impl ConsumerState {
    /// The bytes of `o.dat`; `now` is the base the times of pending messages are kept against.
    pub fn encode(&self, now: Timestamp) -> Vec<u8> {
        let mut out = vec![MAGIC, 2];
        let (floor, delivered) = (self.ack_floor, self.delivered);
        for v in [floor.consumer, floor.stream, delivered.consumer, delivered.stream] {
            put_uvarint(&mut out, v);
        }
        put_uvarint(&mut out, self.pending.len() as u64);
        if !self.pending.is_empty() {
            let base = now.0.saturating_add(SECOND / 2).div_euclid(SECOND);
            put_varint(&mut out, base);
            for (&seq, p) in &self.pending {
                put_uvarint(&mut out, seq.wrapping_sub(floor.stream));
                put_uvarint(&mut out, p.consumer_seq.wrapping_sub(floor.consumer));
                // Truncating division, as the reference's integers do.
                put_varint(&mut out, base.wrapping_sub(p.ts.0 / SECOND));
            }
        }
        put_uvarint(&mut out, self.redelivered.len() as u64);
        for (&seq, &count) in &self.redelivered {
            put_uvarint(&mut out, seq.wrapping_sub(floor.stream));
            put_uvarint(&mut out, count);
        }
        out
    }

    /// Decodes either version, whatever follows; `None` if damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Self::decode_front(bytes).map(|(state, _)| state)
    }

    /// The same, and how many bytes follow.
    pub(crate) fn decode_front(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut r = Reader::new(bytes);
        let (MAGIC, version @ 1..=2) = (r.u8()?, r.u8()?) else { return None };
        let mut floor = || Some(SequencePair { consumer: r.uvarint()?, stream: r.uvarint()? });
        let (ack_floor, mut delivered) = (floor()?, floor()?);
        if version == 1 {
            if ack_floor.consumer > 1 {
                delivered.consumer = delivered.consumer.checked_add(ack_floor.consumer - 1)?;
            }
            if ack_floor.stream > 1 {
                delivered.stream = delivered.stream.checked_add(ack_floor.stream - 1)?;
            }
        }
        if (ack_floor.stream | delivered.stream) & TOP_BIT != 0 {
            return None;
        }
        let mut state = Self { delivered, ack_floor, ..Self::default() };
        state.decode_pending(&mut r, version)?;
        for _ in 0..r.uvarint()? {
            let (seq, count) = (r.uvarint()?, r.uvarint()?);
            if seq > 0 && count > 0 {
                // Given-up messages keep their count below the floor: they are written wrapped.
                state.redelivered.insert(seq.wrapping_add(ack_floor.stream), count);
            }
        }
        Some((state, r.remaining()))
    }

    fn decode_pending(&mut self, r: &mut Reader<'_>, version: u8) -> Option<()> {
        let count = r.uvarint()?;
        if count == 0 {
            return Some(());
        }
        let base = r.varint()?;
        for _ in 0..count {
            let seq = r.uvarint()?.checked_add(self.ack_floor.stream)?;
            let consumer_seq = match version {
                // Unknown ones, from version 1, are below the floor: they are written wrapped.
                2 => r.uvarint()?.wrapping_add(self.ack_floor.consumer),
                _ => 0,
            };
            let delta = r.varint()?;
            let secs =
                if version == 1 { base.checked_add(delta)? } else { base.checked_sub(delta)? };
            if seq == 0 {
                return None;
            }
            let ts = Timestamp(secs.checked_mul(SECOND)?);
            self.pending.insert(seq, Pending { consumer_seq, ts });
        }
        Some(())
    }

    /// Notes a delivery; `count` is 1 for the first.
    pub fn deliver(
        &mut self,
        policy: AckPolicy,
        max_deliver: Option<u64>,
        at: SequencePair,
        count: u64,
        ts: Timestamp,
    ) -> Result<()> {
        if count != 1 && policy == AckPolicy::None {
            return Err(Error::NoAckPolicy);
        }
        // A replayed log may tell of what is acknowledged already.
        if at.consumer <= self.ack_floor.consumer {
            return Ok(());
        }
        let new = at.stream > self.delivered.stream;
        if policy != AckPolicy::None {
            if new {
                self.pending.insert(at.stream, Pending { consumer_seq: at.consumer, ts });
            } else if let Some(p) = self.pending.get_mut(&at.stream) {
                p.ts = ts;
            }
        }
        self.delivered.consumer = self.delivered.consumer.max(at.consumer);
        self.delivered.stream = self.delivered.stream.max(at.stream);
        if policy == AckPolicy::None {
            self.ack_floor.consumer = self.ack_floor.consumer.max(at.consumer);
            self.ack_floor.stream = self.ack_floor.stream.max(at.stream);
            return Ok(());
        }
        if count > 1 {
            if max_deliver.is_some_and(|max| max > 0 && count > max) {
                self.pending.remove(&at.stream);
            }
            let noted = self.redelivered.entry(at.stream).or_default();
            *noted = (*noted).max(count - 1);
        }
        Ok(())
    }

    /// Notes an acknowledgement; `NotFound` if the message was not pending.
    pub fn acknowledge(&mut self, policy: AckPolicy, at: SequencePair) -> Result<()> {
        if policy == AckPolicy::None {
            return Err(Error::NoAckPolicy);
        }
        self.redelivered.remove(&at.stream);
        if at.consumer <= self.ack_floor.consumer {
            return Ok(());
        }
        let Some(found) = self.pending.get(&at.stream).copied() else {
            return Err(Error::NotFound);
        };
        if policy == AckPolicy::All {
            self.ack_floor = at;
            self.pending = self.pending.split_off(&(at.stream + 1));
            self.redelivered = self.redelivered.split_off(&(at.stream + 1));
            return Ok(());
        }
        self.pending.remove(&at.stream);
        let mut consumer = at.consumer;
        if found.consumer_seq > 0 {
            consumer = consumer.min(found.consumer_seq);
        }
        if self.pending.is_empty() {
            self.ack_floor = self.delivered;
        } else if consumer == self.ack_floor.consumer + 1 {
            self.ack_floor = SequencePair { consumer, stream: at.stream };
            if self.delivered.consumer > consumer
                && let Some((&next, p)) = self.pending.range(at.stream + 1..).next()
                && p.consumer_seq > 0
            {
                self.ack_floor = SequencePair { consumer: p.consumer_seq - 1, stream: next - 1 };
            }
        }
        Ok(())
    }

    /// Whether the parts contradict each other.
    pub fn validate(&self) -> Result<()> {
        if self.ack_floor.consumer > self.delivered.consumer {
            return Err(Error::BadConsumerState("consumer ack floor is past what was delivered"));
        }
        if self.ack_floor.stream > self.delivered.stream {
            return Err(Error::BadConsumerState("stream ack floor is past what was delivered"));
        }
        let range = self.ack_floor.stream + 1..=self.delivered.stream;
        if self.pending.keys().any(|seq| !range.contains(seq)) {
            return Err(Error::BadConsumerState("a pending sequence is out of range"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair(consumer: u64, stream: u64) -> SequencePair {
        SequencePair { consumer, stream }
    }

    // Contract: FSTORE-017
    #[test]
    fn version_one_is_read() {
        let mut bytes = vec![MAGIC, 1];
        for v in [5, 10, 3, 4, 1] {
            put_uvarint(&mut bytes, v);
        }
        put_varint(&mut bytes, 100);
        put_uvarint(&mut bytes, 2);
        put_varint(&mut bytes, 7);
        put_uvarint(&mut bytes, 1);
        for v in [2, 3] {
            put_uvarint(&mut bytes, v);
        }
        let s = ConsumerState::decode(&bytes).unwrap();
        assert_eq!((s.delivered, s.ack_floor), (pair(7, 13), pair(5, 10)));
        assert_eq!(s.pending[&12], Pending { consumer_seq: 0, ts: Timestamp(107 * SECOND) });
        assert_eq!(s.redelivered[&12], 3);
        assert_eq!(ConsumerState::decode(&s.encode(Timestamp(0))), Some(s), "and written as 2");
    }

    // Contract: FSTORE-017
    #[test]
    fn top_bits_in_floors_are_damage() {
        let mut bytes = vec![MAGIC, 2];
        for v in [1, TOP_BIT | 1, 1, 1, 0, 0] {
            put_uvarint(&mut bytes, v);
        }
        assert_eq!(ConsumerState::decode(&bytes), None);
    }

    // Contract: FSTORE-017
    #[test]
    fn counts_below_the_floor_are_kept() {
        let mut s = ConsumerState {
            delivered: pair(9, 9),
            ack_floor: pair(8, 7),
            ..ConsumerState::default()
        };
        s.redelivered.insert(3, 2);
        assert_eq!(ConsumerState::decode(&s.encode(Timestamp(0))), Some(s));
    }

    #[test]
    fn explicit_acks_move_the_floor_past_gaps() {
        let mut s = ConsumerState::default();
        for i in 1..=4 {
            s.deliver(AckPolicy::Explicit, None, pair(i, i * 10), 1, Timestamp(SECOND)).unwrap();
        }
        s.acknowledge(AckPolicy::Explicit, pair(2, 20)).unwrap();
        assert_eq!(s.ack_floor, pair(0, 0));
        s.acknowledge(AckPolicy::Explicit, pair(1, 10)).unwrap();
        assert_eq!(s.ack_floor, pair(2, 29));
        assert!(matches!(s.acknowledge(AckPolicy::Explicit, pair(9, 99)), Err(Error::NotFound)));
        s.acknowledge(AckPolicy::Explicit, pair(3, 30)).unwrap();
        s.acknowledge(AckPolicy::Explicit, pair(4, 40)).unwrap();
        assert_eq!(s.ack_floor, s.delivered);
        s.validate().unwrap();
    }

    #[test]
    fn ack_all_and_ack_none() {
        let mut s = ConsumerState::default();
        for i in 1..=4 {
            s.deliver(AckPolicy::All, None, pair(i, i), 1, Timestamp(0)).unwrap();
        }
        s.deliver(AckPolicy::All, None, pair(5, 2), 2, Timestamp(0)).unwrap();
        s.acknowledge(AckPolicy::All, pair(3, 3)).unwrap();
        assert_eq!((s.pending.len(), s.redelivered.len(), s.ack_floor), (1, 0, pair(3, 3)));
        let mut s = ConsumerState::default();
        s.deliver(AckPolicy::None, None, pair(1, 7), 1, Timestamp(0)).unwrap();
        assert_eq!((s.ack_floor, s.pending.len()), (pair(1, 7), 0));
        assert!(s.acknowledge(AckPolicy::None, pair(1, 7)).is_err());
    }

    proptest! {
        #[test]
        fn states_round_trip(floor in (0u64..1000, 0u64..1000), ahead in (0u64..50, 0u64..50),
            pending in proptest::collection::btree_map(1u64..50, (1u64..50, 0i64..2_000_000_000), 0..10),
            redelivered in proptest::collection::btree_map(1u64..50, 1u64..9, 0..5)) {
            let s = ConsumerState {
                ack_floor: pair(floor.0, floor.1),
                delivered: pair(floor.0 + ahead.0, floor.1 + ahead.1),
                pending: pending.into_iter().map(|(s, (c, t))|
                    (s + floor.1, Pending { consumer_seq: c + floor.0, ts: Timestamp(t * SECOND) })).collect(),
                redelivered: redelivered.into_iter().map(|(s, c)| (s + floor.1, c)).collect(),
            };
            prop_assert_eq!(ConsumerState::decode(&s.encode(Timestamp(1_700_000_000 * SECOND))), Some(s));
        }

        #[test]
        fn decoding_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..100), version in 1u8..=2) {
            let mut framed = vec![MAGIC, version];
            framed.extend_from_slice(&bytes);
            if let Some(s) = ConsumerState::decode(&framed) {
                let _ = s.validate();
                let _ = s.encode(Timestamp(0));
            }
        }
    }
}
