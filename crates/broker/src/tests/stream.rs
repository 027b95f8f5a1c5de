//! Imported streams.

use super::harness::*;
use crate::account::definition::Rename;

fn prefixed() -> [crate::account::AccountDefinition; 2] {
    let import = use_stream("A", "ev.>", Rename::Prefix("p".into()));
    [account("A").export(stream("ev.>")), account("B").import(import)]
}

// Contract: ACC-005
#[test]
fn importers_get_messages_under_their_own_subject() {
    // exported, import, subscribed to, published, seen
    let to = |to: &str| Rename::To(to.into());
    let cases: [(&str, Rename, &str, &str, Option<&str>); 12] = [
        ("ev.>", Rename::Keep, "ev.>", "ev.x", Some("ev.x")),
        ("ev.>", Rename::Keep, "ev.x", "ev.x", Some("ev.x")),
        ("ev.>", Rename::Keep, "ev.x", "ev.y", None),
        ("ev.>", Rename::Prefix("p".into()), "p.ev.>", "ev.x", Some("p.ev.x")),
        ("ev.>", Rename::Prefix("p.".into()), "p.ev.x", "ev.x", Some("p.ev.x")),
        ("ev.>", Rename::Prefix("p".into()), "ev.>", "ev.x", None),
        ("ev.*.*", to("a.$2.b.$1"), "a.>", "ev.1.2", Some("a.2.b.1")),
        ("ev.*.*", to("a.$2.b.$1"), "a.2.b.*", "ev.1.2", Some("a.2.b.1")),
        ("ev.*.*", to("a.$2.b.$1"), "a.1.b.*", "ev.1.2", None),
        ("ev.*.*", to("a.{{wildcard(1)}}.$2"), "*.*.2", "ev.1.2", Some("a.1.2")),
        ("ev", to("here"), "here", "ev", Some("here")),
        ("ev", to("here"), ">", "ev", Some("here")),
    ];
    for (export, rename, filter, subject, want) in cases {
        let import = use_stream("A", export, rename);
        let mut house =
            House::new(&[account("A").export(stream(export)), account("B").import(import)]);
        let (mut a, mut b) = (house.connect("A"), house.connect("B"));
        b.send(&mut house, &format!("SUB {filter} 7\r\n"));
        a.send(&mut house, &publish(subject, "rep", "hi"));
        let want = want.map(|seen| format!("MSG {seen} 7 rep 2\nhi\n")).unwrap_or_default();
        assert_eq!(b.read(), want, "{export} subscribed to as {filter}, published {subject}");
        b.send(&mut house, "UNSUB 7\r\n");
        a.send(&mut house, &publish(subject, "", "hi"));
        assert_eq!(b.read(), "");
        let exporter = house.worker.broker.account("A").unwrap();
        assert_eq!(exporter.subscriptions(), 0);
    }
}

// Contract: ACC-005
#[test]
fn shadows_follow_their_subscription() {
    let mut house = House::new(&prefixed());
    let mut a = house.connect("A");
    let interest = |house: &House| house.worker.broker.account("A").unwrap().subscriptions();

    // A maximum counts over the account's own messages and imported ones.
    let (mut b, mut own) = (house.connect("B"), house.connect("B"));
    b.send(&mut house, "SUB p.ev.> 1\r\nUNSUB 1 3\r\n");
    own.send(&mut house, &publish("p.ev.own", "", "0"));
    for n in ["1", "2", "3"] {
        a.send(&mut house, &publish("ev.x", "", n));
    }
    assert_eq!(b.read(), "MSG p.ev.own 1 1\n0\nMSG p.ev.x 1 1\n1\nMSG p.ev.x 1 1\n2\n");
    assert_eq!(interest(&house), 0);
    assert!(b.session.conn.subs.lock().is_empty());

    // A run of messages in one read stops at the maximum, too.
    b.send(&mut house, "SUB p.ev.> 1\r\nUNSUB 1 2\r\n");
    a.send(&mut house, &publish("ev.x", "", "1").repeat(5));
    assert_eq!(b.read(), "MSG p.ev.x 1 1\n1\n".repeat(2));

    // Two imports of one subscription, and the end of the connection.
    b.send(&mut house, "SUB > 2\r\nSUB p.> 3\r\n");
    assert_eq!(interest(&house), 2);
    b.end(&mut house);
    assert_eq!(interest(&house), 0);
}

// Contract: ACC-005
#[test]
fn queue_groups_and_headers_go_across() {
    let mut house = House::new(&prefixed());
    let mut a = house.connect("A");
    let mut workers = [house.connect("A"), house.connect("B"), house.connect("B")];
    workers[0].send(&mut house, "SUB ev.> q 1\r\n");
    for worker in &mut workers[1..] {
        worker.send(&mut house, "SUB p.ev.> q 1\r\n");
    }
    for _ in 0..300 {
        a.send(&mut house, &publish("ev.x", "", "m"));
    }
    let got = workers.map(|w| w.read().matches("MSG").count());
    assert_eq!(got.iter().sum::<usize>(), 300);
    assert!(got.iter().all(|n| *n > 50), "{got:?}");

    let (mut rich, mut poor) =
        (house.connect("B"), house.connect_with("B", r#","headers":false,"no_responders":false"#));
    rich.send(&mut house, "SUB p.ev.y 1\r\n");
    poor.send(&mut house, "SUB p.ev.y 1\r\n");
    a.send(&mut house, &publish_with("ev.y", "", "K: v\r\n", "m"));
    assert_eq!(rich.read(), "HMSG p.ev.y 1 18 19\nNATS/1.0\nK: v\n\nm\n");
    assert_eq!(poor.read(), "MSG p.ev.y 1 1\nm\n");
}

// Contract: ACC-005
#[test]
fn imported_streams_end_where_they_were_imported() {
    // B may export what it imports, but the reference delivers it one account far; and what came
    // as a request to a service is not a stream for third accounts.
    let mut house = House::new(&[
        account("A").export(stream("ev.>")).export(service("ask")).export(stream("ask")),
        account("B")
            .export(stream("ev.>"))
            .import(use_stream("A", "ev.>", Rename::Keep))
            .import(use_service("A", "ask", "")),
        account("C")
            .import(use_stream("B", "ev.>", Rename::To("far.>".into())))
            .import(use_stream("A", "ask", Rename::Keep)),
    ]);
    let (mut a, mut b, mut c) = (house.connect("A"), house.connect("B"), house.connect("C"));
    b.send(&mut house, "SUB ev.> 1\r\n");
    c.send(&mut house, "SUB far.> 1\r\nSUB ask 2\r\n");
    a.send(&mut house, &publish("ev.x", "", "1"));
    assert_eq!((b.read().as_str(), c.read().as_str()), ("MSG ev.x 1 1\n1\n", ""));
    b.send(&mut house, &publish("ask", "", "2"));
    assert_eq!(c.read(), "");
    a.send(&mut house, &publish("ask", "", "3"));
    assert_eq!(c.read(), "MSG ask 2 1\n3\n");
}
