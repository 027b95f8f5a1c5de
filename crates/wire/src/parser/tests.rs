//! Every form of every verb, limits, and any split of a conversation.

use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { max_control_line: 4096, max_payload: 1 << 20, headers: true };

fn frame(input: &[u8]) -> Frame<'_> {
    match parse(input, &LIMITS) {
        Step::Frame(frame, consumed) => {
            assert_eq!(consumed, input.len(), "whole input is one frame");
            frame
        }
        other => panic!("{:?} gives {other:?}", String::from_utf8_lossy(input)),
    }
}

fn violation(input: &[u8]) -> Violation {
    match parse(input, &LIMITS) {
        Step::Invalid(violation) => violation,
        other => panic!("{:?} gives {other:?}", String::from_utf8_lossy(input)),
    }
}

// Contract: CORE-001, CORE-004
#[test]
fn verbs_are_case_insensitive_and_tolerant_of_blanks() {
    assert_eq!(frame(b"ping\n"), Frame::Ping);
    assert_eq!(frame(b"PiNg junk after\r\n"), Frame::Ping);
    assert_eq!(frame(b"PONG\r\n"), Frame::Pong);
    assert_eq!(frame(b"+OK whatever\r\n"), Frame::Ignored);
    assert_eq!(frame(b"CONNECT \t {}\r\n"), Frame::Connect(b"{}"));
    assert_eq!(frame(b"CONNECT{}\r\n"), Frame::Connect(b"{}"));
    assert_eq!(frame(b"CONNECT\r\n"), Frame::Connect(b""));
    assert_eq!(frame(b"INFO\t{} \r\n"), Frame::Info(b"{} "));
    assert_eq!(frame(b"-ERR 'x'\r\n"), Frame::Error(b"'x'"));
    let sub = Frame::Subscribe { subject: b"a.b", queue: Some(b"q"), sid: b"9" };
    assert_eq!(frame(b"sUb  a.b\t q  9\n"), sub);
    assert_eq!(frame(b"UNSUB 1 5\r\n"), Frame::Unsubscribe { sid: b"1", max: Some(5) });
}

// Contract: CORE-002, CORE-003, CORE-005
#[test]
fn unknown_operations_are_refused_at_the_first_wrong_byte() {
    for bad in [
        &b"F"[..],
        b"PX",
        b"MSG a 1 1\r\n",
        b"RS+ a\r\n",
        b"UNSUB\r\n",
        b"SUBX",
        b"\r\n",
        b"PUB a 2\r\nabc",
        b"PUB a 2\r\nab\n",
        b"PUB a 2\r\nab\rx",
    ] {
        assert_eq!(violation(bad), Violation::UnknownOperation, "{bad:?}");
    }
}

// Contract: CORE-006, CORE-007
#[test]
fn publish_arguments() {
    let Frame::Publish(p) = frame(b"PUB foo 5\r\nhello\r\n") else { panic!() };
    assert_eq!((p.subject, p.reply, p.body), (&b"foo"[..], None, &b"hello"[..]));
    assert_eq!(p.tail, Some(&b"5\r\nhello\r\n"[..]));
    let Frame::Publish(p) = frame(b"PUB foo bar 05\r\nhello\r\n") else { panic!() };
    assert_eq!(p.tail, Some(&b"bar 05\r\nhello\r\n"[..]), "a size is forwarded as written");
    let Frame::Publish(p) = frame(b"HPUB foo 0 02\r\nhi\r\n") else { panic!() };
    assert_eq!((p.header_len, p.tail), (Some(0), Some(&b"02\r\nhi\r\n"[..])));
    let Frame::Publish(p) = frame(b"HPUB foo r 0 2\r\nhi\r\n") else { panic!() };
    assert_eq!((p.header_len, p.tail), (Some(0), None));
    let Frame::Publish(p) = frame(b"PUB foo  bar 5\nhello\r\n") else { panic!() };
    assert_eq!(p.tail, None, "irregular spacing is re-encoded");
    let Frame::Publish(p) = frame(b"HPUB foo r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n") else { panic!() };
    assert_eq!((p.header_len, p.body.len()), (Some(12), 14));
    assert_eq!(p.tail, Some(&b"r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"[..]));
    for bad in [
        &b"PUB foo x y z 1\r\n"[..],
        b"PUB foo\r\n",
        b"PUB foo\r1\r\n",
        b"PUB foo 1\r\r\n",
        b"PUB foo -1\r\n",
        b"PUB foo 1234567890\r\n",
        b"HPUB foo 5\r\n",
        b"HPUB foo 9 5\r\n",
    ] {
        assert!(matches!(violation(bad), Violation::Arguments(_)), "{bad:?}");
    }
}

// Contract: CORE-003
#[test]
fn the_log_names_the_byte_and_the_state_it_was_met_in() {
    for (input, state, at) in [
        (&b"\r\nPING"[..], 0, 0),
        (b"MSG a", 0, 0),
        (b"PX", 29, 1),
        (b"SUB\r\n", 45, 3),
        (b"UNSUB\r 1\r\n", 63, 5),
        (b"+O\r\n", 2, 2),
        (b"-ERRx", 7, 4),
        (b"hmx", 24, 2),
        (b"HPUB\r\n", 21, 4),
        (b"PUB a 1\r\nxyPING\r\n", 41, 10),
        (b"PUB a 1\r\nx\ry", 42, 11),
    ] {
        assert_eq!(blame(input), (state, at), "{input:?}");
        assert_eq!(violation(input), Violation::UnknownOperation);
    }
    assert_eq!(written(b"sub  a  b\r\n"), Some((&b"sub"[..], &b"a  b"[..])));
    assert_eq!(written(b"PUB \r\n"), Some((&b"PUB"[..], &b"\r"[..])));
    assert_eq!(written(b"PUB a 1"), None);
}

// Contract: CORE-008, CORE-009
#[test]
fn limits_are_checked_before_anything_is_kept() {
    let long = [b"PUB ".as_slice(), &[b'a'; 5000]].concat();
    assert_eq!(violation(&long), Violation::MaxControlLine);
    let whole = [long.as_slice(), b" 1\r\nx\r\n"].concat();
    assert_eq!(violation(&whole), Violation::MaxControlLine);
    assert_eq!(
        violation(b"PUB a 1048577\r\n"),
        Violation::MaxPayload { size: 1_048_577, limit: 1 << 20 }
    );
    assert_eq!(parse(b"PUB a 1048576\r\n", &LIMITS), Step::More { total: Some(15 + 1_048_578) });
}

/// All frames of `input`, fed in pieces that end at `cuts`.
fn frames_of(input: &[u8], cuts: &[usize]) -> (Vec<String>, Option<Violation>) {
    let (mut seen, mut carry, mut at) = (Vec::new(), Vec::new(), 0);
    let mut bounds: Vec<usize> = cuts.iter().map(|c| c % (input.len() + 1)).collect();
    bounds.push(input.len());
    bounds.sort_unstable();
    for end in bounds {
        carry.extend_from_slice(&input[at..end]);
        at = end;
        let mut pos = 0;
        loop {
            match parse(&carry[pos..], &LIMITS) {
                Step::Frame(frame, consumed) => {
                    seen.push(format!("{frame:?}"));
                    pos += consumed;
                }
                Step::More { .. } => break,
                Step::Invalid(violation) => return (seen, Some(violation)),
            }
        }
        carry.drain(..pos);
    }
    (seen, None)
}

fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"PING\r\n".to_vec()),
        Just(b"SUB a.> q 1\r\n".to_vec()),
        Just(b"UNSUB 1\r\n".to_vec()),
        Just(b"CONNECT {\"verbose\":false}\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|body| {
            [format!("PUB a.b {}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat()
        }),
        Just(b"HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    // Contract: CORE-052
    #[test]
    fn any_split_gives_the_same_frames(
        input in conversation(),
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        prop_assert_eq!(frames_of(&input, &[]), frames_of(&input, &cuts));
    }

    #[test]
    fn the_short_way_agrees_with_the_long_way(input in conversation(), times in 1..4_usize) {
        if let Step::Frame(Frame::Publish(first), used) = parse(&input, &LIMITS) {
            let head = [b"PUB ", first.subject, b" "].concat();
            let all = [input[..used].repeat(times), input.clone()].concat();
            let mut at = used;
            for again in Again::new(&all, used, &head, &LIMITS) {
                let Step::Frame(Frame::Publish(publish), consumed) = parse(&all[at..], &LIMITS) else {
                    panic!("not a message: {:?}", &all[at..]);
                };
                prop_assert_eq!(publish.subject, first.subject);
                prop_assert_eq!((publish.reply, publish.header_len), (None, None));
                prop_assert_eq!(publish.body, &all[again.body..again.end - 2]);
                prop_assert_eq!(publish.tail, Some(&all[again.tail..again.end]));
                at += consumed;
                prop_assert_eq!(again.end, at);
            }
            // Plain ones are not left to the long way.
            let plain = first.reply.is_none() && first.tail.is_some() && input.starts_with(&head);
            prop_assert!(!plain || first.header_len.is_some() || at >= used * times);
        }
    }

    #[test]
    fn garbage_never_panics(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (frames, _) = frames_of(&input, &[]);
        prop_assert!(frames.len() <= input.len());
    }
}
