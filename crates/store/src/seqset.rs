//! A set of sequences, and the bytes the reference keeps such a set in.
//!
//! Chunks of 2,048 sequences hold a bitmap; a chunk that is full holds none. A range of deletes
//! of any length thus costs at most 300 bytes per 2,048 sequences while ragged, and little when
//! whole.
//! Wire: `0x16 | version | u32 nodes | u32 size | nodes (u64 base | bitmap words | u16 height)`,
//! nodes in pre-order of an AVL tree. Version 2 has 32 words a node, version 1 had 64.
//! Laws: `len` is the number of set bits; no chunk is empty.
//! Reference: avl/seqset.go.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::Reader;

const WORDS: usize = 32;
const SPAN: u64 = (WORDS * 64) as u64;
const MAGIC: u8 = 0x16;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Chunk {
    /// Shared with copies of the set until either changes.
    Bits(Arc<[u64; WORDS]>),
    Full,
}

impl Chunk {
    fn contains(&self, bit: usize) -> bool {
        match self {
            Self::Full => true,
            Self::Bits(words) => words[bit / 64 % WORDS] & (1 << (bit % 64)) != 0,
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Full => SPAN,
            Self::Bits(words) => words.iter().map(|w| u64::from(w.count_ones())).sum(),
        }
    }

    fn words(&self) -> [u64; WORDS] {
        match self {
            Self::Full => [u64::MAX; WORDS],
            Self::Bits(words) => **words,
        }
    }
}

/// A set of stream sequences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeqSet {
    chunks: BTreeMap<u64, Chunk>,
    len: u64,
}

impl SeqSet {
    /// Sequences in one of the pieces that a copy is made of.
    pub(crate) const PIECE: u64 = SPAN;

    /// The number of sequences in the set.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `seq` is in the set.
    pub fn contains(&self, seq: u64) -> bool {
        self.len > 0
            && self.chunks.get(&(seq / SPAN)).is_some_and(|c| c.contains((seq % SPAN) as usize))
    }

    /// Adds `seq`; false if it was there.
    pub fn insert(&mut self, seq: u64) -> bool {
        let bit = (seq % SPAN) as usize;
        let chunk =
            self.chunks.entry(seq / SPAN).or_insert_with(|| Chunk::Bits(Arc::new([0; WORDS])));
        if chunk.contains(bit) {
            return false;
        }
        if let Chunk::Bits(words) = chunk {
            let words = Arc::make_mut(words);
            words[bit / 64 % WORDS] |= 1 << (bit % 64);
            if words.iter().all(|&w| w == u64::MAX) {
                *chunk = Chunk::Full;
            }
        }
        self.len += 1;
        true
    }

    /// Adds every sequence of `first..=last`.
    pub fn insert_range(&mut self, first: u64, last: u64) {
        let mut seq = first;
        while seq <= last {
            let base = seq / SPAN;
            let end = (base * SPAN).saturating_add(SPAN - 1);
            if seq.is_multiple_of(SPAN) && end <= last {
                let old = self.chunks.insert(base, Chunk::Full).map_or(0, |c| c.count());
                self.len += SPAN - old;
                let Some(next) = end.checked_add(1) else { return };
                seq = next;
            } else {
                self.insert(seq);
                let Some(next) = seq.checked_add(1) else { return };
                seq = next;
            }
        }
    }

    /// Removes `seq`; false if it was not there.
    pub fn remove(&mut self, seq: u64) -> bool {
        let (base, bit) = (seq / SPAN, (seq % SPAN) as usize);
        let Some(chunk) = self.chunks.get_mut(&base) else { return false };
        if !chunk.contains(bit) {
            return false;
        }
        let mut words = chunk.words();
        words[bit / 64 % WORDS] &= !(1 << (bit % 64));
        if words.iter().all(|&w| w == 0) {
            self.chunks.remove(&base);
        } else {
            *chunk = Chunk::Bits(Arc::new(words));
        }
        self.len -= 1;
        true
    }

    /// Removes every sequence below `floor`.
    pub fn remove_below(&mut self, floor: u64) {
        let base = floor / SPAN;
        while let Some((&key, _)) = self.chunks.first_key_value() {
            if key >= base {
                break;
            }
            if let Some(chunk) = self.chunks.remove(&key) {
                self.len -= chunk.count();
            }
        }
        for seq in base * SPAN..floor {
            if !self.chunks.contains_key(&base) {
                break;
            }
            self.remove(seq);
        }
    }

    /// Removes every sequence above `ceiling`.
    pub fn remove_above(&mut self, ceiling: u64) {
        while let Some((&key, _)) = self.chunks.last_key_value() {
            if key <= ceiling / SPAN {
                break;
            }
            if let Some(chunk) = self.chunks.remove(&key) {
                self.len -= chunk.count();
            }
        }
        let base = ceiling / SPAN;
        if self.chunks.contains_key(&base) && ceiling % SPAN != SPAN - 1 {
            for seq in ceiling + 1..=base * SPAN + SPAN - 1 {
                self.remove(seq);
            }
        }
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.len = 0;
    }

    /// The smallest sequence.
    pub fn first(&self) -> Option<u64> {
        self.iter().next()
    }

    /// The smallest sequence that is not below `from`.
    pub fn next_from(&self, from: u64) -> Option<u64> {
        self.chunks.range(from / SPAN..).find_map(|(&base, chunk)| {
            let low = base * SPAN;
            let mut bits = from.max(low) - low..SPAN;
            bits.find(|&bit| chunk.contains(bit as usize)).map(|bit| low + bit)
        })
    }

    /// How many members lie in `first..=last`.
    pub fn count_range(&self, first: u64, last: u64) -> u64 {
        if first > last || self.len == 0 {
            return 0;
        }
        let mut total = 0;
        for (&base, chunk) in self.chunks.range(first / SPAN..=last / SPAN) {
            let low = base * SPAN;
            let high = low.saturating_add(SPAN - 1);
            if low >= first && high <= last {
                total += chunk.count();
                continue;
            }
            let from = first.max(low) - low;
            let to = last.min(high) - low;
            total += (from..=to).filter(|&bit| chunk.contains(bit as usize)).count() as u64;
        }
        total
    }

    /// Members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.chunks.iter().flat_map(|(&base, chunk)| {
            let words = chunk.words();
            (0..SPAN).filter_map(move |bit| {
                let at = bit as usize;
                (words[at / 64 % WORDS] & (1 << (at % 64)) != 0).then_some(base * SPAN + bit)
            })
        })
    }

    /// Appends the set as a balanced tree of version 2.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[MAGIC, 2]);
        out.extend_from_slice(&(self.chunks.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.len as u32).to_le_bytes());
        let nodes: Vec<(u64, &Chunk)> = self.chunks.iter().map(|(&b, c)| (b, c)).collect();
        encode_tree(&nodes, out);
    }

    /// Decodes a set from the head of `bytes`, and says how many bytes it took.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut r = Reader::new(bytes);
        let (magic, version) = (r.u8()?, r.u8()?);
        let words = match (magic, version) {
            (MAGIC, 2) => 32,
            (MAGIC, 1) => 64,
            _ => return None,
        };
        let nodes = r.u32()?;
        let size = u64::from(r.u32()?);
        if r.remaining() < nodes as usize * (8 + words * 8 + 2) {
            return None;
        }
        let mut set = Self::default();
        for _ in 0..nodes {
            let base = r.u64()?;
            for w in 0..words as u64 {
                let mut word = r.u64()?;
                while word != 0 {
                    let bit = u64::from(word.trailing_zeros());
                    set.insert(base.checked_add(w * 64 + bit)?);
                    word &= word - 1;
                }
            }
            r.u16()?;
        }
        (set.len == size).then(|| (set, r.position()))
    }
}

/// Writes `nodes` (ascending) as a height-balanced tree in pre-order; returns its height.
fn encode_tree(nodes: &[(u64, &Chunk)], out: &mut Vec<u8>) -> u16 {
    if nodes.is_empty() {
        return 0;
    }
    // The middle as root keeps both sides within one level of each other.
    let middle = nodes.len() / 2;
    let (left, rest) = nodes.split_at(middle);
    let Some(((base, chunk), right)) = rest.split_first() else { return 0 };
    out.extend_from_slice(&(base * SPAN).to_le_bytes());
    for word in chunk.words() {
        out.extend_from_slice(&word.to_le_bytes());
    }
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    let height = 1 + encode_tree(left, out).max(encode_tree(right, out));
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&height.to_le_bytes());
    }
    height
}

impl FromIterator<u64> for SeqSet {
    fn from_iter<T: IntoIterator<Item = u64>>(iter: T) -> Self {
        let mut set = Self::default();
        for seq in iter {
            set.insert(seq);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_btree_set(ops in proptest::collection::vec((0u8..6, 0u64..9000, 0u64..5000), 1..60)) {
            let mut set = SeqSet::default();
            let mut model = BTreeSet::new();
            let mut copy = (set.clone(), model.clone());
            let half = ops.len() / 2;
            for (at, (op, seq, n)) in ops.into_iter().enumerate() {
                if at == half {
                    copy = (set.clone(), model.clone());
                }
                match op {
                    0 | 1 => assert_eq!(set.insert(seq), model.insert(seq)),
                    2 => assert_eq!(set.remove(seq), model.remove(&seq)),
                    3 => { set.insert_range(seq, seq + n); model.extend(seq..=seq + n); }
                    4 => { set.remove_below(seq); model.retain(|&s| s >= seq); }
                    _ => { set.remove_above(seq + 4000); model.retain(|&s| s <= seq + 4000); }
                }
                prop_assert_eq!(set.len(), model.len() as u64);
                prop_assert_eq!(set.count_range(seq, seq + n), model.range(seq..=seq + n).count() as u64);
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
            // What the set became, its copy did not.
            prop_assert_eq!(copy.0.len(), copy.1.len() as u64);
            prop_assert_eq!(copy.0.iter().collect::<Vec<_>>(), copy.1.into_iter().collect::<Vec<_>>());
            let mut bytes = Vec::new();
            set.encode(&mut bytes);
            bytes.push(7);
            let (back, used) = SeqSet::decode(&bytes).unwrap();
            prop_assert_eq!(used, bytes.len() - 1);
            prop_assert_eq!(back, set);
        }

        #[test]
        fn decoding_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = SeqSet::decode(&bytes);
        }
    }

    // The captured form of a set {5}: magic, version, one node, one member, base 0, height 1.
    #[test]
    fn one_member_has_the_reference_bytes() {
        let mut bytes = Vec::new();
        [5u64].into_iter().collect::<SeqSet>().encode(&mut bytes);
        let mut expected = vec![0x16, 2, 1, 0, 0, 0, 1, 0, 0, 0];
        expected.extend_from_slice(&0u64.to_le_bytes());
        expected.extend_from_slice(&32u64.to_le_bytes());
        expected.extend_from_slice(&[0; 31 * 8]);
        expected.extend_from_slice(&[1, 0]);
        assert_eq!(bytes, expected);
    }
}
