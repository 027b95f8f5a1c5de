//! Priority groups.

use jetstream_api::{ConsumerConfig, Nanos, PriorityPolicy};

use super::world::{World, pull};
use crate::consumer::Standing;

fn grouped(priority_policy: PriorityPolicy) -> World {
    World::new(ConsumerConfig {
        priority_policy,
        priority_groups: vec!["g".into()],
        priority_timeout: Nanos::from_secs(120),
        ack_wait: Nanos::from_secs(3600),
        ..pull()
    })
}

fn ask(world: &mut World, reply: &str, more: &str) {
    world.pull(reply, &format!(r#"{{"batch":2,"expires":60000000000,"group":"g"{more}}}"#));
}

// Contract: CONS-060
#[test]
fn bad_groups_are_named() {
    let cases = [
        (PriorityPolicy::None, r#"{"batch":1,"min_pending":1}"#, "Not a Overflow Priority consumer"),
        (PriorityPolicy::Overflow, r#"{"batch":1,"id":"x"}"#, "Not a Pinned Client Priority consumer"),
        (PriorityPolicy::Prioritized, r#"{"batch":1,"priority":10}"#, "Priority must be between 0 and 9"),
        (PriorityPolicy::PinnedClient, r#"{"batch":1}"#, "Priority Group missing"),
        (PriorityPolicy::PinnedClient, r#"{"batch":1,"group":"h"}"#, "Invalid Priority Group"),
    ];
    for (policy, request, why) in cases {
        let mut world = grouped(policy);
        world.pull("in.a", request);
        assert_eq!(world.heard(), [format!("in.a: 400 Bad Request - {why}")]);
    }
}

// Contract: CONS-057
#[test]
fn overflow_helps_only_when_there_is_enough_to_do() {
    let mut world = grouped(PriorityPolicy::Overflow);
    ask(&mut world, "in.a", r#","min_pending":3"#);
    ask(&mut world, "in.b", r#","min_ack_pending":1"#);
    world.publish("s", "m1");
    world.publish("s", "m2");
    let now = world.now;
    assert_eq!((world.heard().len(), world.consumer.as_ref().unwrap().standing(now)), (0, Standing::Overflow));
    world.publish("s", "m3");
    // Three wait: the first request takes one, and then one waits for its acknowledgement.
    assert_eq!(world.heard(), ["in.a: m1#1", "in.b: m2#1", "in.b: m3#1"]);
    ask(&mut world, "in.c", "");
    world.publish("s", "m4");
    assert_eq!(world.heard(), ["in.c: m4#1"], "one that asks for nothing is always served");
}

// Contract: CONS-058
#[test]
fn a_pinned_client_gets_everything_until_it_falls_silent() {
    let mut world = grouped(PriorityPolicy::PinnedClient);
    world.out.listening.insert("$JS.EVENT.>".into());
    ask(&mut world, "in.a", "");
    ask(&mut world, "in.b", "");
    for i in 1..=3 {
        world.publish("s", &format!("m{i}"));
    }
    let sent = world.take();
    assert_eq!(sent[0].to, "$JS.EVENT.ADVISORY.CONSUMER.PINNED.S.C");
    let id = sent[1].header.split("Nats-Pin-Id: ").nth(1).unwrap().trim().to_owned();
    assert_eq!(id.len(), 22);
    assert!(sent[0].payload.contains(&format!("\"group\":\"g\",\"pinned_id\":\"{id}\"")), "{}", sent[0].payload);
    assert_eq!(sent[1..].iter().map(|s| s.to.as_str()).collect::<Vec<_>>(), ["in.a", "in.a"]);
    let info = world.info();
    assert_eq!((info.priority_groups[0].pinned_client_id.as_str(), info.num_pending), (id.as_str(), 1));
    let now = world.now;
    assert_eq!(world.consumer.as_ref().unwrap().standing(now), Standing::Pinned(id.clone()));
    ask(&mut world, "in.c", r#","id":"other""#);
    assert_eq!(world.heard(), ["in.c: 423 Nats-Pin-Id mismatch"]);
    world.wait_ms(50_000);
    ask(&mut world, "in.a", &format!(r#","id":"{id}""#));
    assert_eq!(world.take()[0].payload, "m3");
    // Its last request ended after 60 seconds, and it is silent for the rest of two minutes.
    world.wait_ms(119_000);
    world.take();
    ask(&mut world, "in.b", "");
    world.publish("s", "m4");
    assert_eq!(world.heard(), [""; 0]);
    world.wait_ms(1_100);
    let sent = world.take();
    assert_eq!(sent[0].to, "$JS.EVENT.ADVISORY.CONSUMER.UNPINNED.S.C");
    assert!(sent[0].payload.ends_with(r#""group":"g","reason":"timeout"}"#));
    assert_eq!((sent[1].to.as_str(), sent[2].payload.as_str()), ("$JS.EVENT.ADVISORY.CONSUMER.PINNED.S.C", "m4"));
}

// Contract: CONS-058, API-030
#[test]
fn an_administrator_unpins() {
    let mut world = grouped(PriorityPolicy::PinnedClient);
    world.out.listening.insert("$JS.EVENT.>".into());
    ask(&mut world, "in.a", "");
    ask(&mut world, "in.b", "");
    world.publish("s", "m1");
    let first = world.take()[1].header.clone();
    let id = first.split("Nats-Pin-Id: ").nth(1).unwrap().trim().to_owned();
    assert!(world.with(|c, cx| c.unpin("g", cx)));
    world.publish("s", "m2");
    let sent = world.take();
    assert!(sent[0].payload.ends_with(r#""reason":"admin"}"#));
    assert_eq!((sent[2].to.as_str(), sent[2].payload.as_str()), ("in.b", "m2"));
    assert!(sent[2].header.contains("Nats-Pin-Id: ") && !sent[2].header.contains(&id));
    // The request that was served under the old pin names it, and ends when its turn comes.
    world.publish("s", "m3");
    assert_eq!(world.heard()[0], "in.a: 423 Nats-Wrong-Pin-Id|m1|b0");
}

// Contract: CONS-059
#[test]
fn lower_priorities_first() {
    let mut world = grouped(PriorityPolicy::Prioritized);
    ask(&mut world, "in.c", r#","priority":9"#);
    ask(&mut world, "in.a", r#","priority":1"#);
    ask(&mut world, "in.b", r#","priority":1"#);
    for i in 1..=5 {
        world.publish("s", &format!("m{i}"));
    }
    assert_eq!(world.heard(), ["in.a: m1#1", "in.b: m2#1", "in.a: m3#1", "in.b: m4#1", "in.c: m5#1"]);
}
