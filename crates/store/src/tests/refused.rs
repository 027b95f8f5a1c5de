//! Directories of the real file system that refuse: another process has them, or this one may not
//! write. Each child is this test again, told by the environment to play the other process.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stdx::time::Timestamp;

use crate::disk::real::RealDisk;
use crate::{Error, FileStore, NewMessage, Options, Settings};

const DIR: &str = "STORE_REFUSED_DIR";
const NOBODY: u32 = 65_534;

fn open(dir: &Path) -> crate::Result<FileStore<RealDisk>> {
    let settings = Settings { name: "S".into(), ..Settings::default() };
    let options = Options { block_size: Some(400), ..Options::default() };
    FileStore::open(RealDisk::new(dir), settings, options, b"{}", Timestamp(1)).map(|(s, _)| s)
}

fn filled(dir: &Path) {
    let mut store = open(dir).unwrap();
    for _ in 0..10 {
        store.append(&NewMessage::new(b"a.b", b"", &[7; 100]), Timestamp(2)).unwrap();
    }
    store.close().unwrap();
}

/// Every file below, with its content.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(tree(&path));
        } else {
            out.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    out
}

fn again(exe: &Path, test: &str, dir: &Path) -> Command {
    let mut command = Command::new(exe);
    command.args([&format!("tests::refused::{test}"), "--exact", "--nocapture"]);
    command.env(DIR, dir).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// What the child says; panics if it ends without a word.
fn said(out: &mut impl BufRead) -> String {
    let found = out
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("child says: ").map(|(_, said)| said.to_owned()));
    found.expect("the child ended without a word")
}

/// What a child without the superuser's rights says in the end.
fn said_by_nobody(mut command: Command, is_root: bool) -> String {
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    said(&mut &command.output().unwrap().stdout[..])
}

fn say(what: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("child says: {what}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[test]
fn a_directory_of_a_live_server_is_left_to_it() {
    const TEST: &str = "a_directory_of_a_live_server_is_left_to_it";
    if let Some(dir) = std::env::var_os(DIR) {
        let store = open(Path::new(&dir)).unwrap();
        say("opened");
        // Until it is killed, or its parent is gone.
        let _ = std::io::stdin().read(&mut [0]);
        drop(store);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let mut child = again(&std::env::current_exe().unwrap(), TEST, dir.path()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(said(&mut out), "opened");
    let before = tree(dir.path());
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(&error, Error::Locked(name) if name == "S"), "{error}");
    assert!(error.to_string().contains("in use by another server"), "{error}");
    assert_eq!(tree(dir.path()), before);
    // A server that was killed holds nothing any more.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(open(dir.path()).unwrap().state().msgs, 10);
}

/// Directories, files, and one block in it: what may be done with each.
const MODES: [(&str, u32, u32, u32, u32); 5] = [
    ("everything read-only", 0o555, 0o555, 0o444, 0o444),
    ("names in msgs fixed", 0o777, 0o555, 0o666, 0o666),
    ("names beside msgs fixed", 0o555, 0o777, 0o666, 0o666),
    ("files read-only", 0o777, 0o777, 0o444, 0o444),
    ("a block nobody may read", 0o777, 0o777, 0o666, 0o000),
];

fn allow(dir: &Path, (_, top, msgs, files, block): (&str, u32, u32, u32, u32)) {
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    // From the top down, so that what lies below can be reached.
    set(dir, 0o777);
    set(&dir.join("msgs"), 0o777);
    for path in tree_names(dir) {
        set(&path, if path.ends_with("msgs/2.blk") { block } else { files });
    }
    set(&dir.join("msgs"), msgs);
    set(dir, top);
}

fn tree_names(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(tree_names(&path)) } else { out.push(path) }
    }
    out
}

#[test]
fn a_directory_that_may_not_be_written_is_refused() {
    const TEST: &str = "a_directory_that_may_not_be_written_is_refused";
    if let Some(dir) = std::env::var_os(DIR) {
        match open(Path::new(&dir)) {
            Err(e @ Error::ReadOnly { .. }) => say(&format!("refused: {e}")),
            Err(e) => say(&format!("other: {e}")),
            Ok(_) => say("opened"),
        }
        return;
    }
    let top = tempfile::tempdir().unwrap();
    fs::set_permissions(top.path(), Permissions::from_mode(0o755)).unwrap();
    // Nothing is forbidden to the superuser: the child is somebody else then, and needs a program
    // that anybody can reach.
    let is_root = fs::metadata(top.path()).unwrap().uid() == 0;
    let exe = top.path().join("child");
    fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    fs::set_permissions(&exe, Permissions::from_mode(0o755)).unwrap();
    for (i, modes) in MODES.into_iter().enumerate() {
        let dir = top.path().join(i.to_string());
        fs::create_dir(&dir).unwrap();
        filled(&dir);
        if modes.0.contains("read") {
            // Without it every block is read.
            fs::remove_file(dir.join("msgs/index.db")).unwrap();
        }
        let before = tree(&dir);
        allow(&dir, modes);
        let said = said_by_nobody(again(&exe, TEST, &dir), is_root);
        allow(&dir, ("everything", 0o777, 0o777, 0o666, 0o666));
        assert!(said.starts_with("refused: "), "{}: {said}", modes.0);
        assert!(said.contains("read-only or permission denied"), "{}: {said}", modes.0);
        assert_eq!(tree(&dir), before, "{}", modes.0);
        let store = open(&dir).unwrap();
        assert_eq!((store.state().msgs, store.lost().len()), (10, 0), "{}", modes.0);
    }
    // A stream that is not there yet, where none can be made.
    let dir = top.path().join("new");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o555)).unwrap();
    let said = said_by_nobody(again(&exe, TEST, &dir), is_root);
    assert!(said.starts_with("refused: msgs: "), "{said}");
    assert!(tree_names(&dir).is_empty());
}
