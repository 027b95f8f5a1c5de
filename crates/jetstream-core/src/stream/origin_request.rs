//! Requests to the API of an origin.
//!
//! Law: bytes are the reference's.

use jetstream_api::level::{Metadata, REQUIRED_HEADER};
use jetstream_api::{
    AckPolicy, ConsumerConfig, CreateConsumerRequest, DeliverPolicy, Nanos, StreamSource, json,
};
use stdx::time::Timestamp;

use super::origin::{Ask, Position, Role};
use crate::out::Facts;

const HEARTBEAT: Nanos = Nanos::from_secs(1);
const INACTIVE: Nanos = Nanos::from_secs(10);
const ACK_WAIT: Nanos = Nanos::from_secs(22 * 60 * 60);
/// The level that has consumers for sourcing.
const LEVEL: &str = "4";

/// Who asks.
pub(super) struct Named<'a> {
    pub(super) stream: &'a str,
    pub(super) facts: &'a Facts,
    /// The stable part of the consumer's name.
    pub(super) id: &'a str,
}

/// Where the consumer shall begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    All,
    Seq(u64),
    Time(Timestamp),
}

/// Eight letters and digits.
pub(super) fn suffix(random: u64) -> String {
    crate::consumer::digits::<8>(random).map(char::from).iter().collect()
}

/// The name before what the server of the origin, or we, put behind it.
pub(super) fn stable_name(role: Role, id: &str) -> String {
    match role {
        Role::Mirror => format!("JS_MIRROR_{id}"),
        Role::Source => format!("JS_SRC_{id}"),
    }
}

/// Where to begin, for one who wants `from` and is at `at`.
pub(super) fn start(role: Role, source: &StreamSource, from: u64, at: Position) -> Start {
    let chosen = match (source.opt_start_seq, source.opt_start_time) {
        (0, None) => None,
        (0, Some(time)) => Some(Start::Time(time)),
        (seq, _) => Some(Start::Seq(seq)),
    };
    match role {
        // Only a mirror that never held anything begins where it is told to (SRC-002).
        Role::Mirror if at.last_seq == 0 => chosen.unwrap_or(Start::All),
        Role::Mirror => Start::Seq(at.last_seq + 1),
        Role::Source if from > 1 => Start::Seq(from),
        Role::Source => match (chosen, at.last_ts) {
            // It held something that is gone now: what is older than that is not wanted again.
            (Some(Start::Time(time)), Some(last)) if time < last => Start::Time(last),
            (Some(chosen), _) => chosen,
            (None, Some(last)) if at.first_seq > 1 => Start::Time(last),
            (None, _) => Start::All,
        },
    }
}

/// A request to make a consumer.
pub(super) fn create(
    role: Role,
    source: &StreamSource,
    named: &Named<'_>,
    start: Start,
    sourcing: bool,
    random: (u64, u64),
) -> Ask {
    let mut name = stable_name(role, named.id);
    if !sourcing {
        // The server there will not make it unique.
        name = format!("{name}_{}", suffix(random.0));
    }
    let mut config = ConsumerConfig {
        name,
        deliver_subject: deliver_subject(role, source, random.1),
        ack_policy: AckPolicy::None,
        ack_wait: ACK_WAIT,
        max_deliver: 1,
        idle_heartbeat: HEARTBEAT,
        flow_control: true,
        direct: true,
        sourcing,
        inactive_threshold: INACTIVE,
        metadata: metadata(role, named),
        ..ConsumerConfig::default()
    };
    match start {
        Start::All => config.deliver_policy = DeliverPolicy::All,
        Start::Seq(seq) => {
            config.deliver_policy = DeliverPolicy::ByStartSequence;
            config.opt_start_seq = seq;
        }
        Start::Time(time) => {
            config.deliver_policy = DeliverPolicy::ByStartTime;
            config.opt_start_time = Some(time);
        }
    }
    select(source, &mut config);
    let mut subject = format!("$JS.API.CONSUMER.CREATE.{}", source.name);
    if !config.filter_subject.is_empty() {
        subject = format!("{subject}.{}.{}", config.name, config.filter_subject);
    }
    let request = CreateConsumerRequest {
        stream_name: source.name.clone(),
        config,
        ..CreateConsumerRequest::default()
    };
    let header = format!("NATS/1.0\r\n{REQUIRED_HEADER}: {LEVEL}\r\n\r\n");
    Ask {
        inbox: String::new(),
        subject: outside(source, subject),
        header: if sourcing { header.into_bytes() } else { Vec::new() },
        body: json::to_json(&request),
    }
}

/// What the consumer selects: one filter stands alone, because only then may it be in the subject.
fn select(source: &StreamSource, config: &mut ConsumerConfig) {
    let transforms = &source.subject_transforms;
    if !source.filter_subject.is_empty() {
        config.filter_subject.clone_from(&source.filter_subject);
    } else if let [one] = transforms.as_slice() {
        config.filter_subject.clone_from(&one.src);
    } else if transforms.iter().all(|t| !t.src.is_empty()) {
        config.filter_subjects = transforms.iter().map(|t| t.src.clone()).collect();
    }
}

fn deliver_subject(role: Role, source: &StreamSource, random: u64) -> String {
    let kind = match role {
        Role::Mirror => 'M',
        Role::Source => 'S',
    };
    let prefix = source.external.as_ref().map_or("", |e| e.deliver.as_str());
    let prefix = if prefix.is_empty() { "$JS" } else { prefix };
    format!("{prefix}.{kind}.{}", suffix(random)).replace("..", ".")
}

fn metadata(role: Role, named: &Named<'_>) -> Metadata {
    let kind = match role {
        Role::Mirror => "mirror",
        Role::Source => "src",
    };
    let domain = named.facts.domain.as_deref().unwrap_or_default();
    [("acc", named.facts.account.as_str()), ("domain", domain), ("stream", named.stream)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (format!("_nats.{kind}.{key}"), value.to_owned()))
        .collect()
}

/// A request to a consumer that somebody else made: it begins again behind what is acknowledged.
pub(super) fn reset(source: &StreamSource, consumer: &str) -> Ask {
    let subject = format!("$JS.API.CONSUMER.RESET.{}.{consumer}", source.name);
    Ask { subject: outside(source, subject), ..Ask::default() }
}

/// A request to delete a consumer.
pub(super) fn delete(source: &StreamSource, consumer: &str) -> Ask {
    let subject = format!("$JS.API.CONSUMER.DELETE.{}.{consumer}", source.name);
    Ask { subject: outside(source, subject), ..Ask::default() }
}

/// The subject as the API of another account or domain has it.
fn outside(source: &StreamSource, subject: String) -> String {
    match &source.external {
        Some(external) => subject.replacen("$JS.API", &external.api, 1).replace("..", "."),
        None => subject,
    }
}
