//! Targets that take any bytes, and a driver that mutates their corpora on stable Rust.
//!
//! Laws: a target never panics, never hangs and never allocates without bound, whatever the bytes;
//!       it returns a [`Shape`] that says what kind of thing happened, and an input with a shape
//!       not seen before is worth keeping. No instrumentation, so no nightly compiler.

pub mod driver;
pub mod mutate;
pub mod targets;

/// What happened, in few bits: which error, how many frames, which kind of value. Inputs are kept
/// by shape, so it should grow with behaviour and not with the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(pub u64);

impl Shape {
    /// The shape of a text, such as an error without its particulars.
    pub fn of(text: &str) -> Self {
        // FNV-1a; digits are left out, so positions and sizes do not make new shapes.
        let hash = text
            .bytes()
            .filter(|b| !b.is_ascii_digit())
            .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(hash)
    }

    /// A small number as a shape; large ones fall together by their order of magnitude.
    pub fn count(n: usize) -> Self {
        Self(if n < 8 { n as u64 } else { 8 + u64::from(n.ilog2()) })
    }

    /// Two shapes as one.
    pub fn and(self, other: Self) -> Self {
        Self(self.0.rotate_left(17) ^ other.0.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

/// A fuzz target.
pub struct Target {
    /// Its name, and that of its folder below `fuzz/corpus`.
    pub name: &'static str,
    /// Words that random bytes would hardly find.
    pub words: &'static [&'static str],
    /// What is done with the bytes.
    pub run: fn(&[u8]) -> Shape,
}
