//! Where consumers begin, what they select, and what they know after a restart.

use jetstream_api::{ConsumerConfig, DeliverPolicy, ReplayPolicy, StreamConfig};

use super::world::{Sent, World, pull, push};

/// Eight messages on `a` and `b` in turn, a second apart, the second one removed.
fn filled() -> World {
    let mut world = World::empty();
    for i in 1..=8u64 {
        world.publish(if i % 2 == 1 { "a" } else { "b" }, &format!("m{i}"));
        world.now.wall.0 += 1_000_000_000;
    }
    store::MessageStore::remove(&mut world.store, 2, false).unwrap();
    world
}

fn seqs(config: ConsumerConfig, change: impl FnOnce(&mut World)) -> Vec<u64> {
    let mut world = filled();
    world.create(config);
    let first = world.info().num_pending;
    change(&mut world);
    world.pull("in.a", r#"{"batch":99,"no_wait":true}"#);
    let sent: Vec<Sent> = world.take().into_iter().filter(|s| !s.reply.is_empty()).collect();
    for (i, s) in sent.iter().enumerate() {
        assert_eq!(s.pending(), (sent.len() - i - 1) as u64, "num_pending is exact: {sent:?}");
    }
    assert!(first <= sent.len() as u64 + 2);
    sent.iter().map(Sent::seq).collect()
}

fn policy(deliver_policy: DeliverPolicy) -> ConsumerConfig {
    ConsumerConfig { deliver_policy, ..pull() }
}

fn filtered(config: ConsumerConfig, filters: &[&str]) -> ConsumerConfig {
    ConsumerConfig { filter_subjects: filters.iter().map(|f| (*f).to_owned()).collect(), ..config }
}

fn add(world: &mut World) {
    world.publish("a", "new");
}

// Contract: CONS-001, CONS-010, CONS-035
#[test]
fn deliver_policies() {
    use DeliverPolicy::{All, ByStartSequence, ByStartTime, Last, LastPerSubject, New};
    let start = |seq| ConsumerConfig { opt_start_seq: seq, ..policy(ByStartSequence) };
    let time = |secs: i64| {
        let at = stdx::time::Timestamp(1_700_000_000_000_000_000 + secs * 1_000_000_000 + 1);
        ConsumerConfig { opt_start_time: Some(at), ..policy(ByStartTime) }
    };
    let cases: Vec<(ConsumerConfig, Vec<u64>)> = vec![
        (policy(All), vec![1, 3, 4, 5, 6, 7, 8, 9]),
        (policy(New), vec![9]),
        (policy(Last), vec![8, 9]),
        (policy(LastPerSubject), vec![7, 8, 9]),
        (start(5), vec![5, 6, 7, 8, 9]),
        (start(2), vec![3, 4, 5, 6, 7, 8, 9]),
        (time(4), vec![6, 7, 8, 9]),
        (time(100), vec![9]),
        (filtered(policy(All), &["b"]), vec![4, 6, 8]),
        (filtered(policy(Last), &["a"]), vec![7, 9]),
        (filtered(policy(Last), &["x", "y"]), vec![]),
        (filtered(policy(LastPerSubject), &["a"]), vec![7, 9]),
        (filtered(policy(LastPerSubject), &["a", "b"]), vec![7, 8, 9]),
        (filtered(time(0), &["b"]), vec![4, 6, 8]),
        (filtered(start(6), &["a", "c"]), vec![7, 9]),
    ];
    for (config, expected) in cases {
        let text = format!("{:?} {:?}", config.deliver_policy, config.filters());
        assert_eq!(seqs(config.clone(), add), expected, "{text}");
        let lose = |world: &mut World| {
            add(world);
            world.lose();
        };
        assert_eq!(seqs(config, lose), expected, "{text}, and its state is lost");
    }
}

// Contract: CONS-002
#[test]
fn a_named_sequence_in_the_future_is_waited_for() {
    let config = ConsumerConfig { opt_start_seq: 11, ..policy(DeliverPolicy::ByStartSequence) };
    let twice = |world: &mut World| {
        add(world);
        assert_eq!(world.info().num_pending, 0);
        world.restart();
        add(world);
        assert_eq!(world.info().num_pending, 0);
        add(world);
    };
    assert_eq!(seqs(config.clone(), twice), [11]);
    let internal = ConsumerConfig { direct: true, ..config };
    assert_eq!(seqs(internal, add), [9], "mirrors and sources take what there is");
}

// Contract: CONS-011
#[test]
fn a_filter_nothing_matches_delivers_nothing_until_something_does() {
    let config = filtered(policy(DeliverPolicy::All), &["c.>"]);
    assert_eq!(seqs(config.clone(), |_| ()), [0; 0]);
    assert_eq!(seqs(config, |w| assert_eq!(w.publish("c.d", "x"), 9)), [9]);
}

// Contract: CONS-035
#[test]
fn the_last_of_each_subject_survives_changes_meanwhile() {
    let all = policy(DeliverPolicy::LastPerSubject);
    assert_eq!(seqs(all.clone(), |w| w.remove(7)), [8]);
    assert_eq!(seqs(all.clone(), |w| w.remove(5)), [7, 8]);
    assert_eq!(
        seqs(all, |w| {
            add(w);
            w.remove(8);
            w.remove(9);
            add(w);
        }),
        [7, 10]
    );
    let mut world = World::with_stream(StreamConfig {
        name: "S".into(),
        max_msgs_per_subject: 1,
        ..StreamConfig::default()
    });
    for i in 0..5 {
        world.publish(if i % 2 == 0 { "a" } else { "b" }, "m");
    }
    world.create(policy(DeliverPolicy::LastPerSubject));
    assert_eq!(world.info().num_pending, 2);
}

// Contract: CONS-035
#[test]
fn what_was_counted_is_not_counted_again() {
    let mut world = filled();
    world.create(policy(DeliverPolicy::All));
    let consumer = world.consumer.as_mut().unwrap();
    consumer.handle_new(7, 8, [b"a".as_slice(), b"b"]);
    assert_eq!(consumer.num_pending(), 7, "it was told late of what it found in the stream");
}

#[test]
fn an_empty_stream_begins_at_one() {
    for deliver_policy in
        [DeliverPolicy::All, DeliverPolicy::Last, DeliverPolicy::New, DeliverPolicy::LastPerSubject]
    {
        let mut world = World::new(policy(deliver_policy));
        assert_eq!(world.info().delivered.stream_seq, 0);
        world.publish("s", "m");
        world.pull("in.a", "1");
        assert_eq!(world.heard(), ["in.a: m#1"], "{deliver_policy:?}");
    }
}

// Contract: CONS-065
#[test]
fn what_the_stream_lost_is_taken_back() {
    let mut world = filled();
    world.create(pull());
    world.pull("in.a", "9");
    let sent = world.take();
    for s in &sent[..3] {
        world.ack(&s.reply, "");
    }
    store::MessageStore::truncate(&mut world.store, 5).unwrap();
    world.restart();
    let info = world.info();
    let pair = |s: jetstream_api::SequenceInfo| (s.consumer_seq, s.stream_seq);
    assert_eq!((pair(info.delivered), pair(info.ack_floor)), ((4, 5), (3, 4)));
    assert_eq!(world.publish("a", "six"), 6);
    world.pull("in.b", "1");
    assert_eq!(world.heard(), ["in.b: six#1"]);
}

#[test]
fn a_restart_keeps_what_waits_and_counts() {
    let mut world = filled();
    world.create(pull());
    world.pull("in.a", "3");
    let sent = world.take();
    world.ack(&sent[0].reply, "-NAK");
    world.pull("in.a", "1");
    assert_eq!(world.heard(), ["in.a: m1#2"]);
    world.restart();
    let info = world.info();
    assert_eq!((info.num_ack_pending, info.num_redelivered, info.num_pending), (3, 1, 4));
    world.pull("in.b", r#"{"batch":9,"expires":90000000000}"#);
    assert_eq!(world.take().len(), 4);
    world.wait_ms(31_000);
    assert_eq!(world.heard()[..3], ["in.b: m1#3", "in.b: m3#2", "in.b: m4#2"]);
}

// Contract: CONS-018
#[test]
fn the_original_pace() {
    let mut world = filled();
    world.now.wall.0 += 1_000_000_000;
    world.create(ConsumerConfig { replay_policy: ReplayPolicy::Original, ..push() });
    assert_eq!(world.heard(), ["d: m1#1"]);
    world.wait_ms(1_990);
    assert_eq!(world.heard(), [""; 0], "the second is gone: the third comes two seconds later");
    world.wait_ms(20);
    assert_eq!(world.heard(), ["d: m3#1"]);
    world.wait_ms(5_000);
    assert_eq!(world.heard().len(), 5);
    world.publish("a", "new");
    world.publish("a", "newer");
    assert_eq!(world.heard().len(), 2, "what is new comes at once");
}
