//! The stream and the configuration change.

use jetstream_api::{ConsumerConfig, DeliverPolicy, Nanos};
use stdx::time::Timestamp;
use store::{Filter, MessageStore};

use super::world::{World, pull, push};
use crate::consumer::{Consumer, ResetError, Standing};

fn five(config: ConsumerConfig) -> World {
    let mut world = World::new(config);
    for i in 1..=5 {
        world.publish(if i % 2 == 1 { "a" } else { "b" }, &format!("m{i}"));
    }
    world
}

fn purge(world: &mut World, subject: &str, before: u64) {
    MessageStore::purge(&mut world.store, &Filter::parse(subject.as_bytes()), before, 0).unwrap();
    if world.with(|c, cx| c.handle_purge(subject.as_bytes(), cx)).unwrap() {
        world.deliver();
    }
}

fn where_it_is(world: &mut World) -> ((u64, u64), (u64, u64), i64, u64) {
    let info = world.info();
    let pair = |s: jetstream_api::SequenceInfo| (s.consumer_seq, s.stream_seq);
    (pair(info.delivered), pair(info.ack_floor), info.num_ack_pending, info.num_pending)
}

// Contract: CONS-033, API-029
#[test]
fn a_pause_holds_everything_but_signs_of_life() {
    let mut world = World::new(ConsumerConfig { idle_heartbeat: Nanos::from_secs(4), ..push() });
    world.out.listening.insert("$JS.EVENT.>".into());
    let until = Timestamp(world.now.wall.0 + 5_000_000_000);
    assert!(!world.with(|c, cx| c.pause(Some(until), cx)));
    world.publish("s", "m");
    let sent = world.take();
    assert_eq!((sent.len(), sent[0].to.as_str()), (1, "$JS.EVENT.ADVISORY.CONSUMER.PAUSE.S.C"));
    assert!(
        sent[0]
            .payload
            .contains(&format!("\"paused\":true,\"pause_until\":\"{}\"", until.rfc3339()))
    );
    let info = world.info();
    assert!(info.paused && info.pause_remaining == Nanos::from_secs(5));
    let now = world.now;
    assert_eq!(world.consumer.as_ref().unwrap().standing(now), Standing::Paused(until));
    world.restart();
    world.wait_ms(4_900);
    assert!(world.heard()[0].starts_with("d: 100 Idle Heartbeat"));
    world.wait_ms(200);
    let sent = world.take();
    assert!(sent[0].payload.contains("\"paused\":false"));
    assert_eq!(sent[1].payload, "m");
    // And one that is ended early.
    let until = Timestamp(world.now.wall.0 + 5_000_000_000);
    world.with(|c, cx| c.pause(Some(until), cx));
    assert!(world.with(|c, cx| c.pause(None, cx)));
    assert!(
        world.take()[1].payload.contains(r#""paused":false,"pause_until":"0001-01-01T00:00:00Z""#)
    );
}

// Contract: CONS-061, API-031
#[test]
fn a_reset_begins_anew_where_the_policy_allows() {
    let mut world = five(pull());
    world.pull("in.a", "4");
    let sent = world.take();
    world.ack(&sent[0].reply, "");
    assert_eq!(world.with(|c, cx| c.reset(0, cx)).unwrap(), Ok(2));
    assert_eq!(where_it_is(&mut world), ((0, 1), (0, 1), 0, 4));
    world.pull("in.a", "1");
    assert_eq!(
        world.take()[0].reply.split('.').nth(6),
        Some("1"),
        "consumer sequences begin again"
    );
    assert_eq!(world.with(|c, cx| c.reset(5, cx)).unwrap(), Ok(5));
    assert_eq!(where_it_is(&mut world), ((0, 4), (0, 4), 0, 1));

    let with = |deliver_policy, opt_start_seq, opt_start_time| ConsumerConfig {
        deliver_policy,
        opt_start_seq,
        opt_start_time,
        ..pull()
    };
    let reset = |config, seq| {
        let mut world = five(config);
        world.with(|c, cx| c.reset(seq, cx)).unwrap()
    };
    let by_seq = with(DeliverPolicy::ByStartSequence, 3, None);
    assert_eq!(reset(by_seq.clone(), 2), Err(ResetError::BelowStartSeq));
    assert_eq!(reset(by_seq, 3), Ok(3));
    let late = Timestamp(1_800_000_000_000_000_000);
    assert_eq!(
        reset(with(DeliverPolicy::ByStartTime, 0, Some(late)), 2),
        Err(ResetError::BelowStartTime)
    );
    assert_eq!(reset(with(DeliverPolicy::New, 0, None), 2), Err(ResetError::NotAllowed));
    assert_eq!(reset(with(DeliverPolicy::New, 0, None), 0), Ok(1));
}

// Contract: CONS-064
#[test]
fn what_is_deleted_while_it_waits_is_terminated() {
    let mut world = five(pull());
    world.pull("in.a", "3");
    world.take();
    world.out.listening.insert("$JS.EVENT.>".into());
    world.remove(2);
    world.remove(5);
    let sent = world.take();
    assert_eq!(
        (sent.len(), sent[0].to.as_str()),
        (1, "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.S.C")
    );
    assert!(sent[0].payload.contains(
        r#""consumer_seq":2,"stream_seq":2,"deliveries":1,"reason":"Unacknowledged message was deleted""#
    ));
    assert_eq!(where_it_is(&mut world), ((3, 3), (0, 0), 2, 1));
}

// Contract: CONS-064
#[test]
fn limits_that_nobody_named_are_found() {
    let mut world = five(pull());
    world.pull("in.a", "3");
    world.take();
    world.out.listening.insert("$JS.EVENT.>".into());
    MessageStore::compact(&mut world.store, 3).unwrap();
    world.with(Consumer::handle_trimmed).unwrap();
    let told = world.take();
    assert_eq!(told.len(), 2);
    assert!(told[0].payload.ends_with(r#""reason":"Message deleted by stream limits"}"#));
    assert_eq!(where_it_is(&mut world), ((3, 3), (2, 2), 1, 2));
}

// Contract: RET-011
#[test]
fn a_purge_moves_the_consumer() {
    let mut world = five(pull());
    world.pull("in.a", "3");
    purge(&mut world, "", 0);
    assert_eq!(where_it_is(&mut world), ((3, 5), (3, 5), 0, 0));
    world.publish("a", "m6");
    world.pull("in.a", "1");
    assert_eq!(world.take().last().unwrap().payload, "m6");

    let mut world = five(pull());
    world.pull("in.a", "3");
    purge(&mut world, "", 3);
    assert_eq!(where_it_is(&mut world), ((3, 3), (2, 2), 1, 2));

    // One part of what it selects.
    let mut world = five(pull());
    world.pull("in.a", "3");
    let sent = world.take();
    purge(&mut world, "a", 0);
    let (_, _, waiting, pending) = where_it_is(&mut world);
    assert_eq!((waiting, pending), (1, 1));
    world.ack(&sent[1].reply, "");
    assert_eq!(where_it_is(&mut world), ((3, 3), (3, 3), 0, 1));

    // All of what it selects.
    let mut world = five(ConsumerConfig { filter_subject: "a".into(), ..pull() });
    world.pull("in.a", "1");
    purge(&mut world, "*", 0);
    assert_eq!(where_it_is(&mut world), ((1, 5), (1, 5), 0, 0));

    // One of two filters: what the other one selects is still delivered.
    let both = vec!["a".to_owned(), "b".to_owned()];
    let mut world = five(ConsumerConfig { filter_subjects: both, ..pull() });
    purge(&mut world, "a", 0);
    world.pull("in.b", r#"{"batch":9,"no_wait":true}"#);
    assert_eq!(world.heard(), ["in.b: m2#1", "in.b: m4#1", "in.b: 404 No Messages"]);
}

// Contract: CONS-030
#[test]
fn new_filters_do_not_rewind() {
    let mut world = five(pull());
    world.pull("in.a", "2");
    world.take();
    let config = ConsumerConfig { filter_subject: "b".into(), ..pull() };
    world.with(|c, cx| c.update(config, cx)).unwrap();
    assert_eq!(world.info().num_pending, 1);
    world.pull("in.a", "2");
    assert_eq!(world.heard(), ["in.a: m4#1"]);
}

#[test]
fn updates_take_effect_at_once() {
    let mut world = five(ConsumerConfig { max_ack_pending: 1, ..pull() });
    world.pull("in.a", r#"{"batch":99,"expires":900000000000}"#);
    assert_eq!(world.heard(), ["in.a: m1#1"]);
    let more = ConsumerConfig {
        max_ack_pending: 3,
        ack_wait: Nanos::from_secs(1),
        max_deliver: 2,
        ..pull()
    };
    assert!(world.with(|c, cx| c.update(more, cx)).unwrap());
    world.deliver();
    assert_eq!(world.heard(), ["in.a: m2#1", "in.a: m3#1"]);
    world.wait_ms(10_000);
    let heard = world.heard();
    assert_eq!(heard.iter().filter(|h| h.ends_with("#2")).count(), 5, "{heard:?}");
    assert_eq!(world.info().num_ack_pending, 0);
}

#[test]
fn a_new_deliver_subject_gets_what_waits() {
    let mut world = five(push());
    assert_eq!(world.take().len(), 5);
    world.out.listening.insert("e".into());
    let moved = ConsumerConfig { deliver_subject: "e".into(), ..push() };
    assert!(world.with(|c, cx| c.update(moved, cx)).unwrap());
    world.deliver();
    let heard = world.heard();
    assert_eq!((heard.len(), heard[0].as_str()), (5, "e: m1#2"));
}

#[test]
fn an_idle_consumer_is_small() {
    // Its configuration's texts come on top; a client's request is another hundred bytes.
    assert!(size_of::<Consumer>() <= 640, "{}", size_of::<Consumer>());
}

#[test]
fn what_must_be_kept_is_marked() {
    let mut world = five(pull());
    let changed = |world: &mut World| world.with(|c, _| c.take_dirty());
    assert!(changed(&mut world));
    world.pull("in.a", "1");
    let sent = world.take();
    assert!(changed(&mut world) && !changed(&mut world));
    world.info();
    world.pull("in.b", r#"{"batch":9,"no_wait":false,"min_pending":1}"#);
    assert!(!changed(&mut world));
    world.ack(&sent[0].reply, "");
    assert!(changed(&mut world));
}
