//! When sessions want to be looked after.

use super::harness::*;
use std::time::Duration;
use stdx::time::Mono;

impl House {
    /// Lets the client's deadlines pass as they come, for so long; how many did.
    fn wait_with(&mut self, client: &mut Client, time: Duration) -> usize {
        let end = self.worker.now.mono + time;
        let mut passed = 0;
        while let Some(next) = client.session.next_deadline().filter(|next| *next < end) {
            assert!(passed < 100, "a deadline that does not pass: {next:?}");
            // A thread is woken at the time or later.
            let late = next.since(self.worker.now.mono) + Duration::from_micros(1);
            self.advance(late);
            client.session.on_timer(&mut self.worker);
            self.worker.flush_touched();
            passed += 1;
        }
        let rest = end.since(self.worker.now.mono);
        self.advance(rest);
        passed
    }
}

fn guarded() -> House {
    let house = House::new(&[account("A")]);
    let user = auth::User {
        name: "u-A".into(),
        password: auth::password::Secret::new("p"),
        account: "A".into(),
        permissions: None,
        connection_types: auth::ConnectionTypes::default(),
    };
    let config = auth::AuthConfig { users: vec![user], ..auth::AuthConfig::default() };
    house.worker.broker.set_authenticator(auth::Authenticator::new(config).unwrap());
    let mut settings = (*house.worker.broker.settings()).clone();
    settings.auth_timeout = Duration::from_secs(20);
    house.worker.broker.set_settings(settings);
    house
}

// Contract: CORE-023, CORE-036
#[test]
fn who_says_nothing_is_looked_after_once() {
    let mut house = guarded();
    let mut client = house.accept();
    // The first PING would have been due after some two seconds, but who may not speak gets none.
    assert_eq!(house.wait_with(&mut client, Duration::from_secs(19)), 0);
    assert_eq!(client.read(), "");
    assert_eq!(house.wait_with(&mut client, Duration::from_secs(2)), 1);
    assert_eq!(client.read(), "-ERR 'Authentication Timeout'\n");
    assert_eq!(client.session.next_deadline(), None::<Mono>, "nothing is due of who leaves");
}

// Contract: CORE-036
#[test]
fn who_came_in_is_asked_now_and_then() {
    let mut house = guarded();
    let mut client = house.connect("A");
    assert_eq!(house.wait_with(&mut client, Duration::from_secs(19)), 1);
    assert_eq!(client.read(), "PING\n");
}
