//! The lock around an outbox; loom's own where models run.

#[cfg(not(ironats_loom))]
pub use parking_lot::Mutex as Lock;

/// A loom mutex in the shape of parking_lot's.
#[cfg(ironats_loom)]
pub struct Lock<T>(loom::sync::Mutex<T>);

#[cfg(ironats_loom)]
impl<T> Lock<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
