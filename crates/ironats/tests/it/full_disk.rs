//! A server whose disk has no room: what it refuses, what goes on, what a kill finds.
//!
//! The room is a limit on the size of the process's files, set and lifted while it runs: needs no
//! privilege and no mount.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use async_nats::Client;
use futures_lite::StreamExt;
use serde_json::{Value, json};
use testkit::binary::Which;
use testkit::server::{Server, ServerBuilder};

use super::within;

const KEPT: u64 = 20;

/// A server that is told of a limit by an error, not by a signal.
async fn start(dir: &Path) -> (Server, Client, Client) {
    start_with(dir, "", "").await
}

/// The same, with more in its configuration and before it is begun.
async fn start_with(dir: &Path, extra: &str, before: &str) -> (Server, Client, Client) {
    let script = dir.join("server.sh");
    let binary = Which::Ours.path();
    let text = format!(
        "#!/bin/sh\ntrap '' XFSZ\n{before}\nexec {:?} \"$@\"\n",
        binary.display().to_string()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "jetstream {{ store_dir: {:?}, {extra} }}\naccounts {{\n A {{ jetstream: enabled, users: [{{ user: a, password: p }}] }}\n B {{ jetstream: enabled, users: [{{ user: b, password: p }}] }}\n}}",
        dir.display().to_string()
    );
    let server = ServerBuilder::of(script).config(&config).monitoring().start();
    let client = async |user: &str| {
        let options = async_nats::ConnectOptions::with_user_and_password(user.into(), "p".into());
        options.connect(format!("nats://{}", server.addr())).await.unwrap()
    };
    let (a, b) = (client("a").await, client("b").await);
    (server, a, b)
}

async fn ask(client: &Client, subject: &str, body: Value) -> Value {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = within(client.request(subject.to_owned(), body.into())).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

async fn messages(client: &Client) -> Value {
    ask(client, "$JS.API.STREAM.INFO.S", Value::Null).await["state"]["messages"].clone()
}

/// A stream with a consumer, and a disk that has no room for one more message.
async fn filled(dir: &Path) -> (Server, Client, Client) {
    let (server, a, b) = start(dir).await;
    ask(&a, "$JS.API.STREAM.CREATE.S", json!({"name":"S","subjects":["s"],"allow_direct":true}))
        .await;
    let config = json!({"durable_name":"C","ack_policy":"explicit"});
    let body = json!({"stream_name":"S","config":config});
    ask(&a, "$JS.API.CONSUMER.CREATE.S.C", body).await;
    let memory = json!({"name":"M","subjects":["m"],"storage":"memory"});
    ask(&b, "$JS.API.STREAM.CREATE.M", memory).await;
    for seq in 1..=KEPT {
        let taken = ask(&a, "s", json!("x".repeat(1000))).await;
        assert_eq!(taken["seq"], seq);
    }
    let block = dir.join("jetstream/A/streams/S/msgs/1.blk");
    server.limit_files(Some(fs::metadata(block).unwrap().len()));
    (server, a, b)
}

/// Publishes what finds no room, and waits until the server knows.
async fn one_more(server: &Server, a: &Client) -> async_nats::Subscriber {
    let inbox = a.new_inbox();
    let answer = a.subscribe(inbox.clone()).await.unwrap();
    a.publish_with_reply("s", inbox, "x".repeat(1000).into()).await.unwrap();
    a.flush().await.unwrap();
    server.wait_log("JetStream cannot write stream 'A > S'");
    answer
}

// Contract: FSTORE-014
#[tokio::test]
async fn what_a_full_disk_refuses_is_never_there_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, a, b) = filled(dir.path()).await;
    let _unanswered = one_more(&server, &a).await;
    for _ in 0..5 {
        let refused = ask(&a, "s", json!("more")).await;
        assert_eq!(refused["error"]["err_code"], 10077, "{refused}");
        assert_eq!(refused["error"]["code"], 503);
    }
    // Removals that could not be noted are refused, and change nothing.
    let before = messages(&a).await;
    let refused = ask(&a, "$JS.API.STREAM.MSG.DELETE.S", json!({"seq":3})).await;
    assert_eq!(refused["error"]["err_code"], 10057, "{refused}");
    let refused = ask(&a, "$JS.API.STREAM.PURGE.S", json!({"seq":5})).await;
    assert_eq!(refused["error"]["err_code"], 10051, "{refused}");
    let lower = json!({"name":"S","subjects":["s"],"allow_direct":true,"max_msgs":3});
    let refused = ask(&a, "$JS.API.STREAM.UPDATE.S", lower).await;
    assert_eq!(refused["error"]["err_code"], 10069, "{refused}");
    assert_eq!(messages(&a).await, before);
    // Other accounts, reads, deliveries and acknowledgements go on.
    assert_eq!(ask(&b, "m", json!("x")).await["seq"], 1);
    let got = within(a.request("$JS.API.DIRECT.GET.S", "{\"seq\":7}".into())).await.unwrap();
    assert_eq!(got.payload.len(), 1002);
    let inbox = a.new_inbox();
    let mut pulled = a.subscribe(inbox.clone()).await.unwrap();
    let next = "$JS.API.CONSUMER.MSG.NEXT.S.C";
    a.publish_with_reply(next, inbox, json!({"batch":4}).to_string().into()).await.unwrap();
    for _ in 0..4 {
        let message = within(pulled.next()).await.unwrap();
        within(a.request(message.reply.unwrap(), "".into())).await.unwrap();
    }
    let health = server.get("/healthz");
    assert_eq!(health.status, 503);
    assert!(health.text().contains("A \\u003e S"), "{}", health.text());
    assert_eq!(server.log().matches("cannot write stream").count(), 1, "{}", server.log());
    server.signal(testkit::server::Signal::KILL);
    server.wait_exit(std::time::Duration::from_secs(10));
    let (_server, a, _) = start(dir.path()).await;
    assert_eq!(messages(&a).await, KEPT, "what was acknowledged, and nothing else");
    assert_eq!(ask(&a, "s", json!("x")).await["seq"], KEPT + 1);
}

// Contract: FSTORE-014
#[tokio::test]
async fn a_server_goes_on_by_itself_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (server, a, _) = filled(dir.path()).await;
    let mut answer = one_more(&server, &a).await;
    let refused = ask(&a, "s", json!("more")).await;
    assert_eq!(refused["error"]["err_code"], 10077, "{refused}");
    server.limit_files(None);
    // What was taken before the disk was known to be full is answered once it is written.
    let answer = within(answer.next()).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(answer["seq"], KEPT + 1, "{answer}");
    server.wait_log("JetStream writes stream 'A > S' again");
    assert!(server.log().contains("1 messages were refused"), "{}", server.log());
    assert_eq!(ask(&a, "s", json!("x")).await["seq"], KEPT + 2);
    assert_eq!(messages(&a).await, KEPT + 2, "what was refused is not there");
    assert_eq!(server.get("/healthz").status, 200);
}

/// The beginning of the record that would have been next, as a kill in the middle of a write leaves
/// it.
fn half_a_record(seq: u64) -> Vec<u8> {
    let mut out = 1100u32.to_le_bytes().to_vec();
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&1u64.to_le_bytes());
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(b"s");
    out.extend_from_slice(&[b'x'; 500]);
    out
}

// Contract: FSTORE-008
#[tokio::test]
async fn a_write_that_a_kill_cut_short_is_removed_and_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, ..) = filled(dir.path()).await;
    server.signal(testkit::server::Signal::KILL);
    server.wait_exit(std::time::Duration::from_secs(10));
    let block = dir.path().join("jetstream/A/streams/S/msgs/1.blk");
    let whole = fs::read(&block).unwrap();
    fs::write(&block, [&whole[..], &half_a_record(KEPT + 1)].concat()).unwrap();
    let (server, a, _) = start(dir.path()).await;
    assert!(server.log().contains("an unfinished write was removed"), "{}", server.log());
    assert!(!server.log().contains("lost data"), "{}", server.log());
    assert_eq!(fs::read(&block).unwrap(), whole);
    let info = ask(&a, "$JS.API.STREAM.INFO.S", Value::Null).await;
    assert_eq!((&info["state"]["lost"], &info["state"]["messages"]), (&Value::Null, &json!(KEPT)));
    assert_eq!(ask(&a, "s", json!("x")).await["seq"], KEPT + 1);
}

// Contract: FSTORE-014
#[tokio::test]
async fn what_a_full_disk_does_not_let_be_made_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, a, _) = filled(dir.path()).await;
    server.limit_files(Some(0));
    let refused =
        ask(&a, "$JS.API.STREAM.CREATE.NEW", json!({"name":"NEW","subjects":["n"]})).await;
    assert_eq!(refused["error"]["err_code"], 10049, "{refused}");
    let config = json!({"durable_name":"D","ack_policy":"explicit"});
    let body = json!({"stream_name":"S","config":config});
    let refused = ask(&a, "$JS.API.CONSUMER.CREATE.S.D", body.clone()).await;
    assert_eq!(refused["error"]["err_code"], 10104, "{refused}");
    let streams = dir.path().join("jetstream/A/streams");
    assert!(!streams.join("NEW").exists());
    assert!(!streams.join("S/obs/D").exists());
    server.limit_files(None);
    let made = ask(&a, "$JS.API.CONSUMER.CREATE.S.D", body).await;
    assert_eq!(made["name"], "D", "{made}");
    server.signal(testkit::server::Signal::KILL);
    server.wait_exit(std::time::Duration::from_secs(10));
    // What older servers left behind is passed over.
    fs::create_dir_all(streams.join("OLD/msgs")).unwrap();
    fs::write(streams.join("OLD/msgs/1.blk"), "").unwrap();
    fs::create_dir_all(streams.join("S/obs/E")).unwrap();
    let (server, a, _) = start(dir.path()).await;
    assert_eq!(server.get("/healthz").status, 200);
    assert!(!server.log().contains("Error recovering"), "{}", server.log());
    let made = ask(&a, "$JS.API.STREAM.CREATE.OLD", json!({"name":"OLD","subjects":["o"]})).await;
    assert_eq!(made["did_create"], true, "{made}");
}

#[tokio::test]
async fn a_stream_that_there_is_no_room_to_open_is_opened_later() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, a, _) = filled(dir.path()).await;
    server.limit_files(None);
    drop(a);
    server.signal(testkit::server::Signal::TERM);
    server.wait_exit(std::time::Duration::from_secs(10));
    // Its document is to be sealed from now on, which needs room.
    let sealed = "cipher: aes, key: secret";
    let (server, a, _b) = start_with(dir.path(), sealed, "ulimit -S -f 0").await;
    assert!(server.log().contains("stream 'A > S': "), "{}", server.log());
    assert!(server.log().contains("; it is tried again"), "{}", server.log());
    assert_ne!(server.get("/healthz").status, 200);
    // Nobody else gets its subjects meanwhile.
    let other = json!({"name":"NEW","subjects":["s"],"storage":"memory"});
    let refused = ask(&a, "$JS.API.STREAM.CREATE.NEW", other).await;
    assert_eq!(refused["error"]["err_code"], 10065, "{refused}");
    server.limit_files(None);
    server.wait_log("JetStream opened stream 'A > S' after");
    assert_eq!(messages(&a).await, KEPT);
    assert_eq!(ask(&a, "s", json!("x")).await["seq"], KEPT + 1);
    let consumer = ask(&a, "$JS.API.CONSUMER.INFO.S.C", Value::Null).await;
    assert_eq!(consumer["num_pending"], KEPT + 1, "{consumer}");
    assert_eq!(server.get("/healthz").status, 200);
    let told = server.log().matches("Error recovering stream").count();
    assert_eq!(told, 1, "once is enough: {}", server.log());
}
