//! JetStream through the official client and raw requests.

use super::{url, within};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull, push};
use async_nats::jetstream::kv::Operation;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context, kv, object_store};
use futures_lite::StreamExt;
use ironats::Server;
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

pub(super) struct House {
    server: Server,
    pub(super) client: async_nats::Client,
    pub(super) js: Context,
    dir: TempDir,
}

impl House {
    pub(super) async fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), "").await
    }

    async fn open_in(dir: TempDir, extra: &str) -> Self {
        let conf = format!("jetstream {{ store_dir: {:?}\n{extra} }}", dir.path().display());
        let server = super::server(&conf);
        let client = async_nats::connect(url(&server)).await.unwrap();
        let js = jetstream::new(client.clone());
        Self { server, client, js, dir }
    }

    pub(super) async fn again(self) -> Self {
        self.server.shutdown();
        Self::open_in(self.dir, "").await
    }

    pub(super) async fn ask(&self, subject: &str, body: &Value) -> Value {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let subject = format!("$JS.API.{subject}");
        let answer = within(self.client.request(subject, body.into())).await.unwrap();
        serde_json::from_slice(&answer.payload).unwrap()
    }

    pub(super) async fn raw(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &str,
    ) -> String {
        let mut map = async_nats::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let subject = subject.to_owned();
        let request = self.client.request_with_headers(subject, map, payload.to_owned().into());
        String::from_utf8(within(request).await.unwrap().payload.to_vec()).unwrap()
    }

    async fn stream(&self, config: Config) -> jetstream::stream::Stream {
        within(self.js.create_stream(config)).await.unwrap()
    }
}

fn named(name: &str, subject: &str) -> Config {
    Config { name: name.into(), subjects: vec![subject.into()], ..Config::default() }
}

pub(super) fn code(answer: &Value) -> u64 {
    answer["error"]["err_code"].as_u64().unwrap_or_else(|| panic!("no error: {answer}"))
}

// Contract: PUB-001, PUB-002, PUB-004, PUB-005, PUB-006, PUB-008, PUB-009, PUB-025
#[tokio::test]
async fn publishers_get_their_answers() {
    let house = House::open().await;
    house.stream(Config { allow_rollup: true, ..named("S", "s.>") }).await;
    let id = [("Nats-Msg-Id", "1")];
    assert_eq!(house.raw("s.a", &id, "x").await, r#"{"stream":"S","seq":1}"#);
    assert_eq!(house.raw("s.a", &id, "x").await, r#"{"stream":"S","seq":1,"duplicate": true}"#);
    let refused = |header: [(&'static str, &'static str); 1]| {
        let house = &house;
        async move {
            let answer: Value =
                serde_json::from_str(&house.raw("s.a", &header, "x").await).unwrap();
            assert_eq!((&answer["stream"], &answer["seq"]), (&json!("S"), &json!(0)), "{answer}");
            (code(&answer), answer["error"]["description"].as_str().unwrap().to_owned())
        }
    };
    assert_eq!(refused([("Nats-Expected-Stream", "T")]).await.0, 10060);
    let (code, text) = refused([("Nats-Expected-Last-Sequence", "7")]).await;
    assert_eq!((code, text.as_str()), (10071, "wrong last sequence: 1"));
    assert_eq!(refused([("Nats-Expected-Last-Subject-Sequence", "0")]).await.0, 10071);
    assert_eq!(refused([("Nats-Expected-Last-Subject-Sequence-Subject", "s.b")]).await.0, 10193);
    assert_eq!(refused([("Nats-Expected-Last-Msg-Id", "2")]).await.0, 10070);
    assert_eq!(refused([("Nats-Rollup", "some")]).await.0, 10111);
    let rollup = [("Nats-Rollup", "all")];
    assert_eq!(house.raw("s.b", &rollup, "x").await, r#"{"stream":"S","seq":2}"#);
    let info = house.ask("STREAM.INFO.S", &Value::Null).await;
    assert_eq!((&info["state"]["messages"], &info["state"]["first_seq"]), (&json!(1), &json!(2)));
}

// Contract: PUB-010, PUB-013, PUB-014, PUB-015, STREAM-084, RET-002
#[tokio::test]
async fn limits_refuse_or_remove() {
    let house = House::open().await;
    let limits = json!({"name":"L","subjects":["l.>"],"max_msgs":2,"max_msg_size":4,
        "max_msgs_per_subject":1,"discard":"new","discard_new_per_subject":true});
    assert_eq!(house.ask("STREAM.CREATE.L", &limits).await["did_create"], json!(true));
    let publish = |subject: &'static str, headers: &'static [(&str, &str)], body: &'static str| {
        let house = &house;
        async move {
            let answer = house.raw(subject, headers, body).await;
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let error = &answer["error"];
            (error["err_code"].as_u64(), error["description"].as_str().map(str::to_owned))
        }
    };
    assert_eq!(publish("l.a", &[], "12345").await.0, Some(10054));
    assert_eq!(publish("l.a", &[("Nats-TTL", "1")], "").await.0, Some(10166));
    assert_eq!(publish("l.a", &[], "1").await, (None, None));
    let full = publish("l.a", &[], "2").await;
    assert_eq!(full, (Some(10077), Some("maximum messages per subject exceeded".into())));
    assert_eq!(publish("l.b", &[], "1").await, (None, None));
    let full = publish("l.c", &[], "1").await;
    assert_eq!(full, (Some(10077), Some("maximum messages exceeded".into())));
    house.stream(Config { max_messages: 10, ..named("O", "o.>") }).await;
    for i in 0..20 {
        house.raw("o.a", &[], &i.to_string()).await;
    }
    let info = house.ask("STREAM.INFO.O", &Value::Null).await;
    assert_eq!(info["state"]["first_seq"], json!(11));
    house.js.update_stream(Config { max_messages: 3, ..named("O", "o.>") }).await.unwrap();
    let info = house.ask("STREAM.INFO.O", &Value::Null).await;
    assert_eq!((&info["state"]["messages"], &info["state"]["first_seq"]), (&json!(3), &json!(18)));
}

// Contract: API-001, API-002, API-003, API-004, API-005, API-006, API-007, API-008, API-034
// Contract: API-037
#[tokio::test]
async fn streams_are_made_listed_changed_and_deleted() {
    let house = House::open().await;
    let config = json!({"name":"A","subjects":["a.>"],"storage":"memory"});
    let made = house.ask("STREAM.CREATE.A", &config).await;
    assert_eq!(made["type"], "io.nats.jetstream.api.v1.stream_create_response");
    assert_eq!(made["config"]["duplicate_window"], json!(120_000_000_000u64));
    assert_eq!(house.ask("STREAM.CREATE.A", &config).await["did_create"], json!(true));
    let other = json!({"name":"A","subjects":["b.>"],"storage":"memory"});
    assert_eq!(code(&house.ask("STREAM.CREATE.A", &other).await), 10058);
    assert_eq!(code(&house.ask("STREAM.CREATE.B", &config).await), 10056);
    let overlapping = json!({"name":"B","subjects":["a.b"]});
    assert_eq!(code(&house.ask("STREAM.CREATE.B", &overlapping).await), 10065);
    assert_eq!(code(&house.ask("STREAM.CREATE.B", &json!({"name":"B","x":1})).await), 10025);
    assert_eq!(code(&house.ask("STREAM.UPDATE.C", &json!({"name":"C"})).await), 10059);
    for name in ["C", "B"] {
        house.ask(&format!("STREAM.CREATE.{name}"), &json!({"name": name})).await;
    }
    let names = house.ask("STREAM.NAMES", &Value::Null).await;
    assert_eq!(names["streams"], json!(["A", "B", "C"]));
    assert_eq!((&names["total"], &names["limit"]), (&json!(3), &json!(1024)));
    let names = house.ask("STREAM.NAMES", &json!({"subject":"a.*"})).await;
    assert_eq!(names["streams"], json!(["A"]));
    let list = house.ask("STREAM.LIST", &json!({"offset":1})).await;
    let listed: Vec<&str> = list["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["config"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(listed, ["B", "C"]);
    house.raw("a.1", &[], "x").await;
    let info = house.ask("STREAM.INFO.A", &json!({"subjects_filter":">"})).await;
    assert_eq!(info["state"]["subjects"], json!({"a.1": 1}));
    assert_eq!(code(&house.ask("STREAM.DELETE.A", &json!({"x":1})).await), 10038);
    assert_eq!(house.ask("STREAM.DELETE.A", &json!({})).await["success"], json!(true));
    assert_eq!(code(&house.ask("STREAM.INFO.A", &Value::Null).await), 10059);
    let account = house.ask("INFO", &Value::Null).await;
    assert_eq!((&account["streams"], &account["api"]["level"]), (&json!(2), &json!(4)));
    assert!(account["api"]["errors"].as_u64().unwrap() >= 6, "{account}");
    let refused = house.raw("$JS.API.INFO", &[("Nats-Required-Api-Level", "99")], "").await;
    assert_eq!(code(&serde_json::from_str(&refused).unwrap()), 10185);
    let junk = house.client.request("$JS.API.JUNK", "".into());
    assert!(tokio::time::timeout(Duration::from_millis(300), junk).await.is_err(), "no answer");
}

// Contract: API-009, API-010, API-011, RET-009, RET-014
#[tokio::test]
async fn messages_are_got_deleted_and_purged() {
    let house = House::open().await;
    house.stream(named("S", "s.*")).await;
    for i in 0..10 {
        house.raw(&format!("s.{}", i % 2), &[("K", "v")], &i.to_string()).await;
    }
    let got = house.ask("STREAM.MSG.GET.S", &json!({"last_by_subj":"s.0"})).await;
    assert_eq!((&got["message"]["seq"], &got["message"]["data"]), (&json!(9), &json!("OA==")));
    assert!(got["message"]["hdrs"].is_string());
    let got = house.ask("STREAM.MSG.GET.S", &json!({"seq":3,"next_by_subj":"s.1"})).await;
    assert_eq!(got["message"]["seq"], json!(4));
    assert_eq!(code(&house.ask("STREAM.MSG.GET.S", &json!({"seq":99})).await), 10037);
    assert_eq!(
        code(&house.ask("STREAM.MSG.GET.S", &json!({"seq":1,"last_by_subj":"a"})).await),
        10003
    );
    let deleted = house.ask("STREAM.MSG.DELETE.S", &json!({"seq":5})).await;
    assert_eq!(deleted["success"], json!(true));
    assert_eq!(code(&house.ask("STREAM.MSG.DELETE.S", &json!({"seq":5})).await), 10043);
    let info = house.ask("STREAM.INFO.S", &json!({"deleted_details":true})).await;
    assert_eq!(info["state"]["deleted"], json!([5]));
    let purged = house.ask("STREAM.PURGE.S", &json!({"filter":"s.1","keep":1})).await;
    assert_eq!(purged["purged"], json!(4));
    assert_eq!(code(&house.ask("STREAM.PURGE.S", &json!({"seq":1,"keep":1})).await), 10003);
    assert_eq!(house.ask("STREAM.PURGE.S", &json!({"seq":4})).await["purged"], json!(2));
    assert_eq!(house.ask("STREAM.PURGE.S", &Value::Null).await["purged"], json!(3));
    let state = house.ask("STREAM.INFO.S", &Value::Null).await["state"].clone();
    assert_eq!(
        (&state["messages"], &state["first_seq"], &state["last_seq"]),
        (&json!(0), &json!(11), &json!(10))
    );
}

// Contract: DGET-001, DGET-002, DGET-003, DGET-004, DGET-005, DGET-007, DGET-010
#[tokio::test]
async fn direct_gets_answer_as_messages() {
    let house = House::open().await;
    house.stream(Config { allow_direct: true, ..named("D", "d.*") }).await;
    for i in 0..6 {
        house.raw(&format!("d.{}", i % 3), &[], &i.to_string()).await;
    }
    let get = |body: Value| {
        let house = &house;
        async move {
            let to = house.client.new_inbox();
            let mut answers = house.client.subscribe(to.clone()).await.unwrap();
            let body = body.to_string();
            house.client.publish_with_reply("$JS.API.DIRECT.GET.D", to, body.into()).await.unwrap();
            let mut all = Vec::new();
            while let Ok(Some(m)) =
                tokio::time::timeout(Duration::from_millis(300), answers.next()).await
            {
                all.push(m);
            }
            all
        }
    };
    let one = get(json!({"seq":2})).await;
    let headers = one[0].headers.as_ref().unwrap();
    assert_eq!(headers.get("Nats-Subject").unwrap().as_str(), "d.1");
    assert_eq!(headers.get("Nats-Sequence").unwrap().as_str(), "2");
    assert!(get(json!({"seq":2,"no_hdr":true})).await[0].headers.is_none());
    let status = |m: &async_nats::Message| m.status.map(|s| s.as_u16());
    assert_eq!(status(&get(json!({"seq":99})).await[0]), Some(404));
    assert_eq!(status(&get(json!({})).await[0]), Some(408));
    let batch = get(json!({"seq":1,"next_by_subj":">","batch":3})).await;
    assert_eq!(batch.len(), 4);
    assert_eq!(batch[0].headers.as_ref().unwrap().get("Nats-Num-Pending").unwrap().as_str(), "5");
    assert_eq!(status(&batch[3]), Some(204));
    let many = get(json!({"multi_last":["d.0","d.2"]})).await;
    let seqs: Vec<&str> = many[..2]
        .iter()
        .map(|m| m.headers.as_ref().unwrap().get("Nats-Sequence").unwrap().as_str())
        .collect();
    assert_eq!(seqs, ["4", "6"]);
    assert_eq!(many[2].headers.as_ref().unwrap().get("Nats-UpTo-Sequence").unwrap().as_str(), "6");
    let last = within(house.client.request("$JS.API.DIRECT.GET.D.d.1", "".into())).await.unwrap();
    assert_eq!(last.payload, "4");
    house.stream(named("N", "n")).await;
    let nobody = house.client.request("$JS.API.DIRECT.GET.N", r#"{"seq":1}"#.into()).await;
    assert!(nobody.unwrap_err().to_string().contains("no responders"));
}

// Contract: CONS-043, CONS-045, CONS-046, CONS-047, API-027, API-028, RET-003
#[tokio::test]
async fn pulled_messages_are_acknowledged_and_leave_a_work_queue() {
    let house = House::open().await;
    let config = Config { retention: RetentionPolicy::WorkQueue, ..named("W", "w.*") };
    let stream = house.stream(config).await;
    for i in 0..20 {
        house.raw(&format!("w.{i}"), &[], "job").await;
    }
    let consumer: PullConsumer = stream
        .create_consumer(pull::Config {
            durable_name: Some("C".into()),
            ack_wait: Duration::from_millis(400),
            ..pull::Config::default()
        })
        .await
        .unwrap();
    let mut batch = consumer.fetch().max_messages(10).messages().await.unwrap();
    let mut seen = 0;
    while let Some(message) = within(batch.next()).await {
        let message = message.unwrap();
        assert_eq!(message.subject.as_str(), format!("w.{seen}"));
        if seen < 5 {
            within(message.double_ack()).await.unwrap();
        }
        seen += 1;
    }
    assert_eq!(seen, 10);
    let info = house.ask("STREAM.INFO.W", &Value::Null).await;
    assert_eq!((&info["state"]["messages"], &info["state"]["first_seq"]), (&json!(15), &json!(6)));
    // What was not acknowledged comes again.
    let mut again =
        consumer.batch().max_messages(15).expires(Duration::from_secs(5)).messages().await.unwrap();
    let mut subjects = Vec::new();
    while let Some(message) = within(again.next()).await {
        let message = message.unwrap();
        subjects.push((message.subject.to_string(), message.info().unwrap().delivered));
        message.ack().await.unwrap();
    }
    subjects.sort();
    assert_eq!(subjects.len(), 15);
    assert!(subjects.iter().filter(|(_, delivered)| *delivered == 2).count() == 5, "{subjects:?}");
    let info = house.ask("CONSUMER.INFO.W.C", &Value::Null).await;
    assert_eq!(info["config"]["ack_policy"], "explicit");
    assert_eq!(house.ask("CONSUMER.DELETE.W.C", &Value::Null).await["success"], json!(true));
    assert_eq!(code(&house.ask("CONSUMER.INFO.W.C", &Value::Null).await), 10014);
    let gone = house.client.request("$JS.API.CONSUMER.MSG.NEXT.W.C", "1".into()).await;
    assert!(gone.unwrap_err().to_string().contains("no responders"));
}

// Contract: RET-004, RET-008, PUB-017
#[tokio::test]
async fn interest_decides_what_is_kept() {
    let house = House::open().await;
    let config = Config { retention: RetentionPolicy::Interest, ..named("I", "i.*") };
    let stream = house.stream(config).await;
    assert_eq!(house.raw("i.a", &[], "x").await, r#"{"stream":"I","seq":1}"#);
    let messages = |house: &House| {
        let ask = house.client.clone();
        async move {
            let answer = ask.request("$JS.API.STREAM.INFO.I", "".into()).await.unwrap();
            let info: Value = serde_json::from_slice(&answer.payload).unwrap();
            info["state"]["messages"].as_u64().unwrap()
        }
    };
    assert_eq!(messages(&house).await, 0);
    let consumer =
        |name: &str| pull::Config { durable_name: Some(name.into()), ..pull::Config::default() };
    let one: PullConsumer = stream.create_consumer(consumer("one")).await.unwrap();
    let two: PullConsumer = stream.create_consumer(consumer("two")).await.unwrap();
    house.raw("i.a", &[], "x").await;
    assert_eq!(messages(&house).await, 1);
    for consumer in [&one, &two] {
        assert_eq!(messages(&house).await, 1);
        let mut batch = consumer.fetch().max_messages(1).messages().await.unwrap();
        within(within(batch.next()).await.unwrap().unwrap().double_ack()).await.unwrap();
    }
    assert_eq!(messages(&house).await, 0);
    house.raw("i.a", &[], "y").await;
    assert_eq!(messages(&house).await, 1);
    stream.delete_consumer("one").await.unwrap();
    stream.delete_consumer("two").await.unwrap();
    assert_eq!(messages(&house).await, 0);
}

// Contract: CONS-063, CONS-067
#[tokio::test]
async fn push_consumers_follow_their_subscribers() {
    let house = House::open().await;
    let stream = house.stream(named("P", "p.*")).await;
    for i in 0..5 {
        house.raw("p.a", &[], &i.to_string()).await;
    }
    let consumer: jetstream::consumer::PushConsumer = stream
        .create_consumer(push::Config {
            deliver_subject: "deliver.here".into(),
            durable_name: Some("C".into()),
            ack_policy: AckPolicy::Explicit,
            ..push::Config::default()
        })
        .await
        .unwrap();
    let info = house.ask("CONSUMER.INFO.P.C", &Value::Null).await;
    assert_eq!((&info["num_pending"], info.get("push_bound")), (&json!(5), None));
    let mut messages = consumer.messages().await.unwrap();
    for i in 0..5 {
        let message = within(messages.next()).await.unwrap().unwrap();
        assert_eq!(message.payload, i.to_string());
        message.ack().await.unwrap();
    }
    house.raw("p.a", &[], "live").await;
    assert_eq!(within(messages.next()).await.unwrap().unwrap().payload, "live");
    let info = house.ask("CONSUMER.INFO.P.C", &Value::Null).await;
    assert_eq!(info["push_bound"], json!(true));
}

// Contract: KV-001, KV-002, KV-003, KV-004
#[tokio::test]
async fn key_value_buckets_work() {
    let house = House::open().await;
    let config = kv::Config { bucket: "B".into(), history: 5, ..kv::Config::default() };
    let bucket = house.js.create_key_value(config).await.unwrap();
    assert_eq!(bucket.put("a", "1".into()).await.unwrap(), 1);
    assert_eq!(bucket.put("a", "2".into()).await.unwrap(), 2);
    assert!(bucket.create("a", "3".into()).await.is_err());
    assert!(bucket.update("a", "3".into(), 1).await.is_err());
    assert_eq!(bucket.update("a", "3".into(), 2).await.unwrap(), 3);
    assert_eq!(bucket.get("a").await.unwrap().unwrap(), "3");
    let history: Vec<_> = within(bucket.history("a").await.unwrap().collect::<Vec<_>>()).await;
    assert_eq!(history.len(), 3);
    let mut watch = bucket.watch_all().await.unwrap();
    bucket.put("b", "x".into()).await.unwrap();
    let entry = within(watch.next()).await.unwrap().unwrap();
    assert_eq!((entry.key.as_str(), entry.operation), ("b", Operation::Put));
    bucket.delete("b").await.unwrap();
    assert_eq!(within(watch.next()).await.unwrap().unwrap().operation, Operation::Delete);
    bucket.purge("a").await.unwrap();
    assert!(bucket.get("a").await.unwrap().is_none());
    let keys: Vec<_> = within(bucket.keys().await.unwrap().collect::<Vec<_>>()).await;
    assert!(keys.is_empty(), "{keys:?}");
}

// Contract: OBJ-001
#[tokio::test]
async fn objects_are_stored_in_chunks() {
    let house = House::open().await;
    let config = object_store::Config { bucket: "O".into(), ..object_store::Config::default() };
    let bucket = house.js.create_object_store(config).await.unwrap();
    let data: Vec<u8> = (0..400_000u32).map(|i| (i % 251) as u8).collect();
    let info = bucket.put("file", &mut data.as_slice()).await.unwrap();
    assert!(info.chunks >= 3);
    let mut read = Vec::new();
    bucket.get("file").await.unwrap().read_to_end(&mut read).await.unwrap();
    assert!(read == data, "the object comes back as it was");
    bucket.delete("file").await.unwrap();
    assert!(bucket.get("file").await.is_err());
}

// Contract: MSTORE-002
#[tokio::test]
async fn streams_and_consumers_outlive_the_server() {
    let house = House::open().await;
    let stream = house.stream(named("S", "s.*")).await;
    let memory = Config { storage: StorageType::Memory, ..named("M", "m") };
    house.stream(memory).await;
    for i in 0..50 {
        house.raw(&format!("s.{}", i % 5), &[("Nats-Msg-Id", &i.to_string())], "x").await;
    }
    let config = pull::Config { durable_name: Some("C".into()), ..pull::Config::default() };
    let consumer: PullConsumer = stream.create_consumer(config).await.unwrap();
    let mut batch = consumer.fetch().max_messages(10).messages().await.unwrap();
    while let Some(message) = within(batch.next()).await {
        within(message.unwrap().double_ack()).await.unwrap();
    }
    let before = house.ask("STREAM.INFO.S", &json!({"subjects_filter":">"})).await;
    let house = house.again().await;
    let after = house.ask("STREAM.INFO.S", &json!({"subjects_filter":">"})).await;
    for field in ["config", "created", "state"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    let info = house.ask("CONSUMER.INFO.S.C", &Value::Null).await;
    assert_eq!(info["ack_floor"]["stream_seq"], json!(10));
    assert_eq!(info["num_pending"], json!(40));
    assert_eq!(code(&house.ask("STREAM.INFO.M", &Value::Null).await), 10059);
    let duplicate = house.raw("s.0", &[("Nats-Msg-Id", "49")], "x").await;
    assert_eq!(duplicate, r#"{"stream":"S","seq":50,"duplicate": true}"#);
    assert_eq!(house.raw("s.0", &[], "x").await, r#"{"stream":"S","seq":51}"#);
}

// Contract: ADV-001, API-041
#[tokio::test]
async fn advisories_are_sent_to_those_who_listen() {
    let house = House::open().await;
    let mut events = house.client.subscribe("$JS.EVENT.ADVISORY.>").await.unwrap();
    house.client.flush().await.unwrap();
    house.stream(named("S", "s")).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let event = within(events.next()).await.unwrap();
        let body: Value = serde_json::from_slice(&event.payload).unwrap();
        assert_eq!(body["id"].as_str().unwrap().len(), 22);
        seen.push((event.subject.to_string(), body));
    }
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(seen[0].0, "$JS.EVENT.ADVISORY.API");
    assert_eq!(seen[0].1["type"], "io.nats.jetstream.advisory.v1.api_audit");
    assert_eq!(seen[0].1["subject"], "$JS.API.STREAM.CREATE.S");
    assert_eq!(seen[0].1["client"]["acc"], "$G");
    assert_eq!(seen[1].0, "$JS.EVENT.ADVISORY.STREAM.CREATED.S");
    assert_eq!(seen[1].1["action"], "create");
}
