//! What streams may be configured to, and what that does; answers compared with the reference.

use futures_lite::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;

use super::pair::{Pair, says};
use super::within;

/// Creates a stream on both.
async fn create(pair: &Pair, config: Value) -> Value {
    let name = config["name"].as_str().unwrap().to_owned();
    pair.done(&format!("STREAM.CREATE.{name}"), config).await
}

// Contract: STREAM-004, STREAM-015, STREAM-029, STREAM-036, STREAM-083, STREAM-086
#[tokio::test]
async fn fields_with_defaults_and_those_that_only_go_one_way() {
    let pair = Pair::open("max_file_store: 10MB").await;
    let made = create(&pair, json!({"name":"A"})).await;
    assert_eq!(made["config"]["storage"], "file");
    let silent = json!({"name":"N","subjects":["n"],"no_ack":true,"storage":"memory"});
    create(&pair, silent).await;
    for (_, _, client) in &pair.sides {
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.unwrap();
        client.publish_with_reply("n", inbox, "x".into()).await.unwrap();
        client.flush().await.unwrap();
        let answer = tokio::time::timeout(Duration::from_millis(200), answers.next()).await;
        assert!(answer.is_err(), "no_ack is answered: {answer:?}");
    }
    let info = pair.ask("STREAM.INFO.N", Value::Null).await;
    assert_eq!(info["state"]["messages"], json!(1));
    create(&pair, json!({"name":"D","subjects":["d"],"deny_delete":true,"deny_purge":true})).await;
    pair.publish("d", &[], "x").await;
    assert_eq!(pair.refused("STREAM.MSG.DELETE.D", json!({"seq":1})).await, 10057);
    assert_eq!(pair.refused("STREAM.PURGE.D", Value::Null).await, 10110);
    for undone in [json!({"deny_delete":true}), json!({"deny_purge":true})] {
        let mut config = json!({"name":"D","subjects":["d"]});
        config.as_object_mut().unwrap().extend(undone.as_object().unwrap().clone());
        assert_eq!(pair.refused("STREAM.UPDATE.D", config).await, 10052);
    }
    let given = json!({"a":"b","_nats.ver":"9.9.9","_nats.level":"77","_nats.req.level":"55"});
    let made = create(&pair, json!({"name":"V","metadata":given,"allow_msg_ttl":true})).await;
    let stamped = json!({"a":"b","_nats.ver":"2.14.5","_nats.level":"4","_nats.req.level":"1"});
    assert_eq!(made["config"]["metadata"], stamped);
    let listed = pair.ask("STREAM.LIST", json!({"subject":"V"})).await;
    let stored = json!({"a":"b","_nats.req.level":"1"});
    assert_eq!(listed["streams"][0]["config"]["metadata"], stored);
    // Subjects come and go while the stream lives.
    pair.done("STREAM.UPDATE.A", json!({"name":"A","subjects":["a1","a2"]})).await;
    assert_eq!(pair.publish("a2", &[], "x").await, r#"{"stream":"A","seq":1}"#);
    pair.done("STREAM.UPDATE.A", json!({"name":"A","subjects":["a1"]})).await;
    for (_, _, client) in &pair.sides {
        assert!(within(client.request("a2", "x".into())).await.is_err(), "nobody listens");
    }
    // Only what a limit grows by has to be there.
    create(&pair, json!({"name":"R","max_bytes":8_000_000})).await;
    let update = |bytes: i64| json!({"name":"R","max_bytes":bytes});
    assert_eq!(pair.refused("STREAM.UPDATE.R", update(11_000_000)).await, 10047);
    pair.done("STREAM.UPDATE.R", update(10_000_000)).await;
    assert_eq!(
        pair.refused("STREAM.CREATE.Q", json!({"name":"Q","max_bytes":600_000})).await,
        10047
    );
    pair.done("STREAM.UPDATE.R", update(1_000_000)).await;
    create(&pair, json!({"name":"Q","max_bytes":600_000})).await;
}

// Contract: STREAM-019, STREAM-026, STREAM-027, STREAM-028
#[tokio::test]
async fn times_to_live_compression_first_sequences_and_seals() {
    let pair = Pair::open("").await;
    create(&pair, json!({"name":"T","subjects":["t"],"allow_msg_ttl":true})).await;
    pair.publish("t", &[("Nats-TTL", "1")], "x").await;
    pair.until("STREAM.INFO.T", Value::Null, |i| i["state"]["messages"] == json!(0)).await;
    assert_eq!(pair.refused("STREAM.UPDATE.T", json!({"name":"T","subjects":["t"]})).await, 10052);
    create(&pair, json!({"name":"C","subjects":["c"],"compression":"s2"})).await;
    let body = "compress me ".repeat(500);
    for _ in 0..5 {
        pair.publish("c", &[], &body).await;
    }
    let plain = json!({"name":"C","subjects":["c"],"compression":"none"});
    pair.done("STREAM.UPDATE.C", plain).await;
    pair.publish("c", &[], &body).await;
    for seq in [1, 5, 6] {
        let got = pair.ask("STREAM.MSG.GET.C", json!({"seq": seq})).await;
        assert!(got["message"]["data"].as_str().unwrap().len() > 6_000, "{got}");
    }
    create(&pair, json!({"name":"F","subjects":["f"],"first_seq":100})).await;
    let info = pair.ask("STREAM.INFO.F", Value::Null).await;
    assert_eq!(info["state"]["first_seq"], json!(100));
    assert_eq!(pair.publish("f", &[], "x").await, r#"{"stream":"F","seq":100}"#);
    let mirror = json!({"name":"FM","mirror":{"name":"F"},"first_seq":5});
    assert_eq!(pair.refused("STREAM.CREATE.FM", mirror).await, 10143);
    let sealed = |sealed: bool| json!({"name":"S","subjects":["s"],"sealed":sealed,"max_age":3_600_000_000_000_u64});
    assert_eq!(pair.refused("STREAM.CREATE.S", sealed(true)).await, 10052);
    create(&pair, sealed(false)).await;
    pair.publish("s", &[], "x").await;
    let done = pair.done("STREAM.UPDATE.S", sealed(true)).await;
    let config = &done["config"];
    assert_eq!(
        (&config["discard"], &config["deny_delete"], &config["deny_purge"]),
        (&json!("new"), &json!(true), &json!(true))
    );
    assert_eq!(config["max_age"], json!(0));
    assert!(pair.publish("s", &[], "x").await.contains("10109"));
    assert_eq!(pair.refused("STREAM.PURGE.S", Value::Null).await, 10109);
    assert_eq!(pair.refused("STREAM.MSG.DELETE.S", json!({"seq":1})).await, 10109);
    assert_eq!(pair.refused("STREAM.UPDATE.S", sealed(false)).await, 10052);
}

// Contract: STREAM-030, STREAM-032, STREAM-033, PUB-024
#[tokio::test]
async fn direct_gets_transforms_and_republishing() {
    let pair = Pair::open("").await;
    create(&pair, json!({"name":"D","subjects":["d"],"allow_direct":true,"storage":"memory"}))
        .await;
    pair.publish("d", &[], "x").await;
    assert_eq!(pair.publish("$JS.API.DIRECT.GET.D", &[], r#"{"seq":1}"#).await, "x");
    pair.done("STREAM.UPDATE.D", json!({"name":"D","subjects":["d"],"storage":"memory"})).await;
    for (_, _, client) in &pair.sides {
        let got = within(client.request("$JS.API.DIRECT.GET.D", r#"{"seq":1}"#.into())).await;
        assert!(got.is_err(), "nobody answers");
    }
    let origin = json!({"name":"O","subjects":["o"],"allow_direct":true,"storage":"memory"});
    create(&pair, origin).await;
    let mirror = json!({"name":"OM","mirror":{"name":"O"},"storage":"memory"});
    assert_eq!(create(&pair, mirror).await["config"]["mirror_direct"], json!(true));
    for bad in [json!({"src":"t.*","dest":"x.{{wildcard(2)}}"}), json!({"src":"t..","dest":"x"})] {
        let config = json!({"name":"T","subjects":["t.*"],"subject_transform":bad});
        let code = pair.refused("STREAM.CREATE.T", config).await;
        assert!([10155, 10156].contains(&code), "{code}");
    }
    let transform = json!({"src":"t.*","dest":"to.{{wildcard(1)}}"});
    let config = json!({"name":"T","subjects":["t.*","u"],"subject_transform":transform,
        "republish":{"src":"to.*","dest":"again.{{wildcard(1)}}","headers_only":true}});
    create(&pair, config).await;
    let mut heard = Vec::new();
    for (_, _, client) in &pair.sides {
        let mut again = client.subscribe("again.>").await.unwrap();
        within(client.request("$JS.API.INFO", "".into())).await.unwrap();
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Request-Info", "{}");
        headers.insert("Own", "1");
        for body in ["first", "second"] {
            let request = client.request_with_headers("t.a", headers.clone(), body.into());
            within(request).await.unwrap();
        }
        within(client.request("u", "kept".into())).await.unwrap();
        let _ = within(again.next()).await.unwrap();
        let message = within(again.next()).await.unwrap();
        let headers = message.headers.unwrap();
        let header = |name: &str| headers.get(name).map(ToString::to_string);
        heard.push([
            Some(message.subject.to_string()),
            header("Nats-Stream"),
            header("Nats-Subject"),
            header("Nats-Sequence"),
            header("Nats-Last-Sequence"),
            header("Nats-Msg-Size"),
            header("Nats-Request-Info"),
            header("Own"),
        ]);
        assert!(message.payload.is_empty() && header("Nats-Time-Stamp").is_some());
    }
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        some("again.a"),
        some("T"),
        some("to.a"),
        some("2"),
        some("1"),
        some("6"),
        None,
        some("1"),
    ];
    assert!(heard.iter().all(|h| *h == expected), "{heard:?}");
    let got = pair.ask("STREAM.MSG.GET.T", json!({"seq":1})).await;
    assert_eq!(got["message"]["subject"], "to.a");
    let kept = pair.ask("STREAM.MSG.GET.T", json!({"seq":3})).await;
    assert_eq!(kept["message"]["subject"], "u");
    let cycle = json!({"name":"Y","subjects":["y.>"],"republish":{"src":">","dest":"y.again.>"}});
    assert!(says(&pair.ask("STREAM.CREATE.Y", cycle).await, "cycle"));
}

// Contract: STREAM-031, STREAM-081
#[tokio::test]
async fn limits_for_consumers_and_a_change_to_interest() {
    let pair = Pair::open("").await;
    let limits = json!({"max_ack_pending":10,"inactive_threshold":60_000_000_000_u64});
    create(&pair, json!({"name":"L","subjects":["l"],"consumer_limits":limits})).await;
    let consumer = |config: Value| json!({"stream_name":"L","config":config});
    let explicit = json!({"durable_name":"A","ack_policy":"explicit"});
    let made = pair.done("CONSUMER.CREATE.L.A", consumer(explicit)).await;
    assert_eq!(made["config"]["max_ack_pending"], json!(10));
    assert_eq!(made["config"]["inactive_threshold"], json!(60_000_000_000_u64));
    let more = json!({"durable_name":"B","ack_policy":"explicit","max_ack_pending":11});
    assert_eq!(pair.refused("CONSUMER.CREATE.L.B", consumer(more)).await, 10121);
    let longer =
        json!({"durable_name":"B","ack_policy":"explicit","inactive_threshold":61_000_000_000_u64});
    assert_eq!(pair.refused("CONSUMER.CREATE.L.B", consumer(longer)).await, 10153);
    let tight = json!({"name":"L","subjects":["l"],"consumer_limits":{"max_ack_pending":5}});
    let answer = pair.ask("STREAM.UPDATE.L", tight).await;
    assert!(answer["error"]["description"].as_str().unwrap().contains('A'), "{answer}");
    // Messages that nobody waits for any more go when interest begins to decide.
    create(&pair, json!({"name":"I","subjects":["i"]})).await;
    for durable in ["X", "Y"] {
        let config = json!({"durable_name":durable,"ack_policy":"explicit"});
        let body = json!({"stream_name":"I","config":config});
        pair.done(&format!("CONSUMER.CREATE.I.{durable}"), body).await;
    }
    for _ in 0..4 {
        pair.publish("i", &[], "x").await;
    }
    for (_, _, client) in &pair.sides {
        for (durable, count) in [("X", 3), ("Y", 2)] {
            let inbox = client.new_inbox();
            let mut pulled = client.subscribe(inbox.clone()).await.unwrap();
            let next = format!("$JS.API.CONSUMER.MSG.NEXT.I.{durable}");
            client.publish_with_reply(next, inbox, r#"{"batch":4}"#.into()).await.unwrap();
            for i in 0..4 {
                let message = within(pulled.next()).await.unwrap();
                if i < count {
                    within(client.request(message.reply.unwrap(), "".into())).await.unwrap();
                }
            }
        }
    }
    pair.done("STREAM.UPDATE.I", json!({"name":"I","subjects":["i"],"retention":"interest"})).await;
    let left = |i: &Value| i["state"]["messages"] == json!(2);
    let info = pair.until("STREAM.INFO.I", Value::Null, left).await;
    assert_eq!(info["state"]["first_seq"], json!(3));
    pair.done("STREAM.UPDATE.I", json!({"name":"I","subjects":["i"]})).await;
    let queue = json!({"name":"I","subjects":["i"],"retention":"workqueue"});
    assert_eq!(pair.refused("STREAM.UPDATE.I", queue).await, 10052);
}

// Contract: PUB-011, PUB-016, PUB-020, PUB-023, RET-010, RET-015, API-044
#[tokio::test]
async fn what_publishers_may_use_and_what_markers_say() {
    let pair = Pair::open_as(
        "jetstream { store_dir: \"{dir}/js\", max_mem: 100KB }
         accounts { A { users: [{user: a, password: p}], jetstream: {max_mem: 50KB, max_file: 30KB} } }
         no_auth_user: a",
    )
    .await;
    create(&pair, json!({"name":"M","subjects":["m"],"storage":"memory"})).await;
    let body = "x".repeat(20_000);
    pair.publish("m", &[], &body).await;
    pair.publish("m", &[], &body).await;
    assert!(pair.publish("m", &[], &body).await.contains("10002"));
    let big = json!({"name":"B","storage":"memory","max_bytes":60_000});
    assert_eq!(pair.refused("STREAM.CREATE.B", big).await, 10028);
    pair.done("STREAM.DELETE.M", Value::Null).await;
    // The status line that a client put before its headers is not kept.
    create(&pair, json!({"name":"H","subjects":["h"],"storage":"memory"})).await;
    let source = [("Nats-Stream-Source", "X 1 > > x")];
    pair.publish("h", &source, "x").await;
    let got = pair.ask("STREAM.MSG.GET.H", json!({"seq":1})).await;
    assert!(got["message"]["hdrs"].is_string(), "{got}");
    let marked = json!({"name":"K","subjects":["k.*"],"storage":"memory","max_age":1_000_000_000,
        "subject_delete_marker_ttl":1_000_000_000_u64,"allow_msg_ttl":true,"allow_rollup_hdrs":true});
    create(&pair, marked).await;
    pair.publish("k.a", &[], "x").await;
    let aged = pair
        .until("STREAM.MSG.GET.K", json!({"last_by_subj":"k.a"}), |got| {
            got["message"]["seq"] == json!(2)
        })
        .await;
    let headers = aged["message"]["hdrs"].as_str().unwrap();
    let headers = String::from_utf8(decode(headers)).unwrap();
    assert!(headers.contains("Nats-Marker-Reason: MaxAge"), "{headers}");
    // Purged and deleted messages leave no marker.
    pair.publish("k.b", &[], "x").await;
    pair.done("STREAM.PURGE.K", json!({"filter":"k.b"})).await;
    assert_eq!(pair.refused("STREAM.MSG.GET.K", json!({"last_by_subj":"k.b"})).await, 10037);
    // With more than one message of a subject a short life is made as long as the marker's.
    let raised = json!({"name":"P","subjects":["p"],"storage":"memory",
        "subject_delete_marker_ttl":5_000_000_000_u64});
    create(&pair, raised).await;
    pair.publish("p", &[("Nats-TTL", "1")], "x").await;
    let got = pair.ask("STREAM.MSG.GET.P", json!({"seq":1})).await;
    let headers = String::from_utf8(decode(got["message"]["hdrs"].as_str().unwrap())).unwrap();
    assert!(headers.contains("Nats-TTL: 5"), "{headers}");
    // What is in the way of a store is for the operator to read.
    for (_, server, _) in &pair.sides {
        let dir = server.dir().join("js/jetstream/A/streams");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("W"), "in the way").unwrap();
    }
    let answer = pair.ask("STREAM.CREATE.W", json!({"name":"W"})).await;
    assert_eq!(answer["error"]["description"], "error creating store for stream", "{answer}");
}

fn decode(base64: &str) -> Vec<u8> {
    let value = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let (mut out, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for byte in base64.bytes().filter(|b| *b != b'=') {
        held = held << 6 | u32::from(value(byte));
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
        }
    }
    out
}

// Contract: DGET-006, API-033
#[tokio::test]
async fn direct_gets_that_contradict_themselves() {
    let pair = Pair::open("").await;
    create(&pair, json!({"name":"D","subjects":["d.>"],"allow_direct":true})).await;
    for i in 0..5 {
        pair.publish(&format!("d.{}", i % 2), &[], &i.to_string()).await;
    }
    let when = "2020-01-01T00:00:00Z";
    for bad in [
        json!({}),
        json!({"seq":1,"last_by_subj":"d.0"}),
        json!({"last_by_subj":"d.0","next_by_subj":"d.0"}),
        json!({"seq":1,"start_time":when}),
        json!({"last_by_subj":"d.0","start_time":when}),
        json!({"batch":2,"last_by_subj":"d.0"}),
        json!({"multi_last":["d.>"],"seq":1,"last_by_subj":"d.0"}),
        json!({"multi_last":["d.>"],"next_by_subj":"d.0"}),
        json!({"multi_last":["d.>"],"up_to_seq":3,"up_to_time":when}),
        json!({"up_to_seq":3}),
    ] {
        let answer = pair.publish("$JS.API.DIRECT.GET.D", &[], &bad.to_string()).await;
        assert!(answer.starts_with("408"), "{bad}: {answer}");
    }
    assert_eq!(pair.publish("$JS.API.DIRECT.GET.D", &[], r#"{"seq":2}"#).await, "1");
    assert_eq!(pair.publish("$JS.API.DIRECT.GET.D.d.1", &[], "").await, "3");
    assert!(pair.publish("$JS.API.DIRECT.GET.D", &[], r#"{"seq":99}"#).await.starts_with("404"));
}

// Contract: PUB-021
#[tokio::test]
async fn a_stream_that_is_too_far_behind_tells_its_publishers() {
    let pair = Pair::open("max_buffered_msgs: 5").await;
    create(&pair, json!({"name":"S","subjects":["s"],"storage":"file"})).await;
    let client = pair.ours();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    const COUNT: u64 = 5_000;
    for _ in 0..COUNT {
        client.publish_with_reply("s", inbox.clone(), "x".into()).await.unwrap();
    }
    let (mut stored, mut refused) = (0, 0);
    while stored + refused < COUNT {
        let answer = within(answers.next()).await.unwrap();
        if let Some(status) = answer.status {
            assert_eq!(status.as_u16(), 429);
            let body: Value = serde_json::from_slice(&answer.payload).unwrap();
            assert_eq!((&body["error"]["err_code"], &body["stream"]), (&json!(10167), &json!("S")));
            refused += 1;
        } else {
            stored += 1;
        }
    }
    assert!(stored > 0 && refused > 0, "{stored} stored, {refused} refused");
    let info = within(client.request("$JS.API.STREAM.INFO.S", "".into())).await.unwrap();
    let info: Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(info["state"]["messages"], json!(stored));
}

// Contract: API-036, API-038, API-039, API-042, STREAM-014
#[tokio::test]
async fn bodies_are_read_as_strictly_as_configured() {
    let pair = Pair::open("").await;
    create(&pair, json!({"name":"A","subjects":["a.>"]})).await;
    for (subject, body) in [
        ("STREAM.CREATE.B", r#"{"name":"B","unknown":1}"#),
        ("STREAM.CREATE.B", r#"{"name":}"#),
        ("STREAM.CREATE.B", r#"{"name":"B""#),
        ("STREAM.CREATE.B", r#"{"name":5}"#),
        ("STREAM.CREATE.B", "[]"),
        ("STREAM.PURGE.A", r#"{"filter":1}"#),
        ("STREAM.NAMES", r#"{"offset":"x"}"#),
        ("CONSUMER.CREATE.A.C", r#"{"stream_name":"A","config":{"what":1}}"#),
    ] {
        let answer = pair.ask_text(subject, body).await;
        assert_eq!(answer["error"]["err_code"], json!(10025), "{subject} {body}: {answer}");
    }
    // Lists, infos and purges look at a body only if it can be a document.
    for subject in
        ["STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.A", "STREAM.PURGE.A", "CONSUMER.NAMES.A"]
    {
        for body in ["x", " ", "5", "\"text\""] {
            let answer = pair.ask_text(subject, body).await;
            assert!(answer.get("error").is_none(), "{subject} {body}: {answer}");
        }
    }
    // Empty is what has no members.
    for (body, done) in [("{\"x\":1}", false), (" { } ", true)] {
        create(&pair, json!({"name":"E"})).await;
        let answer = pair.ask_text("STREAM.DELETE.E", body).await;
        assert_eq!(answer["success"] == json!(true), done, "{body}: {answer}");
    }
    let overlapping = json!({"name":"O","subjects":["x","a.b"]});
    assert_eq!(pair.refused("STREAM.CREATE.O", overlapping).await, 10065);
    let before = pair.ours().request("$JS.API.INFO", "".into()).await.unwrap();
    let before: Value = serde_json::from_slice(&before.payload).unwrap();
    pair.refused("STREAM.INFO.NONE", Value::Null).await;
    pair.ask("STREAM.INFO.A", Value::Null).await;
    let after = pair.ours().request("$JS.API.INFO", "".into()).await.unwrap();
    let after: Value = serde_json::from_slice(&after.payload).unwrap();
    let count = |info: &Value, key: &str| info["api"][key].as_u64().unwrap();
    assert_eq!(count(&after, "total"), count(&before, "total") + 3);
    assert_eq!(count(&after, "errors"), count(&before, "errors") + 1);
    let lenient = Pair::open("strict: false").await;
    let made = lenient.ask_text("STREAM.CREATE.B", r#"{"name":"B","unknown":1}"#).await;
    assert_eq!(made["did_create"], json!(true));
}
