//! When patterns are due, beside the reference's own answers.

use super::*;

fn at(text: &str) -> Timestamp {
    time::parse(text.as_bytes()).expect("a time")
}

fn next(pattern: &str, zone: Option<&str>, last: &str) -> Option<String> {
    let schedule = Schedule::parse(pattern.as_bytes(), zone.map(str::as_bytes));
    let schedule = schedule.expect("a pattern").expect("not empty");
    schedule.next(at(last), at(last)).map(Timestamp::rfc3339)
}

#[test]
fn exact_times_and_intervals_are_read() {
    let when = "2026-03-01T10:20:30.4Z";
    assert_eq!(
        next("@at 2030-01-02T03:04:05Z", None, when).as_deref(),
        Some("2030-01-02T03:04:05Z")
    );
    assert_eq!(
        next("@at 2030-01-02T03:04:05+02:00", None, when).as_deref(),
        Some("2030-01-02T01:04:05Z")
    );
    assert_eq!(next("@every 1s", None, when).as_deref(), Some("2026-03-01T10:20:31Z"));
    assert_eq!(next("@every 1.5s", None, when).as_deref(), Some("2026-03-01T10:20:31.5Z"));
    assert_eq!(
        next("@every 1h", None, "2026-03-01T10:20:30.5Z").as_deref(),
        Some("2026-03-01T11:20:31Z")
    );
}

#[test]
fn what_was_missed_comes_to_one() {
    let (last, now) = (at("2026-03-01T10:00:00Z"), at("2026-03-01T12:30:00.2Z"));
    let due = |pattern: &str| {
        let schedule = Schedule::parse(pattern.as_bytes(), None).expect("good").expect("some");
        assert!(schedule.repeats());
        schedule.next(last, now).map(Timestamp::rfc3339)
    };
    assert_eq!(due("@every 1h").as_deref(), Some("2026-03-01T13:30:00Z"));
    assert_eq!(due("@hourly").as_deref(), Some("2026-03-01T13:00:00Z"));
    assert_eq!(due("@every 5h").as_deref(), Some("2026-03-01T15:00:00Z"));
}

#[test]
fn cron_patterns_are_due_when_the_reference_says() {
    let table = include_str!("../../testdata/cron.tsv");
    let mut compared = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [pattern, zone, last, want] = fields.as_slice() else { panic!("{line}") };
        let zone = Some(*zone).filter(|zone| *zone != "-").map(str::as_bytes);
        let got = match Schedule::parse(pattern.as_bytes(), zone) {
            Err(e) => e.err_code.to_string(),
            Ok(schedule) => schedule
                .expect("not empty")
                .next(at(last), at(last))
                // A pattern without any time is refused, too.
                .map_or_else(|| "10189".to_owned(), Timestamp::rfc3339),
        };
        assert_eq!(got, *want, "{line}");
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn time_zones_go_with_cron_only_and_must_exist() {
    let code = |pattern: &str, zone: &str| {
        Schedule::parse(pattern.as_bytes(), Some(zone.as_bytes())).map_err(|e| e.err_code).err()
    };
    assert_eq!(code("@hourly", "Europe/Berlin"), None);
    assert_eq!(code("@hourly", "UTC"), None);
    assert_eq!(code("@hourly", ""), Some(10223));
    assert_eq!(code("@hourly", "Nowhere/Land"), Some(10223));
    assert_eq!(code("@hourly", "europe/berlin"), Some(10223));
    assert_eq!(code("@at 2030-01-02T03:04:05Z", "UTC"), Some(10189));
    assert_eq!(code("@every 1s", "UTC"), Some(10189));
    assert_eq!(code("", "Nowhere/Land"), Some(10223));
    assert_eq!(code("", "UTC"), None);
}

// Contract: SCHED-004, SCHED-008
#[test]
fn times_are_told_in_the_time_zone_of_the_pattern() {
    let told = |pattern: &str, zone: Option<&str>| {
        let schedule = Schedule::parse(pattern.as_bytes(), zone.map(str::as_bytes));
        schedule.unwrap().unwrap().text(Timestamp(1_700_000_000_000_000_000))
    };
    assert_eq!(told("@hourly", None), "2023-11-14T22:13:20Z");
    assert_eq!(told("@hourly", Some("UTC")), "2023-11-14T22:13:20Z");
    assert_eq!(told("@hourly", Some("Europe/London")), "2023-11-14T22:13:20Z");
    assert_eq!(told("@hourly", Some("Europe/Berlin")), "2023-11-14T23:13:20+01:00");
    assert_eq!(told("@hourly", Some("America/St_Johns")), "2023-11-14T18:43:20-03:30");
    assert_eq!(told("@every 1h", None), "2023-11-14T22:13:20Z");
    for text in ["2023-11-14T23:13:20+01:00", "2023-11-14T18:43:20-03:30"] {
        let at = time::parse(text.as_bytes()).unwrap();
        assert_eq!(at, Timestamp(1_700_000_000_000_000_000));
    }
}

#[test]
fn bad_patterns_are_refused() {
    for pattern in [
        "@at",
        "@at x",
        "@at 2030-01-02",
        "@every",
        "@every 999ms",
        "@every x",
        "@every 5",
        "@often",
        "* * * * *",
        "* * * * * * *",
        "60 * * * * *",
        "* 60 * * * *",
        "* * 24 * * *",
        "* * * 0 * *",
        "* * * 32 * *",
        "* * * * 0 *",
        "* * * * 13 *",
        "* * * * * 7",
        "5-1 * * * * *",
        "*/0 * * * * *",
        "1-2-3 * * * * *",
        "1/2/3 * * * * *",
        "x * * * * *",
        "-1 * * * * *",
    ] {
        let code = Schedule::parse(pattern.as_bytes(), None).map_err(|e| e.err_code).err();
        assert_eq!(code, Some(10189), "{pattern}");
    }
}
