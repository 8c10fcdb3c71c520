//! Where the tests find the model, the texts and the reference vectors.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and a test may fail anywhere"
)]

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use wikitok_embed::{Device, EmbedError, Embedder, EmbedderOptions, Precision};

/// What `tools/fetch` fetched.
pub(crate) fn home() -> PathBuf {
    let home = std::env::var_os("WIKITOK_HOME")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.wikitok"), PathBuf::from);
    assert!(
        home.join("models").exists() && home.join("lib").exists(),
        "no model and no ONNX Runtime in `{}`: run `tools/fetch`",
        home.display()
    );
    home
}

/// The checkout; on another machine than it was compiled on, `WIKITOK_TEST_ROOT` says where it is.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("WIKITOK_TEST_ROOT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), PathBuf::from)
}

/// The fetched model on the processor, or on the device that `WIKITOK_TEST_DEVICE` names, see `tests/gpu/run`.
pub(crate) fn options() -> EmbedderOptions {
    let device = std::env::var("WIKITOK_TEST_DEVICE").map_or(Device::Cpu, |name| name.parse().unwrap());
    EmbedderOptions {
        model_directory: home().join("models/all-MiniLM-L6-v2"),
        runtime_library: home().join("lib/libonnxruntime.so"),
        device,
        precision: Precision::Fp32,
        threads: 2,
    }
}

pub(crate) fn embedder() -> Embedder {
    Embedder::load(&options()).unwrap()
}

/// The vectors of texts that are expected to have them.
pub(crate) fn embed<S: AsRef<str> + Sync>(embedder: &Embedder, texts: &[S]) -> Array2<f32> {
    embedder.embed(texts, None, &|_| true).unwrap()
}

/// The same in batches of so many padded word pieces.
pub(crate) fn embed_in_batches<S: AsRef<str> + Sync>(
    embedder: &Embedder,
    texts: &[S],
    word_pieces: usize,
) -> Array2<f32> {
    embedder.embed(texts, Some(word_pieces), &|_| true).unwrap()
}

/// The failure of loading with these options.
pub(crate) fn refusal(options: &EmbedderOptions) -> EmbedError {
    Embedder::load(options).err().expect("the model must be refused")
}

/// Texts with the vectors of sentence-transformers, from the repository.
pub(crate) fn sample() -> (Vec<String>, Array2<f32>) {
    reference(&root().join("tests/data/sample"))
}

/// The bigger set beside the checkout, where there is one.
pub(crate) fn oracle() -> Option<(Vec<String>, Array2<f32>)> {
    let folder = root().join("../shared/oracle");
    folder.exists().then(|| reference(&folder))
}

fn reference(folder: &Path) -> (Vec<String>, Array2<f32>) {
    let texts = texts(&folder.join("minilm_texts.jsonl"));
    let vectors = read_npy(&folder.join("minilm_vectors.npy"));
    assert_eq!(vectors.nrows(), texts.len());
    (texts, vectors)
}

/// The `text` of each line.
pub(crate) fn texts(path: &Path) -> Vec<String> {
    let lines = fs::read_to_string(path).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

/// Reads rows of 384 little-endian `float32`; see `numpy.lib.format`.
fn read_npy(path: &Path) -> Array2<f32> {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..7], b"\x93NUMPY\x01", "{}", path.display());
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..data]).unwrap();
    assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
    let values = bytes[data..].as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value));
    let values: Vec<f32> = values.collect();
    Array2::from_shape_vec((values.len() / 384, 384), values).unwrap()
}

/// The greatest difference between two numbers at the same place.
pub(crate) fn difference<'a>(
    one: impl Into<ArrayView2<'a, f32>>,
    other: impl Into<ArrayView2<'a, f32>>,
) -> f32 {
    let (one, other) = (one.into(), other.into());
    assert_eq!(one.dim(), other.dim());
    assert!(one.iter().chain(&other).all(|value| value.is_finite()));
    one.iter().zip(&other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}
