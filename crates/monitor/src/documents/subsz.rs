//! `/subsz` (also `/subscriptionsz`): the interest index and, if asked, the subscriptions.
//!
//! Laws: only the page that is shown is held, however many subscriptions there are.
//! Reference: monitor.go `Subsz`, `SubDetail`; sublist.go `SublistStats`.

use serde::{Deserialize, Serialize};
use stdx::time::{Now, Timestamp};

use crate::error::Error;
use crate::json::{self, is_empty};
use crate::query::Query;
use crate::source::Source;

/// Subscriptions on a page when no limit is asked for.
const LIMIT_DEFAULT: i64 = 1024;

/// What is asked; the field names are those of `$SYS` requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SubszOptions {
    /// Subscriptions to skip.
    pub offset: i64,
    /// Subscriptions to show; 0 or less for 1024.
    pub limit: i64,
    /// Show the subscriptions.
    pub subscriptions: bool,
    /// Only those of this account.
    pub account: String,
    /// Only those that a message on this subject would reach.
    pub test: String,
}

impl SubszOptions {
    pub(crate) fn from_query(query: &Query) -> Result<Self, Error> {
        Ok(Self {
            subscriptions: query.bool("subs")?,
            offset: query.int("offset")?,
            limit: query.int("limit")?,
            test: query.text("test"),
            account: query.text("acc"),
        })
    }
}

/// One subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubFacts {
    /// The account it belongs to.
    pub account: String,
    /// That account's tag; its name when it has none.
    pub account_tag: String,
    /// The subject, with wildcards.
    pub subject: String,
    /// The queue group; empty for none.
    pub queue: String,
    /// The client's id for it.
    pub sid: String,
    /// Messages delivered.
    pub msgs: u64,
    /// Messages after which it ends; 0 for never.
    pub max: u64,
    /// The connection.
    pub cid: u64,
}

/// Counters of one account's interest index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SublistFacts {
    /// Subscriptions.
    pub subscriptions: u64,
    /// Subjects in the match cache.
    pub cached: u64,
    /// Insertions since start.
    pub inserts: u64,
    /// Removals since start.
    pub removes: u64,
    /// Matches since start, cached or not.
    pub matches: u64,
    /// Matches answered from the cache.
    pub cache_hits: u64,
    /// Receivers of the widest cached subject.
    pub fanout_max: u64,
    /// Receivers of all cached subjects together.
    pub fanout_total: u64,
}

/// The counters of one or several indexes as printed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct SublistStats {
    num_subscriptions: u64,
    num_cache: u64,
    num_inserts: u64,
    num_removes: u64,
    num_matches: u64,
    cache_hit_rate: f64,
    max_fanout: u64,
    avg_fanout: f64,
}

impl SublistStats {
    pub(crate) fn of(lists: &[SublistFacts]) -> Self {
        let sum = |count: fn(&SublistFacts) -> u64| {
            lists.iter().map(count).fold(0u64, u64::saturating_add)
        };
        let ratio = |part: u64, whole: u64| {
            if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
        };
        let (cached, matches) = (sum(|list| list.cached), sum(|list| list.matches));
        Self {
            num_subscriptions: sum(|list| list.subscriptions),
            num_cache: cached,
            num_inserts: sum(|list| list.inserts),
            num_removes: sum(|list| list.removes),
            num_matches: matches,
            cache_hit_rate: ratio(sum(|list| list.cache_hits), matches),
            max_fanout: lists.iter().map(|list| list.fanout_max).max().unwrap_or(0),
            avg_fanout: ratio(sum(|list| list.fanout_total), cached),
        }
    }
}

/// Whether a subscription says whose it is; below a connection that would only repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Shown,
    Hidden,
}

/// One subscription as printed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SubLine {
    #[serde(skip_serializing_if = "is_empty")]
    account: String,
    #[serde(skip_serializing_if = "is_empty")]
    account_tag: String,
    subject: String,
    #[serde(skip_serializing_if = "is_empty")]
    qgroup: String,
    sid: String,
    msgs: u64,
    #[serde(skip_serializing_if = "is_empty")]
    max: u64,
    cid: u64,
}

impl SubLine {
    pub(crate) fn new(sub: SubFacts, owner: Owner) -> Self {
        let (account, account_tag) = match owner {
            Owner::Shown => (sub.account, sub.account_tag),
            Owner::Hidden => (String::new(), String::new()),
        };
        Self {
            account,
            account_tag,
            subject: sub.subject,
            qgroup: sub.queue,
            sid: sub.sid,
            msgs: sub.msgs,
            max: sub.max,
            cid: sub.cid,
        }
    }
}

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Subsz {
    server_id: String,
    #[serde(serialize_with = "json::time")]
    now: Timestamp,
    #[serde(flatten)]
    stats: SublistStats,
    total: u64,
    offset: i64,
    limit: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<SubLine>,
}

/// Makes the document.
pub(crate) fn subsz(options: &SubszOptions, source: &dyn Source, now: Now) -> Result<Subsz, Error> {
    let test = (!options.test.is_empty()).then_some(options.test.as_str());
    if let Some(test) = test
        && !subject::validate::is_valid_literal(test.as_bytes())
    {
        return Err(Error::TestSubject(test.to_owned()));
    }
    let account = (!options.account.is_empty()).then_some(options.account.as_str());
    let offset = options.offset.max(0);
    let limit = if options.limit <= 0 { LIMIT_DEFAULT } else { options.limit };
    let mut document = Subsz {
        server_id: source.server_id(),
        now: now.wall,
        stats: SublistStats::of(&source.sublists(account)),
        total: 0,
        offset,
        limit,
        subscriptions_list: Vec::new(),
    };
    if options.subscriptions {
        let first = offset.unsigned_abs();
        let page = first..first.saturating_add(limit.unsigned_abs());
        let (total, found) = source.find_subs(account, test, page);
        document.total = total;
        let line = |sub| SubLine::new(sub, Owner::Shown);
        document.subscriptions_list = found.into_iter().map(line).collect();
    }
    Ok(document)
}
