//! What holds whatever the records are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use onefold_link::{Index, Linked, Linker, Model, Table};
use proptest::prelude::*;

use crate::people::quiet;

const HEADER: &str = "unique_id,given_name,surname,dob,email,phone,street_number,address_1,suburb,postcode\n";

/// Records of few values, so that much agrees by chance and groups are large.
fn records() -> impl Strategy<Value = Vec<String>> {
    let one_of = |values: &'static [&'static str]| proptest::sample::select(values);
    let record = (
        one_of(&["ann", "anna", "bob", "bobby", "carl", "a", "", "lee"]),
        one_of(&["lee", "lea", "smith", "smyth", "ann", ""]),
        one_of(&["19800101", "19800110", "19810101", "19550607", "", "19550706"]),
        one_of(&["ann.lee@x.org", "ann.lee@y.org", "bob7@x.org", "bob8@x.org", "", ""]),
        one_of(&["0411222333", "0411222334", "", "+61411222333"]),
        one_of(&["1", "12", "7", ""]),
        one_of(&["main street", "maine street", "high street", ""]),
        one_of(&["york", "leeds", ""]),
        one_of(&["4000", "4001", ""]),
    );
    let line = |(a, b, c, d, e, f, g, h, i)| [a, b, c, d, e, f, g, h, i].join(",");
    proptest::collection::vec(record.prop_map(line), 2..40)
}

fn table(records: &[(usize, &String)]) -> Table {
    let lines: String = records.iter().map(|(id, record)| format!("{id},{record}\n")).collect();
    Table::read_csv(format!("{HEADER}{lines}").as_bytes()).expect("a table")
}

/// A model whose limits are so low that these records reach them.
fn model(table: &Table, block_records_max: usize, component_records_max: usize) -> Option<Model> {
    let mut model = Model::guess(table).ok()?;
    model.thresholds.block_records_max = block_records_max;
    model.thresholds.component_records_max = component_records_max;
    Some(model)
}

/// Clusters as sets of ids, each under its least one.
fn by_id<'a>(ids: impl Fn(u32) -> &'a [u8], clusters: &[u32]) -> BTreeMap<String, BTreeSet<String>> {
    let name = |row: u32| String::from_utf8_lossy(ids(row)).into_owned();
    let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (row, first) in clusters.iter().enumerate() {
        sets.entry(name(*first)).or_default().insert(name(row as u32));
    }
    sets
}

fn linked(table: &Table, model: &Model, weights: &onefold_link::Weights) -> Linked {
    Linker::new(table, model, &quiet).expect("the model fits the table").link(weights, &quiet)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn one_at_a_time_as_all_at_once(
        records in records(),
        shuffle in any::<u64>(),
        block_max in 2usize..12,
        component_max in 2usize..12,
        join in -2.0f64..4.0,
    ) {
        let numbered: Vec<(usize, &String)> = records.iter().enumerate().collect();
        let table = table(&numbered);
        let Some(mut model) = model(&table, block_max, component_max) else { return Ok(()) };
        model.thresholds.join = join;
        model.thresholds.review = model.thresholds.review.min(join);
        let linker = Linker::new(&table, &model, &quiet).unwrap();
        let weights = linker.train(7, &quiet);
        let linked = linker.link(&weights, &quiet);
        let batch = by_id(|row| table.id(row as usize), &linked.clusters);

        let mut order: Vec<usize> = (0..records.len()).collect();
        order.sort_by_key(|i| (*i as u64 + 1).wrapping_mul(shuffle | 1).rotate_left(17));
        let values = |i: usize| -> Vec<String> {
            let value = |column: &str| {
                let column = table.column(column).unwrap();
                column.values.text(column.codes[i]).into_owned()
            };
            model.comparisons.iter().map(|comparison| value(&comparison.column)).collect()
        };
        let insert = |index: &mut Index, i: usize| {
            let values = values(i);
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let before = index.clusters().to_vec();
            let inserted = index.insert(&i.to_string(), &values);
            // It says what changed, and all of it.
            let mut said = before;
            said.push(inserted.row);
            inserted.changed.iter().for_each(|(row, first)| said[*row as usize] = *first);
            assert_eq!(said, index.clusters());
        };
        let mut index = Index::new(&linker, &weights);
        order.iter().for_each(|i| insert(&mut index, *i));
        prop_assert_eq!(&by_id(|row| index.id(row), index.clusters()), &batch);
    }

    #[test]
    fn an_index_of_some_goes_on_with_the_others(records in records(), cut in 1usize..40, block_max in 2usize..12) {
        let cut = cut.min(records.len());
        let numbered: Vec<(usize, &String)> = records.iter().enumerate().collect();
        let (some, all) = (table(&numbered[..cut]), table(&numbered));
        let Some(model) = model(&some, block_max, 200) else { return Ok(()) };
        let linker = Linker::new(&some, &model, &quiet).unwrap();
        let weights = linker.train(7, &quiet);
        let mut whole = Index::new(&linker, &weights);
        let mut rest = Index::of(&linker, &weights, &linker.link(&weights, &quiet));
        for i in 0..records.len() {
            let values: Vec<String> = model.comparisons.iter().map(|c| {
                let column = all.column(&c.column).unwrap();
                column.values.text(column.codes[i]).into_owned()
            }).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            whole.insert(&i.to_string(), &values);
            if i >= cut {
                rest.insert(&i.to_string(), &values);
            }
        }
        prop_assert_eq!(whole.clusters(), rest.clusters());
    }

    /// Whatever came, changed and went before, an index says what one says that has only seen what is left.
    #[test]
    fn what_changes_or_goes_leaves_nothing_behind(
        records in records(),
        steps in proptest::collection::vec((0u8..6, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..60),
        block_max in 2usize..8,
        component_max in 3usize..12,
    ) {
        let numbered: Vec<(usize, &String)> = records.iter().enumerate().collect();
        let table = table(&numbered);
        let Some(model) = model(&table, block_max, component_max) else { return Ok(()) };
        let linker = Linker::new(&table, &model, &quiet).unwrap();
        let (weights, frozen) = (linker.train(7, &quiet), linker.frozen());
        let values = |i: usize| -> Vec<String> {
            let value = |column: &str| {
                let column = table.column(column).unwrap();
                column.values.text(column.codes[i]).into_owned()
            };
            model.comparisons.iter().map(|comparison| value(&comparison.column)).collect()
        };
        let mut index = Index::of_frozen(&model, &weights, frozen.clone());
        // By id: the row and whose values it has.
        let mut there: BTreeMap<usize, (u32, usize)> = BTreeMap::new();
        let mut apart: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut said: BTreeMap<(usize, usize), (u32, bool)> = BTreeMap::new();
        let with = |values: Vec<String>, act: &mut dyn FnMut(&[&str])| {
            act(&values.iter().map(String::as_str).collect::<Vec<_>>());
        };
        for (step, which, what) in steps {
            let (id, of) = (which.index(records.len()), what.index(records.len()));
            let mut affected = vec![];
            match (step, there.get(&id).copied()) {
                (0 | 1, Some((row, _))) => {
                    with(values(of), &mut |values| affected = index.replace(row, values));
                    there.insert(id, (row, of));
                }
                (2, Some((row, _))) => {
                    affected = index.remove(row);
                    there.remove(&id);
                    apart.retain(|(a, b)| *a != id && *b != id);
                    said.retain(|(a, b), _| *a != id && *b != id);
                }
                (3, Some((row, _))) => {
                    if let Some((other, _)) = there.get(&of).filter(|_| of != id) {
                        let pair = (id.min(of), id.max(of));
                        let now = !apart.contains(&pair);
                        if now { apart.insert(pair) } else { apart.remove(&pair) };
                        affected = index.set_apart(row, *other, now);
                    }
                }
                (_, None) => with(values(of), &mut |values| {
                    let inserted = index.insert(&id.to_string(), values);
                    affected = inserted.affected;
                    there.insert(id, (inserted.row, of));
                }),
                _ => {}
            }
            // Who follows replaces what was said of those that were affected.
            let id_of = |row: u32| -> usize { std::str::from_utf8(index.id(row)).unwrap().parse().unwrap() };
            affected.retain(|row| !index.id(*row).is_empty());
            let ids: BTreeSet<usize> = affected.iter().map(|row| id_of(*row)).collect();
            said.retain(|(a, b), _| !ids.contains(a) && !ids.contains(b));
            for link in index.links(&affected) {
                let (a, b) = (id_of(link.a), id_of(link.b));
                said.insert((a.min(b), a.max(b)), (link.score.to_bits(), link.joined));
            }
        }
        let mut fresh = Index::of_frozen(&model, &weights, frozen);
        let mut rows: BTreeMap<usize, u32> = BTreeMap::new();
        for (id, (_, of)) in there.iter().rev() {
            with(values(*of), &mut |values| { rows.insert(*id, fresh.insert(&id.to_string(), values).row); });
        }
        for (a, b) in &apart {
            fresh.set_apart(rows[a], rows[b], true);
        }
        prop_assert_eq!(index.len(), fresh.len());
        let clusters = |index: &Index, rows: &mut dyn Iterator<Item = u32>| -> BTreeMap<Vec<u8>, Vec<u8>> {
            rows.map(|row| (index.id(row).to_vec(), index.id(index.clusters()[row as usize]).to_vec())).collect()
        };
        prop_assert_eq!(
            clusters(&index, &mut there.values().map(|(row, _)| *row)),
            clusters(&fresh, &mut rows.values().copied())
        );
        let id_of = |row: u32| -> usize { std::str::from_utf8(fresh.id(row)).unwrap().parse().unwrap() };
        let all: Vec<u32> = rows.values().copied().collect();
        let links: BTreeMap<(usize, usize), (u32, bool)> = fresh.links(&all).into_iter().map(|link| {
            let (a, b) = (id_of(link.a), id_of(link.b));
            ((a.min(b), a.max(b)), (link.score.to_bits(), link.joined))
        }).collect();
        prop_assert_eq!(said, links);
    }

    #[test]
    fn the_order_of_records_says_nothing(records in records(), shuffle in any::<u64>()) {
        let mut numbered: Vec<(usize, &String)> = records.iter().enumerate().collect();
        let straight = table(&numbered);
        let Some(model) = model(&straight, 8, 9) else { return Ok(()) };
        let weights = Linker::new(&straight, &model, &quiet).unwrap().train(7, &quiet);
        let expected = linked(&straight, &model, &weights);
        numbered.sort_by_key(|(i, _)| (*i as u64 + 1).wrapping_mul(shuffle | 1).rotate_left(17));
        let shuffled = table(&numbered);
        let found = linked(&shuffled, &model, &weights);
        prop_assert_eq!(
            by_id(|row| shuffled.id(row as usize), &found.clusters),
            by_id(|row| straight.id(row as usize), &expected.clusters)
        );
        let scores = |table: &Table, linked: &Linked| -> BTreeMap<(Vec<u8>, Vec<u8>), u32> {
            let id = |row: u32| table.id(row as usize).to_vec();
            linked.pairs.iter().map(|p| {
                let (a, b) = (id(p.a), id(p.b));
                ((a.clone().min(b.clone()), a.max(b)), p.score.to_bits())
            }).collect()
        };
        prop_assert_eq!(scores(&shuffled, &found), scores(&straight, &expected));
    }

    #[test]
    fn no_pair_is_made_twice_and_none_beyond_the_rules(records in records(), block_max in 2usize..40) {
        let numbered: Vec<(usize, &String)> = records.iter().enumerate().collect();
        let table = table(&numbered);
        let Some(mut model) = model(&table, block_max, 200) else { return Ok(()) };
        model.thresholds.keep = -1000.0;
        let linker = Linker::new(&table, &model, &quiet).unwrap();
        let weights = linker.train(7, &quiet);
        let linked = linker.link(&weights, &quiet);
        let mut seen = BTreeSet::new();
        for pair in &linked.pairs {
            prop_assert!(pair.a < pair.b && seen.insert((pair.a, pair.b)));
        }
        for a in 0..table.len() as u32 {
            for b in a + 1..table.len() as u32 {
                let waterfall = linker.explain(&weights, a as usize, b as usize);
                prop_assert_eq!(!waterfall.rules.is_empty(), seen.contains(&(a, b)));
            }
        }
        let compared: usize = linked.rules.iter().map(|rule| rule.new_pairs).sum();
        prop_assert_eq!(compared, seen.len());
        prop_assert_eq!(compared as u64, linked.histogram.iter().sum::<u64>());
        // No group is larger than allowed.
        let most = block_max * (block_max - 1) / 2;
        for rule in &linked.rules {
            prop_assert!(rule.pairs <= rule.keyed / 2 * most.max(1));
        }
    }

    #[test]
    fn a_waterfall_adds_up_to_the_score(records in records()) {
        let numbered: Vec<(usize, &String)> = records.iter().enumerate().collect();
        let table = table(&numbered);
        let Some(model) = model(&table, 400, 200) else { return Ok(()) };
        let linker = Linker::new(&table, &model, &quiet).unwrap();
        let weights = linker.train(7, &quiet);
        let pairs: HashMap<(u32, u32), f32> =
            linker.link(&weights, &quiet).pairs.iter().map(|pair| ((pair.a, pair.b), pair.score)).collect();
        for a in 0..table.len() {
            for b in 0..table.len() {
                let waterfall = linker.explain(&weights, a, b);
                let sum: f64 = waterfall.steps.iter().map(|step| step.bits).sum();
                prop_assert!((sum - waterfall.score).abs() < 1e-9, "{}", waterfall);
                prop_assert_eq!(waterfall.score.to_bits(), linker.explain(&weights, b, a).score.to_bits());
                if let Some(score) = pairs.get(&(a as u32, b as u32)) {
                    prop_assert_eq!(waterfall.score as f32, *score);
                }
            }
        }
    }

    #[test]
    fn a_model_survives_its_file(records in records()) {
        let numbered: Vec<(usize, &String)> = records.iter().enumerate().collect();
        let table = table(&numbered);
        let Some(mut model) = model(&table, 400, 200) else { return Ok(()) };
        model.weights = Some(Linker::new(&table, &model, &quiet).unwrap().train(7, &quiet));
        prop_assert_eq!(Model::from_toml(&model.to_toml()).unwrap(), model);
    }
}
