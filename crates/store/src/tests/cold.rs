//! Reads that would wait for the disk: handed out, run at any time, and what changes meanwhile.

use stdx::time::Timestamp;

use super::model::{Rng, Run};
use super::oracle::Oracle;
use crate::disk::sim::SimDisk;
use crate::{
    Cipher, ColdRead, Encryption, Error, Fetched, FileStore, Filter, Message, NewMessage, Options,
    Settings,
};

type Store = FileStore<SimDisk>;

fn open(disk: &SimDisk, options: &Options) -> Store {
    let settings = Settings { name: "S".into(), ..Settings::default() };
    FileStore::open(disk.clone(), settings, options.clone(), b"{}", Timestamp(1)).unwrap().0
}

fn put(store: &mut Store, n: usize) {
    for _ in 0..n {
        store.append(&NewMessage::new(b"a.b", b"", &[7; 100]), Timestamp(2)).unwrap();
    }
}

fn small_blocks() -> Options {
    Options { block_size: Some(2000), ..Options::default() }
}

/// What is answered without waiting, or the read it takes.
fn ask<T>(
    store: &mut Store,
    question: impl FnOnce(&mut Store) -> crate::Result<T>,
) -> Result<crate::Result<T>, ColdRead<SimDisk>> {
    store.defer_reads(true);
    let answer = question(store);
    store.defer_reads(false);
    match answer {
        Err(Error::Cold(_)) => Err(store.take_cold().expect("what is cold can be read")),
        answer => Ok(answer),
    }
}

fn cold(store: &mut Store, seq: u64) -> ColdRead<SimDisk> {
    ask(store, |s| s.load(seq)).expect_err("it is cold")
}

/// Asks again each time a read came back; returns how many it took.
fn patiently<T>(
    store: &mut Store,
    question: impl Fn(&mut Store) -> crate::Result<T>,
) -> (crate::Result<T>, usize) {
    for reads in 0..100 {
        match ask(store, &question) {
            Ok(answer) => return (answer, reads),
            Err(read) => {
                store.complete_read(read.run());
            }
        }
    }
    panic!("it gets no further");
}

#[test]
fn cold_reads_are_handed_out_and_come_back() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, &small_blocks());
    put(&mut store, 60);
    store.sync().unwrap();
    disk.set_cold(16);
    let mut reads = 0;
    for seq in [1, 2, 40, 17, 60, 59, 3, 30] {
        let message = match ask(&mut store, |s| s.load(seq)) {
            Ok(message) => message.unwrap(),
            Err(read) => {
                reads += 1;
                let fetched = read.run();
                // The store moves on while the disk works.
                put(&mut store, 1);
                store.complete_read(fetched);
                let again = ask(&mut store, |s| s.load(seq));
                again.unwrap_or_else(|_| panic!("what came back serves {seq}")).unwrap()
            }
        };
        assert_eq!((message.seq, message.payload.len()), (seq, 100));
    }
    assert!(reads >= 4, "{reads} cold reads");
    put(&mut store, 60);
    store.sync().unwrap();
    let fetched = cold(&mut store, 100).run();
    store.remove(100).unwrap();
    store.complete_read(fetched);
    assert!(matches!(ask(&mut store, |s| s.load(100)), Ok(Err(Error::NotFound))));
}

#[test]
fn a_reader_in_sequence_waits_once_for_many() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, &Options::default());
    put(&mut store, 5_000);
    store.close().unwrap();
    let mut store = open(&disk, &Options::default());
    disk.set_cold(16);
    let mut reads = 0;
    for seq in 1..=5_000 {
        let (message, more) = patiently(&mut store, |s| s.next(&Filter::All, seq));
        assert_eq!(message.unwrap().unwrap().seq, seq);
        reads += more;
    }
    // 133 bytes a record: 256 KiB hold 1,970; and the block is looked through once.
    assert!(reads <= 6, "{reads} reads");
}

#[test]
fn whole_blocks_are_read_by_jobs_too() {
    let sealed =
        |cipher| Encryption { cipher, key: b"one".to_vec(), previous: None, info: "$G".into() };
    for encryption in [None, Some(sealed(Cipher::Aes)), Some(sealed(Cipher::ChaCha))] {
        let disk = SimDisk::new(1);
        let options = Options { compression: crate::Compression::S2, encryption, ..small_blocks() };
        let mut store = open(&disk, &options);
        put(&mut store, 60);
        store.close().unwrap();
        drop(store);
        // From its index: no block was looked at yet.
        let mut store = open(&disk, &options);
        disk.set_cold(16);
        let (message, reads) = patiently(&mut store, |s| s.load(5));
        assert_eq!((message.unwrap().seq, reads > 0), (5, true));
        assert!(ask(&mut store, |s| s.load(6)).is_ok(), "the same block");
        // The block is written anew while the job reads.
        let fetched = cold(&mut store, 30).run();
        for seq in 27..40 {
            assert!(seq == 30 || store.remove(seq).unwrap());
        }
        while store.maintain().unwrap() > 0 {}
        store.complete_read(fetched);
        let (message, _) = patiently(&mut store, |s| s.load(30));
        assert_eq!(message.unwrap().seq, 30);
        assert_eq!((store.rescans(), store.lost().len()), (0, 0));
    }
}

#[test]
fn one_message_costs_one_small_read() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, &Options::default());
    put(&mut store, 20_000);
    store.sync().unwrap();
    disk.set_cold(16);
    let bytes = cold(&mut store, 10).bytes().unwrap();
    assert!(bytes <= 8192, "{bytes} bytes for a record of 133");
}

#[test]
fn a_read_that_fails_is_told_once_and_tried_again() {
    for compression in [crate::Compression::None, crate::Compression::S2] {
        let disk = SimDisk::new(1);
        let options = Options { compression, ..small_blocks() };
        let mut store = open(&disk, &options);
        put(&mut store, 60);
        store.close().unwrap();
        let mut store = open(&disk, &options);
        disk.set_cold(16);
        disk.set_unreadable(true);
        let fetched = cold(&mut store, 5).run();
        store.complete_read(fetched);
        let failed = ask(&mut store, |s| s.load(5));
        assert!(matches!(failed, Ok(Err(Error::Io { .. }))), "as a read that waits");
        disk.set_unreadable(false);
        assert_eq!(patiently(&mut store, |s| s.load(5)).0.unwrap().seq, 5);
        assert_eq!((store.rescans(), store.lost().len()), (0, 0));
    }
}

#[test]
fn damage_that_a_deferred_read_finds_is_healed_as_ever() {
    for compression in [crate::Compression::None, crate::Compression::S2] {
        let disk = SimDisk::new(1);
        let options = Options { compression, ..small_blocks() };
        let mut store = open(&disk, &options);
        put(&mut store, 60);
        store.close().unwrap();
        let mut bytes = disk.content("msgs/1.blk");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        disk.put("msgs/1.blk", &bytes);
        let mut store = open(&disk, &options);
        disk.set_cold(16);
        let before = store.state().msgs;
        for seq in 1..=60 {
            let _ = patiently(&mut store, |s| s.load(seq));
        }
        assert!(store.rescans() > 0 && store.state().msgs < before, "{compression:?}");
        assert!(!store.lost().is_empty());
    }
}

/// A question, and the oracle's answer at the time of the store's.
#[derive(Clone, Debug)]
enum Question {
    Load(u64),
    Next(Filter, u64),
    Prev(Filter, u64),
    Pending(Filter, u64),
    Lasts(Filter),
}

impl Question {
    fn random(rng: &mut Rng, last: u64) -> Self {
        let filters = [
            Filter::All,
            Filter::parse(b"a.1"),
            Filter::parse(b"*.3"),
            Filter::any_of([&b"a.2"[..], b"b.1"]),
        ];
        let (filter, seq) = (rng.pick(&filters), rng.below(last + 2));
        match rng.below(7) {
            0 | 1 => Self::Load(seq),
            2 | 3 => Self::Next(filter, seq),
            4 => Self::Prev(filter, seq),
            5 => Self::Pending(filter, seq),
            _ => Self::Lasts(filter),
        }
    }

    fn put(&self, store: &mut Store) -> crate::Result<Vec<u64>> {
        let seq = |found: Option<Message>| found.map(|m| m.seq).into_iter().collect();
        match self {
            Self::Load(at) => match store.load(*at) {
                Ok(m) => Ok(vec![m.seq, m.ts.0 as u64]),
                Err(Error::NotFound | Error::Eof) => Ok(vec![]),
                Err(e) => Err(e),
            },
            Self::Next(filter, from) => store.next(filter, *from).map(seq),
            Self::Prev(filter, from) => store.prev(filter, *from).map(seq),
            Self::Pending(filter, from) => store.num_pending(filter, *from, false).map(|n| vec![n]),
            Self::Lasts(filter) => store.multi_last(filter, 0, 0),
        }
    }

    fn truth(&self, oracle: &Oracle) -> Vec<u64> {
        let one = |found: Option<&u64>| found.copied().into_iter().collect();
        match self {
            Self::Load(at) => oracle.messages.get(at).map_or(vec![], |m| vec![*at, m.ts as u64]),
            Self::Next(filter, from) => one(oracle.matching(filter).iter().find(|s| *s >= from)),
            Self::Prev(filter, from) => one(oracle.matching(filter).iter().rfind(|s| *s <= from)),
            Self::Pending(filter, from) => {
                vec![oracle.matching(filter).iter().filter(|s| *s >= from).count() as u64]
            }
            Self::Lasts(filter) => {
                let mut last = std::collections::BTreeMap::new();
                for seq in oracle.matching(filter) {
                    last.insert(oracle.messages[&seq].subject.clone(), seq);
                }
                let mut seqs: Vec<u64> = last.into_values().collect();
                seqs.sort_unstable();
                seqs
            }
        }
    }
}

enum Stage {
    Reads(ColdRead<SimDisk>),
    Back(Fetched<SimDisk>),
}

/// Questions under way.
#[derive(Default)]
struct Readers {
    waiting: Vec<(Question, Stage, u32)>,
    deferred: u64,
}

impl Readers {
    fn tend(&mut self, run: &mut Run) {
        let (store, oracle, rng) = (run.store.as_mut().unwrap(), &run.oracle, &mut run.rng);
        if self.waiting.len() < 4 {
            let question = Question::random(rng, oracle.last_seq);
            self.go_on(question, 0, store, oracle);
        }
        for _ in 0..rng.below(4) {
            if self.waiting.is_empty() {
                break;
            }
            let at = rng.below(self.waiting.len() as u64) as usize;
            let (question, stage, tries) = self.waiting.swap_remove(at);
            match stage {
                Stage::Reads(read) => {
                    self.waiting.push((question, Stage::Back(read.run()), tries));
                }
                Stage::Back(fetched) => {
                    store.complete_read(fetched);
                    self.go_on(question, tries + 1, store, oracle);
                    store.forget_read();
                }
            }
        }
    }

    fn go_on(&mut self, question: Question, tries: u32, store: &mut Store, oracle: &Oracle) {
        // With hardly any room for columns a question over many blocks gets nowhere.
        let asked =
            if tries < 30 { ask(store, |s| question.put(s)) } else { Ok(question.put(store)) };
        match asked {
            Ok(answer) => {
                assert_eq!(answer.unwrap(), question.truth(oracle), "{question:?} after {tries}");
            }
            Err(read) => {
                self.deferred += 1;
                self.waiting.push((question, Stage::Reads(read), tries));
            }
        }
    }
}

#[test]
fn questions_that_wait_for_the_disk_are_answered_as_things_are_then() {
    let first = std::env::var("STORE_SEED").ok().and_then(|n| n.parse().ok());
    let cases = std::env::var("STORE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let mut deferred = 0;
    for seed in first.unwrap_or(1)..=first.unwrap_or(cases) {
        let mut run = Run::new(seed);
        let chance = run.rng.pick(&[4, 12, 16]);
        run.disk.set_cold(chance);
        let (mut readers, mut history, mut rescans) = (Readers::default(), Vec::new(), 0);
        for _ in 0..80 {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let what = run.step();
                if what == "kill" || what.starts_with("reopen") {
                    readers.waiting.clear();
                    rescans = run.store.as_ref().unwrap().rescans();
                }
                readers.tend(&mut run);
                what
            }));
            match result {
                Ok(what) => history.push(what),
                Err(panic) => {
                    eprintln!("seed {seed} {:?} {:?}\n{history:?}", run.settings, run.options);
                    std::panic::resume_unwind(panic);
                }
            }
        }
        let store = run.store.as_mut().unwrap();
        assert_eq!((store.rescans(), store.lost().len()), (rescans, 0), "seed {seed} {history:?}");
        run.oracle.compare(store, &format!("seed {seed}"));
        deferred += readers.deferred;
    }
    assert!(first.is_some() || deferred > 10 * cases, "{deferred} reads were deferred");
}
