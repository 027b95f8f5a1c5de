//! Taking the store directory: it can be written, and nobody else works in it.
//!
//! A server of ours holds a lock on the directory. The Go server takes none, but while it writes it
//! has files of messages open for that, which Linux shows to whoever may know.
//! Laws: nothing is changed, nor any file opened but the directory, before it is ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use store::disk::Disk as _;
use store::disk::real::{OpenFiles, StoreLock};

use crate::engine::StartError;
use crate::place::Disk;

/// Links of other processes that are looked at; a start must not take long because of them.
const MOST_LINKS: usize = 100_000;

/// Takes the directory, which is made if it is not there.
pub(crate) fn claim(dir: &Path) -> Result<StoreLock, StartError> {
    let name = || dir.display().to_string();
    let refused = |e: io::Error| match e.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StartError::NotWritable(name(), e)
        }
        io::ErrorKind::WouldBlock => StartError::InUse(name()),
        _ => StartError::Directory(name(), e),
    };
    fs::create_dir_all(dir).map_err(refused)?;
    Disk::held(dir, OpenFiles::at_most(0)).check_writable("").map_err(refused)?;
    let lock = StoreLock::take(dir).map_err(refused)?;
    match fs::canonicalize(dir).ok().and_then(|dir| writer(&dir, Path::new("/proc"))) {
        Some((pid, file)) => Err(StartError::Writer(name(), pid, file.display().to_string())),
        None => Ok(lock),
    }
}

/// Another process that has a block below `dir` open for writing.
fn writer(dir: &Path, proc: &Path) -> Option<(u32, PathBuf)> {
    let own = std::process::id();
    let mut left = MOST_LINKS;
    for process in fs::read_dir(proc).ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        // Other users' processes are not shown to everybody.
        let Ok(links) = fs::read_dir(process.path().join("fd")) else { continue };
        for link in links.flatten().filter(|_| pid != own) {
            left = left.checked_sub(1)?;
            let Ok(file) = fs::read_link(link.path()) else { continue };
            if file.starts_with(dir)
                && file.extension().is_some_and(|e| e == "blk")
                && writes(&process.path().join("fdinfo").join(link.file_name()))
            {
                return Some((pid, file));
            }
        }
    }
    None
}

/// Whether a descriptor was opened for writing, by what `fdinfo` says of it.
fn writes(info: &Path) -> bool {
    let text = fs::read_to_string(info).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|f| u64::from_str_radix(f.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 3 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jetstream");
        let lock = claim(&path).unwrap();
        let error = claim(&path).unwrap_err();
        assert!(matches!(&error, StartError::InUse(_)), "{error}");
        drop(lock);
        claim(&path).unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        let error = claim(&dir.path().join("file")).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }

    /// Nothing is forbidden to the superuser: this test runs again as somebody else.
    #[test]
    fn a_directory_that_may_not_be_written_is_refused_and_left_alone() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        use std::os::unix::process::CommandExt;
        const DIR: &str = "JETSTREAM_CLAIM_DIR";
        const TEST: &str =
            "claim::tests::a_directory_that_may_not_be_written_is_refused_and_left_alone";
        if let Some(dir) = std::env::var_os(DIR) {
            let error = claim(Path::new(&dir)).unwrap_err();
            assert!(matches!(error, StartError::NotWritable(..)), "{error}");
            assert!(error.to_string().contains("make it writable"), "{error}");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let allow = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let (exe, stores) = (dir.path().join("test"), dir.path().join("jetstream"));
        fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
        fs::create_dir(&stores).unwrap();
        for (path, mode) in [(&exe, 0o755), (&stores, 0o555)] {
            allow(path, mode);
        }
        allow(dir.path(), 0o755);
        let mut child = std::process::Command::new(&exe);
        child.args([TEST, "--exact"]).env(DIR, &stores);
        if fs::metadata(&stores).unwrap().uid() == 0 {
            child.uid(65_534).gid(65_534);
        }
        let output = loop {
            match child.output() {
                // A test beside this one was just starting a process, with the copy still open.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
                output => break output.unwrap(),
            }
        };
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        assert_eq!(fs::read_dir(&stores).unwrap().count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_has_a_block_open_for_writing_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (stores, proc) = (dir.path().join("js"), dir.path().join("proc"));
        let block = stores.join("$G/streams/S/msgs/1.blk");
        let entry = |pid: u32, file: &Path, flags: &str| {
            let base = proc.join(pid.to_string());
            fs::create_dir_all(base.join("fd")).unwrap();
            fs::create_dir_all(base.join("fdinfo")).unwrap();
            std::os::unix::fs::symlink(file, base.join("fd/7")).unwrap();
            fs::write(base.join("fdinfo/7"), format!("pos:\t0\nflags:\t{flags}\n")).unwrap();
        };
        entry(4_000_001, &block, "0100000");
        entry(4_000_002, &stores.join("nats.log"), "0100001");
        entry(std::process::id(), &block, "0100002");
        assert_eq!(writer(&stores, &proc), None, "readers, other files and ourselves");
        entry(4_000_003, &block, "02100002");
        assert_eq!(writer(&stores, &proc), Some((4_000_003, block)));
    }
}
