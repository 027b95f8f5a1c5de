//! Which request a subject asks for.
//!
//! Laws: nothing is copied; a subject with an empty token, or one that no request has, is none.
//! Reference: the `JSApi...` constants.

use std::str;

/// What every request's subject begins with.
pub const API_PREFIX: &str = "$JS.API.";

/// A request by its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// `INFO`
    AccountInfo,
    /// `STREAM.CREATE.*`
    StreamCreate { stream: &'a str },
    /// `STREAM.UPDATE.*`
    StreamUpdate { stream: &'a str },
    /// `STREAM.NAMES`
    StreamNames,
    /// `STREAM.LIST`
    StreamList,
    /// `STREAM.INFO.*`
    StreamInfo { stream: &'a str },
    /// `STREAM.DELETE.*`
    StreamDelete { stream: &'a str },
    /// `STREAM.PURGE.*`
    StreamPurge { stream: &'a str },
    /// `STREAM.SNAPSHOT.*`
    StreamSnapshot { stream: &'a str },
    /// `STREAM.RESTORE.*`
    StreamRestore { stream: &'a str },
    /// `STREAM.MSG.DELETE.*`
    MsgDelete { stream: &'a str },
    /// `STREAM.MSG.GET.*`
    MsgGet { stream: &'a str },
    /// `STREAM.PEER.REMOVE.*`
    StreamRemovePeer { stream: &'a str },
    /// `STREAM.LEADER.STEPDOWN.*`
    StreamLeaderStepDown { stream: &'a str },
    /// `CONSUMER.CREATE.*`: the old way to an ephemeral.
    ConsumerCreateEphemeral { stream: &'a str },
    /// `CONSUMER.CREATE.*.>`
    ConsumerCreate { stream: &'a str, consumer: &'a str, filter: Option<&'a str> },
    /// `CONSUMER.DURABLE.CREATE.*.*`: the old way to a durable.
    ConsumerCreateDurable { stream: &'a str, consumer: &'a str },
    /// `CONSUMER.NAMES.*`
    ConsumerNames { stream: &'a str },
    /// `CONSUMER.LIST.*`
    ConsumerList { stream: &'a str },
    /// `CONSUMER.INFO.*.*`
    ConsumerInfo { stream: &'a str, consumer: &'a str },
    /// `CONSUMER.DELETE.*.*`
    ConsumerDelete { stream: &'a str, consumer: &'a str },
    /// `CONSUMER.PAUSE.*.*`
    ConsumerPause { stream: &'a str, consumer: &'a str },
    /// `CONSUMER.UNPIN.*.*`
    ConsumerUnpin { stream: &'a str, consumer: &'a str },
    /// `CONSUMER.RESET.*.*`, answered by the consumer.
    ConsumerReset { stream: &'a str, consumer: &'a str },
    /// `CONSUMER.MSG.NEXT.*.*`, answered by the consumer.
    ConsumerNext { stream: &'a str, consumer: &'a str },
    /// `CONSUMER.LEADER.STEPDOWN.*.*`
    ConsumerLeaderStepDown { stream: &'a str, consumer: &'a str },
    /// `DIRECT.GET.*`, answered by the stream.
    DirectGet { stream: &'a str },
    /// `DIRECT.GET.*.>`, answered by the stream.
    DirectGetLast { stream: &'a str, subject: &'a [u8] },
    /// `META.LEADER.STEPDOWN`, for the system account.
    MetaLeaderStepDown,
    /// `SERVER.REMOVE`, for the system account.
    ServerRemove,
    /// `ACCOUNT.PURGE.*`, for the system account.
    AccountPurge { account: &'a str },
    /// `ACCOUNT.STREAM.MOVE.*.*`, for the system account.
    StreamMove { account: &'a str, stream: &'a str },
    /// `ACCOUNT.STREAM.CANCEL_MOVE.*.*`, for the system account.
    StreamCancelMove { account: &'a str, stream: &'a str },
}

impl<'a> Request<'a> {
    /// The request of a subject that begins with [`API_PREFIX`].
    pub fn from_subject(subject: &'a [u8]) -> Option<Self> {
        Self::parse(subject.strip_prefix(API_PREFIX.as_bytes())?)
    }

    /// The request of a subject without [`API_PREFIX`].
    pub fn parse(subject: &'a [u8]) -> Option<Self> {
        if subject.split(|b| *b == b'.').any(<[u8]>::is_empty) {
            return None;
        }
        let (group, rest) = cut(subject);
        match group {
            b"INFO" => rest.is_empty().then_some(Self::AccountInfo),
            b"STREAM" => Self::stream(rest),
            b"CONSUMER" => Self::consumer(rest),
            b"DIRECT" => Self::direct(rest),
            b"META" => (rest == b"LEADER.STEPDOWN").then_some(Self::MetaLeaderStepDown),
            b"SERVER" => (rest == b"REMOVE").then_some(Self::ServerRemove),
            b"ACCOUNT" => Self::account(rest),
            _ => None,
        }
    }

    fn stream(rest: &'a [u8]) -> Option<Self> {
        let (verb, rest) = cut(rest);
        let one = || name(rest);
        Some(match verb {
            b"NAMES" if rest.is_empty() => Self::StreamNames,
            b"LIST" if rest.is_empty() => Self::StreamList,
            b"CREATE" => Self::StreamCreate { stream: one()? },
            b"UPDATE" => Self::StreamUpdate { stream: one()? },
            b"INFO" => Self::StreamInfo { stream: one()? },
            b"DELETE" => Self::StreamDelete { stream: one()? },
            b"PURGE" => Self::StreamPurge { stream: one()? },
            b"SNAPSHOT" => Self::StreamSnapshot { stream: one()? },
            b"RESTORE" => Self::StreamRestore { stream: one()? },
            b"MSG" => {
                let (verb, rest) = cut(rest);
                let stream = name(rest)?;
                match verb {
                    b"GET" => Self::MsgGet { stream },
                    b"DELETE" => Self::MsgDelete { stream },
                    _ => return None,
                }
            }
            b"PEER" => Self::StreamRemovePeer { stream: name(rest.strip_prefix(b"REMOVE.")?)? },
            b"LEADER" => {
                Self::StreamLeaderStepDown { stream: name(rest.strip_prefix(b"STEPDOWN.")?)? }
            }
            _ => return None,
        })
    }

    fn consumer(rest: &'a [u8]) -> Option<Self> {
        let (verb, rest) = cut(rest);
        Some(match verb {
            b"CREATE" => return Self::create(rest),
            b"NAMES" => Self::ConsumerNames { stream: name(rest)? },
            b"LIST" => Self::ConsumerList { stream: name(rest)? },
            b"DURABLE" => {
                let (stream, consumer) = pair(rest.strip_prefix(b"CREATE.")?)?;
                Self::ConsumerCreateDurable { stream, consumer }
            }
            b"MSG" => {
                let (stream, consumer) = pair(rest.strip_prefix(b"NEXT.")?)?;
                Self::ConsumerNext { stream, consumer }
            }
            b"LEADER" => {
                let (stream, consumer) = pair(rest.strip_prefix(b"STEPDOWN.")?)?;
                Self::ConsumerLeaderStepDown { stream, consumer }
            }
            _ => {
                let (stream, consumer) = pair(rest)?;
                match verb {
                    b"INFO" => Self::ConsumerInfo { stream, consumer },
                    b"DELETE" => Self::ConsumerDelete { stream, consumer },
                    b"PAUSE" => Self::ConsumerPause { stream, consumer },
                    b"UNPIN" => Self::ConsumerUnpin { stream, consumer },
                    b"RESET" => Self::ConsumerReset { stream, consumer },
                    _ => return None,
                }
            }
        })
    }

    fn create(rest: &'a [u8]) -> Option<Self> {
        let (stream, rest) = cut(rest);
        let stream = name(stream)?;
        if rest.is_empty() {
            return Some(Self::ConsumerCreateEphemeral { stream });
        }
        let (consumer, filter) = cut(rest);
        let filter = if filter.is_empty() { None } else { Some(str::from_utf8(filter).ok()?) };
        Some(Self::ConsumerCreate { stream, consumer: name(consumer)?, filter })
    }

    fn direct(rest: &'a [u8]) -> Option<Self> {
        let (stream, subject) = cut(rest.strip_prefix(b"GET.")?);
        let stream = name(stream)?;
        Some(if subject.is_empty() {
            Self::DirectGet { stream }
        } else {
            Self::DirectGetLast { stream, subject }
        })
    }

    fn account(rest: &'a [u8]) -> Option<Self> {
        if let Some(rest) = rest.strip_prefix(b"PURGE.") {
            return Some(Self::AccountPurge { account: name(rest)? });
        }
        if let Some(rest) = rest.strip_prefix(b"STREAM.MOVE.") {
            let (account, stream) = pair(rest)?;
            return Some(Self::StreamMove { account, stream });
        }
        let (account, stream) = pair(rest.strip_prefix(b"STREAM.CANCEL_MOVE.")?)?;
        Some(Self::StreamCancelMove { account, stream })
    }

    /// True for requests that only look; they wait behind the others.
    pub fn is_info(&self) -> bool {
        matches!(
            self,
            Self::AccountInfo
                | Self::StreamNames
                | Self::StreamList
                | Self::StreamInfo { .. }
                | Self::ConsumerNames { .. }
                | Self::ConsumerList { .. }
                | Self::ConsumerInfo { .. }
        )
    }

    /// True for requests that only the system account may make.
    pub fn is_system(&self) -> bool {
        matches!(
            self,
            Self::MetaLeaderStepDown
                | Self::ServerRemove
                | Self::AccountPurge { .. }
                | Self::StreamMove { .. }
                | Self::StreamCancelMove { .. }
        )
    }
}

/// The first token and what follows its dot.
fn cut(subject: &[u8]) -> (&[u8], &[u8]) {
    match subject.iter().position(|b| *b == b'.') {
        Some(at) => {
            (subject.get(..at).unwrap_or_default(), subject.get(at + 1..).unwrap_or_default())
        }
        None => (subject, &[]),
    }
}

/// One token that is text.
fn name(token: &[u8]) -> Option<&str> {
    if token.is_empty() || token.contains(&b'.') {
        return None;
    }
    str::from_utf8(token).ok()
}

fn pair(rest: &[u8]) -> Option<(&str, &str)> {
    let (first, second) = cut(rest);
    Some((name(first)?, name(second)?))
}
