//! Ids equal those of tiktoken: of Python's on stored texts, of `tiktoken-rs` on whatever can be made up.

#![allow(clippy::unwrap_used, reason = "a test that unwraps an error has failed")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use flate2::read::MultiGzDecoder;
use proptest::prelude::*;
use serde_json::Value;
use tiktoken_rs::CoreBPE;
use wikitok_tokenize::{Encoding, Tokenizer};

static TOKENIZERS: LazyLock<[Tokenizer; 2]> =
    LazyLock::new(|| Encoding::ALL.map(|encoding| Tokenizer::new(encoding).expect("it is built in")));

fn reference(encoding: Encoding) -> &'static CoreBPE {
    match encoding {
        Encoding::Cl100kBase => tiktoken_rs::cl100k_base_singleton(),
        _ => tiktoken_rs::o200k_base_singleton(),
    }
}

fn assert_like_reference(text: &str) {
    for tokenizer in &*TOKENIZERS {
        let ids = tokenizer.encode_ordinary(text).unwrap();
        let expected = reference(tokenizer.encoding()).encode_ordinary(text);
        assert!(ids == expected, "{}: {text:?}", tokenizer.encoding());
    }
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().expect("an array of ids");
    ids.iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

fn lines(path: &Path) -> impl Iterator<Item = Value> {
    let file = File::open(path).expect("the file is there");
    let reader: Box<dyn Read> = match path.extension() {
        Some(extension) if extension == "gz" => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    BufReader::new(reader).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

/// Compares every text of a file with the ids beside it; `at` finds the ids of an encoding.
fn assert_like_stored(path: &Path, texts: usize, at: fn(&Value, Encoding) -> Vec<u32>) {
    let mut seen = 0;
    for line in lines(path) {
        let text = line["text"].as_str().expect("a text");
        for tokenizer in &*TOKENIZERS {
            let expected = at(&line, tokenizer.encoding());
            assert_eq!(tokenizer.encode_ordinary(text).unwrap(), expected, "{text:?}");
        }
        seen += 1;
    }
    assert!(seen >= texts, "{seen} texts in {}", path.display());
}

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(path);
    if path.exists() {
        return Some(path);
    }
    #[expect(clippy::print_stderr, reason = "says that the test had nothing to test")]
    {
        eprintln!("skipped: {} is not there", path.display());
    }
    None
}

#[test]
fn stored_texts_have_the_ids_of_tiktoken() {
    let path =
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/sample/tiktoken_ids.jsonl.gz"));
    assert_like_stored(path, 736, |line, encoding| ids(&line[encoding.name()]));
}

#[test]
fn the_big_oracle_agrees() {
    let Some(path) = shared("oracle/tiktoken_oracle.jsonl.gz") else { return };
    assert_like_stored(&path, 2_110, |line, encoding| ids(&line[encoding.name()]));
}

#[test]
fn special_tokens_are_text() {
    assert_like_reference("<|endoftext|> a<|fim_prefix|>b <|endofprompt|>\n<|endoftext|><|endoftext|>");
    let Some(path) = shared("oracle/tiktoken_special.jsonl") else { return };
    assert_like_stored(&path, 1, |line, encoding| ids(&line[encoding.name()]["encode_ordinary"]));
}

/// The rules of splitting ask for categories of characters: no character may be in another one here.
#[test]
fn every_character_is_split_alike() {
    let characters: Vec<char> = ('\0'..=char::MAX).collect();
    for some in characters.chunks(4096) {
        let text: String = some.iter().flat_map(|c| ['a', *c, 'B', ' ', *c, '1', *c, *c, '\n']).collect();
        assert_like_reference(&text);
    }
}

/// splintr 0.22 does not know that `ſ` folds to `s`, so that `'ſ` is a contraction.
#[test]
fn the_long_s_makes_contractions() {
    for text in ["'s'ſ'Sh", "it'ſhe'S  \n  'ſ's", "A'ſa'ſA  'ſ", "x ſ 'ſt <|endoftext|>'ſ\r\n\r\n  a"]
    {
        assert_like_reference(text);
    }
}

#[test]
fn long_runs_have_exact_ids() {
    for text in runs(30_000) {
        assert_like_reference(&text);
    }
}

/// One run without a space is the classic trap: merging it naively takes time that grows with its square,
/// minutes for these megabytes. The reference is too slow to be asked, so the text is put together again.
#[test]
fn megabytes_without_a_space_end() {
    for text in runs(1_000_000) {
        for tokenizer in &*TOKENIZERS {
            let ids = tokenizer.encode_ordinary(&text).unwrap();
            let decoded = reference(tokenizer.encoding()).decode_bytes(&ids).expect("every id is known");
            assert!(decoded == text.as_bytes(), "{}", tokenizer.encoding());
        }
    }
}

/// Texts of about `bytes` bytes that are one piece, or badly split.
fn runs(bytes: usize) -> Vec<String> {
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let letter = |number: u64, first: char| char::from_u32(first as u32 + number as u32).expect("a letter");
    let letters: String = (0..bytes).map(|_| letter(random(26), 'a')).collect();
    let scripts = ['a', '\u{4e00}', '\u{e0}', '\u{430}', '\u{5d0}', '\u{e01}'];
    let mixed: String = (0..bytes / 2).map(|_| letter(random(20), scripts[random(6) as usize])).collect();
    let repeated = ["x", "中", "ก", "😀", " ", "\n ", "=-", "ab", "\u{301}", "9", "'ſ"];
    let repeated = repeated.map(|unit| unit.repeat(bytes / unit.len()));
    repeated.into_iter().chain([letters, mixed]).collect()
}

/// Pieces that the rules of splitting treat in ways of their own.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        "\\PC{1,8}",
        "[ \\t\\r\\n\u{a0}\u{3000}\u{85}]{1,5}",
        "('s|'S|'ll|'LL|’s|'d){1,2}",
        "[aA]?'ſ[aA]?",
        "[0-9٠-٩Ⅷ½]{1,7}",
        "[A-ZÄa-zßǅʰªאก\u{301}]{1,9}",
        "[/!?.,:;<|>_*#=-]{1,6}[\\r\\n/]{0,3}",
        Just("<|endoftext|>".to_owned()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn made_up_texts_have_the_ids_of_tiktoken(text in hostile()) {
        assert_like_reference(&text);
    }
}
