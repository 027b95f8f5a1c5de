//! Pull requests: what a client asks for, and what it is told if it may not.
//!
//! Hot enough to matter: a client sends one for every batch.
//! Reference: consumer.go `nextReqFromMsg`, `processNextMsgRequest`.

use std::borrow::Cow;

use crate::consumer_config::{ConsumerConfig, PriorityPolicy};
use crate::json::{self, Bool, DecodeError, Duration, Embed, Int, Int64, Text, document};
use crate::time::Nanos;

/// `CONSUMER.MSG.NEXT`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextRequest {
    /// How long it waits; 0 for as long as somebody listens.
    pub expires: Nanos,
    /// Messages wanted.
    pub batch: i64,
    /// Bytes wanted; 0 for no limit.
    pub max_bytes: i64,
    /// It does not wait.
    pub no_wait: bool,
    /// A sign of life this often.
    pub idle_heartbeat: Nanos,
    /// Its group; only a request in JSON has one.
    pub group: PriorityGroup,
    /// It came as JSON: rules about groups hold.
    pub formal: bool,
}

document!(NextRequest as "JSApiConsumerGetNextRequest" {
    expires: Duration, omit;
    batch: Int, omit;
    max_bytes: Int, omit;
    no_wait: Bool, omit;
    idle_heartbeat: Duration, omit;
    group: Embed;
});

/// Where a request stands in its group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriorityGroup {
    /// The group.
    pub group: String,
    /// Only if so many messages are not yet delivered.
    pub min_pending: i64,
    /// Only if so many deliveries wait for acknowledgement.
    pub min_ack_pending: i64,
    /// The id that the client was pinned with.
    pub id: String,
    /// 0 to 9, the lowest first.
    pub priority: i64,
}

document!(PriorityGroup as "PriorityGroup" {
    group: Text, omit;
    min_pending: Int64, omit;
    min_ack_pending: Int64, omit;
    id: Text, omit;
    priority: Int, omit;
});

impl NextRequest {
    /// Reads a body: nothing for one message, a number for so many, or JSON. Anything else asks for
    /// one message, too.
    ///
    /// # Errors
    /// What follows `Bad Request - `.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let body = trim(body);
        if body.first() != Some(&b'{') {
            let number = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok());
            return Ok(Self { batch: number.unwrap_or(1), ..Self::default() });
        }
        let mut request: Self = json::unmarshal(body)?;
        request.formal = true;
        let heartbeat = request.idle_heartbeat;
        if heartbeat > Nanos::ZERO && heartbeat.0.wrapping_mul(2) > request.expires.0 {
            return Err(DecodeError::new("heartbeat value too large"));
        }
        Ok(request)
    }

    /// Checks the request against what the consumer allows, but for what depends on its state.
    ///
    /// # Errors
    /// The status that the client gets.
    pub fn check(&self, config: &ConsumerConfig) -> Result<(), Status> {
        if config.max_batch > 0 && self.batch > config.max_batch {
            return Err(Status::new(
                409,
                format!("Exceeded MaxRequestBatch of {}", config.max_batch),
            ));
        }
        if config.max_expires > Nanos::ZERO && self.expires > config.max_expires {
            let most = config.max_expires;
            return Err(Status::new(409, format!("Exceeded MaxRequestExpires of {most}")));
        }
        if config.max_bytes > 0 && self.max_bytes > config.max_bytes {
            let most = config.max_bytes;
            return Err(Status::new(409, format!("Exceeded MaxRequestMaxBytes of {most}")));
        }
        if self.formal { self.check_group(config) } else { Ok(()) }
    }

    fn check_group(&self, config: &ConsumerConfig) -> Result<(), Status> {
        let PriorityGroup { group, min_pending, min_ack_pending, id, priority } = &self.group;
        let policy = config.priority_policy;
        let bad = |text: &'static str| Err(Status { code: 400, text: Cow::Borrowed(text) });
        if (*min_pending != 0 || *min_ack_pending != 0) && policy != PriorityPolicy::Overflow {
            return bad("Bad Request - Not a Overflow Priority consumer");
        }
        if !id.is_empty() && policy != PriorityPolicy::PinnedClient {
            return bad("Bad Request - Not a Pinned Client Priority consumer");
        }
        if !(0..=9).contains(priority) {
            return bad("Bad Request - Priority must be between 0 and 9");
        }
        if policy == PriorityPolicy::None {
            return Ok(());
        }
        if group.is_empty() {
            return bad("Bad Request - Priority Group missing");
        }
        if !config.priority_groups.contains(group) {
            return bad("Bad Request - Invalid Priority Group");
        }
        Ok(())
    }
}

/// White space as Go trims it from bytes: also the vertical tab, unlike Rust.
pub(crate) fn trim(body: &[u8]) -> &[u8] {
    let space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let start = body.iter().position(|b| !space(b)).unwrap_or(body.len());
    let end = body.iter().rposition(|b| !space(b)).map_or(start, |at| at + 1);
    body.get(start..end).unwrap_or_default()
}

/// A status line in place of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Like an HTTP status.
    pub code: u16,
    /// The text behind it.
    pub text: Cow<'static, str>,
}

impl Status {
    fn new(code: u16, text: String) -> Self {
        Self { code, text: Cow::Owned(text) }
    }

    /// `400 Bad Request - <why>`.
    pub fn bad_request(error: &DecodeError) -> Self {
        Self::new(400, format!("Bad Request - {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(batch: i64) -> NextRequest {
        NextRequest { batch, ..NextRequest::default() }
    }

    #[test]
    fn requests_are_nothing_a_number_or_json() {
        for (body, want) in
            [("", 1), ("  \r\n", 1), ("5", 5), (" 12 ", 12), ("-3", -3), ("x", 1), ("1.5", 1)]
        {
            assert_eq!(NextRequest::parse(body.as_bytes()), Ok(asks(want)), "{body:?}");
        }
        let body =
            br#" {"expires":5000,"batch":7,"max_bytes":9,"no_wait":true,"idle_heartbeat":2500,
            "group":"g","min_pending":1,"min_ack_pending":2,"id":"i","priority":3,"unknown":1} "#;
        let want = NextRequest {
            expires: Nanos(5000),
            batch: 7,
            max_bytes: 9,
            no_wait: true,
            idle_heartbeat: Nanos(2500),
            group: PriorityGroup {
                group: "g".into(),
                min_pending: 1,
                min_ack_pending: 2,
                id: "i".into(),
                priority: 3,
            },
            formal: true,
        };
        assert_eq!(NextRequest::parse(body), Ok(want));
    }

    #[test]
    fn bad_requests_say_why() {
        let cases = [
            ("{", "unexpected end of JSON input"),
            (
                r#"{"batch":"x"}"#,
                "json: cannot unmarshal string into Go struct field JSApiConsumerGetNextRequest.batch of type int",
            ),
            (
                r#"{"priority":"x"}"#,
                "json: cannot unmarshal string into Go struct field JSApiConsumerGetNextRequest.PriorityGroup.priority of type int",
            ),
            (r#"{"batch":1} x"#, "invalid character 'x' after top-level value"),
            (r#"{"idle_heartbeat":1,"expires":1}"#, "heartbeat value too large"),
            (r#"{"idle_heartbeat":1}"#, "heartbeat value too large"),
        ];
        for (body, want) in cases {
            let error = NextRequest::parse(body.as_bytes()).expect_err(body);
            assert_eq!(error.to_string(), want, "{body}");
        }
        let error = NextRequest::parse(b"{").expect_err("cut off");
        assert_eq!(Status::bad_request(&error).text, "Bad Request - unexpected end of JSON input");
    }

    #[test]
    fn what_the_consumer_does_not_allow_is_refused_in_order() {
        let config = ConsumerConfig {
            max_batch: 5,
            max_expires: Nanos::from_secs(1),
            max_bytes: 100,
            ..ConsumerConfig::default()
        };
        let grouped = ConsumerConfig {
            priority_policy: PriorityPolicy::PinnedClient,
            priority_groups: vec!["g".into()],
            ..ConsumerConfig::default()
        };
        let cases = [
            (&config, r#"{"batch":6,"expires":2000000000}"#, "409 Exceeded MaxRequestBatch of 5"),
            (
                &config,
                r#"{"expires":2000000000,"max_bytes":200}"#,
                "409 Exceeded MaxRequestExpires of 1s",
            ),
            (&config, r#"{"max_bytes":200}"#, "409 Exceeded MaxRequestMaxBytes of 100"),
            (&config, r#"{"min_pending":1}"#, "400 Bad Request - Not a Overflow Priority consumer"),
            (&config, r#"{"id":"x"}"#, "400 Bad Request - Not a Pinned Client Priority consumer"),
            (&config, r#"{"priority":10}"#, "400 Bad Request - Priority must be between 0 and 9"),
            (&config, r#"{"group":"x","batch":5}"#, ""),
            (&grouped, "1", ""),
            (&grouped, "{}", "400 Bad Request - Priority Group missing"),
            (&grouped, r#"{"group":"x"}"#, "400 Bad Request - Invalid Priority Group"),
            (&grouped, r#"{"group":"g","id":"x"}"#, ""),
        ];
        for (config, body, want) in cases {
            let request = NextRequest::parse(body.as_bytes()).expect(body);
            let got = match request.check(config) {
                Ok(()) => String::new(),
                Err(status) => format!("{} {}", status.code, status.text),
            };
            assert_eq!(got, want, "{body}");
        }
    }
}
