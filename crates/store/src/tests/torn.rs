//! The end of a block that a kill cut short, with and without room to mend it.

use stdx::time::Timestamp;

use crate::disk::sim::SimDisk;
use crate::hash::HashKey;
use crate::{FileStore, NewMessage, Options, Recovery, Settings};

type Store = FileStore<SimDisk>;

const TAIL: &str = "msgs/1.blk";

fn open(disk: &SimDisk) -> (Store, Recovery) {
    let settings = Settings { name: "S".into(), ..Settings::default() };
    let options = Options { block_size: Some(4000), ..Options::default() };
    FileStore::open(disk.clone(), settings, options, b"{}", Timestamp(1)).unwrap()
}

fn put(store: &mut Store) {
    let ts = Timestamp(store.state().last_seq as i64 + 1);
    store.append(&NewMessage::new(b"a", b"", &[7; 60]), ts).unwrap();
}

/// The files of a process that was killed after ten messages, with these bytes behind them.
fn killed(rest: &[u8]) -> SimDisk {
    let disk = SimDisk::new(1);
    let mut store = open(&disk).0;
    (0..10).for_each(|_| put(&mut store));
    store.sync().unwrap();
    let disk = disk.copy();
    let mut bytes = disk.content(TAIL);
    bytes.extend_from_slice(rest);
    disk.put(TAIL, &bytes);
    disk
}

fn next_record() -> Vec<u8> {
    let mut out = Vec::new();
    crate::record::put_message(&mut out, &HashKey::new("S-1"), 11, 11, b"a", b"", &[7; 60]);
    out
}

#[test]
fn an_unfinished_append_is_cut_off_and_is_no_loss() {
    let record = next_record();
    for len in 1..record.len() {
        let disk = killed(&record[..len]);
        // That needs no room.
        disk.set_capacity(Some(disk.used()));
        let (store, recovery) = open(&disk);
        assert_eq!((recovery.torn_bytes, store.state().msgs), (len as u64, 10));
        assert!(store.lost().is_empty(), "{len}: {:?}", store.lost());
        drop(store);
        disk.set_capacity(None);
        let (mut store, _) = open(&disk);
        put(&mut store);
        store.sync().unwrap();
        // The other server reads up to the first damage.
        assert_eq!(disk.content(TAIL), [&killed(b"").content(TAIL)[..], &record].concat());
    }
    // A record that is whole but for its length is damage.
    let mut longer = record;
    longer[1] ^= 1;
    let disk = killed(&longer);
    let (store, _) = open(&disk);
    assert_eq!((store.state().msgs, store.lost().len()), (10, 1));
    assert!(disk.content("__damaged__/1.blk").ends_with(&longer));
}

#[test]
fn nothing_is_appended_behind_damage_that_there_is_no_room_to_set_aside() {
    let whole = killed(b"").content(TAIL);
    for restarted in [false, true] {
        let disk = killed(&[9; 50]);
        disk.set_capacity(Some(disk.used() + 600));
        let (mut store, _) = open(&disk);
        assert_eq!((store.state().msgs, store.lost().len()), (10, 1));
        (0..3).for_each(|_| put(&mut store));
        store.sync().unwrap();
        store.check();
        assert_eq!(disk.content(TAIL).len(), whole.len() + 50, "no byte was dropped or added");
        assert!(!disk.content("msgs/2.blk").is_empty());
        if restarted {
            // Nobody made room, neither before the end nor after it.
            let _ = store.close();
            drop(store);
            store = open(&disk).0;
            assert_eq!(disk.content(TAIL).len(), whole.len() + 50);
        }
        assert_eq!(store.state().msgs, 13);
        disk.set_capacity(None);
        store.maintain().unwrap();
        assert_eq!(disk.content(TAIL), whole);
        assert_eq!(disk.content("__damaged__/1.blk"), [&whole[..], &[9; 50]].concat());
        (1..=13).for_each(|seq| assert_eq!(store.load(seq).unwrap().seq, seq));
        store.check();
        store.close().unwrap();
        drop(store);
        let (store, recovery) = open(&disk);
        assert_eq!((store.state().msgs, recovery.from_index), (13, true));
        assert_eq!(store.lost().len(), 1, "{:?}", store.lost());
    }
}

#[test]
fn a_clean_end_mends_what_had_to_wait() {
    let disk = killed(&[9; 50]);
    disk.set_capacity(Some(disk.used() + 600));
    let (mut store, _) = open(&disk);
    put(&mut store);
    disk.set_capacity(None);
    store.close().unwrap();
    assert_eq!(disk.content(TAIL), killed(b"").content(TAIL));
    drop(store);
    let (store, recovery) = open(&disk);
    assert_eq!((store.state().msgs, recovery.from_index), (11, true));
}

// The index of a block without records names no record that it must end in.
#[test]
fn zeros_behind_new_messages_do_not_bring_back_an_index_that_knows_none() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk).0;
    (0..10).for_each(|_| put(&mut store));
    // The last block is new, and the index says so.
    store.truncate(5).unwrap();
    (0..3).for_each(|_| put(&mut store));
    store.sync().unwrap();
    let tail = disk.paths().into_iter().rfind(|p| p.ends_with(".blk")).unwrap();
    assert_ne!(tail, TAIL);
    for zeros in [0, 1, 7, 8, 30, 100] {
        let disk = disk.copy();
        disk.put(&tail, &[disk.content(&tail), vec![0; zeros]].concat());
        let (mut store, recovery) = open(&disk);
        assert!(!recovery.from_index, "{zeros}");
        assert_eq!((store.state().msgs, store.state().last_seq), (8, 8), "{zeros}");
        assert!(store.lost().is_empty(), "{zeros}: {:?}", store.lost());
        put(&mut store);
        store.close().unwrap();
        assert_eq!(open(&disk).0.state().msgs, 9, "{zeros}");
    }
}

#[test]
fn only_an_index_of_ours_tells_of_the_last_block() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk).0;
    assert!(!store.is_unlisted(), "there is nothing to tell of");
    (0..3).for_each(|_| put(&mut store));
    assert!(store.is_unlisted());
    store.checkpoint().unwrap();
    assert!(!store.is_unlisted());
    store.close().unwrap();
    let (store, recovery) = open(&disk);
    assert!(recovery.from_index && !store.is_unlisted());
    drop(store);
    // As the other server leaves it.
    disk.delete("msgs/index.own");
    let (mut store, recovery) = open(&disk);
    assert!(recovery.from_index && store.is_unlisted());
    store.checkpoint().unwrap();
    drop(store);
    for path in disk.paths().iter().filter(|p| p.ends_with(".blk") || p.ends_with(".len")) {
        disk.delete(path);
    }
    let (store, _) = open(&disk);
    assert_eq!(store.lost().iter().map(|l| l.seqs.clone()).collect::<Vec<_>>(), [Some(1..=3)]);
    assert_eq!(store.state().last_seq, 3);
}
