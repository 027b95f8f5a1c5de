//! Reads that are held back: what goes on meanwhile, and what happens to who waits.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::slow::PATIENCE;
use super::world::{Got, Sub, World};

const FILLED: u64 = 600;

/// A stream of which nothing is in memory, another one, and a device that gives nothing.
fn held_back(more: &Value) -> World {
    let mut world = World::new();
    world.stream("COLD", more);
    world.stream("HOT", &Value::Null);
    world.fill("COLD", FILLED);
    world.restart();
    world.dial.hold();
    world
}

fn get(seq: u64) -> String {
    json!({ "seq": seq }).to_string()
}

fn seq_of(got: &Got) -> u64 {
    got.field("Nats-Sequence").parse().unwrap()
}

/// The number in a message that [`World::fill`] stored.
fn number(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).unwrap().trim().parse().unwrap()
}

const DIRECT: &str = "$JS.API.DIRECT.GET.COLD";

fn consumer(world: &mut World, name: &str, more: &Value) {
    let mut config = json!({ "durable_name": name, "ack_policy": "explicit" });
    for (key, value) in more.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    let body = json!({ "stream_name": "COLD", "config": config });
    world.api(&format!("CONSUMER.CREATE.COLD.{name}"), &body);
}

fn pull(world: &mut World, name: &str, batch: u64) -> Sub {
    let body = json!({ "batch": batch, "expires": 60_000_000_000_u64 }).to_string();
    world.begin(&format!("$JS.API.CONSUMER.MSG.NEXT.COLD.{name}"), body)
}

// Contract: DGET-001
#[test]
fn a_read_that_is_held_back_keeps_nobody_else_waiting() {
    let mut world = held_back(&Value::Null);
    let waits = world.begin(DIRECT, get(5));
    world.dial.await_waiting(1);
    // Another stream of the shard, appends to the same one, and what of it is in memory.
    assert_eq!(world.publish("HOT.1", "x"), 1);
    assert_eq!(world.publish("COLD.9", "fresh"), FILLED + 1);
    assert_eq!(world.request(DIRECT, get(FILLED + 1)).payload, b"fresh");
    let last = format!("{DIRECT}.COLD.9");
    assert_eq!(world.request(&last, "").payload, b"fresh");
    assert_eq!(world.messages("COLD"), FILLED + 1);
    let stored = world.api("STREAM.MSG.GET.COLD", &json!({ "last_by_subj": "COLD.9" }));
    assert_eq!(stored["message"]["seq"], FILLED + 1);
    // Consumers of what is in memory.
    consumer(&mut world, "NEW", &json!({ "deliver_policy": "last" }));
    let fresh = pull(&mut world, "NEW", 1).next();
    assert_eq!(fresh.payload, b"fresh");
    world.request(&fresh.reply, "");
    assert!(waits.is_empty());
    world.dial.check();
    world.dial.release();
    assert_eq!(number(&waits.next().payload), 5);
}

#[test]
fn answers_to_one_requester_keep_their_order() {
    let mut world = held_back(&Value::Null);
    world.publish("COLD.9", "fresh");
    let mine = world.subscribe("_INBOX.mine.>");
    let ask = |world: &mut World, n: u64, seq: u64| {
        world.send(DIRECT, Some(&format!("_INBOX.mine.{n}")), get(seq));
    };
    let stored = json!({ "seq": 9 }).to_string();
    let asked = [5, FILLED + 1, 300, FILLED + 2, 6];
    for (n, seq) in asked.into_iter().enumerate() {
        ask(&mut world, n as u64, seq);
    }
    world.send("$JS.API.STREAM.MSG.GET.COLD", Some("_INBOX.mine.5"), stored);
    ask(&mut world, 6, FILLED + 1);
    world.dial.await_waiting(1);
    // Somebody else's is not behind them.
    assert_eq!(world.request(DIRECT, get(FILLED + 1)).payload, b"fresh");
    assert!(mine.is_empty());
    world.dial.check();
    world.dial.release();
    let answers: Vec<Got> = (0..7).map(|_| mine.next()).collect();
    let order: Vec<_> = answers.iter().map(|got| &got.subject[12..]).collect();
    assert_eq!(order, ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!([&answers[0], &answers[2], &answers[4]].map(seq_of), [5, 300, 6]);
    assert!(answers[3].header.contains("404"), "{:?}", answers[3]);
    assert_eq!(answers[5].json()["message"]["seq"], 9);
}

// Contract: DGET-004, DGET-005
#[test]
fn batches_go_on_where_they_stopped() {
    let mut world = held_back(&Value::Null);
    let all = world.begin(DIRECT, json!({ "seq": 1, "batch": 10_000 }).to_string());
    let some = json!({ "seq": 1, "batch": 10_000, "next_by_subj": "COLD.3" });
    let some = world.begin(DIRECT, some.to_string());
    let lasts = world.begin(DIRECT, json!({ "multi_last": ["COLD.>"] }).to_string());
    let early = json!({ "multi_last": ["COLD.>"], "up_to_seq": 20 });
    let early = world.begin(DIRECT, early.to_string());
    world.dial.await_waiting(1);
    assert_eq!(world.publish("HOT.1", "x"), 1);
    world.dial.check();
    world.dial.release();
    let until_end = |sub: &Sub| {
        let mut seqs = Vec::new();
        loop {
            let got = sub.next();
            if got.payload.is_empty() {
                assert!(got.header.contains("204 EOB"), "{got:?}");
                assert_eq!(got.field("Nats-Num-Pending"), "0");
                return seqs;
            }
            assert_eq!(number(&got.payload), seq_of(&got));
            seqs.push(seq_of(&got));
        }
    };
    assert_eq!(until_end(&all), (1..=FILLED).collect::<Vec<_>>());
    assert_eq!(until_end(&some), (3..=FILLED).step_by(7).collect::<Vec<_>>());
    assert_eq!(until_end(&lasts), (FILLED - 6..=FILLED).collect::<Vec<_>>());
    assert_eq!(until_end(&early), (14..=20).collect::<Vec<_>>());
}

#[test]
fn a_consumer_that_waits_for_the_disk_delivers_in_sequence() {
    let mut world = held_back(&Value::Null);
    consumer(&mut world, "C", &Value::Null);
    consumer(&mut world, "F", &json!({ "filter_subject": "COLD.3" }));
    let push = world.subscribe("to.me");
    let pushed = json!({ "ack_policy": "none", "deliver_subject": "to.me" });
    consumer(&mut world, "P", &pushed);
    let (pulled, filtered) = (pull(&mut world, "C", FILLED + 1), pull(&mut world, "F", 1000));
    world.dial.await_waiting(1);
    assert_eq!(world.publish("COLD.9", "fresh"), FILLED + 1);
    assert_eq!(world.publish("HOT.1", "x"), 1);
    let info = world.api("CONSUMER.INFO.COLD.C", &Value::Null);
    assert_eq!((&info["num_waiting"], &info["num_pending"]), (&json!(1), &json!(FILLED + 1)));
    assert!(pulled.is_empty() && push.is_empty());
    world.dial.check();
    world.dial.release();
    for seq in 1..=FILLED {
        let (one, other) = (pulled.next(), push.next());
        assert_eq!([number(&one.payload), number(&other.payload)], [seq; 2]);
    }
    assert_eq!([pulled.next().payload, push.next().payload], [b"fresh", b"fresh"]);
    for seq in (3..=FILLED).step_by(7) {
        assert_eq!(number(&filtered.next().payload), seq);
    }
}

#[test]
fn what_is_purged_while_it_is_read_is_not_delivered() {
    let mut world = held_back(&Value::Null);
    consumer(&mut world, "C", &Value::Null);
    let pulled = pull(&mut world, "C", 3);
    let waits = world.begin(DIRECT, get(5));
    world.dial.await_waiting(1);
    world.api("STREAM.PURGE.COLD", &Value::Null);
    assert_eq!(world.publish("COLD.9", "after"), FILLED + 1);
    world.dial.release();
    assert_eq!(pulled.next().payload, b"after");
    assert!(waits.next().header.contains("404"));
    assert_eq!(world.publish("COLD.9", "more"), FILLED + 2);
    assert_eq!(pulled.next().payload, b"more");
}

#[test]
fn a_message_that_is_deleted_while_it_is_read_is_passed_over() {
    let mut world = World::new();
    world.stream("COLD", &Value::Null);
    world.fill("COLD", FILLED);
    consumer(&mut world, "C", &Value::Null);
    world.restart();
    world.dial.cool();
    // In memory, but for the first.
    let second = world.request(DIRECT, get(2));
    assert_eq!(seq_of(&second), 2);
    world.dial.hold();
    let pulled = pull(&mut world, "C", 2);
    world.dial.await_waiting(1);
    world.dial.release();
    let delete = json!({ "seq": 2, "no_erase": true });
    world.api("STREAM.MSG.DELETE.COLD", &delete);
    let first = pulled.next();
    assert_eq!(number(&first.payload), 1);
}

#[test]
fn streams_and_consumers_go_while_they_are_read_for() {
    let mut world = held_back(&Value::Null);
    consumer(&mut world, "C", &Value::Null);
    let pulled = pull(&mut world, "C", 1);
    world.dial.await_waiting(1);
    world.api("CONSUMER.DELETE.COLD.C", &Value::Null);
    assert!(pulled.next().header.contains("409 Consumer Deleted"));
    let (waits, behind) = (world.begin(DIRECT, get(300)), world.subscribe("_INBOX.b.>"));
    for n in 0..2 {
        world.send(DIRECT, Some(&format!("_INBOX.b.{n}")), get(400));
    }
    let stored = world.begin("$JS.API.STREAM.MSG.GET.COLD", get(500));
    world.dial.await_waiting(1);
    world.api("STREAM.DELETE.COLD", &Value::Null);
    // Nobody is left without an answer.
    assert!(waits.next().header.contains("404"));
    assert!(behind.next().header.contains("404") && behind.next().header.contains("404"));
    assert_eq!(stored.next().json()["error"]["err_code"], 10059);
    // Its name is free, and what comes back is nobody's.
    world.stream("COLD", &Value::Null);
    assert_eq!(world.publish("COLD.1", "anew"), 1);
    world.dial.check();
    world.dial.release();
    assert_eq!(world.request(DIRECT, get(1)).payload, b"anew");
    assert_eq!(world.messages("COLD"), 1);
}

#[test]
fn a_device_that_fails_is_asked_again() {
    let mut world = held_back(&Value::Null);
    consumer(&mut world, "C", &Value::Null);
    let pulled = pull(&mut world, "C", 1);
    let waits = world.begin(DIRECT, get(5));
    world.dial.await_waiting(1);
    world.dial.fail(true);
    world.dial.release();
    assert!(waits.next().header.contains("404"), "as any read that fails");
    assert!(pulled.is_empty());
    assert_eq!(world.publish("COLD.9", "fresh"), FILLED + 1);
    world.dial.fail(false);
    assert_eq!(number(&pulled.next().payload), 1);
    assert_eq!(number(&world.request(DIRECT, get(5)).payload), 5);
    world.dial.check();
}

#[test]
fn what_was_acknowledged_leaves_once_it_could_be_read() {
    for others in [0, 1] {
        let mut world = World::new();
        world.stream("COLD", &json!({ "retention": "interest" }));
        for n in 0..=others {
            consumer(&mut world, &format!("C{n}"), &Value::Null);
        }
        world.fill("COLD", FILLED);
        let mut acks = Vec::new();
        for n in 0..=others {
            let pulled = pull(&mut world, &format!("C{n}"), 50);
            acks.extend((0..50).map(|_| pulled.next().reply));
        }
        world.restart();
        world.dial.hold();
        for ack in &acks {
            world.request(ack, "");
        }
        world.dial.await_waiting(1);
        assert_eq!(world.publish("COLD.9", "fresh"), FILLED + 1);
        world.dial.check();
        world.dial.release();
        let end = std::time::Instant::now() + PATIENCE;
        while world.messages("COLD") != FILLED - 49 {
            assert!(std::time::Instant::now() < end, "{} messages", world.messages("COLD"));
        }
    }
}

#[test]
fn what_one_acknowledged_who_left_meanwhile_stays_for_the_other() {
    let mut world = World::new();
    world.stream("COLD", &json!({ "retention": "interest" }));
    consumer(&mut world, "A", &Value::Null);
    consumer(&mut world, "B", &Value::Null);
    world.fill("COLD", FILLED);
    let pulled = pull(&mut world, "A", 50);
    let acks: Vec<_> = (0..50).map(|_| pulled.next().reply).collect();
    world.restart();
    world.dial.hold();
    for ack in &acks {
        world.request(ack, "");
    }
    world.dial.await_waiting(1);
    // It looks for what nobody needs any more, for which it has to read, too.
    let deleted = world.begin("$JS.API.CONSUMER.DELETE.COLD.A", "");
    world.dial.release();
    assert_eq!(deleted.next().json()["success"], true);
    let left = pull(&mut world, "B", FILLED);
    for n in 1..=FILLED {
        assert_eq!(number(&left.next().payload), n);
    }
    assert_eq!(world.messages("COLD"), FILLED);
}

#[test]
fn a_consumer_is_made_once_its_beginning_could_be_read() {
    let mut world = held_back(&Value::Null);
    let config = json!({ "durable_name": "T", "deliver_policy": "by_start_time",
        "opt_start_time": "2020-01-01T00:00:00Z", "filter_subject": "COLD.3" });
    let body = json!({ "stream_name": "COLD", "config": config }).to_string();
    let made = world.begin("$JS.API.CONSUMER.CREATE.COLD.T.COLD.3", &body);
    world.dial.await_waiting(1);
    assert_eq!(world.publish("HOT.1", "x"), 1);
    assert_eq!(world.publish("COLD.9", "fresh"), FILLED + 1);
    world.dial.check();
    world.dial.release();
    let made = made.next().json();
    assert_eq!(made["num_pending"], FILLED.div_ceil(7), "{made}");
    let first = pull(&mut world, "T", 1).next();
    assert_eq!(number(&first.payload), 3);
    // One whose stream goes meanwhile.
    world.restart();
    world.dial.hold();
    let made = world.begin("$JS.API.CONSUMER.CREATE.COLD.U.COLD.3", body.replace("\"T\"", "\"U\""));
    world.dial.await_waiting(1);
    world.api("STREAM.DELETE.COLD", &Value::Null);
    assert_eq!(made.next().json()["error"]["err_code"], 10059);
}

/// Messages that are too old, with and without a consumer that hears of each; false if they were
/// gone before the disk was held back.
fn ages(seconds: u64, watched: bool) -> bool {
    let mut world = World::new();
    world.stream("COLD", &json!({ "max_age": seconds * 1_000_000_000 }));
    world.stream("HOT", &Value::Null);
    world.fill("COLD", FILLED);
    if watched {
        consumer(&mut world, "C", &Value::Null);
    }
    world.restart();
    world.dial.hold();
    if world.messages("COLD") < FILLED {
        return false;
    }
    world.dial.await_waiting(1);
    assert_eq!(world.publish("HOT.1", "x"), 1);
    assert_eq!(world.publish("COLD.9", "fresh"), FILLED + 1);
    world.dial.check();
    world.dial.warm();
    world.dial.release();
    let end = std::time::Instant::now() + PATIENCE;
    while world.messages("COLD") > 1 {
        assert!(std::time::Instant::now() < end, "{} messages", world.messages("COLD"));
    }
    true
}

// Contract: RET-001
#[test]
fn what_is_too_old_leaves_once_it_could_be_read() {
    for watched in [false, true] {
        assert!([1, 3, 8].into_iter().any(|seconds| ages(seconds, watched)), "too slow to tell");
    }
}

/// The files with this name below a directory.
fn named(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(named(&entry.path(), name));
        } else if entry.file_name() == name {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn damage_that_a_read_finds_is_noted_at_once() {
    let mut world = World::new();
    world.stream("COLD", &Value::Null);
    world.fill("COLD", FILLED);
    world.restart();
    let block = named(world.dir.path(), "1.blk").remove(0);
    let mut bytes = std::fs::read(&block).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&block, bytes).unwrap();
    let lost = (1..=FILLED).find(|n| world.request(DIRECT, get(*n)).header.contains("404"));
    let lost = lost.unwrap();
    // Nothing is stored or removed that would take it along.
    let end = std::time::Instant::now() + PATIENCE;
    let told = loop {
        assert!(std::time::Instant::now() < end, "{lost} is gone and noted nowhere");
        let texts = named(world.dir.path(), "lost.json");
        let text = texts.first().and_then(|path| std::fs::read_to_string(path).ok());
        if let Some(told) = text.and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
            break told;
        }
    };
    assert_eq!((&told[0]["first"], &told[0]["last"]), (&json!(lost), &json!(lost)), "{told}");
}

#[test]
fn a_server_ends_while_a_read_is_under_way() {
    let mut world = held_back(&Value::Null);
    consumer(&mut world, "C", &Value::Null);
    let _pulled = pull(&mut world, "C", 1);
    let _waits = world.begin(DIRECT, get(300));
    world.dial.await_waiting(1);
    assert_eq!(world.publish("COLD.9", "fresh"), FILLED + 1);
    let dial = world.dial.clone();
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| world.engine.stop());
        dial.release();
        stopping.join().unwrap();
    });
    world.restart();
    assert_eq!(world.messages("COLD"), FILLED + 1);
}

#[test]
fn one_read_serves_all_who_wait_for_it() {
    let mut world = held_back(&Value::Null);
    let before = world.dial.reads();
    let waiting: Vec<Sub> = (0..20).map(|_| world.begin(DIRECT, get(5))).collect();
    world.dial.await_waiting(1);
    assert_eq!(world.publish("HOT.1", "x"), 1);
    world.dial.release();
    waiting.iter().for_each(|sub| assert_eq!(seq_of(&sub.next()), 5));
    let reads = world.dial.reads() - before;
    assert!(reads <= 4, "{reads} reads for 20 who ask for the same");
}

#[test]
fn a_reader_in_sequence_waits_seldom() {
    let mut world = World::new();
    world.stream("COLD", &Value::Null);
    world.fill("COLD", FILLED);
    world.restart();
    world.dial.cool();
    let before = world.dial.reads();
    consumer(&mut world, "C", &json!({ "ack_policy": "none" }));
    let pulled = pull(&mut world, "C", FILLED);
    (1..=FILLED).for_each(|seq| assert_eq!(number(&pulled.next().payload), seq));
    // The block is looked through once; then 600 KiB come in parts of 256.
    let reads = world.dial.reads() - before;
    assert!(reads <= 5, "{reads} reads");
}

#[test]
fn reads_that_wait_now_and_then_change_no_answer() {
    for one_in in [1, 2, 3] {
        let mut world = World::new();
        world.stream("COLD", &json!({ "compression": "s2" }));
        world.fill("COLD", FILLED);
        world.restart();
        world.dial.cool_some(one_in);
        for round in 0..200 {
            let seq = 1 + round * 7919 % FILLED;
            assert_eq!(number(&world.request(DIRECT, get(seq)).payload), seq);
            let last = world.request(&format!("{DIRECT}.COLD.{}", seq % 7), "");
            assert_eq!((seq_of(&last) % 7, seq_of(&last) > FILLED - 7), (seq % 7, true));
        }
        consumer(&mut world, "C", &json!({ "filter_subjects": ["COLD.2", "COLD.5"] }));
        let pulled = pull(&mut world, "C", 100);
        for seq in (1..=FILLED).filter(|seq| [2, 5].contains(&(seq % 7))).take(100) {
            assert_eq!(number(&pulled.next().payload), seq);
        }
    }
}
