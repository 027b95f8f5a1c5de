//! Systems without fine timers have no ticks, and no paced connections.

use std::io;
use std::rc::Rc;
use std::task::Waker;

/// Never made.
pub(crate) enum Ticker {}

impl Ticker {
    pub(crate) fn spawn() -> io::Result<Rc<Self>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn now(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn wake_at_next(&self, _: &Waker) -> bool {
        match *self {}
    }
}
