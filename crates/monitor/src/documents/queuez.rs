//! `/ipqueuesz`: queues between the server's own threads.
//!
//! Reference: monitor.go Ipqueuesz.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::json::is_empty;
use crate::query::Query;
use crate::source::Source;

/// One queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its name.
    pub name: String,
    /// Items waiting.
    pub pending: u64,
    /// Items taken and not yet done.
    pub in_progress: u64,
}

/// What is asked; the field names are those of `$SYS` requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct QueuezOptions {
    all: bool,
    filter: String,
}

impl QueuezOptions {
    pub(crate) fn from_query(query: &Query) -> Result<Self, Error> {
        Ok(Self { all: query.bool("all")?, filter: query.text("queues") })
    }
}

/// One queue as printed.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pending: u64,
    #[serde(skip_serializing_if = "is_empty")]
    in_progress: u64,
}

/// Makes the document.
pub(crate) fn queuez(options: &QueuezOptions, source: &dyn Source) -> BTreeMap<String, Line> {
    source
        .queues()
        .into_iter()
        .filter(|queue| options.all || queue.pending > 0 || queue.in_progress > 0)
        .filter(|queue| queue.name.contains(&options.filter))
        .map(|queue| (queue.name, Line { pending: queue.pending, in_progress: queue.in_progress }))
        .collect()
}
