//! Producers, the owner and a socket that fills up, on one outbox.

use broker::conn::{Conn, Kind, Transport};
use broker::outbox::{Flushed, Pool, Signal, Sink, flush, flush_owned};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc as LoomArc, Mutex};
use loom::thread;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};
use stdx::time::{Mono, Now, Timestamp};
use wire::error::CloseReason;

/// A socket with room for so many bytes, and the owner's signal.
struct Socket {
    taken: Mutex<Vec<u8>>,
    room: Mutex<usize>,
    signal: Signal,
}

impl Sink for Socket {
    fn direct(&self) -> bool {
        true
    }

    fn try_write(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut room = self.room.lock().unwrap();
        if *room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let n = bytes.len().min(*room);
        *room -= n;
        self.taken.lock().unwrap().extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn wake(&self) {
        self.signal.raise();
    }
}

fn connection(room: usize) -> (Arc<Conn>, Arc<Socket>) {
    let now = Now { mono: Mono(0), wall: Timestamp(0) };
    let conn = Arc::new(Conn::new(1, Kind::Client, Transport::Tcp, None, 0, now));
    let signal = Signal::default();
    let socket = Arc::new(Socket { taken: Mutex::new(Vec::new()), room: Mutex::new(room), signal });
    conn.outbox.lock().attach(socket.clone());
    (conn, socket)
}

/// A read of a network thread that ends in one message for the connection.
fn produce(conn: &Conn, message: &[u8]) {
    let (mut spare, mut pool) = (VecDeque::new(), Pool::default());
    let first = {
        let mut out = conn.outbox.lock();
        if out.is_closed() {
            return;
        }
        out.push(message, &mut pool);
        out.touch()
    };
    if first {
        flush(conn, &mut spare, &mut pool);
    }
}

/// What the owner's task does when it is woken: sees to a socket that was full.
fn tend(conn: &Conn, socket: &Arc<Socket>) -> Flushed {
    let sink: Arc<dyn Sink> = socket.clone();
    flush_owned(conn, &sink, &mut VecDeque::new(), &mut Pool::default())
}

/// Whether what is left would ever leave: the owner has been told, or somebody is at it.
fn is_seen_to(conn: &Conn, socket: &Socket) -> bool {
    conn.outbox.lock().pending() == 0 || socket.signal.take()
}

fn check(
    threads: impl Fn(&Arc<Conn>, &Arc<Socket>) -> Vec<thread::JoinHandle<()>> + Sync + Send + 'static,
    room: usize,
    whole: &'static [&'static [u8]],
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let (conn, socket) = connection(room);
        threads(&conn, &socket).into_iter().for_each(|t| t.join().unwrap());
        assert!(is_seen_to(&conn, &socket), "bytes are owed and nobody knows");
        // The peer reads; the owner goes on until nothing is left.
        *socket.room.lock().unwrap() = 100;
        while tend(&conn, &socket) != Flushed::Empty {}
        assert_eq!(conn.outbox.lock().pending(), 0);
        let taken = socket.taken.lock().unwrap();
        assert!(whole.contains(&taken.as_slice()), "{:?}", String::from_utf8_lossy(&taken));
    });
}

#[test]
fn two_producers_lose_nothing_and_do_not_mix() {
    let threads = |conn: &Arc<Conn>, _: &Arc<Socket>| {
        [b"aaa", b"bbb"]
            .map(|message| {
                let conn = conn.clone();
                thread::spawn(move || produce(&conn, message))
            })
            .into()
    };
    check(threads, 100, &[b"aaabbb", b"bbbaaa"]);
}

#[test]
fn a_socket_that_fills_up_is_left_to_the_owner() {
    let threads = |conn: &Arc<Conn>, socket: &Arc<Socket>| {
        let (producer, owner, socket) = (conn.clone(), conn.clone(), socket.clone());
        vec![
            thread::spawn(move || {
                produce(&producer, b"aaa");
                produce(&producer, b"bbb");
            }),
            thread::spawn(move || {
                if socket.signal.take() {
                    *socket.room.lock().unwrap() += 1;
                    tend(&owner, &socket);
                }
            }),
        ]
    };
    check(threads, 2, &[b"aaabbb"]);
}

#[test]
fn nothing_is_sent_after_a_close_that_does_not_flush() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (conn, socket) = connection(100);
        let socket = LoomArc::new(socket);
        let producer = {
            let conn = conn.clone();
            thread::spawn(move || produce(&conn, b"aaa"))
        };
        let closer = {
            let conn = conn.clone();
            thread::spawn(move || {
                conn.close(CloseReason::SlowConsumerPendingBytes);
                conn.outbox.lock().end();
            })
        };
        producer.join().unwrap();
        closer.join().unwrap();
        assert_eq!(conn.outbox.lock().pending(), 0);
        let taken = socket.taken.lock().unwrap().len();
        assert!(taken == 0 || taken == 3, "{taken} bytes of a message of 3");
        drop(socket);
        produce(&conn, b"bbb");
        assert_eq!(conn.outbox.lock().pending(), 0);
    });
}

/// A producer's task.
#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// A producer finds that much is owed and waits, while `other` does its part on another thread.
fn who_waits_is_woken(other: impl Fn(&Arc<Conn>, &Arc<Socket>) + Copy + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(move || {
        let (conn, socket) = connection(2);
        let task = Arc::new(Task::default());
        let producer = {
            let (conn, waker) = (conn.clone(), Waker::from(task.clone()));
            thread::spawn(move || {
                produce(&conn, b"aaaaaaaa");
                conn.outbox.lock().hold(&waker)
            })
        };
        let other = {
            let (conn, socket) = (conn.clone(), socket.clone());
            thread::spawn(move || other(&conn, &socket))
        };
        let waits = producer.join().unwrap();
        other.join().unwrap();
        let must_wait = {
            let out = conn.outbox.lock();
            out.pending() > 2 && !out.is_closed()
        };
        let woken = task.0.load(Ordering::Acquire);
        assert!(!waits || woken || must_wait, "a producer waits for nothing");
        // The peer takes the rest.
        *socket.room.lock().unwrap() = 100;
        while tend(&conn, &socket) != Flushed::Empty {}
        assert!(!waits || task.0.load(Ordering::Acquire), "a producer waits for ever");
    });
}

#[test]
fn a_producer_that_waits_is_woken_by_whoever_empties_the_outbox() {
    who_waits_is_woken(|conn, socket| {
        *socket.room.lock().unwrap() = 100;
        tend(conn, socket);
    });
}

#[test]
fn a_producer_that_waits_is_woken_when_some_of_it_left() {
    who_waits_is_woken(|conn, socket| {
        *socket.room.lock().unwrap() += 5;
        tend(conn, socket);
    });
}

#[test]
fn a_producer_that_waits_is_woken_when_the_connection_ends() {
    who_waits_is_woken(|conn, _| {
        conn.close(CloseReason::SlowConsumerPendingBytes);
    });
}

#[test]
fn a_producer_that_waits_is_woken_when_the_socket_is_let_go() {
    who_waits_is_woken(|conn, _| {
        conn.outbox.lock().end();
    });
}
