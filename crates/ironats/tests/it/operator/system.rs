//! What the system account is told of users with tokens, and what they are told of themselves.

use super::house::{Account, House, Login, now};
use crate::within;
use futures_lite::StreamExt;
use nkeys::KeyPair;
use serde_json::Value;

fn json(message: &async_nats::Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

// Contract: SYS-002, SYS-017
#[tokio::test]
async fn what_a_token_says_is_told() {
    let (mut house, mut account) = (House::new(), Account::new("A"));
    let signing = KeyPair::new_account();
    account.claims.nats.signing_keys.0.insert(signing.public_key(), None);
    house.start(&house.memory(&[&account]));
    let operator = house.client(&Login::plain(&house.system)).await;
    let subject = format!("$SYS.ACCOUNT.{}.CONNECT", account.id());
    let mut events = operator.subscribe(subject).await.unwrap();
    operator.flush().await.unwrap();
    for bearer in [false, true] {
        let login = Login::of(&account, &signing, |claims| {
            claims.name = "ann".into();
            claims.expires = now() + 3600;
            claims.nats.tags = vec!["team:red".into()];
            claims.nats.limits.bearer_token = bearer;
        });
        let client = house.client(&login).await;
        let event = json(&within(events.next()).await.unwrap());
        let told = &event["client"];
        assert_eq!(told["acc"], account.id());
        assert_eq!(told["user"], login.key.public_key());
        assert_eq!(told["issuer_key"], signing.public_key());
        assert_eq!(told["tags"], serde_json::json!(["team:red"]));
        assert_eq!(told["name_tag"], "A");
        // A bearer's token is as good as the user's key.
        let shown = if bearer { Value::Null } else { login.jwt.clone().into() };
        assert_eq!(told["jwt"], shown);
        let request = client.request("$SYS.REQ.USER.INFO", "".into());
        let info = json(&within(request).await.unwrap());
        let user = &info["data"];
        assert_eq!(user["user"], login.key.public_key());
        assert_eq!(user["account"], account.id());
        assert_eq!((&user["account_name"], &user["user_name"]), (&"A".into(), &"ann".into()));
        let expires = user["expires"].as_i64().unwrap();
        assert!(expires % 1_000_000_000 == 0 && expires <= 3_600_000_000_000, "{expires}");
        assert!(expires > 3_000_000_000_000, "{expires}");
    }
}
