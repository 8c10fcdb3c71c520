//! Texts and word pieces a second on the repository's sample, for several sizes of batch, and how long
//! loading and a very long text take: `cargo bench -p wikitok-embed`.
//!
//! `WIKITOK_BENCH_TEXTS` names another file of lines with a `text`, `WIKITOK_BENCH_DEVICE` a device,
//! `WIKITOK_BENCH_PRECISION` a precision.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the report is the point, and a failure ends it"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use wikitok_embed::{Device, Embedder, EmbedderOptions, Precision};

fn main() {
    let device = std::env::var("WIKITOK_BENCH_DEVICE").map_or(Device::Cpu, |name| name.parse().unwrap());
    let precision =
        std::env::var("WIKITOK_BENCH_PRECISION").map_or(Precision::Fp32, |name| name.parse().unwrap());
    let texts = match std::env::var_os("WIKITOK_BENCH_TEXTS") {
        Some(path) => common::texts(path.as_ref()),
        None => common::sample().0,
    };
    let start = Instant::now();
    let options = EmbedderOptions { device, precision, threads: 0, ..common::options() };
    let embedder = Embedder::load(&options).unwrap();
    let version = embedder.runtime_version();
    println!("{device}, {precision}, ONNX Runtime {version}: loaded in {:.2?}", start.elapsed());
    measure_batches(&embedder, &texts);
    measure_long_texts(&embedder);
}

/// The sizes take turns, so that what else the machine does meets all of them.
fn measure_batches(embedder: &Embedder, texts: &[String]) {
    let word_pieces: usize = texts.iter().map(|text| embedder.count_word_pieces(text).unwrap()).sum();
    let budgets: &[usize] = match embedder.device() {
        Device::Cuda(_) => &[8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10],
        _ => &[128, 256, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10],
    };
    let mut best = vec![Duration::MAX; budgets.len()];
    for _ in 0..3 {
        for (budget, best) in budgets.iter().zip(&mut best) {
            *best = timed(|| common::embed_in_batches(embedder, texts, *budget)).min(*best);
        }
    }
    println!("{} texts, {word_pieces} word pieces, best of 3", texts.len());
    for (budget, best) in budgets.iter().zip(best) {
        let (texts, word_pieces) = (texts.len() as f64, word_pieces as f64);
        let seconds = best.as_secs_f64();
        println!(
            "batch {budget:>6}: {:>7.1} texts/s {:>8.0} word pieces/s",
            texts / seconds,
            word_pieces / seconds
        );
    }
}

fn measure_long_texts(embedder: &Embedder) {
    for (name, unit) in [("words", "ten bytes "), ("one word", "ten_bytes_")] {
        let text = unit.repeat(1 << 20);
        println!("10 MiB of {name}: {:.2?}", timed(|| embedder.count_word_pieces(&text)));
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}
