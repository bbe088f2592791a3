//! Records of a file linked by Onefold and by Splink, each in a process of its own, and held against a column of truth.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::{
    collections::HashMap,
    fs::File,
    hash::Hash,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use onefold_link::Table;
use serde_json::{Value, json};

use super::segments::round;
use crate::Failure;

/// What is measured.
pub struct Settings {
    /// A CSV file; where the truth is known, its column `person_id` has it.
    pub file: PathBuf,
    /// A folder with the Python environment `splink`.
    pub peers: PathBuf,
}

/// Runs it.
pub fn run(settings: &Settings) -> Result<Value, Failure> {
    let folder = tempfile::tempdir()?;
    let [clusters, pairs] = ["clusters.csv", "pairs.csv"].map(|name| folder.path().join(name));
    let link = |more: &[&Path]| -> Result<(f64, Value), Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["link", "--json", "--input"]).arg(&settings.file).arg("--output").arg(&clusters).args(more);
        let began = Instant::now();
        let output = command.output()?;
        let wall_s = began.elapsed().as_secs_f64();
        match output.status.success() {
            true => Ok((wall_s, serde_json::from_slice(&output.stdout).unwrap_or_default())),
            false => Err(Failure::new(String::from_utf8_lossy(&output.stderr).trim().to_owned(), "")),
        }
    };
    let (wall_s, said) = link(&[])?;
    let mut ours = json!({ "wall_s": round(wall_s), "rss_mib": said["memory_mib_max"] });
    if let Some(people) = Truth::read(&settings.file)? {
        let [precision, recall, f1] = people.of_clusters(&clusters)?;
        // The peer does not write its pairs either.
        link(&["--pairs".as_ref(), &pairs])?;
        let join = said["join_bits"].as_f64().unwrap_or_default();
        ours["pair_f1"] = json!(people.of_pairs(&pairs, join)?[2]);
        for (name, figure) in [("cluster_precision", precision), ("cluster_recall", recall), ("cluster_f1", f1)] {
            ours[name] = json!(figure);
        }
    }
    Ok(json!({ "records": said["records"], "onefold": ours, "splink": splink(settings)? }))
}

fn table(path: &Path) -> Result<Table, Failure> {
    Table::read_csv(File::open(path)?).map_err(|error| Failure::new(format!("{}: {error}", path.display()), ""))
}

/// The text of a column by row.
fn column<'t>(table: &'t Table, name: &str) -> Option<impl Fn(usize) -> String + use<'t>> {
    let column = table.column(name)?;
    Some(|row: usize| column.values.text(column.codes[row]).into_owned())
}

fn id(table: &Table, row: usize) -> String {
    String::from_utf8_lossy(table.id(row)).into_owned()
}

/// Whose each record is.
struct Truth {
    person: HashMap<String, String>,
    pairs: usize,
}

impl Truth {
    fn read(file: &Path) -> Result<Option<Truth>, Failure> {
        let table = table(file)?;
        let Some(of) = column(&table, "person_id") else { return Ok(None) };
        let person: HashMap<String, String> = (0..table.len()).map(|row| (id(&table, row), of(row))).collect();
        let pairs = pairs_within(person.values());
        Ok(Some(Truth { person, pairs }))
    }

    /// Precision, recall and F1.
    fn figures(&self, right: usize, found: usize) -> [f64; 3] {
        let (p, r) = (right as f64 / found.max(1) as f64, right as f64 / self.pairs.max(1) as f64);
        let f1 = if right == 0 { 0.0 } else { 2.0 * p * r / (p + r) };
        [p, r, f1].map(|figure| (figure * 1e5).round() / 1e5)
    }

    /// Of the pairs of records that are in one cluster.
    fn of_clusters(&self, file: &Path) -> Result<[f64; 3], Failure> {
        let table = table(file)?;
        let Some(cluster) = column(&table, "cluster_id") else { return Ok([0.0; 3]) };
        let found: Vec<String> = (0..table.len()).map(cluster).collect();
        let people = (0..table.len()).map(|row| self.person.get(&id(&table, row)));
        let both = pairs_within(found.iter().zip(people));
        Ok(self.figures(both, pairs_within(&found)))
    }

    /// Of the pairs from a score on.
    fn of_pairs(&self, file: &Path, join: f64) -> Result<[f64; 3], Failure> {
        let table = table(file)?;
        let names = table.columns().iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let (Some(other), Some(score)) = (names.first().and_then(|name| column(&table, name)), column(&table, "score"))
        else {
            return Ok([0.0; 3]);
        };
        let (mut right, mut found) = (0, 0);
        for row in (0..table.len()).filter(|row| score(*row).parse::<f64>().is_ok_and(|score| score > join)) {
            found += 1;
            right += usize::from(self.person.get(&id(&table, row)) == self.person.get(&other(row)));
        }
        Ok(self.figures(right, found))
    }
}

/// How many pairs have the same label.
fn pairs_within<T: Hash + Eq>(labels: impl IntoIterator<Item = T>) -> usize {
    let mut counts: HashMap<T, usize> = HashMap::new();
    labels.into_iter().for_each(|label| *counts.entry(label).or_default() += 1);
    counts.into_values().map(|count| count * (count - 1) / 2).sum()
}

/// The peer's figures; `null` where it is not installed, or the file has other columns than its settings are made for.
fn splink(settings: &Settings) -> Result<Value, Failure> {
    let python = settings.peers.join("splink/bin/python");
    if !python.exists() {
        return Ok(Value::Null);
    }
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("link.py");
    std::fs::write(&script, include_str!("../../../../bench/peers/link.py"))?;
    let output = Command::new(python).arg(script).arg(&settings.file).output()?;
    if !output.status.success() {
        let cause = format!("splink failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        return Err(Failure::new(cause, "install it anew with bench/run.sh"));
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(lines.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default())
}
