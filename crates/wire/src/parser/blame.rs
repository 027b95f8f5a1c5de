//! What the log says of bytes that are no frame: the arguments as written, and where the reference's
//! parser, whose states have numbers, would have stopped.
//!
//! Not here: deciding that they are none (`parse`).

use super::args;

/// Verbs, and the numbers of the states after each of their letters.
const VERBS: [(&[u8], &[u8]); 11] = [
    (b"PUB", &[29, 30, 31]),
    (b"HPUB", &[18, 19, 20, 21]),
    (b"HMSG", &[18, 24, 25, 26]),
    (b"SUB", &[43, 44, 45]),
    (b"UNSUB", &[59, 60, 61, 62, 63]),
    (b"CONNECT", &[10, 11, 12, 13, 14, 15, 16]),
    (b"INFO", &[71, 72, 73, 74]),
    (b"PING", &[29, 34, 35, 36]),
    (b"PONG", &[29, 37, 38, 39]),
    (b"+OK", &[1, 2, 3]),
    (b"-ERR", &[4, 5, 6, 7]),
];
/// The states of waiting for the two bytes behind a payload.
const END_R: u8 = 41;
const END_N: u8 = 42;

/// The state in which the first wrong byte of `input` was met, and where it is.
pub fn blame(input: &[u8]) -> (u8, usize) {
    let common = |verb: &[u8]| {
        let letters = input.iter().zip(verb);
        letters.take_while(|(byte, letter)| byte.eq_ignore_ascii_case(letter)).count()
    };
    let Some((verb, states)) = VERBS.iter().max_by_key(|(verb, _)| common(verb)) else {
        return (0, 0);
    };
    let seen = common(verb);
    let Some(state) = seen.checked_sub(1).and_then(|last| states.get(last)) else {
        return (0, 0);
    };
    if seen == verb.len()
        && matches!(input.get(seen), Some(b' ' | b'\t'))
        && let Some(end) = payload_end(input)
    {
        let carriage = input.get(end) == Some(&b'\r');
        return if carriage { (END_N, end + 1) } else { (END_R, end) };
    }
    (*state, seen)
}

/// The verb and the arguments of the control line at the start of `input`, if it is whole.
pub fn written(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = input.get(..memchr::memchr(b'\n', input)?)?;
    let verb = line.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
    let (verb, rest) = line.split_at(verb);
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let rest = rest.get(blanks..)?;
    // Compat(CORE-001): what is nothing but a line end is an argument.
    let args = if rest == b"\r" { rest } else { rest.strip_suffix(b"\r").unwrap_or(rest) };
    Some((verb, args))
}

/// Where the payload of a whole PUB or HPUB line ends.
fn payload_end(input: &[u8]) -> Option<usize> {
    let (_, args) = written(input)?;
    let size = args.rsplit(|byte| matches!(byte, b' ' | b'\t')).find(|arg| !arg.is_empty())?;
    let line = memchr::memchr(b'\n', input)?;
    Some(line + 1 + args::size(size)? as usize)
}
