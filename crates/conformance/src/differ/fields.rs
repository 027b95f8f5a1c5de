//! Configurations and requests with values that nobody expects: other types, huge and negative
//! numbers, broken text, names that are none.
//!
//! Reference: encoding/json as the Go server uses it.   Parity: API-036, API-038.

use serde_json::{Value, json};

use super::config;
use super::generate::{End, Step, ask, single};
use crate::random::Random;

const STREAM: &[&str] = &[
    "name",
    "description",
    "subjects",
    "retention",
    "max_consumers",
    "max_msgs",
    "max_bytes",
    "max_age",
    "max_msgs_per_subject",
    "max_msg_size",
    "discard",
    "storage",
    "num_replicas",
    "no_ack",
    "duplicate_window",
    "placement",
    "mirror",
    "sources",
    "compression",
    "first_seq",
    "subject_transform",
    "republish",
    "allow_direct",
    "mirror_direct",
    "discard_new_per_subject",
    "sealed",
    "deny_delete",
    "deny_purge",
    "allow_rollup_hdrs",
    "consumer_limits",
    "allow_msg_ttl",
    "subject_delete_marker_ttl",
    "metadata",
    "allow_msg_counter",
    "allow_atomic",
    "allow_batched",
    "allow_msg_schedules",
    "persist_mode",
    "template_owner",
    "bogus",
    "Name",
    "MAX_MSGS",
    "pedantic",
];

const CONSUMER: &[&str] = &[
    "name",
    "durable_name",
    "description",
    "deliver_policy",
    "opt_start_seq",
    "opt_start_time",
    "ack_policy",
    "ack_wait",
    "max_deliver",
    "backoff",
    "filter_subject",
    "filter_subjects",
    "replay_policy",
    "rate_limit_bps",
    "sample_freq",
    "max_waiting",
    "max_ack_pending",
    "flow_control",
    "headers_only",
    "max_batch",
    "max_expires",
    "max_bytes",
    "inactive_threshold",
    "num_replicas",
    "mem_storage",
    "direct",
    "metadata",
    "pause_until",
    "priority_groups",
    "priority_policy",
    "priority_timeout",
    "deliver_subject",
    "deliver_group",
    "idle_heartbeat",
    "bogus",
    "Durable_Name",
];

/// Requests, with what their bodies may hold.
const REQUESTS: &[(&str, &[&str])] = &[
    (
        "STREAM.MSG.GET.S0",
        &[
            "seq",
            "last_by_subj",
            "next_by_subj",
            "no_hdr",
            "batch",
            "start_time",
            "multi_last",
            "max_bytes",
        ],
    ),
    (
        "DIRECT.GET.S0",
        &[
            "seq",
            "last_by_subj",
            "next_by_subj",
            "no_hdr",
            "batch",
            "start_time",
            "multi_last",
            "up_to_seq",
            "up_to_time",
            "max_bytes",
        ],
    ),
    ("STREAM.MSG.DELETE.S0", &["seq", "no_erase", "bogus"]),
    ("STREAM.PURGE.S0", &["seq", "keep", "filter"]),
    ("STREAM.INFO.S0", &["offset", "deleted_details", "subjects_filter"]),
    ("STREAM.NAMES", &["offset", "subject"]),
    ("STREAM.LIST", &["offset", "subject"]),
    ("STREAM.DELETE.S2", &["bogus"]),
    (
        "STREAM.SNAPSHOT.S0",
        &["deliver_subject", "no_consumers", "chunk_size", "window_size", "jsck"],
    ),
    ("CONSUMER.NAMES.S0", &["offset"]),
    ("CONSUMER.LIST.S0", &["offset"]),
    (
        "CONSUMER.MSG.NEXT.S0.c0",
        &[
            "batch",
            "no_wait",
            "max_bytes",
            "idle_heartbeat",
            "group",
            "id",
            "min_pending",
            "min_ack_pending",
            "priority",
        ],
    ),
    ("CONSUMER.PAUSE.S0.c0", &["pause_until"]),
    ("CONSUMER.RESET.S0.c0", &["seq"]),
    ("CONSUMER.UNPIN.S0.c0", &["group"]),
    ("INFO", &["bogus"]),
];

/// Values as they stand in a document.
const VALUES: &[&[u8]] = &[
    b"null", b"true", b"false", b"\"\"", b"\"x\"", b"\"s0.a\"", b"\"s0.>\"", b"\">\"", b"\"*\"",
    b"\"a b\"", b"\"a..b\"", b"\".a\"", b"\"a.\"", b"\"a.>.b\"", b"\"a/b\"", b"\"a\\nb\"", b"\"\\u0000\"",
    b"\"\\ud800\"", b"\"\xff\"", b"\"\xc3\xa4\"", b"\"\\u00e4\\u4e16\"", b"\"<&>\"", b"\"\\x\"", b"0", b"1", b"2",
    b"5", b"-1", b"-2", b"100", b"1000000000", b"-1000000000", b"2147483647", b"2147483648",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808",
    b"18446744073709551615", b"18446744073709551616", b"1.5", b"1.0", b"1e3", b"1e400", b"-0", b"01", b"+1",
    b".5", b"0x10", b"\"1\"", b"\"-1\"", b"\"1h\"", b"[]", b"[1]", b"[\"\"]", b"[\"s0.a\"]",
    b"[\"s0.a\",\"s0.a\"]", b"[\"s0.a\",\"s0.*\"]", b"[\"x\",\"y\"]", b"[null]", b"[1000000000,2000000000]", b"[-1]", b"{}",
    b"{\"a\":\"b\"}", b"{\"a\":1}", b"{\"\":\"\"}", b"{\"_nats.level\":\"9\"}", b"{\"name\":\"S1\"}",
    b"[{\"name\":\"S1\"}]", b"[{\"name\":\"\"}]", b"[{}]", b"{\"src\":\"s0.*\",\"dest\":\"z.{{wildcard(1)}}\"}",
    b"{\"src\":\"a.*\",\"dest\":\"b\",\"headers_only\":1}", b"{\"max_ack_pending\":7}", b"{\"bogus\":1}",
    b"{\"cluster\":\"c\",\"tags\":[\"t\"]}", b"{\"preferred\":\"p\"}",
    b"\"limits\"", b"\"interest\"", b"\"workqueue\"", b"\"LIMITS\"", b"\"memory\"", b"\"file\"", b"\"any\"", b"\"new\"",
    b"\"old\"", b"\"none\"", b"\"all\"", b"\"explicit\"", b"\"flow_control\"", b"\"last\"", b"\"last_per_subject\"",
    b"\"by_start_sequence\"", b"\"by_start_time\"", b"\"undefined\"", b"\"instant\"", b"\"original\"", b"\"s2\"", b"\"async\"",
    b"\"default\"", b"\"overflow\"", b"\"pinned_client\"", b"\"prioritized\"", b"[\"g\"]", b"[\"g\",\"h\"]", b"[\"a b\"]", b"[\"waytoolongagroupname\"]",
    b"\"2100-01-01T00:00:00Z\"", b"\"2020-01-01T00:00:00+02:00\"", b"\"2020-13-01T00:00:00Z\"",
    b"\"0001-01-01T00:00:00Z\"", b"\"2020-01-01 00:00:00\"", b"\"100%\"", b"\"50\"", b"\"101%\"", b"\"-1%\"",
    b"3600000000000", b"100000000", b"99999999", b"86400000000000",
    b"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
    b"", b"{", b"[", b"\"", b"nul", b"1 2", b"1,", b"//",
];

pub(super) fn next(r: &mut Random, stream: &str, known: bool, last: u64) -> Step {
    if !known && r.one_in(3) {
        let config = config::stream(r, stream);
        return ask(format!("$JS.API.STREAM.CREATE.{stream}"), config.to_string());
    }
    match r.below(10) {
        0..3 => {
            let verb = r.of(&["CREATE", "UPDATE", "UPDATE"]);
            let name = if r.one_in(20) { "S9" } else { stream };
            let base = plain_stream(r, stream);
            ask(format!("$JS.API.STREAM.{verb}.{name}"), odd(r, &base, STREAM))
        }
        3..6 => {
            let base = plain_consumer(r);
            let config = odd(r, &base, CONSUMER);
            let mut body = format!("{{\"stream_name\":\"{stream}\",\"config\":").into_bytes();
            body.extend(config);
            match r.below(12) {
                0 => body.extend(b",\"pedantic\":true"),
                1 => body.extend(b",\"action\":\"create\""),
                2 => body.extend(b",\"action\":\"update\""),
                3 => {
                    body.extend(b",\"action\":");
                    body.extend(VALUES[r.below(VALUES.len() as u64) as usize]);
                }
                4 => body.extend(b",\"bogus\":1"),
                _ => {}
            }
            body.push(b'}');
            let subject = match r.below(12) {
                0 => format!("$JS.API.CONSUMER.CREATE.{stream}"),
                1 => format!("$JS.API.CONSUMER.CREATE.{stream}.c0.s0.a"),
                2 => format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.c0"),
                _ => format!("$JS.API.CONSUMER.CREATE.{stream}.c0"),
            };
            // A name that the server chose is random.
            single(subject, body)
        }
        6 => message(r, stream),
        7 => single(format!("$JS.API.CONSUMER.INFO.{stream}.c0"), ""),
        _ => {
            let (subject, fields) = REQUESTS[r.below(REQUESTS.len() as u64) as usize];
            let base = if r.one_in(2) { json!({"seq": last}) } else { json!({}) };
            let base = if fields.contains(&"seq") { base } else { json!({}) };
            let mut body = odd(r, &base, fields);
            if subject.contains("MSG.NEXT") && body.starts_with(b"{") && body.len() > 2 {
                // Nobody waits for long.
                body.splice(1..1, b"\"expires\":30000000,".iter().copied());
            }
            if subject.contains("SNAPSHOT")
                && body.starts_with(b"{")
                && body.len() > 2
                && r.one_in(2)
            {
                body.splice(1..1, b"\"deliver_subject\":\"nobody.here\",".iter().copied());
            }
            let end = if subject.contains("DIRECT") { End::Batch } else { End::Fetch(1) };
            single(format!("$JS.API.{subject}"), body).with_end(end)
        }
    }
}

fn message(r: &mut Random, stream: &str) -> Step {
    let subject = config::subject(r, stream);
    let names = [
        "Nats-Msg-Id",
        "Nats-Expected-Stream",
        "Nats-Expected-Last-Sequence",
        "Nats-Expected-Last-Subject-Sequence",
        "Nats-Expected-Last-Msg-Id",
        "Nats-Rollup",
        "Nats-TTL",
        "Nats-Incr",
        "Nats-Required-Api-Level",
        "nats-msg-id",
    ];
    let values = [
        "",
        " ",
        "0",
        "1",
        "-1",
        "+1",
        "18446744073709551615",
        "9223372036854775808",
        "x",
        "S0",
        "1s",
        "500ms",
        "1h30m",
        "never",
        "NEVER",
        "all",
        "sub",
        "ALL",
        "1.5",
        " 1",
        "1 ",
        "1.5h",
        "99999999999h",
        "1e3",
    ];
    let headers = format!("{}: {}\r\n", r.of(&names), r.of(&values));
    super::generate::message(subject, headers, "x".repeat(r.below(30) as usize))
}

fn plain_stream(r: &mut Random, stream: &str) -> Value {
    let own = stream.to_ascii_lowercase();
    let mut c = json!({"name": stream, "subjects": [format!("{own}.>")], "storage": "memory", "num_replicas": 1});
    if r.one_in(3) {
        c = config::stream(r, stream);
    }
    c
}

fn plain_consumer(r: &mut Random) -> Value {
    match r.below(4) {
        0 => config::consumer(r, "c0", 3),
        1 => json!({"durable_name": "c0", "ack_policy": "explicit", "deliver_subject": "push.c0"}),
        2 => {
            json!({"name": "c0", "ack_policy": "explicit", "priority_groups": ["g"], "priority_policy": "overflow"})
        }
        _ => json!({"durable_name": "c0", "ack_policy": "explicit"}),
    }
}

/// The document with one or two fields as nobody expects them.
fn odd(r: &mut Random, base: &Value, fields: &[&str]) -> Vec<u8> {
    if r.one_in(40) {
        return VALUES[r.below(VALUES.len() as u64) as usize].to_vec();
    }
    let count = 1 + r.below(2) * r.below(2);
    let chosen: Vec<&str> = (0..count).map(|_| r.of(fields)).collect();
    let mut out = vec![b'{'];
    let mut comma = false;
    for (key, value) in base.as_object().into_iter().flatten() {
        if chosen.contains(&key.as_str()) {
            continue;
        }
        if std::mem::replace(&mut comma, true) {
            out.push(b',');
        }
        out.extend(format!("\"{key}\":{value}").bytes());
    }
    for key in chosen {
        if std::mem::replace(&mut comma, true) {
            out.push(b',');
        }
        out.extend(format!("\"{key}\":").bytes());
        out.extend(VALUES[r.below(VALUES.len() as u64) as usize]);
    }
    out.push(b'}');
    out
}
