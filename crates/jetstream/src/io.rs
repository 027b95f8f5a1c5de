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
    jobs: Mutex<(VecDeque<Job>, bool)>,
    more: Condvar,
}

/// Threads for blocking disk work.
pub(crate) struct IoPool {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl IoPool {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let inner = Arc::<Inner>::default();
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
        self.inner.jobs.lock().0.push_back(Box::new(job));
        self.inner.more.notify_one();
    }

    /// Runs what is queued and ends the threads.
    pub(crate) fn stop(&self) {
        self.inner.jobs.lock().1 = true;
        self.inner.more.notify_all();
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn work(&self) {
        loop {
            let job = {
                let mut jobs = self.jobs.lock();
                loop {
                    if let Some(job) = jobs.0.pop_front() {
                        break job;
                    }
                    if jobs.1 {
                        return;
                    }
                    self.more.wait(&mut jobs);
                }
            };
            job();
        }
    }
}
