#![no_main]

#[path = "../checks/bzip2.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
