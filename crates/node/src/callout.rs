//! Logins that a service in some account decides: questions out, the first answer back.
//!
//! Not here: what is asked and what an answer means (`auth::authenticate::callout`).
//! Laws: a question has one inbox that nobody knows and that ends with it; how many wait is
//!       bounded, and whoever finds no room is not let in; nothing here blocks.
//! Reference: auth_callout.go processClientOrLeafCallout.   Contract: AUTH-025.

use crate::system::{Context, Registration, System};
use auth::authenticate::callout::{
    Answer, Asker, CalloutConfig, Callouts, Question, SUBJECT, ServerKeys, XKEY_HEADER,
};
use auth::authenticate::jwt::Waiting;
use auth::jwt::authorization::Server;
use broker::Broker;
use config::Options;
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Questions that may be open at a time.
const OPEN_MOST: usize = 16 << 10;

/// What the host gives a server that may have logins decided outside.
#[derive(Clone)]
pub struct CalloutHost {
    /// The keys of the server.
    pub keys: Arc<ServerKeys>,
    /// The second of the day in a zone at a time (Unix seconds); empty: that of the server.
    pub second_of_day: fn(&str, i64) -> Option<u32>,
}

/// How a server asks.
pub(crate) struct Inquiry {
    host: CalloutHost,
    open: Arc<AtomicUsize>,
    /// Known once the server stands; it holds this, so this does not hold it.
    server: OnceLock<(Weak<System>, Weak<Broker>)>,
}

impl Inquiry {
    pub(crate) fn new(host: CalloutHost) -> Arc<Self> {
        Arc::new(Self { host, open: Arc::default(), server: OnceLock::new() })
    }

    /// Names the server. The first one stays.
    pub(crate) fn attach(&self, system: &Arc<System>, broker: &Arc<Broker>) {
        let _ = self.server.set((Arc::downgrade(system), Arc::downgrade(broker)));
    }

    fn system(&self) -> Option<Arc<System>> {
        self.server.get()?.0.upgrade()
    }

    fn broker(&self) -> Option<Arc<Broker>> {
        self.server.get()?.1.upgrade()
    }

    /// What a login needs to be decided outside.
    pub(crate) fn callouts(self: &Arc<Self>, options: &Options) -> Callouts {
        let configured = options.authorization.as_ref().and_then(|block| block.callout.as_ref());
        let config = configured.map(|callout| CalloutConfig {
            issuer: callout.issuer.clone(),
            account: callout.account.clone(),
            auth_users: callout.auth_users.clone(),
            xkey: callout.xkey.clone(),
            allowed_accounts: callout.allowed_accounts.clone(),
        });
        Callouts {
            config,
            asker: self.clone(),
            keys: self.host.keys.clone(),
            patience: options.auth_timeout(),
            tags: options.server_tags.clone(),
        }
    }
}

impl Asker for Inquiry {
    fn ask(&self, question: Question, patience: Duration, answer: Arc<Answer>) -> Waiting {
        let pending = Arc::new(Pending::default());
        let place = Place::take(&self.open);
        if let (Some(place), Some(system)) = (place, self.system()) {
            let asked = Asked { question, answer, pending: pending.clone(), _place: place };
            if system.account().is_some() {
                // Without room for the question `asked` is dropped, which ends the wait.
                system.post(move |context| asked.put(context, patience));
            }
        } else {
            pending.end();
        }
        Box::pin(Wait(pending))
    }

    fn knows(&self, account: &str) -> bool {
        self.broker().is_some_and(|broker| broker.account(account).is_some())
    }

    fn server(&self) -> Server {
        let Some(broker) = self.broker() else { return Server::default() };
        let info = broker.info();
        Server {
            name: info.server_name.clone(),
            host: info.host.clone(),
            id: info.server_id.clone(),
            version: info.version.clone(),
            cluster: info.cluster.clone(),
            ..Server::default()
        }
    }

    fn second_of_day(&self, zone: &str, now: i64) -> Option<u32> {
        (self.host.second_of_day)(zone, now)
    }
}

/// One of the questions that may be open.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(open.clone());
        let before = open.fetch_add(1, Ordering::Relaxed);
        (before < OPEN_MOST).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A question on its way to the system account's thread.
struct Asked {
    question: Question,
    answer: Arc<Answer>,
    pending: Arc<Pending>,
    _place: Place,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.pending.end();
    }
}

impl Asked {
    /// Publishes it, and listens for the answer until that is there or the time is over.
    fn put(self, context: &mut Context<'_>, patience: Duration) {
        let Some(account) = context.node().broker.account(&self.question.account) else { return };
        // Wire: behind the prefix stand the server's hash and a part of this question's own.
        let hash = context.node().broker.name_hash().to_owned();
        let inbox = format!("$SYS._INBOX.{hash}.{}", context.event_id());
        let header = self.question.xkey.as_ref().map(|xkey| {
            let mut block = Vec::new();
            wire::header::set(b"", XKEY_HEADER.as_bytes(), Some(xkey.as_bytes()), &mut block);
            block
        });
        let asked = Arc::new(self);
        let heard = Arc::downgrade(&asked);
        let system = context.system().clone();
        let listening = system.serve_in(&account, &inbox, move |_, answer| {
            if let Some(asked) = heard.upgrade() {
                let _ = asked.answer.set(answer.payload.to_vec());
                asked.pending.end();
            }
        });
        asked.pending.listen(listening, asked.clone());
        let header = header.unwrap_or_default();
        let body = &asked.question.body;
        context.publish_in(&account, SUBJECT.as_bytes(), Some(inbox.as_bytes()), &header, body);
        let pending = asked.pending.clone();
        context.after(patience, Box::new(move |_| pending.end()));
    }
}

/// Whether a question is still open.
#[derive(Default)]
struct Pending(Mutex<State>);

#[derive(Default)]
struct State {
    over: bool,
    waker: Option<Waker>,
    /// The ear, and the question: both go at the end.
    listening: Option<(Registration, Arc<Asked>)>,
}

impl Pending {
    /// Keeps the ear open until the end.
    fn listen(&self, listening: Registration, asked: Arc<Asked>) {
        let mut state = self.0.lock();
        if !state.over {
            state.listening = Some((listening, asked));
        }
    }

    fn end(&self) {
        let (waker, listening) = {
            let mut state = self.0.lock();
            state.over = true;
            (state.waker.take(), state.listening.take())
        };
        drop(listening);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Ends with the question.
struct Wait(Arc<Pending>);

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<()> {
        let mut state = self.0.0.lock();
        if state.over {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
