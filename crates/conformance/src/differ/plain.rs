//! Takes out of an answer what differs by nature: times, random ids, texts of Go's libraries.

use serde_json::Value;
use testkit::Msg;

/// Fields whose values are times, or depend on them.
const TIMES: &[&str] = &[
    "created",
    "ts",
    "time",
    "timestamp",
    "first_ts",
    "last_ts",
    "last_active",
    "pause_remaining",
    "pinned_ts",
    "ack_time",
    "delivered_time",
    "start",
    "stop",
    "end",
    "rtt",
    "active",
];

/// Fields whose values are random, or name the process.
/// `errors` is among them because the reference counts some errors as good answers.
const IDS: &[&str] =
    &["errors", "id", "pinned_client_id", "pinned_id", "server_id", "host", "client_id", "cid"];

/// One message as it is compared.
pub(super) fn message(m: &Msg) -> String {
    let mut text = subject(&m.subject);
    if let Some(reply) = &m.reply {
        text.push_str(" reply ");
        text.push_str(&subject(reply));
    }
    for line in m.header_text().lines() {
        let hidden = ["Nats-Time-Stamp:", "Nats-Pin-Id:"].iter().find(|h| line.starts_with(**h));
        text.push_str("\n  ");
        match line.strip_prefix("Nats-Subject: ") {
            Some(of) => text.push_str(&format!("Nats-Subject: {}", subject(of))),
            None => text.push_str(hidden.copied().unwrap_or(line)),
        }
    }
    text.push('\n');
    text.push_str(&body(&m.text()));
    unnamed(text)
}

/// Hides the random ends of names that servers give to their own consumers, and where these
/// deliver to.
fn unnamed(text: String) -> String {
    let own = regex_lite::Regex::new(r"(JS_(?:SRC|MIRROR)_\w+-|\$JS\.[SM]\.)[\w-]+");
    own.map(|own| own.replace_all(&text, "$1*").into_owned()).unwrap_or(text)
}

/// Hides the time in an ack's subject; inboxes are numbered alike on both sides.
pub(super) fn subject(subject: &str) -> String {
    let mut tokens: Vec<&str> = subject.split('.').collect();
    if tokens.len() == 9 && subject.starts_with("$JS.ACK.") {
        tokens[7] = "*";
    }
    if subject.starts_with("$JS.SNAPSHOT.") || subject.starts_with("$JS.FC.") {
        let last = tokens.len() - 1;
        tokens[last] = "*";
    }
    tokens.join(".")
}

fn body(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut json) if json.is_object() => {
            hide(&mut json);
            serde_json::to_string_pretty(&json).unwrap_or_default()
        }
        _ => text.to_owned(),
    }
}

fn hide(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            // A file stream of the reference that never held anything counts sequence 0 as deleted.
            if fields.get("deleted").is_some_and(|d| *d == serde_json::json!([0])) {
                fields.shift_remove("deleted");
                fields.shift_remove("num_deleted");
            }
            // Streams of the server are clients of their own in the reference only.
            if fields.get("kind").is_some_and(|kind| kind == "JetStream") {
                fields.shift_remove("id");
            }
            // Where a stream that draws from another begins, is told by a time or by a sequence.
            if fields.get("sourcing").is_some_and(|sourcing| *sourcing == true)
                && let Some(time) = fields.get_mut("opt_start_time")
            {
                *time = "*".into();
            }
            if fields.get("config").is_some_and(|config| config["sourcing"] == true) {
                // How much was published by then is chance.
                fields.shift_remove("num_pending");
            }
            // A change is answered before what it says has begun.
            if fields
                .get("type")
                .is_some_and(|t| t == "io.nats.jetstream.api.v1.stream_update_response")
            {
                let sources = fields.get_mut("sources").and_then(Value::as_array_mut);
                for source in sources.into_iter().flatten().filter_map(Value::as_object_mut) {
                    source.shift_remove("filter_subject");
                }
            }
            // One that selects everything is shown by the reference as long as nothing else changes.
            if fields.contains_key("lag") && fields.get("filter_subject").is_some_and(|f| f == ">")
            {
                fields.shift_remove("filter_subject");
            }
            // Whether a mirror has begun to draw when its stream is shown first, is chance.
            if let Some(Value::Object(mirror)) = fields.get_mut("mirror")
                && mirror.contains_key("lag")
            {
                mirror.shift_remove("filter_subject");
            }
            if let Some(Value::Object(api)) = fields.get_mut("api") {
                api.shift_remove("total");
            }
            for (key, value) in fields.iter_mut() {
                let zero = value.as_str().is_some_and(|s| s.starts_with("0001-01-01"));
                if (TIMES.contains(&key.as_str()) || IDS.contains(&key.as_str())) && !zero {
                    *value = "*".into();
                } else if key == "description" && value.as_str().is_some_and(is_of_a_library) {
                    *value = "(library)".into();
                } else if key == "request" || key == "response" {
                    if let Some(text) = value.as_str() {
                        *value = body(text).into();
                    }
                } else {
                    hide(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// Texts of Go's JSON, which we say in our own words.
fn is_of_a_library(text: &str) -> bool {
    ["json:", "invalid character", "unexpected end of JSON", "parsing time"]
        .iter()
        .any(|part| text.contains(part))
        || text.starts_with("invalid JSON")
}
