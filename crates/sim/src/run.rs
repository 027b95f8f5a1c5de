//! Running one seed, with panics of the core turned into violations.

use std::panic::{AssertUnwindSafe, catch_unwind};

use raft::Bug;

use crate::check::Violation;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::world::World;

/// What a run that held up did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Events handled.
    pub steps: u64,
    /// Elections won.
    pub elections: u64,
    /// Client operations completed.
    pub completions: u64,
    /// Highest index committed.
    pub commits: u64,
    /// Hash of everything that happened.
    pub digest: u64,
    /// Virtual nanoseconds.
    pub virtual_time: u64,
}

/// The plan of a seed.
pub fn plan_of(seed: u64) -> Plan {
    Plan::draw(&mut Rng::new(seed.rotate_left(17) ^ 0xa5a5))
}

/// A seed's run: what it did, or what it broke, and the trace if it was asked for.
pub fn run_seed(
    seed: u64,
    bug: Option<Bug>,
    trace: bool,
) -> (Result<Outcome, Violation>, Vec<String>) {
    let (result, _, lines) = run_plan(seed, plan_of(seed), bug, trace);
    (result, lines)
}

/// Another plan with a seed's choices: the result, how many steps it took, the trace.
pub fn run_plan(
    seed: u64,
    plan: Plan,
    bug: Option<Bug>,
    trace: bool,
) -> (Result<Outcome, Violation>, u64, Vec<String>) {
    let mut world = World::new(seed, plan, bug, trace);
    world.note(|| "plan".into());
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let result = match result {
        Ok(Ok(())) => Ok(Outcome {
            steps: world.steps,
            elections: world.check.elections,
            completions: world.check.completions,
            commits: world.check.commit().0,
            digest: world.digest,
            virtual_time: world.now,
        }),
        Ok(Err(violation)) => Err(violation),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_default();
            Err(Violation { rule: "assertion", detail: text })
        }
    };
    let mut lines = world.trace().to_vec();
    if trace {
        lines.push(format!("plan {:?}", world.plan));
        lines.extend(world.summary());
    }
    (result, world.steps, lines)
}

/// Keeps the default panic message off the terminal: violations are reported once, with the seed.
pub fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
