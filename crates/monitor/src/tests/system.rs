//! Requests over `$SYS`, with filters and the envelope.

use super::fake::{now, server};
use crate::*;

fn ask(service: &str, body: &str) -> Option<String> {
    let tags = ["eu".to_owned(), "ssd".to_owned()];
    let identity =
        ServerIdentity { name: "n1-east", host: "10.0.0.1", cluster: "C", tags: &tags, domain: "" };
    let mut name = || "{\"name\":\"n1\"}".to_owned();
    let question = Question { service, account: None, body: body.as_bytes() };
    let reply = answer(&question, &mut name, &identity, &server(), now())?;
    let (Answer::Document(bytes) | Answer::Refusal(bytes)) = reply;
    Some(String::from_utf8(bytes).unwrap())
}

// Contract: MON-021
#[test]
fn answers_carry_the_server_and_the_document() {
    assert_eq!(
        ask("HEALTHZ", "").unwrap(),
        r#"{"server":{"name":"n1"},"data":{"status":"ok","status_code":200}}"#
    );
    assert_eq!(ask("RAFTZ", "{}").unwrap(), r#"{"server":{"name":"n1"},"data":{}}"#);
    for service in [
        "VARZ",
        "SUBSZ",
        "CONNZ",
        "ROUTEZ",
        "GATEWAYZ",
        "LEAFZ",
        "ACCOUNTZ",
        "JSZ",
        "EXPVARZ",
        "IPQUEUESZ",
        "PROFILEZ",
    ] {
        let reply: serde_json::Value = serde_json::from_str(&ask(service, "").unwrap()).unwrap();
        assert!(reply["data"].is_object() && reply.get("error").is_none(), "{service}: {reply}");
    }
    assert_eq!(ask("STACKSZ", ""), None);
    assert_eq!(ask("JSZ", r#"{"leader_only":true}"#), None);
}

// Contract: MON-019
#[test]
fn refusals_are_told_apart_from_bad_bodies() {
    assert_eq!(
        ask("ACCOUNTZ", r#"{"account":"zz"}"#).unwrap(),
        r#"{"server":{"name":"n1"},"data":null,"error":{"code":500,"description":"Account zz does not exist"}}"#
    );
    let bad = ask("CONNZ", "{").unwrap();
    assert!(bad.starts_with(r#"{"server":{"name":"n1"},"error":{"code":400,"#), "{bad}");
}

#[test]
fn servers_that_are_not_meant_stay_silent() {
    for (filter, answers) in [
        (r#"{}"#, true),
        (r#"{"server_name":"n1"}"#, true),
        (r#"{"server_name":"n1","exact_match":true}"#, false),
        (r#"{"server_name":"n1-east","exact_match":true,"cluster":"C"}"#, true),
        (r#"{"server_name":"n2"}"#, false),
        (r#"{"host":"10."}"#, true),
        (r#"{"cluster":"D"}"#, false),
        (r#"{"tags":["eu"]}"#, true),
        (r#"{"tags":["eu","us"]}"#, false),
        (r#"{"domain":"hub"}"#, false),
    ] {
        assert_eq!(ask("VARZ", filter).is_some(), answers, "{filter}");
        let refused = filter.replacen('{', r#"{"account":"zz","#, 1).replace(",}", "}");
        assert_eq!(ask("ACCOUNTZ", &refused).is_some(), answers, "{refused}");
    }
}

// Contract: CLI-015
#[test]
fn profiles_asked_for_over_sys_say_what_is_wrong() {
    for (body, expected) in [
        ("", r#"{"profile":null,"error":"Profile name not specified"}"#),
        (r#"{"name":"x"}"#, r#"{"profile":null,"error":"Profile \"x\" not found"}"#),
        (
            r#"{"name":"cpu","duration":16000000000}"#,
            r#"{"profile":null,"error":"Duration 16s should be between 0s and 15s"}"#,
        ),
        (
            r#"{"name":"cpu","duration":-1}"#,
            r#"{"profile":null,"error":"Duration -1ns should be between 0s and 15s"}"#,
        ),
        (r#"{"name":"goroutine"}"#, r#"{"profile":"dGhyZWFkIDEgbWFpbgo=","error":""}"#),
    ] {
        let reply = ask("PROFILEZ", body).unwrap();
        assert_eq!(reply, format!(r#"{{"server":{{"name":"n1"}},"data":{expected}}}"#));
    }
    let cpu = ask("PROFILEZ", r#"{"name":"cpu","duration":1}"#).unwrap();
    assert!(cpu.contains("Failed to start CPU profile: "), "{cpu}");
}
