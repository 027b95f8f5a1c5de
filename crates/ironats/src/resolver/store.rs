//! Account tokens in a directory: one file `<key>.jwt` each.
//!
//! Not here: who asks and who may change them (`directory`, `service`).
//! Laws: a file is whole or not there; only keys of accounts become names of files; what is kept is
//!       bounded by `limit`: a cache forgets what was used longest ago, a full store refuses.
//! Reference: dirstore.go.   Contract: AUTH-019, AUTH-020.

use auth::jwt::decode_generic;
use auth::jwt::token::MAX_SIZE;
use config::options::nkey;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXTENSION: &str = ".jwt";

/// What deleting does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    /// It is refused.
    Refused,
    /// The file gets the ending `.deleted`.
    Renames,
    /// The file goes.
    Removes,
}

/// How a store behaves.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) directory: PathBuf,
    /// Tokens it may keep.
    pub(super) limit: usize,
    /// Whether one more drives out the one used longest ago.
    pub(super) evicts: bool,
    /// How long a token is kept that nobody asks for; `None`: until it ends itself.
    pub(super) ttl: Option<Duration>,
    pub(super) deletion: Deletion,
}

/// Why a token is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("invalid public key")]
    Key,
    #[error("invalid JWT")]
    Token,
    #[error("jwt store is full")]
    Full,
    #[error("store is not set up to for delete")]
    NoDelete,
    #[error("jwt subject nkey and provided nkey do not match")]
    Subject,
    #[error("line in package didn't contain 2 entries: {}", stdx::go_text::quote(.0.as_bytes()))]
    Line(String),
    #[error("key to merge is not a valid public account key")]
    MergedKey,
    #[error("{0}: {1}")]
    File(String, io::Error),
}

#[derive(Clone, Debug)]
struct Item {
    hash: [u8; 32],
    /// When it goes, in Unix nanoseconds.
    ends: i64,
    /// When it was used, on a clock of uses.
    used: u64,
}

#[derive(Debug, Default)]
struct Index {
    items: BTreeMap<String, Item>,
    /// All hashes, one over the other.
    hash: [u8; 32],
    uses: u64,
}

/// The store.
#[derive(Debug)]
pub(super) struct Store {
    rules: Rules,
    index: Mutex<Index>,
}

impl Index {
    fn fold(&mut self, hash: &[u8; 32]) {
        for (ours, theirs) in self.hash.iter_mut().zip(hash) {
            *ours ^= theirs;
        }
    }

    fn enter(&mut self, key: &str, hash: [u8; 32], ends: i64) {
        self.leave(key);
        self.uses += 1;
        let used = self.uses;
        self.items.insert(key.to_owned(), Item { hash, ends, used });
        self.fold(&hash);
    }

    fn leave(&mut self, key: &str) {
        if let Some(item) = self.items.remove(key) {
            self.fold(&item.hash);
        }
    }

    fn oldest(&self) -> Option<String> {
        let oldest = self.items.iter().min_by_key(|(_, item)| item.used);
        oldest.map(|(key, _)| key.clone())
    }
}

fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Store {
    /// Opens the directory, made if it is not there, and takes in what lies in it. `now` in Unix
    /// nanoseconds.
    pub(super) fn open(rules: Rules, now: i64) -> Result<Self, StoreError> {
        let failed = |error| StoreError::File(rules.directory.display().to_string(), error);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&rules.directory).map_err(failed)?;
        let store = Self { rules, index: Mutex::default() };
        store.rescan(now)?;
        Ok(store)
    }

    /// Takes in what lies in the directory now.
    pub(super) fn rescan(&self, now: i64) -> Result<(), StoreError> {
        let directory = &self.rules.directory;
        let failed = |error| StoreError::File(directory.display().to_string(), error);
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let key = name.to_str().and_then(|name| name.strip_suffix(EXTENSION));
            found.extend(key.filter(|key| nkey::is_public_account(key)).map(str::to_owned));
        }
        found.sort();
        let mut fresh = Index::default();
        let mut index = self.index.lock();
        for key in found {
            if let Some(token) = self.read(&key) {
                fresh.enter(&key, hash_of(&token), self.end_of(&token, now));
            }
        }
        *index = fresh;
        Ok(())
    }

    /// Where it is.
    pub(super) fn directory(&self) -> &Path {
        &self.rules.directory
    }

    /// What deleting does.
    pub(super) fn deletion(&self) -> Deletion {
        self.rules.deletion
    }

    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        // Nothing but a key may name a file.
        if !nkey::is_public_account(key) || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(StoreError::Key);
        }
        Ok(self.rules.directory.join(format!("{key}{EXTENSION}")))
    }

    fn read(&self, key: &str) -> Option<String> {
        let file = fs::File::open(self.path(key).ok()?).ok()?;
        let mut token = String::new();
        file.take(MAX_SIZE as u64 + 1).read_to_string(&mut token).ok()?;
        (token.len() <= MAX_SIZE).then_some(token)
    }

    fn end_of(&self, token: &str, now: i64) -> i64 {
        if let Some(ttl) = self.rules.ttl {
            let ttl = i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX);
            return now.saturating_add(ttl);
        }
        let expires = decode_generic(token).map_or(0, |claims| claims.expires);
        if expires == 0 { i64::MAX } else { expires.saturating_mul(1_000_000_000) }
    }

    /// The token of an account, if it is there; being asked for keeps it in a cache.
    pub(super) fn load(&self, key: &str, now: i64) -> Option<String> {
        let token = self.read(key)?;
        self.touch(key, &token, now);
        Some(token)
    }

    fn touch(&self, key: &str, token: &str, now: i64) {
        let ends = self.end_of(token, now);
        let index = &mut *self.index.lock();
        index.uses += 1;
        if let Some(item) = index.items.get_mut(key) {
            item.used = index.uses;
            item.ends = ends;
        }
    }

    /// Keeps a token, whatever is there; `true` if it is another than before.
    pub(super) fn save(&self, key: &str, token: &str, now: i64) -> Result<bool, StoreError> {
        let path = self.path(key)?;
        if token.is_empty() || token.len() > MAX_SIZE {
            return Err(StoreError::Token);
        }
        let (hash, ends) = (hash_of(token), self.end_of(token, now));
        let mut index = self.index.lock();
        let known = index.items.get(key).map(|item| item.hash);
        if known == Some(hash) {
            drop(index);
            self.touch(key, token, now);
            return Ok(false);
        }
        if known.is_none() && index.items.len() >= self.rules.limit {
            let oldest = index.oldest().filter(|_| self.rules.evicts).ok_or(StoreError::Full)?;
            let oldest_path = self.path(&oldest)?;
            fs::remove_file(&oldest_path).map_err(failed(&oldest_path))?;
            index.leave(&oldest);
        }
        write(&path, token)?;
        index.enter(key, hash, ends);
        Ok(true)
    }

    /// Keeps a token unless the one that is there was issued later; `true` if it was kept.
    pub(super) fn save_if_newer(
        &self,
        key: &str,
        token: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        if let Some(ours) = self.read(key)
            && let Ok(ours) = decode_generic(&ours)
        {
            let theirs = decode_generic(token).map_err(|_| StoreError::Token)?;
            if ours.id == theirs.id || ours.issued_at > theirs.issued_at {
                return Ok(false);
            } else if theirs.subject != key {
                return Err(StoreError::Subject);
            }
        }
        self.save(key, token, now)
    }

    /// Deletes an account's token; one that is not there is as good as deleted: `false`.
    pub(super) fn delete(&self, key: &str) -> Result<bool, StoreError> {
        let path = self.path(key)?;
        let mut index = self.index.lock();
        let gone = match self.rules.deletion {
            Deletion::Refused => return Err(StoreError::NoDelete),
            Deletion::Renames => {
                let mut aside = path.clone().into_os_string();
                aside.push(".deleted");
                fs::rename(&path, aside)
            }
            Deletion::Removes => fs::remove_file(&path),
        };
        match gone {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.map_err(failed(&path))?,
        }
        index.leave(key);
        Ok(true)
    }

    /// Removes what has ended by `now`.
    pub(super) fn expire(&self, now: i64) {
        let mut index = self.index.lock();
        let ended = index.items.iter().filter(|(_, item)| item.ends <= now);
        let ended: Vec<String> = ended.map(|(key, _)| key.clone()).collect();
        for key in ended {
            let gone = self.path(&key).map(fs::remove_file);
            if gone.is_ok_and(|gone| gone.is_ok()) {
                index.leave(&key);
            }
        }
    }

    /// A number that two stores with the same tokens share.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.index.lock().hash
    }

    /// The keys of all tokens, in order.
    pub(super) fn keys(&self) -> Vec<String> {
        self.index.lock().items.keys().cloned().collect()
    }

    /// The line of an account in a package; `None` if its token ended or is not there.
    pub(super) fn line(&self, key: &str, now: i64) -> Option<String> {
        let token = self.read(key).filter(|token| !token.is_empty())?;
        let expires = decode_generic(&token).map_or(0, |claims| claims.expires);
        let ended = expires > 0 && expires < now.div_euclid(1_000_000_000);
        (!ended).then(|| format!("{key}|{token}"))
    }

    /// Takes in the newer tokens of a package; which ones.
    pub(super) fn merge(&self, package: &str, now: i64) -> Result<Vec<String>, StoreError> {
        let mut taken = Vec::new();
        for line in package.split('\n').filter(|line| !line.is_empty()) {
            let mut parts = line.split('|');
            let (Some(key), Some(token), None) = (parts.next(), parts.next(), parts.next()) else {
                return Err(StoreError::Line(line.chars().take(100).collect()));
            };
            if !nkey::is_public_account(key) {
                return Err(StoreError::MergedKey);
            }
            if self.save_if_newer(key, token, now)? {
                taken.push(key.to_owned());
            }
        }
        Ok(taken)
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |error| StoreError::File(path.clone(), error)
}

/// Writes a file whole or not at all.
fn write(path: &Path, token: &str) -> Result<(), StoreError> {
    let aside = path.with_extension("tmp");
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .map_err(failed(&aside))?;
    file.write_all(token.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(&aside))?;
    fs::rename(&aside, path).map_err(failed(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use auth::jwt::AccountClaims;
    use nkeys::KeyPair;

    fn token(key: &str, issued: i64, expires: i64) -> String {
        let mut claims = AccountClaims::about(key);
        claims.expires = expires;
        claims.encode(&KeyPair::new_operator(), issued).unwrap()
    }

    fn rules(dir: &Path) -> Rules {
        Rules {
            directory: dir.join("jwt"),
            limit: usize::MAX,
            evicts: false,
            ttl: None,
            deletion: Deletion::Renames,
        }
    }

    fn keys(n: usize) -> Vec<String> {
        (0..n).map(|_| KeyPair::new_account().public_key()).collect()
    }

    // Contract: AUTH-019
    #[test]
    fn tokens_are_files_that_a_new_start_finds() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(rules(dir.path()), 0).unwrap();
        let key = &keys(1)[0];
        let (first, second) = (token(key, 100, 0), token(key, 200, 0));
        assert!(store.save(key, &first, 0).unwrap());
        assert!(!store.save(key, &first, 0).unwrap(), "the same again");
        assert!(store.save_if_newer(key, &second, 0).unwrap());
        assert!(!store.save_if_newer(key, &first, 0).unwrap(), "older");
        assert_eq!(fs::read_to_string(dir.path().join(format!("jwt/{key}.jwt"))).unwrap(), second);
        let again = Store::open(rules(dir.path()), 0).unwrap();
        assert_eq!((again.keys(), again.hash()), (vec![key.clone()], store.hash()));
        assert_eq!(again.load(key, 0), Some(second));
        assert!(again.delete(key).unwrap() && !again.delete(key).unwrap());
        assert!(dir.path().join(format!("jwt/{key}.jwt.deleted")).exists());
        assert_eq!((again.keys(), again.hash(), again.load(key, 0)), (vec![], [0; 32], None));
    }

    // Contract: AUTH-019
    #[test]
    fn only_keys_of_accounts_name_files() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(rules(dir.path()), 0).unwrap();
        let user = KeyPair::new_user().public_key();
        for key in ["", "../x", "A", &user, "a/b", "$G"] {
            assert!(matches!(store.save(key, "x", 0), Err(StoreError::Key)), "{key}");
            assert!(matches!(store.delete(key), Err(StoreError::Key)), "{key}");
            assert_eq!(store.load(key, 0), None);
        }
        let refusing = Rules { deletion: Deletion::Refused, limit: 1, ..rules(dir.path()) };
        let (store, keys) = (Store::open(refusing, 0).unwrap(), keys(2));
        store.save(&keys[0], "x", 0).unwrap();
        assert!(matches!(store.save(&keys[1], "x", 0), Err(StoreError::Full)));
        assert!(matches!(store.delete(&keys[0]), Err(StoreError::NoDelete)));
    }

    // Contract: AUTH-020
    #[test]
    fn a_cache_forgets_what_nobody_asks_for() {
        let dir = tempfile::tempdir().unwrap();
        let ttl = Some(Duration::from_nanos(100));
        let cache = Rules { limit: 2, evicts: true, ttl, ..rules(dir.path()) };
        let (store, keys) = (Store::open(cache, 0).unwrap(), keys(3));
        store.save(&keys[0], "a", 0).unwrap();
        store.save(&keys[1], "b", 0).unwrap();
        assert_eq!(store.load(&keys[0], 50).as_deref(), Some("a"));
        store.save(&keys[2], "c", 60).unwrap();
        assert_eq!(store.load(&keys[1], 60), None, "used longest ago");
        store.expire(150);
        assert_eq!(store.keys(), [keys[2].clone()], "asked for at 50");
        store.expire(160);
        assert_eq!((store.keys(), store.hash()), (vec![], [0; 32]));
    }

    // Contract: AUTH-019
    #[test]
    fn packages_bring_what_is_newer() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [ours, theirs] = dirs.each_ref().map(|dir| Store::open(rules(dir.path()), 0).unwrap());
        let keys = keys(2);
        theirs.save(&keys[0], &token(&keys[0], 200, 0), 0).unwrap();
        theirs.save(&keys[1], &token(&keys[1], 100, 5), 0).unwrap();
        ours.save(&keys[0], &token(&keys[0], 100, 0), 0).unwrap();
        let lines: Vec<_> = keys.iter().filter_map(|key| theirs.line(key, 9_000_000_000)).collect();
        assert_eq!(lines.len(), 1, "the other ended");
        assert_eq!(ours.merge(&lines.join("\n"), 0).unwrap(), [keys[0].clone()]);
        assert_eq!(ours.merge(&format!("\n{}\n", lines[0]), 0).unwrap(), [""; 0]);
        assert!(matches!(ours.merge("x", 0), Err(StoreError::Line(_))));
        assert!(matches!(ours.merge("x|y", 0), Err(StoreError::MergedKey)));
        let foreign = format!("{}|{}", keys[0], token(&keys[1], 300, 0));
        assert!(matches!(ours.merge(&foreign, 0), Err(StoreError::Subject)));
    }
}
