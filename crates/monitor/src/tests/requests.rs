//! The same documents asked for over `$SYS`.

use serde_json::Value;

use super::fake::{Fake, now, server};
use crate::*;

fn ask(source: &Fake, endpoint: Endpoint, body: &str) -> Value {
    let document = request(endpoint, body.as_bytes(), source, now()).unwrap();
    serde_json::from_slice(&document).unwrap()
}

// Contract: MON-021
#[test]
fn options_come_as_json() {
    let source = server();
    let listed = ask(
        &source,
        Endpoint::Connz,
        r#"{"limit":1,"sort":"cid","state":2,"auth":true,"server_name":"x"}"#,
    );
    assert_eq!(listed["connections"][0]["cid"], 5);
    assert_eq!(listed["total"], 4);
    assert_eq!(ask(&source, Endpoint::Subsz, r#"{"subscriptions":true}"#)["total"], 4);
    assert_eq!(
        ask(&source, Endpoint::Accountz, r#"{"account":"B"}"#)["account_detail"]["account_name"],
        "B"
    );
    let named =
        ask(&source, Endpoint::AccountStatz, r#"{"accounts":["$SYS","A"],"include_unused":true}"#);
    assert_eq!(named["account_statz"][0]["acc"], "$SYS");
    assert_eq!(
        ask(&source, Endpoint::IpQueuesz, r#"{"all":true,"filter":"send"}"#)["sendq"]["pending"],
        0
    );
    assert_eq!(ask(&source, Endpoint::Healthz, "")["status_code"], 200);
    let refused = ask(&source, Endpoint::Healthz, r#"{"consumer":"C","js-server-only":true}"#);
    assert_eq!(refused["status_code"], 400);
    for endpoint in
        [Endpoint::Varz, Endpoint::Routez, Endpoint::Gatewayz, Endpoint::Leafz, Endpoint::Jsz]
    {
        assert_eq!(ask(&source, endpoint, "{}")["server_id"], source.server_id(), "{endpoint:?}");
    }
    assert_eq!(ask(&source, Endpoint::Expvarz, "")["cmdline"][0], "nats-server");
}

#[test]
fn requests_are_not_counted_as_http() {
    let source = server();
    ask(&source, Endpoint::Connz, "");
    assert_eq!(ask(&source, Endpoint::Varz, "")["http_req_stats"], serde_json::json!({}));
}

#[test]
fn bad_bodies_and_refusals_have_codes() {
    let code = |endpoint, body: &str| {
        request(endpoint, body.as_bytes(), &server(), now()).unwrap_err().code()
    };
    assert_eq!(code(Endpoint::Connz, "{"), Some(400));
    assert_eq!(code(Endpoint::Varz, "nonsense"), Some(400));
    assert_eq!(code(Endpoint::Connz, r#"{"limit":"x"}"#), Some(400));
    assert_eq!(code(Endpoint::Accountz, r#"{"account":"zz"}"#), Some(500));
    assert_eq!(code(Endpoint::Jsz, r#"{"leader_only":true}"#), None);
    assert_eq!(code(Endpoint::Stacksz, ""), None);
}
