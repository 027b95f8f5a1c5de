//! Operator mode, account by account, with ours and with `NATS_PEER`: seeded lives of an operator's
//! house, equal but for times and ids. `OPERATOR_SEEDS` says how many, `OPERATOR_FIRST` from where.

use conformance::operator::{Options, run, scene};
use testkit::binary::peer_of_version;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn an_operators_house_lives_as_with_the_reference() {
    let Some(peer) = peer_of_version("2.14", "operator mode is not compared") else { return };
    let ours = testkit::binary::ours();
    let first = number("OPERATOR_FIRST", 1000);
    let seeds = number("OPERATOR_SEEDS", 5);
    let (mut entered, mut refused) = (0, 0);
    let mut differences = Vec::new();
    for seed in first..first + seeds {
        let (peer, ours) = (peer.clone(), ours.clone());
        let report = run(&Options { peer, ours, seed, steps: 80 });
        entered += report.entered;
        refused += report.refused;
        differences.extend(report.difference);
    }
    println!("{seeds} seeds: {entered} came in, {refused} were turned away");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(entered > 0 && refused > 0, "{entered} {refused}");
}

// Contract: RELOAD-009
#[test]
fn a_reload_looks_at_the_files_of_tokens_again() {
    let ours = scene::rescanned(&testkit::binary::ours());
    for told in [
        "-ERR 'User Authentication Revoked'",
        "-ERR 'Authorization Violation'",
        "event $SYS.ACCOUNT.<C>.CONNECT",
        "answer {\"data\":[\"<B>\",\"<SYS>\",\"<C>\",\"<A>\"]}",
    ] {
        assert!(ours.contains(told), "{told}: {ours}");
    }
    if let Some(peer) = peer_of_version("2.14", "rescanned directories") {
        // There only who comes afterwards notices (docs/differences.md).
        let theirs = scene::rescanned(&peer);
        assert!(theirs.contains("event $SYS.ACCOUNT.<C>.CONNECT"), "{theirs}");
    }
}

// Contract: SYS-024
#[test]
fn two_directories_become_alike() {
    let ours = testkit::binary::ours();
    let own = scene::exchanged(&ours, &ours);
    let Some(peer) = peer_of_version("2.14", "directories exchanged") else { return };
    for (first, second) in [(&ours, &peer), (&peer, &ours)] {
        // The hashes are those of the tokens, which are the same but for their times.
        let mixed = scene::exchanged(first, second);
        assert_eq!(mixed.map(|hash| hash.len()), own.clone().map(|hash| hash.len()));
    }
}
