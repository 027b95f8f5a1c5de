//! The fixtures against a real server: the peer if there is one.

use serde_json::json;
use testkit::{DEADLINE, Frame, Server, Which, binary};

#[test]
fn a_peer_starts_talks_and_stops() {
    if binary::peer_or_notice("testkit fixtures").is_none() {
        return;
    }
    let mut server = Server::builder(Which::Peer).monitoring().start();
    let mut c = server.client_with(&json!({"name": "fixture"}));
    assert!(c.info["server_id"].is_string());
    c.sub("a.*", 1);
    c.publish("a.b", "hello");
    let seen = c.ping();
    assert!(matches!(&seen[..], [Frame::Msg(m)] if m.text() == "hello" && m.subject == "a.b"));
    c.expect_nothing();
    assert_eq!(server.json("/varz")["connections"], 1);
    c.send("FOO\r\n");
    assert_eq!(c.expect_closed(), [Frame::Err("Unknown Protocol Operation".into())]);
    server.signal(testkit::server::Signal::TERM);
    // Peers before 2.11 end with status 1.
    assert!(matches!(server.wait_exit(DEADLINE).code(), Some(0 | 1)));
    assert!(server.log().contains("Server is ready"));
}

#[test]
fn a_refusal_is_returned_with_its_text() {
    if binary::peer_or_notice("testkit refusals").is_none() {
        return;
    }
    let refused = Server::builder(Which::Peer).config("no_such_key: 1").try_start().err().unwrap();
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("no_such_key"), "{refused:?}");
}
