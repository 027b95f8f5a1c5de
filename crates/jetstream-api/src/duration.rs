//! Durations as Go reads them: `1h30m`, `1.5s`, `-250ms`, `0`.
//!
//! Reference: time.ParseDuration.

use crate::time::Nanos;

/// Reads a duration; nothing for what Go refuses, overflow included.
pub fn parse(text: &[u8]) -> Option<Nanos> {
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if rest == b"0" {
        return Some(Nanos::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (value, after) = component(rest)?;
        total = total.checked_add(value).filter(|total| *total <= 1 << 63)?;
        rest = after;
    }
    if negative {
        return Some(Nanos(0i64.checked_sub_unsigned(total)?));
    }
    i64::try_from(total).ok().map(Nanos)
}

/// One number with its unit, in nanoseconds, and what follows.
fn component(text: &[u8]) -> Option<(u64, &[u8])> {
    let whole_len = digits(text);
    let (whole, mut rest) = text.split_at_checked(whole_len)?;
    let mut fraction: &[u8] = &[];
    if let [b'.', after @ ..] = rest {
        (fraction, rest) = after.split_at_checked(digits(after))?;
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_len = rest.iter().take_while(|b| **b != b'.' && !b.is_ascii_digit()).count();
    let (unit, rest) = rest.split_at_checked(unit_len)?;
    let scale = unit_of(unit)?;
    let whole = number(whole)?.checked_mul(scale)?;
    Some((whole.checked_add(fraction_of(fraction, scale))?, rest))
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0')))
}

/// `scale` times `0.<digits>`, rounded down; digits beyond the eighteenth do not matter.
fn fraction_of(digits: &[u8], scale: u64) -> u64 {
    let kept = digits.get(..digits.len().min(18)).unwrap_or_default();
    let value = number(kept).unwrap_or(0);
    let power = 10u128.pow(u32::try_from(kept.len()).unwrap_or(0));
    u64::try_from(u128::from(value) * u128::from(scale) / power).unwrap_or(0)
}

fn unit_of(unit: &[u8]) -> Option<u64> {
    Some(match unit {
        b"ns" => 1,
        // The micro sign and the Greek letter.
        b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases: [(&str, Option<i64>); 30] = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+0", Some(0)),
            ("00", None),
            ("", None),
            ("-", None),
            ("5", None),
            ("5s", Some(5_000_000_000)),
            ("+5s", Some(5_000_000_000)),
            ("-5s", Some(-5_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5s", Some(500_000_000)),
            ("5.s", Some(5_000_000_000)),
            (".s", None),
            ("1h2m3s", Some(3_723_000_000_000)),
            ("1ns", Some(1)),
            ("1us", Some(1_000)),
            ("1µs", Some(1_000)),
            ("1μs", Some(1_000)),
            ("1ms", Some(1_000_000)),
            ("0.3333333333333333333h", Some(1_199_999_999_999)),
            ("1d", None),
            ("1s ", None),
            (" 1s", None),
            ("1S", None),
            ("s", None),
            ("9223372036854775807ns", Some(i64::MAX)),
            ("9223372036854775808ns", None),
            ("-9223372036854775808ns", Some(i64::MIN)),
            ("3000000h", None),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text.as_bytes()), want.map(Nanos), "{text}");
        }
    }
}
