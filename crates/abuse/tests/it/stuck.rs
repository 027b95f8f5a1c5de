//! A short slice of what `ironats-abuse stuck` does for minutes.

use abuse::stuck::{Options, run};
use std::time::Duration;

#[test]
fn every_consumer_comes_to_its_end() {
    let report =
        run(&Options { binary: testkit::binary::ours(), length: Duration::from_secs(3), seed: 11 });
    assert!(report.consumers > 100 && report.published > 100, "{report:?}");
    assert!(report.delivered > report.published, "{report:?}");
    assert!(report.stuck.is_empty(), "{}", report.stuck.join("\n"));
}
