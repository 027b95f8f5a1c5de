//! Every script of `conformance/` as one test: against ours, and against `NATS_PEER` if set, with
//! equal transcripts. Only one of the two: `IRONATS_CONFORM=ours` or `IRONATS_CONFORM=peer`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use conformance::{Script, run, version};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let mut args = Arguments::from_args();
    // Scripts mostly wait: more of them than cores keeps the machine busy, not overloaded.
    args.test_threads = args.test_threads.or(Some(4));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no scripts below {}", root.display());
    let listing = args.list;
    let only = std::env::var("IRONATS_CONFORM").unwrap_or_default();
    let peer = if listing || only == "ours" {
        None
    } else {
        testkit::binary::peer_or_notice("transcripts are not compared with the reference")
    };
    let peer_version = peer.as_deref().and_then(version::of);
    let trials = files
        .into_iter()
        .map(|file| {
            let relative = file.strip_prefix(&root).expect("below the root").with_extension("");
            let name = relative.display().to_string();
            let (peer, ours) = (peer.clone(), only != "peer");
            Trial::test(name.clone(), move || {
                let text = fs::read_to_string(&file)?;
                let script = Script::parse(&name, &text)?;
                both(&script, ours, peer.as_deref(), peer_version)
            })
        })
        .collect();
    libtest_mimic::run(&args, trials).exit();
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the scripts' directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "nats") {
            files.push(path);
        }
    }
}

fn both(
    script: &Script,
    ours: bool,
    peer: Option<&Path>,
    peer_version: Option<version::Version>,
) -> Result<(), Failed> {
    let on = |who: &str, binary: &Path| {
        run(script, binary).map_err(|f| Failed::from(format!("against {who}: {f}")))
    };
    let mine = if ours { Some(on("ours", &testkit::binary::ours())?) } else { None };
    let Some(peer) = peer else { return Ok(()) };
    if let (Some(min), Some(have)) = (script.peer_min, peer_version)
        && have < min
    {
        // One write: parts of a line would mix with the lines of other scripts.
        let notice = format!("SKIPPED against the peer {have:?}: {} needs {min:?}\n", script.name);
        let _ = std::io::stderr().write_all(notice.as_bytes());
        return Ok(());
    }
    let theirs = on("the peer", peer)?;
    if let Some(mine) = mine
        && let Some(text) = testkit::golden::difference(&theirs, &mine)
    {
        return Err(format!("transcripts differ (- peer, + ours):\n{text}").into());
    }
    Ok(())
}
