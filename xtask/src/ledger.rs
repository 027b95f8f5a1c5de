//! The ledger: every contract row as shown (with the tests that name it), deferred (with the
//! reason) or open.
//!
//! Not here: the rows themselves (`docs/contract/rows.tsv`), what is deferred (`deferred.tsv`),
//! which areas may have no open row (`closed.txt`).
//! Laws: a claim counts only if its test exists, asserts, and (with results) ran and passed; a
//!       row is shown or deferred, never both.

mod claims;
mod results;
mod rows;
mod summary;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::tree;
use claims::Claim;
use results::Results;
use rows::Contract;

/// Everything the ledger knows.
struct Ledger {
    contract: Contract,
    claims: Vec<Claim>,
}

impl Ledger {
    fn load() -> Result<Self, String> {
        Ok(Self { contract: Contract::load()?, claims: claims::scan()? })
    }

    /// The claims of each row.
    fn shown(&self) -> BTreeMap<&str, Vec<&Claim>> {
        let mut map: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
        for claim in &self.claims {
            for row in &claim.rows {
                map.entry(row).or_default().push(claim);
            }
        }
        map
    }
}

/// `cargo xtask ledger`.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let (mut check, mut write, mut list, mut files) = (false, false, false, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--check" => check = true,
            "--write" => write = true,
            "--rows" => list = true,
            "--results" => {
                files.push(PathBuf::from(args.next().ok_or("--results needs a file")?));
            }
            other => return Err(format!("ledger: unknown argument {other}")),
        }
    }
    let ledger = Ledger::load()?;
    let table = summary::table(&ledger);
    if list {
        print!("{}", summary::rows(&ledger));
    }
    print!("{table}");
    if write {
        summary::write(&table)?;
    }
    if !check {
        return Ok(());
    }
    let results = if files.is_empty() { None } else { Some(Results::load(&files)?) };
    let problems = problems(&ledger, results.as_ref(), &table)?;
    if problems.is_empty() {
        println!("ledger: {} claims hold", ledger.claims.len());
        return Ok(());
    }
    Err(format!("ledger: {} problems\n  {}", problems.len(), problems.join("\n  ")))
}

fn problems(
    ledger: &Ledger,
    results: Option<&Results>,
    table: &str,
) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let contract = &ledger.contract;
    found.extend(contract.problems.iter().cloned());
    for claim in &ledger.claims {
        for row in claim.rows.iter().filter(|r| !contract.has(r)) {
            found.push(format!("{}: no such row: {row}", claim.place));
        }
        if !claim.asserts {
            found.push(format!("{}: {} claims rows and asserts nothing", claim.place, claim.name));
        }
        if let Some(results) = results
            && let Err(why) = results.of(claim)
        {
            found.push(format!("{}: {} {why}", claim.place, claim.name));
        }
    }
    let shown = ledger.shown();
    for row in contract.rows.iter() {
        let (deferred, claims) = (contract.deferred(&row.id), shown.get(row.id.as_str()));
        if let Some(claims) = claims
            && contract.deferred_by_name(&row.id)
        {
            found.push(format!("{}: deferred, yet shown by {}", row.id, claims[0].name));
        }
        if deferred.is_none() && claims.is_none() && contract.closed.contains(&row.area) {
            found.push(format!("{}: open in a closed area: {}", row.id, row.title));
        }
    }
    found.extend(claims::stubs()?);
    if !summary::is_current(table)? {
        found.push("COMPAT.md: the summary is stale: cargo xtask ledger --write".to_owned());
    }
    let unique: BTreeSet<String> = found.into_iter().collect();
    Ok(unique.into_iter().collect())
}

fn data(name: &str) -> PathBuf {
    tree::root().join("docs/contract").join(name)
}
