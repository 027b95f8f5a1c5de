//! Definitions put in force again, with clients connected.

use super::harness::*;
use crate::account::AccountDefinition;
use crate::account::definition::Rename;

fn interest(house: &House, account: &str) -> usize {
    house.worker.broker.account(account).unwrap().subscriptions()
}

fn exporter() -> AccountDefinition {
    account("A").export(stream("ev.>")).export(service("svc.*"))
}

// Contract: ACC-005, ACC-006
#[test]
fn imports_come_and_go_under_live_subscriptions() {
    let keep = || use_stream("A", "ev.keep", Rename::Keep);
    let all = || use_stream("A", "ev.>", Rename::Prefix("p".into()));
    let ask = || use_service("A", "svc.a", "ask");
    let mut house = House::new(&[exporter(), account("B").import(keep())]);
    let (mut a, mut b) = (house.connect("A"), house.connect("B"));
    b.send(&mut house, "SUB > 1\r\n");
    a.send(&mut house, "SUB svc.* 1\r\n");
    let broker = house.worker.broker.clone();
    let mut round = |house: &mut House, want: &str| {
        let each = ["ev.keep", "ev.x"].map(|s| publish(s, "", "m")).concat();
        a.send(house, &each);
        assert_eq!(b.read(), want);
        b.send(house, &publish("ask", "", "q"));
        (a.read(), b.read())
    };
    let local = "MSG ask 1 1\nq\n";
    let kept = "MSG ev.keep 1 1\nm\n";
    assert_eq!(round(&mut house, kept), (String::new(), local.into()));
    assert_eq!(interest(&house, "A"), 2);

    broker
        .define_accounts(&[exporter(), account("B").import(keep()).import(all()).import(ask())])
        .unwrap();
    let both = "MSG ev.keep 1 1\nm\nMSG p.ev.keep 1 1\nm\nMSG p.ev.x 1 1\nm\n";
    let (asked, own) = round(&mut house, both);
    assert!(asked.starts_with("HMSG svc.a 1 "), "{asked}");
    assert_eq!(own, local);
    assert_eq!(interest(&house, "A"), 3);

    broker.define_accounts(&[exporter(), account("B").import(keep())]).unwrap();
    assert_eq!(round(&mut house, kept), (String::new(), local.into()));
    assert_eq!((interest(&house, "A"), interest(&house, "B")), (2, 1));

    // A fault changes nothing.
    let fault = [exporter(), account("B").import(use_service("X", "y", ""))];
    assert!(broker.define_accounts(&fault).is_err());
    assert_eq!(round(&mut house, kept), (String::new(), local.into()));

    let changed = broker.define_accounts(&[account("B")]).unwrap();
    assert_eq!(changed.removed.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["A"]);
    assert!(broker.account("A").is_none());
    assert_eq!(round(&mut house, ""), (String::new(), local.into()));
}

// Contract: ACC-011
#[test]
fn awaited_answers_survive() {
    let definitions = || [exporter(), account("B").import(use_service("A", "svc.a", "ask"))];
    let mut house = House::new(&definitions());
    let (mut a, mut b) = (house.connect("A"), house.connect("B"));
    a.send(&mut house, "SUB svc.* 1\r\n");
    b.send(&mut house, &format!("SUB in 1\r\n{}", publish("ask", "in", "")));
    house.worker.broker.define_accounts(&[exporter(), account("B")]).unwrap();
    a.send(&mut house, &publish(&reply_in(&a.read()), "", "ok"));
    assert_eq!(b.read(), "MSG in 1 2\nok\n");
    house.worker.broker.define_accounts(&definitions()).unwrap();
    b.send(&mut house, &publish("ask", "in", ""));
    assert_eq!(a.read().matches("HMSG svc.a").count(), 1);
}

// Contract: SUBJ-009
#[test]
fn mappings_change() {
    let mut house = House::new(&[account("A")]);
    let mut a = house.connect("A");
    a.send(&mut house, "SUB > 1\r\n");
    for (to, seen) in [(None, "in"), (Some("x"), "x"), (Some("y"), "y"), (None, "in")] {
        let definition = to.into_iter().fold(account("A"), |a, to| a.map("in", &[(to, 100)]));
        house.worker.broker.define_accounts(&[definition]).unwrap();
        a.send(&mut house, &publish("in", "", "m").repeat(2));
        assert_eq!(a.read(), format!("MSG {seen} 1 1\nm\n").repeat(2));
    }
}
