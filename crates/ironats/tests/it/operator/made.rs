//! Operator, accounts and users made by `nsc` 2.15: its `--nats-resolver` configuration, a pushed
//! account, its credentials files. The keys are good for nothing else.

use crate::{url, within};
use futures_lite::StreamExt;
use serde_json::Value;

async fn client(server: &ironats::Server, creds: &str) -> async_nats::Client {
    let options = async_nats::ConnectOptions::with_credentials(creds).unwrap();
    within(options.connect(url(server))).await.unwrap()
}

// Contract: AUTH-011, AUTH-012, AUTH-013, AUTH-019
#[tokio::test]
async fn what_nsc_made_works() {
    let dir = tempfile::tempdir().unwrap();
    let conf = include_str!("nsc/server.conf");
    let conf = conf.replace("DIRECTORY", &dir.path().join("jwt").display().to_string());
    let store = dir.path().join("js");
    let server = crate::server(&format!("{conf}\njetstream {{ store_dir: {store:?} }}"));
    let system = client(&server, include_str!("nsc/sys.creds")).await;
    let account = include_str!("nsc/acme.jwt").trim();
    // As `nsc push` does it.
    let pushed = system.request("$SYS.REQ.CLAIMS.UPDATE", account.into());
    let answer: Value = serde_json::from_slice(&within(pushed).await.unwrap().payload).unwrap();
    assert_eq!(answer["data"]["code"], 200, "{answer}");
    let alice = client(&server, include_str!("nsc/alice.creds")).await;
    let bob = client(&server, include_str!("nsc/bob.creds")).await;
    // The template of bob's signing key: `work.{{name()}}.>`, and answers.
    let mut work = alice.subscribe("work.>").await.unwrap();
    let info = within(alice.request("$JS.API.INFO", "".into())).await.unwrap();
    let info: Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(info["limits"]["max_streams"], 5, "{info}");
    for subject in ["work.alice.x", "other", "work.bob.x"] {
        bob.publish(subject, subject.into()).await.unwrap();
    }
    let first = within(work.next()).await.unwrap();
    assert_eq!(first.subject.as_str(), "work.bob.x");
    let asked = within(bob.request("$SYS.REQ.USER.INFO", "".into())).await;
    assert!(asked.is_err(), "bob may not publish there");
    let told = within(alice.request("$SYS.REQ.USER.INFO", "".into())).await.unwrap();
    let told: Value = serde_json::from_slice(&told.payload).unwrap();
    let data = &told["data"];
    assert_eq!(
        (&data["user_name"], &data["account_name"]),
        (&"alice".into(), &"ACME".into()),
        "{told}"
    );
}
