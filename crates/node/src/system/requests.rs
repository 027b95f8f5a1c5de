//! Who answers what in the system account.
//!
//! Not here: documents and the envelope (`monitor`), requests that act on clients (`clients`).
//! Laws: who does not want an answer gives no work; a server that is not meant stays silent.
//! Reference: events.go initEventTracking, zReq.   Contract: SYS-010, SYS-011, SYS-013, SYS-014.

use super::context::Context;
use super::options::{self, Schema};
use super::service::OwnedRequest;
use super::{System, clients, encoding, events, remote, subscribers};
use crate::Node;
use monitor::{Answer, Question, ServerIdentity};
use std::sync::Arc;

/// Documents of the server, for who asks it by its id or all servers at once.
const OF_SERVERS: [(&str, Schema); 13] = [
    ("VARZ", options::VARZ),
    ("SUBSZ", options::SUBSZ),
    ("CONNZ", options::CONNZ),
    ("ROUTEZ", options::ROUTEZ),
    ("GATEWAYZ", options::GATEWAYZ),
    ("LEAFZ", options::LEAFZ),
    ("ACCOUNTZ", options::ACCOUNTZ),
    ("JSZ", options::JSZ),
    ("HEALTHZ", options::HEALTHZ),
    ("PROFILEZ", options::PROFILEZ),
    ("EXPVARZ", options::EXPVARZ),
    ("IPQUEUESZ", options::IPQUEUESZ),
    ("RAFTZ", options::RAFTZ),
];

/// Documents of one account.
const OF_ACCOUNTS: [(&str, Schema); 6] = [
    ("SUBSZ", options::SUBSZ),
    ("CONNZ", options::CONNZ),
    ("LEAFZ", options::LEAFZ),
    ("JSZ", options::JSZ),
    ("INFO", options::INFO),
    ("STATZ", options::STATZ),
];

/// The options in `body` of a request for `service`, in the reference's own names; empty if there
/// are none.
///
/// # Errors
/// The complaint that the requester gets, or that there is no such service.
pub fn check_body(service: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut all = OF_SERVERS.iter().chain(&OF_ACCOUNTS);
    let (_, schema) = all.find(|(name, _)| *name == service).ok_or("no such service")?;
    schema.read(body)
}

/// Position of the account in `$SYS.REQ.ACCOUNT.<account>.<what>`.
const ACCOUNT: usize = 3;

/// Registers everything the server itself answers.
pub(super) fn register(node: &Arc<Node>) {
    let system = node.system();
    let id = node.broker.info().server_id.clone();
    system.serve("$SYS.SERVER.*.STATSZ", remote::updated).keep();
    system.serve("$SYS.SERVER.*.SHUTDOWN", remote::ended).keep();
    system.serve("$SYS.SERVER.*.LAMEDUCK", remote::ended).keep();
    system.serve("$SYS.SERVER.ACCOUNT.*.CONNS", remote::connections).keep();
    system.serve(&format!("$SYS._INBOX_.{id}"), remote::connections).keep();
    system.serve("$SYS.REQ.SERVER.PING", statsz).keep();
    for who in ["PING", id.as_str()] {
        let subject = |what: &str| format!("$SYS.REQ.SERVER.{who}.{what}");
        system.serve(&subject("IDZ"), idz).keep();
        system.serve(&subject("STATSZ"), statsz).keep();
        for (name, schema) in OF_SERVERS {
            serve_document(system, &subject(name), name, schema, false);
        }
    }
    for (name, schema) in OF_ACCOUNTS {
        serve_document(system, &format!("$SYS.REQ.ACCOUNT.*.{name}"), name, schema, true);
    }
    // Beside the filter above, which stays silent for `PING`.
    system
        .serve("$SYS.REQ.ACCOUNT.PING.STATZ", |context, request| {
            document("STATZ", Some("PING"), options::STATZ, context, request);
        })
        .keep();
    system.serve("$SYS.REQ.ACCOUNT.*.CONNS", connections).keep();
    clients::register(system, &id);
    subscribers::register(system);
}

fn serve_document(
    system: &Arc<System>,
    subject: &str,
    name: &'static str,
    schema: Schema,
    of_account: bool,
) {
    let handler = move |context: &mut Context<'_>, request: &OwnedRequest| {
        let account = of_account.then(|| request.token(ACCOUNT));
        // Compat(SYS-014): `PING` asks for all accounts, which has a service of its own.
        if !(name == "STATZ" && account == Some("PING")) {
            document(name, account, schema, context, request);
        }
    };
    system.serve(subject, handler).keep();
}

/// Statistics, to who asked; to all if nobody is named.
fn statsz(context: &mut Context<'_>, request: &OwnedRequest) {
    let read = options::STATSZ.read(&request.payload);
    let message = match read {
        Err(complaint) => {
            let server = context.server_json();
            monitor::envelope(&server, None, Some((BAD_REQUEST, &complaint)))
        }
        Ok(body) if !is_meant(&body, context) => return,
        Ok(_) if request.wants_answer() => events::statsz(context),
        Ok(_) => return context.system().announce(),
    };
    context.answer(request, &message);
}

fn idz(context: &mut Context<'_>, request: &OwnedRequest) {
    let info = context.node().broker.info();
    let answer = monitor::event::id_json(&info.server_name, &info.host, &info.server_id);
    context.answer(request, &answer);
}

fn document(
    service: &'static str,
    account: Option<&str>,
    schema: Schema,
    context: &mut Context<'_>,
    request: &OwnedRequest,
) {
    if !request.wants_answer() {
        return;
    }
    let body = match schema.read(&request.payload) {
        Ok(body) => body,
        Err(complaint) => return refuse(context, request, BAD_REQUEST, &complaint),
    };
    // Compat(SYS-014): the others only tell of accounts that are there.
    let asks = service == "CONNZ";
    let about = account.map(str::to_owned).or_else(|| account_in(&body)).filter(|_| asks);
    let owned = account.map(str::to_owned);
    let tell = move |context: &mut Context<'_>, request: &OwnedRequest| {
        tell_document(service, owned.as_deref(), &body, context, request);
    };
    with_account(about.as_deref(), context, request, tell);
}

/// The account that options are about.
fn account_in(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct About {
        #[serde(alias = "acc")]
        account: Option<String>,
    }
    serde_json::from_slice::<About>(body).ok()?.account
}

/// Goes on once the account is there that a question is about, if it can be had at all: perhaps no
/// user of it has come yet.
fn with_account(
    key: Option<&str>,
    context: &mut Context<'_>,
    request: &OwnedRequest,
    then: impl FnOnce(&mut Context<'_>, &OwnedRequest) + Send + 'static,
) {
    let claims = context.node().claims().cloned();
    match (claims, key.filter(|key| config::options::nkey::is_public_account(key))) {
        (Some(claims), Some(key)) if !claims.has(key) => claims.fetch(key, request.clone(), then),
        _ => then(context, request),
    }
}

fn tell_document(
    service: &'static str,
    account: Option<&str>,
    body: &[u8],
    context: &mut Context<'_>,
    request: &OwnedRequest,
) {
    let node = context.node().clone();
    let now = context.now();
    let question = Question { service, account, body };
    let mut server = || context.server_json();
    let answer = identified(&node, |me| monitor::answer(&question, &mut server, me, &*node, now));
    match answer {
        Some(Answer::Document(document)) => {
            let (header, payload) = encoding::packed(&request.header, document);
            context.answer_with(request, &header, &payload);
        }
        Some(Answer::Refusal(refusal)) => context.answer(request, &refusal),
        None => {}
    }
}

/// The body could not be read.
pub(super) const BAD_REQUEST: u16 = 400;
/// The request was understood and failed.
pub(super) const FAILED: u16 = 500;

/// Answers with an error.
pub(super) fn refuse(
    context: &mut Context<'_>,
    request: &OwnedRequest,
    code: u16,
    description: &str,
) {
    if request.wants_answer() {
        let server = context.server_json();
        let answer = monitor::envelope(&server, None, Some((code, description)));
        context.answer(request, &answer);
    }
}

/// Does `act` if the request means this server, and answers with what came of it.
pub(super) fn act(
    context: &mut Context<'_>,
    request: &OwnedRequest,
    act: impl FnOnce(&mut Context<'_>) -> Result<(), String>,
) {
    if !request.wants_answer() {
        return;
    }
    let body = match options::FILTERS.read(&request.payload) {
        Ok(body) => body,
        Err(complaint) => return refuse(context, request, BAD_REQUEST, &complaint),
    };
    if !is_meant(&body, context) {
        return;
    }
    match act(context) {
        Ok(()) => {
            let server = context.server_json();
            context.answer(request, &monitor::envelope(&server, None, None));
        }
        Err(description) => refuse(context, request, FAILED, &description),
    }
}

fn is_meant(body: &[u8], context: &Context<'_>) -> bool {
    identified(context.node(), |me| monitor::is_meant(body, me))
}

/// Lends what requests pick servers by.
fn identified<T>(node: &Node, then: impl FnOnce(&ServerIdentity<'_>) -> T) -> T {
    let (info, options) = (node.broker.info(), node.options());
    then(&ServerIdentity {
        name: &info.server_name,
        host: &info.host,
        cluster: &info.cluster,
        tags: &options.server_tags,
        domain: options.jetstream.domain.as_deref().unwrap_or_default(),
    })
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct ConnectionsAsked {
    acc: Option<String>,
}

/// How many clients an account has, as the event that tells of changes.
fn connections(context: &mut Context<'_>, request: &OwnedRequest) {
    let name = request.token(ACCOUNT);
    if !request.payload.is_empty() {
        match options::CONNS.decode::<ConnectionsAsked>(&request.payload) {
            Ok(asked) if asked.acc.as_deref().is_none_or(|asked| asked == name) => {}
            Ok(_) => return complain(context, "unmarshalled account does not match subject"),
            Err(error) => {
                let what = "unmarshalling account connections request message";
                return complain(context, &format!("{what}: {error}"));
            }
        }
    }
    with_account(Some(name), context, request, count);
}

fn count(context: &mut Context<'_>, request: &OwnedRequest) {
    let Some(account) = context.node().broker.account(request.token(ACCOUNT)) else { return };
    let clients = account.clients.load(std::sync::atomic::Ordering::Relaxed);
    if clients > 0
        && let Some(reply) = request.reply.clone().filter(|_| request.wants_answer())
    {
        events::send_account(&account, clients, &[reply], context);
    }
}

/// Says what was wrong with a request that gets no answer.
pub(super) fn complain(context: &Context<'_>, what: &str) {
    stdx::error!(context.node().log(), "SYSTEM - Error {what}");
}
