//! The stock SDKs, with only URL and write key changed.
