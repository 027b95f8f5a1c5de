//! The contract's rows, what is deferred and which areas are closed.

use std::collections::{BTreeMap, BTreeSet};

use super::data;
use crate::tree;

/// One row of the contract.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) area: String,
    pub(super) title: String,
}

/// The three files of `docs/contract`.
#[derive(Debug, Default)]
pub(super) struct Contract {
    pub(super) rows: Vec<Row>,
    index: BTreeMap<String, usize>,
    deferrals: Vec<(String, String)>,
    pub(super) closed: BTreeSet<String>,
    /// What is wrong with the files themselves.
    pub(super) problems: Vec<String>,
}

impl Contract {
    pub(super) fn load() -> Result<Self, String> {
        let read = |name: &str| tree::read(&data(name));
        Ok(Self::parse(&read("rows.tsv")?, &read("deferred.tsv")?, &read("closed.txt")?))
    }

    pub(super) fn parse(rows: &str, deferred: &str, closed: &str) -> Self {
        let mut contract = Self::default();
        for line in lines(rows) {
            let mut parts = line.splitn(3, '\t').map(|p| p.trim().to_owned());
            let (Some(id), Some(area), Some(title)) = (parts.next(), parts.next(), parts.next())
            else {
                contract.problems.push(format!("rows.tsv: not id, area, title: {line}"));
                continue;
            };
            if contract.index.insert(id.clone(), contract.rows.len()).is_some() {
                contract.problems.push(format!("rows.tsv: {id} twice"));
            }
            contract.rows.push(Row { id, area, title });
        }
        for line in lines(deferred) {
            let (pattern, reason) = line.split_once('\t').unwrap_or((line, ""));
            if reason.trim().is_empty() {
                contract.problems.push(format!("deferred.tsv: {pattern}: no reason"));
            }
            if !contract.rows.iter().any(|r| covers(pattern, &r.id)) {
                contract.problems.push(format!("deferred.tsv: {pattern}: covers no row"));
            }
            contract.deferrals.push((pattern.to_owned(), reason.trim().to_owned()));
        }
        contract.closed = lines(closed).map(str::to_owned).collect();
        contract
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.index.contains_key(id)
    }

    /// Why the row is deferred, if it is.
    pub(super) fn deferred(&self, id: &str) -> Option<&str> {
        self.deferrals.iter().find(|(p, _)| covers(p, id)).map(|(_, reason)| reason.as_str())
    }

    /// Whether the row is deferred by its own name or range: then nothing may show it. A whole area
    /// is deferred as long as its rows are not shown one by one.
    pub(super) fn deferred_by_name(&self, id: &str) -> bool {
        self.deferrals.iter().any(|(p, _)| !p.ends_with('*') && covers(p, id))
    }

    /// Areas in the order of the contract.
    pub(super) fn areas(&self) -> Vec<&str> {
        let mut areas: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !areas.contains(&row.area.as_str()) {
                areas.push(&row.area);
            }
        }
        areas
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'))
}

/// `ID`, `AREA-*` or `AREA-001..AREA-009` (ends included).
fn covers(pattern: &str, id: &str) -> bool {
    if let Some(area) = pattern.strip_suffix('*') {
        return id.starts_with(area);
    }
    match pattern.split_once("..") {
        Some((first, last)) => {
            let area = |t: &str| t.rsplit_once('-').map(|(a, _)| a.to_owned());
            area(first) == area(id) && (first..=last).contains(&id)
        }
        None => pattern == id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_rows() {
        assert!(covers("MQTT-*", "MQTT-008"));
        assert!(!covers("MQTT-*", "MON-008"));
        assert!(covers("AUTH-011..AUTH-023", "AUTH-023"));
        assert!(!covers("AUTH-011..AUTH-023", "AUTH-024"));
        assert!(!covers("AUTH-011..AUTH-023", "ACC-012"));
        assert!(covers("CORE-025", "CORE-025"));
    }

    #[test]
    fn mistakes_in_the_files_are_problems() {
        let contract = Contract::parse("A-1\tA\tone\nA-1\tA\tagain\nbad\n", "A-1\t\nZ-*\tno\n", "");
        let text = contract.problems.join("\n");
        for part in ["A-1 twice", "not id, area", "A-1: no reason", "Z-*: covers no row"] {
            assert!(text.contains(part), "{part} not in {text}");
        }
    }
}
