//! Versions of a reference binary, for scripts that need a recent one.

use std::path::Path;
use std::process::Command;

/// Major, minor and patch.
pub type Version = (u32, u32, u32);

/// Parses `2.14`, `v2.14.5`, `2.14.5-beta.1`.
pub fn parse(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches('v');
    let mut parts = text.split(['.', '-', '+', '~']).map(str::parse::<u32>);
    let major = parts.next()?.ok()?;
    let minor = parts.next()?.ok()?;
    let patch = parts.next().and_then(Result::ok).unwrap_or(0);
    Some((major, minor, patch))
}

/// What `binary -v` says it is.
pub fn of(binary: &Path) -> Option<Version> {
    let out = Command::new(binary).arg("-v").output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    parse(text.rsplit_once(": ")?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_and_order() {
        assert_eq!(parse("v2.14.5"), Some((2, 14, 5)));
        assert_eq!(parse("2.14"), Some((2, 14, 0)));
        assert_eq!(parse("2.10.27-beta.1"), Some((2, 10, 27)));
        assert_eq!(parse("latest"), None);
        assert!(parse("2.10.27") < parse("2.12"));
    }
}
