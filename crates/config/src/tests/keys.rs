//! Every key of the contract is known to its section.

use super::messages;

fn check(section: &str, keys: &str) {
    let (open, close) = match section {
        "" => (String::new(), ""),
        path => {
            let open: String = path.split('.').map(|part| format!("{part} {{ ")).collect();
            (open, if path.contains('.') { "}}" } else { "}" })
        }
    };
    for key in keys.split_whitespace() {
        // Upper case, because keys are compared in lower case (CONF-002).
        let text = format!("{open}\n {}: []\n{close}", key.to_uppercase());
        let found = messages(&text).to_lowercase();
        assert!(!found.contains("unknown field"), "{text}\n{found}");
    }
    let found = messages(&format!("{open}\n zz_no_such_key: []\n{close}"));
    assert!(found.to_lowercase().contains("unknown field"), "{section}: {found}");
}

// Contract: CONF-002, CONF-100
#[test]
fn every_top_level_key_is_known() {
    check(
        "",
        "listen port host net client_advertise server_name server_tags server_metadata \
         feature_flags debug trace trace_verbose trace_headers logtime logtime_utc logfile log_file \
         logfile_size_limit log_size_limit logfile_max_num log_max_num log_format syslog remote_syslog pidfile \
         pid_file ports_file_dir prof_port prof_block_rate http https http_port monitor_port \
         https_port http_base_path http_metrics max_control_line max_payload max_pending max_connections \
         max_conn max_subscriptions max_subs max_sub_tokens max_subscription_tokens \
         max_traced_msg_len max_closed_clients ping_interval ping_max write_deadline write_timeout \
         no_fast_producer_stall lame_duck_duration lame_duck_grace_period proxy_protocol tls \
         allow_non_tls ocsp ocsp_cache authorization accounts mappings maps no_auth_user \
         default_sentinel system_account system no_system_account no_system no_sys_acc \
         no_header_support disable_sublist_cache no_sublist_cache operator operators roots root \
         root_operators root_operator resolver account_resolver accounts_resolver resolver_tls \
         resolver_preload resolver_pinned_accounts trusted trusted_keys proxies \
         connect_error_reports reconnect_error_reports cluster gateway leaf leafnodes websocket ws \
         mqtt jetstream store_dir storedir default_js_domain",
    );
}

// Contract: CONF-101
#[test]
fn every_cluster_key_is_known() {
    check(
        "cluster",
        "name listen port host net authorization routes tls cluster_advertise advertise \
         no_advertise connect_retries connect_backoff permissions pool_size accounts compression \
         ping_interval ping_max write_deadline write_timeout",
    );
}

// Contract: CONF-103
#[test]
fn every_gateway_key_is_known() {
    check(
        "gateway",
        "name listen port host net authorization tls advertise connect_retries connect_backoff \
         gateways reject_unknown reject_unknown_cluster write_deadline write_timeout",
    );
}

// Contract: CONF-104
#[test]
fn every_leafnode_key_is_known() {
    check(
        "leafnodes",
        "listen port host net authorization remotes reconnect reconnect_delay reconnect_interval \
         dial_timeout tls leafnode_advertise advertise no_advertise min_version minimum_version \
         compression isolate_leafnode_interest isolate write_deadline write_timeout",
    );
    check(
        "leafnodes.authorization",
        "user username pass password nkey timeout users account proxy_required",
    );
}

// Contract: CONF-105
#[test]
fn every_leaf_remote_key_is_known() {
    let keys = "no_randomize dont_randomize url urls account local creds credentials nkey seed tls \
                hub deny_imports deny_import deny_exports deny_export ws_compress ws_compression \
                websocket_compress websocket_compression ws_no_masking websocket_no_masking \
                jetstream_cluster_migrate js_cluster_migrate isolate_leafnode_interest isolate \
                request_isolation compression first_info_timeout dial_timeout disabled proxy \
                ignore_discovered_servers";
    for key in keys.split_whitespace() {
        let found = messages(&format!("leafnodes {{ remotes: [ {{ {key}: [] }} ] }}"));
        assert!(!found.contains("unknown field"), "{key}: {found}");
    }
    let found = messages("leafnodes { remotes: [ { zz: [] } ] }");
    assert_eq!(found, "t.conf:1:25: unknown field \"zz\"\n");
}

// Contract: CONF-106
#[test]
fn every_websocket_key_is_known() {
    check(
        "websocket",
        "listen port host net advertise no_tls tls same_origin allowed_origins allowed_origin \
         allow_origins allow_origin origins origin handshake_timeout compress compression \
         authorization authentication jwt_cookie user_cookie pass_cookie token_cookie no_auth_user \
         headers ping_interval",
    );
}

// Contract: CONF-107
#[test]
fn every_mqtt_key_is_known() {
    check(
        "mqtt",
        "listen port host net tls authorization authentication no_auth_user ack_wait ackwait \
         js_api_timeout api_timeout max_ack_pending max_pending max_inflight js_domain \
         stream_replicas consumer_replicas consumer_memory_storage consumer_inactive_threshold \
         consumer_auto_cleanup reject_qos2_publish downgrade_qos2_subscribe",
    );
}

// Contract: CONF-108
#[test]
fn every_authorization_key_is_known() {
    check(
        "authorization",
        "user username pass password token timeout users default_permission default_permissions \
         permissions auth_callout auth_hook proxy_required",
    );
}

// Contract: CONF-109
#[test]
fn every_permission_key_is_known() {
    check(
        "authorization.permissions",
        "pub publish import sub subscribe export publish_allow_responses allow_responses",
    );
}

// Contract: CONF-110
#[test]
fn every_jetstream_key_is_known() {
    check(
        "jetstream",
        "enabled enable strict store store_dir storedir sync sync_interval \
         max_memory_store max_mem_store max_mem max_file_store max_file domain key ek \
         encryption_key prev_key prev_ek prev_encryption_key cipher extension_hint limits tpm \
         unique_tag max_outstanding_catchup max_buffered_size max_buffered_msgs \
         request_queue_limit info_queue_limit meta_compact meta_compact_size meta_compact_sync \
         max_concurrent_io",
    );
}
