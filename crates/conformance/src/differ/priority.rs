//! Pull requests that wait, alone and in priority groups.
//!
//! Whatever is delivered to a request that waits comes when it comes and is compared later.
//! Parity: CONS (pull requests, priority groups).

use serde_json::json;

use super::generate::{End, Step, ask, fetch, message, single};
use crate::random::Random;

const HOUR: u64 = 3_600_000_000_000;

pub(super) fn next(r: &mut Random, known: bool, last: u64, acks: usize) -> Step {
    if !known {
        let storage = r.of(&["memory", "file"]);
        let retention = r.of(&["limits", "limits", "workqueue", "interest"]);
        let body =
            json!({"name": "S0", "subjects": ["s0.>"], "storage": storage, "retention": retention});
        return ask("$JS.API.STREAM.CREATE.S0".into(), body.to_string());
    }
    let name = format!("c{}", r.below(3));
    match r.below(100) {
        0..8 => create(r, &name),
        8..10 => ask(format!("$JS.API.CONSUMER.DELETE.S0.{name}"), ""),
        10..35 => {
            message(format!("s0.{}", r.below(3)), String::new(), "x".repeat(r.below(20) as usize))
        }
        35..60 => pull(r, &name),
        60..78 if acks > 0 => {
            let body = r.of(&["", "+ACK", "+ACK", "+ACK", "-NAK", "+TERM", "+WPI", "+NXT"]);
            Step::Ack { which: r.below(acks as u64) as usize, body: body.to_owned() }
        }
        60..92 => ask(format!("$JS.API.CONSUMER.INFO.S0.{name}"), ""),
        92..94 => single(
            format!("$JS.API.CONSUMER.UNPIN.S0.{name}"),
            r.of(&["{\"group\":\"g\"}", "{\"group\":\"h\"}", ""]),
        ),
        94..96 => {
            let until = r.of(&["", "{\"pause_until\":\"2100-01-01T00:00:00Z\"}"]);
            ask(format!("$JS.API.CONSUMER.PAUSE.S0.{name}"), until)
        }
        96 => ask("$JS.API.STREAM.PURGE.S0".into(), ""),
        97 => single(
            format!("$JS.API.CONSUMER.RESET.S0.{name}"),
            if r.one_in(2) { String::new() } else { format!("{{\"seq\":{last}}}") },
        ),
        98 => ask("$JS.API.STREAM.MSG.DELETE.S0".into(), format!("{{\"seq\":{last}}}")),
        _ => ask("$JS.API.STREAM.INFO.S0".into(), ""),
    }
}

fn create(r: &mut Random, name: &str) -> Step {
    let mut config = json!({"durable_name": name, "ack_policy": r.of(&["explicit", "explicit", "none"]), "ack_wait": HOUR});
    match r.below(6) {
        0 => {}
        1 | 2 => {
            config["priority_policy"] = "overflow".into();
            config["priority_groups"] = json!(["g"]);
        }
        3 => {
            config["priority_policy"] = "prioritized".into();
            config["priority_groups"] = json!(["g"]);
        }
        _ => {
            config["priority_policy"] = "pinned_client".into();
            config["priority_groups"] = json!(["g"]);
            config["priority_timeout"] = HOUR.into();
        }
    }
    if r.one_in(3) {
        config["max_waiting"] = (1 + r.below(3)).into();
    }
    if r.one_in(3) {
        config["max_ack_pending"] = (1 + r.below(3)).into();
    }
    if r.one_in(4) {
        config["filter_subject"] = "s0.1".into();
    }
    if r.one_in(5) {
        config["max_deliver"] = (1 + r.below(2)).into();
    }
    if r.one_in(6) {
        config["max_batch"] = 2.into();
    }
    // Changed under requests that wait, the reference leaves them waiting.
    let body = json!({"stream_name": "S0", "config": config, "action": "create"});
    ask(format!("$JS.API.CONSUMER.CREATE.S0.{name}"), body.to_string())
}

fn pull(r: &mut Random, name: &str) -> Step {
    let batch = 1 + r.below(4);
    let mut body = json!({"batch": batch});
    if !r.one_in(4) {
        body["group"] = if r.one_in(12) { "h".into() } else { "g".into() };
    }
    if r.one_in(4) {
        body["min_pending"] = (1 + r.below(5)).into();
    }
    if r.one_in(4) {
        body["min_ack_pending"] = (1 + r.below(3)).into();
    }
    if r.one_in(3) {
        body["priority"] = r.below(11).into();
    }
    if r.one_in(8) {
        body["id"] = r.of(&["", "x", "someid"]).into();
    }
    if r.one_in(8) {
        body["max_bytes"] = (30 + r.below(100)).into();
    }
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.S0.{name}");
    match r.below(4) {
        0 => {
            body["no_wait"] = true.into();
            fetch(subject, body.to_string(), batch as usize)
        }
        1 => {
            body["expires"] = 50_000_000.into();
            fetch(subject, body.to_string(), batch as usize)
        }
        _ => {
            body["expires"] = HOUR.into();
            fetch(subject, body.to_string(), batch as usize).with_end(End::Later)
        }
    }
}
