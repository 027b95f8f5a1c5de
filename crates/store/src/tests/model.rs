//! Random histories of every operation against the oracle, reopened in every way.

use std::time::Duration;

use stdx::time::Timestamp;

use super::oracle::{Oracle, Stored};
use crate::disk::sim::SimDisk;
use crate::{Cipher, Compression, Encryption, FileStore, Filter, NewMessage, Options, Settings};

pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n.max(1)
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}

pub(super) fn settings(rng: &mut Rng) -> Settings {
    Settings {
        name: "S".into(),
        max_msgs: rng.pick(&[None, None, Some(20)]),
        max_bytes: rng.pick(&[None, None, Some(3000)]),
        max_msgs_per_subject: rng.pick(&[None, None, Some(1), Some(3)]),
        ..Settings::default()
    }
}

pub(super) fn options(rng: &mut Rng) -> Options {
    let cipher = rng.pick(&[Cipher::ChaCha, Cipher::Aes]);
    let encryption = Encryption { cipher, key: b"key".to_vec(), previous: None, info: "$G".into() };
    Options {
        block_size: Some(rng.pick(&[300, 700, 2000])),
        compression: rng.pick(&[Compression::None, Compression::None, Compression::S2]),
        encryption: rng.pick(&[None, None, Some(encryption)]),
        column_budget: rng.pick(&[0, 200, 1 << 20]),
        ..Options::default()
    }
}

pub(super) fn message(rng: &mut Rng, now: i64) -> Stored {
    let tree = rng.pick(&["a", "a", "b"]);
    let subject = format!("{tree}.{}", rng.below(6)).into_bytes();
    let header = if rng.below(4) == 0 { b"NATS/1.0\r\nK: v\r\n\r\n".to_vec() } else { vec![] };
    let payload = (0..rng.below(60)).map(|_| rng.below(256) as u8).collect();
    Stored { ts: now, subject, header, payload }
}

pub(super) struct Run {
    pub(super) disk: SimDisk,
    pub(super) settings: Settings,
    pub(super) options: Options,
    pub(super) store: Option<FileStore<SimDisk>>,
    pub(super) oracle: Oracle,
    pub(super) rng: Rng,
    pub(super) now: i64,
}

impl Run {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        rng.below(9);
        let (settings, options) = (settings(&mut rng), options(&mut rng));
        let disk = SimDisk::new(seed);
        let oracle = Oracle::new(&settings);
        let mut run = Self { disk, settings, options, store: None, oracle, rng, now: 1_000 };
        run.open();
        run
    }

    pub(super) fn open(&mut self) {
        self.store = None;
        let (store, _) = FileStore::open(
            self.disk.clone(),
            self.settings.clone(),
            self.options.clone(),
            b"{}",
            Timestamp(self.now),
        )
        .unwrap();
        self.store = Some(store);
    }

    /// One random operation on store and oracle.
    pub(super) fn step(&mut self) -> String {
        let store = self.store.as_mut().unwrap();
        let (rng, oracle) = (&mut self.rng, &mut self.oracle);
        self.now += 1 + rng.below(5) as i64;
        let somewhere = oracle.first_seq()
            + rng.below(oracle.last_seq + 2 - oracle.first_seq().min(oracle.last_seq + 1));
        let filter = rng.pick(&[
            Filter::All,
            Filter::parse(b"a.1"),
            Filter::parse(b"a.*"),
            Filter::parse(b"b.>"),
        ]);
        match rng.below(40) {
            0..=21 => {
                let m = message(rng, self.now);
                store
                    .append(&NewMessage::new(&m.subject, &m.header, &m.payload), Timestamp(m.ts))
                    .unwrap();
                oracle.append(m);
                "append".into()
            }
            22 => {
                store.skip(0, Timestamp(self.now), false).unwrap();
                oracle.last_seq += 1;
                "skip".into()
            }
            23 => {
                let n = 1 + rng.below(30);
                store.skip_many(0, n, Timestamp(self.now)).unwrap();
                oracle.last_seq += n;
                format!("skip {n}")
            }
            24..=28 => {
                let got = if rng.below(2) == 0 {
                    store.remove(somewhere)
                } else {
                    store.erase(somewhere)
                };
                assert_eq!(got.unwrap_or(false), oracle.messages.remove(&somewhere).is_some());
                format!("remove {somewhere}")
            }
            29 => {
                let (seq, keep) = (rng.pick(&[0, 0, somewhere]), rng.pick(&[0, 0, 2]));
                let keep = if seq > 0 { 0 } else { keep };
                let got = store.purge_filtered(&filter, seq, keep).unwrap();
                assert_eq!(got, oracle.purge(&filter, seq, keep), "purge {filter:?} {seq} {keep}");
                format!("purge {filter:?} {seq} {keep}")
            }
            30 => {
                let seq = somewhere + rng.pick(&[0, 0, 5]);
                assert_eq!(store.compact(seq).unwrap(), oracle.compact(seq), "compact {seq}");
                format!("compact {seq}")
            }
            31 => {
                let seq = somewhere.min(oracle.last_seq);
                if seq >= oracle.first_seq() && seq > 0 {
                    store.truncate(seq).unwrap();
                    oracle.truncate(seq);
                }
                format!("truncate {seq}")
            }
            32 => {
                store.maintain().unwrap();
                "maintain".into()
            }
            33 | 34 => {
                store.sync().unwrap();
                "sync".into()
            }
            35 => {
                store.checkpoint().unwrap();
                "checkpoint".into()
            }
            36 => {
                store.close().unwrap();
                self.open();
                "reopen".into()
            }
            37 => {
                store.close().unwrap();
                self.store = None;
                self.disk.delete("msgs/index.db");
                self.open();
                "reopen without index".into()
            }
            38 => {
                store.flush().unwrap();
                self.open();
                "kill".into()
            }
            _ => {
                store.flush().unwrap();
                "flush".into()
            }
        }
    }
}

fn cases() -> u64 {
    std::env::var("STORE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(150)
}

// Contract: RET-001, RET-002, RET-009, RET-012, RET-014, FSTORE-004, FSTORE-005, FSTORE-013, FSTORE-020, FSTORE-021
#[test]
fn random_histories_agree_with_the_oracle() {
    let first = std::env::var("STORE_SEED").ok().and_then(|n| n.parse().ok());
    let every = if first.is_some() { 1 } else { 5 };
    for seed in first.unwrap_or(1)..=first.unwrap_or_else(cases) {
        let mut run = Run::new(seed);
        let mut history = Vec::new();
        for step in 0..60 {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let what = run.step();
                if step % every == 0 {
                    run.oracle.compare(run.store.as_mut().unwrap(), &format!("after {what}"));
                }
                what
            }));
            match result {
                Ok(what) => history.push(what),
                Err(panic) => {
                    eprintln!(
                        "seed {seed} step {step} {:?} {:?}\n{history:?}",
                        run.settings, run.options
                    );
                    std::panic::resume_unwind(panic);
                }
            }
        }
        finish(run, seed, &history);
    }
}

fn finish(mut run: Run, seed: u64, history: &[String]) {
    let context =
        format!("at the end of seed {seed} {:?} {:?} {history:?}", run.settings, run.options);
    assert_eq!(run.store.as_ref().unwrap().rescans(), 0, "{context}");
    run.store.as_mut().unwrap().close().unwrap();
    run.open();
    run.oracle.compare(run.store.as_mut().unwrap(), &context);
    run.store.as_mut().unwrap().close().unwrap();
    run.store = None;
    run.disk.delete("msgs/index.db");
    run.open();
    run.oracle.compare(run.store.as_mut().unwrap(), &format!("without index {context}"));
    assert!(run.store.as_ref().unwrap().lost().is_empty(), "nothing lost {context}");
}

#[test]
fn ages_expire_oldest_first() {
    let settings = Settings {
        name: "S".into(),
        max_age: Some(Duration::from_nanos(100)),
        ..Settings::default()
    };
    let options = Options { block_size: Some(200), ..Options::default() };
    let (mut store, _) =
        FileStore::open(SimDisk::new(1), settings, options, b"{}", Timestamp(0)).unwrap();
    for ts in 1..=20 {
        store.append(&NewMessage::new(b"s", b"", b"0123456789"), Timestamp(ts * 10)).unwrap();
    }
    assert_eq!(store.next_expiry(), Some(Timestamp(110)));
    store.expire(Timestamp(205)).unwrap();
    assert_eq!(store.state().first_seq, 11);
    store.expire(Timestamp(1000)).unwrap();
    let state = store.state();
    assert_eq!((state.msgs, state.first_seq, state.last_seq), (0, 21, 20));
}
