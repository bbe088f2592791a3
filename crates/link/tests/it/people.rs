//! Households of people, some of them twins or namesakes, with typing errors: what clusters must keep apart.

use std::collections::HashMap;

use onefold_link::{Linker, Model, Step, Table};

pub fn quiet(_: Step) {}

/// Pairs of equal labels.
pub fn pairs_within<T: std::hash::Hash + Eq>(labels: impl IntoIterator<Item = T>) -> usize {
    let mut counts: HashMap<T, usize> = HashMap::new();
    labels.into_iter().for_each(|label| *counts.entry(label).or_default() += 1);
    counts.values().map(|count| count * (count - 1) / 2).sum()
}

const GIVEN: &str = "oliver george harry noah jack leo arthur oscar charlie jacob thomas henry william james john robert \
    michael david richard joseph charles daniel matthew anthony mark donald steven paul andrew joshua amelia isla ava \
    mia ivy lily isabella rosie sophia mary patricia jennifer linda elizabeth barbara susan jessica sarah karen lisa";
const SURNAMES: &str = "smith jones taylor brown williams wilson johnson davies robinson wright thompson evans walker \
    white roberts green hall wood jackson clarke patel khan lewis james phillips mason mitchell rose davis rodriguez \
    cox alexander tkachenko okafor lindqvist moretti dubois nakamura castellano fitzgerald abernathy vandermeer";

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn misspelt(random: &mut Random, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    if letters.len() > 3 && random.below(12) == 0 {
        let place = 1 + random.below(letters.len() - 2);
        match random.below(3) {
            0 => letters.swap(place, place + 1),
            1 => drop(letters.remove(place)),
            _ => letters.insert(place, letters[place - 1]),
        }
    }
    if random.below(9) == 0 { String::new() } else { letters.into_iter().collect() }
}

/// A file and who its records are.
fn households(seed: u64, households: usize) -> (Table, Vec<usize>) {
    let mut random = Random(seed);
    let (given, surnames): (Vec<&str>, Vec<&str>) =
        (GIVEN.split_whitespace().collect(), SURNAMES.split_whitespace().collect());
    let mut lines = String::from("id,first_name,last_name,birth_date,email,mobile,house_no,street,city,zip\n");
    let (mut truth, mut person) = (Vec::new(), 0);
    for _ in 0..households {
        let surname = surnames[random.below(surnames.len())];
        let street =
            format!("{} {}", surnames[random.below(surnames.len())], ["street", "road", "lane"][random.below(3)]);
        let (number, town) = (1 + random.below(150), random.below(60));
        let landline = format!("02{:08}", random.below(100_000_000));
        let mut birth = String::new();
        for member in 0..1 + random.below(4) {
            // Twins, at times.
            if member == 0 || random.below(12) > 0 {
                birth = format!("{}-{:02}-{:02}", 1940 + random.below(65), 1 + random.below(12), 1 + random.below(28));
            }
            let name = given[random.below(given.len())];
            let email = format!("{name}.{surname}{}@mail.org", random.below(1000));
            let mobile = format!("04{:08}", random.below(100_000_000));
            for _ in 0..1 + random.below(4) {
                let phone = if random.below(3) == 0 { &landline } else { &mobile };
                let cells = [name, surname, &birth, &email, phone].map(|cell| misspelt(&mut random, cell)).join(",");
                let place = [&street, &format!("town{}", town % 20), &format!("{}", 4000 + town)];
                let place = place.map(|cell| misspelt(&mut random, cell)).join(",");
                lines.push_str(&format!("{},{cells},{number},{place}\n", truth.len()));
                truth.push(person);
            }
            person += 1;
        }
    }
    (Table::read_csv(lines.as_bytes()).expect("a table"), truth)
}

#[test]
fn tells_the_people_of_a_household_apart() {
    for seed in [1, 2, 3] {
        let (table, truth) = households(seed, 1500);
        let model = Model::guess(&table).unwrap();
        let linker = Linker::new(&table, &model, &quiet).unwrap();
        let linked = linker.link(&linker.train(seed, &quiet), &quiet);
        let right = pairs_within(linked.clusters.iter().zip(&truth));
        let (found, all) = (pairs_within(&linked.clusters), pairs_within(&truth));
        let (precision, recall) = (right as f64 / found as f64, right as f64 / all as f64);
        assert!(precision >= 0.985 && recall >= 0.96, "seed {seed}: precision {precision}, recall {recall}");
    }
}

#[test]
fn the_seed_decides_alone() {
    let (table, _) = households(4, 300);
    let model = Model::guess(&table).unwrap();
    let weights = || Linker::new(&table, &model, &quiet).unwrap().train(9, &quiet);
    assert_eq!(weights(), weights());
}
