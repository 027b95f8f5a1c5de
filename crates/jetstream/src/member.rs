//! A consumer on its shard: the machine, its files, its subscriptions, its deadline.

use std::sync::Arc;

use broker::account::{Account, Watcher};
use jetstream_core::Facts;
use jetstream_core::consumer::Consumer;
use parking_lot::Mutex;
use stdx::time::Mono;
use store::ConsumerFile;

use crate::answers::Answers;
use crate::event::Event;
use crate::ingress::Listening;
use crate::place::Disk;
use crate::queue::{Kind, Queue, Tag};

/// A consumer on its shard.
pub(crate) struct Member {
    pub(crate) consumer: Consumer,
    /// Its files, if it is to outlive the process.
    pub(crate) file: Option<Arc<Mutex<ConsumerFile<Disk>>>>,
    listening: Box<[Listening]>,
    watch: Option<Box<Watch>>,
    /// It stands in the line of those that deliver.
    pub(crate) ready: bool,
    /// It waits for a read.
    pub(crate) reading: bool,
    /// When it has to be looked at.
    pub(crate) deadline: Option<Mono>,
    /// Its state is being written, or will be.
    pub(crate) writing: bool,
    /// Why its state could not be written the last time.
    pub(crate) trouble: Option<Box<str>>,
    /// A state is on its way to the disk.
    pub(crate) under_way: bool,
    /// Confirmations that wait for the state to be on the disk: of the state that is on its way,
    /// and of the next one.
    pub(crate) confirming: Answers,
    pub(crate) unconfirmed: Answers,
}

/// The interest of a push consumer's subscriber.
struct Watch {
    account: Arc<Account>,
    subject: Box<[u8]>,
    watcher: Arc<dyn Watcher>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.account.unwatch(&self.subject, &self.watcher);
    }
}

/// Tells the shard that interest changed.
struct Interest {
    queue: Arc<Queue>,
    stream: u32,
    id: u32,
}

impl Watcher for Interest {
    fn changed(&self) {
        self.queue.push_event(Event::Interest { stream: self.stream, consumer: self.id });
    }
}

impl Member {
    pub(crate) fn new(consumer: Consumer, file: Option<Arc<Mutex<ConsumerFile<Disk>>>>) -> Self {
        Self {
            consumer,
            file,
            listening: Box::default(),
            watch: None,
            ready: false,
            reading: false,
            deadline: None,
            writing: false,
            trouble: None,
            under_way: false,
            confirming: Answers::default(),
            unconfirmed: Answers::default(),
        }
    }

    /// Takes requests, acknowledgements and news of its subscriber.
    pub(crate) fn listen(
        &mut self,
        account: &Arc<Account>,
        facts: &Facts,
        stream: &str,
        queue: &Arc<Queue>,
        place: u32,
        id: u32,
    ) {
        let name = self.consumer.name();
        let tag = |kind| Tag { kind, stream: place, part: id };
        let origin = format!("{}.{}", facts.domain.as_deref().unwrap_or("_"), facts.account_hash);
        let mut subjects = Vec::new();
        if self.consumer.takes_acks() {
            // Wider than what is an acknowledgement: whoever sends anything else is told so.
            subjects.push((format!("$JS.ACK.{stream}.{name}.>"), Kind::Ack));
            subjects.push((format!("$JS.ACK.{origin}.{stream}.{name}.>"), Kind::Ack));
        }
        let config = self.consumer.config();
        // Who asks a push consumer is told so.
        subjects.push((format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"), Kind::Pull));
        if !config.is_pull() && config.flow_control {
            subjects.push((format!("$JS.FC.{stream}.{name}.*"), Kind::Flow));
            subjects.push((format!("$JS.FC.{origin}.{stream}.{name}.*"), Kind::Flow));
        }
        self.listening = subjects
            .iter()
            .map(|(subject, kind)| {
                Listening::others(account, subject.as_bytes(), None, queue.clone(), tag(*kind))
            })
            .collect();
        self.watch = (!config.is_pull()).then(|| {
            let watcher: Arc<dyn Watcher> =
                Arc::new(Interest { queue: queue.clone(), stream: place, id });
            let subject: Box<[u8]> = config.deliver_subject.as_bytes().into();
            account.watch(&subject, watcher.clone());
            Box::new(Watch { account: account.clone(), subject, watcher })
        });
    }

    /// Keeps the configuration in force.
    pub(crate) fn write_document(&self) -> store::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let consumer = &self.consumer;
        let document =
            crate::meta::consumer(consumer.name(), consumer.config(), consumer.created());
        file.lock().write_meta(&document)
    }

    /// Ends every subscription.
    pub(crate) fn deafen(&mut self) {
        self.listening = Box::default();
        self.watch = None;
    }
}
