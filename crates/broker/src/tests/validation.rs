//! Definitions that are refused.

use super::harness::*;
use crate::account::definition::{Rename, ResponseType, Sampling};
use crate::account::{AccountDefinition, check};

fn errors(definitions: &[AccountDefinition]) -> Vec<String> {
    let errors = check(definitions).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

// Contract: ACC-007, ACC-008
#[test]
fn exports_say_who_may_import() {
    let private = || [stream("s").only(&["B"]), service("q").only(&["B"])];
    let offer = |exports: [_; 2]| exports.into_iter().fold(account("A"), AccountDefinition::export);
    let use_both = |name: &str, token: &str| {
        account(name)
            .import(use_stream("A", &format!("s{token}"), Rename::Keep))
            .import(use_service("A", &format!("q{token}"), ""))
    };
    let refused = |token: &str| {
        vec![
            format!("Error adding stream import \"s{token}\": stream import not authorized"),
            format!("Error adding service import \"q{token}\": service import not authorized"),
        ]
    };
    assert_eq!(errors(&[offer(private()), use_both("B", "")]), [""; 0]);
    assert_eq!(errors(&[offer(private()), account("B"), use_both("C", "")]), refused(""));
    assert_eq!(errors(&[account("A"), use_both("C", "")]), refused(""));

    let token = || [stream("s.*").token(2), service("q.*").token(2)];
    assert_eq!(errors(&[offer(token()), use_both("B", ".B")]), [""; 0]);
    assert_eq!(errors(&[offer(token()), use_both("B", ".C")]), refused(".C"));
    assert_eq!(errors(&[offer(token()), use_both("B", ".*")]), refused(".*"));
    for (export, kind) in [(stream("s.x").token(2), "stream"), (service("s.x").token(3), "service")]
    {
        let want = format!("Error adding {kind} export \"s.x\": sublist: invalid subject");
        assert_eq!(errors(&[account("A").export(export)]), [want]);
    }
}

// Contract: ACC-009
#[test]
fn cycles_are_refused() {
    let cycle = |kind: &str, subject: &str| {
        vec![format!("Error adding {kind} import \"{subject}\": import forms a cycle")]
    };
    let both = |name: &str| account(name).export(service("q")).export(stream("s"));
    // Two accounts, three accounts, and a chain that only looks like one.
    let two =
        [both("A").import(use_service("B", "q", "")), both("B").import(use_service("A", "q", ""))];
    assert_eq!(errors(&two), cycle("service", "q"));
    let three = [
        both("A").import(use_service("B", "q", "")),
        both("B").import(use_service("C", "q", "")),
        both("C").import(use_service("A", "q", "")),
    ];
    assert_eq!(errors(&three), cycle("service", "q"));
    let streams = [
        both("A").import(use_stream("B", "s", Rename::Keep)),
        both("B").import(use_stream("A", "s", Rename::Keep)),
    ];
    assert_eq!(errors(&streams), cycle("stream", "s"));
    let chain = [
        both("A"),
        both("B").import(use_service("A", "q", "q")).import(use_stream("A", "s", Rename::Keep)),
        both("C").import(use_service("B", "q", "q")).import(use_stream("B", "s", Rename::Keep)),
    ];
    assert_eq!(errors(&chain), [""; 0]);
}

// Contract: ACC-009
#[test]
fn the_search_for_cycles_is_bounded() {
    let mut all = vec![account("0").export(service("q"))];
    for n in 1..1100 {
        let import = use_service(&(n - 1).to_string(), "q", "");
        all.push(account(&n.to_string()).export(service("q")).import(import));
    }
    let got = errors(&all);
    let want = "Error adding service import \"q\": search cycle depth exhausted";
    assert!(!got.is_empty() && got.iter().all(|text| text == want), "{:?}", got.first());
}

// Contract: ACC-010
#[test]
fn duplicates_are_refused() {
    let a = || account("A").export(stream("s")).export(service("q")).export(service("r"));
    let twice = account("B").import(use_stream("A", "s", Rename::Keep)).import(use_stream(
        "A",
        "s",
        Rename::To("t".into()),
    ));
    let want = "Error adding stream import \"s\": stream import already exists";
    assert_eq!(errors(&[a(), twice]), [want]);
    let twice = account("B").import(use_service("A", "q", "x")).import(use_service("A", "r", "x"));
    let want = "Error adding service import \"r\": duplicate service import subject \"x\", \
                previously used in import for account \"A\", subject \"q\"";
    assert_eq!(errors(&[a(), twice]), [want]);
    let other = account("C").export(service("q"));
    let apart = account("B").import(use_service("A", "q", "x")).import(use_service("C", "q", "x"));
    assert_eq!(errors(&[a(), other, apart]), [""; 0]);
}

// Contract: ACC-005, ACC-006, ACC-015, SUBJ-009
#[test]
fn other_faults_are_named() {
    let a = || account("A").export(stream("s.*")).export(service("q.*"));
    let to = |to: &str| Rename::To(to.into());
    let cases = [
        (
            vec![account("B").import(use_stream("A", "s", Rename::Keep))],
            "\"A\" account not defined for stream import",
        ),
        (
            vec![account("B").import(use_service("A", "s", ""))],
            "\"A\" account not defined for service import",
        ),
        (
            vec![account("B").export(service("s").only(&["X"]))],
            "\"X\" account not defined for service export",
        ),
        (
            vec![a(), account("B").import(use_stream("A", "s.*", Rename::Prefix("p.*".into())))],
            "Error adding stream import \"s.*\": stream import prefix can not contain wildcard tokens",
        ),
        (
            vec![a(), account("B").import(use_stream("A", "s.*", to("t")))],
            "Error adding stream import \"s.*\": failed to create mapping transform for stream import \
             subject from \"s.*\" to \"t\": invalid mapping destination: not using all of the token \
             wildcard(s) in t",
        ),
        (
            vec![a(), account("B").import(use_service("A", "q..x", ""))],
            "Error adding service import \"q..x\": sublist: invalid subject",
        ),
        (
            vec![account("A").export(service("q").measured(Sampling::Percent(101), "l"))],
            "Error adding service latency sampling for \"q\" on subject \"l\": bad sampling \
             percentage, should be 1-100",
        ),
        (
            vec![account("A").export(service("q").measured(Sampling::Percent(1), "q"))],
            "Error adding service latency sampling for \"q\" on subject \"q\": invalid publish subject",
        ),
        (
            vec![account("A").export(
                service("q").responds(ResponseType::Streamed).measured(Sampling::Headers, "l"),
            )],
            "Error adding service latency sampling for \"q\" on subject \"l\": bad service response type",
        ),
        (
            vec![account("A").map("m", &[("a", 60), ("b", 60)])],
            "Error adding mapping for \"m\" : total weight needs to be <= 100",
        ),
    ];
    for (definitions, want) in cases {
        assert_eq!(errors(&definitions), [want]);
    }
    // All faults at once, not only the first.
    let many =
        account("A").import(use_service("X", "a", "")).import(use_stream("Y", "b", Rename::Keep));
    assert_eq!(errors(&[many]).len(), 2);
}
