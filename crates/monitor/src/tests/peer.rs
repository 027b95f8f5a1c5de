//! The reference server beside us: the same refusals, the same text form, the same fields in the
//! same order. Runs only where `NATS_PEER` names its binary.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::binary::{Which, peer_of_version};
use testkit::server::Server;

use super::fake::{now, server};
use super::params::REFUSALS;
use crate::*;

const CONFIG: &str = r#"
server_tags: ["eu"]
accounts {
  A {
    users: [{user: a, password: a}]
    exports: [
      {service: "svc.>", latency: {sampling: "50%", subject: lat.x}}
      {stream: "str.>", accounts: [B]}
      {service: "pub.*", response_type: stream}
    ]
    mappings: {foo: bar, "x.*": [{destination: "y.$1", weight: "50%"}]}
  }
  B {
    users: [{user: b, password: b}]
    imports: [
      {service: {account: A, subject: "svc.a"}, to: "my.a", share: true}
      {stream: {account: A, subject: "str.>"}, prefix: p}
    ]
  }
}
"#;

/// Every document, with the query that shows most of it.
const DOCUMENTS: [(&str, &str); 14] = [
    ("/varz", ""),
    ("/connz", "auth=1&subs=detail"),
    ("/connz", "state=closed&auth=1&subs=1"),
    ("/connz", "cid=99999"),
    ("/connz", "acc=nobody"),
    ("/routez", ""),
    ("/gatewayz", "gw_name=X"),
    ("/leafz", ""),
    ("/subsz", "subs=1&acc=A"),
    ("/accountz", ""),
    ("/accountz", "acc=A"),
    ("/accstatz", "unused=1"),
    ("/jsz", ""),
    ("/healthz", ""),
];

/// Objects whose keys are data, not fields.
const MAPS: [&str; 4] = [".http_req_stats", ".feature_flags", ".mappings", ".responses"];

fn started(what: &str) -> Option<Server> {
    peer_of_version("2.14", what)?;
    let peer = Server::builder(Which::Peer).config(CONFIG).monitoring().start();
    Some(peer)
}

/// Fills the peer's documents: subscriptions, a pending response, a closed connection.
fn attach(peer: &Server) -> Vec<testkit::client::Client> {
    let connect = |user: &str| {
        peer.client_with(
            &json!({"user": user, "pass": user, "name": "<n>", "lang": "rust", "version": "1"}),
        )
    };
    let mut a = connect("a");
    a.send("SUB svc.a 1\r\nSUB x q 2\r\nUNSUB 2 5\r\n");
    a.flush();
    let mut b = connect("b");
    b.send("SUB p.str.> 1\r\nSUB z 2\r\nPUB my.a in 2\r\nhi\r\n");
    b.flush();
    let mut gone = connect("b");
    gone.send("SUB m 1\r\n");
    gone.flush();
    gone.shutdown_write();
    gone.expect_closed();
    vec![a, b]
}

fn server_without_queues() -> super::fake::Fake {
    super::fake::Fake { queues: Vec::new(), ..server() }
}

fn target(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

// Contract: MON-004, MON-009, MON-010, MON-021
#[test]
fn the_peer_refuses_in_the_same_words() {
    let Some(peer) = started("refusals of parameters") else { return };
    let more = [
        ("/connz", "sort=nope"),
        ("/connz", "sort=stop"),
        ("/healthz", "stream=S"),
        ("/healthz", "consumer=C&details=1"),
        ("/jsz", "leader-only=1"),
        ("/raftz", ""),
        ("/nope", ""),
        ("/varz/", ""),
        ("/%2e%2e/varz", ""),
        ("/..%2fvarz", ""),
        ("/ipqueuesz", ""),
    ];
    let refusals = REFUSALS.iter().map(|(path, query, _)| (*path, *query));
    for (path, query) in refusals.chain(more) {
        let theirs = peer.get(&target(path, query));
        let ours = respond(path, query, &server_without_queues(), "", now());
        assert_eq!(ours.status, theirs.status, "{path}?{query}");
        assert_eq!(String::from_utf8_lossy(&ours.body), theirs.text(), "{path}?{query}");
        assert_eq!(Some(ours.content_type), theirs.header("Content-Type"), "{path}?{query}");
        for (name, value) in &ours.headers {
            assert_eq!(theirs.header(name), Some(value.as_str()), "{path}?{query}: {name}");
        }
    }
}

// Contract: MON-003
#[test]
fn the_peers_text_form_is_ours() {
    let Some(peer) = started("text form of documents") else { return };
    let _clients = attach(&peer);
    for (path, query) in DOCUMENTS {
        let theirs = peer.get(&target(path, query));
        let value = theirs.json();
        let again =
            if path == "/healthz" { json::compact(&value) } else { json::indented(&value, b"  ") };
        assert_eq!(String::from_utf8(again).unwrap(), theirs.text(), "{path}?{query}");
    }
}

// Contract: MON-006, MON-008, MON-017, MON-019, MON-020
#[test]
fn the_peers_fields_are_ours_in_the_same_order() {
    let Some(peer) = started("fields of documents") else { return };
    let _clients = attach(&peer);
    for (path, query) in DOCUMENTS {
        let theirs = fields(&peer.json(&target(path, query)));
        let ours = known_fields(path, query);
        for (object, keys) in theirs {
            let known = ours.get(&object).cloned().unwrap_or_default();
            let places: Vec<Option<usize>> =
                keys.iter().map(|key| known.iter().position(|ours| ours == key)).collect();
            assert!(places.iter().all(Option::is_some), "{path}{object}: {keys:?} in {known:?}");
            assert!(places.is_sorted(), "{path}{object}: {keys:?} in {known:?}");
        }
    }
}

/// The fields of each object of a document, in order; elements of lists and maps are one object.
fn fields(document: &Value) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    collect(document, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut BTreeMap<String, Vec<String>>) {
    match value {
        Value::Object(object) if MAPS.iter().any(|map| path.ends_with(map)) => {
            object.values().for_each(|value| collect(value, &format!("{path}.*"), found));
        }
        Value::Object(object) => {
            let keys = found.entry(path.to_owned()).or_default();
            // Several elements show different fields; the order among them must agree.
            let mut at = 0;
            for key in object.keys() {
                match keys.iter().position(|known| known == key) {
                    Some(place) => at = place + 1,
                    None => {
                        keys.insert(at, key.clone());
                        at += 1;
                    }
                }
            }
            for (key, value) in object {
                collect(value, &format!("{path}.{key}"), found);
            }
        }
        Value::Array(elements) => {
            elements.iter().for_each(|value| collect(value, &format!("{path}[]"), found));
        }
        _ => {}
    }
}

/// Our fields of the same document, made from facts that leave nothing out.
fn known_fields(path: &str, query: &str) -> BTreeMap<String, Vec<String>> {
    let mut source = server();
    for conn in &mut source.open {
        conn.jwt = "j".into();
    }
    for sub in &mut source.subs {
        sub.max = 5;
        sub.queue = "q".into();
    }
    let query = if query.starts_with("cid") { "" } else { query };
    let body = if path == "/varz" {
        let mut varz = source.varz();
        varz.tags = vec!["t".into()];
        varz.git_commit = "c".into();
        varz.connect_urls = vec!["u".into()];
        json::compact(&varz)
    } else {
        respond(path, query, &source, "", now()).body
    };
    fields(&serde_json::from_slice(&body).unwrap())
}
