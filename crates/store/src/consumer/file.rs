//! A consumer on disk: `obs/<name>/meta.inf`, `meta.sum`, `[meta.key]`, `o.dat`.
//!
//! Not here: what the state means (`state.rs`).
//! Laws: `o.dat` is replaced by rename after its content was synced; a file that does not decode
//!       is set aside, never overwritten in place.
//! Reference: filestore.go consumerFileStore.   Parity: FSTORE-017, FSTORE-018, FSTORE-024.

use std::io;

use stdx::time::Timestamp;

use super::ConsumerState;
use crate::crypt::{Encryption, Secret};
use crate::disk::{Disk, exists, read_all, replace};
use crate::error::{Error, Result};
use crate::meta::{self, Document};

const LIMIT: u64 = 1 << 30;

/// The files of one consumer.
pub struct ConsumerFile<D: Disk> {
    disk: D,
    place: Document,
    dir: String,
    secret: Option<Secret>,
    under_way: bool,
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
    disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))
}

impl<D: Disk> ConsumerFile<D> {
    /// Opens or creates the files of consumer `name` of `stream`, under the stream's disk.
    ///
    /// `document` is written if there is none, or if it has to be kept under another key. Returns
    /// the state that was stored, if any.
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
        let mut file = Self { disk, place, dir, secret: None, under_way: false };
        let state = file.open_secret(document, encryption)?;
        Ok((file, state))
    }

    fn open_secret(
        &mut self,
        document: &[u8],
        encryption: Option<&Encryption>,
    ) -> Result<Option<ConsumerState>> {
        let key_path = self.place.key();
        let has_key = exists(&self.disk, &key_path).map_err(|e| Error::io("open", &key_path, e))?;
        let Some(encryption) = encryption else {
            if has_key {
                return Err(Error::NoKey);
            }
            if meta::read_with(&self.disk, &self.place, None).is_err_and(|e| e.is_missing()) {
                self.write_meta(document)?;
            }
            return self.read_state(None);
        };
        if !has_key {
            // In the clear until now, or new.
            let text = meta::read_with(&self.disk, &self.place, None)
                .unwrap_or_else(|_| document.to_vec());
            let state = self.read_state(None)?;
            return self.seal_anew(encryption, &text, state);
        }
        let bytes = read_all(&self.disk, &key_path, 1 << 16)
            .map_err(|e| Error::io("read", &key_path, e))?;
        let opened = encryption.open(&self.place.context, &bytes, &key_path)?;
        let state = self.read_state(Some(&opened.secret))?;
        let text = meta::read_with(&self.disk, &self.place, Some(&opened.secret));
        let outdated = opened.outdated;
        self.secret = Some(opened.secret);
        if outdated {
            let text = text.unwrap_or_else(|_| document.to_vec());
            return self.seal_anew(encryption, &text, state);
        }
        if text.is_err_and(|e| e.is_missing()) {
            self.write_meta(document)?;
        }
        Ok(state)
    }

    fn seal_anew(
        &mut self,
        encryption: &Encryption,
        text: &[u8],
        state: Option<ConsumerState>,
    ) -> Result<Option<ConsumerState>> {
        let disk = &self.disk;
        let (secret, key) = encryption.generate(&self.place.context, &|out| disk.random(out))?;
        let path = self.place.key();
        replace(&self.disk, &path, &key).map_err(|e| Error::io("write", &path, e))?;
        self.secret = Some(secret);
        self.write_meta(text)?;
        if let Some(state) = &state {
            let newest = state.pending.values().map(|p| p.ts).max().unwrap_or_default();
            self.write_state(state, newest)?;
        }
        Ok(state)
    }

    /// Replaces the consumer's document.
    pub fn write_meta(&self, text: &[u8]) -> Result<()> {
        meta::write(&self.disk, &self.place, text, self.secret.as_ref())
    }

    /// The consumer's document.
    pub fn read_meta(&self) -> Result<Vec<u8>> {
        meta::read_with(&self.disk, &self.place, self.secret.as_ref())
    }

    fn state_path(&self) -> String {
        format!("{}/o.dat", self.dir)
    }

    fn read_state(&self, secret: Option<&Secret>) -> Result<Option<ConsumerState>> {
        let path = self.state_path();
        let bytes = match read_all(&self.disk, &path, LIMIT) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        let plain = match secret {
            Some(secret) => secret.unseal(&bytes),
            None => Some(bytes),
        };
        match plain.as_deref().and_then(ConsumerState::decode) {
            Some(state) => Ok(Some(state)),
            None => Err(Error::corrupt(&path, "consumer state does not decode")),
        }
    }

    /// Sets a damaged `o.dat` aside, so that the consumer can start from its floor again.
    pub fn set_state_aside(disk: &D, name: &str) -> Result<()> {
        let path = format!("obs/{name}/o.dat");
        let aside = format!("{path}.damaged");
        disk.rename(&path, &aside).map_err(|e| Error::io("rename", &path, e))?;
        let dir = format!("obs/{name}");
        disk.sync_dir(&dir).map_err(|e| Error::io("sync", &dir, e))
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
        if let Some(secret) = &self.secret {
            let disk = &self.disk;
            bytes = secret.seal(&bytes, &|out| disk.random(out))?;
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

    #[test]
    fn a_damaged_state_is_reported_and_set_aside() {
        let disk = SimDisk::new(1);
        let (file, _) = ConsumerFile::open(disk.clone(), "S", "C", b"{}", None).unwrap();
        file.write_state(&state(), Timestamp(9_000_000_000)).unwrap();
        let bytes = disk.content("obs/C/o.dat");
        disk.put("obs/C/o.dat", &bytes[..bytes.len() - 3]);
        assert!(matches!(
            ConsumerFile::open(disk.clone(), "S", "C", b"{}", None),
            Err(Error::Corrupt { .. })
        ));
        ConsumerFile::set_state_aside(&disk, "C").unwrap();
        let (_, none) = ConsumerFile::open(disk.clone(), "S", "C", b"{}", None).unwrap();
        assert_eq!(none, None);
        assert!(!disk.content("obs/C/o.dat.damaged").is_empty());
    }
}
