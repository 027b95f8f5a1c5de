//! What a rule is.

use super::{Change, Pair, Plan, Step};
use crate::options::Options;

/// What becomes of one of the reference's options.
pub(super) struct Rule {
    /// The reference's name of it.
    pub field: &'static str,
    /// Our keys that it stands for, dotted.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test sees that every key is here"))]
    pub keys: &'static [&'static str],
    /// The value in effect, as text: equal texts are equal values.
    pub value: fn(&Options) -> String,
    /// What a difference means.
    pub verdict: Verdict,
}

#[derive(Clone, Copy)]
pub(super) enum Verdict {
    /// Followed; the line is logged, with the new value for `{}`.
    Live(Step, &'static str),
    /// As `Live`, but the line is logged even without a difference.
    Announced(Step, &'static str),
    /// Followed without a word: it is looked up when it is needed.
    Silent,
    /// Needs a restart.
    Refused,
    /// It depends.
    Judged(fn(&Pair<'_>, &mut Plan) -> Result<(), String>),
}

impl Plan {
    /// Adds a change that is one.
    pub(super) fn add(&mut self, field: &'static str, step: Step, line: String) {
        self.changes.push(Change { field, step, line, real: true });
    }
}

/// A rule for a change that is followed.
pub(super) const fn live(
    field: &'static str,
    keys: &'static [&'static str],
    step: Step,
    line: &'static str,
    value: fn(&Options) -> String,
) -> Rule {
    Rule { field, keys, value, verdict: Verdict::Live(step, line) }
}

/// A rule for a change that needs a restart.
pub(super) const fn refused(
    field: &'static str,
    keys: &'static [&'static str],
    value: fn(&Options) -> String,
) -> Rule {
    Rule { field, keys, value, verdict: Verdict::Refused }
}

/// A rule that says itself what a change means.
pub(super) const fn judged(
    field: &'static str,
    keys: &'static [&'static str],
    judge: fn(&Pair<'_>, &mut Plan) -> Result<(), String>,
) -> Rule {
    Rule { field, keys, value: |_| String::new(), verdict: Verdict::Judged(judge) }
}
