//! The input: the development set's English Wikipedia where it lies beside the checkout, else the sample,
//! repeated until it is large enough. Made once, below `target/bench`.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use wikitok_dump::Article;

use crate::stages;

/// One dump in one of the two layouts.
pub(crate) struct Dump {
    /// Its name for `--dump`.
    pub(crate) name: String,
    /// Its source for `--source`.
    pub(crate) source: PathBuf,
    /// Its shards, repeated.
    pub(crate) shards: Vec<PathBuf>,
    /// Its shards as they are.
    pub(crate) once: Vec<PathBuf>,
    /// The same, in memory.
    pub(crate) data: Vec<Bytes>,
}

/// What all contenders work on.
pub(crate) struct Input {
    pub(crate) gzip: Dump,
    pub(crate) bzip2: Dump,
    /// The articles of one repetition.
    pub(crate) articles: Vec<Article>,
    repetitions: usize,
    raw_bytes: usize,
}

impl Input {
    pub(crate) fn prepare(megabytes: usize) -> Self {
        let other = found();
        let (gzip, bzip2) = (shards(&other.join("cirrussearch")), shards(&other.join("cirrus_search_index")));
        let raw = raw(&gzip);
        let repetitions = (megabytes * 1_000_000).div_ceil(raw.len());
        let folder = other.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let source = root().join(format!("target/bench/{folder}-{repetitions}"));
        if !source.join("made").is_file() {
            eprintln!("making {} once: {repetitions} times {}", source.display(), other.display());
            make(&source, &other, &gzip, &bzip2, &raw, repetitions);
        }
        let dump = |once: Vec<PathBuf>| Dump {
            name: snapshot(&once[0]),
            source: source.clone(),
            shards: once.iter().map(|path| moved(path, &other, &source)).collect(),
            data: once.iter().map(|path| Bytes::from(fs::read(path).unwrap())).collect(),
            once,
        };
        let (gzip, bzip2) = (dump(gzip), dump(bzip2));
        let articles = stages::articles(&gzip.data);
        Self { gzip, bzip2, articles, repetitions, raw_bytes: raw.len() }
    }

    pub(crate) fn describe(&self) -> String {
        let megabytes = self.raw_bytes as f64 / 1e6;
        let text = self.text_bytes() as f64 / 1e6;
        format!(
            "{} and {}: {} articles, {megabytes:.1} MB of JSON, {text:.1} MB of text; repeated {} times for what is whole",
            self.gzip.name,
            self.bzip2.name,
            self.articles.len(),
            self.repetitions
        )
    }

    pub(crate) fn text_bytes(&self) -> u64 {
        self.articles.iter().map(|article| article.text.len() as u64).sum()
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A folder for what is made.
pub(crate) fn scratch() -> PathBuf {
    let scratch = root().join("target/bench");
    fs::create_dir_all(&scratch).unwrap();
    scratch
}

fn found() -> PathBuf {
    let shared = root().join("../shared/data/dev/other");
    if shared.is_dir() {
        return shared.canonicalize().unwrap();
    }
    eprintln!("`../shared/data/dev` is not beside this checkout: the sample is used");
    root().join("tests/data/sample/other").canonicalize().unwrap()
}

/// The shards of the English Wikipedia's newest snapshot in a layout, by name.
fn shards(layout: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(layout).sort_by_file_name().into_iter().map(|entry| entry.unwrap());
    let is_shard = |name: &str| name.starts_with("enwiki") && name.contains(".json.");
    let files = files.filter(|entry| entry.file_type().is_file());
    let shards: Vec<_> = files
        .filter(|entry| is_shard(&entry.file_name().to_string_lossy()))
        .map(walkdir::DirEntry::into_path)
        .collect();
    let newest = snapshot(shards.last().unwrap());
    shards.into_iter().filter(|path| snapshot(path) == newest).collect()
}

/// `enwiki-20260920` of `enwiki_content-20260920-00000.json.bz2`, and of the legacy layout's names.
fn snapshot(shard: &Path) -> String {
    let name = shard.file_name().unwrap().to_string_lossy().into_owned();
    let date = name.split('-').nth(1).unwrap();
    format!("enwiki-{date}")
}

fn raw(gzip: &[PathBuf]) -> Vec<u8> {
    let mut raw = Vec::new();
    MultiGzDecoder::new(File::open(&gzip[0]).unwrap()).read_to_end(&mut raw).unwrap();
    raw
}

fn moved(path: &Path, from: &Path, to: &Path) -> PathBuf {
    to.join("other").join(path.strip_prefix(from).unwrap())
}

/// gzip as one member, as upstream writes it; bzip2 as streams one after the other.
fn make(source: &Path, other: &Path, gzip: &[PathBuf], bzip2: &[PathBuf], raw: &[u8], repetitions: usize) {
    let mut encoder = GzEncoder::new(create(&moved(&gzip[0], other, source)), flate2::Compression::new(6));
    for _ in 0..repetitions {
        encoder.write_all(raw).unwrap();
    }
    encoder.finish().unwrap().flush().unwrap();
    for shard in bzip2 {
        let target = moved(shard, other, source);
        create(&target).write_all(&fs::read(shard).unwrap().repeat(repetitions)).unwrap();
        File::create(target.with_file_name("_SUCCESS")).unwrap();
    }
    File::create(source.join("made")).unwrap();
}

fn create(path: &Path) -> BufWriter<File> {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    BufWriter::with_capacity(1 << 20, File::create(path).unwrap())
}
