//! The value of an integer with its unit, of a float, of a date.
//!
//! Reference: conf/parse.go processItem (itemInteger, itemFloat, itemDatetime).

use super::error::SyntaxError;

/// The integer `text` spells, its unit applied. `None` for a unit that does not exist (`1kbb`):
/// Compat(CONF-005): such a key keeps no value at all.
pub(super) fn integer(text: &str) -> Result<Option<i64>, SyntaxError> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().map_err(|e: std::num::ParseIntError| match e.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
            SyntaxError::IntegerRange(text.into())
        }
        _ => SyntaxError::Integer(text.into()),
    })?;
    Ok(factor(&unit.trim().to_ascii_lowercase()).map(|factor| number.wrapping_mul(factor)))
}

fn factor(unit: &str) -> Option<i64> {
    let (base, rest): (i64, &str) = match unit.split_at_checked(1) {
        None => return Some(1),
        Some((_, "")) => (1000, unit),
        Some((letter, "b" | "i" | "ib")) => (1024, letter),
        Some(_) => return None,
    };
    let power = match rest {
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => return None,
    };
    Some(base.wrapping_pow(power))
}

/// The float `text` spells.
pub(super) fn float(text: &str) -> Result<f64, SyntaxError> {
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() => Ok(n),
        _ => Err(SyntaxError::FloatRange(text.into())),
    }
}

/// Whether `text`, already of the form `2026-01-02T03:04:05Z`, is a date that exists.
pub(super) fn date_exists(text: &str) -> bool {
    let part = |from: usize, to: usize| text.get(from..to).and_then(|t| t.parse::<u32>().ok());
    let (Some(year), Some(month), Some(day)) = (part(0, 4), part(5, 7), part(8, 10)) else {
        return false;
    };
    let (Some(hour), Some(minute), Some(second)) = (part(11, 13), part(14, 16), part(17, 19))
    else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60
}
