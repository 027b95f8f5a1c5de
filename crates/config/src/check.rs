//! `-t`: what checking a configuration prints, and how the process ends (CONF-016).
//!
//! Laws: runs the parser and the sections' own rules only; warnings alone fail it too.
//! Reference: main.go; opts.go ConfigureOptions.

use crate::diagnostic::Diagnostics;
use crate::lang::Source;
use crate::options::{LoadError, Loaded, load};

/// What to print on standard error, and the exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For standard error, line breaks included.
    pub stderr: String,
    /// Exit status.
    pub exit_code: i32,
}

/// Checks the configuration file at `path`.
pub fn check(path: &str, source: &dyn Source) -> Outcome {
    let fail = |text: String| Outcome { stderr: format!("nats-server: {text}\n"), exit_code: 1 };
    match load(path, source) {
        Ok(Loaded { options, warnings }) if warnings.is_empty() => Outcome {
            stderr: format!(
                "nats-server: configuration file {path} is valid ({})\n",
                options.config_digest
            ),
            exit_code: 0,
        },
        Ok(Loaded { warnings, .. }) => {
            fail(Diagnostics { errors: Vec::new(), warnings }.to_string())
        }
        Err(LoadError::Invalid(found)) => fail(found.to_string()),
        Err(LoadError::Syntax(error)) => fail(error.to_string()),
    }
}

/// Reads any bytes as a configuration, for fuzzing: whatever comes out, nothing may panic.
pub fn parse_bytes(data: &[u8]) {
    let source = crate::lang::Nothing;
    if let Ok(map) = crate::lang::parse(data, "fuzz.conf", &source) {
        let _ = crate::lang::digest(&map);
        let (mut options, found) = crate::options::read(&map, "fuzz.conf", &source);
        let _ = found.to_string();
        let _ = crate::validate::validate(&options);
        let _ = crate::unbuilt::unbuilt(&options);
        let _ = options.apply_flags(&crate::flags::Flags::default(), &source);
    }
}
