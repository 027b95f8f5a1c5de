//! Archives of stores, read as their bytes come and unpacked into a directory.
//!
//! ```text
//! bytes -> frames of S2 -> blocks of tar -> files
//! ```
//! Not here: making one (`snapshot`).
//! Laws: nothing is written outside the directory, and nothing of another kind; what waits in memory
//!       is bounded by the largest frame, whatever lengths are claimed.
//! Reference: stream.go RestoreStream.   Parity: SNAP-004.

use std::collections::BTreeSet;

use crate::compress::Frames;
use crate::disk::{Disk, DiskFile, Open, parent, read_all};
use crate::error::{Error, Result};
#[cfg(any(test, feature = "fuzz"))]
use crate::file::snapshot::SnapshotFile;

/// A tar block.
const BLOCK: usize = 512;
/// The largest description of a member by another one.
const MAX_EXTENSION: u64 = 1 << 16;
/// The largest document of a stream.
const MAX_DOCUMENT: u64 = 16 << 20;

fn bad(why: &'static str) -> Error {
    Error::corrupt("snapshot", why)
}

/// Takes the members of an archive.
trait Sink {
    fn begin(&mut self, path: &str, size: u64) -> Result<()>;
    fn data(&mut self, bytes: &[u8]) -> Result<()>;
    fn end(&mut self) -> Result<()>;
}

/// What the bytes that come next are.
enum Part {
    /// The head of a member.
    Head,
    /// The content of a member, so many bytes.
    Content(u64),
    /// What is said of the next member; `true` if it counts.
    Extension(u64, bool),
    /// What fills the last block of a member.
    Padding(usize),
    /// Nothing that matters.
    Rest,
}

/// The tar archive.
struct Tar {
    part: Part,
    /// A head or an extension as far as it came.
    held: Vec<u8>,
    padding: usize,
    /// The next member's path and size, if they stand before it.
    path: Option<String>,
    size: Option<u64>,
}

impl Default for Tar {
    fn default() -> Self {
        Self { part: Part::Head, held: Vec::new(), padding: 0, path: None, size: None }
    }
}

impl Tar {
    fn push(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<()> {
        while !bytes.is_empty() {
            bytes = self.step(bytes, sink)?;
        }
        Ok(())
    }

    /// Takes some of the bytes; returns the rest.
    fn step<'a>(&mut self, bytes: &'a [u8], sink: &mut impl Sink) -> Result<&'a [u8]> {
        let upto =
            |n: u64| bytes.split_at(usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len()));
        match self.part {
            Part::Head => {
                let (own, rest) = upto((BLOCK - self.held.len()) as u64);
                self.held.extend_from_slice(own);
                if self.held.len() == BLOCK {
                    let head = std::mem::take(&mut self.held);
                    self.part = self.begin(&head, sink)?;
                    self.skip_empty(sink)?;
                }
                Ok(rest)
            }
            Part::Content(left) => {
                let (own, rest) = upto(left);
                sink.data(own)?;
                self.part = Part::Content(left - own.len() as u64);
                self.skip_empty(sink)?;
                Ok(rest)
            }
            Part::Extension(left, counts) => {
                let (own, rest) = upto(left);
                if counts {
                    self.held.extend_from_slice(own);
                }
                self.part = Part::Extension(left - own.len() as u64, counts);
                self.skip_empty(sink)?;
                Ok(rest)
            }
            Part::Padding(left) => {
                let (own, rest) = upto(left as u64);
                self.part = Part::Padding(left - own.len());
                self.skip_empty(sink)?;
                Ok(rest)
            }
            Part::Rest => Ok(&[]),
        }
    }

    /// Goes on to the next part once this one is complete.
    fn skip_empty(&mut self, sink: &mut impl Sink) -> Result<()> {
        match self.part {
            Part::Content(0) => {
                sink.end()?;
                self.part = Part::Padding(self.padding);
            }
            Part::Extension(0, counts) => {
                let text = std::mem::take(&mut self.held);
                if counts {
                    self.extend(&text)?;
                }
                self.part = Part::Padding(self.padding);
            }
            _ => {}
        }
        if matches!(self.part, Part::Padding(0)) {
            self.part = Part::Head;
        }
        Ok(())
    }

    fn begin(&mut self, head: &[u8], sink: &mut impl Sink) -> Result<Part> {
        if head.iter().all(|b| *b == 0) {
            return Ok(Part::Rest);
        }
        let header = tar::Header::from_byte_slice(head);
        let sum: u32 = head
            .iter()
            .enumerate()
            .map(|(at, b)| u32::from(if (148..156).contains(&at) { b' ' } else { *b }))
            .sum();
        if header.cksum().ok() != Some(sum) {
            return Err(bad("archive is damaged"));
        }
        let size = header.entry_size().map_err(|_| bad("archive is damaged"))?;
        let padding =
            |size: u64| (BLOCK as u64 - 1 - (size + BLOCK as u64 - 1) % BLOCK as u64) as usize;
        match header.entry_type() {
            tar::EntryType::Regular => {
                let size = self.size.take().unwrap_or(size);
                self.padding = padding(size.min(u64::MAX / 2));
                let path = match self.path.take() {
                    Some(path) => path,
                    None => text(&header.path_bytes())?,
                };
                if !is_member(&path) {
                    return Err(bad("a path leads out of the store"));
                }
                sink.begin(&path, size)?;
                Ok(Part::Content(size))
            }
            kind @ (tar::EntryType::XHeader | tar::EntryType::XGlobalHeader) => {
                if size > MAX_EXTENSION {
                    return Err(bad("a member says too much of another"));
                }
                self.padding = padding(size);
                Ok(Part::Extension(size, kind == tar::EntryType::XHeader))
            }
            _ => Err(bad("only regular files may be restored")),
        }
    }

    /// Reads `<length> <key>=<value>\n`, one after the other.
    fn extend(&mut self, mut records: &[u8]) -> Result<()> {
        let damaged = || bad("a member is not described as it should be");
        while !records.is_empty() {
            let space = records.iter().position(|b| *b == b' ').ok_or_else(damaged)?;
            let len: usize =
                text(records.get(..space).unwrap_or_default())?.parse().map_err(|_| damaged())?;
            let record = records.get(space + 1..len).ok_or_else(damaged)?;
            let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(damaged)?;
            let (key, value) = record.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            match key {
                b"path" => self.path = Some(text(value)?),
                b"size" => self.size = Some(text(value)?.parse().map_err(|_| damaged())?),
                _ => {}
            }
            records = records.get(len..).unwrap_or_default();
        }
        Ok(())
    }

    /// Whether the archive may end here.
    fn is_whole(&self) -> bool {
        matches!(self.part, Part::Rest) || matches!(self.part, Part::Head) && self.held.is_empty()
    }
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| bad("path is not text"))
}

fn is_member(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let clean = parts.iter().all(|p| {
        !p.is_empty() && *p != "." && *p != ".." && !p.contains('\\') && !p.contains('\0')
    });
    let block = |name: &str| {
        // Servers before 2.10 kept what was deleted beside each block.
        [".blk", ".idx", ".fss"].iter().any(|end| name.ends_with(end)) || name == "index.db"
    };
    clean
        && match parts[..] {
            ["meta.inf" | "meta.sum"] => true,
            ["msgs", name] => block(name),
            ["obs", _, "meta.inf" | "meta.sum" | "o.dat"] => true,
            _ => false,
        }
}

/// Bytes of an archive as they come.
#[derive(Default)]
struct Parser {
    frames: Frames,
    tar: Tar,
}

impl Parser {
    fn push(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<()> {
        let tar = &mut self.tar;
        self.frames.push(bytes);
        while let Some(plain) = self.frames.next().map_err(bad)? {
            tar.push(&plain, sink)?;
        }
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        if self.frames.is_empty() && self.tar.is_whole() {
            Ok(())
        } else {
            Err(bad("archive is cut short"))
        }
    }
}

/// Unpacks an archive into a directory while its bytes come.
pub struct Unpacker<D: Disk> {
    parser: Parser,
    files: Files<D>,
}

struct Files<D: Disk> {
    disk: D,
    /// The file that is written, its path and how much of it there is.
    open: Option<(String, D::File, u64)>,
    dirs: BTreeSet<String>,
    taken: u64,
    limit: u64,
}

impl<D: Disk> Sink for Files<D> {
    fn begin(&mut self, path: &str, size: u64) -> Result<()> {
        self.taken = self.taken.saturating_add(size);
        if self.taken > self.limit {
            return Err(Error::SnapshotTooLarge { limit: self.limit });
        }
        let dir = parent(path);
        if self.dirs.insert(dir.to_owned()) {
            self.disk.create_dir_all(dir).map_err(|e| Error::io("create", dir, e))?;
        }
        let file = self.disk.open(path, Open::Create).map_err(|e| Error::io("create", path, e))?;
        self.open = Some((path.to_owned(), file, 0));
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((path, file, at)) = &mut self.open else { return Ok(()) };
        file.write_at(bytes, *at).map_err(|e| Error::io("write", path, e))?;
        *at += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some((path, file, _)) = self.open.take() else { return Ok(()) };
        file.sync_data().map_err(|e| Error::io("sync", &path, e))
    }
}

impl<D: Disk> Unpacker<D> {
    /// Unpacks into `disk`, which should be empty, at most `limit` bytes.
    pub fn new(disk: D, limit: u64) -> Self {
        let files = Files { disk, open: None, dirs: BTreeSet::new(), taken: 0, limit };
        Self { parser: Parser::default(), files }
    }

    /// Takes the next bytes of the archive. Waits for the disk.
    ///
    /// # Errors
    /// The archive is not one, too large, or cannot be written; nothing more should be pushed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.parser.push(bytes, &mut self.files)
    }

    /// The archive is complete. Returns the stream's document.
    ///
    /// # Errors
    /// The archive is cut short, or holds no stream.
    pub fn finish(self) -> Result<Vec<u8>> {
        self.parser.finish()?;
        for dir in self.files.dirs.iter().map(String::as_str).chain([""]) {
            self.files.disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
        }
        read_all(&self.files.disk, "meta.inf", MAX_DOCUMENT)
            .map_err(|_| bad("no stream document in it"))
    }
}

/// Unpacks an archive that is there as a whole into `disk`, which should be empty.
///
/// At most `limit` bytes are unpacked. Returns the stream's document.
///
/// # Errors
/// As [`Unpacker`] says.
pub fn restore_files<D: Disk>(disk: &D, archive: &[u8], limit: u64) -> Result<Vec<u8>> {
    disk.create_dir_all("").map_err(|e| Error::io("create", "", e))?;
    let mut unpacker = Unpacker::new(disk.clone(), limit);
    unpacker.push(archive)?;
    unpacker.finish()
}

/// The members of an archive, cut into pieces of `piece` bytes on its way.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn unpack(archive: &[u8], piece: usize, limit: u64) -> Result<Vec<SnapshotFile>> {
    struct All(Vec<SnapshotFile>, u64);
    impl Sink for All {
        fn begin(&mut self, path: &str, size: u64) -> Result<()> {
            self.1 = self.1.checked_sub(size).ok_or_else(|| bad("larger than allowed"))?;
            self.0.push(SnapshotFile { path: path.into(), bytes: Vec::new() });
            Ok(())
        }
        fn data(&mut self, bytes: &[u8]) -> Result<()> {
            if let Some(file) = self.0.last_mut() {
                file.bytes.extend_from_slice(bytes);
            }
            Ok(())
        }
        fn end(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let (mut parser, mut all) = (Parser::default(), All(Vec::new(), limit));
    for piece in archive.chunks(piece.max(1)) {
        parser.push(piece, &mut all)?;
    }
    parser.finish()?;
    Ok(all.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::snapshot::Packer;

    // Contract: SNAP-004
    #[test]
    fn only_paths_of_a_store_are_restored() {
        for good in ["meta.inf", "msgs/12.blk", "msgs/index.db", "obs/C/o.dat", "msgs/1.idx"] {
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

    fn packed(files: &[SnapshotFile]) -> Vec<u8> {
        let (mut packer, mut out) = (Packer::default(), Vec::new());
        for file in files {
            packer.pack(file, &mut out).unwrap();
        }
        packer.finish(&mut out);
        out
    }

    #[test]
    fn an_archive_is_read_however_it_is_cut() {
        let file = |path: String, len: usize| SnapshotFile {
            path,
            bytes: (0..len).map(|i| (i * i) as u8).collect(),
        };
        let files = vec![
            file("meta.inf".into(), 2),
            file("meta.sum".into(), 512),
            file("msgs/1.blk".into(), 3_000_000),
            file("msgs/2.blk".into(), 0),
            file(format!("obs/{}/o.dat", "x".repeat(255)), 513),
        ];
        let archive = packed(&files);
        for piece in [1, 7, 511, 512, 4096, usize::MAX] {
            if piece > 1 || archive.len() < 1 << 20 {
                assert_eq!(unpack(&archive, piece, 1 << 30).unwrap(), files, "{piece}");
            }
        }
        assert!(unpack(&archive, 4096, 3_000_000).is_err(), "too much");
        let cut = archive.get(..archive.len() - 600).unwrap();
        assert!(unpack(cut, 4096, 1 << 30).is_err(), "cut short");
    }

    #[test]
    fn other_kinds_of_members_are_refused() {
        for kind in [tar::EntryType::Symlink, tar::EntryType::Directory, tar::EntryType::Link] {
            let mut header = tar::Header::new_ustar();
            header.set_path("msgs/1.blk").unwrap();
            header.set_entry_type(kind);
            header.set_size(0);
            header.set_cksum();
            let mut out = crate::compress::STREAM_HEAD.to_vec();
            crate::compress::frames_encode(header.as_bytes(), &mut out);
            let refused = unpack(&out, 100, 1 << 20).unwrap_err().to_string();
            assert!(refused.contains("only regular files"), "{kind:?}: {refused}");
        }
    }
}
