//! `thw.db` and `sched.db` handed over: only these files tell the times the tests wait for.

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use stdx::time::Timestamp;
use store::disk::real::RealDisk;
use store::{FileStore, NewMessage, Options, Settings};

use crate::peer::{Peer, binary, is_old};
use crate::swap::parse_time;

const SECOND: i64 = 1_000_000_000;
const FAR: &str = "2100-01-01T00:00:00Z";

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_nanos()).unwrap())
}

/// Asks for stream `S` until `done` says so.
async fn wait(peer: &Peer, what: &str, done: impl Fn(&serde_json::Value) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let info = peer.ok("STREAM.INFO.S", &json!({"subjects_filter": ">"})).await;
        if done(&info["state"]) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {}", info["state"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

// Contract: FSTORE-007, SCHED-011
#[tokio::test(flavor = "multi_thread")]
async fn deadlines_and_schedules_are_handed_over() {
    if binary().is_none() {
        return;
    }
    if is_old() {
        eprintln!("SKIPPED: servers before 2.10 know neither times to live nor schedules");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let peer = Peer::start(dir.path(), "").await;
    let config = json!({
        "name": "S", "subjects": ["s.>"], "storage": "file",
        "allow_msg_ttl": true, "allow_msg_schedules": true,
    });
    peer.ok("STREAM.CREATE.S", &config).await;
    peer.publish("s.ttl", &[("Nats-TTL", "1h")], b"an hour".to_vec()).await;
    let at = format!("@at {FAR}");
    let schedule = [("Nats-Schedule", at.as_str()), ("Nats-Schedule-Target", "s.fired")];
    peer.publish("s.schedule", &schedule, b"later".to_vec()).await;
    peer.stop();

    let settings = Settings {
        name: "S".into(),
        allow_msg_ttl: true,
        allow_schedules: true,
        ..Settings::default()
    };
    let path = dir.path().join("jetstream/$G/streams/S");
    let (mut store, recovery) =
        FileStore::open(RealDisk::new(path), settings, Options::default(), b"{}", now()).unwrap();
    assert!(recovery.from_index);
    let stored = store.load(1).unwrap().ts;
    assert_eq!(store.next_expiry(), Some(Timestamp(stored.0 + 3600 * SECOND)));
    assert_eq!(store.next_schedule(), Some(parse_time(FAR)));
    assert!(store.unscheduled().unwrap().is_empty(), "the file covers every schedule");

    // The header says an hour, the wheel three seconds: only the wheel is asked.
    let header = b"NATS/1.0\r\nNats-TTL: 1h\r\n\r\n";
    let message = NewMessage { ttl: 3, ..NewMessage::new(b"s.soon", header, b"") };
    store.append(&message, now()).unwrap();
    store.reschedule(b"s.schedule", Timestamp(now().0 + 3 * SECOND));
    store.close().unwrap();
    drop(store);

    let peer = Peer::start(dir.path(), "").await;
    wait(&peer, "the message expires", |s| s["subjects"].get("s.soon").is_none()).await;
    wait(&peer, "the schedule fires", |s| s["subjects"].get("s.fired").is_some()).await;
    wait(&peer, "the other stays", |s| s["subjects"]["s.ttl"] == 1).await;
    peer.stop();
}
