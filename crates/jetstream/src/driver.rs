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

/// How long a shard that had something to do looks for more before it sleeps.
const LINGER: Duration = Duration::from_micros(40);

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
    loop {
        let now = clock();
        if shard.queue.clone().take(&mut batch) {
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
            shard.worker.sweep();
        }
        if now.mono.since(busy) < LINGER {
            // More may be on its way: a thread that sleeps costs whoever wakes it, and the answer's time.
            shard.queue.awake();
            std::thread::yield_now();
            continue;
        }
        let wait = deadline.map_or(SWEEP_EVERY, |at| at.since(now.mono));
        // Woken by whoever pushes; a push between `take` and here leaves the thread its permit.
        std::thread::park_timeout(wait.min(SWEEP_EVERY));
        shard.queue.awake();
    }
}
