//! No configuration panics, however broken.

use proptest::prelude::*;

use super::fixtures;
use crate::check::parse_bytes;
use crate::flags::{parse_args, redact};
use crate::lang::{Nothing, digest, parse};

/// Pieces that change the lexer's state.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\n)\n",
    "\"",
    "'",
    "\\",
    "\\x4",
    "#",
    "//",
    "/",
    ",",
    ";",
    "=",
    ":",
    " ",
    "\n",
    "\r",
    "$HOME",
    "$port",
    "$2a$11$x",
    "1",
    "-1",
    "1.5",
    "1.2.3.4",
    "10k",
    "3kbb",
    "true",
    "include x",
    "2016-01-02T03:04:05Z",
    "99999999999999999999",
    "\u{0}",
    "é",
    "accounts",
    "users",
    "tls",
    "port",
    "permissions",
];

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let names = fixtures::names();
    let texts: Vec<Vec<u8>> = names
        .iter()
        .map(|name| std::fs::read(fixtures::directory().join(format!("{name}.conf"))).unwrap())
        .collect();
    let edit = (any::<prop::sample::Index>(), 0..PIECES.len() + 20);
    (prop::sample::select(texts), prop::collection::vec(edit, 1..8)).prop_map(|(text, edits)| {
        let mut text = text;
        for (at, piece) in edits {
            let at = at.index(text.len() + 1);
            match PIECES.get(piece) {
                Some(piece) => {
                    text.splice(at..at, piece.bytes());
                }
                None => {
                    let end = (at + piece - PIECES.len()).min(text.len());
                    text.drain(at..end);
                }
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn mutated_configurations_never_panic(text in mutated()) {
        parse_bytes(&text);
    }

    #[test]
    fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        parse_bytes(&text);
    }

    // Contract: CONF-011, CONF-017
    #[test]
    fn reordering_keys_keeps_the_digest(
        pairs in prop::collection::btree_map("[a-z]{1,6}", "[a-z0-9]{1,6}", 1..8),
        seed in any::<u64>(),
    ) {
        let lines: Vec<String> = pairs.iter().map(|(k, v)| format!("{k} = \"{v}\"\n")).collect();
        let mut shuffled = lines.clone();
        let turn = usize::try_from(seed % lines.len() as u64).unwrap();
        shuffled.rotate_left(turn);
        // An earlier value of a key that is written again does not count.
        let first = pairs.keys().next().unwrap();
        let twice = format!("{first} = overwritten\n{}", shuffled.concat());
        let digest = |text: &str| digest(&parse(text.as_bytes(), "t.conf", &Nothing).unwrap());
        prop_assert_eq!(digest(&lines.concat()), digest(&twice));
    }

    #[test]
    fn arguments_never_panic(args in prop::collection::vec("-{0,2}[a-zDVTP_]{0,6}(=.{0,6})?", 0..6)) {
        let _ = parse_args(&args);
        let mut args = args;
        redact(&mut args);
    }
}
