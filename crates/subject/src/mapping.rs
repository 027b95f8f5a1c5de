//! Weighted subject mappings of one account: which destination a published subject gets.
//!
//! Not here: reading mappings from a configuration file (`config`), the rewriting (`transform`).
//! Laws: the cumulative weights of a list never pass 100; randomness is handed in; the first entry
//!       in definition order that covers a subject decides.
//! Reference: accounts.go AddWeightedMappings, selectMappedSubject.

use crate::overlap::is_subset;
use crate::transform::{Transform, TransformError, to_placeholders};
use crate::validate::{has_wildcard, is_valid};

/// One destination as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Where to, with placeholders and functions.
    pub subject: String,
    /// Share of the messages in percent, 0 to 100.
    pub weight: u8,
    /// The cluster in which this destination counts; empty for everywhere.
    pub cluster: String,
}

impl Destination {
    /// All messages to `subject`, everywhere.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), weight: 100, cluster: String::new() }
    }
}

/// Why a mapping cannot be built; the text is the one the reference prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The source is not a valid subject.
    #[error("invalid subject")]
    BadSource,
    /// A destination is listed twice.
    #[error("duplicate entry for \"{0}\"")]
    Duplicate(String),
    /// One weight is above 100.
    #[error("individual weights need to be <= 100")]
    WeightTooLarge,
    /// The weights of one cluster add up to more than 100.
    #[error("total weight needs to be <= 100")]
    TotalTooLarge,
    /// A destination cannot be compiled.
    #[error(transparent)]
    Transform(#[from] TransformError),
}

/// What becomes of a message to a mapped subject.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// Rewrite its subject.
    Transform(&'a Transform),
    /// Nobody gets it: the weights leave a gap on purpose.
    Drop,
}

/// A destination with the upper end of its share.
#[derive(Clone, Debug)]
struct Weighted {
    transform: Transform,
    /// Chosen if the dice show less than this.
    below: u8,
}

/// The destinations that count in one cluster.
#[derive(Clone, Debug)]
struct Scoped {
    cluster: Box<str>,
    list: Vec<Weighted>,
}

/// All destinations of one source.
#[derive(Clone, Debug)]
pub struct Mapping {
    source: Box<str>,
    everywhere: Vec<Weighted>,
    clusters: Vec<Scoped>,
}

/// The mappings of one account in definition order.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    entries: Vec<Mapping>,
}

// === impl Mapping ===

impl Mapping {
    /// Compiles the destinations of `source`. What their weights leave of 100 stays on the source
    /// itself, unless the source is listed as a destination: then the rest is dropped.
    // Compat(SUBJ-009, SUBJ-016)
    pub fn new(source: &str, destinations: &[Destination]) -> Result<Self, MappingError> {
        if !is_valid(source.as_bytes()) {
            return Err(MappingError::BadSource);
        }
        // The list for everywhere stands first, under the empty name.
        let mut lists = vec![Scoped { cluster: Box::default(), list: vec![] }];
        let mut seen: Vec<&str> = Vec::new();
        for d in destinations {
            if seen.contains(&d.subject.as_str()) {
                return Err(MappingError::Duplicate(d.subject.clone()));
            }
            seen.push(&d.subject);
            if d.weight > 100 {
                return Err(MappingError::WeightTooLarge);
            }
            let at = lists.iter().position(|s| *s.cluster == *d.cluster).unwrap_or(lists.len());
            if at == lists.len() {
                lists.push(Scoped { cluster: d.cluster.as_str().into(), list: vec![] });
            }
            if total(&lists[at].list) + u32::from(d.weight) > 100 {
                return Err(MappingError::TotalTooLarge);
            }
            let transform = Transform::for_mapping(source, &d.subject)?;
            lists[at].list.push(Weighted { transform, below: d.weight });
        }
        if !seen.contains(&source) {
            for scoped in &mut lists {
                keep_the_rest(source, &mut scoped.list)?;
            }
        }
        for scoped in &mut lists {
            count_up(&mut scoped.list);
        }
        let everywhere = lists.remove(0).list;
        Ok(Self { source: source.into(), everywhere, clusters: lists })
    }

    /// The subjects that are mapped.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// All destinations, those for everywhere first: subject, upper end of its share in percent
    /// (shares are counted up list by list), cluster.
    pub fn destinations(&self) -> impl Iterator<Item = (&str, u8, &str)> {
        let everywhere = self.everywhere.iter().map(|w| (w, ""));
        let scoped = self.clusters.iter().flat_map(|s| s.list.iter().map(|w| (w, &*s.cluster)));
        everywhere.chain(scoped).map(|(w, cluster)| (w.transform.destination(), w.below, cluster))
    }

    /// Chooses a destination on a server of `cluster`; `dice` is uniform in 0..100.
    #[inline]
    pub fn choose(&self, cluster: &str, dice: impl FnOnce() -> u32) -> Selection<'_> {
        let scoped = self.clusters.iter().find(|s| *s.cluster == *cluster);
        let list = scoped.map_or(&self.everywhere, |s| &s.list);
        if let [only] = list.as_slice()
            && only.below == 100
        {
            return Selection::Transform(&only.transform);
        }
        let value = dice();
        match list.iter().find(|d| value < u32::from(d.below)) {
            Some(d) => Selection::Transform(&d.transform),
            None => Selection::Drop,
        }
    }
}

/// Adds the source itself for what the weights leave of 100.
fn keep_the_rest(source: &str, list: &mut Vec<Weighted>) -> Result<(), TransformError> {
    let rest = 100u32.saturating_sub(total(list));
    if rest == 0 {
        return Ok(());
    }
    let transform = if has_wildcard(source.as_bytes()) {
        Transform::new(source, &to_placeholders(source))?
    } else {
        Transform::new(source, source)?
    };
    list.push(Weighted { transform, below: rest as u8 });
    Ok(())
}

/// The sum of shares that are not counted up yet.
fn total(list: &[Weighted]) -> u32 {
    list.iter().map(|w| u32::from(w.below)).sum()
}

/// Makes each share the end of a range of percents, small shares first, as monitoring shows them.
fn count_up(list: &mut [Weighted]) {
    list.sort_by_key(|w| w.below);
    let mut end = 0;
    for weighted in list {
        end += weighted.below;
        weighted.below = end;
    }
}

// === impl Mappings ===

impl Mappings {
    /// Adds a mapping at the end, or in the place of the one with the same source.
    pub fn set(&mut self, mapping: Mapping) {
        match self.entries.iter_mut().find(|m| m.source == mapping.source) {
            Some(old) => *old = mapping,
            None => self.entries.push(mapping),
        }
    }

    /// Whether there are no mappings.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All mappings in definition order.
    pub fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.entries.iter()
    }

    /// The first mapping that covers `subject`.
    // Compat(SUBJ-010)
    #[inline]
    pub fn find(&self, subject: &[u8]) -> Option<&Mapping> {
        self.entries
            .iter()
            .find(|m| m.source.as_bytes() == subject || is_subset(subject, m.source.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(subject: &str, weight: u8, cluster: &str) -> Destination {
        Destination { subject: subject.into(), weight, cluster: cluster.into() }
    }

    /// How many of the hundred faces of the dice lead where.
    fn shares(mapping: &Mapping, cluster: &str, subject: &str) -> Vec<(String, usize)> {
        let mut shares: Vec<(String, usize)> = Vec::new();
        for face in 0..100 {
            let to = match mapping.choose(cluster, || face) {
                Selection::Drop => "(dropped)".to_owned(),
                Selection::Transform(t) => {
                    let mut out = Vec::new();
                    t.apply(subject.as_bytes(), || 0, &mut out);
                    String::from_utf8(out).unwrap()
                }
            };
            match shares.iter_mut().find(|(name, _)| *name == to) {
                Some((_, n)) => *n += 1,
                None => shares.push((to, 1)),
            }
        }
        shares.sort();
        shares
    }

    fn check(
        source: &str,
        list: &[Destination],
        cluster: &str,
        subject: &str,
        want: &[(&str, usize)],
    ) {
        let mapping = Mapping::new(source, list).unwrap();
        let want: Vec<_> = want.iter().map(|(s, n)| ((*s).to_owned(), *n)).collect();
        assert_eq!(shares(&mapping, cluster, subject), want, "{source} {list:?} in {cluster:?}");
    }

    // Contract: SUBJ-009, SUBJ-016
    #[test]
    fn weights_share_out_the_messages() {
        check("foo", &[Destination::new("bar")], "", "foo", &[("bar", 100)]);
        check(
            "foo",
            &[to("a", 20, ""), to("b", 30, "")],
            "",
            "foo",
            &[("a", 20), ("b", 30), ("foo", 50)],
        );
        check(
            "foo",
            &[to("a", 30, ""), to("foo", 40, "")],
            "",
            "foo",
            &[("(dropped)", 30), ("a", 30), ("foo", 40)],
        );
        check("foo", &[to("foo", 50, "")], "", "foo", &[("(dropped)", 50), ("foo", 50)]);
        check("foo", &[to("a", 0, "")], "", "foo", &[("foo", 100)]);
        check("foo", &[], "", "foo", &[("foo", 100)]);
        check("foo.*", &[to("bar.$1", 10, "")], "", "foo.x", &[("bar.x", 10), ("foo.x", 90)]);
    }

    // Contract: SUBJ-009
    #[test]
    fn cluster_lists_count_in_their_cluster_only() {
        let list = [to("a", 100, ""), to("b", 60, "east"), to("c", 100, "west")];
        check("foo", &list, "", "foo", &[("a", 100)]);
        check("foo", &list, "north", "foo", &[("a", 100)]);
        check("foo", &list, "east", "foo", &[("b", 60), ("foo", 40)]);
        check("foo", &list, "west", "foo", &[("c", 100)]);
        // Without a list for everywhere, other clusters keep the source.
        check("foo", &list[1..], "north", "foo", &[("foo", 100)]);
    }

    // Contract: SUBJ-009, SUBJ-013
    #[test]
    fn bad_mappings_are_refused_with_the_reference_texts() {
        let cases: [(&str, &[Destination], &str); 8] = [
            ("foo..bar", &[to("a", 100, "")], "invalid subject"),
            ("foo", &[to("a", 101, "")], "individual weights need to be <= 100"),
            ("foo", &[to("a", 60, ""), to("b", 41, "")], "total weight needs to be <= 100"),
            ("foo", &[to("a", 50, ""), to("a", 50, "")], "duplicate entry for \"a\""),
            ("foo", &[to("a", 50, ""), to("a", 50, "east")], "duplicate entry for \"a\""),
            ("foo", &[to("a", 60, "e"), to("b", 60, "e")], "total weight needs to be <= 100"),
            ("foo.*", &[to("bar.*", 100, "")], "invalid subject"),
            ("foo", &[to("", 100, "")], "invalid mapping destination: invalid transform"),
        ];
        for (source, list, want) in cases {
            assert_eq!(Mapping::new(source, list).unwrap_err().to_string(), want);
        }
    }

    // Contract: SUBJ-010
    #[test]
    fn the_first_mapping_that_covers_a_subject_decides() {
        let mut mappings = Mappings::default();
        for (source, target) in [("foo.*", "wild.$1"), ("foo.bar", "literal"), (">", "rest.>")] {
            mappings.set(Mapping::new(source, &[Destination::new(target)]).unwrap());
        }
        let first = |subject: &str| mappings.find(subject.as_bytes()).map(Mapping::source);
        assert_eq!(first("foo.bar"), Some("foo.*"));
        assert_eq!(first("foo"), Some(">"));
        assert_eq!(first("foo.bar.baz"), Some(">"));

        mappings.set(Mapping::new("foo.*", &[Destination::new("other.$1")]).unwrap());
        assert_eq!(
            mappings.iter().map(Mapping::source).collect::<Vec<_>>(),
            ["foo.*", "foo.bar", ">"]
        );
        check("foo.*", &[Destination::new("other.$1")], "", "foo.a", &[("other.a", 100)]);
    }
}
