//! How many clients listen on a subject.
//!
//! Not here yet: asking other servers of a cluster.
//! Reference: events.go debugSubscribers, nsubsRequest.   Contract: SYS-015, SYS-016.

use super::System;
use super::context::Context;
use super::options;
use super::requests::complain;
use super::service::OwnedRequest;
use broker::account::Account;
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn register(system: &Arc<System>) {
    system.serve("$SYS.DEBUG.SUBSCRIBERS", debug).keep();
    system.serve("$SYS.REQ.ACCOUNT.NSUBS", asked_by_server).keep();
}

/// Whose account a request is about.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Requester {
    acc: String,
    svc: String,
}

fn debug(context: &mut Context<'_>, request: &OwnedRequest) {
    let Some(account) = account_of(context, request) else { return };
    let text = String::from_utf8_lossy(&request.payload);
    let mut parts = text.trim().split(' ');
    let subject = parts.next().unwrap_or_default();
    let count = account.count_clients(subject.as_bytes(), parts.next().map(str::as_bytes));
    context.answer(request, count.to_string().as_bytes());
}

/// The requester's account; the system account's own users ask about that.
fn account_of(context: &Context<'_>, request: &OwnedRequest) -> Option<Arc<Account>> {
    let requester = match request.requester_json() {
        Some(json) => serde_json::from_slice(json).ok()?,
        None => Requester::default(),
    };
    let name = [requester.svc, requester.acc].into_iter().find(|name| !name.is_empty());
    match name {
        Some(name) => context.node().broker.account(&name),
        None => context.system().account(),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    acc: String,
    subject: String,
    /// Base64, as the reference writes bytes.
    queue: Option<String>,
}

/// Another server adds up.
fn asked_by_server(context: &mut Context<'_>, request: &OwnedRequest) {
    if request.payload.is_empty() {
        return complain(context, "request requires a body");
    }
    let asked: Asked = match options::NSUBS.decode(&request.payload) {
        Ok(asked) => asked,
        Err(error) => {
            return complain(
                context,
                &format!("unmarshalling account nsubs request message: {error}"),
            );
        }
    };
    let Some(account) = context.node().broker.account(&asked.acc) else { return };
    if account.clients.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        return;
    }
    let queue = asked.queue.map(|queue| data_encoding::BASE64.decode(queue.as_bytes()));
    let Ok(queue) = queue.transpose() else {
        return complain(context, "unmarshalling account nsubs request message: no base64");
    };
    let count = account.count_clients(asked.subject.as_bytes(), queue.as_deref());
    context.answer(request, count.to_string().as_bytes());
}
