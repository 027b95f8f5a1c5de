//! A consumer on disk: `obs/<name>/meta.inf`, `meta.sum`, `[meta.key]`, `o.dat`, and ours alone
//! `o.own`, the same bytes once more.
//!
//! Not here: what the state means (`state.rs`), how its bytes are proven (`judge.rs`).
//! Laws: `o.dat` is replaced by rename after its content was synced; a file that is damaged is set
//!       aside, never overwritten in place, and keeps no consumer from being opened: it goes on
//!       from the copy, which is the same state or an earlier one.
//! Reference: filestore.go consumerFileStore.   Parity: FSTORE-017, FSTORE-018, FSTORE-024.

use std::io;

use stdx::time::Timestamp;

use super::ConsumerState;
use super::judge::{Judged, judge};
use crate::crypt::{Encryption, Secret};
use crate::disk::{Disk, DiskFile, Open, exists, free_name, read_all, replace};
use crate::error::{Error, Result};
use crate::hash::HashKey;
use crate::meta::{self, Document};
use crate::proof::prove;

const LIMIT: u64 = 1 << 30;

/// The files of one consumer.
pub struct ConsumerFile<D: Disk> {
    disk: D,
    place: Document,
    dir: String,
    secret: Option<Secret>,
    setback: Option<Setback>,
    under_way: bool,
}

/// A state that was stored and is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// The file, relative to the stream's directory.
    pub file: String,
    /// What was found.
    pub why: &'static str,
    /// Where it was set aside, if there was something.
    pub aside: Option<String>,
    /// The copy could be used instead: the same state, or an earlier one.
    pub from_copy: bool,
}

/// A consumer's state on its way to the disk, without the consumer.
pub struct StateJob<D: Disk> {
    disk: D,
    dir: String,
    bytes: Vec<u8>,
}

/// What a [`StateJob`] came to; hand it to [`ConsumerFile::complete_state`].
#[derive(Debug)]
pub struct StateWritten(Result<()>);

impl<D: Disk> StateJob<D> {
    /// Replaces the stored state, durably. Blocks for as long as the device takes.
    pub fn run(self) -> StateWritten {
        StateWritten(put_state(&self.disk, &self.dir, &self.bytes))
    }
}

fn put_state<D: Disk>(disk: &D, dir: &str, bytes: &[u8]) -> Result<()> {
    let path = format!("{dir}/o.dat");
    replace(disk, &path, bytes).map_err(|e| Error::io("write", &path, e))?;
    // Not synced, and nobody waits for it: torn, it proves nothing, and the state is where it
    // belongs.
    let _ = put_copy(disk, dir, bytes);
    disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))
}

fn put_copy<D: Disk>(disk: &D, dir: &str, bytes: &[u8]) -> io::Result<()> {
    disk.open(&format!("{dir}/o.own"), Open::Create)?.write_at(bytes, 0)
}

/// The state a consumer left, if it is whole; nothing is changed.
pub(crate) fn peek<D: Disk>(
    disk: &D,
    stream: &str,
    name: &str,
    encryption: Option<&Encryption>,
) -> Option<ConsumerState> {
    let place = Document::consumer(stream, name);
    let keys = encryption.map(|e| meta::open_keys(disk, &place, e).ok());
    let secret = keys.and_then(|keys| Some(keys?.current?.secret));
    let key = HashKey::new(&place.hash_name);
    ["o.dat", "o.own"].iter().find_map(|file| {
        let bytes = read_all(disk, &format!("obs/{name}/{file}"), LIMIT).ok()?;
        let plain = match &secret {
            Some(secret) => secret.unseal(&bytes)?,
            None => bytes,
        };
        match judge(&plain, &key) {
            Judged::Proven(state) | Judged::Unproven(state) => {
                state.validate().is_ok().then_some(state)
            }
            Judged::Damaged(_) => None,
        }
    })
}

impl<D: Disk> ConsumerFile<D> {
    /// Opens or creates the files of consumer `name` of `stream`, under the stream's disk.
    ///
    /// `document` is written if there is none that is whole, or if it has to be kept under another
    /// key. Returns the state that was stored, if any; [`Self::setback`] tells if that is not the
    /// last one.
    pub fn open(
        disk: D,
        stream: &str,
        name: &str,
        document: &[u8],
        encryption: Option<&Encryption>,
    ) -> Result<(Self, Option<ConsumerState>)> {
        let dir = format!("obs/{name}");
        disk.create_dir_all(&dir).map_err(|e| Error::io("create", &dir, e))?;
        let place = Document::consumer(stream, name);
        let mut file = Self { disk, place, dir, secret: None, setback: None, under_way: false };
        let state = file.open_secret(document, encryption)?;
        if let (Some(_), Some(state)) = (&file.setback, &state) {
            file.write_found(state)?;
        }
        Ok((file, state))
    }

    fn open_secret(
        &mut self,
        document: &[u8],
        encryption: Option<&Encryption>,
    ) -> Result<Option<ConsumerState>> {
        let key_path = self.place.key();
        let Some(encryption) = encryption else {
            if exists(&self.disk, &key_path).map_err(|e| Error::io("open", &key_path, e))? {
                return Err(Error::NoKey);
            }
            let text = meta::read_with(&self.disk, &self.place, None);
            self.keep_document(text, document)?;
            return self.read_state(&[None]);
        };
        let keys = meta::open_keys(&self.disk, &self.place, encryption)?;
        let Some(opened) = keys.current else {
            // In the clear until now, or new; or a key is gone that nothing here replaces.
            let text = match meta::read_with(&self.disk, &self.place, None) {
                Err(e @ Error::MissingKey(_)) => return Err(e),
                text => text.unwrap_or_else(|_| document.to_vec()),
            };
            let state = self.read_state(&[None])?;
            return self.seal_anew(encryption, &text, state);
        };
        let before = keys.before.as_ref().map(Option::as_ref);
        let secrets = [Some(Some(&opened.secret)), before];
        let secrets: Vec<Option<&Secret>> = secrets.into_iter().flatten().collect();
        let state = self.read_state(&secrets)?;
        let text = meta::read_with(&self.disk, &self.place, Some(&opened.secret));
        let outdated = opened.outdated;
        let was_cut = keys.before.is_some();
        self.secret = Some(opened.secret);
        if was_cut {
            if let Some(state) = &state {
                self.write_found(state)?;
            }
            meta::finish_key(&self.disk, &self.place)?;
        }
        if outdated {
            let text = text.unwrap_or_else(|_| document.to_vec());
            return self.seal_anew(encryption, &text, state);
        }
        self.keep_document(text, document)?;
        Ok(state)
    }

    /// Writes the document if there is none, or none that is whole: that one is set aside.
    fn keep_document(&self, found: Result<Vec<u8>>, document: &[u8]) -> Result<()> {
        match found {
            Ok(_) => Ok(()),
            Err(Error::Corrupt { .. }) => {
                self.set_aside(&self.place.text())?;
                self.write_meta(document)
            }
            Err(e) if e.is_missing() => self.write_meta(document),
            Err(e) => Err(e),
        }
    }

    fn seal_anew(
        &mut self,
        encryption: &Encryption,
        text: &[u8],
        state: Option<ConsumerState>,
    ) -> Result<Option<ConsumerState>> {
        self.secret = Some(meta::new_key(&self.disk, &self.place, encryption)?);
        self.write_meta(text)?;
        if let Some(state) = &state {
            self.write_found(state)?;
        }
        meta::finish_key(&self.disk, &self.place)?;
        Ok(state)
    }

    /// Stores a state as it was found.
    fn write_found(&self, state: &ConsumerState) -> Result<()> {
        let newest = state.pending.values().map(|p| p.ts).max().unwrap_or_default();
        self.write_state(state, newest)
    }

    /// Replaces the consumer's document.
    pub fn write_meta(&self, text: &[u8]) -> Result<()> {
        meta::write(&self.disk, &self.place, text, self.secret.as_ref())
    }

    /// The consumer's document.
    pub fn read_meta(&self) -> Result<Vec<u8>> {
        meta::read_with(&self.disk, &self.place, self.secret.as_ref())
    }

    /// What became of the stored state, if it was not what it should be.
    pub fn setback(&self) -> Option<&Setback> {
        self.setback.as_ref()
    }

    fn hash_key(&self) -> HashKey {
        HashKey::new(&self.place.hash_name)
    }

    /// What lies in a file, kept in one of these ways; `None` if there is none.
    fn judge(&self, path: &str, secrets: &[Option<&Secret>]) -> Result<Option<Judged>> {
        let bytes = match read_all(&self.disk, path, LIMIT) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
                return Ok(Some(Judged::Damaged("it is larger than a state can be")));
            }
            Err(e) => return Err(Error::io("read", path, e)),
        };
        let key = self.hash_key();
        let mut ways = secrets.iter().map(|secret| match secret {
            Some(secret) => match secret.unseal(&bytes) {
                Some(plain) => judge(&plain, &key),
                None => Judged::Damaged("its key does not open it"),
            },
            None => judge(&bytes, &key),
        });
        let first = ways.next();
        let is_damaged = matches!(first, Some(Judged::Damaged(_)));
        let whole = ways.find(|judged| is_damaged && !matches!(judged, Judged::Damaged(_)));
        Ok(whole.or(first))
    }

    fn read_state(&mut self, secrets: &[Option<&Secret>]) -> Result<Option<ConsumerState>> {
        let (path, copy) = (format!("{}/o.dat", self.dir), format!("{}/o.own", self.dir));
        let why = match self.judge(&path, secrets)? {
            Some(Judged::Proven(state) | Judged::Unproven(state)) => return Ok(Some(state)),
            Some(Judged::Damaged(why)) => Some(why),
            None => None,
        };
        let copied = self.judge(&copy, secrets)?;
        if why.is_none() && copied.is_none() {
            return Ok(None);
        }
        let aside = why.map(|_| self.set_aside(&path)).transpose()?;
        // A copy in the clear without proof was torn, or is not ours.
        let state = match copied {
            Some(Judged::Proven(state)) => Some(state),
            Some(Judged::Unproven(state)) if secrets.iter().all(Option::is_some) => Some(state),
            _ => None,
        };
        self.setback = Some(Setback {
            file: path,
            why: why.unwrap_or("it is missing"),
            aside,
            from_copy: state.is_some(),
        });
        Ok(state)
    }

    /// Moves a damaged file out of the way. Returns where it is now.
    fn set_aside(&self, path: &str) -> Result<String> {
        let aside = free_name(&self.disk, &format!("{path}.damaged"));
        self.disk.rename(path, &aside).map_err(|e| Error::io("rename", path, e))?;
        self.disk.sync_dir(&self.dir).map_err(|e| Error::io("sync", &self.dir, e))?;
        Ok(aside)
    }

    /// Replaces the stored state; durable when it returns. Not while a job is under way.
    pub fn write_state(&self, state: &ConsumerState, now: Timestamp) -> Result<()> {
        if self.under_way {
            return Err(Error::UnderWay);
        }
        put_state(&self.disk, &self.dir, &self.encode_state(state, now)?)
    }

    /// The same as work for an I/O thread; `None` while an earlier one is under way: ask again when
    /// it completed, with the state of then.
    pub fn state_job(
        &mut self,
        state: &ConsumerState,
        now: Timestamp,
    ) -> Result<Option<StateJob<D>>> {
        if self.under_way {
            return Ok(None);
        }
        let bytes = self.encode_state(state, now)?;
        self.under_way = true;
        Ok(Some(StateJob { disk: self.disk.clone(), dir: self.dir.clone(), bytes }))
    }

    /// Takes the outcome of a job; after a failure the stored state is an earlier one.
    pub fn complete_state(&mut self, written: StateWritten) -> Result<()> {
        self.under_way = false;
        written.0
    }

    fn encode_state(&self, state: &ConsumerState, now: Timestamp) -> Result<Vec<u8>> {
        let mut bytes = state.encode(now);
        match &self.secret {
            Some(secret) => {
                let disk = &self.disk;
                bytes = secret.seal(&bytes, &|out| disk.random(out))?;
            }
            None => prove(&mut bytes, &self.hash_key()),
        }
        Ok(bytes)
    }

    /// Removes the consumer with all its files.
    pub fn delete(self) -> Result<()> {
        self.remove()
    }

    /// Removes all its files; it must not be written again.
    pub fn remove(&self) -> Result<()> {
        self.disk.remove_dir_all(&self.dir).map_err(|e| Error::io("remove", &self.dir, e))?;
        self.disk.sync_dir("obs").map_err(|e| Error::io("sync", "obs", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::{AckPolicy, SequencePair};
    use crate::crypt::Cipher;
    use crate::disk::sim::SimDisk;

    fn state() -> ConsumerState {
        let mut s = ConsumerState::default();
        for i in 1..=5 {
            let at = SequencePair { consumer: i, stream: i + 10 };
            s.deliver(AckPolicy::Explicit, None, at, 1, Timestamp(5_000_000_000)).unwrap();
        }
        s.acknowledge(AckPolicy::Explicit, SequencePair { consumer: 2, stream: 12 }).unwrap();
        s
    }

    // Contract: FSTORE-017, FSTORE-022, FSTORE-024
    #[test]
    fn state_survives_encryption_rotation_and_cipher_change() {
        let disk = SimDisk::new(1);
        let (file, none) = ConsumerFile::open(disk.clone(), "S", "C", b"{}", None).unwrap();
        assert_eq!(none, None);
        file.write_state(&state(), Timestamp(9_000_000_000)).unwrap();
        let e = |cipher, key: &str, previous: Option<&str>| Encryption {
            cipher,
            key: key.into(),
            previous: previous.map(Into::into),
            info: "$G".into(),
        };
        let steps = [
            e(Cipher::ChaCha, "one", None),
            e(Cipher::Aes, "one", None),
            e(Cipher::ChaCha, "two", Some("one")),
            e(Cipher::ChaCha, "two", None),
        ];
        for step in &steps {
            let (file, got) =
                ConsumerFile::open(disk.clone(), "S", "C", b"{}", Some(step)).unwrap();
            assert_eq!(got, Some(state()));
            assert_eq!(file.read_meta().unwrap(), b"{}");
        }
        assert!(matches!(
            ConsumerFile::open(disk.clone(), "S", "C", b"{}", None),
            Err(Error::NoKey)
        ));
        let wrong = e(Cipher::Aes, "three", None);
        let before = disk.content("obs/C/o.dat");
        assert!(matches!(
            ConsumerFile::open(disk.clone(), "S", "C", b"{}", Some(&wrong)),
            Err(Error::WrongKey(_))
        ));
        assert_eq!(disk.content("obs/C/o.dat"), before);
    }

    fn open(disk: &SimDisk) -> (ConsumerFile<SimDisk>, Option<ConsumerState>) {
        ConsumerFile::open(disk.clone(), "S", "C", b"{}", None).unwrap()
    }

    #[test]
    fn a_damaged_state_is_set_aside_and_the_copy_goes_on() {
        let disk = SimDisk::new(1);
        let (file, _) = open(&disk);
        file.write_state(&state(), Timestamp(9_000_000_000)).unwrap();
        let bytes = disk.content("obs/C/o.dat");
        let cut = &bytes[..bytes.len() - 20];
        for n in 1..=2 {
            disk.put("obs/C/o.dat", cut);
            let (file, got) = open(&disk);
            assert_eq!(got, Some(state()));
            let setback = file.setback().unwrap();
            assert!(setback.from_copy && setback.why == "it does not decode", "{setback:?}");
            let aside = format!("obs/C/o.dat.damaged-{n}");
            assert_eq!(setback.aside.as_deref(), Some(&*aside));
            assert_eq!(disk.content(&aside), cut);
        }
        // The copy says that there was one.
        disk.delete("obs/C/o.dat");
        let (file, got) = open(&disk);
        assert_eq!(got, Some(state()));
        assert_eq!(file.setback().unwrap().why, "it is missing");
        // Without a copy nothing is left, and that is told.
        disk.put("obs/C/o.dat", cut);
        disk.delete("obs/C/o.own");
        let (file, none) = open(&disk);
        assert!(none.is_none() && !file.setback().unwrap().from_copy);
        file.write_state(&state(), Timestamp(9_000_000_000)).unwrap();
        let (file, got) = open(&disk);
        assert_eq!((got, file.setback()), (Some(state()), None));
    }

    // Contract: FSTORE-017
    #[test]
    fn a_state_that_the_reference_wrote_later_is_believed_over_the_copy() {
        let disk = SimDisk::new(1);
        let (file, _) = open(&disk);
        file.write_state(&state(), Timestamp(9_000_000_000)).unwrap();
        let mut newer = state();
        newer.acknowledge(AckPolicy::Explicit, SequencePair { consumer: 1, stream: 11 }).unwrap();
        disk.put("obs/C/o.dat", &newer.encode(Timestamp(9_000_000_000)));
        let (file, got) = open(&disk);
        assert_eq!((got, file.setback()), (Some(newer), None));
    }

    #[test]
    fn a_damaged_document_makes_room_for_a_new_one() {
        let disk = SimDisk::new(1);
        drop(open(&disk));
        disk.put("obs/C/meta.inf", b"{");
        let (file, _) = open(&disk);
        assert_eq!(file.read_meta().unwrap(), b"{}");
        assert_eq!(disk.content("obs/C/meta.inf.damaged-1"), b"{");
    }

    #[test]
    fn a_missing_key_is_named_and_nothing_is_touched() {
        let encryption = Encryption {
            cipher: Cipher::Aes,
            key: b"one".to_vec(),
            previous: None,
            info: "$G".into(),
        };
        let disk = SimDisk::new(1);
        let open = |e| ConsumerFile::open(disk.clone(), "S", "C", b"{}", e);
        let (file, _) = open(Some(&encryption)).unwrap();
        file.write_state(&state(), Timestamp(9_000_000_000)).unwrap();
        disk.delete("obs/C/meta.key");
        let files = || disk.paths().into_iter().map(|p| disk.content(&p)).collect::<Vec<_>>();
        let before = files();
        for e in [Some(&encryption), None] {
            let error = open(e).err().unwrap().to_string();
            assert!(error.contains("obs/C/meta.key"), "{error}");
        }
        assert_eq!(files(), before);
    }
}
