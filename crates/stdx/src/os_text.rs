//! What the system says went wrong, as operators know it: small letters, no number.

use std::io;

/// The reason of `error`: `no such file or directory`, `address already in use`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    if error.raw_os_error().is_none() {
        return text;
    }
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_small_and_bare() {
        let error = std::fs::read("/no/such/file").unwrap_err();
        assert_eq!(reason(&error), "no such file or directory");
        assert_eq!(reason(&io::Error::other("Own words")), "Own words");
    }
}
