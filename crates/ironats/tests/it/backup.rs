//! Streams that leave one server as archives and come into another, ours and the reference.

use async_nats::{Client, HeaderMap};
use futures_lite::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::binary::{Which, peer_of_version};
use testkit::server::{Server, ServerBuilder};

use super::jetstream::code;
use super::within;

async fn connect(server: &Server) -> Client {
    async_nats::connect(format!("nats://{}", server.addr())).await.unwrap()
}

fn start(which: Which, extra: &str) -> Server {
    let config = format!("jetstream {{ store_dir: \"{{dir}}/js\"\n{extra} }}");
    ServerBuilder::new(which).config(&config).start()
}

async fn ask(client: &Client, subject: &str, body: &Value) -> Value {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = within(client.request(format!("$JS.API.{subject}"), body.into())).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// How a backup ended, beside its bytes.
struct Archive {
    bytes: Vec<u8>,
    answer: Value,
    chunks: Vec<usize>,
    /// Where the chunks were to be acknowledged.
    acks: Vec<Option<String>>,
    end: Option<HeaderMap>,
    status: Option<String>,
}

async fn backup(client: &Client, mut asked: Value) -> Archive {
    let inbox = client.new_inbox();
    let mut sub = client.subscribe(inbox.clone()).await.unwrap();
    asked["deliver_subject"] = json!(inbox);
    let answer = ask(client, "STREAM.SNAPSHOT.S", &asked).await;
    assert!(answer.get("error").is_none(), "{answer}");
    let (mut bytes, mut chunks, mut acks) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let m = within(sub.next()).await.unwrap();
        if m.payload.is_empty() {
            let status = m.status.map(|s| format!("{s}"));
            return Archive { bytes, answer, chunks, acks, end: m.headers, status };
        }
        bytes.extend_from_slice(&m.payload);
        chunks.push(m.payload.len());
        acks.push(m.reply.as_ref().map(ToString::to_string));
        if let Some(reply) = m.reply {
            client.publish(reply, "".into()).await.unwrap();
        }
    }
}

/// Sends an archive; returns what the last chunk was answered, or the first one that was refused.
async fn send(client: &Client, subject: &str, archive: &[u8]) -> Value {
    for chunk in archive.chunks(100_000) {
        let chunk = chunk.to_vec().into();
        let answer = within(client.request(subject.to_owned(), chunk)).await.unwrap();
        if !answer.payload.is_empty() {
            return serde_json::from_slice(&answer.payload).unwrap();
        }
    }
    let answer = within(client.request(subject.to_owned(), "".into())).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

async fn restore(client: &Client, config: &Value, archive: &[u8]) -> Value {
    let name = config["name"].as_str().unwrap();
    let asked = json!({"config": config, "state": {"messages": 0}});
    let answer = ask(client, &format!("STREAM.RESTORE.{name}"), &asked).await;
    let subject = answer["deliver_subject"].as_str().filter(|s| !s.is_empty());
    let Some(subject) = subject else { return answer };
    let prefix = format!("$JS.SNAPSHOT.RESTORE.{name}.");
    assert!(subject.starts_with(&prefix), "{subject}");
    send(client, subject, archive).await
}

/// Messages with gaps, and a consumer that is somewhere among them.
async fn fill(client: &Client) {
    let config = json!({"name":"S","subjects":["s.>"],"allow_msg_ttl":true,"metadata":{"a":"b"}});
    assert_eq!(ask(client, "STREAM.CREATE.S", &config).await["did_create"], json!(true));
    let consumer = json!({"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}});
    ask(client, "CONSUMER.CREATE.S.C", &consumer).await;
    let mut state = 7u32;
    for i in 0..300 {
        let mut body = vec![0u8; 2_000];
        for byte in &mut body {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        within(client.request(format!("s.{}", i % 7), body.into())).await.unwrap();
    }
    for seq in [5, 6, 150] {
        let answer = ask(client, "STREAM.MSG.DELETE.S", &json!({"seq": seq})).await;
        assert_eq!(answer["success"], json!(true));
    }
    let inbox = client.new_inbox();
    let mut sub = client.subscribe(inbox.clone()).await.unwrap();
    let pull = json!({"batch": 20}).to_string();
    let subject = "$JS.API.CONSUMER.MSG.NEXT.S.C";
    client.publish_with_reply(subject, inbox, pull.into()).await.unwrap();
    for i in 0..20 {
        let m = within(sub.next()).await.unwrap();
        if i % 3 != 2 {
            within(client.request(m.reply.unwrap(), "".into())).await.unwrap();
        }
    }
}

/// What a stream and its consumer say, without what belongs to the server.
async fn told(client: &Client) -> (Value, Value, Vec<String>) {
    let asked = json!({"deleted_details": true, "subjects_filter": ">"});
    let info = ask(client, "STREAM.INFO.S", &asked).await;
    let mut stream =
        json!({"config": info["config"], "state": info["state"], "created": info["created"]});
    stream["config"]["metadata"].as_object_mut().unwrap().retain(|key, _| key == "a");
    let info = ask(client, "CONSUMER.INFO.S.C", &Value::Null).await;
    let mut consumer = json!({});
    for key in ["name", "num_ack_pending", "num_pending", "num_redelivered"] {
        consumer[key] = info[key].clone();
    }
    for key in ["delivered", "ack_floor"] {
        for seq in ["consumer_seq", "stream_seq"] {
            consumer[key][seq] = info[key][seq].clone();
        }
    }
    consumer["durable"] = info["config"]["durable_name"].clone();
    let mut messages = Vec::new();
    for seq in [1, 7, 149, 151, 300] {
        let got = ask(client, "STREAM.MSG.GET.S", &json!({"seq": seq})).await;
        messages.push(got["message"].to_string());
    }
    (stream, consumer, messages)
}

// Contract: SNAP-001, SNAP-004, SNAP-006, API-012, API-013
#[tokio::test]
async fn a_stream_leaves_in_chunks_and_comes_back_the_same() {
    let server = start(Which::Ours, "");
    let client = connect(&server).await;
    fill(&client).await;
    let mut events = client.subscribe("$JS.EVENT.ADVISORY.STREAM.*.S").await.unwrap();
    let before = told(&client).await;
    let archive = backup(&client, json!({"chunk_size": 65_536, "window_size": 65_536})).await;
    assert_eq!(archive.answer["state"]["messages"], json!(297));
    assert_eq!(archive.answer["config"]["name"], "S");
    assert_eq!(archive.status.as_deref(), Some("204"), "{:?}", archive.end);
    let (last, full) = archive.chunks.split_last().unwrap();
    assert!(full.len() > 5 && full.iter().all(|len| *len == 65_536) && *last < 65_536);
    for (i, ack) in archive.acks.iter().enumerate() {
        match ack {
            Some(ack) => {
                assert!(ack.starts_with("$JS.SNAPSHOT.ACK.S."), "{ack}");
                assert!(ack.ends_with(&format!(".65536.{}", i + 1)), "{ack}");
            }
            None => assert_eq!(i, full.len(), "only the last is not acknowledged"),
        }
    }
    let config = before.0["config"].clone();
    assert_eq!(code(&restore(&client, &config, &archive.bytes).await), 10130);
    assert_eq!(code(&ask(&client, "STREAM.RESTORE.T", &json!({"config": config})).await), 10056);
    assert_eq!(code(&ask(&client, "STREAM.RESTORE.S", &Value::Null).await), 10003);
    assert_eq!(ask(&client, "STREAM.DELETE.S", &Value::Null).await["success"], json!(true));
    let made = restore(&client, &config, &archive.bytes).await;
    assert_eq!(made["type"], "io.nats.jetstream.api.v1.stream_create_response", "{made}");
    assert_eq!(made["state"]["messages"], json!(297), "{made}");
    assert_eq!(told(&client).await, before);
    let acked = within(client.request("s.new", "".into())).await.unwrap();
    assert_eq!(acked.payload, r#"{"stream":"S","seq":301}"#);
    let mut kinds = Vec::new();
    while kinds.len() < 5 {
        let event = within(events.next()).await.unwrap();
        let body: Value = serde_json::from_slice(&event.payload).unwrap();
        assert_eq!(body["stream"], "S", "{body}");
        let kind = body["type"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
        if kind == "restore_complete" {
            assert_eq!(body["bytes"], json!(archive.bytes.len()));
        }
        if kind != "stream_action" {
            assert_eq!(body["client"]["acc"], "$G", "{body}");
        }
        kinds.push(kind);
    }
    let order = ["snapshot_create", "snapshot_complete", "stream_action", "restore_create"];
    assert_eq!(kinds.get(..4).unwrap(), order);
}

/// As the `nats` command line does it: answers come by one wildcard, and the subject of the chunks,
/// which that covers, is subscribed to once the request is answered.
// Contract: SNAP-001
#[tokio::test]
async fn a_backup_waits_for_those_who_subscribe_after_the_answer() {
    let server = start(Which::Ours, "");
    let client = connect(&server).await;
    fill(&client).await;
    let mux = client.new_inbox();
    let _all = client.subscribe(format!("{mux}.*")).await.unwrap();
    let deliver = format!("{mux}.chunks");
    let answer = ask(&client, "STREAM.SNAPSHOT.S", &json!({"deliver_subject": deliver})).await;
    assert!(answer.get("error").is_none(), "{answer}");
    let mut chunks = client.subscribe(deliver).await.unwrap();
    let first = within(chunks.next()).await.unwrap();
    assert!(!first.payload.is_empty(), "the first chunk is not lost");
}

// Contract: SNAP-002, SNAP-003, SNAP-008
#[tokio::test]
async fn what_a_backup_may_ask_for() {
    let server = start(Which::Ours, "");
    let client = connect(&server).await;
    fill(&client).await;
    let refused = |asked: Value| {
        let client = client.clone();
        async move { ask(&client, "STREAM.SNAPSHOT.S", &asked).await }
    };
    assert_eq!(code(&refused(Value::Null).await), 10003);
    assert_eq!(code(&refused(json!({"deliver_subject": "a.*"})).await), 10015);
    assert_eq!(
        code(&ask(&client, "STREAM.SNAPSHOT.X", &json!({"deliver_subject": "a"})).await),
        10059
    );
    // Nobody acknowledges: it stands still, and another one has to wait.
    let mut slow = client.subscribe("slow").await.unwrap();
    let asked = json!({"deliver_subject": "slow", "chunk_size": 1024, "window_size": 2048});
    assert!(refused(asked.clone()).await.get("error").is_none());
    let answer = refused(asked).await;
    assert_eq!(code(&answer), 10064);
    assert_eq!(answer["error"]["description"], "snapshot failed: snapshot in progress");
    let mut chunks = 0;
    let end = loop {
        let m = within(slow.next()).await.unwrap();
        if m.payload.is_empty() {
            break m;
        }
        chunks += 1;
    };
    assert_eq!((chunks, end.status.map(|s| s.as_u16())), (2, Some(408)), "{end:?}");
    assert_eq!(end.description.as_deref(), Some("No Flow Response"));
    let archive = backup(&client, json!({"no_consumers": true, "jsck": true})).await;
    let config = ask(&client, "STREAM.INFO.S", &Value::Null).await["config"].clone();
    ask(&client, "STREAM.DELETE.S", &Value::Null).await;
    let made = restore(&client, &config, &archive.bytes).await;
    assert_eq!(made["state"]["messages"], json!(297), "{made}");
    assert!(made["state"]["consumer_count"].as_u64().unwrap_or(0) == 0, "{made}");
    let memory = json!({"name":"M","storage":"memory"});
    ask(&client, "STREAM.CREATE.M", &memory).await;
    assert_eq!(
        code(&ask(&client, "STREAM.SNAPSHOT.M", &json!({"deliver_subject": "a"})).await),
        10064
    );
}

// Contract: SNAP-004
#[tokio::test]
async fn archives_that_cannot_be_are_refused_and_leave_nothing() {
    let server = start(Which::Ours, "max_file_store: 10MB");
    let client = connect(&server).await;
    fill(&client).await;
    let archive = backup(&client, json!({})).await;
    let mut config = ask(&client, "STREAM.INFO.S", &Value::Null).await["config"].clone();
    ask(&client, "STREAM.DELETE.S", &Value::Null).await;
    let cut = archive.bytes.get(..archive.bytes.len() / 2).unwrap();
    assert_eq!(code(&restore(&client, &config, cut).await), 10062);
    let mut bad = archive.bytes.clone();
    if let Some(byte) = bad.get_mut(150_000) {
        *byte ^= 0x55;
    }
    assert_eq!(code(&restore(&client, &config, &bad).await), 10062);
    assert_eq!(code(&restore(&client, &config, b"what is this?").await), 10062);
    let mut other = config.clone();
    other["name"] = json!("T");
    other["subjects"] = json!(["t"]);
    let answer = restore(&client, &other, &archive.bytes).await;
    assert_eq!(answer["error"]["description"], "restore failed: stream names do not match");
    // A name that somebody took meanwhile.
    let asked = json!({"config": config});
    let answer = ask(&client, "STREAM.RESTORE.S", &asked).await;
    let subject = answer["deliver_subject"].as_str().unwrap().to_owned();
    ask(&client, "STREAM.CREATE.S", &json!({"name": "S"})).await;
    assert_eq!(code(&send(&client, &subject, &archive.bytes).await), 10130);
    ask(&client, "STREAM.DELETE.S", &Value::Null).await;
    // Subjects that another one took meanwhile.
    ask(&client, "STREAM.CREATE.U", &json!({"name": "U", "subjects": ["s.1"]})).await;
    assert_eq!(code(&restore(&client, &config, &archive.bytes).await), 10065);
    ask(&client, "STREAM.DELETE.U", &Value::Null).await;
    let scratch = server.dir().join("js/jetstream/$G/__snapshots__");
    let gone = || std::fs::read_dir(&scratch).map_or(0, Iterator::count) == 0;
    within(async {
        while !gone() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let listed = ask(&client, "STREAM.NAMES", &Value::Null).await;
    assert_eq!(listed["streams"], json!(null), "{listed}");
    config["max_bytes"] = json!(20_000_000);
    let answer = ask(&client, "STREAM.RESTORE.S", &json!({"config": config})).await;
    assert_eq!(code(&answer), 10047, "{answer}");
    config["max_bytes"] = json!(-1);
    let made = restore(&client, &config, &archive.bytes).await;
    assert_eq!(made["state"]["messages"], json!(297), "{made}");
}

// Contract: SNAP-001, SNAP-005
#[tokio::test]
async fn archives_are_exchanged_with_the_reference() {
    if peer_of_version("2.14", "archives exchanged").is_none() {
        return;
    }
    let key = "cipher: chachapoly, key: \"0123456789abcdef0123456789abcdef\"";
    for (from, to, extra) in [
        (Which::Peer, Which::Ours, ""),
        (Which::Ours, Which::Peer, ""),
        (Which::Peer, Which::Ours, key),
        (Which::Ours, Which::Peer, key),
    ] {
        let server = start(from, extra);
        let client = connect(&server).await;
        fill(&client).await;
        let before = told(&client).await;
        let archive = backup(&client, json!({"jsck": true})).await;
        drop(server);
        let server = start(to, extra);
        let client = connect(&server).await;
        let made = restore(&client, &before.0["config"], &archive.bytes).await;
        assert_eq!(made["state"]["messages"], json!(297), "{made}");
        assert_eq!(told(&client).await, before, "{} to {}", from.name(), to.name());
        let acked = within(client.request("s.new", "".into())).await.unwrap();
        assert_eq!(acked.payload, r#"{"stream":"S","seq":301}"#);
    }
}
