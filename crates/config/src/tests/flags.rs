//! The command line: syntax, precedence, signals.

use super::{Memory, options};
use crate::flags::{
    Command, Run, SignalCommand, SignalError, parse_args, redact, tls_usage, usage,
};
use crate::options::Options;

fn run(args: &str) -> Run {
    let args: Vec<&str> = args.split_whitespace().collect();
    match parse_args(&args) {
        Command::Run(run) => run,
        other => panic!("{args:?}: {other:?}"),
    }
}

fn apply(config: &str, args: &str) -> Options {
    let mut options = options(config);
    options.apply_flags(&run(args).flags, &Memory::default()).unwrap();
    options
}

fn refusal(config: &str, args: &str) -> String {
    let mut options = options(config);
    options.apply_flags(&run(args).flags, &Memory::default()).unwrap_err().to_string()
}

// Contract: CLI-001
#[test]
fn what_is_no_flag_gets_the_usage_and_status_zero() {
    let cases = [
        ("-zz", "flag provided but not defined: -zz\n"),
        ("--zz=1", "flag provided but not defined: -zz\n"),
        ("-p", "flag needs an argument: -p\n"),
        ("-p x", "invalid value \"x\" for flag -p: parse error\n"),
        ("-p 1__0", "invalid value \"1__0\" for flag -p: parse error\n"),
        ("-p=", "invalid value \"\" for flag -p: parse error\n"),
        (
            "-p 99999999999999999999",
            "invalid value \"99999999999999999999\" for flag -p: value out of range\n",
        ),
        ("-D=x", "invalid boolean value \"x\" for -D: parse error\n"),
        ("---x", "bad flag syntax: ---x\n"),
        ("-=3", "bad flag syntax: -=3\n"),
    ];
    for (args, expected) in cases {
        let words: Vec<&str> = args.split_whitespace().collect();
        let Command::Error { stdout, stderr, exit_code } = parse_args(&words) else {
            panic!("{args} is accepted")
        };
        assert_eq!((stderr.as_str(), exit_code), (expected, 0), "{args}");
        assert_eq!(stdout, format!("{}\n", usage()), "{args}");
    }
    let Command::Error { stderr, .. } = parse_args(&["--prot", "1"]) else { panic!("accepted") };
    assert_eq!(stderr, "flag provided but not defined: -prot (did you mean \"port\"?)\n");
}

// Contract: CLI-001, CONF-016
#[test]
fn what_cannot_be_done_has_status_one() {
    let cases = [
        ("foo", "nats-server: unrecognized command: \"foo\"\n"),
        ("--no_advertise foo", "nats-server: unrecognized command: \"foo\"\n"),
        ("-sl stop=1=2=3", "nats-server: invalid signal parameters: [2 3]\n"),
        (
            "-t",
            "nats-server: must specify [-c, --config] option to check configuration file syntax\n",
        ),
    ];
    for (args, expected) in cases {
        let words: Vec<&str> = args.split_whitespace().collect();
        let wanted =
            Command::Error { stdout: String::new(), stderr: expected.into(), exit_code: 1 };
        assert_eq!(parse_args(&words), wanted, "{args}");
    }
}

// Contract: CLI-001
#[test]
fn help_and_version_come_before_anything_else() {
    for args in [["-v", "-h"], ["--version", "-t"], ["version", "x"], ["-h", "-v"]] {
        assert_eq!(parse_args(&args), Command::Version, "{args:?}");
    }
    for args in [["-h", "x"], ["--help", "-t"], ["help", "x"], ["HELP", "-v"]] {
        assert_eq!(parse_args(&args), Command::Help, "{args:?}");
    }
    assert_eq!(parse_args(&["--help_tls", "foo"]), Command::HelpTls);
    assert_eq!(crate::flags::version("1.2.3"), "nats-server: v1.2.3");
    assert!(tls_usage().contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
}

// Contract: CLI-001, CLI-002, CLI-003
#[test]
fn every_flag_overrides_the_configuration() {
    type Check = fn(&Options) -> bool;
    let cases: &[(&str, Check)] = &[
        ("-p=0", |o| o.client_port() == 4222),
        ("--port 5000", |o| o.client_port() == 5000),
        ("-p -1", |o| o.client_port() == 0),
        ("-p 0x10", |o| o.client_port() == 16),
        ("-p 1_000", |o| o.client_port() == 1000),
        ("-a 1.2.3.4", |o| o.client_host() == "1.2.3.4"),
        ("--net h --addr g", |o| o.client_host() == "g"),
        ("--name n", |o| o.server_name.as_deref() == Some("n")),
        ("-n n", |o| o.server_name.as_deref() == Some("n")),
        ("--server_name n", |o| o.server_name.as_deref() == Some("n")),
        ("-P f", |o| o.process.pid_file.as_deref() == Some("f")),
        ("--ports_file_dir d", |o| o.process.ports_file_dir.as_deref() == Some("d")),
        ("-m 1", |o| o.monitoring.http_port == Some(1)),
        ("--http_port 1", |o| o.monitoring.http_port == Some(1)),
        ("-ms 2", |o| o.monitoring.https_port == Some(2)),
        ("--client_advertise a", |o| o.client.advertise.as_deref() == Some("a")),
        ("-l f", |o| o.logging.file.as_deref() == Some("f")),
        ("-T=false", |o| !o.logtime()),
        ("--logtime_utc", |o| o.logging.logtime_utc == Some(true)),
        ("-s", |o| o.logging.syslog == Some(true)),
        ("-r udp://x", |o| o.logging.remote_syslog.as_deref() == Some("udp://x")),
        ("-D", |o| o.logging.debug == Some(true) && o.logging.trace == Some(false)),
        ("-V", |o| o.logging.trace == Some(true)),
        ("-DV", |o| o.logging.debug == Some(true) && o.logging.trace == Some(true)),
        ("-D -DV=false", |o| o.logging.debug == Some(false)),
        ("-VV", |o| o.logging.trace_verbose == Some(true) && o.logging.debug == Some(false)),
        ("-DVV", |o| o.logging.trace_verbose == Some(true) && o.logging.debug == Some(true)),
        ("--log_size_limit 5", |o| o.logging.size_limit == Some(5)),
        ("--max_traced_msg_len 5", |o| o.logging.max_traced_msg_len == Some(5)),
        ("-js", |o| o.jetstream.enabled),
        ("--jetstream -sd /x", |o| o.jetstream.store_dir.as_deref() == Some("/x")),
        ("--profile 9", |o| o.monitoring.prof_port == Some(9)),
        ("--cluster_name c", |o| o.cluster.name.as_deref() == Some("c")),
        ("--cluster_advertise c", |o| o.cluster.advertise.as_deref() == Some("c")),
        ("--connect_retries 4", |o| o.cluster.connect_retries == Some(4)),
        ("--no_advertise", |o| o.cluster.no_advertise == Some(true)),
    ];
    let config = "port: 4333, host: h, debug: false, trace: false, logtime: true";
    for (args, check) in cases {
        assert!(check(&apply(config, args)), "{args}");
    }
    let auth = apply("", "--user u --pass p").authorization.unwrap();
    assert_eq!((auth.username.as_deref(), auth.password.as_deref()), (Some("u"), Some("p")));
    let auth = apply("authorization { token: x }", "--auth t").authorization.unwrap();
    assert_eq!(auth.token.as_deref(), Some("t"));
    let kept = apply("port: 4333", "-D");
    assert_eq!((kept.client_port(), kept.command_line), (4333, run("-D").flags));
}

// Contract: CLI-005
#[test]
fn a_cluster_url_replaces_the_section() {
    let config = "cluster { port: 1, authorization { user: x, password: y, timeout: 3 } }";
    let options = apply(config, "--cluster nats://u:p@h:6222 --routes nats://a:1,nats://b:2");
    let cluster = options.cluster;
    assert_eq!((cluster.listen.host_or_any(), cluster.listen.port), ("h", Some(6222)));
    let auth = cluster.authorization.unwrap();
    assert_eq!((auth.username.as_deref(), auth.password.as_deref()), (Some("u"), Some("p")));
    assert_eq!(auth.timeout, Some(3.0));
    let hosts: Vec<&str> = cluster.routes.iter().map(|url| url.host.as_str()).collect();
    assert_eq!(hosts, ["a:1", "b:2"]);
    let plain = apply(config, "--cluster_listen nats://h:-1").cluster;
    assert_eq!(plain.listen.port, Some(-1));
    assert_eq!(plain.authorization.unwrap().username, None);
    assert!(!apply(config, "--cluster=").cluster.listen.is_set());
    assert!(
        apply("cluster { port: 1, routes: [\"nats://a:1\"] }", "--routes=")
            .cluster
            .routes
            .is_empty()
    );
}

// Contract: CLI-005
#[test]
fn a_cluster_flag_that_makes_no_sense_is_refused() {
    let cases = [
        ("--cluster nats://u@h:1", "expected cluster password to be set"),
        ("--cluster nats://localhost", "address localhost: missing port in address"),
        ("--cluster nats://h:abc", "parse \"nats://h:abc\": invalid port \":abc\" after host"),
        (
            "--cluster 127.0.0.1:6222",
            "parse \"127.0.0.1:6222\": first path segment in URL cannot contain colon",
        ),
        ("--routes nats://a:1", "solicited routes require cluster capabilities, e.g. --cluster"),
    ];
    for (args, expected) in cases {
        assert_eq!(refusal("", args), expected, "{args}");
    }
}

// Contract: CLI-006
#[test]
fn tls_flags_need_certificate_and_key() {
    let no_cert = "TLS Server certificate must be present and valid";
    let no_key = "TLS Server private key must be present and valid";
    for args in ["--tls", "--tlsverify=false", "--tlskey k", "--tlscacert c"] {
        assert_eq!(refusal("", args), no_cert, "{args}");
    }
    assert_eq!(refusal("", "--tlscert c"), no_key);
    let missing = refusal("", "--tls --tlscert c --tlskey k");
    assert_eq!(
        missing,
        "error parsing X509 certificate/key pair: open c: no such file or directory"
    );
    assert_eq!(apply("tls { timeout: 5 }", "--tls=false --tlscert c").tls, None);
    let pem = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    let source = Memory { files: [("c", pem), ("k", pem)].into(), ..Memory::default() };
    let mut options = options("tls { timeout: 5, handshake_first: true }");
    options.apply_flags(&run("--tlsverify --tlscert c --tlskey k").flags, &source).unwrap();
    let tls = options.tls.unwrap();
    assert_eq!((tls.cert_file.as_str(), tls.verify, tls.timeout), ("c", true, Some(5.0)));
}

// Contract: CLI-009
#[test]
fn a_signal_goes_to_the_processes_it_names() {
    let plan = |text: &str, running: &[i64]| {
        let Command::Signal(request) = parse_args(&["--signal", text]) else {
            panic!("{text} is no signal")
        };
        request.plan(|| Ok(running.to_vec())).map_err(|e| e.to_string())
    };
    let sent = |command, pids: &[i64]| Ok((command, pids.to_vec()));
    assert_eq!(plan("stop=12", &[]), sent(SignalCommand::Stop, &[12]));
    assert_eq!(plan("quit", &[7]), sent(SignalCommand::Quit, &[7]));
    assert_eq!(plan("term=*", &[7, 8]), sent(SignalCommand::Term, &[7, 8]));
    assert_eq!(plan("reload=12*", &[12, 123, 21]), sent(SignalCommand::Reload, &[12, 123]));
    assert_eq!(plan("reopen=12", &[]), sent(SignalCommand::Reopen, &[12]));
    assert_eq!(plan("ldm=12", &[]), sent(SignalCommand::LameDuck, &[12]));
    let fails = |text: &str| Err(text.to_owned());
    assert_eq!(plan("quit", &[7, 8]), fails("multiple nats-server processes running:\n7\n8"));
    assert_eq!(plan("quit", &[]), fails("no nats-server processes running"));
    assert_eq!(plan("foo=abc", &[]), fails("invalid pid: abc"));
    assert_eq!(plan("foo=99", &[]), fails("unknown signal \"foo\""));
    assert_eq!(SignalError::Unresolved.to_string(), "unable to resolve pid, try providing one");
    let names = [SignalCommand::Stop, SignalCommand::LameDuck].map(SignalCommand::signal_name);
    assert_eq!(names, ["KILL", "USR2"]);
}

// Contract: CLI-007
#[test]
fn secrets_in_arguments_are_hidden() {
    let args = "srv --user u --pass=p -auth t --routes nats://a:b@h:1,nats://c:2 --cluster=nats://x:y@h:-1 -p 1";
    let mut args: Vec<String> = args.split(' ').map(str::to_owned).collect();
    redact(&mut args);
    assert_eq!(
        args.join(" "),
        "srv --user [REDACTED] --pass=[REDACTED] -auth [REDACTED] \
         --routes nats://[REDACTED]@h:1,nats://c:2 --cluster=nats://[REDACTED]@h:-1 -p 1"
    );
}
