//! What happens to parameters and paths that are wrong.

use super::fake::{Fake, now, server, sub};
use crate::*;

fn get(source: &Fake, path: &str, query: &str) -> (u16, String) {
    let response = respond(path, query, source, "", now());
    (response.status, String::from_utf8(response.body).unwrap())
}

/// Path, query, and the refusal.
pub(super) const REFUSALS: &[(&str, &str, &str)] = &[
    (
        "/connz",
        "auth=v",
        "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"v\": invalid syntax",
    ),
    (
        "/connz",
        "subs=yes",
        "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"yes\": invalid syntax",
    ),
    (
        "/connz",
        "limit=x",
        "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax",
    ),
    (
        "/connz",
        "limit=%2B",
        "Error decoding int for 'limit': strconv.Atoi: parsing \"+\": invalid syntax",
    ),
    (
        "/connz",
        "offset=9223372036854775808",
        "Error decoding int for 'offset': strconv.Atoi: parsing \"9223372036854775808\": value out of range",
    ),
    (
        "/connz",
        "cid=-1",
        "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax",
    ),
    (
        "/connz",
        "cid=18446744073709551616",
        "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"18446744073709551616\": value out of range",
    ),
    ("/connz", "state=Half", "Error decoding state for Half"),
    (
        "/routez",
        "subs=2",
        "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"2\": invalid syntax",
    ),
    (
        "/gatewayz",
        "accs=2",
        "Error decoding boolean for 'accs': strconv.ParseBool: parsing \"2\": invalid syntax",
    ),
    (
        "/leafz",
        "subs=detail",
        "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"detail\": invalid syntax",
    ),
    (
        "/accstatz",
        "unused=%22",
        "Error decoding boolean for 'unused': strconv.ParseBool: parsing \"\\\"\": invalid syntax",
    ),
    (
        "/ipqueuesz",
        "all=maybe",
        "Error decoding boolean for 'all': strconv.ParseBool: parsing \"maybe\": invalid syntax",
    ),
    (
        "/jsz",
        "stream-leader-only=x",
        "Error decoding boolean for 'stream-leader-only': strconv.ParseBool: parsing \"x\": invalid syntax",
    ),
    (
        "/healthz",
        "js-enabled-only=bad",
        "Error decoding boolean for 'js-enabled-only': strconv.ParseBool: parsing \"bad\": invalid syntax",
    ),
    ("/accountz", "acc=zz", "Account zz does not exist"),
    ("/subsz", "test=a.*", "invalid test subject, must be valid publish subject: a.*"),
    ("/subsz", "test=a..b", "invalid test subject, must be valid publish subject: a..b"),
];

// Contract: MON-004
#[test]
fn bad_values_are_refused_in_gos_words() {
    for (path, query, text) in REFUSALS {
        assert_eq!(get(&server(), path, query), (400, (*text).to_owned()), "{path}?{query}");
    }
    let refused = respond("/connz", "auth=v", &server(), "", now());
    assert_eq!(refused.content_type, "text/plain; charset=utf-8");
    assert_eq!(refused.headers, []);
}

// Contract: MON-004
#[test]
fn all_spellings_of_true_and_false_are_understood() {
    let detailed = |value: &str| get(&server(), "/connz", &format!("subs={value}")).1;
    for yes in ["1", "t", "T", "true", "TRUE", "True"] {
        assert!(detailed(yes).contains("subscriptions_list"), "{yes}");
    }
    for no in ["", "0", "f", "F", "false", "FALSE", "False"] {
        assert!(!detailed(no).contains("subscriptions_list"), "{no}");
    }
    assert!(detailed("DETAIL").contains("subscriptions_list_detail"));
}

// Contract: MON-004
#[test]
fn queries_are_taken_apart_as_gos_are() {
    for (query, limit) in [
        ("limit=3&limit=4", 3),
        ("limit=%33", 3),
        ("l%69mit=3", 3),
        // A pair with a semicolon or a broken escape is dropped, the others count.
        ("limit=9;x=1&limit=3", 3),
        ("limit=%zz&limit=3", 3),
        ("limit=%3&limit=3", 3),
        ("&&limit=3&=x&y", 3),
        ("limit=", 1024),
        ("limit", 1024),
        ("LIMIT=3", 1024),
        ("limit=+3", 1024),
    ] {
        let (status, body) = get(&server(), "/connz", query);
        // A plus is a space, which is no number.
        if query == "limit=+3" {
            assert_eq!(status, 400, "{query}: {body}");
        } else {
            assert!(body.contains(&format!("\"limit\": {limit},")), "{query}: {body}");
        }
    }
}

// Contract: MON-002, MON-005
#[test]
fn paths_lead_where_they_should() {
    let status = |base: &str, path: &str| respond(path, "", &server(), base, now()).status;
    for (base, path, expected) in [
        ("", "/", 200),
        ("", "/varz", 200),
        ("", "/%76arz", 200),
        ("", "/varz/", 404),
        ("", "/nope", 404),
        ("", "/VARZ", 404),
        ("", "/%ff", 404),
        ("", "/varz%2fx", 404),
        ("", "//varz", 307),
        ("", "/a/../varz", 307),
        ("", "/%zz", 400),
        // What is escaped is a name, nothing else.
        ("", "/%2e%2e/varz", 404),
        ("", "/a/%2e%2e/varz", 404),
        ("", "/%2e/", 404),
        ("", "/..%2fvarz", 404),
        ("", "/varz%2f", 404),
        ("", "//varz/", 307),
        ("", "/a%20b/../varz", 307),
        ("/mon", "/mon", 200),
        ("/mon", "/mon/", 404),
        ("/mon", "/mon/varz", 200),
        ("/mon", "/varz", 404),
        ("/mon", "/monvarz", 404),
        ("/mon", "/", 404),
        ("mon/", "/mon/healthz", 200),
        ("/a//b/../c/", "/a/c/varz", 200),
        ("/", "/varz", 200),
    ] {
        assert_eq!(status(base, path), expected, "{base} {path}");
    }
    let nowhere = respond("/nope", "", &server(), "", now());
    assert_eq!(nowhere.body, b"404 page not found\n");
    assert_eq!(nowhere.headers, [("X-Content-Type-Options", "nosniff".to_owned())]);
}

#[test]
fn a_redirect_cannot_smuggle_a_header() {
    let response = respond("//a%0d%0aX-Evil:%201", "", &server(), "", now());
    assert_eq!(response.status, 307);
    // As the reference writes it: what was escaped is escaped once more.
    assert_eq!(response.headers, [("Location", "/a%250d%250aX-Evil:%25201".to_owned())]);
}

// Contract: MON-017
#[test]
fn subscriptions_are_tested_paged_and_filtered() {
    let mut source = server();
    source.subs.push(sub(8, "B", ">", ""));
    let list = |query: &str| {
        let (status, body) = get(&source, "/subsz", query);
        assert_eq!(status, 200, "{query}: {body}");
        let document: serde_json::Value = serde_json::from_str(&body).unwrap();
        let subjects: Vec<String> = document["subscriptions_list"]
            .as_array()
            .map(|lines| lines.iter().map(|l| l["subject"].as_str().unwrap().to_owned()).collect())
            .unwrap_or_default();
        (document["total"].as_u64().unwrap(), subjects)
    };
    assert_eq!(list("subs=1").0, 5);
    assert_eq!(list("subs=1&test=foo.bar"), (3, vec!["foo.>".into(), "foo.*".into(), ">".into()]));
    assert_eq!(list("subs=1&test=foo.bar&limit=1&offset=1"), (3, vec!["foo.*".into()]));
    assert_eq!(list("subs=1&test=foo").1, [">"]);
    assert_eq!(list("subs=1&acc=A&test=foo.a.b"), (1, vec!["foo.>".into()]));
    assert_eq!(list("subs=1&offset=9223372036854775807&limit=9223372036854775807").1, [""; 0]);
    assert_eq!(list("subs=1&acc=zz"), (0, vec![]));
    assert_eq!(list(""), (0, vec![]));
}

// Contract: MON-021
#[test]
fn health_is_told_in_status_and_body() {
    let fault = |kind, error: &str| HealthError {
        kind,
        account: "A".into(),
        stream: "S".into(),
        consumer: String::new(),
        error: error.into(),
    };
    let down = Fake {
        listeners: vec![
            ListenerFault { name: "server", error: None },
            ListenerFault { name: "mqtt", error: Some("in use".into()) },
        ],
        ..server()
    };
    let ailing = Fake {
        jetstream: JetStreamHealth::Faults(
            503,
            vec![
                fault(HealthErrorKind::Stream, "not current"),
                fault(HealthErrorKind::JetStream, "x"),
            ],
        ),
        ..server()
    };
    let healthy = server();
    for (source, query, status, body) in [
        (&healthy, "", 200, r#"{"status":"ok"}"#),
        (&healthy, "details=1", 200, r#"{"status":"ok"}"#),
        (&healthy, "js-enabled=1", 200, r#"{"status":"ok"}"#),
        (
            &healthy,
            "stream=S",
            400,
            r#"{"status":"error","error":"\"account\" must not be empty when checking stream health"}"#,
        ),
        (
            &healthy,
            "consumer=C&account=A",
            400,
            r#"{"status":"error","error":"\"stream\" must not be empty when checking consumer health"}"#,
        ),
        (
            &healthy,
            "stream=S&details=true",
            400,
            r#"{"status":"error","errors":[{"type":"BAD_REQUEST","error":"\"account\" must not be empty when checking stream health"}]}"#,
        ),
        (
            &down,
            "js-server-only=1",
            500,
            r#"{"status":"error","error":"failed to be ready for connections after 1ms: server, mqtt(in use)"}"#,
        ),
        (
            &down,
            "details=1",
            500,
            r#"{"status":"error","errors":[{"type":"CONNECTION","error":"failed to be ready for connections after 1ms: server, mqtt(in use)"}]}"#,
        ),
        (&ailing, "", 503, r#"{"status":"unavailable","error":"not current"}"#),
        (
            &ailing,
            "details=1",
            503,
            r#"{"status":"error","errors":[{"type":"STREAM","account":"A","stream":"S","error":"not current"},{"type":"JETSTREAM","account":"A","stream":"S","error":"x"}]}"#,
        ),
        (&ailing, "js-server-only=1", 200, r#"{"status":"ok"}"#),
    ] {
        let response = respond("/healthz", query, source, "", now());
        assert_eq!(String::from_utf8(response.body).unwrap(), body, "{query}");
        assert_eq!((response.status, response.content_type), (status, "application/json"));
        assert_eq!(response.headers.len(), 1, "the cross-origin header is on every status");
    }
}
