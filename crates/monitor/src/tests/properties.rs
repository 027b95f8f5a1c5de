//! Nothing in a request can make the room panic, and JSON is always JSON.

use proptest::prelude::*;

use super::fake::{now, server};
use crate::*;

fn parameter() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "sort",
        "auth",
        "subs",
        "offset",
        "limit",
        "cid",
        "state",
        "user",
        "acc",
        "mqtt_client",
        "test",
        "accs",
        "gw_name",
        "acc_name",
        "unused",
        "all",
        "queues",
        "details",
        "stream",
        "account",
        "consumer",
        "leader-only",
        "",
    ]);
    let value = prop_oneof![
        any::<String>(),
        "[-+]?[0-9]{0,24}",
        "%[0-9a-fg]{0,3}",
        prop::sample::select(vec!["1", "true", "detail", "all", "closed", "cid", "stop", "A", ">"])
            .prop_map(String::from),
    ];
    (name, value).prop_map(|(name, value)| format!("{name}={value}"))
}

proptest! {
    #[test]
    fn any_query_gets_an_answer(
        endpoint in prop::sample::select(Endpoint::ALL.to_vec()),
        query in prop::collection::vec(parameter(), 0..6),
    ) {
        let response = respond(endpoint.path(), &query.join("&"), &server(), "", now());
        prop_assert!([200, 400, 404].contains(&response.status));
        let is_json = response.content_type.starts_with("application/json");
        if is_json && endpoint != Endpoint::Stacksz {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&response.body).is_ok());
        }
        if response.status == 400 {
            prop_assert!(!response.body.is_empty());
        }
    }

    #[test]
    fn any_path_gets_an_answer(path in ".*", query in ".*", base in ".*") {
        let response = respond(&path, &query, &server(), &base, now());
        prop_assert!([200, 307, 400, 404].contains(&response.status));
        for (_, value) in &response.headers {
            prop_assert!(value.bytes().all(|b| b != b'\r' && b != b'\n'), "{value:?}");
        }
    }

    #[test]
    fn any_request_body_gets_an_answer_or_a_code(
        endpoint in prop::sample::select(Endpoint::ALL.to_vec()),
        body in prop_oneof![any::<Vec<u8>>(), "\\{\"(limit|offset|cid|state|sort)\":-?[0-9]{1,22}\\}".prop_map(String::into_bytes)],
    ) {
        if let Ok(document) = request(endpoint, &body, &server(), now()) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&document).is_ok());
        }
    }

    #[test]
    fn a_page_stays_inside_the_list(len in 0usize..50, offset: i64, limit: i64) {
        let page = documents::page(len, offset, limit);
        prop_assert!(page.start <= page.end && page.end <= len);
        prop_assert!(page.len() as i128 <= i128::from(limit).max(0));
        if offset <= 0 && limit > 50 {
            prop_assert_eq!(page, 0..len);
        }
    }

    #[test]
    fn floats_survive_and_look_like_gos(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
        let text = String::from_utf8(json::compact(&value)).unwrap();
        prop_assert_eq!(text.parse::<f64>().unwrap(), value);
        prop_assert!(!text.ends_with(".0"));
    }
}

// Contract: MON-003
#[test]
fn numbers_and_strings_have_gos_forms() {
    let text = |value: serde_json::Value| String::from_utf8(json::compact(&value)).unwrap();
    for (value, expected) in [
        (2.0, "2"),
        (0.22727272727272727, "0.22727272727272727"),
        (1e-5, "0.00001"),
        (1e-7, "1e-7"),
        (1e16, "10000000000000000"),
        (1e21, "1e+21"),
        (-0.5, "-0.5"),
        (0.0, "0"),
    ] {
        assert_eq!(text(value.into()), expected);
    }
    assert_eq!(text("<a>&\u{2028}é\u{1}\n".into()), r#""\u003ca\u003e\u0026\u2028é\u0001\n""#);
}
