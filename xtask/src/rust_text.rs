//! Just enough of Rust's lexical structure to look at code without comments and strings.

/// The text with the contents of comments, strings and character literals replaced by spaces.
/// Lines keep their numbers and columns (in bytes).
pub(crate) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_end(bytes, at),
            b'"' => string_end(bytes, at + 1),
            b'r' | b'b' | b'c' if !part_of_word(bytes, at) => match raw_string(bytes, at) {
                Some(end) => end,
                None => {
                    at += 1;
                    continue;
                }
            },
            b'\'' => match char_end(bytes, at) {
                Some(end) => end,
                None => {
                    at += 1;
                    continue;
                }
            },
            _ => {
                at += 1;
                continue;
            }
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    // Only whole characters were replaced, so this is text again.
    String::from_utf8(out).unwrap_or_default()
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| at + n)
}

fn block_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i < bytes.len() {
        match bytes.get(i..i + 2) {
            Some(b"/*") => {
                depth += 1;
                i += 2;
            }
            Some(b"*/") => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn part_of_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

/// The end of `r"..."`, `br#"..."#` and the like starting at `at`.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut i = at;
    while matches!(bytes.get(i), Some(b'b' | b'c' | b'r')) && i < at + 2 {
        i += 1;
    }
    if bytes[i - 1] != b'r' {
        return (bytes.get(i) == Some(&b'"')).then(|| string_end(bytes, i + 1));
    }
    let hashes = bytes[i..].iter().take_while(|&&b| b == b'#').count();
    i += hashes;
    if bytes.get(i) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let from = i + 1;
    let found = bytes[from..].windows(close.len()).position(|w| w == close)?;
    Some(from + found + close.len())
}

/// The end of a character literal; `None` for a lifetime.
fn char_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        let close = bytes[at + 3..].iter().position(|&b| b == b'\'')?;
        return Some(at + 3 + close + 1);
    }
    let first = *bytes.get(at + 1)?;
    let len = match first {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    };
    (bytes.get(at + 1 + len) == Some(&b'\'')).then_some(at + 2 + len)
}

/// The end (exclusive) of the block whose `{` is the first one at or after `from`, in text made
/// by [`code_only`].
pub(crate) fn block(code: &str, from: usize) -> Option<(usize, usize)> {
    let open = from + code[from..].find('{')?;
    let mut depth = 0;
    for (i, b) in code.bytes().enumerate().skip(open) {
        match b {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some((open, i + 1));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blanked() {
        // The second text marks with `~` what must become a space.
        let cases = [
            ("a // b\nc", "a ~~~~\nc"),
            ("/* a /* b */ c */ d", "~~~~~~~~~~~~~~~~~ d"),
            (r#"f("x\"{", y)"#, "f(~~~~~~, y)"),
            ("r#\"a\"b\"# z", "~~~~~~~~ z"),
            ("'{' 'a 'b", "~~~ 'a 'b"),
            ("br\"{\" b\"{\" bar", "~~~~~ ~~~~ bar"),
            (r"'\'' x", "~~~~ x"),
        ];
        for (text, expected) in cases {
            assert_eq!(code_only(text), expected.replace('~', " "), "{text}");
        }
    }

    #[test]
    fn blocks_end_where_their_braces_do() {
        let code = code_only("fn a() { if x { '}' } } fn b() {}");
        assert_eq!(block(&code, 0), Some((7, 23)));
    }
}
