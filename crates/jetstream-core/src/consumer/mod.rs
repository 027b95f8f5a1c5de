//! A consumer: where it stands in its stream, who gets what next, what is acknowledged.
//!
//! Calls come in four kinds:
//! - *facts*: [`Consumer::handle_new`], [`Consumer::handle_removed`], [`Consumer::handle_purge`],
//!   [`Consumer::handle_pull`], [`Consumer::handle_ack`], [`Consumer::handle_flow_reply`],
//!   [`Consumer::handle_interest`]; those that return `bool` say whether [`Consumer::deliver`]
//!   has something to do;
//! - *commands*: [`Consumer::update`], [`Consumer::pause`], [`Consumer::reset`],
//!   [`Consumer::unpin`], [`Consumer::delete`];
//! - *work*: [`Consumer::deliver`] and, at [`Consumer::next_deadline`], [`Consumer::tick`];
//! - *reading*: [`Consumer::info`], [`Consumer::state`], [`Consumer::needs_ack`],
//!   [`Consumer::standing`].
//!
//! | question | room |
//! |---|---|
//! | what lasts over a restart | `progress`, `pending` |
//! | where does it begin | `start` |
//! | which message is next, and does somebody take it | `deliver`, `serve`, `redeliver` |
//! | who asks, and what is told to those who get nothing | `pull`, `wait`, `status` |
//! | acknowledgements | `ack` |
//! | the same client for a whole group | `pin` |
//! | speed: rate limit, original pace, window | `pace`, `flow` |
//! | time passes | `timers` |
//! | the stream or the configuration changes | `change` |
//! | what others learn | `info`, `advise` |
//!
//! Laws: every change of what lasts is an `apply_*` of `progress`; a message counts as delivered
//!       only if somebody got it; whatever stops a consumer has a deadline or a name in
//!       [`Standing`].
//! Not here: which consumers a stream has, subscriptions, timers, files (`jetstream`); rules of
//! configurations (`jetstream_api`).

mod ack;
mod advise;
mod change;
mod deliver;
mod flow;
mod info;
mod pace;
mod pending;
mod pin;
mod progress;
mod pull;
mod redeliver;
mod serve;
mod start;
mod status;
#[cfg(test)]
mod tests;
mod timers;
mod wait;

use std::time::Duration;

use jetstream_api::subject::AckPrefix;
use jetstream_api::{AckPolicy, ConsumerConfig, ReplayPolicy, RetentionPolicy, StreamConfig};
use stdx::time::{Mono, Now, Timestamp};
use store::{ConsumerState, Filter, MessageStore};

use crate::out::{Facts, Out};
use flow::Flow;
use pace::{Bucket, Replay};
use pin::Pin;
pub(crate) use pin::digits;
use progress::{Acks, Progress};
use redeliver::Redeliver;
use start::SkipList;
use wait::WaitQueue;

pub use ack::AckOf;
pub use change::ResetError;
pub use info::Standing;
pub(crate) use pin::nuid;
pub use timers::Tick;

/// What surrounds a consumer while it handles one event.
pub struct Cx<'a, S, O> {
    /// The account and the server.
    pub facts: &'a Facts,
    /// Its stream.
    pub stream: &'a StreamConfig,
    /// Its stream's messages.
    pub store: &'a mut S,
    /// Where messages go.
    pub out: &'a mut O,
    /// Stream sequences this consumer is done with; left alone if the stream keeps messages
    /// whether they are acknowledged or not. The stream asks its other consumers.
    pub done: &'a mut Vec<u64>,
    /// Largest payload the account may publish: what a rate limit lets through at once.
    pub max_payload: u64,
    /// Leaf nodes or gateways are in use, whose interest may arrive late.
    pub late_interest: bool,
    /// The instant.
    pub now: Now,
}

impl<S, O> Cx<'_, S, O> {
    /// Whether acknowledgements decide what the stream keeps.
    fn counts_acks(&self) -> bool {
        self.stream.retention != RetentionPolicy::Limits
    }
}

/// A consumer and where it stands.
pub struct Consumer {
    name: Box<str>,
    created: Timestamp,
    config: Box<ConsumerConfig>,
    filter: Filter,
    ack_prefix: AckPrefix,
    progress: Progress,
    /// The lowest stream sequence that was not looked at yet.
    next: u64,
    /// Nothing up to here waited when an acknowledgement last came.
    settled: u64,
    /// Messages it will deliver for the first time, of those stored.
    num_pending: u64,
    /// The stream's last sequence when they were counted: up to here they need not be told of.
    counted: u64,
    /// Begins with the last message of each subject.
    skip: Option<Box<SkipList>>,
    redeliver: Redeliver,
    mode: Mode,
    /// Keeps the pace at which messages were stored.
    replay: Option<Box<Replay>>,
    last_delivered: Option<Timestamp>,
    last_acked: Option<Timestamp>,
    /// When the first message that waits may be due.
    ack_deadline: Option<Mono>,
    /// When the pause ends.
    pause_deadline: Option<Mono>,
    /// When it is deleted if nobody uses it.
    idle_deadline: Option<Mono>,
    /// How long nobody may use it; zero is for ever.
    threshold: Duration,
    /// Nothing is delivered before: pace, rate, or a fault.
    gate: Option<Mono>,
    /// The store could not read a message.
    trouble: Option<Box<str>>,
    /// The next message has to be read from the disk; reads that took since the last delivery.
    is_cold: bool,
    reads: u16,
}

/// Who decides when messages are sent.
enum Mode {
    Pull(Box<Pull>),
    Push(Box<Push>),
}

/// Clients ask.
#[derive(Default)]
struct Pull {
    waiting: WaitQueue,
    /// When somebody last asked, got or acknowledged something.
    last_used: Mono,
    /// When the requests were last looked through because there were too many.
    last_sweep: Option<Mono>,
    pin: Option<Pin>,
}

/// A subscription is enough.
struct Push {
    /// Somebody subscribes.
    active: bool,
    heartbeat: Option<Mono>,
    flow: Option<Flow>,
    rate: Option<Bucket>,
}

impl Consumer {
    /// A new consumer of a configuration that was checked, placed where its policy says.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn new<S: MessageStore, O: Out>(
        config: ConsumerConfig,
        name: &str,
        created: Timestamp,
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<Self> {
        Self::placed(config, name, created, None, cx)
    }

    /// A consumer whose state was lost: where its policy placed it when it was made, as far as the
    /// stream still tells.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn anew<S: MessageStore, O: Out>(
        config: ConsumerConfig,
        name: &str,
        created: Timestamp,
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<Self> {
        Self::placed(config, name, created, Some(created), cx)
    }

    fn placed<S: MessageStore, O: Out>(
        config: ConsumerConfig,
        name: &str,
        created: Timestamp,
        made: Option<Timestamp>,
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<Self> {
        let mut this = Self::idle(config, name, created, cx);
        let start = start::select(&this.config, &this.filter, made, cx)?;
        this.next = start.next;
        this.skip = start.skip;
        this.progress.apply_reset(start.next);
        this.begin(cx)?;
        Ok(this)
    }

    /// Gives back what only a busy consumer needs.
    pub fn shrink(&mut self) {
        self.progress.pending.rest();
        self.redeliver.rest();
        if let Mode::Pull(pull) = &mut self.mode {
            pull.waiting.rest();
        }
    }

    /// A consumer as it was kept. What the stream lost since is taken back.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn restore<S: MessageStore, O: Out>(
        config: ConsumerConfig,
        name: &str,
        created: Timestamp,
        state: &ConsumerState,
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<Self> {
        let mut this = Self::idle(config, name, created, cx);
        this.progress = Progress::restore(this.acks(), this.max_deliver(), state);
        let last = cx.store.state().last_seq;
        if last < state.delivered.stream && this.config.opt_start_seq <= state.delivered.stream {
            this.warn(
                cx,
                format_args!(
                    "delivered sequence {} past last stream sequence of {last}: going back there",
                    state.delivered.stream
                ),
            );
            this.progress.apply_rollback(last);
        }
        this.next = this.progress.delivered.stream + 1;
        this.begin(cx)?;
        Ok(this)
    }

    fn idle<S, O: Out>(
        config: ConsumerConfig,
        name: &str,
        created: Timestamp,
        cx: &mut Cx<'_, S, O>,
    ) -> Self {
        let mode = if config.is_pull() {
            Mode::Pull(Box::new(Pull { last_used: cx.now.mono, ..Pull::default() }))
        } else {
            Mode::Push(Box::new(Push {
                active: cx.out.has_subscriber(
                    config.deliver_subject.as_bytes(),
                    config.deliver_group.as_bytes(),
                ),
                heartbeat: None,
                flow: None,
                rate: None,
            }))
        };
        let mut this = Self {
            name: name.into(),
            created,
            filter: Filter::any_of(config.filters().iter().map(|f| f.as_bytes())),
            config: Box::new(config),
            ack_prefix: if cx.facts.ack_v2 {
                let domain = cx.facts.domain.as_deref().unwrap_or_default();
                AckPrefix::v2(domain, &cx.facts.account_hash, &cx.stream.name, name)
            } else {
                AckPrefix::v1(&cx.stream.name, name)
            },
            progress: Progress::default(),
            next: 1,
            settled: 0,
            num_pending: 0,
            counted: 0,
            skip: None,
            redeliver: Redeliver::default(),
            mode,
            replay: None,
            last_delivered: None,
            last_acked: None,
            ack_deadline: None,
            pause_deadline: None,
            idle_deadline: None,
            threshold: Duration::ZERO,
            gate: None,
            trouble: None,
            is_cold: false,
            reads: 0,
        };
        this.progress.acks = this.acks();
        this.progress.max_deliver = this.max_deliver();
        this
    }

    /// Everything that is not kept begins: counts, deadlines, pace.
    fn begin<S: MessageStore, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) -> store::Result<()> {
        self.count_pending(cx)?;
        self.set_threshold(self.config.is_durable(), cx);
        self.set_pause(cx.now);
        self.watch_acks(cx);
        if self.config.replay_policy == ReplayPolicy::Original {
            self.replay = Some(Box::new(Replay::until(cx.store.state().last_seq)));
        }
        let heartbeat = self.config.idle_heartbeat.as_duration();
        let (flow, bps) = (self.config.flow_control, self.config.rate_limit_bps);
        if let Mode::Push(push) = &mut self.mode {
            push.heartbeat = (!heartbeat.is_zero()).then(|| cx.now.mono + heartbeat);
            push.flow = flow.then(Flow::default);
            push.rate = Bucket::new(bps, cx.stream.max_msg_size, cx.max_payload, cx.now.mono);
        }
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was created.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Its configuration.
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// What it selects of its stream.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Whether a push consumer's subscriber is there.
    pub fn is_active(&self) -> bool {
        matches!(&self.mode, Mode::Push(push) if push.active)
    }

    /// What must be kept of it.
    pub fn state(&self) -> ConsumerState {
        self.progress.state()
    }

    /// Whether what must be kept changed since the last call.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.progress.dirty)
    }

    /// Whether its acknowledgement of a message is still to come, as far as a stream that keeps
    /// messages until then has to know. `subject` is the message's.
    pub fn needs_ack(&self, seq: u64, subject: &[u8]) -> bool {
        if !self.filter.matches(subject) {
            return false;
        }
        let waits = match self.progress.acks {
            Acks::None | Acks::All => seq > self.progress.floor.stream,
            Acks::Explicit => seq >= self.next || self.progress.find(seq).is_some(),
        };
        // One that was delivered too often stays: somebody may want to look at it.
        waits || self.progress.redelivered.contains_key(&seq)
    }

    fn acks(&self) -> Acks {
        match self.config.ack_policy {
            AckPolicy::None => Acks::None,
            AckPolicy::All | AckPolicy::FlowControl => Acks::All,
            AckPolicy::Explicit => Acks::Explicit,
        }
    }

    fn max_deliver(&self) -> u64 {
        u64::try_from(self.config.max_deliver).unwrap_or(0)
    }

    /// Whether as many messages wait for their acknowledgement as may.
    fn is_full(&self) -> bool {
        let max = usize::try_from(self.config.max_ack_pending).unwrap_or(0);
        max > 0 && self.progress.pending.len() >= max
    }

    /// Whether somebody is there to deliver to.
    fn is_wanted(&self) -> bool {
        match &self.mode {
            Mode::Pull(pull) => !pull.waiting.is_empty(),
            Mode::Push(push) => push.active,
        }
    }

    fn is_paused(&self, now: Now) -> bool {
        self.config.pause_until.is_some_and(|until| now.wall < until)
    }

    fn pull_mut(&mut self) -> Option<&mut Pull> {
        match &mut self.mode {
            Mode::Pull(pull) => Some(pull),
            Mode::Push(_) => None,
        }
    }

    fn push_mut(&mut self) -> Option<&mut Push> {
        match &mut self.mode {
            Mode::Push(push) => Some(push),
            Mode::Pull(_) => None,
        }
    }

    /// Asks the store how many messages are to be delivered for the first time.
    fn count_pending<S: MessageStore, O>(&mut self, cx: &mut Cx<'_, S, O>) -> store::Result<()> {
        self.num_pending = match &self.skip {
            Some(skip) => {
                let after = cx.store.num_pending(&self.filter, skip.resume + 1, false)?;
                skip.seqs.len() as u64 + after
            }
            None => cx.store.num_pending(&self.filter, self.next, false)?,
        };
        self.counted = cx.store.state().last_seq;
        Ok(())
    }

    fn warn<S, O: Out>(&self, cx: &Cx<'_, S, O>, what: std::fmt::Arguments<'_>) {
        let (account, stream, name) = (&cx.facts.account, &cx.stream.name, &self.name);
        let text = format_args!("JetStream consumer '{account} > {stream} > {name}' {what}");
        cx.out.log().write(stdx::log::Level::Warn, text);
    }
}
