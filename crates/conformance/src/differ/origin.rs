//! Mirrors and sources. What they store depends on what comes first, so after each message the
//! infos of all streams are asked until both servers agree.
//!
//! Parity: SRC.

use serde_json::{Value, json};

use super::config;
use super::generate::{End, Step, ask, fetch, message};
use crate::random::Random;

/// `S0` is where messages come from; `S1` and `S2` draw from it.
pub(super) fn next(r: &mut Random, stream: &str, known: bool, last: u64, acks: usize) -> Step {
    if !known || r.one_in(60) {
        return create(r, stream);
    }
    match r.below(20) {
        0..4 => message(config::subject(r, "S0"), header(r), "x".repeat(r.below(20) as usize)),
        4 => message(config::subject(r, stream), String::new(), "x"),
        5..11 => ask(
            format!("$JS.API.STREAM.INFO.{stream}"),
            r.of(&["", "", "{\"subjects_filter\":\">\"}", "{\"deleted_details\":true}"]),
        ),
        11 => ask("$JS.API.STREAM.LIST".into(), ""),
        12 => ask(
            format!("$JS.API.STREAM.MSG.GET.{stream}"),
            json!({"seq": last.saturating_sub(r.below(4))}).to_string(),
        ),
        13 => ask(
            format!("$JS.API.STREAM.MSG.GET.{stream}"),
            json!({"last_by_subj": config::filter(r, "S0")}).to_string(),
        ),
        14 => ask(format!("$JS.API.STREAM.UPDATE.{stream}"), drawing(r, stream).to_string()),
        15 if r.one_in(3) => {
            ask(format!("$JS.API.STREAM.PURGE.{stream}"), r.of(&["", "{\"keep\":1}"]))
        }
        15 if r.one_in(6) => ask(format!("$JS.API.STREAM.DELETE.{stream}"), ""),
        16 => ask(
            format!("$JS.API.STREAM.MSG.DELETE.{stream}"),
            json!({"seq": last.saturating_sub(r.below(4))}).to_string(),
        ),
        17 => {
            let body = json!({"stream_name": stream, "config": {"durable_name": "c0", "ack_policy": "explicit"}});
            ask(format!("$JS.API.CONSUMER.CREATE.{stream}.c0"), body.to_string())
        }
        18 if acks > 0 => Step::Ack { which: r.below(acks as u64) as usize, body: "+ACK".into() },
        18 => fetch(
            format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.c0"),
            "{\"batch\":3,\"no_wait\":true}",
            3,
        ),
        _ => ask(format!("$JS.API.CONSUMER.LIST.{stream}"), "").with_end(End::One),
    }
}

fn header(r: &mut Random) -> String {
    match r.below(8) {
        0 => format!("Nats-Msg-Id: m{}\r\n", r.below(20)),
        1 => "Nats-TTL: 1h\r\n".into(),
        2 => "Foo: bar\r\n".into(),
        _ => String::new(),
    }
}

fn create(r: &mut Random, name: &str) -> Step {
    let body = if name == "S0" {
        let mut c = json!({"name": "S0", "subjects": ["s0.>", "shared.>"]});
        c["storage"] = r.of(&["memory", "file"]).into();
        if r.one_in(3) {
            c["max_msgs"] = (4 + r.below(10)).into();
        }
        if r.one_in(4) {
            c["allow_msg_ttl"] = true.into();
        }
        c
    } else {
        drawing(r, name)
    };
    ask(format!("$JS.API.STREAM.CREATE.{name}"), body.to_string())
}

/// A mirror, or a stream with sources.
fn drawing(r: &mut Random, name: &str) -> Value {
    let own = name.to_ascii_lowercase();
    let mut c = json!({"name": name, "storage": r.of(&["memory", "file"])});
    if r.one_in(3) {
        c["mirror"] = source(r);
    } else {
        // Of several, either may come first.
        c["sources"] = json!([source(r)]);
        if r.one_in(2) {
            c["subjects"] = json!([format!("{own}.>")]);
        }
    }
    match r.below(10) {
        0 => c["max_msgs"] = (2 + r.below(6)).into(),
        1 => c["max_msgs_per_subject"] = 1.into(),
        2 => c["allow_direct"] = true.into(),
        3 => c["mirror_direct"] = true.into(),
        4 => c["allow_msg_ttl"] = true.into(),
        5 => {
            c["subject_transform"] = json!({"src": "s0.*", "dest": "t.{{wildcard(1)}}"});
        }
        6 => c["discard"] = "new".into(),
        7 => c["deny_delete"] = true.into(),
        _ => {}
    }
    c
}

fn source(r: &mut Random) -> Value {
    let name = if r.one_in(20) { "" } else { "S0" };
    let mut s = json!({"name": name});
    match r.below(14) {
        0 | 1 => s["filter_subject"] = config::filter(r, "S0").into(),
        2 => s["opt_start_seq"] = r.below(6).into(),
        3 => s["opt_start_time"] = r.of(&["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]).into(),
        4 => s["subject_transforms"] = json!([{"src": "s0.a", "dest": "u.a"}]),
        5 => {
            s["subject_transforms"] =
                json!([{"src": "s0.a", "dest": "u.a"}, {"src": "s0.b", "dest": ""}]);
        }
        6 => {
            s["subject_transforms"] =
                json!([{"src": "s0.*", "dest": "u.{{wildcard(1)}}"}, {"src": "s0.a", "dest": "w"}]);
        }
        7 => {
            s["filter_subject"] = "s0.a".into();
            s["subject_transforms"] = json!([{"src": "s0.a", "dest": "u.a"}]);
        }
        8 => {
            s["external"] = r
                .of(&[
                    &json!({"api": "$JS.other.API"}),
                    &json!({"api": "x", "deliver": "s1.x"}),
                    &json!({"api": "", "deliver": ""}),
                ])
                .clone();
        }
        9 => s["subject_transforms"] = json!([{"src": "s0..a", "dest": "u.a"}]),
        _ => {}
    }
    s
}
