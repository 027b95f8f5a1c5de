//! Options of a command: which there are, and what is wrong with those given.
//!
//! Laws: whatever was not understood is an error that says what would be; nothing is passed over.

use raft::Bug;

use crate::planted::BUGS;

/// What follows an option's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// The name of a planted bug.
    Bug,
    /// Nothing.
    Flag,
}

/// Why a command was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOption {
    /// No such option.
    #[error("`{0}` is no option of this command; there are: {1}")]
    Unknown(String, String),
    /// No number where there should be one.
    #[error("{0} needs a number, and got {1}")]
    NoNumber(String, String),
    /// No such planted bug.
    #[error("there is no planted bug `{0}`; `sim bugs` lists them all")]
    NoBug(String),
    /// No seed where there should be one.
    #[error("`{0}` is no seed; a seed is a number, as `sim run` prints it")]
    NoSeed(String),
}

/// The options given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    numbers: Vec<(&'static str, u64)>,
    flags: Vec<&'static str>,
    /// The bug to plant.
    pub bug: Option<Bug>,
}

impl Options {
    /// Reads `words`, of which only those in `known` may be options.
    pub fn read(words: &[&str], known: &[(&'static str, Kind)]) -> Result<Self, BadOption> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(&(name, kind)) = known.iter().find(|(name, _)| name == word) else {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                let names = if names.is_empty() { "none".into() } else { names.join(" ") };
                return Err(BadOption::Unknown((*word).into(), names));
            };
            match kind {
                Kind::Flag => options.flags.push(name),
                Kind::Number => {
                    let value = words.next().copied().unwrap_or("nothing");
                    let number = value.parse();
                    let number =
                        number.map_err(|_| BadOption::NoNumber(name.into(), value.into()))?;
                    options.numbers.push((name, number));
                }
                Kind::Bug => options.bug = Some(bug(words.next().copied().unwrap_or(""))?),
            }
        }
        Ok(options)
    }

    /// The number given with `name`.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.numbers.iter().rev().find(|(known, _)| *known == name).map(|&(_, number)| number)
    }

    /// Whether `name` was given.
    pub fn has(&self, name: &str) -> bool {
        self.flags.contains(&name)
    }
}

/// The planted bug called `name`.
pub fn bug(name: &str) -> Result<Bug, BadOption> {
    let found = BUGS.iter().find(|(known, ..)| *known == name);
    found.map(|&(_, bug, _)| bug).ok_or_else(|| BadOption::NoBug(name.into()))
}

/// A seed.
pub fn seed(word: &str) -> Result<u64, BadOption> {
    word.parse().map_err(|_| BadOption::NoSeed(word.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[(&str, Kind)] =
        &[("--from", Kind::Number), ("--keep-going", Kind::Flag), ("--bug", Kind::Bug)];

    #[test]
    fn options_are_read() {
        let words = ["--keep-going", "--from", "7", "--bug", "vote-twice", "--from", "8"];
        let options = Options::read(&words, KNOWN).unwrap();
        assert_eq!((options.number("--from"), options.has("--keep-going")), (Some(8), true));
        assert_eq!((options.bug, options.number("--seeds")), (Some(Bug::VoteTwice), None));
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn what_is_not_understood_is_an_error_with_a_remedy() {
        let refused = |words: &[&str]| Options::read(words, KNOWN).unwrap_err().to_string();
        let cases: &[(&[&str], &str)] = &[
            (
                &["--form", "7"],
                "`--form` is no option of this command; there are: --from --keep-going --bug",
            ),
            (&["--from", "x"], "--from needs a number, and got x"),
            (&["--from"], "--from needs a number, and got nothing"),
            (&["--bug", "x"], "there is no planted bug `x`; `sim bugs` lists them all"),
            (&["--bug"], "there is no planted bug ``; `sim bugs` lists them all"),
        ];
        for (words, text) in cases {
            assert_eq!(refused(words), *text);
        }
        assert!(seed("-1").is_err() && seed("seed").is_err());
    }
}
