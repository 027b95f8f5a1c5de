//! Rules across sections, and features that are not built.

use super::options;
use crate::{unbuilt, validate};

/// Options that are sound in each section, but not together.
const REFUSED: &[(&str, &str)] = &[
    ("max_pending: 10", "max_payload (1048576) cannot be higher than max_pending (10)"),
    (
        "lame_duck_duration: \"30s\", lame_duck_grace_period: \"31s\"",
        "lame duck grace period (31s) should be strictly lower than lame duck duration (30s)",
    ),
    ("default_sentinel: x", "default sentinel requires operators and accounts"),
    ("no_auth_user: u", "no_auth_user: \"u\" present, but users/nkeys are not defined"),
    (
        "no_auth_user: u, authorization { users [ {user: a} ] }",
        "no_auth_user: \"u\" not present as user or nkey in authorization block or account \
             configuration",
    ),
    ("system_account: X", "error resolving system account: account missing"),
    ("gateway { port: -1 }", "gateway has no name"),
    ("gateway { name: A }", "gateway \"A\" has no port specified (select -1 for random port)"),
    ("gateway { name: A, port: -1, gateways: [ {name: B} ] }", "gateway \"B\" has no URL"),
    (
        "gateway { name: A, port: -1 }, cluster { name: B }",
        "cluster name conflicts between cluster and gateway definitions",
    ),
    (
        "gateway { name: A, port: -1 }, leafnodes { port: -1 }",
        "leaf nodes and gateways (both being defined) require a system account to also be \
             configured",
    ),
    ("cluster { port: -1, compression: foo }", "unsupported compression mode \"foo\""),
    (
        "cluster { compression: { mode: auto, rtts: [\"10ms\", \"5ms\"] } }",
        "RTT threshold values [10ms 5ms] should be in ascending order",
    ),
    (
        "cluster { compression: { mode: auto, rtts: [\"0s\"] } }",
        "compression mode \"auto\" requires at least one RTT threshold",
    ),
    (
        "cluster { port: -1, accounts: [A, A] }",
        "found duplicate account name \"A\" in pinned accounts list [\"A\" \"A\" \"$SYS\"]",
    ),
    (
        "cluster { port: -1, pool_size: -1, accounts: [A] }",
        "pool_size cannot be negative if pinned accounts are specified",
    ),
    ("mqtt { port: -1 }", "mqtt requires JetStream to be enabled if running in standalone mode"),
    ("mqtt { port: -1 }, cluster { port: -1 }", "mqtt requires server name to be explicitly set"),
    ("websocket { port: -1 }", "websocket requires TLS configuration"),
    (
        "websocket { port: -1, no_tls: true, allowed_origins: [ \"ws://a\" ] }",
        "unable to parse allowed origin \"ws://a\": allowed origins must be absolute URLs with \
             http or https scheme",
    ),
    (
        "websocket { port: -1, no_tls: true, headers { Host: a } }",
        "websocket: invalid header \"Host\" not allowed",
    ),
    (
        "leafnodes { port: -1, authorization { account: X } }",
        "cannot find local account \"X\" specified in leafnode authorization",
    ),
    (
        "leafnodes { remotes: [ { urls: [\"ws://a:1\", \"nats://u:p@b:2\"] } ] }",
        "remote leaf node configuration cannot have a mix of websocket and non-websocket urls: \
             [\"ws://a:1\" \"nats://u:xxxxx@b:2\"]",
    ),
    ("jetstream { domain: a.b }", "invalid domain name: may not contain ., * or >"),
    ("jetstream: true, cluster { port: -1 }", "jetstream cluster requires `server_name` to be set"),
    (
        "default_js_domain { A: x }",
        "in non operator mode, `default_js_domain` references non existing account \"A\"",
    ),
];

// Contract: CONF-016
#[test]
fn what_fails_only_at_start_fails_with_the_reference_text() {
    for (text, expected) in REFUSED {
        let found = validate(&options(text)).expect_err(text).to_string();
        assert_eq!(found, *expected, "{text}");
    }
}

#[test]
fn sound_options_pass() {
    let cases = [
        "port: -1",
        "system_account: X, accounts { X {} }",
        "no_auth_user: a, authorization { users [ {user: a} ] }",
        "cluster { port: -1, name: c, compression: { mode: auto, rtts: [\"1s\", \"0s\", \"2s\"] } }",
        "websocket { port: -1, no_tls: true, allowed_origins: [ \"http://a.b\" ] }",
        "mqtt { port: -1 }, jetstream: true",
        "leafnodes { remotes: [ { url: \"nats://a:1\", account: \"$SYS\" } ] }",
    ];
    for text in cases {
        assert_eq!(validate(&options(text)), Ok(()), "{text}");
    }
}

#[test]
fn logs_have_a_known_form() {
    assert_eq!(options("log_format: json").logging.json, Some(true));
    assert_eq!(options("log_format: text").logging.json, Some(false));
    assert_eq!(options("port: 1").logging.json, None);
    let refused = crate::load_text(b"log_format: xml", "t.conf", &crate::lang::Nothing);
    let text = refused.map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("log_format \"xml\" is neither \"text\" nor \"json\""), "{text}");
}

#[test]
fn a_key_whose_feature_is_missing_is_named_with_its_place() {
    let cases = [
        ("cluster { port: -1 }", "cluster"),
        ("gateway { name: A, port: -1 }", "gateway"),
        ("leaf { port: -1 }", "leafnodes"),
        ("ws { port: -1 }", "websocket"),
        ("mqtt { port: -1 }", "mqtt"),
        ("jetstream { store_dir: a, tpm { keys_file: a } }", "jetstream.tpm"),
        ("tls { cert_match: x }", "tls.cert_match"),
    ];
    for (text, key) in cases {
        let found = unbuilt(&options(&format!("port: 1\n{text}\n")));
        let keys: Vec<&str> = found.iter().map(|unbuilt| unbuilt.key).collect();
        assert_eq!(keys, [key], "{text}");
        if key != "tls.cert_match" {
            let position = found[0].position.as_ref().expect(text);
            assert_eq!((&*position.file, position.line), ("t.conf", 2), "{text}");
        }
    }
    let printed = unbuilt(&options("mqtt { port: 1 }"))[0].to_string();
    assert_eq!(
        printed,
        "t.conf:1:0: \"mqtt\" is set, but this version does not have MQTT yet; remove it to start"
    );
}

#[test]
fn keys_that_ask_for_nothing_are_not_refused() {
    let cases = [
        "jetstream: false",
        "jetstream { enabled: false, store_dir: x }",
        "cluster { name: c }",
        "proxy_protocol: true",
        "mqtt {}",
        "port: 4222, accounts { A { users: [ {user: a} ] } }, tls { verify: true }",
    ];
    for text in cases {
        assert_eq!(unbuilt(&options(text)), [], "{text}");
    }
}
