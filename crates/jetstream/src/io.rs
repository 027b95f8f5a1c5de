//! Threads that wait for the disk, so that shards need not.
//!
//! Laws: a job runs once; its outcome goes back through the queue of the shard that gave it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Inner {
    jobs: Mutex<Jobs>,
    more: Condvar,
}

#[derive(Default)]
struct Jobs {
    /// Writes, syncs, and what else others wait for.
    jobs: VecDeque<Job>,
    reads: VecDeque<Job>,
    /// Reads that run now, and how many may.
    reading: usize,
    most_reading: usize,
    stops: bool,
}

impl Jobs {
    /// The next one to run, and whether it is a read.
    fn next(&mut self) -> Option<(Job, bool)> {
        if let Some(job) = self.jobs.pop_front() {
            return Some((job, false));
        }
        if self.reading >= self.most_reading {
            return None;
        }
        let job = self.reads.pop_front()?;
        self.reading += 1;
        Some((job, true))
    }
}

/// Threads for blocking disk work.
pub(crate) struct IoPool {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Threads that reads leave to what publishers wait for.
const NOT_FOR_READS: usize = 2;

impl IoPool {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let inner = Arc::<Inner>::default();
        inner.jobs.lock().most_reading = threads.saturating_sub(NOT_FOR_READS).max(1);
        let mut handles = Vec::new();
        for at in 0..threads.max(1) {
            let inner = inner.clone();
            let builder = std::thread::Builder::new().name(format!("js-io-{at}"));
            handles.push(builder.spawn(move || inner.work())?);
        }
        Ok(Self { inner, threads: Mutex::new(handles) })
    }

    /// Queues a job.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.inner.jobs.lock().jobs.push_back(Box::new(job));
        self.inner.more.notify_one();
    }

    /// Queues a read. However many there are, and however long they take, other jobs find a thread.
    pub(crate) fn read(&self, job: impl FnOnce() + Send + 'static) {
        self.inner.jobs.lock().reads.push_back(Box::new(job));
        self.inner.more.notify_one();
    }

    /// Runs what is queued and ends the threads; nobody waits for reads any more.
    pub(crate) fn stop(&self) {
        let mut jobs = self.inner.jobs.lock();
        jobs.stops = true;
        let unread = std::mem::take(&mut jobs.reads);
        drop(jobs);
        drop(unread);
        self.inner.more.notify_all();
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn work(&self) {
        let mut has_read = false;
        loop {
            let (job, is_read) = {
                let mut jobs = self.jobs.lock();
                if has_read {
                    jobs.reading -= 1;
                }
                loop {
                    if let Some(next) = jobs.next() {
                        break next;
                    }
                    if jobs.stops {
                        return;
                    }
                    self.more.wait(&mut jobs);
                }
            };
            has_read = is_read;
            job();
        }
    }
}
