//! Streams as clients use them: keys with history, markers and limits, objects in chunks, and the
//! consumers that watch both.
//!
//! Parity: KV, OBJ.

use serde_json::json;

use super::generate::{End, Step, ask, fetch, message, single};
use crate::random::Random;

const KEYS: &[&str] = &["k", "l", "a.b", "a.c"];

pub(super) fn next(r: &mut Random, known: bool, last: u64, acks: usize) -> Step {
    if !known {
        return create(r);
    }
    let key = r.of(KEYS);
    match r.below(100) {
        0..30 => put(r, key, last),
        30..45 => single(format!("$JS.API.DIRECT.GET.S0.$KV.s0.{key}"), ""),
        45..50 => {
            let body = json!({"last_by_subj": format!("$KV.s0.{key}")});
            ask("$JS.API.STREAM.MSG.GET.S0".into(), body.to_string())
        }
        50..55 => {
            let body = json!({"seq": last.saturating_sub(r.below(5)), "next_by_subj": "$KV.s0.>"});
            single("$JS.API.DIRECT.GET.S0".into(), body.to_string())
        }
        55..60 => {
            let body = json!({"multi_last": ["$KV.s0.k", "$KV.s0.a.>"]});
            single("$JS.API.DIRECT.GET.S0".into(), body.to_string()).with_end(End::Batch)
        }
        60..66 => ask(
            "$JS.API.STREAM.INFO.S0".into(),
            r.of(&["", "{\"subjects_filter\":\">\"}", "{\"subjects_filter\":\"$KV.s0.a.*\"}"]),
        ),
        66..72 => watch(r, key, last),
        72..80 => ask(format!("$JS.API.CONSUMER.INFO.S0.w{}", r.below(3)), ""),
        80..84 => ask(format!("$JS.API.CONSUMER.DELETE.S0.w{}", r.below(3)), ""),
        84..88 => fetch(
            format!("$JS.API.CONSUMER.MSG.NEXT.S0.w{}", r.below(3)),
            "{\"batch\":5,\"no_wait\":true}",
            5,
        ),
        88..91 if acks > 0 => {
            Step::Ack { which: r.below(acks as u64) as usize, body: "+ACK".into() }
        }
        88..94 => {
            let filter = format!("$KV.s0.{}", r.of(&["k", "a.>", ">"]));
            let mut body = json!({"filter": filter});
            match r.below(3) {
                0 => body["keep"] = 1.into(),
                1 => body["seq"] = last.into(),
                _ => {}
            }
            ask("$JS.API.STREAM.PURGE.S0".into(), body.to_string())
        }
        94..96 => ask(
            "$JS.API.STREAM.MSG.DELETE.S0".into(),
            json!({"seq": last.saturating_sub(r.below(5))}).to_string(),
        ),
        96 => ask("$JS.API.STREAM.DELETE.S0".into(), ""),
        97 => ask("$JS.API.STREAM.CREATE.S0".into(), bucket(r).to_string()),
        98 => ask("$JS.API.STREAM.UPDATE.S0".into(), bucket(r).to_string()),
        _ => ask(
            "$JS.API.STREAM.NAMES".into(),
            r.of(&["{\"subject\":\"$KV.s0.>\"}", "{\"subject\":\"$KV.*.>\"}"]),
        ),
    }
}

fn bucket(r: &mut Random) -> serde_json::Value {
    let mut c = json!({
        "name": "S0", "subjects": ["$KV.s0.>"], "max_msgs_per_subject": 1 + r.below(3), "max_bytes": -1, "max_age": 0,
        "max_msg_size": -1, "storage": r.of(&["file", "memory"]), "discard": "new", "duplicate_window": 120_000_000_000u64,
        "num_replicas": 1, "allow_rollup_hdrs": true, "deny_delete": r.one_in(2), "allow_direct": true, "max_consumers": -1,
        "max_msgs": -1, "retention": "limits", "deny_purge": false, "no_ack": false, "sealed": false,
    });
    if r.one_in(3) {
        c["allow_msg_ttl"] = true.into();
        c["subject_delete_marker_ttl"] = 3_600_000_000_000u64.into();
    }
    if r.one_in(6) {
        c["republish"] = json!({"src": "$KV.s0.>", "dest": "push.all.>"});
    }
    if r.one_in(6) {
        c["max_bytes"] = 600.into();
    }
    if r.one_in(6) {
        c["compression"] = "s2".into();
    }
    c
}

fn create(r: &mut Random) -> Step {
    ask("$JS.API.STREAM.CREATE.S0".into(), bucket(r).to_string())
}

fn put(r: &mut Random, key: &str, last: u64) -> Step {
    let subject = format!("$KV.s0.{key}");
    let expected = |n: u64| format!("Nats-Expected-Last-Subject-Sequence: {n}\r\n");
    let (headers, size) = match r.below(12) {
        0..4 => (String::new(), r.below(60)),
        4 => (expected(0), 8),
        5 | 6 => (expected(last.saturating_sub(r.below(4))), 9),
        7 => ("KV-Operation: DEL\r\n".into(), 0),
        8 => ("KV-Operation: PURGE\r\nNats-Rollup: sub\r\n".into(), 0),
        9 => ("KV-Operation: PURGE\r\nNats-Rollup: sub\r\nNats-TTL: 1h\r\n".into(), 0),
        10 => (format!("{}Nats-TTL: {}\r\n", expected(0), r.of(&["1h", "never", "2s"])), 5),
        _ => (format!("KV-Operation: DEL\r\n{}", expected(last)), 0),
    };
    message(subject, headers, "x".repeat(size as usize))
}

fn watch(r: &mut Random, key: &str, last: u64) -> Step {
    let n = r.below(3);
    let mut config = json!({
        "name": format!("w{n}"), "ack_policy": "none", "max_deliver": 1, "mem_storage": true, "num_replicas": 1,
        "inactive_threshold": 3_600_000_000_000u64, "deliver_policy": r.of(&["last_per_subject", "all", "new"]), "replay_policy": "instant",
    });
    // One filter: of several, the reference skips those that a purge did not mean.
    let filter = if r.one_in(2) { key } else { r.of(&["a.>", ">"]) };
    config["filter_subject"] = format!("$KV.s0.{filter}").into();
    if r.one_in(2) {
        // Ordered, as watchers are.
        config["deliver_subject"] = "push.c1".into();
        config["flow_control"] = true.into();
        config["idle_heartbeat"] = 3_600_000_000_000u64.into();
    }
    if r.one_in(4) {
        config["headers_only"] = true.into();
    }
    if r.one_in(4) {
        config["deliver_policy"] = "by_start_sequence".into();
        config["opt_start_seq"] = last.max(1).into();
    }
    if r.one_in(3) {
        config["ack_policy"] = "explicit".into();
        config["max_deliver"] = (-1).into();
    }
    // Changed, one begins where the reference last looked, which is chance.
    let body = json!({"stream_name": "S0", "config": config, "action": "create"});
    single(format!("$JS.API.CONSUMER.CREATE.S0.w{n}"), body.to_string())
}
