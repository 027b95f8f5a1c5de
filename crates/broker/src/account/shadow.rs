//! Imported streams: what a subscription means in the accounts its account imports from.
//!
//! A subscription that overlaps imported subjects gets a *shadow* in the exporter's interest, which
//! delivers to the same connection under the same sid, with the subject as the importer sees it.
//! Shadows are made one account deep: an imported stream cannot be exported again.
//!
//! Laws: a shadow is in the exporter's interest exactly while its parent is in the importer's and
//!       the import is in force; it counts on its parent, so a maximum holds over all of them.
//! Lock order: an account's shadows before any account's interest.
//! Reference: client.go addShadowSubscriptions, addShadowSub.   Contract: ACC-005.

use super::import::{Rewrite, StreamImport, StreamTerms};
use super::{Account, flag};
use crate::sub::{Extra, Shadow, Sub, Target};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::sync::Arc;
use subject::token::{ANY_TAIL, ANY_TOKEN, tokens};

/// An account's stream imports and the shadows of its subscriptions.
#[derive(Default)]
pub(crate) struct Shadows {
    pub imports: Vec<Arc<StreamImport>>,
    /// By the address of the parent, which its shadows keep alive.
    by_parent: HashMap<usize, SmallVec<[Arc<Sub>; 1]>>,
}

fn key(parent: &Arc<Sub>) -> usize {
    Arc::as_ptr(parent).addr()
}

impl Account {
    /// Enters shadows of a subscription that was just entered itself.
    pub(super) fn cast_shadows(self: &Arc<Self>, parent: &Arc<Sub>) {
        if !self.has(flag::STREAM_IMPORTS) || receiver(parent).is_none() {
            return;
        }
        let mut shadows = self.shadows.lock();
        // A reload may have found it in the index already.
        if shadows.by_parent.contains_key(&key(parent)) {
            return;
        }
        let imports = shadows.imports.clone();
        self.cast(&mut shadows, &imports, parent);
    }

    /// Takes the shadows of a subscription that was just removed out as well.
    pub(super) fn lift_shadows(&self, parent: &Arc<Sub>) {
        if !self.has(flag::SHADOWS) {
            return;
        }
        let gone = self.shadows.lock().by_parent.remove(&key(parent));
        for shadow in gone.into_iter().flatten() {
            lift(&shadow);
        }
    }

    /// Replaces the stream imports: shadows of those that stay stay.
    pub(super) fn set_stream_imports(self: &Arc<Self>, imports: Vec<Arc<StreamImport>>) {
        let mut shadows = self.shadows.lock();
        let stays = |import: &Arc<StreamImport>, of: &[Arc<StreamImport>]| {
            of.iter().any(|other| Arc::ptr_eq(import, other))
        };
        let new: Vec<_> =
            imports.iter().filter(|import| !stays(import, &shadows.imports)).cloned().collect();
        // Before the index is walked: a subscription it does not show yet sees the flag.
        self.set_flag(flag::STREAM_IMPORTS, !imports.is_empty());
        shadows.by_parent.retain(|_, of_parent| {
            of_parent.retain(|shadow| {
                let keep = shadow.shadow().is_none_or(|s| stays(&s.import, &imports));
                if !keep {
                    lift(shadow);
                }
                keep
            });
            !of_parent.is_empty()
        });
        shadows.imports = imports;
        if new.is_empty() {
            return;
        }
        let mut parents = Vec::new();
        self.for_each_sub(|sub| {
            if receiver(sub).is_some() && sub.shadow().is_none() {
                parents.push(sub.clone());
            }
        });
        for parent in &parents {
            self.cast(&mut shadows, &new, parent);
        }
    }

    fn cast(
        self: &Arc<Self>,
        shadows: &mut Shadows,
        imports: &[Arc<StreamImport>],
        parent: &Arc<Sub>,
    ) {
        for import in imports {
            let Some(exporter) = import.exporter.upgrade() else { continue };
            let Some(target) = receiver(parent) else { continue };
            let Some(reach) = import.terms.reach(parent.filter()) else { continue };
            let extra = Extra {
                deny: parent.extra.as_ref().and_then(|extra| extra.deny.clone()),
                shadow: Some(Shadow {
                    parent: parent.clone(),
                    importer: Arc::downgrade(self),
                    import: import.clone(),
                    narrower: reach.narrower,
                }),
            };
            let sub = Arc::new(Sub::new(
                target,
                parent.sid(),
                &reach.filter,
                parent.queue(),
                Some(Box::new(extra)),
            ));
            exporter.enter(&sub);
            shadows.by_parent.entry(key(parent)).or_default().push(sub);
            self.set_flag(flag::SHADOWS, true);
        }
    }
}

/// Who gets what a subscription's shadows find: a client, or a part of the server.
fn receiver(parent: &Sub) -> Option<Target> {
    match &parent.target {
        Target::Conn(conn) => Some(Target::Conn(conn.clone())),
        Target::Internal(internal) => Some(Target::Internal(internal.clone())),
        Target::Service(_) | Target::Responses => None,
    }
}

fn lift(shadow: &Arc<Sub>) {
    shadow.close();
    let exporter = shadow.shadow().and_then(|s| s.import.exporter.upgrade());
    if let Some(exporter) = exporter {
        exporter.leave(shadow);
    }
}

/// Which of the exporter's subjects a subscription of the importer reaches.
struct Reach {
    filter: Vec<u8>,
    /// The filter lets more through than the subscription asked for: deliveries are checked.
    narrower: bool,
}

impl StreamTerms {
    /// The exporter's subjects that the importer's `filter` reaches, if any.
    fn reach(&self, filter: &[u8]) -> Option<Reach> {
        let to = self.to.as_bytes();
        if subject::is_subset(to, filter) {
            return Some(Reach { filter: self.from.clone().into_bytes(), narrower: false });
        }
        if subject::is_subset(filter, to) {
            return Some(self.back(filter));
        }
        if !subject::has_wildcard(filter) {
            return None;
        }
        let both = meet(filter, to);
        subject::is_subset(&both, to).then(|| self.back(&both))
    }

    /// The importer's `filter`, which lies inside the imported subjects, in the exporter's terms.
    fn back(&self, filter: &[u8]) -> Reach {
        match (&self.rewrite, &self.reverse) {
            (Rewrite::Keep, _) => Reach { filter: filter.to_vec(), narrower: false },
            (Rewrite::Transform(_), Some(reverse)) => {
                let mut theirs = Vec::new();
                reverse.apply(filter, || 0, &mut theirs);
                Reach { filter: theirs, narrower: false }
            }
            (Rewrite::Transform(_), None) => {
                Reach { filter: self.from.clone().into_bytes(), narrower: true }
            }
            (Rewrite::Fixed(_), _) => {
                Reach { filter: self.from.clone().into_bytes(), narrower: false }
            }
        }
    }
}

/// `filter` with its wildcards replaced by what `imported` has in their place.
fn meet(filter: &[u8], imported: &[u8]) -> Vec<u8> {
    let mut theirs = tokens(imported);
    let mut out: Vec<&[u8]> = Vec::new();
    for token in tokens(filter) {
        let rest = theirs.rest();
        match (token, theirs.next()) {
            (ANY_TOKEN, Some(other)) if other != ANY_TAIL => out.push(other),
            (ANY_TAIL, Some(_)) => out.push(rest.unwrap_or(ANY_TAIL)),
            (token, _) => out.push(token),
        }
    }
    out.join(&b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: ACC-005
    #[test]
    fn subscriptions_reach_the_overlap_of_an_import() {
        // exported, imported as, subscribed to, reached
        let cases: [(&str, &str, &str, Option<&str>); 20] = [
            ("ev.>", "p.ev.>", "p.ev.>", Some("ev.>")),
            ("ev.>", "p.ev.>", "p.ev.a.*", Some("ev.a.*")),
            ("ev.>", "p.ev.>", ">", Some("ev.>")),
            ("ev.>", "p.ev.>", "*.ev.x", Some("ev.x")),
            ("ev.>", "p.ev.>", "*.*.x", Some("ev.x")),
            ("ev.>", "p.ev.>", "ev.x", None),
            ("ev.>", "p.ev.>", "p.ev", None),
            ("ev.*.*", "a.$2.b.$1", "a.x.b.y", Some("ev.y.x")),
            ("ev.*.*", "a.$2.b.$1", "a.x.>", Some("ev.*.x")),
            ("ev.*.*", "a.$2.b.$1", "a.*.b.y", Some("ev.y.*")),
            ("ev.*.*", "a.$2.b.$1", "a.x.c.>", None),
            ("ev", "here", "here", Some("ev")),
            ("ev", "here", "*", Some("ev")),
            ("ev", "here", "there", None),
            ("ev.>", "ev.>", "ev.x.>", Some("ev.x.>")),
            ("ev.*", "ev.*", ">", Some("ev.*")),
            ("ev.*", "ev.*", "*.x", Some("ev.x")),
            ("ev.*", "ev.*", "ev.>", Some("ev.*")),
            ("ev.*", "ev.*", "ev.x.y", None),
            ("ev.*.>", "ev.*.>", "*.x.*", Some("ev.x.*")),
        ];
        for (from, to, filter, want) in cases {
            let terms = StreamTerms::new("A", from, to, false).unwrap();
            let reach = terms.reach(filter.as_bytes());
            let got = reach.as_ref().map(|r| std::str::from_utf8(&r.filter).unwrap());
            assert_eq!(got, want, "{from} as {to}, subscribed to {filter}");
            assert!(reach.is_none_or(|r| !r.narrower));
        }
    }
}
