//! Many messages in one read: what is encoded once, shared or dealt out has the same bytes as what
//! is delivered one by one.

use super::harness::*;

/// Payloads of many sizes, a few of them large.
fn payload(n: usize) -> String {
    let len = if n % 97 == 96 { 5_000 } else { n * 37 % 300 };
    format!("{n}:{}", "x".repeat(len))
}

fn delivery(sid: &str, n: usize) -> String {
    let payload = payload(n);
    format!("MSG bulk.load {sid} {}\n{payload}\n", payload.len())
}

fn deliveries(sid: &str, count: usize) -> String {
    (0..count).map(|n| delivery(sid, n)).collect()
}

#[test]
fn everybody_gets_every_byte_whoever_shares_it() {
    const COUNT: usize = 1500;
    let long = "9".repeat(50);
    let mut house = House::new(&[account("A")]);
    let sids = ["1", "1", "22", "1", &long];
    let mut crowd = sids.map(|_| house.connect("A"));
    for (client, sid) in crowd.iter_mut().zip(sids) {
        client.send(&mut house, &format!("SUB bulk.* {sid}\r\n"));
    }
    let mut few = house.connect("A");
    few.send(&mut house, "SUB bulk.> 1\r\nUNSUB 1 700\r\n");
    let mut publisher = house.connect("A");
    let burst: String = (0..COUNT).map(|n| publish("bulk.load", "", &payload(n))).collect();
    // Twice: found anew, and remembered.
    for round in 0..2 {
        publisher.send(&mut house, &burst);
        for (client, sid) in crowd.iter_mut().zip(sids) {
            assert!(client.read() == deliveries(sid, COUNT), "sid {sid}, round {round}");
        }
        let expected = if round == 0 { deliveries("1", 700) } else { String::new() };
        assert!(few.read() == expected, "a maximum, round {round}");
    }
}

#[test]
fn a_queue_group_gets_each_message_once_and_in_order() {
    const COUNT: usize = 1500;
    let mut house = House::new(&[account("A")]);
    let mut group = [(); 5].map(|()| house.connect("A"));
    for client in &mut group {
        client.send(&mut house, "SUB bulk.load workers 7\r\n");
    }
    // One of them takes only a few: the others get what it refuses.
    if let Some(first) = group.first_mut() {
        first.send(&mut house, "UNSUB 7 20\r\n");
    }
    let mut publisher = house.connect("A");
    let burst: String = (0..COUNT).map(|n| publish("bulk.load", "", &payload(n))).collect();
    publisher.send(&mut house, &burst);
    let got = group.each_mut().map(|client| client.read());
    let mut seen = vec![0; COUNT];
    for (member, text) in got.iter().enumerate() {
        let numbers: Vec<usize> = text
            .split("MSG ")
            .skip(1)
            .map(|msg| msg.split_once('\n').unwrap().1.split_once(':').unwrap().0.parse().unwrap())
            .collect();
        numbers.iter().for_each(|n| seen[*n] += 1);
        let exact: String = numbers.iter().map(|n| delivery("7", *n)).collect();
        assert!(*text == exact, "member {member}");
        if member == 0 {
            assert_eq!(numbers.len(), 20);
        } else {
            assert!(numbers.len() > COUNT / 10, "member {member} got {}", numbers.len());
        }
    }
    assert!(seen.iter().all(|times| *times == 1));
}
