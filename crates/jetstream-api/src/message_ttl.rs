//! `Nats-TTL`: how long one message lives.
//!
//! Reference: stream.go `parseMessageTTL`.

use crate::duration;
use crate::error::ApiError;
use crate::time::Nanos;

/// How long one message lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageTtl {
    /// As long as the stream's limits let it.
    #[default]
    Unset,
    /// So many seconds.
    Seconds(i64),
    /// For ever, whatever the stream's limits say of age.
    Never,
}

impl MessageTtl {
    /// Reads the header's value: a duration of at least a second, whole seconds, or `never`.
    ///
    /// # Errors
    /// 10165 for anything else.
    // A bare `0` is a duration to the reference and too short; `00` is a number and means nothing.
    pub fn parse(value: &[u8]) -> Result<Self, ApiError> {
        if value.is_empty() {
            return Ok(Self::Unset);
        }
        if value.eq_ignore_ascii_case(b"never") {
            return Ok(Self::Never);
        }
        if let Some(duration) = duration::parse(value) {
            if duration < Nanos::from_secs(1) {
                return Err(ApiError::message_ttl_invalid());
            }
            return Ok(Self::Seconds(duration.0 / 1_000_000_000));
        }
        let digits = value.iter().all(u8::is_ascii_digit);
        let seconds = std::str::from_utf8(value).ok().filter(|_| digits);
        match seconds.and_then(|text| text.parse().ok()) {
            Some(0) => Ok(Self::Unset),
            Some(seconds) => Ok(Self::Seconds(seconds)),
            None => Err(ApiError::message_ttl_invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttls_are_durations_seconds_or_never() {
        let cases = [
            ("", Ok(MessageTtl::Unset)),
            ("00", Ok(MessageTtl::Unset)),
            ("5", Ok(MessageTtl::Seconds(5))),
            ("1s", Ok(MessageTtl::Seconds(1))),
            ("1.9s", Ok(MessageTtl::Seconds(1))),
            ("1h", Ok(MessageTtl::Seconds(3600))),
            ("never", Ok(MessageTtl::Never)),
            ("NEVER", Ok(MessageTtl::Never)),
            ("0", Err(10165)),
            ("999ms", Err(10165)),
            ("0s", Err(10165)),
            ("-1", Err(10165)),
            ("-1s", Err(10165)),
            ("x", Err(10165)),
            ("1d", Err(10165)),
            ("99999999999999999999", Err(10165)),
        ];
        for (text, want) in cases {
            let got = MessageTtl::parse(text.as_bytes()).map_err(|e| e.err_code);
            assert_eq!(got, want, "{text:?}");
        }
    }
}
