//! Damaged, missing and crowded stores, seen from outside: what is told, and what goes on.

use std::fs;
use std::path::{Path, PathBuf};

use async_nats::Client;
use futures_lite::StreamExt;
use serde_json::{Value, json};
use testkit::binary::Which;
use testkit::server::{Server, ServerBuilder, Signal};

use super::within;

fn config(dir: &Path, extra: &str) -> String {
    format!("jetstream {{ store_dir: {:?}\n{extra} }}", dir.display().to_string())
}

async fn connect(server: &Server) -> Client {
    async_nats::connect(format!("nats://{}", server.addr())).await.unwrap()
}

async fn start(dir: &Path, extra: &str) -> (Server, Client) {
    let server = ServerBuilder::new(Which::Ours).config(&config(dir, extra)).start();
    let client = connect(&server).await;
    (server, client)
}

fn stop(mut server: Server) {
    server.signal(Signal::TERM);
    server.wait_exit(testkit::DEADLINE);
}

async fn ask(client: &Client, subject: &str, body: Value) -> Value {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = within(client.request(format!("$JS.API.{subject}"), body.into())).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// What a publisher hears of a stream that is closed for writing.
fn is_closed(answer: &Value, why: &str) {
    assert_eq!(answer["error"]["code"], json!(503), "{answer}");
    assert_eq!(answer["error"]["err_code"], json!(10077), "{answer}");
    assert!(answer["error"]["description"].as_str().unwrap().contains(why), "{answer}");
}

async fn publish(client: &Client, subject: &str) -> Value {
    let answer = within(client.request(subject.to_owned(), "x".into())).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// A stream of ten messages and a consumer that acknowledged four of five it was given.
async fn fill(client: &Client) {
    ask(client, "STREAM.CREATE.S", json!({"name":"S","subjects":["s"]})).await;
    for _ in 0..10 {
        publish(client, "s").await;
    }
    let config = json!({"durable_name":"C","ack_policy":"explicit"});
    ask(client, "CONSUMER.CREATE.S.C", json!({"stream_name":"S","config":config})).await;
    let inbox = client.new_inbox();
    let mut pulled = client.subscribe(inbox.clone()).await.unwrap();
    let next = "$JS.API.CONSUMER.MSG.NEXT.S.C";
    client.publish_with_reply(next, inbox, r#"{"batch":5}"#.into()).await.unwrap();
    for n in 0..5 {
        let message = within(pulled.next()).await.unwrap();
        if n < 4 {
            within(client.request(message.reply.unwrap(), "".into())).await.unwrap();
        }
    }
}

/// Delivered and acknowledged up to here, by the stream's sequences.
async fn place(client: &Client) -> (Value, Value) {
    let info = ask(client, "CONSUMER.INFO.S.C", Value::Null).await;
    (info["delivered"]["stream_seq"].clone(), info["ack_floor"]["stream_seq"].clone())
}

type Damage = fn(&Path);

// Contract: FSTORE-017
#[tokio::test]
async fn a_damaged_consumer_goes_on_from_its_copy_or_begins_anew_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = start(dir.path(), "").await;
    fill(&client).await;
    stop(server);
    let files = dir.path().join("jetstream/$G/streams/S/obs/C");
    let state = |name: &str| fs::read(files.join(name)).unwrap();
    let (whole, copy) = (state("o.dat"), state("o.own"));
    assert_eq!(whole, copy);
    let flip: Damage = |dir| {
        let mut bytes = fs::read(dir.join("o.dat")).unwrap();
        // The consumer's place, a byte that the reference would believe.
        bytes[4] ^= 0x20;
        fs::write(dir.join("o.dat"), bytes).unwrap();
    };
    let cut: Damage = |dir| fs::write(dir.join("o.dat"), b"\x16\x02").unwrap();
    let lose: Damage = |dir| fs::remove_file(dir.join("o.dat")).unwrap();
    let lose_copy: Damage = |dir| fs::remove_file(dir.join("o.own")).unwrap();
    let cases: [(&[Damage], u64, u64, &str); 5] = [
        (&[flip], 5, 4, "goes on from the copy"),
        (&[cut], 5, 4, "goes on from the copy"),
        (&[lose], 5, 4, "goes on from the copy"),
        (&[flip, lose_copy], 0, 0, "begins where it did"),
        (&[cut, lose_copy], 0, 0, "begins where it did"),
    ];
    for (damages, delivered, floor, told) in cases {
        fs::write(files.join("o.dat"), &whole).unwrap();
        fs::write(files.join("o.own"), &copy).unwrap();
        damages.iter().for_each(|damage| damage(&files));
        let (server, client) = start(dir.path(), "").await;
        assert_eq!(place(&client).await, (json!(delivered), json!(floor)), "{told}");
        let log = server.log();
        let line = log.lines().find(|l| l.contains("o.dat")).unwrap_or_default();
        assert!(line.contains("$G > S > C") && line.contains(told), "{log}");
        stop(server);
    }
    let aside = fs::read_dir(&files).unwrap().flatten();
    let aside = aside.filter(|e| e.file_name().to_string_lossy().contains("o.dat.damaged-"));
    assert_eq!(aside.count(), 4);
}

#[tokio::test]
async fn a_store_directory_has_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = start(dir.path(), "").await;
    fill(&client).await;
    let text = config(dir.path(), "");
    let refused = ServerBuilder::new(Which::Ours).config(&text).try_start().err().unwrap();
    assert!(refused.stderr.contains("in use by another server"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&dir.path().display().to_string()), "{}", refused.stderr);
    assert_eq!(publish(&client, "s").await["seq"], json!(11));
    drop(server);
    let (_server, client) = start(dir.path(), "").await;
    assert_eq!(publish(&client, "s").await["seq"], json!(12));
}

#[tokio::test]
async fn a_missing_key_is_named_with_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = start(dir.path(), "cipher: aes, key: secret").await;
    fill(&client).await;
    stop(server);
    let stream = dir.path().join("jetstream/$G/streams/S");
    fs::rename(stream.join("meta.key"), dir.path().join("key")).unwrap();
    for extra in ["cipher: aes, key: secret", ""] {
        let (server, client) = start(dir.path(), extra).await;
        let answer = ask(&client, "STREAM.INFO.S", Value::Null).await;
        assert_eq!(answer["error"]["err_code"], json!(10059), "{answer}");
        let log = server.log();
        let told = log.lines().find(|l| l.contains("meta.key is missing")).unwrap_or_default();
        assert!(told.contains(&stream.display().to_string()), "{log}");
        assert!(told.contains("put the file back"), "{log}");
        stop(server);
    }
    fs::rename(dir.path().join("key"), stream.join("meta.key")).unwrap();
    let (_server, client) = start(dir.path(), "cipher: aes, key: secret").await;
    assert_eq!(place(&client).await, (json!(5), json!(4)));
}

/// Our server, started by a shell that takes most descriptors away.
fn crowded(dir: &Path, limit: usize) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("crowded");
    let server = testkit::binary::ours();
    let text = format!("#!/bin/sh\nulimit -n {limit}\nexec '{}' \"$@\"\n", server.display());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Does the same with each of so many streams, with many of them at the same time.
async fn together<F: Future<Output = ()> + Send + 'static>(
    client: &Client,
    streams: usize,
    work: impl Fn(Client, String) -> F,
) {
    let mut under_way = tokio::task::JoinSet::new();
    for n in 0..streams {
        // Each may have a file that waits for its sync: more than there are descriptors for would be
        // refused (docs/store.md, Open files).
        if n >= 100 {
            under_way.join_next().await.unwrap().unwrap();
        }
        under_way.spawn(work(client.clone(), format!("S{n}")));
    }
    under_way.join_all().await;
}

fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn streams_outnumber_descriptors() {
    const STREAMS: usize = 2_000;
    let dir = tempfile::tempdir().unwrap();
    let binary = crowded(dir.path(), 256);
    let text = config(dir.path(), "");
    let server = ServerBuilder::of(&binary).config(&text).start();
    let client = connect(&server).await;
    together(&client, STREAMS, |client, name| async move {
        let made = ask(&client, &format!("STREAM.CREATE.{name}"), json!({"name":name})).await;
        assert!(made.get("error").is_none(), "{name}: {made}");
        assert_eq!(publish(&client, &name).await["seq"], json!(1), "{name}");
    })
    .await;
    let mut running = (server, client);
    for round in 2..=3u64 {
        together(&running.1, STREAMS, move |client, name| async move {
            assert_eq!(publish(&client, &name).await["seq"], json!(round), "{name}");
        })
        .await;
        let held = descriptors(&running.0);
        assert!(held < 200, "{held} descriptors, and others want some too");
        for _ in 0..30 {
            connect(&running.0).await.flush().await.unwrap();
        }
        // Killed, and every stream is found again.
        drop(running);
        let server = ServerBuilder::of(&binary).config(&text).start();
        let found = format!("Restored {STREAMS} of {STREAMS} streams");
        assert!(server.log().contains(&found), "{}", server.log());
        let held = descriptors(&server);
        assert!(held < 60, "{held} descriptors at the start");
        let client = connect(&server).await;
        running = (server, client);
    }
}

// Contract: FSTORE-010
#[tokio::test]
async fn sequences_outlive_a_block_and_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = start(dir.path(), "").await;
    fill(&client).await;
    stop(server);
    let msgs = dir.path().join("jetstream/$G/streams/S/msgs");
    for name in ["1.blk", "index.db"] {
        fs::remove_file(msgs.join(name)).unwrap();
    }
    for next in [11, 12] {
        let (server, client) = start(dir.path(), "").await;
        let info = ask(&client, "STREAM.INFO.S", Value::Null).await;
        let state = &info["state"];
        assert_eq!((&state["messages"], &state["last_seq"]), (&json!(next - 11), &json!(next - 1)));
        assert_eq!(state["lost"]["msgs"], json!((1..=10).collect::<Vec<_>>()), "{state}");
        // Both the stream and its consumer go on where they were.
        assert_eq!(publish(&client, "s").await["seq"], json!(next));
        assert_eq!(place(&client).await.0, json!(5));
        if next == 11 {
            let log = server.log();
            assert!(log.contains("lost data: msgs/1.blk") && log.contains("1..10"), "{log}");
        }
        stop(server);
    }
}

// Contract: FSTORE-016
#[tokio::test]
async fn a_go_server_at_work_in_the_same_directory_is_noticed() {
    let Some(peer) = testkit::binary::peer_of_version("2.14", "a live server beside ours") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let text = config(dir.path(), "");
    let server = ServerBuilder::new(Which::Ours).config(&text).monitoring().start();
    let client = connect(&server).await;
    ask(&client, "STREAM.CREATE.S", json!({"name":"S","subjects":["s"]})).await;
    for seq in 1..=3 {
        assert_eq!(publish(&client, "s").await["seq"], json!(seq));
    }
    let theirs = ServerBuilder::of(peer).config(&text).start();
    let their_client = connect(&theirs).await;
    assert_eq!(publish(&their_client, "s").await["seq"], json!(4));
    let block = dir.path().join("jetstream/$G/streams/S/msgs/1.blk");
    let before = fs::read(&block).unwrap();
    // Nothing is mixed, and everybody is told.
    for _ in 0..2 {
        is_closed(&publish(&client, "s").await, "another server writes to it");
        assert_eq!(fs::read(&block).unwrap(), before);
    }
    server.wait_log("another server writes to it");
    let info = ask(&client, "STREAM.INFO.S", Value::Null).await;
    assert_eq!(fs::read(&block).unwrap(), before, "{info}");
    let health = server.get("/healthz").text().to_owned();
    assert!(health.contains("another server writes to it"), "{health}");
    drop(server);
    // The other one has the block open: nobody starts beside it.
    assert_eq!(publish(&their_client, "s").await["seq"], json!(5));
    let refused = ServerBuilder::new(Which::Ours).config(&text).try_start().err().unwrap();
    let told = format!("in use by process {}", theirs.pid());
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    stop(theirs);
    let (_server, client) = start(dir.path(), "").await;
    assert_eq!(publish(&client, "s").await["seq"], json!(6));
}

#[tokio::test]
async fn publishers_hear_that_a_stream_is_closed_for_writing() {
    let dir = tempfile::tempdir().unwrap();
    // Wherever the publisher waits: for the page cache, or for the device.
    for (name, sync) in [("S", ""), ("T", "sync_interval: always")] {
        let store = dir.path().join(name);
        let (server, client) = start(&store, sync).await;
        ask(&client, &format!("STREAM.CREATE.{name}"), json!({"name":name,"subjects":["s"]})).await;
        if name == "S" {
            assert_eq!(publish(&client, "s").await["seq"], json!(1));
        }
        // As the other server does with a block that is empty.
        let msgs = store.join(format!("jetstream/$G/streams/{name}/msgs"));
        fs::rename(msgs.join("1.blk"), dir.path().join(name.to_owned() + ".blk")).unwrap();
        fs::remove_file(dir.path().join(name.to_owned() + ".blk")).unwrap();
        for _ in 0..3 {
            let answer = publish(&client, "s").await;
            is_closed(&answer, "another server writes to it");
            assert_eq!(answer["stream"], json!(name));
        }
        server.wait_log("another server writes to it");
    }
}

/// An empty stream that rests has no file open.
#[tokio::test]
async fn an_empty_stream_that_was_taken_over_names_the_cause() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = start(dir.path(), "").await;
    ask(&client, "STREAM.CREATE.S", json!({"name":"S","subjects":["s"]})).await;
    stop(server);
    let (_server, client) = start(dir.path(), "").await;
    let msgs = dir.path().join("jetstream/$G/streams/S/msgs");
    fs::rename(msgs.join("1.blk"), msgs.join("2.blk")).unwrap();
    for _ in 0..2 {
        is_closed(&publish(&client, "s").await, "another server writes to it");
    }
}

#[tokio::test]
async fn a_sealed_block_that_is_gone_before_any_index_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, client) = start(dir.path(), "").await;
    // Small blocks.
    let config = json!({"name":"S","subjects":["s"],"max_bytes":400_000});
    ask(&client, "STREAM.CREATE.S", config).await;
    let msgs = dir.path().join("jetstream/$G/streams/S/msgs");
    let body = "x".repeat(1000);
    for _ in 0..300 {
        within(client.request("s", body.clone().into())).await.unwrap();
    }
    while !msgs.join("1.len").exists() {
        within(client.request("s", body.clone().into())).await.unwrap();
    }
    server.signal(Signal::KILL);
    server.wait_exit(testkit::DEADLINE);
    fs::remove_file(msgs.join("1.blk")).unwrap();
    let (server, client) = start(dir.path(), "").await;
    let state = ask(&client, "STREAM.INFO.S", Value::Null).await["state"].clone();
    let lost = state["lost"]["msgs"].as_array().unwrap().len() as u64;
    assert_eq!(state["first_seq"].as_u64().unwrap(), lost + 1, "{state}");
    assert!(server.log().contains("lost data: msgs/1.blk at byte 0"), "{}", server.log());
}

/// Where monitoring listens, as the log tells.
fn monitor(server: &Server) -> std::net::SocketAddr {
    const LINE: &str = "Starting http monitor on ";
    server.wait_log(LINE);
    let log = server.log();
    log.lines().find_map(|line| Some(line.split_once(LINE)?.1.to_owned())).unwrap().parse().unwrap()
}

// Contract: MON-021
#[cfg(unix)]
#[tokio::test]
async fn a_long_start_can_be_watched() {
    let dir = tempfile::tempdir().unwrap();
    let stream = dir.path().join("jetstream/$G/streams/S");
    fs::create_dir_all(stream.join("msgs")).unwrap();
    // Whoever reads it waits until somebody writes.
    let held = stream.join("meta.inf");
    assert!(std::process::Command::new("mkfifo").arg(&held).status().unwrap().success());
    let text = config(dir.path(), "");
    let server = ServerBuilder::new(Which::Ours).config(&text).monitoring().spawn();
    let address = monitor(&server);
    let health = testkit::http::get(address, "/healthz");
    assert_eq!(health.status, 500, "{}", health.text());
    assert!(health.text().contains("failed to be ready for connections"), "{}", health.text());
    for path in ["/varz", "/jsz", "/connz", "/metrics"] {
        assert_eq!(testkit::http::get(address, path).status, 200, "{path}");
    }
    assert!(!server.log().contains("Server is ready"), "{}", server.log());
    // Whoever comes later finds a file; who waits goes on, as soon as it does wait.
    let pipe = stream.join("held");
    fs::rename(&held, &pipe).unwrap();
    fs::write(&held, "{}").unwrap();
    testkit::eventually(testkit::DEADLINE, "the server goes on", || {
        use std::os::unix::fs::OpenOptionsExt;
        // Without a reader this fails instead of waiting.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let released = fs::OpenOptions::new().write(true).custom_flags(flags).open(&pipe).is_ok();
        (released || server.log().contains("Server is ready")).then_some(())
    });
    server.wait_log("Server is ready");
}
