//! A whole store as one file: the S2-compressed tar archive of backups, and back.
//!
//! Members, in order: `meta.inf`, `meta.sum`, `msgs/<n>.blk` in the clear, `msgs/index.db` in the
//! clear, `obs/<consumer>/{meta.inf,meta.sum,o.dat}`.
//! Laws: a restore writes nothing outside the store's directory, and nothing of another kind.
//! Reference: filestore.go streamSnapshot, jetstream_api.go processStreamRestore.
//! Parity: SNAP-001, SNAP-002, SNAP-004, SNAP-005.

use std::io::Read;

use crate::compress::{stream_decode, stream_encode};
use crate::disk::{Disk, replace};
use crate::error::{Error, Result};
use crate::file::FileStore;
use crate::hash::HashKey;
use crate::meta::Document;

/// One member of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Path relative to the store's directory.
    pub path: String,
    /// Content, in the clear.
    pub bytes: Vec<u8>,
}

impl<D: Disk> FileStore<D> {
    /// The archive of everything stored. `consumers` are their documents and states
    /// (`(name, document, state)`), in the clear.
    pub fn snapshot(&mut self, consumers: &[(String, Vec<u8>, Vec<u8>)]) -> Result<Vec<u8>> {
        self.check_open()?;
        self.flush()?;
        let text = self.read_meta()?;
        let mut tar = tar::Builder::new(Vec::new());
        let stream = Document::stream(&self.settings.name);
        add(&mut tar, "meta.inf", &text)?;
        add(&mut tar, "meta.sum", stream.checksum(&text).as_bytes())?;
        for at in 0..self.blocks.len() {
            let bytes = self.content(at)?;
            add(&mut tar, &super::block_path(self.blocks[at].index), &bytes)?;
        }
        let mut index = self.encode_index();
        let hash = HashKey::new(&self.settings.name).hash(&[&index]);
        index.extend_from_slice(&hash);
        add(&mut tar, super::index_db::INDEX, &index)?;
        for (name, document, state) in consumers {
            let place = Document::consumer(&self.settings.name, name);
            add(&mut tar, &place.text(), document)?;
            add(&mut tar, &place.sum(), place.checksum(document).as_bytes())?;
            add(&mut tar, &format!("obs/{name}/o.dat"), state)?;
        }
        let archive = tar.into_inner().map_err(|e| Error::io("archive", "snapshot", e))?;
        let mut out = Vec::with_capacity(archive.len() / 2);
        stream_encode(&archive, &mut out);
        Ok(out)
    }
}

fn add(tar: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    let named = header.set_username("nats").and_then(|()| header.set_groupname("nats"));
    named
        .and_then(|()| tar.append_data(&mut header, path, bytes))
        .map_err(|e| Error::io("archive", path, e))
}

/// Unpacks an archive into `disk`, which should be empty, after checking every member.
///
/// At most `limit` bytes are unpacked. Returns the stream's document.
pub fn restore_files<D: Disk>(disk: &D, archive: &[u8], limit: usize) -> Result<Vec<u8>> {
    let files = unpack(archive, limit)?;
    let mut document = None;
    for file in &files {
        let dir = crate::disk::parent(&file.path);
        disk.create_dir_all(dir).map_err(|e| Error::io("create", dir, e))?;
        replace(disk, &file.path, &file.bytes).map_err(|e| Error::io("write", &file.path, e))?;
        disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
        if file.path == "meta.inf" {
            document = Some(file.bytes.clone());
        }
    }
    document.ok_or_else(|| Error::corrupt("snapshot", "no stream document in it"))
}

/// The members of an archive.
pub(crate) fn unpack(archive: &[u8], limit: usize) -> Result<Vec<SnapshotFile>> {
    let bad = |why| Error::corrupt("snapshot", why);
    let mut plain = Vec::new();
    if !stream_decode(archive, limit, &mut plain) {
        return Err(bad("compressed stream is damaged, or larger than allowed"));
    }
    let mut out = Vec::new();
    let mut tar = tar::Archive::new(&plain[..]);
    for entry in tar.entries().map_err(|_| bad("not an archive"))? {
        let mut entry = entry.map_err(|_| bad("archive is damaged"))?;
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(bad("only regular files may be restored"));
        }
        let path =
            entry.path().map_err(|_| bad("path is not text"))?.to_string_lossy().into_owned();
        if !is_member(&path) {
            return Err(bad("a path leads out of the store"));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|_| bad("archive is cut short"))?;
        out.push(SnapshotFile { path, bytes });
    }
    Ok(out)
}

fn is_member(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let clean = parts.iter().all(|p| !p.is_empty() && *p != "." && *p != ".." && !p.contains('\\'));
    clean
        && match parts[..] {
            ["meta.inf" | "meta.sum"] => true,
            ["msgs", name] => name.ends_with(".blk") || name == "index.db",
            ["obs", _, "meta.inf" | "meta.sum" | "o.dat"] => true,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: SNAP-004
    #[test]
    fn only_paths_of_a_store_are_restored() {
        for good in ["meta.inf", "msgs/12.blk", "msgs/index.db", "obs/C/o.dat"] {
            assert!(is_member(good), "{good}");
        }
        for bad in [
            "/etc/passwd",
            "../meta.inf",
            "msgs/../../x.blk",
            "obs/../o.dat",
            "msgs/x.key",
            "",
            "msgs/",
        ] {
            assert!(!is_member(bad), "{bad}");
        }
    }
}
