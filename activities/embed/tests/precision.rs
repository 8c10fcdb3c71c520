//! Other precisions stay near fp32, and those that cannot be had are refused.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use common::{difference, embed, embed_in_batches, options, refusal, root, sample};
use ndarray::Array2;
use wikitok_embed::{Device, EmbedError, Embedder, EmbedderOptions, Precision};
use wikitok_store::ErrorKind;

fn embedder(precision: Precision, threads: usize) -> Embedder {
    Embedder::load(&EmbedderOptions { precision, threads, ..options() }).unwrap()
}

/// The cosines of pairs of vectors of length one.
fn cosines(one: &Array2<f32>, other: &Array2<f32>) -> Vec<f32> {
    one.rows().into_iter().zip(other.rows()).map(|(one, other)| one.dot(&other)).collect()
}

fn least(cosines: &[f32]) -> f32 {
    cosines.iter().copied().fold(f32::INFINITY, f32::min)
}

#[test]
fn fp16_is_within_a_thousandth() {
    let (texts, expected) = sample();
    let cosines = cosines(&embed(&embedder(Precision::Fp16, 2), &texts), &expected);
    assert!(least(&cosines) > 1.0 - 1e-3, "{}", least(&cosines));
    assert!(least(&cosines) < 1.0 - 1e-9, "nothing was rounded to 16 bits");
}

/// Processors without the instructions are where the next test looks.
fn can_int8() -> bool {
    !matches!(
        Embedder::load(&EmbedderOptions { precision: Precision::Int8, ..options() }),
        Err(EmbedError::PrecisionUnavailable { .. })
    )
}

#[test]
fn int8_is_near() {
    if !can_int8() {
        return;
    }
    let (texts, expected) = sample();
    let cosines = cosines(&embed(&embedder(Precision::Int8, 2), &texts), &expected);
    let mean = cosines.iter().sum::<f32>() / cosines.len() as f32;
    assert!(mean > 0.999 && least(&cosines) > 0.995, "mean {mean}, least {}", least(&cosines));
    assert!(least(&cosines) < 1.0 - 1e-7, "nothing was rounded to 8 bits");
}

#[test]
fn int8_gives_the_same_bits_on_any_number_of_threads() {
    if !can_int8() {
        return;
    }
    let (texts, _) = sample();
    let one = embed(&embedder(Precision::Int8, 1), &texts);
    assert_eq!(one, embed(&embedder(Precision::Int8, 3), &texts));
}

/// Every row of a matrix is scaled by itself, so that what lies beside a text moves it by little.
#[test]
fn neighbours_in_the_batch_matter_little_in_int8() {
    if !can_int8() {
        return;
    }
    let (texts, _) = sample();
    let embedder = embedder(Precision::Int8, 2);
    let together = embed(&embedder, &texts);
    let found = difference(&together, &embed_in_batches(&embedder, &texts, 1));
    assert!(found < 5e-3, "differs by {found:e}");
}

/// Where the network has dimensions that fill no register, as its own small tests' have not.
#[test]
fn small_models_have_every_precision() {
    let model_directory = root().join("tests/data/models/uncased");
    let load = |precision| {
        Embedder::load(&EmbedderOptions { model_directory: model_directory.clone(), precision, ..options() })
    };
    let texts = ["Sofia is the capital of Bulgaria.", "rivers cut valleys", "東京"];
    let exact = embed(&load(Precision::Fp32).unwrap(), &texts);
    let half = embed(&load(Precision::Fp16).unwrap(), &texts);
    assert!(least(&cosines(&exact, &half)) > 0.999);
    if can_int8() {
        let eighth = embed(&load(Precision::Int8).unwrap(), &texts);
        assert!(least(&cosines(&exact, &eighth)) > 0.98, "{}", least(&cosines(&exact, &eighth)));
    }
}

#[test]
fn what_cannot_be_had_is_refused() {
    let (precision, device) = (Precision::Int8, Device::Cuda(0));
    let error = refusal(&EmbedderOptions { precision, device, ..options() });
    assert!(matches!(error, EmbedError::PrecisionUnavailable { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::BadConfiguration);
    assert!(error.to_string().contains("int8") && error.hint().is_some(), "{error}");
}

/// An ONNX file has the precision that it was exported in.
#[test]
fn onnx_files_are_not_converted() {
    let folder = tempfile::tempdir().unwrap();
    let models = root().join("tests/data/models");
    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    for file in
        ["config.json", "modules.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json"]
    {
        std::fs::copy(models.join("uncased").join(file), folder.path().join(file)).unwrap();
    }
    std::fs::copy(models.join("exported/model.onnx"), folder.path().join("model.onnx")).unwrap();
    let model_directory = folder.path().to_owned();
    for precision in [Precision::Fp16, Precision::Int8] {
        let model_directory = model_directory.clone();
        let device = Device::Cpu;
        let error = refusal(&EmbedderOptions { model_directory, precision, device, ..options() });
        let (message, name) = (error.to_string(), precision.to_string());
        assert!(message.contains("model.onnx") && message.contains(&name), "{message}");
    }
}
