//! `meta.inf` with its checksum and key: the document of a stream or consumer.
//!
//! ```text
//! meta.sum.tmp ─► meta.inf.tmp ─► rename meta.inf ─► rename meta.sum
//! ```
//! Not here: what the document says.
//! Laws: a document is returned only if `meta.sum` matches its stored bytes, or will once the write
//!       that was cut short is finished; or if `meta.sum` is gone and its seal proves it.
//! Reference: filestore.go writeStreamMeta, writeConsumerMeta.   Parity: FSTORE-018.

use crate::crypt::{Encryption, OpenedKey, Secret};
use crate::disk::{Disk, DiskFile, Open, parent, read_all, replace};
use crate::error::{Error, Result};
use crate::hash::{HashKey, hex};

/// Where a document lives, and the names its checksum and cipher are keyed with.
#[derive(Clone, Debug)]
pub struct Document {
    prefix: String,
    pub(crate) hash_name: String,
    pub(crate) context: String,
}

impl Document {
    /// The document of a stream or group store.
    pub fn stream(name: &str) -> Self {
        Self { prefix: String::new(), hash_name: name.into(), context: name.into() }
    }

    /// The document of a consumer.
    pub fn consumer(stream: &str, consumer: &str) -> Self {
        Self {
            prefix: format!("obs/{consumer}/"),
            hash_name: format!("{stream}/{consumer}"),
            context: format!("{stream}.{consumer}"),
        }
    }

    pub(crate) fn text(&self) -> String {
        format!("{}meta.inf", self.prefix)
    }

    pub(crate) fn sum(&self) -> String {
        format!("{}meta.sum", self.prefix)
    }

    pub(crate) fn key(&self) -> String {
        format!("{}meta.key", self.prefix)
    }

    fn next_key(&self) -> String {
        format!("{}meta.key.next", self.prefix)
    }

    /// The checksum of stored bytes, as `meta.sum` holds it.
    pub(crate) fn checksum(&self, stored: &[u8]) -> String {
        hex(&HashKey::new(&self.hash_name).hash(&[stored]))
    }
}

const LIMIT: u64 = 16 << 20;

/// Reads a document without opening its store, deciding from its key file how it is sealed.
///
/// Fails with [`Error::Corrupt`] when the checksum does not match: the asset is then skipped with
/// a warning, never deleted.
pub fn read<D: Disk>(
    disk: &D,
    place: &Document,
    encryption: Option<&Encryption>,
) -> Result<Vec<u8>> {
    let secret = match encryption {
        None if read_key(disk, &place.key())?.is_some() => return Err(Error::NoKey),
        None => None,
        Some(encryption) => open_keys(disk, place, encryption)?.current.map(|key| key.secret),
    };
    read_with(disk, place, secret.as_ref())
}

/// The keys of a document.
pub(crate) struct Keys {
    /// What it is sealed with; `None`: it is in the clear, or there is none.
    pub(crate) current: Option<OpenedKey>,
    /// A change of keys was cut short: what else belongs to it may still be kept as before that.
    pub(crate) before: Option<Option<Secret>>,
}

/// Finds out which key a document is sealed with.
pub(crate) fn open_keys<D: Disk>(
    disk: &D,
    place: &Document,
    encryption: &Encryption,
) -> Result<Keys> {
    let open = |path: String| {
        let file = read_key(disk, &path)?;
        file.map(|file| encryption.open(&place.context, &file, &path)).transpose()
    };
    let key = open(place.key());
    if let Ok(Some(next)) = open(place.next_key())
        && read_all(disk, &place.text(), LIMIT).is_ok_and(|d| next.secret.unseal(&d).is_some())
    {
        let before = key.ok().flatten().map(|key| key.secret);
        return Ok(Keys { current: Some(next), before: Some(before) });
    }
    Ok(Keys { current: key?, before: None })
}

fn read_key<D: Disk>(disk: &D, path: &str) -> Result<Option<Vec<u8>>> {
    match read_all(disk, path, 1 << 16) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

/// A new secret, whose key waits beside the old one until everything is sealed with it:
/// [`finish_key`].
pub(crate) fn new_key<D: Disk>(
    disk: &D,
    place: &Document,
    encryption: &Encryption,
) -> Result<Secret> {
    let (secret, file) = encryption.generate(&place.context, &|out| disk.random(out))?;
    let path = place.next_key();
    replace(disk, &path, &file).map_err(|e| Error::io("write", &path, e))?;
    Ok(secret)
}

/// The key that waited takes its place.
pub(crate) fn finish_key<D: Disk>(disk: &D, place: &Document) -> Result<()> {
    let path = place.key();
    disk.rename(&place.next_key(), &path).map_err(|e| Error::io("rename", &path, e))?;
    disk.sync_dir(parent(&path)).map_err(|e| Error::io("sync", &path, e))
}

pub(crate) fn read_with<D: Disk>(
    disk: &D,
    place: &Document,
    secret: Option<&Secret>,
) -> Result<Vec<u8>> {
    let read =
        |path: String, limit| read_all(disk, &path, limit).map_err(|e| Error::io("read", &path, e));
    let stored = read(place.text(), LIMIT)?;
    let sum = match read(place.sum(), 1 << 12) {
        Err(e) if e.is_missing() => None,
        sum => Some(sum?),
    };
    let wanted = place.checksum(&stored);
    let is_it = |sum: &[u8]| wanted.as_bytes() == sum.trim_ascii();
    if !sum.as_deref().is_some_and(is_it) {
        if read(staged(place), 1 << 12).is_ok_and(|sum| is_it(&sum)) {
            // A kill came between the two renames. Whether it can be finished now or not: it proves.
            let _ = disk.rename(&staged(place), &place.sum());
        } else if sum.is_some() {
            return Err(Error::corrupt(&place.text(), "checksum does not match"));
        } else if secret.is_some_and(|secret| secret.unseal(&stored).is_some()) {
            let _ = replace(disk, &place.sum(), wanted.as_bytes());
        } else {
            return Err(Error::corrupt(&place.sum(), "there is none beside the document"));
        }
    }
    match secret {
        // A document is JSON: anything else was sealed.
        None if !stored.is_empty() && !stored.trim_ascii_start().starts_with(b"{") => {
            Err(Error::MissingKey(place.key()))
        }
        None => Ok(stored),
        Some(secret) => secret.unseal(&stored).ok_or_else(|| Error::WrongKey(place.text())),
    }
}

/// Where a checksum waits until its document is in place.
fn staged(place: &Document) -> String {
    format!("{}.tmp", place.sum())
}

/// Writes a document and its checksum, durably, names included. A crash leaves the old one or the
/// new one.
pub(crate) fn write<D: Disk>(
    disk: &D,
    place: &Document,
    text: &[u8],
    secret: Option<&Secret>,
) -> Result<()> {
    let stored = match secret {
        None => text.to_vec(),
        Some(secret) => secret.seal(text, &|out| disk.random(out))?,
    };
    let (path, sum) = (place.text(), staged(place));
    let write = || {
        let file = disk.open(&sum, Open::Create)?;
        file.write_at(place.checksum(&stored).as_bytes(), 0)?;
        file.sync_data()?;
        replace(disk, &path, &stored)
    };
    if let Err(e) = write() {
        let _ = disk.remove_file(&sum);
        return Err(Error::io("write", &path, e));
    }
    disk.rename(&sum, &place.sum()).map_err(|e| Error::io("rename", &sum, e))?;
    disk.sync_dir(parent(&path)).map_err(|e| Error::io("sync", &path, e))
}
