//! The programs and libraries one would use otherwise, beside our stage that does the same.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use bytes::Bytes;
use wikitok_tokenize::{Encoding, Tokenizer};

use crate::Contender;
use crate::clock::{self, Sample, Work};
use crate::data::{self, Input};
use crate::stages;

/// Shards are decompressed so often in a round: two threads begin and end at different moments, which must not count.
const REPETITIONS: usize = 4;

pub(crate) fn bzip2(input: &Input) -> Vec<Contender<'_>> {
    let shards = vec![input.bzip2.data.clone(); REPETITIONS].concat();
    let files = vec![input.bzip2.once.clone(); REPETITIONS].concat();
    let mut contenders = Vec::new();
    if is_installed("bzip2") {
        let files = files.clone();
        contenders.push(Contender::new("C bzip2 1.0.8", move || program("bzip2", &["-dc"], &files)));
    }
    if is_installed("lbzip2") {
        contenders
            .push(Contender::new("C lbzip2, 1 thread", move || program("lbzip2", &["-n1", "-dc"], &files)));
    }
    let (alone, ours, twice) = (shards.clone(), shards.clone(), shards);
    contenders.push(Contender::new("crate bzip2", move || {
        one_thread(&alone, |shard| drain(bzip2::read::MultiBzDecoder::new(&shard[..])))
    }));
    contenders.push(Contender::new("wikitok", move || one_thread(&ours, stages::decompress)));
    contenders.push(Contender::new("wikitok, 2 threads", move || two_threads(&twice)));
    contenders
}

pub(crate) fn gzip(input: &Input) -> Vec<Contender<'_>> {
    let shards = &input.gzip.data;
    vec![
        Contender::new("crate flate2 with zlib-rs", || {
            one_thread(shards, |shard| drain(flate2::read::MultiGzDecoder::new(&shard[..])))
        }),
        Contender::new("wikitok", || one_thread(shards, stages::decompress)),
    ]
}

/// Repeated texts are quicker for engines that remember words, so each runs on the articles once a round.
pub(crate) fn tokenize(input: &Input) -> Vec<Contender<'_>> {
    let mut contenders = Vec::new();
    if let Some(python) = python() {
        let (texts, ranks) = (write_texts(input), write_ranks());
        contenders.push(Contender::new("Python tiktoken", move || tiktoken(&python, &texts, &ranks, input)));
    }
    contenders.push(Contender::new("tiktoken-rs", || {
        let engine = tiktoken_rs::cl100k_base_singleton();
        encode(input, |text| engine.encode_ordinary(text))
    }));
    contenders.push(Contender::new("wikitok", || {
        let tokenizer = Tokenizer::new(Encoding::Cl100kBase).unwrap();
        encode(input, |text| tokenizer.encode_ordinary(text).unwrap())
    }));
    contenders
}

fn one_thread(shards: &[Bytes], read: fn(&Bytes) -> u64) -> Sample {
    clock::process(|| Work { bytes: shards.iter().map(read).sum(), articles: 0 })
}

/// Half of the shards on another thread.
fn two_threads(shards: &[Bytes]) -> Sample {
    let (left, right) = shards.split_at(shards.len() / 2);
    clock::children(|| {
        thread::scope(|scope| {
            let other = scope.spawn(|| left.iter().map(stages::decompress).sum::<u64>());
            let bytes = right.iter().map(stages::decompress).sum::<u64>();
            Work { bytes: bytes + other.join().unwrap(), articles: 0 }
        })
    })
}

fn drain(mut reader: impl Read) -> u64 {
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => return bytes,
            read => bytes += black_box(&buffer[..read]).len() as u64,
        }
    }
}

fn encode(input: &Input, encode: impl Fn(&str) -> Vec<u32>) -> Sample {
    clock::process(|| {
        for article in &input.articles {
            black_box(encode(&article.text));
        }
        Work { bytes: input.text_bytes(), articles: input.articles.len() as u64 }
    })
}

fn is_installed(name: &str) -> bool {
    let found = Command::new(name).arg("--version").stdin(Stdio::null()).output().is_ok();
    if !found {
        eprintln!("`{name}` is not installed: left out");
    }
    found
}

/// Runs a decompressor once for each file. Starting it takes a millisecond of the hundreds.
fn program(name: &str, arguments: &[&str], files: &[PathBuf]) -> Sample {
    let bytes = |path: &PathBuf| {
        let mut child = Command::new(name)
            .args(arguments)
            .stdin(File::open(path).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let bytes = drain(child.stdout.take().unwrap());
        assert!(child.wait().unwrap().success());
        bytes
    };
    clock::children(|| Work { bytes: files.iter().map(bytes).sum(), articles: 0 })
}

/// The Python that `tools/fetch --bench` gave tiktoken.
fn python() -> Option<PathBuf> {
    let python = data::root().join(".wikitok/venv/bin/python");
    let has_tiktoken = Command::new(&python).args(["-c", "import tiktoken"]).stderr(Stdio::null()).status();
    if has_tiktoken.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!("Python's tiktoken is not there: left out (`tools/fetch --bench` installs it)");
    None
}

fn write_texts(input: &Input) -> PathBuf {
    let texts: Vec<_> = input.articles.iter().map(|article| &article.text).collect();
    let path = data::scratch().join("texts.json");
    fs::write(&path, serde_json::to_vec(&texts).unwrap()).unwrap();
    path
}

/// The vocabulary, which tiktoken would fetch from the network: its tokens in hexadecimal, in order.
fn write_ranks() -> PathBuf {
    let engine = tiktoken_rs::cl100k_base_singleton();
    let token = |rank| hex::encode(engine.decode_bytes(&[rank]).unwrap());
    let tokens: Vec<_> = (0..100_256).map(token).collect();
    let path = data::scratch().join("cl100k_base.json");
    fs::write(&path, serde_json::to_vec(&tokens).unwrap()).unwrap();
    path
}

/// What it takes to load text and vocabulary is not counted.
fn tiktoken(python: &Path, texts: &Path, ranks: &Path, input: &Input) -> Sample {
    const SCRIPT: &str = include_str!("tiktoken.py");
    let output = Command::new(python).args(["-c", SCRIPT]).arg(texts).arg(ranks).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut numbers = printed.split_whitespace().map(|number| number.parse::<f64>().unwrap());
    let (wall, cpu) = (numbers.next().unwrap(), numbers.next().unwrap());
    Sample { wall, cpu, bytes: input.text_bytes(), articles: input.articles.len() as u64 }
}
