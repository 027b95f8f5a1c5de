//! Random histories of every operation against the oracle, reopened in every way.

use std::time::Duration;

use stdx::time::Timestamp;

use super::oracle::{Oracle, Stored};
use crate::disk::sim::SimDisk;
use crate::{
    Cipher, Compression, Deleted, Encryption, FileStore, Filter, NewMessage, Options, SeqSet,
    Settings,
};

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
        let (rng, oracle) = (&mut self.rng, &self.oracle);
        self.now += 1 + rng.below(5) as i64;
        let somewhere = oracle.first_seq()
            + rng.below(oracle.last_seq + 2 - oracle.first_seq().min(oracle.last_seq + 1));
        match rng.below(44) {
            0..=21 => self.append(),
            22 | 23 => self.skip(),
            24..=28 => self.remove(somewhere),
            29 => self.purge(somewhere),
            30 | 31 => self.cut(somewhere),
            n @ 32..=36 => self.tend(n),
            n @ 37..=39 => self.reopen(n),
            40 | 41 => self.replicate(somewhere),
            _ => self.update(),
        }
    }

    fn parts(&mut self) -> (&mut FileStore<SimDisk>, &mut Rng, &mut Oracle) {
        (self.store.as_mut().unwrap(), &mut self.rng, &mut self.oracle)
    }

    fn append(&mut self) -> String {
        let now = self.now;
        let (store, rng, oracle) = self.parts();
        let m = message(rng, now);
        store.append(&NewMessage::new(&m.subject, &m.header, &m.payload), Timestamp(m.ts)).unwrap();
        oracle.append(m);
        "append".into()
    }

    fn skip(&mut self) -> String {
        let now = Timestamp(self.now);
        let (store, rng, oracle) = self.parts();
        let n = rng.below(31);
        if n == 0 {
            store.skip(0, now, false).unwrap();
            oracle.last_seq += 1;
            return "skip".into();
        }
        store.skip_many(0, n, now).unwrap();
        oracle.last_seq += n;
        format!("skip {n}")
    }

    fn remove(&mut self, seq: u64) -> String {
        let (store, rng, oracle) = self.parts();
        let got = if rng.below(2) == 0 { store.remove(seq) } else { store.erase(seq) };
        assert_eq!(got.unwrap_or(false), oracle.messages.remove(&seq).is_some());
        format!("remove {seq}")
    }

    fn purge(&mut self, somewhere: u64) -> String {
        let (store, rng, oracle) = self.parts();
        let filter = rng.pick(&[
            Filter::All,
            Filter::parse(b"a.1"),
            Filter::parse(b"a.*"),
            Filter::parse(b"b.>"),
        ]);
        let (seq, keep) = (rng.pick(&[0, 0, somewhere]), rng.pick(&[0, 0, 2]));
        let keep = if seq > 0 { 0 } else { keep };
        let got = store.purge_filtered(&filter, seq, keep).unwrap();
        assert_eq!(got, oracle.purge(&filter, seq, keep), "purge {filter:?} {seq} {keep}");
        format!("purge {filter:?} {seq} {keep}")
    }

    /// Cuts the beginning or the end off.
    fn cut(&mut self, somewhere: u64) -> String {
        let (store, rng, oracle) = self.parts();
        if rng.below(2) == 0 {
            let seq = somewhere + rng.pick(&[0, 0, 5]);
            assert_eq!(store.compact(seq).unwrap(), oracle.compact(seq), "compact {seq}");
            return format!("compact {seq}");
        }
        let seq = somewhere.min(oracle.last_seq);
        if seq >= oracle.first_seq() && seq > 0 {
            store.truncate(seq).unwrap();
            oracle.truncate(seq);
        }
        format!("truncate {seq}")
    }

    fn tend(&mut self, which: u64) -> String {
        let (store, ..) = self.parts();
        match which {
            32 => store.maintain().map(|_| "maintain"),
            33 | 34 => store.sync().map(|()| "sync"),
            35 => store.checkpoint().map(|()| "checkpoint"),
            _ => store.flush().map(|()| "flush"),
        }
        .unwrap()
        .into()
    }

    fn reopen(&mut self, which: u64) -> String {
        let (store, ..) = self.parts();
        if which == 37 {
            store.flush().unwrap();
            self.open();
            return "kill".into();
        }
        store.close().unwrap();
        self.store = None;
        if which == 38 {
            self.disk.delete("msgs/index.db");
        }
        self.open();
        format!("reopen {which}")
    }

    /// What a follower does: messages with their sequences, and what its leader says is deleted.
    fn replicate(&mut self, somewhere: u64) -> String {
        let now = self.now;
        let (store, rng, oracle) = self.parts();
        if rng.below(2) == 0 {
            let m = message(rng, now);
            let new = NewMessage::new(&m.subject, &m.header, &m.payload);
            let next = oracle.last_seq + 1;
            assert!(store.append_at(&new, next + 1, Timestamp(m.ts), false).is_err());
            store.append_at(&new, next, Timestamp(m.ts), false).unwrap();
            oracle.append(m);
            return format!("append at {next}");
        }
        let num = 1 + rng.below(4);
        let set = SeqSet::from_iter([somewhere + num, somewhere + num + 2]);
        let gone: Vec<u64> = (somewhere..somewhere + num).chain(set.iter()).collect();
        store.sync_deleted(&[Deleted::Run { first: somewhere, num }, Deleted::Set(set)]).unwrap();
        for seq in &gone {
            oracle.messages.remove(seq);
        }
        format!("deleted {gone:?}")
    }

    /// New limits.
    fn update(&mut self) -> String {
        let now = Timestamp(self.now);
        let settings = settings(&mut self.rng);
        self.settings = settings.clone();
        let (store, _, oracle) = self.parts();
        let said = format!("update {settings:?}");
        oracle.update(&settings);
        store.update(settings, now).unwrap();
        said
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
