//! Every option has a rule, and every rule says what it should.

use super::{Plan, Running, diff, rules};
use crate::options::TOP_LEVEL_KEYS;
use crate::tests::options;
use std::collections::BTreeSet;

const PAIRS: &str = include_str!("../../testdata/reload/pairs.txt");

/// As a running server would be asked.
fn plan(before: &str, after: &str) -> Result<Plan, String> {
    let (old, new) = (options(before), options(after));
    let running = Running {
        client_port: old.client_port(),
        jetstream: old.jetstream.enabled,
        tls_files_changed: false,
    };
    diff(&old, &new, running).map_err(|error| error.to_string())
}

fn pairs() -> impl Iterator<Item = [&'static str; 4]> {
    PAIRS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let parts: Vec<_> = line.split('|').map(str::trim).collect();
        parts.try_into().unwrap_or_else(|_| panic!("four parts: {line}"))
    })
}

// Contract: RELOAD-002, RELOAD-003, RELOAD-008
#[test]
fn pairs_are_followed_or_refused() {
    for [_, before, after, outcome] in pairs() {
        let found = plan(before, after);
        match outcome.strip_prefix("refused: ") {
            Some(why) => assert_eq!(found, Err(why.to_owned()), "{before} -> {after}"),
            None => {
                let found = found.unwrap();
                let lines: Vec<_> = found.lines().collect();
                assert!(lines.contains(&outcome), "{before} -> {after}: {lines:?}");
                assert!(found.changes.iter().any(|change| change.real), "{before} -> {after}");
            }
        }
    }
}

// Contract: RELOAD-002, RELOAD-003
#[test]
fn every_key_has_a_rule() {
    let ruled: BTreeSet<&str> =
        rules().flat_map(|rule| rule.keys).filter_map(|key| key.split('.').next()).collect();
    let keys: BTreeSet<&str> = TOP_LEVEL_KEYS.iter().copied().flatten().copied().collect();
    assert_eq!(keys.difference(&ruled).collect::<Vec<_>>(), Vec::<&&str>::new(), "without rule");
    assert_eq!(ruled.difference(&keys).collect::<Vec<_>>(), Vec::<&&str>::new(), "no such key");
    for [key, ..] in pairs() {
        assert!(keys.contains(key), "{key}");
    }
}

/// The same text changes nothing, whatever it says.
#[test]
fn nothing_changes_without_a_difference() {
    for [_, before, after, _] in pairs() {
        for text in [before, after] {
            let plan = plan(text, text).unwrap();
            assert!(plan.changes.iter().all(|change| !change.real), "{text}: {plan:?}");
        }
    }
}

#[test]
fn a_refusal_prints_no_secret() {
    let with = |key: &str| format!("jetstream {{ store_dir: a, key: {key} }}");
    let why = plan(&with("s3cret"), &with("an0ther")).unwrap_err();
    assert!(why.contains("JetStreamKey"), "{why}");
    assert!(!why.contains("s3cret") && !why.contains("an0ther"), "{why}");
}
