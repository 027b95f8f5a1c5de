//! Who may look at whom, and where the runtime may be named.

use std::collections::BTreeMap;

use super::Exceptions;
use crate::tree;

/// The arrows between rooms. A new one is a decision, made here and in ARCHITECTURE.md.
const EDGES: &[(&str, &[&str])] = &[
    ("stdx", &[]),
    ("subject", &["stdx"]),
    ("raft", &["stdx"]),
    ("wire", &["subject", "stdx"]),
    ("store", &["subject", "stdx"]),
    ("jetstream-api", &["subject", "stdx"]),
    ("auth", &["wire", "subject", "stdx"]),
    ("jetstream-core", &["store", "jetstream-api", "wire", "subject", "stdx"]),
    ("jetstream-meta", &["jetstream-api", "subject", "stdx"]),
    ("config", &["auth", "subject", "stdx"]),
    ("broker", &["auth", "wire", "subject", "stdx"]),
    ("mesh", &["broker", "auth", "wire", "subject", "stdx"]),
    ("mqtt", &["broker", "jetstream-api", "auth", "wire", "subject", "stdx"]),
    (
        "jetstream",
        &[
            "broker",
            "raft",
            "store",
            "jetstream-api",
            "jetstream-core",
            "jetstream-meta",
            "wire",
            "subject",
            "stdx",
        ],
    ),
    // What a handshake established becomes facts that `auth` decides on.
    ("net", &["broker", "auth", "wire", "subject", "stdx"]),
    ("monitor", &["broker", "mesh", "mqtt", "jetstream", "subject", "stdx"]),
    (
        "node",
        &[
            "config",
            "broker",
            "mesh",
            "mqtt",
            "jetstream",
            "jetstream-api",
            "store",
            "monitor",
            "auth",
            "wire",
            "subject",
            "stdx",
        ],
    ),
    ("ironats", &["node", "jetstream", "net", "config", "broker", "monitor", "auth", "wire", "subject", "stdx"]),
    ("sim", &["node", "raft", "store", "jetstream-core", "jetstream-meta", "subject", "stdx"]),
    ("testkit", &[]),
    ("conformance", &["testkit"]),
    ("bench", &["testkit"]),
    ("abuse", &["testkit"]),
    // Models of product code under every order of threads; nothing uses it.
    ("model", &["broker", "wire", "subject", "stdx"]),
];

/// Rooms in which `tokio` may be a dependency of the product.
const RUNTIME: &[&str] = &["net", "ironats"];

/// Crates that only tests may use.
const TEST_SIDE: &[&str] = &["testkit", "conformance", "bench", "abuse", "sim"];

struct Manifest {
    /// Dependency names by table (`dependencies`, `dev-dependencies`, ...).
    tables: BTreeMap<String, Vec<String>>,
}

pub(super) fn check(exceptions: &Exceptions) -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    let rooms = tree::root().join("crates");
    for path in tree::files(&rooms, "toml") {
        if path.file_name().is_none_or(|n| n != "Cargo.toml") {
            continue;
        }
        let room = path.parent().and_then(|p| p.file_name()).and_then(|n| n.to_str());
        let room = room.unwrap_or_default().to_owned();
        let manifest = parse(&tree::read(&path)?);
        problems.extend(room_problems(&room, &manifest, exceptions));
    }
    Ok(problems)
}

fn room_problems(room: &str, manifest: &Manifest, exceptions: &Exceptions) -> Vec<String> {
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == room) else {
        return vec![format!("crates/{room}: a room nobody announced: xtask/src/tidy/crates.rs")];
    };
    let mut problems = Vec::new();
    for (table, names) in &manifest.tables {
        let dev = table.contains("dev-dependencies");
        for name in names {
            let is_room = EDGES.iter().any(|(n, _)| n == name);
            let test_side = TEST_SIDE.contains(&name.as_str());
            let legal = !is_room || allowed.contains(&name.as_str()) || (dev && test_side);
            // A test may drive a room through the rooms above it only by exception.
            if !legal && exceptions.get("edge", &format!("{room}>{name}")).is_none() {
                problems.push(format!("crates/{room}: may not use {name} ({table})"));
            }
            if name == "tokio" && !dev && !RUNTIME.contains(&room) && !TEST_SIDE.contains(&room) {
                problems.push(format!("crates/{room}: tokio belongs in {RUNTIME:?} and tests"));
            }
        }
    }
    problems
}

fn parse(text: &str) -> Manifest {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            let name = name.trim_end_matches(']').trim_matches('[');
            table = name.to_owned();
            // `[dependencies.x]` is a table of its own.
            if let Some((outer, dep)) = name.rsplit_once('.')
                && outer.ends_with("dependencies")
            {
                tables.entry(outer.to_owned()).or_default().push(dep.to_owned());
            }
        } else if table.ends_with("dependencies")
            && let Some((key, _)) = line.split_once('=')
            && !line.starts_with('#')
        {
            let name = key.trim().trim_end_matches(".workspace").to_owned();
            tables.entry(table.clone()).or_default().push(name);
        }
    }
    Manifest { tables }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Exceptions {
        Exceptions { list: BTreeMap::new(), used: std::cell::RefCell::default() }
    }

    #[test]
    fn edges_only_point_down() {
        for (i, (room, allowed)) in EDGES.iter().enumerate() {
            for other in *allowed {
                let at = EDGES.iter().position(|(n, _)| n == other);
                assert!(at.is_some_and(|at| at < i), "{room} looks up at {other}");
            }
        }
    }

    #[test]
    fn a_new_edge_and_a_stray_runtime_are_found() {
        let manifest = parse(
            "[dependencies]\nnode.workspace = true\ntokio = { version = \"1\" }\n\
             [dev-dependencies]\ntestkit.workspace = true\n[dependencies.stdx]\npath = \"x\"\n",
        );
        let problems = room_problems("wire", &manifest, &none());
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("may not use node"));
        assert!(problems[1].contains("tokio"));
        assert_eq!(room_problems("unknown", &manifest, &none()).len(), 1);
    }
}
