//! What ran: the captured output of `cargo test`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::claims::Claim;
use crate::tree;

/// Test names by binary, with whether each passed.
#[derive(Debug, Default)]
pub(super) struct Results {
    binaries: BTreeMap<String, Vec<(String, bool)>>,
}

impl Results {
    pub(super) fn load(files: &[PathBuf]) -> Result<Self, String> {
        let mut results = Self::default();
        for file in files {
            results.parse(&tree::read(file)?);
        }
        if results.binaries.is_empty() {
            return Err("the results hold no test: capture `cargo test` with 2>&1".to_owned());
        }
        Ok(results)
    }

    fn parse(&mut self, text: &str) {
        let mut binary = String::new();
        for line in text.lines() {
            let line = line.trim();
            if let Some(rest) = line.strip_prefix("Running ") {
                binary = binary_name(rest).unwrap_or_default();
            } else if let Some(rest) = line.strip_prefix("test ")
                && let Some((name, outcome)) = rest.rsplit_once("... ")
                && let Some(name) = name.split_whitespace().next()
            {
                let passed = outcome.trim().ends_with("ok");
                self.binaries.entry(binary.clone()).or_default().push((name.to_owned(), passed));
            }
        }
    }

    /// Whether the claim's test ran and passed; otherwise what happened.
    pub(super) fn of(&self, claim: &Claim) -> Result<(), &'static str> {
        let Some(tests) = self.binaries.get(&claim.binary) else {
            return Err("did not run (its test binary is not in the results)");
        };
        let tail = format!("::{}", claim.name);
        let mut ran =
            tests.iter().filter(|(n, _)| *n == claim.name || n.ends_with(&tail)).peekable();
        if ran.peek().is_none() {
            return Err("did not run");
        }
        if ran.all(|(_, passed)| *passed) { Ok(()) } else { Err("failed") }
    }
}

/// `unittests src/lib.rs (target/debug/deps/auth-0123)` or `tests/it.rs (.../it-0123)`.
fn binary_name(text: &str) -> Option<String> {
    let path = text.rsplit_once('(')?.1.trim_end_matches(')');
    let file = path.rsplit(['/', '\\']).next()?;
    Some(file.rsplit_once('-')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(binary: &str, name: &str) -> Claim {
        Claim {
            place: String::new(),
            name: name.to_owned(),
            binary: binary.to_owned(),
            rows: Vec::new(),
            asserts: true,
        }
    }

    #[test]
    fn outcomes_are_found_by_binary_and_name() {
        let mut results = Results::default();
        results.parse(
            "     Running unittests src/lib.rs (/t/debug/deps/auth-12ab)\n\
             test tests::users::good ... ok\ntest tests::users::bad ... FAILED\n\
             test a - should panic ... ok\n     Running tests/scripts.rs (target/deps/scripts-1)\n\
             test core/echo             ... ok\n",
        );
        assert_eq!(results.of(&claim("auth", "good")), Ok(()));
        assert_eq!(results.of(&claim("auth", "a")), Ok(()));
        assert_eq!(results.of(&claim("auth", "bad")), Err("failed"));
        assert_eq!(results.of(&claim("auth", "ood")), Err("did not run"));
        assert_eq!(results.of(&claim("scripts", "core/echo")), Ok(()));
        assert!(results.of(&claim("wire", "good")).is_err());
    }
}
