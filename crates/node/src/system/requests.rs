//! Who answers what in the system account.
//!
//! Not here: documents and the envelope (`monitor`).
//! Reference: events.go initEventTracking.   Contract: SYS-010, SYS-011, SYS-013.

use super::context::Context;
use super::events;
use super::remote;
use super::service::OwnedRequest;
use crate::Node;
use monitor::ServerIdentity;
use std::sync::Arc;

/// Documents that a server gives when it is asked for them by its id, or all servers are.
const DOCUMENTS: [&str; 13] = [
    "VARZ",
    "SUBSZ",
    "CONNZ",
    "ROUTEZ",
    "GATEWAYZ",
    "LEAFZ",
    "ACCOUNTZ",
    "JSZ",
    "HEALTHZ",
    "PROFILEZ",
    "EXPVARZ",
    "IPQUEUESZ",
    "RAFTZ",
];

/// Registers everything the server itself answers.
pub(super) fn register(node: &Arc<Node>) {
    let system = node.system();
    let id = node.broker.info().server_id.clone();
    system.serve("$SYS.SERVER.*.STATSZ", remote::updated).keep();
    system.serve("$SYS.SERVER.*.SHUTDOWN", remote::ended).keep();
    system.serve("$SYS.SERVER.*.LAMEDUCK", remote::ended).keep();
    system.serve("$SYS.REQ.SERVER.PING", statsz).keep();
    for who in ["PING", id.as_str()] {
        let subject = |what: &str| format!("$SYS.REQ.SERVER.{who}.{what}");
        system.serve(&subject("IDZ"), idz).keep();
        system.serve(&subject("STATSZ"), statsz).keep();
        for name in DOCUMENTS {
            system
                .serve(&subject(name), move |context, request| document(name, context, request))
                .keep();
        }
    }
}

/// Statistics, to who asked.
fn statsz(context: &mut Context<'_>, request: &OwnedRequest) {
    let message = events::statsz(context);
    context.answer(request, &message);
}

fn idz(context: &mut Context<'_>, request: &OwnedRequest) {
    let info = context.node().broker.info();
    let answer = monitor::event::id_json(&info.server_name, &info.host, &info.server_id);
    context.answer(request, &answer);
}

fn document(name: &str, context: &mut Context<'_>, request: &OwnedRequest) {
    if request.reply.is_none() {
        return;
    }
    let node = context.node().clone();
    let (info, options, now) = (node.broker.info(), node.options(), context.now());
    let identity = ServerIdentity {
        name: &info.server_name,
        host: &info.host,
        cluster: &info.cluster,
        tags: &options.server_tags,
        domain: &info.domain,
    };
    let mut server = || context.server_json();
    let answer = monitor::answer(name, &request.payload, &mut server, &identity, &*node, now);
    if let Some(answer) = answer {
        context.answer(request, &answer);
    }
}
