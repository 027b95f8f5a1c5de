//! The ledger as text: a table by area, and the list of rows.

use std::fmt::Write;
use std::fs;

use super::Ledger;
use crate::tree;

const OPEN: &str = "<!-- ledger -->\n";
const CLOSE: &str = "<!-- /ledger -->\n";

/// A Markdown table: rows, shown, deferred and open by area.
pub(super) fn table(ledger: &Ledger) -> String {
    let shown = ledger.shown();
    let mut text =
        String::from("| area | rows | shown | deferred | open |\n|---|--:|--:|--:|--:|\n");
    let mut sum = [0; 4];
    for area in ledger.contract.areas() {
        let mut line = [0; 4];
        for row in ledger.contract.rows.iter().filter(|r| r.area == area) {
            let kind = if shown.contains_key(row.id.as_str()) {
                1
            } else if ledger.contract.deferred(&row.id).is_some() {
                2
            } else {
                3
            };
            line[0] += 1;
            line[kind] += 1;
        }
        let _ =
            writeln!(text, "| {area} | {} | {} | {} | {} |", line[0], line[1], line[2], line[3]);
        sum.iter_mut().zip(line).for_each(|(s, n)| *s += n);
    }
    let _ = writeln!(text, "| **all** | {} | {} | {} | {} |", sum[0], sum[1], sum[2], sum[3]);
    text
}

/// One line per row: its state, its title, and who shows it or why not.
pub(super) fn rows(ledger: &Ledger) -> String {
    let shown = ledger.shown();
    let mut text = String::new();
    for row in &ledger.contract.rows {
        let (state, more) = if let Some(claims) = shown.get(row.id.as_str()) {
            let names: Vec<&str> = claims.iter().map(|c| c.name.as_str()).collect();
            ("shown", names.join(", "))
        } else if let Some(reason) = ledger.contract.deferred(&row.id) {
            ("deferred", reason.to_owned())
        } else {
            ("open", String::new())
        };
        let _ = writeln!(text, "{:<11} {state:<8} {}  [{more}]", row.id, row.title);
    }
    text
}

/// Puts the table between its marks in COMPAT.md.
pub(super) fn write(table: &str) -> Result<(), String> {
    let path = tree::root().join("COMPAT.md");
    let text = tree::read(&path)?;
    let new = replaced(&text, table).ok_or("COMPAT.md has no ledger marks")?;
    fs::write(&path, new).map_err(|e| e.to_string())
}

/// Whether COMPAT.md shows this table.
pub(super) fn is_current(table: &str) -> Result<bool, String> {
    let text = tree::read(&tree::root().join("COMPAT.md"))?;
    Ok(replaced(&text, table).as_deref() == Some(text.as_str()))
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let from = text.find(OPEN)? + OPEN.len();
    let to = from + text[from..].find(CLOSE)?;
    Some(format!("{}{table}{}", &text[..from], &text[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_replaces_what_is_between_the_marks() {
        let text = format!("a\n{OPEN}old\n{CLOSE}b\n");
        let new = replaced(&text, "new\n").unwrap();
        assert_eq!(new, format!("a\n{OPEN}new\n{CLOSE}b\n"));
        assert_eq!(replaced(&new, "new\n").as_deref(), Some(new.as_str()));
        assert_eq!(replaced("no marks", "x"), None);
    }
}
