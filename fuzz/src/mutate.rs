//! Random bytes from good ones.

/// A small generator: reproducible from its seed, good enough to shuffle bytes.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator; equal seeds give equal sequences.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next 64 bits (xorshift*).
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `n`; zero if `n` is zero.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.bits() % n as u64) as usize }
    }
}

/// Inputs do not grow beyond this.
pub const LONGEST: usize = 64 * 1024;

/// Numbers at the edges of parsers.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "99999999999999999999",
];

/// Changes `input` a few times, borrowing from `other` and `words`.
pub fn mutate(random: &mut Random, input: &mut Vec<u8>, other: &[u8], words: &[&str]) {
    for _ in 0..=random.below(6) {
        once(random, input, other, words);
    }
    input.truncate(LONGEST);
}

fn once(random: &mut Random, input: &mut Vec<u8>, other: &[u8], words: &[&str]) {
    let at = random.below(input.len() + 1);
    let len = 1 + random.below(16.min(input.len()));
    let end = (at + len).min(input.len());
    match random.below(11) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.bits() as u8,
        2 => input.insert(at, random.bits() as u8),
        3 => {
            input.drain(at..end);
        }
        4 => {
            let copy = input[at..end].to_vec();
            let most = if random.below(50) == 0 { 2000 } else { 4 };
            let times = 1 + random.below(most);
            let copies = copy.repeat(times);
            input.splice(at..at, copies);
        }
        5 => {
            let from = random.below(other.len() + 1);
            let to = from + random.below(other.len() - from + 1);
            input.splice(at..end, other[from..to].iter().copied());
        }
        6 | 7 if !words.is_empty() => {
            let word = words[random.below(words.len())];
            input.splice(at..at, word.bytes());
        }
        8 => {
            let number = NUMBERS[random.below(NUMBERS.len())];
            input.splice(at..end, number.bytes());
        }
        9 => input.truncate(at),
        _ => {
            let special = b" \t\r\n\0\"'{}[]()<>.*$#,:;=\\\x7f\x80\xff";
            input.insert(at, special[random.below(special.len())]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_mutations() {
        let run = |seed| {
            let (mut random, mut input) = (Random::new(seed), b"PUB a 5\r\nhello\r\n".to_vec());
            for _ in 0..100 {
                mutate(&mut random, &mut input, b"SUB a 1\r\n", &["MSG"]);
            }
            input
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}
