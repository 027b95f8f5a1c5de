//! A stream in memory: batches, schedules and counters as their publishers see them.

use std::sync::Arc;
use std::time::Duration;

use jetstream_api::{StorageType, StreamConfig};
use stdx::log::Log;
use stdx::time::{Mono, Now, Timestamp};
use store::disk::real::RealDisk;
use store::{MemStore, Message, MessageStore};

use super::*;
use crate::out::{Facts, Out, Outgoing};

const EPOCH: i64 = 1_700_000_000_000_000_000;

struct Heard {
    said: Vec<(String, String)>,
    random: u64,
    log: Log,
}

impl Out for Heard {
    fn send(&mut self, m: Outgoing<'_>) -> bool {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.said.push((text(m.to), text(m.payload)));
        true
    }
    fn has_interest(&mut self, _: &[u8]) -> bool {
        true
    }
    fn random(&mut self) -> u64 {
        self.random += 1;
        self.random
    }
    fn log(&self) -> &Log {
        &self.log
    }
}

struct World {
    stream: Stream<RealDisk>,
    out: Heard,
    now: Now,
}

impl World {
    fn new(config: StreamConfig, batches: BatchLimits) -> Self {
        let config = Arc::new(StreamConfig {
            name: "S".into(),
            subjects: vec!["s.>".into()],
            max_msgs: -1,
            max_bytes: -1,
            max_msg_size: -1,
            max_msgs_per_subject: -1,
            storage: StorageType::Memory,
            ..config
        });
        let store = Storage::Memory(Box::new(MemStore::new(settings(&config))));
        let facts = Arc::new(Facts { batches, ..Facts::default() });
        let now = Now { mono: Mono(0), wall: Timestamp(EPOCH) };
        let stream = Stream::new(config, Timestamp(EPOCH), facts, store);
        let out = Heard { said: Vec::new(), random: 0, log: Log::discard() };
        Self { stream, out, now }
    }

    fn atomic() -> Self {
        let config = StreamConfig { allow_atomic: true, ..StreamConfig::default() };
        Self::new(config, BatchLimits::default())
    }

    /// What the publisher is told.
    fn publish(&mut self, subject: &str, header: &[(&str, &str)], payload: &str) -> String {
        self.publish_to("r", subject, header, payload)
    }

    fn publish_to(
        &mut self,
        reply: &str,
        subject: &str,
        header: &[(&str, &str)],
        payload: &str,
    ) -> String {
        let header = block(header);
        let m = Incoming {
            subject: subject.as_bytes(),
            reply: Some(reply.as_bytes()),
            header: &header,
            payload: payload.as_bytes(),
        };
        self.out.said.clear();
        self.stream.publish(&m, &Limits::default(), self.now, &mut self.out);
        let told = self.out.said.iter().filter(|(to, _)| to == reply);
        told.map(|(_, body)| body.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall = self.now.wall + time;
        self.out.said.clear();
        assert!(self.stream.expire(self.now), "the disk is in memory");
        self.stream.expire_batches(self.now, &mut self.out);
        self.stream.fire_schedules(&Limits::default(), self.now, &mut self.out);
    }

    fn subjects(&mut self) -> Vec<String> {
        let last = self.stream.last_seq();
        let stored = (1..=last).filter_map(|seq| self.stream.store().load(seq).ok());
        stored.map(|m| String::from_utf8_lossy(&m.subject).into_owned()).collect()
    }
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().fold(Vec::new(), |block, (name, value)| {
        header::append(&block, name.as_bytes(), value.as_bytes())
    })
}

fn member<'a>(id: &'a str, seq: &'a str) -> [(&'a str, &'a str); 2] {
    [("Nats-Batch-Id", id), ("Nats-Batch-Sequence", seq)]
}

fn last<'a>(id: &'a str, seq: &'a str) -> [(&'a str, &'a str); 3] {
    let [id, seq] = member(id, seq);
    [id, seq, ("Nats-Batch-Commit", "1")]
}

// Contract: BATCH-002, BATCH-006
#[test]
fn a_batch_is_stored_at_its_end_and_ends_in_one_answer() {
    let mut world = World::atomic();
    assert_eq!(world.publish("s.a", &member("b", "1"), "x"), "");
    assert_eq!(world.publish("s.b", &[], "y"), r#"{"stream":"S","seq":1}"#);
    assert_eq!(world.subjects(), ["s.b"]);
    let end = world.publish("s.c", &last("b", "2"), "z");
    assert_eq!(end, r#"{"stream":"S","seq":3,"batch":"b","count":2}"#);
    assert_eq!(world.subjects(), ["s.b", "s.a", "s.c"]);
    assert_eq!(world.stream.take_stored().runs, [(1, 3)]);
}

// Contract: BATCH-004
#[test]
fn a_silent_batch_is_given_up_and_told_of() {
    let mut world = World::atomic();
    world.publish("s.a", &member("b", "1"), "x");
    world.pass(Duration::from_secs(9));
    world.publish("s.a", &member("b", "2"), "x");
    world.pass(Duration::from_secs(9));
    assert_eq!(world.out.said, []);
    assert_eq!(world.stream.next_batch_expiry(), Some(Mono(19_000_000_000)));
    world.pass(Duration::from_secs(1));
    let [(to, body)] = world.out.said.as_slice() else { panic!("{:?}", world.out.said) };
    assert_eq!(to, "$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.S");
    assert!(body.contains(r#""stream":"S","batch":"b","reason":"timeout"}"#), "{body}");
    assert_eq!(world.stream.next_batch_expiry(), None);
    assert!(world.publish("s.a", &last("b", "3"), "x").contains("10176"));
}

// Contract: BATCH-005
#[test]
fn what_is_open_counts_until_it_is_gone() {
    let limits = BatchLimits { in_server: Some(2), ..BatchLimits::default() };
    let config = StreamConfig { allow_atomic: true, ..StreamConfig::default() };
    let mut world = World::new(config, limits);
    let open = world.stream.facts().open_batches.clone();
    for id in ["a", "b"] {
        assert_eq!(world.publish("s", &member(id, "1"), "x"), "");
    }
    assert!(world.publish("s", &member("c", "1"), "x").contains("10210"));
    // One ends well, one badly.
    assert!(world.publish("s", &last("a", "2"), "x").contains(r#""count":2"#));
    assert!(world.publish("s", &member("b", "7"), "x").contains("10176"));
    assert_eq!(world.publish("s", &member("c", "1"), "x"), "");
    drop(world);
    assert_eq!(format!("{open:?}"), "OpenBatches { atomic: 0, fast: 0, staged: 0 }");
}

// Contract: BATCH-007
#[test]
fn a_batch_that_is_refused_changes_nothing() {
    let mut world = World::atomic();
    let with_id = |seq: &'static str| {
        let [id, seq, end] = last("b", seq);
        [id, seq, end, ("Nats-Msg-Id", "m")]
    };
    let [id, seq, _, msg_id] = with_id("1");
    assert_eq!(world.publish("s.a", &[id, seq, msg_id], "x"), "");
    assert!(world.publish("s.a", &with_id("2"), "x").contains("10201"));
    assert_eq!(world.stream.last_seq(), 0);
    // The id was not remembered.
    assert_eq!(world.publish("s.a", &[("Nats-Msg-Id", "m")], "x"), r#"{"stream":"S","seq":1}"#);
}

fn stored(world: &mut World) -> Vec<Message> {
    (1..=world.stream.last_seq()).map(|seq| world.stream.store().load(seq).unwrap()).collect()
}

/// A stream that holds a message, and the first two of a batch of four, which are returned as well.
fn cut() -> (World, Vec<Message>) {
    let mut whole = World::atomic();
    whole.publish("s.other", &[], "x");
    for (subject, seq) in [("s.1", "1"), ("s.2", "2"), ("s.3", "3")] {
        whole.publish(subject, &member("b", seq), "x");
    }
    whole.publish("s.4", &last("b", "4"), "x");
    let all = stored(&mut whole);
    whole.stream.store().truncate(3).unwrap();
    whole.stream.refresh();
    (whole, all)
}

// Contract: BATCH-006, BATCH-011
#[test]
fn a_batch_that_was_cut_goes_or_is_made_whole() {
    let (mut world, all) = cut();
    let found = cut_batch(world.stream.store()).unwrap();
    assert_eq!(found, CutBatch { id: b"b".to_vec(), stored: 2 });
    world.stream.mend_batch(&found, &[], world.now, &mut world.out);
    assert_eq!(world.subjects(), ["s.other"]);
    assert_eq!(world.publish("s.next", &[], "x"), r#"{"stream":"S","seq":2}"#);

    let (mut world, _) = cut();
    let found = cut_batch(world.stream.store()).unwrap();
    world.stream.mend_batch(&found, &all[3..], world.now, &mut world.out);
    assert_eq!(world.subjects(), ["s.other", "s.1", "s.2", "s.3", "s.4"]);
    assert_eq!(cut_batch(world.stream.store()), None);
}

// Contract: BATCH-006
#[test]
fn whole_batches_are_not_taken_for_cut_ones() {
    let mut world = World::atomic();
    assert_eq!(cut_batch(world.stream.store()), None);
    world.publish("s.1", &member("b", "1"), "x");
    world.publish("s.2", &last("b", "2"), "x");
    assert_eq!(cut_batch(world.stream.store()), None);
    // Its last message was removed by somebody.
    world.stream.store().remove(2, false).unwrap();
    assert_eq!(cut_batch(world.stream.store()), None);
    // What was drawn from elsewhere names a batch that was never one here.
    let (mut world, _) = cut();
    let [id, seq] = member("b", "3");
    let drawn = block(&[id, seq, ("Nats-Stream-Source", "A 3 > >")]);
    let m = store::NewMessage::new(b"s.3", &drawn, b"x");
    world.stream.store().append(&m, world.now.wall).unwrap();
    assert_eq!(cut_batch(world.stream.store()), None);
}

// Contract: FAST-002
#[test]
fn a_fast_batch_is_told_more_and_more_rarely() {
    let config = StreamConfig { allow_batched: true, ..StreamConfig::default() };
    let mut world = World::new(config, BatchLimits::default());
    let reply = |id: &str, seq: u64, op: u8| format!("r.{id}.200.fail.{seq}.{op}.$FI");
    world.publish_to(&reply("first", 1, 0), "s.a", &[], "x");
    let begun = world.publish_to(&reply("b", 1, 0), "s.a", &[], "x");
    assert_eq!(begun, r#"{"type":"ack","seq":0,"msgs":1} {"type":"ack","seq":1,"msgs":2}"#);
    let mut told = Vec::new();
    for seq in 2..=800 {
        let text = world.publish_to(&reply("b", seq, 1), "s.a", &[], "x");
        if !text.is_empty() {
            told.push((seq, text));
        }
    }
    let at: Vec<u64> = told.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(at, [3, 7, 15, 31, 63, 127, 255, 455, 655]);
    assert_eq!(told[8].1, r#"{"type":"ack","seq":655,"msgs":200}"#);
    world.publish_to(&reply("b", 801, 3), "s.a", &[], "x");
    assert_eq!(world.out.said[0].1, r#"{"stream":"S","seq":801,"batch":"b","count":800}"#);
}

fn scheduling() -> World {
    let config = StreamConfig {
        allow_msg_schedules: true,
        allow_msg_ttl: true,
        allow_rollup_hdrs: true,
        ..StreamConfig::default()
    };
    World::new(config, BatchLimits::default())
}

// Contract: SCHED-002, SCHED-008
#[test]
fn missed_times_come_to_one() {
    let mut world = scheduling();
    let every = [("Nats-Schedule", "@every 10s"), ("Nats-Schedule-Target", "s.t")];
    assert_eq!(world.publish("s.e", &every, "x"), r#"{"stream":"S","seq":1}"#);
    assert_eq!(world.stream.next_expiry(), Some(Timestamp(EPOCH + 10_000_000_000)));
    world.pass(Duration::from_secs(9));
    assert_eq!(world.subjects(), ["s.e"]);
    world.pass(Duration::from_secs(100));
    assert_eq!(world.subjects(), ["s.e", "s.t"]);
    let produced = world.stream.store().load(2).unwrap();
    let next = Timestamp(EPOCH + 119_000_000_000).rfc3339();
    let header = format!("NATS/1.0\r\nNats-Scheduler: s.e\r\nNats-Schedule-Next: {next}\r\n\r\n");
    assert_eq!(produced.header, header.as_bytes());
    world.pass(Duration::from_secs(10));
    assert_eq!(world.subjects(), ["s.e", "s.t", "s.t"]);
}

// Contract: SCHED-012
#[test]
fn what_cannot_be_stored_is_tried_again() {
    let mut world = scheduling();
    let at = Timestamp(EPOCH + 1_000_000_000).rfc3339();
    let once = [("Nats-Schedule", &*format!("@at {at}")), ("Nats-Schedule-Target", "s.t")];
    world.publish("s.o", &once, "x");
    let fire = |world: &mut World, limits: &Limits| {
        world.now.wall = world.now.wall + Duration::from_secs(2);
        world.stream.fire_schedules(limits, world.now, &mut world.out);
    };
    let full = Limits { server_full: true, ..Limits::default() };
    fire(&mut world, &full);
    assert_eq!(world.subjects(), ["s.o"]);
    fire(&mut world, &Limits::default());
    assert_eq!(world.subjects(), ["s.t"]);
    fire(&mut world, &Limits::default());
    assert_eq!(world.subjects(), ["s.t"]);
    assert_eq!(world.stream.next_expiry(), None);
}
