//! House rules that neither rustc nor clippy checks.
//!
//! Laws: every rule of STYLE.md that can be checked by reading is checked here; exceptions stand
//!       in `xtask/tidy.tsv` with a reason, and an exception nobody needs is an error.

mod crates;
mod files;

use std::collections::BTreeMap;

use crate::tree;

/// Exceptions by rule and path.
pub(crate) struct Exceptions {
    list: BTreeMap<(String, String), String>,
    used: std::cell::RefCell<Vec<(String, String)>>,
}

impl Exceptions {
    fn load() -> Result<Self, String> {
        let text = tree::read(&tree::root().join("xtask/tidy.tsv"))?;
        let mut list = BTreeMap::new();
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()) {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            match (parts.next(), parts.next(), parts.next()) {
                (Some(rule), Some(path), Some(value)) => {
                    list.insert((rule, path), value);
                }
                _ => return Err(format!("xtask/tidy.tsv: not rule, path, value: {line}")),
            }
        }
        Ok(Self { list, used: std::cell::RefCell::default() })
    }

    /// The value of the exception for `path` under `rule`, which is then counted as used.
    pub(crate) fn get(&self, rule: &str, path: &str) -> Option<&str> {
        let key = (rule.to_owned(), path.to_owned());
        let value = self.list.get(&key)?;
        self.used.borrow_mut().push(key);
        Some(value)
    }

    fn unused(&self) -> Vec<String> {
        let used = self.used.borrow();
        let rest = self.list.keys().filter(|k| !used.contains(k));
        rest.map(|(r, p)| format!("xtask/tidy.tsv: {r} {p}: not needed any more")).collect()
    }
}

/// `cargo xtask tidy`.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if let Some(arg) = args.first() {
        return Err(format!("tidy takes no arguments: {arg}"));
    }
    let exceptions = Exceptions::load()?;
    let mut problems = crates::check(&exceptions)?;
    problems.extend(files::check(&exceptions)?);
    problems.extend(exceptions.unused());
    if problems.is_empty() {
        println!("tidy: clean");
        return Ok(());
    }
    Err(format!("tidy: {} problems\n  {}", problems.len(), problems.join("\n  ")))
}

#[cfg(test)]
mod tests {
    /// The repository is tidy: the same check as the command, so that `cargo test` fails too.
    #[test]
    fn the_repository_is_tidy() {
        if let Err(why) = super::run(&[]) {
            panic!("{why}");
        }
    }
}
