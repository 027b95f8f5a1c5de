//! Pull requests that wait for messages, in the order in which they are served.
//!
//! Laws: with priorities, lower numbers come first and equal ones keep their turns; without, a
//!       request that got a message and wants more goes to the end.
//! Not here: what a request may ask (`pull.rs`), who pinned a group (`priority.rs`).
//! Reference: consumer.go waitQueue.

use std::collections::VecDeque;
use std::time::Duration;

use jetstream_api::pull::PriorityGroup;
use stdx::time::Mono;

/// One request.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) reply: Box<[u8]>,
    /// Messages it still wants; one that asked for none gets one.
    pub(super) batch: i64,
    /// Messages it got.
    pub(super) delivered: u64,
    /// Bytes it still takes; 0 is any number.
    pub(super) max_bytes: i64,
    pub(super) expires: Option<Mono>,
    pub(super) received: Mono,
    pub(super) heartbeat: Duration,
    pub(super) next_heartbeat: Option<Mono>,
    pub(super) no_wait: bool,
    /// Where it stands in its priority group, if its consumer has any.
    pub(super) group: Option<Box<PriorityGroup>>,
}

impl Request {
    fn priority(&self) -> i64 {
        self.group.as_ref().map_or(i64::MAX, |g| g.priority)
    }

    /// Whether its time is over.
    pub(super) fn is_expired(&self, now: Mono) -> bool {
        self.expires.is_some_and(|at| now > at)
    }

    /// When somebody must look at it again.
    fn deadline(&self) -> Option<Mono> {
        self.expires.into_iter().chain(self.next_heartbeat).min()
    }
}

/// All requests of a consumer.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitQueue {
    requests: VecDeque<Request>,
    /// How many must not wait.
    no_wait: usize,
    /// Not after the earliest deadline of any request.
    deadline: Option<Mono>,
}

impl WaitQueue {
    /// Gives back room that nothing takes.
    pub(super) fn rest(&mut self) {
        self.requests.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }

    /// When a request expires or is owed a sign of life, at the earliest.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.deadline
    }

    /// Whether a request must not wait once there is nothing to deliver.
    pub(super) fn has_no_wait(&self) -> bool {
        self.no_wait > 0
    }

    /// Whether somebody must look: a deadline passed.
    pub(super) fn is_due(&self, now: Mono) -> bool {
        self.deadline.is_some_and(|at| now >= at)
    }

    /// Messages all requests want together.
    pub(super) fn wanted(&self) -> i64 {
        self.requests.iter().map(|r| r.batch).fold(0, i64::saturating_add)
    }

    /// Adds a request behind the others, or behind those of its priority.
    pub(super) fn add(&mut self, request: Request, by_priority: bool) {
        self.no_wait += usize::from(request.no_wait);
        self.deadline = self.deadline.into_iter().chain(request.deadline()).min();
        self.insert(request, by_priority);
    }

    fn insert(&mut self, request: Request, by_priority: bool) {
        let last = self.requests.back().map_or(i64::MIN, Request::priority);
        if !by_priority || last <= request.priority() {
            return self.requests.push_back(request);
        }
        let place = self.requests.partition_point(|r| r.priority() <= request.priority());
        self.requests.insert(place, request);
    }

    /// The one whose turn it is.
    pub(super) fn head(&self) -> Option<&Request> {
        self.requests.front()
    }

    /// The one whose turn it is.
    pub(super) fn head_mut(&mut self) -> Option<&mut Request> {
        self.requests.front_mut()
    }

    /// Lets the head wait for its next turn.
    pub(super) fn cycle(&mut self) {
        if self.requests.len() > 1 {
            self.requests.rotate_left(1);
        }
    }

    /// Puts lower priorities first again, after turns were passed.
    pub(super) fn sort(&mut self) {
        self.requests.make_contiguous().sort_by_key(Request::priority);
    }

    /// Takes the head out.
    pub(super) fn remove_head(&mut self) -> Option<Request> {
        let request = self.requests.pop_front()?;
        self.forget(&request);
        Some(request)
    }

    /// Notes that the head got a message of `size` bytes; the request, if it is done.
    pub(super) fn served(&mut self, size: i64, now: Mono, by_priority: bool) -> Option<Request> {
        let head = self.requests.front_mut()?;
        if head.max_bytes > 0 {
            head.max_bytes -= size;
            if head.max_bytes == 0 {
                head.batch = 1;
            }
        }
        head.batch = head.batch.saturating_sub(1);
        head.delivered += 1;
        if head.batch <= 0 {
            return self.remove_head();
        }
        if head.next_heartbeat.is_some() {
            head.next_heartbeat = Some(now + head.heartbeat);
        }
        if self.requests.len() > 1 {
            if by_priority {
                let head = self.requests.pop_front()?;
                self.insert(head, true);
            } else {
                self.requests.rotate_left(1);
            }
        }
        None
    }

    /// Looks at every request in order; takes out those `keep` refuses.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut Request) -> bool) {
        self.requests.retain_mut(&mut keep);
        self.no_wait = self.requests.iter().filter(|r| r.no_wait).count();
        self.deadline = self.requests.iter().filter_map(Request::deadline).min();
        self.release();
    }

    /// Takes all out, in order.
    pub(super) fn drain(&mut self) -> Vec<Request> {
        std::mem::take(self).requests.into()
    }

    fn forget(&mut self, request: &Request) {
        self.no_wait -= usize::from(request.no_wait);
        self.release();
    }

    /// A deadline may outlive its request, for one look that finds nothing; not the last one's.
    fn release(&mut self) {
        if self.requests.is_empty() {
            self.deadline = None;
            if self.requests.capacity() > 16 {
                self.requests = VecDeque::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, batch: i64, priority: Option<i64>) -> Request {
        let group = priority
            .map(|priority| Box::new(PriorityGroup { priority, ..PriorityGroup::default() }));
        Request { reply: name.as_bytes().into(), batch, group, ..Request::default() }
    }

    fn serve(queue: &mut WaitQueue, by_priority: bool) -> String {
        let mut served = String::new();
        while let Some(head) = queue.head() {
            served.push_str(&String::from_utf8_lossy(&head.reply));
            queue.served(1, Mono(0), by_priority);
        }
        served
    }

    // Contract: CONS-045
    #[test]
    fn requests_take_turns() {
        let mut queue = WaitQueue::default();
        for (name, batch) in [("a", 3), ("b", 1), ("c", 2), ("d", 0)] {
            queue.add(request(name, batch, None), false);
        }
        assert_eq!(serve(&mut queue, false), "abcdaca", "one that asks for none gets one");
    }

    // Contract: CONS-059
    #[test]
    fn lower_priorities_come_first_and_equal_ones_take_turns() {
        let mut queue = WaitQueue::default();
        for (name, priority) in [("c", Some(2)), ("z", None), ("a", Some(0)), ("b", Some(0))] {
            queue.add(request(name, 2, priority), true);
        }
        assert_eq!(serve(&mut queue, true), "ababcczz");
    }

    #[test]
    fn deadlines_and_haste_are_known() {
        let mut queue = WaitQueue::default();
        let expires = |at| Some(Mono(at));
        queue.add(Request { expires: expires(9), ..request("a", 1, None) }, false);
        queue.add(
            Request { next_heartbeat: expires(4), no_wait: true, ..request("b", 1, None) },
            false,
        );
        assert_eq!((queue.deadline(), queue.has_no_wait()), (Some(Mono(4)), true));
        assert!(queue.is_due(Mono(4)) && !queue.is_due(Mono(3)));
        queue.retain(|r| &*r.reply != b"b");
        assert_eq!((queue.deadline(), queue.has_no_wait()), (Some(Mono(9)), false));
        queue.served(1, Mono(0), false);
        assert_eq!(queue.deadline(), None, "nothing waits, nothing is due");
    }
}
