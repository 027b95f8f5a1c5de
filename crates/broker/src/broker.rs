//! One server's shared state: accounts, connections, totals.
//!
//! Laws: what the message path reads here is immutable or swapped whole; the tables are locked for
//!       connects, disconnects and monitoring only.

use crate::account::latency::Samples;
use crate::account::{self, Account, GLOBAL, SYSTEM};
use crate::closed::{Closed, Ring};
use crate::conn::{Conn, flag};
use crate::outbox::Pool;
use crate::session::Owed;
use crate::settings::Settings;
use crate::stats::Counters;
use crate::sub::Sub;
use crate::tracing::Herald;
use crate::witness::Witness;
use arc_swap::{ArcSwap, ArcSwapOption};
use auth::Authenticator;
use hashbrown::HashMap;
use parking_lot::{Condvar, Mutex, RwLock};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use stdx::log::Log;
use stdx::rate_limit::RateLimit;
use stdx::time::{Mono, Timestamp};
use wire::error::CloseReason;
use wire::info::Info;

/// Totals that change rarely enough for plain atomics.
#[derive(Default)]
pub struct Totals {
    pub connections: AtomicU64,
    pub slow_consumers: AtomicU64,
    pub stale_connections: AtomicU64,
    pub stalled_clients: AtomicU64,
}

/// One server's shared state.
pub struct Broker {
    /// Where lines go.
    pub log: Log,
    pub(crate) settings: ArcSwap<Settings>,
    info: ArcSwap<Info>,
    pub(crate) authenticator: ArcSwap<Authenticator>,
    lines: RateLimit,
    pub(crate) revision: AtomicU64,
    pub(crate) caught_up: (Mutex<()>, Condvar),
    accounts: RwLock<HashMap<String, Arc<Account>>>,
    global: Arc<Account>,
    next_account: AtomicU32,
    conns: RwLock<HashMap<u64, Arc<Conn>>>,
    next_conn: AtomicU64,
    closed: Mutex<Ring>,
    /// Messages in and out of clients.
    pub counters: Counters,
    /// Other totals.
    pub totals: Totals,
    workers: usize,
    witness: OnceLock<Arc<dyn Witness>>,
    /// The system account, if there is one.
    pub(crate) system: ArcSwapOption<Account>,
    /// Latency samples that wait for the next flush.
    pub(crate) samples: Arc<Samples>,
    /// Names this server in reply subjects of measured requests.
    pub(crate) name_hash: String,
    herald: OnceLock<Arc<dyn Herald>>,
}

impl Broker {
    /// A server without connections, with the global and the system account.
    pub fn new(
        settings: Settings,
        info: Info,
        authenticator: Authenticator,
        log: Log,
        workers: usize,
    ) -> Self {
        let samples = Arc::new(Samples::default());
        let global = Arc::new(Account::new(GLOBAL.into(), 1, workers, samples.clone()));
        let name_hash = account::short_hash(&info.server_name);
        let broker = Self {
            log,
            settings: ArcSwap::from_pointee(settings),
            info: ArcSwap::from_pointee(info),
            authenticator: ArcSwap::from_pointee(authenticator),
            lines: RateLimit::default(),
            revision: AtomicU64::new(0),
            caught_up: Default::default(),
            accounts: RwLock::new(HashMap::new()),
            global: global.clone(),
            next_account: AtomicU32::new(2),
            conns: RwLock::new(HashMap::new()),
            next_conn: AtomicU64::new(1),
            closed: Mutex::default(),
            counters: Counters::new(workers),
            totals: Totals::default(),
            workers,
            witness: OnceLock::new(),
            system: ArcSwapOption::empty(),
            samples,
            name_hash,
            herald: OnceLock::new(),
        };
        broker.accounts.write().insert(GLOBAL.into(), global);
        broker.set_system_account(Some(SYSTEM));
        broker
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// What INFO says of the server, without what is particular to a connection.
    pub fn info(&self) -> Arc<Info> {
        self.info.load_full()
    }

    /// Who may log in.
    pub fn authenticator(&self) -> Arc<Authenticator> {
        self.authenticator.load_full()
    }

    /// Names who tells of traced messages; before that nobody does. The first one counts.
    pub fn set_herald(&self, herald: Arc<dyn Herald>) {
        let _ = self.herald.set(herald);
    }

    pub(crate) fn herald(&self) -> Option<&Arc<dyn Herald>> {
        self.herald.get()
    }

    /// Names who is told about clients that come and go. The first one stays.
    pub fn set_witness(&self, witness: Arc<dyn Witness>) {
        let _ = self.witness.set(witness);
    }

    pub(crate) fn witness(&self) -> Option<&Arc<dyn Witness>> {
        self.witness.get()
    }

    /// A hash of the server's name, which its subjects have in them.
    pub fn name_hash(&self) -> &str {
        &self.name_hash
    }

    /// Changes what INFO says.
    pub fn set_info(&self, info: Info) {
        self.info.store(Arc::new(info));
    }

    /// Logs an error of `conn`, unless the same was said of anybody in the last second (LOG-008).
    pub(crate) fn error_once(&self, conn: &Conn, error: &str, now: Mono) {
        let (account, user) = {
            let facts = conn.facts.lock();
            (facts.account.clone(), facts.who.label())
        };
        let mut line = error.to_owned();
        if !account.is_empty() {
            line.push_str(" - Account:");
            line.push_str(&account);
        }
        if self.lines.allows(&line, now) {
            if !user.is_empty() {
                line.push_str(" - ");
                line.push_str(&user);
            }
            stdx::error!(self.log, "{} - {line}", conn.label());
        }
    }

    /// Whether a line may go to the log that repeats itself (LOG-008).
    pub(crate) fn may_say(&self, text: &str, now: Mono) -> bool {
        self.lines.allows(text, now)
    }

    /// The account of clients that name none.
    pub fn global(&self) -> &Arc<Account> {
        &self.global
    }

    /// The system account, if there is one.
    pub fn system_account(&self) -> Option<Arc<Account>> {
        self.system.load_full()
    }

    /// An account by name.
    pub fn account(&self, name: &str) -> Option<Arc<Account>> {
        self.accounts.read().get(name).cloned()
    }

    /// An account by name, made if it is new.
    pub fn account_or_new(&self, name: &str) -> Arc<Account> {
        if let Some(account) = self.account(name) {
            return account;
        }
        let mut accounts = self.accounts.write();
        accounts
            .entry_ref(name)
            .or_insert_with(|| {
                let id = self.next_account.fetch_add(1, Ordering::Relaxed);
                Arc::new(Account::new(name.into(), id, self.workers, self.samples.clone()))
            })
            .clone()
    }

    /// Takes an account out of the table.
    pub(crate) fn forget_account(&self, account: &Arc<Account>) {
        self.accounts.write().remove(&account.name);
    }

    /// All accounts, by name.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        let mut all: Vec<_> = self.accounts.read().values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// A number for a new connection.
    pub fn next_conn_id(&self) -> u64 {
        self.next_conn.fetch_add(1, Ordering::Relaxed)
    }

    /// Enters a connection in the table. `false` if the server has as many as it may.
    pub fn register(&self, conn: &Arc<Conn>) -> bool {
        self.totals.connections.fetch_add(1, Ordering::Relaxed);
        let limit = self.settings.load().max_connections;
        let mut conns = self.conns.write();
        if limit.is_some_and(|limit| conns.len() as u64 >= limit) {
            return false;
        }
        conns.insert(conn.id, conn.clone());
        true
    }

    /// Moves a connection to the list of closed ones.
    pub fn unregister(
        &self,
        conn: &Arc<Conn>,
        reason: CloseReason,
        subs: Vec<Arc<Sub>>,
        now: Timestamp,
    ) {
        self.conns.write().remove(&conn.id);
        let keep = self.settings.load().max_closed_clients;
        let subscriptions = subs.len();
        let closed =
            Closed { conn: conn.clone(), stop: now, reason, subscriptions, subs: subs.into() };
        self.closed.lock().push(closed, keep);
    }

    /// Sends the INFO in force to a client that may get it out of turn (CORE-021).
    pub fn notify_info(&self, conn: &Arc<Conn>) {
        self.tell_info(conn, (*self.info()).clone());
    }

    /// Sends `info` to a client that may get INFO at any time; `false` if this one may not.
    pub fn tell_info(&self, conn: &Arc<Conn>, mut info: Info) -> bool {
        if !conn.has(flag::ASYNC_INFO | flag::FIRST_PONG) {
            return false;
        }
        info.client_id = conn.id;
        info.client_ip = conn.peer().map_or_else(String::new, |peer| peer.ip().to_string());
        let mut out = conn.outbox.lock();
        if !out.is_closed() {
            out.push(&info.line(), &mut Pool::default());
            out.wake();
        }
        true
    }

    /// Open connections.
    pub fn connections(&self) -> Vec<Arc<Conn>> {
        self.conns.read().values().cloned().collect()
    }

    /// Number of open connections.
    pub fn connection_count(&self) -> usize {
        self.conns.read().len()
    }

    /// An open connection by number.
    pub fn connection(&self, id: u64) -> Option<Arc<Conn>> {
        self.conns.read().get(&id).cloned()
    }

    /// Closed connections, oldest first.
    pub fn closed(&self) -> Vec<Closed> {
        self.closed.lock().iter().cloned().collect()
    }

    /// Number of closed connections that are remembered.
    pub fn closed_count(&self) -> usize {
        self.closed.lock().len()
    }

    /// What a closed connection had subscribed to, as far as that is remembered.
    pub fn closed_subs(&self, id: u64) -> Arc<[Arc<Sub>]> {
        let closed = self.closed.lock();
        let found = closed.iter().rev().find(|closed| closed.conn.id == id);
        found.map(|closed| closed.subs.clone()).unwrap_or_default()
    }

    /// Counts a peer that took nothing before the write deadline, and says so in the log.
    pub(crate) fn missed_deadline(
        &self,
        conn: &Arc<Conn>,
        account: &Account,
        again: bool,
        owed: Owed,
    ) {
        self.totals.slow_consumers.fetch_add(1, Ordering::Relaxed);
        account.slow_consumers.fetch_add(1, Ordering::Relaxed);
        let deadline = stdx::go_text::duration(self.settings.load().write_deadline);
        let label = conn.label();
        stdx::notice!(
            self.log,
            "{label} - Slow Consumer {}: WriteDeadline of {deadline} exceeded with \
             {} chunks of {} total bytes.",
            if again { "State" } else { "Detected" },
            owed.chunks,
            owed.bytes
        );
    }

    /// As `slow_consumer`, for one whose account is not at hand.
    #[cold]
    pub(crate) fn slow_consumer_of_answers(&self, conn: &Arc<Conn>) {
        let name = conn.facts.lock().account.clone();
        let account = self.account(&name).unwrap_or_else(|| self.global.clone());
        self.slow_consumer(conn, &account);
    }

    /// Counts a slow consumer and says so in the log.
    pub(crate) fn slow_consumer(&self, conn: &Arc<Conn>, account: &Account) {
        self.totals.slow_consumers.fetch_add(1, Ordering::Relaxed);
        account.slow_consumers.fetch_add(1, Ordering::Relaxed);
        let limit = self.settings.load().max_pending;
        stdx::notice!(
            self.log,
            "{} - Slow Consumer Detected: MaxPending of {limit} Exceeded",
            conn.label()
        );
    }
}
