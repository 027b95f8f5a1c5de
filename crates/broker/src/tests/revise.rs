//! Sessions follow users, permissions and limits that change while they are connected.

use super::harness::*;
use crate::settings::Settings;
use auth::{AuthConfig, Authenticator, PermissionsConfig, SubjectPermission, User};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

fn house() -> House {
    House::new(&[account("A"), account("B")])
}

fn user(account: &str) -> User {
    User {
        name: format!("u-{account}"),
        password: auth::password::Secret::new("p"),
        account: account.into(),
        ..User::default()
    }
}

fn denied(subjects: &[&str]) -> Option<PermissionsConfig> {
    let deny = subjects.iter().map(|subject| (*subject).to_owned()).collect();
    let subscribe = SubjectPermission { deny, ..SubjectPermission::default() };
    Some(PermissionsConfig { subscribe, ..PermissionsConfig::default() })
}

impl House {
    /// Puts users in force, without waiting for anybody.
    fn set_users(&self, users: Vec<User>) {
        let config = AuthConfig { users, ..AuthConfig::default() };
        self.worker.broker.set_authenticator(Authenticator::new(config).unwrap());
        self.worker.broker.revise(NOW);
    }
}

impl Client {
    /// What its thread does when it is woken.
    fn wake(&mut self, house: &mut House) {
        if self.session.is_behind(&house.worker) {
            self.session.catch_up(&mut house.worker);
        }
        house.worker.flush_touched();
    }

    fn reason(&self) -> Option<&'static str> {
        self.session.conn.outbox.lock().closing().map(wire::error::CloseReason::text)
    }
}

// Contract: RELOAD-006
#[test]
fn users_that_are_gone_or_changed_are_closed() {
    let other_password = User { password: auth::password::Secret::new("q"), ..user("A") };
    let moved = User { account: "B".into(), ..user("A") };
    for (now, sent, reason) in [
        (user("A"), "", None),
        (user("B"), "", Some("Client Closed")),
        (moved, "", Some("Client Closed")),
        (other_password, "-ERR 'Authorization Violation'\n", Some("Authentication Failure")),
    ] {
        let mut house = house();
        let mut a = house.connect("A");
        house.set_users(vec![now]);
        a.wake(&mut house);
        assert_eq!((a.read().as_str(), a.reason()), (sent, reason));
    }
}

/// What a session reads after the change is not done with the rights from before it, even if
/// nobody woke the session.
#[test]
fn no_frame_takes_effect_before_the_session_caught_up() {
    let mut house = house();
    let (mut a, mut b) = (house.connect("A"), house.connect("A"));
    b.send(&mut house, "SUB x 1\r\n");
    let publish_denied = PermissionsConfig {
        publish: SubjectPermission { deny: vec!["x".into()], ..SubjectPermission::default() },
        ..PermissionsConfig::default()
    };
    house.set_users(vec![User { permissions: Some(publish_denied), ..user("A") }]);
    a.send(&mut house, &publish("x", "", "late"));
    assert_eq!(a.read(), "-ERR 'Permissions Violation for Publish to \"x\"'\n");
    assert_eq!(b.read(), "");
    house.set_users(vec![]);
    a.send(&mut house, &publish("y", "", "later"));
    assert_eq!(a.reason(), Some("Client Closed"));
    assert_eq!(b.read(), "");
}

// Contract: RELOAD-006
#[test]
fn subscriptions_that_are_not_allowed_any_more_end() {
    let mut house = house();
    let (mut a, mut b) = (house.connect("A"), house.connect("A"));
    b.send(&mut house, "SUB x 1\r\nSUB x.* 2\r\nSUB x q 3\r\nSUB y 4\r\n");
    house.set_users(vec![User { permissions: denied(&["x", "x.1"]), ..user("A") }]);
    b.wake(&mut house);
    assert_eq!(
        b.read(),
        "-ERR 'Permissions Violation for Subscription to \"x\" (sid \"1\")'\n\
         -ERR 'Permissions Violation for Subscription to \"x\" using queue \"q\" (sid \"3\")'\n"
    );
    a.wake(&mut house);
    for subject in ["x", "x.1", "x.2", "y"] {
        a.send(&mut house, &publish(subject, "", ""));
    }
    // The wildcard stays, without what is denied inside it.
    assert_eq!(b.read(), "MSG x.2 2 0\n\nMSG y 4 0\n\n");
    house.set_users(vec![user("A")]);
    b.wake(&mut house);
    a.send(&mut house, &publish("x.1", "", ""));
    assert_eq!(b.read(), "MSG x.1 2 0\n\n");
    b.send(&mut house, "SUB x 5\r\n");
    a.send(&mut house, &publish("x", "", ""));
    assert_eq!(b.read(), "MSG x 5 0\n\n");
}

/// Deliveries count on: a subscription that ends after so many messages does.
#[test]
fn a_subscription_that_stays_keeps_its_count() {
    let mut house = house();
    let (mut a, mut b) = (house.connect("A"), house.connect("A"));
    b.send(&mut house, "SUB x.* 1\r\nUNSUB 1 2\r\n");
    a.send(&mut house, &publish("x.2", "", ""));
    house.set_users(vec![User { permissions: denied(&["x.1"]), ..user("A") }]);
    b.wake(&mut house);
    for _ in 0..2 {
        a.send(&mut house, &publish("x.2", "", ""));
    }
    assert_eq!(b.read(), "MSG x.2 1 0\n\nMSG x.2 1 0\n\n");
}

// Contract: RELOAD-002
#[test]
fn limits_change_for_those_who_are_connected() {
    let mut house = house();
    let mut a = house.connect("A");
    let settings = Settings { max_payload: 3, max_control_line: 40, ..Settings::default() };
    house.worker.broker.set_settings(settings);
    house.worker.broker.revise(NOW);
    let mut longer = house.connect("A");
    a.send(&mut house, &publish("x", "", "1234"));
    assert_eq!(a.read(), "-ERR 'Maximum Payload Violation'\n");
    assert_eq!(a.reason(), Some("Maximum Message Payload Exceeded"));
    longer.send(&mut house, &format!("SUB {} 1\r\n", "x".repeat(60)));
    assert_eq!(longer.reason(), Some("Maximum Control Line Exceeded"));
}

// Contract: RELOAD-002
#[test]
fn connections_beyond_a_new_limit_are_closed() {
    let mut house = house();
    let clients: Vec<_> = (0..3).map(|_| house.connect("A")).collect();
    let settings = Settings { max_connections: Some(1), ..Settings::default() };
    house.worker.broker.set_settings(settings);
    assert_eq!(house.worker.broker.close_beyond_limit(), 2);
    let reasons: Vec<_> = clients.iter().map(Client::reason).collect();
    let exceeded = Some("Maximum Connections Exceeded");
    assert_eq!(reasons, [None, exceeded, exceeded]);
}

/// A login that was being verified is verified by those who are in force when it ends.
#[test]
fn a_slow_login_is_not_admitted_by_users_of_the_past() {
    let hash = "$2a$04$W8mnXUDIIJJZhzrhYE47HubQkqUsIpZQy/sT/VYr3IkbpXCqVlDwK";
    let mut house = house();
    let slow = User { password: auth::password::Secret::new(hash), ..user("A") };
    house.set_users(vec![slow]);
    let mut a = house.accept();
    a.send(&mut house, "CONNECT {\"user\":\"u-A\",\"pass\":\"p\",\"verbose\":false}\r\n");
    let login = a.session.take_slow_login().unwrap();
    house.set_users(vec![User { password: auth::password::Secret::new("q"), ..user("A") }]);
    let crate::session::Verified::Done(result) = login.run() else { panic!("nothing to wait for") };
    a.session.finish_login(*result, &mut house.worker);
    house.worker.flush_touched();
    assert_eq!(a.reason(), Some("Authentication Failure"));
}

/// Waiting ends when all have caught up, and not before.
#[test]
fn a_revision_waits_for_sessions() {
    let mut house = house();
    let mut a = house.connect("A");
    assert!(!house.worker.broker.revise(Duration::from_millis(1)));
    let broker = house.worker.broker.clone();
    let revision = broker.revision();
    let waiting = std::thread::spawn(move || broker.revise(Duration::from_secs(20)));
    while house.worker.broker.revision() == revision {
        std::thread::yield_now();
    }
    a.wake(&mut house);
    assert!(waiting.join().unwrap());
}
