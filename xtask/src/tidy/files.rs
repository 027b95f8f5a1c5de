//! Rules about single files: headers, lengths, words, characters.

use std::path::Path;

use super::Exceptions;
use crate::{rust_text, tree};

/// Lines a file may have before it must be split; tests get more.
const RED_LINE: usize = 800;
const RED_LINE_TESTS: usize = 1500;

/// Words that say nothing, or that tell the story instead of the state.
const BANNED_WORDS: &[(&str, &str)] = &[
    ("FIXME", "mend it, or write an issue"),
    ("XXX", "say what is meant"),
    ("dbg!(", "left from debugging"),
    ("used to be", "the code as it is, not its history"),
];

/// Module names that name nothing.
const BANNED_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc", "impl"];

pub(super) fn check(exceptions: &Exceptions) -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    let root = tree::root();
    for dir in ["crates", "fuzz", "xtask"] {
        for path in tree::files(&root.join(dir), "rs") {
            let text = tree::read(&path)?;
            problems.extend(file_problems(&path, &text, exceptions));
        }
    }
    Ok(problems)
}

fn file_problems(path: &Path, text: &str, exceptions: &Exceptions) -> Vec<String> {
    let shown = tree::shown(path);
    let mut problems = Vec::new();
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if BANNED_NAMES.contains(&stem) {
        problems.push(format!("{shown}: a file is named after the one thing in it"));
    }
    if !text.starts_with("//!") {
        problems.push(format!("{shown}: starts without a `//!` header"));
    }
    let lines = text.lines().count();
    let is_test = shown.contains("/tests/") || shown.ends_with("/tests.rs");
    let limit = if is_test { RED_LINE_TESTS } else { RED_LINE };
    if lines > limit {
        // The ratchet: an exception names a number that may only go down.
        let allowed = exceptions.get("lines", &shown).and_then(|v| v.parse::<usize>().ok());
        if allowed.is_none_or(|a| lines > a) {
            problems.push(format!("{shown}: {lines} lines, red line {limit}"));
        }
    }
    problems.extend(line_problems(&shown, text, exceptions));
    problems
}

fn line_problems(shown: &str, text: &str, exceptions: &Exceptions) -> Vec<String> {
    let mut problems = Vec::new();
    let own = shown.ends_with("xtask/src/tidy/files.rs");
    let code = rust_text::code_only(text);
    for (number, (line, code)) in text.lines().zip(code.lines()).enumerate() {
        let number = number + 1;
        if !own {
            for (word, why) in BANNED_WORDS {
                if line.contains(word) && exceptions.get("word", shown).is_none() {
                    problems.push(format!("{shown}:{number}: {word:?}: {why}"));
                }
            }
        }
        // Text that goes to users may need other characters; identifiers do not.
        if !code.is_ascii() {
            problems.push(format!("{shown}:{number}: code outside strings is ASCII"));
        }
        if line.ends_with([' ', '\t']) {
            problems.push(format!("{shown}:{number}: trailing space"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn problems_of_a_file_are_listed() {
        let none = Exceptions { list: BTreeMap::new(), used: std::cell::RefCell::default() };
        let path = tree::root().join("crates/x/src/utils.rs");
        let long = format!("fn a() {{}} \n{}", "\n".repeat(900));
        let problems = file_problems(&path, &long, &none);
        for part in ["named after", "without a `//!`", "red line 800", "trailing space"] {
            assert!(problems.iter().any(|p| p.contains(part)), "{part}: {problems:?}");
        }
        let good = tree::root().join("crates/x/src/good.rs");
        assert!(file_problems(&good, "//! Good.\n", &none).is_empty());
    }
}
