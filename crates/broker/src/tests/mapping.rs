//! Subject mappings of accounts.

use super::harness::*;

// Contract: SUBJ-009, SUBJ-010
#[test]
fn published_subjects_are_mapped() {
    let mut house = House::new(&[account("A")
        .map("in.*", &[("out.$1", 100)])
        .map("in.x", &[("never", 100)])
        .map("gone", &[("gone", 0)])
        .map("half", &[("other", 50)])]);
    let mut a = house.connect("A");
    a.send(&mut house, "SUB > 1\r\n");
    // published, seen
    for (subject, seen) in
        [("in.x", "out.x"), ("in.y", "out.y"), ("in", "in"), ("in.x.y", "in.x.y")]
    {
        a.send(&mut house, &publish(subject, "r", "1"));
        assert_eq!(a.read(), format!("MSG {seen} 1 r 1\n1\n"));
    }
    // A subscription is not mapped.
    let mut b = house.connect("A");
    b.send(&mut house, "SUB in.x 2\r\n");
    // Several subjects of one read are mapped each by itself, in order.
    let run = ["in.x", "in.x", "in.y", "plain", "in.x"].map(|s| publish(s, "", "1")).concat();
    a.send(&mut house, &run);
    let want = ["out.x", "out.x", "out.y", "plain", "out.x"].map(|s| format!("MSG {s} 1 1\n1\n"));
    assert_eq!(a.read(), want.concat());
    assert_eq!(b.read(), "");
    a.send(&mut house, &publish_with("in.x", "", "K: v\r\n", "1").repeat(2));
    assert_eq!(a.read(), "HMSG out.x 1 18 19\nNATS/1.0\nK: v\n\n1\n".repeat(2));
    // A requester hears of the mapped subject.
    a.send(&mut house, "UNSUB 1\r\nSUB r 3\r\n");
    a.send(&mut house, &publish("in.x", "r", ""));
    assert_eq!(a.read(), "HMSG r 3 37 37\nNATS/1.0 503\nNats-Subject: out.x\n\n\n");
}

// Contract: SUBJ-009, SUBJ-016
#[test]
fn weights_share_out_messages_and_may_drop_some() {
    let mut house = House::new(&[account("A")
        .map("foo", &[("a", 20), ("b", 30)])
        .map("lossy", &[("lossy", 50)])]);
    let (mut a, mut b) = (house.connect("A"), house.connect("A"));
    b.send(&mut house, "SUB > 1\r\n");
    a.send(&mut house, &publish("foo", "", "1").repeat(10_000));
    let got = b.read();
    let share = |s: &str| got.matches(&format!("MSG {s} 1 1\n")).count();
    let (to_a, to_b, rest) = (share("a"), share("b"), share("foo"));
    assert_eq!(to_a + to_b + rest, 10_000);
    assert!((1800..2200).contains(&to_a) && (2750..3250).contains(&to_b), "{to_a} {to_b} {rest}");
    a.send(&mut house, &publish("lossy", "", "1").repeat(10_000));
    let kept = b.read().matches("MSG lossy 1 1\n").count();
    assert!((4700..5300).contains(&kept), "{kept}");
}

// Contract: SUBJ-010
#[test]
fn requests_are_mapped_in_the_account_they_enter() {
    let mut house = House::new(&[
        account("A").export(service("svc")).map("svc", &[("svc.v2", 100)]),
        account("B").import(use_service("A", "svc", "")).map("old", &[("svc", 100)]),
    ]);
    let (mut a, mut b) = (house.connect("A"), house.connect("B"));
    a.send(&mut house, "SUB svc.> 1\r\n");
    b.send(&mut house, "SUB in 2\r\n");
    for subject in ["svc", "old"] {
        b.send(&mut house, &publish(subject, "in", ""));
        let got = a.read();
        assert!(got.starts_with("HMSG svc.v2 1 _R_."), "{got}");
        a.send(&mut house, &publish(&reply_in(&got), "", "ok"));
        assert_eq!(b.read(), "MSG in 2 2\nok\n");
    }
}
