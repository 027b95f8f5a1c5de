//! What is heard, without what differs by nature.

use serde_json::Value;
use testkit::Msg;

use crate::redact::{names, redact};

/// Members whose values are random, times or the process's own.
const HIDDEN: &[&str] = &[
    "nonce",
    "xkey",
    "git_commit",
    "version",
    "go",
    "server_id",
    "client_id",
    "port",
    "service",
    "system",
    "total",
    "start",
    "ts",
    "size",
    "now",
    "last_activity",
    "uptime",
    "idle",
    "hop",
    "lastmod",
    "sid",
];

/// A message, on one line.
pub(super) fn message(m: &Msg) -> String {
    let mut text = names(&subject(&m.subject));
    text.push_str(&format!(" [{}]", m.sid));
    if let Some(reply) = &m.reply {
        text.push_str(&format!(" -> {}", subject(reply)));
    }
    for line in m.header_text().lines() {
        text.push_str(" | ");
        match line.split_once(": ") {
            Some((name, value)) => text.push_str(&format!("{name}: {}", body(value))),
            None => text.push_str(line),
        }
    }
    text.push_str(&format!(" {:?}", body(&m.text())));
    text.replace("\\\"", "\"")
}

/// An answer; its subject is the question's own.
pub(super) fn answer(m: &Msg) -> String {
    let header = m.header_text().replace("\r\n", "|");
    format!("{header}{}", body(&m.text()))
}

/// An INFO.
pub(super) fn info(json: &Value) -> String {
    format!("INFO {}", body(&json.to_string()))
}

/// Inboxes of shared services are random.
fn subject(text: &str) -> String {
    match text.strip_prefix("_R_.") {
        Some(_) => "_R_.*".to_owned(),
        None => text.to_owned(),
    }
}

fn body(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut json) if json.is_object() || json.is_array() => {
            // Which server it is, golden files show.
            if let Some(members) = json.as_object_mut() {
                members.shift_remove("server");
            }
            hide(&mut json);
            redact(&json.to_string(), true)
        }
        _ => names(text),
    }
}

fn hide(json: &mut Value) {
    match json {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                let is_number = value.is_number() || value.is_string();
                if HIDDEN.contains(&name.as_str()) && is_number {
                    *value = "*".into();
                } else {
                    hide(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}
