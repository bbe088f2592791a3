//! What each level of agreement weighs, and the score of a pair.
//!
//! Fellegi and Sunter's weight of a level is the logarithm of how much more often it is met among pairs of one person
//! than among pairs of two, with each field taken as independent of the others. In people's data they are not: all parts of
//! an address change together, and those who live together share all of them, the surname, and at times a telephone and an e-mail
//! address. So pairs are of seven [classes](Class), within each of which the fields are taken as independent: a latent class
//! model (Winkler, Methods for Record Linkage and Bayesian Networks, 2002; Larsen and Rubin, JASA 96, 2001) in which most
//! parameters are tied, so that it is learned without labels and stays what its names say.
//!
//! A score is the log, base 2, of the odds of the two classes of one person against the five of two.

use serde::{Deserialize, Serialize};

use crate::{
    compare::{EXACT, LEVELS_MAX, Pattern, SWAPPED, UNKNOWN, levels},
    model::{Comparison, Kind, Model, ModelError, Shared},
    records::Frequencies,
};

/// What two records are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Class {
    /// One person at one address.
    Same = 0,
    /// One person at two addresses.
    SameMoved = 1,
    /// Two of one household.
    Household = 2,
    /// Two of one household, whose addresses differ.
    HouseholdMoved = 3,
    /// Two of one household who have one given name, as father and son.
    Namesake = 4,
    /// Two who live in one area.
    Area = 5,
    /// Any two.
    Random = 6,
}

/// How many classes there are.
pub const CLASSES: usize = 7;
/// How many of them, from the first, are learned; the others follow.
pub const LEARNED: usize = 5;
/// All classes in their order.
pub const ALL: [Class; CLASSES] = [
    Class::Same,
    Class::SameMoved,
    Class::Household,
    Class::HouseholdMoved,
    Class::Namesake,
    Class::Area,
    Class::Random,
];

/// Whose probabilities a comparison has in a class: which parameters are tied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tied {
    /// The one person's.
    Same,
    /// The one person's at two addresses.
    Moved,
    /// Those of the household.
    Household,
    /// Those of chance.
    Random,
}

/// Whose probabilities `comparison` has in `class`.
pub fn tied(comparison: &Comparison, class: Class) -> Tied {
    use Class as C;
    match (comparison.shared, comparison.address, class) {
        (_, _, C::Random) => Tied::Random,
        // An area's parts go by where both live, whoever they are.
        (Shared::Area, true, C::SameMoved | C::HouseholdMoved) => Tied::Moved,
        (Shared::Area, _, _) => Tied::Same,
        (_, _, C::Area) => Tied::Random,
        (_, true, C::Same | C::Household | C::Namesake) => Tied::Same,
        (_, true, _) => Tied::Random,
        (_, false, C::Same | C::SameMoved) => Tied::Same,
        (Shared::Household, false, _) => Tied::Household,
        (Shared::Person, false, C::Namesake) => match comparison.kind {
            Kind::GivenName | Kind::Category => Tied::Same,
            _ => Tied::Random,
        },
        // Twins: the one thing of their own that people of one household have in common.
        (Shared::Person, false, _) if comparison.kind == Kind::Date => Tied::Household,
        (Shared::Person, false, _) => Tied::Random,
    }
}

/// The probabilities of a comparison's levels from 1 on, given that both values are there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probabilities {
    /// The column that is compared.
    pub column: String,
    /// Between two records of one person.
    pub same: Vec<f64>,
    /// Between any two records.
    pub random: Vec<f64>,
    /// Between two records of one person at two addresses, where it differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<f64>,
    /// Between records of two of one household, where it differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub household: Vec<f64>,
}

impl Probabilities {
    pub(crate) fn of(&self, tied: Tied) -> &[f64] {
        match tied {
            Tied::Same => &self.same,
            Tied::Moved => &self.moved,
            Tied::Household => &self.household,
            Tied::Random => &self.random,
        }
    }

    pub(crate) fn of_mut(&mut self, tied: Tied) -> &mut Vec<f64> {
        match tied {
            Tied::Same => &mut self.same,
            Tied::Moved => &mut self.moved,
            Tied::Household => &mut self.household,
            Tied::Random => &mut self.random,
        }
    }
}

/// What was learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Of how many records.
    pub records: usize,
    /// The probability that two records taken at random are of each class, in the order of [`Class`].
    pub classes: [f64; CLASSES],
    /// For each comparison.
    pub comparison: Vec<Probabilities>,
}

impl Weights {
    pub(crate) fn check(&self, model: &Model) -> Result<(), ModelError> {
        let error =
            |cause: String| Err(ModelError::new("weights", cause, "Remove [weights], so that they are learned anew"));
        if self.comparison.len() != model.comparisons.len() {
            return error("there are not as many as comparisons".into());
        }
        if !self.classes.iter().all(|p| (0.0..=1.0).contains(p))
            || self.classes[0] <= 0.0
            || self.classes[CLASSES - 1] <= 0.0
        {
            return error("the classes are no probabilities".into());
        }
        for (weights, comparison) in self.comparison.iter().zip(&model.comparisons) {
            if weights.column != comparison.column {
                return error(format!("{:?} stands where {:?} is compared", weights.column, comparison.column));
            }
            let count = levels(comparison.kind).len();
            let fits = |tied: Tied| {
                let of = weights.of(tied);
                of.len() == count && of.iter().all(|p| *p > 0.0 && *p <= 1.0)
            };
            if !ALL.iter().all(|class| fits(tied(comparison, *class))) {
                return error(format!("of {:?} are not {count} probabilities above 0", comparison.column));
            }
        }
        Ok(())
    }
}

/// A row of classes, padded to two vectors of the processor.
pub type Lanes = [f64; 8];

/// Scores pairs by their patterns.
#[derive(Debug, Clone)]
pub struct Scorer {
    prior: Lanes,
    /// By comparison and level.
    table: Vec<[Lanes; LEVELS_MAX]>,
    /// 1 for the classes in which agreement is by chance, so that it counts how rare the value is. Few comparisons
    /// differ in this; each refers to one of these.
    by_chance: Vec<Lanes>,
    by_chance_of: Vec<usize>,
    /// Log, base 2, of the probability of agreeing by chance; by comparison.
    exact: Vec<f64>,
    swapped: Vec<f64>,
    names: Option<(usize, usize)>,
}

impl Scorer {
    /// A scorer of `weights`, which are of `model`.
    pub fn new(model: &Model, weights: &Weights) -> Scorer {
        let mut prior = [f64::NEG_INFINITY; 8];
        for (lane, p) in prior.iter_mut().zip(weights.classes) {
            *lane = p.log2();
        }
        let mut scorer = Scorer {
            prior,
            table: Vec::new(),
            by_chance: Vec::new(),
            by_chance_of: Vec::new(),
            exact: Vec::new(),
            swapped: Vec::new(),
            names: model.names(),
        };
        for (comparison, of) in model.comparisons.iter().zip(&weights.comparison) {
            let mut table = [[0.0; 8]; LEVELS_MAX];
            let mut by_chance = [0.0; 8];
            for class in ALL {
                let whose = tied(comparison, class);
                by_chance[class as usize] = f64::from(u8::from(whose == Tied::Random));
                for (level, p) in (1..).zip(of.of(whose)) {
                    table[level][class as usize] = p.log2();
                }
            }
            scorer.exact.push(of.random[usize::from(EXACT) - 1].log2());
            scorer.swapped.push(of.random.get(usize::from(SWAPPED) - 1).map_or(0.0, |p| p.log2()));
            scorer.table.push(table);
            let known = scorer.by_chance.iter().position(|other| *other == by_chance);
            scorer.by_chance_of.push(known.unwrap_or(scorer.by_chance.len()));
            if known.is_none() {
                scorer.by_chance.push(by_chance);
            }
        }
        scorer
    }

    /// Log, base 2, of the probability of the pair in each class: of its pattern, and of the values it agrees in where they
    /// agree by chance. `a` and `b` are the codes of the two records.
    pub fn lanes(&self, frequencies: &Frequencies, pattern: Pattern, a: &[u32], b: &[u32]) -> Lanes {
        let mut lanes = self.prior;
        // There are no more than six ways in which classes share parameters (`tied`).
        let mut rarer = [0.0; 8];
        for i in 0..self.table.len() {
            let level = pattern.level(i);
            if level == UNKNOWN {
                continue;
            }
            let part = &self.table[i][usize::from(level)];
            for (lane, part) in lanes.iter_mut().zip(part) {
                *lane += part;
            }
            if matches!(level, EXACT | SWAPPED) {
                rarer[self.by_chance_of[i]] += self.rarer(frequencies, level, a, b, i);
            }
        }
        for (by_chance, rarer) in self.by_chance.iter().zip(rarer) {
            for (lane, by_chance) in lanes.iter_mut().zip(by_chance) {
                *lane += by_chance * rarer;
            }
        }
        lanes
    }

    /// By how much less likely it is to agree by chance in these values than in any, bits.
    fn rarer(&self, frequencies: &Frequencies, level: u8, a: &[u32], b: &[u32], i: usize) -> f64 {
        match (level, self.names) {
            (EXACT, _) => frequencies.log(i, a[i]) - self.exact[i],
            (SWAPPED, Some((given, surname))) if given == i => {
                // Whether a record has the name in one place or the other, it is as rare as where it is less so.
                let log = |code: u32| frequencies.log(given, code).max(frequencies.log(surname, code));
                let crossed = |x: u32, y: u32| if x == y && x != 0 { log(x) } else { 0.0 };
                crossed(a[given], b[surname]) + crossed(a[surname], b[given]) - self.swapped[i]
            }
            _ => 0.0,
        }
    }

    /// What one comparison adds to each class.
    pub fn part(&self, frequencies: &Frequencies, pattern: Pattern, a: &[u32], b: &[u32], i: usize) -> Lanes {
        let level = pattern.level(i);
        let mut part = self.table[i][usize::from(level)];
        if !matches!(level, EXACT | SWAPPED) {
            return part;
        }
        let rarer = self.rarer(frequencies, level, a, b, i);
        for (part, by_chance) in part.iter_mut().zip(self.by_chance[self.by_chance_of[i]]) {
            *part += by_chance * rarer;
        }
        part
    }

    /// Log, base 2, of the prior probabilities of the classes.
    pub fn prior(&self) -> &Lanes {
        &self.prior
    }
}

/// The log, base 2, of the odds of one person against two, or where these are too low by far, about that: `keep` bits
/// and all above are exact.
pub fn odds_from(lanes: &Lanes, keep: f64) -> f64 {
    let most = |lanes: &[f64]| lanes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Two classes together are at most twice as likely as one of them.
    let about = most(&lanes[..2]) - most(&lanes[2..CLASSES]);
    if about + 1.0 < keep { about } else { odds(lanes) }
}

/// The log, base 2, of the odds of one person against two.
pub fn odds(lanes: &Lanes) -> f64 {
    log_sum(&lanes[..2]) - log_sum(&lanes[2..CLASSES])
}

/// The log, base 2, of the sum of what `logs` are the logs of.
pub fn log_sum(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    // What is a million million times less likely changes nothing that is kept.
    let sum: f64 = logs.iter().map(|log| log - most).filter(|less| *less > -50.0).map(f64::exp2).sum();
    most + sum.log2()
}
