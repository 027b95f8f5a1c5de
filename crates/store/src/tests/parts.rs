//! What is kept of blocks that are read here and there: the same messages, within a bound.

use stdx::time::Timestamp;

use crate::disk::sim::SimDisk;
use crate::{Error, FileStore, NewMessage, Options, ReadBudget, Settings};

const COUNT: u64 = 4000;

fn filled(budget: usize) -> FileStore<SimDisk> {
    let options = Options {
        block_size: Some(150_000),
        read_budget: ReadBudget::new(budget),
        ..Options::default()
    };
    let settings = Settings { name: "S".into(), ..Settings::default() };
    let (mut store, _) =
        FileStore::open(SimDisk::new(1), settings, options, b"{}", Timestamp(0)).unwrap();
    for seq in 1..=COUNT {
        let payload = vec![seq as u8; 90 + (seq % 20) as usize];
        store.append(&NewMessage::new(b"a.b", b"", &payload), Timestamp(seq as i64)).unwrap();
    }
    store.sync().unwrap();
    store
}

/// Asks for every message, each far from the one before.
fn ask_all(store: &mut FileStore<SimDisk>, gone: &[u64]) {
    for i in 0..COUNT {
        let seq = i * 1907 % COUNT + 1;
        match store.load(seq) {
            Ok(m) => {
                assert!(!gone.contains(&seq));
                assert_eq!((m.seq, m.payload.len()), (seq, 90 + (seq % 20) as usize));
                assert!(m.payload.iter().all(|b| *b == seq as u8), "{seq}");
            }
            Err(error) => {
                assert!(gone.contains(&seq) && matches!(error, Error::NotFound), "{seq}: {error}");
            }
        }
    }
}

#[test]
fn messages_are_the_same_from_memory_and_from_the_file() {
    for budget in [0, 70_000, 1 << 20] {
        let mut store = filled(budget);
        let before = store.memory();
        for _ in 0..3 {
            ask_all(&mut store, &[]);
        }
        let kept = store.memory() - before;
        assert!(kept <= budget, "{kept} of {budget}");
        if budget > 0 {
            assert!(kept >= 15_000, "{kept} of {budget}");
        }
        if budget == 1 << 20 {
            assert!(kept > 350_000, "nearly everything: {kept}");
        }
    }
}

#[test]
fn what_was_removed_is_not_found_in_memory() {
    let mut store = filled(1 << 20);
    ask_all(&mut store, &[]);
    ask_all(&mut store, &[]);
    let gone = [5, 6, 700, 2900];
    assert!(store.remove(5).unwrap() && store.erase(6).unwrap());
    assert!(store.remove(700).unwrap() && store.erase(2900).unwrap());
    ask_all(&mut store, &gone);
    ask_all(&mut store, &gone);
    let kept = store.memory();
    store.rest();
    assert!(store.memory() + 300_000 < kept, "a store that rests keeps nothing");
    ask_all(&mut store, &gone);
    store.purge().unwrap();
    assert!(matches!(store.load(7), Err(Error::NotFound | Error::Eof)));
}
