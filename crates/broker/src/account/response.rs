//! Answers that are on their way back from another account.
//!
//! The exporter's account keeps the awaited answers by the `_R_.` subject the responder was given;
//! the requester's account keeps the same by the reply subject the requester gave, so that answers
//! nobody waits for any more are forgotten.
//!
//! Laws: an entry leaves both tables together; no lock of one account is held while another's is
//!       taken; entries that get no answer go at their threshold, at the latest.
//! Reference: accounts.go addRespServiceImport, removeRespServiceImport, checkForReverseEntry,
//! checkExpiredResponses.   Contract: ACC-011, ACC-012, ACC-017.

use super::Account;
use super::definition::ResponseType;
use super::export::ServiceExport;
use super::latency::{Outcome, Sample, TraceHeader};
use crate::conn::Conn;
use hashbrown::HashMap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use stdx::time::{Mono, Now};

/// How long answers of something that is not an export of its own may take.
const THRESHOLD: Duration = Duration::from_secs(120);

/// What is known of a request while its answer is awaited.
pub(crate) struct Response {
    /// The requester's account.
    pub requester: Weak<Account>,
    /// The reply subject the requester gave.
    pub to: Arc<[u8]>,
    /// The service that was asked.
    pub export: Option<Arc<ServiceExport>>,
    /// Whether the exporter may learn who asked.
    pub share: bool,
    /// When it was asked.
    pub asked: Now,
    /// What is measured.
    pub tracking: Option<Tracking>,
}

/// A request that is measured.
pub(crate) struct Tracking {
    pub requestor: Arc<Conn>,
    pub header: TraceHeader,
}

impl Response {
    pub(crate) fn kind(&self) -> ResponseType {
        self.export.as_ref().map_or(ResponseType::Singleton, |export| export.response)
    }

    fn threshold(&self) -> Duration {
        self.export.as_ref().map_or(THRESHOLD, |export| export.threshold)
    }

    /// The sample of this request, if it is measured; only the first call gets one.
    pub(crate) fn sample(
        &mut self,
        exporter: &Arc<Account>,
        outcome: Outcome,
        now: Now,
    ) -> Option<Sample> {
        let tracking = self.tracking.take()?;
        let latency = self.export.as_ref()?.latency.as_ref()?;
        Some(Sample {
            account: exporter.clone(),
            subject: latency.subject.clone(),
            outcome,
            requestor: tracking.requestor,
            share: self.share,
            header: tracking.header,
            asked: self.asked,
            done: now,
        })
    }
}

struct Awaited {
    response: Response,
    /// Of the request, or of the last part of a streamed answer.
    last: Mono,
    /// Where it stands in `by_deadline`.
    deadline: (Mono, u64),
}

#[derive(Default)]
struct Table {
    by_subject: HashMap<Arc<[u8]>, Awaited>,
    by_deadline: BTreeMap<(Mono, u64), Arc<[u8]>>,
    next: u64,
}

/// The answers an exporter owes.
#[derive(Default)]
pub(crate) struct Responses {
    table: Mutex<Table>,
}

/// A reply subject's awaited answers: who owes them, and the subject given to the responder.
type Owed = SmallVec<[(Weak<Account>, Arc<[u8]>); 1]>;

/// The answers an account's requesters wait for, by reply subject.
#[derive(Default)]
pub(crate) struct Expected {
    by_reply: Mutex<HashMap<Arc<[u8]>, Owed>>,
    len: AtomicUsize,
}

/// What an answer's first steps need.
pub(crate) struct Answer {
    pub requester: Weak<Account>,
    pub to: Arc<[u8]>,
    pub export: Option<Arc<ServiceExport>>,
    pub share: bool,
    pub kind: ResponseType,
    pub sample: Option<Sample>,
}

impl Responses {
    /// Number of answers owed.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().by_subject.len()
    }

    /// Enters an awaited answer under a subject that `name` makes up until it is a new one.
    /// Returns the subject and until when the answer is awaited.
    pub(crate) fn insert(
        &self,
        response: Response,
        mut name: impl FnMut() -> Vec<u8>,
    ) -> (Arc<[u8]>, Mono) {
        let mut table = self.table.lock();
        let subject: Arc<[u8]> = loop {
            let name = name();
            if !table.by_subject.contains_key(name.as_slice()) {
                break name.into();
            }
        };
        let last = response.asked.mono;
        let deadline = (last + response.threshold(), table.next);
        table.next += 1;
        table.by_deadline.insert(deadline, subject.clone());
        table.by_subject.insert(subject.clone(), Awaited { response, last, deadline });
        (subject, deadline.0)
    }

    /// An answer arrived on `subject`.
    pub(crate) fn answer(
        &self,
        exporter: &Arc<Account>,
        subject: &[u8],
        responder: Option<&Arc<Conn>>,
        now: Now,
    ) -> Option<Answer> {
        let mut table = self.table.lock();
        let awaited = table.by_subject.get_mut(subject)?;
        let response = &mut awaited.response;
        let sample = response.sample(exporter, Outcome::Answered(responder.cloned()), now);
        Some(Answer {
            requester: response.requester.clone(),
            to: response.to.clone(),
            export: response.export.clone(),
            share: response.share,
            kind: response.kind(),
            sample,
        })
    }

    /// A part of a streamed answer was delivered: more may come.
    pub(crate) fn refresh(&self, subject: &[u8], now: Mono) {
        if let Some(awaited) = self.table.lock().by_subject.get_mut(subject) {
            awaited.last = now;
        }
    }

    /// Forgets an answer here; [`Expected::remove`] is due in the requester's account.
    pub(crate) fn remove(&self, subject: &[u8]) -> Option<Response> {
        let mut table = self.table.lock();
        let awaited = table.by_subject.remove(subject)?;
        table.by_deadline.remove(&awaited.deadline);
        Some(awaited.response)
    }

    /// Takes the answers that did not come in time; returns when to look again.
    fn expire(&self, now: Mono, out: &mut Vec<(Arc<[u8]>, Response)>) -> Option<Mono> {
        let mut table = self.table.lock();
        let table = &mut *table;
        loop {
            let first = table.by_deadline.first_entry()?;
            if first.key().0 > now {
                return Some(first.key().0);
            }
            let ((_, number), subject) = first.remove_entry();
            let Some(awaited) = table.by_subject.get_mut(&subject) else { continue };
            let until = awaited.last + awaited.response.threshold();
            if until > now {
                awaited.deadline = (until, number);
                table.by_deadline.insert(awaited.deadline, subject);
            } else if let Some(awaited) = table.by_subject.remove(&subject) {
                out.push((subject, awaited.response));
            }
        }
    }

    /// Calls `each` for every answer owed, under the lock.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&[u8], &Response)) {
        for (subject, awaited) in &self.table.lock().by_subject {
            each(subject, &awaited.response);
        }
    }
}

impl Expected {
    /// Number of reply subjects on which answers are awaited.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Notes that `exporter` owes an answer on `reply`.
    pub(crate) fn insert(&self, reply: &Arc<[u8]>, exporter: &Arc<Account>, subject: Arc<[u8]>) {
        let mut by_reply = self.by_reply.lock();
        let owed = by_reply.entry(reply.clone()).or_default();
        owed.push((Arc::downgrade(exporter), subject));
        self.len.store(by_reply.len(), Ordering::Relaxed);
    }

    /// Forgets one answer on `reply`.
    pub(crate) fn remove(&self, reply: &[u8], subject: &[u8]) {
        let mut by_reply = self.by_reply.lock();
        if let Some(owed) = by_reply.get_mut(reply) {
            owed.retain(|(_, other)| **other != *subject);
            if owed.is_empty() {
                by_reply.remove(reply);
                self.len.store(by_reply.len(), Ordering::Relaxed);
            }
        }
    }

    /// Takes what is awaited on subjects that `filter` covers and nobody `wants` any more.
    fn take(&self, filter: &[u8], wants: impl Fn(&[u8]) -> bool) -> Vec<Owed> {
        let mut by_reply = self.by_reply.lock();
        let gone: Vec<Owed> = if subject::has_wildcard(filter) {
            let lost = |reply: &Arc<[u8]>| subject::matches(reply, filter) && !wants(reply);
            by_reply.extract_if(|reply, _| lost(reply)).map(|(_, owed)| owed).collect()
        } else if by_reply.contains_key(filter) && !wants(filter) {
            by_reply.remove(filter).into_iter().collect()
        } else {
            Vec::new()
        };
        self.len.store(by_reply.len(), Ordering::Relaxed);
        gone
    }
}

/// Whether `subject` is one of the server's own reply subjects.
pub(crate) fn is_service_reply(subject: &[u8]) -> bool {
    subject.starts_with(b"_R_.")
}

impl Account {
    /// Forgets answers nobody waits for, after a subscription to `filter` went.
    // Compat(ACC-011, ACC-017): a measured request then yields a sample of status 408.
    pub(super) fn forget_lost_answers(&self, filter: &[u8]) {
        if self.expected.len() == 0 || is_service_reply(filter) {
            return;
        }
        let gone = self.expected.take(filter, |reply| self.is_wanted(reply));
        for (exporter, subject) in gone.into_iter().flatten() {
            let Some(exporter) = exporter.upgrade() else { continue };
            let Some(mut response) = exporter.responses.remove(&subject) else { continue };
            // The clock is not at hand here; who publishes the sample puts the time in.
            let asked = response.asked;
            if let Some(sample) = response.sample(&exporter, Outcome::InterestLost, asked) {
                self.samples.push(sample);
            }
        }
    }

    /// Forgets an answer in both accounts, with a sample if it was measured and none came.
    pub(crate) fn drop_response(self: &Arc<Self>, subject: &[u8], outcome: Outcome, now: Now) {
        if let Some(response) = self.responses.remove(subject) {
            self.drop_removed(subject, response, outcome, now);
        }
    }

    fn drop_removed(
        self: &Arc<Self>,
        subject: &[u8],
        mut response: Response,
        outcome: Outcome,
        now: Now,
    ) {
        if let Some(requester) = response.requester.upgrade() {
            requester.expected.remove(&response.to, subject);
        }
        if let Some(sample) = response.sample(self, outcome, now) {
            self.samples.push(sample);
        }
    }

    /// Forgets answers that did not come in time; returns when to look again.
    // Compat(ACC-011, ACC-012): the reference looks once per threshold, so that its entries live
    // between one and two thresholds.
    pub(crate) fn expire_responses(self: &Arc<Self>, now: Now) -> Option<Mono> {
        let mut expired = Vec::new();
        let next = self.responses.expire(now.mono, &mut expired);
        for (subject, response) in expired {
            self.drop_removed(&subject, response, Outcome::Timeout, now);
        }
        next
    }
}
