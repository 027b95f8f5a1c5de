//! The pid file and the ports file, by which scripts find a server.
//!
//! Laws: the pid file is never removed; the ports file is removed by `remove`, at shutdown.
//! Wire: pid file: the decimal pid, no line end. Ports file: `<program>_<pid>.ports`, compact
//!       JSON of lists of URLs.
//! Reference: server.go logPid, PortsInfo, portFile, logPorts, deletePortsFile, resolveHostPorts.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Only the owner may read a pid file, as in the reference.
const PID_PERMISSIONS: u32 = 0o600;

/// Writes this process's pid to `path`. Failing is fatal at start
/// (`Could not write pidfile: <error>`).
pub fn write_pid(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PID_PERMISSIONS)
        .open(path)
        .map_err(|error| at(path, &error))?;
    file.write_all(std::process::id().to_string().as_bytes())
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    let reason = stdx::os_text::reason(error);
    io::Error::new(error.kind(), format!("open {}: {reason}", path.display()))
}

/// URLs of every listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ports {
    /// Clients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nats: Vec<String>,
    /// Monitoring.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub monitoring: Vec<String>,
    /// Routes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster: Vec<String>,
    /// Profiling.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profile: Vec<String>,
    /// WebSocket clients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub websocket: Vec<String>,
}

/// The URLs under which a listener at `address` is reached: its own address, or, if it listens
/// on all, the address of every interface.
pub fn urls(scheme: &str, address: SocketAddr) -> Vec<String> {
    let hosts = if address.ip().is_unspecified() {
        if_addrs::get_if_addrs()
            .map(|interfaces| interfaces.iter().map(if_addrs::Interface::ip).collect())
            .unwrap_or_default()
    } else {
        vec![address.ip()]
    };
    let url = |host: IpAddr| format!("{scheme}://{}", SocketAddr::new(host, address.port()));
    hosts.into_iter().map(url).collect()
}

/// A ports file on disk.
#[derive(Debug)]
pub struct PortsFile {
    path: PathBuf,
}

impl PortsFile {
    /// Writes the file into `directory`; `program` is the name it was started as.
    pub fn write(directory: &Path, program: &str, ports: &Ports) -> io::Result<Self> {
        let base = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        let path = directory.join(format!("{base}_{}.ports", std::process::id()));
        let json = serde_json::to_vec(ports).map_err(io::Error::other)?;
        fs::write(&path, json).map_err(|error| {
            let cause = at(&path, &error);
            io::Error::new(error.kind(), format!("({}): {cause}", path.display()))
        })?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: CLI-010
    #[test]
    fn the_pid_file_holds_the_pid_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        fs::write(&path, "something much longer than a pid").unwrap();
        write_pid(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        let refused = write_pid(&directory.path().join("no/pid")).unwrap_err().to_string();
        assert!(refused.starts_with("open ") && refused.contains("no/pid"), "{refused}");
    }

    // Contract: CLI-011
    #[test]
    fn the_ports_file_lists_urls_and_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let ports = Ports {
            nats: urls("nats", "127.0.0.1:4222".parse().unwrap()),
            monitoring: urls("https", "[::1]:8222".parse().unwrap()),
            ..Ports::default()
        };
        let file = PortsFile::write(directory.path(), "/usr/bin/nats-server", &ports).unwrap();
        let name = format!("nats-server_{}.ports", std::process::id());
        assert_eq!(file.path(), directory.path().join(name));
        assert_eq!(
            fs::read_to_string(file.path()).unwrap(),
            r#"{"nats":["nats://127.0.0.1:4222"],"monitoring":["https://[::1]:8222"]}"#
        );
        file.remove().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    // Contract: CLI-011
    #[test]
    fn a_listener_on_all_addresses_has_a_url_for_each() {
        let all = urls("nats", "0.0.0.0:4222".parse().unwrap());
        assert!(all.contains(&"nats://127.0.0.1:4222".to_owned()), "{all:?}");
        assert!(all.iter().all(|url| !url.contains("0.0.0.0")), "{all:?}");
        // Addresses of one link only are listed too, without the link's name.
        let links = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        let local = links.lines().any(|line| line.starts_with("fe80"));
        assert_eq!(all.iter().any(|url| url.contains("//[fe80::")), local, "{all:?}");
        assert!(all.iter().all(|url| !url.contains('%')), "{all:?}");
    }
}
