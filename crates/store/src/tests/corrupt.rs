//! Small stores with every byte flipped, every length cut, every file taken away.
//!
//! In each case the store opens or says why not, what it returns is what was stored, everything
//! outside the record that was hit is still there, and what is missing is reported.

use std::collections::BTreeMap;

use stdx::time::Timestamp;

use super::oracle::Stored;
use crate::disk::sim::SimDisk;
use crate::hash::HashKey;
use crate::record::Record;
use crate::{
    AckPolicy, Cipher, Compression, ConsumerFile, ConsumerState, Encryption, Error, FileStore,
    Filter, NewMessage, Options, SequencePair, Settings,
};

struct Sample {
    disk: SimDisk,
    settings: Settings,
    options: Options,
    messages: BTreeMap<u64, Stored>,
    last_seq: u64,
}

fn sample(options: Options) -> Sample {
    sample_left(options, false)
}

/// The same, killed before there was any index.
fn killed(options: Options) -> Sample {
    sample_left(options, true)
}

fn sample_left(options: Options, killed: bool) -> Sample {
    let settings = Settings {
        name: "S".into(),
        allow_msg_ttl: true,
        allow_schedules: true,
        ..Settings::default()
    };
    let disk = SimDisk::new(3);
    let mut messages = BTreeMap::new();
    let (mut store, _) =
        FileStore::open(disk.clone(), settings.clone(), options.clone(), b"{}", Timestamp(1))
            .unwrap();
    for i in 1..=14u64 {
        let m = Stored {
            ts: i as i64 * 10,
            subject: format!("sx.{}", i % 13).into_bytes(),
            header: match i {
                5 => format!("NATS/1.0\r\nNats-TTL: {TTL}\r\n\r\n").into_bytes(),
                _ if i % 3 == 0 => b"NATS/1.0\r\nA: b\r\n\r\n".to_vec(),
                _ => vec![],
            },
            payload: vec![i as u8; 20],
        };
        let ttl = if i == 5 { TTL } else { 0 };
        let new = NewMessage { ttl, ..NewMessage::new(&m.subject, &m.header, &m.payload) };
        store.append(&new, Timestamp(m.ts)).unwrap();
        messages.insert(i, m);
    }
    for seq in [2, 8] {
        store.remove(seq).unwrap();
        messages.remove(&seq);
    }
    let disk = if killed {
        store.flush().unwrap();
        disk.copy()
    } else {
        store.close().unwrap();
        disk
    };
    let encryption = options.encryption.as_ref();
    let (file, _) = ConsumerFile::open(disk.clone(), "S", "C", b"{}", encryption).unwrap();
    file.write_state(&progress(), Timestamp(500)).unwrap();
    Sample { disk, settings, options, messages, last_seq: 14 }
}

/// Seconds that a message lives.
const TTL: i64 = 1_000_000;

/// A consumer that was given everything, and acknowledged some.
fn progress() -> ConsumerState {
    let mut state = ConsumerState::default();
    for i in 1..=14 {
        let at = SequencePair { consumer: i, stream: i };
        state.deliver(AckPolicy::Explicit, None, at, 1, Timestamp(1_000_000_000)).unwrap();
    }
    for i in [1, 2, 3, 6] {
        let at = SequencePair { consumer: i, stream: i };
        state.acknowledge(AckPolicy::Explicit, at).unwrap();
    }
    state
}

fn variants() -> Vec<(&'static str, Options)> {
    let base = Options { block_size: Some(300), ..Options::default() };
    let encryption =
        |cipher| Some(Encryption { cipher, key: b"k".to_vec(), previous: None, info: "$G".into() });
    vec![
        ("plain", base.clone()),
        ("compressed", Options { compression: Compression::S2, ..base.clone() }),
        ("chacha", Options { encryption: encryption(Cipher::ChaCha), ..base.clone() }),
        (
            "aes",
            Options { encryption: encryption(Cipher::Aes), compression: Compression::S2, ..base },
        ),
    ]
}

impl Sample {
    /// Opens a damaged copy and holds it against what was stored.
    ///
    /// Returns how many messages are missing; every one of them is reported.
    fn judge(&self, disk: &SimDisk, context: &str) -> usize {
        let before: Vec<(String, Vec<u8>)> =
            disk.paths().into_iter().map(|p| (p.clone(), disk.content(&p))).collect();
        let opened = FileStore::open(
            disk.clone(),
            self.settings.clone(),
            self.options.clone(),
            b"{}",
            Timestamp(500),
        );
        let mut store = match opened {
            Ok((store, _)) => store,
            Err(e) => {
                let clear = matches!(
                    e,
                    Error::WrongKey(_) | Error::BadKeyFile(_) | Error::NoKey | Error::MissingKey(_)
                );
                assert!(clear, "{context}: {e}");
                for (path, bytes) in before {
                    assert_eq!(disk.content(&path), bytes, "{context}: {path} was touched");
                }
                return 0;
            }
        };
        let mut missing = 0;
        for seq in 0..=self.last_seq + 1 {
            match (store.load(seq), self.messages.get(&seq)) {
                (Ok(got), Some(want)) => {
                    let same = got.ts.0 == want.ts
                        && got.subject == want.subject
                        && got.header == want.header
                        && got.payload == want.payload;
                    assert!(same, "{context}: {seq} reads as something else: {got:?}");
                }
                (Ok(got), None) => panic!("{context}: {seq} is back: {got:?}"),
                (Err(_), Some(_)) => missing += 1,
                (Err(_), None) => {}
            }
        }
        // Asked again after everything was read: nothing else gave way, and totals agree.
        store.check();
        if store.load(5).is_ok() {
            let due = Timestamp(50 + TTL * 1_000_000_000);
            assert_eq!(store.next_expiry(), Some(due), "{context}: the wheel");
        }
        let mut present = 0;
        let mut from = 0;
        while let Some(m) = store.next(&Filter::All, from).unwrap() {
            from = m.seq + 1;
            present += 1;
        }
        assert_eq!(present, self.messages.len() - missing, "{context}");
        assert_eq!(store.state().last_seq, self.last_seq, "{context}: last sequence");
        let gone: Vec<u64> =
            self.messages.keys().copied().filter(|&s| store.load(s).is_err()).collect();
        for seq in gone {
            let reported =
                store.lost().iter().any(|l| l.seqs.as_ref().is_some_and(|r| r.contains(&seq)));
            assert!(
                reported,
                "{context}: {seq} is missing and not reported, lost {:?}",
                store.lost()
            );
        }
        let next = store.append(&NewMessage::new(b"s.new", b"", b""), Timestamp(600)).unwrap();
        assert_eq!(next.seq, self.last_seq + 1, "{context}");
        store.close().unwrap();
        missing
    }

    /// What the next start says was lost.
    fn told(&self, disk: &SimDisk) -> String {
        let (settings, options) = (self.settings.clone(), self.options.clone());
        let (mut store, _) =
            FileStore::open(disk.clone(), settings, options, b"{}", Timestamp(700)).unwrap();
        store.close().unwrap();
        format!("{:?}", store.lost())
    }

    /// The last sequence that the next start finds.
    fn judge_next(&self, disk: &SimDisk) -> u64 {
        let (settings, options) = (self.settings.clone(), self.options.clone());
        let (store, _) =
            FileStore::open(disk.clone(), settings, options, b"{}", Timestamp(700)).unwrap();
        store.state().last_seq
    }

    /// A consumer is what it was, or begins again and says so.
    fn judge_consumer(&self, disk: &SimDisk, context: &str) {
        let encryption = self.options.encryption.as_ref();
        match ConsumerFile::open(disk.clone(), "S", "C", b"{}", encryption) {
            Ok((file, Some(state))) => {
                assert_eq!(state, progress(), "{context}");
                assert!(file.setback().is_none_or(|s| s.from_copy), "{context}");
            }
            // With both its files gone it is a new one.
            Ok((file, None)) => {
                let gone = ["o.dat", "o.own"].map(|f| disk.content(&format!("obs/C/{f}")));
                let none = gone.iter().all(Vec::is_empty);
                assert!(none || file.setback().is_some_and(|s| !s.from_copy), "{context}");
            }
            Err(e) => {
                let clear = matches!(
                    e,
                    Error::WrongKey(_) | Error::BadKeyFile(_) | Error::NoKey | Error::MissingKey(_)
                );
                assert!(clear, "{context}: {e}");
            }
        }
    }
}

// Contract: FSTORE-009
#[test]
fn every_flipped_byte_is_confined() {
    for (name, options) in variants() {
        let s = sample(options);
        for path in s.disk.paths() {
            let bytes = s.disk.content(&path);
            for at in 0..bytes.len() {
                let bits =
                    if path.ends_with(".blk") { vec![at % 8, (at + 3) % 8] } else { vec![at % 8] };
                for bit in bits {
                    let disk = s.disk.copy();
                    let mut bad = bytes.clone();
                    bad[at] ^= 1 << bit;
                    disk.put(&path, &bad);
                    let context = format!("{name} {path} byte {at} bit {bit}");
                    if path.starts_with("obs/") {
                        s.judge_consumer(&disk, &context);
                        continue;
                    }
                    let missing = s.judge(&disk, &context);
                    let most = if !path.ends_with(".blk") {
                        if path.ends_with(".key") { 7 } else { 0 }
                    } else if s.options.compression == Compression::S2 {
                        7
                    } else {
                        1
                    };
                    assert!(missing <= most, "{context}: {missing} messages went");
                }
            }
        }
    }
}

// The length of a subject is not hashed: shortened by one, `sx.12` is another subject of the stream.
#[test]
fn shifted_subjects_are_told_without_an_index() {
    for (name, options) in variants() {
        if name != "plain" {
            continue;
        }
        let s = sample(options);
        s.disk.delete("msgs/index.db");
        let mut shifted = 0;
        for path in s.disk.paths().into_iter().filter(|p| p.ends_with(".blk")) {
            let bytes = s.disk.content(&path);
            let mut at = 0;
            while let Some(record) = bytes.get(at..).and_then(Record::parse) {
                let next = at + record.len();
                if record.subject().len() == 5 && !record.has_header() {
                    let disk = s.disk.copy();
                    let mut bad = bytes.clone();
                    bad[at + 20] ^= 1;
                    disk.put(&path, &bad);
                    assert!(Record::verify(&bad[at..], &HashKey::new(&key_name(&path))).is_some());
                    s.judge(&disk, &format!("{path} record at {at}"));
                    shifted += 1;
                }
                at = next;
            }
        }
        assert!(shifted > 1, "{shifted}");
    }
}

fn key_name(path: &str) -> String {
    let number = path.trim_start_matches("msgs/").trim_end_matches(".blk");
    format!("S-{number}")
}

// Contract: FSTORE-008
// Contract: FSTORE-025
#[test]
fn every_cut_length_is_confined() {
    for (name, options) in variants() {
        let s = sample(options);
        for path in s.disk.paths() {
            let bytes = s.disk.content(&path);
            for len in 0..bytes.len() {
                let disk = s.disk.copy();
                disk.put(&path, &bytes[..len]);
                let context = format!("{name} {path} cut to {len}");
                if path.starts_with("obs/") {
                    s.judge_consumer(&disk, &context);
                } else {
                    s.judge(&disk, &context);
                }
            }
        }
    }
}

// Contract: FSTORE-010
#[test]
fn every_missing_file_is_reported() {
    for (name, options) in variants() {
        let s = sample(options);
        for path in s.disk.paths() {
            let disk = s.disk.copy();
            disk.delete(&path);
            let context = format!("{name} without {path}");
            s.judge(&disk, &context);
            s.judge_consumer(&disk, &context);
        }
    }
}

// Contract: FSTORE-010
#[test]
fn every_two_missing_files_are_reported() {
    for (name, options) in variants() {
        let s = sample(options);
        let paths = s.disk.paths();
        for (i, one) in paths.iter().enumerate() {
            for other in paths.iter().skip(i + 1) {
                let disk = s.disk.copy();
                disk.delete(one);
                disk.delete(other);
                let context = format!("{name} without {one} and {other}");
                s.judge(&disk, &context);
                s.judge_consumer(&disk, &context);
            }
        }
    }
}

// Contract: FSTORE-010
#[test]
fn sealed_blocks_that_go_before_there_is_an_index_are_reported() {
    for (name, options) in variants() {
        let s = killed(options);
        let has_shape = |p: &String| {
            p.ends_with(".blk") && !s.disk.content(&p.replace(".blk", ".len")).is_empty()
        };
        let sealed: Vec<String> = s.disk.paths().into_iter().filter(has_shape).collect();
        assert!(sealed.len() > 2 && !s.disk.paths().iter().any(|p| p.contains("index")));
        let harm = |disk: &SimDisk, path: &str, empty: bool| {
            if empty { disk.put(path, b"") } else { disk.delete(path) }
        };
        for (i, one) in sealed.iter().enumerate() {
            for other in &sealed[i..] {
                for empty in [false, true] {
                    let disk = s.disk.copy();
                    harm(&disk, one, empty);
                    if other != one {
                        harm(&disk, other, !empty);
                    }
                    let context = format!("{name} without {one} and {other}, first empty {empty}");
                    assert!(s.judge(&disk, &context) > 0, "{context}");
                    let told = s.told(&disk);
                    assert_eq!(told, s.told(&disk), "{context}: told twice");
                    let whole = |p: &&String| *p != one && *p != other;
                    for kept in sealed.iter().filter(whole) {
                        assert!(!told.contains(&format!("\"{kept}\"")), "{context}: {told}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_sequences_of_missing_last_blocks_are_not_given_again() {
    for (name, options) in variants() {
        let s = killed(options);
        let blocks: Vec<String> =
            s.disk.paths().into_iter().filter(|p| p.ends_with(".blk")).collect();
        let shaped = |p: &String| !s.disk.content(&p.replace(".blk", ".len")).is_empty();
        let disk = s.disk.copy();
        blocks.iter().for_each(|p| disk.delete(p));
        let (settings, options) = (s.settings.clone(), s.options.clone());
        let (store, _) =
            FileStore::open(disk.clone(), settings, options, b"{}", Timestamp(500)).unwrap();
        // Of the tail only consumers know.
        assert_eq!(store.state().last_seq, s.last_seq, "{name}");
        assert!(store.lost().len() >= blocks.iter().filter(|p| shaped(p)).count(), "{name}");
    }
}

#[test]
fn a_store_without_blocks_and_index_keeps_its_sequences() {
    for (name, options) in variants() {
        let s = sample(options);
        let paths = s.disk.paths();
        let is_ours = |p: &&String| p.ends_with("index.own");
        // What our own file says, or what a consumer was given.
        for own in [true, false] {
            let disk = s.disk.copy();
            let kept = |p: &&String| !p.starts_with("msgs/") || (own && is_ours(p));
            paths.iter().filter(|p| !kept(p)).for_each(|p| disk.delete(p));
            let context = format!("{name}, our own file there: {own}");
            assert_eq!(s.judge(&disk, &context), s.messages.len(), "{context}");
            // And again by whoever opens it next.
            assert_eq!(s.judge_next(&disk), s.last_seq + 1, "{context}");
        }
    }
}

// Contract: FSTORE-010
#[test]
fn a_lost_block_is_reported_with_the_sequences_it_held() {
    for (name, options) in variants() {
        let settings = Settings { name: "S".into(), ..Settings::default() };
        let disk = SimDisk::new(3);
        let open = |disk: &SimDisk| {
            let (settings, options) = (settings.clone(), options.clone());
            FileStore::open(disk.clone(), settings, options, b"{}", Timestamp(1)).unwrap().0
        };
        let mut store = open(&disk);
        for i in 1..=30u64 {
            if i % 7 == 0 {
                store.skip_many(0, 5, Timestamp(i as i64)).unwrap();
            }
            store.append(&NewMessage::new(b"s.a", b"", &[i as u8; 30]), Timestamp(1)).unwrap();
        }
        // One that is written anew, without what was removed from it.
        for seq in [1, 2] {
            store.remove(seq).unwrap();
        }
        while store.maintain().unwrap() > 0 {}
        // Some that a later tombstone removed.
        for seq in [5, 11, 12, 20] {
            store.remove(seq).unwrap();
        }
        store.sync().unwrap();
        let all: Vec<u64> =
            (1..=store.state().last_seq).filter(|&s| store.load(s).is_ok()).collect();
        let last = store.state().last_seq;
        drop(store);
        assert!(!disk.paths().iter().any(|p| p.contains("index")));
        let sealed: Vec<String> =
            disk.paths().into_iter().filter(|p| p.ends_with(".len")).collect();
        assert!(sealed.len() > 4, "{name}");
        for shape in &sealed {
            let disk = disk.copy();
            disk.delete(&shape.replace(".len", ".blk"));
            let mut store = open(&disk);
            let told: Vec<u64> =
                store.lost().iter().flat_map(|lost| lost.seqs.clone().unwrap()).collect();
            let gone: Vec<u64> = all.iter().copied().filter(|&s| store.load(s).is_err()).collect();
            assert_eq!(told, gone, "{name} {shape}");
            assert!(!gone.is_empty(), "{name} {shape}");
            assert_eq!(store.state().last_seq, last, "{name}");
        }
        // The last ones together: their sequences are not given again.
        let end = sealed.iter().map(|p| number(p)).max().unwrap();
        let disk = disk.copy();
        for path in disk.paths().iter().filter(|p| p.ends_with(".blk") && number(p) + 1 >= end) {
            disk.delete(path);
        }
        let mut store = open(&disk);
        let known = store.state().last_seq;
        let gone: Vec<u64> =
            all.iter().copied().filter(|&s| s <= known && store.load(s).is_err()).collect();
        let lost = store.lost().to_vec();
        let told = |s: &u64| lost.iter().any(|l| l.seqs.as_ref().unwrap().contains(s));
        assert!(gone.len() > 4 && gone.iter().all(told), "{name}: {gone:?} {lost:?}");
    }
}

fn number(path: &str) -> u32 {
    let name = path.trim_start_matches("msgs/");
    name.split('.').next().unwrap().parse().unwrap()
}
