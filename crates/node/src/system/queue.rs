//! The way to the system account's thread: what network threads and others hand over.
//!
//! Laws: bounded in number and bytes; what finds no room is counted, and a request that finds none
//!       is told that nobody is there; the thread is woken once per sleep.

use super::context::Context;
use super::event::Event;
use super::service::{Handler, OwnedRequest};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// Requests that may wait.
const REQUESTS_MOST: usize = 4096;
/// Bytes of requests that may wait.
const BYTES_MOST: usize = 32 << 20;
/// Everything that may wait.
const ITEMS_MOST: usize = 1 << 17;

/// Work on the thread of the system account.
pub type Task = Box<dyn FnOnce(&mut Context<'_>) + Send>;

/// What the thread is given.
pub(super) enum Item {
    /// A request, and who answers it.
    Request(Arc<Handler>, Box<OwnedRequest>),
    /// Something happened to a client.
    Event(Event),
    /// Something else to do.
    Task(Task),
    /// The server ends: what came before is done first.
    Stop,
}

impl Item {
    fn weight(&self) -> usize {
        match self {
            Self::Request(_, request) => request.weight(),
            Self::Event(_) | Self::Task(_) | Self::Stop => 0,
        }
    }
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    requests: usize,
    bytes: usize,
    asleep: bool,
    closed: bool,
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    thread: OnceLock<Thread>,
    lost: AtomicU64,
}

impl Queue {
    /// Names the thread that empties it.
    pub(super) fn served_by(&self, thread: Thread) {
        let _ = self.thread.set(thread);
    }

    /// Hands something over; `false` if there is no room.
    pub(super) fn push(&self, item: Item) -> bool {
        let mut inner = self.inner.lock();
        if inner.closed {
            return false;
        }
        let is_request = matches!(item, Item::Request(..));
        let weight = item.weight();
        let full = match &item {
            Item::Stop => false,
            Item::Request(..) => {
                inner.requests >= REQUESTS_MOST || inner.bytes + weight > BYTES_MOST
            }
            Item::Event(_) | Item::Task(_) => inner.items.len() >= ITEMS_MOST,
        };
        if full {
            drop(inner);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        inner.requests += usize::from(is_request);
        inner.bytes += weight;
        inner.items.push_back(item);
        let wake = std::mem::take(&mut inner.asleep);
        drop(inner);
        if wake && let Some(thread) = self.thread.get() {
            thread.unpark();
        }
        true
    }

    /// The next item; if there is none, the caller is marked asleep and must park.
    pub(super) fn take(&self) -> Option<Item> {
        let mut inner = self.inner.lock();
        let Some(item) = inner.items.pop_front() else {
            inner.asleep = true;
            return None;
        };
        inner.requests -= usize::from(matches!(item, Item::Request(..)));
        inner.bytes -= item.weight();
        Some(item)
    }

    /// Nothing is taken in any more.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.items.clear();
    }

    /// How many things wait.
    pub(super) fn len(&self) -> usize {
        self.inner.lock().items.len()
    }

    /// How many things found no room since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(size: usize) -> Item {
        let handler: Arc<Handler> = Arc::new(|_: &mut Context<'_>, _: &OwnedRequest| {});
        let payload = vec![0; size].into();
        Item::Request(handler, Box::new(OwnedRequest { payload, ..OwnedRequest::default() }))
    }

    #[test]
    fn requests_are_bounded_in_number_and_size_and_leave_room_for_events() {
        let queue = Queue::default();
        for _ in 0..REQUESTS_MOST {
            assert!(queue.push(request(1)));
        }
        assert!(!queue.push(request(1)));
        assert!(queue.push(Item::Task(Box::new(|_| {}))));
        assert_eq!((queue.take_lost(), queue.take_lost()), (1, 0));
        assert!(queue.take().is_some());
        assert!(queue.push(request(1)), "there is room again");
        while queue.take().is_some() {}
        assert!(queue.push(request(BYTES_MOST / 2)));
        assert!(!queue.push(request(BYTES_MOST / 2 + 1)));
        assert!(queue.take().is_some());
        assert!(queue.push(request(BYTES_MOST / 2 + 1)));
    }

    #[test]
    fn nothing_enters_a_closed_queue() {
        let queue = Queue::default();
        assert!(queue.push(Item::Stop));
        queue.close();
        assert!(!queue.push(Item::Stop));
        assert_eq!(queue.len(), 0);
    }
}
