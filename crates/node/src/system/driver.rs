//! The thread of the system account: takes what waits, does it, writes out what came of it.

use super::context::{Context, State};
use super::events::Housekeeping;
use super::queue::Item;
use crate::Node;
use broker::Worker;
use broker::worker::Entropy;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stdx::time::{Mono, Now};

/// Makes the clock of a thread.
pub type Clock = Arc<dyn Fn() -> Box<dyn Fn() -> Now> + Send + Sync>;

/// The longest sleep; stale matches are forgotten about this often.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Items between two flushes.
const AT_ONCE: usize = 64;

/// Starts the thread.
pub(super) fn spawn(
    node: &Arc<Node>,
    clock: &Clock,
    entropy: Entropy,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let (node, make_clock) = (node.clone(), clock.clone());
    std::thread::Builder::new().name("nats-system".to_owned()).spawn(move || {
        let clock = make_clock();
        let worker = Worker::new(node.system_worker, node.broker.clone(), clock(), entropy);
        let state = State { worker, entropy, seq: 1, timers: Vec::new() };
        node.system().queue.served_by(std::thread::current());
        run(&node, state, &*clock);
        node.system().queue.close();
    })
}

fn run(node: &Arc<Node>, mut state: State, clock: &dyn Fn() -> Now) {
    let mut housekeeping = Housekeeping::new(clock());
    let mut swept = clock().mono;
    loop {
        let (busy, going_on) = take_some(node, &mut state, &mut housekeeping, clock);
        state.worker.now = clock();
        let mut context = Context { node, state: &mut state };
        let mut deadline = housekeeping.tick(&mut context);
        deadline = deadline.min(due_tasks(node, &mut state));
        state.worker.flush_touched();
        if !going_on {
            return;
        }
        if busy {
            continue;
        }
        report_lost(node);
        let now = clock().mono;
        if now.since(swept) > SWEEP_EVERY {
            swept = now;
            state.worker.sweep();
        }
        if let Some(at) = state.worker.next_deadline() {
            deadline = deadline.min(at);
        }
        // Whoever pushed after the queue was found empty has left the thread its permit.
        std::thread::park_timeout(deadline.since(now).min(SWEEP_EVERY));
    }
}

/// Does what waits, up to a flush's worth: whether there was something, and whether to go on.
fn take_some(
    node: &Arc<Node>,
    state: &mut State,
    housekeeping: &mut Housekeeping,
    clock: &dyn Fn() -> Now,
) -> (bool, bool) {
    for done in 0..AT_ONCE {
        let Some(item) = node.system().queue.take() else { return (done > 0, true) };
        state.worker.now = clock();
        node.system().busy.store(1, Ordering::Relaxed);
        let mut context = Context { node, state };
        match item {
            Item::Request(handler, request) => handler(&mut context, &request),
            Item::Event(event) => housekeeping.event(event, &mut context),
            Item::Task(task) => task(&mut context),
            Item::Stop => {
                housekeeping.shutdown(&mut context);
                return (true, false);
            }
        }
        node.system().busy.store(0, Ordering::Relaxed);
    }
    (true, true)
}

/// Does what is due; when the next is.
fn due_tasks(node: &Arc<Node>, state: &mut State) -> Mono {
    let now = state.worker.now.mono;
    let (due, later) =
        std::mem::take(&mut state.timers).into_iter().partition(|(at, _)| *at <= now);
    state.timers = later;
    let mut due: Vec<_> = due;
    due.sort_by_key(|(at, _)| *at);
    for (_, task) in due {
        task(&mut Context { node, state });
    }
    state.timers.iter().map(|(at, _)| *at).min().unwrap_or(Mono(u64::MAX))
}

fn report_lost(node: &Node) {
    let lost = node.system().queue.take_lost();
    if lost > 0 {
        stdx::warning!(
            node.log(),
            "System account: {lost} requests or events found no room in the queue and were dropped"
        );
    }
}
