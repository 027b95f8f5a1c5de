//! The network threads: one current-thread runtime each; a connection stays where it was put.
//!
//! Law: a worker's context is used by one task at a time, between two awaits, so a `RefCell` will
//!      do.

use crate::clock::Clock;
use crate::conn;
use broker::{Broker, Worker};
use bytes::BytesMut;
use std::cell::RefCell;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Bytes a read may bring.
pub(crate) const READ_SIZE: usize = 128 * 1024;
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// What one thread lends to its connections.
pub(crate) struct Context {
    pub worker: Worker,
    pub clock: Clock,
    /// The buffer reads go to; borrowed for one read, owned by no connection.
    pub buf: BytesMut,
}

enum Job {
    Accepted(TcpStream),
}

/// The running network threads.
pub struct Workers {
    senders: Vec<mpsc::UnboundedSender<Job>>,
    threads: Vec<std::thread::JoinHandle<()>>,
    next: AtomicUsize,
}

impl Workers {
    /// Starts `count` threads.
    pub fn start(broker: &Arc<Broker>, count: usize, zero: Instant) -> std::io::Result<Self> {
        let mut workers =
            Self { senders: Vec::new(), threads: Vec::new(), next: AtomicUsize::new(0) };
        for id in 0..count {
            let (sender, receiver) = mpsc::unbounded_channel();
            let broker = broker.clone();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .event_interval(31)
                .build()?;
            let thread = std::thread::Builder::new()
                .name(format!("nats-io-{id}"))
                .spawn(move || run(id, broker, zero, &runtime, receiver))?;
            workers.senders.push(sender);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Hands a socket to a thread.
    pub fn accept(&self, socket: TcpStream) {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(sender) = self.senders.get(next % self.senders.len().max(1)) {
            // A send fails only after shutdown: the socket is dropped, which closes it.
            let _ = sender.send(Job::Accepted(socket));
        }
    }

    /// Ends the threads; connections are dropped.
    pub fn stop(&mut self) {
        self.senders.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn run(
    id: usize,
    broker: Arc<Broker>,
    zero: Instant,
    runtime: &tokio::runtime::Runtime,
    mut jobs: mpsc::UnboundedReceiver<Job>,
) {
    let clock = Clock::new(zero);
    let now = clock.now();
    let seed = (now.wall.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (id as u64 + 1);
    let worker = Worker::new(id, broker, now, seed);
    let context = Rc::new(RefCell::new(Context { worker, clock, buf: BytesMut::new() }));
    let local = tokio::task::LocalSet::new();
    local.block_on(runtime, async move {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(Job::Accepted(socket)) => conn::spawn_tcp(socket, context.clone()),
                    None => break,
                },
                _ = sweep.tick() => context.borrow_mut().worker.sweep(),
            }
        }
    });
}
