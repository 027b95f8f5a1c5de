//! Conversations of a stream with its origins, on a clock that is told.

use std::time::Duration;

use jetstream_api::{
    ExternalStream, StreamConfig, StreamConsumerSource, StreamSource, SubjectTransformConfig,
};
use serde_json::{Value, json};
use stdx::log::Log;
use stdx::time::{Mono, Now, Timestamp};
use store::disk::real::RealDisk;
use store::{MemStore, MessageStore};

use super::{Incoming, Limits, Origin, Role, Scratch, Step, Storage, Stream, settings};
use crate::out::{Facts, Out, Outgoing};
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    log: Log,
    seed: u64,
    confirmed: Vec<(String, String)>,
}

impl Out for World {
    fn send(&mut self, m: Outgoing<'_>) -> bool {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        self.confirmed.push((text(m.to), text(m.header)));
        true
    }
    fn has_interest(&mut self, _: &[u8]) -> bool {
        true
    }
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        self.seed >> 20
    }
    fn log(&self) -> &Log {
        &self.log
    }
}

struct House {
    stream: Stream<RealDisk>,
    origins: Vec<Origin>,
    out: World,
    now: Now,
    scratch: Scratch,
    facts: Facts,
}

fn house(config: StreamConfig) -> House {
    let facts = Facts { account: "A".into(), domain: Some("D".into()), ..Facts::default() };
    let store = Storage::Memory(Box::new(MemStore::new(settings(&config))));
    let make = |role, s: &StreamSource| Origin::new(role, s, &config.sources, "S", &facts);
    let mirror = config.mirror.iter().map(|s| make(Role::Mirror, s));
    let origins = mirror.chain(config.sources.iter().map(|s| make(Role::Source, s))).collect();
    House {
        origins,
        stream: Stream::new(Arc::new(config), Timestamp(1), Arc::new(facts.clone()), store),
        out: World { log: Log::discard(), seed: 1, confirmed: Vec::new() },
        now: Now { mono: Mono(1_000_000_000_000), wall: Timestamp(1_700_000_000_000_000_000) },
        scratch: Scratch::default(),
        facts,
    }
}

fn base() -> StreamConfig {
    StreamConfig {
        name: "S".into(),
        max_msgs: -1,
        max_bytes: -1,
        max_msg_size: -1,
        max_msgs_per_subject: -1,
        ..StreamConfig::default()
    }
}

fn mirror() -> StreamConfig {
    StreamConfig {
        mirror: Some(Box::new(StreamSource { name: "O".into(), ..base_source() })),
        ..base()
    }
}

fn base_source() -> StreamSource {
    StreamSource { name: "O".into(), ..StreamSource::default() }
}

fn sourced(source: StreamSource) -> StreamConfig {
    StreamConfig { sources: vec![source], ..base() }
}

/// A request: its subject, whether it names a level, its body.
type Asked = (String, bool, Value);

impl House {
    fn pass(&mut self, time: Duration) {
        self.now = Now { mono: self.now.mono + time, wall: self.now.wall + time };
    }

    fn tick(&mut self) -> Step {
        let position = self.stream.position();
        self.origins[0].tick("S", &self.facts, position, self.now, &mut self.out)
    }

    /// Lets time pass until the origin does something, and says how much that was.
    fn due(&mut self) -> (Duration, Step) {
        let at = self.origins[0].next_deadline().expect("a deadline");
        let time = at.since(self.now.mono);
        self.pass(time);
        (time, self.tick())
    }

    fn ask(&mut self) -> Asked {
        self.origins[0].begin(self.now, &mut self.out);
        let (_, step) = self.due();
        asked(step)
    }

    fn answer(&mut self, body: &Value) -> Step {
        let position = self.stream.position();
        let body = body.to_string();
        let (step, begun) = self.origins[0].handle_answer(
            body.as_bytes(),
            "S",
            &self.facts,
            position,
            self.now,
            &mut self.out,
        );
        if matches!(step, Step::Listen(_)) {
            let origin = &mut self.origins[0];
            let begun = self.stream.begin_drawing(origin, begun, self.now, &mut self.out);
            assert_eq!(begun, Step::Nothing);
        }
        step
    }

    fn connect(&mut self, passed: u64) {
        self.ask();
        assert_eq!(self.answer(&made(passed)), Step::Listen("to.me".into()));
    }

    fn frame(&mut self, subject: &str, reply: &str, header: &str, payload: &str) -> Step {
        let m = Incoming {
            subject: subject.as_bytes(),
            reply: (!reply.is_empty()).then_some(reply.as_bytes()),
            header: header.as_bytes(),
            payload: payload.as_bytes(),
        };
        let (limits, now) = (Limits::default(), self.now);
        let (origin, scratch) = (&mut self.origins[0], &mut self.scratch);
        self.stream.draw(origin, &m, &limits, scratch, now, &mut self.out)
    }

    /// The `number`th delivery: the origin's message `seq`.
    fn deliver(&mut self, seq: u64, number: u64) -> Step {
        let reply = format!("$JS.ACK.O.C.1.{seq}.{number}.{}.3", 1_000 + seq);
        self.frame("o.1", &reply, "", "x")
    }

    fn seqs(&mut self) -> Vec<(u64, i64)> {
        let last = self.stream.last_seq();
        let store = self.stream.store();
        (1..=last).filter_map(|s| store.load(s).ok()).map(|m| (m.seq, m.ts.0)).collect()
    }

    fn header(&mut self, seq: u64) -> String {
        let message = self.stream.store().load(seq).expect("stored");
        String::from_utf8(message.header.to_vec()).expect("text")
    }
}

fn asked(step: Step) -> Asked {
    let Step::Ask(ask) = step else { panic!("no request but {step:?}") };
    assert!(ask.inbox.starts_with("$JSC.R."), "{}", ask.inbox);
    let level = ask.header == b"NATS/1.0\r\nNats-Required-Api-Level: 4\r\n\r\n";
    assert!(level || ask.header.is_empty());
    let body = if ask.body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&ask.body).expect("JSON")
    };
    (ask.subject, level, body)
}

fn made(passed: u64) -> Value {
    json!({"type":"io.nats.jetstream.api.v1.consumer_create_response","stream_name":"O","name":"C",
        "config":{"deliver_subject":"to.me","ack_policy":"none"},
        "delivered":{"consumer_seq":0,"stream_seq":passed},"num_pending":5})
}

fn refused(code: u16) -> Value {
    json!({"error":{"code":400,"err_code":code,"description":"no"}})
}

// Contract: SRC-007
#[test]
fn a_mirror_asks_for_a_consumer_that_names_it() {
    let mut house = house(mirror());
    let (subject, level, body) = house.ask();
    assert_eq!((subject.as_str(), level), ("$JS.API.CONSUMER.CREATE.O", true));
    let config = &body["config"];
    let id = jetstream_api::validate::short_hash("S A D");
    assert_eq!(config["name"], json!(format!("JS_MIRROR_{id}")));
    assert!(config["deliver_subject"].as_str().is_some_and(|s| s.starts_with("$JS.M.")));
    let metadata =
        json!({"_nats.mirror.acc":"A","_nats.mirror.domain":"D","_nats.mirror.stream":"S"});
    assert_eq!(config["metadata"], metadata);
    let kept =
        ["deliver_policy", "flow_control", "direct", "sourcing", "ack_policy", "max_deliver"];
    let kept: Vec<_> = kept.iter().map(|k| config[*k].clone()).collect();
    assert_eq!(json!(kept), json!(["all", true, true, true, "none", 1]));
}

// Contract: SRC-005, SRC-007, SRC-012
#[test]
fn sources_of_one_stream_have_consumers_of_their_own() {
    let transforms = vec![
        SubjectTransformConfig { src: "a.*".into(), dest: "x.$1".into() },
        SubjectTransformConfig { src: "b".into(), dest: String::new() },
    ];
    let external = ExternalStream { api: "$JS.hub.API".into(), deliver: "hub.deliver".into() };
    let sources = vec![
        StreamSource { filter_subject: "c.>".into(), external: Some(external), ..base_source() },
        StreamSource { subject_transforms: transforms, ..base_source() },
    ];
    let mut first = house(StreamConfig { sources: sources.clone(), ..base() });
    let (subject, _, body) = first.ask();
    let name = body["config"]["name"].as_str().expect("a name").to_owned();
    assert_eq!(subject, format!("$JS.hub.API.CONSUMER.CREATE.O.{name}.c.>"));
    let deliver = body["config"]["deliver_subject"].as_str().expect("a subject");
    assert!(deliver.starts_with("hub.deliver.S."), "{deliver}");
    first.origins.remove(0);
    let (subject, _, body) = first.ask();
    assert_eq!(subject, "$JS.API.CONSUMER.CREATE.O");
    assert_eq!(body["config"]["filter_subjects"], json!(["a.*", "b"]));
    assert_ne!(body["config"]["name"], json!(name));
    let mut alone = house(sourced(sources[1].clone()));
    let id = jetstream_api::validate::short_hash("S A D");
    let id = jetstream_api::validate::short_hash(&id);
    assert_eq!(alone.ask().2["config"]["name"], json!(format!("JS_SRC_{id}")));
}

// Contract: SRC-009
#[test]
fn a_server_that_knows_no_sourcing_is_asked_again_without_it() {
    for code in [10185, 10025] {
        let mut house = house(sourced(base_source()));
        let (_, _, first) = house.ask();
        let (_, level, second) = asked(house.answer(&refused(code)));
        assert!(!level && second["config"]["sourcing"].is_null());
        let (first, second) = (&first["config"]["name"], &second["config"]["name"]);
        let (first, second) = (first.as_str().expect("one"), second.as_str().expect("one"));
        assert_eq!(second.len(), first.len() + 9, "{second}");
        assert!(second.starts_with(&format!("{first}_")));
        assert_eq!(house.answer(&refused(code)), Step::Stop, "but only once");
    }
}

// Contract: SRC-006
#[test]
fn failures_are_tried_again_later_and_later() {
    let mut house = house(mirror());
    house.ask();
    let mut waits = Vec::new();
    for _ in 0..14 {
        assert_eq!(house.answer(&refused(10059)), Step::Stop);
        let info = house.origins[0].info(house.now);
        assert_eq!((info.active.0, info.error.map(|e| e.err_code)), (-1, Some(10059)));
        let (time, step) = house.due();
        asked(step);
        // What is left of the 2 s between two requests, and less than 200 ms of chance.
        waits.push(time.as_secs());
    }
    assert_eq!(waits, [12, 22, 32, 42, 52, 62, 72, 82, 92, 102, 112, 122, 122, 122]);
    let (time, step) = house.due();
    assert_eq!((time.as_secs(), step), (30, Step::Stop), "no answer is a failure too");
    let (_, step) = house.due();
    asked(step);
    house.answer(&made(0));
    let info = house.origins[0].info(house.now);
    assert_eq!((info.active.0, info.error, info.lag), (0, None, 5));
}

// Contract: SRC-006
#[test]
fn silence_means_that_the_consumer_is_gone() {
    let mut house = house(mirror());
    house.connect(0);
    house.deliver(1, 1);
    for _ in 0..30 {
        house.pass(SECOND);
        let beat =
            "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 1\r\n\r\n";
        assert_eq!(house.frame("to.me", "", beat, ""), Step::Nothing);
        assert_eq!(house.tick(), Step::Nothing);
    }
    let mut silent = Duration::ZERO;
    let step = loop {
        let (time, step) = house.due();
        silent += time;
        if step != Step::Nothing {
            break step;
        }
    };
    assert_eq!((silent, step), (10 * SECOND, Step::Stop));
    assert!(house.origins[0].info(house.now).active.0 >= 10_000_000_000);
    let (time, step) = house.due();
    assert!(time < SECOND, "the last request is long ago");
    let config = asked(step).2["config"].clone();
    assert_eq!(
        (&config["deliver_policy"], &config["opt_start_seq"]),
        (&json!("by_start_sequence"), &json!(2))
    );
}

#[test]
fn a_sign_of_life_that_tells_of_more_begins_anew() {
    let mut house = house(sourced(base_source()));
    house.connect(0);
    house.deliver(1, 1);
    let beat = "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2\r\n\r\n";
    assert_eq!(house.frame("to.me", "", beat, ""), Step::Stop);
    let config = asked(house.due().1).2["config"].clone();
    assert_eq!(config["opt_start_seq"], json!(2));
}

// Contract: SRC-001
#[test]
fn a_mirror_keeps_sequences_and_times() {
    let mut house = house(mirror());
    house.connect(4);
    assert_eq!(house.stream.position().first_seq, 5);
    for (seq, number) in [(5, 1), (6, 2), (9, 3)] {
        assert_eq!(house.deliver(seq, number), Step::Nothing);
    }
    assert_eq!(house.deliver(6, 2), Step::Nothing, "it has that one");
    assert_eq!(house.seqs(), [(5, 1_005), (6, 1_006), (9, 1_009)]);
    assert_eq!(house.stream.store_ref().deleted_seqs(9), [7, 8]);
    assert_eq!(house.deliver(12, 5), Step::Stop, "a delivery is missing");
    assert_eq!(house.seqs().len(), 3);
}

// Contract: SRC-002
#[test]
fn only_a_new_mirror_begins_where_it_is_told_to() {
    let start = StreamSource { opt_start_seq: 7, ..base_source() };
    let mut house = house(StreamConfig { mirror: Some(start.into()), ..base() });
    let config = house.ask().2["config"].clone();
    assert_eq!(
        (&config["deliver_policy"], &config["opt_start_seq"]),
        (&json!("by_start_sequence"), &json!(7))
    );
    house.answer(&made(6));
    house.deliver(7, 1);
    house.origins[0].retry(None, house.now, &mut house.out);
    let (_, step) = house.due();
    assert_eq!(asked(step).2["config"]["opt_start_seq"], json!(8));
    let time = StreamSource { opt_start_time: Some(Timestamp(5)), ..base_source() };
    let config = self::house(StreamConfig { mirror: Some(time.into()), ..base() }).ask().2;
    assert_eq!(config["config"]["deliver_policy"], json!("by_start_time"));
}

// Contract: SRC-003
#[test]
fn a_sourced_message_says_where_it_comes_from() {
    let dest = SubjectTransformConfig { src: "o.*".into(), dest: "n.$1".into() };
    let source = StreamSource { subject_transforms: vec![dest], ..base_source() };
    let mut house = house(sourced(source));
    house.connect(0);
    let header = "NATS/1.0\r\nNats-Expected-Stream: O\r\nA: 1\r\nNats-Batch-Id: b\r\n\
        Nats-Stream-Source: X 1 > > y\r\n\r\n";
    house.frame("o.1", "$JS.ACK.O.C.1.42.1.7.0", header, "");
    let want = "NATS/1.0\r\nA: 1\r\nNats-Stream-Source: O 42 o.* n.$1 o.1\r\n\r\n";
    assert_eq!(house.header(1), want);
    let message = house.stream.store().load(1).expect("stored");
    assert_eq!(&message.subject[..], b"n.1");
    assert_ne!(message.ts.0, 7, "its time is its own");
    // An acknowledgement's subject of version 2 says the same.
    house.frame("o.2", "$JS.ACK._.hash.O.C.1.43.2.7.0.x", "", "x");
    assert_eq!(house.header(2), "NATS/1.0\r\nNats-Stream-Source: O 43 o.* n.$1 o.2\r\n\r\n");
}

// Contract: SRC-004
#[test]
fn after_a_restart_the_newest_header_of_each_source_says_where_to_go_on() {
    let source = |filter: &str| StreamSource { filter_subject: filter.into(), ..base_source() };
    let config = StreamConfig { sources: vec![source("a"), source("b"), source("c")], ..base() };
    let mut house = house(config);
    for (subject, header) in [
        ("a", "NATS/1.0\r\nNats-Stream-Source: O 3 a > a\r\n\r\n"),
        ("b", "NATS/1.0\r\nNats-Stream-Source: O 8 b > b\r\n\r\n"),
        ("a", "NATS/1.0\r\nNats-Stream-Source: O 5 a > a\r\n\r\n"),
        ("a", ""),
        ("b", "NATS/1.0\r\nNats-Stream-Source: other 99 b > b\r\n\r\n"),
    ] {
        let m = store::NewMessage::new(subject.as_bytes(), header.as_bytes(), b"");
        house.stream.store().append(&m, Timestamp(1)).expect("stored");
    }
    house.stream.refresh();
    let mut origins: Vec<&mut Origin> = house.origins.iter_mut().collect();
    house.stream.resume(&mut origins);
    let seqs: Vec<u64> = house.origins.iter().map(Origin::seq).collect();
    assert_eq!(seqs, [5, 8, 0]);
    let config = house.ask().2["config"].clone();
    assert_eq!(config["opt_start_seq"], json!(6));
    // Headers older than 2.10 name the stream only.
    let m = b"NATS/1.0\r\nNats-Stream-Source: $JS.ACK.O.X.1.77.1.1.0\r\n\r\n";
    house.stream.store().append(&store::NewMessage::new(b"c", m, b""), Timestamp(1)).expect("ok");
    let mut origins: Vec<&mut Origin> = house.origins.iter_mut().skip(2).collect();
    house.stream.resume(&mut origins);
    assert_eq!(house.origins[2].seq(), 77);
}

// Contract: SRC-013
#[test]
fn a_message_that_found_no_room_is_asked_for_again() {
    let discard = jetstream_api::DiscardPolicy::New;
    let mut house = house(StreamConfig { max_msgs: 2, discard, ..sourced(base_source()) });
    house.connect(0);
    assert_eq!((house.deliver(3, 1), house.deliver(4, 2)), (Step::Nothing, Step::Nothing));
    assert_eq!(house.deliver(5, 3), Step::Stop);
    assert_eq!(house.deliver(6, 4), Step::Nothing, "from the old consumer");
    let info = house.origins[0].info(house.now);
    assert_eq!(info.error.map(|e| e.err_code), Some(10077));
    house.stream.store().remove(1, false).expect("removed");
    let (time, step) = house.due();
    assert!(time >= SECOND && time < 3 * SECOND, "{time:?}");
    assert_eq!(asked(step).2["config"]["opt_start_seq"], json!(5));
    house.answer(&made(4));
    assert_eq!(house.deliver(5, 1), Step::Nothing);
    assert_eq!(house.seqs().len(), 2);
}

// Contract: SRC-010
#[test]
fn a_consumer_of_somebody_elses_is_reset_and_must_confirm_by_flow_control() {
    let own = StreamConsumerSource { name: "mine".into(), deliver_subject: "my.sub".into() };
    for (role, code) in [(Role::Mirror, 10214), (Role::Source, 10217)] {
        let source = StreamSource { consumer: Some(own.clone()), ..base_source() };
        let mut house = house(match role {
            Role::Mirror => StreamConfig { mirror: Some(source.into()), ..base() },
            Role::Source => sourced(source),
        });
        let (subject, level, body) = house.ask();
        assert_eq!(
            (subject.as_str(), level, body),
            ("$JS.API.CONSUMER.RESET.O.mine", false, Value::Null)
        );
        assert_eq!(house.answer(&made(0)), Step::Stop);
        let info = house.origins[0].info(house.now);
        assert_eq!(info.error.map(|e| e.err_code), Some(code));
        asked(house.due().1);
        let mut answer = made(2);
        answer["config"]["ack_policy"] = json!("flow_control");
        answer["name"] = json!("mine");
        assert_eq!(house.answer(&answer), Step::Listen("my.sub".into()));
        assert_eq!(house.frame("o", "$JS.ACK.O.mine.1.3.1.7.0", "", "x"), Step::Nothing);
        let request = "NATS/1.0 100 FlowControl Request\r\n\r\n";
        house.frame("my.sub", "$JS.FC.O.mine.abcd", request, "");
        let want = "NATS/1.0\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 3\r\n\r\n";
        assert_eq!(house.out.confirmed, [("$JS.FC.O.mine.abcd".to_owned(), want.to_owned())]);
        assert!(house.origins[0].farewell(&mut house.out).is_none(), "it is not ours to delete");
    }
}

// Contract: SRC-014
#[test]
fn whoever_leaves_deletes_the_consumer_that_was_made_for_it() {
    let mut house = house(mirror());
    let stable = house.origins[0].farewell(&mut house.out).expect("a request").subject;
    assert!(stable.starts_with("$JS.API.CONSUMER.DELETE.O.JS_MIRROR_"), "{stable}");
    house.connect(0);
    let exact = house.origins[0].farewell(&mut house.out).expect("a request").subject;
    assert_eq!(exact, "$JS.API.CONSUMER.DELETE.O.C");
}
