//! Values in effect when nothing, or zero, was set.

use std::time::Duration;

use super::options;
use crate::Options;

#[test]
fn an_empty_configuration_has_the_documented_defaults() {
    // Zero counts as unset for these.
    let zero = options(
        "port: 0, max_payload: 0, max_pending: 0, max_control_line: 0, ping_interval: \"0s\", \
         ping_max: 0, write_deadline: \"0s\", max_closed_clients: 0, lame_duck_grace_period: \"0s\"",
    );
    for options in [Options::default(), zero] {
        assert_eq!((options.client_host(), options.client_port()), ("0.0.0.0", 4222));
        assert_eq!(options.monitoring_host(), "0.0.0.0");
        assert_eq!(options.max_control_line(), 4096);
        assert_eq!(options.max_payload(), 1 << 20);
        assert_eq!(options.max_pending(), 64 << 20);
        assert_eq!(options.max_connections(), 65536);
        assert_eq!(options.max_subscriptions(), 0);
        assert_eq!(options.max_closed_clients(), 10_000);
        assert_eq!(options.ping_interval(), Duration::from_secs(120));
        assert_eq!(options.ping_max(), 2);
        assert_eq!(options.write_deadline(), Duration::from_secs(10));
        assert_eq!(options.lame_duck_duration(), Duration::from_secs(120));
        assert_eq!(options.lame_duck_grace_period(), Duration::from_secs(10));
        assert_eq!(options.auth_timeout(), Duration::from_secs(2));
        assert_eq!(options.tls_timeout(), Duration::from_secs(2));
        assert_eq!(options.cluster_pool_size(), 3);
        assert_eq!(options.http_base_path(), "/");
        assert_eq!(options.system_account(), Some("$SYS"));
        assert!(options.logtime());
    }
}

#[test]
fn values_that_were_set_win() {
    let options = options(
        "listen: \"h:-1\", max_connections: 0, http_base_path: \"a/../b/\", no_sys_acc: true, \
         tls { timeout: 5 }, feature_flags { js_ack_fc_v2: true, other: true }",
    );
    assert_eq!((options.client_host(), options.client_port()), ("h", 0));
    assert_eq!(options.monitoring_host(), "h");
    assert_eq!(options.max_connections(), -1);
    assert_eq!(options.http_base_path(), "/b");
    assert_eq!(options.system_account(), None);
    // One second more than the handshake may take.
    assert_eq!(options.auth_timeout(), Duration::from_secs(6));
}

// Contract: CLI-016
#[test]
fn unknown_feature_flags_are_told_apart() {
    let options = options("feature_flags { js_ack_fc_v2: true, other: true }");
    let flags = options.effective_feature_flags();
    assert_eq!((flags["js_ack_fc_v2"], flags["js_raft_delete_range"]), (true, false));
    let described = ("js_ack_fc_v2 (opt-in)".to_owned(), "other".to_owned());
    assert_eq!(options.described_feature_flags(), described);
}
