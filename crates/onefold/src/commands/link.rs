//! `onefold link`: which records of a file are the same person, as a plain tool.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    time::Duration,
};

use indicatif::ProgressBar;
use onefold_link::{Linker, Model, ModelError, Step, Table, report};
use serde_json::json;

use crate::{Failure, bench::memory_mib_max, cli, cli::Common, output};

/// Runs it.
pub fn run(common: &Common, asked: &cli::Link) -> Result<(), Failure> {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let result = link(common, asked, &bar);
    bar.finish_and_clear();
    result
}

fn link(common: &Common, asked: &cli::Link, bar: &ProgressBar) -> Result<(), Failure> {
    bar.set_message(format!("reading {}", asked.input.display()));
    let table = Table::read_csv(File::open(&asked.input).map_err(|error| unreadable(&asked.input, error))?)
        .map_err(|error| unreadable(&asked.input, error))?;
    for note in table.notes() {
        bar.suspend(|| eprintln!("onefold: {note}"));
    }
    let mut model = match &asked.model {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
            Model::from_toml(&text).map_err(unfit)?
        }
        None => Model::guess(&table).map_err(unfit)?,
    };
    if asked.guess {
        bar.finish_and_clear();
        return output::raw(&model.to_toml());
    }
    let told = |step: Step| bar.set_message(words(step));
    let linker = Linker::new(&table, &model, &told).map_err(unfit)?;
    let weights = model.weights.clone().unwrap_or_else(|| linker.train(asked.seed, &told));
    if let [a, b] = asked.explain.as_slice() {
        let row = |id: &str| {
            let cause = || {
                Failure::new(format!("there is no record {id:?}"), "name records by what stands in the column of ids")
            };
            table.row(id).ok_or_else(cause)
        };
        let waterfall = linker.explain(&weights, row(a)?, row(b)?);
        bar.finish_and_clear();
        return output::raw(&format!("{waterfall}\n"));
    }
    let linked = linker.link(&weights, &told);
    drop(linker);
    for (rule, counts) in model.rules.iter().zip(&linked.rules).filter(|(_, counts)| counts.crowded_keys > 0) {
        let (keys, records) = (counts.crowded_keys, counts.crowded_records);
        bar.suspend(|| {
            eprintln!(
                "onefold: {keys} values of {rule} are shared by more records than are compared: {records} records"
            )
        });
    }
    if let Some(path) = &asked.output {
        write(path, |file| linked.write_clusters(&table, file))?;
    }
    if let Some(path) = &asked.pairs {
        write(path, |file| linked.write_pairs(&table, file))?;
    }
    if let Some(path) = &asked.report {
        let html = report(&table, &model, &weights, &linked);
        std::fs::write(path, html).map_err(|error| unwritable(path, error))?;
    }
    if let Some(path) = &asked.save {
        model.weights = Some(weights);
        std::fs::write(path, model.to_toml()).map_err(|error| unwritable(path, error))?;
    }
    bar.finish_and_clear();
    let sizes = linked.cluster_sizes();
    let figures = json!({
        "records": table.len(),
        "people": sizes.iter().sum::<usize>(),
        "largest": sizes.len(),
        "pairs_compared": linked.histogram.iter().sum::<u64>(),
        "join_bits": model.thresholds.join,
        "memory_mib_max": memory_mib_max(),
    });
    output::print(common, &figures)
}

fn words(step: Step) -> String {
    match step {
        Step::Prepare => "preparing values".to_owned(),
        Step::Block => "finding whom to compare".to_owned(),
        Step::Train => "learning what agreement weighs".to_owned(),
        Step::Score { rule } => format!("comparing, by rule {}", rule + 1),
        Step::Cluster => "clustering".to_owned(),
        _ => "working".to_owned(),
    }
}

fn unfit(error: ModelError) -> Failure {
    Failure::new(error.to_string(), "`onefold link --guess --input FILE` prints a model that fits the file's columns")
}

fn unreadable(path: &Path, error: impl std::fmt::Display) -> Failure {
    let cure = "give a CSV file whose first line names the columns; it may be compressed with gzip";
    Failure::new(format!("{} cannot be read: {error}", path.display()), cure)
}

fn unwritable(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{} cannot be written: {error}", path.display()), "give a path in a folder that is there")
}

/// Writes a file of rows.
fn write<E: std::fmt::Display>(
    path: &Path,
    rows: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path).map_err(|error| unwritable(path, error))?);
    rows(&mut file).map_err(|error| unwritable(path, error))?;
    file.flush().map_err(|error| unwritable(path, error))
}
