//! What `--help`, `--version` and `--help_tls` print.

use crate::options::{CURVES, INSECURE_CIPHER_SUITES, SECURE_CIPHER_SUITES};

/// The text of `--version`, without a line break (CLI-004).
pub fn version(version: &str) -> String {
    format!("nats-server: v{version}")
}

/// The text of `--help`, with a line break before and behind.
pub fn usage() -> &'static str {
    USAGE
}

/// The text of `--help_tls`.
pub fn tls_usage() -> String {
    let mut text = String::from(TLS_USAGE);
    for suite in SECURE_CIPHER_SUITES {
        text.push_str(&format!("    {suite}\n"));
    }
    text.push_str("\nOnly with allow_insecure_cipher_suites:\n");
    for suite in INSECURE_CIPHER_SUITES {
        text.push_str(&format!("    {suite}\n"));
    }
    text.push_str("\nCurves for curve_preferences:\n");
    for curve in CURVES {
        text.push_str(&format!("    {curve}\n"));
    }
    text
}

const USAGE: &str = "
Usage: nats-server [options]

Server:
    -a, --addr, --net <host>         Listen for clients on this address (default: 0.0.0.0)
    -p, --port <port>                Listen for clients on this port, -1 for any (default: 4222)
    -n, --name, --server_name <name> Name of this server (default: its id)
    -c, --config <file>              Read this configuration file
    -t                               Check the configuration, print what is wrong, and exit
    -P, --pid <file>                 Write the process id to this file
        --ports_file_dir <dir>       Write <executable>_<pid>.ports to this directory
        --client_advertise <addr>    Tell clients and servers to connect here
    -m, --http_port <port>           Serve monitoring over HTTP
    -ms, --https_port <port>         Serve monitoring over HTTPS
    -sl, --signal <cmd>[=<pid>]      Signal a running server: ldm, stop, quit, term, reopen, reload;
                                     <pid> is a process id, the start of some with *, or a pid file

Log:
    -l, --log <file>                 Write to this file
    -T, --logtime                    Put the time in front of lines (default: true)
        --logtime_utc                Use UTC for it
    -s, --syslog                     Write to the system log
    -r, --remote_syslog <addr>       Write to a remote system log (udp://localhost:514)
    -D, --debug                      Debug lines
    -V, --trace                      Protocol trace
    -VV                              Protocol trace, the system account included
    -DV                              Both debug and trace
    -DVV                             Both debug and trace, the system account included
        --log_size_limit <bytes>     Start a new file at this size
        --max_traced_msg_len <bytes> Trace no more than this of a message

JetStream:
    -js, --jetstream                 Enable JetStream
    -sd, --store_dir <dir>           Store streams below this directory

Authorization:
        --user <user>                Demand this user
        --pass <password>            Demand this password
        --auth <token>               Demand this token

TLS:
        --tls                        Demand TLS
        --tlscert <file>             Certificate of this server
        --tlskey <file>              Its private key
        --tlsverify                  Demand certificates from clients too
        --tlscacert <file>           Authorities they are verified against
        --help_tls                   More about TLS

Cluster:
        --cluster, --cluster_listen <url>
                                     Listen for routes here
        --cluster_name <name>        Name of the cluster (default: any)
        --cluster_advertise <addr>   Tell other servers to connect here
        --routes <url, url>          Connect to these servers
        --no_advertise               Do not tell clients about the cluster
        --connect_retries <number>   Tries to connect to a server learnt from others

Other:
        --profile <port>             Serve profiles over HTTP
    -h, --help                       This text
    -v, --version                    Version
";

const TLS_USAGE: &str = "
TLS is configured in a `tls` block, of the server or of a section:

    tls {
        cert_file: \"./certs/server-cert.pem\"
        key_file:  \"./certs/server-key.pem\"
        ca_file:   \"./certs/ca.pem\"

        # demand certificates from clients, or take the user from them
        verify:         true
        verify_and_map: true

        cipher_suites: [ \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\" ]
        curve_preferences: [ \"X25519\", \"CurveP256\" ]
    }

Suites for cipher_suites:
";
