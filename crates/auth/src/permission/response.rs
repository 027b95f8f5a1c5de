//! Which reply subjects a responder may publish to, because a request with them reached it.
//!
//! Not here: whether the subject is allowed anyway (`Permissions::can_publish`); only those that
//! are not are tracked.
//! Laws: memory is at most about twice what is live; a reply subject that is seen again starts
//!       afresh.
//! Reference: client.go responseAllowed, pruneReplyPerms, deliverMsg.

use super::ResponsePermission;
use std::collections::HashMap;
use stdx::time::Mono;

/// The reply subjects of one connection.
#[derive(Debug)]
pub struct ResponseTracker {
    limits: ResponsePermission,
    replies: HashMap<Box<[u8]>, Reply>,
    /// Live entries after the last clean-up.
    kept: usize,
}

#[derive(Clone, Copy, Debug)]
struct Reply {
    since: Mono,
    published: u64,
}

/// Below this number of reply subjects no clean-up is worth its time.
const CLEAN_UP_FROM: usize = 64;

impl ResponseTracker {
    /// Starts without reply subjects.
    pub fn new(limits: ResponsePermission) -> Self {
        Self { limits, replies: HashMap::new(), kept: 0 }
    }

    /// A request with this reply subject has been delivered.
    pub fn allow(&mut self, reply: &[u8], now: Mono) {
        let fresh = Reply { since: now, published: 0 };
        if let Some(known) = self.replies.get_mut(reply) {
            *known = fresh;
            return;
        }
        if self.replies.len() >= CLEAN_UP_FROM.max(self.kept * 2) {
            self.clean_up(now);
        }
        self.replies.insert(reply.into(), fresh);
    }

    /// Whether a message may be published to `subject`; counts it if so.
    // Compat(SUBJ-008)
    pub fn check(&mut self, subject: &[u8], now: Mono) -> bool {
        let limits = self.limits;
        let Some(reply) = self.replies.get_mut(subject) else { return false };
        reply.published += 1;
        let spent = limits.limit().is_some_and(|max| reply.published > max);
        let late = limits.ttl().is_some_and(|ttl| now.since(reply.since) > ttl);
        if spent || late {
            self.replies.remove(subject);
        }
        !spent && !late
    }

    /// Number of reply subjects held.
    pub fn len(&self) -> usize {
        self.replies.len()
    }

    /// Whether no reply subject is held.
    pub fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    fn clean_up(&mut self, now: Mono) {
        let limits = self.limits;
        self.replies.retain(|_, reply| {
            let spent = limits.limit().is_some_and(|max| reply.published >= max);
            let late = limits.ttl().is_some_and(|ttl| now.since(reply.since) > ttl);
            !spent && !late
        });
        self.kept = self.replies.len();
        self.replies.shrink_to(self.kept * 2);
    }
}
