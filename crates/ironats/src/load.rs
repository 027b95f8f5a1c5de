//! The configuration of a process: the file, with the command line over it.
//!
//! Law: a reload reads what a start would read, by the same way.

use crate::files::System;
use config::flags::Flags;
use config::{Diagnostic, LoadError, Options};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The file cannot be read, or says things that make no sense.
    #[error(transparent)]
    File(#[from] LoadError),
    /// The command line contradicts it.
    #[error(transparent)]
    Flags(#[from] config::flags::FlagError),
    /// The options contradict each other.
    #[error(transparent)]
    Invalid(#[from] config::Invalid),
    /// An option asks for something that is not built yet.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Unbuilt(Vec<config::Unbuilt>),
}

/// Options of `file` (none: the defaults) with `flags` over them, and what the operator should know.
pub fn options(file: Option<&str>, flags: &Flags) -> Result<(Options, Vec<Diagnostic>), Unusable> {
    let (options, warnings) = read(file, flags)?;
    check(&options)?;
    Ok((options, warnings))
}

/// The same, not checked yet.
pub(crate) fn read(
    file: Option<&str>,
    flags: &Flags,
) -> Result<(Options, Vec<Diagnostic>), Unusable> {
    let loaded = file.map(|path| config::load(path, &System)).transpose()?.unwrap_or_default();
    let mut options = loaded.options;
    options.apply_flags(flags, &System)?;
    Ok((options, loaded.warnings))
}

/// Whether a server can start with `options`, as far as they tell.
pub(crate) fn check(options: &Options) -> Result<(), Unusable> {
    check_but_system(options)?;
    Ok(config::check_system_account(options)?)
}

/// The same but for the system account.
pub(crate) fn check_but_system(options: &Options) -> Result<(), Unusable> {
    config::validate_but_system(options)?;
    let unbuilt = config::unbuilt(options);
    if unbuilt.is_empty() { Ok(()) } else { Err(Unusable::Unbuilt(unbuilt)) }
}
