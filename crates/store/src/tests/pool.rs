//! Threads that run a store's jobs late and in any order, without threads.

use super::model::Rng;
use crate::disk::sim::SimDisk;
use crate::{Error, FileStore, Job, JobResult};

pub(super) struct Pool {
    rng: Rng,
    waiting: Vec<Job>,
    done: Vec<JobResult>,
}

impl Pool {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0xd134_2543_de82_ef95) | 1);
        rng.below(2);
        Self { rng, waiting: Vec::new(), done: Vec::new() }
    }

    /// Some of what could happen between two operations happens. What the disk refuses is said to
    /// the store and does not end anything here.
    pub(super) fn tend(&mut self, store: &mut FileStore<SimDisk>) {
        if self.rng.below(3) == 0 {
            self.waiting.extend(store.take_jobs().unwrap_or_default());
        }
        for _ in 0..self.rng.below(3) {
            if !self.waiting.is_empty() {
                let at = self.rng.below(self.waiting.len() as u64) as usize;
                self.done.push(self.waiting.swap_remove(at).run());
            }
        }
        for _ in 0..self.rng.below(3) {
            if !self.done.is_empty() {
                let at = self.rng.below(self.done.len() as u64) as usize;
                let _ = store.complete(self.done.swap_remove(at));
            }
        }
    }

    /// Now and then the store has nothing to do for a while.
    pub(super) fn is_lazy(&mut self) -> bool {
        self.rng.below(8) == 0
    }

    /// Everything under way completes.
    pub(super) fn finish(&mut self, store: &mut FileStore<SimDisk>) -> Result<(), Error> {
        while let Some(job) = self.waiting.pop() {
            self.done.push(job.run());
        }
        let mut outcome = Ok(());
        while let Some(done) = self.done.pop() {
            outcome = outcome.and(store.complete(done));
        }
        assert!(!store.is_under_way());
        outcome
    }

    /// The process ends: what did not run never will.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.done.clear();
    }
}
