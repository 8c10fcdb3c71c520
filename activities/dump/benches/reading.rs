//! How fast shards are read into records, beside the usual decoders that only decompress.
//!
//! All are measured in turn in one run, on the development set where it lies beside the checkout and on the
//! repository's sample otherwise. The best of several rounds counts: read the ratios.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark talks to a person")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wikitok_dump::{ByteRange, RangeInput, RangeLimits, open_range};

const ROUNDS: usize = 7;

type Contender<'a> = (&'a str, fn(&Bytes) -> u64);

fn main() {
    let other = data();
    let current = files(&other.join("cirrus_search_index"), "enwiki");
    let legacy = files(&other.join("cirrussearch"), "enwiki");
    println!("{}", other.display());
    compare(&current, &[("bzip2, crate bzip2", crate_bzip2), ("bzip2, records of wikitok", blocks)]);
    compare(&legacy, &[("gzip, crate flate2 with zlib-rs", flate2), ("gzip, records of wikitok", stream)]);
}

fn data() -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let shared = PathBuf::from(root).join("../shared/data/dev/other");
    if shared.exists() { shared } else { PathBuf::from(root).join("tests/data/sample/other") }
}

/// Every shard of the wiki below a directory.
fn files(directory: &Path, wiki: &str) -> Vec<Bytes> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path, wiki));
        } else if name.starts_with(wiki) {
            found.push(Bytes::from(fs::read(path).unwrap()));
        }
    }
    found
}

fn compare(files: &[Bytes], contenders: &[Contender<'_>]) {
    let mut best = vec![Duration::MAX; contenders.len()];
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        for ((_, run), best) in contenders.iter().zip(&mut best) {
            let start = Instant::now();
            bytes = files.iter().map(run).sum::<u64>();
            *best = start.elapsed().min(*best);
        }
    }
    for ((name, _), time) in contenders.iter().zip(&best) {
        let ratio = best[0].as_secs_f64() / time.as_secs_f64();
        println!("{name:32} {:7.1} MB/s out  {ratio:.2}x", bytes as f64 / 1e6 / time.as_secs_f64());
    }
}

fn crate_bzip2(data: &Bytes) -> u64 {
    drain(bzip2::read::MultiBzDecoder::new(&data[..]))
}

fn flate2(data: &Bytes) -> u64 {
    drain(flate2::read::MultiGzDecoder::new(&data[..]))
}

fn drain(mut reader: impl Read) -> u64 {
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => return bytes,
            read => bytes += read as u64,
        }
    }
}

fn blocks(data: &Bytes) -> u64 {
    records(data, &RangeInput::Blocks(ByteRange { from: 0, to: data.len() as u64 }))
}

fn stream(data: &Bytes) -> u64 {
    records(data, &RangeInput::Stream { start: None, consume_bytes: u64::MAX })
}

fn records(data: &Bytes, input: &RangeInput) -> u64 {
    let mut reader = open_range(Arc::new(data.clone()), input, RangeLimits::default()).unwrap();
    while reader.next().unwrap().is_some() {}
    reader.finish().unwrap().uncompressed_bytes
}
