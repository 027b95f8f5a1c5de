//! Traces: who is told of what, without sockets.

use super::harness::{House, account, publish_with};
use crate::account::AccountDefinition;
use crate::tracing::{Herald, Report, TraceTarget};
use parking_lot::Mutex;
use std::sync::Arc;

#[derive(Default)]
struct Reports(Mutex<Vec<(String, String)>>);

impl Herald for Reports {
    fn publish(&self, report: Report) {
        let dest = String::from_utf8_lossy(&report.dest).into_owned();
        self.0.lock().push((dest, report.members));
    }
}

impl Reports {
    fn of(house: &House) -> Arc<Self> {
        let reports = Arc::new(Self::default());
        house.worker.broker.set_herald(reports.clone());
        reports
    }

    /// How many went where, since the last look.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock()).into_iter().map(|(dest, _)| dest).collect()
    }
}

fn sampled(percent: u8) -> AccountDefinition {
    let trace = TraceTarget { subject: "tr".into(), sampling: percent };
    AccountDefinition { trace: Some(trace), ..account("A") }
}

const PARENT: &str = "traceparent: 00-a-b-01\r\n";

// Contract: TRACE-006
#[test]
fn a_share_of_the_messages_with_a_traceparent_is_traced() {
    for (percent, least, most) in [(1, 1, 40), (30, 200, 400), (100, 1000, 1000)] {
        let mut house = House::new(&[sampled(percent)]);
        let reports = Reports::of(&house);
        let mut client = house.connect("A");
        client.send(&mut house, "SUB a 1\r\n");
        let message = publish_with("a", "", PARENT, "x");
        let mut traced = 0;
        for _ in 0..1000 {
            client.send(&mut house, &message);
            let told = reports.take();
            let got = client.read();
            // Servers behind this one must not throw dice again.
            let disabled = got.contains("Nats-Trace-Dest: trace disabled\n");
            assert_eq!(told, if disabled { vec![] } else { vec!["tr"] });
            assert!(got.contains("traceparent: 00-a-b-01\n") && got.ends_with("\nx\n"), "{got}");
            traced += told.len();
        }
        assert!((least..=most).contains(&traced), "{percent} %: {traced}");
    }
}

// Contract: TRACE-006
#[test]
fn the_account_may_change_where_it_is_traced() {
    let mut house = House::new(&[sampled(100)]);
    let reports = Reports::of(&house);
    let mut client = house.connect("A");
    let message = publish_with("a", "", PARENT, "x");
    client.send(&mut house, &message);
    assert_eq!(reports.take(), ["tr"]);
    house.worker.broker.define_accounts(&[account("A")]).map(|_| ()).unwrap();
    client.send(&mut house, &message);
    assert!(reports.take().is_empty());
    // Accounts of tokens are defined one by one.
    assert!(house.worker.broker.redefine_accounts(&[sampled(100)]).is_empty());
    client.send(&mut house, &message);
    assert_eq!(reports.take(), ["tr"]);
}

// Contract: TRACE-001, TRACE-002
#[test]
fn without_anybody_to_tell_messages_go_their_way() {
    let mut house = House::new(&[account("A")]);
    let mut client = house.connect("A");
    client.send(&mut house, "SUB a 1\r\n");
    client.send(&mut house, &publish_with("a", "", "Nats-Trace-Dest: tr\r\n", "x"));
    assert!(client.read().ends_with("Nats-Trace-Dest: tr\n\nx\n"));
    let only = "Nats-Trace-Dest: tr\r\nNats-Trace-Only: 1\r\n";
    client.send(&mut house, &publish_with("a", "", only, "x"));
    assert_eq!(client.read(), "");
}

// Contract: TRACE-001
#[test]
fn messages_before_and_after_keep_their_order() {
    let mut house = House::new(&[account("A")]);
    let reports = Reports::of(&house);
    let mut client = house.connect("A");
    client.send(&mut house, "SUB a 1\r\n");
    let traced = publish_with("a", "", "Nats-Trace-Dest: tr\r\n", "2");
    client.send(&mut house, &format!("PUB a 1\r\n1\r\n{traced}PUB a 1\r\n3\r\n"));
    let payloads: Vec<_> =
        client.read().lines().filter(|line| line.len() == 1).map(str::to_owned).collect();
    assert_eq!(payloads, ["1", "2", "3"]);
    assert_eq!(reports.take(), ["tr"]);
}
