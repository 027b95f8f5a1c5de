//! Claims that are pushed to a server whose resolver does not take them itself.
//!
//! Law: only accounts that are known already are updated.
//! Reference: events.go accountClaimUpdate.   Contract: SYS-023.

use super::answer::answer_update;
use super::{ClaimsError, Registry};
use crate::Node;
use crate::system::{Context, OwnedRequest};
use auth::jwt::AccountClaims;
use std::sync::Arc;

/// Subjects of updates, and the token of the subject that is the account's key.
pub const SUBJECTS: [(&str, usize); 2] =
    [("$SYS.ACCOUNT.*.CLAIMS.UPDATE", 2), ("$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", 3)];

/// Serves updates.
pub(super) fn register(node: &Arc<Node>) {
    for (subject, position) in SUBJECTS {
        let serve = move |context: &mut Context<'_>, request: &OwnedRequest| {
            update(context, request, request.token(position));
        };
        node.system().serve(subject, serve).keep();
    }
}

fn update(context: &mut Context<'_>, request: &OwnedRequest, key: &str) {
    let Some(claims) = context.node().claims().cloned() else { return };
    if request.payload.is_empty() {
        let error = Err("request body is empty");
        return answer_update(context, request, key, "jwt update error", error);
    }
    const FAILED: &str = "jwt update resulted in error";
    let token = String::from_utf8_lossy(&request.payload).into_owned();
    match AccountClaims::decode(&token) {
        Err(error) => answer_update(context, request, key, FAILED, Err(error)),
        Ok(claims) if claims.subject != key => {
            let error = Err("subject does not match jwt content");
            answer_update(context, request, key, FAILED, error);
        }
        Ok(_) if !claims.has(key) => {
            answer_update(context, request, key, "jwt update skipped", Ok::<(), ClaimsError>(()));
        }
        Ok(_) => claims.update(key, token, request.clone(), |key, outcome, context, request| {
            let message = if outcome.is_ok() { "jwt updated" } else { FAILED };
            answer_update(context, request, key, message, outcome);
        }),
    }
}

impl Registry {
    /// Asks for an account that is not known, and then has `then` go on with a request about it, on
    /// the thread of the system account.
    pub fn fetch(
        self: &Arc<Self>,
        key: &str,
        request: OwnedRequest,
        then: impl FnOnce(&mut Context<'_>, &OwnedRequest) + Send + 'static,
    ) {
        let (claims, key) = (self.clone(), key.to_owned());
        // It goes on by itself.
        drop((self.surroundings.spawn)(Box::pin(async move {
            // Whoever finds no account says so.
            let _ = claims.refresh(&key, None).await;
            let Some(node) = claims.node() else { return };
            node.system().post(move |context| then(context, &request));
        })));
    }

    /// Puts a token in force beside the network threads, and then has `then` told what came of it,
    /// on the thread of the system account.
    pub fn update(
        self: &Arc<Self>,
        key: &str,
        token: String,
        request: OwnedRequest,
        then: impl FnOnce(&str, Result<(), ClaimsError>, &mut Context<'_>, &OwnedRequest)
        + Send
        + 'static,
    ) {
        let (claims, key) = (self.clone(), key.to_owned());
        // It goes on by itself.
        drop((self.surroundings.spawn)(Box::pin(async move {
            let outcome = claims.refresh(&key, Some(token)).await;
            let Some(node) = claims.node() else { return };
            // Without room for it there is no answer, and the requester's time runs out.
            node.system().post(move |context| then(&key, outcome, context, &request));
        })));
    }
}
