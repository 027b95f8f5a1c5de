//! The switch for planted bugs. It lives here, in a crate nothing that ships depends on: the core
//! only knows the trait, and its own implementation always answers "no".

use raft::{Bug, Mutation};

/// At most one planted bug, and whether leaders add peers as the reference does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planted {
    /// The bug.
    pub bug: Option<Bug>,
    /// Leaders add peers before they have caught up.
    pub add_at_once: bool,
}

impl Mutation for Planted {
    fn planted(&self, bug: Bug) -> bool {
        self.bug == Some(bug) || (self.add_at_once && bug == Bug::AddAtOnce)
    }
}

/// Every planted bug and within how many seeds the simulator must find it.
pub const BUGS: &[(&str, Bug, u64)] = &[
    ("vote-twice", Bug::VoteTwice, 2000),
    ("vote-before-durable", Bug::VoteBeforeDurable, 2000),
    ("ack-before-durable", Bug::AckBeforeDurable, 100),
    ("count-self-before-durable", Bug::CountSelfBeforeDurable, 100),
    ("truncate-below-commit", Bug::TruncateBelowCommit, 2000),
    ("truncate-on-repeat", Bug::TruncateOnRepeat, 2000),
    ("count-removed-peer", Bug::CountRemovedPeer, 2000),
    ("skip-term-check", Bug::SkipTermCheck, 2000),
    ("skip-log-check", Bug::SkipLogCheck, 2000),
    ("commit-old-term", Bug::CommitOldTerm, 20000),
    ("ack-unmatched", Bug::AckUnmatched, 2000),
    ("commit-unmatched", Bug::CommitUnmatched, 2000),
    ("forget-vote", Bug::ForgetVote, 2000),
    ("ignore-quarantine", Bug::IgnoreQuarantine, 2000),
    ("ignore-damage", Bug::IgnoreDamage, 2000),
    ("two-changes", Bug::TwoChanges, 20000),
    ("change-before-noop", Bug::ChangeBeforeNoop, 2000),
    ("keep-truncated-change", Bug::KeepTruncatedChange, 2000),
    ("ignore-higher-term", Bug::IgnoreHigherTerm, 2000),
    ("stale-snapshot", Bug::StaleSnapshot, 20000),
    ("snapshot-too-new", Bug::SnapshotTooNew, 2000),
    ("skip-prev-check", Bug::SkipPrevCheck, 2000),
    ("small-quorum", Bug::SmallQuorum, 2000),
    ("empty-vote-counts", Bug::EmptyVoteCounts, 20000),
    ("any-term", Bug::AnyTerm, 2000),
    ("heed-strangers-campaign", Bug::HeedStrangersCampaign, 2000),
    ("heed-strangers-vote", Bug::HeedStrangersVote, 2000),
    ("heed-strangers-answer", Bug::HeedStrangersAnswer, 2000),
    ("count-strangers-votes", Bug::CountStrangersVotes, 20000),
    ("count-own-vote-outside", Bug::CountOwnVoteOutside, 20000),
    ("forget-log-end", Bug::ForgetLogEnd, 2000),
    ("keep-log-end", Bug::KeepLogEnd, 5000),
    ("effective-peers-in-snapshot", Bug::EffectivePeersInSnapshot, 2000),
    ("majority-of-terms", Bug::MajorityOfTerms, 20000),
    ("unsure-vote-after-change", Bug::UnsureVoteAfterChange, 20000),
    ("skip-second-opinion", Bug::SkipSecondOpinion, 20000),
    ("ack-without-term", Bug::AckWithoutTerm, 2000),
    ("propose-twice", Bug::ProposeTwice, 2000),
    ("apply-uncommitted", Bug::ApplyUncommitted, 2000),
    ("endless-catch-up", Bug::EndlessCatchUp, 2000),
    ("never-catch-up", Bug::NeverCatchUp, 2000),
    ("never-retry-catch-up", Bug::NeverRetryCatchUp, 2000),
    ("never-recover", Bug::NeverRecover, 2000),
];
