#![no_main]

#[path = "../properties.rs"]
#[expect(dead_code, reason = "this target calls one of them")]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::http(bytes));
