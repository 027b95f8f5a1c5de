//! A short slice of what `differ` does for as long as one likes: seeded JetStream conversations
//! with ours and with `NATS_PEER`, equal but for times and ids.

use conformance::differ::{Flavour, Options, run};

fn compare(seed: u64, flavour: Flavour) {
    // Older peers do not know half of the fields.
    let what = format!("the JetStream conversation of seed {seed} is not compared");
    let Some(peer) = testkit::binary::peer_of_version("2.14", &what) else { return };
    let ours = testkit::binary::ours();
    let report =
        run(&Options { peer, ours, seed, steps: 400, most: 3, shown: 25, flavour, traced: false });
    assert!(report.answers >= 400, "{report:?}");
    assert!(report.differences.is_empty(), "{}", report.differences.join("\n"));
}

#[test]
fn streams_answer_as_the_reference_does() {
    compare(2, Flavour::Streams);
}

#[test]
fn consumers_answer_as_the_reference_does() {
    compare(3, Flavour::Consumers);
}

#[test]
fn everything_together_answers_as_the_reference_does() {
    compare(4, Flavour::All);
}
