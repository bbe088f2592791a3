//! Links a CSV file with a guessed or a given model, and prints figures against a column of truth where there is one.
//!
//! `link_file FILE [--model MODEL] [--join BITS] [--seed SEED] [--without RULE]… [--save MODEL] [--weights] [--pairs] [--plain]
//! [--calibration] [--explain ID --with ID] [--one-more] [--report HTML] [--output CSV]`

use std::{collections::HashMap, fs::File};

use onefold_link::{Index, Linker, Model, Pair, Shared, Table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1));
    let has = |name: &str| arguments.iter().any(|a| a == name);
    let clock = Clock::start();
    let table = Table::read_csv(File::open(&arguments[0])?)?;
    clock.lap("read");
    table.notes().iter().for_each(|note| println!("note: {note}"));
    let mut model = match value("--model") {
        Some(path) => Model::from_toml(&std::fs::read_to_string(path)?)?,
        None => Model::guess(&table)?,
    };
    for (i, _) in arguments.iter().enumerate().filter(|(_, a)| *a == "--without") {
        let rule = arguments.get(i + 1).cloned().unwrap_or_default();
        model.rules.retain(|r| r.to_string() != rule);
    }
    // Two classes only, as Fellegi and Sunter have them: for comparison.
    if has("--plain") {
        for comparison in &mut model.comparisons {
            (comparison.shared, comparison.address) = (Shared::Household, false);
        }
    }
    if let Some(join) = value("--join") {
        model.thresholds.join = join.parse()?;
    }
    let quiet = |step| clock.lap(&format!("… {step:?}"));
    let linker = Linker::new(&table, &model, &quiet)?;
    let seed = value("--seed").map_or(Ok(1), |seed| seed.parse())?;
    let weights = model.weights.clone().unwrap_or_else(|| linker.train(seed, &quiet));
    clock.lap("trained");
    let linked = linker.link(&weights, &quiet);
    clock.lap("linked");
    let row = |name: &str| value(name).and_then(|id| table.row(id));
    if let (Some(a), Some(b)) = (row("--explain"), row("--with")) {
        println!("{}", linker.explain(&weights, a, b));
    }
    if has("--one-more") {
        one_more(&table, &model, Index::of(&linker, &weights, &linked), &clock);
    }
    drop(linker);
    model.weights = Some(weights.clone());
    if let Some(path) = value("--save") {
        std::fs::write(path, model.to_toml())?;
    }
    if has("--weights") {
        println!("{}", model.to_toml());
    }
    if let Some(path) = value("--report") {
        std::fs::write(path, onefold_link::report(&table, &model, &weights, &linked))?;
    }
    if let Some(path) = value("--output") {
        linked.write_clusters(&table, File::create(path)?)?;
    }
    for (rule, counts) in model.rules.iter().zip(&linked.rules) {
        println!(
            "{:9} pairs, {:9} new, {:5} crowded keys ({} records): {rule}",
            counts.pairs, counts.new_pairs, counts.crowded_keys, counts.crowded_records
        );
    }
    println!(
        "compared {}, kept {}, components cut {}",
        linked.histogram.iter().sum::<u64>(),
        linked.pairs.len(),
        linked.components_cut
    );
    if let Some(truth) = truth(&table) {
        let same = |a: u32, b: u32| truth[a as usize] == truth[b as usize];
        let true_pairs = pairs_within(&truth);
        let held = linked.pairs.iter().filter(|p| same(p.a, p.b)).count();
        println!("true pairs {true_pairs}, of which kept {:.5}", held as f64 / true_pairs as f64);
        for threshold in [0.0, 1.0, 2.0, 4.0, 7.0, 10.0] {
            let found: Vec<_> = linked.pairs.iter().filter(|p| f64::from(p.score) > threshold).collect();
            let right = found.iter().filter(|p| same(p.a, p.b)).count();
            print!("pairs > {threshold:4}: ");
            figures(right, found.len(), true_pairs);
        }
        print!("all connected: ");
        let closed = closed(table.len(), linked.pairs.iter().filter(|p| f64::from(p.score) > model.thresholds.join));
        let both: Vec<_> = closed.iter().zip(&truth).collect();
        figures(pairs_within(&both), pairs_within(&closed), true_pairs);
        let found = pairs_within(&linked.clusters);
        let both: Vec<(u32, u32)> = linked.clusters.iter().copied().zip(truth.iter().copied()).collect();
        let right = pairs_within(&both);
        print!("clusters:     ");
        figures(right, found, true_pairs);
        if has("--calibration") {
            for bin in -6..12 {
                let of: Vec<_> = linked.pairs.iter().filter(|p| p.score.floor() as i32 == bin).collect();
                let right = of.iter().filter(|p| same(p.a, p.b)).count();
                let expected: f64 = of.iter().map(|p| 1.0 / (1.0 + (-f64::from(p.score)).exp2())).sum();
                println!("calibration: {bin:3} bits: {:6} pairs, {right:6} true, {expected:8.0} expected", of.len());
            }
        }
        if has("--pairs") {
            show_errors(&table, &linked, &truth);
        }
    }
    println!("peak memory {} MiB", peak_memory_mib());
    Ok(())
}

fn figures(right: usize, found: usize, truth: usize) {
    let (p, r) = (right as f64 / found.max(1) as f64, right as f64 / truth.max(1) as f64);
    println!(
        "precision {p:.5} recall {r:.5} F1 {:.5} false {} missed {}",
        2.0 * p * r / (p + r),
        found - right,
        truth - right
    );
}

/// The person of each row: the column `person_id`, or the middle of febrl's ids.
fn truth(table: &Table) -> Option<Vec<u32>> {
    let mut numbers = HashMap::new();
    let mut number = |text: String| {
        let next = numbers.len() as u32;
        *numbers.entry(text).or_insert(next)
    };
    if let Some(column) = table.column("person_id") {
        return Some(column.codes.iter().map(|code| number(column.values.text(*code).into_owned())).collect());
    }
    (0..table.len())
        .map(|row| {
            let id = String::from_utf8_lossy(table.id(row)).into_owned();
            let middle = id.strip_prefix("rec-")?.split('-').next()?.to_owned();
            Some(number(middle))
        })
        .collect()
}

fn pairs_within<T: std::hash::Hash + Eq>(labels: &[T]) -> usize {
    let mut counts: HashMap<&T, usize> = HashMap::new();
    labels.iter().for_each(|label| *counts.entry(label).or_default() += 1);
    counts.values().map(|n| n * (n - 1) / 2).sum()
}

/// What taking all pairs as certain would make: connected groups.
fn closed<'a>(count: usize, pairs: impl Iterator<Item = &'a Pair>) -> Vec<usize> {
    fn find(sets: &mut [usize], mut of: usize) -> usize {
        while sets[of] != of {
            sets[of] = sets[sets[of]];
            of = sets[of];
        }
        of
    }
    let mut sets: Vec<usize> = (0..count).collect();
    for pair in pairs {
        let (a, b) = (find(&mut sets, pair.a as usize), find(&mut sets, pair.b as usize));
        sets[a] = b;
    }
    (0..count).map(|of| find(&mut sets, of)).collect()
}

/// Some clusters that are wrong, with all records of the people in them.
fn show_errors(table: &Table, linked: &onefold_link::Linked, truth: &[u32]) {
    let line = |row: usize| -> String {
        let cells: Vec<_> = table.columns().iter().map(|c| c.values.text(c.codes[row]).into_owned()).collect();
        format!("{} {}", String::from_utf8_lossy(table.id(row)), cells.join(","))
    };
    let mut by_person: HashMap<u32, Vec<usize>> = HashMap::new();
    truth.iter().enumerate().for_each(|(row, person)| by_person.entry(*person).or_default().push(row));
    let mut by_cluster: HashMap<u32, Vec<usize>> = HashMap::new();
    linked.clusters.iter().enumerate().for_each(|(row, c)| by_cluster.entry(*c).or_default().push(row));
    let mut shown = 0;
    println!("== false: clusters of several people");
    for row in 0..table.len() {
        let rows = &by_cluster[&linked.clusters[row]];
        if rows[0] == row && rows.iter().any(|r| truth[*r] != truth[row]) {
            rows.iter().for_each(|r| println!("  {:6} {}", truth[*r], line(*r)));
            println!();
            shown += 1;
            if shown > 40 {
                break;
            }
        }
    }
    println!("== missed: people in several clusters");
    shown = 0;
    for row in 0..table.len() {
        let rows = &by_person[&truth[row]];
        if rows[0] == row && rows.iter().any(|r| linked.clusters[*r] != linked.clusters[row]) {
            rows.iter().for_each(|r| println!("  {:6} {}", linked.clusters[*r], line(*r)));
            println!();
            shown += 1;
            if shown > 60 {
                break;
            }
        }
    }
}

/// How long one record more takes: those of the table once again, under other ids.
fn one_more(table: &Table, model: &Model, mut index: Index, clock: &Clock) {
    clock.lap("index made");
    let mut times = Vec::new();
    for i in 0..2_000.min(table.len()) {
        let row = i * (table.len() / 2_000).max(1);
        let values: Vec<_> = model.comparisons.iter().filter_map(|c| table.column(&c.column)).collect();
        let values: Vec<_> = values.iter().map(|column| column.values.text(column.codes[row])).collect();
        let values: Vec<&str> = values.iter().map(|value| value.as_ref()).collect();
        let start = Clock::start();
        index.insert(&format!("more-{i}"), &values);
        times.push(start.0.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("one more: p50 {:.3} ms, p99 {:.3} ms, most {:.3} ms", at(0.5), at(0.99), at(1.0));
}

struct Clock(std::time::Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a program that measures")]
    fn start() -> Clock {
        Clock(std::time::Instant::now())
    }

    fn lap(&self, what: &str) {
        println!("{:7.3} s, {:7.3} s of processors: {what}", self.0.elapsed().as_secs_f64(), processor_seconds());
    }
}

/// Of all threads, in hundredths.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}
