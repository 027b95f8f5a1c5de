//! Encryption at rest: key files, sealed metadata, and the block stream ciphers.
//!
//! Key file: `nonce | seal(key-encryption key, 32-byte seed)`. Metadata: `nonce | seal(seed, text)`.
//! Blocks: XORed with the cipher's key stream from file offset 0, key = seed, nonce = that of the
//! key file. The key-encryption key is HMAC-SHA256(configured key, info ++ context).
//! Reference: filestore.go genEncryptionKeys, genBlockEncryptionKey.   Parity: FSTORE-021, -022.

use std::sync::Arc;

use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, aead::Aead, aead::KeyInit};
use chacha20::XChaCha20;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::consts::U16;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};

/// The cipher of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cipher {
    /// XChaCha20-Poly1305, blocks with XChaCha20.
    #[default]
    ChaCha,
    /// AES-256-GCM with 16-byte nonces, blocks with AES-256-CTR.
    Aes,
}

type Gcm = AesGcm<Aes256, U16>;

/// Key files shorter than this hold no key.
const MIN_KEY_FILE: usize = 64;
/// Longer ones are of a cipher this build does not know.
const MAX_KEY_FILE: usize = 72;

impl Cipher {
    fn other(self) -> Self {
        match self {
            Self::ChaCha => Self::Aes,
            Self::Aes => Self::ChaCha,
        }
    }

    pub(crate) fn nonce_len(self) -> usize {
        match self {
            Self::ChaCha => 24,
            Self::Aes => 16,
        }
    }

    fn seal(self, key: &[u8; 32], nonce: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::ChaCha => {
                let nonce = nonce.try_into().ok()?;
                XChaCha20Poly1305::new(key.into()).encrypt(nonce, plain).ok()
            }
            Self::Aes => {
                let nonce = nonce.try_into().ok()?;
                Gcm::new(key.into()).encrypt(nonce, plain).ok()
            }
        }
    }

    fn open(self, key: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_at_checked(self.nonce_len())?;
        self.open_with(key, nonce, body)
    }

    fn open_with(self, key: &[u8; 32], nonce: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::ChaCha => {
                let nonce = nonce.try_into().ok()?;
                XChaCha20Poly1305::new(key.into()).decrypt(nonce, body).ok()
            }
            Self::Aes => {
                let nonce = nonce.try_into().ok()?;
                Gcm::new(key.into()).decrypt(nonce, body).ok()
            }
        }
    }
}

/// What the operator configured for one account's stores.
#[derive(Clone)]
pub struct Encryption {
    /// Cipher for what is written.
    pub cipher: Cipher,
    /// The configured key string.
    pub key: Vec<u8>,
    /// The key before the last rotation, if configured.
    pub previous: Option<Vec<u8>>,
    /// Account name for streams and consumers; group name or `_meta_` for Raft stores.
    pub info: String,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encryption").field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

/// The secret of one asset or block: it seals metadata and streams blocks.
///
/// Shared, for every block has one, and most stores have none at all.
#[derive(Clone)]
pub(crate) struct Secret(Arc<Parts>);

struct Parts {
    cipher: Cipher,
    seed: [u8; 32],
    nonce: Vec<u8>,
}

/// An opened key file, and whether it should be written anew under the current key and cipher.
pub(crate) struct OpenedKey {
    pub(crate) secret: Secret,
    pub(crate) outdated: bool,
}

impl Encryption {
    /// A new secret for `context`, and the key file to store it in.
    pub(crate) fn generate(
        &self,
        context: &str,
        random: &dyn Fn(&mut [u8]) -> std::io::Result<()>,
    ) -> Result<(Secret, Vec<u8>)> {
        let mut seed = [0u8; 32];
        let mut nonce = vec![0u8; self.cipher.nonce_len()];
        random(&mut seed).map_err(|e| Error::io("random", "key", e))?;
        random(&mut nonce).map_err(|e| Error::io("random", "key", e))?;
        let kek = self.derive(&self.key, context);
        let sealed = self
            .cipher
            .seal(&kek, &nonce, &seed)
            .ok_or_else(|| Error::corrupt("key", "sealing failed"))?;
        let mut file = nonce.clone();
        file.extend_from_slice(&sealed);
        Ok((Secret::new(self.cipher, seed, nonce), file))
    }

    /// Opens a key file with the current or the previous key, under either cipher.
    pub(crate) fn open(&self, context: &str, file: &[u8], name: &str) -> Result<OpenedKey> {
        if file.len() < MIN_KEY_FILE {
            return Err(Error::BadKeyFile(name.into()));
        }
        let keys =
            std::iter::once((&self.key, false)).chain(self.previous.iter().map(|k| (k, true)));
        for (key, old) in keys {
            let kek = self.derive(key, context);
            for cipher in [self.cipher, self.cipher.other()] {
                let Some(seed) = cipher.open(&kek, file) else { continue };
                let Ok(seed) = <[u8; 32]>::try_from(&seed[..]) else { continue };
                let nonce = file.get(..cipher.nonce_len()).unwrap_or_default().to_vec();
                let outdated = old || cipher != self.cipher;
                return Ok(OpenedKey { secret: Secret::new(cipher, seed, nonce), outdated });
            }
        }
        if file.len() > MAX_KEY_FILE {
            // No damage makes a file longer.
            let id = u8::try_from(file.len()).unwrap_or(u8::MAX);
            return Err(Error::Unknown { file: name.into(), what: "cipher, size of key", id });
        }
        Err(Error::WrongKey(name.into()))
    }

    fn derive(&self, key: &[u8], context: &str) -> [u8; 32] {
        // HMAC takes keys of any length, so this cannot fail; an all-zero key would open nothing.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
        mac.update(self.info.as_bytes());
        mac.update(context.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl Secret {
    fn new(cipher: Cipher, seed: [u8; 32], nonce: Vec<u8>) -> Self {
        Self(Arc::new(Parts { cipher, seed, nonce }))
    }

    /// Applies the block key stream to bytes that lie at `offset` of the file.
    pub(crate) fn apply(&self, offset: u64, bytes: &mut [u8]) {
        match self.0.cipher {
            Cipher::ChaCha => {
                if let Ok(mut c) = XChaCha20::new_from_slices(&self.0.seed, &self.0.nonce) {
                    c.seek(offset);
                    c.apply_keystream(bytes);
                }
            }
            Cipher::Aes => {
                if let Ok(mut c) = Ctr128BE::<Aes256>::new_from_slices(&self.0.seed, &self.0.nonce)
                {
                    c.seek(offset);
                    c.apply_keystream(bytes);
                }
            }
        }
    }

    /// `nonce | sealed text` for metadata.
    pub(crate) fn seal(
        &self,
        plain: &[u8],
        random: &dyn Fn(&mut [u8]) -> std::io::Result<()>,
    ) -> Result<Vec<u8>> {
        let mut out = vec![0u8; self.0.cipher.nonce_len()];
        random(&mut out).map_err(|e| Error::io("random", "nonce", e))?;
        let sealed = self
            .0
            .cipher
            .seal(&self.0.seed, &out, plain)
            .ok_or_else(|| Error::corrupt("metadata", "sealing failed"))?;
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// The text of sealed metadata; `None` if it was not sealed with this secret.
    pub(crate) fn unseal(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.cipher.open(&self.0.seed, sealed)
    }

    /// The text of metadata that was sealed with the nonce of the key file and does not repeat it.
    pub(crate) fn unseal_with_own_nonce(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.cipher.open_with(&self.0.seed, &self.0.nonce, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(out: &mut [u8]) -> std::io::Result<()> {
        out.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8 + 1);
        Ok(())
    }

    // Contract: FSTORE-021, FSTORE-022
    #[test]
    fn keys_open_under_either_cipher_and_the_previous_key() {
        for cipher in [Cipher::ChaCha, Cipher::Aes] {
            let old =
                Encryption { cipher, key: b"s3cr3t".to_vec(), previous: None, info: "$G".into() };
            let (secret, file) = old.generate("S:1", &random).unwrap();
            assert_eq!(file.len(), cipher.nonce_len() + 48);
            let new = Encryption {
                cipher: cipher.other(),
                key: b"other".to_vec(),
                previous: Some(b"s3cr3t".to_vec()),
                info: "$G".into(),
            };
            let opened = new.open("S:1", &file, "1.key").unwrap();
            assert!(opened.outdated && opened.secret.0.seed == secret.0.seed);
            let wrong = Encryption { previous: None, ..new.clone() };
            assert!(matches!(wrong.open("S:1", &file, "1.key"), Err(Error::WrongKey(_))));
            assert!(matches!(new.open("S:1", &file[..60], "1.key"), Err(Error::BadKeyFile(_))));
            let sealed = secret.seal(b"hello", &random).unwrap();
            assert_eq!(secret.unseal(&sealed).unwrap(), b"hello");
        }
    }

    #[test]
    fn key_stream_can_be_applied_in_pieces() {
        for cipher in [Cipher::ChaCha, Cipher::Aes] {
            let e = Encryption { cipher, key: b"k".to_vec(), previous: None, info: "A".into() };
            let (secret, _) = e.generate("x", &random).unwrap();
            let mut whole = vec![0u8; 300];
            secret.apply(0, &mut whole);
            let mut parts = vec![0u8; 300];
            let (a, b) = parts.split_at_mut(77);
            secret.apply(77, b);
            secret.apply(0, a);
            assert_eq!(whole, parts);
        }
    }
}
