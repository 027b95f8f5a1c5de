//! The columns `/connz` can be sorted by.
//!
//! Laws: equal ranks keep the order of connection ids, so pages do not overlap.
//! Reference: monitor_sort_opts.go.

use std::cmp::Ordering;

use stdx::time::Now;

use super::{ClosedConnFacts, ConnFacts, ConnState};
use crate::error::Error;

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Cid,
    Subs,
    Pending,
    MsgsTo,
    MsgsFrom,
    BytesTo,
    BytesFrom,
    Last,
    Idle,
    Uptime,
    Stop,
    Reason,
    Rtt,
}

/// What one connection is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Number(i128),
    Text(String),
}

impl Column {
    pub(super) fn parse(name: &str, state: ConnState) -> Result<Self, Error> {
        let column = match name {
            // Ids are given in the order of arrival, so start needs no column of its own.
            "" | "cid" | "start" => Self::Cid,
            "subs" => Self::Subs,
            "pending" => Self::Pending,
            "msgs_to" => Self::MsgsTo,
            "msgs_from" => Self::MsgsFrom,
            "bytes_to" => Self::BytesTo,
            "bytes_from" => Self::BytesFrom,
            "last" => Self::Last,
            "idle" => Self::Idle,
            "uptime" => Self::Uptime,
            "stop" => Self::Stop,
            "reason" => Self::Reason,
            "rtt" => Self::Rtt,
            _ => return Err(Error::Sort(name.to_owned())),
        };
        match column {
            Self::Stop if state != ConnState::Closed => Err(Error::SortNeedsClosed("stop")),
            Self::Reason if state != ConnState::Closed => Err(Error::SortNeedsClosed("reason")),
            _ => Ok(column),
        }
    }

    pub(super) fn rank(self, conn: &ConnFacts, closed: Option<&ClosedConnFacts>, now: Now) -> Rank {
        let end = closed.map_or(now.wall, |closed| closed.stop).0;
        let number: i128 = match self {
            Self::Cid => conn.cid.into(),
            Self::Subs => conn.subscriptions.into(),
            Self::Pending => conn.pending_bytes.into(),
            Self::MsgsTo => conn.out_msgs.into(),
            Self::MsgsFrom => conn.in_msgs.into(),
            Self::BytesTo => conn.out_bytes.into(),
            Self::BytesFrom => conn.in_bytes.into(),
            Self::Last => conn.last_activity.0.into(),
            // Compat(MON-009): idle is measured until now, even for closed connections.
            Self::Idle => i128::from(now.wall.0) - i128::from(conn.last_activity.0),
            Self::Uptime => i128::from(end) - i128::from(conn.start.0),
            Self::Stop => end.into(),
            Self::Reason => {
                return Rank::Text(closed.map(|closed| closed.reason.clone()).unwrap_or_default());
            }
            Self::Rtt => i128::try_from(conn.rtt.as_nanos()).unwrap_or(i128::MAX),
        };
        Rank::Number(number)
    }

    /// Compat(MON-009): cid, start, uptime and reason ascend, every other column descends.
    pub(super) fn compare(self, a: &Rank, b: &Rank) -> Ordering {
        match self {
            Self::Cid | Self::Uptime | Self::Reason => a.cmp(b),
            Self::Subs
            | Self::Pending
            | Self::MsgsTo
            | Self::MsgsFrom
            | Self::BytesTo
            | Self::BytesFrom
            | Self::Last
            | Self::Idle
            | Self::Stop
            | Self::Rtt => b.cmp(a),
        }
    }
}
