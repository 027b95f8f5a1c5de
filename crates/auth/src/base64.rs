//! Base64 as the reference reads it: ends of lines are passed over, and what the last character says
//! beyond the last byte does not matter.

use data_encoding::{BASE64, BASE64URL_NOPAD, DecodeError, Encoding};
use std::sync::LazyLock;

static URL: LazyLock<Encoding> = LazyLock::new(|| lenient(&BASE64URL_NOPAD));
static STANDARD: LazyLock<Encoding> = LazyLock::new(|| lenient(&BASE64));

fn lenient(strict: &Encoding) -> Encoding {
    let mut specification = strict.specification();
    specification.check_trailing_bits = false;
    // Nothing that was good becomes bad by that.
    specification.encoding().unwrap_or_else(|_| strict.clone())
}

fn without_ends(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect()
}

/// Reads the form of tokens: for URLs, without padding.
pub(crate) fn url(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    URL.decode(&without_ends(text))
}

/// Reads the standard form, with padding.
pub(crate) fn standard(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    STANDARD.decode(&without_ends(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_character_may_say_too_much() {
        assert_eq!(url(b"_\n_9\r\n").unwrap(), [255, 255]);
        assert_eq!(url(b"//8").unwrap_err().position, 0);
        assert_eq!(url(b"AAAAA").unwrap_err().position, 4);
        assert_eq!(standard(b"//9=\n").unwrap(), [255, 255]);
        assert!(standard(b"//9").is_err());
    }
}
