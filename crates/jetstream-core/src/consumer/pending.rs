//! Hot path. Messages that were delivered and wait for their acknowledgement.
//!
//! A queue in the order of first delivery, which is also the order of stream sequences: delivery
//! appends, acknowledgement leaves a hole, holes at the front are dropped. The consumer sequence an
//! acknowledgement carries says where its message lies, as long as nothing was delivered twice;
//! else a binary search finds it.
//!
//! Laws: sequences ascend; the first and the last entry are never holes; memory is bounded by
//!       twice the messages that wait (and 64).
//! Not here: floors and counts of deliveries (`progress.rs`), what is to be delivered again
//! (`redeliver.rs`).

use std::collections::VecDeque;

use stdx::time::Timestamp;
use store::SequencePair;

/// One message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Stream sequence.
    pub(super) seq: u64,
    /// Consumer sequence of its first delivery; 0 if it is not known.
    pub(super) consumer_seq: u64,
    /// When its time to be acknowledged began.
    pub(super) ts: Timestamp,
}

impl Waiting {
    /// No message: its acknowledgement arrived.
    const HOLE: Timestamp = Timestamp(i64::MIN);

    fn is_hole(&self) -> bool {
        self.ts == Self::HOLE
    }
}

/// All that wait, by stream sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    entries: VecDeque<Waiting>,
    holes: usize,
    /// Times were changed since the queue was empty: they need not ascend.
    mixed: bool,
}

/// Holes among the entries that are always borne with.
const SPARE: usize = 64;

impl Pending {
    /// Number of messages that wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.holes
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The lowest.
    pub(super) fn first(&self) -> Option<&Waiting> {
        self.entries.front()
    }

    /// All, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.entries.iter().filter(|w| !w.is_hole())
    }

    /// Whether times ascend with the sequences, so that the first that is not due ends a search.
    pub(super) fn is_ordered(&self) -> bool {
        !self.mixed
    }

    /// The message of `at.stream`; `at.consumer` is a hint.
    pub(super) fn get(&self, at: SequencePair) -> Option<&Waiting> {
        self.find(at).and_then(|i| self.entries.get(i))
    }

    /// Notes a delivery: the time of a message that waits already begins anew.
    pub(super) fn note(&mut self, at: SequencePair, ts: Timestamp) {
        let entry = Waiting { seq: at.stream, consumer_seq: at.consumer, ts };
        match self.entries.back() {
            Some(last) if last.seq < at.stream => {
                self.mixed |= last.ts > ts;
                self.entries.push_back(entry);
            }
            None => {
                self.mixed = false;
                self.entries.push_back(entry);
            }
            Some(_) => match self.entries.binary_search_by_key(&at.stream, |w| w.seq) {
                Ok(found) => self.restart(found, entry),
                Err(place) => {
                    self.mixed = true;
                    self.entries.insert(place, entry);
                }
            },
        }
    }

    fn restart(&mut self, found: usize, entry: Waiting) {
        self.mixed = true;
        let Some(old) = self.entries.get_mut(found) else { return };
        if old.is_hole() {
            self.holes -= 1;
            *old = entry;
        } else {
            old.ts = entry.ts;
        }
    }

    /// Sets when the time of a message that waits began; `false` if it does not wait.
    pub(super) fn set_time(&mut self, at: SequencePair, ts: Timestamp) -> bool {
        let Some(found) = self.find(at) else { return false };
        self.mixed = true;
        if let Some(w) = self.entries.get_mut(found) {
            w.ts = ts;
        }
        true
    }

    /// Takes out one; `None` if it does not wait.
    pub(super) fn remove(&mut self, at: SequencePair) -> Option<Waiting> {
        let found = self.find(at)?;
        let entry = self.entries.get_mut(found)?;
        let old = *entry;
        entry.ts = Waiting::HOLE;
        self.holes += 1;
        self.tidy();
        Some(old)
    }

    /// Takes out the lowest if it is not above `seq`.
    pub(super) fn pop_through(&mut self, seq: u64) -> Option<Waiting> {
        let first = *self.entries.front()?;
        if first.seq > seq {
            return None;
        }
        self.entries.pop_front();
        self.tidy();
        Some(first)
    }

    /// Takes out all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives back room that nothing takes.
    pub(super) fn rest(&mut self) {
        self.entries.shrink_to_fit();
    }

    fn find(&self, at: SequencePair) -> Option<usize> {
        let front = self.entries.front()?;
        let guess = at.consumer.wrapping_sub(front.consumer_seq) as usize;
        let found = match self.entries.get(guess) {
            Some(w) if w.seq == at.stream => guess,
            _ => self.entries.binary_search_by_key(&at.stream, |w| w.seq).ok()?,
        };
        self.entries.get(found).is_some_and(|w| !w.is_hole()).then_some(found)
    }

    fn tidy(&mut self) {
        while self.entries.front().is_some_and(Waiting::is_hole) {
            self.entries.pop_front();
            self.holes -= 1;
        }
        while self.entries.back().is_some_and(Waiting::is_hole) {
            self.entries.pop_back();
            self.holes -= 1;
        }
        if self.holes > self.entries.len() / 2 + SPARE {
            self.entries.retain(|w| !w.is_hole());
            self.holes = 0;
        }
        if self.entries.is_empty() && self.entries.capacity() > 4 * SPARE {
            self.entries = VecDeque::with_capacity(SPARE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(consumer: u64, stream: u64) -> SequencePair {
        SequencePair { consumer, stream }
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(steps in proptest::collection::vec((0u8..5, 1u64..300), 0..400)) {
            let (mut pending, mut plain) = (Pending::default(), BTreeMap::new());
            let mut next = 0;
            for (i, (kind, seq)) in steps.into_iter().enumerate() {
                let ts = Timestamp(i as i64);
                match kind {
                    0 | 1 => {
                        next += 1;
                        pending.note(at(next, seq), ts);
                        plain.entry(seq).and_modify(|e: &mut (u64, Timestamp)| e.1 = ts).or_insert((next, ts));
                    }
                    2 => {
                        let hint = plain.get(&seq).map_or(seq, |e| e.0);
                        let got = pending.remove(at(hint, seq)).map(|w| (w.consumer_seq, w.ts));
                        prop_assert_eq!(got, plain.remove(&seq));
                    }
                    3 => {
                        let known = plain.get_mut(&seq).map(|e| e.1 = ts).is_some();
                        prop_assert_eq!(pending.set_time(at(7, seq), ts), known);
                    }
                    _ => {
                        let first = plain.first_key_value().map(|(&s, _)| s).filter(|&s| s <= seq);
                        prop_assert_eq!(pending.pop_through(seq).map(|w| w.seq), first);
                        if let Some(first) = first {
                            plain.remove(&first);
                        }
                    }
                }
                prop_assert_eq!(pending.len(), plain.len());
                prop_assert_eq!(pending.is_empty(), plain.is_empty());
                prop_assert_eq!(pending.first().map(|w| w.seq), plain.keys().next().copied());
                let all: Vec<_> = pending.iter().map(|w| (w.seq, (w.consumer_seq, w.ts))).collect();
                prop_assert_eq!(all.clone(), plain.iter().map(|(&s, &e)| (s, e)).collect::<Vec<_>>());
                if pending.is_ordered() {
                    prop_assert!(all.is_sorted_by_key(|e| e.1.1));
                }
                prop_assert!(pending.entries.len() <= 2 * pending.len() + 2 * SPARE + 2);
            }
        }
    }

    #[test]
    fn what_rests_keeps_what_waits_and_no_room() {
        let mut pending = Pending::default();
        for n in 1..=200 {
            pending.note(at(n, n), Timestamp(n as i64));
        }
        for n in 1..200 {
            assert!(pending.remove(at(n, n)).is_some());
        }
        pending.rest();
        assert!(pending.entries.capacity() <= 4, "{}", pending.entries.capacity());
        assert_eq!(pending.iter().map(|w| w.seq).collect::<Vec<_>>(), [200]);
    }
}
