//! Imported services: requests, answers, who asked, how long it took.

use super::harness::*;
use crate::account::AccountDefinition;
use crate::account::definition::{ResponseType, Sampling};
use std::time::Duration;

fn pending(house: &House, account: &str) -> (usize, usize) {
    house.worker.broker.account(account).unwrap().pending_responses()
}

fn asks(to: &str) -> [AccountDefinition; 2] {
    [account("A").export(service("svc")), account("B").import(use_service("A", "svc", to))]
}

// Contract: ACC-006, ACC-011, ACC-014
#[test]
fn a_request_crosses_and_its_answer_comes_back() {
    // exported and imported, local, published, arrives as
    let cases = [
        ("svc", "", "svc", "svc"),
        ("svc", "local", "local", "svc"),
        ("svc.>", "", "svc.a.b", "svc.a.b"),
        ("svc.*.*", "l.$2.$1", "l.1.2", "svc.2.1"),
        ("svc.*", "l.*", "l.1", "svc.1"),
        ("svc.*", "l.{{wildcard(1)}}.x", "l.1.x", "svc.1"),
        ("svc", "l.*", "l.any", "svc"),
    ];
    for (export, to, subject, arrives) in cases {
        let import = use_service("A", export, to);
        let mut house =
            House::new(&[account("A").export(service(export)), account("B").import(import)]);
        let (mut a, mut b) = (house.connect("A"), house.connect("B"));
        a.send(&mut house, "SUB svc.> 1\r\nSUB svc 1s\r\n");
        b.send(&mut house, &format!("SUB in.* 2\r\n{}", publish(subject, "in.1", "q")));
        let got = a.read();
        let sid = if arrives == "svc" { "1s" } else { "1" };
        let want = format!(
            "HMSG {arrives} {sid} _R_ 57 58\nNATS/1.0\nNats-Request-Info: {{\"acc\":\"B\",\"rtt\":500000}}\n\nq\n"
        );
        assert_eq!(scrub(&got), want, "{export} as {to}");
        let reply = reply_in(&got);
        assert_eq!(reply.split('.').map(str::len).collect::<Vec<_>>(), [3, 6, 6]);
        assert_eq!((pending(&house, "A"), pending(&house, "B")), ((1, 0), (0, 1)));
        // One answer, no more.
        a.send(&mut house, &[publish(&reply, "", "yes"), publish(&reply, "", "no")].concat());
        assert_eq!(b.read(), "MSG in.1 2 3\nyes\n");
        assert_eq!((pending(&house, "A"), pending(&house, "B")), ((0, 0), (0, 0)));
        assert_eq!(a.read(), "");
    }
}

// Contract: ACC-014
#[test]
fn the_responder_learns_who_asked_and_nobody_can_pretend() {
    let shared = use_service("A", "svc", "shared").shared();
    let mut house = House::new(&[
        account("A").export(service("svc")),
        account("B").import(use_service("A", "svc", "")).import(shared),
    ]);
    let (mut a, mut b) = (house.connect("A"), house.connect("B"));
    a.send(&mut house, "SUB svc 1\r\n");
    let plain = r#"{"acc":"B","rtt":500000}"#;
    let detailed = concat!(
        r#"{"start":"2026-11-21T00:00:00Z","host":"127.0.0.1","id":2,"acc":"B","user":"u-B","#,
        r#""name":"n-B","lang":"py","ver":"1","rtt":500000,"server":"S1","cluster":"C1","#,
        r#""kind":"Client","client_type":"nats"}"#,
    );
    let forged =
        "X:1\r\nNats-Request-Info: {\"acc\":\"Z\"}\r\nnats-request-info: {\"acc\":\"Y\"}\r\n";
    for (subject, fields, kept, info) in [
        ("svc", "", "", plain),
        ("shared", "", "", detailed),
        ("svc", forged, "X:1\n", plain),
        ("shared", forged, "X:1\n", detailed),
    ] {
        b.send(&mut house, &publish_with(subject, "", fields, "q"));
        let got = a.read();
        let (_, body) = got.split_once('\n').unwrap();
        assert_eq!(body, format!("NATS/1.0\n{kept}Nats-Request-Info: {info}\n\nq\n"));
    }
}

// Contract: ACC-014
#[test]
fn the_system_account_learns_which_server_was_asked() {
    let mut house = House::new(&[
        account("$SYS").export(service("who")),
        account("B").import(use_service("$SYS", "who", "")),
    ]);
    let (mut sys, mut b) = (house.connect("$SYS"), house.connect("B"));
    sys.send(&mut house, "SUB who 1\r\n");
    b.send(&mut house, &publish("who", "", ""));
    let got = sys.read();
    let info = r#"{"acc":"B","rtt":500000,"server":"S1","cluster":"C1"}"#;
    assert!(got.contains(&format!("Nats-Request-Info: {info}\n")), "{got}");
}

// Contract: ACC-006, ACC-014
#[test]
fn services_can_be_chained() {
    let mut house = House::new(&[
        account("A").export(service("deep.*")),
        account("B").export(service("mid.*")).import(use_service("A", "deep.*", "mid.*")),
        account("C").import(use_service("B", "mid.*", "top.*")),
    ]);
    let (mut a, mut c) = (house.connect("A"), house.connect("C"));
    a.send(&mut house, "SUB deep.> 1\r\n");
    c.send(&mut house, &format!("SUB in 2\r\n{}", publish("top.x", "in", "q")));
    let got = a.read();
    assert!(got.starts_with("HMSG deep.x 1 _R_."), "{got}");
    assert!(got.contains(r#"Nats-Request-Info: {"acc":"C","svc":"B","rtt":500000}"#), "{got}");
    assert_eq!((pending(&house, "A").0, pending(&house, "B").0), (1, 1));
    a.send(&mut house, &publish(&reply_in(&got), "", "yes"));
    assert_eq!(c.read(), "MSG in 2 3\nyes\n");
    for account in ["A", "B", "C"] {
        assert_eq!(pending(&house, account), (0, 0));
    }
}

// Contract: ACC-006
#[test]
fn nobody_to_answer_is_told_at_once() {
    let mut house = House::new(&[
        account("A").export(service("deep")),
        account("B").export(service("mid")).import(use_service("A", "deep", "mid")),
        account("C").import(use_service("B", "mid", "top")),
    ]);
    let (mut b, mut c) = (house.connect("B"), house.connect("C"));
    for (client, subject) in [(&mut b, "mid"), (&mut c, "top")] {
        client.send(&mut house, &format!("SUB in 1\r\n{}", publish(subject, "in", "")));
        let len = 32 + subject.len();
        let want = format!("HMSG in 1 {len} {len}\nNATS/1.0 503\nNats-Subject: {subject}\n\n\n");
        assert_eq!(client.read(), want);
    }
    for account in ["A", "B", "C"] {
        assert_eq!(pending(&house, account), (0, 0));
    }
}

// Contract: ACC-006
#[test]
fn conversations_go_on_across_accounts() {
    let mut house = House::new(&asks(""));
    let (mut a, mut b) = (house.connect("A"), house.connect("B"));
    a.send(&mut house, "SUB svc 1\r\nSUB back 3\r\n");
    b.send(&mut house, &format!("SUB in 2\r\n{}", publish("svc", "in", "1")));
    let first = reply_in(&a.read());
    a.send(&mut house, &publish(&first, "back", "2"));
    let got = b.read();
    assert_eq!(scrub(&got), "MSG in 2 _R_ 1\n2\n");
    b.send(&mut house, &publish(&reply_in(&got), "", "3"));
    assert_eq!(a.read(), "MSG back 3 1\n3\n");
    assert_eq!((pending(&house, "A"), pending(&house, "B")), ((0, 0), (0, 0)));
}

// Contract: ACC-009
#[test]
fn a_request_cannot_go_round() {
    // Mappings close a circle that the imports themselves do not have.
    let mut house = House::new(&[
        account("A")
            .export(service("s"))
            .import(use_service("B", "q", "p"))
            .map("s", &[("p", 100)]),
        account("B")
            .export(service("q"))
            .import(use_service("A", "s", "r"))
            .map("q", &[("r", 100)]),
    ]);
    let (mut a, mut b) = (house.connect("A"), house.connect("B"));
    for (client, subject) in [(&mut a, "p"), (&mut b, "r")] {
        client.send(&mut house, &format!("SUB in 1\r\n{}", publish(subject, "in", "")));
        let want = format!("HMSG in 1 33 33\nNATS/1.0 503\nNats-Subject: {subject}\n\n\n");
        assert_eq!(client.read(), want);
    }
    for account in ["A", "B"] {
        assert_eq!(pending(&house, account), (0, 0));
    }
}

// Contract: CORE-014
#[test]
fn echo_is_a_matter_of_the_connection_only() {
    let mut house =
        House::new(&[account("A").export(service("svc")).import(use_service("A", "svc", "me"))]);
    let mut both = house.connect_with("A", r#","echo":false"#);
    both.send(&mut house, &format!("SUB svc 1\r\nSUB in 2\r\n{}", publish("me", "in", "")));
    assert_eq!(both.read(), "HMSG in 2 34 34\nNATS/1.0 503\nNats-Subject: me\n\n\n");
    let mut one = house.connect_with("A", r#","echo":false"#);
    one.send(&mut house, "SUB x 1\r\n");
    one.send(&mut house, &publish("me", "x", "q"));
    let reply = reply_in(&both.read());
    both.send(&mut house, &publish(&reply, "", "a"));
    assert_eq!(one.read(), "MSG x 1 1\na\n");
}

// Contract: ACC-012
#[test]
fn streamed_answers_last_until_an_empty_one_or_silence() {
    for kind in [ResponseType::Streamed, ResponseType::Chunked] {
        let second = Duration::from_secs(1);
        let mut house = House::new(&[
            account("A").export(service("svc").responds(kind).within(second)),
            account("B").import(use_service("A", "svc", "")),
        ]);
        let (mut a, mut b) = (house.connect("A"), house.connect("B"));
        a.send(&mut house, "SUB svc 1\r\n");
        b.send(&mut house, &format!("SUB in 2\r\n{}", publish("svc", "in", "")));
        let reply = reply_in(&a.read());
        a.send(&mut house, &publish(&reply, "", "x").repeat(3));
        // Each part starts the wait for the next anew.
        for _ in 0..3 {
            house.advance(Duration::from_millis(700));
            a.send(&mut house, &publish(&reply, "", "y"));
        }
        a.send(&mut house, &[publish(&reply, "", ""), publish(&reply, "", "late")].concat());
        let want =
            ["MSG in 2 1\nx\n".repeat(3), "MSG in 2 1\ny\n".repeat(3), "MSG in 2 0\n\n".into()];
        assert_eq!(b.read(), want.concat());
        assert_eq!((pending(&house, "A"), pending(&house, "B")), ((0, 0), (0, 0)));

        b.send(&mut house, &publish("svc", "in", ""));
        let reply = reply_in(&a.read());
        a.send(&mut house, &publish(&reply, "", "x"));
        assert_eq!(b.read(), "MSG in 2 1\nx\n");
        house.advance(second);
        a.send(&mut house, &publish(&reply, "", "late"));
        assert_eq!(b.read(), "");
        assert_eq!((pending(&house, "A"), pending(&house, "B")), ((0, 0), (0, 0)));
    }
}

// Contract: ACC-011
#[test]
fn answers_are_forgotten_when_nobody_waits() {
    let mut house = House::new(&asks(""));
    let mut a = house.connect("A");
    a.send(&mut house, "SUB svc 1\r\n");
    // By the end of the very subscription, of a wildcard over it, of its maximum, of the connection.
    for (subscribe, leave) in [
        ("SUB in.1 2\r\n", Some("UNSUB 2\r\n")),
        ("SUB in.* 2\r\n", Some("UNSUB 2\r\n")),
        ("SUB in.> 2\r\nUNSUB 2 1\r\n", Some("PUB in.x 0\r\n\r\n")),
        ("SUB in.1 2\r\n", None),
    ] {
        let mut b = house.connect("B");
        b.send(&mut house, subscribe);
        b.send(&mut house, &publish("svc", "in.1", ""));
        assert_eq!((pending(&house, "A"), pending(&house, "B")), ((1, 0), (0, 1)));
        // Somebody else's interest keeps it.
        let mut other = house.connect("B");
        other.send(&mut house, "SUB in.1 9\r\n");
        match leave {
            Some(leave) => b.send(&mut house, leave),
            None => b.end(&mut house),
        }
        assert_eq!(pending(&house, "A").0, 1);
        other.send(&mut house, "UNSUB 9\r\n");
        assert_eq!((pending(&house, "A"), pending(&house, "B")), ((0, 0), (0, 0)));
    }
    // And after two minutes in any case.
    let mut b = house.connect("B");
    b.send(&mut house, &format!("SUB in 1\r\n{}", publish("svc", "in", "")));
    assert!(house.worker.next_deadline().is_some());
    house.advance(Duration::from_secs(119));
    assert_eq!(pending(&house, "A").0, 1);
    house.advance(Duration::from_secs(1));
    assert_eq!((pending(&house, "A"), pending(&house, "B")), ((0, 0), (0, 0)));
    assert_eq!(house.worker.next_deadline(), None);
}

fn measured(sampling: Sampling) -> House {
    let export = service("svc").measured(sampling, "lat").within(Duration::from_secs(1));
    House::new(&[
        account("A").export(export),
        account("B").import(use_service("A", "svc", "").shared()),
        account("C").import(use_service("A", "svc", "")),
    ])
}

/// The sample in `text`, with its id blanked.
fn sample(text: &str) -> String {
    let json = text.split('\n').find(|line| line.starts_with('{')).unwrap_or_default();
    let (head, rest) = json.split_once(r#""id":""#).unwrap();
    let (id, rest) = rest.split_once('"').unwrap();
    assert_eq!(id.len(), 22);
    format!(r#"{head}"id":""{rest}"#)
}

// Contract: ACC-015, ACC-017
#[test]
fn answers_are_measured() {
    let mut house = measured(Sampling::Percent(100));
    let (mut a, mut b, mut results) = (house.connect("A"), house.connect("B"), house.connect("A"));
    a.send(&mut house, "SUB svc 1\r\n");
    results.send(&mut house, "SUB lat 1\r\n");
    b.send(&mut house, &format!("SUB in 2\r\n{}", publish("svc", "in", "")));
    let reply = reply_in(&a.read());
    // The hash stands for the server's name.
    assert!(reply.ends_with(".sQnRv29R.T"), "{reply}");
    house.advance(Duration::from_millis(100));
    a.send(&mut house, &publish(&reply, "", "yes"));
    assert_eq!(b.read(), "MSG in 2 3\nyes\n");
    let want = concat!(
        r#"{"type":"io.nats.server.metric.v1.service_latency","id":"","timestamp":"2026-11-21T00:00:00.1Z","#,
        r#""status":200,"requestor":{"start":"2026-11-21T00:00:00Z","host":"127.0.0.1","id":2,"acc":"B","#,
        r#""user":"u-B","name":"n-B","lang":"py","ver":"1","rtt":500000,"server":"S1","cluster":"C1","#,
        r#""kind":"Client","client_type":"nats"},"responder":{"start":"2026-11-21T00:00:00Z","#,
        r#""host":"127.0.0.1","id":1,"acc":"A","user":"u-A","name":"n-A","lang":"py","ver":"1","#,
        r#""rtt":500000,"server":"S1","cluster":"C1","kind":"Client","client_type":"nats"},"#,
        r#""start":"2026-11-20T23:59:59.9995Z","service":99500000,"system":0,"total":100500000}"#,
    );
    assert_eq!(sample(&results.read()), want);
}

// Contract: ACC-017
#[test]
fn requests_without_an_answer_are_measured() {
    let mut house = measured(Sampling::Percent(100));
    let (mut a, mut c, mut results) = (house.connect("A"), house.connect("C"), house.connect("A"));
    results.send(&mut house, "SUB lat 1\r\n");
    let check = |house: &House, status: &str, ago: Duration| {
        let now = house.worker.now.wall;
        let start = stdx::time::Timestamp(now.0 - ago.as_nanos() as i64 - 500_000);
        let want = format!(
            concat!(
                r#"{{"type":"io.nats.server.metric.v1.service_latency","id":"","timestamp":"{}",{},"#,
                r#""requestor":{{"acc":"C","rtt":500000}},"start":"{}","service":0,"system":0,"total":0}}"#,
            ),
            now.rfc3339(),
            status,
            start.rfc3339()
        );
        assert_eq!(sample(&results.read()), want);
    };
    let now = Duration::ZERO;
    c.send(&mut house, &format!("SUB in 2\r\n{}", publish("svc", "in", "")));
    check(&house, r#""status":503,"description":"Service Unavailable""#, now);
    a.send(&mut house, "SUB svc 1\r\n");
    c.send(&mut house, &publish("svc", "", ""));
    check(&house, r#""status":400,"description":"Bad Request""#, now);
    c.send(&mut house, &publish("svc", "in", ""));
    house.advance(Duration::from_secs(1));
    check(&house, r#""status":504,"description":"Service Timeout""#, Duration::from_secs(1));
    c.send(&mut house, &publish("svc", "in", ""));
    c.send(&mut house, "UNSUB 2\r\n");
    check(&house, r#""status":408,"description":"Request Timeout""#, now);
    assert_eq!((pending(&house, "A"), pending(&house, "C")), ((0, 0), (0, 0)));
}

// Contract: ACC-015, ACC-016
#[test]
fn headers_ask_for_a_measurement() {
    let mut house = measured(Sampling::Headers);
    let (mut a, mut c, mut results) = (house.connect("A"), house.connect("C"), house.connect("A"));
    a.send(&mut house, "SUB svc 1\r\n");
    results.send(&mut house, "SUB lat 1\r\n");
    c.send(&mut house, &format!("SUB in 2\r\n{}", publish("svc", "in", "")));
    let reply = reply_in(&a.read());
    assert_eq!(reply.len(), "_R_.123456.123456".len());
    a.send(&mut house, &publish(&reply, "", ""));
    assert_eq!(results.read(), "");
    let fields = "traceparent: 00-4bf92f35-00f067aa-01\r\n";
    c.send(&mut house, &publish_with("svc", "in", fields, ""));
    a.send(&mut house, &publish(&reply_in(&a.read()), "", ""));
    let got = sample(&results.read());
    assert!(
        got.contains(r#","header":{"Traceparent":["00-4bf92f35-00f067aa-01"]},"start":"#),
        "{got}"
    );
}

// Contract: ACC-006
#[test]
fn several_accounts_may_answer_one_subject() {
    let mut house = House::new(&[
        account("A").export(service("svc")),
        account("A2").export(service("svc").responds(ResponseType::Streamed)),
        account("B").import(use_service("A", "svc", "ask")).import(use_service("A2", "svc", "ask")),
    ]);
    let (mut a, mut a2, mut b) = (house.connect("A"), house.connect("A2"), house.connect("B"));
    a.send(&mut house, "SUB svc q 1\r\n");
    a2.send(&mut house, "SUB svc 1\r\n");
    b.send(&mut house, &format!("SUB in 2\r\n{}", publish("ask", "in", "")));
    for responder in [&mut a, &mut a2] {
        let reply = reply_in(&responder.read());
        responder.send(&mut house, &publish(&reply, "", "1"));
    }
    assert_eq!(b.read(), "MSG in 2 1\n1\n".repeat(2));
    let (received, sent) = house.worker.broker.account("B").unwrap().counters.totals();
    assert_eq!((received.msgs, sent.msgs), (1, 2));
    let (received, sent) = house.worker.broker.account("A").unwrap().counters.totals();
    assert_eq!((received.msgs, sent.msgs), (1, 1));
    let (received, sent) = house.worker.broker.counters.totals();
    assert_eq!((received.msgs, sent.msgs), (3, 4));
}
