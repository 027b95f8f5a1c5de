//! What a change of the configuration does to a session: new limits, another look at who it is, and
//! at what it subscribed to.
//!
//! Laws: once a change is in force, no further frame of a session takes effect before the session
//!       has caught up; subscriptions that stay lose no message.
//! Reference: reload.go reloadAuthorization; client.go processSubsOnConfigReload.
//! Contract: RELOAD-002, RELOAD-006.

use super::connect::reason_of;
use super::{Phase, Session};
use crate::conn::{Replies, flag};
use crate::worker::Worker;
use auth::{Identity, Permissions, Review, SubscribeDecision};
use std::sync::Arc;
use wire::error::{CloseReason, text};

impl Session {
    /// Whether the configuration changed since the session last looked at it.
    #[inline]
    pub fn is_behind(&self, worker: &Worker) -> bool {
        self.revision != worker.broker.revision() || self.conn.has(flag::ACCOUNT_CHANGED)
    }

    /// Takes over what changed.
    pub fn catch_up(&mut self, worker: &mut Worker) {
        if self.conn.has(flag::ACCOUNT_CHANGED) {
            self.conn.set(flag::ACCOUNT_CHANGED, false);
            self.follow_account(worker);
        }
        let revision = worker.broker.revision();
        if revision == self.revision {
            return;
        }
        self.revision = revision;
        self.take_settings(worker);
        match self.phase {
            Phase::New => self.take_terms(worker),
            Phase::Ready => self.review(worker),
            // A login that is being verified is verified again if it was for others' users.
            Phase::Verifying | Phase::Closing => {}
        }
        worker.broker.caught_up(&self.conn, revision);
    }

    fn take_settings(&mut self, worker: &Worker) {
        self.settings = worker.broker.settings();
        self.limits.max_control_line = self.settings.max_control_line;
        self.limits.max_payload = match self.phase {
            Phase::New | Phase::Verifying => self.settings.max_payload,
            Phase::Ready | Phase::Closing => self.max_payload(),
        };
        self.conn.set(flag::NO_STALL, self.settings.no_fast_producer_stall);
    }

    /// What the server asks of clients that have not logged in.
    fn take_terms(&mut self, worker: &Worker) {
        let required = worker.broker.authenticator().auth_required();
        if required && !self.auth_required {
            self.auth_deadline = Some(worker.now.mono + self.settings.auth_timeout);
        } else if !required {
            self.auth_deadline = None;
        }
        self.auth_required = required;
    }

    /// Looks again at who the client is.
    fn review(&mut self, worker: &mut Worker) {
        let now = worker.broker.authenticator();
        let Some(then) = self.admitted_by.clone() else { return };
        if Arc::ptr_eq(&now, &then) {
            return;
        }
        let attempt = self.attempt(worker);
        let review = now.review(&then, &attempt.request(), &self.account.name);
        match review {
            Review::Slow => self.verify_apart(now, attempt.again()),
            Review::Stays(identity) => {
                self.admitted_by = Some(now);
                self.stay(&identity, worker);
            }
            Review::Gone => self.close(CloseReason::ClientClosed),
            Review::Refused(error) => {
                stdx::debug!(worker.broker.log, "{} - {error}", self.conn.label());
                let who = now.who(&attempt.request());
                self.refuse_login(&who, reason_of(&error), None, worker);
            }
        }
    }

    /// Takes over what the account's token says now. Who may not stay at all is closed by whoever
    /// changed the account.
    fn follow_account(&mut self, worker: &mut Worker) {
        if self.phase != Phase::Ready {
            return;
        }
        self.limits.max_payload = self.max_payload();
        let token = self.conn.facts.lock().token.clone();
        let authenticator = worker.broker.authenticator();
        let (Some(token), Some(operators)) = (token, authenticator.operators()) else { return };
        let Some(account) = operators.directory.known(&self.account.name) else { return };
        if token.default_permissions {
            self.change_permissions(account.default_permissions.clone(), worker);
        }
        let most = self.max_subscriptions();
        let subscriptions = self.conn.subs.lock().len() as u64;
        if most.is_some_and(|most| subscriptions > most) {
            let reason = CloseReason::MaxSubscriptionsExceeded;
            self.refuse(text::MAX_SUBSCRIPTIONS, reason, worker);
        }
    }

    /// Goes on with what the user may do now.
    pub(super) fn stay(&mut self, identity: &Identity, worker: &mut Worker) {
        self.take_limits(identity, worker);
        {
            let mut facts = self.conn.facts.lock();
            facts.token.clone_from(&identity.token);
        }
        self.change_permissions(identity.permissions.clone(), worker);
    }

    fn change_permissions(&mut self, permissions: Option<Arc<Permissions>>, worker: &mut Worker) {
        self.conn.facts.lock().permissions.clone_from(&permissions);
        let same = match (&self.permissions, &permissions) {
            (None, None) => true,
            (Some(old), Some(new)) => old.config() == new.config(),
            _ => false,
        };
        if same {
            return;
        }
        self.take_permissions(permissions);
        *self.conn.denies.lock() = self.permissions.clone();
        self.conn.set(flag::REVISED, true);
        self.review_subscriptions(worker);
    }

    /// Puts `permissions` in force for what the session does from now on.
    pub(super) fn take_permissions(&mut self, permissions: Option<Arc<Permissions>>) {
        self.permissions = permissions;
        self.allowed.clear();
        let replies = self.permissions.as_ref().and_then(|permissions| {
            let tracker = auth::ResponseTracker::new(permissions.responses()?);
            Some(Box::new(Replies { permissions: permissions.clone(), tracker }))
        });
        self.conn.set(flag::TRACK_RESPONSES, replies.is_some());
        *self.conn.replies.lock() = replies;
    }

    /// Ends the subscriptions that are not allowed any more, and says which.
    fn review_subscriptions(&mut self, worker: &mut Worker) {
        let Some(permissions) = self.permissions.clone() else { return };
        let mut subs = self.conn.subscriptions();
        subs.retain(|sub| {
            permissions.can_subscribe(sub.filter(), sub.queue()) == SubscribeDecision::Denied
        });
        subs.sort_unstable_by(|a, b| a.sid().cmp(b.sid()));
        let user = self.conn.facts.lock().who.describe();
        for sub in subs {
            self.remove(&sub);
            let quoted = |bytes: &[u8]| stdx::go_text::quote(bytes);
            let mut what = quoted(sub.filter());
            if let Some(queue) = sub.queue() {
                what.push_str(&format!(" using queue {}", quoted(queue)));
            }
            what.push_str(&format!(" (sid {})", quoted(sub.sid())));
            self.send_error(&format!("Permissions Violation for Subscription to {what}"), worker);
            stdx::notice!(worker.broker.log, "Removed sub {what} for {user} - not authorized");
        }
    }
}
