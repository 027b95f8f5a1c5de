//! What consumers may be configured to, and what that does; answers compared with the reference.

use futures_lite::StreamExt;
use serde_json::{Value, json};

use super::pair::Pair;
use super::within;

const SECOND: u64 = 1_000_000_000;

async fn create(pair: &Pair, config: Value) -> Value {
    let name = config["name"].as_str().unwrap().to_owned();
    pair.done(&format!("STREAM.CREATE.{name}"), config).await
}

/// A consumer of `S` under its own name.
fn named(name: &str, more: &Value) -> (String, Value) {
    let mut config = json!({"durable_name": name, "ack_policy": "explicit"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (format!("CONSUMER.CREATE.S.{name}"), json!({"stream_name":"S","config":config}))
}

async fn done(pair: &Pair, name: &str, more: Value) -> Value {
    let (subject, body) = named(name, &more);
    pair.done(&subject, body).await
}

async fn refused(pair: &Pair, name: &str, more: Value) -> u64 {
    let (subject, body) = named(name, &more);
    pair.refused(&subject, body).await
}

// Contract: CONS-003, CONS-004, CONS-012, CONS-013, CONS-023, CONS-024, CONS-028
#[tokio::test]
async fn configurations_are_judged_as_the_reference_does() {
    let pair = Pair::open("").await;
    create(&pair, json!({"name":"S","subjects":["s.>"],"storage":"memory"})).await;
    for policy in ["none", "all", "explicit"] {
        done(&pair, policy, json!({"ack_policy": policy})).await;
    }
    assert_eq!(refused(&pair, "X", json!({"ack_policy": "some"})).await, 10025);
    let plain = done(&pair, "D", json!({})).await;
    let config = &plain["config"];
    assert_eq!((&config["ack_wait"], &config["max_deliver"]), (&json!(30 * SECOND), &json!(-1)));
    assert_eq!((&config["max_ack_pending"], &config["max_waiting"]), (&json!(1000), &json!(512)));
    // Names.
    let two = json!({"stream_name":"S","config":{"name":"X","durable_name":"Y"}});
    assert_eq!(pair.refused("CONSUMER.CREATE.S.X", two).await, 10017);
    let long = "n".repeat(256);
    let code = refused(&pair, &long, json!({})).await;
    assert!([10102, 10020].contains(&code), "{code}");
    for bad in ["a*b", "a>b", "a/b", "a\\b"] {
        let body = json!({"stream_name":"S","config":{"durable_name":bad,"ack_policy":"explicit"}});
        let answer = pair.ask("CONSUMER.CREATE.S.bad", body).await;
        assert!(answer["error"]["err_code"].is_u64(), "{bad}: {answer}");
    }
    // Deliver subjects.
    for (more, code) in [
        (json!({"deliver_subject":"d.*"}), 10079),
        (json!({"deliver_subject":"s.loop"}), 10081),
        (json!({"deliver_subject":"d..x"}), 10112),
        (json!({"deliver_subject":"d","max_waiting":5}), 10080),
        (json!({"num_replicas":3}), 10074),
        (json!({"num_replicas":-1}), 10133),
        (json!({"metadata":{"k":"v".repeat(130 << 10)}}), 10135),
        (json!({"description":"d".repeat(5000)}), 10107),
    ] {
        assert_eq!(refused(&pair, "X", more.clone()).await, code, "{more}");
    }
    let made =
        done(&pair, "L", json!({"metadata":{"a":"b"},"pause_until":"2000-01-01T00:00:00Z"})).await;
    assert_eq!(made["config"]["metadata"]["a"], "b");
    assert_eq!(made["config"]["metadata"]["_nats.req.level"], "1");
    // Work queues have one consumer for each message.
    pair.done("STREAM.DELETE.S", Value::Null).await;
    create(&pair, json!({"name":"S","subjects":["s.>"],"retention":"workqueue"})).await;
    assert_eq!(refused(&pair, "X", json!({"ack_policy":"none"})).await, 10084);
    assert_eq!(refused(&pair, "X", json!({"deliver_policy":"new"})).await, 10101);
    done(&pair, "A", json!({"filter_subject":"s.a"})).await;
    assert_eq!(refused(&pair, "X", json!({})).await, 10099);
    assert_eq!(refused(&pair, "X", json!({"filter_subject":"s.*"})).await, 10100);
    done(&pair, "B", json!({"filter_subjects":["s.b","s.c"]})).await;
    assert_eq!(refused(&pair, "X", json!({"filter_subjects":["s.c","s.d"]})).await, 10100);
    pair.done("CONSUMER.DELETE.S.A", Value::Null).await;
    pair.done("CONSUMER.DELETE.S.B", Value::Null).await;
    done(&pair, "A", json!({})).await;
    assert_eq!(refused(&pair, "X", json!({})).await, 10099);
}

// Contract: API-023, API-026, CONS-026, CONS-027, CONS-029
#[tokio::test]
async fn they_are_made_listed_and_changed() {
    let pair = Pair::open("").await;
    create(&pair, json!({"name":"S","subjects":["s"],"storage":"memory"})).await;
    let legacy = |durable: &str| json!({"stream_name":"S","config":{"durable_name":durable}});
    pair.done("CONSUMER.DURABLE.CREATE.S.A", legacy("A")).await;
    assert_eq!(pair.refused("CONSUMER.DURABLE.CREATE.S.A", legacy("B")).await, 10017);
    assert_eq!(pair.refused("CONSUMER.DURABLE.CREATE.S.A", legacy("")).await, 10018);
    // Those that servers make for mirrors are not shown.
    let direct = json!({"stream_name":"S","config":{"name":"hidden","direct":true,"ack_policy":"none",
        "deliver_subject":"somewhere","max_deliver":1}});
    pair.ask("CONSUMER.CREATE.S.hidden", direct).await;
    let names = pair.ask("CONSUMER.NAMES.S", Value::Null).await;
    assert_eq!(names["consumers"], json!(["A"]));
    for i in 0..300 {
        let body = json!({"stream_name":"S","config":{"durable_name":format!("C{i:03}"),"mem_storage":true}});
        pair.ask(&format!("CONSUMER.CREATE.S.C{i:03}"), body).await;
    }
    let names = pair.ask("CONSUMER.NAMES.S", json!({"offset": 290})).await;
    assert_eq!((&names["total"], &names["limit"]), (&json!(301), &json!(1024)));
    assert_eq!(names["consumers"].as_array().unwrap().len(), 11);
    let list = pair.ask("CONSUMER.LIST.S", json!({"offset": 40})).await;
    assert_eq!((&list["total"], &list["limit"]), (&json!(301), &json!(256)));
    assert_eq!(list["consumers"].as_array().unwrap().len(), 256);
    assert_eq!(pair.refused("CONSUMER.NAMES.NONE", Value::Null).await, 10059);
    create(&pair, json!({"name":"M","subjects":["m"],"storage":"memory","max_consumers":1})).await;
    let one = |name: &str| json!({"stream_name":"M","config":{"durable_name":name}});
    pair.done("CONSUMER.CREATE.M.A", one("A")).await;
    assert_eq!(pair.refused("CONSUMER.CREATE.M.B", one("B")).await, 10026);
    // What stays as it was made.
    let base = json!({"deliver_policy":"all","ack_policy":"explicit","replay_policy":"instant"});
    done(&pair, "U", base).await;
    for change in [
        json!({"deliver_policy":"new"}),
        json!({"deliver_policy":"by_start_sequence","opt_start_seq":5}),
        json!({"ack_policy":"all"}),
        json!({"replay_policy":"original"}),
        json!({"max_waiting":7}),
        json!({"mem_storage":true}),
        json!({"deliver_subject":"push.here"}),
    ] {
        let (subject, body) = named("U", &change);
        let answer = pair.ask(&subject, body).await;
        assert!(answer["error"]["err_code"].is_u64(), "{change}: {answer}");
    }
    for change in [
        json!({"description":"changed"}),
        json!({"ack_wait": 5 * SECOND}),
        json!({"max_deliver": 3}),
        json!({"sample_freq":"50"}),
        json!({"max_ack_pending": 17}),
        json!({"headers_only": true}),
        json!({"filter_subject":"s"}),
        json!({"backoff":[SECOND, 2 * SECOND],"max_deliver":3}),
        json!({"inactive_threshold": 90 * SECOND}),
        json!({"metadata":{"x":"y"}}),
    ] {
        let (subject, body) = named("U", &change);
        pair.done(&subject, body).await;
        pair.ask("CONSUMER.INFO.S.U", Value::Null).await;
    }
}

// Contract: CONS-014, CONS-044, CONS-055
#[tokio::test]
async fn groups_states_in_memory_acks_of_both_forms_and_bad_pulls() {
    let pair = Pair::open("").await;
    create(&pair, json!({"name":"S","subjects":["s"]})).await;
    done(
        &pair,
        "G",
        json!({"deliver_subject":"out","deliver_group":"workers","ack_policy":"none"}),
    )
    .await;
    done(&pair, "P", json!({})).await;
    for _ in 0..6 {
        pair.publish("s", &[], "x").await;
    }
    for (which, _, client) in &pair.sides {
        let info = || async {
            let answer =
                within(client.request("$JS.API.CONSUMER.INFO.S.G", "".into())).await.unwrap();
            serde_json::from_slice::<Value>(&answer.payload).unwrap()
        };
        // Whoever is not of the group does not count.
        let _outside = client.subscribe("out").await.unwrap();
        let _other = client.queue_subscribe("out", "others".into()).await.unwrap();
        assert_eq!(info().await.get("push_bound"), None, "{which:?}");
        assert_eq!(info().await["num_pending"], json!(6), "{which:?}");
        let mut members = Vec::new();
        for _ in 0..2 {
            members.push(client.queue_subscribe("out", "workers".into()).await.unwrap());
        }
        let mut got = 0;
        let mut all = futures_lite::stream::or(members.pop().unwrap(), members.pop().unwrap());
        while got < 6 {
            within(all.next()).await.unwrap();
            got += 1;
        }
        assert_eq!(info().await["push_bound"], json!(true), "{which:?}");
    }
    for bad in ["{", r#"{"batch":"x"}"#] {
        for (which, _, client) in &pair.sides {
            let inbox = client.new_inbox();
            let mut pulled = client.subscribe(inbox.clone()).await.unwrap();
            let next = "$JS.API.CONSUMER.MSG.NEXT.S.P";
            client.publish_with_reply(next, inbox, bad.into()).await.unwrap();
            let answer = within(pulled.next()).await.unwrap();
            assert_eq!(answer.status.map(|s| s.as_u16()), Some(400), "{which:?} {bad}");
            let text = answer.description.unwrap_or_default();
            assert!(text.starts_with("Bad Request"), "{which:?} {bad}: {text}");
        }
    }
    // An acknowledgement may name the domain and the account, whatever the server itself sends.
    for (which, _, client) in &pair.sides {
        let inbox = client.new_inbox();
        let mut pulled = client.subscribe(inbox.clone()).await.unwrap();
        let next = "$JS.API.CONSUMER.MSG.NEXT.S.P";
        client.publish_with_reply(next, inbox, r#"{"batch":2}"#.into()).await.unwrap();
        let first = within(pulled.next()).await.unwrap().reply.unwrap().to_string();
        let second = within(pulled.next()).await.unwrap().reply.unwrap().to_string();
        let rest = |ack: &str| ack.splitn(3, '.').nth(2).unwrap().to_owned();
        assert_eq!(first.split('.').count(), 9, "{first}");
        within(client.request(first, "".into())).await.unwrap();
        // The hash of `$G`.
        let long = format!("$JS.ACK._.szMpdrwD.{}", rest(&second));
        within(client.request(long, "".into())).await.unwrap();
        let info = within(client.request("$JS.API.CONSUMER.INFO.S.P", "".into())).await.unwrap();
        let info: Value = serde_json::from_slice(&info.payload).unwrap();
        assert_eq!(info["ack_floor"]["stream_seq"], json!(2), "{which:?}: {info}");
    }
}

// Contract: ADM-007, CONS-043
#[tokio::test]
async fn a_feature_flag_makes_servers_send_the_long_form() {
    let conf = "jetstream { store_dir: \"{dir}/js\", domain: hub }
        feature_flags { js_ack_fc_v2: true, something: true }";
    let pair = Pair::open_as(conf).await;
    create(&pair, json!({"name":"S","subjects":["s"]})).await;
    done(&pair, "P", json!({})).await;
    pair.publish("s", &[], "x").await;
    let mut acks = Vec::new();
    for (_, server, client) in &pair.sides {
        server.wait_log("js_ack_fc_v2 (opt-in)");
        server.wait_log("something");
        let inbox = client.new_inbox();
        let mut pulled = client.subscribe(inbox.clone()).await.unwrap();
        let next = "$JS.API.CONSUMER.MSG.NEXT.S.P";
        client.publish_with_reply(next, inbox, "".into()).await.unwrap();
        let ack = within(pulled.next()).await.unwrap().reply.unwrap().to_string();
        within(client.request(ack.clone(), "".into())).await.unwrap();
        let mut parts: Vec<String> = ack.split('.').map(str::to_owned).collect();
        // The time of the message.
        if let Some(time) = parts.get_mut(9) {
            time.clear();
        }
        acks.push(parts);
    }
    assert_eq!(acks.first().unwrap().get(..6).unwrap().join("."), "$JS.ACK.hub.szMpdrwD.S.P");
    assert!(acks.windows(2).all(|both| both.first() == both.last()), "{acks:?}");
    let info = pair.ask("CONSUMER.INFO.S.P", Value::Null).await;
    assert_eq!(info["ack_floor"]["stream_seq"], json!(1));
}

// Contract: ADM-001, ADM-002
#[tokio::test]
async fn limits_of_the_server_are_the_ceiling() {
    let pair = Pair::open(
        "enabled: true, max_memory_store: 10MB, max_file_store: 20MB, strict: true
         sync_interval: 30s, max_outstanding_catchup: 1MB
         limits { max_ack_pending: 50, max_ha_assets: 5, max_request_batch: 10, duplicate_window: 60s
                  batch { max_inflight_per_stream: 3, max_msgs: 4, timeout: 5s } }",
    )
    .await;
    create(&pair, json!({"name":"S","subjects":["s"]})).await;
    let made = done(&pair, "D", json!({})).await;
    assert_eq!(made["config"]["max_ack_pending"], json!(50));
    assert_eq!(refused(&pair, "X", json!({"max_ack_pending":51})).await, 10121);
    assert_eq!(refused(&pair, "X", json!({"max_batch":11})).await, 10125);
    let window = json!({"name":"W","duplicate_window":120 * SECOND});
    assert_eq!(pair.refused("STREAM.CREATE.W", window).await, 10052);
    let made = create(&pair, json!({"name":"W"})).await;
    assert_eq!(made["config"]["duplicate_window"], json!(60 * SECOND));
    let memory = json!({"name":"M","storage":"memory","max_bytes":11 << 20});
    assert_eq!(pair.refused("STREAM.CREATE.M", memory).await, 10028);
    create(&pair, json!({"name":"B","subjects":["b"],"allow_atomic":true})).await;
    for seq in 1..=5 {
        let seq = seq.to_string();
        let headers = [("Nats-Batch-Id", "x"), ("Nats-Batch-Sequence", seq.as_str())];
        let answer = pair.publish("b", &headers, "").await;
        assert_eq!(answer.contains("10199"), seq == "5", "{answer}");
    }
}

/// One message of a consumer of `S`.
async fn pull(client: &async_nats::Client, consumer: &str, body: &str) -> async_nats::Message {
    let inbox = client.new_inbox();
    let mut pulled = client.subscribe(inbox.clone()).await.unwrap();
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.S.{consumer}");
    client.publish_with_reply(next, inbox, body.to_owned().into()).await.unwrap();
    within(pulled.next()).await.unwrap()
}

// Contract: ADV-001, CONS-008, CONS-037, CONS-039, CONS-058, API-030
#[tokio::test]
async fn advisories_say_what_the_references_say() {
    let pair = Pair::open("").await;
    let mut told = Vec::new();
    for (_, _, client) in &pair.sides {
        let mut events = client.subscribe("$JS.EVENT.ADVISORY.CONSUMER.>").await.unwrap();
        let ask = |subject: &str, body: Value| {
            let request = client.request(format!("$JS.API.{subject}"), body.to_string().into());
            async move {
                let answer = within(request).await.unwrap();
                let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
                assert!(answer.get("error").is_none(), "{answer}");
            }
        };
        ask("STREAM.CREATE.S", json!({"name":"S","subjects":["s"]})).await;
        for _ in 0..3 {
            within(client.request("s", "x".into())).await.unwrap();
        }
        let consumer = |config: Value| json!({"stream_name":"S","config":config});
        let plain = json!({"durable_name":"A","ack_policy":"explicit","max_deliver":1,"ack_wait":200_000_000});
        ask("CONSUMER.CREATE.S.A", consumer(plain)).await;
        let message = pull(client, "A", "").await;
        client.publish(message.reply.unwrap(), "-NAK".into()).await.unwrap();
        let message = pull(client, "A", "").await;
        client.publish(message.reply.unwrap(), "+TERM no good".into()).await.unwrap();
        let _unanswered = pull(client, "A", "").await;
        let pinned = json!({"durable_name":"P","ack_policy":"explicit","priority_policy":"pinned_client",
            "priority_groups":["g"]});
        ask("CONSUMER.CREATE.S.P", consumer(pinned)).await;
        pull(client, "P", r#"{"group":"g","expires":2000000000}"#).await;
        ask("CONSUMER.UNPIN.S.P", json!({"group":"g"})).await;
        let until = json!({"pause_until":"2099-01-01T00:00:00Z"});
        ask("CONSUMER.PAUSE.S.P", until).await;
        ask("CONSUMER.PAUSE.S.P", json!({})).await;
        ask("CONSUMER.DELETE.S.P", json!({})).await;
        let short = json!({"name":"E","ack_policy":"none","inactive_threshold":100_000_000});
        ask("CONSUMER.CREATE.S.E", consumer(short)).await;
        let mut all = Vec::new();
        while !all.iter().any(|e: &String| e.contains("DELETED.S.E"))
            || all.iter().filter(|e| e.contains("MAX_DELIVERIES")).count() < 2
        {
            let event = within(events.next()).await.unwrap();
            let mut body: Value = serde_json::from_slice(&event.payload).unwrap();
            let fields = body.as_object_mut().unwrap();
            for volatile in ["id", "timestamp", "pinned_id"] {
                fields.remove(volatile).map(|_| ()).unwrap_or_default();
            }
            all.push(format!("{} {body}", event.subject));
        }
        // What a deadline brings comes at its own time.
        all.sort();
        told.push(all);
    }
    let all = told.first().unwrap();
    for kind in [
        "CREATED.S.A",
        "MSG_NAKED.S.A",
        "MSG_TERMINATED.S.A",
        "MAX_DELIVERIES.S.A",
        "PINNED.S.P",
        "UNPINNED.S.P",
        "PAUSE.S.P",
        "DELETED.S.P",
        "DELETED.S.E",
    ] {
        assert!(all.iter().any(|e| e.contains(kind)), "{kind}: {all:#?}");
    }
    if let [ours, theirs] = told.as_slice() {
        assert_eq!(ours, theirs);
    }
}
