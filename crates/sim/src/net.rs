//! Links between servers: cuts, and how long a message takes.

use crate::plan::{MS, Plan};
use crate::rng::Rng;

/// Which messages get through, and when.
#[derive(Clone, Debug)]
pub struct Net {
    cut: Vec<bool>,
    /// When the last message of each link arrives.
    arrival: Vec<u64>,
    servers: usize,
    /// Faults are over: nothing is lost any more.
    pub calm: bool,
}

impl Net {
    /// Full connectivity among `servers`.
    pub fn new(servers: usize) -> Self {
        Self {
            cut: vec![false; servers * servers],
            arrival: vec![0; servers * servers],
            servers,
            calm: false,
        }
    }

    /// Whether messages from one to the other are cut off.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.get(from * self.servers + to).copied().unwrap_or(true)
    }

    /// Cuts or restores one direction.
    pub fn set(&mut self, from: usize, to: usize, cut: bool) {
        if let Some(link) = self.cut.get_mut(from * self.servers + to) {
            *link = cut;
        }
    }

    /// Restores everything.
    pub fn heal(&mut self) {
        self.cut.fill(false);
    }

    /// Splits into those in `side` (a bit set) and the rest.
    pub fn split(&mut self, side: u64) {
        for from in 0..self.servers {
            for to in 0..self.servers {
                let apart = (side >> from & 1) != (side >> to & 1);
                self.set(from, to, apart);
            }
        }
    }

    /// Delays of the copies of a message that arrive: none, one or two.
    pub fn transmit(
        &mut self,
        from: usize,
        to: usize,
        now: u64,
        plan: &Plan,
        rng: &mut Rng,
    ) -> [Option<u64>; 2] {
        let mut unused = 0;
        let arrival = self.arrival.get_mut(from * self.servers + to).unwrap_or(&mut unused);
        let calm = self.calm;
        let mut delay = |rng: &mut Rng| {
            let usual = rng.range(plan.delay.0, plan.delay.1);
            if rng.chance(plan.straggle) && !calm {
                return usual + rng.below(100 * plan.delay.1 + 200 * MS);
            }
            if plan.reorder && !calm {
                return usual;
            }
            // A connection delivers in order.
            *arrival = (now + usual).max(*arrival);
            *arrival - now
        };
        if calm {
            return [Some(delay(rng)), None];
        }
        if rng.chance(plan.loss) {
            return [None, None];
        }
        let first = delay(rng);
        // A repeated message may come much later than the first.
        let second = rng.chance(plan.duplicate).then(|| first + rng.below(20 * plan.delay.1));
        [Some(first), second]
    }
}
