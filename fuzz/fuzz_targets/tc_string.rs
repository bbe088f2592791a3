//! TC strings: any text is read or refused, and what is read is written as a string of the same meaning.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onefold_model::consent::tcf::TcString;

fuzz_target!(|input: &str| {
    if let Some(tc) = TcString::decode(input) {
        assert_eq!(TcString::decode(&tc.encode()).as_ref(), Some(&tc), "{input}");
        for purpose in 0..30 {
            let _ = (tc.allows(purpose, Some(7)), tc.allows_interest(purpose, None));
        }
    }
});
