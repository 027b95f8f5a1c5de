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
