//! What the sections make of their keys.

use super::{messages, options};
use crate::lang::unit::Nanos;
use crate::options::{
    AccountJetStream, CompressionMode, HandshakeFirst, Permissions, ResponseType, Sampling,
    StoreCipher, SubjectPermission, TlsVersion, WriteTimeout,
};

fn permissions(text: &str) -> Permissions {
    let text = format!("authorization {{ users: [ {{ user: a, permissions {{ {text} }} }} ] }}");
    options(&text).users[0].permissions.clone().unwrap()
}

fn list(subjects: &[&str]) -> Option<Vec<String>> {
    Some(subjects.iter().map(|subject| (*subject).to_owned()).collect())
}

// Contract: CONF-109
#[test]
fn permissions_have_short_and_long_forms() {
    let allow = |subjects: &[&str]| Some(SubjectPermission { allow: list(subjects), deny: None });
    assert_eq!(permissions("publish: a.b").publish, allow(&["a.b"]));
    assert_eq!(permissions("pub: [a, b]").publish, allow(&["a", "b"]));
    assert_eq!(permissions("sub: \"a q\"").subscribe, allow(&["a q"]));
    let both = permissions("subscribe { allow: a, deny: [b, \"c q\"] }").subscribe.unwrap();
    assert_eq!((both.allow, both.deny), (list(&["a"]), list(&["b", "c q"])));
    // An empty list and an empty map say nothing.
    assert_eq!(permissions("publish: []").publish.unwrap().allow, None);
    assert_eq!(permissions("publish {}").publish, None);
}

// Contract: CONF-109
#[test]
fn allowing_responses_closes_everything_else() {
    for text in [
        "allow_responses: true",
        "allow_responses: true, publish { deny: x }",
        "publish { deny: x }, allow_responses: true",
    ] {
        let permissions = permissions(text);
        assert_eq!(permissions.publish.unwrap().allow, list(&[]), "{text}");
        assert_eq!(permissions.responses.unwrap().max_msgs, 1, "{text}");
    }
    let responses = permissions("allow_responses { max: -1, expires: \"1m\" }").responses.unwrap();
    assert_eq!((responses.max_msgs, responses.expires), (-1, Nanos::from_secs(60)));
    assert_eq!(permissions("allow_responses: false").responses, None);
}

// Contract: CONF-108
#[test]
fn users_without_permissions_get_the_default() {
    let options = options(
        "authorization { default_permissions { publish: d }\n\
         users: [ {user: a, password: p}, {user: b, permissions { publish: own }}\n\
         {nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4, clients: [mqtt]} ] }",
    );
    let publish = |p: &Option<Permissions>| p.clone().unwrap().publish.unwrap().allow;
    assert_eq!(publish(&options.users[0].permissions), list(&["d"]));
    assert_eq!(publish(&options.users[1].permissions), list(&["own"]));
    assert_eq!(publish(&options.nkeys[0].permissions), list(&["d"]));
    let types = options.nkeys[0].allowed_connection_types.as_ref().unwrap();
    assert!(types.contains("MQTT") && types.len() == 1);
    assert_eq!(options.users[0].account, None);
}

#[test]
fn accounts_become_plain_data() {
    let text =
        std::fs::read_to_string(super::fixtures::directory().join("accounts_full.conf")).unwrap();
    let options = options(&text);
    let names: Vec<&str> = options.accounts.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["SYS", "A", "B", "$G"]);
    let a = options.account("A").unwrap();
    assert_eq!(a.stream_exports[1].accounts, list(&["B"]));
    let service = &a.service_exports[0];
    assert_eq!(service.response_type, ResponseType::Stream);
    assert_eq!(service.response_threshold, Some(Nanos::from_secs(5)));
    let latency = a.service_exports[1].latency.clone().unwrap();
    assert_eq!(
        (latency.subject.as_str(), latency.sampling),
        ("lat.results", Sampling::Percent(25))
    );
    assert_eq!(a.service_exports[2].account_token_position, 2);
    let weights: Vec<u8> = a.mappings[0].destinations.iter().map(|d| d.weight).collect();
    assert_eq!(weights, [40, 60]);
    assert_eq!(a.mappings[1].destinations[0].weight, 100);
    assert_eq!((a.limits.max_connections, a.limits.max_payload), (Some(10), Some(1000)));
    assert_eq!(a.message_trace.as_ref().unwrap().sampling, 10);
    let b = options.account("B").unwrap();
    assert_eq!(b.stream_imports[0].prefix.as_deref(), Some("from_a"));
    assert_eq!(b.service_imports[0].to, "ask.$1");
    assert_eq!((b.service_imports[1].to.as_str(), b.service_imports[1].share), ("who.B", true));
    assert_eq!(options.users[1].account.as_deref(), Some("A"));
    assert_eq!(options.system_account(), Some("SYS"));
}

#[test]
fn imports_may_not_form_a_cycle() {
    let services = "accounts {\n\
        A { exports: [ {service: help} ], imports: [ {service {account: B, subject: help}} ] }\n\
        B { exports: [ {service: help} ], imports: [ {service {account: A, subject: help}} ] } }";
    let expected = "t.conf:1:0: Error adding service import \"help\": import forms a cycle\n";
    assert_eq!(messages(services), expected);
    let streams = services.replace("service", "stream");
    assert_eq!(messages(&streams), expected.replace("service", "stream"));
}

// Contract: ACC-010
#[test]
fn services_may_not_meet_on_one_subject() {
    let file = |imports: [&str; 2]| {
        format!(
            "accounts {{\n\
            A {{ exports: [ {{service: \"a.*\"}}, {{service: \"*.b\"}} ] }}\n\
            B {{ imports: [ {}, {} ] }} }}",
            imports[0], imports[1]
        )
    };
    let placed = "{service {account: A, subject: \"a.*\"}, to: \"x.$1\"}";
    let wild = "{service {account: A, subject: \"*.b\"}, to: \"x.*\"}";
    let expected = "t.conf:1:0: Error adding service import \"*.b\": duplicate service import \
                    subject \"x.*\", previously used in import for account \"A\", subject \"a.*\"\n";
    assert_eq!(messages(&file([placed, wild])), expected);
    // As in the reference, what is written with placeholders is not seen to be the same.
    assert_eq!(messages(&file([wild, placed])), "");
}

// Contract: CONF-102
#[test]
fn compression_modes_have_many_names() {
    let cases = [
        ("off", CompressionMode::Off),
        ("false", CompressionMode::Off),
        ("disabled", CompressionMode::Off),
        ("accept", CompressionMode::Accept),
        ("on", CompressionMode::Fast),
        ("true", CompressionMode::Fast),
        ("enabled", CompressionMode::Fast),
        ("s2_fast", CompressionMode::Fast),
        ("better", CompressionMode::Better),
        ("s2_best", CompressionMode::Best),
        ("not_supported", CompressionMode::NotSupported),
        (
            "{ mode: s2_auto, rtt: [\"0s\", \"20ms\"] }",
            CompressionMode::Auto(vec![Nanos(0), Nanos::from_millis(20)]),
        ),
    ];
    for (text, expected) in cases {
        let options = options(&format!("cluster {{ compression: {text} }}"));
        assert_eq!(options.cluster_compression(), Ok(expected), "{text}");
    }
    let leaf = options("leafnodes { compression: on }").leafnode_compression().unwrap();
    assert_eq!(leaf, CompressionMode::Auto([10, 50, 100].map(Nanos::from_millis).to_vec()));
    assert_eq!(options("port: 1").cluster_compression(), Ok(CompressionMode::Accept));
}

#[test]
fn tls_blocks_become_plain_data() {
    let pin = "a".repeat(64);
    let tls = options(&format!(
        "tls {{ verify_and_map: true, timeout: \"3s\", handshake_first: \"300ms\", \
         min_version: \"1.3\", connection_rate_limit: 7, pinned_certs: [\"{}\"], \
         curve_preferences: [X25519], cipher_suites: [TLS_AES_128_GCM_SHA256] }}",
        pin.to_uppercase()
    ))
    .tls
    .unwrap();
    assert!(tls.verify && tls.map);
    assert_eq!(tls.timeout, Some(3.0));
    assert_eq!(tls.handshake_first, HandshakeFirst::Fallback(Nanos::from_millis(300)));
    assert_eq!(tls.min_version, Some(TlsVersion::V1_3));
    assert_eq!(tls.rate_limit, 7);
    assert!(tls.pinned_certs.contains(&pin));
    let auto = options("tls { first: auto }").tls.unwrap().handshake_first;
    assert_eq!(auto, HandshakeFirst::Fallback(Nanos::from_millis(50)));
    // Between servers certificates are always verified.
    assert!(options("cluster { tls {} }").cluster.tls.unwrap().verify);
    assert!(!options("leafnodes { tls {} }").leafnode.tls.unwrap().verify);
}

#[test]
fn sections_become_plain_data() {
    let options = options(
        "jetstream { max_mem: 1G, max_file: \"10G\", sync: always, cipher: aes, domain: d }\n\
         write_timeout: retry, trace_verbose: true, max_conn: 0\n\
         accounts { A { jetstream { max_mem: 5, max_bytes: true } }, B { jetstream: enabled } }\n\
         leafnodes { remotes: [ { url: \"nats://u:p%40@h:7422\", account: A, creds: \"~/c\" } ] }\n\
         websocket { port: 80, no_tls: true, headers { X: y } }\n\
         resolver: URL(http://h/accounts)",
    );
    let js = &options.jetstream;
    assert!(js.enabled && js.sync_always);
    assert_eq!((js.max_memory, js.max_store), (Some(1_000_000_000), Some(10 << 30)));
    assert_eq!(js.cipher, Some(StoreCipher::Aes));
    assert_eq!(options.limits.write_timeout, Some(WriteTimeout::Retry));
    assert_eq!(options.logging.trace, Some(true));
    assert_eq!(options.limits.max_connections, Some(-1));
    let a = options.account("A").unwrap().jetstream.as_ref().unwrap();
    assert_eq!((a.max_memory, a.max_store, a.max_bytes_required), (5, -1, true));
    let b = options.account("B").unwrap().jetstream.as_ref();
    assert_eq!(b, Some(&AccountJetStream::default()));
    let url = &options.leafnode.remotes[0].urls[0];
    assert_eq!((url.password.as_deref(), url.host.as_str()), (Some("p@"), "h:7422"));
    assert_eq!((url.hostname(), url.port()), ("h", Some("7422")));
    assert_eq!(options.websocket.headers["X"], "y");
}

#[test]
fn a_new_position_is_no_new_configuration() {
    let mut a = options("port: 1\ndebug: true");
    let b = options("\n\n  debug: true\nport: 1");
    a.config_digest = b.config_digest.clone();
    assert_eq!(a, b);
    assert_ne!(a, options("port: 2\ndebug: true"));
}

// Contract: CONF-013
#[test]
fn messages_the_reference_leaves_without_a_place_have_one() {
    let cases = [
        (
            "authorization { users: [ { user: a, permissions { publish: a..b } } ] }",
            "t.conf:1:50: subject \"a..b\" is not a valid subject\n",
        ),
        (
            "gateway { gateways: {} }",
            "t.conf:1:10: Expected gateways field to be an array, got map[string]interface {}\n",
        ),
        (
            "jetstream { max_buffered_msgs: 1, domain: 3 }",
            "t.conf:1:34: interface conversion: interface {} is int64, not string\n",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(messages(text), expected, "{text}");
    }
}

#[test]
fn urls_are_refused_as_go_refuses_them() {
    use crate::options::url::parse;
    let good = ["nats://u:p@h:1", "tls://[::1]:4222", "nats://[fe80::1%25eth0]:1", "h", "/p", ""];
    for text in good {
        assert!(parse(text).is_ok(), "{text}");
    }
    let bad = [
        ("1h:1", "first path segment in URL cannot contain colon"),
        (":1", "missing protocol scheme"),
        ("nats://h:-1", "invalid port \":-1\" after host"),
        ("nats://[::1", "missing ']' in host"),
        ("nats://a[b]", "invalid IP-literal"),
        ("nats://h/%zz", "invalid URL escape \"%zz\""),
        ("nats://a b", "invalid character \" \" in host name"),
        ("nats://a\tb", "net/url: invalid control character in URL"),
        ("nats://u[@h", "net/url: invalid userinfo"),
    ];
    for (text, reason) in bad {
        assert_eq!(parse(text).unwrap_err().reason, reason, "{text}");
    }
    let url = parse("nats://u:secret@h:1/p?q#f").unwrap();
    assert_eq!(
        (url.redacted().as_str(), url.path.as_str()),
        ("nats://u:xxxxx@h:1/p?q#f", "/p?q#f")
    );
}
