//! Limits of accounts.

use super::harness::*;
use crate::account::AccountDefinition;
use crate::account::definition::LimitsDefinition;
use crate::outbox::Pool;

fn limited() -> House {
    let limits = LimitsDefinition {
        connections: Some(2),
        subscriptions: Some(2),
        payload: Some(10),
        leafnodes: None,
    };
    House::new(&[AccountDefinition { limits, ..account("A") }, account("B")])
}

// Contract: ACC-004, CORE-035
#[test]
fn an_account_has_so_many_clients() {
    let mut house = limited();
    let mut first = house.connect("A");
    let _second = house.connect("A");
    for line in ["CONNECT {\"verbose\":false}\r\n", "SUB x 1\r\n", "PUB x 0\r\n\r\n"] {
        let mut third = house.accept();
        third.send(&mut house, &[line, "PING\r\n"].concat());
        assert_eq!(third.read(), "-ERR 'maximum account active connections exceeded'\n");
        let reason = third.session.conn.outbox.lock().closing().map(wire::error::CloseReason::text);
        assert_eq!(reason, Some("Maximum Account Connections Exceeded"));
        third.end(&mut house);
    }
    house.connect("B");
    first.end(&mut house);
    let mut third = house.connect("A");
    third.send(&mut house, "PING\r\n");
    assert_eq!(third.read(), "PONG\n");
}

// Contract: ACC-004, CORE-032, CORE-059
#[test]
fn a_connection_has_so_many_subscriptions_and_such_payloads() {
    let mut house = limited();
    let mut a = house.accept();
    a.send(&mut house, "CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    assert!(a.read().contains("\"max_payload\":10,"));
    a.send(&mut house, "SUB x 1\r\nSUB y 2\r\nSUB z 3\r\n");
    assert_eq!(a.read(), "-ERR 'maximum subscriptions exceeded'\n");
    a.send(&mut house, "UNSUB 1\r\nSUB z 3\r\n");
    a.send(&mut house, &publish("z", "", "0123456789"));
    assert_eq!(a.read(), "MSG z 3 10\n0123456789\n");
    a.send(&mut house, &publish("z", "", "0123456789X"));
    assert_eq!(a.read(), "-ERR 'Maximum Payload Violation'\n");
    let mut b = house.connect("B");
    b.send(&mut house, "SUB x 1\r\nSUB y 2\r\nSUB z 3\r\n");
    b.send(&mut house, &publish("z", "", "0123456789X"));
    assert_eq!(b.read(), "MSG z 3 11\n0123456789X\n");
}

// Contract: ACC-004, CORE-035
#[test]
fn a_limit_that_falls_closes_the_latest_clients() {
    let limit = |connections| LimitsDefinition { connections, ..LimitsDefinition::default() };
    let define = |connections| {
        [AccountDefinition { limits: limit(connections), ..account("A") }, account("B")]
    };
    let mut house = House::new(&define(None));
    let mut clients: Vec<Client> = (0..3).map(|_| house.connect("A")).collect();
    let other = house.connect("B");
    let broker = house.worker.broker.clone();
    broker.define_accounts(&define(Some(1))).unwrap();
    for client in &mut clients {
        house.worker.flush_touched();
        client.send(&mut house, "PING\r\n");
        crate::outbox::flush(&client.session.conn, &mut Default::default(), &mut Pool::default());
    }
    let refused = "-ERR 'maximum account active connections exceeded'\n";
    let said: Vec<String> = clients.iter().map(Client::read).collect();
    assert_eq!(said, ["PONG\n", refused, refused]);
    assert!(!other.session.conn.is_closed());
    // The same again closes nobody: those on their way out do not count.
    broker.define_accounts(&define(Some(1))).unwrap();
    assert!(!clients[0].session.conn.is_closed());
    clients.drain(1..).for_each(|mut client| client.end(&mut house));
    clients[0].end(&mut house);
    let mut next = house.connect("A");
    next.send(&mut house, "PING\r\n");
    assert_eq!(next.read(), "PONG\n");
}

#[test]
fn a_client_with_very_many_subscriptions_ends_in_parts() {
    let mut house = House::new(&[account("A")]);
    let (mut holder, mut other) = (house.connect("A"), house.connect("A"));
    let lines: String = (0..10_000).map(|n| format!("SUB many.{n} {n}\r\n")).collect();
    holder.send(&mut house, &lines);
    let interest = house.worker.broker.account("A").unwrap();
    assert_eq!(interest.subscriptions(), 10_000);
    let mut turns = 0;
    loop {
        turns += 1;
        let ended = holder.session.end_some(&mut house.worker);
        // From the first turn on nothing is delivered any more.
        other.send(&mut house, &publish("many.9999", "", "x"));
        assert_eq!(holder.read(), "");
        if ended {
            break;
        }
        assert!(interest.subscriptions() > 0);
    }
    assert_eq!(turns, 3);
    assert_eq!(interest.subscriptions(), 0);
}

#[test]
fn a_peer_that_is_gone_is_owed_nothing() {
    let mut house = limited();
    let mut client = house.accept();
    client.session.conn.outbox.lock().attach(std::sync::Arc::new(Gone));
    client.send(&mut house, "FOO\r\n");
    let out = client.session.conn.outbox.lock();
    // The reason stays the first; whoever ends the connection has nothing to wait for.
    assert_eq!(out.closing().map(wire::error::CloseReason::text), Some("Protocol Violation"));
    assert_eq!(out.pending(), 0);
}

#[test]
fn refused_messages_count_as_received() {
    use crate::stats::Traffic;
    let mut house = limited();
    let mut client = house.connect("A");
    let account = house.worker.broker.account("A").unwrap();
    let before = (account.counters.totals().0, house.worker.broker.counters.totals().0);
    client.send(&mut house, "PUB $NRG.V.x 4\r\n1234\r\n");
    assert!(client.read().starts_with("-ERR 'Permissions Violation"));
    let grown = |was: Traffic, is: Traffic| (is.msgs - was.msgs, is.bytes - was.bytes);
    assert_eq!(grown(before.0, account.counters.totals().0), (1, 4));
    assert_eq!(grown(before.1, house.worker.broker.counters.totals().0), (1, 4));
}
