//! What fuzzing has found worth keeping stays right: every input of the corpus, on a stable compiler.
//!
//! `fuzz/README.md` says how to look for more.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "../../../fuzz/checks/tokenizer.rs"]
mod tokenizer_check;

#[test]
fn tokenizer() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/tokenizer");
    let inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty());
    for input in inputs {
        tokenizer_check::check(&std::fs::read(&input).unwrap());
    }
}
