//! Disks and directories that refuse: each with its own error, nothing touched, nothing promised.

use proptest::prelude::*;
use stdx::time::Timestamp;

use crate::disk::sim::SimDisk;
use crate::disk::{Disk, DiskFile, Open};
use crate::{Cipher, Encryption, Error, FileStore, NewMessage, Options, Settings};

fn settings() -> Settings {
    Settings { name: "S".into(), ..Settings::default() }
}

fn open(disk: &SimDisk, options: Options) -> crate::Result<FileStore<SimDisk>> {
    FileStore::open(disk.clone(), settings(), options, b"{}", Timestamp(1)).map(|(s, _)| s)
}

fn put(store: &mut FileStore<SimDisk>, n: usize) {
    for _ in 0..n {
        store.append(&NewMessage::new(b"a.b", b"", &[7; 100]), Timestamp(2)).unwrap();
    }
}

#[test]
fn a_full_disk_acknowledges_nothing_and_recovers() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, Options::default()).unwrap();
    put(&mut store, 5);
    store.sync().unwrap();
    let durable = store.durable();
    disk.set_capacity(Some(0));
    put(&mut store, 5);
    assert!(matches!(store.flush(), Err(Error::DiskFull { .. })));
    assert!(matches!(store.sync(), Err(Error::DiskFull { .. })));
    assert_eq!(store.durable(), durable);
    disk.set_capacity(None);
    store.sync().unwrap();
    assert_eq!(store.durable(), store.ticket());
    drop(store);
    assert_eq!(open(&disk, Options::default()).unwrap().state().msgs, 10);
}

// Contract: FSTORE-016
#[test]
fn a_failed_write_is_latched() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, Options::default()).unwrap();
    put(&mut store, 1);
    disk.crash_after(0);
    assert!(store.flush().is_err());
    let got = store.append(&NewMessage::new(b"a", b"", b""), Timestamp(1));
    assert!(matches!(got, Err(Error::Latched(_))));
}

#[test]
fn a_directory_belongs_to_one_server() {
    let disk = SimDisk::new(1);
    let store = open(&disk, Options::default()).unwrap();
    assert!(matches!(open(&disk, Options::default()), Err(Error::Locked(_))));
    drop(store);
    open(&disk, Options::default()).unwrap();
}

#[test]
fn a_file_that_another_server_writes_to_is_left_to_it() {
    for (rests, jobs) in [(false, false), (false, true), (true, false)] {
        let disk = SimDisk::new(1);
        let mut store = open(&disk, Options::default()).unwrap();
        put(&mut store, 5);
        store.sync().unwrap();
        if jobs {
            store.hand_out_jobs();
        }
        if rests {
            store.close_files();
            assert!(!store.holds_files());
        }
        let size = disk.content("msgs/1.blk").len() as u64;
        let theirs = disk.open("msgs/1.blk", Open::Write).unwrap();
        theirs.write_at(b"theirs", size).unwrap();
        let before = disk.content("msgs/1.blk");
        let appended = store.append(&NewMessage::new(b"a.b", b"", b""), Timestamp(3));
        let error = appended.and_then(|_| store.sync()).unwrap_err();
        assert!(matches!(&error, Error::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("another server writes to it"), "{error}");
        assert_eq!(disk.content("msgs/1.blk"), before, "not one byte of ours among theirs");
        let again = store.append(&NewMessage::new(b"a.b", b"", b""), Timestamp(3)).unwrap_err();
        assert!(matches!(&again, Error::Latched(why) if why.contains("another server")), "{again}");
    }
}

fn encrypted(key: &str, cipher: Cipher, previous: Option<&str>) -> Options {
    let encryption = Encryption {
        cipher,
        key: key.into(),
        previous: previous.map(Into::into),
        info: "$G".into(),
    };
    Options { encryption: Some(encryption), block_size: Some(400), ..Options::default() }
}

// Contract: FSTORE-022, FSTORE-024
#[test]
fn keys_rotate_ciphers_change_and_plain_stores_convert() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, Options { block_size: Some(400), ..Options::default() }).unwrap();
    put(&mut store, 10);
    store.close().unwrap();
    let steps = [
        encrypted("one", Cipher::ChaCha, None),
        encrypted("one", Cipher::Aes, None),
        encrypted("two", Cipher::Aes, Some("one")),
        encrypted("three", Cipher::ChaCha, Some("two")),
        encrypted("three", Cipher::ChaCha, None),
    ];
    for (i, options) in steps.into_iter().enumerate() {
        let mut store = open(&disk, options).unwrap();
        assert_eq!(store.state().msgs, 10 + i as u64);
        for seq in 1..=store.state().last_seq {
            assert_eq!(store.load(seq).unwrap().payload, vec![7; 100], "step {i} message {seq}");
        }
        assert_eq!(store.read_meta().unwrap(), b"{}");
        assert!(store.lost().is_empty());
        put(&mut store, 1);
        store.close().unwrap();
    }
    let before: Vec<_> = disk.paths().into_iter().map(|p| disk.content(&p)).collect();
    assert!(matches!(open(&disk, Options::default()), Err(Error::NoKey)));
    assert!(matches!(open(&disk, encrypted("nine", Cipher::Aes, None)), Err(Error::WrongKey(_))));
    let after: Vec<_> = disk.paths().into_iter().map(|p| disk.content(&p)).collect();
    assert_eq!(before, after, "nothing was touched");
}

fn files(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    disk.paths().into_iter().map(|p| (p.clone(), disk.content(&p))).collect()
}

// Contract: FSTORE-024
#[test]
fn an_unknown_cipher_is_refused_and_nothing_is_touched() {
    for cipher in [Cipher::ChaCha, Cipher::Aes] {
        let disk = SimDisk::new(1);
        let mut store = open(&disk, encrypted("one", cipher, None)).unwrap();
        put(&mut store, 10);
        store.close().unwrap();
        drop(store);
        // What a cipher nobody here knows would leave: as long, and opened by no key.
        let sealed: Vec<u8> = (0..disk.content("meta.key").len()).map(|i| i as u8 ^ 0x5a).collect();
        for path in disk.paths().into_iter().filter(|p| p.ends_with(".key")) {
            disk.put(&path, &sealed);
        }
        for lose in [false, true] {
            if lose {
                disk.delete("msgs/index.db");
            }
            let before = files(&disk);
            let error = open(&disk, encrypted("one", cipher, None)).err().unwrap();
            assert!(matches!(&error, Error::WrongKey(file) if file == "meta.key"), "{error}");
            assert!(error.to_string().contains("a cipher"), "{error}");
            assert_eq!(files(&disk), before);
        }
        // Longer nonces or tags tell a cipher apart from a key.
        disk.put("meta.key", &[&sealed[..], &[7; 16]].concat());
        let before = files(&disk);
        let error = open(&disk, encrypted("one", cipher, None)).err().unwrap();
        let unknown = matches!(&error, Error::Unknown { file, .. } if file == "meta.key");
        assert!(unknown && error.to_string().contains("unknown cipher"), "{error}");
        assert_eq!(files(&disk), before);
    }
}

#[test]
fn an_index_is_not_believed_for_a_removal_noted_twice() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, Options::default()).unwrap();
    put(&mut store, 3);
    store.remove(1).unwrap();
    store.checkpoint().unwrap();
    let (index, tail) = (disk.content("msgs/index.db"), disk.content("msgs/1.blk"));
    put(&mut store, 2);
    store.sync().unwrap();
    drop(store);
    // The removal is noted again, as when blocks go, and the power goes before the index does.
    let note = &tail[tail.len() - crate::record::EMPTY..];
    disk.put("msgs/1.blk", &[&disk.content("msgs/1.blk"), note].concat());
    disk.put("msgs/index.db", &index);
    let store = open(&disk, Options::default()).unwrap();
    assert_eq!((store.state().msgs, store.state().last_seq), (4, 5));
}

#[test]
fn an_unknown_compression_is_refused_and_nothing_is_touched() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, Options { block_size: Some(400), ..Options::default() }).unwrap();
    put(&mut store, 10);
    store.close().unwrap();
    drop(store);
    let whole = disk.content("msgs/2.blk");
    let mut newer = b"cmp\x09\x10".to_vec();
    newer.extend_from_slice(&whole);
    disk.put("msgs/2.blk", &newer);
    disk.delete("msgs/index.db");
    let before = files(&disk);
    let error = open(&disk, Options::default()).err().unwrap();
    assert!(
        matches!(&error, Error::Unknown { file, id: 9, .. } if file == "msgs/2.blk"),
        "{error}"
    );
    assert_eq!(files(&disk), before);
    disk.put("msgs/2.blk", &whole);
    let store = open(&disk, Options::default()).unwrap();
    assert_eq!((store.state().msgs, store.lost().len()), (10, 0));
}

// Contract: FSTORE-014
#[test]
fn a_thousand_pipelined_messages_share_few_syncs() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, Options::default()).unwrap();
    store.sync().unwrap();
    let (_, before) = disk.counts();
    // A sync takes as long as thirty messages need to arrive.
    let mut job = None;
    let mut acked = 0;
    for i in 0..1000 {
        let a = store.append(&NewMessage::new(b"a", b"", &[1; 128]), Timestamp(i)).unwrap();
        if job.is_none() {
            job = store.sync_job().unwrap();
        } else if i % 30 == 0
            && let Some(done) = job.take()
        {
            acked = store.complete_sync(done.run()).unwrap().0;
            assert!(acked <= a.ticket.0);
        }
    }
    if let Some(done) = job.take() {
        store.complete_sync(done.run()).unwrap();
    }
    store.sync().unwrap();
    assert_eq!(store.durable(), store.ticket());
    let syncs = disk.counts().1 - before;
    assert!(syncs <= 50, "{syncs} syncs");
    assert!(acked > 0);
    eprintln!("{syncs} syncs for 1,000 messages");
}

// Contract: SNAP-001, SNAP-005
#[test]
fn snapshots_restore_in_the_clear_and_are_sealed_again() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, encrypted("one", Cipher::ChaCha, None)).unwrap();
    put(&mut store, 20);
    store.remove(3).unwrap();
    let archive =
        store.snapshot(&[("C".into(), b"{}".to_vec(), vec![0x16, 2, 0, 0, 0, 0, 0, 0])]).unwrap();
    let target = SimDisk::new(2);
    assert_eq!(crate::restore_files(&target, &archive, 1 << 20).unwrap(), b"{}");
    let mut restored = open(&target, encrypted("two", Cipher::Aes, None)).unwrap();
    assert_eq!(restored.state().msgs, 19);
    assert!(restored.load(3).is_err());
    assert_eq!(restored.load(4).unwrap().payload, vec![7; 100]);
    assert!(restored.lost().is_empty());
    assert!(crate::restore_files(&target, &archive, 100).is_err(), "more than allowed");
}

// Contract: FSTORE-007
#[test]
fn wheels_are_rebuilt_when_stale() {
    let settings = Settings { allow_msg_ttl: true, ..settings() };
    for lose in [false, true] {
        let disk = SimDisk::new(1);
        let open = || {
            FileStore::open(disk.clone(), settings.clone(), Options::default(), b"{}", Timestamp(1))
                .unwrap()
                .0
        };
        let mut store = open();
        let header = b"NATS/1.0\r\nNats-TTL: 5\r\n\r\n";
        let m = NewMessage { ttl: 5, ..NewMessage::new(b"a", header, b"") };
        store.append(&m, Timestamp(1)).unwrap();
        store.append(&NewMessage::new(b"b", b"", b""), Timestamp(1)).unwrap();
        store.close().unwrap();
        drop(store);
        if lose {
            disk.delete("msgs/thw.db");
        }
        let mut store = open();
        assert_eq!(store.next_expiry(), Some(Timestamp(5_000_000_001)));
        store.expire(Timestamp(5_000_000_000)).unwrap();
        assert_eq!(store.state().msgs, 2);
        store.expire(Timestamp(5_000_000_001)).unwrap();
        assert_eq!((store.state().msgs, store.state().first_seq), (1, 2));
    }
}

// Contract: FSTORE-027
#[test]
fn files_of_servers_before_2_10_are_read_past_and_removed() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, Options::default()).unwrap();
    put(&mut store, 3);
    store.sync().unwrap();
    drop(store);
    for name in ["1.idx", "1.fss", "1.blk.tmp", "7.new"] {
        disk.put(&format!("msgs/{name}"), b"old");
    }
    disk.put("msgs/notes.txt", b"kept");
    let store = open(&disk, Options::default()).unwrap();
    assert_eq!(store.state().msgs, 3);
    let left: Vec<String> = disk.paths().into_iter().filter(|p| p.starts_with("msgs/")).collect();
    assert_eq!(left, ["msgs/1.blk", "msgs/notes.txt"]);
}

// Contract: FSTORE-012
#[test]
fn a_block_is_compacted_once_half_of_it_is_gone() {
    let disk = SimDisk::new(1);
    let options = || Options { block_size: Some(8000), ..Options::default() };
    let mut store = open(&disk, options()).unwrap();
    put(&mut store, 100);
    let size = || disk.content("msgs/1.blk").len();
    let before = size();
    let in_first = (1..=60).filter(|n| n % 3 == 0);
    in_first.for_each(|seq| assert!(store.remove(seq).unwrap()));
    assert_eq!((store.maintain().unwrap(), size()), (0, before), "a third is gone");
    let more = (1..=60).filter(|n| n % 3 == 1);
    more.for_each(|seq| assert!(store.remove(seq).unwrap()));
    let freed = store.maintain().unwrap();
    assert!(freed > 0 && size() as u64 == before as u64 - freed, "{freed} of {before}");
    store.close().unwrap();
    drop(store);
    let mut store = open(&disk, options()).unwrap();
    let left: Vec<u64> = (1..=100).filter(|&seq| store.load(seq).is_ok()).collect();
    assert_eq!(left, (1..=100).filter(|n| *n > 60 || n % 3 == 2).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn restoring_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..600), flip in 0usize..4000) {
        let _ = crate::restore_files(&SimDisk::new(1), &bytes, 1 << 20);
        let mut framed = Vec::new();
        crate::compress::stream_encode(&bytes, &mut framed);
        let _ = crate::restore_files(&SimDisk::new(1), &framed, 1 << 20);
        let mut store = open(&SimDisk::new(1), Options::default()).unwrap();
        put(&mut store, 3);
        let mut archive = store.snapshot(&[]).unwrap();
        let at = flip % archive.len();
        archive[at] ^= 1;
        let _ = crate::restore_files(&SimDisk::new(1), &archive, 1 << 20);
    }
}
