//! How the owner of a connection learns that there is something to do besides reading.
//!
//! Laws: the owner registers before it looks; then every signal raised is seen by a look, and with
//!       it whatever was done before it was raised.
//! Shown for every order by `cargo xtask loom`.

#[cfg(not(ironats_loom))]
use atomic_waker::AtomicWaker;
#[cfg(ironats_loom)]
use loom::future::AtomicWaker;
#[cfg(ironats_loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(ironats_loom))]
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

/// A flag with a sleeper.
#[derive(Default)]
pub struct Signal {
    set: AtomicBool,
    owner: AtomicWaker,
}

impl Signal {
    /// Sets it and wakes the owner.
    pub fn raise(&self) {
        self.set();
        self.owner.wake();
    }

    /// Sets it for the owner's next look, where the owner will be woken by other means.
    pub fn set(&self) {
        // Not a store: that would hide from the owner's look what an earlier raiser did.
        self.set.swap(true, Ordering::Release);
    }

    /// Notes who is to be woken.
    #[cfg(not(ironats_loom))]
    pub fn register(&self, owner: &Waker) {
        self.owner.register(owner);
    }

    /// Notes who is to be woken.
    #[cfg(ironats_loom)]
    pub fn register(&self, owner: &Waker) {
        self.owner.register_by_ref(owner);
    }

    /// Whether it was raised since the last look.
    pub fn take(&self) -> bool {
        self.set.load(Ordering::Relaxed) && self.set.swap(false, Ordering::AcqRel)
    }
}
