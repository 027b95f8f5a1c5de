//! Clients that send anything.

use jetstream_api::{AckPolicy, ConsumerConfig, Nanos, PriorityPolicy};
use proptest::prelude::*;

use super::world::{World, pull, push};
use crate::consumer::AckOf;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..8, Just(u64::MAX), Just(u64::MAX - 1), Just(1 << 63), any::<u64>()]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let value =
        || prop_oneof![Just(0i64), Just(1), Just(-1), Just(i64::MAX), Just(i64::MIN), -9i64..9];
    let request = (value(), value(), value(), value(), any::<bool>()).prop_map(
        |(batch, expires, bytes, least, no_wait)| {
            format!(
                r#"{{"batch":{batch},"expires":{expires},"max_bytes":{bytes},"group":"g","min_pending":{least},"no_wait":{no_wait}}}"#
            )
            .into_bytes()
        },
    );
    let nak = value().prop_map(|d| format!(r#"-NAK {{"delay":{d}}}"#).into_bytes());
    let words =
        proptest::sample::select(vec!["", "+ACK", "-NAK", "+WPI", "+TERM x", "+NXT 3", "5", "-2"]);
    prop_oneof![
        request,
        nak,
        words.prop_map(|w| w.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

fn configs() -> Vec<ConsumerConfig> {
    let grouped = ConsumerConfig {
        priority_policy: PriorityPolicy::Overflow,
        priority_groups: vec!["g".into()],
        ..pull()
    };
    let flow = ConsumerConfig {
        flow_control: true,
        idle_heartbeat: Nanos::from_secs(1),
        ack_policy: AckPolicy::FlowControl,
        max_ack_pending: 2,
        ..push()
    };
    vec![
        pull(),
        ConsumerConfig { ack_policy: AckPolicy::All, max_deliver: 2, ..pull() },
        grouped,
        ConsumerConfig { ack_policy: AckPolicy::All, ..flow.clone() },
        flow,
    ]
}

proptest! {
    #[test]
    fn nothing_a_client_sends_breaks_a_consumer(
        kind in 0usize..5,
        steps in proptest::collection::vec((0u8..6, number(), number(), number(), body()), 1..40),
    ) {
        let mut world = World::new(configs().swap_remove(kind));
        let mut asked = String::new();
        for (what, seq, consumer_seq, deliveries, body) in steps {
            match what {
                0 => {
                    world.publish("s", "m");
                }
                1 => {
                    world.with(|c, cx| c.handle_pull(b"", &body, b"in.a", cx));
                }
                2 => {
                    world.with(|c, cx| c.handle_ack(AckOf { seq, consumer_seq, deliveries }, &body, b"in.r", cx));
                }
                3 => {
                    let answer = format!("NATS/1.0\r\nNats-Last-Consumer: {consumer_seq}\r\nNats-Last-Stream: {seq}\r\n\r\n");
                    world.with(|c, cx| c.handle_flow_reply(asked.as_bytes(), answer.as_bytes(), cx));
                }
                4 => {
                    let _ = world.with(|c, cx| c.reset(seq, cx)).unwrap();
                }
                _ => {
                    world.wait_ms(seq % 5_000);
                }
            }
            world.deliver();
            let sent = world.take();
            if let Some(request) = sent.iter().find(|s| s.header.contains("FlowControl")) {
                asked.clone_from(&request.reply);
            }
            let info = world.info();
            prop_assert!(info.ack_floor.stream_seq <= info.delivered.stream_seq);
            prop_assert!(info.ack_floor.consumer_seq <= info.delivered.consumer_seq);
            let state = world.consumer.as_ref().unwrap().state();
            prop_assert_eq!(state.validate().map_err(|e| e.to_string()), Ok(()));
        }
    }
}
