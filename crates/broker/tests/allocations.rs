//! The message path's allocation budget: nothing per message, once everything has been used.
//!
//! A test binary of its own, because it counts the allocations of the whole process.

use broker::conn::{Conn, Kind, Transport};
use broker::outbox::Sink;
use broker::settings::Settings;
use broker::{Broker, Session, Worker};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stdx::log::Log;
use stdx::time::{Mono, Now, Timestamp};
use wire::info::Info;

#[global_allocator]
static ALLOC: testkit::alloc::Counting = testkit::alloc::Counting;

/// Takes everything and keeps the number of bytes.
#[derive(Default)]
struct Drain(AtomicUsize);

impl Sink for Drain {
    fn direct(&self) -> bool {
        true
    }
    fn try_write(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.0.fetch_add(len, Ordering::Relaxed);
        Ok(len)
    }
    fn wake(&self) {}
}

fn client(worker: &mut Worker) -> (Session, Arc<Drain>) {
    let id = worker.broker.next_conn_id();
    let conn = Conn::new(id, Kind::Client, Transport::Tcp, None, 64 << 20, worker.now);
    let (conn, sink) = (Arc::new(conn), Arc::new(Drain::default()));
    conn.outbox.lock().attach(sink.clone());
    worker.broker.register(&conn);
    (Session::new(conn, worker), sink)
}

fn send(session: &mut Session, bytes: &Bytes, worker: &mut Worker) {
    session.on_bytes(bytes, worker);
    worker.flush_touched();
}

fn frames(subjects: &[&str], each: usize) -> Bytes {
    let mut all = String::new();
    for _ in 0..each {
        for subject in subjects {
            all.push_str(&format!("PUB {subject} 16\r\n0123456789abcdef\r\n"));
        }
    }
    all.into()
}

#[test]
fn a_published_message_allocates_nothing() {
    let authenticator = auth::Authenticator::new(auth::AuthConfig::default()).unwrap();
    let settings = Settings::default();
    let broker = Broker::new(settings, Info::default(), authenticator, Log::discard(), 1);
    let now = Now { mono: Mono(1), wall: Timestamp(1) };
    let mut worker = Worker::new(0, Arc::new(broker), now, |bytes| bytes.fill(1));
    let (mut publisher, _) = client(&mut worker);
    let (mut subscriber, got) = client(&mut worker);
    let quiet = "CONNECT {\"verbose\":false,\"headers\":true}\r\n";
    send(&mut publisher, &quiet.into(), &mut worker);
    let subs = "SUB plain 1\r\nSUB wild.> 2\r\nSUB wild.* 3\r\nSUB group q 4\r\nSUB group q 5\r\n";
    send(&mut subscriber, &[quiet, subs].concat().into(), &mut worker);
    // Several connections, two of which know the subject by the same id.
    let crowd = ["1", "1", "22"].map(|sid| {
        let (mut session, got) = client(&mut worker);
        let lines = format!("{quiet}SUB crowd {sid}\r\n");
        send(&mut session, &lines.into(), &mut worker);
        (session, got)
    });

    // Nobody there, one, several, a queue group; runs of a subject, and subjects in turn; one
    // message per read, and a request.
    let reads = [
        frames(&["nobody"], 100),
        frames(&["plain"], 100),
        frames(&["wild.a"], 100),
        frames(&["group"], 100),
        frames(&["plain", "wild.a", "group", "nobody", "wild.b"], 20),
        frames(&["plain"], 1),
        frames(&["crowd"], 2000),
        frames(&["crowd", "group"], 300),
        Bytes::from_static(b"PUB plain reply 2\r\nok\r\n"),
        Bytes::from_static(b"HPUB plain 12 14\r\nNATS/1.0\r\n\r\nok\r\n"),
    ];
    let taken = || {
        let all = crowd.iter().map(|(_, got)| got).chain([&got]);
        all.map(|got| got.0.load(Ordering::Relaxed)).sum::<usize>()
    };
    for (at, read) in reads.iter().enumerate() {
        for _ in 0..20 {
            send(&mut publisher, read, &mut worker);
        }
        let before = (testkit::alloc::thread_allocations(), taken());
        for _ in 0..50 {
            send(&mut publisher, read, &mut worker);
        }
        let after = (testkit::alloc::thread_allocations(), taken());
        assert_eq!(after.0 - before.0, 0, "allocations of read {at}");
        assert!(after.1 > before.1 || at == 0, "nothing was delivered of read {at}");
    }
}
