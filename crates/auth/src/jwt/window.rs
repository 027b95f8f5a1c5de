//! When and where from a user may be connected.
//!
//! Laws: a time of day is compared in the zone the token names; a range that ends before it starts
//!       goes over midnight; the range that lasts longest counts.
//! Reference: jwt.go validateSrc, validateTimesAt.

use super::limits::TimeRange;
use std::net::IpAddr;

/// A network: its address and the number of bits that count.
pub(super) fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    if bits.is_empty() || !bits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let bits: u32 = bits.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    // Compat(AUTH-012): an address of IPv4 written as one of IPv6 stays one unless the network cuts
    // that off.
    let network = match (address, bits.checked_sub(96)) {
        (IpAddr::V6(long), Some(rest)) => match long.to_ipv4_mapped() {
            Some(short) => (IpAddr::V4(short), rest),
            None => (address, bits),
        },
        _ => (address, bits),
    };
    (bits <= most).then_some(network)
}

fn contains((network, bits): (IpAddr, u32), address: IpAddr) -> bool {
    let same = |a: u128, b: u128, width: u32| match width.checked_sub(bits) {
        // A shift by the whole width is no shift.
        Some(rest) => a.checked_shr(rest) == b.checked_shr(rest),
        None => false,
    };
    match (network, address.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

/// Whether who comes from `address` may, given the networks it may come from.
// Compat: one network that is none refuses everybody behind it in the list.
pub fn admits(networks: &[String], address: Option<IpAddr>) -> bool {
    if networks.is_empty() {
        return true;
    }
    let Some(address) = address else { return false };
    networks.iter().map_while(|text| network(text)).any(|network| contains(network, address))
}

/// The second of the day that `15:04:05` is.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let number = |part: &str, least: usize, below: u32| {
        let digits = (least..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u32>().ok()).flatten().filter(|n| *n < below)
    };
    // An hour may have one digit.
    Some(number(hour, 1, 24)? * 3600 + number(minute, 2, 60)? * 60 + number(second, 2, 60)?)
}

const DAY: u32 = 24 * 3600;

/// Seconds that one may still be connected, at `now`, a second of the day in the right zone; `None`
/// if one may not. Without ranges there is no end.
pub fn remaining(times: &[TimeRange], now: u32) -> Option<Option<u32>> {
    if times.is_empty() {
        return Some(None);
    }
    let mut longest = None;
    for range in times {
        let (start, end) = (seconds(&range.start)?, seconds(&range.end)?);
        longest = longest.max(within(start, end, now));
    }
    longest.map(Some)
}

fn within(start: u32, end: u32, now: u32) -> Option<u32> {
    // One that goes over midnight has begun yesterday.
    if now < end && (start < now || start > end) {
        Some(end - now)
    } else if start > end && start < now {
        Some(end + DAY - now)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: AUTH-012
    #[test]
    fn networks_admit_who_is_in_them() {
        let cases: [(&[&str], &str, bool); 18] = [
            (&[], "1.2.3.4", true),
            (&["10.0.0.0/8"], "10.9.8.7", true),
            (&["10.0.0.0/8"], "11.9.8.7", false),
            (&["11.0.0.0/8", "10.1.0.0/16"], "10.1.8.7", true),
            (&["0.0.0.0/0"], "1.2.3.4", true),
            (&["1.2.3.4/32"], "1.2.3.4", true),
            (&["1.2.3.4/32"], "1.2.3.5", false),
            (&["10.0.0.0/8"], "::ffff:10.1.2.3", true),
            (&["fe80::/10"], "fe80::1", true),
            (&["::/0"], "fe80::1", true),
            (&["::/0"], "1.2.3.4", false),
            (&["::ffff:10.0.0.0/104"], "10.9.8.7", true),
            (&["::ffff:10.0.0.0/104"], "11.9.8.7", false),
            (&["::ffff:10.0.0.0/96"], "11.9.8.7", true),
            (&["::ffff:10.1.2.3/128"], "::ffff:10.1.2.3", true),
            (&["::ffff:10.0.0.0/8"], "10.9.8.7", false),
            (&["::ffff:10.0.0.0/8"], "00ab::1", true),
            (&["nonsense", "0.0.0.0/0"], "1.2.3.4", false),
        ];
        for (networks, address, want) in cases {
            let networks: Vec<String> = networks.iter().map(|n| (*n).to_owned()).collect();
            assert_eq!(admits(&networks, address.parse().ok()), want, "{networks:?} {address}");
            assert_eq!(admits(&networks, None), networks.is_empty());
        }
        for bad in ["1.2.3.4", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/+8", "::/129", "x/8"] {
            assert_eq!(network(bad), None, "{bad}");
        }
    }

    fn at(times: &[(&str, &str)], now: &str) -> Option<Option<u32>> {
        let range = |(start, end): &(&str, &str)| TimeRange {
            start: (*start).to_owned(),
            end: (*end).to_owned(),
        };
        let times: Vec<_> = times.iter().map(range).collect();
        remaining(&times, seconds(now).unwrap())
    }

    // Contract: AUTH-012
    #[test]
    fn times_of_day_admit_and_end() {
        assert_eq!(at(&[], "12:00:00"), Some(None));
        let day = [("11:00:00", "22:00:00")];
        assert_eq!(at(&day, "13:00:00"), Some(Some(9 * 3600)));
        assert_eq!(at(&day, "11:00:00"), None);
        assert_eq!(at(&day, "22:00:00"), None);
        let night = [("22:00:00", "06:00:00")];
        assert_eq!(at(&night, "05:00:00"), Some(Some(3600)));
        assert_eq!(at(&night, "23:30:00"), Some(Some(6 * 3600 + 1800)));
        assert_eq!(at(&night, "12:00:00"), None);
        let both = [("08:00:00", "10:00:00"), ("9:00:00", "12:00:00")];
        assert_eq!(at(&both, "09:30:00"), Some(Some(9000)));
        assert_eq!(at(&[("", "12:00:00")], "09:30:00"), None);
        for bad in ["24:00:00", "1:0:00", "12:00", "12:00:00:00", "-1:00:00", "12:60:00"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
