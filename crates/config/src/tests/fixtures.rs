//! Every `testdata/*.conf` against its `.out`: exit status and lines, learned from the reference.
//!
//! A `.out` holds the lines sorted, because the reference prints errors of one file in any order,
//! and without our suggestions, which the reference does not have.

use std::path::{Path, PathBuf};

use crate::check::check;
use crate::lang::{Source, SourceError};

pub(super) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// Names of all fixtures, without their extension.
pub(super) fn names() -> Vec<String> {
    let entries = std::fs::read_dir(directory()).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        files.filter_map(|file| file.strip_suffix(".conf").map(str::to_owned)).collect();
    names.sort();
    assert!(names.len() > 70, "fixtures are missing: {}", names.len());
    names
}

/// What a fixture's `.out` says.
pub(super) fn expected(name: &str) -> String {
    std::fs::read_to_string(directory().join(format!("{name}.out"))).unwrap()
}

/// Exit status and standard error in the form of a `.out`.
pub(super) fn report(exit_code: i32, stderr: &str) -> String {
    let text = stderr.strip_prefix("nats-server: ").unwrap_or(stderr);
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.contains("nil pointer dereference"))
        .map(|line| line.split(" (did you mean ").next().unwrap())
        .collect();
    lines.sort_unstable();
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    format!("exit {exit_code}\n{lines}")
}

/// The fixture directory, and no environment.
struct Fixtures;

impl Source for Fixtures {
    fn read(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        std::fs::read(directory().join(path))
            .map_err(|_| SourceError(format!("open {path}: no such file or directory")))
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

// Contract: CONF-001, CONF-003, CONF-004, CONF-005, CONF-006, CONF-007, CONF-008, CONF-009
// Contract: CONF-010, CONF-011, CONF-012, CONF-013, CONF-014, CONF-015, CONF-016, CONF-017
// Contract: CONF-018, CONF-019, CONF-020, CONF-021, CONF-022, CONF-023, CONF-024, TLS-020
#[test]
fn every_fixture_is_judged_as_by_the_reference() {
    let mut wrong = Vec::new();
    for name in names() {
        let outcome = check(&format!("{name}.conf"), &Fixtures);
        let found = report(outcome.exit_code, &outcome.stderr);
        let expected = expected(&name);
        if found != expected {
            wrong.push(format!("--- {name}\nexpected {expected}found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// Contract: CONF-001, CONF-017
#[test]
fn three_spellings_have_one_digest() {
    let digest = |name: &str| crate::load(name, &Fixtures).unwrap().options.config_digest;
    assert_eq!(digest("syntax_json.conf"), digest("syntax_plain.conf"));
    assert_ne!(digest("syntax_json.conf"), digest("syntax_strings.conf"));
}

// Contract: CONF-010
#[test]
fn an_include_overrides_what_stands_before_it() {
    let options = crate::load("include_top.conf", &Fixtures).unwrap().options;
    assert_eq!(options.client.listen.port, Some(4999));
    assert_eq!(options.server_name.as_deref(), Some("included"));
    assert_eq!(options.cluster.name.as_deref(), Some("from_include"));
}
