//! Events out: clients, accounts, the server's statistics and its end.
//!
//! Not here: what they look like (`monitor::event`).
//! Laws: an event nobody listens for costs a look at the interest; an account with clients is heard
//!       of at least every [`ACCOUNTS_EVERY`].
//! Reference: events.go accountConnectEvent, sendAccConnsUpdate, heartbeatStatsz.
//! Contract: SYS-002, SYS-004..006, SYS-008, CORE-048, AUTH-032.

use super::context::Context;
use super::event::Event;
use super::remote::Remotes;
use crate::Node;
use broker::Conn;
use broker::account::Account;
use monitor::event::{self, ClientFacts, Disconnected, Head};
use monitor::{MsgBytes, Source};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stdx::time::{Mono, Now, Timestamp};
use wire::error::CloseReason;

/// An account with clients is heard of this often.
const ACCOUNTS_EVERY: Duration = Duration::from_secs(30);
/// Accounts are looked through no more often than this.
const ACCOUNTS_GAP: Duration = Duration::from_secs(1);
/// The first statistics come this soon, the next after twice the time, up to `STATSZ_EVERY`.
const STATSZ_FIRST: Duration = Duration::from_millis(250);
const STATSZ_EVERY: Duration = Duration::from_secs(10);
/// Between two of them lies at least this much.
const STATSZ_GAP: Duration = Duration::from_secs(1);

/// What has to be sent when.
pub(super) struct Housekeeping {
    statsz: Pace,
    /// When accounts with clients are due, by name.
    accounts: BTreeMap<String, Mono>,
    next_account: Mono,
}

/// When statistics are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    due: Mono,
    every: Duration,
    last: Option<Mono>,
}

impl Pace {
    pub(super) fn new(now: Mono) -> Self {
        Self { due: now + STATSZ_FIRST, every: STATSZ_FIRST, last: None }
    }

    /// Whether statistics are to be sent now.
    pub(super) fn tick(&mut self, now: Mono) -> bool {
        if now < self.due {
            return false;
        }
        self.every = (self.every * 2).min(STATSZ_EVERY);
        self.due = now + self.every;
        self.allows(now)
    }

    /// Whether the last ones lie back far enough; if not, the next are sent when they do.
    fn allows(&mut self, now: Mono) -> bool {
        let gap = STATSZ_GAP.min(self.every);
        if let Some(last) = self.last
            && now.since(last) < gap
        {
            self.due = last + gap;
            return false;
        }
        self.last = Some(now);
        true
    }
}

impl Housekeeping {
    pub(super) fn new(now: Now) -> Self {
        let next_account = Mono(u64::MAX);
        Self { statsz: Pace::new(now.mono), accounts: BTreeMap::new(), next_account }
    }

    /// Sends what is due; when the next is.
    pub(super) fn tick(&mut self, context: &mut Context<'_>) -> Mono {
        let now = context.now().mono;
        if context.system().take_announcement() {
            self.statsz.last = None;
            self.statsz.due = now;
        }
        if self.statsz.tick(now) {
            send_statsz(context);
        }
        if self.next_account <= now {
            let due: Vec<String> = self.due_accounts(now);
            for name in due {
                match context.node().broker.account(&name) {
                    Some(account) => {
                        let clients = account.clients.load(Ordering::Relaxed);
                        self.counted(&account, clients, context);
                    }
                    None => {
                        self.accounts.remove(&name);
                    }
                }
            }
            let next = self.accounts.values().copied().min().unwrap_or(Mono(u64::MAX));
            // All are looked at each time: with many accounts that must not be all the time.
            self.next_account = next.max(now + ACCOUNTS_GAP);
        }
        let remotes = Remotes::sweep(context);
        self.statsz.due.min(self.next_account).min(remotes)
    }

    fn due_accounts(&self, now: Mono) -> Vec<String> {
        let due = self.accounts.iter().filter(|(_, at)| **at <= now);
        due.map(|(name, _)| name.clone()).collect()
    }

    /// Tells of what happened.
    pub(super) fn event(&mut self, event: Event, context: &mut Context<'_>) {
        match event {
            Event::Counted(account, clients) => self.counted(&account, clients, context),
            Event::Joined(conn, account, who) => joined(&conn, &account, &who, context),
            Event::Refused(conn, account, told, reason) => {
                refused(&conn, &account, told, reason, context);
            }
            Event::Left(conn, account, reason, at) => left(&conn, &account, reason, at, context),
            Event::LameDuck => {
                let (id, server) = (context.node().server_id(), context.server_json());
                context.publish(format!("$SYS.SERVER.{id}.LAMEDUCK").as_bytes(), server.as_bytes());
            }
        }
    }

    fn counted(&mut self, account: &Arc<Account>, clients: u64, context: &mut Context<'_>) {
        if clients == 0 {
            self.accounts.remove(&account.name);
        } else {
            let due = context.now().mono + ACCOUNTS_EVERY;
            self.accounts.insert(account.name.clone(), due);
            self.next_account = self.next_account.min(due);
        }
        let name = &account.name;
        let subjects = [
            format!("$SYS.SERVER.ACCOUNT.{name}.CONNS"),
            format!("$SYS.ACCOUNT.{name}.SERVER.CONNS"),
        ];
        send_account(account, clients, &subjects, context);
    }

    /// The server ends.
    pub(super) fn shutdown(&mut self, context: &mut Context<'_>) {
        let (id, server) = (context.node().server_id(), context.server_json());
        context.publish(format!("$SYS.SERVER.{id}.SHUTDOWN").as_bytes(), server.as_bytes());
    }
}

/// Sends what is to be said of an account's clients, as one event, to those of `subjects` that
/// somebody listens on.
pub(super) fn send_account<S: AsRef<[u8]>>(
    account: &Account,
    clients: u64,
    subjects: &[S],
    context: &mut Context<'_>,
) {
    let mut wanted = subjects.iter().map(AsRef::as_ref).filter(|s| context.is_wanted(s));
    let Some(first) = wanted.next() else { return };
    let wanted: Vec<&[u8]> = std::iter::once(first).chain(wanted).collect();
    let Some(mut stat) = context.node().account_stat(&account.name) else { return };
    stat.clients = clients;
    let head = head(context, None);
    for subject in wanted {
        let server = context.server_json();
        let message = event::account_connections(&head, &server, stat.clone());
        context.publish(subject, &message);
    }
}

/// Sends the server's statistics to all who listen.
// Compat(SYS-005): a server that stands alone says nothing unless somebody listens.
fn send_statsz(context: &mut Context<'_>) {
    let subject = format!("$SYS.SERVER.{}.STATSZ", context.node().server_id());
    if context.is_wanted(subject.as_bytes()) {
        let message = statsz(context);
        context.publish(subject.as_bytes(), &message);
    }
}

/// The server's statistics.
pub(super) fn statsz(context: &mut Context<'_>) -> Vec<u8> {
    let server = context.server_json();
    let facts = event::StatszFacts {
        active_accounts: active_accounts(context),
        active_servers: context.system().remotes.lock().len() + 1,
    };
    event::statsz(&server, facts, &**context.node())
}

/// Accounts with clients; the system account always has one, the server itself.
fn active_accounts(context: &Context<'_>) -> u64 {
    let accounts = context.node().broker.accounts();
    let active = |a: &&Arc<Account>| a.is_system() || a.clients.load(Ordering::Relaxed) > 0;
    accounts.iter().filter(active).count() as u64
}

fn head(context: &mut Context<'_>, at: Option<Timestamp>) -> Head {
    Head { id: context.event_id(), at: at.unwrap_or(context.now().wall) }
}

fn joined(conn: &Conn, account: &Account, who: &auth::Who, context: &mut Context<'_>) {
    let subject = format!("$SYS.ACCOUNT.{}.CONNECT", account.name);
    if !context.is_wanted(subject.as_bytes()) {
        return;
    }
    let (head, server) = (head(context, None), context.server_json());
    let client = ClientFacts { user: who.raw().into(), ..client(conn, account, context.node()) };
    let message = event::connected(&head, &server, &client);
    context.publish(subject.as_bytes(), &message);
}

fn left(
    conn: &Conn,
    account: &Account,
    reason: CloseReason,
    at: Timestamp,
    context: &mut Context<'_>,
) {
    let subject = format!("$SYS.ACCOUNT.{}.DISCONNECT", account.name);
    if !context.is_wanted(subject.as_bytes()) {
        return;
    }
    let (head, server) = (head(context, Some(at)), context.server_json());
    let message =
        event::disconnected(&head, &server, &gone(conn, account, reason, at, context.node()));
    context.publish(subject.as_bytes(), &message);
}

/// A client that was turned away: for operators, and for the account it was meant for, if one is
/// to be `told`.
fn refused(
    conn: &Conn,
    account: &Arc<Account>,
    told: Option<(Arc<Account>, Option<String>)>,
    reason: CloseReason,
    context: &mut Context<'_>,
) {
    let at = context.now().wall;
    let to_account = b"$SYS.ACCOUNT.CLIENT.AUTH.ERR";
    if let Some((told, why)) = told.filter(|(told, _)| told.is_wanted(to_account)) {
        let (head, server) = (head(context, Some(at)), context.server_json());
        let mut gone = gone(conn, account, reason, at, context.node());
        gone.client.acc.clone_from(&told.name);
        gone.reason = why.unwrap_or(gone.reason);
        let message = event::disconnected(&head, &server, &gone);
        context.publish_in(&told, to_account, None, b"", &message);
    }
    let subject = format!("$SYS.SERVER.{}.CLIENT.AUTH.ERR", context.node().server_id());
    if context.is_wanted(subject.as_bytes()) {
        let (head, server) = (head(context, Some(at)), context.server_json());
        let message =
            event::disconnected(&head, &server, &gone(conn, account, reason, at, context.node()));
        context.publish(subject.as_bytes(), &message);
    }
}

fn client(conn: &Conn, account: &Account, node: &Node) -> ClientFacts {
    let facts = conn.facts.lock();
    let token = facts.token.as_deref();
    ClientFacts {
        start: conn.start,
        host: conn.peer().map_or_else(String::new, |peer| peer.ip().to_string()),
        id: conn.id,
        acc: account.name.clone(),
        user: facts.who.raw().into(),
        name: facts.name.clone(),
        lang: facts.lang.clone(),
        ver: facts.version.clone(),
        jwt: token.map_or(facts.presented.as_str(), |token| token.shown_jwt()).to_owned(),
        issuer_key: token.map(|t| t.signer(&account.name).to_owned()).unwrap_or_default(),
        tags: token.map(|token| token.tags.clone()).unwrap_or_default(),
        name_tag: node.account_tag(&account.name),
        kind: "Client".into(),
        client_type: "nats".into(),
        ..ClientFacts::default()
    }
}

fn gone(
    conn: &Conn,
    account: &Account,
    reason: CloseReason,
    at: Timestamp,
    node: &Node,
) -> Disconnected {
    let (msgs, bytes) = {
        let out = conn.outbox.lock();
        (out.msgs, out.bytes)
    };
    let rtt = conn.facts.lock().rtt.unwrap_or_default();
    Disconnected {
        client: ClientFacts {
            rtt: u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX),
            stop: Some(at),
            ..client(conn, account, node)
        },
        sent: MsgBytes {
            msgs: conn.in_msgs.load(Ordering::Relaxed),
            bytes: conn.in_bytes.load(Ordering::Relaxed),
        },
        received: MsgBytes { msgs, bytes },
        reason: reason.text().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: SYS-005
    #[test]
    fn statistics_come_soon_and_then_ever_more_seldom() {
        let mut pace = Pace::new(Mono(0));
        let mut sent = Vec::new();
        for ms in 0..40_000 {
            let now = Mono(0) + Duration::from_millis(ms);
            if pace.tick(now) {
                sent.push(ms);
            }
        }
        assert_eq!(sent, [250, 1250, 3250, 7250, 15_250, 25_250, 35_250]);
    }
}
