//! The machine and the oracle, side by side, through the same seeded events.

use jetstream_api::{AckPolicy, ConsumerConfig, Nanos};
use stdx::time::Mono;
use store::MessageStore;

use super::oracle::{Delivery, Oracle, Rules};
use super::world::{MS, Sent, World, pull};
use crate::consumer::Consumer;

/// Seeds of one run of the test.
const SEEDS: u64 = 2_000;
const STEPS: usize = 60;
/// Everything happens on a grid; what is due lies between its points.
const GRID: u64 = 100 * MS;
const BETWEEN: i64 = 50 * MS as i64;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}

fn rules(dice: &mut Dice) -> Rules {
    let acks =
        dice.pick(&[AckPolicy::Explicit, AckPolicy::Explicit, AckPolicy::All, AckPolicy::None]);
    let backoff = dice.pick(&[vec![], vec![], vec![2, 5, 11]]);
    let wait = dice.pick(&[3, 10]);
    let time = |steps: i64| steps * GRID as i64 + BETWEEN;
    let backoff_ns: Vec<i64> = backoff.into_iter().map(time).collect();
    let max_deliver = dice.pick(&[0, 0, 1, 2, 4]);
    Rules {
        acks,
        wait_ns: backoff_ns.first().copied().unwrap_or(time(wait)),
        max_deliver: if backoff_ns.is_empty() { max_deliver } else { 0 },
        backoff_ns,
        max_ack_pending: if acks == AckPolicy::None { 0 } else { dice.pick(&[1, 3, 100]) },
        filters: dice.pick(&[vec![], vec!["s.a"], vec!["s.*"], vec!["s.a", "t.>"]]),
    }
}

fn config(rules: &Rules) -> ConsumerConfig {
    ConsumerConfig {
        ack_policy: rules.acks,
        ack_wait: Nanos(if rules.acks == AckPolicy::None { 0 } else { rules.wait_ns }),
        backoff: rules.backoff_ns.iter().map(|&ns| Nanos(ns)).collect(),
        max_deliver: if rules.max_deliver == 0 { -1 } else { rules.max_deliver as i64 },
        max_ack_pending: rules.max_ack_pending as i64,
        filter_subjects: rules.filters.iter().map(|f| (*f).to_owned()).collect(),
        ..pull()
    }
}

/// Both of them, and the clients' memory.
struct Run {
    world: World,
    oracle: Oracle,
    expected: Vec<Delivery>,
    timeouts: Vec<String>,
    /// Reply subjects of everything delivered.
    replies: Vec<Sent>,
    requests: usize,
}

impl Run {
    fn new(rules: Rules) -> Self {
        let world = World::new(config(&rules));
        let oracle = Oracle::new(rules);
        Self { world, oracle, expected: vec![], timeouts: vec![], replies: vec![], requests: 0 }
    }

    fn now(&self) -> i64 {
        self.world.now.wall.0
    }

    fn step(&mut self, dice: &mut Dice) -> String {
        let now = self.now();
        let old = (!self.replies.is_empty()).then(|| dice.pick(&self.replies));
        let kind = dice.below(20);
        let text = match (kind, old) {
            (0..=4, _) => {
                let subject = dice.pick(&["s.a", "s.b", "t.c"]);
                self.oracle.publish(subject);
                self.world.publish(subject, "m");
                format!("publish {subject}")
            }
            (5..=7, _) => {
                let (wants, after) = (1 + dice.below(5) as i64, 1 + dice.below(30) as i64);
                self.requests += 1;
                let reply = format!("in.{}", self.requests);
                let within = after * GRID as i64 + BETWEEN;
                self.oracle.pull(&reply, wants, now + within);
                self.world.pull(&reply, &format!(r#"{{"batch":{wants},"expires":{within}}}"#));
                format!("pull {wants} for {within}")
            }
            (8, Some(old)) => {
                self.oracle.nak(old.seq(), old.token(6));
                self.world.ack(&old.reply, "-NAK");
                format!("nak {}", old.reply)
            }
            (9, Some(old)) => {
                let delay = (1 + dice.below(9) as i64) * GRID as i64;
                self.oracle.nak_later(old.seq(), old.token(6), now, delay);
                self.world.ack(&old.reply, &format!(r#"-NAK {{"delay":{delay}}}"#));
                format!("nak {} for {delay}", old.reply)
            }
            (10, Some(old)) => {
                self.oracle.progress(old.seq(), now);
                self.world.ack(&old.reply, "+WPI");
                format!("progress {}", old.reply)
            }
            (11..=14, Some(old)) => {
                let body = dice.pick(&["", "+ACK", "+TERM no"]);
                self.oracle.ack(old.seq(), old.token(6));
                self.world.ack(&old.reply, body);
                format!("ack {} {body}", old.reply)
            }
            (15, _) => {
                let seq = 1 + dice.below(self.oracle.last + 1);
                if self.oracle.messages.contains_key(&seq) {
                    self.oracle.remove(seq);
                    self.world.remove(seq);
                }
                format!("remove {seq}")
            }
            (16, _) if dice.below(5) == 0 => {
                self.oracle.purge();
                MessageStore::purge(&mut self.world.store, &store::Filter::All, 0, 0).unwrap();
                if self.world.with(|c, cx| c.handle_purge(b"", cx)).unwrap() {
                    self.world.deliver();
                }
                "purge".into()
            }
            (17, _) if dice.below(3) == 0 => {
                self.oracle.restart();
                self.world.restart();
                "restart".into()
            }
            _ => {
                let steps = 1 + dice.below(12);
                for _ in 0..steps {
                    self.world.now.mono = Mono(self.world.now.mono.0 + GRID);
                    self.world.now.wall.0 += GRID as i64;
                    self.tick();
                }
                format!("wait {steps}")
            }
        };
        self.expected.extend(self.oracle.deliver(self.now()));
        self.tick();
        text
    }

    /// Whatever is due happens, in both.
    fn tick(&mut self) {
        let now = self.world.now.mono;
        if self
            .world
            .consumer
            .as_ref()
            .and_then(Consumer::next_deadline)
            .is_some_and(|at| at <= now)
        {
            let tick = self.world.with(Consumer::tick);
            assert!(!tick.delete, "a durable consumer lives");
            if tick.deliver {
                self.world.deliver();
            }
        }
        self.timeouts.extend(self.oracle.expire(self.now()));
        self.expected.extend(self.oracle.deliver(self.now()));
    }

    fn compare(&mut self) {
        let (messages, statuses): (Vec<Sent>, Vec<Sent>) =
            self.world.take().into_iter().partition(|s| s.header.is_empty());
        let got: Vec<Delivery> = messages
            .iter()
            .map(|s| (s.to.clone(), s.seq(), s.deliveries(), s.token(6), s.pending()))
            .collect();
        assert_eq!(got, std::mem::take(&mut self.expected), "deliveries");
        let ended: Vec<String> = statuses.into_iter().map(|s| s.to).collect();
        assert_eq!(ended, std::mem::take(&mut self.timeouts), "requests that ended");
        self.replies.extend(messages);
        let info = self.world.info();
        let o = &self.oracle;
        assert_eq!(info.num_pending, o.num_pending(), "num_pending");
        assert_eq!(info.num_ack_pending, o.num_ack_pending(), "num_ack_pending");
        let again = if o.rules.max_deliver == 1 { 0 } else { o.again.len() as i64 };
        assert_eq!(info.num_redelivered, again, "num_redelivered");
        assert_eq!(info.num_waiting, o.num_waiting(), "num_waiting");
        let pair = |s: jetstream_api::SequenceInfo| (s.consumer_seq, s.stream_seq);
        assert_eq!((pair(info.delivered), pair(info.ack_floor)), (o.delivered, o.floor), "floor");
        let state = self.world.consumer.as_ref().unwrap().state();
        assert_eq!(state.validate().map_err(|e| e.to_string()), Ok(()));
    }

    /// From here on clients behave: everything is delivered and acknowledged in the end.
    fn heal(&mut self) {
        for _ in 0..200 {
            self.requests += 1;
            let reply = format!("in.{}", self.requests);
            self.oracle.pull(&reply, 50, self.now() + 5 * GRID as i64 + BETWEEN);
            let within = 5 * GRID as i64 + BETWEEN;
            self.world.pull(&reply, &format!(r#"{{"batch":50,"expires":{within}}}"#));
            self.expected.extend(self.oracle.deliver(self.now()));
            for _ in 0..6 {
                self.world.now.mono = Mono(self.world.now.mono.0 + GRID);
                self.world.now.wall.0 += GRID as i64;
                self.tick();
            }
            let known = self.replies.len();
            self.compare();
            for s in self.replies.split_off(known) {
                self.oracle.ack(s.seq(), s.token(6));
                self.world.ack(&s.reply, "");
                self.expected.extend(self.oracle.deliver(self.now()));
            }
            let info = self.world.info();
            if info.num_pending == 0 && info.num_ack_pending == 0 {
                break;
            }
        }
        let info = self.world.info();
        assert_eq!((info.num_pending, info.num_ack_pending), (0, 0), "stuck: {info:?}");
        let o = &self.oracle;
        for (seq, subject) in &o.messages {
            assert_eq!(o.ever.contains(seq), o.selects(subject), "message {seq} on {subject}");
        }
    }
}

/// Runs one history; how many messages were delivered in it, each as the oracle had it.
fn run(seed: u64) -> usize {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..8 {
        dice.below(2);
    }
    let mut run = Run::new(rules(&mut dice));
    let mut said = Vec::new();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..STEPS {
            said.push(run.step(&mut dice));
            run.compare();
        }
        run.heal();
    }));
    if let Err(cause) = outcome {
        let why = cause.downcast_ref::<String>().cloned().unwrap_or_default();
        panic!("seed {seed}: {:?}\n{}\n{why}", run.oracle.rules, said.join("\n"));
    }
    run.oracle.ever.len()
}

// Contract: CONS-008, CONS-009, CONS-034, CONS-035, CONS-037, CONS-038, CONS-042
#[test]
fn it_does_what_the_oracle_says() {
    let delivered: usize = (1..=SEEDS).map(run).sum();
    assert!(delivered > SEEDS as usize, "histories that deliver nothing show nothing");
}
