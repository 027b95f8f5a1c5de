//! An engine with one shard, and a client of its account.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker::account::Account;
use broker::sub::{Internal, InternalMessage};
use broker::{Broker, Worker};
use jetstream_api::JetStreamAccountLimits;
use jetstream_core::stream::BatchLimits;
use serde_json::{Value, json};
use stdx::log::Log;
use stdx::time::{Mono, Now, Timestamp};
use tempfile::TempDir;

use super::slow::{Dial, PATIENCE};
use crate::engine::{Engine, Host, Member};
use crate::ingress::Listening;
use crate::shared::Config;

/// What a client got.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) subject: String,
    pub(super) reply: String,
    pub(super) header: String,
    pub(super) payload: Vec<u8>,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }

    /// A header's value.
    pub(super) fn field(&self, name: &str) -> &str {
        let line = self.header.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {:?}", self.header))
    }
}

struct Inbox(mpsc::Sender<Got>);

impl Internal for Inbox {
    fn deliver(&self, m: &InternalMessage<'_>) -> bool {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let got = Got {
            subject: text(m.subject),
            reply: text(m.reply.unwrap_or_default()),
            header: text(m.header),
            payload: m.payload.to_vec(),
        };
        self.0.send(got).is_ok()
    }
}

/// A subscription.
pub(super) struct Sub {
    name: String,
    got: mpsc::Receiver<Got>,
    _listening: Listening,
}

impl Sub {
    pub(super) fn next(&self) -> Got {
        self.got.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing on {}", self.name))
    }

    /// What came until now.
    pub(super) fn is_empty(&self) -> bool {
        match self.got.try_recv() {
            Ok(got) => panic!("{got:?}"),
            Err(_) => true,
        }
    }
}

pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) dial: Arc<Dial>,
    pub(super) engine: Engine,
    account: Arc<Account>,
    worker: Worker,
    inboxes: AtomicU32,
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_nanos()).unwrap())
}

fn clock() -> Box<dyn Fn() -> Now> {
    let start = Instant::now();
    Box::new(move || {
        let ns = u64::try_from(start.elapsed().as_nanos()).unwrap();
        Now { mono: Mono(1_000_000_000 + ns), wall: wall() }
    })
}

fn config(dir: &Path) -> Config {
    Config {
        store_dir: dir.to_owned(),
        max_memory: None,
        max_store: None,
        domain: None,
        strict: true,
        sync_always: false,
        sync_within: Duration::from_millis(5),
        encryption: None,
        max_buffered_msgs: 10_000,
        max_buffered_size: 128 << 20,
        max_duplicate_window: None,
        max_ack_pending: None,
        max_request_batch: None,
        ack_v2: false,
        request_queue_limit: 10_000,
        info_queue_limit: 10_000,
        batches: BatchLimits::default(),
        server_name: "test".into(),
        server_id: "ID".into(),
        max_payload: 1 << 20,
        max_pending: 64 << 20,
    }
}

fn start(dir: &Path) -> (Engine, Arc<Account>, Worker) {
    let authenticator = auth::Authenticator::new(auth::AuthConfig::default()).unwrap();
    let (settings, info) = (broker::settings::Settings::default(), wire::info::Info::default());
    let broker = Arc::new(Broker::new(settings, info, authenticator, Log::discard(), 2));
    let now = clock()();
    let host = Host {
        broker: broker.clone(),
        clock: Arc::new(clock),
        entropy: |bytes| bytes.fill(7),
        shards: 1,
        first_worker: 1,
        now,
        admits_later: false,
    };
    let limits = JetStreamAccountLimits {
        max_memory: -1,
        max_storage: -1,
        max_streams: -1,
        max_consumers: -1,
        max_ack_pending: -1,
        ..JetStreamAccountLimits::default()
    };
    let account = broker.global().clone();
    let members = vec![Member { account: account.clone(), limits }];
    let engine = Engine::start(config(dir), &host, members).unwrap();
    (engine, account, Worker::new(0, broker, now, |bytes| bytes.fill(9)))
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dial = Dial::of(dir.path());
        let (engine, account, worker) = start(dir.path());
        Self { dir, dial, engine, account, worker, inboxes: AtomicU32::new(0) }
    }

    /// Stops the engine and starts it again: nothing it stored is in memory.
    pub(super) fn restart(&mut self) {
        self.engine.stop();
        let started = start(self.dir.path());
        (self.engine, self.account, self.worker) = started;
    }

    pub(super) fn subscribe(&self, subject: &str) -> Sub {
        let (sender, got) = mpsc::channel();
        let listening =
            Listening::custom(&self.account, subject.as_bytes(), Arc::new(Inbox(sender)));
        Sub { name: subject.to_owned(), got, _listening: listening }
    }

    /// A name for answers that nobody else uses.
    pub(super) fn inbox(&self) -> String {
        format!("_INBOX.{}", self.inboxes.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn send(&mut self, subject: &str, reply: Option<&str>, body: impl AsRef<[u8]>) {
        let reply = reply.map(str::as_bytes);
        self.worker.publish(&self.account, subject.as_bytes(), reply, b"", body.as_ref());
        self.worker.flush_touched();
    }

    /// Sends a request of which the answer comes later.
    pub(super) fn begin(&mut self, subject: &str, body: impl AsRef<[u8]>) -> Sub {
        let inbox = self.inbox();
        let sub = self.subscribe(&format!("{inbox}.>"));
        self.send(subject, Some(&format!("{inbox}.1")), body);
        sub
    }

    pub(super) fn request(&mut self, subject: &str, body: impl AsRef<[u8]>) -> Got {
        self.begin(subject, body).next()
    }

    /// A request on the API that succeeds.
    pub(super) fn api(&mut self, subject: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.request(&format!("$JS.API.{subject}"), body).json();
        assert!(answer["error"].is_null(), "{subject}: {answer}");
        answer
    }

    pub(super) fn stream(&mut self, name: &str, more: &Value) {
        let mut config = json!({ "name": name, "subjects": [format!("{name}.>")],
            "allow_direct": true });
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        self.api(&format!("STREAM.CREATE.{name}"), &config);
    }

    /// Publishes with an acknowledgement; the sequence.
    pub(super) fn publish(&mut self, subject: &str, body: impl AsRef<[u8]>) -> u64 {
        let ack = self.request(subject, body).json();
        ack["seq"].as_u64().unwrap_or_else(|| panic!("{subject}: {ack}"))
    }

    /// Fills a stream with messages of a kilobyte, on subjects `<name>.<seq % 7>`.
    pub(super) fn fill(&mut self, name: &str, messages: u64) {
        let inbox = self.inbox();
        let acks = self.subscribe(&inbox);
        for seq in 1..=messages {
            let body = format!("{seq:>1000}");
            self.send(&format!("{name}.{}", seq % 7), Some(&inbox), body);
        }
        (0..messages).for_each(|_| drop(acks.next()));
    }

    pub(super) fn messages(&mut self, name: &str) -> u64 {
        let info = self.api(&format!("STREAM.INFO.{name}"), &Value::Null);
        info["state"]["messages"].as_u64().unwrap()
    }
}

impl Drop for World {
    /// Also after a failure the engine has to end.
    fn drop(&mut self) {
        self.dial.release();
    }
}
