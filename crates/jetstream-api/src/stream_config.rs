//! A stream's configuration.
//!
//! Laws: members are in the order in which they are written; a number of -1 means no limit.
//! Not here: what is allowed and what is assumed (`validate::stream`).
//! Reference: `StreamConfig`.

use stdx::go_text::quote;
use stdx::time::Timestamp;

use crate::json::{
    Bool, Codec, DecodeError, Decoder, Document, Duration, Embed, Int, Int32, Int64, Key, Kind,
    List, Map, Some_, Struct, Text, Time, Uint64, Writer, document, text_enum,
};
use crate::metadata::Metadata;
use crate::time::Nanos;

/// How a stream decides what to keep, what it takes and what it does with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamConfig {
    /// Unique in the account.
    pub name: String,
    /// For people.
    pub description: String,
    /// What is stored; the name itself if nothing else is said and nothing is sourced.
    pub subjects: Vec<String>,
    /// When messages may go.
    pub retention: RetentionPolicy,
    /// Consumers it may have.
    pub max_consumers: i64,
    /// Messages it may hold.
    pub max_msgs: i64,
    /// Bytes it may hold.
    pub max_bytes: i64,
    /// How old a message may become; 0 for no limit.
    pub max_age: Nanos,
    /// Messages it may hold of one subject.
    pub max_msgs_per_subject: i64,
    /// Bytes of one message's header and payload.
    pub max_msg_size: i32,
    /// What gives way at a limit.
    pub discard: DiscardPolicy,
    /// Where messages live.
    pub storage: StorageType,
    /// Copies.
    pub num_replicas: i64,
    /// Publishers get no answer.
    pub no_ack: bool,
    /// How long message ids are remembered.
    pub duplicate_window: Nanos,
    /// Where replicas may be.
    pub placement: Option<Box<Placement>>,
    /// The stream that this one copies.
    pub mirror: Option<Box<StreamSource>>,
    /// The streams that this one draws from.
    pub sources: Vec<StreamSource>,
    /// Of blocks on disk.
    pub compression: Compression,
    /// Sequence of the first message; 0 for 1.
    pub first_seq: u64,
    /// Applied to every message before it is stored.
    pub subject_transform: Option<Box<SubjectTransformConfig>>,
    /// Where a stored message is published again.
    pub republish: Option<Box<RePublish>>,
    /// Messages may be got without the API.
    pub allow_direct: bool,
    /// The mirror answers direct gets for its origin.
    pub mirror_direct: bool,
    /// `discard: new` holds for `max_msgs_per_subject`, too.
    pub discard_new_per_subject: bool,
    /// Nothing may change any more.
    pub sealed: bool,
    /// Messages cannot be deleted.
    pub deny_delete: bool,
    /// Messages cannot be purged.
    pub deny_purge: bool,
    /// The rollup header is obeyed.
    pub allow_rollup_hdrs: bool,
    /// What consumers get by default and at most.
    pub consumer_limits: ConsumerLimits,
    /// The TTL header is obeyed.
    pub allow_msg_ttl: bool,
    /// How long the marker lives that takes the place of a subject's last message.
    pub subject_delete_marker_ttl: Nanos,
    /// Messages are increments of counters.
    pub allow_msg_counter: bool,
    /// Atomic batches are taken.
    pub allow_atomic: bool,
    /// Scheduled messages are taken.
    pub allow_msg_schedules: bool,
    /// Whether a publisher's answer waits for the disk.
    pub persist_mode: PersistMode,
    /// Fast batches are taken.
    pub allow_batched: bool,
    /// For people and tools; `_nats.` keys are the server's.
    pub metadata: Metadata,
}

document!(StreamConfig as "StreamConfig" {
    name: Text;
    description: Text, omit;
    subjects: List<Text>, omit;
    retention: RetentionPolicy;
    max_consumers: Int;
    max_msgs: Int64;
    max_bytes: Int64;
    max_age: Duration;
    max_msgs_per_subject: Int64;
    max_msg_size: Int32, omit;
    discard: DiscardPolicy;
    storage: StorageType;
    num_replicas: Int;
    no_ack: Bool, omit;
    duplicate_window: Duration, omit;
    placement: Some_<Struct>, omit;
    mirror: Some_<Struct>, omit;
    sources: List<Pointed>, omit;
    compression: Compression;
    first_seq: Uint64, omit;
    subject_transform: Some_<Struct>, omit;
    republish: Some_<Struct>, omit;
    allow_direct: Bool;
    mirror_direct: Bool;
    discard_new_per_subject: Bool, omit;
    sealed: Bool;
    deny_delete: Bool;
    deny_purge: Bool;
    allow_rollup_hdrs: Bool;
    consumer_limits: Struct;
    allow_msg_ttl: Bool;
    subject_delete_marker_ttl: Duration, omit;
    allow_msg_counter: Bool, omit;
    allow_atomic: Bool, omit;
    allow_msg_schedules: Bool, omit;
    persist_mode: PersistMode, omit;
    allow_batched: Bool, omit;
    metadata: Map<Text>, omit;
});

/// The body of a create or update: a configuration and how strictly it is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamConfigRequest {
    /// What is wanted.
    pub config: StreamConfig,
    /// Refuse rather than adjust.
    pub pedantic: bool,
    /// The body says which storage; not part of the document. The first look at what is left counts
    /// nothing where it does not.
    pub storage_given: bool,
}

impl Document for StreamConfigRequest {
    const GO: &'static str = "StreamConfigRequest";

    fn write_members(&self, out: &mut Writer) {
        self.config.write_members(out);
        Bool::write_member(&self.pedantic, "pedantic", true, out);
    }

    fn read_member(&mut self, key: &Key<'_>, from: &mut Decoder<'_>) -> Result<bool, DecodeError> {
        self.storage_given |= key.is("storage");
        Ok(Embed::read_member(&mut self.config, "", key, from)?
            || Bool::read_member(&mut self.pedantic, "pedantic", key, from)?)
    }
}

/// An element that Go holds by a pointer, which only its type's name in complaints shows.
pub(crate) struct Pointed;

impl<T: Document> Codec<T> for Pointed {
    fn go() -> String {
        format!("*server.{}", T::GO)
    }
    fn is_empty(_: &T) -> bool {
        false
    }
    fn write(value: &T, out: &mut Writer) {
        <Struct as Codec<T>>::write(value, out);
    }
    fn read(into: &mut T, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        from.document(into)
    }
}

/// When messages may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RetentionPolicy {
    /// At the limits only.
    #[default]
    Limits,
    /// When every consumer that wants it has acknowledged it.
    Interest,
    /// When its one consumer has acknowledged it.
    WorkQueue,
}

text_enum!(RetentionPolicy, "RetentionPolicy", cannot_unmarshal, {
    Limits => "limits", Interest => "interest", WorkQueue => "workqueue",
});

impl RetentionPolicy {
    /// The name in texts about updates.
    pub fn title(self) -> &'static str {
        match self {
            Self::Limits => "Limits",
            Self::Interest => "Interest",
            Self::WorkQueue => "WorkQueue",
        }
    }
}

/// Where messages live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StorageType {
    /// On disk.
    #[default]
    File,
    /// In memory.
    Memory,
}

text_enum!(StorageType, "StorageType", cannot_unmarshal, { File => "file", Memory => "memory" });

/// What gives way at a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DiscardPolicy {
    /// The oldest messages.
    #[default]
    Old,
    /// The new message.
    New,
}

impl DiscardPolicy {
    /// The text in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }
}

impl std::fmt::Display for DiscardPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Unlike the other policies this one is taken in any case.
impl Codec<Self> for DiscardPolicy {
    fn go() -> String {
        "server.DiscardPolicy".to_owned()
    }
    fn is_empty(value: &Self) -> bool {
        *value == Self::Old
    }
    fn write(value: &Self, out: &mut Writer) {
        out.string(value.as_str());
    }
    fn read(into: &mut Self, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let raw = from.raw();
        if raw.eq_ignore_ascii_case(b"\"old\"") {
            *into = Self::Old;
        } else if raw.eq_ignore_ascii_case(b"\"new\"") {
            *into = Self::New;
        } else {
            return Err(DecodeError::new(cannot_unmarshal(raw)));
        }
        Ok(())
    }
}

/// Of blocks on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// S2.
    S2,
}

impl Compression {
    /// The text in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::S2 => "s2",
        }
    }
}

impl Codec<Self> for Compression {
    fn go() -> String {
        "server.StoreCompression".to_owned()
    }
    fn is_empty(value: &Self) -> bool {
        *value == Self::None
    }
    fn write(value: &Self, out: &mut Writer) {
        out.string(value.as_str());
    }
    fn read(into: &mut Self, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        if !matches!(from.kind(), Kind::String | Kind::Null) {
            return Err(from.mismatch_error("string"));
        }
        let mut text = String::new();
        Text::read(&mut text, from)?;
        *into = match text.as_str() {
            "none" => Self::None,
            "s2" => Self::S2,
            _ => return Err(DecodeError::new("unknown compression algorithm")),
        };
        Ok(())
    }
}

/// Whether a publisher's answer waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PersistMode {
    /// It does.
    #[default]
    Default,
    /// It does not: a hard kill may lose acknowledged messages.
    Async,
}

text_enum!(PersistMode, "PersistModeType", cannot_unmarshal, {
    Default => "default" | "", Async => "async",
});

/// Where replicas may be; also asks who shall lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Only in this cluster.
    pub cluster: String,
    /// Only on servers with all these tags.
    pub tags: Vec<String>,
    /// The server that shall lead; only in a request to step down.
    pub preferred: String,
}

document!(Placement as "Placement" {
    cluster: Text, omit;
    tags: List<Text>, omit;
    preferred: Text, omit;
});

/// A stream to copy or draw from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSource {
    /// Its name.
    pub name: String,
    /// Begin at this sequence; 0 for the first.
    pub opt_start_seq: u64,
    /// Begin at this time.
    pub opt_start_time: Option<Timestamp>,
    /// Only these subjects.
    pub filter_subject: String,
    /// Only what one of these matches, under the subject that it gives.
    pub subject_transforms: Vec<SubjectTransformConfig>,
    /// How to reach it in another account or domain.
    pub external: Option<ExternalStream>,
    /// The durable consumer to use instead of one that the server makes.
    pub consumer: Option<StreamConsumerSource>,
}

document!(StreamSource as "StreamSource" {
    name: Text;
    opt_start_seq: Uint64, omit;
    opt_start_time: Some_<Time>, omit;
    filter_subject: Text, omit;
    subject_transforms: List<Struct>, omit;
    external: Some_<Struct>, omit;
    consumer: Some_<Struct>, omit;
});

/// A consumer that somebody made for sourcing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamConsumerSource {
    /// Its name.
    pub name: String,
    /// Where it delivers to.
    pub deliver_subject: String,
}

document!(StreamConsumerSource as "StreamConsumerSource" {
    name: Text, omit;
    deliver_subject: Text, omit;
});

/// The way to a stream of another account or domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExternalStream {
    /// Prefix of its API, `$JS.hub.API`.
    pub api: String,
    /// Prefix of the subjects to deliver to.
    pub deliver: String,
}

impl ExternalStream {
    /// The domain in `$JS.<domain>.API`; empty if there is none.
    pub fn domain(&self) -> &str {
        self.api.split('.').nth(1).unwrap_or_default()
    }
}

document!(ExternalStream as "ExternalStream" {
    api: Text;
    deliver: Text;
});

/// From one subject to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectTransformConfig {
    /// What matches; empty for everything.
    pub src: String,
    /// What becomes of it.
    pub dest: String,
}

document!(SubjectTransformConfig as "SubjectTransformConfig" {
    src: Text;
    dest: Text;
});

/// Where stored messages are published again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RePublish {
    /// What matches; empty for everything.
    pub src: String,
    /// What becomes of it.
    pub dest: String,
    /// Without the payload.
    pub headers_only: bool,
}

document!(RePublish as "RePublish" {
    src: Text, omit;
    dest: Text;
    headers_only: Bool, omit;
});

/// What a stream's consumers get by default and at most; 0 for nothing said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerLimits {
    /// How long a consumer may be idle.
    pub inactive_threshold: Nanos,
    /// How many deliveries may wait for acknowledgement.
    pub max_ack_pending: i64,
}

document!(ConsumerLimits as "StreamConsumerLimits" {
    inactive_threshold: Duration, omit;
    max_ack_pending: Int, omit;
});

/// What most policies say about a text they do not know.
pub(crate) fn cannot_unmarshal(raw: &[u8]) -> String {
    format!("can not unmarshal {}", quote(raw))
}
