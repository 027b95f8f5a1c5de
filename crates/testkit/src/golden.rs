//! Golden files: compare with what is committed, rewrite with `UPDATE=1`.

use std::path::Path;

/// Compares `actual` with the file at `path` (relative to the caller's crate, by convention
/// `testdata/...`); with `UPDATE=1` in the environment the file is rewritten.
///
/// Panics with a line-numbered difference when they do not agree.
pub fn golden(path: impl AsRef<Path>, actual: &str) {
    let path = path.as_ref();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path)
        .unwrap_or_else(|e| panic!("{}: {e}; write it with UPDATE=1", path.display()));
    if let Some(text) = difference(&expected, actual) {
        panic!("{} does not match (UPDATE=1 rewrites it):\n{text}", path.display());
    }
}

/// A small line difference between two texts, or `None` if they are equal.
pub fn difference(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (left, right): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let same = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    let mut text = String::new();
    for line in &left[same.saturating_sub(3)..same] {
        text.push_str(&format!("    {line}\n"));
    }
    text.push_str(&format!("  line {}:\n", same + 1));
    for line in left.iter().skip(same).take(6) {
        text.push_str(&format!("  - {line}\n"));
    }
    for line in right.iter().skip(same).take(6) {
        text.push_str(&format!("  + {line}\n"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_the_first_line() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let text = difference("a\nb\nc\n", "a\nx\nc\n").unwrap();
        assert_eq!(text, "    a\n  line 2:\n  - b\n  - c\n  + x\n  + c\n");
    }
}
