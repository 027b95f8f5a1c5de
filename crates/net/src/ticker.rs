//! Ticks of a network thread for its paced connections, finer than the runtime's timers.
//!
//! Law: the timer runs only while somebody waits for it.

use crate::conn::pace::TICK;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;
use tokio::io::unix::AsyncFd;

/// The ticks of one thread.
pub(crate) struct Ticker {
    timer: AsyncFd<OwnedFd>,
    /// Counts ticks, so that a task knows whether one passed since it last looked.
    tick: Cell<u64>,
    running: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Ticker {
    /// A ticker on the current runtime; runs on with the thread.
    pub(crate) fn spawn() -> io::Result<Rc<Self>> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(deprecated, reason = "sound here: an OwnedFd is open for as long as it lives")]
        let timer = AsyncFd::new(timer)?;
        let ticker = Rc::new(Self {
            timer,
            tick: Cell::new(1),
            running: Cell::new(false),
            waiting: RefCell::default(),
        });
        tokio::task::spawn_local(run(ticker.clone()));
        Ok(ticker)
    }

    /// The number of the last tick.
    pub(crate) fn now(&self) -> u64 {
        self.tick.get()
    }

    /// Wakes `waker` at the next tick; `false` if there will be none. A caller registers once
    /// per tick.
    pub(crate) fn wake_at_next(&self, waker: &Waker) -> bool {
        if !self.running.get() && self.set(true).is_ok() {
            self.running.set(true);
        }
        if self.running.get() {
            self.waiting.borrow_mut().push(waker.clone());
        }
        self.running.get()
    }

    fn set(&self, running: bool) -> io::Result<()> {
        let nanos = if running { TICK.as_nanos() as i64 } else { 0 };
        let every = Timespec { tv_sec: 0, tv_nsec: nanos };
        let spec = Itimerspec { it_interval: every, it_value: every };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &spec)?;
        Ok(())
    }

    fn ticked(&self) {
        self.tick.set(self.tick.get() + 1);
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            self.running.set(self.set(false).is_err());
        }
        waiting.drain(..).for_each(Waker::wake);
    }
}

async fn run(ticker: Rc<Ticker>) {
    let mut expirations = [0; 8];
    while let Ok(mut ready) = ticker.timer.readable().await {
        let read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut expirations)?));
        match read {
            Ok(Ok(_)) => ticker.ticked(),
            // Read by nobody else: the readiness was stale.
            Err(_) => {}
            Ok(Err(_)) => return,
        }
    }
}
