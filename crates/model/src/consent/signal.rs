//! The consent signals that come with events, read into rows.
//!
//! * Segment's SDKs: `context.consent.categoryPreferences: {category: bool}`.
//! * RudderStack's SDKs: `context.consentManagement: {allowedConsentIds, deniedConsentIds, provider, resolutionStrategy}`.
//! * Google's Consent Mode v2: `context.consent.consentMode: {ad_storage: "granted" | "denied", …}`.
//! * The IAB's frameworks: a TC string in `context.consent.tcf`, a GPP string in `context.consent.gpp`.
//! * A browser's Global Privacy Control: the request's `Sec-GPC: 1`, or `context.consent.gpc: true`.
//!
//! Each category is a purpose of its own; what a TC string says is about those purposes only that name its own. Purposes of the workspace's policy that name signals get a row as well: an agreement
//! where all their signals are granted, a refusal where one is denied, none where some are missing.
//!
//! A signal that stands there and cannot be read is not silence: it denies ([`EVERYTHING`]).

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{
    Basis, EVERYTHING, Policy, Row, SALE, SENSITIVE, State, Strength, gpp::Gpp, policy::Purpose, tcf::TcString,
};
use crate::{
    Timestamp,
    json::{self, Members},
};

/// How many categories one event may speak of; more cannot be read.
pub const CATEGORIES_MAX: usize = 200;

/// Bytes of a category. A signal that names a longer one cannot be read.
pub const CATEGORY_BYTES_MAX: usize = 200;

/// What signals say, by their names.
type States = BTreeMap<String, State>;

/// The IAB's strings of an event.
#[derive(Default)]
struct Strings {
    tcf: Vec<TcString>,
    gpp: Option<Gpp>,
}

/// A signal that stands there and cannot be read.
struct Unreadable;

/// The rows that an event brings; none where it says nothing about consent. `gpc`: the request said `Sec-GPC: 1`.
pub fn rows(context: Option<&Members<'_>>, gpc: bool, policy: &Policy, at: Timestamp, offset: u64) -> Vec<Row> {
    let row = |purpose: &str, state: State| Row::new(at, state, Strength::Signal, purpose, offset);
    let mut read: Vec<Row> = vec![];
    let mut opted_out = gpc;
    let mut strings = Strings::default();
    match context.map_or(Ok(States::new()), |context| states(context, &mut strings, &mut opted_out)) {
        Err(Unreadable) => read.push(row(EVERYTHING, State::Denied)),
        Ok(states) => {
            for (name, purpose) in &policy.purposes {
                let said = |signal: &String| states.get(signal).copied().or(strings.said(signal, purpose, policy));
                let known = || purpose.signals.iter().filter_map(said);
                let state = known().max().filter(|state| state.denies() || known().count() == purpose.signals.len());
                // What a consent manager says of the purpose itself goes before.
                read.extend(state.filter(|_| !states.contains_key(name)).map(|state| row(name, state)));
            }
            read.extend(states.iter().map(|(name, state)| row(name, *state)));
            // Who did not opt out has not agreed to anything: an earlier opt-out is taken back, no more.
            let right = |opted: bool| if opted { State::Denied } else { State::NotCollected };
            let gpp = strings.gpp.as_ref();
            read.extend(gpp.and_then(|gpp| gpp.opted_out).map(|opted| row(SALE, right(opted))));
            read.extend(gpp.and_then(|gpp| gpp.limited).map(|limited| row(SENSITIVE, right(limited))));
        }
    }
    if opted_out {
        read.push(Row::new(at, State::Denied, Strength::Gpc, SALE, offset));
    }
    read
}

impl Strings {
    /// What TC strings say of `tcf.1`, `tcf.s1`, … for a purpose; all of them must allow it.
    fn said(&self, signal: &str, purpose: &Purpose, policy: &Policy) -> Option<State> {
        let number = signal.strip_prefix("tcf.")?;
        let vendor = policy.tcf_vendor;
        let on_interest = purpose.basis == Basis::LegitimateInterest;
        let allows = |tc: &TcString| match number.strip_prefix('s') {
            Some(feature) => feature.parse().is_ok_and(|feature| tc.opted_in(feature)),
            None => number
                .parse()
                .is_ok_and(|number| tc.allows(number, vendor) || (on_interest && tc.allows_interest(number, vendor))),
        };
        let state = |tc: &TcString| if allows(tc) { State::Granted } else { State::Denied };
        self.tcf.iter().map(state).max()
    }

    fn read(consent: &Members<'_>) -> Result<Strings, Unreadable> {
        let text = |name: &str| match consent.get(name).filter(|raw| !json::is_null(raw)) {
            None => Ok(None),
            Some(raw) => json::text(raw).map(Some).ok_or(Unreadable),
        };
        let mut strings = Strings::default();
        if let Some(text) = text("tcf")? {
            strings.tcf.push(TcString::decode(&text).ok_or(Unreadable)?);
        }
        if let Some(text) = text("gpp")? {
            let mut gpp = Gpp::decode(&text).ok_or(Unreadable)?;
            strings.tcf.extend(gpp.tcf.take());
            strings.gpp = Some(gpp);
        }
        // Since policy 5 a string that does not say which vendors were shown is void.
        if strings.tcf.iter().any(TcString::lacks_disclosed) { Err(Unreadable) } else { Ok(strings) }
    }
}

fn states(context: &Members<'_>, strings: &mut Strings, opted_out: &mut bool) -> Result<States, Unreadable> {
    let mut states = States::new();
    if let Some(management) = object(context.get("consentManagement"))? {
        rudderstack(&management, &mut states)?;
    }
    if let Some(consent) = object(context.get("consent"))? {
        if let Some(preferences) = object(consent.get("categoryPreferences"))? {
            for (category, value) in &preferences.0 {
                let state = match value.get() {
                    "true" => State::Granted,
                    "false" => State::Denied,
                    _ => return Err(Unreadable),
                };
                note(&mut states, category, state)?;
            }
        }
        if let Some(mode) = object(consent.get("consentMode"))? {
            for (signal, value) in &mode.0 {
                let state = match json::text(value).as_deref() {
                    Some("granted") => State::Granted,
                    Some("denied") => State::Denied,
                    // `wait_for_update`, `region`: what a page asks of Google's tag, and no answer.
                    _ if matches!(&**signal, "wait_for_update" | "region") => continue,
                    _ => return Err(Unreadable),
                };
                note(&mut states, signal, state)?;
            }
        }
        *strings = Strings::read(&consent)?;
        match consent.get("gpc").map(RawValue::get) {
            None | Some("false" | "null") => {}
            Some("true") => *opted_out = true,
            Some(_) => return Err(Unreadable),
        }
    }
    if states.len() > CATEGORIES_MAX { Err(Unreadable) } else { Ok(states) }
}

/// Of two signals about one category the more restrictive counts.
fn note(states: &mut States, category: &str, state: State) -> Result<(), Unreadable> {
    // Rights are asked for by other ways than a banner's categories.
    if category.is_empty() || category.len() > CATEGORY_BYTES_MAX || category.starts_with(['$', '*']) {
        return Err(Unreadable);
    }
    let known = states.entry(category.to_owned()).or_insert(state);
    *known = state.max(*known);
    Ok(())
}

fn object<'a>(raw: Option<&'a RawValue>) -> Result<Option<Members<'a>>, Unreadable> {
    match raw.filter(|raw| !json::is_null(raw)) {
        None => Ok(None),
        Some(raw) => Members::of(raw).map(Some).ok_or(Unreadable),
    }
}

fn rudderstack(management: &Members<'_>, states: &mut States) -> Result<(), Unreadable> {
    for (name, state) in [("allowedConsentIds", State::Granted), ("deniedConsentIds", State::Denied)] {
        let Some(list) = management.get(name).filter(|raw| !json::is_null(raw)) else { continue };
        // OneTrust, Ketch and iubenda give lists; a custom provider may give an empty object for "none".
        if list.get() == "{}" {
            continue;
        }
        let ids: Vec<String> = serde_json::from_str(list.get()).map_err(|_| Unreadable)?;
        ids.iter().try_for_each(|id| note(states, id, state))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn said(context: &str, gpc: bool, policy: &str) -> String {
        let members: Members<'_> = serde_json::from_str(context).unwrap();
        let policy = serde_json::from_str(policy).unwrap();
        let rows = rows(Some(&members), gpc, &policy, Timestamp(1), 0);
        let text: Vec<String> = rows.iter().map(|row| format!("{}:{:?}", row.purpose, row.state)).collect();
        text.join(" ")
    }

    #[expect(clippy::needless_pass_by_value, reason = "expect! makes values")]
    fn check(context: &str, expect: Expect) {
        expect.assert_eq(&said(context, false, "{}"));
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
        check(
            r#"{"consentManagement":{"allowedConsentIds":["a"]},"consent":{"categoryPreferences":{"a":false}}}"#,
            expect!["a:Denied"],
        );
        check(r#"{"consent":{"categoryPreferences":{"$sale":true}}}"#, expect!["*:Denied"]);
    }

    #[test]
    fn consent_mode_and_privacy_control_are_read() {
        check(
            r#"{"consent":{"consentMode":{"ad_storage":"denied","analytics_storage":"granted","wait_for_update":500}}}"#,
            expect!["ad_storage:Denied analytics_storage:Granted"],
        );
        check(r#"{"consent":{"consentMode":{"ad_storage":true}}}"#, expect!["*:Denied"]);
        check(r#"{"consent":{"gpc":true}}"#, expect!["$sale:Denied"]);
        check(r#"{"consent":{"gpc":1}}"#, expect!["*:Denied"]);
        assert_eq!(said("{}", true, "{}"), "$sale:Denied");
    }

    #[test]
    fn the_strings_of_the_iab_are_read_for_the_purposes_that_name_theirs() {
        let policy = r#"{"purposes":{"ads":{"signals":["tcf.1","tcf.3"]},"measure":{"signals":["tcf.7"]},"care":{}}}"#;
        let tc = |purposes: u32, policy_version: u8, disclosed: bool| {
            let disclosed = disclosed.then(|| crate::consent::tcf::Vendors::of([7]));
            let vendors = crate::consent::tcf::Vendors::of([7]);
            TcString { consents: purposes, policy_version, disclosed, vendors, ..TcString::default() }.encode()
        };
        let tcf = |text: &str, policy: &str| said(&format!(r#"{{"consent":{{"tcf":"{text}"}}}}"#), false, policy);
        assert_eq!(tcf(&tc(0b101, 4, false), policy), "ads:Granted measure:Denied");
        assert_eq!(
            tcf(&tc(0b101, 5, false), policy),
            "*:Denied",
            "policy 5 without the vendors that were shown is void"
        );
        assert_eq!(tcf(&tc(0b101, 5, true), policy), "ads:Granted measure:Denied");
        let other = policy.replacen('{', r#"{"tcf_vendor":8,"#, 1);
        assert_eq!(tcf(&tc(0b101, 5, true), &other), "ads:Denied measure:Denied", "another vendor was meant");
        assert_eq!(tcf("nonsense", "{}"), "*:Denied");
        let gpp = |text: &str| said(&format!(r#"{{"consent":{{"gpp":"{text}"}}}}"#), false, policy);
        assert_eq!(gpp("DBABTA~1YYN"), "$sale:Denied");
        assert_eq!(gpp("DBABTA~1YNN"), "$sale:NotCollected");
        assert_eq!(gpp("DBABTA~"), "*:Denied");
    }

    #[test]
    fn a_purpose_takes_all_its_signals() {
        let policy = r#"{"purposes":{"ads":{"signals":["ad_storage","ad_user_data"]},"marketing":{"signals":["C1"]}}}"#;
        let mode = |storage: &str, data: &str| {
            said(&format!(r#"{{"consent":{{"consentMode":{{"ad_storage":"{storage}"{data}}}}}}}"#), false, policy)
        };
        assert_eq!(
            mode("granted", r#","ad_user_data":"granted""#),
            "ads:Granted ad_storage:Granted ad_user_data:Granted"
        );
        assert_eq!(mode("granted", ""), "ad_storage:Granted", "one is missing, so nothing is said of the purpose");
        assert_eq!(mode("denied", ""), "ads:Denied ad_storage:Denied");
        let own = r#"{"consent":{"categoryPreferences":{"C1":true,"marketing":false}}}"#;
        assert_eq!(said(own, false, policy), "C1:Granted marketing:Denied");
    }
}
