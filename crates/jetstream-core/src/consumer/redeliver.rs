//! What is to be delivered again, in the order in which it became due.
//!
//! Laws: a sequence is in the queue at most once; the order is that of the calls.
//! Not here: when something becomes due (`timers.rs`), how often it may (`deliver.rs`).

use std::collections::{BTreeMap, VecDeque};

/// The queue and what is in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Redeliver {
    /// Sequence and ticket; an entry whose ticket is not the sequence's was taken out.
    queue: VecDeque<(u64, u64)>,
    tickets: BTreeMap<u64, u64>,
    next_ticket: u64,
}

impl Redeliver {
    /// Gives back room that nothing takes.
    pub(super) fn rest(&mut self) {
        self.queue.shrink_to_fit();
    }

    /// Number of messages queued.
    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Whether a message is queued.
    pub(super) fn contains(&self, seq: u64) -> bool {
        self.tickets.contains_key(&seq)
    }

    /// Queues a message unless it is.
    pub(super) fn push(&mut self, seq: u64) {
        if self.contains(seq) {
            return;
        }
        if self.queue.len() > 2 * self.tickets.len() + 64 {
            let tickets = &self.tickets;
            self.queue.retain(|(s, t)| tickets.get(s) == Some(t));
        }
        self.next_ticket += 1;
        self.tickets.insert(seq, self.next_ticket);
        self.queue.push_back((seq, self.next_ticket));
    }

    /// The next one, left in its place.
    pub(super) fn peek(&mut self) -> Option<u64> {
        while let Some((seq, ticket)) = self.queue.front() {
            if self.tickets.get(seq) == Some(ticket) {
                return Some(*seq);
            }
            self.queue.pop_front();
        }
        None
    }

    /// Takes out a message, wherever it is.
    pub(super) fn remove(&mut self, seq: u64) {
        if !self.tickets.is_empty() && self.tickets.remove(&seq).is_some() && self.is_empty() {
            self.clear();
        }
    }

    /// Takes out what does not hold.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u64) -> bool) {
        self.tickets.retain(|&seq, _| keep(seq));
        if self.is_empty() {
            self.clear();
        }
    }

    /// Takes out all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_arrival_and_nothing_is_queued_twice() {
        let mut r = Redeliver::default();
        for seq in [5, 3, 5, 9, 3] {
            r.push(seq);
        }
        r.remove(5);
        r.push(5);
        assert_eq!(r.len(), 3);
        assert!(r.contains(5) && !r.contains(4));
        for expected in [3, 9, 5] {
            assert_eq!(r.peek(), Some(expected));
            r.remove(expected);
        }
        assert!(r.peek().is_none() && r.is_empty());
    }
}
