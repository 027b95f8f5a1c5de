//! Whole documents, byte for byte. `UPDATE_EXPECT=1` rewrites the files in `testdata`.

use std::time::Duration;

use expect_test::{ExpectFile, expect_file};

use super::fake::{Fake, ago, conn, now, server, sub};
use crate::*;

fn get(source: &Fake, path: &str, query: &str) -> Response {
    respond(path, query, source, "", now())
}

fn check(source: &Fake, path: &str, query: &str, golden: &ExpectFile) {
    let response = get(source, path, query);
    assert_eq!((response.status, response.content_type), (200, "application/json"));
    assert_eq!(response.headers, [("Access-Control-Allow-Origin", "*".to_owned())]);
    golden.assert_eq(&String::from_utf8(response.body).unwrap());
}

macro_rules! golden {
    ($name:literal) => {
        expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/", $name)]
    };
}

// Contract: MON-003, MON-006, MON-007, CLI-017
#[test]
fn varz_has_every_field_in_order() {
    let source = server();
    for path in ["/connz", "/connz", "/healthz", "/subscriptionsz", "/raftz"] {
        get(&source, path, "");
    }
    check(&source, "/varz", "", &golden!("varz.json"));
}

// Contract: MON-006, MON-007
#[test]
fn varz_of_a_server_with_every_feature() {
    let mut varz = server().varz();
    varz.cluster = ClusterVarz {
        name: "C".into(),
        addr: "0.0.0.0".into(),
        cluster_port: 6222,
        auth_timeout: 2.0,
        urls: vec!["127.0.0.1:1".into()],
        pool_size: 3,
        write_deadline: Duration::from_secs(1),
        write_timeout: "retry".into(),
        ..ClusterVarz::default()
    };
    varz.gateway.gateways =
        vec![RemoteGatewayVarz { name: "C2".into(), tls_timeout: 0.5, urls: Vec::new() }];
    varz.leaf.remotes = vec![LeafRemoteVarz {
        local_account: "A".into(),
        deny: Some(LeafDeny { exports: vec!["x".into()], imports: Vec::new() }),
        ..LeafRemoteVarz::default()
    }];
    varz.mqtt.ack_wait = Duration::from_secs(30);
    varz.websocket.handshake_timeout = Duration::from_secs(2);
    varz.write_timeout = "close".into();
    varz.tags = vec!["eu".into()];
    varz.metadata.insert("k".into(), "v".into());
    varz.proxies = Some(ProxiesVarz { trusted: vec![ProxyKey { key: "SP".into() }] });
    varz.tls_cert_not_after = Some(ago(0));
    varz.tls_required = true;
    varz.tls_verify = true;
    varz.process.gomemlimit = 1 << 30;
    golden!("varz_full.json").assert_eq(&String::from_utf8(json::indented(&varz, b"  ")).unwrap());
}

// Contract: MON-003, MON-008, MON-013, MON-026
#[test]
fn connz_lists_open_connections_by_id() {
    check(&server(), "/connz", "", &golden!("connz.json"));
}

// Contract: MON-011, MON-012, MON-013
#[test]
fn connz_with_users_and_subscriptions_in_full() {
    check(&server(), "/connz", "auth=1&subs=detail", &golden!("connz_auth_detail.json"));
}

// Contract: MON-010, MON-012, MON-013
#[test]
fn connz_of_closed_connections() {
    let query = "state=closed&auth=1&subs=1";
    check(&server(), "/connz", query, &golden!("connz_closed.json"));
}

// Contract: MON-017
#[test]
fn subsz_with_and_without_the_list() {
    check(&server(), "/subsz", "", &golden!("subsz.json"));
    check(&server(), "/subscriptionsz", "subs=1&acc=A", &golden!("subsz_list.json"));
}

// Contract: MON-019
#[test]
fn accountz_lists_and_details() {
    check(&server(), "/accountz", "", &golden!("accountz.json"));
    check(&server(), "/accountz", "acc=A", &golden!("accountz_detail.json"));
}

// Contract: MON-020
#[test]
fn accstatz_leaves_idle_accounts_out_unless_asked() {
    check(&server(), "/accstatz", "", &golden!("accstatz.json"));
    let all = String::from_utf8(get(&server(), "/accstatz", "unused=1").body).unwrap();
    assert_eq!(all.matches("\"acc\":").count(), 4);
}

// The document of MON-014, whose row waits for the links it shows.
#[test]
fn routez_without_and_with_routes() {
    check(&server(), "/routez", "", &golden!("routez_off.json"));
    let route = RouteFacts {
        rid: 15,
        remote_id: "NREMOTE".into(),
        remote_name: "S2".into(),
        did_solicit: true,
        is_configured: true,
        ip: "127.0.0.1".into(),
        port: 6222,
        start: ago(33_000_000_000),
        last_activity: ago(2_000_000_000),
        rtt: Duration::from_micros(390),
        import: Some(SubjectPermission { allow: vec!["a.>".into()], deny: Vec::new() }),
        subs: vec![sub(15, "A", "foo", "q")],
        account: "SYS".into(),
        compression: "off".into(),
        ..RouteFacts::default()
    };
    let source = Fake { routes: vec![route], ..server() };
    check(&source, "/routez", "subs=detail", &golden!("routez.json"));
}

// The document of MON-015, whose row waits for the links it shows.
#[test]
fn gatewayz_without_and_with_gateways() {
    check(&server(), "/gatewayz", "gw_name=X", &golden!("gatewayz_off.json"));
    let remote = |name: &str| RemoteGateway {
        name: name.into(),
        is_configured: true,
        connection: ConnFacts { kind: ConnKind::Gateway, conn_type: None, ..conn(19, "", "") },
        accounts: vec![GatewayAccount {
            name: "A".into(),
            mode: InterestMode::InterestOnly,
            num_subs: 2,
            subs: vec![sub(19, "A", "x", "")],
            ..GatewayAccount::default()
        }],
    };
    let gateway = GatewayFacts {
        name: "C1".into(),
        host: "127.0.0.1".into(),
        port: 7222,
        outbound: vec![remote("C2")],
        inbound: vec![remote("C2"), remote("C2")],
    };
    let source = Fake { gateway: Some(gateway), ..server() };
    check(&source, "/gatewayz", "acc_name=A&subs=1", &golden!("gatewayz.json"));
    let absent = String::from_utf8(get(&source, "/gatewayz", "gw_name=C9").body).unwrap();
    assert!(
        absent.contains("\"outbound_gateways\": null,\n  \"inbound_gateways\": {}"),
        "{absent}"
    );
}

// The document of MON-016, whose row waits for the links it shows.
#[test]
fn leafz_without_and_with_leafnodes() {
    check(&server(), "/leafz", "", &golden!("leafz_off.json"));
    let leaf = |account: &str| LeafFacts {
        id: 22,
        name: "L4".into(),
        is_isolated: true,
        account: account.into(),
        ip: "127.0.0.1".into(),
        port: 50_404,
        rtt: Duration::from_micros(415),
        subjects: vec!["leafsub".into()],
        compression: "s2_uncompressed".into(),
        proxy_key: "SP".into(),
        ..LeafFacts::default()
    };
    let source = Fake { leafs: vec![leaf("A"), leaf("B")], ..server() };
    check(&source, "/leafz", "subs=1&acc=A", &golden!("leafz.json"));
}

// Contract: MON-025
#[test]
fn jsz_of_a_server_without_jetstream() {
    check(&server(), "/jsz", "", &golden!("jsz_off.json"));
    let refused = get(&server(), "/jsz", "leader-only=true");
    assert_eq!((refused.status, refused.body), (400, b"filtered response: not leader".to_vec()));
}

// Contract: MON-003, MON-022
#[test]
fn ipqueuesz_hides_idle_queues_unless_asked() {
    check(&server(), "/ipqueuesz", "", &golden!("ipqueuesz.json"));
    check(&server(), "/ipqueuesz", "all=1", &golden!("ipqueuesz_all.json"));
    assert_eq!(get(&server(), "/ipqueuesz", "all=1&queues=nope").body, b"{}");
}

// Contract: MON-023
#[test]
fn raftz_without_raft_is_not_found() {
    let response = get(&server(), "/raftz", "");
    assert_eq!((response.status, response.body), (404, b"No Raft nodes registered".to_vec()));
    assert_eq!(response.content_type, "text/plain; charset=utf-8");
}

// Contract: MON-018
#[test]
fn stacksz_is_free_text() {
    check(&server(), "/stacksz", "", &golden!("stacksz.txt"));
}

// Contract: MON-024, CLI-007
#[test]
fn expvar_is_json_in_the_shape_of_gos_runtime() {
    let response = get(&server(), "/debug/vars", "");
    assert_eq!(response.content_type, "application/json; charset=utf-8");
    assert!(response.body.starts_with(
        b"{\n\"cmdline\": [\"nats-server\",\"--pass=[REDACTED]\"],\n\"memstats\": {\"Alloc\":1000,"
    ));
    let parsed: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let stats = parsed["memstats"].as_object().unwrap();
    assert_eq!(stats.len(), 32);
    assert_eq!(stats["PauseNs"].as_array().unwrap().len(), 256);
    assert_eq!(stats["BySize"][60]["Mallocs"], 0);
}

// Contract: MON-002, MON-005
#[test]
fn the_index_links_below_its_base_path() {
    let page = |base: &str, path: &str| respond(path, "", &server(), base, now());
    let plain = page("", "/");
    assert_eq!((plain.status, plain.content_type), (200, "text/html; charset=utf-8"));
    let html = String::from_utf8(plain.body).unwrap();
    assert!(html.contains("v2.14.5") && html.contains("href=\"./varz\""), "{html}");
    let based = String::from_utf8(page("mon/", "/mon").body).unwrap();
    assert!(based.contains("href=\"./mon/debug/vars\""), "{based}");
}

#[test]
fn metrics_come_as_their_reader_can_take_them() {
    let source = server();
    let asked = |accept| {
        let asked = Asked { path: "/metrics", query: "", accept };
        let response = respond_to(asked, &source, "", now());
        (response.content_type, String::from_utf8(response.body).unwrap())
    };
    // A scraper of today, one of 2017, a browser, and one that says nothing.
    let today = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
    for (accept, open) in [
        (today, true),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", false),
        ("Text/Plain", false),
        ("*/*", true),
        ("", true),
    ] {
        let (kind, text) = asked(accept);
        assert_eq!(kind.starts_with("application/openmetrics-text"), open, "{accept}");
        assert_eq!(text.ends_with("# EOF\n"), open, "{accept}");
        assert_eq!(text.contains("# UNIT"), open, "{accept}");
        assert_eq!(text.contains("# TYPE nats_server_messages_total counter"), !open, "{accept}");
        assert!(text.contains("\nnats_server_messages_total{direction=\"in\"} "), "{accept}");
    }
    assert!(asked("text/plain").1.contains("# TYPE nats_server_info gauge\n"));
    let other = Asked { path: "/varz", query: "", accept: "text/plain" };
    assert_eq!(respond_to(other, &source, "", now()).content_type, "application/json");
}

#[test]
fn metrics_are_openmetrics_text() {
    let source = server();
    get(&source, "/varz", "");
    let response = get(&source, "/metrics", "");
    assert_eq!(response.status, 200);
    assert!(response.content_type.starts_with("application/openmetrics-text; version=1.0.0"));
    let text = String::from_utf8(response.body).unwrap();
    // Every sample belongs to a family that was declared, and no family is declared twice.
    let mut family = "";
    let mut seen = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            family = declared.split(' ').next().unwrap();
            assert!(seen.insert(family), "{family} twice");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let rest = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} in {family}"));
            assert!(["", "_total", "_info"].contains(&rest), "{line}");
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    golden!("metrics.txt").assert_eq(&text);
    let below = respond("/base/metrics", "", &source, "/base", now());
    assert_eq!(below.status, 200);
    // Requests for metrics are no part of `/varz`, whose keys are the reference's.
    let varz = String::from_utf8(get(&source, "/varz", "").body).unwrap();
    assert!(!varz.contains("metrics"));
    assert_eq!(
        respond("/metrics", "", &Fake { metrics: false, ..server() }, "", now()).status,
        404
    );
}
