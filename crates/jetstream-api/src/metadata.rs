//! What people and tools note about an asset: few pairs, of which every stream and consumer has
//! one at least, so they are held as tightly as they can be.
//!
//! Laws: keys ascend and are there once.

/// An asset's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Vec<(Box<str>, Box<str>)>);

impl Metadata {
    /// No metadata.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }

    /// Notes `value` under `key`, instead of what was there.
    pub fn insert(&mut self, key: impl Into<Box<str>>, value: impl Into<Box<str>>) {
        let (key, value) = (key.into(), value.into());
        match self.find(&key) {
            Ok(at) => {
                if let Some((_, place)) = self.0.get_mut(at) {
                    *place = value;
                }
            }
            Err(at) => {
                // A client may send many; they come in any order, seldom more than a few.
                if self.0.len() < 8 {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (key, value));
            }
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) {
        if let Ok(at) = self.find(key) {
            self.0.remove(at);
        }
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(key))
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut this = Self::default();
        for (key, value) in pairs {
            this.insert(key, value);
        }
        this
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>, const N: usize> From<[(K, V); N]> for Metadata {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found_replaced_and_taken_out() {
        let mut metadata = Metadata::from([("b", "2"), ("a", "1"), ("c", "3"), ("a", "4")]);
        assert_eq!(metadata.iter().collect::<Vec<_>>(), [("a", "4"), ("b", "2"), ("c", "3")]);
        metadata.remove("b");
        metadata.remove("x");
        assert_eq!((metadata.get("a"), metadata.get("b")), (Some("4"), None));
        assert_ne!(metadata, Metadata::new());
        metadata.clear();
        assert!(metadata.is_empty());
    }
}
