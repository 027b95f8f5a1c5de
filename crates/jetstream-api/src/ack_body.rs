//! What a client says of a delivery.
//!
//! Hot: read for every acknowledgement; only a delay in JSON or a reason that is not UTF-8 allocates.
//! Reference: consumer.go `processAck`, `processNak`.

use std::borrow::Cow;

use crate::duration;
use crate::json::{self, Duration, document};
use crate::pull::trim;
use crate::time::Nanos;

/// The body of an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AckBody<'a> {
    /// Done with it: nothing, `+ACK` or `+OK`.
    Ack,
    /// Not now: `-NAK`, maybe with a delay.
    Nak(NakDelay<'a>),
    /// Still at work: `+WPI`.
    Progress,
    /// Done with it, and a pull request behind it: `+NXT`.
    Next(&'a [u8]),
    /// Never again: `+TERM`, maybe with a reason.
    Term(Cow<'a, str>),
    /// Anything else, which means nothing.
    Unknown,
}

/// When to deliver again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NakDelay<'a> {
    /// At once.
    None,
    /// After so long.
    After(Nanos),
    /// At once, for the delay could not be read; worth a line in the log.
    Unreadable(&'a [u8]),
}

/// `{"delay": nanoseconds}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct NakOptions {
    delay: Nanos,
}

document!(NakOptions as "ConsumerNakOptions" { delay: Duration; });

impl<'a> AckBody<'a> {
    /// Reads a body.
    pub fn parse(body: &'a [u8]) -> Self {
        match body {
            b"" | b"+ACK" | b"+OK" => return Self::Ack,
            b"+WPI" => return Self::Progress,
            _ => {}
        }
        if let Some(rest) = body.strip_prefix(b"+NXT") {
            Self::Next(rest)
        } else if let Some(rest) = body.strip_prefix(b"-NAK") {
            Self::Nak(NakDelay::parse(trim(rest)))
        } else if let Some(rest) = body.strip_prefix(b"+TERM") {
            Self::Term(String::from_utf8_lossy(trim(rest)))
        } else {
            Self::Unknown
        }
    }
}

impl<'a> NakDelay<'a> {
    fn parse(text: &'a [u8]) -> Self {
        if text.is_empty() {
            return Self::None;
        }
        let delay = if text.first() == Some(&b'{') {
            json::unmarshal::<NakOptions>(text).ok().map(|options| options.delay)
        } else {
            duration::parse(text)
        };
        delay.map_or(Self::Unreadable(text), Self::After)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_acknowledgement_is_read() {
        let second = Nanos::from_secs(1);
        let cases: [(&[u8], AckBody<'_>); 20] = [
            (b"", AckBody::Ack),
            (b"+ACK", AckBody::Ack),
            (b"+OK", AckBody::Ack),
            (b"+ACK ", AckBody::Unknown),
            (b"+ack", AckBody::Unknown),
            (b"-NAK", AckBody::Nak(NakDelay::None)),
            (b"-NAK  ", AckBody::Nak(NakDelay::None)),
            (b"-NAK 1s", AckBody::Nak(NakDelay::After(second))),
            (b"-NAK1s", AckBody::Nak(NakDelay::After(second))),
            (b"-NAK {\"delay\": 1000000000}", AckBody::Nak(NakDelay::After(second))),
            (b"-NAK {}", AckBody::Nak(NakDelay::After(Nanos::ZERO))),
            (b"-NAK {\"delay\":\"1s\"}", AckBody::Nak(NakDelay::Unreadable(b"{\"delay\":\"1s\"}"))),
            (b"-NAK 5", AckBody::Nak(NakDelay::Unreadable(b"5"))),
            (b"+WPI", AckBody::Progress),
            (b"+WPI x", AckBody::Unknown),
            (b"+NXT", AckBody::Next(b"")),
            (b"+NXT {\"batch\":2}", AckBody::Next(b" {\"batch\":2}")),
            (b"+TERM", AckBody::Term("".into())),
            (b"+TERM  because it is bad ", AckBody::Term("because it is bad".into())),
            (b"hello", AckBody::Unknown),
        ];
        for (body, want) in cases {
            assert_eq!(AckBody::parse(body), want, "{:?}", String::from_utf8_lossy(body));
        }
    }
}
