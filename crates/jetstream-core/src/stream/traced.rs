//! Messages that are traced: the same way as others, and what became of them in words.
//!
//! Laws: a message that is only traced is judged and changes nothing; its publisher hears of a
//!       refusal and of nothing else.
//! Reference: stream.go processJetStreamMsg, what it returns.   Contract: TRACE-002, TRACE-012.

use jetstream_api::ApiError;
use stdx::time::Now;
use store::disk::Disk;

use super::Stream;
use super::header::{Fields, sequence};
use super::ingest::{Incoming, Limits, Refusal, Via};
use crate::out::Out;

/// What a stream did with a traced message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The subject it is stored on; `None` if it was refused before that counted.
    pub subject: Option<Box<[u8]>>,
    /// Nobody is interested: it has a sequence and is not kept.
    pub no_interest: bool,
    /// Why it was refused.
    pub refused: Option<String>,
}

impl<D: Disk> Stream<D> {
    /// As [`Stream::publish`], for a message that is traced, or `only` traced.
    pub fn publish_traced<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        only: bool,
        limits: &Limits,
        now: Now,
        out: &mut O,
    ) -> Verdict {
        let mut room = Vec::new();
        let subject = self.renamed(m.subject, &mut room, out).to_vec();
        let fields = (!m.header.is_empty()).then(|| Fields::of(m.header));
        let in_batch = m.reply.is_some_and(|reply| reply.ends_with(b".$FI"))
            || fields.as_ref().is_some_and(|f| f.batch_id.is_some_and(|id| !id.is_empty()));
        if in_batch && !only {
            // What becomes of it is decided by the batch's last message.
            self.publish(m, limits, now, out);
            return Verdict { subject: Some(subject.into()), ..Verdict::default() };
        }
        let m = Incoming { subject: &subject, ..*m };
        // The account's room is looked at only for what is stored.
        let judged_by = Limits { account_left: limits.account_left.filter(|_| !only), ..*limits };
        let admitted = self.admit(&m, fields.as_ref(), Via::Client, &judged_by, now);
        let no_interest = admitted.as_ref().is_ok_and(|admitted| admitted.skipped);
        let outcome = match admitted {
            Ok(_) if only => None,
            Err(Refusal::Error(error)) if only && is_told_late(&error) => None,
            Ok(admitted) => Some(self.take_admitted(&m, admitted, now, out)),
            Err(refusal) => Some(Err(refusal)),
        };
        let refusal = match &outcome {
            None => None,
            Some(outcome) => {
                self.answer(&m, outcome, out);
                outcome.as_ref().err()
            }
        };
        let late = refusal.is_none_or(|refusal| match refusal {
            Refusal::Error(error) => is_told_late(error),
            Refusal::Duplicate(_) => false,
        });
        Verdict {
            no_interest,
            refused: refusal.map(|refusal| told(refusal, fields.as_ref())),
            subject: late.then(|| subject.as_slice().into()),
        }
    }
}

/// Whether the subject counted already when this error came up.
fn is_told_late(error: &ApiError) -> bool {
    let late = [
        ApiError::account_resources_exceeded().err_code,
        ApiError::message_ttl_invalid().err_code,
        ApiError::stream_too_many_requests().err_code,
    ];
    late.contains(&error.err_code) || (is_of_store(error) && error.description.contains("maximum"))
}

fn is_of_store(error: &ApiError) -> bool {
    error.err_code == ApiError::stream_store_failed("").err_code
}

/// The words for a refusal, which are not those its publisher hears.
fn told(refusal: &Refusal, fields: Option<&Fields<'_>>) -> String {
    let error = match refusal {
        Refusal::Duplicate(_) => return "msgid is duplicate".to_owned(),
        Refusal::Error(error) => error,
    };
    let is = |other: ApiError| other.err_code == error.err_code;
    let last = || error.description.rsplit(": ").next().unwrap_or_default();
    if is_of_store(error) || is(ApiError::stream_rollup_failed("")) {
        error.description.to_string()
    } else if is(ApiError::stream_message_exceeds_maximum())
        || is(ApiError::stream_header_exceeds_maximum())
    {
        "maximum payload exceeded".to_owned()
    } else if is(ApiError::stream_not_match()) {
        "expected stream does not match".to_owned()
    } else if is(ApiError::message_ttl_disabled()) {
        "message TTL disabled".to_owned()
    } else if is(ApiError::stream_wrong_last_sequence(0)) {
        let of = |value: Option<&[u8]>| value.and_then(sequence);
        let by_subject = fields.and_then(|fields| of(fields.expected_last_subject_seq));
        let by_stream = fields.and_then(|fields| of(fields.expected_last_seq));
        match (by_subject, by_stream) {
            (Some(seq), Some(_)) if last() == seq.to_string() => mismatch("", by_stream, last()),
            (Some(_), _) => mismatch(" by subject", by_subject, last()),
            (None, _) => mismatch("", by_stream, last()),
        }
    } else if is(ApiError::stream_wrong_last_msg_id("")) {
        let expected = fields.and_then(|fields| fields.expected_last_msg_id).unwrap_or_default();
        let quote = stdx::go_text::quote;
        format!("last msgid mismatch: {} vs {}", quote(expected), quote(last().as_bytes()))
    } else {
        format!("{} ({})", error.description, error.err_code)
    }
}

fn mismatch(of: &str, expected: Option<u64>, last: &str) -> String {
    format!("last sequence{of} mismatch: {} vs {last}", expected.unwrap_or(0))
}
