//! The text form of segments: any text is read or refused, and what is read prints as text of the same meaning.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onefold_model::segment::text;

fuzz_target!(|input: &str| {
    match text::parse(input) {
        Ok(condition) => {
            let printed = text::print(&condition);
            if printed.len() <= text::LENGTH_MAX {
                let again = text::parse(&printed).unwrap_or_else(|error| panic!("{printed}\n{error}"));
                assert_eq!(again, condition.normal(), "{printed}");
            }
        }
        Err(error) => {
            assert!(input.is_char_boundary(error.at), "{error}");
            assert!(error.to_string().len() < 2000);
        }
    }
    if let Ok(computed) = text::parse_computed(input) {
        let printed = text::print_computed(&computed);
        if printed.len() <= text::LENGTH_MAX {
            assert_eq!(text::parse_computed(&printed).as_ref(), Ok(&computed), "{printed}");
        }
    }
});
