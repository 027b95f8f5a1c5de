//! What the system account is told of JetStream.

use super::requests::{owned, scene};
use super::{connect, message, play, settle};
use conformance::redact::redact;
use testkit::client::Client;
use testkit::server::Server;

const CONFIG: &str = r#"
server_name: s1
jetstream {
  store_dir: "{dir}/js", max_memory_store: 1MB, max_file_store: 10MB, domain: d, sync_interval: 1s
}
accounts {
  SYS { users: [{user: sys, password: pw}] }
  A { jetstream: {max_mem: 512KB, max_file: 5MB, max_streams: 3}, users: [{user: a, password: pw}] }
  B { users: [{user: lim, password: pw}] }
}
system_account: SYS
"#;

/// Sends to JetStream, and waits for the answer.
fn api(client: &mut Client, subject: &str, body: &str) -> serde_json::Value {
    super::ask(client, subject, "js", "", body);
    serde_json::from_slice(&message(client).unwrap().payload).unwrap()
}

fn with_stream(server: &Server) -> Client {
    let mut client = connect(server, "a");
    client.sub("js", 1);
    let stream = r#"{"name":"S","subjects":["s"],"allow_atomic":true}"#;
    let made = api(&mut client, "$JS.API.STREAM.CREATE.S", stream);
    assert_eq!(made["config"]["name"], "S", "{made}");
    let stored = api(&mut client, "s", "hello");
    assert_eq!(stored["seq"], 1, "{stored}");
    client
}

// Contract: ADV-003, SYS-010, SYS-014
#[test]
fn statistics_and_documents_have_jetstream_in_them() {
    let requests = owned(&[
        ("sys", "$SYS.REQ.SERVER.PING.STATSZ", ""),
        ("sys", "$SYS.REQ.SERVER.PING.STATSZ", r#"{"domain":"d"}"#),
        ("sys", "$SYS.REQ.SERVER.PING.STATSZ", r#"{"domain":"other"}"#),
        ("sys", "$SYS.REQ.SERVER.PING.VARZ", ""),
        ("sys", "$SYS.REQ.SERVER.PING.JSZ", ""),
        ("sys", "$SYS.REQ.SERVER.PING.JSZ", r#"{"accounts":true}"#),
        ("sys", "$SYS.REQ.SERVER.PING.HEALTHZ", r#"{"account":"A","stream":"S"}"#),
        ("sys", "$SYS.REQ.SERVER.PING.HEALTHZ", r#"{"account":"A","stream":"T"}"#),
        ("sys", "$SYS.REQ.ACCOUNT.A.JSZ", ""),
        ("sys", "$SYS.REQ.ACCOUNT.A.JSZ", r#"{"streams":true,"config":true}"#),
        ("sys", "$SYS.REQ.ACCOUNT.B.JSZ", ""),
        ("sys", "$SYS.REQ.ACCOUNT.NOPE.JSZ", ""),
    ]);
    play("jetstream", CONFIG, |server| {
        let _client = with_stream(server);
        scene(&requests)(server)
    });
}

// Contract: ADV-002
#[test]
fn an_abandoned_batch_is_told_to_its_account_and_to_operators() {
    play("abandoned_batch", CONFIG, |server| {
        let mut client = with_stream(server);
        let subject = "$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.S";
        let mut watchers = ["a", "sys"].map(|user| {
            let mut watcher = connect(server, user);
            settle(&mut watcher);
            watcher.sub(subject, 1);
            watcher.flush();
            watcher
        });
        let mut send = |n: u64, reply: &str| {
            let header =
                format!("NATS/1.0\r\nNats-Batch-Id: b1\r\nNats-Batch-Sequence: {n}\r\n\r\n");
            super::ask(&mut client, "s", reply, &header, "x");
        };
        send(1, "");
        send(3, "js");
        let mut out = String::new();
        for watcher in &mut watchers {
            let message = message(watcher).unwrap();
            out.push_str(&format!("{} {}\n", message.subject, redact(&message.text(), false)));
        }
        out
    });
}
