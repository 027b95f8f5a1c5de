//! What one user may publish and subscribe to, compiled for the hot path.
//!
//! Hot path: `can_publish` and `denies_delivery` allocate nothing.
//! Not here: the state of dynamic reply permissions beyond `ResponseTracker` (the session has it),
//! the error a client sees.
//! Laws: deny goes before allow; a subscription never receives what a deny entry covers; a
//!       subscription wider than every allow entry is refused.
//! Reference: client.go setPermissions, canSubscribe, pubAllowedFullCheck, checkDenySub.

mod config;
mod filter_set;
mod response;
#[cfg(test)]
mod tests;

pub use config::{
    BadSubject, PermissionError, PermissionsConfig, ResponsePermission, SubjectPermission,
    check_publish_entry, check_subscribe_entry,
};
pub use response::ResponseTracker;

use filter_set::{FilterSet, queue_fits};

/// Compiled permissions; shared by the connections of a user.
#[derive(Clone, Debug)]
pub struct Permissions {
    config: PermissionsConfig,
    /// `None` allows everything, an empty set nothing.
    publish_allow: Option<FilterSet>,
    publish_deny: Option<FilterSet>,
    subscribe_allow: Option<FilterSet>,
    subscribe_deny: Option<FilterSet>,
}

/// The answer to a SUB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeDecision {
    /// Not at all.
    Denied,
    /// All of it.
    Allowed,
    /// Yes, but a deny entry lies inside: each message must pass `Permissions::denies_delivery`.
    // Compat(SUBJ-007)
    AllowedFiltered,
}

impl Permissions {
    /// Compiles permissions; illegal entries are left out (`PermissionsConfig::check` finds them).
    pub fn new(config: PermissionsConfig) -> Self {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| FilterSet::new(list));
        let only_responses = config.responses.map(|_| FilterSet::new([]));
        Self {
            publish_allow: some(&config.publish.allow).or(only_responses),
            publish_deny: some(&config.publish.deny),
            subscribe_allow: some(&config.subscribe.allow),
            subscribe_deny: some(&config.subscribe.deny),
            config,
        }
    }

    /// What it was compiled from, for monitoring and user information.
    pub fn config(&self) -> &PermissionsConfig {
        &self.config
    }

    /// The limits of dynamic reply permissions, if the user has them.
    pub fn responses(&self) -> Option<ResponsePermission> {
        self.config.responses
    }

    /// Whether a message may be published to `subject`, dynamic reply permissions aside.
    #[inline]
    pub fn can_publish(&self, subject: &[u8]) -> bool {
        self.publish_allow.as_ref().is_none_or(|allow| allow.matches(subject, |_| true))
            && !self.publish_deny.as_ref().is_some_and(|deny| deny.matches(subject, |_| true))
    }

    /// Whether `subject` may be subscribed to, as a member of `queue` if there is one.
    // Compat(SUBJ-006): allow ["foo"] lets plain and any queue subscribe, ["foo v1"] only queue
    // `v1`, ["foo", "foo v1"] plain and queue `v1`.
    pub fn can_subscribe(&self, subject: &[u8], queue: Option<&[u8]>) -> SubscribeDecision {
        let queue = queue.filter(|q| !q.is_empty());
        if self.subscribe_allow.as_ref().is_some_and(|allow| !allows(allow, subject, queue))
            || self.denies_delivery(subject, queue)
        {
            return SubscribeDecision::Denied;
        }
        if self.deny_inside(subject, queue) {
            SubscribeDecision::AllowedFiltered
        } else {
            SubscribeDecision::Allowed
        }
    }

    /// Whether a deny entry keeps a message on `subject` from a subscription in `queue`.
    #[inline]
    pub fn denies_delivery(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.subscribe_deny.as_ref().is_some_and(|deny| {
            deny.matches(subject, |entry| entry.plain || queue.is_some_and(|q| entry.has_queue(q)))
        })
    }

    /// Whether a deny entry for this queue can match a message that the subscription receives.
    fn deny_inside(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let Some(deny) = &self.subscribe_deny else { return false };
        subject::has_wildcard(subject)
            && deny.filters().iter().any(|filter| {
                let concerns = match (&filter.queue, queue) {
                    (None, _) => true,
                    (Some(pattern), Some(queue)) => queue_fits(queue, pattern),
                    (Some(_), None) => false,
                };
                concerns && subject::collides(&filter.subject, subject)
            })
    }
}

/// Deliberate difference: an entry allows what it covers. The reference takes the last token of
/// `foo.>` for text that `foo.*` matches, and so lets a user with `foo.*` subscribe to `foo.>`.
fn allows(allow: &FilterSet, subject: &[u8], queue: Option<&[u8]>) -> bool {
    match queue {
        // Entries with queue names take precedence for members of queues.
        Some(queue) if allow.matches(subject, |entry| !entry.queues.is_empty()) => {
            allow.covers(subject, |entry| entry.has_queue(queue))
        }
        _ => allow.covers(subject, |entry| entry.plain),
    }
}
