//! Permissions as tables, and against a slow and obvious oracle.

use super::*;
use proptest::prelude::*;
use std::time::Duration;
use stdx::time::Mono;

fn compile(publish: (&[&str], &[&str]), subscribe: (&[&str], &[&str])) -> Permissions {
    let list = |subjects: &[&str]| subjects.iter().map(|s| (*s).to_owned()).collect();
    let sides = |(allow, deny)| SubjectPermission { allow: list(allow), deny: list(deny) };
    Permissions::new(PermissionsConfig {
        publish: sides(publish),
        subscribe: sides(subscribe),
        responses: None,
    })
}

/// Splits `subject queue`.
fn request(text: &str) -> (&[u8], Option<&[u8]>) {
    match text.split_once(' ') {
        Some((subject, queue)) => (subject.as_bytes(), Some(queue.as_bytes())),
        None => (text.as_bytes(), None),
    }
}

/// The SUBs that every row of the matrix below is asked for.
const REQUESTS: [&str; 23] = [
    "foo",
    "foo v1",
    "foo v2",
    "foo.*",
    "foo.>",
    "foo.bar",
    "foo.bar v1",
    "foo.bar v1.x",
    "foo.* v1",
    "foo.> v1.x.y",
    "*",
    ">",
    "> q",
    "* q*",
    "foo *",
    "foo >",
    "foo a.b",
    "*.*",
    "*.bar",
    "foo.bar.>",
    "foo .a",
    "foo a..b",
    "foo.bar v1..x",
];

/// Allow list, deny list, the requests that are accepted, and those that the reference accepts
/// beyond what the allow list covers.
type Row = (
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

/// As observed on a running reference server.
const MATRIX: [Row; 26] = [
    (
        &["foo.*"],
        &[],
        &["foo.*", "foo.bar", "foo.bar v1", "foo.bar v1.x", "foo.* v1", "foo.bar v1..x"],
        &["foo.>", "foo.> v1.x.y"],
    ),
    (
        &["foo.>"],
        &[],
        &[
            "foo.*",
            "foo.>",
            "foo.bar",
            "foo.bar v1",
            "foo.bar v1.x",
            "foo.* v1",
            "foo.> v1.x.y",
            "foo.bar.>",
            "foo.bar v1..x",
        ],
        &[],
    ),
    (
        &["foo"],
        &[],
        &["foo", "foo v1", "foo v2", "foo *", "foo >", "foo a.b", "foo .a", "foo a..b"],
        &[],
    ),
    (&["foo v1"], &[], &["foo v1"], &[]),
    (&["foo", "foo v1"], &[], &["foo", "foo v1"], &[]),
    (&["foo.* v1.*"], &[], &["foo.bar v1.x"], &[]),
    (
        &["foo.>", "foo.* v1"],
        &[],
        &["foo.*", "foo.>", "foo.bar", "foo.bar v1", "foo.* v1", "foo.bar.>"],
        &[],
    ),
    (
        &[">"],
        &[],
        &[
            "foo",
            "foo v1",
            "foo v2",
            "foo.*",
            "foo.>",
            "foo.bar",
            "foo.bar v1",
            "foo.bar v1.x",
            "foo.* v1",
            "foo.> v1.x.y",
            "*",
            ">",
            "> q",
            "* q*",
            "foo *",
            "foo >",
            "foo a.b",
            "*.*",
            "*.bar",
            "foo.bar.>",
            "foo .a",
            "foo a..b",
            "foo.bar v1..x",
        ],
        &[],
    ),
    (&["*.bar"], &[], &["foo.bar", "foo.bar v1", "foo.bar v1.x", "*.bar", "foo.bar v1..x"], &[]),
    (&["foo.bar"], &[], &["foo.bar", "foo.bar v1", "foo.bar v1.x", "foo.bar v1..x"], &[]),
    (&["> q"], &[], &["> q"], &[]),
    (
        &["foo >"],
        &[],
        &["foo v1", "foo v2", "foo *", "foo >", "foo a.b", "foo .a", "foo a..b"],
        &[],
    ),
    (&["foo *"], &[], &["foo v1", "foo v2", "foo *"], &[]),
    (
        &[],
        &["foo.bar"],
        &[
            "foo",
            "foo v1",
            "foo v2",
            "foo.*",
            "foo.>",
            "foo.* v1",
            "foo.> v1.x.y",
            "*",
            ">",
            "> q",
            "* q*",
            "foo *",
            "foo >",
            "foo a.b",
            "*.*",
            "*.bar",
            "foo.bar.>",
            "foo .a",
            "foo a..b",
        ],
        &[],
    ),
    (
        &[],
        &["foo.*"],
        &[
            "foo",
            "foo v1",
            "foo v2",
            "*",
            ">",
            "> q",
            "* q*",
            "foo *",
            "foo >",
            "foo a.b",
            "*.*",
            "*.bar",
            "foo.bar.>",
            "foo .a",
            "foo a..b",
        ],
        &[],
    ),
    (
        &[],
        &["foo.>"],
        &[
            "foo", "foo v1", "foo v2", "*", ">", "> q", "* q*", "foo *", "foo >", "foo a.b", "*.*",
            "*.bar", "foo .a", "foo a..b",
        ],
        &[],
    ),
    (
        &[],
        &["foo"],
        &[
            "foo.*",
            "foo.>",
            "foo.bar",
            "foo.bar v1",
            "foo.bar v1.x",
            "foo.* v1",
            "foo.> v1.x.y",
            "*",
            ">",
            "> q",
            "* q*",
            "*.*",
            "*.bar",
            "foo.bar.>",
            "foo.bar v1..x",
        ],
        &[],
    ),
    (
        &[],
        &["foo v1"],
        &[
            "foo",
            "foo v2",
            "foo.*",
            "foo.>",
            "foo.bar",
            "foo.bar v1",
            "foo.bar v1.x",
            "foo.* v1",
            "foo.> v1.x.y",
            "*",
            ">",
            "> q",
            "* q*",
            "foo *",
            "foo >",
            "foo a.b",
            "*.*",
            "*.bar",
            "foo.bar.>",
            "foo .a",
            "foo a..b",
            "foo.bar v1..x",
        ],
        &[],
    ),
    (
        &[],
        &["foo.* v1.>"],
        &[
            "foo",
            "foo v1",
            "foo v2",
            "foo.*",
            "foo.>",
            "foo.bar",
            "foo.bar v1",
            "foo.* v1",
            "*",
            ">",
            "> q",
            "* q*",
            "foo *",
            "foo >",
            "foo a.b",
            "*.*",
            "*.bar",
            "foo.bar.>",
            "foo .a",
            "foo a..b",
        ],
        &[],
    ),
    (&[], &[">"], &[], &[]),
    (
        &[],
        &["* q*"],
        &[
            "foo",
            "foo v1",
            "foo v2",
            "foo.*",
            "foo.>",
            "foo.bar",
            "foo.bar v1",
            "foo.bar v1.x",
            "foo.* v1",
            "foo.> v1.x.y",
            "*",
            ">",
            "> q",
            "foo *",
            "foo >",
            "foo a.b",
            "*.*",
            "*.bar",
            "foo.bar.>",
            "foo .a",
            "foo a..b",
            "foo.bar v1..x",
        ],
        &[],
    ),
    (
        &[],
        &["foo >"],
        &[
            "foo",
            "foo.*",
            "foo.>",
            "foo.bar",
            "foo.bar v1",
            "foo.bar v1.x",
            "foo.* v1",
            "foo.> v1.x.y",
            "*",
            ">",
            "> q",
            "* q*",
            "*.*",
            "*.bar",
            "foo.bar.>",
            "foo.bar v1..x",
        ],
        &[],
    ),
    (
        &[],
        &["> v1"],
        &[
            "foo",
            "foo v2",
            "foo.*",
            "foo.>",
            "foo.bar",
            "foo.bar v1.x",
            "foo.> v1.x.y",
            "*",
            ">",
            "> q",
            "* q*",
            "foo *",
            "foo >",
            "foo a.b",
            "*.*",
            "*.bar",
            "foo.bar.>",
            "foo .a",
            "foo a..b",
            "foo.bar v1..x",
        ],
        &[],
    ),
    (
        &["foo.>", "foo"],
        &["foo.bar", "foo v1"],
        &[
            "foo",
            "foo v2",
            "foo.*",
            "foo.>",
            "foo.* v1",
            "foo.> v1.x.y",
            "foo *",
            "foo >",
            "foo a.b",
            "foo.bar.>",
            "foo .a",
            "foo a..b",
        ],
        &[],
    ),
    (
        &["foo.*"],
        &["foo.* q"],
        &["foo.*", "foo.bar", "foo.bar v1", "foo.bar v1.x", "foo.* v1", "foo.bar v1..x"],
        &["foo.>", "foo.> v1.x.y"],
    ),
    (
        &[">"],
        &["foo.bar v1"],
        &[
            "foo",
            "foo v1",
            "foo v2",
            "foo.*",
            "foo.>",
            "foo.bar",
            "foo.bar v1.x",
            "foo.* v1",
            "foo.> v1.x.y",
            "*",
            ">",
            "> q",
            "* q*",
            "foo *",
            "foo >",
            "foo a.b",
            "*.*",
            "*.bar",
            "foo.bar.>",
            "foo .a",
            "foo a..b",
            "foo.bar v1..x",
        ],
        &[],
    ),
];

// Contract: SUBJ-006
#[test]
fn subscriptions_are_judged_as_by_the_reference() {
    for (allow, deny, accepted, _) in MATRIX {
        let permissions = compile((&[], &[]), (allow, deny));
        let ours: Vec<&str> = REQUESTS
            .into_iter()
            .filter(|text| {
                let (subject, queue) = request(text);
                permissions.can_subscribe(subject, queue) != SubscribeDecision::Denied
            })
            .collect();
        let mut want = accepted.to_vec();
        want.sort_by_key(|text| REQUESTS.iter().position(|r| r == text));
        assert_eq!(ours, want, "allow {allow:?} deny {deny:?}");
    }
}

#[test]
fn the_reference_accepts_too_wide_subscriptions_only() {
    for (allow, _, _, too_wide) in MATRIX {
        for text in too_wide {
            let (subject, _) = request(text);
            let covered = allow.iter().any(|entry| subject::is_subset(subject, request(entry).0));
            assert!(!covered, "{allow:?} covers {text}");
        }
    }
}

// Contract: SUBJ-007
#[test]
fn wide_subscriptions_are_filtered_where_a_deny_lies_inside() {
    use SubscribeDecision::{Allowed, AllowedFiltered, Denied};
    let cases: [(&[&str], &str, SubscribeDecision); 11] = [
        (&["foo"], "*", AllowedFiltered),
        (&["foo"], "foo", Denied),
        (&["foo"], "bar.*", Allowed),
        (&["foo"], "bar", Allowed),
        (&["foo.bar.>"], "foo.>", AllowedFiltered),
        (&["foo v1"], "*", Allowed),
        (&["foo v1"], "* v1", AllowedFiltered),
        (&["foo v1"], "* v2", Allowed),
        (&["foo v1.*"], "* v1.x", AllowedFiltered),
        (&["foo"], "* v1", AllowedFiltered),
        (&["foo >"], "> any.queue", AllowedFiltered),
    ];
    for (deny, text, want) in cases {
        let (subject, queue) = request(text);
        let decision = compile((&[], &[]), (&[], deny)).can_subscribe(subject, queue);
        assert_eq!(decision, want, "deny {deny:?}, SUB {text}");
    }
    let permissions = compile((&[], &[]), (&[], &["foo", "bar v1"]));
    for (text, want) in [
        ("foo", true),
        ("foo v1", true),
        ("bar", false),
        ("bar v1", true),
        ("bar v2", false),
        ("baz", false),
    ] {
        let (subject, queue) = request(text);
        assert_eq!(permissions.denies_delivery(subject, queue), want, "{text}");
    }
}

type Names = &'static [&'static str];

#[test]
fn publishing_obeys_allow_and_deny() {
    let cases: [(Names, Names, Names, Names); 6] = [
        (&[], &[], &["foo", "a.b"], &[]),
        (&["foo"], &[], &["foo"], &["foo.bar", "bar", "Foo"]),
        (
            &["foo.*", "bar.>"],
            &[],
            &["foo.a", "bar.a.b"],
            &["foo", "bar", "foo.a.b", "foo.", "foo..a"],
        ),
        (&[], &["foo.*"], &["foo", "bar", "foo.a.b"], &["foo.a", "foo.*", "foo.>"]),
        (&["foo.>"], &["foo.secret.>"], &["foo.a", "foo.secret"], &["foo.secret.a", "bar"]),
        (&["*.a", "b.*"], &["b.a"], &["x.a", "b.x"], &["b.a", "x.x"]),
    ];
    for (allow, deny, may, may_not) in cases {
        let permissions = compile((allow, deny), (&[], &[]));
        for subject in may {
            assert!(permissions.can_publish(subject.as_bytes()), "{allow:?} {deny:?} {subject}");
        }
        for subject in may_not {
            assert!(!permissions.can_publish(subject.as_bytes()), "{allow:?} {deny:?} {subject}");
        }
    }
}

// Contract: SUBJ-008
#[test]
fn allowing_responses_closes_an_open_publish_list() {
    let with = |allow: &[&str], responses| {
        let publish = SubjectPermission::allow(allow.iter().copied());
        Permissions::new(PermissionsConfig { publish, responses, ..PermissionsConfig::default() })
    };
    assert!(with(&[], None).can_publish(b"foo"));
    assert!(!with(&[], Some(ResponsePermission::default())).can_publish(b"foo"));
    assert!(with(&["foo"], Some(ResponsePermission::default())).can_publish(b"foo"));
}

/// Second of the publish, whether it is allowed.
type Publishes = &'static [(u64, bool)];

const SECOND: i64 = 1_000_000_000;

// Contract: SUBJ-008
#[test]
fn reply_subjects_may_be_used_as_often_and_as_long_as_configured() {
    // max, ttl in seconds, publishes.
    let cases: [(i64, i64, Publishes); 6] = [
        (0, 0, &[(1, true), (1, false), (1, false)]),
        (0, 0, &[(120, true)]),
        (0, 0, &[(121, false)]),
        (3, 10, &[(1, true), (10, true), (11, false), (11, false)]),
        (-1, 10, &[(1, true), (2, true), (3, true), (4, true), (11, false)]),
        (2, -1, &[(100_000, true), (200_000, true), (200_000, false)]),
    ];
    let at = |seconds: u64| Mono(seconds * 1_000_000_000);
    for (max, ttl, publishes) in cases {
        let mut tracker = ResponseTracker::new(ResponsePermission::new(max, ttl * SECOND));
        assert!(!tracker.check(b"_INBOX.1", at(0)), "nobody asked yet");
        tracker.allow(b"_INBOX.1", at(0));
        assert!(!tracker.check(b"_INBOX.2", at(0)));
        for (second, want) in publishes {
            assert_eq!(tracker.check(b"_INBOX.1", at(*second)), *want, "{max} {ttl} at {second}");
        }
        tracker.allow(b"_INBOX.1", at(300_000));
        assert!(tracker.check(b"_INBOX.1", at(300_000)), "a new request starts afresh");
    }
}

// Contract: SUBJ-008
#[test]
fn response_limits_have_defaults() {
    let limits = ResponsePermission::new(0, 0);
    assert_eq!((limits.limit(), limits.ttl()), (Some(1), Some(Duration::from_secs(120))));
    let limits = ResponsePermission::new(-1, -5);
    assert_eq!((limits.limit(), limits.ttl()), (None, None));
    assert_eq!((limits.max_msgs(), limits.expires_ns()), (-1, -5));
}

#[test]
fn reply_subjects_that_are_never_used_do_not_pile_up() {
    let mut tracker = ResponseTracker::new(ResponsePermission::new(1, SECOND));
    let mut most = 0;
    for i in 0..100_000_u64 {
        // A thousand requests per second, and each reply subject lives for a second.
        tracker.allow(format!("_INBOX.{i}").as_bytes(), Mono(i * 1_000_000));
        most = most.max(tracker.len());
    }
    assert!(most <= 2_100, "{most} reply subjects held");
}

fn subject() -> impl Strategy<Value = String> {
    let token = prop_oneof![Just("a"), Just("b"), Just("*"), Just("c")];
    (prop::collection::vec(token, 1..=3), any::<bool>()).prop_map(|(mut tokens, tail)| {
        if tail && let Some(last) = tokens.last_mut() {
            *last = ">";
        }
        tokens.join(".")
    })
}

fn entry() -> impl Strategy<Value = String> {
    (subject(), prop_oneof![Just(""), Just(" q"), Just(" q.*"), Just(" >")])
        .prop_map(|(subject, queue)| format!("{subject}{queue}"))
}

proptest! {
    // Contract: SUBJ-006, SUBJ-007
    #[test]
    fn nothing_denied_is_delivered_and_nothing_allowed_is_lost(
        deny in prop::collection::vec(entry(), 1..4),
        filter in subject(),
        queue in prop_oneof![Just(None), Just(Some("q")), Just(Some("q.x")), Just(Some("r"))],
        message in prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..=4),
    ) {
        let deny: Vec<&str> = deny.iter().map(String::as_str).collect();
        let permissions = compile((&[], &[]), (&[], &deny));
        let (queue, message) = (queue.map(str::as_bytes), message.join("."));
        let message = message.as_bytes();
        prop_assume!(subject::matches(message, filter.as_bytes()));
        let denied = deny.iter().any(|entry| {
            let (subject, wanted) = request(entry);
            let fits = match (wanted, queue) {
                (None, _) => true,
                (Some(wanted), Some(queue)) => wanted == queue || subject::matches(queue, wanted),
                (Some(_), None) => false,
            };
            fits && subject::matches(message, subject)
        });
        match permissions.can_subscribe(filter.as_bytes(), queue) {
            SubscribeDecision::Denied => {}
            SubscribeDecision::Allowed => prop_assert!(!denied),
            SubscribeDecision::AllowedFiltered => {
                prop_assert_eq!(permissions.denies_delivery(message, queue), denied);
            }
        }
    }

    // Contract: SUBJ-006
    #[test]
    fn an_allowed_subscription_lies_inside_the_allow_list(
        allow in prop::collection::vec(subject(), 1..5),
        filter in subject(),
    ) {
        let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
        let permissions = compile((&allow, &[]), (&allow, &[]));
        let covered = allow.iter().any(|a| subject::is_subset(filter.as_bytes(), a.as_bytes()));
        let decision = permissions.can_subscribe(filter.as_bytes(), None);
        prop_assert_eq!(decision != SubscribeDecision::Denied, covered);
        let matched = allow.iter().any(|a| subject::matches(filter.as_bytes(), a.as_bytes()));
        prop_assert_eq!(permissions.can_publish(filter.as_bytes()), matched);
    }
}
