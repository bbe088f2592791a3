//! Minimisation: whatever an event holds, what is left of it is JSON, and minimising that again leaves all of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onefold_model::event::{Collection, Minimised};

fuzz_target!(|input: (&str, &str)| {
    let (json, name) = input;
    let mut collection: Collection = serde_json::from_str(
        r#"{"undeclared":"drop","purposes":{"a":{"traits":["email"],"events":{"*":["total"]},"context":["page"]}}}"#,
    )
    .expect("it is one");
    collection.purposes.values_mut().for_each(|needs| drop(needs.traits.insert(name.to_owned())));
    if let Minimised::Less(left, dropped) = collection.minimise(json) {
        assert!(dropped > 0 && left.len() <= json.len() * 6, "{json}");
        assert_eq!(collection.minimise(&left), Minimised::Whole, "{json} {left}");
    }
});
