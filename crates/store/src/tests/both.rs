//! One history for both stores: a caller cannot tell them apart.

use stdx::time::Timestamp;

use super::model::{Rng, message};
use crate::disk::sim::SimDisk;
use crate::{Error, FileStore, Filter, MemStore, MessageStore, NewMessage, Options, Settings};

fn stores(settings: &Settings) -> (FileStore<SimDisk>, MemStore) {
    let options = Options { block_size: Some(500), ..Options::default() };
    let (file, _) =
        FileStore::open(SimDisk::new(1), settings.clone(), options, b"{}", Timestamp(0)).unwrap();
    (file, MemStore::new(settings.clone()))
}

/// Everything that can be asked, as text. Bytes are counted differently by design.
fn told(store: &mut dyn MessageStore) -> String {
    let mut state = store.state();
    state.bytes = 0;
    let mut out = format!("{state:?} {:?}\n", store.deleted_seqs(1000));
    for filter in [
        Filter::All,
        Filter::parse(b"a.*"),
        Filter::parse(b"b.1"),
        Filter::any_of([&b"a.1"[..], b"b.>"]),
    ] {
        let mut totals: Vec<_> = store.subjects_totals(&filter).into_iter().collect();
        totals.sort();
        out.push_str(&format!("{totals:?} {:?}\n", store.multi_last(&filter, 0, 0)));
        for from in [0, state.first_seq + 3, state.last_seq] {
            let next = store.next(&filter, from).unwrap().map(|m| (m.seq, m.payload));
            let prev = store.prev(&filter, from).unwrap().map(|m| (m.seq, m.payload));
            let pending = store.num_pending(&filter, from, false).unwrap();
            let last = store.num_pending(&filter, from, true).unwrap();
            let filtered = store.filtered_state(&filter, from).unwrap();
            out.push_str(&format!("{next:?} {prev:?} {pending} {last} {filtered:?}\n"));
        }
    }
    for t in [0, 500, 1_000_000] {
        out.push_str(&format!("{:?}\n", store.seq_at_time(Timestamp(t))));
    }
    out
}

// Contract: MSTORE-001, RET-001, RET-002, RET-009
#[test]
fn both_stores_tell_the_same() {
    for seed in 1..60 {
        let mut rng = Rng(seed * 7919);
        let settings = Settings {
            name: "S".into(),
            max_msgs: rng.pick(&[None, Some(15)]),
            max_msgs_per_subject: rng.pick(&[None, Some(2)]),
            ..Settings::default()
        };
        let (mut file, mut mem) = stores(&settings);
        for step in 0..80 {
            let now = Timestamp(10 + step * 10);
            let m = message(&mut rng, now.0, &settings);
            let seq = rng.below(file.state().last_seq + 2);
            let filter = rng.pick(&[Filter::parse(b"a.*"), Filter::parse(b"b.1"), Filter::All]);
            let (op, keep) = (rng.below(14), rng.below(3));
            let go = |s: &mut dyn MessageStore| match op {
                0 => format!("{:?}", s.remove(seq, false).ok()),
                1 => format!("{:?}", s.remove(seq, true).ok()),
                2 => format!("{:?}", s.purge(&filter, 0, keep).unwrap()),
                3 => format!("{:?}", s.compact(seq).unwrap()),
                4 => format!("{:?}", s.skip_many(0, 2, now).is_ok()),
                5 if seq >= s.state().first_seq && seq > 0 => {
                    format!("{:?}", s.truncate(seq).is_ok())
                }
                _ => {
                    let new = NewMessage::new(&m.subject, &m.header, &m.payload);
                    format!("{:?}", s.append(&new, now).unwrap().0)
                }
            };
            assert_eq!(go(&mut file), go(&mut mem), "seed {seed} step {step} op {op} {seq}");
            assert_eq!(
                told(&mut file),
                told(&mut mem),
                "seed {seed} step {step} op {op} {seq} {settings:?}"
            );
        }
    }
}

// Contract: RET-002
#[test]
fn discard_new_refuses() {
    let settings = Settings {
        name: "S".into(),
        max_msgs: Some(2),
        max_msgs_per_subject: Some(1),
        discard_new: true,
        discard_new_per_subject: true,
        ..Settings::default()
    };
    let (mut file, mut mem) = stores(&settings);
    for s in [&mut file as &mut dyn MessageStore, &mut mem] {
        let mut put = |subject: &[u8]| {
            s.append(&NewMessage::new(subject, b"", b"x"), Timestamp(1)).map(|a| a.0)
        };
        assert_eq!(put(b"a").unwrap(), 1);
        assert!(matches!(put(b"a"), Err(Error::MaxMsgsPerSubject)));
        assert_eq!(put(b"b").unwrap(), 2);
        assert!(matches!(put(b"c"), Err(Error::MaxMsgs)));
        let wrong = s.append_at(&NewMessage::new(b"d", b"", b""), 9, Timestamp(1), false);
        assert!(matches!(wrong, Err(Error::SequenceMismatch { expected: 3, got: 9 })));
    }
}

// Contract: PUB-012
#[test]
fn delete_markers_are_proposed_alike() {
    let settings = Settings {
        name: "S".into(),
        allow_msg_ttl: true,
        max_age: Some(std::time::Duration::from_secs(5)),
        subject_delete_marker_ttl: Some(std::time::Duration::from_secs(60)),
        ..Settings::default()
    };
    let second = |n: i64| Timestamp(n * 1_000_000_000);
    let (mut file, mut mem) = stores(&settings);
    let ttl = |subject, ttl| NewMessage {
        ttl,
        ..NewMessage::new(subject, b"NATS/1.0\r\nNats-TTL: 2\r\n\r\n", b"")
    };
    for s in [&mut file as &mut dyn MessageStore, &mut mem] {
        for (m, ts) in [
            (NewMessage::new(b"a", b"", b""), 1),
            (ttl(b"a", 2), 2),
            (ttl(b"b", 2), 2),
            (NewMessage::new(b"c", b"NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\n\r\n", b""), 3),
        ] {
            s.append(&m, second(ts)).unwrap();
        }
    }
    let told = |all: &[crate::Expired]| -> Vec<(u64, bool)> {
        all.iter().map(|e| (e.seq, e.marker)).collect()
    };
    for (at, want) in [
        (3, vec![]),
        (4, vec![(2, false), (3, true)]),
        (5, vec![]),
        (6, vec![(1, true), (2, true), (3, true)]),
        (9, vec![(1, true), (2, true), (3, true), (4, false)]),
    ] {
        assert_eq!(file.next_expiry(), mem.next_expiry());
        assert_eq!(told(&file.expire(second(at)).unwrap()), want, "file at {at}");
        assert_eq!(told(&mem.expire(second(at))), want, "memory at {at}");
    }
    assert_eq!((file.state().msgs, mem.state().msgs), (4, 4), "the owner removes them");
}

#[test]
fn records_over_32_mib_are_refused() {
    let (mut file, mut mem) = stores(&Settings { name: "S".into(), ..Settings::default() });
    let payload = vec![0; 32 << 20];
    for s in [&mut file as &mut dyn MessageStore, &mut mem] {
        let got = s.append(&NewMessage::new(b"a", b"", &payload), Timestamp(1));
        assert!(matches!(got, Err(Error::MsgTooLarge(_))));
        assert_eq!(s.state().last_seq, 0);
    }
}
