//! Configurations, mostly good, of streams and consumers.

use serde_json::{Map, Value, json};

use crate::random::Random;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;

/// A subject that a stream of this name most likely takes.
pub(super) fn subject(r: &mut Random, stream: &str) -> String {
    let own = stream.to_ascii_lowercase();
    match r.below(12) {
        0 => format!("{own}.a.b"),
        1 => String::from("shared.x"),
        n => format!("{own}.{}", ["a", "b", "c"][n as usize % 3]),
    }
}

/// A filter over the subjects of a stream of this name.
pub(super) fn filter(r: &mut Random, stream: &str) -> String {
    let own = stream.to_ascii_lowercase();
    match r.below(10) {
        0 => String::from(">"),
        1..3 => format!("{own}.>"),
        3..5 => format!("{own}.*"),
        5 => String::from("none.such"),
        6 => String::from("shared.*"),
        _ => subject(r, stream),
    }
}

/// A stream.
pub(super) fn stream(r: &mut Random, name: &str) -> Value {
    let own = name.to_ascii_lowercase();
    let mut c = json!({"name": name, "num_replicas": 1});
    c["subjects"] = match r.below(12) {
        0 => json!([format!("{own}.a"), format!("{own}.b")]),
        1 => json!([format!("{own}.*"), "shared.>"]),
        2 => json!([format!("{own}.>"), format!("{own}.a")]),
        _ => json!([format!("{own}.>")]),
    };
    c["retention"] =
        r.of(&["limits", "limits", "limits", "limits", "interest", "workqueue"]).into();
    c["storage"] = r.of(&["memory", "file"]).into();
    c["discard"] = r.of(&["old", "old", "new"]).into();
    if r.one_in(2) {
        c["allow_direct"] = true.into();
    }
    let some = r.below(5);
    for _ in 0..some {
        let (field, value) = stream_field(r, name);
        c[field] = value;
    }
    c
}

fn stream_field(r: &mut Random, name: &str) -> (&'static str, Value) {
    let own = name.to_ascii_lowercase();
    match r.below(30) {
        0 | 1 => ("max_msgs", r.of(&[&-1i64, &0, &2, &5, &10, &-5]).to_owned().into()),
        2 => ("max_bytes", r.of(&[&-1i64, &0, &100, &1000, &-2]).to_owned().into()),
        3 => ("max_age", r.of(&[&0u64, &HOUR, &1, &(100 * SECOND)]).to_owned().into()),
        4..6 => ("max_msgs_per_subject", r.of(&[&-1i64, &0, &1, &2, &-7]).to_owned().into()),
        6 => ("max_msg_size", r.of(&[&-1i64, &0, &20, &1000]).to_owned().into()),
        7 => ("discard_new_per_subject", true.into()),
        8 => ("num_replicas", r.of(&[&0i64, &1, &3, &6, &-1]).to_owned().into()),
        9 => ("duplicate_window", r.of(&[&0u64, &HOUR, &(120 * SECOND), &1]).to_owned().into()),
        10 => ("sealed", (r.one_in(3)).into()),
        11 => ("deny_delete", r.one_in(2).into()),
        12 => ("deny_purge", r.one_in(2).into()),
        13 | 14 => ("allow_rollup_hdrs", true.into()),
        15 | 16 => ("allow_msg_ttl", true.into()),
        17 => ("subject_delete_marker_ttl", r.of(&[&0u64, &HOUR, &1]).to_owned().into()),
        18 => ("compression", r.of(&["none", "s2", "bad"]).into()),
        19 => ("first_seq", r.of(&[&0u64, &1, &100]).to_owned().into()),
        20 => (
            "subject_transform",
            r.of(&[
                &json!({"src": format!("{own}.*"), "dest": format!("{own}.z.{{{{wildcard(1)}}}}")}),
                &json!({"src": "x.*.*", "dest": "y"}),
                &json!({"src": "", "dest": "a.>"}),
            ])
            .clone(),
        ),
        21 => (
            "republish",
            r.of(&[
                &json!({"src": ">", "dest": "push.re.>"}),
                &json!({"src": format!("{own}.a"), "dest": "push.a", "headers_only": true}),
                &json!({"src": ">", "dest": format!("{own}.>")}),
                &json!({"src": "", "dest": "push.all.>"}),
            ])
            .clone(),
        ),
        22 => (
            "consumer_limits",
            r.of(&[
                &json!({"max_ack_pending": 5}),
                &json!({"inactive_threshold": HOUR}),
                &json!({"max_ack_pending": -1, "inactive_threshold": -1}),
            ])
            .clone(),
        ),
        23 => ("metadata", r.of(&[&json!({"a": "b"}), &json!({"_nats.x": "y"})]).clone()),
        24 => ("description", r.of(&["words", ""]).into()),
        25 => ("no_ack", r.one_in(4).into()),
        26 => ("max_consumers", r.of(&[&-1i64, &0, &1, &2]).to_owned().into()),
        27 => ("persist_mode", r.of(&["default", "async", "bad"]).into()),
        28 => ("mirror_direct", true.into()),
        _ => ("placement", json!({"cluster": "none"})),
    }
}

/// A consumer.
pub(super) fn consumer(r: &mut Random, name: &str, last: u64) -> Value {
    let mut c = Map::new();
    if r.one_in(4) {
        c.insert("name".into(), name.into());
        c.insert("inactive_threshold".into(), HOUR.into());
    } else {
        c.insert("durable_name".into(), name.into());
    }
    let ack = r.of(&["explicit", "explicit", "explicit", "explicit", "none", "all"]);
    c.insert("ack_policy".into(), ack.into());
    let deliver =
        r.of(&["all", "all", "all", "last", "new", "by_start_sequence", "last_per_subject"]);
    c.insert("deliver_policy".into(), deliver.into());
    if deliver == "by_start_sequence" {
        // Of what is stored before that, the reference counts as waiting what it will not deliver.
        let start = (last.saturating_sub(2) + r.below(4)).min(last + 1);
        c.insert("opt_start_seq".into(), start.into());
    }
    c.insert("replay_policy".into(), "instant".into());
    if r.one_in(4) {
        c.insert("deliver_subject".into(), format!("push.{name}").into());
        let some = r.below(2);
        for _ in 0..some {
            let (field, value) = push_field(r);
            c.insert(field.into(), value);
        }
    }
    let some = r.below(4);
    for _ in 0..some {
        let (field, value) = consumer_field(r);
        c.insert(field.into(), value);
    }
    Value::Object(c)
}

fn push_field(r: &mut Random) -> (&'static str, Value) {
    match r.below(5) {
        0 | 1 => ("deliver_group", r.of(&["g", "g", "h"]).into()),
        2 => ("flow_control", true.into()),
        3 => ("rate_limit_bps", 1_000_000_000.into()),
        _ => ("idle_heartbeat", r.of(&[&HOUR, &1]).to_owned().into()),
    }
}

fn consumer_field(r: &mut Random) -> (&'static str, Value) {
    let s = format!("S{}", r.below(3));
    match r.below(22) {
        0..3 => ("filter_subject", filter(r, &s).into()),
        3 | 4 => {
            let filters = json!([filter(r, &s), subject(r, &s)]);
            ("filter_subjects", filters)
        }
        5..7 => ("max_deliver", r.of(&[&-1i64, &0, &1, &2, &3]).to_owned().into()),
        7 | 8 => ("max_ack_pending", r.of(&[&-1i64, &0, &1, &2, &5]).to_owned().into()),
        9 => ("ack_wait", r.of(&[&HOUR, &0, &(60 * SECOND)]).to_owned().into()),
        10 => ("backoff", json!([HOUR, 2 * HOUR])),
        11 => ("headers_only", true.into()),
        12 => ("max_batch", r.of(&[&0i64, &1, &2]).to_owned().into()),
        13 => ("max_expires", r.of(&[&0u64, &HOUR, &1, &30_000_000]).to_owned().into()),
        14 => ("max_bytes", r.of(&[&0i64, &50, &1000]).to_owned().into()),
        15 => ("max_waiting", r.of(&[&0i64, &1, &-1]).to_owned().into()),
        16 => ("sample_freq", r.of(&["100%", "0", "bad", "100"]).into()),
        17 => ("mem_storage", true.into()),
        18 => ("num_replicas", r.of(&[&0i64, &1, &3]).to_owned().into()),
        19 => ("metadata", json!({"k": "v"})),
        20 => ("description", "words".into()),
        _ => ("pause_until", "2100-01-01T00:00:00Z".into()),
    }
}
