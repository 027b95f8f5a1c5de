//! Documents that a crash, damage or another server left half written.

use stdx::time::Timestamp;

use crate::disk::sim::SimDisk;
use crate::meta::{self, Document};
use crate::{
    Cipher, ConsumerFile, ConsumerState, Encryption, Error, FileStore, NewMessage, Options,
    SequencePair, Settings,
};

const OLD: &[u8] = b"{\"Created\":\"then\"}";
const NEW: &[u8] = b"{\"Created\":\"then\",\"max_msgs\":7}";

fn encryptions() -> [Option<Encryption>; 2] {
    let key = b"k".to_vec();
    [None, Some(Encryption { cipher: Cipher::ChaCha, key, previous: None, info: "$G".into() })]
}

fn open(
    disk: &SimDisk,
    document: &[u8],
    encryption: Option<&Encryption>,
) -> crate::Result<FileStore<SimDisk>> {
    let settings = Settings { name: "S".into(), ..Settings::default() };
    let options = Options { encryption: encryption.cloned(), ..Options::default() };
    FileStore::open(disk.clone(), settings, options, document, Timestamp(1)).map(|opened| opened.0)
}

fn read(
    disk: &SimDisk,
    place: &Document,
    encryption: Option<&Encryption>,
) -> crate::Result<Vec<u8>> {
    meta::read(disk, place, encryption)
}

// Contract: FSTORE-018
#[test]
fn a_crash_leaves_the_old_document_or_the_new_one() {
    for encryption in &encryptions() {
        let encryption = encryption.as_ref();
        let mut seen = Vec::new();
        for cut in 1.. {
            let disk = SimDisk::new(cut);
            let store = open(&disk, OLD, encryption);
            let mut store = store.unwrap();
            let (file, _) = ConsumerFile::open(disk.clone(), "S", "C", OLD, encryption).unwrap();
            disk.crash_after(cut);
            let done = store.write_meta(NEW).and_then(|()| file.write_meta(NEW));
            for disk in [disk.copy(), disk.after_crash()] {
                for place in [Document::stream("S"), Document::consumer("S", "C")] {
                    let found = read(&disk, &place, encryption).unwrap();
                    assert!(found == OLD || found == NEW, "{cut}");
                    // As whoever looks next finds it, the other server too.
                    let again = disk.copy();
                    assert_eq!(read(&again, &place, encryption).unwrap(), found);
                    let stored = again.content(&place.text());
                    assert_eq!(again.content(&place.sum()), place.checksum(&stored).as_bytes());
                    seen.push(found);
                }
            }
            if done.is_ok() && !disk.crashed() {
                break;
            }
        }
        assert!(seen.len() > 30 && seen.iter().any(|s| s == OLD) && seen.iter().any(|s| s == NEW));
    }
}

// Contract: FSTORE-018
#[test]
fn a_document_without_a_checksum_is_believed_only_if_its_seal_proves_it() {
    for encryption in &encryptions() {
        let encryption = encryption.as_ref();
        let disk = SimDisk::new(1);
        drop(open(&disk, OLD, encryption).unwrap());
        let place = Document::stream("S");
        disk.delete(&place.sum());
        let found = read(&disk, &place, encryption);
        if encryption.is_some() {
            assert_eq!(found.unwrap(), OLD);
            let stored = disk.content(&place.text());
            assert_eq!(disk.content(&place.sum()), place.checksum(&stored).as_bytes());
        } else {
            let Err(Error::Corrupt { file, .. }) = found else { panic!("{found:?}") };
            assert_eq!(file, place.sum());
            assert!(!disk.paths().contains(&place.sum()), "nothing is changed");
        }
    }
}

// The Go server takes such a stream in as well, and leaves it out again at its next start.
#[test]
fn a_stream_made_anew_over_a_damaged_document_is_there_at_the_next_start() {
    for encryption in &encryptions() {
        let encryption = encryption.as_ref();
        for damage in ["no sum", "flipped", "empty"] {
            let disk = SimDisk::new(1);
            let mut store = open(&disk, OLD, encryption).unwrap();
            store.append(&NewMessage::new(b"a", b"", b"x"), Timestamp(1)).unwrap();
            store.close().unwrap();
            let place = Document::stream("S");
            let mut stored = disk.content(&place.text());
            match damage {
                "no sum" => disk.delete(&place.sum()),
                "empty" => disk.put(&place.text(), b""),
                _ => {
                    stored[5] ^= 1;
                    disk.put(&place.text(), &stored);
                }
            }
            let proven = damage == "no sum" && encryption.is_some();
            assert_eq!(read(&disk.copy(), &place, encryption).is_ok(), proven, "{damage}");
            let mut store = open(&disk, NEW, encryption).unwrap();
            assert_eq!(store.state().msgs, 1);
            store.close().unwrap();
            let want = if proven { OLD } else { NEW };
            assert_eq!(read(&disk, &place, encryption).unwrap(), want, "{damage}");
            let aside = disk.content("meta.inf.damaged-1");
            assert_eq!(aside, if proven || damage == "empty" { vec![] } else { stored });
        }
    }
}

// Contract: FSTORE-022
#[test]
fn a_change_of_keys_that_is_cut_is_finished_at_the_next_start() {
    let [plain, sealed] = encryptions();
    let next = sealed.clone().map(|old| Encryption {
        cipher: Cipher::Aes,
        key: b"new".to_vec(),
        previous: Some(old.key),
        ..old
    });
    for (before, after) in [(&plain, &sealed), (&sealed, &next)] {
        for cut in 1.. {
            let disk = SimDisk::new(cut);
            let mut store = open(&disk, OLD, before.as_ref()).unwrap();
            for seq in 1..=3 {
                store.append(&NewMessage::new(b"a", b"", b"x"), Timestamp(seq)).unwrap();
            }
            store.close().unwrap();
            let (file, _) =
                ConsumerFile::open(disk.clone(), "S", "C", OLD, before.as_ref()).unwrap();
            let at = SequencePair { consumer: 2, stream: 2 };
            let state = ConsumerState { delivered: at, ack_floor: at, ..ConsumerState::default() };
            file.write_state(&state, Timestamp(1)).unwrap();
            drop(file);
            // As the other server leaves it.
            disk.delete("obs/C/o.own");
            disk.crash_after(cut);
            let done = open(&disk, NEW, after.as_ref()).and_then(|mut store| {
                store.load(1)?;
                store.close()?;
                ConsumerFile::open(disk.clone(), "S", "C", NEW, after.as_ref()).map(|_| ())
            });
            for (how, disk) in [("killed", disk.copy()), ("cut", disk.after_crash())] {
                for place in [Document::stream("S"), Document::consumer("S", "C")] {
                    let found = read(&disk, &place, after.as_ref());
                    assert_eq!(found.ok().as_deref(), Some(OLD), "{how} after {cut}: {place:?}");
                }
                let mut store = open(&disk, NEW, after.as_ref()).unwrap();
                assert!((1..=3).all(|seq| store.load(seq).is_ok()), "{how} after {cut}");
                assert_eq!(store.lost(), [], "{how} after {cut}");
                store.close().unwrap();
                for _ in 0..2 {
                    let opened = ConsumerFile::open(disk.clone(), "S", "C", NEW, after.as_ref());
                    assert_eq!(opened.unwrap().1, Some(state.clone()), "{how} after {cut}");
                }
                for place in [Document::stream("S"), Document::consumer("S", "C")] {
                    assert_eq!(read(&disk, &place, after.as_ref()).unwrap(), OLD, "{how} {cut}");
                }
            }
            if done.is_ok() && !disk.crashed() {
                assert!(cut > 10);
                break;
            }
        }
    }
}
