//! The network threads: one current-thread runtime each; a connection stays where it was put.
//!
//! Law: a worker's context is used by one task at a time, between two awaits, so a `RefCell` will
//!      do.

use crate::clock::Clock;
use crate::conn::{self, ClientTls};
use crate::pause;
use arc_swap::ArcSwapOption;
use broker::{Broker, Worker};
use bytes::BytesMut;
use std::cell::RefCell;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// Bytes a read may bring.
pub(crate) const READ_SIZE: usize = 256 * 1024;
/// After a read of at least this many bytes, what it caused is written out at once.
const FLUSH_AT_ONCE: usize = 8 * 1024;
const PIPE_SIZE: usize = 64 * 1024;
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// What one thread lends to its connections.
pub(crate) struct Context {
    pub worker: Worker,
    pub clock: Clock,
    /// The buffer reads go to; borrowed for one read, owned by no connection.
    pub buf: BytesMut,
    /// Tells the thread's own task that the worker's deadline moved.
    pub deadline: Rc<Notify>,
    /// Wakes the thread's flusher, which runs behind the tasks that are ready by now.
    pub flush: Rc<Notify>,
    /// Whether it was woken.
    pub flush_due: bool,
}

impl Context {
    /// Writes out what a read of `bytes` left in outboxes: at once if it was a large one, else
    /// together with what the other connections that are ready now leave there.
    pub(crate) fn flush_after(&mut self, bytes: usize) {
        if bytes >= FLUSH_AT_ONCE {
            self.worker.flush_touched();
        } else if !self.flush_due && self.worker.owes_flush() {
            self.flush_due = true;
            self.flush.notify_one();
        }
    }
}

/// How client connections begin.
struct Doors<'a> {
    tls: &'a ArcSwapOption<ClientTls>,
    proxied: &'a AtomicBool,
}

enum Job {
    Accepted(TcpStream),
    Pipe(tokio::io::DuplexStream),
}

/// The running network threads.
pub struct Workers {
    senders: std::sync::Mutex<Vec<mpsc::UnboundedSender<Job>>>,
    threads: std::sync::Mutex<Vec<std::thread::JoinHandle<()>>>,
    next: AtomicUsize,
    tls: Arc<ArcSwapOption<ClientTls>>,
    proxied: Arc<AtomicBool>,
}

impl Workers {
    /// Starts `count` threads.
    pub fn start(broker: &Arc<Broker>, count: usize, zero: Instant) -> std::io::Result<Self> {
        let mut workers = Self {
            senders: Default::default(),
            threads: Default::default(),
            next: AtomicUsize::new(0),
            tls: Arc::default(),
            proxied: Arc::default(),
        };
        let (mut senders, mut threads) = (Vec::new(), Vec::new());
        for id in 0..count {
            let (sender, receiver) = mpsc::unbounded_channel();
            let broker = broker.clone();
            let (tls, proxied) = (workers.tls.clone(), workers.proxied.clone());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .event_interval(31)
                .on_thread_park(pause::before_sleep)
                .max_blocking_threads(2)
                .build()?;
            let thread =
                std::thread::Builder::new().name(format!("nats-io-{id}")).spawn(move || {
                    let doors = Doors { tls: &tls, proxied: &proxied };
                    run(id, broker, zero, &runtime, receiver, &doors);
                })?;
            senders.push(sender);
            threads.push(thread);
        }
        workers.senders = senders.into();
        workers.threads = threads.into();
        Ok(workers)
    }

    /// Gives client connections accepted from now on TLS, or takes it away.
    pub fn set_tls(&self, tls: Option<Arc<ClientTls>>) {
        self.tls.store(tls);
    }

    /// Whether client connections accepted from now on may begin with a PROXY header (CORE-055).
    pub fn set_proxy_protocol(&self, on: bool) {
        self.proxied.store(on, Ordering::Relaxed);
    }

    /// Hands a socket to a thread.
    pub fn accept(&self, socket: TcpStream) {
        self.give(Job::Accepted(socket));
    }

    /// Opens a connection inside the process; the other end is a client's.
    pub fn connect_in_process(&self) -> tokio::io::DuplexStream {
        let (ours, theirs) = tokio::io::duplex(PIPE_SIZE);
        self.give(Job::Pipe(ours));
        theirs
    }

    fn give(&self, job: Job) {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let senders = lock(&self.senders);
        if let Some(sender) = senders.get(next % senders.len().max(1)) {
            // A send fails only after shutdown: the socket is dropped, which closes it.
            let _ = sender.send(job);
        }
    }

    /// Ends the threads; connections are dropped.
    pub fn stop(&self) {
        lock(&self.senders).clear();
        for thread in lock(&self.threads).drain(..) {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Unpredictable bytes from the system.
pub fn entropy(bytes: &mut [u8]) {
    // The system's generator does not fail once it was seeded; where it did, going on would mean
    // predictable nonces.
    if let Err(error) = getrandom::fill(bytes) {
        panic!("the system has no random numbers: {error}");
    }
}

/// Writes out what the reads of a turn left in outboxes.
async fn flush_when_due(context: Rc<RefCell<Context>>, due: Rc<Notify>) {
    loop {
        due.notified().await;
        let context = &mut *context.borrow_mut();
        context.flush_due = false;
        context.worker.flush_touched();
    }
}

/// Waits for the worker's deadline, and sees to it.
async fn overdue(context: &RefCell<Context>) {
    let at = {
        let Context { worker, clock, .. } = &*context.borrow();
        worker.next_deadline().map(|at| clock.instant(at))
    };
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
    let Context { worker, clock, .. } = &mut *context.borrow_mut();
    worker.now = clock.now();
    worker.on_timer();
}

fn run(
    id: usize,
    broker: Arc<Broker>,
    zero: Instant,
    runtime: &tokio::runtime::Runtime,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    doors: &Doors<'_>,
) {
    let clock = Clock::new(zero);
    let now = clock.now();
    let worker = Worker::new(id, broker, now, entropy);
    let deadline = Rc::new(Notify::new());
    let flush = Rc::new(Notify::new());
    let context = Context {
        worker,
        clock,
        buf: BytesMut::new(),
        deadline: deadline.clone(),
        flush: flush.clone(),
        flush_due: false,
    };
    let context = Rc::new(RefCell::new(context));
    let local = tokio::task::LocalSet::new();
    local.block_on(runtime, async move {
        tokio::task::spawn_local(flush_when_due(context.clone(), flush));
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(Job::Accepted(socket)) => {
                        let proxied = doors.proxied.load(Ordering::Relaxed);
                        conn::spawn_tcp(socket, doors.tls.load_full(), proxied, context.clone());
                    }
                    Some(Job::Pipe(pipe)) => conn::spawn_pipe(pipe, context.clone()),
                    None => break,
                },
                _ = sweep.tick() => context.borrow_mut().worker.sweep(),
                () = deadline.notified() => {}
                () = overdue(&context) => {}
            }
        }
    });
}
