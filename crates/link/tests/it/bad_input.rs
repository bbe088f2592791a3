//! What a file may hold that nobody expects.

use onefold_link::{Linker, Model, Table};

use crate::people::quiet;

fn linked(table: &Table, model: &Model) -> onefold_link::Linked {
    let linker = Linker::new(table, model, &quiet).expect("the model fits the table");
    let weights = linker.train(1, &quiet);
    model_is_sound(model, &weights);
    linker.link(&weights, &quiet)
}

fn model_is_sound(model: &Model, weights: &onefold_link::Weights) {
    Model { weights: Some(weights.clone()), ..model.clone() }.validate().expect("what was learned makes sense");
}

#[test]
fn empty_and_constant_columns_say_nothing() {
    let mut lines = String::from("id,first_name,last_name,dob,email,gender,country\n");
    for i in 0..200 {
        let (name, year) = (["ann", "bob", "carl", "dora", "eve"][i % 5], 1950 + i / 4);
        lines.push_str(&format!("{i},{name},name{},{year}0102,,unknown,au\n", i / 2));
    }
    let table = Table::read_csv(lines.as_bytes()).unwrap();
    let model = Model::guess(&table).unwrap();
    let columns: Vec<&str> = model.comparisons.iter().map(|comparison| comparison.column.as_str()).collect();
    assert_eq!(columns, ["first_name", "last_name", "dob"]);
    linked(&table, &model);
}

#[test]
fn a_column_that_became_empty_harms_nothing() {
    let with = "id,first_name,last_name,dob,email\n1,ann,lee,19800102,a@x.org\n2,bob,roe,19810304,b@x.org\n";
    let model = Model::guess(&Table::read_csv(with.as_bytes()).unwrap()).unwrap();
    let without = "id,first_name,last_name,dob,email\n1,ann,lee,19800102,\n2,ann,lee,19800102,n/a\n3,x,y,,-\n";
    let table = Table::read_csv(without.as_bytes()).unwrap();
    assert_eq!(linked(&table, &model).clusters[2], 2);
}

#[test]
fn no_keys_no_pairs() {
    let model =
        Model::guess(&Table::read_csv("id,email,dob\n1,a@x.org,19800102\n2,b@x.org,19800103\n".as_bytes()).unwrap());
    let table = Table::read_csv("id,email,dob\n1,,\n2,null,unknown\n3,,\n".as_bytes()).unwrap();
    let linked = linked(&table, &model.unwrap());
    assert_eq!((linked.pairs.len(), linked.clusters), (0, vec![0, 1, 2]));
}

#[test]
fn a_value_that_all_have_is_said_and_left_out() {
    let mut lines = String::from("id,first_name,last_name,phone,dob\n");
    for i in 0..100_000u64 {
        // Everybody gave the shop's own number; every second one is there twice.
        let person = i / 2;
        lines.push_str(&format!(
            "{i},g{},s{},0299990000,{}\n",
            person % 997,
            person % 9973,
            19_400_101 + person % 60 * 10_000
        ));
    }
    let table = Table::read_csv(lines.as_bytes()).unwrap();
    let model = Model::guess(&table).unwrap();
    assert!(model.position("phone").is_none(), "a constant column is no comparison");
    let mut model = Model::guess(
        &Table::read_csv(
            "id,first_name,last_name,phone,dob\n1,a,b,041111111,19800101\n2,c,d,042222222,19810101\n".as_bytes(),
        )
        .unwrap(),
    )
    .unwrap();
    model.rules.truncate(3);
    let linked = linked(&table, &model);
    let phone = model.rules.iter().position(|rule| rule.to_string() == "phone").unwrap();
    let counts = linked.rules[phone];
    assert_eq!((counts.crowded_keys, counts.crowded_records, counts.pairs), (1, 100_000, 0));
    assert!(linked.histogram.iter().sum::<u64>() < 5_000_000);
    assert_eq!(linked.clusters[1], 0);
}

#[test]
fn ids_that_repeat_are_said_and_kept_apart() {
    let lines = "id,first_name,last_name,dob\n7,ann,lee,19800102\n7,bob,roe,19510304\n8,ann,lee,19800102\n";
    let table = Table::read_csv(lines.as_bytes()).unwrap();
    assert!(table.notes()[0].text.contains("more than once"));
    let clusters = linked(&table, &Model::guess(&table).unwrap()).clusters;
    assert_ne!(clusters[0], clusters[1]);
}

#[test]
fn a_model_that_names_a_missing_column_is_refused_with_a_cure() {
    let with = "id,first_name,last_name,dob\n1,ann,lee,19800102\n2,bob,roe,19810304\n";
    let model = Model::guess(&Table::read_csv(with.as_bytes()).unwrap()).unwrap();
    let other = Table::read_csv("id,given,last_name,dob\n1,ann,lee,19800102\n".as_bytes()).unwrap();
    let error = model.check(&other).unwrap_err().to_string();
    assert!(
        error.contains("no column \"first_name\"; they have: given, last_name, dob") && error.contains("--guess"),
        "{error}"
    );
    assert!(Linker::new(&other, &model, &quiet).is_err());
}

#[test]
fn models_that_make_no_sense_are_refused() {
    let table =
        Table::read_csv("id,first_name,last_name,dob\n1,ann,lee,19800102\n2,bob,roe,19810304\n".as_bytes()).unwrap();
    let good = Model::guess(&table).unwrap().to_toml();
    let bad = |from: &str, to: &str| Model::from_toml(&good.replace(from, to)).unwrap_err().to_string();
    assert!(Model::from_toml(&good).is_ok());
    assert!(bad("version = 1", "version = 9").contains("is 9, not 1"));
    assert!(bad("kind = \"date\"", "kind = \"day\"").contains("Correct that place"));
    assert!(bad("column = \"first_name\"", "column = \"last_name\"").contains("compared twice"));
    assert!(bad("\"dob\"]", "\"birth\"]").contains("which is not compared"));
    assert!(bad("sound(first_name)", "year(first_name)").contains("does not go with what the column holds"));
    assert!(bad("keep = -6.0", "keep = 6.0").contains("keep ≤ review ≤ join"));
    assert!(bad("block_records_max = 400", "block_records_max = 1").contains("below 2 records"));
}

#[test]
fn a_file_without_people_has_no_model() {
    let table = Table::read_csv("sku,price\na,1\nb,2\n".as_bytes()).unwrap();
    assert!(Model::guess(&table).unwrap_err().to_string().contains("no column was understood"));
}
