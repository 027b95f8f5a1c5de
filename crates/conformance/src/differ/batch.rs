//! Batches that are stored whole or not at all, batches that are fast, counters, schedules.
//!
//! Parity: BATCH, FAST, PUB (counters), SCHED.

use serde_json::json;

use super::config;
use super::generate::{End, Step, ask, message, single};
use crate::random::Random;

pub(super) fn next(r: &mut Random, stream: &str, known: bool, last: u64) -> Step {
    if !known || r.one_in(150) {
        return create(r, stream);
    }
    match r.below(20) {
        0..7 => atomic(r, stream, last),
        7..12 => fast(r, stream),
        12..14 => counter(r, stream),
        14..16 => schedule(r, stream),
        16 => {
            let body = format!("{{\"seq\":{}}}", last.saturating_sub(r.below(6)));
            ask(format!("$JS.API.STREAM.MSG.GET.{stream}"), body)
        }
        17 => {
            let subject = config::subject(r, stream);
            ask(
                format!("$JS.API.STREAM.MSG.GET.{stream}"),
                json!({"last_by_subj": subject}).to_string(),
            )
        }
        18 if r.one_in(10) => update(r, stream),
        18 if r.one_in(8) => ask(format!("$JS.API.STREAM.PURGE.{stream}"), ""),
        18 if r.one_in(8) => ask(format!("$JS.API.STREAM.DELETE.{stream}"), ""),
        _ => {
            ask(format!("$JS.API.STREAM.INFO.{stream}"), r.of(&["", "{\"subjects_filter\":\">\"}"]))
        }
    }
}

fn stream(r: &mut Random, name: &str) -> serde_json::Value {
    let own = name.to_ascii_lowercase();
    let mut c = json!({"name": name, "subjects": [format!("{own}.>")], "allow_direct": true});
    c["storage"] = r.of(&["memory", "file"]).into();
    for field in ["allow_atomic", "allow_batched"] {
        if !r.one_in(6) {
            c[field] = true.into();
        }
    }
    if r.one_in(3) {
        c["allow_msg_counter"] = true.into();
    } else if r.one_in(2) {
        c["allow_msg_schedules"] = true.into();
        c["allow_msg_ttl"] = true.into();
        c["allow_rollup_hdrs"] = r.one_in(2).into();
    } else if r.one_in(2) {
        c["allow_msg_ttl"] = true.into();
        c["allow_rollup_hdrs"] = true.into();
    }
    match r.below(8) {
        0 => c["max_msgs_per_subject"] = (1 + r.below(2)).into(),
        1 => c["max_msgs"] = (3 + r.below(10)).into(),
        2 => c["max_msg_size"] = (20 + r.below(60)).into(),
        3 => {
            c["discard"] = "new".into();
            c["max_msgs"] = 12.into();
            if r.one_in(2) {
                c["max_msgs_per_subject"] = 2.into();
                c["discard_new_per_subject"] = true.into();
            }
        }
        4 => c["persist_mode"] = "async".into(),
        _ => {}
    }
    c
}

fn create(r: &mut Random, name: &str) -> Step {
    ask(format!("$JS.API.STREAM.CREATE.{name}"), stream(r, name).to_string())
}

fn update(r: &mut Random, name: &str) -> Step {
    ask(format!("$JS.API.STREAM.UPDATE.{name}"), stream(r, name).to_string())
}

fn extra(r: &mut Random, last: u64) -> String {
    match r.below(24) {
        0 => format!("Nats-Msg-Id: m{}\r\n", r.below(6)),
        1 => format!("Nats-Expected-Last-Sequence: {}\r\n", (last + r.below(3)).saturating_sub(1)),
        2 => format!(
            "Nats-Expected-Last-Subject-Sequence: {}\r\n",
            (last + r.below(4)).saturating_sub(2)
        ),
        3 => format!("Nats-Expected-Stream: {}\r\n", r.of(&["S0", "S1"])),
        4 => "Nats-Expected-Last-Msg-Id: m1\r\n".into(),
        5 => format!("Nats-Rollup: {}\r\n", r.of(&["sub", "all"])),
        6 => "Nats-TTL: 1h\r\n".into(),
        7 => format!("Nats-Incr: {}\r\n", r.of(&["1", "-2", "x", "99999999999999999999999999"])),
        8 => "Nats-Required-Api-Level: 99\r\n".into(),
        9 => "Nats-Schedule: @at 2100-01-01T00:00:00Z\r\nNats-Schedule-Target: s0.t\r\n".into(),
        _ => String::new(),
    }
}

fn atomic(r: &mut Random, stream: &str, last: u64) -> Step {
    let id = r.of(&[
        "a",
        "a",
        "a",
        "b",
        "",
        "waytoolongid_waytoolongid_waytoolongid_waytoolongid_waytoolongid_x",
    ]);
    let seq = match r.below(16) {
        0 => "0".to_owned(),
        1 => "x".to_owned(),
        2 => "7".to_owned(),
        _ => (1 + r.below(3)).to_string(),
    };
    let mut headers = String::new();
    if !r.one_in(30) {
        headers.push_str(&format!("Nats-Batch-Id: {id}\r\n"));
    }
    headers.push_str(&format!("Nats-Batch-Sequence: {seq}\r\n"));
    if r.one_in(3) {
        headers.push_str(&format!(
            "Nats-Batch-Commit: {}\r\n",
            r.of(&["1", "1", "1", "1", "eob", "eob", "0", "x", ""])
        ));
    }
    headers.push_str(&extra(r, last));
    let subject = config::subject(r, stream);
    message(subject, headers, "x".repeat(r.below(40) as usize))
}

fn fast(r: &mut Random, stream: &str) -> Step {
    let id = r.of(&[
        "f",
        "f",
        "f",
        "g",
        "waytoolongid_waytoolongid_waytoolongid_waytoolongid_waytoolongid_x",
    ]);
    let flow = r.of(&["1", "1", "1", "2", "0", "-1", "x", "70000"]);
    let gap = r.of(&["fail", "fail", "ok", "no"]);
    let seq = if r.one_in(16) { "0".to_owned() } else { (1 + r.below(4)).to_string() };
    let op = r.of(&["0", "0", "1", "1", "1", "2", "3", "4", "9"]);
    let suffix = format!(".{id}.{flow}.{gap}.{seq}.{op}.$FI");
    let headers = extra(r, 0);
    let subject = config::subject(r, stream);
    message(subject, headers, "x".repeat(r.below(40) as usize))
        .with_suffix(suffix)
        .with_end(End::Fetch(2))
}

fn counter(r: &mut Random, stream: &str) -> Step {
    let subject = config::subject(r, stream);
    let value = r.of(&[
        "1",
        "+5",
        "-7",
        "0",
        "-0",
        "+",
        "",
        "1.5",
        "99999999999999999999",
        "-99999999999999999999",
        "1 ",
        "x",
    ]);
    let mut headers = format!("Nats-Incr: {value}\r\n");
    if r.one_in(6) {
        headers.push_str("Nats-Counter-Sources: {\"a\":{\"b\":\"1\"}}\r\n");
    }
    headers.push_str(&if r.one_in(3) { extra(r, 0) } else { String::new() });
    let payload = if r.one_in(8) { r.of(&["x", "{\"val\":\"3\"}"]) } else { "" };
    message(subject, headers, payload)
}

fn schedule(r: &mut Random, stream: &str) -> Step {
    let own = stream.to_ascii_lowercase();
    let when = r.of(&[
        "@at 2100-01-01T00:00:00Z",
        "@at 2100-01-01T00:00:00+01:00",
        "@at 2100-01-01",
        "@at",
        "@every 1h",
        "@every 1ms",
        "@every -1s",
        "@every x",
        "@hourly",
        "@daily",
        "@yearly",
        "@weekly",
        "@monthly",
        "@midnight",
        "@annually",
        "@reboot",
        "0 0 0 1 1 *",
        "0 0 0 30 2 *",
        "* * * * *",
        "60 * * * * *",
        "0 */5 * * * MON-FRI",
        "0 0 12 ? * SUN",
        "0 0 0 L * *",
        "x",
        "",
    ]);
    let target = match r.below(8) {
        0 => "other.x".to_owned(),
        1 => format!("{own}.*"),
        2 => String::new(),
        3 => format!("{own}.a"),
        _ => format!("{own}.target"),
    };
    let mut headers = format!("Nats-Schedule: {when}\r\n");
    if !r.one_in(12) {
        headers.push_str(&format!("Nats-Schedule-Target: {target}\r\n"));
    }
    match r.below(12) {
        0 => headers.push_str(&format!(
            "Nats-Schedule-TTL: {}\r\n",
            r.of(&["1h", "never", "x", "1ms", "0"])
        )),
        1 => headers.push_str(&format!(
            "Nats-Schedule-Source: {}\r\n",
            r.of(&["s0.a", "s0.*", "zz", "", "s1.target"])
        )),
        2 => headers.push_str(&format!("Nats-Schedule-Rollup: {}\r\n", r.of(&["sub", "all", "x"]))),
        3 => headers.push_str(&format!(
            "Nats-Schedule-Time-Zone: {}\r\n",
            r.of(&["Europe/Berlin", "Nowhere/X", "", "UTC"])
        )),
        4 => headers.push_str(&format!(
            "Nats-Schedule-Next: {}\r\n",
            r.of(&["purge", "2100-01-01T00:00:00Z", "x"])
        )),
        5 => headers.push_str("Nats-Rollup: sub\r\n"),
        6 => headers.push_str("Nats-TTL: 1h\r\n"),
        7 => headers.push_str("Nats-Scheduler: s0.a\r\n"),
        _ => {}
    }
    let subject = format!("{own}.{}", r.of(&["sched", "sched", "a", "target"]));
    if r.one_in(6) {
        return single(
            format!("$JS.API.STREAM.MSG.GET.{stream}"),
            json!({"last_by_subj": subject}).to_string(),
        );
    }
    message(subject, headers, "x".repeat(r.below(10) as usize))
}
