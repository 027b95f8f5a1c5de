//! Messages that are due later: what a client may ask for, and what is published when the time has
//! come.
//!
//! Not here: patterns (`jetstream_api::schedule`); which is due when (`store`).
//! Laws: a subject has one schedule, its last message; a message that is produced says whose it is and
//!       when the next comes; what could not be stored is tried again, never forgotten.
//! Reference: stream.go processJetStreamMsg, scheduler.go getScheduledMessages.   Parity: SCHED-*.

use std::borrow::Cow;
use std::time::Duration;

use jetstream_api::ApiError;
use jetstream_api::message_ttl::MessageTtl;
use jetstream_api::schedule::Schedule;
use stdx::time::{Now, Timestamp};
use store::disk::Disk;
use store::{Due, Filter, Message, MessageStore};

use super::Stream;
use super::header::{self, Fields};
use super::ingest::{Extra, Incoming, Limits, Via};
use crate::out::Out;

/// After this long it is tried again to store what was due.
const RETRY: Duration = Duration::from_secs(1);
/// The value that ends a schedule.
const PURGE: &[u8] = b"purge";

/// What storing a message does to a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It was the last one.
    End(Box<[u8]>),
    /// The next one is due then.
    Next(Box<[u8]>, Timestamp),
}

fn some(field: Option<&[u8]>) -> Option<&[u8]> {
    field.filter(|value| !value.is_empty())
}

/// When the message of these fields is due after `last`, if it is a schedule.
fn parse(fields: &Fields<'_>) -> Result<Option<Schedule>, ApiError> {
    if fields.schedule.is_none() && fields.schedule_zone.is_none() {
        return Ok(None);
    }
    Schedule::parse(fields.schedule.unwrap_or_default(), fields.schedule_zone)
}

fn first_due(
    fields: &Fields<'_>,
    last: Timestamp,
    now: Timestamp,
) -> Result<Option<Timestamp>, ApiError> {
    let Some(schedule) = parse(fields)? else { return Ok(None) };
    let due = schedule.next(last, now);
    due.map(Some).ok_or_else(ApiError::message_schedules_pattern_invalid)
}

/// What a stored message does to the schedule that it names.
pub(super) fn effect(fields: &Fields<'_>) -> Option<Effect> {
    let next = some(fields.schedule_next)?;
    let scheduler = some(fields.scheduler)?;
    if next == PURGE {
        return Some(Effect::End(scheduler.into()));
    }
    let at = jetstream_api::time::parse(next).ok()?;
    Some(Effect::Next(scheduler.into(), at))
}

impl<D: Disk> Stream<D> {
    /// Judges a client's schedule (SCHED-001 to SCHED-010): when it is due first. A schedule takes the
    /// place of its subject's messages, which its header then says.
    pub(super) fn check_schedule(
        &self,
        subject: &[u8],
        fields: &Fields<'_>,
        header: &mut Cow<'_, [u8]>,
        now: Now,
    ) -> Result<Option<Timestamp>, ApiError> {
        let allowed = self.config.allow_msg_schedules;
        let due = match first_due(fields, now.wall, now.wall) {
            Err(_) if !allowed => return Err(ApiError::message_schedules_disabled()),
            Err(error) => return Err(error),
            Ok(None) => return Ok(None),
            Ok(Some(_)) if !allowed => return Err(ApiError::message_schedules_disabled()),
            Ok(Some(due)) => due,
        };
        if let Some(ttl) = some(fields.schedule_ttl)
            && MessageTtl::parse(ttl).is_err()
        {
            return Err(ApiError::message_schedules_ttl_invalid());
        }
        if some(fields.schedule_rollup).is_some_and(|rollup| rollup != b"sub") {
            return Err(ApiError::message_schedules_rollup_invalid());
        }
        if some(fields.schedule_ttl).is_some() && !self.config.allow_msg_ttl {
            return Err(ApiError::message_ttl_disabled());
        }
        let target = some(fields.schedule_target)
            .filter(|target| subject::is_valid_publish(target) && *target != subject)
            .ok_or_else(ApiError::message_schedules_target_invalid)?;
        let source = some(fields.schedule_source);
        if let Some(source) = source
            && (source == target || source == subject || !subject::is_valid_publish(source))
        {
            return Err(ApiError::message_schedules_source_invalid());
        }
        let ours = |subject: &[u8]| {
            self.config.subjects.iter().any(|s| subject::collides(s.as_bytes(), subject))
        };
        if !ours(target) {
            return Err(ApiError::message_schedules_target_invalid());
        }
        if source.is_some_and(|source| !ours(source)) {
            return Err(ApiError::message_schedules_source_invalid());
        }
        match some(fields.rollup) {
            None => *header = Cow::Owned(header::append(header, b"Nats-Rollup", b"sub")),
            Some(rollup) if rollup.eq_ignore_ascii_case(b"sub") => {}
            Some(_) => return Err(ApiError::message_schedules_rollup_invalid()),
        }
        Ok(Some(due))
    }

    /// Judges what a client says of a schedule elsewhere: it may end one, nothing else (SCHED-009).
    /// `staged` says of a subject written earlier in the same batch whether a schedule is there.
    pub(super) fn check_scheduler(
        &mut self,
        subject: &[u8],
        fields: &Fields<'_>,
        staged: impl Fn(&[u8]) -> Option<bool>,
    ) -> Result<(), ApiError> {
        let invalid = || Err(ApiError::message_schedules_scheduler_invalid());
        let scheduler = some(fields.scheduler);
        let Some(next) = some(fields.schedule_next) else {
            return if scheduler.is_some() { invalid() } else { Ok(()) };
        };
        let Some(scheduler) = scheduler.filter(|scheduler| {
            next == PURGE && *scheduler != subject && subject::is_valid_publish(scheduler)
        }) else {
            return invalid();
        };
        if !self.config.allow_msg_schedules {
            return Err(ApiError::message_schedules_disabled());
        }
        let is_schedule = staged(scheduler).unwrap_or_else(|| {
            let last = self.store.load_last_of(scheduler).ok().flatten();
            last.is_none_or(|last| some(Fields::of(&last.header).schedule).is_some())
        });
        if is_schedule { Ok(()) } else { invalid() }
    }

    /// When a message that others judged is due, if it is a schedule.
    pub(super) fn due_of(&self, fields: &Fields<'_>, now: Now) -> Option<Timestamp> {
        if !self.config.allow_msg_schedules {
            return None;
        }
        first_due(fields, now.wall, now.wall).ok().flatten()
    }

    /// Does to a schedule what a stored message says.
    pub(super) fn apply_effect(&mut self, effect: &Effect) {
        let done = match effect {
            Effect::Next(scheduler, at) => {
                self.store.reschedule(scheduler, *at);
                return;
            }
            Effect::End(scheduler) => self.store.purge(&Filter::Literal(scheduler.clone()), 0, 0),
        };
        if let Err(error) = done {
            self.note_trouble(&error);
        }
    }

    /// Enters schedules that the store does not know: after a start, or a change of the configuration.
    pub fn recover_schedules(&mut self, now: Now) {
        match self.store.unscheduled() {
            Ok(messages) => {
                for m in messages {
                    if let Ok(Some(due)) = first_due(&Fields::of(&m.header), m.ts, now.wall) {
                        self.store.schedule(m.seq, &m.subject, due);
                    }
                }
            }
            Err(error) => self.note_trouble(&error),
        }
    }

    /// Publishes what is due.
    pub fn fire_schedules<O: Out>(&mut self, limits: &Limits, now: Now, out: &mut O) {
        for due in self.store.due_schedules(now.wall) {
            let Ok(m) = self.store.load(due.seq) else {
                self.store.unschedule(due.seq);
                continue;
            };
            match self.produce(&m, &due, now) {
                Some(produced) => self.fire(&due, &produced, limits, now, out),
                None => self.store.unschedule(due.seq),
            }
        }
    }

    fn fire<O: Out>(
        &mut self,
        due: &Due,
        produced: &Produced,
        limits: &Limits,
        now: Now,
        out: &mut O,
    ) {
        let m = Incoming {
            subject: &produced.target,
            reply: None,
            header: &produced.header,
            payload: &produced.payload,
        };
        if !self.take_own(&m, Via::Server, limits, now, out) {
            // Compat(SCHED-012): the reference forgets it until the next start.
            self.store.reschedule(&due.subject, produced.next.unwrap_or(now.wall + RETRY));
        }
    }

    /// The message that a schedule makes now; nothing if it is none any more.
    fn produce(&mut self, m: &Message, due: &Due, now: Now) -> Option<Produced> {
        let fields = Fields::of(&m.header);
        let schedule = parse(&fields).ok().flatten()?;
        let next = schedule.repeats().then(|| schedule.next(Timestamp(due.at), now.wall));
        let next = match next {
            Some(None) => return None,
            Some(next) => next,
            None => None,
        };
        let ttl = some(fields.schedule_ttl);
        if ttl.is_some_and(|ttl| MessageTtl::parse(ttl).is_err()) {
            return None;
        }
        let target = some(fields.schedule_target)?;
        let source = some(fields.schedule_source)
            .and_then(|source| self.store.load_last_of(source).ok().flatten());
        let content = source.as_ref().unwrap_or(m);
        let mut header = header::without_any(&content.header, |name| {
            name.starts_with(b"Nats-Schedule")
                || name.starts_with(b"Nats-Expected-")
                || matches!(name, b"Nats-Msg-Id" | b"Nats-TTL" | b"Nats-Rollup")
        });
        header = header::append(&header, b"Nats-Scheduler", &m.subject);
        let when = next.map(|next| schedule.text(next));
        let when = when.as_ref().map_or(PURGE, |when| when.as_bytes());
        header = header::append(&header, b"Nats-Schedule-Next", when);
        if let Some(ttl) = ttl {
            header = header::append(&header, b"Nats-TTL", ttl);
        }
        if let Some(rollup) = some(fields.schedule_rollup) {
            header = header::append(&header, b"Nats-Rollup", rollup);
        }
        let payload = content.payload.to_vec();
        Some(Produced { target: target.into(), header, payload, next })
    }
}

/// A message made by a schedule.
struct Produced {
    target: Box<[u8]>,
    header: Vec<u8>,
    payload: Vec<u8>,
    next: Option<Timestamp>,
}

impl Extra {
    /// What schedules have to do with a message.
    pub(super) fn of_schedule(due: Option<Timestamp>, fields: &Fields<'_>) -> Option<Box<Self>> {
        let effect = effect(fields);
        (due.is_some() || effect.is_some())
            .then(|| Box::new(Self { due, effect, ..Self::default() }))
    }
}
