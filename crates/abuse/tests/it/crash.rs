//! A short slice of what `ironats-abuse crash` does for hundreds of rounds.

use std::time::Duration;

use abuse::crash::{Options, run};

#[test]
fn kills_lose_nothing_that_was_acknowledged() {
    let report = run(&Options {
        binary: testkit::binary::ours(),
        rounds: 6,
        life: Duration::from_millis(500),
        seed: 11,
        progress: false,
    });
    assert!(report.acked > 100, "{report:?}");
    assert!(report.delivered > 100, "{report:?}");
}
