//! Message counters: a stream whose messages are increments, each subject a sum of any size.
//!
//! Laws: a subject's last message carries its sum; a sum is what was added here and the last value of
//!       every source.
//! Reference: stream.go `getMessageIncr`, processJetStreamMsg.   Parity: PUB-018, PUB-019.

use std::borrow::Cow;

use jetstream_api::pub_ack::{CounterSources, CounterValue, counter_sources, counter_sources_json};
use jetstream_api::{ApiError, StreamConfig, json};
use num_bigint::BigInt;
use store::Message;

use super::header::{self, Fields, sequence};

const INCREMENT: &[u8] = b"Nats-Incr";
const SOURCES: &[u8] = b"Nats-Counter-Sources";

/// What a message adds, if it adds something: `Nats-Incr`.
///
/// # Errors
/// 10171 for what is no number.
pub(super) fn increment(fields: &Fields<'_>) -> Result<Option<BigInt>, ApiError> {
    let Some(text) = fields.incr.filter(|text| !text.is_empty()) else { return Ok(None) };
    let (number, rest) = leading_number(text);
    match number {
        Some(number) if rest.is_empty() => Ok(Some(number)),
        _ => Err(ApiError::message_incr_invalid()),
    }
}

/// Whether a client may publish this increment.
///
/// # Errors
/// 10168, 10170, 10171.
pub(super) fn check(
    fields: &Fields<'_>,
    payload: &[u8],
    config: &StreamConfig,
) -> Result<(), ApiError> {
    if !config.allow_msg_counter {
        return Err(ApiError::message_incr_disabled());
    }
    if !payload.is_empty() {
        return Err(ApiError::message_incr_payload());
    }
    let texts = [
        fields.rollup,
        fields.expected_stream,
        fields.expected_last_msg_id,
        fields.expected_last_subject,
    ];
    let sequences = [fields.expected_last_seq, fields.expected_last_subject_seq];
    if texts.into_iter().flatten().any(|text| !text.is_empty())
        || sequences.into_iter().flatten().any(|text| sequence(text).is_some())
    {
        return Err(ApiError::message_incr_invalid());
    }
    Ok(())
}

/// A counter's state: its sum, and the last value of every source in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    value: BigInt,
    sources: CounterSources,
}

impl Total {
    /// What the subject's last message says.
    ///
    /// # Errors
    /// 10172: that message is none of a counter.
    pub(super) fn of(last: Option<&Message>) -> Result<Self, ApiError> {
        let Some(last) = last else { return Ok(Self::default()) };
        let value = value_of(&last.payload)?;
        let sources = match wire::header::get(&last.header, SOURCES) {
            Some(text) if !text.is_empty() => {
                counter_sources(text).map_err(|_| ApiError::message_counter_broken())?
            }
            _ => CounterSources::new(),
        };
        Ok(Self { value, sources })
    }

    /// Adds what a message brings, and makes its header say so. A message that was drawn from
    /// another counter brings the difference between that one's sums.
    ///
    /// # Errors
    /// 10172: a drawn message is none of a counter.
    pub(super) fn add(
        &mut self,
        increment: BigInt,
        fields: &Fields<'_>,
        subject: &[u8],
        payload: &[u8],
        header: &mut Cow<'_, [u8]>,
    ) -> Result<(), ApiError> {
        let mut increment = increment;
        if let Some(source) = fields.stream_source.filter(|source| !source.is_empty()) {
            let now = value_of(payload)?;
            let before = self.enter_source(source, subject, &now);
            increment = now - before;
            let text = increment.to_string();
            *header = Cow::Owned(header::exchange(header, INCREMENT, text.as_bytes()));
        }
        self.value += increment;
        if !self.sources.is_empty() {
            let text = counter_sources_json(&self.sources);
            *header = Cow::Owned(header::exchange(header, SOURCES, &text));
        }
        Ok(())
    }

    /// Remembers a source's sum; the one before is returned.
    fn enter_source(&mut self, source: &[u8], subject: &[u8], now: &BigInt) -> BigInt {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut fields = source.split(|b| *b == b' ');
        let stream = fields.next().unwrap_or_default();
        let subject = fields.nth(3).unwrap_or(subject);
        let subjects = self.sources.entry(text(stream)).or_default();
        let before = subjects.insert(text(subject), now.to_string());
        before.and_then(|text| leading_number(text.as_bytes()).0).unwrap_or_default()
    }

    /// The sum in decimal, and the body of a message that carries it.
    pub(super) fn body(&self) -> (String, Vec<u8>) {
        let sum = self.value.to_string();
        let body = format!("{{\"val\":\"{sum}\"}}").into_bytes();
        (sum, body)
    }
}

/// The sum that a body carries.
fn value_of(body: &[u8]) -> Result<BigInt, ApiError> {
    let value: CounterValue =
        json::unmarshal(body).map_err(|_| ApiError::message_counter_broken())?;
    // Compat(PUB-018): what is no number counts as far as it is one.
    Ok(leading_number(value.val.as_bytes()).0.unwrap_or_default())
}

/// The number that a text begins with, and what follows it.
fn leading_number(text: &[u8]) -> (Option<BigInt>, &[u8]) {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let digits = text.get(sign..).unwrap_or_default();
    let len = digits.iter().take_while(|d| d.is_ascii_digit()).count();
    if len == 0 {
        return (None, text);
    }
    let (number, rest) = text.split_at_checked(sign + len).unwrap_or((text, b""));
    (BigInt::parse_bytes(number, 10), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use stdx::time::Timestamp;

    fn block(fields: &[(&str, &str)]) -> Vec<u8> {
        fields.iter().fold(Vec::new(), |block, (name, value)| {
            header::append(&block, name.as_bytes(), value.as_bytes())
        })
    }

    fn stored(header: Vec<u8>, payload: &[u8]) -> Message {
        Message {
            seq: 1,
            ts: Timestamp(0),
            subject: Bytes::from_static(b"c"),
            header: Bytes::from(header),
            payload: Bytes::copy_from_slice(payload),
        }
    }

    // Contract: PUB-018
    #[test]
    fn increments_are_whole_numbers_of_any_size() {
        let cases = [
            ("1", Some("1")),
            ("+2", Some("2")),
            ("-3", Some("-3")),
            ("007", Some("7")),
            ("100000000000000000000000000000000001", Some("100000000000000000000000000000000001")),
            ("1.5", None),
            ("x", None),
            ("1_0", None),
            ("-", None),
            ("1 ", None),
        ];
        for (text, want) in cases {
            let header = block(&[]);
            let header = [&header, &b"NATS/1.0\r\nNats-Incr: "[..], text.as_bytes(), b"\r\n\r\n"];
            let header = header.concat();
            let got = increment(&Fields::of(&header));
            match want {
                Some(want) => assert_eq!(got.unwrap().unwrap().to_string(), want, "{text}"),
                None => assert_eq!(got.unwrap_err().err_code, 10171, "{text}"),
            }
        }
        assert_eq!(increment(&Fields::of(b"NATS/1.0\r\nA: 1\r\n\r\n")).unwrap(), None);
    }

    // Contract: PUB-018
    #[test]
    fn a_sum_goes_on_from_the_last_message() {
        let last = stored(Vec::new(), br#"{"val":"99999999999999999999"}"#);
        let mut total = Total::of(Some(&last)).unwrap();
        let mut header: Cow<'_, [u8]> = Cow::Owned(block(&[("Nats-Incr", "2")]));
        let fields_of = header.clone();
        total.add(BigInt::from(2), &Fields::of(&fields_of), b"c", b"", &mut header).unwrap();
        let (sum, body) = total.body();
        assert_eq!(sum, "100000000000000000001");
        assert_eq!(body, br#"{"val":"100000000000000000001"}"#);
        assert_eq!(header, fields_of);
        for broken in [&b"x"[..], b"", b"[]", br#"{"val":1}"#] {
            let got = Total::of(Some(&stored(Vec::new(), broken)));
            assert_eq!(got.unwrap_err().err_code, 10172, "{broken:?}");
        }
        let last = stored(block(&[("Nats-Counter-Sources", "[]")]), br#"{"val":"1"}"#);
        assert_eq!(Total::of(Some(&last)).unwrap_err().err_code, 10172);
    }

    // Contract: PUB-019
    #[test]
    fn drawn_sums_bring_their_difference() {
        let mut total = Total::default();
        let take = |total: &mut Total, source: &str, incr: i64, sum: &str| {
            let block = block(&[("Nats-Incr", &incr.to_string()), ("Nats-Stream-Source", source)]);
            let mut header = Cow::Borrowed(&block[..]);
            let payload = format!("{{\"val\":\"{sum}\"}}").into_bytes();
            total
                .add(BigInt::from(incr), &Fields::of(&block), b"c.here", &payload, &mut header)
                .unwrap();
            String::from_utf8(header.into_owned()).unwrap()
        };
        // A message was missed: the increment says 1, the sum went up by 5.
        let first = take(&mut total, "A 1 > > c.there", 1, "5");
        assert_eq!(
            first,
            "NATS/1.0\r\nNats-Incr: 5\r\nNats-Stream-Source: A 1 > > c.there\r\n\
             Nats-Counter-Sources: {\"A\":{\"c.there\":\"5\"}}\r\n\r\n"
        );
        let second = take(&mut total, "B 1", 3, "3");
        assert!(
            second.contains("{\"A\":{\"c.there\":\"5\"},\"B\":{\"c.here\":\"3\"}}"),
            "{second}"
        );
        let third = take(&mut total, "A 2 > > c.there", -2, "3");
        assert!(third.contains("Nats-Incr: -2\r\n"), "{third}");
        assert_eq!(total.body().0, "6");
    }
}
