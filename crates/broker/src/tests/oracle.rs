//! One authorisation point: random users, permissions, subscriptions and ways of a message, against
//! a reference that knows nothing of tries, caches, runs and queues.
//!
//! A run by hand: `IRONATS_ACL_CASES=1000000 IRONATS_ACL_SEED=1 cargo test -p ironats-broker oracle`.
//! Laws: a case is one message and every subscription it could reach; what the reference allows
//!       arrives, and nothing else does.

use super::harness::{Client, House, account, service, stream, use_service, use_stream};
use crate::account::definition::Rename;
use crate::broker::Broker;
use crate::settings::Settings;
use crate::tracing::{Herald, Report};
use crate::worker::Worker;
use auth::{PermissionsConfig, ResponsePermission, SubjectPermission};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::log::Log;
use stdx::time::{Mono, Now, Timestamp};
use wire::info::Info;

/// The reference: permissions as their documentation tells them.
mod reference {
    use super::{PermissionsConfig, Sub};

    /// Whether `pattern` matches `subject`, whose own wildcards are text; `>` counts for one token
    /// that `*` matches unless `strict`.
    fn fits(pattern: &[&str], subject: &[&str], strict: bool) -> bool {
        match (pattern, subject) {
            ([], []) => true,
            ([">"], [_, ..]) => true,
            (["*", p @ ..], [token, s @ ..]) => {
                !(strict && *token == ">" && s.is_empty()) && fits(p, s, strict)
            }
            ([a, p @ ..], [b, s @ ..]) => a == b && fits(p, s, strict),
            _ => false,
        }
    }

    fn covers(pattern: &str, subject: &str, strict: bool) -> bool {
        let pattern: Vec<&str> = pattern.split('.').collect();
        let subject: Vec<&str> = subject.split('.').collect();
        fits(&pattern, &subject, strict)
    }

    pub(super) fn matches(filter: &str, subject: &str) -> bool {
        covers(filter, subject, false)
    }

    pub(super) fn may_publish(p: &PermissionsConfig, subject: &str) -> bool {
        let any = |list: &[String]| list.iter().any(|entry| matches(entry, subject));
        let all = p.publish.allow.is_empty() && p.responses.is_none();
        (all || any(&p.publish.allow)) && !any(&p.publish.deny)
    }

    /// The subject of an entry of a subscribe list, and its queue.
    fn entry(text: &str) -> (&str, Option<&str>) {
        text.split_once(' ').map_or((text, None), |(subject, queue)| (subject, Some(queue)))
    }

    /// Whether a message on `subject` is kept from a subscription in `queue`.
    pub(super) fn is_denied(p: &PermissionsConfig, subject: &str, queue: Option<&str>) -> bool {
        p.subscribe.deny.iter().map(|text| entry(text)).any(|(pattern, of)| {
            let concerns = of.is_none_or(|of| queue.is_some_and(|queue| matches(of, queue)));
            concerns && matches(pattern, subject)
        })
    }

    pub(super) fn may_subscribe(p: &PermissionsConfig, sub: &Sub) -> bool {
        let allow: Vec<_> = p.subscribe.allow.iter().map(|text| entry(text)).collect();
        let queue = sub.queue.as_deref();
        // Members of queues go by the entries with queues, if one of those speaks of the subject.
        let spoken_of = |(pattern, of): &(&str, Option<&str>)| {
            of.is_some() && covers(pattern, &sub.filter, false)
        };
        let by_queue = queue.filter(|_| allow.iter().any(spoken_of));
        let allowed = allow.iter().any(|(pattern, of)| {
            covers(pattern, &sub.filter, true)
                && match by_queue {
                    Some(queue) => of.is_some_and(|of| matches(of, queue)),
                    None => of.is_none(),
                }
        });
        (allow.is_empty() || allowed) && !is_denied(p, &sub.filter, queue)
    }

    /// Whether a subscription that was accepted gets a message.
    pub(super) fn gets(p: &PermissionsConfig, sub: &Sub, subject: &str) -> bool {
        matches(&sub.filter, subject) && !is_denied(p, subject, sub.queue.as_deref())
    }
}

struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % below
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.next(n) == 0
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.next(all.len())]
    }

    /// Where a subject begins decides which way a message takes.
    fn subject(&mut self) -> String {
        let len = 1 + self.next(3);
        (0..len).map(|_| self.of(&["a", "b", "c"])).collect::<Vec<_>>().join(".")
    }

    fn filter(&mut self) -> String {
        let roots = ["a", "b", "c", "im", "sv", "*", "_R_"];
        let mut tokens = vec![self.of(&roots)];
        for _ in 0..self.next(3) {
            tokens.push(self.of(&["a", "b", "c", "*"]));
        }
        if self.one_in(3) {
            tokens.push(">");
        } else if self.one_in(10) {
            tokens = vec![">"];
        }
        tokens.join(".")
    }

    fn list(&mut self, queues: bool) -> Vec<String> {
        let entries = self.next(4);
        (0..entries)
            .map(|_| match queues && self.one_in(3) {
                true => format!("{} {}", self.filter(), self.of(&["q", "q.a", "q.*", ">", "*"])),
                false => self.filter(),
            })
            .collect()
    }

    fn permissions(&mut self) -> PermissionsConfig {
        let allow = |dice: &mut Self, queues| match dice.one_in(2) {
            true => Vec::new(),
            false => dice.list(queues),
        };
        PermissionsConfig {
            publish: SubjectPermission { allow: allow(self, false), deny: self.list(false) },
            subscribe: SubjectPermission { allow: allow(self, true), deny: self.list(true) },
            responses: self.one_in(3).then(ResponsePermission::default),
        }
    }
}

struct Sub {
    filter: String,
    queue: Option<String>,
}

struct User {
    permissions: PermissionsConfig,
    /// Reply subjects it was asked to answer on, and has not.
    asked: BTreeSet<String>,
    client: Client,
    /// Accepted ones by sid.
    subs: BTreeMap<String, Sub>,
}

/// Subject, sid and reply.
type Message = (String, String, Option<String>);

/// What a client was sent; errors are counted.
#[derive(Default)]
struct Got {
    messages: Vec<Message>,
    errors: usize,
}

#[derive(Default)]
struct Reports(Mutex<Vec<String>>);

impl Herald for Reports {
    fn publish(&self, report: Report) {
        self.0.lock().push(String::from_utf8_lossy(&report.dest).into_owned());
    }
}

struct World {
    house: House,
    reports: Arc<Reports>,
    /// Two in account A, one in B.
    users: Vec<User>,
    cases: usize,
    /// Where whoever asked is told that nobody has its request.
    inbox: Option<String>,
}

/// The user and account of each client.
const USERS: [(&str, &str); 3] = [("p", "A"), ("s", "A"), ("i", "B")];
const P: usize = 0;
const S: usize = 1;
const I: usize = 2;

impl World {
    fn new(dice: &mut Dice) -> Self {
        let permissions: Vec<_> = USERS.iter().map(|_| dice.permissions()).collect();
        let users = USERS.iter().zip(&permissions).map(|((name, account), may)| auth::User {
            name: (*name).into(),
            password: auth::password::Secret::new("p"),
            account: (*account).into(),
            permissions: Some(may.clone()),
            connection_types: auth::ConnectionTypes::default(),
        });
        let config = auth::AuthConfig { users: users.collect(), ..auth::AuthConfig::default() };
        let authenticator = auth::Authenticator::new(config).unwrap();
        let info = Info { headers: true, ..Info::default() };
        let broker = Broker::new(Settings::default(), info, authenticator, Log::discard(), 1);
        let exporter = account("A").export(stream("a.>")).export(service("b.>"));
        let prefix = Rename::Prefix("im".into());
        let importer = account("B")
            .import(use_stream("A", "a.>", prefix))
            .import(use_service("A", "b.>", "sv.>"));
        broker.define_accounts(&[exporter, importer]).map(|_| ()).unwrap();
        let reports = Arc::new(Reports::default());
        broker.set_herald(reports.clone());
        let now = Now { mono: Mono(1_000_000_000), wall: Timestamp(1_795_219_200_000_000_000) };
        let worker = Worker::new(0, Arc::new(broker), now, |bytes| bytes.fill(7));
        let mut house = House { worker };
        let users = USERS.iter().zip(permissions).map(|((name, _), permissions)| {
            let mut client = house.accept();
            let login = format!(
                "CONNECT {{\"headers\":true,\"no_responders\":true,\"verbose\":false,\
                 \"user\":\"{name}\",\"pass\":\"p\"}}\r\nPING\r\n"
            );
            client.send(&mut house, &login);
            assert!(client.read().ends_with("PONG\n"));
            User { permissions, asked: BTreeSet::new(), client, subs: BTreeMap::new() }
        });
        let users = users.collect();
        Self { house, reports, users, cases: 0, inbox: None }
    }

    /// What a client was sent since the last look.
    fn read(&mut self, user: usize) -> Got {
        let mut got = Got::default();
        let text = self.users[user].client.read();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["-ERR", ..] => got.errors += 1,
                ["MSG" | "HMSG", subject, sid, rest @ ..] => {
                    let sizes = if words[0] == "MSG" { 1 } else { 2 };
                    let reply = (rest.len() > sizes).then(|| rest[0].to_owned());
                    if self.users[user].permissions.responses.is_some() {
                        self.users[user].asked.extend(reply.clone());
                    }
                    got.messages.push(((*subject).to_owned(), (*sid).to_owned(), reply));
                }
                _ => {}
            }
        }
        got
    }

    fn send(&mut self, user: usize, bytes: &str) {
        self.users[user].client.send(&mut self.house, bytes);
    }

    fn subscribe(&mut self, user: usize, dice: &mut Dice) {
        for sid in 0..1 + dice.next(4) {
            let queue = dice.one_in(2).then(|| dice.of(&["q", "q.a", "r"]).to_owned());
            let sub = Sub { filter: dice.filter(), queue };
            let queue = sub.queue.as_deref().unwrap_or_default();
            self.send(user, &format!("SUB {} {queue} {sid}\r\n", sub.filter));
            let accepted = self.read(user).errors == 0;
            let expected = reference::may_subscribe(&self.users[user].permissions, &sub);
            assert_eq!(accepted, expected, "SUB {} {queue}: {:?}", sub.filter, self.may(user));
            if accepted {
                self.users[user].subs.insert(sid.to_string(), sub);
            }
            self.cases += 1;
        }
    }

    fn may(&self, user: usize) -> &PermissionsConfig {
        &self.users[user].permissions
    }

    /// Whether a message is let through; one to a reply subject uses that up.
    // Compat(SUBJ-008): who was asked may answer once, denied or not.
    fn lets_through(&mut self, user: usize, subject: &str) -> bool {
        let user = &mut self.users[user];
        reference::may_publish(&user.permissions, subject) || user.asked.remove(subject)
    }

    fn describe(&self) -> String {
        let subs = |user: &User| {
            let all = user.subs.iter();
            let all = all.map(|(sid, sub)| format!("{sid}: {} {:?}", sub.filter, sub.queue));
            all.collect::<Vec<_>>().join(", ")
        };
        let users = self.users.iter();
        users.map(|user| format!("{:?} with {}\n", user.permissions, subs(user))).collect()
    }

    /// Holds what came of a message against the reference, once it was or was not let through:
    /// `among` are those in whose accounts it is, and under which subject.
    fn compare(&mut self, among: &[(usize, &str)], let_through: bool) -> Vec<Got> {
        let all: Vec<Got> = among.iter().map(|(user, _)| self.read(*user)).collect();
        // By queue: how many of its members got it, and how many could.
        let mut queues: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for ((user, subject), got) in among.iter().zip(&all) {
            let user = &self.users[*user];
            for (sid, sub) in &user.subs {
                let could = let_through && reference::gets(&user.permissions, sub, subject);
                let is_it = |(shown, to, _): &&Message| to == sid && shown == subject;
                let count = got.messages.iter().filter(is_it).count();
                let what =
                    || format!("{subject} {} {:?}\n{}", sub.filter, sub.queue, self.describe());
                assert!(could || count == 0, "got {}", what());
                if let Some(queue) = &sub.queue {
                    let counts = queues.entry(queue).or_default();
                    counts.0 += count;
                    counts.1 += usize::from(could);
                } else {
                    assert_eq!(count, usize::from(could), "{}", what());
                }
            }
            for (shown, sid, _) in &got.messages {
                let known = shown == subject || self.inbox.as_ref() == Some(shown);
                assert!(user.subs.contains_key(sid) && known, "{subject}: {shown}");
            }
        }
        for (queue, (got, could)) in queues {
            // One member, whichever filters they have and whoever imports.
            let text = || format!("{queue}: {got} of {could}\n{}", self.describe());
            assert_eq!(got, could.min(1), "{:?} {}", among, text());
        }
        all
    }

    /// The same for a message in account A.
    fn compare_in_a(&mut self, subject: &str, let_through: bool) -> Vec<Got> {
        let imported = format!("im.{subject}");
        let crosses = subject.starts_with("a.");
        let among = [(P, subject), (S, subject), (I, imported.as_str())];
        self.compare(if crosses { &among } else { &among[..2] }, let_through)
    }

    fn live(&mut self, dice: &mut Dice) {
        let subject = dice.subject();
        let allowed = self.lets_through(P, &subject);
        self.send(P, &format!("PUB {subject} 1\r\nx\r\n"));
        self.compare_in_a(&subject, allowed);
    }

    /// What streams deliver and republish: nobody publishes it but the server.
    fn inside(&mut self, dice: &mut Dice) {
        let subject = dice.subject();
        let account = self.house.worker.broker.account("A").unwrap();
        self.house.worker.publish(&account, subject.as_bytes(), None, b"", b"x");
        self.house.worker.flush_touched();
        self.compare_in_a(&subject, true);
    }

    /// What JetStream delivers: to the subject of a push consumer, to the inbox of a pull, a direct
    /// get or a watch, or on a republished or mirrored subject; its receivers see the subject that
    /// was stored, and what they are denied is where it goes.
    fn stored(&mut self, dice: &mut Dice) {
        let (to, stored) = (dice.subject(), dice.subject());
        let (push, headers) = (dice.one_in(2), dice.one_in(2));
        let reply = push.then_some("$JS.ACK.S.C.1.1.1.1.0");
        let header = if headers { "NATS/1.0\r\nNats-Stream: S\r\n\r\n" } else { "" };
        let data = bytes::Bytes::from(format!("{header}x"));
        let inside = crate::dispatch::Inside {
            to: to.as_bytes(),
            shown: (stored != to).then_some(stored.as_bytes()),
            reply: reply.map(str::as_bytes),
            body: 0..data.len(),
            data: &data,
            header_len: header.len(),
        };
        let account = self.house.worker.broker.account("A").unwrap();
        let reached = self.house.worker.publish_inside(&account, &inside);
        self.house.worker.flush_touched();
        let seen = [P, S].map(|user| self.read(user));
        let imported = self.read(I);
        let mut queues: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut all = 0;
        let places = [(P, &seen[0], to.clone()), (S, &seen[1], to.clone())];
        let across = to.starts_with("a.").then(|| (I, &imported, format!("im.{to}")));
        for (user, got, place) in places.into_iter().chain(across) {
            let user = &self.users[user];
            all += got.messages.len();
            for (sid, sub) in &user.subs {
                let could = reference::gets(&user.permissions, sub, &place);
                let count = got.messages.iter().filter(|(_, at, _)| at == sid).count();
                assert!(could || count == 0, "{to} as {stored}: {sid}\n{}", self.describe());
                match &sub.queue {
                    None => assert_eq!(count, usize::from(could), "{to} {sid}"),
                    Some(queue) => {
                        let counts = queues.entry(queue).or_default();
                        *counts = (counts.0 + count, counts.1 + usize::from(could));
                    }
                }
            }
        }
        for (queue, (got, could)) in queues {
            assert_eq!(got, could.min(1), "{queue}: {to} as {stored}\n{}", self.describe());
        }
        assert_eq!(reached, all > 0, "{to} as {stored}\n{}", self.describe());
        let of_account = seen.iter().flat_map(|got| &got.messages);
        for (shown, _, answer) in of_account {
            assert_eq!((shown, answer.as_deref()), (&stored, reply), "{to}");
        }
    }

    fn traced(&mut self, dice: &mut Dice) {
        let (subject, dest, only) = (dice.subject(), dice.subject(), dice.one_in(3));
        let only_line = if only { "Nats-Trace-Only: true\r\n" } else { "" };
        let header = format!("NATS/1.0\r\nNats-Trace-Dest: {dest}\r\n{only_line}\r\n");
        let (head, total) = (header.len(), header.len() + 1);
        self.send(P, &format!("HPUB {subject} {head} {total}\r\n{header}x\r\n"));
        let told = reference::may_publish(self.may(P), &dest);
        let allowed = told && self.lets_through(P, &subject);
        let reports = std::mem::take(&mut *self.reports.0.lock());
        assert_eq!(reports, if told { vec![dest] } else { Vec::new() }, "{subject}");
        self.compare_in_a(&subject, allowed && !only);
    }

    /// A request nobody has is answered to who asked, on a subscription of its own.
    fn no_responders(&mut self, dice: &mut Dice) {
        let reply = dice.subject();
        let allowed = self.lets_through(P, "nobody");
        let nobody = self.users[P].subs.values().chain(self.users[S].subs.values());
        let heard = nobody.filter(|sub| reference::matches(&sub.filter, "nobody")).count();
        self.send(P, &format!("PUB nobody {reply} 0\r\n\r\n"));
        let got = self.read(P);
        self.read(S);
        if heard > 0 {
            return;
        }
        let user = &self.users[P];
        let could = user.subs.iter().filter(|(_, sub)| {
            sub.queue.is_none() && reference::gets(&user.permissions, sub, &reply)
        });
        let could: Vec<&String> = could.map(|(sid, _)| sid).collect();
        let expected = usize::from(allowed && !could.is_empty());
        assert_eq!(got.messages.len(), expected, "{reply}: {:?}", user.permissions);
        assert!(got.messages.iter().all(|(to, sid, _)| *to == reply && could.contains(&sid)));
    }

    /// Asked in one account, in the other or across, and answered by whoever was asked.
    fn request(&mut self, dice: &mut Dice) {
        let (asker, across) = if dice.one_in(2) { (P, false) } else { (I, true) };
        let (tail, inbox) = (dice.subject(), dice.subject());
        let asked = if across { format!("sv.{tail}") } else { format!("b.{tail}") };
        let subject = format!("b.{tail}");
        if inbox == subject {
            return;
        }
        let allowed = self.lets_through(asker, &asked);
        self.send(asker, &format!("PUB {asked} {inbox} 1\r\n?\r\n"));
        let own = if across { self.read(I) } else { Got::default() };
        self.inbox = Some(inbox.clone());
        let got = self.compare_in_a(&subject, allowed);
        self.inbox = None;
        // Those of B who listen to the request itself, or are told that nobody has it.
        if across && let Some((shown, ..)) = own.messages.iter().find(|(shown, ..)| *shown != inbox)
        {
            assert_eq!(*shown, asked);
        }
        let Some(reply) = got[1].messages.first().and_then(|(_, _, reply)| reply.clone()) else {
            return;
        };
        assert_eq!(reply.starts_with("_R_."), across, "{reply}");
        for answer in 0..2 {
            self.send(S, &format!("PUB {reply} 1\r\n!\r\n"));
            let allowed = self.lets_through(S, &reply);
            if across {
                // One answer uses the reply subject up.
                self.compare(&[(I, inbox.as_str())], allowed && answer == 0);
                self.read(P);
                self.read(S);
            } else {
                self.compare_in_a(&reply, allowed);
            }
        }
    }
}

fn run(seed: u64, cases: usize) -> usize {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut done = 0;
    while done < cases {
        let mut world = World::new(&mut dice);
        for user in [P, S, I] {
            world.subscribe(user, &mut dice);
        }
        for _ in 0..40 {
            match dice.next(7) {
                0 | 1 => world.live(&mut dice),
                6 => world.stored(&mut dice),
                2 => world.inside(&mut dice),
                3 => world.traced(&mut dice),
                4 => world.no_responders(&mut dice),
                _ => world.request(&mut dice),
            }
            world.cases += 1;
        }
        done += world.cases;
    }
    done
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

// Contract: SUBJ-006, SUBJ-007, SUBJ-008, TRACE-008
#[test]
fn every_way_to_a_subscriber_passes_the_same_check() {
    let cases = number("IRONATS_ACL_CASES", 20_000) as usize;
    assert!(run(number("IRONATS_ACL_SEED", 1), cases) >= cases);
}
