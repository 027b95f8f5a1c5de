//! The system account: what the server listens to itself, what it answers, what it tells.
//!
//! One thread (`driver`) does it all; network threads only copy into its `queue`. Who wants to
//! serve a subject registers a handler with [`System::serve`]; who wants to publish from another
//! thread hands over a task with [`System::post`].
//!
//! Not here: what documents and events look like (`monitor`), JetStream's API (`jetstream`).
//! Laws: without a system account nothing is served and nothing is told; messages leave in the
//!       order in which their causes were handed over.
//! Reference: server/events.go.   Contract: SYS-*.

mod clients;
mod context;
mod driver;
pub(crate) mod encoding;
mod event;
mod events;
mod offer;
mod options;
mod queue;
mod remote;
mod requests;
mod service;
mod subscribers;

pub use context::Context;
pub use driver::Clock;
pub use offer::offer;
pub use queue::Task;
pub use requests::check_body;
pub use service::{Handler, OwnedRequest};

use crate::Node;
use broker::Broker;
use broker::account::Account;
use event::{Event, Reporter};
use parking_lot::Mutex;
use queue::{Item, Queue};
use remote::Remotes;
use service::Service;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Loads the configuration anew, or says why that cannot be.
pub type Reload = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The system account's machinery. One per server.
pub struct System {
    queue: Arc<Queue>,
    account: Mutex<Option<Arc<Account>>>,
    services: Mutex<HashMap<u64, Arc<Service>>>,
    next_service: AtomicU64,
    remotes: Mutex<Remotes>,
    announcing: AtomicBool,
    /// How many items the thread is at: one or none.
    busy: AtomicU64,
    reload: OnceLock<Reload>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// A service that ends when this is dropped.
#[must_use = "the service ends when this is dropped"]
pub struct Registration {
    system: Option<Arc<System>>,
    id: u64,
}

impl Registration {
    /// Lets the service live as long as the server.
    pub fn keep(mut self) {
        self.system = None;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(system) = &self.system else { return };
        let service = system.services.lock().remove(&self.id);
        if let Some(service) = service {
            service.close();
        }
    }
}

impl System {
    /// The machinery of a server that has not started; events wait from now on.
    pub(crate) fn new(broker: &Broker) -> Arc<Self> {
        let queue = Arc::new(Queue::default());
        let account = broker.system_account();
        if account.is_some() {
            broker.set_witness(Arc::new(Reporter(queue.clone())));
        }
        Arc::new(Self {
            queue,
            account: Mutex::new(account),
            services: Mutex::default(),
            next_service: AtomicU64::new(0),
            remotes: Mutex::default(),
            announcing: AtomicBool::new(false),
            busy: AtomicU64::new(0),
            reload: OnceLock::new(),
            thread: Mutex::default(),
        })
    }

    /// The system account, if there is one.
    pub fn account(&self) -> Option<Arc<Account>> {
        self.account.lock().clone()
    }

    /// Serves `filter` in the system account, as long as the registration lives.
    pub fn serve(
        self: &Arc<Self>,
        filter: &str,
        handler: impl Fn(&mut Context<'_>, &OwnedRequest) + Send + Sync + 'static,
    ) -> Registration {
        self.register(filter, None, Arc::new(handler))
    }

    /// Serves `filter` in another account.
    pub fn serve_in(
        self: &Arc<Self>,
        account: &Arc<Account>,
        filter: &str,
        handler: impl Fn(&mut Context<'_>, &OwnedRequest) + Send + Sync + 'static,
    ) -> Registration {
        self.register(filter, Some(account), Arc::new(handler))
    }

    fn register(
        self: &Arc<Self>,
        filter: &str,
        account: Option<&Arc<Account>>,
        handler: Arc<Handler>,
    ) -> Registration {
        let id = self.next_service.fetch_add(1, Ordering::Relaxed) + 1;
        let service = Arc::new(Service::new(id, filter.as_bytes(), account, handler));
        self.services.lock().insert(id, service.clone());
        service.listen(self.account().as_ref(), &self.queue);
        Registration { system: Some(self.clone()), id }
    }

    /// Makes `account` the one that is served; the registrations move there.
    pub fn attach(&self, account: Option<&Arc<Account>>) {
        *self.account.lock() = account.cloned();
        let services: Vec<_> = self.services.lock().values().cloned().collect();
        for service in services {
            service.listen(account, &self.queue);
        }
    }

    /// Runs `task` on the system account's thread, behind what waits there. `false` if there is no
    /// room or the server ends.
    pub fn post(&self, task: impl FnOnce(&mut Context<'_>) + Send + 'static) -> bool {
        self.queue.push(Item::Task(Box::new(task)))
    }

    /// Publishes `payload` in the system account, from any thread. `false` as for [`Self::post`].
    pub fn publish(&self, subject: &str, payload: Vec<u8>) -> bool {
        let subject = subject.as_bytes().to_vec();
        self.post(move |context| {
            context.publish(&subject, &payload);
        })
    }

    /// Names what a request to reload calls. The first one stays.
    pub fn set_reload(&self, reload: Reload) {
        let _ = self.reload.set(reload);
    }

    fn reload(&self) -> Option<Reload> {
        self.reload.get().cloned()
    }

    /// Tells that the server is a lame duck.
    pub fn lame_duck(&self) {
        self.queue.push(Item::Event(Event::LameDuck));
    }

    /// How many requests and events wait, and how many are being handled now.
    pub fn waiting(&self) -> (u64, u64) {
        (self.queue.len() as u64, self.busy.load(Ordering::Relaxed))
    }

    /// Tells of the end, and ends: nothing is answered any more when this returns.
    pub fn stop(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        self.queue.push(Item::Stop);
        // A thread that panicked has ended as well.
        let _ = thread.join();
        let services: Vec<_> = self.services.lock().drain().map(|(_, service)| service).collect();
        for service in services {
            service.close();
        }
    }

    /// Whether anybody but the server itself listens on `subject`.
    fn is_wanted(&self, subject: &[u8]) -> bool {
        let Some(account) = self.account() else { return false };
        let (count, subs) = account.subs_page(Some(subject), 0..16);
        if count > subs.len() as u64 {
            return true;
        }
        let services = self.services.lock();
        subs.iter().any(|sub| !services.values().any(|service| service.is(sub)))
    }

    /// Has the statistics sent at the next chance, however short ago the last ones were.
    fn announce(&self) {
        self.announcing.store(true, Ordering::Relaxed);
    }

    fn take_announcement(&self) -> bool {
        self.announcing.swap(false, Ordering::Relaxed)
    }
}

impl Node {
    /// The system account's machinery.
    pub fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// Starts it; does nothing in a server without a system account.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start_system(
        self: &Arc<Self>,
        clock: &Clock,
        entropy: broker::worker::Entropy,
    ) -> std::io::Result<()> {
        if self.system.account().is_none() {
            return Ok(());
        }
        requests::register(self);
        *self.system.thread.lock() = Some(driver::spawn(self, clock, entropy)?);
        Ok(())
    }
}
