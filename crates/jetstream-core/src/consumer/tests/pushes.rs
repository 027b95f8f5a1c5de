//! Push consumers: interest, windows, rates, signs of life, disuse.

use jetstream_api::{AckPolicy, ConsumerConfig, Nanos};

use super::world::{SECOND, World, pull, push};
use crate::consumer::Standing;

// Contract: CONS-063
#[test]
fn without_a_subscriber_nothing_is_delivered_or_counted() {
    let mut world = World::empty();
    world.out.listening.clear();
    world.create(push());
    world.publish("s", "m1");
    assert!(!world.info().push_bound);
    world.out.listening.insert("d".into());
    let now = world.now;
    assert_eq!(world.consumer.as_ref().unwrap().standing(now), Standing::NobodySubscribes);
    world.with(|c, cx| c.handle_interest(true, cx.now));
    world.deliver();
    assert_eq!(world.heard(), ["d: m1#1"]);
    assert!(world.info().push_bound);
    // It went, and nobody said so yet.
    world.out.listening.clear();
    world.publish("s", "m2");
    let info = world.info();
    assert!(!info.push_bound);
    assert_eq!((info.delivered.consumer_seq, info.num_ack_pending, info.num_pending), (1, 1, 1));
}

// Contract: CONS-015
#[test]
fn signs_of_life() {
    let mut world = World::new(ConsumerConfig { idle_heartbeat: Nanos::from_millis(500), ..push() });
    world.wait_ms(700);
    world.publish("s", "m");
    assert_eq!(
        world.heard(),
        ["d: 100 Idle Heartbeat|Nats-Last-Consumer: 0|Nats-Last-Stream: 0", "d: m#1"]
    );
    world.wait_ms(490);
    assert_eq!(world.heard(), [""; 0], "a message is a sign, too");
    world.wait_ms(20);
    assert_eq!(world.heard(), ["d: 100 Idle Heartbeat|Nats-Last-Consumer: 1|Nats-Last-Stream: 1"]);
}

// Contract: CONS-016
#[test]
fn a_window_closes_until_the_client_answers() {
    let config = ConsumerConfig {
        flow_control: true,
        idle_heartbeat: Nanos::from_secs(5),
        ack_policy: AckPolicy::None,
        max_ack_pending: 0,
        ..push()
    };
    let mut world = World::new(config);
    let large = "x".repeat(600_000);
    for _ in 0..6 {
        world.publish("s", &large);
    }
    let sent = world.take();
    // Over half of the two MiB window after two, closed after four.
    let shape: Vec<bool> = sent.iter().map(|s| s.header.is_empty()).collect();
    assert_eq!(shape, [true, true, false, true, true]);
    let request = &sent[2];
    assert_eq!(request.header, "NATS/1.0 100 FlowControl Request\r\n\r\n");
    assert!(request.reply.starts_with("$JS.FC.S.C.") && request.reply.len() == 15, "{}", request.reply);
    let now = world.now;
    let standing = world.consumer.as_ref().unwrap().standing(now);
    assert_eq!(standing, Standing::FlowControl(request.reply.clone()));
    world.wait_ms(5_100);
    let beat = world.take();
    assert!(beat[0].header.ends_with(&format!("Nats-Consumer-Stalled: {}\r\n\r\n", request.reply)));
    assert!(!world.with(|c, cx| c.handle_flow_reply(b"$JS.FC.S.C.else", b"", cx)));
    let reply = request.reply.clone();
    assert!(world.with(|c, cx| c.handle_flow_reply(reply.as_bytes(), b"", cx)));
    world.deliver();
    assert_eq!(world.take().iter().filter(|s| s.header.is_empty()).count(), 2);
}

// Contract: CONS-062
#[test]
fn answers_to_flow_control_acknowledge() {
    let config = ConsumerConfig {
        flow_control: true,
        idle_heartbeat: Nanos::from_secs(1),
        ack_policy: AckPolicy::FlowControl,
        ack_wait: Nanos::ZERO,
        max_ack_pending: 3,
        ..push()
    };
    let mut world = World::new(config);
    for i in 1..=5 {
        world.publish("s", &format!("m{i}"));
    }
    let sent = world.take();
    assert_eq!(sent.len(), 4, "three messages fill it, and the client is asked");
    let answer = b"NATS/1.0\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 2\r\n\r\n";
    let reply = sent[3].reply.clone();
    assert!(world.with(|c, cx| c.handle_flow_reply(reply.as_bytes(), answer, cx)));
    world.deliver();
    let info = world.info();
    assert_eq!((info.ack_floor.consumer_seq, info.ack_floor.stream_seq, info.num_ack_pending), (2, 2, 3));
    world.take();
    // Acknowledgements of the usual kind mean nothing here, and nothing is delivered again.
    world.ack_for(&sent[2].reply, "", "in.confirm");
    world.wait_ms(60_000);
    let rest = world.take();
    assert!(rest.iter().all(|s| s.header.contains("Heartbeat")), "{rest:?}");
}

// Contract: CONS-017
#[test]
fn a_rate_limit() {
    let mut world = World::empty();
    for _ in 0..10 {
        world.publish("s", &"x".repeat(1_000_000));
    }
    world.create(ConsumerConfig { rate_limit_bps: 16_000_000, ..push() });
    let mut times = Vec::new();
    let start = world.now.mono.0;
    for _ in 0..200 {
        for _ in world.take() {
            times.push((world.now.mono.0 - start) / (SECOND / 10));
        }
        world.wait_ms(50);
    }
    assert_eq!(times.len(), 10);
    assert_eq!(times[0], 0);
    assert!((42..=46).contains(&times[9]), "two megabytes a second: {times:?}");
}

// Contract: CONS-021
#[test]
fn ephemeral_consumers_go_when_their_client_does() {
    let ephemeral = |config| ConsumerConfig { durable_name: String::new(), ..config };
    let mut world = World::new(ephemeral(push()));
    assert!(!world.wait_ms(60_000), "its subscriber is there");
    world.with(|c, cx| c.handle_interest(false, cx.now));
    assert!(!world.wait_ms(3_000));
    world.with(|c, cx| c.handle_interest(true, cx.now));
    assert!(!world.wait_ms(60_000), "it came back");
    world.with(|c, cx| c.handle_interest(false, cx.now));
    assert!(!world.wait_ms(5_000));
    assert!(world.wait_ms(1_001));

    let mut world = World::new(ephemeral(pull()));
    assert!(!world.wait_ms(5_000));
    assert!(world.wait_ms(1_001), "nobody ever asked");
    assert_eq!(world.info().config.unwrap().inactive_threshold, Nanos::from_secs(5));
    let mut world = World::new(ephemeral(pull()));
    world.pull("in.a", r#"{"batch":1,"expires":60000000000}"#);
    assert!(!world.wait_ms(60_000), "somebody waits");
    assert!(world.wait_ms(14_000));
}

// Contract: CONS-022
#[test]
fn durable_consumers_may_have_a_threshold_that_counts_from_the_last_acknowledgement() {
    assert!(!World::new(pull()).wait_ms(3_600_000));
    let config = ConsumerConfig { inactive_threshold: Nanos::from_secs(10), ..pull() };
    let mut world = World::new(config);
    world.publish("s", "m");
    world.pull("in.a", "1");
    assert!(!world.wait_ms(39_000), "its client may be at work for 30 seconds");
    let sent = world.take();
    world.ack(&sent[0].reply, "");
    assert!(!world.wait_ms(9_900));
    assert!(world.wait_ms(1_200));
}

// Contract: CONS-032
#[test]
fn an_ordered_consumer() {
    let config = ConsumerConfig {
        durable_name: String::new(),
        ack_policy: AckPolicy::None,
        max_deliver: 1,
        mem_storage: true,
        flow_control: true,
        idle_heartbeat: Nanos::from_secs(5),
        max_ack_pending: 0,
        ..push()
    };
    let mut world = World::new(config);
    for i in 1..=3 {
        world.publish("s", &format!("m{i}"));
    }
    assert_eq!(world.heard(), ["d: m1#1", "d: m2#1", "d: m3#1"]);
    world.wait_ms(5_001);
    assert_eq!(world.heard(), ["d: 100 Idle Heartbeat|Nats-Last-Consumer: 3|Nats-Last-Stream: 3"]);
}

#[test]
fn a_consumer_does_not_take_all_the_time() {
    let mut world = World::empty();
    for _ in 0..10 {
        world.publish("s", "m");
    }
    world.out.listening.clear();
    world.create(push());
    world.out.listening.insert("d".into());
    world.with(|c, cx| c.handle_interest(true, cx.now));
    assert!(world.with(|c, cx| c.deliver(4, cx)));
    assert_eq!(world.take().len(), 4);
    assert!(world.with(|c, cx| c.deliver(4, cx)));
    assert!(!world.with(|c, cx| c.deliver(4, cx)));
    assert_eq!(world.take().len(), 6);
}
