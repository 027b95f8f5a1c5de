//! Messages between servers: who listens, what the links do to them, delivery.
//!
//! Laws: inboxes are of one incarnation; a subscription receives nothing that was published before
//!       it was made.

use raft::{Channel, Dest, Inbox, Role, Send};

use crate::check::Checked;
use crate::trace::describe;
use crate::world::{Event, Message, World};

/// How many old messages are kept for replaying.
const REMEMBERED: usize = 64;

impl World {
    pub(crate) fn send(&mut self, from: usize, send: &Send) {
        match send.dest {
            Dest::Vote => self.publish(from, None, Channel::Vote, send),
            Dest::Append => self.publish(from, None, Channel::Append, send),
            Dest::Proposal => self.publish(from, None, Channel::Proposal, send),
            Dest::RemovePeer => self.publish(from, None, Channel::RemovePeer, send),
            Dest::Reply(subject) => {
                if let Some((to, channel)) = self.listener(subject.as_bytes()) {
                    self.publish(from, Some(to), channel, send);
                }
            }
        }
    }

    /// Who listens to a reply subject at the moment.
    pub(crate) fn listener(&self, subject: &[u8]) -> Option<(usize, Channel)> {
        let (answers, token) = match subject {
            [b'$', b'N', b'R', b'G', b'.', b'R', b'.', token @ ..] => (true, token),
            [b'$', b'N', b'R', b'G', b'.', b'C', b'R', b'.', token @ ..] => (false, token),
            _ => return None,
        };
        let inbox = Inbox(token.try_into().ok()?);
        for (server, host) in self.hosts.iter().enumerate() {
            let Some(process) = &host.process else { continue };
            if answers && process.node.append_inbox() == inbox {
                return Some((server, Channel::AppendReply));
            }
            if answers && process.node.vote_inbox() == inbox {
                return Some((server, Channel::VoteReply));
            }
            if !answers && process.catchup == Some(inbox) {
                return Some((server, Channel::Catchup(inbox)));
            }
        }
        None
    }

    pub(crate) fn publish(
        &mut self,
        from: usize,
        to: Option<usize>,
        channel: Channel,
        send: &Send,
    ) {
        let (first, last) = to.map_or((0, self.hosts.len()), |to| (to, to + 1));
        for to in first..last {
            if to == from || self.net.is_cut(from, to) || self.hosts[to].process.is_none() {
                continue;
            }
            let delays = self.net.transmit(from, to, self.now, &self.plan, &mut self.rng);
            for delay in delays.into_iter().flatten() {
                let message = Message {
                    from,
                    to,
                    incarnation: self.hosts[to].incarnation,
                    channel,
                    payload: send.payload.clone(),
                    reply: send.reply,
                    forged: self.forging,
                };
                if self.old.len() < REMEMBERED {
                    self.old.push(message.clone());
                } else if self.rng.chance(50) {
                    let at = self.rng.below(REMEMBERED as u64) as usize;
                    self.old[at] = message.clone();
                }
                self.schedule(delay, Event::Deliver { message });
            }
        }
    }

    pub(crate) fn deliver(&mut self, message: Message) -> Checked {
        let (from, to, channel) = (message.from, message.to, message.channel);
        let host = &self.hosts[to];
        if self.net.is_cut(from, to) {
            return Ok(());
        }
        if host.paused_until > self.now {
            let wait = host.paused_until - self.now;
            self.schedule(wait, Event::Deliver { message });
            return Ok(());
        }
        let Some(process) = &host.process else { return Ok(()) };
        // Inboxes are of one incarnation.
        let listens = match channel {
            Channel::Catchup(inbox) => process.catchup == Some(inbox),
            Channel::Proposal | Channel::RemovePeer => process.node.role() == Role::Leader,
            // A subscription receives nothing that was published before it was made.
            Channel::Append => host.incarnation == message.incarnation,
            _ => true,
        };
        if !listens {
            return Ok(());
        }
        let unmoved = self.harmless(&message);
        let Message { payload, reply, .. } = message;
        self.digest = self.digest.wrapping_add((to as u64) << 8 | payload.len() as u64);
        if self.trace.is_some() {
            let text = describe(channel, &payload);
            self.note(|| format!("deliver {from}>{to} {text}"));
        }
        self.input(to, |node, now, out| {
            // A refused message changed nothing, which is all there is to say.
            let _ = node.handle_message(channel, &payload, reply, now, out);
        })?;
        unmoved.map_or(Ok(()), |before| self.check_unmoved(to, &before))
    }
}
