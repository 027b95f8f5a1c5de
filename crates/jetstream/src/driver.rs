//! The thread of a shard: the only place that waits.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use broker::Worker;
use stdx::time::Now;

use crate::engine::Host;
use crate::queue::Batch;
use crate::shard::Shard;
use crate::shared::Shared;

/// Makes the clock of a thread.
pub type Clock = Arc<dyn Fn() -> Box<dyn Fn() -> Now> + Send + Sync>;

/// Forgetting stale matches, about this often.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How long a shard that had something to do looks for more before it sleeps: a thread that sleeps
/// costs whoever wakes it, and the answer's time. As long as a client takes to send the next message
/// after an answer on a machine that is idle otherwise, where each wake-up takes 30 us.
const LINGER: Duration = Duration::from_micros(100);
/// Pauses of the processor between two looks, about a microsecond.
const SPINS: usize = 24;

/// Starts the thread of shard `index`.
pub(crate) fn spawn(
    index: usize,
    shared: &Arc<Shared>,
    host: &Host,
) -> std::io::Result<JoinHandle<()>> {
    let (shared, make_clock) = (shared.clone(), host.clock.clone());
    let (id, entropy, broker) = (host.first_worker + index, host.entropy, host.broker.clone());
    std::thread::Builder::new().name(format!("js-shard-{index}")).spawn(move || {
        let clock = make_clock();
        let mut seed = [0; 8];
        entropy(&mut seed);
        let worker = Worker::new(id, broker, clock(), entropy);
        let mut shard = Shard::new(index, shared, worker, u64::from_le_bytes(seed));
        shard.queue.served_by(std::thread::current());
        run(&mut shard, &*clock);
        shard.close();
        shard.queue.close();
    })
}

fn run(shard: &mut Shard, clock: &dyn Fn() -> Now) {
    let mut batch = Batch::default();
    let mut swept = clock().mono;
    let mut busy = swept;
    let mut patience = Patience::default();
    loop {
        let now = clock();
        if shard.queue.clone().take(&mut batch) {
            patience.found(now.mono.since(busy));
            shard.handle(&mut batch, now);
            batch.clear();
            if shard.is_stopping() {
                return;
            }
            let _ = shard.tick(now);
            busy = clock().mono;
            continue;
        }
        let deadline = shard.tick(now);
        if deadline.is_some_and(|at| at <= now.mono) {
            shard.queue.awake();
            continue;
        }
        if now.mono.since(swept) > SWEEP_EVERY {
            swept = now.mono;
            shard.lent.worker.sweep();
        }
        if patience.looks(now.mono.since(busy)) {
            shard.queue.awake();
            // Not by yielding: on a busy machine that gives away a whole time slice.
            (0..SPINS).for_each(|_| std::hint::spin_loop());
            continue;
        }
        let wait = deadline.map_or(SWEEP_EVERY, |at| at.since(now.mono));
        // Woken by whoever pushes; a push between `take` and here leaves the thread its permit.
        std::thread::park_timeout(wait.min(SWEEP_EVERY));
        shard.queue.awake();
    }
}

/// Whether to look for more instead of sleeping: as long as that pays.
#[derive(Debug, Default)]
struct Patience {
    /// What is left of the trust that it does.
    trust: u8,
    /// Times it was not tried.
    passed: u8,
    state: Looking,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Looking {
    /// Something was found: not decided yet.
    #[default]
    Open,
    Yes,
    No,
}

const TRUST_MAX: u8 = 8;
/// Without trust it is tried once in so many times.
const TRY_EVERY: u8 = 16;

impl Patience {
    /// Nothing was found `idle` after the last work.
    fn looks(&mut self, idle: Duration) -> bool {
        if self.state == Looking::Open {
            self.passed = (self.passed + 1) % TRY_EVERY;
            let tries = self.trust > 0 || self.passed == 0;
            self.state = if tries { Looking::Yes } else { Looking::No };
        }
        if self.state == Looking::Yes && idle >= LINGER {
            self.trust = self.trust.saturating_sub(1);
            self.state = Looking::No;
        }
        self.state == Looking::Yes
    }

    /// Something was found, `idle` after the last work.
    fn found(&mut self, idle: Duration) {
        // Much later: the thread did not run, or slept.
        if self.state == Looking::Yes && idle < LINGER * 2 {
            self.trust = (self.trust + 2).min(TRUST_MAX);
        }
        self.state = Looking::Open;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_micros(10);

    #[test]
    fn looking_goes_on_while_it_pays() {
        let mut patience = Patience::default();
        let mut tries = 0;
        for _ in 0..100 {
            tries += usize::from(patience.looks(SOON));
            patience.found(SOON);
        }
        assert!(tries > 80, "{tries}");
        // Nothing comes in time any more: looking gives way to sleeping at once.
        let mut wasted = 0;
        for _ in 0..100 {
            if patience.looks(SOON) {
                wasted += 1;
                assert!(!patience.looks(LINGER), "it ends");
            }
            assert!(!patience.looks(LINGER));
            patience.found(LINGER * 10);
        }
        assert!((8..20).contains(&wasted), "{wasted}");
    }
}
