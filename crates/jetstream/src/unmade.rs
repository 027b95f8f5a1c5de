//! What is left of a stream or consumer that could not be made: a directory without a document.
//!
//! Laws: nothing that may hold a message, a state or a document is unmade; what cannot be looked at
//!       may hold anything.

use std::fs;
use std::io;
use std::path::Path;

/// Whether a stream's directory holds none, or is not there: no document, no consumer, and no block
/// with a record.
pub(crate) fn is_unmade_stream(dir: &Path) -> bool {
    is_absent(&dir.join("meta.inf")) && is_empty(&dir.join("obs")) && holds_no_record(dir)
}

/// Whether a consumer's directory holds none, or is not there: neither document nor state.
pub(crate) fn is_unmade_consumer(dir: &Path) -> bool {
    ["meta.inf", "o.dat", "o.own"].iter().all(|name| is_absent(&dir.join(name)))
}

/// Removes what a refused create made.
pub(crate) fn unmake(log: &stdx::log::Log, dir: &Path) {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            stdx::warning!(log, "JetStream cannot remove '{}': {e}", dir.display());
        }
        _ => {}
    }
}

fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).map_or_else(
        |e| e.kind() == io::ErrorKind::NotFound,
        |mut entries| entries.next().is_none(),
    )
}

/// Whether no file of messages, in place or on its way through a purge, has a byte.
fn holds_no_record(dir: &Path) -> bool {
    ["msgs", "__msgs__", "__new_msgs__", "__damaged__"].iter().all(|name| {
        fs::read_dir(dir.join(name)).map_or_else(
            |e| e.kind() == io::ErrorKind::NotFound,
            |mut entries| {
                entries.all(|entry| {
                    entry.is_ok_and(|entry| {
                        let is_block = entry.path().extension().is_some_and(|e| e == "blk");
                        !is_block || entry.metadata().is_ok_and(|found| found.len() == 0)
                    })
                })
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_holds_nothing_is_unmade() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("NEW");
        assert!(is_unmade_stream(&dir));
        fs::create_dir_all(dir.join("msgs")).unwrap();
        fs::write(dir.join("meta.key"), "x").unwrap();
        fs::write(dir.join("msgs/1.blk"), "").unwrap();
        fs::write(dir.join("msgs/index.db"), "x").unwrap();
        assert!(is_unmade_stream(&dir));
        for (path, text) in [("msgs/2.blk", "x"), ("meta.inf", ""), ("obs/C/o.dat", "x")] {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            assert!(!is_unmade_stream(&dir), "{}", path.display());
            fs::remove_file(path).unwrap();
        }
        fs::create_dir_all(dir.join("obs/C")).unwrap();
        assert!(is_unmade_consumer(&dir.join("obs/C")));
        fs::write(dir.join("obs/C/o.own"), "x").unwrap();
        assert!(!is_unmade_consumer(&dir.join("obs/C")));
    }
}
