//! The consent objects of the SDKs, read into rows.
//!
//! * Segment: `context.consent.categoryPreferences: {category: bool}`.
//! * RudderStack: `context.consentManagement: {allowedConsentIds, deniedConsentIds, provider, resolutionStrategy}`.
//!
//! An object that stands there and cannot be read is not silence: it denies ([`super::UNREADABLE`]).

use serde_json::value::RawValue;

use super::{Row, State, Strength, UNREADABLE};
use crate::{
    Timestamp,
    json::{self, Members},
};

/// How many categories one event may speak of; more cannot be read.
pub const CATEGORIES_MAX: usize = 200;

/// The rows that an event's context brings; none where it says nothing about consent.
pub fn rows(context: &Members<'_>, at: Timestamp, offset: u64) -> Vec<Row> {
    let row =
        |purpose: String, state: State| Row { at, state, strength: Strength::Signal, purpose, channel: None, offset };
    let mut read = vec![];
    for signal in [context.get("consent").map(segment), context.get("consentManagement").map(rudderstack)] {
        match signal {
            None => {}
            Some(Some(states)) => read.extend(states.into_iter().map(|(purpose, state)| row(purpose, state))),
            Some(None) => return vec![row(UNREADABLE.to_owned(), State::Denied)],
        }
    }
    read
}

fn segment(raw: &RawValue) -> Option<Vec<(String, State)>> {
    if json::is_null(raw) {
        return Some(vec![]);
    }
    let consent = Members::of(raw)?;
    let Some(preferences) = consent.get("categoryPreferences") else { return Some(vec![]) };
    let preferences = Members::of(preferences)?;
    if preferences.0.len() > CATEGORIES_MAX {
        return None;
    }
    preferences
        .0
        .iter()
        .map(|(category, value)| match value.get() {
            "true" => Some((category.to_string(), State::Granted)),
            "false" => Some((category.to_string(), State::Denied)),
            _ => None,
        })
        .collect()
}

fn rudderstack(raw: &RawValue) -> Option<Vec<(String, State)>> {
    if json::is_null(raw) {
        return Some(vec![]);
    }
    let management = Members::of(raw)?;
    let mut states = vec![];
    for (name, state) in [("allowedConsentIds", State::Granted), ("deniedConsentIds", State::Denied)] {
        let Some(list) = management.get(name).filter(|raw| !json::is_null(raw)) else { continue };
        // OneTrust, Ketch and iubenda give lists; a custom provider may give an empty object for "none".
        if list.get() == "{}" {
            continue;
        }
        let ids: Vec<String> = serde_json::from_str(list.get()).ok()?;
        states.extend(ids.into_iter().map(|id| (id, state)));
    }
    (states.len() <= CATEGORIES_MAX).then_some(states)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(context: &str, expect: Expect) {
        let members: Members<'_> = serde_json::from_str(context).unwrap();
        let text: Vec<String> =
            rows(&members, Timestamp(1), 0).iter().map(|row| format!("{}:{:?}", row.purpose, row.state)).collect();
        expect.assert_eq(&text.join(" "));
    }

    #[test]
    fn both_shapes_are_read_and_the_unreadable_denies() {
        check("{}", expect![""]);
        check(r#"{"consent":{"categoryPreferences":{"ads":true,"email":false}}}"#, expect!["ads:Granted email:Denied"]);
        check(r#"{"consent":{"categoryPreferences":{"ads":"yes"}}}"#, expect!["*:Denied"]);
        check(r#"{"consent":[]}"#, expect!["*:Denied"]);
        check(r#"{"consent":null}"#, expect![""]);
        check(
            r#"{"consentManagement":{"allowedConsentIds":["C1"],"deniedConsentIds":["C2"],"provider":"oneTrust"}}"#,
            expect!["C1:Granted C2:Denied"],
        );
        check(r#"{"consentManagement":{"allowedConsentIds":{},"deniedConsentIds":["C2"]}}"#, expect!["C2:Denied"]);
        check(r#"{"consentManagement":{"deniedConsentIds":"C2"}}"#, expect!["*:Denied"]);
    }
}
