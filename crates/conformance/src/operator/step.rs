//! Steps of a conversation, and how a seed chooses them.

use std::fmt;

use nkeys::KeyPair;
use serde_json::{Value, json};

use super::people::{self, FILTERS, SUBJECTS};
use super::world::{World, claims, token};
use crate::random::Random;

/// Connections that are open at a time.
pub(super) const SLOTS: usize = 6;

/// How a login signs the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    Good,
    Missing,
    /// By another key.
    Wrong,
    /// Bytes that are no signature.
    Garbage,
}

/// One step.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A connection logs in; one that is there goes.
    Enter { slot: usize, user: usize, signature: Signature, more: Value },
    /// A connection goes.
    Leave { slot: usize },
    /// Bytes that a connection sends.
    Say { slot: usize, bytes: String },
    /// A question of the system account's user; asked again before its answers count as different
    /// if it changes nothing.
    Ask { subject: String, body: String, label: String, changes: bool },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enter { slot, user, signature, more } => {
                write!(f, "  enter {slot} u{user} {signature:?} {more}")
            }
            Self::Leave { slot } => write!(f, "  leave {slot}"),
            Self::Say { slot, bytes } => write!(f, "  {slot} says {bytes:?}"),
            Self::Ask { subject, body, label, .. } => {
                write!(f, "  ask {subject} {body:.300} {label}")
            }
        }
    }
}

/// Chooses the next step.
pub(super) fn next(r: &mut Random, world: &mut World, serial: usize) -> Step {
    let slot = r.below(SLOTS as u64) as usize;
    match r.below(100) {
        0..28 => enter(r, world, slot),
        28..30 => Step::Leave { slot },
        30..42 => subscribe(r, slot, serial),
        42..64 => publish(r, slot, serial),
        64..66 => {
            let id = world.accounts[1 + r.below(3) as usize].id();
            let subject = match r.below(4) {
                0 => format!("$SYS.REQ.ACCOUNT.{id}.CONNS"),
                1 => "$SYS.REQ.ACCOUNT.PING.CONNZ".to_owned(),
                _ => "$SYS.REQ.USER.INFO".to_owned(),
            };
            Step::Say { slot, bytes: format!("SUB in.i {serial}\r\nPUB {subject} in.i 0\r\n\r\n") }
        }
        66..88 => push(r, world, serial),
        88..90 => delete(r, world),
        _ => question(r, world),
    }
}

fn enter(r: &mut Random, world: &mut World, slot: usize) -> Step {
    let user = if world.users.len() < 4 || r.one_in(2) {
        people::user(r, world)
    } else {
        r.below(world.users.len() as u64) as usize
    };
    let signature = match r.below(24) {
        0 => Signature::Missing,
        1 => Signature::Wrong,
        2 => Signature::Garbage,
        _ => Signature::Good,
    };
    let mut more = json!({});
    match r.below(24) {
        0 => more["nkey"] = world.users[user].key.public_key().into(),
        1 => more["user"] = "joe".into(),
        2 => (more["user"], more["pass"]) = ("joe".into(), "secret".into()),
        3 => more["auth_token"] = "t0ken".into(),
        4 => (more["nkey"], more["user"]) = (world.users[0].key.public_key().into(), "joe".into()),
        5 => more["jwt"] = "".into(),
        6 => more["jwt"] = "nonsense".into(),
        7 => more["jwt"] = json!(format!("{}x", world.users[user].jwt)),
        8 => more["verbose"] = true.into(),
        9 => (more["jwt"], more["user"]) = ("".into(), "joe".into()),
        10 => more["name"] = "somebody".into(),
        _ => {}
    }
    Step::Enter { slot, user, signature, more }
}

fn subscribe(r: &mut Random, slot: usize, serial: usize) -> Step {
    let filter = r.of(FILTERS);
    let bytes = match r.below(5) {
        0 => format!("SUB {filter} q {serial}\r\n"),
        1 => format!("SUB {filter} q.1 {serial}\r\n"),
        2 => format!("UNSUB {}\r\n", serial.saturating_sub(1 + r.below(9) as usize)),
        _ => format!("SUB {filter} {serial}\r\n"),
    };
    Step::Say { slot, bytes }
}

fn publish(r: &mut Random, slot: usize, serial: usize) -> Step {
    let subject = r.of(SUBJECTS);
    let payload = r.of(&["", "one", "twelve bytes", "this one is longer than twenty bytes"]);
    let length = payload.len();
    let bytes = match r.below(8) {
        // Asks, and hears the answer.
        0..4 => {
            let asked = r.of(&["svc.x", "svc.y", "imp.x", "to.x", subject]);
            format!("SUB in.{serial} {serial}\r\nPUB {asked} in.{serial} {length}\r\n{payload}\r\n")
        }
        4 => {
            let head = "NATS/1.0\r\nNats-Trace-Dest: tr\r\n\r\n";
            let (head_length, all) = (head.len(), head.len() + length);
            format!("HPUB {subject} {head_length} {all}\r\n{head}{payload}\r\n")
        }
        _ => format!("PUB {subject} {length}\r\n{payload}\r\n"),
    };
    Step::Say { slot, bytes }
}

/// An account's token is pushed.
fn push(r: &mut Random, world: &mut World, serial: usize) -> Step {
    let at = 1 + r.below(3) as usize;
    let mut label = format!("{}:", world.accounts[at].name);
    for _ in 0..=r.below(2) {
        label.push_str(&format!(" {}", people::change(r, world, at)));
    }
    // Every token is later than the one before.
    let issued = world.now - 100 + serial as i64;
    let mut jwt = world.account_token(at, issued);
    match r.below(30) {
        0..4 if world.keeps => {}
        0 => {
            jwt = world.account_token_by(&world.stranger, at, issued);
            label.push_str(" by a stranger");
        }
        1 => {
            jwt = world.account_token_by(&world.operator, at, issued);
            label.push_str(" by the operator's own key");
        }
        2 => {
            jwt = world.account_token_by(&world.signing, at, issued);
            label.push_str(" by the operator's signing key");
        }
        3 => {
            jwt = world.account_token_by(&world.accounts[at].key, at, issued);
            label.push_str(" by itself");
        }
        4 => jwt = "nonsense".into(),
        5 => jwt = String::new(),
        6 => jwt = world.users[0].jwt.clone(),
        7 => jwt.push('x'),
        _ => {}
    }
    let whose = if r.one_in(20) { 1 + at % 3 } else { at };
    let id = world.accounts[whose].id();
    let subject = match r.below(3) {
        0 => "$SYS.REQ.CLAIMS.UPDATE".to_owned(),
        1 => format!("$SYS.ACCOUNT.{id}.CLAIMS.UPDATE"),
        _ => format!("$SYS.REQ.ACCOUNT.{id}.CLAIMS.UPDATE"),
    };
    Step::Ask { subject, body: jwt, label, changes: true }
}

fn delete(r: &mut Random, world: &World) -> Step {
    let at = r.below(4) as usize;
    let accounts = match r.below(6) {
        0 => json!([]),
        1 => json!(["nobody"]),
        2 => json!("A"),
        _ => json!([world.accounts[at].id()]),
    };
    let by: &KeyPair = match r.below(5) {
        0 => &world.stranger,
        1 => &world.operator,
        _ => world.vouching(),
    };
    let id = by.public_key();
    let subject = if r.one_in(8) { world.operator.public_key() } else { id.clone() };
    let body = json!({"accounts": accounts});
    let jwt = token(by, &claims("generic", &id, &subject, world.now, &body, &json!({})));
    Step::Ask {
        subject: "$SYS.REQ.CLAIMS.DELETE".into(),
        body: jwt,
        label: format!("{accounts}"),
        changes: true,
    }
}

fn question(r: &mut Random, world: &World) -> Step {
    let id = world.accounts[1 + r.below(3) as usize].id();
    let account = |what: &str| (format!("$SYS.REQ.ACCOUNT.{id}.{what}"), String::new());
    let ping = |what: &str, body: Value| (format!("$SYS.REQ.SERVER.PING.{what}"), body.to_string());
    let (subject, body) = match r.below(16) {
        0..3 => account("CLAIMS.LOOKUP"),
        3 => ("$SYS.REQ.CLAIMS.LIST".to_owned(), String::new()),
        4..6 => ("$SYS.REQ.CLAIMS.PACK".to_owned(), "x".repeat(32)),
        6 => account("CONNZ"),
        7 => account("SUBSZ"),
        8 | 9 => account("INFO"),
        10 => account("CONNS"),
        11 => account("JSZ"),
        12 => (
            "$SYS.REQ.ACCOUNT.PING.STATZ".to_owned(),
            json!({"accounts": [id], "include_unused": r.one_in(2)}).to_string(),
        ),
        13 => ping("ACCOUNTZ", json!({"account": id})),
        14 => ping("CONNZ", json!({"auth": true, "acc": id, "sort": "cid"})),
        _ => ping("CONNZ", json!({"auth": true, "state": 1, "acc": id, "limit": 3})),
    };
    Step::Ask { subject, body, label: String::new(), changes: false }
}
