//! Watching single subjects: who delivers to one wants to know when its subscribers come and go.
//!
//! Only subscriptions to exactly the watched subject count, as in the reference.
//! Laws: costs one load where nothing is watched; a watcher is called after the interest changed,
//!       outside its lock.

use hashbrown::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Called when somebody subscribed to a watched subject, or ended that. It must not block.
pub trait Watcher: Send + Sync {
    /// Interest in the subject may have changed.
    fn changed(&self);
}

type BySubject = HashMap<Box<[u8]>, Vec<Arc<dyn Watcher>>>;

/// The watched subjects of an account.
#[derive(Default)]
pub(crate) struct Watches {
    count: AtomicUsize,
    by_subject: Mutex<BySubject>,
}

impl Watches {
    pub(super) fn add(&self, subject: &[u8], watcher: Arc<dyn Watcher>) {
        self.by_subject.lock().entry(subject.into()).or_default().push(watcher);
        self.count.fetch_add(1, Ordering::Release);
    }

    pub(super) fn remove(&self, subject: &[u8], watcher: &Arc<dyn Watcher>) {
        let mut all = self.by_subject.lock();
        let Some(list) = all.get_mut(subject) else { return };
        let before = list.len();
        list.retain(|w| !Arc::ptr_eq(w, watcher));
        let gone = before - list.len();
        if list.is_empty() {
            all.remove(subject);
        }
        drop(all);
        self.count.fetch_sub(gone, Ordering::Release);
    }

    /// Interest in `subject` changed.
    #[inline]
    pub(super) fn changed(&self, subject: &[u8]) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.tell(subject);
        }
    }

    #[cold]
    fn tell(&self, subject: &[u8]) {
        let watchers = self.by_subject.lock().get(subject).cloned().unwrap_or_default();
        for watcher in watchers {
            watcher.changed();
        }
    }
}
