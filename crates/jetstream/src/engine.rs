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
use broker::account::{Account, GLOBAL};
use broker::worker::Entropy;
use hashbrown::HashMap;
use jetstream_api::JetStreamAccountLimits;
use jetstream_api::validate::AccountLimits;
use jetstream_core::stream::OpenBatches;
use parking_lot::{Mutex, RwLock};
use stdx::time::Now;
use store::ReadBudget;
use store::disk::real::{OpenFiles, StoreLock};

use crate::account::JsAccount;
use crate::claim::claim;
use crate::driver::{self, Clock};
use crate::enough::{Insufficient, all_fit};
use crate::event::Event;
use crate::gate::Waiting;
use crate::io::IoPool;
use crate::progress::{ALL, Opening, Progress, TELL_EVERY};
use crate::queue::Queue;
use crate::recover::open_found;
use crate::shared::{self, Config, Room, Shared};

/// Threads that wait for the disk: while one syncs, others can.
const IO_THREADS: usize = 8;

/// Why JetStream cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store directory cannot be used.
    #[error("cannot use the JetStream store directory {0}: {1}")]
    Directory(String, std::io::Error),
    /// Nothing can be written there.
    #[error(
        "the JetStream store directory {0} is not writable ({1}): make it writable for this user, or name another store_dir; nothing in it was changed"
    )]
    NotWritable(String, std::io::Error),
    /// Another server holds it.
    #[error(
        "the JetStream store directory {0} is in use by another server: stop that one, or give this one its own store_dir"
    )]
    InUse(String),
    /// Another process writes there.
    #[error(
        "the JetStream store directory {0} is in use by process {1}, which has {2} open for writing: stop it, or give this server its own store_dir"
    )]
    Writer(String, u32, String),
    /// The configured accounts may use more than the server.
    #[error("Error enabling jetstream on configured accounts: {0}")]
    Accounts(#[from] Insufficient),
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
    /// Accounts other than these members are admitted as soon as it runs: nobody answers for them
    /// until then.
    pub admits_later: bool,
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
    lock: Option<StoreLock>,
}

impl Engine {
    /// Starts JetStream: recovers what lies in the store directory, then listens.
    ///
    /// # Errors
    /// The store directory cannot be used, the accounts may use more than the server, or the system
    /// gives no threads.
    pub fn start(config: Config, host: &Host, members: Vec<Member>) -> Result<Self, StartError> {
        let room = Room { memory: config.max_memory, store: config.max_store };
        let given: Vec<_> = members.iter().map(|m| AccountLimits::untiered(m.limits)).collect();
        all_fit(given.iter(), room)?;
        let lock = Some(claim(&config.store_dir)?);
        let io = IoPool::start(IO_THREADS).map_err(StartError::Threads)?;
        let open_batches = Arc::new(OpenBatches::default());
        let accounts: HashMap<String, Arc<JsAccount>> = members
            .into_iter()
            .map(|m| {
                let facts = shared::facts(&config, &open_batches, &m.account);
                let limits = AccountLimits::untiered(m.limits);
                (m.account.name.clone(), Arc::new(JsAccount::new(m.account, facts, limits)))
            })
            .collect();
        let shards = host.shards.max(1);
        let shared = Arc::new(Shared {
            broker: host.broker.clone(),
            max_memory: AtomicU64::new(config.max_memory.unwrap_or(u64::MAX)),
            max_store: AtomicU64::new(config.max_store.unwrap_or(u64::MAX)),
            config,
            accounts: RwLock::new(accounts),
            queues: (0..shards).map(|_| Arc::<Queue>::default()).collect(),
            io,
            read_budget: ReadBudget::default(),
            files: OpenFiles::default(),
            started: host.now.wall,
            broken: Mutex::default(),
            promised_memory: AtomicI64::new(0),
            promised_file: AtomicI64::new(0),
            api_total: AtomicU64::new(0),
            api_errors: AtomicU64::new(0),
            waiting: Waiting::default(),
            open_batches,
            admissions: Mutex::default(),
            asleep: Mutex::default(),
            listening: Mutex::default(),
        });
        let mut threads = Vec::new();
        for index in 0..shards {
            threads.push(driver::spawn(index, &shared, host).map_err(StartError::Threads)?);
        }
        let engine = Self { shared, threads, lock };
        engine.recover()?;
        engine.listen(host.admits_later);
        engine.begin_drawing();
        Ok(engine)
    }

    /// Opens every stream of every account, each on the shard that will own it.
    fn recover(&self) -> Result<(), StartError> {
        let (done, finished) = mpsc::channel();
        let mut streams = Vec::new();
        for account in self.shared.accounts() {
            // What was coming in when the server ended.
            let _ = std::fs::remove_dir_all(self.shared.snapshots_dir(&account.account.name));
            let dir = self.shared.account_dir(&account.account.name).join("streams");
            let names = list_directories(&dir)
                .map_err(|e| StartError::Directory(dir.display().to_string(), e))?;
            for name in names {
                let shard = self.shared.shard_of(&account.account.name, &name);
                let Some(queue) = self.shared.queues.get(shard) else { continue };
                if self.shared.passes_over(&account.account.name, &name) {
                    continue;
                }
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
        Ok(())
    }

    /// Takes requests, also of accounts that have no JetStream.
    fn listen(&self, admits_later: bool) {
        let shared = &self.shared;
        for account in shared.broker.accounts() {
            let member = shared.account(&account.name);
            let waits = admits_later && !account.is_system() && account.name != GLOBAL;
            if member.is_none() && waits {
                continue;
            }
            let facts = shared.facts(&account);
            let account = member.unwrap_or_else(|| Arc::new(JsAccount::without(account, facts)));
            shared.answer_as(&account);
        }
    }

    /// Now that requests are answered, streams may ask those that they draw from.
    fn begin_drawing(&self) {
        for queue in &self.shared.queues {
            queue.push_event(Event::Run(Box::new(|shard| {
                for at in 0..shard.places.len() as u32 {
                    shard.begin_drawing(at);
                }
            })));
        }
    }

    /// What its shards share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Writes everything out and ends the threads.
    pub fn stop(&mut self) {
        self.shared.listening.lock().clear();
        for queue in &self.shared.queues {
            queue.push_event(Event::Stop);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.shared.io.stop();
        self.lock = None;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The directories in a directory, of which there are none if it does not exist.
fn list_directories(dir: &Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type().is_ok_and(|t| t.is_dir())
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

pub(crate) fn directories(dir: &Path) -> Vec<String> {
    list_directories(dir).unwrap_or_default()
}
