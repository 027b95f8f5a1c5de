//! Who claims a row: Rust tests below `// Contract: ...`, scripts with `# contract: ...`.

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
    for path in rust_files() {
        claims.extend(rust_claims(&tree::shown(&path), &tree::read(&path)?));
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

fn rust_claims(place: &str, text: &str) -> Vec<Claim> {
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
            Some((name, body)) => (name, body_asserts(body)),
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
    let name: String =
        code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let (open, end) = rust_text::block(code, at)?;
    Some((name, &code[open..end]))
}

/// Whether a body can fail: assertion macros, panicking extractors, or helpers that assert.
fn body_asserts(body: &str) -> bool {
    const MACROS: [&str; 4] = ["assert", "panic!", "unreachable!", "prop_assert"];
    const METHODS: [&str; 4] = [".unwrap", ".expect", ".msg()", ".flush()"];
    const HELPERS: [&str; 6] = ["expect", "check", "golden", "eventually", "refuse", "accept"];
    MACROS.iter().chain(&METHODS).any(|m| body.contains(m))
        || body.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| {
            HELPERS.iter().any(|h| word.starts_with(h)) && body.contains(&format!("{word}("))
        })
}

/// Unit tests live in the binary named after the crate's library, others in that of their file.
fn binary_of(place: &str) -> String {
    let parts: Vec<&str> = place.split('/').collect();
    match parts.as_slice() {
        ["crates", _, "tests", file] => file.trim_end_matches(".rs").to_owned(),
        ["crates", _, "tests", dir, ..] => (*dir).to_owned(),
        ["crates", room, ..] => (*room).to_owned(),
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
        let claims = rust_claims("crates/config/src/lang.rs", text);
        assert_eq!(claims.len(), 3);
        assert_eq!(claims[0].rows, ["CONF-001", "CONF-002", "CONF-003"]);
        assert_eq!((claims[0].name.as_str(), claims[0].binary.as_str()), ("keys", "config"));
        assert!(claims[0].asserts);
        assert!(!claims[1].asserts, "idle asserts nothing");
        assert!(!claims[2].asserts, "no test below");
    }

    #[test]
    fn helpers_count_as_assertions() {
        assert!(body_asserts("{ check_config(x); }"));
        assert!(body_asserts("{ client.expect(y); }"));
        assert!(!body_asserts("{ let checked = 1; run(checked) }"));
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
