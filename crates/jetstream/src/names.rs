//! The consumers of a stream by name. Most streams have few, and many streams have one: a tree's
//! first leaf would cost ten times that.
//!
//! Laws: names ascend and are there once.

/// Numbers by name.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<(Box<str>, u32)>);

impl Names {
    /// The number of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&u32> {
        let at = self.find(name).ok()?;
        self.0.get(at).map(|(_, id)| id)
    }

    /// Gives `name` a number.
    pub(crate) fn insert(&mut self, name: &str, id: u32) {
        match self.find(name) {
            Ok(at) => {
                if let Some(place) = self.0.get_mut(at) {
                    place.1 = id;
                }
            }
            Err(at) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (name.into(), id));
            }
        }
    }

    /// Takes `name` out.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    /// All, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &u32)> {
        self.0.iter().map(|(name, id)| (&**name, id))
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_order_and_taken_out() {
        let mut names = Names::default();
        for (name, id) in [("b", 1), ("a", 2), ("c", 3), ("a", 4)] {
            names.insert(name, id);
        }
        assert_eq!(names.iter().collect::<Vec<_>>(), [("a", &4), ("b", &1), ("c", &3)]);
        names.remove("b");
        names.remove("x");
        assert_eq!((names.get("a"), names.get("b")), (Some(&4), None));
    }
}
