//! `STREAM.NAMES` and `STREAM.LIST`, in pages.
//!
//! Names stand in the account; states are asked of the shards that own the streams, and whoever
//! answers last answers the request.
//! Parity: API-005, API-006.

use std::sync::Arc;

use jetstream_api::request::{StreamListRequest, StreamNamesRequest, is_document};
use jetstream_api::response::{LIST_LIMIT, NAMES_LIMIT, Paged, StreamList, StreamNames};
use jetstream_api::{StreamConfig, StreamInfo};
use parking_lot::Mutex;

use super::{Outcome, stream_info};
use crate::account::Entry;
use crate::event::{ApiRequest, Event};
use crate::shard::Shard;

/// Whether a stream stores anything that `filter` matches.
fn stores(config: &StreamConfig, filter: &str) -> bool {
    filter.is_empty()
        || config.subjects.iter().any(|s| subject::collides(s.as_bytes(), filter.as_bytes()))
}

/// The page of `total` entries that begins at `offset`.
pub(super) fn page(total: usize, offset: i64, limit: usize) -> (Paged, std::ops::Range<usize>) {
    let from = usize::try_from(offset).unwrap_or(0).min(total);
    let paged = Paged { total: total as i64, offset: from as i64, limit: limit as i64 };
    (paged, from..total.min(from + limit))
}

/// Infos of streams on several shards.
struct Gather {
    request: ApiRequest,
    paged: Paged,
    infos: Vec<StreamInfo>,
    missing: usize,
}

impl Shard {
    pub(super) fn stream_names(&mut self, request: &ApiRequest) {
        let outcome = self.names(request);
        self.respond(request, outcome);
    }

    fn names(&self, request: &ApiRequest) -> Outcome<StreamNames> {
        let asked: StreamNamesRequest = if is_document(&request.payload) {
            self.decode(&request.payload)?
        } else {
            StreamNamesRequest::default()
        };
        let streams = request.account.streams();
        let names: Vec<String> = streams
            .iter()
            .filter(|(_, e)| e.place.is_some() && stores(&e.config, &asked.subject))
            .map(|(name, _)| name.clone())
            .collect();
        drop(streams);
        let (page, range) = page(names.len(), asked.page.offset, NAMES_LIMIT);
        let streams = names.get(range).unwrap_or_default().to_vec();
        Ok(StreamNames { page, streams })
    }

    pub(super) fn stream_list(&mut self, request: &ApiRequest) {
        let asked: Outcome<StreamListRequest> = if is_document(&request.payload) {
            self.decode(&request.payload)
        } else {
            Ok(StreamListRequest::default())
        };
        let asked = match asked {
            Ok(asked) => asked,
            Err(error) => return self.respond::<StreamList>(request, Err(error)),
        };
        let streams = request.account.streams();
        let all: Vec<Entry> = streams
            .values()
            .filter(|e| e.place.is_some() && stores(&e.config, &asked.subject))
            .cloned()
            .collect();
        drop(streams);
        let (paged, range) = page(all.len(), asked.page.offset, LIST_LIMIT);
        let wanted = all.get(range).unwrap_or_default();
        self.gather(request, paged, wanted);
    }

    fn gather(&mut self, request: &ApiRequest, paged: Paged, wanted: &[Entry]) {
        let shards = self.shared.queues.len();
        let mut places: Vec<Vec<u32>> = vec![Vec::new(); shards];
        for entry in wanted {
            if let (Some(list), Some(place)) = (places.get_mut(entry.shard), entry.place) {
                list.push(place);
            }
        }
        let missing = places.iter().filter(|list| !list.is_empty()).count();
        if missing == 0 {
            return self.respond(request, Ok(StreamList { page: paged, ..StreamList::default() }));
        }
        let gather = Arc::new(Mutex::new(Gather {
            request: request.again(),
            paged,
            infos: Vec::new(),
            missing,
        }));
        for (shard, list) in places.into_iter().enumerate().filter(|(_, list)| !list.is_empty()) {
            let gather = gather.clone();
            let task = move |shard: &mut Self| shard.add_infos(&list, &gather);
            match self.shared.queues.get(shard) {
                Some(queue) if shard != self.index => queue.push_event(Event::Run(Box::new(task))),
                _ => task(self),
            }
        }
    }

    fn add_infos(&mut self, places: &[u32], gather: &Mutex<Gather>) {
        self.settle();
        let now = self.now;
        let infos: Vec<StreamInfo> = places
            .iter()
            .filter_map(|at| Some(stream_info(self.place(*at)?, false, true, now)))
            .map(|info| StreamInfo { ts: Some(now.wall), ..info })
            .collect();
        let mut gathered = gather.lock();
        gathered.infos.extend(infos);
        gathered.missing -= 1;
        if gathered.missing > 0 {
            return;
        }
        let mut streams = std::mem::take(&mut gathered.infos);
        streams.sort_by(|a, b| a.config.name.cmp(&b.config.name));
        let page = gathered.paged;
        let list = StreamList { page, streams, ..StreamList::default() };
        self.respond(&gathered.request, Ok(list));
    }
}
