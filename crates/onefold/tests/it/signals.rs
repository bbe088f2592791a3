//! TC and GPP strings against the IAB's own packages: what they write we read as they mean it, and what we write they read back.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use onefold_model::consent::{
    gpp::Gpp,
    tcf::{TcString, Vendors},
};
use serde_json::{Value, json};

use crate::support::root;

/// Strings of each kind.
const STRINGS: &str = "400";

fn node(args: &[&str], input: &str) -> Vec<Value> {
    let folder = root().join("tests/sdk");
    let missing = "run tests/setup.sh first: it installs the packages";
    assert!(folder.join("node_modules/@iabtechlabtcf/core").exists(), "{missing}");
    let mut node = Command::new("node")
        .args(["consent-strings.mjs"])
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect(missing);
    let mut stdin = node.stdin.take().unwrap();
    let input = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = node.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn set(bits: u32) -> Vec<u32> {
    (1..=32).filter(|number| bits >> (number - 1) & 1 == 1).collect()
}

fn letters(letters: [u8; 2]) -> String {
    letters.iter().map(|letter| char::from(b'A' + letter)).collect()
}

fn numbers(vendors: &Vendors) -> Vec<u16> {
    vendors.0.iter().flat_map(|(start, end)| *start..=*end).collect()
}

/// As `consent-strings.mjs` tells what the reference says.
fn view(tc: &TcString) -> Value {
    let restriction = |r: &onefold_model::consent::tcf::Restriction| json!([r.purpose, r.kind, numbers(&r.vendors)]);
    let mut restrictions: Vec<Value> = tc.restrictions.iter().map(restriction).collect();
    // As JavaScript sorts: by their text.
    restrictions.sort_by_key(|r| format!("{},{}", r[0], r[1]));
    json!({
        "cmp_id": tc.cmp_id, "cmp_version": tc.cmp_version, "screen": tc.consent_screen,
        "language": letters(tc.consent_language), "vendor_list": tc.vendor_list_version, "policy": tc.policy_version,
        "country": letters(tc.publisher_country), "service": tc.is_service_specific, "texts": tc.use_non_standard_texts,
        "one": tc.purpose_one_treatment, "created": tc.created * 100, "updated": tc.last_updated * 100,
        "features": set(tc.special_features), "consents": set(tc.consents), "interests": set(tc.legitimate_interests),
        "vendors": numbers(&tc.vendors), "interested": numbers(&tc.interested_vendors),
        "disclosed": tc.disclosed.as_ref().map(numbers).unwrap_or_default(), "restrictions": restrictions,
        "publisher": tc.publisher.as_ref().map(|own| set(own.consents)).unwrap_or_default(),
    })
}

fn sorted(mut view: Value) -> Value {
    if let Some(restrictions) = view["restrictions"].as_array_mut() {
        restrictions.sort_by_key(|r| format!("{},{}", r[0], r[1]));
    }
    view
}

#[test]
fn strings_mean_to_us_what_they_mean_to_the_iabs_own_packages() {
    let (mut ours, mut theirs) = (String::new(), vec![]);
    for made in node(&["make", "2026", STRINGS], "") {
        let text = made["text"].as_str().unwrap();
        match made["kind"].as_str().unwrap() {
            "tcf" => {
                let tc = TcString::decode(text).unwrap_or_else(|| panic!("{text}"));
                assert_eq!(view(&tc), sorted(made["says"].clone()), "{text}");
                ours.push_str(&tc.encode());
                ours.push('\n');
                theirs.push(sorted(made["says"].clone()));
            }
            _ => {
                let gpp = Gpp::decode(text).unwrap_or_else(|| panic!("{text}"));
                let choice = |said: Option<bool>| said.map_or(0, |opted| if opted { 1 } else { 2 });
                let says = json!({ "opted_out": choice(gpp.opted_out), "limited": choice(gpp.limited), "sections": gpp.sections });
                assert_eq!(says, made["says"], "{text}");
            }
        }
    }
    let read: Vec<Value> = node(&["read"], &ours).into_iter().map(sorted).collect();
    assert_eq!(read, theirs);
}
