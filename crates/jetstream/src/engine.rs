//! One server's JetStream, started and stopped.
//!
//! Laws: when `start` returns, every stream that could be recovered takes messages; when `stop`
//!       returns, everything is on the disk and no thread is left.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use broker::Broker;
use broker::account::Account;
use broker::sub::{Internal, InternalMessage};
use broker::worker::Entropy;
use hashbrown::HashMap;
use jetstream_api::JetStreamAccountLimits;
use jetstream_core::Facts;
use jetstream_core::stream::OpenBatches;
use parking_lot::{Mutex, RwLock};
use stdx::time::Now;

use crate::account::JsAccount;
use crate::api;
use crate::driver::{self, Clock};
use crate::event::{ApiRequest, Event};
use crate::ingress::Listening;
use crate::io::IoPool;
use crate::place::Place;
use crate::progress::{ALL, Opening, Progress, TELL_EVERY};
use crate::queue::{Queue, owned};
use crate::recover::open_found;
use crate::shared::{Config, Room, Shared};

/// Threads that wait for the disk: while one syncs, others can.
const IO_THREADS: usize = 8;

/// Why JetStream cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store directory cannot be used.
    #[error("cannot use the JetStream store directory {0}: {1}")]
    Directory(String, std::io::Error),
    /// The system gives no threads.
    #[error("cannot start the threads of JetStream: {0}")]
    Threads(std::io::Error),
}

/// What the host gives JetStream.
pub struct Host {
    /// Accounts and connections.
    pub broker: Arc<Broker>,
    /// The clock of a thread.
    pub clock: Clock,
    /// Unpredictable bytes.
    pub entropy: Entropy,
    /// Threads that own streams.
    pub shards: usize,
    /// Number of the first of them among the broker's workers.
    pub first_worker: usize,
    /// The time of the start.
    pub now: Now,
}

/// An account that may use JetStream.
pub struct Member {
    /// The account.
    pub account: Arc<Account>,
    /// What it may use.
    pub limits: JetStreamAccountLimits,
}

/// One server's JetStream.
pub struct Engine {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    open_batches: Arc<OpenBatches>,
    listening: Vec<Listening>,
}

/// Requests on the API of one account.
struct Api {
    shared: Arc<Shared>,
    account: Arc<JsAccount>,
    prefix: usize,
}

impl Internal for Api {
    fn deliver(&self, m: &InternalMessage<'_>) -> bool {
        let rest = m.subject.get(self.prefix..).unwrap_or_default();
        // Streams and consumers listen to these themselves, or nobody does (DGET-010).
        if rest.starts_with(b"DIRECT.GET.") || rest.starts_with(b"CONSUMER.MSG.NEXT.") {
            return false;
        }
        let shard = api::stream_of(rest)
            .map_or(0, |stream| self.shared.shard_of(&self.account.account.name, stream));
        let Some(queue) = self.shared.queues.get(shard) else { return true };
        let client =
            m.origin.map(|conn| broker::account::client_info(conn, &self.shared.broker.info()));
        self.account.inflight().fetch_add(1, Ordering::Relaxed);
        queue.push_event(Event::Api(Box::new(ApiRequest {
            account: self.account.clone(),
            subject: owned(m.subject),
            prefix: self.prefix,
            reply: m.reply.map(owned),
            header: owned(m.header),
            payload: owned(m.payload),
            client,
        })));
        true
    }
}

impl Engine {
    /// Starts JetStream: recovers what lies in the store directory, then listens.
    ///
    /// # Errors
    /// The store directory cannot be used, or the system gives no threads.
    pub fn start(config: Config, host: &Host, members: Vec<Member>) -> Result<Self, StartError> {
        let dir = config.store_dir.clone();
        let unusable = |e| StartError::Directory(dir.display().to_string(), e);
        std::fs::create_dir_all(&dir).map_err(unusable)?;
        let io = IoPool::start(IO_THREADS).map_err(StartError::Threads)?;
        let open_batches = Arc::new(OpenBatches::default());
        let accounts: HashMap<String, Arc<JsAccount>> = members
            .into_iter()
            .map(|m| (m.account.name.clone(), account(&config, &open_batches, m)))
            .collect();
        let room = RwLock::new(Room { memory: config.max_memory, store: config.max_store });
        let shards = host.shards.max(1);
        let shared = Arc::new(Shared {
            broker: host.broker.clone(),
            config,
            accounts: RwLock::new(accounts),
            queues: (0..shards).map(|_| Arc::<Queue>::default()).collect(),
            io,
            started: host.now.wall,
            broken: Mutex::default(),
            room,
            promised_memory: AtomicI64::new(0),
            promised_file: AtomicI64::new(0),
            api_total: AtomicU64::new(0),
            api_errors: AtomicU64::new(0),
        });
        let mut threads = Vec::new();
        for index in 0..shards {
            threads.push(driver::spawn(index, &shared, host).map_err(StartError::Threads)?);
        }
        let mut engine = Self { shared, threads, open_batches, listening: Vec::new() };
        let accounts = engine.shared.accounts();
        engine.recover(&accounts);
        engine.listen(&accounts);
        engine.begin_drawing(accounts);
        Ok(engine)
    }

    /// Opens every stream of every account, each on the shard that will own it.
    fn recover(&self, accounts: &[Arc<JsAccount>]) {
        let (done, finished) = mpsc::channel();
        let mut streams = Vec::new();
        for account in accounts {
            let dir = self.shared.account_dir(&account.account.name).join("streams");
            for name in directories(&dir) {
                let shard = self.shared.shard_of(&account.account.name, &name);
                let Some(queue) = self.shared.queues.get(shard) else { continue };
                let (account, done) = (account.clone(), done.clone());
                let (shared, queue) = (self.shared.clone(), queue.clone());
                let read = Arc::<AtomicU64>::default();
                streams.push(Opening { dir: dir.join(&name), read: read.clone() });
                self.shared.io.run(move || {
                    let now = shared.started;
                    let found = open_found(&shared, &account.account.name, &name, now, &read);
                    queue.push_event(Event::Run(Box::new(move |shard| {
                        let opened = shard.recover_stream(&account, &name, found);
                        read.store(ALL, Ordering::Relaxed);
                        let _ = done.send(opened);
                    })));
                });
            }
        }
        drop(done);
        let (log, asked) = (&self.shared.broker.log, streams.len());
        let mut progress = Progress::new(streams);
        let (mut left, mut recovered, mut told) = (asked, 0, Instant::now());
        while left > 0 {
            match finished.recv_timeout(TELL_EVERY.saturating_sub(told.elapsed())) {
                Ok(opened) => {
                    left -= 1;
                    recovered += usize::from(opened);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    stdx::notice!(log, "  {}", progress.tell());
                    told = Instant::now();
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        if asked > 0 {
            stdx::notice!(log, "  Restored {recovered} of {asked} streams");
        }
    }

    /// Takes requests.
    fn listen(&mut self, accounts: &[Arc<JsAccount>]) {
        let domain = self.shared.config.domain.clone();
        for account in accounts {
            let mut prefixes = vec!["$JS.API.".to_owned()];
            prefixes.extend(domain.as_ref().map(|d| format!("$JS.{d}.API.")));
            for prefix in prefixes {
                let api = Api {
                    shared: self.shared.clone(),
                    account: account.clone(),
                    prefix: prefix.len(),
                };
                let subject = format!("{prefix}>");
                let listening =
                    Listening::custom(&account.account, subject.as_bytes(), Arc::new(api));
                self.listening.push(listening);
            }
        }
    }

    /// Now that requests are answered, streams may ask those that they draw from.
    fn begin_drawing(&self, accounts: Vec<Arc<JsAccount>>) {
        let accounts = Arc::new(accounts);
        for queue in &self.shared.queues {
            let accounts = accounts.clone();
            queue.push_event(Event::Run(Box::new(move |shard| {
                for at in 0..shard.places.len() as u32 {
                    let mine =
                        |place: &Place| accounts.iter().any(|a| Arc::ptr_eq(a, &place.account));
                    if shard.place(at).is_some_and(|place| mine(place)) {
                        shard.begin_drawing(at);
                    }
                }
            })));
        }
    }

    /// Follows other limits, and other accounts beside those there are: their streams are recovered
    /// before this returns. `false`, and nothing is changed, if an account of now is not among
    /// `members` any more: JetStream has to be started anew without it.
    pub fn revise(&mut self, room: Room, members: Vec<Member>) -> bool {
        let stays = |known: &Arc<JsAccount>| {
            members.iter().any(|member| Arc::ptr_eq(&member.account, &known.account))
        };
        if !self.shared.accounts().iter().all(stays) {
            return false;
        }
        *self.shared.room.write() = room;
        let mut new = Vec::new();
        for member in members {
            match self.shared.account(&member.account.name) {
                Some(known) => *known.limits.lock() = member.limits,
                None => new.push(account(&self.shared.config, &self.open_batches, member)),
            }
        }
        for account in &new {
            let name = account.account.name.clone();
            self.shared.accounts.write().insert(name, account.clone());
        }
        self.recover(&new);
        self.listen(&new);
        self.begin_drawing(new);
        true
    }

    /// What its shards share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Writes everything out and ends the threads.
    pub fn stop(&mut self) {
        self.listening.clear();
        for queue in &self.shared.queues {
            queue.push_event(Event::Stop);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.shared.io.stop();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An account that may use JetStream, without streams yet.
fn account(config: &Config, batches: &Arc<OpenBatches>, member: Member) -> Arc<JsAccount> {
    let facts = Arc::new(Facts {
        account: member.account.name.clone(),
        account_hash: String::new(),
        domain: config.domain.clone(),
        server_name: config.server_name.clone(),
        server_id: config.server_id.clone(),
        ack_v2: false,
        max_payload: Some(config.max_payload),
        batches: config.batches,
        open_batches: batches.clone(),
    });
    Arc::new(JsAccount::new(member.account, facts, member.limits))
}

pub(crate) fn directories(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
