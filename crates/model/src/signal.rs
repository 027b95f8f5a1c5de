//! Waking the owner of a connection.

use broker::outbox::Signal;
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use std::future::poll_fn;
use std::task::Poll;

/// The owner's task as `net::conn::driver` is built: register, look, and sleep if there is nothing.
/// A model in which it sleeps for ever is a deadlock, which loom reports.
#[test]
fn whoever_raises_it_is_seen() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let signal = Arc::new(Signal::default());
        let work = Arc::new(AtomicU32::new(0));
        let raisers: Vec<_> = (0..2)
            .map(|_| {
                let (signal, work) = (signal.clone(), work.clone());
                thread::spawn(move || {
                    work.fetch_add(1, Ordering::Relaxed);
                    signal.raise();
                })
            })
            .collect();
        let mut seen = 0;
        block_on(poll_fn(|cx| {
            signal.register(cx.waker());
            if signal.take() {
                seen = work.load(Ordering::Relaxed);
            }
            if seen == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        raisers.into_iter().for_each(|r| r.join().unwrap());
        assert_eq!(seen, 2, "what was done before a signal is seen after it");
    });
}
