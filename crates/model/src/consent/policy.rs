//! What a workspace uses data for, on which legal ground, and the law of where people live.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::row::{RIGHTS, Row, State, Strength};
use crate::{Timestamp, clock::DAY_MS};

/// How many purposes, and how many jurisdictions, a policy may have.
pub const ENTRIES_MAX: usize = 200;
/// Bytes of a name in a policy.
pub const NAME_BYTES_MAX: usize = 200;

/// A workspace's policy. An empty one asks for consent to everything and denies where a person has said nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What is done where a person has said nothing, and no jurisdiction decides.
    #[serde(default)]
    pub unstated: Unstated,
    /// What data are used for, by name. What is not listed rests on consent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub purposes: BTreeMap<String, Purpose>,
    /// The law where people live, by code (`EU`, `CA-QC`, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jurisdictions: BTreeMap<String, Jurisdiction>,
    /// The traits that tell where a person lives.
    #[serde(default, skip_serializing_if = "Residence::is_empty")]
    pub residence: Residence,
    /// The jurisdiction of whoever lives nowhere known; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// The company's number in the IAB's Global Vendor List: a TC string must allow it as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcf_vendor: Option<u16>,
}

/// What a workspace does where a person has said nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unstated {
    /// Nothing may be used.
    #[default]
    Deny,
    /// Everything may be used.
    Allow,
}

/// The legal ground of a use (GDPR 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The person agrees, and may take it back.
    #[default]
    Consent,
    /// A contract with the person needs it.
    Contract,
    /// A law demands it.
    LegalObligation,
    /// Somebody's life depends on it.
    VitalInterests,
    /// A task in the public interest. The person may object.
    PublicTask,
    /// A legitimate interest. The person may object.
    LegitimateInterest,
}

/// What data are used for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is done with which data, in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The channels that people choose about one by one; none: they choose about the purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Its legal ground, where no jurisdiction names another.
    #[serde(default)]
    pub basis: Basis,
    /// An agreement runs out after so many days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_days: Option<u32>,
    /// An agreement counts when the person has confirmed it, or an operator has the proof.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub double_opt_in: bool,
    /// It is a sale or sharing of data, or targeted advertising: who opts out of those opts out of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sale: bool,
    /// It needs sensitive data: who limits their use opts out of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// Fields that are sensitive or of a special category, and that it may use all the same.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fields: BTreeSet<String>,
    /// It decides about people by score alone: who does not want that opts out of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automated: bool,
    /// What consent managers call it: `tcf.1` … `tcf.11` (IAB TCF purposes), `tcf.s1`, `tcf.s2` (special features), `ad_storage` and
    /// the others of Google's Consent Mode, or categories of the SDKs' consent objects. All of them must be granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<String>,
    /// The notice that people agree to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// A text that people were shown, by id and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which.
    pub id: String,
    /// In which version.
    pub version: String,
}

/// The law of a place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jurisdiction {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where: countries (`DE`) and regions of them (`US-CA`), as ISO 3166 codes.
    pub of: BTreeSet<String>,
    /// From this day on (UTC); absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Day>,
    /// Up to, and without, this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Day>,
    /// What is done where a person has said nothing; absent: as everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstated: Option<Unstated>,
    /// Other legal grounds for purposes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub basis: BTreeMap<String, Basis>,
    /// What is taken for an agreement here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub implied: Vec<Implied>,
}

/// An event that is taken for an agreement for a while, such as a purchase under Canada's anti-spam law.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Implied {
    /// The event's name.
    pub event: String,
    /// For which purpose.
    pub purpose: String,
    /// By which channel; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// For how many days.
    pub days: u32,
}

/// The traits that tell where a person lives, by name; of each list the first that has a value counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residence {
    /// Of the country, as an ISO 3166-1 code of two letters.
    #[serde(default)]
    pub country: Vec<String>,
    /// Of the region within it, as an ISO 3166-2 code with or without the country's.
    #[serde(default)]
    pub region: Vec<String>,
}

impl Residence {
    fn is_empty(&self) -> bool {
        self.country.is_empty() && self.region.is_empty()
    }

    /// Whether this trait tells where a person lives.
    pub fn reads(&self, name: &str) -> bool {
        self.country.iter().chain(&self.region).any(|own| own == name)
    }
}

impl Jurisdiction {
    /// Whether it is in force at an instant.
    pub fn in_force(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|day| day.0 <= at) && self.until.is_none_or(|day| at < day.0)
    }
}

/// A day (UTC) by its first instant; `2026-01-02` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(Timestamp);

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Day, String> {
        let day = Timestamp::parse(&text).filter(|_| text.len() == "2026-01-02".len());
        day.map(Day).ok_or_else(|| format!("{text:?} is no day; write 2026-01-02"))
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        let mut text = day.0.to_string();
        text.truncate("2026-01-02".len());
        text
    }
}

impl Policy {
    /// An empty one.
    pub const STRICTEST: Policy = Policy {
        unstated: Unstated::Deny,
        purposes: BTreeMap::new(),
        jurisdictions: BTreeMap::new(),
        residence: Residence { country: vec![], region: vec![] },
        elsewhere: None,
        tcf_vendor: None,
    };

    /// A policy that says only what silence means.
    pub fn of_silence(unstated: Unstated) -> Policy {
        Policy { unstated, ..Policy::default() }
    }

    /// The jurisdiction of a person with these traits: of the code `US-CA` before `US`, and where none fits the one for
    /// elsewhere.
    pub fn jurisdiction_of(&self, value: &dyn Fn(&str) -> Option<String>) -> Option<&str> {
        if self.jurisdictions.is_empty() {
            return None;
        }
        let code = |names: &[String]| {
            let mut given = names.iter().filter_map(|name| value(name));
            given.next().map(|text| text.trim().to_ascii_uppercase()).filter(|text| !text.is_empty())
        };
        let country = code(&self.residence.country);
        let region = code(&self.residence.region).map(|region| match &country {
            Some(country) if !region.contains('-') => format!("{country}-{region}"),
            _ => region,
        });
        let law_of = |place: &String| self.jurisdictions.iter().find(|(_, law)| law.of.contains(place));
        let found = region.as_ref().and_then(law_of).or_else(|| country.as_ref().and_then(law_of));
        found.map(|(code, _)| code.as_str()).or(self.elsewhere.as_deref())
    }

    /// The law with this code, where it is in force.
    pub fn law(&self, code: Option<&str>, at: Timestamp) -> Option<&Jurisdiction> {
        self.jurisdictions.get(code?).filter(|law| law.in_force(at))
    }

    /// When an agreement runs out; `MAX` where it does not.
    pub fn expires(&self, row: &Row) -> Timestamp {
        let days = self.purposes.get(&row.purpose).and_then(|purpose| purpose.expires_days);
        let by_policy = days.map_or(Timestamp::MAX, |days| row.at.plus(i64::from(days) * DAY_MS));
        row.expires.unwrap_or(Timestamp::MAX).min(by_policy)
    }

    /// The first instant after `at` at which a decision over these rows may change by time alone.
    pub fn until<'r>(&self, rows: impl IntoIterator<Item = &'r Row>, at: Timestamp) -> Timestamp {
        let ends = |row: &Row| if row.state == State::Granted { self.expires(row) } else { Timestamp::MAX };
        let of_rows = rows.into_iter().flat_map(|row| [row.at, ends(row)]);
        let days = self.jurisdictions.values().flat_map(|law| [law.since, law.until]).flatten().map(|day| day.0);
        of_rows.chain(days).filter(|change| *change > at).min().unwrap_or(Timestamp::MAX)
    }

    /// The rows that an event of this name brings by what jurisdictions take for an agreement.
    pub fn implied<'p>(&'p self, event: &'p str, at: Timestamp, offset: u64) -> impl Iterator<Item = Row> + 'p {
        self.jurisdictions.iter().flat_map(move |(code, law)| {
            law.implied.iter().filter(move |implied| implied.event == event).map(move |implied| {
                let mut row = Row::new(at, State::Granted, Strength::Implied, &implied.purpose, offset);
                row.channel.clone_from(&implied.channel);
                row.expires = Some(at.plus(i64::from(implied.days) * DAY_MS));
                row.jurisdiction = Some(code.clone());
                row
            })
        })
    }

    /// What of it a decision about one purpose reads.
    pub fn about(&self, purpose: &str) -> Policy {
        let mut only = Policy { residence: Residence::default(), ..self.clone() };
        only.purposes.retain(|name, _| name == purpose);
        for law in only.jurisdictions.values_mut() {
            law.of.clear();
            law.implied.clear();
            law.basis.retain(|name, _| name == purpose);
        }
        only
    }

    /// What is wrong with it, in sentences; none: it can be used.
    pub fn problems(&self) -> Vec<String> {
        let mut found = vec![];
        for (what, count) in [("purposes", self.purposes.len()), ("jurisdictions", self.jurisdictions.len())] {
            if count > ENTRIES_MAX {
                found.push(format!("{what}: there are {count}, and at most {ENTRIES_MAX} may be"));
            }
        }
        for (name, purpose) in &self.purposes {
            name_problems(&format!("purposes.{name:?}"), name, &mut found);
            if name.starts_with('$') || RIGHTS.contains(&name.as_str()) {
                found.push(format!("purposes.{name:?}: names with $ and * are rights of people; choose another"));
            }
            for channel in &purpose.channels {
                name_problems(&format!("purposes.{name:?}.channels"), channel, &mut found);
            }
            if purpose.expires_days == Some(0) {
                found.push(format!("purposes.{name:?}.expires_days: it is 0, so no agreement would ever count"));
            }
            for signal in purpose.signals.iter().filter(|signal| signal.is_empty() || !known(signal)) {
                let cure = "IAB TCF knows tcf.1 to tcf.11, tcf.s1 and tcf.s2";
                found.push(format!("purposes.{name:?}.signals: {signal:?} is no signal; {cure}"));
            }
        }
        for (code, law) in &self.jurisdictions {
            name_problems(&format!("jurisdictions.{code:?}"), code, &mut found);
            for place in law.of.iter().filter(|place| !is_place(place)) {
                let cure = "name a country (DE) or a region (US-CA) by its ISO 3166 code";
                found.push(format!("jurisdictions.{code:?}.of: {place:?} is no place; {cure}"));
            }
            if let (Some(since), Some(until)) = (law.since, law.until)
                && until <= since
            {
                found.push(format!("jurisdictions.{code:?}: it ends on {}, before it begins", String::from(until)));
            }
            let named = law.basis.keys().chain(law.implied.iter().map(|implied| &implied.purpose));
            for purpose in named.filter(|purpose| !self.purposes.contains_key(*purpose)) {
                found.push(format!("jurisdictions.{code:?}: it names the purpose {purpose:?}, which is not listed"));
            }
        }
        if let Some(code) = self.elsewhere.as_ref().filter(|code| !self.jurisdictions.contains_key(*code)) {
            found.push(format!("elsewhere: {code:?} is no jurisdiction of this policy"));
        }
        if self.residence.is_empty() && self.jurisdictions.values().any(|law| !law.of.is_empty()) {
            found
                .push("residence: name the traits that tell where a person lives, or nobody lives anywhere".to_owned());
        }
        found
    }
}

fn name_problems(place: &str, name: &str, found: &mut Vec<String>) {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        found.push(format!("{place}: a name has 1 to {NAME_BYTES_MAX} bytes, none of them for control"));
    }
}

fn known(signal: &str) -> bool {
    let Some(number) = signal.strip_prefix("tcf.") else { return true };
    matches!(number, "s1" | "s2") || number.parse::<u8>().is_ok_and(|number| (1..=11).contains(&number))
}

fn is_place(place: &str) -> bool {
    let (country, region) = place.split_once('-').map_or((place, None), |(country, region)| (country, Some(region)));
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    let region = region.is_none_or(|region| (1..=3).contains(&region.len()) && region.chars().all(upper));
    country.len() == 2 && country.chars().all(|c| c.is_ascii_uppercase()) && region
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Policy {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_region_goes_before_the_country_and_elsewhere_is_last() {
        let policy = policy(
            r#"{"residence":{"country":["country"],"region":["state"]},"elsewhere":"EU",
                "jurisdictions":{"EU":{"of":["DE","FR"]},"CA":{"of":["US-CA"]},"US":{"of":["US"]}}}"#,
        );
        assert_eq!(policy.problems(), [""; 0]);
        let of = |country: &str, state: &str| {
            let value = |name: &str| Some(if name == "country" { country } else { state }.to_owned());
            policy.jurisdiction_of(&value).map(str::to_owned)
        };
        assert_eq!(of("us", "CA").as_deref(), Some("CA"));
        assert_eq!(of("US", "us-ca").as_deref(), Some("CA"));
        assert_eq!(of("US", "NY").as_deref(), Some("US"));
        assert_eq!(of(" de ", "").as_deref(), Some("EU"));
        assert_eq!(of("BR", "").as_deref(), Some("EU"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = policy(
            r#"{"purposes":{"$sale":{},"ads":{"expires_days":0,"signals":["tcf.12"]}},"elsewhere":"XX",
                "jurisdictions":{"EU":{"of":["Germany"],"basis":{"mail":"contract"},"since":"2026-01-02","until":"2026-01-01"}}}"#,
        );
        expect_test::expect![[r#"
            purposes."$sale": names with $ and * are rights of people; choose another
            purposes."ads".expires_days: it is 0, so no agreement would ever count
            purposes."ads".signals: "tcf.12" is no signal; IAB TCF knows tcf.1 to tcf.11, tcf.s1 and tcf.s2
            jurisdictions."EU".of: "Germany" is no place; name a country (DE) or a region (US-CA) by its ISO 3166 code
            jurisdictions."EU": it ends on 2026-01-01, before it begins
            jurisdictions."EU": it names the purpose "mail", which is not listed
            elsewhere: "XX" is no jurisdiction of this policy
            residence: name the traits that tell where a person lives, or nobody lives anywhere"#]]
        .assert_eq(&wrong.problems().join("\n"));
    }
}
