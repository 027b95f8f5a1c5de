//! Making a failing plan smaller: fewer kinds of faults, calmer links, less time.
//!
//! Laws: whatever is tried, the plan that stays still breaks the same rule with the same seed, and
//!       takes no more steps. A smaller plan makes other choices with the same numbers, so this is a
//!       search among neighbours and not a proof that nothing smaller fails.

use raft::Bug;

use crate::check::Violation;
use crate::plan::{MS, Plan};
use crate::run::{plan_of, run_plan};

/// The smallest failing plan found.
#[derive(Clone, Debug)]
pub struct Smaller {
    /// The plan.
    pub plan: Plan,
    /// What it breaks.
    pub violation: Violation,
    /// How many steps that takes, and how many it took before.
    pub steps: u64,
    /// As the seed drew it.
    pub steps_before: u64,
    /// Everything that happens.
    pub trace: Vec<String>,
}

/// How many rounds of all changes are tried at most.
const ROUNDS: usize = 8;

/// The smallest plan found under which `seed` still fails; none if it holds.
pub fn minimise(seed: u64, bug: Option<Bug>) -> Option<Smaller> {
    let mut plan = plan_of(seed);
    let (result, steps_before, _) = run_plan(seed, plan.clone(), bug, false);
    let rule = result.err()?.rule;
    let mut steps = steps_before;
    for _ in 0..ROUNDS {
        let before = steps;
        for candidate in neighbours(&plan) {
            let (result, taken, _) = run_plan(seed, candidate.clone(), bug, false);
            if taken <= steps && result.is_err_and(|violation| violation.rule == rule) {
                (plan, steps) = (candidate, taken);
            }
        }
        if steps == before {
            break;
        }
    }
    let (result, steps, trace) = run_plan(seed, plan.clone(), bug, true);
    Some(Smaller { plan, violation: result.err()?, steps, steps_before, trace })
}

/// Plans with one thing less.
fn neighbours(plan: &Plan) -> Vec<Plan> {
    let mut found = Vec::new();
    let mut less = |change: &dyn Fn(&mut Plan)| {
        let mut smaller = plan.clone();
        change(&mut smaller);
        found.push(smaller);
    };
    for at in 0..plan.faults.len() {
        less(&|p| {
            p.faults.remove(at);
        });
    }
    less(&|p| p.loss = 0);
    less(&|p| p.duplicate = 0);
    less(&|p| p.straggle = 0);
    less(&|p| p.reorder = false);
    less(&|p| p.delay = (MS, MS));
    less(&|p| p.disk = (MS / 10, MS / 10));
    less(&|p| p.op_every *= 4);
    less(&|p| p.fault_every *= 2);
    less(&|p| p.limits = raft::Limits::default());
    less(&|p| p.spares = p.spares.saturating_sub(1));
    for eighths in [1, 2, 4, 6, 7] {
        less(&|p| p.fault_time = p.fault_time / 8 * eighths);
    }
    found
}
