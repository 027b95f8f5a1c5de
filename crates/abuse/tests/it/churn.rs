//! A short slice of what `ironats-abuse churn` does for ten minutes.

use abuse::churn::{Options, run};
use std::time::Duration;

// Contract: CORE-040, CORE-042
#[test]
fn coming_and_going_leaves_nothing_behind() {
    let report = run(&Options {
        binary: testkit::binary::ours(),
        length: Duration::from_secs(5),
        rounds: 2,
        churners: 3,
        seed: 7,
        progress: false,
    });
    assert!(report.connects > 50, "{report:?}");
    assert!(report.published > 100, "{report:?}");
    assert!(report.received >= report.published, "{report:?}");
}
