//! Bodies of OpenDSR requests: any bytes are read or refused, and what is read keeps its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onefold_model::opendsr::{CALLBACKS_MAX, read};

fuzz_target!(|body: &[u8]| {
    if let Ok(request) = read(body) {
        assert!(!request.id.is_empty() && request.callbacks.len() <= CALLBACKS_MAX);
        assert!(request.identifiers.iter().all(|one| one.contains(':')));
    }
});
