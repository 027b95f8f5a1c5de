//! Where the two server binaries are: ours, and the reference peer's.
//!
//! Laws: a test never downloads or builds a server; a missing peer is said loudly, never silently.

use std::env;
use std::path::PathBuf;

/// Which server a fixture starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The binary built from this repository.
    Ours,
    /// The Go server named by `NATS_PEER`.
    Peer,
}

impl Which {
    /// A short name for transcripts and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Peer => "peer",
        }
    }

    /// The path of the binary; panics with the remedy if it does not exist.
    pub fn path(self) -> PathBuf {
        match self {
            Self::Ours => ours(),
            Self::Peer => peer().unwrap_or_else(|| panic!("NATS_PEER is not set")),
        }
    }
}

/// Our binary: `NATS_SERVER_BIN`, or `nats-server` in the target directory of the running test.
pub fn ours() -> PathBuf {
    if let Some(path) = env::var_os("NATS_SERVER_BIN") {
        return existing(PathBuf::from(path), "NATS_SERVER_BIN names no file");
    }
    let exe = env::current_exe().expect("a test knows its own path");
    let profile_dir = exe
        .ancestors()
        .skip(1)
        .find(|dir| dir.file_name().is_some_and(|n| n != "deps" && n != "examples"))
        .expect("a test binary lives in a target directory");
    let name = format!("nats-server{}", env::consts::EXE_SUFFIX);
    existing(profile_dir.join(name), "build it first: cargo build -p ironats")
}

/// The reference server, if `NATS_PEER` names one.
pub fn peer() -> Option<PathBuf> {
    let path = env::var_os("NATS_PEER").filter(|v| !v.is_empty())?;
    Some(existing(PathBuf::from(path), "NATS_PEER names no file"))
}

/// As [`peer`], printing a notice when there is none. `what` names the test or script skipped.
pub fn peer_or_notice(what: &str) -> Option<PathBuf> {
    let found = peer();
    if found.is_none() {
        // Not through the capturing macros: the notice must show even when the test passes.
        use std::io::Write;
        let notice = format!("SKIPPED: NATS_PEER not set: {what}\n");
        let _ = std::io::stderr().write_all(notice.as_bytes());
    }
    found
}

/// As [`peer_or_notice`], but only for a peer of this minor version, such as `2.14`.
pub fn peer_of_version(minor: &str, what: &str) -> Option<PathBuf> {
    use std::io::Write;
    let path = peer_or_notice(what)?;
    let output = std::process::Command::new(&path).arg("-v").output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if version.starts_with(&format!("nats-server: v{minor}.")) {
        return Some(path);
    }
    let notice = format!("SKIPPED: needs a peer of {minor}, this is {version}: {what}\n");
    let _ = std::io::stderr().write_all(notice.as_bytes());
    None
}

fn existing(path: PathBuf, remedy: &str) -> PathBuf {
    assert!(path.is_file(), "no server binary at {}: {remedy}", path.display());
    path
}
