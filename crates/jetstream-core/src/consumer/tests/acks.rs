//! Every kind of acknowledgement, and what comes of none.

use jetstream_api::{AckPolicy, ConsumerConfig, Nanos, RetentionPolicy, StreamConfig};

use super::world::{Sent, World, pull};

fn delivered(config: ConsumerConfig, n: usize) -> (World, Vec<Sent>) {
    let mut world = World::new(config);
    for i in 1..=n {
        world.publish("s", &format!("m{i}"));
    }
    world.pull("in.a", &format!("{n}"));
    let sent = world.take();
    assert_eq!(sent.len(), n);
    (world, sent)
}

fn advisories(world: &mut World) -> Vec<String> {
    let sent = world.take();
    sent.into_iter()
        .filter(|s| s.to.starts_with("$JS.EVENT"))
        .map(|s| {
            let (_, rest) = s.payload.split_once("\"consumer\":\"C\",").expect("a consumer");
            format!("{} {rest}", s.to.trim_start_matches("$JS.EVENT."))
        })
        .collect()
}

// Contract: CONS-036
#[test]
fn an_acknowledgement_with_a_reply_is_confirmed() {
    let (mut world, sent) = delivered(pull(), 3);
    for (s, body) in sent.iter().zip(["", "+ACK", "+OK"]) {
        world.ack_for(&s.reply, body, "in.confirm");
        assert_eq!(world.heard(), ["in.confirm: "]);
    }
    let info = world.info();
    assert_eq!((info.num_ack_pending, info.ack_floor.stream_seq), (0, 3));
    assert!(info.ack_floor.last_active.is_some());
}

// Contract: CONS-041
#[test]
fn stale_acknowledgements_are_confirmed_and_forged_ones_ignored() {
    let (mut world, sent) = delivered(pull(), 1);
    world.ack(&sent[0].reply, "");
    world.ack_for(&sent[0].reply, "", "in.confirm");
    assert_eq!(world.heard(), ["in.confirm: "]);
    for forged in ["$JS.ACK.S.C.1.99.1.1.0", "$JS.ACK.S.C.1.x.1.1.0"] {
        world.ack_for(forged, "", "in.confirm");
        assert_eq!(world.heard(), [""; 0]);
    }
    world.publish("s", "m2");
    world.ack_for("$JS.ACK.S.C.1.2.2.1.0", "", "in.confirm");
    assert_eq!((world.heard().len(), world.info().num_pending), (0, 1), "not delivered yet");
}

// Contract: CONS-037
#[test]
fn refused_messages_come_again_now_or_later() {
    let (mut world, sent) = delivered(pull(), 2);
    world.pull("in.b", r#"{"batch":9,"expires":90000000000}"#);
    world.out.listening.insert("$JS.EVENT.>".into());
    world.ack(&sent[1].reply, "-NAK");
    let heard = world.take();
    assert_eq!(
        (heard[0].to.as_str(), heard[1].payload.as_str()),
        ("$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.S.C", "m2")
    );
    assert_eq!(heard[1].deliveries(), 2);
    world.ack(&sent[0].reply, r#"-NAK {"delay":5000000000}"#);
    assert_eq!(
        advisories(&mut world),
        [r#"ADVISORY.CONSUMER.MSG_NAKED.S.C "consumer_seq":1,"stream_seq":1,"deliveries":1}"#]
    );
    world.wait_ms(4_990);
    assert_eq!(world.heard(), [""; 0]);
    world.wait_ms(20);
    assert_eq!(world.heard(), ["in.b: m1#2"]);
    world.ack(&heard[1].reply, "-NAK nonsense");
    let again: Vec<_> = world.take().into_iter().filter(|s| s.to == "in.b").collect();
    assert_eq!(again[0].deliveries(), 3, "a delay that is none is no delay");
}

// Contract: CONS-038
#[test]
fn work_in_progress_begins_the_time_anew() {
    let (mut world, sent) =
        delivered(ConsumerConfig { ack_wait: Nanos::from_secs(2), ..pull() }, 1);
    world.pull("in.b", r#"{"batch":9,"expires":90000000000}"#);
    for _ in 0..5 {
        world.wait_ms(1_500);
        world.ack_for(&sent[0].reply, "+WPI", "in.confirm");
        assert_eq!(world.heard(), ["in.confirm: "]);
    }
    world.wait_ms(2_100);
    assert_eq!(world.heard(), ["in.b: m1#2"]);
}

// Contract: CONS-039
#[test]
fn terminated_messages_are_done() {
    let (mut world, sent) = delivered(pull(), 2);
    world.out.listening.insert("$JS.EVENT.>".into());
    world.ack(&sent[0].reply, "+TERM");
    world.ack(&sent[1].reply, "+TERM  because ");
    assert_eq!(
        advisories(&mut world),
        [
            r#"ADVISORY.CONSUMER.MSG_TERMINATED.S.C "consumer_seq":1,"stream_seq":1,"deliveries":1}"#,
            r#"ADVISORY.CONSUMER.MSG_TERMINATED.S.C "consumer_seq":2,"stream_seq":2,"deliveries":1,"reason":"because"}"#,
        ]
    );
    assert_eq!((world.info().num_ack_pending, world.info().ack_floor.stream_seq), (0, 2));
}

// Contract: CONS-040
#[test]
fn next_acknowledges_and_asks() {
    let (mut world, sent) = delivered(pull(), 1);
    for i in 2..=4 {
        world.publish("s", &format!("m{i}"));
    }
    world.ack_for(&sent[0].reply, "+NXT", "in.a");
    let next = world.take();
    assert_eq!((next.len(), next[0].payload.as_str()), (1, "m2"));
    world.ack_for(&next[0].reply, r#"+NXT {"batch":2}"#, "in.b");
    assert_eq!(world.heard(), ["in.b: m3#1", "in.b: m4#1"]);
    assert_eq!(world.info().num_ack_pending, 2);
}

// Contract: CONS-042
#[test]
fn ack_all_covers_what_came_before() {
    let (mut world, sent) = delivered(ConsumerConfig { ack_policy: AckPolicy::All, ..pull() }, 6);
    world.ack(&sent[4].reply, "");
    let info = world.info();
    assert_eq!(
        (info.num_ack_pending, info.ack_floor.consumer_seq, info.ack_floor.stream_seq),
        (1, 5, 5)
    );
    world.ack_for(&sent[1].reply, "", "in.confirm");
    assert_eq!(
        (world.heard(), world.info().ack_floor.stream_seq),
        (vec!["in.confirm: ".to_owned()], 5)
    );
}

// Contract: CONS-007
#[test]
fn backoff_sets_each_wait() {
    let backoff = [1, 3, 7].map(Nanos::from_secs).to_vec();
    let (mut world, _) = delivered(ConsumerConfig { ack_wait: backoff[0], backoff, ..pull() }, 1);
    world.pull("in.b", r#"{"batch":99,"expires":900000000000}"#);
    for secs in [1, 3, 7, 7] {
        world.wait_ms(secs * 1000 - 30);
        assert_eq!(world.heard(), [""; 0], "{secs}");
        world.wait_ms(35);
        assert_eq!(world.heard().len(), 1, "{secs}");
    }
}

// Contract: CONS-008
#[test]
fn too_many_deliveries_end_with_one_advisory() {
    for max in [1, 2] {
        let config = ConsumerConfig { max_deliver: max, ack_wait: Nanos::from_secs(1), ..pull() };
        let (mut world, _) = delivered(config, 1);
        world.out.listening.insert("$JS.EVENT.>".into());
        world.pull("in.b", r#"{"batch":99,"expires":900000000000}"#);
        world.wait_ms(10_000);
        let sent = world.take();
        let again = sent.iter().filter(|s| s.to == "in.b").count();
        let told: Vec<_> = sent.iter().filter(|s| s.to.ends_with("MAX_DELIVERIES.S.C")).collect();
        assert_eq!((again, told.len()), (usize::try_from(max).unwrap() - 1, 1));
        assert!(
            told[0].payload.ends_with(&format!("\"stream_seq\":1,\"deliveries\":{max}}}")),
            "{}",
            told[0].payload
        );
        let info = world.info();
        assert_eq!((info.num_ack_pending, info.num_redelivered), (0, max - 1));
    }
}

// Contract: CONS-020
#[test]
fn acknowledgements_are_sampled() {
    for (share, expected) in [("100%", 200..=200), ("50", 60..=140), ("0", 0..=0), ("", 0..=0)] {
        let config = ConsumerConfig { sample_freq: share.into(), ..pull() };
        let (mut world, sent) = delivered(config, 200);
        world.out.listening.insert("$JS.EVENT.METRIC.>".into());
        world.wait_ms(5);
        for s in &sent {
            world.ack(&s.reply, "");
        }
        let metrics = advisories(&mut world);
        assert!(expected.contains(&metrics.len()), "{share}: {}", metrics.len());
        if share == "100%" {
            let first = r#"METRIC.CONSUMER.ACK.S.C "consumer_seq":1,"stream_seq":1,"ack_time":5000000,"deliveries":1}"#;
            assert_eq!(metrics[0], first);
        }
    }
}

fn interest(config: ConsumerConfig) -> World {
    let mut world = World::with_stream(StreamConfig {
        name: "S".into(),
        retention: RetentionPolicy::Interest,
        ..StreamConfig::default()
    });
    world.create(config);
    world
}

#[test]
fn the_stream_learns_what_is_done() {
    let mut world = interest(pull());
    for _ in 0..3 {
        world.publish("s", "m");
    }
    world.pull("in.a", "3");
    let sent = world.take();
    assert_eq!(world.done, [0; 0]);
    world.ack(&sent[1].reply, "");
    world.ack(&sent[0].reply, "+TERM");
    assert_eq!(world.done, [2, 1]);
    world.ack(&sent[0].reply, "");
    assert_eq!(world.done, [2, 1], "one that is done is not its to free again");
    let needs = |w: &World, seq| w.consumer.as_ref().unwrap().needs_ack(seq, b"s");
    assert_eq!([1, 2, 3, 4].map(|seq| needs(&world, seq)), [false, false, true, true]);
}

#[test]
fn the_stream_learns_of_all_that_ack_all_covers_and_of_deliveries_without_acks() {
    let mut world = interest(ConsumerConfig { ack_policy: AckPolicy::All, ..pull() });
    for _ in 0..3 {
        world.publish("s", "m");
    }
    world.pull("in.a", "3");
    let sent = world.take();
    world.ack(&sent[1].reply, "");
    assert_eq!(world.done, [1, 2]);
    let mut world =
        interest(ConsumerConfig { ack_policy: AckPolicy::None, max_ack_pending: 0, ..pull() });
    world.publish("s", "m");
    world.pull("in.a", "3");
    assert_eq!(world.done, [1]);
}

// Contract: RET-007
#[test]
fn what_was_given_up_is_still_needed() {
    let mut world =
        interest(ConsumerConfig { max_deliver: 1, ack_wait: Nanos::from_secs(1), ..pull() });
    world.publish("s", "m");
    world.pull("in.a", "1");
    let sent = world.take();
    world.wait_ms(1_100);
    assert_eq!(world.info().num_ack_pending, 0);
    assert!(world.consumer.as_ref().unwrap().needs_ack(1, b"s"));
    world.ack(&sent[0].reply, "");
    assert_eq!(world.done, [1], "but a late acknowledgement is one");
    assert!(!world.consumer.as_ref().unwrap().needs_ack(1, b"s"));
}
