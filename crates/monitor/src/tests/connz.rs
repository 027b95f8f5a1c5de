//! Order, pages and filters of the connection list.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::fake::{Fake, ago, closed, conn, now, server};
use crate::*;

fn ask(source: &Fake, query: &str) -> Value {
    let response = respond("/connz", query, source, "", now());
    let text = String::from_utf8(response.body).unwrap();
    assert_eq!(response.status, 200, "{query}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn cids(source: &Fake, query: &str) -> Vec<u64> {
    let document = ask(source, query);
    let lines = document["connections"].as_array().unwrap();
    assert_eq!(document["num_connections"], lines.len());
    lines.iter().map(|line| line["cid"].as_u64().unwrap()).collect()
}

/// Connection 1 is low in everything, 2 in the middle, 3 high.
fn ranked() -> Fake {
    let make = |n: u64| {
        let step = i64::try_from(n).unwrap();
        ConnFacts {
            subscriptions: n,
            pending_bytes: n,
            out_msgs: n,
            in_msgs: n,
            out_bytes: n,
            in_bytes: n,
            rtt: Duration::from_millis(n),
            last_activity: ago(10_000_000_000 - step * 1_000_000_000),
            start: ago(100_000_000_000 - step),
            ..conn(n, "A", "a")
        }
    };
    Fake { open: vec![make(2), make(3), make(1)], ..Fake::default() }
}

// Contract: MON-009
#[test]
fn every_column_sorts_in_its_own_direction() {
    let source = ranked();
    for (column, expected) in [
        ("", [1, 2, 3]),
        ("cid", [1, 2, 3]),
        ("start", [1, 2, 3]),
        ("subs", [3, 2, 1]),
        ("pending", [3, 2, 1]),
        ("msgs_to", [3, 2, 1]),
        ("msgs_from", [3, 2, 1]),
        ("bytes_to", [3, 2, 1]),
        ("bytes_from", [3, 2, 1]),
        ("last", [3, 2, 1]),
        ("idle", [1, 2, 3]),
        ("uptime", [3, 2, 1]),
        ("rtt", [3, 2, 1]),
    ] {
        assert_eq!(cids(&source, &format!("sort={column}")), expected, "{column}");
    }
}

// Contract: MON-009
#[test]
fn stop_and_reason_sort_closed_connections_only() {
    let at = |cid: u64, stop: i64, reason: &str| {
        let mut facts = Arc::unwrap_or_clone(closed(cid, "A", reason));
        facts.stop = ago(stop);
        Arc::new(facts)
    };
    let source = Fake {
        closed: vec![at(1, 30, "Slow"), at(2, 20, "Auth"), at(3, 10, "Read")],
        ..Fake::default()
    };
    assert_eq!(cids(&source, "state=closed&sort=stop"), [3, 2, 1]);
    assert_eq!(cids(&source, "state=closed&sort=reason"), [2, 3, 1]);
    for (query, text) in [
        ("sort=stop", "sort by stop only valid on closed connections"),
        ("sort=reason&state=all", "sort by reason only valid on closed connections"),
        ("sort=nope", "invalid sorting option: nope"),
    ] {
        let response = respond("/connz", query, &source, "", now());
        assert_eq!((response.status, response.body), (400, text.into()), "{query}");
    }
}

// Contract: MON-008
#[test]
fn pages_never_overlap_and_never_overflow() {
    let source = ranked();
    let huge = i64::MAX;
    for (query, expected) in [
        ("limit=1".to_owned(), vec![1]),
        ("limit=1&offset=1".to_owned(), vec![2]),
        ("limit=2&offset=2".to_owned(), vec![3]),
        ("offset=3".to_owned(), vec![]),
        ("offset=-5&limit=-1".to_owned(), vec![1, 2, 3]),
        (format!("offset={huge}&limit={huge}"), vec![]),
        (format!("offset=1&limit={huge}"), vec![2, 3]),
        (format!("offset={}&limit={}", i64::MIN, i64::MIN), vec![1, 2, 3]),
    ] {
        assert_eq!(cids(&source, &query), expected, "{query}");
        assert_eq!(ask(&source, &query)["total"], 3);
    }
    let document = ask(&source, "offset=-5");
    assert_eq!((&document["offset"], &document["limit"]), (&0.into(), &1024.into()));
}

// Contract: MON-010
#[test]
fn filters_pick_connections() {
    let source = server();
    for (query, expected) in [
        ("", vec![7, 8, 9]),
        ("state=OPEN", vec![7, 8, 9]),
        ("state=closed", vec![5]),
        ("state=any", vec![5, 7, 8, 9]),
        ("state=all&acc=B", vec![5, 8]),
        ("acc=A", vec![7]),
        ("user=b", vec![8]),
        ("user=b&state=all", vec![5, 8]),
        ("mqtt_client=x", vec![]),
        ("cid=8", vec![8]),
        ("cid=5", vec![]),
        ("cid=5&state=all", vec![5]),
        ("cid=8&state=all&acc=A", vec![8]),
        ("cid=5&state=closed&user=zz", vec![]),
    ] {
        assert_eq!(cids(&source, query), expected, "{query}");
    }
    assert_eq!(ask(&source, "cid=8")["limit"], 1);
}

// Contract: MON-010
#[test]
fn an_unknown_account_has_no_list_at_all() {
    let document = ask(&server(), "acc=zz");
    assert_eq!((&document["server_id"], &document["connections"]), (&"".into(), &Value::Null));
}

// Contract: MON-010
#[test]
fn leafnodes_are_listed_but_not_found_by_id() {
    let leaf = ConnFacts { kind: ConnKind::Leafnode, conn_type: None, ..conn(4, "A", "a") };
    let source = Fake { open: vec![leaf], ..Fake::default() };
    let document = ask(&source, "");
    assert_eq!(document["connections"][0]["kind"], "Leafnode");
    assert_eq!(document["connections"][0].get("type"), None);
    assert_eq!(cids(&source, "cid=4"), Vec::<u64>::new());
}

// Contract: MON-010
#[test]
fn a_subject_filter_needs_an_account() {
    let ask = |body: &str| request(Endpoint::Connz, body.as_bytes(), &server(), now());
    let found = |body: &str| -> Vec<u64> {
        let document: Value = serde_json::from_slice(&ask(body).unwrap()).unwrap();
        let lines = document["connections"].as_array().unwrap();
        lines.iter().map(|line| line["cid"].as_u64().unwrap()).collect()
    };
    assert_eq!(found(r#"{"filter_subject":"foo.bar","acc":"A"}"#), [7]);
    assert_eq!(found(r#"{"filter_subject":"*.x","acc":"A"}"#), [7]);
    assert_eq!(found(r#"{"filter_subject":"other","acc":"A"}"#), Vec::<u64>::new());
    assert_eq!(found(r#"{"filter_subject":">"}"#), [7, 8, 9]);
    let refused = ask(r#"{"filter_subject":"foo"}"#).unwrap_err();
    assert_eq!(refused.to_string(), "filter by subject only valid with account filtering");
    assert_eq!(refused.code(), Some(500));
}

// Contract: MON-011
#[test]
fn identities_show_only_when_asked_for() {
    let mut source = server();
    source.open[0].jwt = "eyJ.x".into();
    source.open[0].tags = vec!["t".into()];
    let plain = ask(&source, "cid=9");
    for hidden in ["authorized_user", "account", "name_tag", "jwt", "tags", "tls_peer_certs"] {
        assert_eq!(plain["connections"][0].get(hidden), None, "{hidden}");
    }
    let shown = ask(&source, "cid=9&auth=1");
    let line = &shown["connections"][0];
    assert_eq!((&line["jwt"], &line["tags"][0]), (&"eyJ.x".into(), &"t".into()));
    // The global account is never named, its tag is.
    assert_eq!((line.get("account"), &line["name_tag"]), (None, &"$G".into()));
    assert_eq!(ask(&source, "cid=7&auth=1")["connections"][0]["account"], "A");
}
