//! What fuzzing has found worth keeping stays right: every input of the corpus, on a stable compiler.
//!
//! `fuzz/README.md` says how to look for more.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

#[path = "../../../fuzz/checks/bzip2.rs"]
mod bzip2_check;
#[path = "../../../fuzz/checks/checkpoint.rs"]
mod checkpoint_check;
#[path = "../../../fuzz/checks/gzip.rs"]
mod gzip_check;
#[path = "../../../fuzz/checks/records.rs"]
mod records_check;

/// Checks every input of a target's corpus.
fn run(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus")).join(target);
    let inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty());
    for input in inputs {
        check(&std::fs::read(&input).unwrap());
    }
}

#[test]
fn bzip2() {
    run("bzip2", bzip2_check::check);
}

#[test]
fn gzip() {
    run("gzip", gzip_check::check);
}

#[test]
fn checkpoints() {
    run("checkpoint", checkpoint_check::check);
}

#[test]
fn records() {
    run("records", records_check::check);
}
