//! Cost per operation, system calls, memory per key and recovery time, on a real disk.
//!
//! `cargo bench -p ironats-store` prints one line each. `STORE_KEYS` and `STORE_MSGS` set the
//! sizes (defaults 1,000,000 each); `STORE_DIR` keeps the directories for a run of another server
//! on the same data; `STORE_RECOVER=<stream>` then only opens that one, without its index, or with
//! `STORE_OUTDATED=<n>` with one that is older than the last `n` messages; `STORE_IDLE=<n>` measures
//! only what so many idle stores cost.

#![allow(clippy::unwrap_used, reason = "a bench may unwrap")]

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use stdx::time::Timestamp;
use store::disk::real::RealDisk;
use store::disk::{Disk, DiskFile, Entry, Open};
use store::{FileStore, Filter, NewMessage, Options, Settings};

#[derive(Default)]
struct Counts {
    reads: AtomicU64,
    writes: AtomicU64,
    syncs: AtomicU64,
}

/// The real disk, its system calls counted.
#[derive(Clone)]
struct Counted {
    disk: RealDisk,
    counts: Arc<Counts>,
}

struct CountedFile {
    file: <RealDisk as Disk>::File,
    counts: Arc<Counts>,
}

impl Disk for Counted {
    type File = CountedFile;
    type Lock = <RealDisk as Disk>::Lock;
    fn open(&self, path: &str, how: Open) -> io::Result<CountedFile> {
        Ok(CountedFile { file: self.disk.open(path, how)?, counts: Arc::clone(&self.counts) })
    }
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }
    fn create_dir_all(&self, dir: &str) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &str) -> io::Result<()> {
        self.disk.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, dir: &str) -> io::Result<Self::Lock> {
        self.disk.lock(dir)
    }
    fn check_writable(&self, dir: &str) -> io::Result<()> {
        self.disk.check_writable(dir)
    }
    fn room(&self) -> io::Result<u64> {
        self.disk.room()
    }
    fn random(&self, out: &mut [u8]) -> io::Result<()> {
        self.disk.random(out)
    }
    fn parallel(&self, n: usize, job: &(dyn Fn(usize) + Sync)) {
        self.disk.parallel(n, job);
    }
}

impl DiskFile for CountedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.counts.reads.fetch_add(1, Relaxed);
        DiskFile::read_at(&self.file, buf, offset)
    }
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.counts.writes.fetch_add(1, Relaxed);
        self.file.write_at(data, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.counts.syncs.fetch_add(1, Relaxed);
        DiskFile::sync_data(&self.file)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        DiskFile::set_len(&self.file, len)
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

struct Bench {
    dir: PathBuf,
    _temp: Option<tempfile::TempDir>,
    counts: Arc<Counts>,
}

/// Microseconds of processor time this process has used.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10_000
}

/// Bytes of resident memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn size(name: &str) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000)
}

impl Bench {
    fn new() -> Self {
        let (dir, temp) = match std::env::var_os("STORE_DIR") {
            Some(dir) => (PathBuf::from(dir), None),
            None => {
                let temp = tempfile::tempdir().unwrap();
                (temp.path().to_path_buf(), Some(temp))
            }
        };
        Self { dir, _temp: temp, counts: Arc::default() }
    }

    fn open(&self, name: &str) -> FileStore<Counted> {
        let path = self.dir.join("jetstream/$G/streams").join(name);
        std::fs::create_dir_all(&path).unwrap();
        let disk = Counted { disk: RealDisk::new(path), counts: Arc::clone(&self.counts) };
        let settings = Settings { name: name.into(), ..Settings::default() };
        let meta = format!(
            r#"{{"Created":"2026-01-01T00:00:00Z","name":"{name}","subjects":["{name}.>"],"retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,"discard":"old","storage":"file","num_replicas":1,"duplicate_window":120000000000}}"#
        );
        FileStore::open(disk, settings, Options::default(), meta.as_bytes(), Timestamp(1))
            .unwrap()
            .0
    }

    fn run<T>(&self, what: &str, ops: u64, f: impl FnOnce() -> T) -> T {
        let before =
            [&self.counts.reads, &self.counts.writes, &self.counts.syncs].map(|c| c.load(Relaxed));
        let (cpu, start) = (cpu_us(), Instant::now());
        let out = f();
        let (wall, cpu) = (start.elapsed(), cpu_us() - cpu);
        let after =
            [&self.counts.reads, &self.counts.writes, &self.counts.syncs].map(|c| c.load(Relaxed));
        println!(
            "{what:44} {ops:>9} ops  {:>9.3} us wall/op {:>9.3} us cpu/op  {:>8.3} s  reads {} writes {} syncs {}",
            wall.as_secs_f64() * 1e6 / ops as f64,
            cpu as f64 / ops as f64,
            wall.as_secs_f64(),
            after[0] - before[0],
            after[1] - before[1],
            after[2] - before[2],
        );
        out
    }
}

fn append(
    bench: &Bench,
    store: &mut FileStore<Counted>,
    what: &str,
    (n, bytes): (u64, usize),
    sync: bool,
    subject: impl Fn(u64, &mut Vec<u8>),
) {
    let run = 256;
    let payload = vec![b'x'; bytes];
    let mut text = Vec::new();
    bench.run(what, n, || {
        for i in 0..n {
            text.clear();
            subject(i, &mut text);
            store.append(&NewMessage::new(&text, b"", &payload), Timestamp(1 + i as i64)).unwrap();
            if i % run == run - 1 {
                if sync { store.sync().unwrap() } else { store.flush().unwrap() }
            }
        }
        store.flush().unwrap();
    });
}

fn few(stream: &'static str, distinct: u64) -> impl Fn(u64, &mut Vec<u8>) {
    use std::io::Write;
    move |i, out| {
        let _ = write!(out, "{stream}.sensor.{}", i % distinct);
    }
}

fn main() {
    let bench = Bench::new();
    if let Ok(name) = std::env::var("STORE_REOPEN") {
        return time_recovery(&bench, &name);
    }
    if let Ok(name) = std::env::var("STORE_RECOVER") {
        return recover_only(&bench, &name);
    }
    if let Ok(n) = std::env::var("STORE_IDLE") {
        return idle(&bench, n.parse().unwrap());
    }
    let (keys, msgs) = (size("STORE_KEYS"), size("STORE_MSGS"));
    throughput(&bench, msgs);
    one_message_per_key(&bench, keys);
    many_messages(&bench, msgs);
}

/// Opens a stream that an earlier run left in `STORE_DIR`, as after a crash without an index or with
/// an older one.
fn recover_only(bench: &Bench, name: &str) {
    if let Ok(n) = std::env::var("STORE_OUTDATED") {
        return outdate(bench, name, n.parse().unwrap());
    }
    let msgs = bench.dir.join("jetstream/$G/streams").join(name).join("msgs");
    let _ = std::fs::remove_file(msgs.join("index.db"));
    time_recovery(bench, name);
}

/// In a process of its own: what the index is made from must not be warm in the memory of this one.
fn outdate(bench: &Bench, name: &str, n: u64) {
    let mut store = bench.open(name);
    store.checkpoint().unwrap();
    append(bench, &mut store, "append after the index", (n, 64), false, few("M", 50_000));
    drop(store);
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.env_remove("STORE_OUTDATED").env("STORE_REOPEN", name).status().unwrap();
}

fn time_recovery(bench: &Bench, name: &str) {
    let before = resident();
    let start = Instant::now();
    let (store, cpu) = (bench.open(name), cpu_us());
    let seconds = start.elapsed().as_secs_f64();
    let state = store.state();
    println!(
        "recovery of {name}: {} messages, {} subjects, {seconds:.3} s wall, {:.2} s cpu, {:.1} bytes resident a subject",
        state.msgs,
        state.num_subjects,
        cpu as f64 / 1e6,
        resident().saturating_sub(before) as f64 / state.num_subjects.max(1) as f64,
    );
}

/// What thousands of streams cost that have nothing to do.
fn idle(bench: &Bench, n: u64) {
    let before = resident();
    let stores: Vec<FileStore<Counted>> = (0..n)
        .map(|i| {
            let mut store = bench.open(&format!("I{i}"));
            store.hand_out_jobs();
            store.append(&NewMessage::new(b"I.one", b"", &[b'x'; 128]), Timestamp(1)).unwrap();
            store.sync().unwrap();
            store.rest();
            store
        })
        .collect();
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    println!(
        "{n} idle stores: {:.0} bytes resident each, {} of them the struct, {threads} thread",
        resident().saturating_sub(before) as f64 / n as f64,
        size_of::<FileStore<Counted>>(),
    );
    drop(stores);
}

fn throughput(bench: &Bench, n: u64) {
    let mut store = bench.open("A");
    append(bench, &mut store, "append 128 B, runs of 256", (n, 128), false, few("A", 1000));
    bench.run("sequential read", n, || {
        let mut from = 0;
        while let Some(m) = store.next(&Filter::All, from).unwrap() {
            from = m.seq + 1;
        }
    });
    bench.run("read by subject", 100_000.min(n), || {
        let filter = Filter::parse(b"A.sensor.7");
        let mut from = 0;
        for _ in 0..100_000.min(n) {
            from = store.next(&filter, from).unwrap().map_or(0, |m| m.seq + 1);
        }
    });
    bench.run("purge of half", n / 2, || store.compact(n / 2).unwrap());
    drop(store);
    let mut store = bench.open("B");
    append(bench, &mut store, "append 1 KB, runs of 256", (n / 4, 1024), false, few("B", 1000));
    drop(store);
    let mut store = bench.open("C");
    append(bench, &mut store, "append 128 B, one sync per 256", (n / 4, 128), true, few("C", 1000));
}

fn one_message_per_key(bench: &Bench, keys: u64) {
    let subject = few("K", u64::MAX);
    let before = resident();
    let mut store = bench.open("K");
    append(bench, &mut store, "append 64 B, a new key each", (keys, 64), false, &subject);
    println!(
        "{:44} {:>9.1} resident, {:.1} counted",
        "bytes per key while appending",
        (resident() - before) as f64 / keys as f64,
        store.memory() as f64 / keys as f64
    );
    drop(store);
    let before = resident();
    let mut store =
        bench.run("recovery without index, one message a key", keys, || bench.open("K"));
    println!(
        "{:44} {:>9.1} resident, {:.1} counted",
        "bytes per key after recovery",
        resident().saturating_sub(before) as f64 / keys as f64,
        store.memory() as f64 / keys as f64
    );
    assert_eq!(store.state().num_subjects, keys);
    let mut text = Vec::new();
    let lookups = 200_000.min(keys);
    bench.run("last by subject", lookups, || {
        for i in 0..lookups {
            text.clear();
            subject(i.wrapping_mul(7919) % keys, &mut text);
            store.last(&Filter::Literal(text.as_slice().into())).unwrap().unwrap();
        }
    });
    bench.run("num pending, wildcard, from the middle", 10, || {
        for _ in 0..10 {
            store.num_pending(&Filter::parse(b"K.*.*"), keys / 2, false).unwrap();
        }
    });
    bench.run("close, writing the index", keys, || store.close().unwrap());
    drop(store);
    let before = resident();
    let store = bench.run("recovery with index", keys, || bench.open("K"));
    println!(
        "{:44} {:>9.1} resident, {:.1} counted",
        "bytes per key from the index",
        resident().saturating_sub(before) as f64 / keys as f64,
        store.memory() as f64 / keys as f64
    );
    assert_eq!(store.state().num_subjects, keys);
    drop(store);
    let _ = std::fs::remove_file(bench.dir.join("jetstream/$G/streams/K/msgs/index.db"));
}

fn many_messages(bench: &Bench, msgs: u64) {
    let mut store = bench.open("M");
    append(bench, &mut store, "append 64 B over 50k subjects", (msgs, 64), false, few("M", 50_000));
    drop(store);
    let mut store = bench.run("recovery without index, 50k subjects", msgs, || bench.open("M"));
    assert_eq!(store.state().msgs, msgs);
    bench.run("num pending, wildcard, many a subject", 10, || {
        for _ in 0..10 {
            store.num_pending(&Filter::parse(b"M.*.7*"), msgs / 2, false).unwrap();
            store.num_pending(&Filter::parse(b"M.sensor.*"), msgs / 2, false).unwrap();
        }
    });
}
