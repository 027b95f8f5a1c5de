//! A disk without room: what is refused, what makes room, and what a crash finds then.

use stdx::time::Timestamp;

use crate::disk::sim::SimDisk;
use crate::{Error, FileStore, Filter, JobKind, NewMessage, Options, Settings};

type Store = FileStore<SimDisk>;

fn open(disk: &SimDisk) -> Store {
    let settings = Settings { name: "S".into(), ..Settings::default() };
    let options = Options { block_size: Some(1000), ..Options::default() };
    FileStore::open(disk.clone(), settings, options, b"{}", Timestamp(1)).unwrap().0
}

/// A store with some blocks, all of it durable.
fn filled(disk: &SimDisk, n: u64) -> Store {
    let mut store = open(disk);
    store.hand_out_jobs();
    for _ in 0..n {
        put(&mut store).unwrap();
    }
    store.sync().unwrap();
    store
}

fn put(store: &mut Store) -> crate::Result<u64> {
    let seq = store.state().last_seq + 1;
    store.append(&NewMessage::new(b"a", b"", &[7; 60]), Timestamp(seq as i64)).map(|a| a.seq)
}

/// Runs what there is until nothing is left or nothing moves; the last error.
fn run(store: &mut Store) -> crate::Result<()> {
    let mut outcome = Ok(());
    for _ in 0..10 {
        let jobs = store.take_jobs()?;
        if jobs.is_empty() {
            break;
        }
        for job in jobs {
            let is_write = job.kind() == JobKind::Write;
            let done = store.complete(job.run());
            if is_write {
                outcome = done;
            }
        }
    }
    outcome
}

/// The disk has no room left, and the store found out by a message that waits for it.
fn full(disk: &SimDisk, store: &mut Store) {
    disk.set_capacity(Some(disk.used()));
    put(store).unwrap();
    assert!(matches!(run(store), Err(Error::DiskFull { .. })));
    assert!(store.is_full() && store.written() < store.ticket());
}

#[test]
fn what_a_full_disk_refuses_leaves_nothing_behind() {
    let disk = SimDisk::new(1);
    let mut store = filled(&disk, 20);
    full(&disk, &mut store);
    let state = store.state();
    for _ in 0..3 {
        assert!(matches!(put(&mut store), Err(Error::DiskFull { .. })));
        assert!(matches!(store.skip(0, Timestamp(9), true), Err(Error::DiskFull { .. })));
        assert!(matches!(store.skip_many(0, 2, Timestamp(9)), Err(Error::DiskFull { .. })));
        assert!(matches!(store.check_remove(), Err(Error::DiskFull { .. })));
        let filter = Filter::parse(b"a");
        assert!(matches!(store.check_purge(&filter, 0, 0), Err(Error::DiskFull { .. })));
        assert!(matches!(store.check_purge(&Filter::All, 3, 0), Err(Error::DiskFull { .. })));
        assert!(matches!(run(&mut store), Err(Error::DiskFull { .. })));
    }
    assert_eq!(store.state(), state);
    // A process that is killed now has lost the one that waits, and nothing else.
    assert_eq!(open(&disk.copy()).state().last_seq, 20);
    assert_eq!(open(&disk.after_crash()).state().last_seq, 20);
    disk.set_capacity(None);
    run(&mut store).unwrap();
    assert!(!store.is_full());
    assert_eq!(put(&mut store).unwrap(), 22);
    run(&mut store).unwrap();
    let mut found = open(&disk.copy());
    assert_eq!(found.state().msgs, 22);
    assert_eq!(found.load(21).unwrap().seq, 21, "it waited, and was stored once");
}

#[test]
fn a_purge_makes_the_room_it_needs() {
    for purge in [
        |s: &mut Store| s.purge(),
        |s: &mut Store| s.compact(30),
        |s: &mut Store| s.purge_filtered(&Filter::All, 0, 2),
    ] {
        let disk = SimDisk::new(1);
        let mut store = filled(&disk, 40);
        full(&disk, &mut store);
        assert!(store.check_purge(&Filter::All, 30, 0).is_ok());
        assert!(store.check_purge(&Filter::All, 0, 2).is_ok());
        assert!(store.check_purge(&Filter::All, 0, 0).is_ok());
        assert!(purge(&mut store).unwrap() >= 29);
        run(&mut store).unwrap();
        assert!(!store.is_full());
        assert_eq!(store.durable(), store.ticket());
        let state = store.state();
        assert_eq!(state.last_seq, 41, "what waited went on");
        store.check();
        assert_eq!(open(&disk.copy()).state(), state, "after a kill");
        assert_eq!(open(&disk.after_crash()).state(), state, "after a power cut");
        put(&mut store).unwrap();
        run(&mut store).unwrap();
    }
}

#[test]
fn a_single_block_is_emptied_by_a_purge() {
    // Cuts at every point of it too: the messages may be there or not, their sequences never again.
    for cut in (1..40).map(Some).chain([None]) {
        let disk = SimDisk::new(1);
        let settings = Settings { name: "S".into(), ..Settings::default() };
        let options = Options { block_size: Some(1 << 20), ..Options::default() };
        let again = |disk: SimDisk| {
            let (settings, options) = (settings.clone(), options.clone());
            FileStore::open(disk, settings, options, b"{}", Timestamp(1)).unwrap().0
        };
        let mut store = again(disk.clone());
        store.hand_out_jobs();
        let big = [7; 1000];
        for ts in 1..=100 {
            store.append(&NewMessage::new(b"a", b"", &big), Timestamp(ts)).unwrap();
        }
        store.sync().unwrap();
        full(&disk, &mut store);
        store.check_purge(&Filter::All, 0, 0).unwrap();
        assert!(store.check_purge(&Filter::All, 50, 0).is_err(), "that needs tombstones");
        assert_eq!(store.purge().unwrap(), 101);
        if let Some(cut) = cut {
            disk.crash_after(cut);
        }
        let done = run(&mut store);
        if cut.is_none() {
            done.unwrap();
            assert!(!store.is_full());
            assert_eq!(store.durable(), store.ticket());
            store.check();
            assert_eq!(again(disk.copy()).state(), store.state());
        }
        let found = again(disk.after_crash()).state();
        assert!(found.last_seq >= 100, "{cut:?}: {found:?}");
        assert!(cut.is_some() || (found.msgs, found.last_seq) == (0, 101), "{found:?}");
    }
}

#[test]
fn a_small_block_is_blanked_by_a_purge_that_nothing_waits_before() {
    // Cuts at every point of it too: all messages are there or none, their sequences never again.
    for cut in (1..20).map(Some).chain([None]) {
        let disk = SimDisk::new(1);
        let mut store = filled(&disk, 5);
        store.checkpoint().unwrap();
        run(&mut store).unwrap();
        disk.set_capacity(Some(disk.used()));
        store.check_purge(&Filter::All, 0, 0).unwrap();
        assert_eq!(store.purge().unwrap(), 5);
        store.check();
        if let Some(cut) = cut {
            disk.crash_after(cut);
        }
        let done = run(&mut store);
        let after = disk.after_crash();
        if cut.is_none() {
            done.unwrap();
            assert!(!store.is_full());
            assert_eq!(store.durable(), store.ticket());
            assert_eq!(open(&disk.copy()).state(), store.state());
            assert_eq!(open(&after).state(), store.state());
            // It has made some room.
            assert_eq!(put(&mut store).unwrap(), 6);
            run(&mut store).unwrap();
            let mut found = open(&disk.copy());
            assert_eq!((found.state().msgs, found.load(6).unwrap().seq), (1, 6));
        }
        let found = open(&after);
        assert!(found.lost().is_empty(), "{cut:?}: {:?}", found.lost());
        let state = found.state();
        assert_eq!(state.last_seq, 5, "{cut:?}");
        assert!(state.msgs == 0 || cut.is_some() && state.msgs == 5, "{cut:?}: {state:?}");
    }
}

#[test]
fn age_and_lower_limits_make_room() {
    let disk = SimDisk::new(1);
    let mut store = filled(&disk, 40);
    full(&disk, &mut store);
    let lower = Settings { max_msgs: Some(10), ..store.settings().clone() };
    let none = Settings { max_msgs: Some(40), ..store.settings().clone() };
    assert!(matches!(store.check_update(&none, Timestamp(50)), Err(Error::DiskFull { .. })));
    store.check_update(&lower, Timestamp(50)).unwrap();
    store.update(lower, Timestamp(50)).unwrap();
    run(&mut store).unwrap();
    assert_eq!((store.state().msgs, store.is_full()), (10, false));

    let disk = SimDisk::new(1);
    let mut store = filled(&disk, 40);
    let age = std::time::Duration::from_nanos(1_000);
    let aged = Settings { max_age: Some(age), ..store.settings().clone() };
    store.update(aged, Timestamp(50)).unwrap();
    store.sync().unwrap();
    full(&disk, &mut store);
    store.expire(Timestamp(1_035)).unwrap();
    run(&mut store).unwrap();
    assert_eq!((store.state().first_seq, store.is_full()), (36, false));
}

#[test]
fn removals_that_nobody_waits_for_empty_whole_blocks() {
    let disk = SimDisk::new(1);
    let mut store = filled(&disk, 40);
    full(&disk, &mut store);
    // A work queue's consumer goes on acknowledging.
    for seq in 1..=25 {
        assert!(store.remove(seq).unwrap());
    }
    run(&mut store).unwrap();
    assert!(!store.is_full());
    let found = open(&disk.copy());
    assert_eq!((found.state().first_seq, found.state().last_seq), (26, 41));
    assert_eq!(found.state(), store.state());
}

#[test]
fn an_index_without_room_is_left_out() {
    let disk = SimDisk::new(1);
    let mut store = filled(&disk, 40);
    disk.set_capacity(Some(disk.used() + 60));
    store.checkpoint().unwrap();
    run(&mut store).unwrap();
    assert!(!store.is_full(), "messages do not wait for it");
    assert!(store.unindexed() > 0);
    disk.set_capacity(None);
    put(&mut store).unwrap();
    run(&mut store).unwrap();
    assert_eq!(open(&disk.copy()).state().msgs, 41);
}

/// A store whose full disk has room again, after a block went whose final form waits.
fn made_room(disk: &SimDisk) -> Store {
    let mut store = filled(disk, 20);
    let mut sealing = Vec::new();
    while sealing.is_empty() {
        put(&mut store).unwrap();
        for job in store.take_jobs().unwrap() {
            if job.kind() == JobKind::Rewrite {
                sealing.push(job);
            } else {
                store.complete(job.run()).unwrap();
            }
        }
    }
    let last = store.state().last_seq;
    for job in store.take_jobs().unwrap() {
        store.complete(job.run()).unwrap();
    }
    full(disk, &mut store);
    sealing.into_iter().for_each(|job| store.complete(job.run()).unwrap());
    let blocks = |disk: &SimDisk| disk.paths().iter().filter(|p| p.ends_with(".blk")).count();
    let before = blocks(disk);
    store.compact(last).unwrap();
    let jobs = store.take_jobs().unwrap();
    assert_eq!(jobs.iter().map(crate::Job::kind).collect::<Vec<_>>(), [JobKind::Sync]);
    jobs.into_iter().for_each(|job| store.complete(job.run()).unwrap());
    assert!(before - blocks(disk) > 1, "it made room");
    disk.set_capacity(None);
    store
}

#[test]
fn what_tells_of_a_block_does_not_come_after_it_went_to_make_room() {
    for cut in 1.. {
        let disk = SimDisk::new(cut);
        let mut store = made_room(&disk);
        disk.crash_after(cut);
        let outcome = run(&mut store);
        for (how, disk) in [("killed", disk.copy()), ("cut", disk.after_crash())] {
            assert_eq!(open(&disk).lost(), [], "{how} after {cut} changes");
        }
        if outcome.is_ok() && !disk.crashed() {
            assert!(cut > 5 && !store.is_full());
            assert_eq!(open(&disk.copy()).state(), store.state());
            break;
        }
    }
}
