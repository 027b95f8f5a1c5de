//! Pull requests and every status their clients see.

use jetstream_api::{AckPolicy, ConsumerConfig, Nanos};

use super::world::{World, pull, push};
use crate::consumer::{Consumer, Standing};

fn filled(n: usize) -> World {
    let mut world = World::new(pull());
    for i in 1..=n {
        world.publish("s.a", &format!("m{i}"));
    }
    world
}

// Contract: CONS-043, CONS-045
#[test]
fn messages_go_to_requests_in_turn_with_their_own_subject() {
    let mut world = World::new(pull());
    world.pull("in.a", "2");
    world.pull("in.b", "1");
    for i in 1..=4 {
        world.publish("s.a", &format!("m{i}"));
    }
    let sent = world.take();
    let ts = world.now.wall.0;
    assert_eq!(sent[0].subject, "s.a");
    assert_eq!(sent[0].reply, format!("$JS.ACK.S.C.1.1.1.{ts}.0"));
    assert_eq!(sent.iter().map(|s| s.to.as_str()).collect::<Vec<_>>(), ["in.a", "in.b", "in.a"]);
    assert_eq!(world.info().num_pending, 1);
    world.pull("in.c", "");
    assert_eq!(world.heard(), ["in.c: m4#1"]);
}

// Contract: CONS-046
#[test]
fn a_request_expires_with_what_it_did_not_get() {
    let mut world = filled(1);
    world.pull("in.a", r#"{"batch":3,"max_bytes":1000,"expires":1000000000}"#);
    assert_eq!(world.heard(), ["in.a: m1#1"]);
    world.wait_ms(999);
    assert_eq!(world.heard(), [""; 0]);
    world.wait_ms(10);
    let size = 3 + 2 + "$JS.ACK.S.C.1.1.1.1700000000000000000.0".len();
    assert_eq!(world.heard(), [format!("in.a: 408 Request Timeout|m2|b{}", 1000 - size)]);
    assert_eq!(world.info().num_waiting, 0);
}

// Contract: CONS-047
#[test]
fn no_wait_ends_at_once() {
    let mut world = filled(0);
    world.pull("in.a", r#"{"batch":5,"no_wait":true}"#);
    assert_eq!(world.heard(), ["in.a: 404 No Messages"]);
    world.publish("s", "m1");
    world.publish("s", "m2");
    world.pull("in.b", r#"{"batch":5,"no_wait":true}"#);
    assert_eq!(world.heard(), ["in.b: m1#1", "in.b: m2#1", "in.b: 404 No Messages"]);
}

// Contract: CONS-047
#[test]
fn no_wait_is_refused_while_others_want_more_than_there_is() {
    let mut world = World::new(ConsumerConfig { max_ack_pending: 1, ..pull() });
    world.pull("in.a", r#"{"batch":5,"expires":5000000000}"#);
    for _ in 0..3 {
        world.publish("s", "m");
    }
    world.take();
    world.pull("in.b", r#"{"batch":1,"no_wait":true}"#);
    assert_eq!(world.heard(), ["in.b: 408 Requests Pending"], "2 messages, and the other wants 4");
}

// Contract: CONS-048
#[test]
fn no_wait_with_expires_waits_for_the_first_messages_only() {
    let mut world = filled(0);
    world.pull("in.a", r#"{"batch":5,"no_wait":true,"expires":1000000000}"#);
    assert_eq!(world.heard(), [""; 0]);
    world.publish("s", "m1");
    assert_eq!(world.heard(), ["in.a: m1#1", "in.a: 404 No Messages"]);
    world.pull("in.b", r#"{"batch":5,"no_wait":true,"expires":1000000000}"#);
    world.wait_ms(1100);
    assert_eq!(world.heard(), ["in.b: 408 Request Timeout|m5|b0"]);
}

// Contract: CONS-049
#[test]
fn bytes_are_bounded() {
    let mut world = filled(3);
    let size = 3 + 2 + "$JS.ACK.S.C.1.1.1.1700000000000000000.2".len();
    world.pull("in.a", &format!(r#"{{"batch":9,"max_bytes":{}}}"#, size + 10));
    assert_eq!(world.heard(), ["in.a: m1#1", "in.a: 409 Message Size Exceeds MaxBytes|m8|b10"]);
    world.pull("in.b", &format!(r#"{{"batch":1,"max_bytes":{}}}"#, size + 10));
    assert_eq!(world.heard(), ["in.b: m2#1", "in.b: 409 Batch Completed|m0|b10"]);
    world.pull("in.c", &format!(r#"{{"batch":9,"max_bytes":{size}}}"#));
    assert_eq!(world.heard(), ["in.c: m3#1"], "exactly as much as it takes ends it");
    assert_eq!(world.info().num_waiting, 0);
}

// Contract: CONS-050
#[test]
fn heartbeats_while_nothing_comes() {
    let mut world = filled(1);
    world.pull("in.a", r#"{"batch":2,"expires":1000000000,"idle_heartbeat":500000001}"#);
    assert_eq!(world.heard(), ["in.a: 400 Bad Request - heartbeat value too large"]);
    world.pull("in.a", r#"{"batch":2,"expires":1000000000,"idle_heartbeat":300000000}"#);
    world.take();
    world.wait_ms(1100);
    let beat = "in.a: 100 Idle Heartbeat|Nats-Last-Consumer: 1|Nats-Last-Stream: 1";
    assert_eq!(world.heard(), [beat, beat, beat, "in.a: 408 Request Timeout|m1|b0"]);
}

// Contract: CONS-051
#[test]
fn ceilings_of_the_configuration() {
    let mut world = World::new(ConsumerConfig {
        max_batch: 10,
        max_expires: Nanos::from_secs(90),
        max_bytes: 1024,
        ..pull()
    });
    let cases = [
        ("11", "Exceeded MaxRequestBatch of 10"),
        (r#"{"batch":1,"expires":90000000001}"#, "Exceeded MaxRequestExpires of 1m30s"),
        (r#"{"batch":1,"max_bytes":1025}"#, "Exceeded MaxRequestMaxBytes of 1024"),
    ];
    for (request, why) in cases {
        world.pull("in.a", request);
        assert_eq!(world.heard(), [format!("in.a: 409 {why}")]);
    }
    world.pull("in.a", r#"{"batch":10,"expires":90000000000,"max_bytes":1024}"#);
    assert_eq!((world.heard().len(), world.info().num_waiting), (0, 1));
}

// Contract: CONS-052
#[test]
fn too_many_requests() {
    let mut world = World::new(ConsumerConfig { max_waiting: 2, ..pull() });
    world.pull("in.a", "1");
    world.pull("in.b", r#"{"batch":1,"expires":1000000000}"#);
    world.pull("in.c", "1");
    assert_eq!(world.heard(), ["in.c: 409 Exceeded MaxWaiting"]);
    world.pull("in.c", r#"{"batch":1,"expires":60000000000,"idle_heartbeat":10000000000}"#);
    assert_eq!(world.heard(), [""; 0], "its client notices that heartbeats are missing");
    world.wait_ms(1001);
    assert_eq!(world.heard(), ["in.b: 408 Request Timeout|m1|b0"]);
    world.pull("in.d", "1");
    assert_eq!(world.info().num_waiting, 2);
    // One whose client went makes room, but nobody looks more often than every second.
    world.out.listening = ["in.d", "in.e"].map(String::from).into();
    world.pull("in.e", "1");
    assert_eq!(world.info().num_waiting, 1);
    world.pull("in.e", "1");
    assert_eq!(world.info().num_waiting, 2);
}

// Contract: CONS-053
#[test]
fn a_request_whose_client_went_takes_no_message() {
    let mut world = World::new(pull());
    world.pull("in.a", "1");
    world.pull("in.b", "1");
    world.out.listening = ["in.b".to_owned()].into();
    world.publish("s", "m");
    assert_eq!(world.heard(), ["in.b: m#1"]);
    assert_eq!(world.info().delivered.consumer_seq, 1);
}

// Contract: CONS-053
#[test]
fn interest_from_afar_may_be_late() {
    let mut world = World::new(pull());
    world.late_interest = true;
    world.out.listening.clear();
    world.pull("in.a", "1");
    world.publish("s", "m");
    assert_eq!((world.info().num_waiting, world.info().num_ack_pending), (1, 0));
    world.out.listening.insert("in.a".into());
    world.wait_ms(300);
    assert_eq!(world.heard(), ["in.a: m#1"]);
    // Nobody waits for one that may never be heard.
    world.out.listening = ["in.c".to_owned()].into();
    world.pull("in.b", "1");
    world.pull("in.c", "1");
    world.publish("s", "n");
    assert_eq!(world.heard(), ["in.c: n#1"]);
    world.wait_ms(10_001);
    assert_eq!(world.info().num_waiting, 0);
}

// Contract: CONS-054
#[test]
fn push_consumers_take_no_requests() {
    let mut world = World::new(push());
    world.pull("in.a", "1");
    assert_eq!(world.heard(), ["in.a: 409 Consumer is push based"]);
}

// Contract: API-037
#[test]
fn requests_may_need_another_server() {
    let mut world = World::new(pull());
    let header = b"NATS/1.0\r\nNats-Required-Api-Level: 99\r\n\r\n";
    world.with(|c, cx| c.handle_pull(header, b"1", b"in.a", cx));
    assert_eq!(world.heard(), ["in.a: 412 Required Api Level"]);
}

// Contract: API-032
#[test]
fn without_a_reply_subject_nothing_happens() {
    let mut world = filled(1);
    world.pull("", "1");
    assert_eq!((world.heard().len(), world.info().num_waiting), (0, 0));
}

// Contract: CONS-009
#[test]
fn max_ack_pending_holds_deliveries_back_and_says_so() {
    let mut world = World::new(ConsumerConfig { max_ack_pending: 2, ..pull() });
    for i in 1..=3 {
        world.publish("s", &format!("m{i}"));
    }
    world.pull("in.a", r#"{"batch":9,"expires":9000000000}"#);
    let sent = world.take();
    assert_eq!(sent.len(), 2);
    let now = world.now;
    let standing = |w: &World| w.consumer.as_ref().unwrap().standing(now);
    assert_eq!(standing(&world), Standing::MaxAckPending(2));
    world.ack(&sent[1].reply, "");
    assert_eq!(world.heard(), ["in.a: m3#1"]);
    assert_eq!(standing(&world), Standing::UpToDate);
}

#[test]
fn no_wait_outlasts_a_full_window() {
    let mut world = World::new(ConsumerConfig { max_ack_pending: 1, ..pull() });
    world.publish("s", "m1");
    world.publish("s", "m2");
    world.pull("in.a", "1");
    let first = world.take();
    world.pull("in.b", r#"{"batch":1,"no_wait":true}"#);
    assert_eq!(world.heard(), [""; 0]);
    world.ack(&first[0].reply, "+ACK");
    assert_eq!(world.heard(), ["in.b: m2#1"]);
}

// Contract: CONS-019
#[test]
fn headers_only() {
    let mut world = World::new(ConsumerConfig { headers_only: true, ..pull() });
    world.publish("s", "12345");
    world.publish_with("s", "NATS/1.0\r\na: b\r\n\r\n", "");
    world.pull("in.a", "2");
    let sent = world.take();
    assert_eq!(sent[0].header, "NATS/1.0\r\nNats-Msg-Size: 5\r\n\r\n");
    assert_eq!(sent[1].header, "NATS/1.0\r\na: b\r\nNats-Msg-Size: 0\r\n\r\n");
    assert_eq!(sent[0].payload, "");
}

#[test]
fn without_acknowledgements_delivery_is_enough() {
    let mut world = World::new(ConsumerConfig {
        ack_policy: AckPolicy::None,
        ack_wait: Nanos::ZERO,
        max_ack_pending: 0,
        ..pull()
    });
    world.publish("s", "m");
    world.pull("in.a", "1");
    let info = world.info();
    assert_eq!(
        (info.num_ack_pending, info.ack_floor.stream_seq, info.ack_floor.consumer_seq),
        (0, 1, 1)
    );
}

// Contract: API-028
#[test]
fn whoever_waits_learns_of_the_deletion() {
    let mut world = World::new(pull());
    world.pull("in.a", "1");
    world.pull("in.b", r#"{"batch":2,"expires":9000000000}"#);
    world.out.listening.insert("$JS.EVENT.ADVISORY.>".into());
    world.with(Consumer::delete);
    let heard = world.heard();
    assert_eq!(heard[..2], ["in.a: 409 Consumer Deleted", "in.b: 409 Consumer Deleted"]);
    assert!(heard[2].starts_with("$JS.EVENT.ADVISORY.CONSUMER.DELETED.S.C: {\"type\":\"io.nats.jetstream.advisory.v1.consumer_action\""));
}

#[test]
fn whoever_waits_learns_that_the_server_stops() {
    let mut world = World::new(pull());
    world.pull("in.a", r#"{"batch":2,"max_bytes":7,"expires":9000000000}"#);
    world.with(Consumer::shut_down);
    assert_eq!(world.heard(), ["in.a: 409 Server Shutdown|m2|b7"]);
}
