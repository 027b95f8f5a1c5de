//! Splitting and numbers of control lines. Hot path: no allocation.

/// Up to `N` blank-separated arguments of a control line; remembers when there were more.
pub(super) struct Args<'a, const N: usize> {
    items: [&'a [u8]; N],
    len: usize,
    overflow: bool,
}

impl<'a, const N: usize> Args<'a, N> {
    /// Splits at runs of what `is_space` names.
    #[inline]
    pub(super) fn split(line: &'a [u8], is_space: impl Fn(u8) -> bool) -> Self {
        let mut args = Self { items: [&[]; N], len: 0, overflow: false };
        for item in line.split(|b| is_space(*b)).filter(|s| !s.is_empty()) {
            match args.items.get_mut(args.len) {
                Some(slot) => {
                    *slot = item;
                    args.len += 1;
                }
                None => {
                    args.overflow = true;
                    break;
                }
            }
        }
        args
    }

    /// The arguments; empty when there were more than `N`.
    pub(super) fn as_slice(&self) -> &[&'a [u8]] {
        if self.overflow { &[] } else { self.items.get(..self.len).unwrap_or_default() }
    }
}

/// A decimal size of at most nine digits, as the reference accepts it.
#[inline]
pub fn size(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let mut n: u32 = 0;
    for &d in digits {
        let v = d.wrapping_sub(b'0');
        if v > 9 {
            return None;
        }
        n = n * 10 + u32::from(v); // nine digits fit
    }
    Some(n)
}
