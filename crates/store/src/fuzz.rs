//! Every decoder of bytes from a disk, as one function each: what the fuzzer calls.
//!
//! Each returns a number that says what kind of thing was found, and asserts what must hold of it.
//! Not here: the targets and their corpora (the fuzz crate).

use foldhash::fast::FixedState;
use stdx::time::Timestamp;

use crate::block::scan::scan;
use crate::block::shape::{self, Held};
use crate::consumer::{Judged, judge};
use crate::file::damage::decode_lost;
use crate::file::index_db::Index;
use crate::file::legacy;
use crate::file::own::{Own, frame, unframe};
use crate::file::restore::unpack;
use crate::hash::{HashKey, hex};
use crate::proof::{Behind, look, prove};
use crate::schedule::Schedules;
use crate::seqset::SeqSet;
use crate::state::ReplicatedState;
use crate::wheel::Wheel;
use crate::{Cipher, ConsumerState, Encryption};

/// Seed of every hash: runs are the same.
const SEED: u64 = 7;

/// A block file of stream `S`, compressed or not: records and holes.
pub fn block(bytes: &[u8]) -> usize {
    let key = HashKey::new("S-1");
    let plain = if crate::compress::is_compressed(bytes) {
        crate::compress::decompress_block(bytes, "fuzz")
            .unwrap_or_else(|_| crate::compress::salvage_block(bytes))
    } else {
        bytes.to_vec()
    };
    let found = scan(&plain, &key, &FixedState::with_seed(SEED));
    for pair in found.messages.windows(2) {
        assert!(pair[0].seq < pair[1].seq, "sequences ascend");
        assert!(pair[0].offset + pair[0].len <= pair[1].offset, "records do not overlap");
    }
    for hole in &found.holes {
        assert!(hole.len > 0 && hole.offset + hole.len <= plain.len() as u64, "holes lie within");
    }
    found.messages.len() * 4 + found.holes.len().min(3) + found.tombstones.len() * 64
}

/// `<n>.len`: two bytes say where a block ends and a file of ours begins, which gets the hash it needs
/// to be looked into.
pub fn lengths(bytes: &[u8]) -> usize {
    let key = HashKey::new("S-1");
    let Some((cut, rest)) = bytes.split_first_chunk::<2>() else { return 0 };
    let (plain, body) = rest.split_at(usize::from(u16::from_le_bytes(*cut)).min(rest.len()));
    let mut found = 0;
    for (magic, weight) in [(shape::OLD, 1), (shape::MAGIC, 4)] {
        let file = shape::frame(magic, body, &key);
        let doubts = shape::doubts(plain, &file, &key);
        assert!(doubts.iter().all(|&at| at < plain.len()), "doubts lie within");
        let held = shape::held(&file, &key);
        if let Some(Held::Seqs { runs, last }) = &held {
            assert!(runs.windows(2).all(|pair| pair[0].1 < pair[1].0), "runs ascend");
            assert!(runs.iter().all(|run| 0 < run.0 && run.0 <= run.1 && run.1 <= *last));
        }
        let _ = shape::extent(&file, &key);
        found += weight * (usize::from(held.is_some()) + usize::from(!doubts.is_empty()));
    }
    let own = shape::encode(plain, &key);
    assert!(shape::doubts(plain, &own, &key).is_empty(), "own bytes");
    let Some(Held::Seqs { runs, .. }) = shape::held(&own, &key) else {
        unreachable!("own bytes are intact")
    };
    let scanned = scan(plain, &key, &FixedState::with_seed(SEED));
    if scanned.holes.is_empty() {
        let seqs = scanned.messages.iter().map(|m| m.seq).filter(|&seq| seq > 0);
        assert!(runs.iter().flat_map(|run| run.0..=run.1).eq(seqs), "as the scan finds them");
    }
    found + 16 * runs.len().min(4)
}

/// The body of `index.db`, and an `.idx` file.
pub fn index(bytes: &[u8]) -> usize {
    let old = legacy::decode(bytes, 1).map_or(0, |b| 1 + usize::from(!b.deleted.is_empty()));
    let new = Index::decode(bytes, SEED, &|n, job| (0..n).for_each(job));
    let own = Own::decode(bytes).map_or(0, |own| {
        let again = Own::decode(&own.encode()).map(|again| format!("{again:?}"));
        assert_eq!(again, Some(format!("{own:?}")), "own bytes");
        1 + own.blocks.len().min(4)
    });
    let _ = unframe(bytes, "S");
    assert_eq!(unframe(&frame([7; 8], bytes, "S"), "S"), Some(bytes));
    own * 32
        + old
        + 3 * new.map_or(0, |i| 1 + usize::from(i.is_consistent()) + 2 * i.blocks.len().min(4))
}

/// `thw.db`: what decodes encodes to the same entries.
pub fn wheel(bytes: &[u8]) -> usize {
    check_proof(bytes);
    let Some((wheel, high)) = Wheel::decode(bytes) else { return 0 };
    let due = wheel.due(i64::MAX, usize::MAX);
    let again = Wheel::decode(&wheel.encode(high));
    assert!(again.is_some(), "own bytes");
    let (again, also_high) = again.unwrap_or_default();
    assert_eq!((again.due(i64::MAX, usize::MAX), also_high), (due.clone(), high));
    1 + due.len()
}

/// `sched.db`: what decodes encodes to the same times.
pub fn schedules(bytes: &[u8]) -> usize {
    check_proof(bytes);
    let Some((mut schedules, high)) = Schedules::decode(bytes) else { return 0 };
    let again = Schedules::decode(&schedules.encode(high));
    assert!(again.is_some(), "own bytes");
    let (again, also_high) = again.unwrap_or_default();
    assert_eq!((again.next(), also_high), (schedules.next(), high));
    1 + schedules.take_due(i64::MAX).len()
}

/// What is proven is what was written, and nothing else is.
fn check_proof(bytes: &[u8]) {
    let key = HashKey::new("S");
    let mut proven = bytes.to_vec();
    prove(&mut proven, &key);
    assert_eq!(look(&proven, &key), Behind::Proof(bytes));
    if let Some(first) = proven.first_mut() {
        *first ^= 1;
    }
    assert_ne!(look(&proven, &key), Behind::Proof(bytes));
    let _ = look(bytes, &key);
}

/// `o.dat`: what decodes encodes to the same state.
pub fn consumer(bytes: &[u8]) -> usize {
    if let Judged::Proven(state) | Judged::Unproven(state) = judge(bytes, &HashKey::new("S/C")) {
        assert_eq!(ConsumerState::decode(bytes), Some(state), "as the reference reads it");
    }
    // The same with the proof that this server puts behind it.
    let mut proven = bytes.to_vec();
    prove(&mut proven, &HashKey::new("S/C"));
    match judge(&proven, &HashKey::new("S/C")) {
        Judged::Proven(state) => assert_eq!(ConsumerState::decode(&proven), Some(state)),
        Judged::Damaged(_) => {}
        Judged::Unproven(_) => unreachable!("a proof stands behind it"),
    }
    let Some(state) = ConsumerState::decode(bytes) else { return 0 };
    let valid = state.validate().is_ok();
    if valid {
        let again = ConsumerState::decode(&state.encode(Timestamp(0)));
        assert_eq!(again.as_ref(), Some(&state));
    }
    1 + usize::from(valid) + 2 * state.pending.len().min(4) + 8 * state.redelivered.len().min(4)
}

/// The state replicas exchange, and the sets in it.
pub fn replicated(bytes: &[u8]) -> usize {
    let set = SeqSet::decode(bytes).map_or(0, |(set, used)| {
        assert!(used <= bytes.len());
        1 + usize::from(set.len() > 1)
    });
    set + 3 * ReplicatedState::decode(bytes).map_or(0, |s| 1 + s.deleted.len().min(6))
}

/// `meta.sum` (16 bytes), `meta.key` (80 bytes), `meta.inf` or `lost.json` (the rest).
pub fn meta(bytes: &[u8]) -> usize {
    let (sum, rest) = bytes.split_at(bytes.len().min(16));
    let (key, text) = rest.split_at(rest.len().min(80));
    let matches = hex(&HashKey::new("S").hash(&[text])).as_bytes() == sum;
    let mut found = usize::from(matches);
    found += 16 * decode_lost(text).len().min(3);
    for cipher in [Cipher::ChaCha, Cipher::Aes] {
        let encryption =
            Encryption { cipher, key: b"key".to_vec(), previous: None, info: "$G".into() };
        if let Ok(opened) = encryption.open("S", key, "meta.key") {
            found += 2 + usize::from(opened.secret.unseal(text).is_some());
        }
    }
    found
}

/// A snapshot archive: at most a mebibyte is unpacked, the same however it is cut.
pub fn archive(bytes: &[u8]) -> usize {
    let files = unpack(bytes, usize::MAX, 1 << 20);
    let cut = unpack(bytes, 1 + bytes.len() % 700, 1 << 20);
    assert_eq!(files.as_ref().ok(), cut.as_ref().ok(), "cuts do not matter");
    let Ok(files) = files else { return 0 };
    for file in &files {
        assert!(!file.path.starts_with('/') && !file.path.contains(".."), "{}", file.path);
    }
    1 + files.len()
}
