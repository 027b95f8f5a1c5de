//! Answers to publishers, byte for byte.
//!
//! Wire: `{"stream":"S","domain":"D","seq":N}`; a duplicate ends in `,"duplicate": true}`, with
//! the blank. Parity: PUB-001, PUB-025.

use jetstream_api::{ApiError, json};

/// The beginning of every answer of a stream.
pub(super) fn head(stream: &str, domain: Option<&str>) -> Box<[u8]> {
    let mut out = format!("{{\"stream\":{}", stdx::go_text::quote(stream.as_bytes()));
    if let Some(domain) = domain.filter(|d| !d.is_empty()) {
        out.push_str(&format!(",\"domain\":{}", stdx::go_text::quote(domain.as_bytes())));
    }
    out.push_str(",\"seq\":");
    out.into_bytes().into()
}

/// Appends a number in decimal.
pub(crate) fn push_number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (n % 10) as u8;
        }
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// The answer for a refused message.
pub fn refusal(stream: &str, error: &ApiError) -> Vec<u8> {
    let mut out = b"{\"error\":".to_vec();
    out.extend_from_slice(&json::to_json(error));
    out.extend_from_slice(b",\"stream\":");
    out.extend_from_slice(stdx::go_text::quote(stream.as_bytes()).as_bytes());
    out.extend_from_slice(b",\"seq\":0}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for n in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, n);
            assert_eq!(out, n.to_string().into_bytes());
        }
    }

    #[test]
    fn heads_name_stream_and_domain() {
        assert_eq!(&*head("S", None), br#"{"stream":"S","seq":"#);
        assert_eq!(&*head("S", Some("D")), br#"{"stream":"S","domain":"D","seq":"#);
        let error = ApiError::stream_sealed();
        assert_eq!(
            String::from_utf8(refusal("S", &error)).unwrap(),
            r#"{"error":{"code":400,"err_code":10109,"description":"invalid operation on sealed stream"},"stream":"S","seq":0}"#
        );
    }
}
