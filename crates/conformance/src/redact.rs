//! What changes from run to run, taken out of JSON.

use serde_json::{Map, Value};

/// Numbers that depend on the machine, the time or the implementation.
const NUMBERS: [&str; 28] = [
    "seq",
    "mem",
    "cpu",
    "cores",
    "port",
    "rtt",
    "gomaxprocs",
    "gomemlimit",
    "cid",
    "id",
    "num_cache",
    "num_matches",
    "num_inserts",
    "num_removes",
    "cache_hit_rate",
    "max_fanout",
    "avg_fanout",
    "in_msgs",
    "out_msgs",
    "in_bytes",
    "out_bytes",
    "in_client_msgs",
    "in_client_bytes",
    "out_client_msgs",
    "out_client_bytes",
    "total_connections",
    "pending_bytes",
    "stalled_clients",
];

/// Texts that do.
const TEXTS: [&str; 7] = ["go", "uptime", "idle", "rtt", "profile", "store_dir", "config_digest"];

/// Counts that include what the server itself listens to, which is not the same everywhere.
const WITH_OWN: [&str; 2] = ["subscriptions", "num_subscriptions"];
/// Accounts of users have fewer.
const OWN: u64 = 20;

/// The JSON in `text` without what changes, in its own order of members; `text` if it is no JSON.
pub fn redact(text: &str, traffic: bool) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => clean("", value, traffic).to_string(),
        Err(_) => names(text),
    }
}

/// The names and types of JSON only.
pub fn shape(text: &str) -> String {
    fn of(value: &Value) -> String {
        match value {
            Value::Object(members) => {
                let all: Vec<String> =
                    members.iter().map(|(k, v)| format!("{k}:{}", of(v))).collect();
                format!("{{{}}}", all.join(","))
            }
            Value::Array(items) => format!("[{}]", items.first().map(of).unwrap_or_default()),
            Value::String(_) => "text".into(),
            Value::Number(_) => "number".into(),
            Value::Bool(_) => "bool".into(),
            Value::Null => "null".into(),
        }
    }
    serde_json::from_str(text).map_or_else(|_| text.to_owned(), |value| of(&value))
}

fn clean(key: &str, value: Value, traffic: bool) -> Value {
    match value {
        Value::Object(members) => {
            let counts = ["msgs", "bytes"];
            let own = members.get("subject").is_some_and(|s| s.to_string().contains("$SYS."));
            let members = members.into_iter().map(|(k, v)| {
                let hidden = traffic && counts.contains(&k.as_str()) && v.is_number();
                let hidden = hidden || (own && k == "sid");
                let value = if hidden { Value::from("#") } else { clean(&k, v, traffic) };
                (k, value)
            });
            Value::Object(members.collect::<Map<_, _>>())
        }
        // Lists come in an order that is nobody's business.
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(|v| clean("", v, traffic)).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Number(_) if NUMBERS.contains(&key) => "#".into(),
        Value::Number(n) if WITH_OWN.contains(&key) && n.as_u64().is_some_and(|n| n > OWN) => {
            "#".into()
        }
        Value::String(text) if TEXTS.contains(&key) && !text.is_empty() => "#".into(),
        Value::String(text) if key == "id" && text.len() == 22 => "event".into(),
        Value::String(text) if is_time(&text) => "time".into(),
        Value::String(text) => names(&text).into(),
        other => other,
    }
}

/// `2026-11-21T08:00:00.1Z`; not the year 1, which stands for never.
fn is_time(text: &str) -> bool {
    let shape = |(at, c): (usize, char)| match at {
        4 | 7 => c == '-',
        10 => c == 'T',
        13 | 16 => c == ':',
        _ => c.is_ascii_digit(),
    };
    text.len() > 19
        && text.ends_with('Z')
        && text.starts_with('2')
        && text.char_indices().take(19).all(shape)
}

/// Public keys of servers, by what they are.
pub fn names(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('N') {
        let (before, key) = rest.split_at(at);
        out.push_str(before);
        let len = key.bytes().take_while(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(b));
        let len = len.take(56).count();
        if len == 56 {
            out.push_str("<id>");
            rest = &key[56..];
        } else {
            out.push('N');
            rest = &key[1..];
        }
    }
    out.push_str(rest);
    out
}
