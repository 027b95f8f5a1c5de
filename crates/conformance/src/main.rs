//! `conform`: runs scripts by hand against any server and shows their transcripts.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use conformance::{Script, run};

const USAGE: &str = "usage: conform [--peer | --server PATH] [--show] SCRIPT...";

fn main() -> ExitCode {
    let (mut binary, mut show, mut scripts) = (None, false, Vec::<PathBuf>::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--peer" => binary = testkit::binary::peer_or_notice("conform --peer"),
            "--server" => binary = args.next().map(PathBuf::from),
            "--show" => show = true,
            "-h" | "--help" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            path => scripts.push(path.into()),
        }
    }
    if scripts.is_empty() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let binary = binary.unwrap_or_else(testkit::binary::ours);
    let failed = scripts.iter().filter(|path| !one(path, &binary, show)).count();
    println!("{} passed, {failed} failed", scripts.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(path: &Path, binary: &Path, show: bool) -> bool {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => {
            println!("FAIL {}: {e}", path.display());
            return false;
        }
    };
    let name = path.with_extension("").display().to_string();
    let name = name.trim_start_matches("./").trim_start_matches("conformance/").to_owned();
    let result = Script::parse(&name, &text)
        .and_then(|script| run(&script, binary).map_err(|failure| failure.to_string()));
    match result {
        Ok(transcript) => {
            println!("ok   {name}");
            if show {
                println!("{transcript}");
            }
            true
        }
        Err(why) => {
            println!("FAIL {why}");
            false
        }
    }
}
