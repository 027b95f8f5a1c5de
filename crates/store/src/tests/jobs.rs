//! Jobs: who never waits for the disk, what may run beside what, and what a late one costs.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use stdx::time::Timestamp;

use crate::disk::sim::{SimDisk, SimFile};
use crate::disk::{Disk, DiskFile, Entry, Open};
use crate::{
    Compression, ConsumerFile, ConsumerState, Error, FileStore, Filter, Job, JobKind, JobResult,
    NewMessage, Options, Settings,
};

/// A disk that no change may reach on the thread that is guarded.
#[derive(Clone)]
struct Guarded {
    disk: SimDisk,
    guard: Arc<Guard>,
}

struct Guard {
    thread: ThreadId,
    on: AtomicBool,
    broken: Mutex<Vec<String>>,
}

impl Guard {
    fn change(&self, what: &str) {
        if self.on.load(Ordering::SeqCst) && thread::current().id() == self.thread {
            self.broken.lock().unwrap().push(what.into());
        }
    }
}

struct GuardedFile {
    file: SimFile,
    guard: Arc<Guard>,
}

impl Disk for Guarded {
    type File = GuardedFile;
    type Lock = <SimDisk as Disk>::Lock;
    fn open(&self, path: &str, how: Open) -> io::Result<GuardedFile> {
        if how == Open::Create {
            self.guard.change(&format!("create {path}"));
        }
        Ok(GuardedFile { file: self.disk.open(path, how)?, guard: Arc::clone(&self.guard) })
    }
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }
    fn create_dir_all(&self, dir: &str) -> io::Result<()> {
        self.guard.change("mkdir");
        self.disk.create_dir_all(dir)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.guard.change(&format!("rename {from}"));
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.guard.change(&format!("remove {path}"));
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &str) -> io::Result<()> {
        self.guard.change(&format!("remove {dir}"));
        self.disk.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.guard.change(&format!("sync {dir}"));
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

impl DiskFile for GuardedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.guard.change("write");
        self.file.write_at(data, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.guard.change("sync");
        self.file.sync_data()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.guard.change("cut");
        self.file.set_len(len)
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

fn settings() -> Settings {
    Settings { name: "S".into(), max_msgs: Some(200), ..Settings::default() }
}

fn open<D: Disk>(disk: D, options: Options) -> FileStore<D> {
    FileStore::open(disk, settings(), options, b"{}", Timestamp(1)).unwrap().0
}

fn put<D: Disk>(store: &mut FileStore<D>, i: i64) -> u64 {
    let subject = format!("s.{}", i % 7);
    store.append(&NewMessage::new(subject.as_bytes(), b"", &[7; 40]), Timestamp(i)).unwrap().seq
}

/// Two threads that run jobs as they come; the guarded thread only hands over.
fn with_pool(body: impl FnOnce(&mpsc::Sender<Job>, &mpsc::Receiver<JobResult>)) {
    let (jobs, queue) = mpsc::channel::<Job>();
    let (results, done) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    thread::scope(|scope| {
        for _ in 0..2 {
            let (queue, results) = (Arc::clone(&queue), results.clone());
            scope.spawn(move || {
                loop {
                    let Ok(job) = queue.lock().unwrap().recv() else { return };
                    if results.send(job.run()).is_err() {
                        return;
                    }
                }
            });
        }
        body(&jobs, &done);
        drop(jobs);
    });
}

/// Hands what there is to do to the pool; returns how much.
fn hand_over<D: Disk>(store: &mut FileStore<D>, jobs: &mpsc::Sender<Job>) -> usize {
    let taken = store.take_jobs().unwrap();
    let n = taken.len();
    taken.into_iter().for_each(|job| jobs.send(job).unwrap());
    n
}

// Contract: FSTORE-014
#[test]
fn no_change_of_the_disk_happens_on_the_owners_thread() {
    let disk = SimDisk::new(1);
    let guard = Arc::new(Guard {
        thread: thread::current().id(),
        on: AtomicBool::new(false),
        broken: Mutex::default(),
    });
    let guarded = Guarded { disk: disk.clone(), guard: Arc::clone(&guard) };
    let options =
        Options { block_size: Some(900), compression: Compression::S2, ..Options::default() };
    let mut store = open(guarded, options.clone());
    store.hand_out_jobs();
    guard.on.store(true, Ordering::SeqCst);
    with_pool(|jobs, done| {
        for i in 1..=600 {
            // Told that the disk is behind, the owner waits for a job, not for the disk.
            while hand_over(&mut store, jobs) > 0 || store.is_under_way() && i % 50 == 0 {
                store.complete(done.recv().unwrap()).unwrap();
            }
            put(&mut store, i);
            match i {
                100 => assert_eq!(store.purge_filtered(&Filter::parse(b"s.3"), 0, 0).unwrap(), 14),
                150 => assert!(store.erase(120).unwrap()),
                200 => assert!(store.remove(130).unwrap()),
                250 => store.checkpoint().unwrap(),
                300 => store.truncate(290).unwrap(),
                350 => assert!(store.compact(300).unwrap() > 0),
                400 => assert!(store.purge().unwrap() > 0),
                450 => store.write_meta(b"{\"name\":\"S\"}").unwrap(),
                500 => store.update(settings(), Timestamp(i)).unwrap(),
                n if n % 30 == 0 => drop(store.maintain().unwrap()),
                _ => {}
            }
            while let Ok(result) = done.try_recv() {
                store.complete(result).unwrap();
            }
        }
        loop {
            let taken = hand_over(&mut store, jobs);
            if taken == 0 && !store.is_under_way() {
                break;
            }
            if store.is_under_way() {
                store.complete(done.recv().unwrap()).unwrap();
            }
        }
    });
    guard.on.store(false, Ordering::SeqCst);
    let broken = guard.broken.lock().unwrap().clone();
    assert!(broken.is_empty(), "on the owner's thread: {broken:?}");
    assert_eq!((store.durable(), store.written()), (store.ticket(), store.ticket()));
    let state = store.state();
    store.check();
    drop(store);
    // Durable without being closed.
    let store = open(disk.after_crash(), options);
    assert_eq!(store.state(), state);
    assert!(store.lost().is_empty());
}

#[test]
fn an_owner_whose_disk_is_behind_is_told_and_goes_on_afterwards() {
    let options = Options { max_waiting: 2_000, ..Options::default() };
    let mut store = open(SimDisk::new(1), options);
    store.hand_out_jobs();
    let late = store.take_jobs().unwrap();
    let mut refused = None;
    for i in 1..100 {
        match store.append(&NewMessage::new(b"s", b"", &[7; 70]), Timestamp(i)) {
            Ok(_) => {}
            Err(e) => {
                refused = Some((i, e));
                break;
            }
        }
    }
    let (at, error) = refused.unwrap();
    assert!(matches!(error, Error::Busy { waiting: 2_001.., .. }), "{error}");
    assert!((19..=21).contains(&at), "refused at {at}");
    assert_eq!(store.state().msgs, at as u64 - 1, "what was refused left nothing behind");
    for job in late {
        store.complete(job.run()).unwrap();
    }
    for job in store.take_jobs().unwrap() {
        assert_ne!(job.kind(), JobKind::Rewrite);
        store.complete(job.run()).unwrap();
    }
    put(&mut store, 100);
}

#[test]
fn a_full_disk_keeps_jobs_and_carries_them_out_later() {
    let disk = SimDisk::new(1);
    let mut store = open(disk.clone(), Options::default());
    store.hand_out_jobs();
    disk.set_capacity(Some(10));
    put(&mut store, 1);
    for _ in 0..3 {
        for job in store.take_jobs().unwrap() {
            let kind = job.kind();
            let done = store.complete(job.run());
            let refused = matches!(done, Err(Error::DiskFull { .. }));
            assert_eq!(refused, kind == JobKind::Write, "{kind:?} {done:?}");
        }
        assert!(store.written() < store.ticket());
        assert_eq!(store.load(1).unwrap().seq, 1, "visible all the same");
    }
    disk.set_capacity(None);
    store.sync().unwrap();
    assert_eq!(store.durable(), store.ticket());
    drop(store);
    assert_eq!(open(disk.after_crash(), Options::default()).state().msgs, 1);
}

#[test]
fn syncs_and_closing_wait_for_nobody() {
    let mut store = open(SimDisk::new(1), Options::default());
    store.hand_out_jobs();
    put(&mut store, 1);
    let jobs = store.take_jobs().unwrap();
    assert!(store.is_under_way());
    assert!(matches!(store.sync(), Err(Error::UnderWay)));
    assert!(matches!(store.close(), Err(Error::UnderWay)));
    for job in jobs {
        store.complete(job.run()).unwrap();
    }
    store.close().unwrap();
}

// Contract: FSTORE-014
#[test]
fn a_thousand_messages_share_few_syncs_as_jobs() {
    let disk = SimDisk::new(1);
    let mut store = open(disk.clone(), Options::default());
    store.sync().unwrap();
    store.hand_out_jobs();
    let (_, before) = disk.counts();
    let mut waiting: Vec<Job> = Vec::new();
    for i in 1..=1000 {
        put(&mut store, i);
        waiting.extend(store.take_jobs().unwrap());
        // A sync takes as long as thirty messages need to arrive, a write no time.
        let (now, later) =
            waiting.drain(..).partition(|j| j.kind() == JobKind::Write || i % 30 == 0);
        waiting = later;
        let now: Vec<Job> = now;
        for job in now {
            store.complete(job.run()).unwrap();
        }
        assert_eq!(store.written(), store.ticket(), "written beside a sync");
    }
    for job in waiting {
        store.complete(job.run()).unwrap();
    }
    store.sync().unwrap();
    let syncs = disk.counts().1 - before;
    assert!((2..=50).contains(&syncs), "{syncs} syncs");
}

#[test]
fn a_store_at_rest_holds_no_file_and_wakes_by_itself() {
    let disk = SimDisk::new(1);
    let mut store = open(disk, Options::default());
    store.hand_out_jobs();
    for i in 1..=50 {
        put(&mut store, i);
    }
    store.sync().unwrap();
    let busy = store.memory();
    store.rest();
    assert!(store.memory() < busy, "{} bytes, {busy} before", store.memory());
    assert_eq!(store.load(50).unwrap().seq, 50);
    assert_eq!(store.num_pending(&Filter::parse(b"s.3"), 1, false).unwrap(), 7);
    assert_eq!(put(&mut store, 51), 51);
    store.rest();
    assert_eq!(store.load(51).unwrap().seq, 51);
    store.close().unwrap();
}

// Contract: FSTORE-017
#[test]
fn a_consumers_state_is_written_by_a_job_one_at_a_time() {
    let disk = SimDisk::new(1);
    let open = |disk: &SimDisk| ConsumerFile::open(disk.clone(), "S", "C", b"{}", None).unwrap();
    let (mut file, _) = open(&disk);
    let state = |n| {
        let mut state = ConsumerState::default();
        state.delivered.consumer = n;
        state.delivered.stream = n;
        state
    };
    let first = file.state_job(&state(1), Timestamp(1)).unwrap().unwrap();
    assert!(file.state_job(&state(2), Timestamp(1)).unwrap().is_none(), "one is under way");
    file.complete_state(first.run()).unwrap();
    let second = file.state_job(&state(2), Timestamp(1)).unwrap().unwrap();
    disk.crash_after(1);
    assert!(file.complete_state(second.run()).is_err());
    let (_, found) = open(&disk.after_crash());
    assert_eq!(found.unwrap().delivered.stream, 1);
}

#[test]
fn a_picture_is_measured_by_all_it_copies() {
    let options = Options { block_size: Some(4000), ..Options::default() };
    let settings = Settings { name: "S".into(), allow_msg_ttl: true, ..Settings::default() };
    let mut store =
        FileStore::open(SimDisk::new(3), settings, options, b"{}", Timestamp(1)).unwrap().0;
    let before = store.picture_size();
    for i in 1..=100 {
        put(&mut store, i);
    }
    let live = store.picture_size();
    assert!(live > before + 7, "7 subjects in several blocks: {live} after {before}");
    for seq in (2..100).step_by(2) {
        assert!(store.remove(seq).unwrap());
    }
    let ragged = store.picture_size();
    assert!(ragged > live, "sets of deleted sequences: {ragged} after {live}");
}
