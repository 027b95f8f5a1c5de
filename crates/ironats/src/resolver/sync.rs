//! What a directory does from time to time: let tokens end, and compare itself with others.
//!
//! Reference: dirstore.go startExpiring; accounts.go DirAccResolver.Start (pack requests).
//! Contract: AUTH-019, AUTH-020.

use super::directory::Directory;
use node::system::{Context, OwnedRequest, Registration};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often ended tokens are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// Runs until the directory is not used any more.
pub(super) async fn run(directory: Weak<Directory>) {
    let mut tick = tokio::time::interval(EXPIRE_EVERY);
    let mut waited = Duration::ZERO;
    let mut listening: Option<(String, Registration)> = None;
    loop {
        tick.tick().await;
        let Some(directory) = directory.upgrade() else { return };
        directory.store.expire(directory.nanos());
        waited += EXPIRE_EVERY;
        if !directory.full || waited < directory.sync_every {
            continue;
        }
        waited = Duration::ZERO;
        if listening.is_none() {
            listening = listen(&directory);
        }
        if let Some((inbox, _)) = &listening {
            compare(&directory, inbox.clone());
        }
    }
}

/// Takes packages in.
fn listen(directory: &Arc<Directory>) -> Option<(String, Registration)> {
    let node = directory.node()?;
    let inbox = format!("$SYS._INBOX_.{}", nkeys::KeyPair::new_user().public_key());
    let taken = Arc::downgrade(directory);
    let registration = node.system().serve(&inbox, move |context, package| {
        if let Some(directory) = taken.upgrade() {
            merge(&directory, context, package);
        }
    });
    Some((inbox, registration))
}

fn compare(directory: &Arc<Directory>, inbox: String) {
    let Some(node) = directory.node() else { return };
    let ours = directory.store.hash();
    node.system().post(move |context| {
        stdx::debug!(
            context.node().log(),
            "DirResolver - Checking store state: {}",
            data_encoding::HEXLOWER.encode(&ours)
        );
        let Some(account) = context.system().account() else { return };
        let reply = Some(inbox.as_bytes());
        context.publish_in(&account, b"$SYS.REQ.CLAIMS.PACK", reply, b"", &ours);
    });
}

/// Keeps what is newer, and puts it in force.
fn merge(directory: &Directory, context: &mut Context<'_>, package: &OwnedRequest) {
    if package.payload.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(&package.payload);
    let node = context.node().clone();
    match directory.store.merge(&text, directory.nanos()) {
        Err(error) => {
            stdx::error!(node.log(), "DirResolver - Merging resulted in error: {error}");
        }
        Ok(keys) => {
            let Some(claims) = node.claims() else { return };
            for key in keys.iter().filter(|key| claims.has(key)) {
                let Some(token) = directory.store.load(key, directory.nanos()) else { continue };
                claims.update(key, token, OwnedRequest::default(), |key, outcome, context, _| {
                    if let Err(error) = outcome {
                        let log = context.node().log();
                        stdx::error!(log, "DirResolver - Update for {key} failed: {error}");
                    }
                });
            }
        }
    }
}
