//! A whole store as one archive, member by member: what backups hold.
//!
//! Members, in order: `meta.inf`, `meta.sum`, `msgs/<n>.blk` in the clear, `msgs/index.db` in the
//! clear, `obs/<consumer>/{meta.inf,meta.sum,o.dat}`; a tar archive in the framing of S2.
//! Not here: reading one (`restore`).
//! Laws: one member is in memory at a time; an index goes with the blocks it speaks of or not at all.
//! Reference: filestore.go streamSnapshot.   Parity: SNAP-001, SNAP-002, SNAP-005.

use crate::block::scan::scan;
use crate::compress::{STREAM_HEAD, frames_encode};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file::FileStore;
use crate::file::commit::Ticket;
use crate::hash::HashKey;
use crate::meta::Document;

/// A tar block.
const BLOCK: usize = 512;

/// One member of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Path relative to the store's directory.
    pub path: String,
    /// Content, in the clear.
    pub bytes: Vec<u8>,
}

/// Makes the bytes of an archive out of its members, one after the other.
#[derive(Debug, Default)]
pub struct Packer {
    begun: bool,
}

impl Packer {
    /// Appends a member's bytes.
    ///
    /// # Errors
    /// The path cannot stand in an archive.
    pub fn pack(&mut self, file: &SnapshotFile, out: &mut Vec<u8>) -> Result<()> {
        let mut tar = Vec::with_capacity(file.bytes.len() + 3 * BLOCK);
        let mut header = head(file.bytes.len());
        if header.set_path(&file.path).is_err() {
            // Longer than the format's own field: said in a member of its own before it.
            extend(&file.path, &mut tar)?;
            header.set_path("long").map_err(|e| Error::io("archive", &file.path, e))?;
        }
        put(&mut header, &file.bytes, &mut tar);
        self.append(&tar, out);
        Ok(())
    }

    /// Appends what ends an archive.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.append(&[0; 2 * BLOCK], out);
    }

    fn append(&mut self, tar: &[u8], out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(&STREAM_HEAD);
        }
        frames_encode(tar, out);
    }
}

fn head(size: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size as u64);
    header.set_mode(0o600);
    // Both are short enough for their fields.
    let _ = header.set_username("nats").and_then(|()| header.set_groupname("nats"));
    header
}

fn put(header: &mut tar::Header, bytes: &[u8], tar: &mut Vec<u8>) {
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}

/// A member that says the path of the one behind it: `<length> path=<path>\n`.
fn extend(path: &str, tar: &mut Vec<u8>) -> Result<()> {
    let rest = format!(" path={path}\n");
    // The length counts its own digits.
    let digits = |n: usize| n.to_string().len();
    let mut len = rest.len() + 1;
    while len != rest.len() + digits(len) {
        len = rest.len() + digits(len);
    }
    let record = format!("{len}{rest}");
    let mut header = head(record.len());
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_path("PaxHeaders").map_err(|e| Error::io("archive", path, e))?;
    put(&mut header, record.as_bytes(), tar);
    Ok(())
}

/// What a snapshot of a store is made of, as it was when it began.
#[derive(Clone, Debug)]
pub struct SnapshotPlan {
    /// Blocks by index.
    pub blocks: Vec<u32>,
    /// The last change there was.
    ticket: Ticket,
}

impl<D: Disk> FileStore<D> {
    /// Begins a snapshot.
    ///
    /// # Errors
    /// What was stored cannot be written.
    pub fn snapshot_plan(&mut self) -> Result<SnapshotPlan> {
        self.check_open()?;
        self.flush()?;
        let blocks = self.blocks.iter().map(|b| b.index).collect();
        Ok(SnapshotPlan { blocks, ticket: self.ticket() })
    }

    /// The members before the blocks.
    ///
    /// # Errors
    /// The stream's document cannot be read.
    pub fn snapshot_head(&self) -> Result<[SnapshotFile; 2]> {
        let text = self.read_meta()?;
        let sum = Document::stream(&self.settings.name).checksum(&text).into_bytes();
        let file = |path: &str, bytes| SnapshotFile { path: path.into(), bytes };
        Ok([file("meta.inf", text), file("meta.sum", sum)])
    }

    /// A block, unless it is gone since the snapshot began.
    ///
    /// # Errors
    /// The block cannot be read.
    pub fn snapshot_block(&mut self, index: u32) -> Result<Option<SnapshotFile>> {
        self.check_open()?;
        let Some(at) = self.position_of(index) else { return Ok(None) };
        let bytes = self.content(at)?;
        // Read once: what was kept for reading again only takes room.
        self.plain = None;
        Ok(Some(SnapshotFile { path: super::block_path(index), bytes }))
    }

    /// The index, unless something changed since the snapshot began: then it would not speak of the
    /// blocks that were taken, and whoever restores them looks himself.
    pub fn snapshot_index(&mut self, plan: &SnapshotPlan) -> Option<SnapshotFile> {
        if self.ticket() != plan.ticket {
            return None;
        }
        let mut bytes = self.encode_index();
        let hash = HashKey::new(&self.settings.name).hash(&[&bytes]);
        bytes.extend_from_slice(&hash);
        Some(SnapshotFile { path: super::index_db::INDEX.into(), bytes })
    }

    /// The members of a consumer, from its document and state in the clear.
    pub fn snapshot_consumer(
        &self,
        name: &str,
        document: Vec<u8>,
        state: Vec<u8>,
    ) -> [SnapshotFile; 3] {
        let place = Document::consumer(&self.settings.name, name);
        let sum = place.checksum(&document).into_bytes();
        [
            SnapshotFile { path: place.text(), bytes: document },
            SnapshotFile { path: place.sum(), bytes: sum },
            SnapshotFile { path: format!("obs/{name}/o.dat"), bytes: state },
        ]
    }

    /// The archive of everything stored, in one piece. `consumers` are their documents and states
    /// (`(name, document, state)`), in the clear.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn snapshot(&mut self, consumers: &[(String, Vec<u8>, Vec<u8>)]) -> Result<Vec<u8>> {
        let plan = self.snapshot_plan()?;
        let (mut packer, mut out) = (Packer::default(), Vec::new());
        for file in self.snapshot_head()? {
            packer.pack(&file, &mut out)?;
        }
        for index in &plan.blocks {
            if let Some(file) = self.snapshot_block(*index)? {
                packer.pack(&file, &mut out)?;
            }
        }
        if let Some(file) = self.snapshot_index(&plan) {
            packer.pack(&file, &mut out)?;
        }
        for (name, document, state) in consumers {
            for file in self.snapshot_consumer(name, document.clone(), state.clone()) {
                packer.pack(&file, &mut out)?;
            }
        }
        packer.finish(&mut out);
        Ok(out)
    }
}

/// Places in a block of stream `name` that are no record, for a check before a backup.
pub fn damaged_places(name: &str, index: u32, plain: &[u8]) -> usize {
    let key = HashKey::new(&format!("{name}-{index}"));
    scan(plain, &key, &foldhash::fast::FixedState::with_seed(0)).holes.len()
}
