//! `STREAM.MSG.GET` and `STREAM.MSG.DELETE`.

use jetstream_api::request::{MsgDeleteRequest, MsgGetRequest, is_empty};
use jetstream_api::response::{MsgDelete, MsgGet};
use jetstream_api::subject::Request;
use jetstream_api::{ApiError, StoredMsg};
use store::{ColdRead, Error, Filter, MessageStore};

use super::Outcome;
use crate::event::ApiRequest;
use crate::place::Disk;
use crate::reads::{Asked, Turn};
use crate::shard::Shard;

/// Why a message is not told.
enum Unanswered {
    Refused(ApiError),
    /// The disk has to be waited for.
    Cold,
}

impl From<ApiError> for Unanswered {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl Shard {
    pub(super) fn message_get(&mut self, request: &ApiRequest, name: &str) {
        let reply = request.reply.as_deref().unwrap_or_default();
        let Ok(at) = self.find(request, name) else {
            // That is its answer.
            self.message_got(request, name, false);
            return;
        };
        let later = || Asked::Message(Box::new(request.again()));
        let Turn::Now { defers } = self.turn(at, reply) else {
            return self.stand_in_line(at, reply, later());
        };
        if let Some(read) = self.message_got(request, name, defers) {
            self.begin_line(at, reply, later(), read);
        }
    }

    /// Asks again for what had to be read; what has to be read next, if something does.
    pub(crate) fn resume_message_get(
        &mut self,
        request: &ApiRequest,
        defers: bool,
    ) -> Option<ColdRead<Disk>> {
        let subject = request.subject.clone();
        let rest = subject.get(request.prefix..).unwrap_or_default();
        match Request::parse(rest) {
            Some(Request::MsgGet { stream }) => self.message_got(request, stream, defers),
            _ => None,
        }
    }

    /// Answers, unless something has to be read first.
    fn message_got(
        &mut self,
        request: &ApiRequest,
        name: &str,
        defers: bool,
    ) -> Option<ColdRead<Disk>> {
        let at = self.find(request, name).ok();
        if let Some(place) = at.and_then(|at| self.place(at)) {
            place.stream.store().defer_reads(defers);
        }
        let got = self.got_message(request, name);
        if let Some(place) = at.and_then(|at| self.place(at)) {
            place.stream.store().defer_reads(false);
        }
        match got {
            // Compat(API-011): what is found is not counted.
            Ok(found) => {
                self.reply(request, Ok(found));
            }
            Err(Unanswered::Refused(error)) => self.respond::<MsgGet>(request, Err(error)),
            Err(Unanswered::Cold) => return self.place(at?)?.stream.store().take_cold(),
        }
        None
    }

    fn got_message(&mut self, request: &ApiRequest, name: &str) -> Result<MsgGet, Unanswered> {
        if is_empty(&request.payload) {
            return Err(ApiError::bad_request().into());
        }
        let asked: MsgGetRequest = self.decode(&request.payload)?;
        if asked.batch > 0 || asked.max_bytes > 0 {
            return Err(ApiError::bad_request().into());
        }
        let (seq, last) = (asked.seq > 0, !asked.last_by_subj.is_empty());
        let (next, time) = (!asked.next_by_subj.is_empty(), asked.start_time.is_some());
        let nothing = !seq && !last && !next && !time;
        if nothing || (seq && last) || (seq && time) || (time && last) || (last && next) {
            return Err(ApiError::bad_request().into());
        }
        let at = self.find(request, name)?;
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let store = place.stream.store();
        let not_found = |e: Error| match e {
            Error::Cold(_) => Unanswered::Cold,
            _ => ApiError::no_message_found().into(),
        };
        let seq = match asked.start_time {
            Some(time) => store.seq_at_time(time).map_err(not_found)?,
            None => asked.seq,
        };
        let found = if next {
            store.next(&Filter::parse(asked.next_by_subj.as_bytes()), seq).map_err(not_found)?
        } else if seq > 0 {
            Some(store.load(seq).map_err(not_found)?)
        } else {
            store
                .prev(&Filter::parse(asked.last_by_subj.as_bytes()), u64::MAX)
                .map_err(not_found)?
        };
        let found = found.ok_or_else(ApiError::no_message_found)?;
        let hdrs = if asked.no_hdr { Vec::new() } else { found.header.to_vec() };
        Ok(MsgGet {
            message: Some(StoredMsg {
                subject: String::from_utf8_lossy(&found.subject).into_owned(),
                seq: found.seq,
                hdrs,
                data: found.payload.to_vec(),
                time: found.ts,
            }),
        })
    }

    pub(super) fn message_delete(&mut self, request: &ApiRequest, name: &str) {
        let outcome = self.deleted_message(request, name);
        self.respond_safely(request, name, outcome);
    }

    fn deleted_message(&mut self, request: &ApiRequest, name: &str) -> Outcome<MsgDelete> {
        if is_empty(&request.payload) {
            return Err(ApiError::bad_request());
        }
        let asked: MsgDeleteRequest = self.decode(&request.payload)?;
        let at = self.find(request, name)?;
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        if place.config().sealed {
            return Err(ApiError::stream_sealed());
        }
        if place.config().deny_delete {
            return Err(ApiError::stream_msg_delete_failed("message delete not permitted"));
        }
        let (store, seq) = (place.stream.store(), asked.seq);
        let state = store.state();
        // Compat(API-010): a file tells what lies outside of it apart, memory does not.
        if store.is_file() && (seq == 0 || seq < state.first_seq) {
            return Err(ApiError::stream_msg_delete_failed("no message found"));
        }
        if store.is_file() && seq > state.last_seq {
            return Err(ApiError::stream_msg_delete_failed("stream store EOF"));
        }
        store.check_remove().map_err(ApiError::stream_msg_delete_failed)?;
        let removed = store.remove(seq, !asked.no_erase);
        match removed {
            Ok(true) => {
                self.touch(at);
                Ok(MsgDelete { success: true })
            }
            Ok(false) | Err(Error::NotFound | Error::Eof) => Err(ApiError::sequence_not_found(seq)),
            Err(error) => Err(ApiError::stream_msg_delete_failed(error)),
        }
    }
}
