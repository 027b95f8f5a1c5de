//! Who claims a row: Rust tests below `// Contract: ...`, scripts with `# contract: ...`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{rust_text, tree};

/// One test and the rows it says it shows.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// `path:line`.
    pub(super) place: String,
    /// Function name, or the script's name below `conformance/`.
    pub(super) name: String,
    /// The test binaries it may live in (`auth`, `it`, ...).
    pub(super) binary: String,
    pub(super) rows: Vec<String>,
    pub(super) asserts: bool,
}

/// The test binary that runs the scripts.
pub(super) const SCRIPTS: &str = "scripts";

pub(super) fn scan() -> Result<Vec<Claim>, String> {
    let root = tree::root();
    let mut claims = Vec::new();
    let mut files = Vec::new();
    for path in rust_files() {
        files.push((tree::shown(&path), tree::read(&path)?));
    }
    let mut helpers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (place, text) in &files {
        if !helpers.contains_key(room_of(place)) {
            let own = files.iter().filter(|(p, _)| room_of(p) == room_of(place));
            let found = asserting(own.map(|(_, text)| text.as_str()));
            helpers.insert(room_of(place).to_owned(), found);
        }
        let known = &helpers[room_of(place)];
        claims.extend(rust_claims(place, text, known));
    }
    for path in tree::files(&root.join("conformance"), "nats") {
        let relative = path.strip_prefix(root.join("conformance")).unwrap_or(&path);
        let name = relative.with_extension("").display().to_string().replace('\\', "/");
        claims.push(script_claim(&tree::shown(&path), &name, &tree::read(&path)?));
    }
    Ok(claims)
}

fn rust_files() -> Vec<std::path::PathBuf> {
    let root = tree::root();
    ["crates", "fuzz", "xtask"].iter().flat_map(|dir| tree::files(&root.join(dir), "rs")).collect()
}

/// The crate of a file, as `crates/auth`.
fn room_of(place: &str) -> &str {
    let end = place.match_indices('/').nth(1).map_or(place.len(), |(at, _)| at);
    &place[..end]
}

/// Names of functions that assert, themselves or through others of these files.
fn asserting<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut functions = Vec::new();
    for text in texts {
        let code = rust_text::code_only(text);
        for (at, _) in code.match_indices("fn ") {
            if let Some((name, body)) = named_body(&code, at) {
                functions.push((name, body.to_owned()));
            }
        }
    }
    let mut known = BTreeSet::new();
    loop {
        let before = known.len();
        for (name, body) in &functions {
            // Short common names would make everything an assertion.
            if name.len() > 3 && !known.contains(name) && body_asserts(body, &known) {
                known.insert(name.clone());
            }
        }
        if known.len() == before {
            return known;
        }
    }
}

fn ids(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned)
}

fn script_claim(place: &str, name: &str, text: &str) -> Claim {
    let marks = text.lines().filter_map(|l| l.strip_prefix("# contract:"));
    let asserts = text.lines().any(|l| {
        l.starts_with("| ")
            || l.starts_with("log ")
            || l.starts_with("exits ")
            || l.split_once(' ').is_some_and(|(first, rest)| {
                first.ends_with('<') || matches!(rest, "closed" | "quiet")
            })
    });
    Claim {
        place: format!("{place}:1"),
        name: name.to_owned(),
        binary: SCRIPTS.to_owned(),
        rows: marks.flat_map(ids).collect(),
        asserts,
    }
}

fn rust_claims(place: &str, text: &str, helpers: &BTreeSet<String>) -> Vec<Claim> {
    let code = rust_text::code_only(text);
    let lines: Vec<&str> = text.lines().collect();
    let starts = line_starts(text);
    let mut claims = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let first = at;
        let mut rows = Vec::new();
        while let Some(list) = lines.get(at).and_then(|l| mark(l)) {
            rows.extend(ids(list));
            at += 1;
        }
        if rows.is_empty() {
            at += 1;
            continue;
        }
        let from = starts.get(at).copied().unwrap_or(text.len());
        let (name, asserts) = match function(&code, from) {
            Some((name, body)) => (name, body_asserts(body, helpers)),
            None => ("(no test below)".to_owned(), false),
        };
        let binary = binary_of(place);
        claims.push(Claim { place: format!("{place}:{}", first + 1), name, binary, rows, asserts });
    }
    claims
}

fn mark(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("// Contract:")
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect()
}

/// The next function after `from`: its name and body, if it carries a test attribute.
fn function(code: &str, from: usize) -> Option<(String, &str)> {
    let at = from + code[from..].find("fn ")?;
    let before = &code[from..at];
    if !before.contains("test") {
        return None;
    }
    named_body(code, at)
}

/// Name and body of the function whose `fn ` stands at `at`.
fn named_body(code: &str, at: usize) -> Option<(String, &str)> {
    let name: String =
        code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let (open, end) = rust_text::block(code, at)?;
    Some((name, &code[open..end]))
}

/// Whether a body can fail: assertion macros, panicking extractors, or functions known to assert.
/// `known` are such functions of the same crate.
fn body_asserts(body: &str, known: &BTreeSet<String>) -> bool {
    const MACROS: [&str; 4] = ["assert", "panic!", "unreachable!", "prop_assert"];
    const METHODS: [&str; 4] = [".unwrap", ".expect", ".msg()", ".flush()"];
    const HELPERS: [&str; 6] = ["expect", "check", "golden", "eventually", "refuse", "accept"];
    MACROS.iter().chain(&METHODS).any(|m| body.contains(m))
        || calls(body)
            .any(|name| known.contains(name) || HELPERS.iter().any(|h| name.starts_with(h)))
}

/// The words of a body that are followed by an opening parenthesis.
fn calls(body: &str) -> impl Iterator<Item = &str> {
    body.match_indices('(').filter_map(|(at, _)| {
        let before = &body[..at];
        let word = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
        (word < at).then(|| &before[word..])
    })
}

/// Unit tests live in the binary named after the crate's library, others in that of their file.
fn binary_of(place: &str) -> String {
    let parts: Vec<&str> = place.split('/').collect();
    match parts.as_slice() {
        ["crates", _, "tests", file] => file.trim_end_matches(".rs").to_owned(),
        ["crates", _, "tests", dir, ..] => (*dir).to_owned(),
        // A library's name has no dashes.
        ["crates", room, ..] => room.replace('-', "_"),
        _ => parts.first().copied().unwrap_or_default().to_owned(),
    }
}

/// Stubs and tests that do not run or cannot fail, anywhere in the product.
pub(super) fn stubs() -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for path in rust_files() {
        found.extend(stubs_in(&path, &tree::read(&path)?));
    }
    Ok(found)
}

fn stubs_in(path: &Path, text: &str) -> Vec<String> {
    const BANNED: [(&str, &str); 5] = [
        ("todo!(", "a stub"),
        ("unimplemented!(", "a stub"),
        ("#[ignore", "a test that does not run"),
        ("assert!(true", "a test that cannot fail"),
        ("assert_eq!(1, 1", "a test that cannot fail"),
    ];
    let code = rust_text::code_only(text);
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        for (what, why) in BANNED {
            if line.contains(what) {
                found.push(format!("{}:{}: {what}: {why}", tree::shown(path), number + 1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_stand_above_tests() {
        let text = "mod t {\n    // Contract: CONF-001, CONF-002\n    // Contract: CONF-003\n    \
                    #[test]\n    fn keys() {\n        assert_eq!(a, b);\n    }\n    // Contract: X-1\n    \
                    #[tokio::test]\n    async fn idle() { let x = 1; }\n}\n// Contract: Y-1\nstruct S;\n";
        let claims = rust_claims("crates/config/src/lang.rs", text, &BTreeSet::new());
        assert_eq!(claims.len(), 3);
        assert_eq!(claims[0].rows, ["CONF-001", "CONF-002", "CONF-003"]);
        assert_eq!((claims[0].name.as_str(), claims[0].binary.as_str()), ("keys", "config"));
        assert!(claims[0].asserts);
        assert!(!claims[1].asserts, "idle asserts nothing");
        assert!(!claims[2].asserts, "no test below");
    }

    #[test]
    fn helpers_count_as_assertions() {
        let none = BTreeSet::new();
        assert!(body_asserts("{ check_config(x); }", &none));
        assert!(body_asserts("{ client.expect(y); }", &none));
        assert!(!body_asserts("{ let checked = 1; run(checked) }", &none));
        let text = "fn swap_both(a: u8) { inner_part(a) }\nfn inner_part(a: u8) { assert!(a > 0); }\n\
                    fn idle_part() {}\n";
        let known = asserting(std::iter::once(text));
        assert_eq!(known.iter().collect::<Vec<_>>(), ["inner_part", "swap_both"]);
        assert!(body_asserts("{ swap_both(1); }", &known));
        assert!(!body_asserts("{ idle_part(); }", &known));
    }

    #[test]
    fn stubs_are_found_in_code_only() {
        let path = tree::root().join("crates/x/src/a.rs");
        let text = "// todo!()\nfn a() { todo!() }\nlet s = \"#[ignore]\";\n#[ignore]\nfn b() {}\n";
        let found = stubs_in(&path, text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/x/src/a.rs:2:"));
    }

    #[test]
    fn scripts_claim_with_a_comment() {
        let claim = script_claim("c", "core/a", "# contract: A-1, A-2\nclient A\nA> x\n");
        assert_eq!(claim.rows, ["A-1", "A-2"]);
        assert!(!claim.asserts);
        assert!(script_claim("c", "core/a", "A< PONG\n").asserts);
    }
}
