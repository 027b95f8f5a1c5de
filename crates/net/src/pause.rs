//! A network thread's pauses for peers that write one message at a time.
//!
//! Such a peer wakes a thread that sleeps in the poller with every message. While one of the
//! thread's connections is paced, the thread spends a moment outside the poller before it sleeps
//! there: what comes meanwhile wakes nobody, and is read together.
//!
//! Not here: which connections are paced, and how much is read of them (`conn::pace`).
//! Laws: no pause while there is work to do, nor after a paced peer fell silent, nor while a peer
//!       of this thread may be waiting for what it hears. A pause delays a message by [`PAUSE`]
//!       and the timer's slack (about 50 us) at most.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How long a thread pauses.
const PAUSE: Duration = Duration::from_micros(60);
/// A paced peer that said nothing for this long is silent.
const SILENT: Duration = Duration::from_micros(500);
/// How long a conversation on the thread keeps it from pausing.
const CONVERSATION: Duration = Duration::from_millis(10);

thread_local! {
    /// Paced connections of this thread.
    static PACED: Cell<usize> = const { Cell::new(0) };
    /// When one of them last said something.
    static SPOKE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// When a peer that hears something last spoke.
    static CONVERSED: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Tasks whose ration is used up until the next pause is over.
    static RATIONED: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// One paced connection of this thread, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Paced(PhantomData<Rc<()>>);

impl Paced {
    pub(crate) fn begin() -> Self {
        PACED.set(PACED.get() + 1);
        Self(PhantomData)
    }

    /// Notes that the peer said something.
    pub(crate) fn spoke(&self) {
        SPOKE.set(Some(Instant::now()));
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        PACED.set(PACED.get().saturating_sub(1));
    }
}

/// Notes that a peer which hears something spoke.
pub(crate) fn conversed() {
    if PACED.get() > 0 {
        CONVERSED.set(Some(Instant::now()));
    }
}

/// Wakes the task after the thread's next pause. A thread that is busy makes none.
pub(crate) fn wake_after(waker: &Waker) {
    RATIONED.with_borrow_mut(|list| list.push(waker.clone()));
}

/// Called when the thread has nothing to do, before it sleeps in the poller.
pub(crate) fn before_sleep() {
    if PACED.get() == 0 && RATIONED.with_borrow(Vec::is_empty) {
        return;
    }
    let now = Instant::now();
    let within = |at: Option<Instant>, time| at.is_some_and(|at| now.duration_since(at) < time);
    if within(SPOKE.get(), SILENT) && !within(CONVERSED.get(), CONVERSATION) {
        std::thread::sleep(PAUSE);
    }
    // Waking must find the list free: a task may come back at once.
    let mut rationed = RATIONED.take();
    rationed.drain(..).for_each(Waker::wake);
    RATIONED.with_borrow_mut(|list| {
        if list.is_empty() {
            *list = rationed;
        }
    });
}
