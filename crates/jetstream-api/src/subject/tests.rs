use super::*;

#[test]
fn every_request_is_known_by_its_subject() {
    let cases = [
        ("INFO", Some(Request::AccountInfo)),
        ("INFO.x", None),
        ("STREAM.CREATE.S", Some(Request::StreamCreate { stream: "S" })),
        ("STREAM.CREATE", None),
        ("STREAM.CREATE.S.T", None),
        ("STREAM.UPDATE.S", Some(Request::StreamUpdate { stream: "S" })),
        ("STREAM.NAMES", Some(Request::StreamNames)),
        ("STREAM.NAMES.x", None),
        ("STREAM.LIST", Some(Request::StreamList)),
        ("STREAM.INFO.S", Some(Request::StreamInfo { stream: "S" })),
        ("STREAM.DELETE.S", Some(Request::StreamDelete { stream: "S" })),
        ("STREAM.PURGE.S", Some(Request::StreamPurge { stream: "S" })),
        ("STREAM.SNAPSHOT.S", Some(Request::StreamSnapshot { stream: "S" })),
        ("STREAM.RESTORE.S", Some(Request::StreamRestore { stream: "S" })),
        ("STREAM.MSG.GET.S", Some(Request::MsgGet { stream: "S" })),
        ("STREAM.MSG.DELETE.S", Some(Request::MsgDelete { stream: "S" })),
        ("STREAM.MSG.GET", None),
        ("STREAM.PEER.REMOVE.S", Some(Request::StreamRemovePeer { stream: "S" })),
        ("STREAM.LEADER.STEPDOWN.S", Some(Request::StreamLeaderStepDown { stream: "S" })),
        ("STREAM.TEMPLATE.CREATE.S", None),
        ("CONSUMER.CREATE.S", Some(Request::ConsumerCreateEphemeral { stream: "S" })),
        (
            "CONSUMER.CREATE.S.C",
            Some(Request::ConsumerCreate { stream: "S", consumer: "C", filter: None }),
        ),
        (
            "CONSUMER.CREATE.S.C.a.*.>",
            Some(Request::ConsumerCreate { stream: "S", consumer: "C", filter: Some("a.*.>") }),
        ),
        (
            "CONSUMER.DURABLE.CREATE.S.C",
            Some(Request::ConsumerCreateDurable { stream: "S", consumer: "C" }),
        ),
        ("CONSUMER.DURABLE.CREATE.S", None),
        ("CONSUMER.NAMES.S", Some(Request::ConsumerNames { stream: "S" })),
        ("CONSUMER.LIST.S", Some(Request::ConsumerList { stream: "S" })),
        ("CONSUMER.INFO.S.C", Some(Request::ConsumerInfo { stream: "S", consumer: "C" })),
        ("CONSUMER.INFO.S", None),
        ("CONSUMER.DELETE.S.C", Some(Request::ConsumerDelete { stream: "S", consumer: "C" })),
        ("CONSUMER.PAUSE.S.C", Some(Request::ConsumerPause { stream: "S", consumer: "C" })),
        ("CONSUMER.UNPIN.S.C", Some(Request::ConsumerUnpin { stream: "S", consumer: "C" })),
        ("CONSUMER.RESET.S.C", Some(Request::ConsumerReset { stream: "S", consumer: "C" })),
        ("CONSUMER.MSG.NEXT.S.C", Some(Request::ConsumerNext { stream: "S", consumer: "C" })),
        (
            "CONSUMER.LEADER.STEPDOWN.S.C",
            Some(Request::ConsumerLeaderStepDown { stream: "S", consumer: "C" }),
        ),
        ("DIRECT.GET.S", Some(Request::DirectGet { stream: "S" })),
        ("DIRECT.GET.S.a.b", Some(Request::DirectGetLast { stream: "S", subject: b"a.b" })),
        ("DIRECT.GET", None),
        ("META.LEADER.STEPDOWN", Some(Request::MetaLeaderStepDown)),
        ("SERVER.REMOVE", Some(Request::ServerRemove)),
        ("ACCOUNT.PURGE.A", Some(Request::AccountPurge { account: "A" })),
        ("ACCOUNT.STREAM.MOVE.A.S", Some(Request::StreamMove { account: "A", stream: "S" })),
        (
            "ACCOUNT.STREAM.CANCEL_MOVE.A.S",
            Some(Request::StreamCancelMove { account: "A", stream: "S" }),
        ),
        ("STREAM..S", None),
        ("STREAM.CREATE.", None),
        ("", None),
    ];
    for (subject, want) in cases {
        assert_eq!(Request::parse(subject.as_bytes()), want, "{subject}");
        let whole = format!("{API_PREFIX}{subject}");
        assert_eq!(Request::from_subject(whole.as_bytes()), want, "{whole}");
    }
    assert_eq!(Request::parse(b"STREAM.CREATE.\xff"), None);
}

#[test]
fn requests_that_only_look_are_told_apart() {
    let looks = |s: &str| Request::parse(s.as_bytes()).is_some_and(|r| r.is_info());
    for subject in [
        "INFO",
        "STREAM.NAMES",
        "STREAM.LIST",
        "STREAM.INFO.S",
        "CONSUMER.NAMES.S",
        "CONSUMER.LIST.S",
        "CONSUMER.INFO.S.C",
    ] {
        assert!(looks(subject), "{subject}");
    }
    for subject in ["STREAM.MSG.GET.S", "STREAM.CREATE.S", "CONSUMER.PAUSE.S.C"] {
        assert!(!looks(subject), "{subject}");
    }
}

#[test]
fn both_forms_of_reply_subjects_are_written_and_read() {
    let fields = Ack {
        delivered: 2,
        stream_seq: 10,
        consumer_seq: 7,
        ts: 1_700_000_000_123_456_789,
        pending: 3,
        ..Ack::default()
    };
    let mut out = Vec::new();
    AckPrefix::v1("S", "C").write(&fields, &mut out);
    assert_eq!(out, b"$JS.ACK.S.C.2.10.7.1700000000123456789.3");
    let read = Ack::parse(&out).expect("v1");
    assert_eq!(read, Ack { stream: b"S", consumer: b"C", ..fields });

    let mut out = Vec::new();
    AckPrefix::v2("", "h4sh", "S", "C").write(&fields, &mut out);
    assert_eq!(out, b"$JS.ACK._.h4sh.S.C.2.10.7.1700000000123456789.3");
    let want =
        Ack { domain: Some(b"_"), account: Some(b"h4sh"), stream: b"S", consumer: b"C", ..fields };
    assert_eq!(Ack::parse(&out), Some(want));
    out.extend_from_slice(b".more.tokens");
    assert_eq!(Ack::parse(&out), Some(want));
}

#[test]
fn what_is_no_reply_subject_is_none_and_bad_numbers_are_minus_one() {
    for subject in ["$JS.ACK.S.C.1.1.1.1", "$JS.ACK.S.C.1.1.1.1.1.1", "$JS.ACKS.C", "", "$JS.ACK."]
    {
        assert_eq!(Ack::parse(subject.as_bytes()), None, "{subject}");
    }
    let read = Ack::parse(b"$JS.ACK.S.C.x.-5.7.9.").expect("nine tokens");
    assert_eq!((read.delivered, read.stream_seq, read.consumer_seq), (u64::MAX, u64::MAX, 7));
    assert_eq!((read.ts, read.pending), (9, u64::MAX));
}

#[test]
fn flow_control_subjects_are_written_and_read() {
    let mut out = Vec::new();
    FlowPrefix::v1("S", "C").write(b"Ab12", &mut out);
    assert_eq!(out, b"$JS.FC.S.C.Ab12");
    let want = FlowReply { stream: b"S", consumer: b"C", token: b"Ab12" };
    assert_eq!(FlowReply::parse(&out), Some(want));
    let mut out = Vec::new();
    FlowPrefix::v2("hub", "h4sh", "S", "C").write(b"Ab12", &mut out);
    assert_eq!(out, b"$JS.FC.hub.h4sh.S.C.Ab12");
    assert_eq!(FlowReply::parse(&out), Some(want));
    assert_eq!(FlowReply::parse(b"$JS.FC.S.C"), None);
    assert_eq!(FlowReply::parse(b"$JS.FC.a.b.c.d.e.f"), None);
}

#[test]
fn advisories_and_metrics_have_their_subjects() {
    let (stream, consumer) = ("S", "C");
    let cases = [
        (Event::Api, "$JS.EVENT.ADVISORY.API"),
        (Event::ApiLimitReached, "$JS.EVENT.ADVISORY.API.LIMIT_REACHED"),
        (Event::StreamUpdated { stream }, "$JS.EVENT.ADVISORY.STREAM.UPDATED.S"),
        (Event::BatchAbandoned { stream }, "$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.S"),
        (Event::MsgNaked { stream, consumer }, "$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.S.C"),
        (Event::ServerOutOfStorage, "$JS.EVENT.ADVISORY.SERVER.OUT_OF_STORAGE"),
        (Event::AckMetric { stream, consumer }, "$JS.EVENT.METRIC.CONSUMER.ACK.S.C"),
    ];
    for (event, want) in cases {
        assert_eq!(event.subject(), want);
    }
}
