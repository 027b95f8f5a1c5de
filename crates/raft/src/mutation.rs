//! Deliberately planted bugs, so that the simulator can show it would find them.
//!
//! Laws: `Sound` is the only implementation in this crate and answers "no" at compile time; a
//!       production build contains no branch and no value that could turn a bug on. The type that
//!       answers "yes" lives in the simulator's crate, which nothing that ships depends on.

/// One way of getting consensus wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// Grants a second vote in a term.
    VoteTwice,
    /// Answers a vote request before the vote is durable.
    VoteBeforeDurable,
    /// Answers an append entry before it is durable.
    AckBeforeDurable,
    /// The leader counts its own copy before it is durable.
    CountSelfBeforeDurable,
    /// Cuts the log back to the start of a contradicted term, even below the commit.
    TruncateBelowCommit,
    /// Cuts the log back on a repeated append entry that matches.
    TruncateOnRepeat,
    /// Counts acknowledgements of peers outside the group.
    CountRemovedPeer,
    /// Accepts append entries of deposed leaders.
    SkipTermCheck,
    /// Grants votes to candidates with older logs.
    SkipLogCheck,
    /// Commits entries of earlier terms by counting copies.
    CommitOldTerm,
    /// Acknowledges an append entry that does not follow its log.
    AckUnmatched,
    /// Follows the leader's commit before the logs are known to match.
    CommitUnmatched,
    /// Does not write down the term and vote.
    ForgetVote,
    /// A node that lost entries votes as if it had not.
    IgnoreQuarantine,
    /// Accepts a record that fails its checksum's meaning: skips damage and keeps what follows.
    IgnoreDamage,
    /// Starts a membership change while another is not committed.
    TwoChanges,
    /// Starts a membership change before committing an entry of its own term.
    ChangeBeforeNoop,
    /// Keeps a membership change whose entry was truncated.
    KeepTruncatedChange,
    /// Does not step down for a higher term.
    IgnoreHigherTerm,
    /// Installs a leader's snapshot that covers less than is committed here.
    StaleSnapshot,
    /// Labels a snapshot with the last stored instead of the last applied entry.
    SnapshotTooNew,
    /// Skips the matching of the previous entry.
    SkipPrevCheck,
    /// A leader needs one vote less than a quorum.
    SmallQuorum,
    /// A wiped member votes as if it were new.
    EmptyVoteCounts,
    /// Adds peers before they have caught up. No bug by itself: leaders of the reference do it, and
    /// ours must hold up as their followers.
    AddAtOnce,
    /// Believes every term a message may carry, until none is left.
    AnyTerm,
    /// Takes the term of a campaign of a server outside the group.
    HeedStrangersCampaign,
    /// Takes the term of a vote of a server outside the group.
    HeedStrangersVote,
    /// Lets an answer of a server outside the group depose the leader.
    HeedStrangersAnswer,
    /// Counts votes of servers outside the group.
    CountStrangersVotes,
    /// Counts its own vote, though it is no member.
    CountOwnVoteOutside,
    /// Does not look at `log.end`.
    ForgetLogEnd,
    /// Lets `log.end` count beyond a cut.
    KeepLogEnd,
    /// A snapshot holds members whose addition is not committed.
    EffectivePeersInSnapshot,
    /// After a lost vote, asks a majority for their terms instead of everybody.
    MajorityOfTerms,
    /// Gives an unsure vote though the members have changed.
    UnsureVoteAfterChange,
    /// A newcomer votes without asking the members it was told of.
    SkipSecondOpinion,
    /// Acknowledges though it may have promised itself to a later leader.
    AckWithoutTerm,
    /// Proposes some entries twice.
    ProposeTwice,
    /// Hands out entries that are not committed.
    ApplyUncommitted,
    /// Starts a catch-up window with every request.
    EndlessCatchUp,
    /// Never asks for a missing entry (liveness).
    NeverCatchUp,
    /// Never gives up a stalled catch-up (liveness).
    NeverRetryCatchUp,
    /// Never leaves quarantine and never campaigns (liveness).
    NeverRecover,
}

/// Whether a bug is planted; asked at the places where the correct rule is written.
pub trait Mutation: Clone + std::fmt::Debug {
    /// Whether `bug` is planted here.
    fn planted(&self, bug: Bug) -> bool;
}

/// The production answer: none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sound;

impl Mutation for Sound {
    #[inline(always)]
    fn planted(&self, _: Bug) -> bool {
        false
    }
}
