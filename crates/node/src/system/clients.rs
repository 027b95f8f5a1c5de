//! Requests that act on clients or on the whole server, and who a user is.
//!
//! Reference: events.go kickClient, ldmClient, reloadConfig, userInfoReq.
//! Contract: CORE-060, SYS-017..019.

use super::System;
use super::context::Context;
use super::options::{self, Schema};
use super::requests::{BAD_REQUEST, act, complain};
use super::service::OwnedRequest;
use monitor::event::{UserFacts, UserPermissions, UserResponses, UserSubjects, user_info};
use serde::Deserialize;
use std::sync::Arc;
use wire::error::CloseReason;

/// A server that was not started from a file has nothing to load anew.
const NO_FILE: &str = "can only reload config when a file is provided using -c or --config";

pub(super) fn register(system: &Arc<System>, id: &str) {
    let own = |what: &str| format!("$SYS.REQ.SERVER.{id}.{what}");
    system.serve(&own("RELOAD"), reload).keep();
    system.serve(&own("KICK"), kick).keep();
    system.serve(&own("LDM"), lame_duck).keep();
    system.serve("$SYS.REQ.USER.*.INFO", user).keep();
}

fn reload(context: &mut Context<'_>, request: &OwnedRequest) {
    act(context, request, |context| match context.system().reload() {
        Some(reload) => reload(),
        None => Err(NO_FILE.to_owned()),
    });
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Client {
    cid: u64,
}

/// The client a request names; `None` and a complaint if it cannot be read.
fn named(schema: Schema, context: &Context<'_>, request: &OwnedRequest) -> Option<u64> {
    match schema.decode::<Client>(&request.payload) {
        Ok(client) => Some(client.cid),
        Err(error) => {
            complain(context, &format!("unmarshalling kick client request: {error}"));
            None
        }
    }
}

fn kick(context: &mut Context<'_>, request: &OwnedRequest) {
    let Some(cid) = named(options::KICK, context, request) else { return };
    act(context, request, |context| {
        let conn = context.node().broker.connection(cid);
        let conn = conn.ok_or("no such client or leafnode id")?;
        conn.close(CloseReason::Kicked);
        Ok(())
    });
}

fn lame_duck(context: &mut Context<'_>, request: &OwnedRequest) {
    let Some(cid) = named(options::LDM, context, request) else { return };
    act(context, request, |context| {
        let broker = &context.node().broker;
        let conn = broker.connection(cid).ok_or("no such client id")?;
        let mut info = (*broker.info()).clone();
        info.lame_duck_mode = true;
        if broker.tell_info(&conn, info) {
            Ok(())
        } else {
            Err("client does not support Lame Duck Mode or is not ready to receive the \
                 notification"
                .to_owned())
        }
    });
}

/// What the server itself says of a requester.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Requester {
    acc: String,
    user: String,
    name_tag: String,
}

fn user(context: &mut Context<'_>, request: &OwnedRequest) {
    if !request.wants_answer() {
        return;
    }
    let requester = match request.requester_json() {
        // Who asks on the inner subject itself is nobody.
        None => Requester::default(),
        Some(json) => match serde_json::from_slice(json) {
            Ok(requester) => requester,
            Err(_) => {
                let server = context.server_json();
                let answer = monitor::envelope(&server, None, Some((BAD_REQUEST, "")));
                return context.answer(request, &answer);
            }
        },
    };
    let (permissions, expires) = request.origin.as_ref().map_or((None, None), |conn| {
        let facts = conn.facts.lock();
        (facts.permissions.clone(), facts.expires)
    });
    let rest = expires.map_or(0, |at| at.since(context.now().mono).as_secs());
    let facts = UserFacts {
        user: requester.user,
        account_name: context.node().account_tag(&requester.acc),
        account: requester.acc,
        user_name: requester.name_tag,
        permissions: permissions.map(|permissions| described(permissions.config())),
        // Told in nanoseconds, but only of whole seconds.
        expires: i64::try_from(rest).unwrap_or(i64::MAX).saturating_mul(1_000_000_000),
    };
    let server = context.server_json();
    context.answer(request, &monitor::envelope(&server, Some(&user_info(&facts)), None));
}

fn described(permissions: &auth::PermissionsConfig) -> UserPermissions {
    let subjects = |of: &auth::SubjectPermission| UserSubjects {
        allow: of.allow.clone(),
        deny: of.deny.clone(),
    };
    UserPermissions {
        publish: subjects(&permissions.publish),
        subscribe: subjects(&permissions.subscribe),
        responses: permissions
            .responses
            .map(|of| UserResponses { max: of.max_msgs(), ttl: of.expires_ns() }),
    }
}
