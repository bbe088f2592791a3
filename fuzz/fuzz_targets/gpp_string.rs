//! GPP strings: any text is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onefold_model::consent::gpp::Gpp;

fuzz_target!(|input: &str| {
    if let Some(gpp) = Gpp::decode(input) {
        assert!(gpp.sections.len() <= 64);
    }
});
