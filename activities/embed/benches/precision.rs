//! What other precisions cost in accuracy and gain in time, against fp32 in the same run:
//! `cargo bench -p wikitok-embed --bench precision`.
//!
//! `WIKITOK_BENCH_TEXTS` names another file of lines with a `text` than the repository's sample. Time is that of
//! the processor, which other programs on the machine disturb less than that of the clock.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the report is the point, and a failure ends it"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::BTreeSet;

use ndarray::Array2;
use wikitok_embed::{Embedder, EmbedderOptions, Precision};

/// Neighbours that are compared.
const NEIGHBOURS: usize = 10;

fn main() {
    let texts = match std::env::var_os("WIKITOK_BENCH_TEXTS") {
        Some(path) => common::texts(path.as_ref()),
        None => common::sample().0,
    };
    let (exact, time) = measure(Precision::Fp32, &texts);
    println!(
        "{} texts, fp32: {time:.2} s of the processor, {:.1} texts/s",
        texts.len(),
        texts.len() as f64 / time
    );
    let (rough, other) = measure(Precision::Int8, &texts);
    let cosines: Vec<f32> = exact.rows().into_iter().zip(rough.rows()).map(|(a, b)| a.dot(&b)).collect();
    let mean = cosines.iter().sum::<f32>() / cosines.len() as f32;
    let least = cosines.iter().copied().fold(f32::INFINITY, f32::min);
    println!(
        "int8: {other:.2} s, {:.2} times as fast; cosine to fp32 {mean:.5} on average, {least:.5} at least",
        time / other
    );
    println!("same {NEIGHBOURS} nearest: {:.2} %", 100.0 * shared(&neighbours(&exact), &neighbours(&rough)));
}

fn measure(precision: Precision, texts: &[String]) -> (Array2<f32>, f64) {
    let embedder = Embedder::load(&EmbedderOptions { precision, threads: 1, ..common::options() }).unwrap();
    let start = processor_seconds();
    let vectors = common::embed(&embedder, texts);
    (vectors, processor_seconds() - start)
}

/// User time of this process; see `proc_pid_stat(5)`. A tick is a hundredth of a second on Linux.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(") ").next().unwrap();
    fields.split(' ').nth(11).unwrap().parse::<f64>().unwrap() / 100.0
}

fn neighbours(vectors: &Array2<f32>) -> Vec<BTreeSet<usize>> {
    let scores = vectors.dot(&vectors.t());
    let nearest = |(row, scores): (usize, ndarray::ArrayView1<'_, f32>)| {
        let mut order: Vec<usize> = (0..scores.len()).filter(|&other| other != row).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.into_iter().take(NEIGHBOURS).collect()
    };
    scores.rows().into_iter().enumerate().map(nearest).collect()
}

fn shared(one: &[BTreeSet<usize>], other: &[BTreeSet<usize>]) -> f64 {
    let same: usize = one.iter().zip(other).map(|(one, other)| one.intersection(other).count()).sum();
    same as f64 / one.iter().map(BTreeSet::len).sum::<usize>() as f64
}
