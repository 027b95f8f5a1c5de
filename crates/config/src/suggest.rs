//! The known key nearest to an unknown one.
//!
//! Laws: a suggestion is close enough to be a slip (a third of its length at most), or there is
//!       none; ties go to the key listed first.

/// ` (did you mean "port"?)`, or nothing when no known key is near.
pub fn suffix(unknown: &str, known: &[&str]) -> String {
    nearest(unknown, known).map(|key| format!(" (did you mean \"{key}\"?)")).unwrap_or_default()
}

/// The key of `known` that `unknown` probably was meant to be.
pub fn nearest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    let unknown: Vec<char> = unknown.to_lowercase().chars().take(64).collect();
    known
        .iter()
        .map(|key| (distance(&unknown, &key.chars().collect::<Vec<_>>()), *key))
        .filter(|(distance, key)| *distance <= (key.len().max(3) / 3).min(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&previous, j) + usize::from(x != y))
                .min(at(&previous, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous.last().copied().unwrap_or(0)
}
