//! Writes a CSV file of generated customer records in which people occur several times, with the truth in `person_id`.
//!
//! `generate [--records N] [--seed S] [--country en|de|pl|ru|es] [--errors RATE] [--missing RATE] > people.csv`
//!
//! People live in households with a common address, often a surname and a landline, at times an e-mail address. Some are
//! twins, some move, marry, or change their e-mail address. Records come from several sources, with typing errors,
//! initials, mixed-up names and dates, several ways to write a number, and values left out.

mod names;

use std::{collections::HashSet, io::Write};

use names::{COUNTRIES, Country, DateForm};

struct Random(u64);

impl Random {
    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn happens(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// One of a list in which the first are the most frequent.
    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        let skewed = self.share().powf(1.7);
        list[((skewed * list.len() as f64) as usize).min(list.len() - 1)]
    }
}

#[derive(Clone)]
struct Address {
    number: String,
    street: String,
    town: String,
    postcode: String,
    state: String,
}

#[derive(Clone)]
struct Person {
    given: String,
    surname: String,
    other_surname: Option<String>,
    birth: (usize, usize, usize),
    emails: Vec<String>,
    phones: Vec<String>,
    addresses: Vec<Address>,
}

struct World<'a> {
    random: Random,
    taken: HashSet<String>,
    country: &'a Country,
    given: Vec<&'a str>,
    surname_starts: Vec<&'a str>,
    surname_ends: Vec<&'a str>,
    states: Vec<&'a str>,
    domains: Vec<&'a str>,
    streets: Vec<&'a str>,
    towns: Vec<String>,
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1));
    let number = |name: &str, default: f64| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (records, errors, missing) =
        (number("--records", 10_000.0) as usize, number("--errors", 0.04), number("--missing", 0.15));
    let code = value("--country").map_or("en", String::as_str);
    let country = COUNTRIES.iter().find(|country| country.code == code).unwrap_or(&COUNTRIES[0]);
    let words = |text: &'static str| text.split(' ').collect::<Vec<_>>();
    let mut towns = Vec::new();
    for start in words(country.town_starts) {
        towns.extend(words(country.town_ends).iter().map(|end| format!("{start}{end}").replace('_', " ")));
    }
    let mut world = World {
        random: Random(number("--seed", 1.0) as u64),
        taken: HashSet::new(),
        country,
        given: words(country.given),
        surname_starts: words(country.surname_starts),
        surname_ends: words(country.surname_ends),
        states: words(country.states),
        domains: words(country.domains),
        streets: words(country.street_starts),
        towns,
    };
    let (mut rows, mut person) = (Vec::with_capacity(records), 0);
    while rows.len() < records {
        for member in world.household() {
            let mut copies = 1;
            while copies < 9 && world.random.happens(0.5) {
                copies += 1;
            }
            for _ in 0..copies {
                rows.push(format!("{person},{}", world.record(&member, errors, missing)));
            }
            person += 1;
        }
    }
    rows.truncate(records);
    for i in (1..rows.len()).rev() {
        let j = world.random.below(i + 1);
        rows.swap(i, j);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(out, "{}", country.header)?;
    for (i, row) in rows.iter().enumerate() {
        writeln!(out, "{i},{row}")?;
    }
    out.flush()
}

impl World<'_> {
    fn surname(&mut self) -> String {
        let start = self.random.pick(&self.surname_starts);
        let end = self.random.pick(&self.surname_ends);
        format!("{start}{end}")
    }

    fn feminine(&self, surname: &str) -> String {
        for (from, to) in self.country.feminine {
            if let Some(stem) = surname.strip_suffix(from) {
                return format!("{stem}{to}");
            }
        }
        surname.to_owned()
    }

    fn address(&mut self) -> Address {
        let town = self.random.below(self.towns.len());
        let end = self.country.street_ends[self.random.below(self.country.street_ends.len())];
        Address {
            number: (1 + self.random.below(200)).to_string(),
            street: format!("{}{end}", self.random.pick(&self.streets)).replace('_', " ").trim().to_owned(),
            town: self.towns[town].clone(),
            postcode: format!("{:05}", 10_000 + town * 37 + self.random.below(8)),
            state: self.states[town % self.states.len()].to_owned(),
        }
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.random.below(10) as u8)).collect()
    }

    fn email(&mut self, given: &str, surname: &str, birth: usize) -> String {
        let ascii = |text: &str| -> String {
            latin(&text.to_lowercase())
                .chars()
                .filter_map(|c| match c {
                    'ü' => Some('u'),
                    'ö' | 'ó' => Some('o'),
                    'ä' | 'á' | 'ą' => Some('a'),
                    'é' | 'ę' => Some('e'),
                    'ł' => Some('l'),
                    c if c.is_ascii_alphanumeric() => Some(c),
                    _ => None,
                })
                .collect()
        };
        let (given, surname) = (ascii(given), ascii(surname));
        let tail = self.digits(3);
        let user = match self.random.below(6) {
            0 => format!("{given}.{surname}"),
            1 => format!("{given}.{surname}{tail}"),
            2 => format!("{given}{surname}{:02}", birth % 100),
            3 => format!("{}{surname}{tail}", given.chars().next().unwrap_or('x')),
            4 => format!("{given}{tail}{tail}"),
            _ => format!("{given}{surname}{tail}"),
        };
        let mut email = format!("{user}@{}", self.random.pick(&self.domains));
        while !self.taken.insert(email.clone()) {
            email = format!("{user}{}@{}", self.digits(2), self.random.pick(&self.domains));
        }
        email
    }

    fn household(&mut self) -> Vec<Person> {
        let size = 1 + [0, 0, 1, 1, 2, 3, 4][self.random.below(7)];
        let (surname, home) = (self.surname(), self.address());
        let landline = self.random.happens(0.5).then(|| format!("02{}", self.digits(8)));
        let mut members: Vec<Person> = Vec::new();
        for i in 0..size {
            let given = self.random.below(self.given.len());
            let woman = given * 2 >= self.given.len();
            let given = self.given[given].to_owned();
            let birth_surname = if i == 1 && self.random.happens(0.25) { self.surname() } else { surname.clone() };
            let name = if woman { self.feminine(&birth_surname) } else { birth_surname };
            let twin = i > 0 && self.random.happens(0.08);
            let birth = if twin {
                members[i - 1].birth
            } else {
                (1935 + self.random.below(72), 1 + self.random.below(12), 1 + self.random.below(28))
            };
            let other_surname = (woman && self.random.happens(0.08)).then(|| self.surname());
            let mut emails = Vec::new();
            while self.random.happens(0.6) && emails.len() < 3 {
                emails.push(self.email(&given, &name, birth.0));
            }
            if i > 0 && self.random.happens(0.08) {
                emails.extend(members[0].emails.first().cloned());
            }
            let mut phones = Vec::new();
            while self.random.happens(0.65) && phones.len() < 3 {
                phones.push(format!("04{}", self.digits(8)));
            }
            phones.extend(landline.clone());
            let mut addresses = vec![home.clone()];
            if self.random.happens(0.12) {
                addresses.push(self.address());
            }
            members.push(Person { given, surname: name, other_surname, birth, emails, phones, addresses });
        }
        members
    }

    fn record(&mut self, person: &Person, errors: f64, missing: f64) -> String {
        let mut given = person.given.clone();
        let mut surname = match &person.other_surname {
            Some(other) if self.random.happens(0.3) => other.clone(),
            _ => person.surname.clone(),
        };
        if self.random.happens(0.01) {
            std::mem::swap(&mut given, &mut surname);
        } else if self.random.happens(0.02) {
            given = given.chars().take(1).collect();
        }
        // A person's usual values are met most often.
        let usual = |random: &mut Random, count: usize| if random.happens(0.75) { 0 } else { random.below(count) };
        let address = &person.addresses[usual(&mut self.random, person.addresses.len())];
        let of = |random: &mut Random, list: &[String]| {
            if list.is_empty() { String::new() } else { list[usual(random, list.len())].clone() }
        };
        let mut email = of(&mut self.random, &person.emails);
        if !email.is_empty() && self.random.happens(0.03) {
            email = email.to_uppercase();
        }
        let mut phone = of(&mut self.random, &person.phones);
        if phone.len() > 5 && self.random.happens(0.15) {
            phone = format!("{} {} {}", self.country.dialling_code, &phone[1..4], &phone[4..]);
        }
        let (year, mut month, mut day) = person.birth;
        if day <= 12 && self.random.happens(0.01) {
            std::mem::swap(&mut month, &mut day);
        }
        let birth = match self.country.date {
            DateForm::Dotted => format!("{day:02}.{month:02}.{year:04}"),
            DateForm::Dashed => format!("{year:04}-{month:02}-{day:02}"),
            DateForm::MonthFirst => format!("{month:02}/{day:02}/{year:04}"),
        };
        let cells = [
            (given, 0.2),
            (surname, 0.15),
            (birth, 1.4),
            (email, 0.8),
            (phone, 0.8),
            (address.number.clone(), 0.7),
            (address.street.clone(), 0.7),
            (address.town.clone(), 0.7),
            (address.postcode.clone(), 0.7),
            (address.state.clone(), 0.7),
        ];
        let cells: Vec<String> = cells
            .into_iter()
            .map(|(cell, rate)| {
                if self.random.happens(missing * rate) {
                    String::new()
                } else if self.random.happens(errors) {
                    self.misspell(&cell)
                } else {
                    cell
                }
            })
            .collect();
        cells.join(",")
    }

    /// One typing error.
    fn misspell(&mut self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        if letters.len() < 2 {
            return text.to_owned();
        }
        let place = self.random.below(letters.len());
        let other = if letters[place].is_ascii_digit() {
            char::from(b'0' + self.random.below(10) as u8)
        } else {
            letters[self.random.below(letters.len())]
        };
        match self.random.below(4) {
            0 => letters[place] = other,
            1 => letters.insert(place, other),
            2 => {
                letters.remove(place);
            }
            _ => letters.swap(place.max(1) - 1, place.max(1)),
        }
        letters.into_iter().filter(|c| *c != ',').collect()
    }
}

/// Cyrillic letters in Latin ones, as a mail provider would have them.
fn latin(text: &str) -> String {
    const FROM: &str = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя";
    const TO: [&str; 33] = [
        "a", "b", "v", "g", "d", "e", "e", "zh", "z", "i", "y", "k", "l", "m", "n", "o", "p", "r", "s", "t", "u", "f",
        "kh", "ts", "ch", "sh", "sch", "", "y", "", "e", "yu", "ya",
    ];
    let one = |c: char| FROM.chars().position(|from| from == c).map_or(c.to_string(), |i| TO[i].to_owned());
    text.chars().map(one).collect()
}
