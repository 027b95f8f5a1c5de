//! What a killed server left, and what the next start had to read.

use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::server::Signal;
use testkit::{Client, DEADLINE, Server, ServerBuilder, Which, eventually};

/// The index is written once nothing was published for ten seconds.
const PATIENCE: Duration = Duration::from_secs(40);

fn ask(client: &mut Client, subject: &str, body: &Value) -> Value {
    client.send(format!("PUB $JS.API.{subject} in {}\r\n{body}\r\n", body.to_string().len()));
    serde_json::from_slice(&client.msg().payload).unwrap()
}

fn start(dir: &Path) -> (Server, Client) {
    let config = format!("jetstream {{ store_dir: {dir:?} }}");
    let server = ServerBuilder::new(Which::Ours).config(&config).start();
    let mut client = server.client();
    client.sub("in", 1);
    client.sub("acks", 2);
    (server, client)
}

fn publish(client: &mut Client, count: usize) {
    let payload = [b'p'; 1024];
    for _ in 0..count {
        client.send(b"PUB s acks 1024\r\n");
        client.send(payload);
        client.send(b"\r\n");
    }
    for _ in 0..count {
        let ack: Value = serde_json::from_slice(&client.msg().payload).unwrap();
        assert!(ack["error"].is_null(), "{ack}");
    }
}

// Contract: FSTORE-006
#[test]
fn a_killed_server_goes_on_from_the_index_of_its_last_quiet_moment() {
    let dir = testkit::tempdir().unwrap();
    let (mut server, mut client) = start(dir.path());
    let made = ask(&mut client, "STREAM.CREATE.S", &json!({"name": "S", "subjects": ["s"]}));
    assert!(made["error"].is_null(), "{made}");
    publish(&mut client, 2000);
    let index = dir.path().join("jetstream/$G/streams/S/msgs/index.own");
    eventually(PATIENCE, "an index while the server runs", || index.exists().then_some(()));
    publish(&mut client, 10);
    server.signal(Signal::KILL);
    server.wait_exit(DEADLINE);

    let (server, mut client) = start(dir.path());
    let state = &ask(&mut client, "STREAM.INFO.S", &json!({}))["state"];
    assert_eq!((&state["messages"], &state["last_seq"]), (&json!(2010), &json!(2010)));
    server.wait_log("Restored 2010 messages for stream '$G > S'");
    assert!(server.log().contains("(by its index and what came after it)"), "{}", server.log());
}
