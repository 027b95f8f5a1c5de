//! A stream as a map: what the store must agree with.

use std::collections::{BTreeMap, BTreeSet};

use stdx::time::Timestamp;

use crate::disk::Disk;
use crate::message::{header_value, message_ttl};
use crate::{Error, FileStore, Filter, NewMessage, Settings, record_len};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) ts: i64,
    pub(super) subject: Vec<u8>,
    pub(super) header: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Stored {
    /// As the stream hands it over.
    pub(super) fn as_new(&self) -> NewMessage<'_> {
        NewMessage {
            ttl: message_ttl(&self.header),
            schedule: fires(&self.header).map(Timestamp),
            ..NewMessage::new(&self.subject, &self.header, &self.payload)
        }
    }

    /// When its own time to live ends.
    pub(super) fn expires(&self) -> Option<i64> {
        let ttl = message_ttl(&self.header);
        (ttl > 0).then_some(self.ts + ttl * 1_000_000_000)
    }

    fn is_scheduled_by_another(&self) -> bool {
        header_value(&self.header, b"Nats-Scheduler").is_some()
    }

    pub(super) fn len(&self) -> u64 {
        record_len(self.subject.len(), self.header.len(), self.payload.len())
    }
}

/// When the schedule in these headers fires; written as a number in these tests.
pub(super) fn fires(header: &[u8]) -> Option<i64> {
    std::str::from_utf8(header_value(header, b"Nats-Schedule")?).ok()?.parse().ok()
}

#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    pub(super) messages: BTreeMap<u64, Stored>,
    pub(super) last_seq: u64,
    pub(super) max_msgs: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_per: Option<u64>,
    pub(super) max_age: Option<i64>,
    /// By subject, the sequence and when it fires.
    pub(super) schedules: BTreeMap<Vec<u8>, (u64, i64)>,
    pub(super) in_flight: BTreeSet<Vec<u8>>,
    with_schedules: bool,
}

fn is_there<D: Disk>(store: &mut FileStore<D>, seq: u64, context: &str) -> bool {
    match store.load(seq) {
        Ok(_) => true,
        Err(Error::NotFound | Error::Eof) => false,
        Err(e) => panic!("{seq}: {e} {context}"),
    }
}

impl Oracle {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            max_msgs: settings.max_msgs,
            max_bytes: settings.max_bytes,
            max_per: settings.max_msgs_per_subject,
            max_age: settings.max_age.map(|age| age.as_nanos() as i64),
            with_schedules: settings.allow_schedules,
            ..Self::default()
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.messages.values().map(Stored::len).sum()
    }

    pub(super) fn first_seq(&self) -> u64 {
        self.messages.keys().next().copied().unwrap_or(self.last_seq + 1)
    }

    pub(super) fn append(&mut self, m: Stored) {
        self.last_seq += 1;
        let subject = m.subject.clone();
        if self.with_schedules && !m.is_scheduled_by_another() {
            self.schedules.remove(&subject);
            self.in_flight.remove(&subject);
            if let Some(at) = fires(&m.header) {
                self.schedules.insert(subject.clone(), (self.last_seq, at));
            }
        }
        self.messages.insert(self.last_seq, m);
        if let Some(max) = self.max_per {
            let seqs: Vec<u64> = self.seqs(|m| m.subject == subject);
            for seq in seqs.iter().take(seqs.len().saturating_sub(max as usize)) {
                self.messages.remove(seq);
            }
        }
        self.enforce_totals();
    }

    fn enforce_totals(&mut self) {
        while self.max_msgs.is_some_and(|max| self.messages.len() as u64 > max)
            || self.max_bytes.is_some_and(|max| self.bytes() > max)
        {
            self.messages.pop_first();
        }
        self.prune();
    }

    /// A schedule goes with its message.
    pub(super) fn prune(&mut self) {
        let messages = &self.messages;
        self.schedules.retain(|subject, (seq, _)| {
            messages.get(seq).is_some_and(|m| m.subject == *subject && fires(&m.header).is_some())
        });
        self.in_flight.retain(|subject| self.schedules.contains_key(subject));
    }

    /// What is over the age limit goes, but for what never expires.
    pub(super) fn age(&mut self, now: i64) {
        if let Some(age) = self.max_age {
            self.messages.retain(|_, m| m.ts > now - age || message_ttl(&m.header) < 0);
        }
        self.prune();
    }

    /// What outlived its own time goes.
    pub(super) fn expire(&mut self, now: i64) {
        self.messages.retain(|_, m| m.expires().is_none_or(|at| at > now));
        self.prune();
    }

    pub(super) fn next_expiry(&self) -> Option<i64> {
        let ages = |m: &&Stored| message_ttl(&m.header) >= 0;
        let oldest = self.messages.values().find(ages).map(|m| m.ts);
        let by_age = self.max_age.and_then(|age| oldest.map(|ts| ts + age));
        by_age.into_iter().chain(self.messages.values().filter_map(Stored::expires)).min()
    }

    /// Schedules due, by sequence, which are then in flight.
    pub(super) fn fire(&mut self, now: i64) -> Vec<(u64, Vec<u8>, i64)> {
        let mut due: Vec<_> = self
            .schedules
            .iter()
            .filter(|(subject, (_, at))| *at <= now && !self.in_flight.contains(*subject))
            .map(|(subject, &(seq, at))| (seq, subject.clone(), at))
            .collect();
        due.sort_unstable();
        self.in_flight.extend(due.iter().map(|d| d.1.clone()));
        due
    }

    /// After an open: every schedule is there still, and none that its subject has moved past; when
    /// it fires may be what its message says again.
    pub(super) fn take_over_schedules<D: Disk>(&mut self, store: &mut FileStore<D>) {
        self.with_schedules = store.settings().allow_schedules;
        store.clear_due_schedules();
        let found = store.due_schedules(Timestamp(i64::MAX));
        store.clear_due_schedules();
        self.in_flight.clear();
        let mut left = std::mem::take(&mut self.schedules);
        for d in found {
            let subject = d.subject.to_vec();
            let m = &self.messages.get(&d.seq);
            let own = m.and_then(|m| fires(&m.header).filter(|_| m.subject == subject));
            assert!(own.is_some(), "schedule {d:?} without its message");
            let superseded = self
                .messages
                .range(d.seq + 1..)
                .any(|(_, m)| m.subject == subject && !m.is_scheduled_by_another());
            assert!(!superseded, "schedule {d:?} was superseded");
            left.remove(&subject);
            self.schedules.insert(subject, (d.seq, d.at));
        }
        assert!(left.is_empty() || !self.with_schedules, "schedules lost: {left:?}");
    }

    /// New limits: subjects first, then totals.
    pub(super) fn update(&mut self, settings: &Settings) {
        self.max_msgs = settings.max_msgs;
        self.max_bytes = settings.max_bytes;
        self.max_per = settings.max_msgs_per_subject;
        self.max_age = settings.max_age.map(|age| age.as_nanos() as i64);
        if let Some(max) = self.max_per {
            let mut seen: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
            let newest_first: Vec<u64> = self.messages.keys().rev().copied().collect();
            for seq in newest_first {
                let count = seen.entry(self.messages[&seq].subject.clone()).or_default();
                *count += 1;
                if *count > max {
                    self.messages.remove(&seq);
                }
            }
        }
        self.enforce_totals();
    }

    pub(super) fn seqs(&self, pick: impl Fn(&Stored) -> bool) -> Vec<u64> {
        self.messages.iter().filter(|(_, m)| pick(m)).map(|(&s, _)| s).collect()
    }

    pub(super) fn matching(&self, filter: &Filter) -> Vec<u64> {
        self.seqs(|m| filter.matches(&m.subject))
    }

    pub(super) fn purge(&mut self, filter: &Filter, seq: u64, keep: u64) -> u64 {
        let before = self.messages.len();
        if seq == 1 {
            return 0;
        }
        if *filter == Filter::All && seq > 1 {
            self.compact(seq);
        } else {
            let all = self.matching(filter);
            let most = all.len().saturating_sub(keep as usize);
            for s in all.into_iter().take(most).filter(|&s| seq == 0 || s < seq) {
                self.messages.remove(&s);
            }
        }
        self.prune();
        (before - self.messages.len()) as u64
    }

    pub(super) fn compact(&mut self, seq: u64) -> u64 {
        let before = self.messages.len();
        if seq == 0 || seq > self.last_seq {
            self.messages.clear();
            self.last_seq = self.last_seq.max(seq.saturating_sub(1));
        } else {
            self.messages.retain(|&s, _| s >= seq);
        }
        self.prune();
        (before - self.messages.len()) as u64
    }

    pub(super) fn truncate(&mut self, seq: u64) {
        self.messages.retain(|&s, _| s <= seq);
        self.last_seq = seq;
        self.prune();
    }

    /// Everything the store can be asked, asked.
    pub(super) fn compare<D: Disk>(&self, store: &mut FileStore<D>, context: &str) {
        store.check();
        let state = store.state();
        let present: Vec<u64> =
            (0..=state.last_seq.min(100_000)).filter(|&s| is_there(store, s, context)).collect();
        assert_eq!(
            present,
            self.messages.keys().copied().collect::<Vec<_>>(),
            "sequences {context}"
        );
        assert_eq!(state.msgs, self.messages.len() as u64, "msgs {context}");
        assert_eq!(state.bytes, self.bytes(), "bytes {context}");
        assert_eq!(state.last_seq, self.last_seq, "last_seq {context}");
        assert_eq!(state.first_seq, self.first_seq(), "first_seq {context}");
        assert_eq!(
            state.first_ts,
            self.messages.values().next().map(|m| Timestamp(m.ts)),
            "first_ts {context}"
        );
        for seq in self.first_seq().saturating_sub(2)..=self.last_seq + 1 {
            let got = store.load(seq).ok();
            let want = self.messages.get(&seq);
            assert_eq!(got.is_some(), want.is_some(), "presence of {seq} {context}");
            if let (Some(got), Some(want)) = (got, want) {
                assert_eq!(got.ts.0, want.ts, "time of {seq} {context}");
                assert_eq!(got.subject, want.subject, "subject of {seq} {context}");
                assert_eq!(got.header, want.header, "header of {seq} {context}");
                assert_eq!(got.payload, want.payload, "payload of {seq} {context}");
            }
        }
        self.compare_queries(store, context);
    }

    fn compare_queries<D: Disk>(&self, store: &mut FileStore<D>, context: &str) {
        let filters = [
            Filter::All,
            Filter::parse(b"a.1"),
            Filter::parse(b"a.*"),
            Filter::parse(b"b.>"),
            Filter::parse(b"none"),
            Filter::any_of([&b"a.2"[..], b"b.1", b"*.3"]),
        ];
        let span = self.last_seq + 2 - self.first_seq().min(self.last_seq + 1);
        let probes: Vec<u64> = (0..6).map(|i| self.first_seq() + i * span / 5).collect();
        for filter in &filters {
            let all = self.matching(filter);
            let mut last: BTreeMap<&[u8], u64> = BTreeMap::new();
            let mut totals: BTreeMap<Box<[u8]>, u64> = BTreeMap::new();
            for s in &all {
                last.insert(&self.messages[s].subject, *s);
                *totals.entry(self.messages[s].subject.clone().into()).or_default() += 1;
            }
            let got: BTreeMap<_, _> = store.subjects_totals(filter).into_iter().collect();
            assert_eq!(got, totals, "totals {filter:?} {context}");
            let states = store.subjects_state(filter).unwrap();
            for (subject, seq) in &last {
                assert_eq!(states[*subject].last, *seq, "last of subject {context}");
            }
            let mut lasts: Vec<u64> = last.values().copied().collect();
            lasts.sort_unstable();
            assert_eq!(
                store.multi_last(filter, 0, 0).unwrap(),
                lasts,
                "multi last {filter:?} {context}"
            );
            for &from in &probes {
                let want = all.iter().filter(|&&s| s >= from).count() as u64;
                let got = store.num_pending(filter, from, false).unwrap();
                assert_eq!(got, want, "pending {filter:?} from {from} {context}");
                let want = lasts.iter().filter(|&&s| s >= from).count() as u64;
                let got = store.num_pending(filter, from, true).unwrap();
                assert_eq!(got, want, "last pending {filter:?} from {from} {context}");
                let got = store.next(filter, from).unwrap().map(|m| m.seq);
                assert_eq!(
                    got,
                    all.iter().find(|&&s| s >= from).copied(),
                    "next {filter:?} {from} {context}"
                );
                let got = store.prev(filter, from).unwrap().map(|m| m.seq);
                assert_eq!(
                    got,
                    all.iter().rfind(|&&s| s <= from).copied(),
                    "prev {filter:?} {from} {context}"
                );
                if from > 0 && from <= self.last_seq {
                    let mut want: BTreeMap<&[u8], u64> = BTreeMap::new();
                    for s in all.iter().filter(|&&s| s <= from) {
                        want.insert(&self.messages[s].subject, *s);
                    }
                    let mut want: Vec<u64> = want.into_values().collect();
                    want.sort_unstable();
                    assert_eq!(
                        store.multi_last(filter, from, 0).unwrap(),
                        want,
                        "multi last to {from} {context}"
                    );
                }
            }
        }
        let missing: Vec<u64> =
            (self.first_seq()..=self.last_seq).filter(|s| !self.messages.contains_key(s)).collect();
        let missing = if self.messages.is_empty() { vec![] } else { missing };
        assert_eq!(store.deleted_seqs(usize::MAX), missing, "deleted {context}");
    }
}
