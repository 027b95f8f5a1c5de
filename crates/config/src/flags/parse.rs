//! Arguments in, a command out, with Go's flag syntax (CLI-001).
//!
//! Laws: `-x` is `--x`; a switch takes a value only behind `=`; flags end at the first other word.

use super::signal::SignalRequest;
use super::table::{Flag, FlagValue, Kind, kind, names};
use super::{Flags, usage};
use crate::suggest;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Run the server, or only check its configuration.
    Run(Run),
    /// Print `usage()` and exit 0.
    Help,
    /// Print `version(…)` and exit 0.
    Version,
    /// Print `tls_usage()` and exit 0.
    HelpTls,
    /// Signal a running server and exit.
    Signal(SignalRequest),
    /// Print both texts as they are and exit.
    Error {
        /// For standard output: the usage, or nothing.
        stdout: String,
        /// For standard error.
        stderr: String,
        /// Exit status.
        exit_code: i32,
    },
}

/// A request to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Flags that override the configuration (`Options::apply_flags`).
    pub flags: Flags,
    /// `--config`.
    pub config: Option<String>,
    /// `-t`.
    pub check: bool,
}

/// Reads the arguments behind the program's name.
pub fn parse_args<S: AsRef<str>>(args: &[S]) -> Command {
    let (flags, rest) = match parse_flags(args) {
        Ok(parsed) => parsed,
        // Compat(CLI-001): what is no flag gets the usage and exit status 0.
        Err(text) => {
            let stdout = format!("{}\n", usage());
            return Command::Error { stdout, stderr: format!("{text}\n"), exit_code: 0 };
        }
    };
    if flags.is_on(Flag::Version) {
        return Command::Version;
    }
    if flags.is_on(Flag::Help) {
        return Command::Help;
    }
    if flags.is_on(Flag::HelpTls) {
        return Command::HelpTls;
    }
    match rest.map(|word| (word, word.to_lowercase())) {
        None => {}
        Some((_, lower)) if lower == "version" => return Command::Version,
        Some((_, lower)) if lower == "help" => return Command::Help,
        Some((word, _)) => {
            let word = stdx::go_text::quote(word.as_bytes());
            return fail(&format!("unrecognized command: {word}"));
        }
    }
    let filled = |flag| flags.text(flag).filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(signal) = filled(Flag::Signal) {
        return match SignalRequest::parse(&signal) {
            Ok(request) => Command::Signal(request),
            Err(e) => fail(&e.to_string()),
        };
    }
    let config = filled(Flag::Config);
    let check = flags.is_on(Flag::Check);
    if check && config.is_none() {
        // Compat(CONF-016).
        let text = "must specify [-c, --config] option to check configuration file syntax";
        return fail(text);
    }
    Command::Run(Run { flags, config, check })
}

fn fail(text: &str) -> Command {
    let stderr = format!("nats-server: {text}\n");
    Command::Error { stdout: String::new(), stderr, exit_code: 1 }
}

/// Flags, and the first word that is none.
fn parse_flags<S: AsRef<str>>(args: &[S]) -> Result<(Flags, Option<&str>), String> {
    let mut flags = Flags::default();
    let mut args = args.iter().map(AsRef::as_ref);
    while let Some(arg) = args.next() {
        let Some(name) = arg.strip_prefix('-').filter(|name| !name.is_empty()) else {
            return Ok((flags, Some(arg)));
        };
        let name = match name.strip_prefix('-') {
            Some("") => return Ok((flags, args.next())),
            Some(name) => name,
            None => name,
        };
        if name.is_empty() || name.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: {arg}"));
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name, None),
        };
        let Some(kind) = kind(name) else {
            let hint = suggest::suffix(name, &names());
            return Err(format!("flag provided but not defined: -{name}{hint}"));
        };
        let value = match (kind, value) {
            (Kind::Bool, None) => FlagValue::Bool(true),
            (_, Some(value)) => read(kind, name, value)?,
            (_, None) => match args.next() {
                Some(value) => read(kind, name, value)?,
                None => return Err(format!("flag needs an argument: -{name}")),
            },
        };
        flags.set(name, value);
    }
    Ok((flags, None))
}

fn read(kind: Kind, name: &str, value: &str) -> Result<FlagValue, String> {
    let quoted = stdx::go_text::quote(value.as_bytes());
    match kind {
        Kind::Text => Ok(FlagValue::Text(value.into())),
        Kind::Bool => match value {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(FlagValue::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(FlagValue::Bool(false)),
            _ => Err(format!("invalid boolean value {quoted} for -{name}: parse error")),
        },
        Kind::Int => match integer(value) {
            Ok(n) => Ok(FlagValue::Int(n)),
            Err(cause) => Err(format!("invalid value {quoted} for flag -{name}: {cause}")),
        },
    }
}

/// An integer as Go reads it with base 0: `0x`, `0o`, `0b`, a leading zero, underscores.
fn integer(text: &str) -> Result<i64, &'static str> {
    const SYNTAX: &str = "parse error";
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, lower.get(2..)),
        Some("0o") => (8, lower.get(2..)),
        Some("0b") => (2, lower.get(2..)),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, lower.get(1..)),
        _ => (10, Some(lower.as_str())),
    };
    let prefixed = radix != 10;
    let body = body.unwrap_or_default();
    let groups: Vec<&str> = body.split('_').collect();
    let underscores_ok = groups.len() == 1
        || groups.iter().enumerate().all(|(i, g)| !g.is_empty() || (i == 0 && prefixed));
    let plain = body.replace('_', "");
    if plain.is_empty() || !underscores_ok || !plain.chars().all(|c| c.is_digit(radix)) {
        return Err(SYNTAX);
    }
    let value = i128::from_str_radix(&plain, radix).map_err(|_| "value out of range")?;
    i64::try_from(if negative { -value } else { value }).map_err(|_| "value out of range")
}
