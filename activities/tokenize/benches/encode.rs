//! How fast ids are made, and how many times as fast as by `tiktoken-rs`, in one run on the same articles.
//!
//! Each round starts with an engine that has seen other text but none of the articles: it caches words, and
//! would otherwise be measured on looking up what it did the round before.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and may fail")]

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use wikitok_tokenize::{Encoding, Tokenizer};

const ROUNDS: u32 = 10;

fn main() {
    let warm_up = texts("tiktoken_ids.jsonl.gz");
    let articles = texts("other/cirrussearch/20240408/enwiki-20240408-cirrussearch-content.json.gz");
    let megabytes = articles.iter().map(String::len).sum::<usize>() as f64 / 1e6;
    for encoding in Encoding::ALL {
        let reference = match encoding {
            Encoding::Cl100kBase => tiktoken_rs::cl100k_base_singleton(),
            _ => tiktoken_rs::o200k_base_singleton(),
        };
        let ours = fastest(&warm_up, &articles, || {
            let tokenizer = Tokenizer::new(encoding).unwrap();
            move |text: &str| tokenizer.encode_ordinary(text).unwrap()
        });
        let theirs = fastest(&warm_up, &articles, || |text: &str| reference.encode_ordinary(text));
        println!(
            "{encoding}: {:.1} MB/s, {:.2} times tiktoken-rs",
            megabytes / ours.as_secs_f64(),
            theirs.as_secs_f64() / ours.as_secs_f64()
        );
    }
}

/// The texts of a file of JSON lines in the sample.
fn texts(file: &str) -> Vec<String> {
    let sample = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/sample"));
    let lines = BufReader::new(MultiGzDecoder::new(File::open(sample.join(file)).unwrap())).lines();
    let text =
        |line: String| serde_json::from_str::<Value>(&line).unwrap()["text"].as_str().map(str::to_owned);
    lines.filter_map(|line| text(line.unwrap())).collect()
}

/// The quickest of some rounds: the others were disturbed.
fn fastest<E: Fn(&str) -> Vec<u32>>(
    warm_up: &[String],
    texts: &[String],
    engine: impl Fn() -> E,
) -> Duration {
    let round = || {
        let encode = engine();
        for text in warm_up {
            black_box(encode(text));
        }
        let start = Instant::now();
        for text in texts {
            black_box(encode(text));
        }
        start.elapsed()
    };
    (0..ROUNDS).map(|_| round()).min().unwrap_or_default()
}
