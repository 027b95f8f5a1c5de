//! Numbers as decimal digits, two at a time. Hot path: subjects and sizes hold many.

const PAIRS: &[u8; 200] = b"\
    0001020304050607080910111213141516171819\
    2021222324252627282930313233343536373839\
    4041424344454647484950515253545556575859\
    6061626364656667686970717273747576777879\
    8081828384858687888990919293949596979899";

/// Appends a decimal number.
#[inline]
pub fn put(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    while n >= 100 {
        let pair = (n % 100) as usize * 2;
        n /= 100;
        at -= 2;
        digits[at] = PAIRS[pair];
        digits[at + 1] = PAIRS[pair + 1];
    }
    if n >= 10 {
        let pair = n as usize * 2;
        at -= 2;
        digits[at] = PAIRS[pair];
        digits[at + 1] = PAIRS[pair + 1];
    } else {
        at -= 1;
        digits[at] = b'0' + n as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_reads_as_the_number_does() {
        let mut numbers = vec![0, 9, 10, 99, 100, 101, 999, 1000, u64::MAX];
        numbers.extend((0..20).map(|i| 10u64.pow(i) - 1));
        numbers.extend((0..20).map(|i| 12_345_678_909_876_543_210 / 10u64.pow(i)));
        for n in numbers {
            let mut out = b"x".to_vec();
            put(&mut out, n);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{n}"));
        }
    }
}
