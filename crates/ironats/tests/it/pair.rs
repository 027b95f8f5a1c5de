//! Ours and the reference asked the same: every answer must be the same but for times and names
//! that servers make up. Without a reference ours is asked alone.

use async_nats::{Client, HeaderMap};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::binary::{Which, peer_of_version};
use testkit::server::{Server, ServerBuilder};

use super::within;

/// What no two servers agree on.
const VOLATILE: &[&str] =
    &["created", "ts", "first_ts", "last_ts", "last_active", "cluster", "time", "pause_remaining"];

pub(super) struct Pair {
    pub(super) sides: Vec<(Which, Server, Client)>,
}

impl Pair {
    pub(super) async fn open(jetstream: &str) -> Self {
        let config = format!("jetstream {{ store_dir: \"{{dir}}/js\"\n{jetstream} }}");
        Self::open_as(&config).await
    }

    pub(super) async fn open_as(config: &str) -> Self {
        let peer = peer_of_version("2.14", "answers compared").map(|_| Which::Peer);
        let mut sides = Vec::new();
        for which in std::iter::once(Which::Ours).chain(peer) {
            let server = ServerBuilder::new(which).config(config).start();
            let client = async_nats::connect(format!("nats://{}", server.addr())).await.unwrap();
            sides.push((which, server, client));
        }
        Self { sides }
    }

    pub(super) fn ours(&self) -> &Client {
        &self.sides.first().unwrap().2
    }

    /// Asks both and compares; returns what ours said.
    pub(super) async fn ask(&self, subject: &str, body: Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.ask_text(subject, &text).await
    }

    /// The same with a body as it is.
    pub(super) async fn ask_text(&self, subject: &str, text: &str) -> Value {
        let mut said = Vec::new();
        for (_, _, client) in &self.sides {
            let request = client.request(format!("$JS.API.{subject}"), text.to_owned().into());
            said.push(match tokio::time::timeout(Duration::from_secs(5), request).await {
                Err(_) => json!("silence"),
                Ok(Err(error)) => json!(error.to_string()),
                Ok(Ok(answer)) => serde_json::from_slice(&answer.payload).unwrap(),
            });
        }
        let plain: Vec<Value> = said.iter().map(|v| normal(v.clone())).collect();
        if let [ours, theirs] = plain.as_slice() {
            assert_eq!(ours, theirs, "ours, then the reference, to {subject} {text}");
        }
        said.swap_remove(0)
    }

    /// Asks for an error: its code.
    pub(super) async fn refused(&self, subject: &str, body: Value) -> u64 {
        let answer = self.ask(subject, body.clone()).await;
        let code = answer["error"]["err_code"].as_u64();
        code.unwrap_or_else(|| panic!("no error to {subject} {body}: {answer}"))
    }

    /// Asks for what must not be an error.
    pub(super) async fn done(&self, subject: &str, body: Value) -> Value {
        let answer = self.ask(subject, body.clone()).await;
        assert!(answer.get("error").is_none() && answer.is_object(), "{subject} {body}: {answer}");
        answer
    }

    /// Publishes with headers; the answer, status first if it has one.
    pub(super) async fn publish(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> String {
        let mut said = Vec::new();
        for (_, _, client) in &self.sides {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, *value);
            }
            let request =
                client.request_with_headers(subject.to_owned(), map, body.to_owned().into());
            let answer = within(request).await.unwrap();
            let status = answer.status.map(|s| format!("{s} ")).unwrap_or_default();
            said.push(format!("{status}{}", String::from_utf8_lossy(&answer.payload)));
        }
        if let [ours, theirs] = said.as_slice() {
            assert_eq!(ours, theirs, "ours, then the reference, to {subject} {headers:?}");
        }
        said.swap_remove(0)
    }

    /// Repeats a request until both answer so; then compares.
    pub(super) async fn until(
        &self,
        subject: &str,
        body: Value,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        for (which, _, client) in &self.sides {
            let reached = async {
                loop {
                    let request = client.request(format!("$JS.API.{subject}"), text.clone().into());
                    let answer = within(request).await.unwrap();
                    if holds(&serde_json::from_slice(&answer.payload).unwrap()) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let in_time = tokio::time::timeout(Duration::from_secs(15), reached).await;
            assert!(in_time.is_ok(), "{which:?} never says so to {subject}");
        }
        self.ask(subject, body).await
    }
}

/// Without what is volatile.
pub(super) fn normal(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.retain(|key, _| !VOLATILE.contains(&key.as_str()));
            for entry in map.values_mut() {
                *entry = normal(entry.take());
            }
        }
        Value::Array(list) => {
            for entry in list {
                *entry = normal(entry.take());
            }
        }
        _ => {}
    }
    value
}

/// Whether an error's text holds that.
pub(super) fn says(answer: &Value, text: &str) -> bool {
    answer["error"]["description"].as_str().is_some_and(|said| said.contains(text))
}
