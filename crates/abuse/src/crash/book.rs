//! What was sent to a stream, what was acknowledged, what came back.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use super::Report;

/// The kinds of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Keeps everything.
    Limits,
    /// Keeps what is not acknowledged.
    Queue,
    /// Keeps the last message of each subject.
    Values,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Limits, Self::Queue, Self::Values];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Limits => "LIMITS",
            Self::Queue => "QUEUE",
            Self::Values => "VALUES",
        }
    }

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Queue => "queue",
            Self::Values => "values",
        }
    }

    pub(super) fn is_consumed(self) -> bool {
        self != Self::Values
    }
}

/// How many subjects each stream has.
pub(super) const SUBJECTS: u64 = 50;

/// The whole of one stream.
pub(super) struct Book {
    pub(super) kind: Kind,
    pages: Mutex<Pages>,
}

/// What a book holds; messages are numbers, each published once.
#[derive(Default)]
pub(super) struct Pages {
    /// The next number to publish: those below were sent.
    pub(super) next: u64,
    /// Numbers whose ack was read, with their sequences.
    pub(super) acked: BTreeMap<u64, u64>,
    /// The highest sequence in an ack.
    pub(super) last_seq: u64,
    /// Numbers acknowledged since the last start.
    pub(super) fresh: Vec<u64>,
    /// Numbers that were delivered.
    pub(super) delivered: HashSet<u64>,
    pub(super) deliveries: u64,
    /// Numbers for which an acknowledgement was sent.
    pub(super) answered: HashSet<u64>,
    /// Numbers for which the server confirmed one.
    pub(super) confirmed: HashSet<u64>,
    pub(super) repeated: u64,
}

impl Book {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, pages: Mutex::default() }
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap()
    }

    pub(super) fn subject(&self, n: u64) -> String {
        format!("{}.{}", self.kind.prefix(), n % SUBJECTS)
    }

    /// What is published as number `n`: it can be checked byte by byte.
    pub(super) fn payload(n: u64) -> String {
        let filler = (n.wrapping_mul(7919) % 300) as usize;
        format!("{n}:{}", "abcdefghij".repeat(30).get(..filler).unwrap_or_default())
    }

    /// The number of a message that came back; panics if it was never published so.
    pub(super) fn number(&self, subject: &str, payload: &str) -> u64 {
        let n = payload.split(':').next().and_then(|n| n.parse().ok());
        let n = n.unwrap_or_else(|| panic!("{}: never published: {payload:?}", self.kind.name()));
        assert!(n < self.open().next, "{}: {n} was never published", self.kind.name());
        assert_eq!(payload, Self::payload(n), "{}: bytes of {n}", self.kind.name());
        assert_eq!(subject, self.subject(n), "{}: subject of {n}", self.kind.name());
        n
    }

    pub(super) fn summary(&self) -> String {
        let p = self.open();
        let (name, sent, acked) = (self.kind.name(), p.next, p.acked.len());
        format!("{name} sent {sent} acked {acked} delivered {}", p.delivered.len())
    }

    pub(super) fn add_to(&self, report: &mut Report) {
        let p = self.open();
        report.acked += p.acked.len() as u64;
        report.unknown += p.next - p.acked.len() as u64;
        report.delivered += p.deliveries;
        report.confirmed += p.confirmed.len() as u64;
        report.repeated += p.repeated;
    }
}
