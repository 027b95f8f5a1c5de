//! Batches, schedules and counters over a restart, and under other publishers' feet.

use super::jetstream::{House, code};
use super::within;
use futures_lite::StreamExt;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// RFC 3339 in UTC, so far from now.
fn later(time: Duration) -> String {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
    stdx::time::Timestamp(i64::try_from(at.as_nanos()).unwrap()).rfc3339()
}

async fn create(house: &House, mut config: Value) {
    config["name"] = json!("S");
    config["subjects"] = json!(["s.>"]);
    let created = house.ask("STREAM.CREATE.S", &config).await;
    assert_eq!(created["did_create"], json!(true), "{created}");
}

async fn state(house: &House) -> Value {
    let info = house.ask("STREAM.INFO.S", &json!({"subjects_filter": ">"})).await;
    info["state"].clone()
}

/// Waits until messages of that many subjects are stored.
async fn subjects(house: &House, wanted: &[&str]) {
    let mut events = house.client.subscribe("seen.>").await.unwrap();
    loop {
        let stored = state(house).await["subjects"].clone();
        let stored: Vec<String> =
            stored.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
        if stored == wanted {
            return;
        }
        let message = within(events.next()).await.unwrap();
        assert!(message.subject.starts_with("seen.s."), "{}", message.subject);
    }
}

// Contract: SCHED-001, SCHED-012
#[tokio::test]
async fn a_schedule_fires_once_after_a_restart() {
    let house = House::open().await;
    let republish = json!({"src": ">", "dest": "seen.>"});
    create(&house, json!({"allow_msg_schedules": true, "republish": republish})).await;
    let at = format!("@at {}", later(Duration::from_millis(700)));
    let once = [("Nats-Schedule", at.as_str()), ("Nats-Schedule-Target", "s.once")];
    assert_eq!(house.raw("s.due", &once, "x").await, r#"{"stream":"S","seq":1}"#);
    let far = [("Nats-Schedule", "@yearly"), ("Nats-Schedule-Target", "s.never")];
    assert_eq!(house.raw("s.far", &far, "x").await, r#"{"stream":"S","seq":2}"#);
    let house = house.again().await;
    subjects(&house, &["s.far", "s.once"]).await;
    let house = house.again().await;
    let state = state(&house).await;
    assert_eq!(state["subjects"], json!({"s.far": 1, "s.once": 1}));
    assert_eq!(state["last_seq"], json!(3));
}

// Contract: BATCH-010, BATCH-011
#[tokio::test]
async fn what_waits_for_its_batch_does_not_outlive_the_server() {
    let house = House::open().await;
    create(&house, json!({"allow_atomic": true})).await;
    let member = |seq: &'static str| [("Nats-Batch-Id", "b"), ("Nats-Batch-Sequence", seq)];
    assert_eq!(house.raw("s.a", &member("1"), "x").await, "");
    let house = house.again().await;
    let [id, seq] = member("2");
    let end = house.raw("s.a", &[id, seq, ("Nats-Batch-Commit", "1")], "x").await;
    assert_eq!(code(&serde_json::from_str(&end).unwrap()), 10176);
    assert_eq!(state(&house).await["messages"], json!(0));
}

// Contract: PUB-018
#[tokio::test]
async fn a_counter_goes_on_after_a_restart() {
    let house = House::open().await;
    create(&house, json!({"allow_msg_counter": true})).await;
    let add = |by: &'static str| [("Nats-Incr", by)];
    assert_eq!(house.raw("s.a", &add("40"), "").await, r#"{"stream":"S","seq":1,"val":"40"}"#);
    let house = house.again().await;
    assert_eq!(house.raw("s.a", &add("2"), "").await, r#"{"stream":"S","seq":2,"val":"42"}"#);
}

// Contract: BATCH-006
#[tokio::test]
async fn readers_see_all_of_a_batch_or_nothing() {
    let house = House::open().await;
    create(&house, json!({"allow_atomic": true})).await;
    let reader = async {
        let mut seen = 0;
        while seen < 100 {
            let messages = state(&house).await["messages"].as_u64().unwrap();
            assert_eq!(messages % 10, 0, "a part of a batch is visible");
            assert!(messages >= seen);
            seen = messages;
        }
    };
    let writer = async {
        for batch in 0..10 {
            let id = batch.to_string();
            for seq in 1..=10 {
                let seq = seq.to_string();
                let mut header = vec![("Nats-Batch-Id", &*id), ("Nats-Batch-Sequence", &*seq)];
                if seq == "10" {
                    header.push(("Nats-Batch-Commit", "1"));
                }
                let told = house.raw("s.a", &header, "x").await;
                assert_eq!(told.is_empty(), seq != "10", "{told}");
            }
        }
    };
    futures_lite::future::zip(reader, writer).await;
}
