//! Lines, rotation, syslog on loopback, the queue under a writer that stands still.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};
use stdx::log::Level;
use stdx::time::Timestamp;
use stdx::{debug, error, fatal, notice, trace, warning};

use super::line::{Line, LineFormat};
use super::queue::{BYTES_MAX, DETAIL_BYTES_MAX, Dropped, Entry, Queue};
use super::*;

const LONG: Duration = Duration::from_secs(10);

fn line(level: Level, text: &str) -> Line {
    // 2026-11-21T08:00:00.123456789Z
    Line { level, at: Timestamp(1_795_248_000_123_456_789), text: text.into() }
}

fn plain() -> LineFormat {
    LineFormat { pid: 7, time: true, zone: TimeZone::UTC, colors: false, json: false }
}

fn shown(format: &LineFormat, level: Level) -> String {
    let mut out = Vec::new();
    format.append(&mut out, &line(level, "text"));
    String::from_utf8(out).unwrap()
}

// Contract: LOG-001
#[test]
fn lines_have_pid_time_and_label() {
    let all = [
        (Level::Notice, "INF", "32"),
        (Level::Debug, "DBG", "36"),
        (Level::Warn, "WRN", "0;93"),
        (Level::Error, "ERR", "31"),
        (Level::Fatal, "FTL", "31"),
        (Level::Trace, "TRC", "33"),
    ];
    for (level, label, color) in all {
        let expected = format!("[7] 2026/11/21 08:00:00.123456 [{label}] text\n");
        assert_eq!(shown(&plain(), level), expected);
        let colored = LineFormat { colors: true, ..plain() };
        let expected =
            format!("[7] 2026/11/21 08:00:00.123456 [\x1b[{color}m{label}\x1b[0m] text\n");
        assert_eq!(shown(&colored, level), expected);
    }
}

// Contract: LOG-009
#[test]
fn the_time_can_be_local_or_left_out() {
    let zone = TimeZone::fixed(Offset::from_seconds(-9000).unwrap());
    let local = LineFormat { zone, ..plain() };
    assert_eq!(shown(&local, Level::Notice), "[7] 2026/11/21 05:30:00.123456 [INF] text\n");
    let without = LineFormat { time: false, ..plain() };
    assert_eq!(shown(&without, Level::Notice), "[7] [INF] text\n");
}

// Contract: LOG-002
#[test]
fn a_file_wins_over_syslog_and_syslog_over_stderr() {
    let file = |size, max| Target::File { path: "f".into(), size_limit: size, max_files: max };
    for (target, expected) in [
        (Target::choose("f", 10, 3, "udp://h", true), file(10, 3)),
        (Target::choose("f", -1, -5, "", false), file(0, 0)),
        (Target::choose("", 10, 3, "udp://h", true), Target::RemoteSyslog("udp://h".into())),
        (Target::choose("", 0, 0, "", true), Target::Syslog),
        (Target::choose("", 0, 0, "", false), Target::Stderr),
    ] {
        assert_eq!(target, expected);
    }
}

fn file_config(path: &Path, size_limit: u64, max_files: u64) -> LogConfig {
    LogConfig {
        target: Target::File { path: path.to_owned(), size_limit, max_files },
        ..LogConfig::default()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// The texts of a log, times and pids cut off; line ends other than LF are shown.
fn texts(path: &Path) -> Vec<String> {
    let content = fs::read_to_string(path).unwrap();
    let pid = format!("[{}] ", std::process::id());
    content
        .split_terminator('\n')
        .map(|line| {
            let rest = line.strip_prefix(&pid).expect(line);
            // The time has 26 bytes and a space behind it.
            rest[27..].to_owned()
        })
        .collect()
}

// Contract: LOG-001, LOG-009
#[test]
fn levels_that_are_off_are_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let (log, control) = open(&file_config(&path, 0, 0)).unwrap();
    debug!(log, "hidden");
    log.set_levels(true, true);
    notice!(log, "a {}", 1);
    warning!(log, "b");
    error!(log, "c");
    debug!(log, "d");
    trace!(log, "e");
    fatal!(log, "f");
    // A fatal line is out before the call returns.
    let expected = ["[INF] a 1", "[WRN] b", "[ERR] c", "[DBG] d", "[TRC] e", "[FTL] f"];
    assert_eq!(texts(&path), expected);
    control.close();
    notice!(log, "too late");
    assert_eq!(texts(&path), expected);
}

#[test]
#[cfg(unix)]
fn files_are_not_for_everyone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let (_log, control) = open(&file_config(&path, 0, 0)).unwrap();
    control.close();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
}

// Contract: LOG-003
#[test]
fn a_full_file_is_renamed_and_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nats.log");
    let (log, control) = open(&file_config(&path, 300, 0)).unwrap();
    for number in 0..3 {
        notice!(log, "{number} {}", "x".repeat(70));
        assert!(control.flush(LONG));
    }
    control.close();
    let files = names(directory.path());
    assert_eq!(files.len(), 2, "{files:?}");
    let backup = &files[1];
    let stamp: Vec<usize> =
        backup.strip_prefix("nats.log.").unwrap().split('.').map(str::len).collect();
    assert_eq!(stamp, [4, 2, 2, 2, 2, 2, 9], "{backup}");
    // The third line made the file too long; it is still the last one of the old file.
    assert_eq!(texts(&directory.path().join(backup)).len(), 3);
    let backup = directory.path().join(backup).display().to_string();
    assert_eq!(texts(&path), [format!("[INF] Rotated log, backup saved as \"{backup}\"\r")]);
}

// Contract: LOG-003
#[test]
fn a_file_that_is_too_large_at_start_is_rotated_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, "old\n".repeat(100)).unwrap();
    let (_log, control) = open(&file_config(&path, 300, 0)).unwrap();
    control.close();
    let files = names(directory.path());
    assert_eq!(files.len(), 2);
    let old = fs::read_to_string(directory.path().join(&files[1])).unwrap();
    assert!(old.starts_with("old\n") && old.ends_with("[INF] Rotating logfile...\n"), "{old}");
}

// Contract: LOG-003
#[test]
fn only_so_many_files_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    for decoy in [
        "log.txt",
        "log.2020.01.01.00.00.00",
        "log.2020.13.01.00.00.00.1",
        "other.2020.01.01.00.00.00.000000001",
    ] {
        fs::write(directory.path().join(decoy), "mine").unwrap();
    }
    fs::write(directory.path().join("log.2020.01.01.00.00.00.000000001"), "oldest").unwrap();
    let (log, control) = open(&file_config(&path, 1, 3)).unwrap();
    for number in 0..5 {
        notice!(log, "{number}");
        assert!(control.flush(LONG));
    }
    control.close();
    let ours: Vec<String> = names(directory.path())
        .into_iter()
        .filter(|name| {
            name.len() == "log.2020.01.01.00.00.00.000000001".len() && name.starts_with("log.")
        })
        .collect();
    assert_eq!(ours.len(), 2, "the current file is one of three: {ours:?}");
    assert!(names(directory.path()).iter().filter(|name| !ours.contains(name)).count() == 5);
    let last = texts(&directory.path().join(&ours[1]));
    assert!(last.iter().any(|text| text.starts_with("[INF] Purged log file \"log.2")), "{last:?}");
    assert_eq!(last.last().unwrap(), "[INF] 4");
}

// Contract: LOG-003
#[test]
fn lines_are_never_lost_or_split_by_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let (log, control) = open(&file_config(&path, 3000, 0)).unwrap();
    for number in 0..2000 {
        notice!(log, "line {number}");
    }
    control.close();
    let mut found = Vec::new();
    for name in names(directory.path()) {
        let file = directory.path().join(&name);
        assert!(fs::metadata(&file).unwrap().len() < 3200, "{name}");
        found.extend(texts(&file));
    }
    for number in 0..2000 {
        let expected = format!("[INF] line {number}");
        assert_eq!(found.iter().filter(|text| **text == expected).count(), 1, "{expected}");
    }
}

// Contract: LOG-004
#[test]
fn a_moved_file_is_followed_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let (path, moved) = (directory.path().join("log"), directory.path().join("moved"));
    let (log, control) = open(&file_config(&path, 0, 0)).unwrap();
    notice!(log, "before");
    assert!(control.flush(LONG));
    fs::rename(&path, &moved).unwrap();
    notice!(log, "between");
    control.reopen();
    notice!(log, "after");
    control.close();
    assert_eq!(texts(&moved), ["[INF] before", "[INF] between"]);
    assert_eq!(texts(&path), ["[INF] File log re-opened", "[INF] after"]);
}

#[test]
fn the_destination_can_change() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("1"), directory.path().join("2"));
    let (log, control) = open(&file_config(&first, 0, 0)).unwrap();
    notice!(log, "one");
    control.reconfigure(&file_config(&second, 0, 0)).unwrap();
    notice!(log, "two");
    let nowhere = directory.path().join("no/such/directory/log");
    let refused = control.reconfigure(&file_config(&nowhere, 0, 0)).unwrap_err();
    assert!(refused.to_string().starts_with("error opening file: open "), "{refused}");
    notice!(log, "three");
    control.close();
    assert_eq!(texts(&first), ["[INF] one"]);
    assert_eq!(texts(&second), ["[INF] two", "[INF] three"]);
}

fn remote(address: &str) -> LogConfig {
    LogConfig {
        target: Target::RemoteSyslog(address.into()),
        tag: "nats-server".into(),
        ..LogConfig::default()
    }
}

fn say_all(log: &Log) {
    log.set_levels(true, true);
    notice!(log, "n");
    warning!(log, "w");
    error!(log, "e");
    debug!(log, "d");
    trace!(log, "t");
    fatal!(log, "f");
}

const SEVERITIES: [(u8, &str); 6] = [(5, "n"), (4, "w"), (3, "e"), (7, "d"), (5, "t"), (2, "f")];

fn check_remote(message: &str, severity: u8, text: &str) {
    let words: Vec<&str> = message.split(' ').collect();
    let [lead, _host, tag, said] = words.as_slice() else { panic!("{message}") };
    let time = lead.strip_prefix(&format!("<{severity}>")).expect(message);
    assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "{message}");
    assert_eq!(*tag, format!("nats-server[{}]:", std::process::id()));
    assert_eq!(*said, format!("{text}\n"), "{message}");
}

// Contract: LOG-005
#[test]
fn udp_syslog_gets_a_datagram_per_line() {
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(LONG)).unwrap();
    let (log, control) = open(&remote(&format!("udp://{}", daemon.local_addr().unwrap()))).unwrap();
    say_all(&log);
    for (severity, text) in SEVERITIES {
        let mut message = [0; 512];
        let length = daemon.recv(&mut message).unwrap();
        check_remote(str::from_utf8(&message[..length]).unwrap(), severity, text);
    }
    control.close();
}

// Contract: LOG-005
#[test]
fn tcp_syslog_gets_lines_and_survives_a_restart_of_the_daemon() {
    let daemon = TcpListener::bind("127.0.0.1:0").unwrap();
    let (log, control) = open(&remote(&format!("tcp://{}", daemon.local_addr().unwrap()))).unwrap();
    let (first, _) = daemon.accept().unwrap();
    drop(first);
    // The first write after the loss may still seem to work; then the connection is made again.
    daemon.set_nonblocking(true).unwrap();
    let mut again = None;
    for number in 0..1000 {
        notice!(log, "{number}");
        assert!(control.flush(LONG));
        if let Ok((stream, _)) = daemon.accept() {
            again = Some(stream);
            break;
        }
    }
    let mut again = again.expect("connected again");
    again.set_nonblocking(false).unwrap();
    say_all(&log);
    control.close();
    drop(log);
    let mut received = String::new();
    again.read_to_string(&mut received).unwrap();
    let lines: Vec<&str> = received.split_inclusive('\n').collect();
    let last = &lines[lines.len() - SEVERITIES.len()..];
    for (message, (severity, text)) in last.iter().zip(SEVERITIES) {
        check_remote(message, severity, text);
    }
}

// Contract: LOG-005
#[test]
fn unix_syslog_has_the_local_form() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("syslog");
    let daemon = UnixListener::bind(&path).unwrap();
    let (log, control) = open(&remote(&format!("unix://{}", path.display()))).unwrap();
    let (mut stream, _) = daemon.accept().unwrap();
    warning!(log, "w");
    control.close();
    drop(log);
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    let rest = received.strip_prefix("<4>").expect(&received);
    // Jan _2 15:04:05
    assert_eq!(rest[15..], format!(" nats-server[{}]: w\n", std::process::id()));
    assert!(rest.as_bytes()[3] == b' ' && rest.as_bytes()[9] == b':', "{received}");
}

// Contract: LOG-005
#[test]
fn bad_syslog_addresses_are_refused() {
    let refused = |address: &str| open(&remote(address)).unwrap_err().to_string();
    assert_eq!(refused("http://127.0.0.1:1"), "error invalid network type: \"http\"");
    assert_eq!(refused("127.0.0.1:1"), "error invalid network type: \"\"");
    assert!(refused("unix:///no/such/socket").starts_with("error connecting to syslog: \""));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(refused(&format!("tcp://{free}")).starts_with("error connecting to syslog: \""));
}

#[test]
fn details_are_dropped_before_anything_else() {
    let queue = Queue::default();
    let text = "x".repeat(1 << 20);
    let push = |level, count: usize| (0..count).for_each(|_| queue.push(line(level, &text)));
    push(Level::Trace, DETAIL_BYTES_MAX / text.len() + 3);
    push(Level::Notice, 2);
    push(Level::Debug, 1);
    push(Level::Warn, BYTES_MAX / text.len());
    push(Level::Fatal, 1);
    let (entries, dropped) = queue.take().unwrap();
    let of = |level: Level| {
        entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Line(line) if line.level == level))
            .count()
    };
    let per_half = DETAIL_BYTES_MAX / text.len();
    assert_eq!((of(Level::Trace), of(Level::Debug)), (per_half, 0));
    assert_eq!((of(Level::Notice), of(Level::Fatal)), (2, 1));
    assert_eq!(of(Level::Warn), per_half - 2);
    assert_eq!(dropped, Dropped { detail: 4, other: per_half as u64 + 2 });
    queue.close();
    assert!(queue.take().is_none());
}

#[test]
fn drops_are_told_once_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let queue = Arc::new(Queue::default());
    let huge = "x".repeat(BYTES_MAX);
    queue.push(line(Level::Notice, &huge));
    queue.push(line(Level::Notice, "lost"));
    queue.push(line(Level::Trace, "lost"));
    queue.close();
    writer::run(&queue, Output::open(&file_config(&path, 0, 0)).unwrap());
    let written = texts(&path);
    let expected = "[WRN] Log destination is too slow: dropped 1 debug and trace lines, 1 others";
    assert_eq!(written.last().unwrap(), expected);
    assert_eq!(written.len(), 2);
}

/// The destination is a pipe whose reader does not read: the disk of nobody's dreams.
#[test]
fn a_destination_that_stands_still_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (read_on, wait) = std::sync::mpsc::channel::<()>();
    let reading = path.clone();
    let reader = std::thread::spawn(move || {
        let mut pipe = fs::File::open(reading).unwrap();
        wait.recv().unwrap();
        let mut all = String::new();
        pipe.read_to_string(&mut all).unwrap();
        all
    });
    let (log, control) = open(&file_config(&path, 0, 0)).unwrap();
    log.set_levels(true, true);
    let text = "x".repeat(1000);
    let (traces, notices) = (2 * BYTES_MAX / 1000, 1000);
    for _ in 0..traces {
        trace!(log, "{text}");
    }
    for _ in 0..notices {
        notice!(log, "kept");
    }
    assert!(!control.flush(Duration::from_millis(1)), "the pipe is full");
    read_on.send(()).unwrap();
    control.close();
    drop(log);
    let all = reader.join().unwrap();
    assert_eq!(all.matches("[INF] kept\n").count(), notices);
    // Told as often as there was room again.
    let told = all.split("dropped ").skip(1);
    let dropped: usize = told.map(|n| n.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
    assert!(dropped > 0);
    assert_eq!(all.matches("[TRC]").count() + dropped, traces);
}

#[test]
fn a_file_can_hold_json() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let (log, control) = open(&LogConfig { json: true, ..file_config(&path, 0, 0) }).unwrap();
    notice!(log, "one");
    error!(log, "127.0.0.1:5 - cid:6 - two\nlines");
    control.reopen();
    assert!(control.flush(LONG));
    control.close();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [one, two, reopened] = lines.as_slice() else { panic!("{text}") };
    assert_eq!((&one["level"], &one["msg"]), (&"info".into(), &"one".into()));
    assert_eq!((&two["cid"], &two["msg"]), (&6.into(), &"two\nlines".into()));
    assert_eq!(reopened["msg"], "File log re-opened");
}
