//! Documents beside the reference's own, and input that is not what it should be.

use crate::advisory::{self, Advisory};
use crate::json::{self, Document, Unknown};
use crate::response::{self, Response};
use crate::{
    AccountInfo, ApiError, ConsumerConfig, PubAck, StreamConfig, StreamConfigRequest, StreamInfo,
    StreamState, error, metric, pub_ack, request, to_json, unmarshal,
};

/// Reads a document and writes it again.
fn again<T: Document>(text: &str) -> String {
    let read: T = json::request(text.as_bytes(), Unknown::Refused).expect(text);
    String::from_utf8(to_json(&read)).expect("JSON")
}

fn rewritten(kind: &str, text: &str) -> String {
    let read = match kind {
        "AccountInfo" => again::<Response<response::AccountInfoBody>>,
        "StreamCreate" => again::<Response<response::StreamCreate>>,
        "StreamUpdate" => again::<Response<response::StreamUpdate>>,
        "StreamInfo" => again::<Response<response::StreamInfoBody>>,
        "StreamNames" => again::<Response<response::StreamNames>>,
        "StreamList" => again::<Response<response::StreamList>>,
        "StreamDelete" => again::<Response<response::StreamDelete>>,
        "StreamPurge" => again::<Response<response::StreamPurge>>,
        "StreamSnapshot" => again::<Response<response::StreamSnapshot>>,
        "StreamRestore" => again::<Response<response::StreamRestore>>,
        "StreamRemovePeer" => again::<Response<response::StreamRemovePeer>>,
        "StreamLeaderStepDown" => again::<Response<response::StreamLeaderStepDown>>,
        "MsgDelete" => again::<Response<response::MsgDelete>>,
        "MsgGet" => again::<Response<response::MsgGet>>,
        "ConsumerCreate" => again::<Response<response::ConsumerCreate>>,
        "ConsumerInfo" => again::<Response<response::ConsumerInfoBody>>,
        "ConsumerNames" => again::<Response<response::ConsumerNames>>,
        "ConsumerList" => again::<Response<response::ConsumerList>>,
        "ConsumerDelete" => again::<Response<response::ConsumerDelete>>,
        "ConsumerPause" => again::<Response<response::ConsumerPause>>,
        "ConsumerUnpin" => again::<Response<response::ConsumerUnpin>>,
        "ConsumerReset" => again::<Response<response::ConsumerReset>>,
        "ConsumerLeaderStepDown" => again::<Response<response::ConsumerLeaderStepDown>>,
        "PubAck" => published,
        "@api_audit" => again::<Advisory<advisory::ApiAudit>>,
        "@stream_action" => again::<Advisory<advisory::StreamAction>>,
        "@consumer_action" => again::<Advisory<advisory::ConsumerAction>>,
        "@consumer_pause" => again::<Advisory<advisory::ConsumerPause>>,
        "@consumer_group_pinned" => again::<Advisory<advisory::ConsumerPinned>>,
        "@consumer_group_unpinned" => again::<Advisory<advisory::ConsumerUnpinned>>,
        "@nak" => again::<Advisory<advisory::Nak>>,
        "@terminated" => again::<Advisory<advisory::Terminated>>,
        "@max_deliver" => again::<Advisory<advisory::MaxDeliver>>,
        "@snapshot_create" => again::<Advisory<advisory::SnapshotCreate>>,
        "@snapshot_complete" => again::<Advisory<advisory::SnapshotComplete>>,
        "@restore_create" => again::<Advisory<advisory::RestoreCreate>>,
        "@consumer_ack" => again::<Advisory<metric::ConsumerAck>>,
        other => panic!("nobody reads {other}"),
    };
    read(text)
}

// Contract: API-043, API-047
#[test]
fn documents_are_written_as_the_reference_writes_them() {
    let recorded = include_str!("../testdata/documents.txt");
    let mut compared = 0;
    for line in recorded.lines().filter(|line| !line.starts_with('#')) {
        let (kind, text) = line.split_once(' ').expect("a kind and a document");
        assert_eq!(rewritten(kind, text), text, "{kind}");
        compared += 1;
    }
    assert!(compared > 70, "{compared}");
}

fn published(text: &str) -> String {
    let read: PubAck = unmarshal(text.as_bytes()).expect(text);
    let mut out = Vec::new();
    read.write(&mut out);
    String::from_utf8(out).expect("JSON")
}

#[test]
fn publishers_get_the_bytes_of_the_reference() {
    for text in [
        r#"{"stream":"S","seq":7}"#,
        r#"{"stream":"S","domain":"hub","seq":7}"#,
        r#"{"stream":"S","seq":7,"duplicate": true}"#,
        r#"{"stream":"S","seq":7,"val":"12"}"#,
        r#"{"stream":"S","seq":7,"batch":"b1","count":3}"#,
        r#"{"error":{"code":400,"err_code":10109,"description":"invalid operation on sealed stream"},"stream":"S","seq":0}"#,
    ] {
        assert_eq!(published(text), text);
    }
}

#[test]
fn the_error_table_is_the_golden_one() {
    let golden = include_str!("../testdata/errors.tsv");
    let want: Vec<_> = golden
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [code, err_code, _, name, text] = fields.as_slice() else { panic!("{line}") };
            (code.parse().ok(), err_code.parse().ok(), (*name).to_owned(), (*text).to_owned())
        })
        .collect();
    let got: Vec<_> = error::TABLE
        .iter()
        .map(|e| (Some(e.code), Some(e.err_code), e.name.to_owned(), e.text.to_owned()))
        .collect();
    assert_eq!(got, want);
    assert_eq!(got.len(), 222);
}

#[test]
fn errors_say_what_the_table_says() {
    let error = ApiError::stream_external_api_overlap("$JS.x", "$JS.API");
    assert_eq!(
        String::from_utf8(to_json(&error)).expect("JSON"),
        "{\"code\":400,\"err_code\":10021,\"description\":\"stream external api prefix $JS.x must \
         not overlap with $JS.API\"}"
    );
    assert_eq!(ApiError::stream_not_found().to_string(), "stream not found (10059)");
    assert_eq!(ApiError::stream_wrong_last_sequence(7).description, "wrong last sequence: 7");
    assert!(ApiError::stream_wrong_last_sequence(7).is(&ApiError::stream_wrong_last_sequence(8)));
    let bare = Response::<response::System>::error(ApiError { code: 500, ..ApiError::default() });
    assert_eq!(
        to_json(&bare),
        br#"{"type":"io.nats.jetstream.api.v1.system_response","error":{"code":500}}"#
    );
}

#[test]
fn bodies_that_say_nothing_are_known() {
    for (body, empty, document) in [
        ("", true, false),
        ("{}", true, true),
        (" { \n} ", true, true),
        ("{\"a\":1}", false, true),
        ("[]", false, true),
        ("null", false, false),
        ("x", false, false),
        (" [", false, true),
        ("\u{b}{}", false, false),
        ("  ", false, false),
    ] {
        assert_eq!(request::is_empty(body.as_bytes()), empty, "{body:?}");
        assert_eq!(request::is_document(body.as_bytes()), document, "{body:?}");
    }
}

#[test]
fn a_lenient_server_passes_over_what_it_does_not_know() {
    let read = |body: &str| {
        let read = json::request::<StreamConfigRequest>(body.as_bytes(), Unknown::Ignored);
        read.map(|r| r.config.name).map_err(|e| e.to_string())
    };
    assert_eq!(read(r#"{"x":{"y":[1,{}]},"name":"A"}"#).as_deref(), Ok("A"));
    assert_eq!(read("").as_deref(), Ok(""));
    assert_eq!(read("{"), Err("unexpected end of JSON input".into()));
    assert_eq!(read("{} x"), Err("invalid character 'x' after top-level value".into()));
}

#[test]
fn syntax_errors_are_told_as_the_reference_tells_them() {
    let cases: [(&[u8], &str); 16] = [
        (b"{", "unexpected EOF"),
        (b"x", "invalid character 'x' looking for beginning of value at offset 1"),
        (b"{}}", "invalid character '}' looking for beginning of value at offset 3"),
        (
            b"{name:1}",
            "invalid character 'n' looking for beginning of object key string at offset 2",
        ),
        (
            b"{'a':1}",
            r"invalid character '\'' looking for beginning of object key string at offset 2",
        ),
        (b"{\"name\" 1}", "invalid character '1' after object key at offset 9"),
        (
            b"{\"name\":\"x\" \"y\"}",
            "invalid character '\"' after object key:value pair at offset 13",
        ),
        (b"[1 2]", "invalid character '2' after array element at offset 4"),
        (b"{\"name\":\"a\nb\"}", r"invalid character '\n' in string literal at offset 11"),
        (b"{\"name\":\"\\q\"}", "invalid character 'q' in string escape code at offset 11"),
        (
            b"{\"name\":\"\\u12g4\"}",
            r"invalid character 'g' in \u hexadecimal character escape at offset 14",
        ),
        (b"{\"max\":-}", "invalid character '}' in numeric literal at offset 9"),
        (
            b"{\"max\":1.}",
            "invalid character '}' after decimal point in numeric literal at offset 10",
        ),
        (b"{\"max\":1e}", "invalid character '}' in exponent of numeric literal at offset 10"),
        (b"{\"o\":tru}", "invalid character '}' in literal true (expecting 'e') at offset 9"),
        (
            b"\xef\xbb\xbf{}",
            "invalid character '\u{ef}' looking for beginning of value at offset 1",
        ),
    ];
    for (body, want) in cases {
        let error = json::request::<StreamConfigRequest>(body, Unknown::Refused);
        let error = error.expect_err("not JSON").to_string();
        assert_eq!(error, want, "{:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn times_are_told_as_the_reference_tells_them() {
    let layout = "as \"2006-01-02T15:04:05Z07:00\": cannot parse";
    let cases = [
        ("abc", format!("parsing time \"abc\" {layout} \"abc\" as \"2006\"")),
        ("2024-01-01", format!("parsing time \"2024-01-01\" {layout} \"\" as \"T\"")),
        (
            "2024-01-01T00:00:00",
            format!("parsing time \"2024-01-01T00:00:00\" {layout} \"\" as \"Z07:00\""),
        ),
        (
            "2024-13-01T00:00:00Z",
            "parsing time \"2024-13-01T00:00:00Z\": month out of range".into(),
        ),
        ("2024-02-30T00:00:00Z", "parsing time \"2024-02-30T00:00:00Z\": day out of range".into()),
        ("2024-01-01T24:00:00Z", "parsing time \"2024-01-01T24:00:00Z\": hour out of range".into()),
        (
            "2024-01-01T00:00:00Zx",
            "parsing time \"2024-01-01T00:00:00Zx\": extra text: \"x\"".into(),
        ),
        (
            "2024-01-01T00:00:00+25:00",
            "parsing time \"2024-01-01T00:00:00+25:00\": time zone offset hour out of range".into(),
        ),
    ];
    for (text, want) in cases {
        let body = format!("{{\"opt_start_time\":\"{text}\"}}");
        let error = unmarshal::<ConsumerConfig>(body.as_bytes()).expect_err(text);
        assert_eq!(error.to_string(), want);
    }
    let read = |text: &str| {
        let body = format!("{{\"opt_start_time\":{text}}}");
        let read = unmarshal::<ConsumerConfig>(body.as_bytes()).expect(text);
        read.opt_start_time.map(crate::time::rfc3339)
    };
    assert_eq!(read("null"), None);
    assert_eq!(read("\"0001-01-01T00:00:00Z\"").as_deref(), Some("0001-01-01T00:00:00Z"));
    assert_eq!(read("\"2024-01-01T0:00:00,5Z\"").as_deref(), Some("2024-01-01T00:00:00.5Z"));
    assert_eq!(read("\"2024-01-01T01:00:00+02:00\"").as_deref(), Some("2023-12-31T23:00:00Z"));
}

#[test]
fn numbers_and_nesting_have_no_way_to_the_stack_or_the_heap() {
    let deep = "[".repeat(200_000);
    assert!(unmarshal::<StreamConfig>(deep.as_bytes()).is_err());
    let nested = format!("{{\"x\":{}{}}}", "[".repeat(9_000), "]".repeat(9_000));
    assert_eq!(unmarshal::<StreamConfig>(nested.as_bytes()), Ok(StreamConfig::default()));
    let huge = format!("{{\"max_msgs\":{}}}", "9".repeat(10_000));
    assert!(unmarshal::<StreamConfig>(huge.as_bytes()).is_err());
}

#[test]
fn every_cut_of_a_document_is_an_error_and_never_a_panic() {
    let recorded = include_str!("../testdata/documents.txt");
    let line = recorded.lines().find(|line| line.starts_with("StreamInfo ")).expect("an info");
    let text = line.split_once(' ').expect("a document").1.as_bytes();
    for at in 0..text.len() {
        let cut = text.get(..at).expect("a prefix");
        assert!(unmarshal::<StreamInfo>(cut).is_err(), "{at}");
    }
}

#[test]
fn the_smallest_documents_show_what_is_never_left_out() {
    assert_eq!(
        to_json(&StreamState::default()),
        br#"{"messages":0,"bytes":0,"first_seq":0,"first_ts":"0001-01-01T00:00:00Z","last_seq":0,"last_ts":"0001-01-01T00:00:00Z","consumer_count":0}"#
    );
    assert_eq!(
        to_json(&AccountInfo::default()),
        br#"{"memory":0,"storage":0,"reserved_memory":0,"reserved_storage":0,"streams":0,"consumers":0,"limits":{"max_memory":0,"max_storage":0,"max_streams":0,"max_consumers":0,"max_ack_pending":0,"memory_max_stream_bytes":0,"storage_max_stream_bytes":0,"max_bytes_required":false},"api":{"level":0,"total":0,"errors":0}}"#
    );
}

#[test]
fn fast_batches_and_counters_have_their_bodies() {
    assert_eq!(
        pub_ack::BatchFlowAck { seq: 3, msgs: 10 }.to_json(),
        br#"{"type":"ack","seq":3,"msgs":10}"#
    );
    assert_eq!(
        pub_ack::BatchFlowGap { last_seq: 3, seq: 5 }.to_json(),
        br#"{"type":"gap","last_seq":3,"seq":5}"#
    );
    let refused = pub_ack::BatchFlowErr { seq: 5, error: Some(ApiError::message_ttl_invalid()) };
    assert_eq!(
        refused.to_json(),
        br#"{"type":"err","seq":5,"error":{"code":400,"err_code":10165,"description":"invalid per-message TTL"}}"#
    );
    let text = br#"{"S":{"a.b":"12","c":"-3"}}"#;
    let sources = pub_ack::counter_sources(text).expect("a map of maps");
    assert_eq!(pub_ack::counter_sources_json(&sources), text);
    assert!(pub_ack::counter_sources(br#"{"S":{"a":1}}"#).is_err());
}

/// The reference keeps a placement whose list of tags is there and empty; here it is none.
#[test]
fn an_empty_list_counts_as_none() {
    let read: StreamConfig = unmarshal(br#"{"placement":{"tags":[]}}"#).expect("JSON");
    assert_eq!(read.placement, Some(Box::default()));
}
