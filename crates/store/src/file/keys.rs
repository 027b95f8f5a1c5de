//! The stream's own documents and the secrets of its blocks.
//!
//! Not here: what the documents say (the API room), ciphers (`crypt.rs`).
//! Laws: a store with a key file is never written in the clear, nor converted without its key.
//! Reference: filestore.go writeStreamMeta, recoverAEK, loadEncryptionForMsgBlock.
//! Parity: FSTORE-018, FSTORE-021, FSTORE-022, FSTORE-024.

use stdx::warning;

use crate::disk::{Disk, DiskFile, Open, exists, free_name, read_all, replace};
use crate::error::{Error, Result};
use crate::file::read::read_block;
use crate::file::{FileStore, MSGS, block_path, key_path};
use crate::meta::{self, Document};

impl<D: Disk> FileStore<D> {
    /// Opens the stream's secret and writes its document if there is none, or if it is to be
    /// kept under another key from now on.
    pub(super) fn open_meta(&mut self, document: &[u8]) -> Result<()> {
        let place = Document::stream(&self.settings.name);
        let Some(encryption) = self.options.encryption.clone() else {
            if exists(&self.disk, &place.key()).map_err(|e| Error::io("open", "meta.key", e))? {
                return Err(Error::NoKey);
            }
            let text = meta::read_with(&self.disk, &place, None);
            return self.write_document_if_unproven(&place, text, document);
        };
        let keys = meta::open_keys(&self.disk, &place, &encryption)?;
        if let Some(opened) = keys.current {
            if keys.before.is_some() {
                meta::finish_key(&self.disk, &place)?;
            }
            let outdated = opened.outdated;
            let text = meta::read_with(&self.disk, &place, Some(&opened.secret));
            self.secret = Some(opened.secret);
            if outdated {
                // Everything sealed with the old secret is read before the secret changes.
                let index = self.read_index_file()?;
                let text = text.unwrap_or_else(|_| document.to_vec());
                self.new_secret(&place, &text)?;
                if index.is_some() {
                    self.index_on_disk = true;
                    self.invalidate_index()?;
                }
                return Ok(());
            }
            // Another key's is left to whoever has that.
            let text = text.or_else(|e| match e {
                Error::WrongKey(_) => Ok(Vec::new()),
                e => Err(e),
            });
            return self.write_document_if_unproven(&place, text, document);
        }
        self.check_not_sealed(&place)?;
        let text = meta::read_with(&self.disk, &place, None).unwrap_or_else(|_| document.to_vec());
        self.new_secret(&place, &text)
    }

    /// A document that was sealed, and has no key, is not one to be written over.
    fn check_not_sealed(&self, place: &Document) -> Result<()> {
        match meta::read_with(&self.disk, place, None) {
            Err(e @ Error::MissingKey(_)) => Err(e),
            _ => Ok(()),
        }
    }

    fn new_secret(&mut self, place: &Document, text: &[u8]) -> Result<()> {
        let Some(encryption) = &self.options.encryption else { return Ok(()) };
        self.secret = Some(meta::new_key(&self.disk, place, encryption)?);
        self.write_document(place, text)?;
        meta::finish_key(&self.disk, place)
    }

    /// Writes a document where there is none. A damaged one, which nobody could read at the next
    /// start either, is set aside first: whoever knows one that is good has made the stream anew.
    fn write_document_if_unproven(
        &mut self,
        place: &Document,
        found: Result<Vec<u8>>,
        text: &[u8],
    ) -> Result<()> {
        match found {
            Ok(_) => return Ok(()),
            Err(Error::Corrupt { .. }) => {
                let path = place.text();
                let size = self.disk.open(&path, Open::Read).and_then(|f| f.size());
                if size.is_ok_and(|size| size > 0) {
                    let aside = free_name(&self.disk, &format!("{path}.damaged"));
                    self.disk.rename(&path, &aside).map_err(|e| Error::io("rename", &path, e))?;
                    warning!(
                        self.options.log,
                        "Filestore [{}] a damaged '{path}' was set aside as '{aside}'",
                        self.settings.name
                    );
                }
            }
            Err(e) if e.is_missing() => {}
            Err(e) => return Err(e),
        }
        self.write_document(place, text)
    }

    fn write_document(&mut self, place: &Document, text: &[u8]) -> Result<()> {
        meta::write(&self.disk, place, text, self.secret.as_ref())
    }

    /// Replaces the stream's document after a change of its configuration.
    pub fn write_meta(&mut self, text: &[u8]) -> Result<()> {
        self.check_open()?;
        let place = Document::stream(&self.settings.name);
        self.write_document(&place, text)
    }

    /// The stream's document as it is stored.
    pub fn read_meta(&self) -> Result<Vec<u8>> {
        meta::read_with(&self.disk, &Document::stream(&self.settings.name), self.secret.as_ref())
    }

    /// Loads the secret of a block, converting the block if it is kept otherwise than configured.
    pub(super) fn ensure_secret(&mut self, at: usize) -> Result<()> {
        if self.options.encryption.is_none() || self.blocks[at].secret.is_some() {
            return Ok(());
        }
        self.check_key(at)?;
        let index = self.blocks[at].index;
        self.blocks[at].secret = self.block_secret(index)?;
        Ok(())
    }

    /// The secret of a block file; an older or missing one is replaced, the block rewritten.
    pub(super) fn block_secret(&self, index: u32) -> Result<Option<crate::crypt::Secret>> {
        let Some(encryption) = &self.options.encryption else { return Ok(None) };
        let (path, file) = (key_path(index), block_path(index));
        let context = format!("{}:{index}", self.settings.name);
        let old = match read_all(&self.disk, &path, 1 << 16) {
            Ok(bytes) => {
                let opened = encryption.open(&context, &bytes, &path)?;
                if !opened.outdated {
                    return Ok(Some(opened.secret));
                }
                Some(opened.secret)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        let handle = self.disk.open(&file, Open::Read).map_err(|e| Error::io("open", &file, e))?;
        let (plain, _) = read_block(&handle, old.as_ref(), &file)?;
        let readable = plain.bytes.is_empty()
            || crate::record::Record::verify(
                &plain.bytes,
                &crate::hash::HashKey::new(&format!("{}-{index}", self.settings.name)),
            )
            .is_some();
        if !readable {
            // Neither clear text nor readable with its key: converting would destroy it.
            return Err(Error::BadKeyFile(path));
        }
        let disk = &self.disk;
        let (secret, key) = encryption.generate(&context, &|out| disk.random(out))?;
        let mut sealed = plain.bytes;
        secret.apply(0, &mut sealed);
        // The new pair is complete beside the old one before either name moves; a crash between
        // the two renames leaves the staged key, which `recover` finishes with.
        let staged = format!("{path}.next");
        replace(&self.disk, &staged, &key).map_err(|e| Error::io("write", &staged, e))?;
        self.disk.sync_dir(MSGS).map_err(|e| Error::io("sync", MSGS, e))?;
        replace(&self.disk, &file, &sealed).map_err(|e| Error::io("write", &file, e))?;
        self.disk.rename(&staged, &path).map_err(|e| Error::io("rename", &path, e))?;
        self.disk.sync_dir(MSGS).map_err(|e| Error::io("sync", MSGS, e))?;
        Ok(Some(secret))
    }
}
