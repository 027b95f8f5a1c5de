//! Medians, ratios and verdicts as text; every run as a JSON line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use serde_json::json;

use crate::scenario::{Figures, Goal, Scenario};

/// Collects runs and prints one block per scenario.
pub(crate) struct Report {
    runs: BTreeMap<(String, &'static str), Vec<Figures>>,
    json: Option<File>,
    missed: usize,
    met: usize,
}

impl Report {
    pub(crate) fn new(json: Option<&Path>) -> Self {
        let json = json.map(|p| File::create(p).expect("the JSON file can be written"));
        Self { runs: BTreeMap::new(), json, missed: 0, met: 0 }
    }

    pub(crate) fn progress(&self, scenario: &str, round: usize, server: &str) {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K{scenario} round {} {server}", round + 1);
        }
    }

    pub(crate) fn add(
        &mut self,
        scenario: &Scenario,
        server: &'static str,
        round: usize,
        result: io::Result<Figures>,
    ) {
        match result {
            Ok(figures) => {
                if let Some(file) = &mut self.json {
                    let values: BTreeMap<_, _> = figures.0.iter().copied().collect();
                    let line = json!({"scenario": scenario.name, "server": server, "round": round,
                                      "figures": values});
                    writeln!(file, "{line}").unwrap();
                }
                self.runs.entry((scenario.name.clone(), server)).or_default().push(figures);
            }
            Err(e) => println!("{} round {}: {server} FAILED: {e}", scenario.name, round + 1),
        }
    }

    fn median(&self, scenario: &Scenario, server: &'static str, name: &str) -> Option<f64> {
        let runs = self.runs.get(&(scenario.name.clone(), server))?;
        let mut values: Vec<f64> = runs.iter().filter_map(|f| f.get(name)).collect();
        values.sort_unstable_by(f64::total_cmp);
        // Of an even number, what lies between the middle two: either alone would flatter one
        // figure and wrong another of the same runs.
        let upper = values.get(values.len() / 2)?;
        let lower = values.get((values.len() - 1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    }

    pub(crate) fn print(&mut self, scenario: &Scenario) {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        println!("{:<14} {:<11} {:>10} {:>10} {:>7}", scenario.name, "", "ours", "peer", "ratio");
        let names = ["rate", "cpu", "p50", "p99", "p999", "bytes_each", "process_rss", "rss"];
        for name in names.into_iter().chain(["client_cpu", "foreign"]) {
            let ours = self.median(scenario, "ours", name);
            let peer = self.median(scenario, "peer", name);
            if ours.is_none() && peer.is_none() {
                continue;
            }
            let ratio = ours.zip(peer).map(|(o, p)| o / p);
            let goals = scenario.goals.iter().filter(|(n, _)| *n == name);
            let verdicts: Vec<_> = goals.map(|(_, g)| self.judge(name, *g, ours, ratio)).collect();
            let verdict = verdicts.join(", ");
            let show = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| amount(name, v));
            let ratio = ratio.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}"));
            println!(
                "{:<14} {name:<11} {:>10} {:>10} {ratio:>7}  {verdict}",
                "",
                show(ours),
                show(peer)
            );
        }
    }

    fn judge(&mut self, name: &str, goal: Goal, ours: Option<f64>, ratio: Option<f64>) -> String {
        let met = match goal {
            Goal::RatioAtMost(x) => ratio.map(|r| r <= x),
            Goal::RatioAtLeast(x) => ratio.map(|r| r >= x),
            Goal::AtMost(x) => ours.map(|o| o <= x),
            Goal::AtLeast(x) => ours.map(|o| o >= x),
        };
        let goal = match goal {
            Goal::AtMost(x) => format!("<= {}", amount(name, x)),
            Goal::AtLeast(x) => format!(">= {}", amount(name, x)),
            ratio => ratio.to_string(),
        };
        match met {
            None => format!("goal {goal}"),
            Some(true) => {
                self.met += 1;
                format!("goal {goal} met")
            }
            Some(false) => {
                self.missed += 1;
                format!("goal {goal} MISSED")
            }
        }
    }

    /// Prints the sum and returns the number of goals missed.
    pub(crate) fn close(self) -> usize {
        println!("goals met: {}, missed: {}", self.met, self.missed);
        self.missed
    }
}

/// A figure in its unit: rates in 1/s, CPU and latency in time, memory in bytes.
fn amount(name: &str, v: f64) -> String {
    match name {
        "rate" if v >= 1e6 => format!("{:.2} M/s", v / 1e6),
        "rate" => format!("{:.1} K/s", v / 1e3),
        "cpu" | "client_cpu" | "p50" | "p99" | "p999" if v >= 10_000.0 => {
            format!("{:.1} us", v / 1e3)
        }
        "cpu" | "client_cpu" | "p50" | "p99" | "p999" => format!("{v:.0} ns"),
        "bytes_each" => format!("{v:.0} B"),
        "rss" | "process_rss" => format!("{:.1} MiB", v / 1024.0 / 1024.0),
        _ => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_carry_their_units() {
        assert_eq!(amount("rate", 1_020_000.0), "1.02 M/s");
        assert_eq!(amount("cpu", 608.4), "608 ns");
        assert_eq!(amount("p99", 147_000.0), "147.0 us");
        assert_eq!(amount("process_rss", 15.0 * 1024.0 * 1024.0), "15.0 MiB");
    }
}
