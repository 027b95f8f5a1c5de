//! Answers: `{"type": ..., "error": ...}` and what the request asked for.
//!
//! An answer with an error still shows the members that are never left out, as the reference's do.

use std::collections::BTreeMap;

use stdx::time::Timestamp;

use crate::account_info::AccountInfo;
use crate::consumer_info::ConsumerInfo;
use crate::error::ApiError;
use crate::json::{
    Bool, Codec, DecodeError, Decoder, Document, Duration, Embed, EmbedSome, Int, Key, List, Map,
    Some_, Struct, Text, Time, Uint64, Writer, document,
};
use crate::stream_config::{Pointed, StreamConfig};
use crate::stream_info::{StoredMsg, StreamInfo, StreamState};
use crate::time::Nanos;

/// Names that one answer lists.
pub const NAMES_LIMIT: usize = 1024;
/// Infos that one answer lists.
pub const LIST_LIMIT: usize = 256;
/// Subjects that one `STREAM.INFO` counts.
pub const SUBJECTS_LIMIT: usize = 100_000;

/// What follows `type` and `error`.
pub trait Body: Document {
    /// The value of `type`.
    const TYPE: &'static str;
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response<B> {
    /// Why the request was refused.
    pub error: Option<ApiError>,
    /// What it asked for.
    pub body: B,
}

impl<B: Body> Response<B> {
    /// What the request asked for.
    pub fn ok(body: B) -> Self {
        Self { error: None, body }
    }

    /// A refusal.
    pub fn error(error: ApiError) -> Self {
        Self { error: Some(error), body: B::default() }
    }

    /// The body, or the error.
    ///
    /// # Errors
    /// The one that the answer carries.
    pub fn into_result(self) -> Result<B, ApiError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.body),
        }
    }
}

impl<B: Body> From<Result<B, ApiError>> for Response<B> {
    fn from(outcome: Result<B, ApiError>) -> Self {
        match outcome {
            Ok(body) => Self::ok(body),
            Err(error) => Self::error(error),
        }
    }
}

impl<B: Body> Document for Response<B> {
    const GO: &'static str = B::GO;

    fn write_members(&self, out: &mut Writer) {
        out.key("type");
        out.string(B::TYPE);
        <Some_<Struct> as Codec<_>>::write_member(&self.error, "error", true, out);
        self.body.write_members(out);
    }

    fn read_member(&mut self, key: &Key<'_>, from: &mut Decoder<'_>) -> Result<bool, DecodeError> {
        let mut kind = String::new();
        Ok(Text::read_member(&mut kind, "type", key, from)?
            || <Some_<Struct> as Codec<_>>::read_member(&mut self.error, "error", key, from)?
            || self.body.read_member(key, from)?)
    }
}

/// `body!(Type as "GoName", "type suffix" { ... })`: a document that is a body.
macro_rules! body {
    ($type:ident as $go:literal, $kind:literal { $($members:tt)* }) => {
        document!($type as $go { $($members)* });

        impl Body for $type {
            const TYPE: &'static str = concat!("io.nats.jetstream.api.v1.", $kind, "_response");
        }
    };
}

/// `success!`: bodies that only say that it was done.
macro_rules! success {
    ($($(#[$doc:meta])* $type:ident as $go:literal, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $type {
            /// It was done.
            pub success: bool,
        }

        body!($type as $go, $kind { success: Bool, omit; });
    )*};
}

success! {
    /// `STREAM.DELETE`.
    StreamDelete as "JSApiStreamDeleteResponse", "stream_delete";
    /// `STREAM.MSG.DELETE`.
    MsgDelete as "JSApiMsgDeleteResponse", "stream_msg_delete";
    /// `STREAM.PEER.REMOVE`.
    StreamRemovePeer as "JSApiStreamRemovePeerResponse", "stream_remove_peer";
    /// `STREAM.LEADER.STEPDOWN`.
    StreamLeaderStepDown as "JSApiStreamLeaderStepDownResponse", "stream_leader_stepdown";
    /// `CONSUMER.LEADER.STEPDOWN`.
    ConsumerLeaderStepDown as "JSApiConsumerLeaderStepDownResponse", "consumer_leader_stepdown";
    /// `META.LEADER.STEPDOWN`.
    MetaLeaderStepDown as "JSApiLeaderStepDownResponse", "meta_leader_stepdown";
    /// `SERVER.REMOVE`.
    MetaServerRemove as "JSApiMetaServerRemoveResponse", "meta_server_remove";
    /// `CONSUMER.DELETE`.
    ConsumerDelete as "JSApiConsumerDeleteResponse", "consumer_delete";
}

/// What no other answer fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct System;

body!(System as "ApiResponse", "system" {});

/// `INFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountInfoBody {
    /// Use and limits.
    pub info: Option<AccountInfo>,
}

body!(AccountInfoBody as "JSApiAccountInfoResponse", "account_info" { info: EmbedSome; });

/// Where in a list the answer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paged {
    /// Entries there are.
    pub total: i64,
    /// Entries before these.
    pub offset: i64,
    /// Most that one answer lists.
    pub limit: i64,
}

document!(Paged as "ApiPaged" {
    total: Int;
    offset: Int;
    limit: Int;
});

/// `STREAM.CREATE`, and the last answer of `STREAM.RESTORE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamCreate {
    /// The stream.
    pub info: Option<StreamInfo>,
    /// It was made now.
    pub did_create: bool,
}

body!(StreamCreate as "JSApiStreamCreateResponse", "stream_create" {
    info: EmbedSome;
    did_create: Bool, omit;
});

/// `STREAM.UPDATE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamUpdate {
    /// The stream.
    pub info: Option<StreamInfo>,
}

body!(StreamUpdate as "JSApiStreamUpdateResponse", "stream_update" { info: EmbedSome; });

/// `STREAM.INFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamInfoBody {
    /// The page of subjects.
    pub page: Paged,
    /// The stream.
    pub info: Option<StreamInfo>,
}

body!(StreamInfoBody as "JSApiStreamInfoResponse", "stream_info" {
    page: Embed;
    info: EmbedSome;
});

/// `STREAM.NAMES`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamNames {
    /// The page.
    pub page: Paged,
    /// Names, in order; written as null if there are none.
    pub streams: Vec<String>,
}

body!(StreamNames as "JSApiStreamNamesResponse", "stream_names" {
    page: Embed;
    streams: NullList;
});

/// A list that Go never makes while it is empty.
pub(crate) struct NullList;

impl Codec<Vec<String>> for NullList {
    fn go() -> String {
        <List<Text> as Codec<Vec<String>>>::go()
    }
    fn is_empty(value: &Vec<String>) -> bool {
        value.is_empty()
    }
    fn write(value: &Vec<String>, out: &mut Writer) {
        if value.is_empty() {
            out.plain("null");
        } else {
            List::<Text>::write(value, out);
        }
    }
    fn read(into: &mut Vec<String>, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        List::<Text>::read(into, from)
    }
}

/// `STREAM.LIST`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamList {
    /// The page.
    pub page: Paged,
    /// Streams, by name.
    pub streams: Vec<StreamInfo>,
    /// Those that did not answer.
    pub missing: Vec<String>,
    /// Those that cannot run, with the reason.
    pub offline: BTreeMap<String, String>,
}

body!(StreamList as "JSApiStreamListResponse", "stream_list" {
    page: Embed;
    streams: List<Pointed>;
    missing: List<Text>, omit;
    offline: Map<Text>, omit;
});

/// `STREAM.PURGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamPurge {
    /// It was done.
    pub success: bool,
    /// Messages that went.
    pub purged: u64,
}

body!(StreamPurge as "JSApiStreamPurgeResponse", "stream_purge" {
    success: Bool, omit;
    purged: Uint64;
});

/// `STREAM.MSG.GET`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MsgGet {
    /// The message.
    pub message: Option<StoredMsg>,
}

body!(MsgGet as "JSApiMsgGetResponse", "stream_msg_get" { message: Some_<Struct>, omit; });

/// `STREAM.SNAPSHOT`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSnapshot {
    /// What the stream is.
    pub config: Option<StreamConfig>,
    /// What it holds.
    pub state: Option<StreamState>,
}

body!(StreamSnapshot as "JSApiStreamSnapshotResponse", "stream_snapshot" {
    config: Some_<Struct>, omit;
    state: Some_<Struct>, omit;
});

/// `STREAM.RESTORE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRestore {
    /// Where the chunks go.
    pub deliver_subject: String,
}

body!(StreamRestore as "JSApiStreamRestoreResponse", "stream_restore" { deliver_subject: Text; });

/// `ACCOUNT.PURGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountPurge {
    /// It has begun.
    pub initiated: bool,
}

body!(AccountPurge as "JSApiAccountPurgeResponse", "account_purge" { initiated: Bool, omit; });

/// `CONSUMER.CREATE` and `CONSUMER.DURABLE.CREATE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerCreate {
    /// The consumer.
    pub info: Option<ConsumerInfo>,
}

body!(ConsumerCreate as "JSApiConsumerCreateResponse", "consumer_create" { info: EmbedSome; });

/// `CONSUMER.INFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerInfoBody {
    /// The consumer.
    pub info: Option<ConsumerInfo>,
}

body!(ConsumerInfoBody as "JSApiConsumerInfoResponse", "consumer_info" { info: EmbedSome; });

/// `CONSUMER.PAUSE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerPause {
    /// Nothing is delivered for now.
    pub paused: bool,
    /// Until then.
    pub pause_until: Option<Timestamp>,
    /// That is, for so long.
    pub pause_remaining: Nanos,
}

body!(ConsumerPause as "JSApiConsumerPauseResponse", "consumer_pause" {
    paused: Bool;
    pause_until: Time;
    pause_remaining: Duration, omit;
});

/// `CONSUMER.NAMES`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerNames {
    /// The page.
    pub page: Paged,
    /// Names, in order.
    pub consumers: Vec<String>,
}

body!(ConsumerNames as "JSApiConsumerNamesResponse", "consumer_names" {
    page: Embed;
    consumers: List<Text>;
});

/// `CONSUMER.LIST`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerList {
    /// The page.
    pub page: Paged,
    /// Consumers, by name.
    pub consumers: Vec<ConsumerInfo>,
    /// Those that did not answer.
    pub missing: Vec<String>,
    /// Those that cannot run, with the reason.
    pub offline: BTreeMap<String, String>,
}

body!(ConsumerList as "JSApiConsumerListResponse", "consumer_list" {
    page: Embed;
    consumers: List<Pointed>;
    missing: List<Text>, omit;
    offline: Map<Text>, omit;
});

/// `CONSUMER.UNPIN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerUnpin;

body!(ConsumerUnpin as "JSApiConsumerUnpinResponse", "consumer_unpin" {});

/// `CONSUMER.RESET`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerReset {
    /// The consumer.
    pub info: Option<ConsumerInfo>,
    /// Where it goes on.
    pub reset_seq: u64,
}

body!(ConsumerReset as "JSApiConsumerResetResponse", "consumer_reset" {
    info: EmbedSome;
    reset_seq: Uint64;
});
