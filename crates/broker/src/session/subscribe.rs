//! SUB and UNSUB.
//!
//! Laws: a sid names at most one subscription; a second SUB with it is ignored (CORE-011); the
//!       interest index and the connection's table hold the same subscriptions.
//! Reference: client.go processSub, processUnsub.   Contract: CORE-011, 012, 028, 031..033.

use super::Session;
use crate::sub::{Extra, Sub, Target};
use crate::worker::Worker;
use auth::SubscribeDecision;
use std::sync::Arc;
use wire::error::text;

/// Subscriptions that ended, and how many of them are out of the interest.
#[derive(Default)]
pub(super) struct Leaving {
    pub subs: Vec<Arc<Sub>>,
    gone: usize,
}

impl Session {
    pub(super) fn subscribe(
        &mut self,
        filter: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
        worker: &mut Worker,
    ) {
        if queue == Some(b"_sys_") {
            self.refuse_subscription(filter, queue, sid, "", worker);
            return;
        }
        let extra = match self.permissions.as_ref().map(|p| (p, p.can_subscribe(filter, queue))) {
            None | Some((_, SubscribeDecision::Allowed)) => None,
            Some((permissions, SubscribeDecision::AllowedFiltered)) => {
                Some(Box::new(Extra { deny: Some(permissions.clone()), ..Extra::default() }))
            }
            Some((_, SubscribeDecision::Denied)) => {
                self.refuse_subscription(filter, queue, sid, "", worker);
                return;
            }
        };
        let limit = self.settings.max_sub_tokens;
        if limit > 0 && filter.split(|b| *b == b'.').count() > limit {
            self.refuse_subscription(filter, None, sid, ", too many tokens", worker);
            return;
        }
        let mut subs = self.conn.subs.lock();
        let limit = self.max_subscriptions();
        if limit.is_some_and(|limit| subs.len() as u64 >= limit) {
            drop(subs);
            // Once in a while for an account, however many are refused.
            let key = format!("{} {}", self.account.name, text::MAX_SUBSCRIPTIONS);
            if worker.broker.may_say(&key, worker.now.mono) {
                let label = self.conn.label();
                stdx::error!(worker.broker.log, "{label} - {}", text::MAX_SUBSCRIPTIONS);
            }
            self.send_error(text::MAX_SUBSCRIPTIONS, worker);
            return;
        }
        if subs.get(sid).is_none() {
            if !subject::is_valid(filter) {
                drop(subs);
                self.send_error(text::INVALID_SUBJECT, worker);
                return;
            }
            let target = Target::Conn(self.conn.clone());
            let sub = Arc::new(Sub::new(target, sid, filter, queue, extra));
            subs.insert(sub.clone());
            drop(subs);
            self.account.subscribe(&sub);
        } else {
            drop(subs);
        }
        if self.verbose {
            self.send_ok(worker);
        }
    }

    fn refuse_subscription(
        &self,
        filter: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
        suffix: &str,
        worker: &mut Worker,
    ) {
        let filter = String::from_utf8_lossy(filter);
        let mut what = format!("Permissions Violation for Subscription to \"{filter}\"");
        if let Some(queue) = queue {
            what.push_str(&format!(" using queue \"{}\"", String::from_utf8_lossy(queue)));
        }
        what.push_str(suffix);
        self.send_error(&what, worker);
        let mut line = format!("Subscription Violation - Subject \"{filter}\"");
        if let Some(queue) = queue {
            line.push_str(&format!(", Queue: \"{}\"", String::from_utf8_lossy(queue)));
        }
        if !suffix.is_empty() {
            line = line.replacen("Violation -", "Violation Too Many Tokens -", 1);
        }
        let sid = String::from_utf8_lossy(sid);
        stdx::error!(worker.broker.log, "{} - {line}, SID {sid}", self.conn.label());
    }

    pub(super) fn unsubscribe(&mut self, sid: &[u8], max: Option<i64>, worker: &mut Worker) {
        let sub = self.conn.subs.lock().get(sid).cloned();
        if let Some(sub) = sub {
            match max.and_then(|max| u64::try_from(max).ok()) {
                Some(max) if max > sub.delivered() => sub.set_max(max),
                _ => {
                    self.remove(&sub);
                    if worker.trace {
                        self.trace_unsubscribed(sid, worker);
                    }
                }
            }
        }
        if self.verbose {
            self.send_ok(worker);
        }
    }

    pub(super) fn remove(&self, sub: &Arc<Sub>) {
        if sub.close() {
            self.conn.subs.lock().remove(sub);
            self.account.unsubscribe(sub);
        }
    }

    /// Ends every subscription.
    pub(super) fn drop_subscriptions(&mut self) {
        while !self.drop_some_subscriptions(usize::MAX) {}
        self.leaving = Leaving::default();
    }

    /// Ends every subscription, and takes at most `count` out of the interest; `true` once none is
    /// left there. `leaving` keeps all there were.
    pub(super) fn drop_some_subscriptions(&mut self, count: usize) -> bool {
        let table = self.conn.subs.lock().take();
        for sub in table {
            // From here on nothing is delivered, wherever it is still found.
            if sub.close() {
                self.leaving.subs.push(sub);
            }
        }
        let Leaving { subs, gone } = &mut self.leaving;
        for sub in subs.iter().skip(*gone).take(count) {
            self.account.unsubscribe(sub);
        }
        *gone = subs.len().min(gone.saturating_add(count));
        *gone == subs.len()
    }
}
