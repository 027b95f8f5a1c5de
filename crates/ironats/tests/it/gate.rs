//! Who may ask the API, and how much: accounts without JetStream, the system account, domains.

use async_nats::{Client, ConnectOptions};
use futures_lite::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::binary::{Which, peer_of_version};
use testkit::server::{Server, ServerBuilder};

use super::jetstream::code;
use super::within;

const ACCOUNTS: &str = "
  accounts {
    A { users: [{user: a, password: p}], jetstream: enabled
        exports: [{service: \"$JS.API.>\"}] }
    L { users: [{user: l, password: p}]
        jetstream: {max_mem: 1MB, max_file: 2MB, max_streams: 2, max_consumers: 1, max_ack_pending: 100} }
    C { users: [{user: c, password: p}] }
    I { users: [{user: i, password: p}]
        imports: [{service: {account: A, subject: \"$JS.API.>\"}}] }
    SYS { users: [{user: s, password: p}] }
  }
  system_account: SYS";

fn start(which: Which, jetstream: &str) -> Server {
    let config = format!("jetstream {{ store_dir: \"{{dir}}/js\"\n{jetstream} }}\n{ACCOUNTS}");
    ServerBuilder::new(which).config(&config).start()
}

async fn connect(server: &Server, user: &str) -> Client {
    let options = ConnectOptions::with_user_and_password(user.into(), "p".into());
    options.connect(format!("nats://{}", server.addr())).await.unwrap()
}

/// The answer, or why there is none.
async fn ask(client: &Client, subject: &str, body: &Value) -> Value {
    ask_within(Duration::from_secs(10), client, subject, body).await
}

async fn ask_within(patience: Duration, client: &Client, subject: &str, body: &Value) -> Value {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = client.request(subject.to_owned(), body.into());
    match tokio::time::timeout(patience, request).await {
        Err(_) => json!("silence"),
        Ok(Err(error)) => json!(error.to_string()),
        Ok(Ok(answer)) => serde_json::from_slice(&answer.payload).unwrap(),
    }
}

/// Both servers, or ours alone.
fn servers() -> Vec<Which> {
    let peer = peer_of_version("2.14", "who may ask").map(|_| Which::Peer);
    std::iter::once(Which::Ours).chain(peer).collect()
}

const REQUESTS: &[(&str, &str)] = &[
    ("INFO", ""),
    ("STREAM.CREATE.Z", r#"{"name":"Z"}"#),
    ("STREAM.UPDATE.Z", r#"{"name":"Z"}"#),
    ("STREAM.NAMES", ""),
    ("STREAM.LIST", ""),
    ("STREAM.INFO.Z", ""),
    ("STREAM.DELETE.Z", ""),
    ("STREAM.PURGE.Z", ""),
    ("STREAM.MSG.GET.Z", r#"{"seq":1}"#),
    ("STREAM.MSG.DELETE.Z", r#"{"seq":1}"#),
    ("STREAM.SNAPSHOT.Z", r#"{"deliver_subject":"x"}"#),
    ("STREAM.RESTORE.Z", r#"{"config":{"name":"Z"}}"#),
    ("STREAM.PEER.REMOVE.Z", r#"{"peer":"x"}"#),
    ("STREAM.LEADER.STEPDOWN.Z", ""),
    ("CONSUMER.CREATE.Z.D", r#"{"stream_name":"Z","config":{"durable_name":"D"}}"#),
    ("CONSUMER.NAMES.Z", ""),
    ("CONSUMER.LIST.Z", ""),
    ("CONSUMER.INFO.Z.D", ""),
    ("CONSUMER.DELETE.Z.D", ""),
    ("CONSUMER.PAUSE.Z.D", ""),
    ("CONSUMER.UNPIN.Z.D", r#"{"group":"a"}"#),
    ("CONSUMER.LEADER.STEPDOWN.Z.D", ""),
    ("CONSUMER.RESET.Z.D", ""),
    ("DIRECT.GET.Z", r#"{"seq":1}"#),
    ("META.LEADER.STEPDOWN", ""),
    ("SERVER.REMOVE", r#"{"peer":"x"}"#),
    ("ACCOUNT.STREAM.MOVE.A.Z", ""),
    ("ACCOUNT.STREAM.CANCEL_MOVE.A.Z", ""),
    ("ACCOUNT.PURGE.NOBODY", ""),
    ("STREAM.TEMPLATE.NAMES", ""),
    ("JUNK", ""),
];

async fn answers(server: &Server, user: &str) -> Vec<(String, Value)> {
    let client = connect(server, user).await;
    let mut all = Vec::new();
    for (subject, body) in REQUESTS {
        let body = serde_json::from_str(body).unwrap_or_default();
        let patience = Duration::from_secs(1);
        let subject_of = format!("$JS.API.{subject}");
        let answer = ask_within(patience, &client, &subject_of, &body).await;
        all.push(((*subject).to_owned(), answer));
    }
    all
}

// Contract: API-014, API-015, API-016, API-017, API-018, API-020, API-035, API-049, API-050
#[tokio::test]
async fn who_has_no_jetstream_is_told_so() {
    let mut told: Vec<[Vec<(String, Value)>; 2]> = Vec::new();
    for which in servers() {
        let server = start(which, "");
        told.push([answers(&server, "c").await, answers(&server, "s").await]);
    }
    let [stranger, system] = told.first().unwrap();
    let error = |all: &[(String, Value)], subject: &str| {
        let (_, answer) = all.iter().find(|(s, _)| s == subject).unwrap();
        (answer["type"].as_str().unwrap().to_owned(), code(answer))
    };
    let kind = |name: &str| format!("io.nats.jetstream.api.v1.{name}_response");
    assert_eq!(error(stranger, "STREAM.CREATE.Z"), (kind("stream_create"), 10039));
    assert_eq!(
        error(stranger, "STREAM.LEADER.STEPDOWN.Z"),
        (kind("stream_leader_stepdown"), 10010)
    );
    assert_eq!(error(system, "STREAM.CREATE.Z"), (kind("system"), 10039));
    assert_eq!(error(system, "INFO"), (kind("account_info"), 10039));
    for (subject, quiet) in stranger.iter().zip(system).map(|(a, b)| (&a.0, [&a.1, &b.1])) {
        if ["META", "SERVER", "ACCOUNT.STREAM"].iter().any(|s| subject.starts_with(s)) {
            assert_eq!(quiet, [&json!("silence"); 2], "{subject}");
        }
    }
    if let [ours, theirs] = told.as_slice() {
        for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
            assert_eq!(ours, theirs);
        }
    }
}

// Contract: API-019, ADM-003
#[tokio::test]
async fn accounts_have_limits_and_can_be_purged() {
    let mut told = Vec::new();
    for which in servers() {
        let server = start(which, "");
        let (limited, system) = (connect(&server, "l").await, connect(&server, "s").await);
        let mut all = Vec::new();
        let mut say = async |subject: &str, body: Value| {
            let mut answer = ask(&limited, &format!("$JS.API.{subject}"), &body).await;
            for volatile in ["created", "ts", "cluster"] {
                answer.as_object_mut().unwrap().remove(volatile);
            }
            all.push(answer.clone());
            answer
        };
        let small = json!({"name":"A","max_bytes":1_500_000});
        assert_eq!(say("STREAM.CREATE.A", small).await["did_create"], json!(true));
        let answer = say("STREAM.CREATE.B", json!({"name":"B","max_bytes":1_000_000})).await;
        assert_eq!(code(&answer), 10047);
        let memory = json!({"name":"B","storage":"memory","max_bytes":1_100_000});
        assert_eq!(code(&say("STREAM.CREATE.B", memory).await), 10028);
        let answer = say("STREAM.CREATE.B", json!({"name":"B","max_bytes":100_000})).await;
        assert_eq!(answer["did_create"], json!(true));
        assert_eq!(code(&say("STREAM.CREATE.C", json!({"name":"C"})).await), 10027);
        let grown = json!({"name":"A","max_bytes":2_050_000});
        assert_eq!(code(&say("STREAM.UPDATE.A", grown).await), 10047);
        let consumer = |name: &str, waiting: i64| {
            json!({"stream_name":"A","config":{"durable_name":name,"ack_policy":"explicit",
                "max_ack_pending":waiting}})
        };
        let answer = say("CONSUMER.CREATE.A.X", consumer("X", 101)).await;
        assert_eq!(code(&answer), 10121);
        let answer = say("CONSUMER.CREATE.A.X", consumer("X", 50)).await;
        assert_eq!(answer["config"]["max_ack_pending"], json!(50));
        assert_eq!(code(&say("CONSUMER.CREATE.A.Y", consumer("Y", 50)).await), 10026);
        let info = say("INFO", Value::Null).await;
        assert_eq!(info["reserved_storage"], json!(1_600_000));
        assert_eq!(info["limits"]["max_streams"], json!(2));
        let purged = ask(&system, "$JS.API.ACCOUNT.PURGE.L", &Value::Null).await;
        assert_eq!(purged["initiated"], json!(true), "{purged}");
        let info = say("INFO", Value::Null).await;
        assert_eq!((&info["streams"], &info["reserved_storage"]), (&json!(0), &json!(0)));
        assert!(!server.dir().join("js/jetstream/L").exists());
        let again = say("STREAM.CREATE.A", json!({"name":"A"})).await;
        assert_eq!(again["did_create"], json!(true));
        told.push(all);
    }
    if let [ours, theirs] = told.as_slice() {
        for (ours, theirs) in ours.iter().zip(theirs) {
            let mut ours = ours.clone();
            if ours.get("api").is_some() {
                // Compat: what counts as an error differs on purpose.
                ours["api"] = theirs["api"].clone();
            }
            assert_eq!(&ours, theirs);
        }
    }
}

// Contract: API-049, SRC-012
#[tokio::test]
async fn an_import_of_another_accounts_api_wins() {
    for which in servers() {
        let server = start(which, "");
        let client = connect(&server, "i").await;
        let made = ask(&client, "$JS.API.STREAM.CREATE.S", &json!({"name":"S"})).await;
        assert_eq!(made["did_create"], json!(true), "{which:?}: {made}");
        let owner = connect(&server, "a").await;
        let info = ask(&owner, "$JS.API.STREAM.INFO.S", &Value::Null).await;
        assert_eq!(info["config"]["name"], "S");
    }
}

// Contract: API-048, DOM-003
#[tokio::test]
async fn the_own_domain_is_another_name_of_the_api() {
    for which in servers() {
        let server = start(which, "domain: hub");
        let client = connect(&server, "a").await;
        let config = json!({"name":"KV_b","subjects":["$KV.b.>"],"allow_direct":true});
        let made = ask(&client, "$JS.hub.API.STREAM.CREATE.KV_b", &config).await;
        assert_eq!(made["did_create"], json!(true), "{made}");
        assert_eq!(ask(&client, "$JS.API.STREAM.INFO.KV_b", &Value::Null).await["domain"], "hub");
        let info = ask(&client, "$JS.hub.API.INFO", &Value::Null).await;
        assert_eq!(info["domain"], "hub");
        // Views on streams are behind the prefix as well.
        let stored = within(client.request("$JS.hub.API.$KV.b.k", "v".into())).await.unwrap();
        assert_eq!(stored.payload, r#"{"stream":"KV_b","domain":"hub","seq":1}"#, "{which:?}");
        let consumer =
            json!({"stream_name":"KV_b","config":{"durable_name":"C","ack_policy":"explicit"}});
        let made = ask(&client, "$JS.hub.API.CONSUMER.CREATE.KV_b.C", &consumer).await;
        assert_eq!(made["name"], "C", "{which:?}: {made}");
        let inbox = client.new_inbox();
        let mut pulled = client.subscribe(inbox.clone()).await.unwrap();
        let next = "$JS.hub.API.CONSUMER.MSG.NEXT.KV_b.C";
        client.publish_with_reply(next, inbox, "".into()).await.unwrap();
        let message = within(pulled.next()).await.unwrap();
        assert_eq!((message.subject.as_str(), &*message.payload), ("$KV.b.k", &b"v"[..]));
        let direct = "$JS.hub.API.DIRECT.GET.KV_b";
        let got = within(client.request(direct, r#"{"seq":1}"#.into())).await.unwrap();
        assert_eq!(got.payload, "v");
        let other = ask(&client, "$JS.spoke.API.INFO", &Value::Null).await;
        assert!(other.as_str().unwrap().contains("no responders"), "{other}");
    }
}

// Contract: API-040
#[tokio::test]
async fn a_flood_of_requests_is_refused_not_lost() {
    let server = start(Which::Ours, "request_queue_limit: 3");
    let (client, system) = (connect(&server, "a").await, connect(&server, "s").await);
    let mut told = system.subscribe("$JS.EVENT.ADVISORY.API.LIMIT_REACHED").await.unwrap();
    within(system.request("$JS.API.INFO", "".into())).await.unwrap();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    const FLOOD: usize = 2_000;
    for i in 0..FLOOD {
        let body = json!({"name": format!("S{i}"), "storage": "memory"}).to_string();
        let subject = format!("$JS.API.STREAM.CREATE.S{i}");
        client.publish_with_reply(subject, inbox.clone(), body.into()).await.unwrap();
    }
    let event = within(told.next()).await.unwrap();
    let event: Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(event["type"], "io.nats.jetstream.advisory.v1.api_limit_reached");
    assert!(event["dropped"].as_u64().unwrap() > 0, "{event}");
    let (mut made, mut refused) = (0, 0);
    while made + refused < FLOOD {
        let answer = within(answers.next()).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        if answer["did_create"] == json!(true) {
            made += 1;
        } else {
            assert_eq!(code(&answer), 10167, "{answer}");
            refused += 1;
        }
    }
    assert!(made > 0 && refused > 0, "{made} made, {refused} refused");
    let names = ask(&client, "$JS.API.STREAM.NAMES", &Value::Null).await;
    assert_eq!(names["total"], json!(made));
}

// Contract: ADM-004
#[tokio::test]
async fn what_is_not_configured_comes_from_the_machine() {
    let mut found = Vec::new();
    for which in servers() {
        let config = "jetstream { store_dir: \"{dir}/js\" }";
        let server = ServerBuilder::new(which).monitoring().config(config).start();
        let config = server.json("/varz")["jetstream"]["config"].clone();
        let bytes = |key: &str| config[key].as_i64().unwrap();
        found.push((bytes("max_memory"), bytes("max_storage")));
    }
    assert!(found.iter().all(|(memory, disk)| *memory > 1 << 20 && *disk > 1 << 20), "{found:?}");
    if let [ours, theirs] = found.as_slice() {
        assert_eq!(ours.0, theirs.0);
        // Others write to the disk meanwhile.
        assert!((ours.1 - theirs.1).abs() < theirs.1 / 10, "{found:?}");
    }
}

// Contract: ADM-005
#[tokio::test]
async fn a_reload_changes_what_accounts_may_use() {
    let config = |streams: u32, store: &str, c: &str| {
        format!(
            "jetstream {{ store_dir: \"{{dir}}/js\", max_mem: 1MB, max_file: {store} }}
             accounts {{
               A {{ users: [{{user: a, password: p}}], jetstream: {{max_streams: {streams}, max_file: {store}}} }}
               C {{ users: [{{user: c, password: p}}]{c} }}
               SYS {{ users: [{{user: s, password: p}}] }}
             }}
             system_account: SYS"
        )
    };
    for which in servers() {
        let server = ServerBuilder::new(which).config(&config(1, "10MB", "")).start();
        let (a, c) = (connect(&server, "a").await, connect(&server, "c").await);
        let create = |client: &Client, name: &str, bytes: i64| {
            let (client, name) = (client.clone(), name.to_owned());
            let body = json!({"name": name, "max_bytes": bytes});
            async move { ask(&client, &format!("$JS.API.STREAM.CREATE.{name}"), &body).await }
        };
        assert_eq!(create(&a, "S", 1_000).await["did_create"], json!(true));
        assert_eq!(code(&create(&a, "T", 1_000).await), 10027);
        assert_eq!(code(&create(&c, "X", 1_000).await), 10039);
        let text =
            format!("listen: \"{}\"\n{}", server.addr(), config(2, "30MB", ", jetstream: enabled"));
        server.write_config(&text);
        server.signal(testkit::server::Signal::HUP);
        server.wait_log("Reloaded server configuration");
        let made = create(&a, "T", 20_000_000).await;
        assert_eq!(made["did_create"], json!(true), "{which:?}: {made}");
        assert_eq!(code(&create(&a, "U", 1_000).await), 10027, "{which:?}");
        let made = create(&c, "X", 1_000).await;
        assert_eq!(made["did_create"], json!(true), "{which:?}: {made}");
        assert_eq!(code(&create(&c, "Y", 20_000_000).await), 10047, "{which:?}");
    }
}
