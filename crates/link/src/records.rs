//! Records as rows of codes, and what is known of each distinct value.
//!
//! A record is a few numbers in one cache line. A value is prepared, sketched and hashed once, however many records have
//! it. Given names and surnames share their values, so that a mixed-up name is found by comparing two numbers.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    dictionary::{Dictionary, MISSING, hash},
    distance::Sketch,
    model::{Comparison, DateOrder, Kind, Model},
    prepare::{prepare, sound},
    table::Table,
};

/// The distinct values of one column, or of two that are mixed up.
#[derive(Debug, Clone, Default)]
pub struct Values {
    pub texts: Dictionary,
    pub sketches: Vec<Sketch>,
    pub hashes: Vec<u64>,
    /// By kind: how a name sounds, a hash of an e-mail's user, the bits of a number.
    pub extras: Vec<u64>,
    /// Whether a value has several words.
    spaces: Vec<bool>,
}

impl Values {
    fn new() -> Values {
        let mut values = Values::default();
        values.describe(Kind::Text);
        values
    }

    /// The code of a prepared value.
    pub fn intern(&mut self, kind: Kind, text: &str) -> u32 {
        let code = self.texts.intern(text.as_bytes());
        if code as usize == self.hashes.len() {
            self.describe(kind);
        }
        code
    }

    /// Numbers the values by the order in which their codes come; gives the new code of each old one.
    fn reorder(&mut self, codes: impl Iterator<Item = u32>) -> Vec<u32> {
        const NONE: u32 = u32::MAX;
        let mut renumbered = vec![NONE; self.hashes.len()];
        renumbered[MISSING as usize] = MISSING;
        let mut order = vec![MISSING];
        for code in codes.chain(0..self.hashes.len() as u32) {
            if renumbered[code as usize] == NONE {
                renumbered[code as usize] = order.len() as u32;
                order.push(code);
            }
        }
        self.texts = self.texts.reordered(&order, &renumbered);
        self.sketches = order.iter().map(|code| self.sketches[*code as usize]).collect();
        self.hashes = order.iter().map(|code| self.hashes[*code as usize]).collect();
        self.extras = order.iter().map(|code| self.extras[*code as usize]).collect();
        self.spaces = order.iter().map(|code| self.spaces[*code as usize]).collect();
        renumbered
    }

    /// Whether either has several words.
    pub fn have_spaces(&self, x: u32, y: u32) -> bool {
        self.spaces[x as usize] || self.spaces[y as usize]
    }

    /// Describes the value that came last.
    fn describe(&mut self, kind: Kind) {
        let text = self.texts.get(self.hashes.len() as u32);
        let extra = match kind {
            Kind::GivenName | Kind::Surname => sound(text),
            Kind::Email => text.split(|byte| *byte == b'@').next().map_or(0, hash),
            Kind::Number => std::str::from_utf8(text).ok().and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0).to_bits(),
            _ => 0,
        };
        self.spaces.push(text.contains(&b' '));
        self.sketches.push(Sketch::of(text));
        self.hashes.push(hash(text));
        self.extras.push(extra);
    }
}

/// Records, prepared for a model.
#[derive(Debug, Clone)]
pub struct Records {
    width: usize,
    codes: Vec<u32>,
    values: Vec<Values>,
    /// Which of `values` a comparison reads.
    values_of: Vec<usize>,
    kinds: Vec<(Kind, DateOrder)>,
}

impl Records {
    /// No records yet.
    pub fn new(model: &Model) -> Records {
        let names = model.names();
        let mut count = 0;
        let mut values_of: Vec<usize> = Vec::with_capacity(model.comparisons.len());
        for i in 0..model.comparisons.len() {
            values_of.push(match names {
                // The later one of the two takes the earlier one's.
                Some((given, surname)) if i == given.max(surname) => values_of[given.min(surname)],
                _ => {
                    count += 1;
                    count - 1
                }
            });
        }
        Records {
            width: model.comparisons.len(),
            codes: Vec::new(),
            values: (0..count).map(|_| Values::new()).collect(),
            values_of,
            kinds: model.comparisons.iter().map(|comparison| (comparison.kind, comparison.date_order)).collect(),
        }
    }

    /// The records of `table`, which has the columns of `model`.
    pub fn of(table: &Table, model: &Model) -> Records {
        let mut records = Records::new(model);
        let mut work: Vec<(Vec<usize>, Values)> = records.values.drain(..).map(|values| (Vec::new(), values)).collect();
        for (i, &values) in records.values_of.iter().enumerate() {
            work[values].0.push(i);
        }
        let mut columns: Vec<(usize, Vec<u32>)> = work
            .par_iter_mut()
            .with_max_len(1)
            .flat_map_iter(|(comparisons, values)| {
                let columns: Vec<_> =
                    comparisons.iter().map(|i| (*i, column(table, &model.comparisons[*i], values))).collect();
                columns
            })
            .collect();
        columns.sort_unstable_by_key(|(i, _)| *i);
        records.values = work.into_iter().map(|(_, values)| values).collect();
        let width = records.width;
        records.codes = vec![MISSING; table.len() * width];
        records.codes.par_chunks_mut(width * 4096).enumerate().for_each(|(chunk, rows)| {
            for (row, cells) in rows.chunks_mut(width).enumerate() {
                for (cell, (_, column)) in cells.iter_mut().zip(&columns) {
                    *cell = column[chunk * 4096 + row];
                }
            }
        });
        records
    }

    /// Puts the row that was `order[i]` at `i`, and numbers the values by where they occur first. Rows that are compared
    /// with each other, and what their values are, then lie next to each other in memory, which saves most of the time
    /// that comparing them takes.
    pub fn reorder(&mut self, order: &[u32]) {
        let width = self.width;
        let mut codes = vec![MISSING; self.codes.len()];
        codes.par_chunks_mut(width * 4096).zip(order.par_chunks(4096)).for_each(|(to, from)| {
            for (to, from) in to.chunks_mut(width).zip(from) {
                to.copy_from_slice(self.row(*from as usize));
            }
        });
        let renumbered: Vec<Vec<u32>> = self
            .values
            .par_iter_mut()
            .enumerate()
            .with_max_len(1)
            .map(|(i, values)| {
                let readers: Vec<usize> = (0..width).filter(|comparison| self.values_of[*comparison] == i).collect();
                values.reorder(codes.chunks_exact(width).flat_map(|row| readers.iter().map(|i| row[*i])))
            })
            .collect();
        codes.par_chunks_mut(width).with_min_len(4096).for_each(|row| {
            for (code, values) in row.iter_mut().zip(&self.values_of) {
                *code = renumbered[*values][*code as usize];
            }
        });
        self.codes = codes;
    }

    /// These records in the order of the table that they were read from: the row that is `order[i]` there is `i` here.
    pub fn in_order_of_table(&self, order: &[u32]) -> Records {
        let mut records = self.without_rows();
        records.codes = vec![MISSING; self.codes.len()];
        for (from, to) in order.iter().enumerate() {
            let to = *to as usize * self.width;
            records.codes[to..to + self.width].copy_from_slice(self.row(from));
        }
        records
    }

    /// No records, but all the values that these have, under the same codes.
    pub fn without_rows(&self) -> Records {
        Records {
            width: self.width,
            codes: Vec::new(),
            values: self.values.clone(),
            values_of: self.values_of.clone(),
            kinds: self.kinds.clone(),
        }
    }

    /// Puts raw values, one for each comparison, in a row that is there or is the next.
    pub fn set(&mut self, row: usize, raw: &[&str]) {
        self.codes.resize(self.codes.len().max((row + 1) * self.width), MISSING);
        for (i, raw) in raw.iter().enumerate() {
            let (kind, order) = self.kinds[i];
            let code = self.values[self.values_of[i]].intern(kind, &prepare(kind, order, raw));
            self.codes[row * self.width + i] = code;
        }
    }

    /// Takes the values out of a row.
    pub fn clear(&mut self, row: usize) {
        self.codes[row * self.width..(row + 1) * self.width].fill(MISSING);
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.codes.len() / self.width
    }

    /// Comparisons.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The codes of a record's values, one for each comparison.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.codes[row * self.width..(row + 1) * self.width]
    }

    /// The values that a comparison reads.
    pub fn values(&self, comparison: usize) -> &Values {
        &self.values[self.values_of[comparison]]
    }

    /// The prepared value of a record.
    pub fn text(&self, row: usize, comparison: usize) -> String {
        self.values(comparison).texts.text(self.row(row)[comparison]).into_owned()
    }
}

/// The codes of a column's prepared values, a row each.
fn column(table: &Table, comparison: &Comparison, values: &mut Values) -> Vec<u32> {
    let Some(column) = table.column(&comparison.column) else { return vec![MISSING; table.len()] };
    let (kind, order) = (comparison.kind, comparison.date_order);
    let codes: Vec<u32> = (0..column.values.len() as u32)
        .map(|code| values.intern(kind, &prepare(kind, order, &column.values.text(code))))
        .collect();
    column.codes.iter().map(|code| codes[*code as usize]).collect()
}

/// Records that the usual shares of values weigh as much as: in a file of ten, nobody's name is rare.
const USUAL_RECORDS: f64 = 200.0;

/// How many of people have a value of this kind in common with one of them, where no records tell: roughly, as in any
/// country.
fn usual_share(kind: Kind) -> f64 {
    match kind {
        Kind::GivenName => 0.01,
        Kind::Surname => 0.002,
        Kind::Date => 5e-5,
        Kind::Email | Kind::Phone | Kind::Identifier => 1e-6,
        Kind::Street => 0.002,
        Kind::HouseNumber => 0.01,
        Kind::Locality => 0.01,
        Kind::PostalCode => 0.002,
        Kind::Category => 0.3,
        Kind::Number | Kind::Text => 0.01,
    }
}

/// How often each value occurs, which says what agreeing in it is worth. Frozen: a record that is added later does not
/// change what was decided about others.
#[derive(Debug, Clone)]
pub struct Frequencies {
    /// Log, base 2, of the share of records that have the value; by comparison and code.
    logs: Vec<Vec<f32>>,
    /// Of a value that was not there.
    unseen: Vec<f32>,
    /// The probability that two records which both have a value have the same.
    repeats: Vec<f64>,
}

impl Frequencies {
    /// The frequencies in `records`.
    pub fn of(records: &Records) -> Frequencies {
        let per: Vec<(Vec<f32>, f32, f64)> = (0..records.width())
            .into_par_iter()
            .map(|i| {
                let mut counts = vec![0u32; records.values(i).texts.len()];
                (0..records.len()).for_each(|row| counts[records.row(row)[i] as usize] += 1);
                counts[MISSING as usize] = 0;
                let usual = usual_share(records.kinds[i].0);
                let total = counts.iter().map(|count| f64::from(*count)).sum::<f64>();
                let log = |count: u32| {
                    ((f64::from(count.max(1)) + USUAL_RECORDS * usual) / (total + USUAL_RECORDS)).log2() as f32
                };
                let pairs = counts.iter().map(|c| f64::from(*c) * (f64::from(*c) - 1.0)).sum::<f64>();
                let usual_pairs = USUAL_RECORDS * (USUAL_RECORDS - 1.0);
                let repeats = (pairs + usual * usual_pairs) / (total * (total - 1.0) + usual_pairs);
                (counts.iter().map(|c| log(*c)).collect(), log(1), repeats)
            })
            .collect();
        let mut frequencies = Frequencies { logs: Vec::new(), unseen: Vec::new(), repeats: Vec::new() };
        for (logs, unseen, repeats) in per {
            frequencies.logs.push(logs);
            frequencies.unseen.push(unseen);
            frequencies.repeats.push(repeats);
        }
        frequencies
    }

    /// What is to be kept of them, so that other records weigh alike.
    pub fn freeze(&self, records: &Records) -> Frozen {
        let column = |i: usize| {
            let values = records.values(i);
            let often = self.logs[i].iter().zip(&values.hashes).filter(|(log, _)| **log > self.unseen[i]);
            let mut logs: Vec<(u64, f32)> = often.map(|(log, hash)| (*hash, *log)).collect();
            logs.sort_unstable_by_key(|(hash, _)| *hash);
            FrozenColumn { logs, unseen: self.unseen[i], repeats: self.repeats[i] }
        };
        Frozen((0..records.width()).map(column).collect())
    }

    /// Those that were frozen, for no value yet.
    pub fn of_frozen(frozen: &Frozen) -> Frequencies {
        Frequencies {
            logs: vec![Vec::new(); frozen.0.len()],
            unseen: frozen.0.iter().map(|column| column.unseen).collect(),
            repeats: frozen.0.iter().map(|column| column.repeats).collect(),
        }
    }

    /// Looks up the values that came since.
    pub fn cover(&mut self, records: &Records, frozen: &Frozen) {
        for (i, (logs, column)) in self.logs.iter_mut().zip(&frozen.0).enumerate() {
            for hash in &records.values(i).hashes[logs.len()..] {
                let place = column.logs.binary_search_by_key(hash, |(hash, _)| *hash);
                logs.push(place.map_or(column.unseen, |place| column.logs[place].1));
            }
        }
    }

    /// Log, base 2, of the share of records that have this value.
    pub fn log(&self, comparison: usize, code: u32) -> f64 {
        f64::from(self.logs[comparison].get(code as usize).copied().unwrap_or(self.unseen[comparison]))
    }

    /// The probability that two records which both have a value have the same.
    pub fn repeats(&self, comparison: usize) -> f64 {
        self.repeats[comparison]
    }
}

/// How often values occurred in the records that a model was trained on. It names no value: only hashes of those that
/// occurred more than once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frozen(Vec<FrozenColumn>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FrozenColumn {
    /// By the hash of a value, ascending: log, base 2, of the share of records that have it.
    logs: Vec<(u64, f32)>,
    /// Of all others.
    unseen: f32,
    /// The probability that two records which both have a value have the same.
    repeats: f64,
}

impl Frozen {
    /// Whether they are of a model that compares so many columns.
    pub fn fits(&self, model: &Model) -> bool {
        self.0.len() == model.comparisons.len()
    }
}
