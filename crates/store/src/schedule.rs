//! Message schedules: one per subject, when each fires, and the bytes of `sched.db`.
//!
//! Not here: what a schedule says (`Nats-Schedule` is parsed by the stream), or what it sends.
//! Wire: `0x01 | u64 count | u64 high | count * (u16 len | subject | sv fires | uv seq)`.
//! Laws: a subject has at most one schedule, and so has a message; an in-flight schedule does not
//! fire again.
//! Reference: scheduler.go MsgScheduling.   Parity: SCHED-011, FSTORE-007.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{Reader, put_uvarint, put_varint};

const VERSION: u8 = 1;

/// A schedule whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Sequence of the message that carries the schedule.
    pub seq: u64,
    /// Its subject.
    pub subject: Box<[u8]>,
    /// When it was to fire, nanoseconds since the epoch.
    pub at: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Schedules {
    by_subject: BTreeMap<Box<[u8]>, (u64, i64)>,
    by_seq: BTreeMap<u64, Box<[u8]>>,
    by_time: BTreeSet<(i64, u64)>,
    in_flight: BTreeSet<Box<[u8]>>,
}

impl Schedules {
    pub(crate) fn add(&mut self, seq: u64, subject: &[u8], at: i64) {
        self.remove_subject(subject);
        self.remove_seq(seq);
        self.by_subject.insert(subject.into(), (seq, at));
        self.by_seq.insert(seq, subject.into());
        self.by_time.insert((at, seq));
    }

    /// Each schedule's subject, and the sequence of its message.
    pub(crate) fn places(&self) -> Vec<(Box<[u8]>, u64)> {
        self.by_subject.iter().map(|(subject, &(seq, _))| (subject.clone(), seq)).collect()
    }

    /// Moves a schedule to its next time.
    pub(crate) fn update(&mut self, subject: &[u8], at: i64) {
        if let Some((seq, old)) = self.by_subject.get_mut(subject) {
            self.by_time.remove(&(*old, *seq));
            self.by_time.insert((at, *seq));
            *old = at;
            self.in_flight.remove(subject);
        }
    }

    pub(crate) fn remove_subject(&mut self, subject: &[u8]) {
        if let Some((seq, at)) = self.by_subject.remove(subject) {
            self.by_seq.remove(&seq);
            self.by_time.remove(&(at, seq));
            self.in_flight.remove(subject);
        }
    }

    pub(crate) fn remove_seq(&mut self, seq: u64) {
        if let Some(subject) = self.by_seq.get(&seq).cloned() {
            self.remove_subject(&subject);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_subject.len()
    }

    pub(crate) fn next(&self) -> Option<i64> {
        self.by_time.first().map(|&(at, _)| at)
    }

    /// Schedules due at `now`, by ascending sequence, which thereby are in flight.
    pub(crate) fn take_due(&mut self, now: i64) -> Vec<Due> {
        let mut due: Vec<Due> = self
            .by_time
            .range(..=(now, u64::MAX))
            .filter_map(|&(at, seq)| {
                let subject = self.by_seq.get(&seq)?;
                (!self.in_flight.contains(subject)).then(|| Due {
                    seq,
                    subject: subject.clone(),
                    at,
                })
            })
            .collect();
        due.sort_unstable_by_key(|d| d.seq);
        self.in_flight.extend(due.iter().map(|d| d.subject.clone()));
        due
    }

    /// Lets schedules fire again whose messages never came to be (a lost leadership).
    pub(crate) fn clear_in_flight(&mut self) {
        self.in_flight.clear();
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn encode(&self, high: u64) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&(self.by_subject.len() as u64).to_le_bytes());
        out.extend_from_slice(&high.to_le_bytes());
        for (subject, &(seq, at)) in &self.by_subject {
            out.extend_from_slice(&(subject.len() as u16).to_le_bytes());
            out.extend_from_slice(subject);
            put_varint(&mut out, at);
            put_uvarint(&mut out, seq);
        }
        out
    }

    /// Nothing where the bytes break a law: the caller then reads the messages instead.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, u64)> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return None;
        }
        let (count, high) = (r.u64()?, r.u64()?);
        let mut schedules = Self::default();
        for _ in 0..count {
            let len = r.u16()?;
            let subject = r.take(usize::from(len))?;
            let at = r.varint()?;
            let seq = r.uvarint()?;
            if schedules.by_subject.contains_key(subject) || schedules.by_seq.contains_key(&seq) {
                return None;
            }
            schedules.add(seq, subject, at);
        }
        (r.remaining() == 0).then_some((schedules, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Contract: SCHED-011, FSTORE-007
    #[test]
    fn a_subject_has_one_schedule() {
        let mut s = Schedules::default();
        s.add(1, b"a", 100);
        s.add(2, b"a", 200);
        s.add(3, b"b", 50);
        assert_eq!((s.len(), s.next()), (2, Some(50)));
        let seqs: Vec<u64> = s.take_due(300).iter().map(|d| d.seq).collect();
        assert_eq!(seqs, [2, 3]);
        assert!(s.take_due(300).is_empty(), "in flight");
        s.update(b"a", 250);
        assert_eq!(s.take_due(300).len(), 1);
        let (back, high) = Schedules::decode(&s.encode(9)).unwrap();
        assert_eq!((back.len(), high, back.next()), (2, 9, Some(50)));
        let mut one = Schedules::default();
        one.add(3, b"ab", 64);
        let mut expected = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
        expected.extend_from_slice(&[2, 0, b'a', b'b', 0x80, 1, 3]);
        assert_eq!(one.encode(4), expected);
    }

    #[test]
    fn two_schedules_of_one_message_are_refused() {
        let mut bytes = vec![VERSION, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        for subject in [b'a', b'b'] {
            bytes.extend_from_slice(&[1, 0, subject, 2, 3]);
        }
        assert!(Schedules::decode(&bytes).is_none());
        let last = bytes.len() - 1;
        bytes[last] = 4;
        assert_eq!(Schedules::decode(&bytes).unwrap().0.len(), 2);
        bytes[last - 2] = b'a';
        assert!(Schedules::decode(&bytes).is_none(), "one subject");

        let mut added = Schedules::default();
        added.add(3, b"a", 107);
        added.add(3, b"b", 0);
        assert_eq!((added.len(), added.next()), (1, Some(0)));
    }

    proptest! {
        #[test]
        fn decoding_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut framed = vec![1, 3, 0, 0, 0, 0, 0, 0, 0];
            framed.extend_from_slice(&bytes);
            let _ = Schedules::decode(&framed);
        }
    }
}
