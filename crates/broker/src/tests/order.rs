//! The order in which one connection sees what it gets.

use super::harness::*;

/// The payloads and sids in the order they came.
fn seen(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.chunks(2).filter(|pair| pair[0].starts_with("MSG"));
    pairs.map(|pair| pair[1].to_owned()).collect()
}

#[test]
fn several_subscriptions_of_one_connection_see_the_publishers_order() {
    for subs in ["SUB n.1 4\r\nSUB > 5\r\n", "SUB n.1 4\r\nSUB n.1 q 5\r\n"] {
        let mut house = House::new(&[account("A")]);
        let (mut one, mut publisher) = (house.connect("A"), house.connect("A"));
        one.send(&mut house, subs);
        // Twice: found anew, and remembered.
        for _ in 0..2 {
            let burst: String = (0..4).map(|n| publish("n.1", "", &n.to_string())).collect();
            publisher.send(&mut house, &burst);
            assert_eq!(seen(&one.read()), ["0", "0", "1", "1", "2", "2", "3", "3"], "{subs}");
        }
    }
}

#[test]
fn members_of_a_queue_on_one_connection_see_the_publishers_order() {
    let mut house = House::new(&[account("A")]);
    let (mut one, mut publisher) = (house.connect("A"), house.connect("A"));
    one.send(&mut house, "SUB n q 1\r\nSUB n q 2\r\n");
    for _ in 0..2 {
        let burst: String = (0..20).map(|n| publish("n", "", &n.to_string())).collect();
        publisher.send(&mut house, &burst);
        let want: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(seen(&one.read()), want);
    }
}

/// Members whose maximum is reached within a burst: what they leave goes to others in order, and
/// the first messages are those that are taken.
// Contract: CORE-012, SUBJ-003
#[test]
fn members_that_end_within_a_burst_keep_the_order_of_the_others() {
    for (max, taken) in [(1, 11), (5, 15)] {
        let mut house = House::new(&[account("A")]);
        let mut members = [house.connect("A"), house.connect("A"), house.connect("A")];
        let mut publisher = house.connect("A");
        for member in &mut members {
            member.send(&mut house, "SUB n q 1\r\n");
        }
        for (member, max) in members.iter_mut().zip([max, 10, 0]) {
            if max > 0 {
                member.send(&mut house, &format!("UNSUB 1 {max}\r\n"));
            }
        }
        let burst: String = (0..40).map(|n| publish("n", "", &n.to_string())).collect();
        publisher.send(&mut house, &burst);
        let got: Vec<Vec<usize>> = members
            .iter_mut()
            .map(|member| seen(&member.read()).iter().map(|n| n.parse().unwrap()).collect())
            .collect();
        assert!(got.iter().all(|got| got.is_sorted()), "{got:?}");
        assert_eq!(got.iter().map(Vec::len).sum::<usize>(), 40);
        assert_eq!(got[0].len() + got[1].len(), taken);
    }
}

// Contract: CORE-012
#[test]
fn what_a_queue_takes_are_the_first() {
    for _ in 0..20 {
        let mut house = House::new(&[account("A")]);
        let (mut one, mut two) = (house.connect("A"), house.connect("A"));
        let mut publisher = house.connect("A");
        for member in [&mut one, &mut two] {
            member.send(&mut house, "SUB n q 1\r\nUNSUB 1 1\r\n");
        }
        let burst: String = ["a", "b", "c"].map(|text| publish("n", "", text)).concat();
        publisher.send(&mut house, &burst);
        let mut got = [seen(&one.read()), seen(&two.read())].concat();
        got.sort();
        assert_eq!(got, ["a", "b"]);
    }
}
