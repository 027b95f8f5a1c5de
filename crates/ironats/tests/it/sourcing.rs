//! Mirrors and sources, through the official client and raw requests.

use super::jetstream::House;
use super::{server, url, within};
use async_nats::{Client, jetstream};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

async fn request(client: &Client, subject: &str, body: &Value) -> Value {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = within(client.request(format!("$JS.API.{subject}"), body.into())).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

async fn create(client: &Client, config: Value) -> Value {
    let name = config["name"].as_str().unwrap().to_owned();
    let made = request(client, &format!("STREAM.CREATE.{name}"), &config).await;
    assert!(made["error"].is_null(), "{made}");
    made
}

/// Asks until the stream's information is as wanted.
async fn until(client: &Client, stream: &str, what: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            let info = request(client, &format!("STREAM.INFO.{stream}"), &Value::Null).await;
            if what(&info) {
                return info;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(40), look).await {
        Ok(info) => info,
        Err(_) => {
            let info = request(client, &format!("STREAM.INFO.{stream}"), &Value::Null).await;
            panic!("not within 40 s: {info}")
        }
    }
}

async fn holds(client: &Client, stream: &str, messages: u64) -> Value {
    until(client, stream, |info| info["state"]["messages"] == json!(messages)).await
}

async fn publish(client: &Client, subject: &str, count: usize) {
    let js = jetstream::new(client.clone());
    let mut acks = Vec::new();
    for i in 0..count {
        acks.push(js.publish(subject.to_owned(), i.to_string().into()).await.unwrap());
    }
    for ack in acks {
        within(ack.into_future()).await.unwrap();
    }
}

/// Bodies of a stream in order.
async fn bodies(client: &Client, stream: &str) -> Vec<String> {
    let js = jetstream::new(client.clone());
    let mut found = js.get_stream(stream).await.unwrap();
    let state = found.info().await.unwrap().state.clone();
    let mut all = Vec::new();
    for seq in state.first_sequence..=state.last_sequence {
        let message = found.get_raw_message(seq).await.unwrap();
        all.push(String::from_utf8(message.payload.to_vec()).unwrap());
    }
    all
}

// Contract: SRC-001, SRC-011, STREAM-082
#[tokio::test]
async fn a_mirror_copies_and_can_be_promoted() {
    let house = House::open().await;
    let client = &house.client;
    create(client, json!({"name":"O","subjects":["o.>"],"allow_direct":true})).await;
    publish(client, "o.a", 20).await;
    for seq in [1, 2, 10] {
        house.ask("STREAM.MSG.DELETE.O", &json!({ "seq": seq })).await;
    }
    let made = create(client, json!({"name":"M","mirror":{"name":"O"}})).await;
    assert_eq!(made["mirror"], json!({"name":"O","lag":0,"active":-1}));
    let info = holds(client, "M", 17).await;
    let state = &info["state"];
    assert_eq!((&state["first_seq"], &state["num_deleted"]), (&json!(3), &json!(1)), "{info}");
    assert!(info["mirror"]["active"].as_i64().unwrap() >= 0);
    let get = json!({"seq":11});
    let (own, theirs) =
        (house.ask("STREAM.MSG.GET.M", &get).await, house.ask("STREAM.MSG.GET.O", &get).await);
    assert_eq!(own["message"], theirs["message"]);
    let names = house.ask("CONSUMER.NAMES.O", &Value::Null).await;
    assert_eq!(names["total"], json!(0), "the server's own are not shown");
    let origin = house.ask("STREAM.INFO.O", &Value::Null).await;
    assert_eq!(origin["state"]["consumer_count"], json!(0), "nor counted: {origin}");

    let refused =
        house.raw("$JS.API.STREAM.UPDATE.M", &[], r#"{"name":"M","mirror":{"name":"X"}}"#).await;
    assert!(refused.contains("10055"), "{refused}");
    let update = json!({"name":"M","subjects":["m.>"]});
    assert!(house.ask("STREAM.UPDATE.M", &update).await["mirror"].is_null());
    let ack = house.raw("m.x", &[], "own").await;
    assert_eq!(ack, r#"{"stream":"M","seq":21}"#);
    publish(client, "o.b", 1).await;
    assert_eq!(until(client, "M", |_| true).await["state"]["last_seq"], json!(21));
}

#[tokio::test]
async fn a_mirror_answers_direct_gets_for_its_origin() {
    let house = House::open().await;
    let client = &house.client;
    create(client, json!({"name":"O","subjects":["o.>"],"allow_direct":true})).await;
    publish(client, "o.a", 3).await;
    let config = json!({"name":"M","mirror":{"name":"O"},"mirror_direct":true,"allow_direct":true});
    create(client, config).await;
    holds(client, "M", 3).await;
    let mut from = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let answer = within(client.request("$JS.API.DIRECT.GET.O.o.a", "".into())).await.unwrap();
        assert_eq!(answer.payload, "2");
        let headers = answer.headers.unwrap();
        from.insert(headers.get("Nats-Stream").unwrap().to_string());
    }
    assert_eq!(from.into_iter().collect::<Vec<_>>(), ["M", "O"], "both answer");
}

// Contract: SRC-003, SRC-005
#[tokio::test]
async fn sources_are_filtered_renamed_and_named() {
    let house = House::open().await;
    let client = &house.client;
    create(client, json!({"name":"O","subjects":["o.>"]})).await;
    create(client, json!({"name":"P","subjects":["p.>"]})).await;
    for subject in ["o.a", "o.b", "o.c", "p.a"] {
        publish(client, subject, 2).await;
    }
    let transforms = json!([{"src":"o.b","dest":"x.b"},{"src":"o.c","dest":""}]);
    let sources = json!([{"name":"O","filter_subject":"o.a"},
        {"name":"O","subject_transforms":transforms},{"name":"P"}]);
    create(client, json!({"name":"S","subjects":["s"],"sources":sources})).await;
    let info = holds(client, "S", 8).await;
    assert_eq!(info["sources"].as_array().unwrap().len(), 3);
    let request = json!({"subjects_filter":">"});
    let info = house.ask("STREAM.INFO.S", &request).await;
    let want = json!({"o.a":2,"o.c":2,"p.a":2,"x.b":2});
    assert_eq!(info["state"]["subjects"], want);
    let js = &house.js;
    let stream = js.get_stream("S").await.unwrap();
    let last = stream.get_last_raw_message_by_subject("x.b").await.unwrap();
    let from = last.headers.get("Nats-Stream-Source").unwrap().to_string();
    assert_eq!(from, "O 4 o.b\u{c}o.c x.b\u{c}> o.b");
    // Its own subjects are taken as ever, and a source that is added begins at its beginning.
    assert_eq!(house.raw("s", &[], "own").await, r#"{"stream":"S","seq":9}"#);
    let only = json!([{"name":"P"},{"name":"O","filter_subject":"o.b"}]);
    house.ask("STREAM.UPDATE.S", &json!({"name":"S","subjects":["s"],"sources":only})).await;
    holds(client, "S", 11).await;
}

// Contract: SRC-008, SRC-014
#[tokio::test]
async fn a_work_queue_is_drained_once_and_its_consumer_goes_with_the_stream() {
    let house = House::open().await;
    let client = &house.client;
    create(client, json!({"name":"W","subjects":["w"],"retention":"workqueue"})).await;
    publish(client, "w", 2_500).await;
    create(client, json!({"name":"S","sources":[{"name":"W"}]})).await;
    holds(client, "S", 2_500).await;
    holds(client, "W", 0).await;
    let list = house.ask("CONSUMER.LIST.W", &Value::Null).await;
    let config = &list["consumers"][0]["config"];
    assert_eq!(config["ack_policy"], json!("flow_control"), "{list}");
    assert!(config["durable_name"].as_str().unwrap().starts_with("JS_SRC_"));
    let house = house.again().await;
    let client = &house.client;
    publish(client, "w", 500).await;
    holds(client, "S", 3_000).await;
    holds(client, "W", 0).await;
    house.ask("STREAM.DELETE.S", &Value::Null).await;
    until(client, "W", |info| info["state"]["consumer_count"] == json!(0)).await;
}

// Contract: SRC-013
#[tokio::test]
async fn a_full_stream_goes_on_where_it_stopped() {
    let house = House::open().await;
    let client = &house.client;
    create(client, json!({"name":"O","subjects":["o"]})).await;
    publish(client, "o", 12).await;
    let config = json!({"name":"S","max_msgs":5,"discard":"new","sources":[{"name":"O"}]});
    create(client, config).await;
    until(client, "S", |info| info["sources"][0]["error"]["err_code"] == json!(10077)).await;
    assert_eq!(bodies(client, "S").await, ["0", "1", "2", "3", "4"]);
    house.ask("STREAM.PURGE.S", &json!({"keep":1})).await;
    until(client, "S", |info| info["state"]["last_seq"] == json!(9)).await;
    assert_eq!(bodies(client, "S").await, ["4", "5", "6", "7", "8"]);
}

// Contract: SRC-010
#[tokio::test]
async fn a_durable_consumer_can_be_drawn_from() {
    let house = House::open().await;
    let client = &house.client;
    create(client, json!({"name":"O","subjects":["o"]})).await;
    publish(client, "o", 5).await;
    let consumer = json!({"name":"mine","deliver_subject":"my.sub"});
    create(client, json!({"name":"S","sources":[{"name":"O","consumer":consumer}]})).await;
    let missing = |info: &Value| info["sources"][0]["error"]["err_code"] == json!(10014);
    until(client, "S", missing).await;
    let config = json!({"durable_name":"mine","deliver_subject":"my.sub","ack_policy":"flow_control",
        "deliver_policy":"by_start_sequence","opt_start_seq":3});
    let body = json!({"stream_name":"O","config":config});
    let made = house.ask("CONSUMER.DURABLE.CREATE.O.mine", &body).await;
    assert!(made["error"].is_null(), "{made}");
    holds(client, "S", 3).await;
    assert_eq!(bodies(client, "S").await, ["2", "3", "4"]);
}

// Contract: SRC-012
#[tokio::test]
async fn another_account_and_the_own_domain_are_reached_by_prefixes() {
    let dir = tempfile::tempdir().unwrap();
    let conf = format!(
        r#"jetstream {{ store_dir: {:?}, domain: hub }}
        accounts {{
          ONE {{ jetstream: enabled, users: [{{user: one, password: p}}]
            exports: [
              {{service: "$JS.API.CONSUMER.>", response_type: stream}}
              {{service: "$JS.FC.>"}}
              {{stream: "deliver.>"}} ] }}
          TWO {{ jetstream: enabled, users: [{{user: two, password: p}}]
            imports: [
              {{service: {{account: ONE, subject: "$JS.API.CONSUMER.>"}}, to: "one.api.CONSUMER.>"}}
              {{service: {{account: ONE, subject: "$JS.FC.>"}}}}
              {{stream: {{account: ONE, subject: "deliver.>"}}}} ] }}
        }}"#,
        dir.path().display()
    );
    let server = server(&conf);
    let connect = |user: &str| {
        let options = async_nats::ConnectOptions::with_user_and_password(user.into(), "p".into());
        options.connect(url(&server))
    };
    let (one, two) = (connect("one").await.unwrap(), connect("two").await.unwrap());
    create(&one, json!({"name":"O","subjects":["o.>"]})).await;
    publish(&one, "o.x", 30).await;
    let external = json!({"api":"one.api","deliver":"deliver"});
    create(&two, json!({"name":"S","sources":[{"name":"O","external":external}]})).await;
    create(&two, json!({"name":"M","mirror":{"name":"O","external":external}})).await;
    holds(&two, "S", 30).await;
    let info = holds(&two, "M", 30).await;
    assert_eq!(info["mirror"]["external"], external);
    let last = request(&two, "STREAM.MSG.GET.S", &json!({"seq":30})).await;
    assert_eq!(last["message"]["subject"], json!("o.x"));
    publish(&one, "o.y", 2_000).await;
    holds(&two, "S", 2_030).await;
    let domain = json!({"api":"$JS.hub.API","deliver":""});
    create(&one, json!({"name":"T","sources":[{"name":"O","external":domain}]})).await;
    holds(&one, "T", 2_030).await;
    server.shutdown();
}

/// A server process that can be killed without a word.
struct Killable {
    child: Child,
    url: String,
}

impl Killable {
    async fn start(dir: &std::path::Path) -> Self {
        let ports = dir.join("ports");
        let _ = std::fs::remove_dir_all(&ports);
        std::fs::create_dir_all(&ports).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_nats-server"))
            .args(["-js", "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(&ports)
            .arg("-sd")
            .arg(dir.join("js"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let found = async {
            loop {
                let file = std::fs::read_dir(&ports).unwrap().flatten().next();
                let text = file.and_then(|f| std::fs::read_to_string(f.path()).ok());
                let ports = text.and_then(|t| serde_json::from_str::<Value>(&t).ok());
                if let Some(url) = ports.as_ref().and_then(|p| p["nats"][0].as_str()) {
                    return url.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let url = within(found).await;
        Self { child, url }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

// Contract: SRC-002, SRC-004
#[tokio::test]
async fn nothing_is_lost_or_doubled_when_the_server_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Killable::start(dir.path()).await;
    let mut client = async_nats::connect(&server.url).await.unwrap();
    create(&client, json!({"name":"O","subjects":["o"]})).await;
    create(&client, json!({"name":"W","subjects":["w"],"retention":"workqueue"})).await;
    create(&client, json!({"name":"M","mirror":{"name":"O"}})).await;
    let sources = json!([{"name":"O"},{"name":"W"}]);
    create(&client, json!({"name":"S","sources":sources})).await;
    let mut expected = 0u64;
    for round in 0..6 {
        for subject in ["o", "w"] {
            publish(&client, subject, 400).await;
        }
        expected += 400;
        if round % 2 == 1 {
            until(&client, "S", |info| info["state"]["messages"].as_u64() > Some(expected)).await;
        }
        server.kill();
        server = Killable::start(dir.path()).await;
        client = async_nats::connect(&server.url).await.unwrap();
    }
    holds(&client, "M", expected).await;
    holds(&client, "W", 0).await;
    holds(&client, "S", 2 * expected).await;
    let bodies = bodies(&client, "S").await;
    for number in ["0", "17", "399"] {
        assert_eq!(bodies.iter().filter(|b| *b == number).count(), 12, "{number}");
    }
    server.kill();
}
