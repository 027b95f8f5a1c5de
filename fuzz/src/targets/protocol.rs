//! What a client may send: the parser under any split, CONNECT, headers.

use wire::connect::Connect;
use wire::parser::{Frame, Limits, Step, Violation, parse};

use crate::{Shape, Target};

/// The client protocol. The first byte chooses how the rest is cut into reads.
pub(super) const PARSER: Target = Target {
    name: "parser",
    words: &[
        "PUB ",
        "HPUB ",
        "SUB ",
        "UNSUB ",
        "CONNECT {}\r\n",
        "PING\r\n",
        "PONG\r\n",
        "+OK\r\n",
        "-ERR 'x'\r\n",
        "INFO {}\r\n",
        "\r\n",
        "NATS/1.0\r\n",
        "foo.bar",
        "_INBOX.x",
        " 12 14\r\n",
    ],
    run: parser,
};

/// The PROXY header. The first byte chooses how much of the rest is seen first.
pub(super) const PROXY: Target = Target {
    name: "proxy",
    words: &[
        "PROXY ",
        "TCP4 ",
        "TCP6 ",
        "UNKNOWN",
        "1.2.3.4 ",
        "::1 ",
        "65535",
        "\r\n",
        "\r\n\r\n\0\r\nQUIT\n",
        "\x21\x11\0\x0c",
        "\x21\x21\0\x24",
    ],
    run: proxy,
};

fn proxy(bytes: &[u8]) -> Shape {
    use wire::proxy::{Step, decode};
    let Some((&cut, whole)) = bytes.split_first() else { return Shape::count(0) };
    let verdict = decode(whole);
    let part = &whole[..usize::from(cut).min(whole.len())];
    match decode(part) {
        Ok(Step::More(more)) => assert!(more > part.len(), "asks for what it has"),
        early => assert_eq!(early, verdict, "more bytes changed the verdict"),
    }
    match verdict {
        Ok(Step::Absent) => Shape::of("absent"),
        Ok(Step::More(more)) => Shape::of("more").and(Shape::count(more)),
        Ok(Step::Header { source, .. }) => Shape::of(&format!("{:?}", source.map(|s| s.is_ipv4()))),
        Err(error) => Shape::of(error.to_string().split(':').next().unwrap_or("")),
    }
}

const LIMITS: Limits = Limits { max_control_line: 4096, max_payload: 1 << 20, headers: true };

fn parser(bytes: &[u8]) -> Shape {
    let Some((&cut, rest)) = bytes.split_first() else { return Shape::count(0) };
    let (whole, end) = frames(rest, usize::MAX);
    let (pieces, end_of_pieces) = frames(rest, usize::from(cut) + 1);
    // A line that never ends is refused before its end could be seen; nothing else may differ.
    let bounded = end_of_pieces == Some(Violation::MaxControlLine);
    if bounded {
        assert!(whole.starts_with(&pieces), "{whole:?} in pieces is {pieces:?}");
    } else {
        assert_eq!(whole, pieces, "a split changed the frames");
        assert_eq!(end.is_some(), end_of_pieces.is_some(), "a split changed the end");
    }
    let kinds = whole.iter().take(3).fold(Shape::count(whole.len()), |shape, frame| {
        shape.and(Shape::of(frame.split(['(', ' ']).next().unwrap_or("")))
    });
    kinds.and(Shape::of(&end.map_or_else(|| "open".to_owned(), |why| why.to_string())))
}

/// Frames as text, and the violation that ended them; bytes arrive `step` at a time.
fn frames(input: &[u8], step: usize) -> (Vec<String>, Option<Violation>) {
    let mut frames = Vec::new();
    let (mut at, mut have) = (0, 0);
    while have < input.len() {
        have = have.saturating_add(step).min(input.len());
        loop {
            match parse(&input[at..have], &LIMITS) {
                Step::Frame(frame, used) => {
                    assert!(
                        used > 0 && at + used <= have,
                        "{used} bytes consumed of {}",
                        have - at
                    );
                    frames.push(shown(frame));
                    at += used;
                }
                Step::More { total } => {
                    assert!(total.is_none_or(|t| t > have - at), "asks for bytes it has");
                    break;
                }
                Step::Invalid(why) => return (frames, Some(why)),
            }
        }
    }
    (frames, None)
}

fn shown(frame: Frame<'_>) -> String {
    match frame {
        // The tail is a shortcut for the same bytes; whether it is taken may depend on the split.
        Frame::Publish(p) => {
            format!("Publish({:?} {:?} {:?} {:?})", p.subject, p.reply, p.header_len, p.body)
        }
        other => format!("{other:?}"),
    }
}

/// The JSON of CONNECT, twice on the same connection.
pub(super) const CONNECT: Target = Target {
    name: "connect",
    words: &[
        "\"verbose\":",
        "\"pedantic\":",
        "\"user\":",
        "\"pass\":",
        "\"auth_token\":",
        "\"nkey\":",
        "\"sig\":",
        "\"jwt\":",
        "\"echo\":",
        "\"headers\":",
        "\"no_responders\":",
        "\"protocol\":",
        "\"account\":",
        "\"name\":",
        "\"lang\":",
        "true",
        "false",
        "null",
        "\\u0000",
        "1e999",
    ],
    run: |bytes| {
        let mut connect = Connect::default();
        let first = connect.update(bytes).map_err(|e| e.to_string());
        let second = connect.update(bytes).map_err(|e| e.to_string());
        assert_eq!(first, second, "the same CONNECT twice");
        match first {
            Ok(()) => {
                Shape::of("ok").and(Shape::count(bytes.iter().filter(|&&b| b == b':').count()))
            }
            Err(why) => Shape::of(&why),
        }
    },
};

/// Header blocks: reading, and writing a field into one.
pub(super) const HEADERS: Target = Target {
    name: "headers",
    words: &["NATS/1.0\r\n", "Key: value\r\n", "Nats-Trace-Dest: x\r\n", "\r\n", ": "],
    run: |bytes| {
        let fields = wire::header::fields(bytes).take(1000).count();
        let mut out = Vec::new();
        wire::header::set(bytes, b"Key", Some(b"new"), &mut out);
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
        // Only a whole block promises anything; other bytes must merely do no harm.
        if bytes.starts_with(b"NATS/1.0\r\n") && end == Some(bytes.len()) {
            assert_eq!(wire::header::get(&out, b"Key"), Some(&b"new"[..]), "what was set is there");
        }
        let had = wire::header::get(bytes, b"Key").is_some();
        Shape::count(fields).and(Shape::count(usize::from(had)))
    },
};

/// Header blocks that may ask for tracing.
pub(super) const TRACE: Target = Target {
    name: "trace",
    words: &[
        "NATS/1.0\r\n",
        "Nats-Trace-Dest",
        "Nats-Trace-Only",
        "traceparent",
        "TraceParent: 00-a-b-01",
        "trace disabled",
        ": ",
        "\r\n",
        "\r\n\r\n",
        "\t",
        "-",
        "7f",
        "on",
    ],
    run: |bytes| {
        use broker::tracing::header::{Asked, DEST, DISABLED, exchange, may_ask, replace};
        let asked = Asked::of(bytes);
        assert!(asked.is_none() || may_ask(bytes), "what asks may ask");
        // What is sent on with tracing off asks for nothing, here and behind: at least if each
        // line is a field.
        let lines = bytes.strip_prefix(b"NATS/1.0\r\n").and_then(|b| b.strip_suffix(b"\r\n\r\n"));
        let text = lines.map(|lines| String::from_utf8_lossy(lines).into_owned());
        let proper = text.is_some_and(|text| {
            text.split("\r\n").all(|line| line.contains(':') && !line.contains(['\n', '\r']))
        });
        if proper && asked.is_some() {
            assert_eq!(Asked::of(&exchange(bytes, DEST, DISABLED)), None);
        }
        let replaced = replace(bytes, DEST, DISABLED);
        assert!(replaced.len() <= bytes.len() + DEST.len() + DISABLED.len() + 24);
        match asked {
            None => Shape::count(usize::from(may_ask(bytes))),
            Some(asked) => Shape::count(asked.fields.len())
                .and(Shape::count(usize::from(asked.external)))
                .and(Shape::count(usize::from(asked.is_only()))),
        }
    },
};
