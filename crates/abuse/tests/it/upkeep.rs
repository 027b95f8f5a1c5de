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

// Contract: FSTORE-018
#[test]
fn a_stream_whose_document_is_damaged_is_left_out_and_told() {
    let dir = testkit::tempdir().unwrap();
    let (mut server, mut client) = start(dir.path());
    for name in ["S", "T"] {
        let config = json!({"name": name, "subjects": [name.to_lowercase()]});
        let made = ask(&mut client, &format!("STREAM.CREATE.{name}"), &config);
        assert!(made["error"].is_null(), "{made}");
    }
    publish(&mut client, 3);
    server.signal(Signal::TERM);
    server.wait_exit(DEADLINE);
    let sum = dir.path().join("jetstream/$G/streams/T/meta.sum");
    std::fs::write(&sum, "0123456789abcdef").unwrap();

    let (server, mut client) = start(dir.path());
    let state = &ask(&mut client, "STREAM.INFO.S", &json!({}))["state"];
    assert_eq!(state["messages"], json!(3));
    let missing = ask(&mut client, "STREAM.INFO.T", &json!({}));
    assert_eq!(missing["error"]["err_code"], json!(10059), "{missing}");
    server.wait_log("[WRN]   Error recovering stream '$G > T'");
    assert!(dir.path().join("jetstream/$G/streams/T/meta.inf").exists(), "nothing is removed");
}
