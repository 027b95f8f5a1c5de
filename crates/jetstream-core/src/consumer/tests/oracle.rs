//! What a consumer should do, written down as plainly as possible.
//!
//! Everything is looked for anew each time; nothing is kept that can be counted.

use std::collections::{BTreeMap, BTreeSet};

use jetstream_api::AckPolicy;

/// The rules of one run.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub acks: AckPolicy,
    pub wait_ns: i64,
    pub backoff_ns: Vec<i64>,
    pub max_deliver: u64,
    pub max_ack_pending: usize,
    pub filters: Vec<&'static str>,
}

/// A delivery: to whom, which message, for the how many-th time, as which consumer sequence, how
/// many are left.
pub(super) type Delivery = (String, u64, u64, u64, u64);

#[derive(Clone, Debug)]
struct Request {
    reply: String,
    wants: i64,
    expires: i64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    consumer_seq: u64,
    since: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Oracle {
    pub rules: Rules,
    pub messages: BTreeMap<u64, &'static str>,
    pub last: u64,
    next: u64,
    pub delivered: (u64, u64),
    pub floor: (u64, u64),
    waiting: BTreeMap<u64, Waiting>,
    /// Deliveries after the first.
    pub again: BTreeMap<u64, u64>,
    queue: Vec<u64>,
    requests: Vec<Request>,
    pub given_up: BTreeSet<u64>,
    pub ever: BTreeSet<u64>,
}

impl Oracle {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            messages: BTreeMap::new(),
            last: 0,
            next: 1,
            delivered: (0, 0),
            floor: (0, 0),
            waiting: BTreeMap::new(),
            again: BTreeMap::new(),
            queue: Vec::new(),
            requests: Vec::new(),
            given_up: BTreeSet::new(),
            ever: BTreeSet::new(),
        }
    }

    pub(super) fn selects(&self, subject: &str) -> bool {
        self.rules.filters.is_empty()
            || self.rules.filters.iter().any(|f| subject::matches(subject.as_bytes(), f.as_bytes()))
    }

    fn ahead(&self) -> impl Iterator<Item = u64> {
        self.messages.range(self.next..).filter(|(_, s)| self.selects(s)).map(|(&seq, _)| seq)
    }

    pub(super) fn num_pending(&self) -> u64 {
        self.ahead().count() as u64
    }

    pub(super) fn num_ack_pending(&self) -> i64 {
        self.waiting.len() as i64
    }

    pub(super) fn num_waiting(&self) -> i64 {
        self.requests.len() as i64
    }

    pub(super) fn publish(&mut self, subject: &'static str) {
        self.last += 1;
        self.messages.insert(self.last, subject);
    }

    pub(super) fn pull(&mut self, reply: &str, wants: i64, expires: i64) {
        self.requests.push(Request { reply: reply.into(), wants, expires });
    }

    /// Delivers what can be delivered.
    pub(super) fn deliver(&mut self, now: i64) -> Vec<Delivery> {
        let mut out = Vec::new();
        while !self.requests.is_empty() {
            let Some((seq, count)) = self.choose() else { break };
            let mut request = self.requests.remove(0);
            request.wants -= 1;
            self.delivered.0 += 1;
            let consumer_seq = self.delivered.0;
            if count == 1 {
                self.next = seq + 1;
                self.delivered.1 = seq;
            } else {
                self.queue.retain(|&s| s != seq);
                self.again.insert(seq, count - 1);
            }
            out.push((request.reply.clone(), seq, count, consumer_seq, self.num_pending()));
            self.ever.insert(seq);
            if self.rules.acks == AckPolicy::None {
                self.floor = self.delivered;
            } else {
                let waiting = self.waiting.entry(seq).or_insert(Waiting { consumer_seq, since: now });
                waiting.since = now;
            }
            if request.wants > 0 {
                self.requests.push(request);
            }
        }
        out
    }

    fn choose(&mut self) -> Option<(u64, u64)> {
        while let Some(&seq) = self.queue.first() {
            let count = self.again.get(&seq).map_or(2, |n| n + 2);
            if self.rules.max_deliver == 0 || count <= self.rules.max_deliver {
                return Some((seq, count));
            }
            self.give_up(seq, count - 1);
        }
        if self.rules.max_ack_pending > 0 && self.waiting.len() >= self.rules.max_ack_pending {
            return None;
        }
        let first = self.ahead().next();
        if first.is_none() {
            self.next = self.next.max(self.last + 1);
        }
        first.map(|seq| (seq, 1))
    }

    fn give_up(&mut self, seq: u64, deliveries: u64) {
        self.waiting.remove(&seq);
        self.queue.retain(|&s| s != seq);
        self.again.insert(seq, deliveries);
        self.given_up.insert(seq);
    }

    /// Requests and acknowledgements that are due end; the replies of the requests.
    pub(super) fn expire(&mut self, now: i64) -> Vec<String> {
        let due: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(seq, w)| now - w.since >= self.wait(**seq) && !self.queue.contains(seq))
            .map(|(&seq, _)| seq)
            .collect();
        let (lost, mut again): (Vec<u64>, Vec<u64>) = due.into_iter().partition(|seq| {
            let max = self.rules.max_deliver;
            max > 0 && self.again.get(seq).copied().unwrap_or(1).max(1) >= max
        });
        for seq in lost {
            let deliveries = self.again.get(&seq).copied().unwrap_or(1).max(1);
            self.give_up(seq, deliveries);
        }
        let step = again.first().map_or(0, |seq| now - self.waiting[seq].since);
        for seq in &again {
            if let Some(w) = self.waiting.get_mut(seq) {
                w.since += step;
            }
        }
        self.queue.append(&mut again);
        let (over, open) = self.requests.drain(..).partition(|r: &Request| now > r.expires);
        self.requests = open;
        over.into_iter().map(|r: Request| r.reply).collect()
    }

    fn wait(&self, seq: u64) -> i64 {
        let again = self.again.get(&seq).copied().unwrap_or(0) as usize;
        match self.rules.backoff_ns.len() {
            0 => self.rules.wait_ns,
            n => self.rules.backoff_ns[again.min(n - 1)],
        }
    }

    pub(super) fn ack(&mut self, seq: u64, consumer_seq: u64) {
        if seq >= self.next || self.rules.acks == AckPolicy::None {
            return;
        }
        if self.rules.acks == AckPolicy::All {
            if consumer_seq <= self.floor.0 || seq <= self.floor.1 {
                return;
            }
            self.floor = (consumer_seq, seq);
            self.waiting.retain(|&s, _| s > seq);
            self.again.retain(|&s, _| s > seq);
            self.queue.retain(|&s| s > seq);
            return;
        }
        self.again.remove(&seq);
        self.queue.retain(|&s| s != seq);
        if let Some(was) = self.waiting.remove(&seq) {
            self.move_floor(seq, was.consumer_seq);
        }
    }

    /// Behind the floor lies nothing that waits, except that what was given up holds the floor
    /// until the next acknowledgement.
    fn move_floor(&mut self, acked: u64, consumer_seq: u64) {
        let Some((&first, w)) = self.waiting.first_key_value() else {
            self.floor = self.delivered;
            return;
        };
        let was_next = acked < first && consumer_seq == self.floor.0 + 1;
        if was_next || w.consumer_seq > self.floor.0 + 1 {
            self.floor = (self.floor.0.max(w.consumer_seq - 1), first - 1);
        }
    }

    fn in_range(&self, seq: u64, consumer_seq: u64) -> bool {
        self.waiting.contains_key(&seq) && consumer_seq > self.floor.0
    }

    pub(super) fn nak(&mut self, seq: u64, consumer_seq: u64) {
        if self.in_range(seq, consumer_seq) && !self.queue.contains(&seq) {
            self.queue.push(seq);
        }
    }

    pub(super) fn nak_later(&mut self, seq: u64, consumer_seq: u64, now: i64, delay: i64) {
        if self.in_range(seq, consumer_seq) {
            self.queue.retain(|&s| s != seq);
            let wait = self.rules.wait_ns;
            if let Some(w) = self.waiting.get_mut(&seq) {
                w.since = now - wait + delay;
            }
        }
    }

    pub(super) fn progress(&mut self, seq: u64, now: i64) {
        if let Some(w) = self.waiting.get_mut(&seq) {
            w.since = now;
        }
    }

    pub(super) fn remove(&mut self, seq: u64) {
        self.messages.remove(&seq);
        self.again.remove(&seq);
        self.queue.retain(|&s| s != seq);
        if let Some(was) = self.waiting.remove(&seq) {
            self.move_floor(seq, was.consumer_seq);
        }
    }

    pub(super) fn purge(&mut self) {
        self.messages.clear();
        self.waiting.clear();
        self.again.clear();
        self.queue.clear();
        self.next = self.next.max(self.last + 1);
        self.delivered.1 = self.delivered.1.max(self.last);
        self.floor = self.delivered;
    }

    /// What is not kept is lost; times are kept to the second.
    pub(super) fn restart(&mut self) {
        const SECOND: i64 = 1_000_000_000;
        self.queue.clear();
        self.requests.clear();
        self.next = self.delivered.1 + 1;
        for w in self.waiting.values_mut() {
            w.since = w.since / SECOND * SECOND;
        }
    }
}
