//! The simulator's own promises, and a slice of seeds.

use crate::minimise::minimise;
use crate::planted::BUGS;
use crate::run::{run_plan, run_seed, silence_panics};
use crate::scenario::STORIES;

#[test]
fn a_seed_always_takes_the_same_steps() {
    for seed in 0..30 {
        let (first, trace) = run_seed(seed, None, true);
        let (second, again) = run_seed(seed, None, true);
        let (untraced, _) = run_seed(seed, None, false);
        assert_eq!(first, second);
        assert_eq!(first, untraced);
        assert_eq!(trace, again);
    }
}

#[test]
fn a_slice_of_seeds_holds() {
    let seeds: u64 = std::env::var("SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    for seed in 0..seeds {
        let (result, _) = run_seed(seed, None, false);
        assert!(result.is_ok(), "seed {seed}: {result:?}; replay: sim replay {seed}");
    }
}

#[test]
fn seeds_that_once_failed_hold() {
    for line in include_str!("../testdata/regressions.txt").lines() {
        let Some(seed) = line.split_whitespace().next().and_then(|word| word.parse().ok()) else {
            continue;
        };
        let (result, _) = run_seed(seed, None, false);
        assert!(result.is_ok(), "seed {line}: {result:?}");
    }
}

#[test]
fn a_failing_plan_becomes_smaller_and_still_fails() {
    silence_panics();
    let bug = Some(raft::Bug::SkipLogCheck);
    let mut shrunk = 0;
    for seed in 1..20 {
        let Err(violation) = run_seed(seed, bug, false).0 else { continue };
        let smaller = minimise(seed, bug).unwrap();
        assert_eq!(smaller.violation.rule, violation.rule);
        assert!(smaller.steps <= smaller.steps_before);
        let again = run_plan(seed, smaller.plan, bug, false);
        assert_eq!((again.0, again.1), (Err(smaller.violation), smaller.steps));
        shrunk += u32::from(smaller.steps < smaller.steps_before);
        assert!(minimise(seed, None).is_none(), "only what fails can be made smaller");
    }
    assert!(shrunk >= 2, "{shrunk} became smaller");
}

#[test]
fn stories_end_well() {
    for (name, story) in STORIES {
        assert_eq!(story(None), Ok(()), "{name}");
    }
}

#[test]
fn common_bugs_are_found_within_a_few_seeds() {
    silence_panics();
    let quick = [
        "vote-before-durable",
        "ack-before-durable",
        "count-self-before-durable",
        "ack-unmatched",
        "skip-log-check",
        "small-quorum",
        "forget-vote",
        "never-catch-up",
    ];
    for name in quick {
        let &(_, bug, _) = BUGS.iter().find(|(known, ..)| *known == name).unwrap();
        let found = (0..60).any(|seed| run_seed(seed, Some(bug), false).0.is_err());
        assert!(found, "{name} goes unnoticed");
    }
}

#[test]
fn a_story_notices_the_mistake_it_warns_of() {
    silence_panics();
    let pairs = [
        ("one_power_failure_and_a_partition", "ignore-quarantine"),
        ("truncated_log_must_not_lead", "ignore-damage"),
        ("flipped_bit_in_a_minority_log", "never-recover"),
        ("flipped_bit_in_a_snapshot", "never-recover"),
        ("kill_all_and_restart", "forget-vote"),
        ("stale_members_and_a_wiped_one", "empty-vote-counts"),
        ("change_before_the_noop", "change-before-noop"),
    ];
    for (story, bug) in pairs {
        let (_, tell) = STORIES.iter().find(|(name, _)| *name == story).unwrap();
        let &(_, planted, _) = BUGS.iter().find(|(name, ..)| *name == bug).unwrap();
        let told = std::panic::catch_unwind(|| tell(Some(planted)));
        assert!(!matches!(told, Ok(Ok(()))), "{story} does not notice {bug}");
    }
}
