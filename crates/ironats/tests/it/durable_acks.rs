//! What a consumer knows after its server was killed.

use async_nats::Client;
use futures_lite::StreamExt;
use serde_json::{Value, json};
use std::path::Path;
use testkit::binary::Which;
use testkit::server::{Server, ServerBuilder};

use super::within;

async fn start(dir: &Path, extra: &str) -> (Server, Client) {
    let config = format!("jetstream {{ store_dir: {:?}\n{extra} }}", dir.display().to_string());
    let server = ServerBuilder::new(Which::Ours).config(&config).start();
    let client = async_nats::connect(format!("nats://{}", server.addr())).await.unwrap();
    (server, client)
}

async fn ask(client: &Client, subject: &str, body: Value) -> Value {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = within(client.request(format!("$JS.API.{subject}"), body.into())).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

async fn fill(client: &Client) {
    ask(client, "STREAM.CREATE.S", json!({"name":"S","subjects":["s"]})).await;
    for (name, memory) in [("C", false), ("M", true)] {
        let config = json!({"durable_name":name,"ack_policy":"explicit","mem_storage":memory});
        let body = json!({"stream_name":"S","config":config});
        ask(client, &format!("CONSUMER.CREATE.S.{name}"), body).await;
    }
    for _ in 0..20 {
        within(client.request("s", "x".into())).await.unwrap();
    }
}

/// Pulls and acknowledges, each confirmed.
async fn acknowledge(client: &Client, consumer: &str, count: usize) {
    let inbox = client.new_inbox();
    let mut pulled = client.subscribe(inbox.clone()).await.unwrap();
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.S.{consumer}");
    let body = json!({"batch": count}).to_string();
    client.publish_with_reply(next, inbox, body.into()).await.unwrap();
    for _ in 0..count {
        let message = within(pulled.next()).await.unwrap();
        let confirmed = within(client.request(message.reply.unwrap(), "".into())).await.unwrap();
        assert!(confirmed.payload.is_empty());
    }
}

async fn floor(client: &Client, consumer: &str) -> Value {
    let info = ask(client, &format!("CONSUMER.INFO.S.{consumer}"), Value::Null).await;
    info["ack_floor"]["stream_seq"].clone()
}

// Contract: CONS-036, FSTORE-014
#[tokio::test]
async fn a_confirmed_acknowledgement_outlives_the_server_where_syncs_are_not_put_off() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = start(dir.path(), "sync_interval: always").await;
    fill(&client).await;
    // The last confirmation and the end of the server are closer together than two writes of states
    // that nobody waits for.
    let mut acked = 0;
    let mut running = (server, client);
    for count in [1, 3, 5, 7] {
        acknowledge(&running.1, "C", count).await;
        acked += count;
        drop(running);
        running = start(dir.path(), "sync_interval: always").await;
        assert_eq!(floor(&running.1, "C").await, json!(acked));
    }
}

// Contract: CONS-025
#[tokio::test]
async fn a_consumer_in_memory_goes_with_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, client) = start(dir.path(), "").await;
    fill(&client).await;
    acknowledge(&client, "C", 4).await;
    acknowledge(&client, "M", 4).await;
    assert_eq!(floor(&client, "M").await, json!(4));
    server.signal(testkit::server::Signal::TERM);
    server.wait_exit(testkit::DEADLINE);
    let (_server, client) = start(dir.path(), "").await;
    assert_eq!(floor(&client, "C").await, json!(4));
    let gone = ask(&client, "CONSUMER.INFO.S.M", Value::Null).await;
    assert_eq!(gone["error"]["err_code"], json!(10014), "{gone}");
}

// Contract: SRC-004
#[tokio::test]
async fn a_drained_queue_does_not_draw_again_what_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = start(dir.path(), "").await;
    ask(&client, "STREAM.CREATE.O", json!({"name":"O","subjects":["o"]})).await;
    let queue = json!({"name":"Q","retention":"workqueue","sources":[{"name":"O"}]});
    ask(&client, "STREAM.CREATE.Q", queue).await;
    let config = json!({"durable_name":"C","ack_policy":"explicit"});
    ask(&client, "CONSUMER.CREATE.Q.C", json!({"stream_name":"Q","config":config})).await;
    for _ in 0..30 {
        within(client.request("o", "x".into())).await.unwrap();
    }
    let inbox = client.new_inbox();
    let mut pulled = client.subscribe(inbox.clone()).await.unwrap();
    let next = "$JS.API.CONSUMER.MSG.NEXT.Q.C";
    client.publish_with_reply(next, inbox, r#"{"batch":30}"#.into()).await.unwrap();
    for _ in 0..30 {
        let message = within(pulled.next()).await.unwrap();
        within(client.request(message.reply.unwrap(), "".into())).await.unwrap();
    }
    let state = |client: Client| async move {
        ask(&client, "STREAM.INFO.Q", Value::Null).await["state"].clone()
    };
    assert_eq!(state(client.clone()).await["messages"], json!(0));
    let file = dir.path().join("jetstream/$G/streams/Q/sources.json");
    testkit::eventually(testkit::DEADLINE, "the place is written", || {
        std::fs::read_to_string(&file).ok().filter(|text| text.contains(":30}"))
    });
    drop(server);
    let (_server, client) = start(dir.path(), "").await;
    within(client.request("o", "new".into())).await.unwrap();
    let reached = within(async {
        loop {
            let state = state(client.clone()).await;
            if state["messages"] != json!(0) {
                return state;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    let state = reached.await;
    assert_eq!((&state["messages"], &state["last_seq"]), (&json!(1), &json!(31)));
}
