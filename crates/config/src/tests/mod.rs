//! Tests of the whole room.

mod defaults;
mod fixtures;
mod flags;
mod interop;
mod keys;
mod language;
mod operator;
mod options;
mod property;
mod rules;
mod suggest;

use std::collections::BTreeMap;

use crate::lang::{Source, SourceError};
use crate::options::{LoadError, Options, load_text};

/// Files and environment in memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) files: BTreeMap<&'static str, &'static str>,
    pub(crate) env: BTreeMap<&'static str, &'static str>,
}

impl Source for Memory {
    fn read(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        match self.files.get(path) {
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => Err(SourceError(format!("open {path}: no such file or directory"))),
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).map(|text| (*text).to_owned())
    }
}

/// Options of a configuration that must be good.
pub(crate) fn options(text: &str) -> Options {
    let loaded = load_text(text.as_bytes(), "t.conf", &Memory::default());
    loaded.unwrap_or_else(|e| panic!("{text}\n{e}")).options
}

/// All messages about a configuration, errors and warnings, one per line.
pub(crate) fn messages(text: &str) -> String {
    match load_text(text.as_bytes(), "t.conf", &Memory::default()) {
        Ok(loaded) => loaded.warnings.iter().map(|w| format!("{w}\n")).collect(),
        Err(LoadError::Invalid(found)) => found.to_string(),
        Err(LoadError::Syntax(error)) => format!("{error}\n"),
    }
}
