//! What cannot be run is refused by name, with a kind and a hint.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use common::{home, options, refusal, root};
use tempfile::TempDir;
use wikitok_embed::{ALL_MINILM_L6_V2, Device, EmbedError, Embedder, EmbedderOptions, inspect_model};
use wikitok_store::ErrorKind;

const FILES: [&str; 6] = [
    "1_Pooling/config.json",
    "config.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
];

/// Without which there is no model; where `sentence_bert_config.json` is missing, others say where texts are cut.
const NEEDED: [&str; 5] =
    ["1_Pooling/config.json", "config.json", "model.safetensors", "modules.json", "tokenizer.json"];

/// A folder with links to the model's files, to be spoiled.
fn model_copy() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    fs::create_dir_all(model.join("1_Pooling")).unwrap();
    for file in FILES {
        symlink(options().model_directory.join(file).canonicalize().unwrap(), model.join(file)).unwrap();
    }
    (folder, model)
}

/// The failure to accept a model in whose `file` the first `from` reads `to`.
fn refusal_after(file: &str, from: &str, to: &str) -> EmbedError {
    let (_folder, model) = model_copy();
    let path = model.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "`{from}` is not in `{file}`");
    fs::remove_file(&path).unwrap();
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    inspect_model(&model).unwrap_err()
}

fn assert_says(error: &EmbedError, parts: &[&str]) {
    let message = error.to_string();
    assert_eq!(error.kind(), ErrorKind::BadConfiguration, "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

fn assert_hints_at_fetch(error: &EmbedError) {
    assert!(error.hint().is_some_and(|hint| hint.contains("tools/fetch")), "{error}");
}

#[test]
fn the_fetched_model_is_accepted() {
    let identity = inspect_model(&options().model_directory).unwrap();
    let known = ALL_MINILM_L6_V2;
    assert_eq!((identity.name.as_str(), identity.model_sha256.as_str()), (known.name, known.model_sha256));
    assert_eq!(identity.settings_sha256, known.settings_sha256);
    assert_eq!((identity.max_word_pieces, identity.dimensions), (256, 384));
    assert!(
        identity.model_sha256.starts_with("53aa5117") && identity.tokenizer_sha256.starts_with("be50c362")
    );
}

#[test]
fn every_missing_file_is_named() {
    for file in NEEDED {
        let (_folder, model) = model_copy();
        fs::remove_file(model.join(file)).unwrap();
        let error = inspect_model(&model).unwrap_err();
        assert!(matches!(error, EmbedError::ModelMissing { .. }), "{error:?}");
        assert_says(&error, &[file]);
        assert_hints_at_fetch(&error);
    }
}

#[test]
fn a_missing_folder_is_refused_on_loading() {
    let options = EmbedderOptions { model_directory: "no/such/model".into(), ..options() };
    assert_says(&refusal(&options), &["no/such/model"]);
}

/// A run names the weights that it wants by their sha256, and a worker that holds others refuses it.
#[test]
fn other_weights_are_another_model() {
    let (_folder, model) = model_copy();
    let path = model.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let identity = inspect_model(&model).unwrap();
    assert_ne!(identity.model_sha256, ALL_MINILM_L6_V2.model_sha256);
    assert_eq!(identity.settings_sha256, ALL_MINILM_L6_V2.settings_sha256);
}

#[test]
fn weights_that_are_cut_off_or_none_are_refused() {
    let (_folder, model) = model_copy();
    let path = model.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    for (length, part) in
        [(4, "no table of contents"), (100, "ends inside"), (bytes.len() - 4, "by its table of contents")]
    {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = refusal(&EmbedderOptions { model_directory: model.clone(), ..options() });
        assert_says(&error, &["model.safetensors", part]);
    }
    fs::write(&path, "version https://git-lfs.github.com/spec/v1").unwrap();
    let error = refusal(&EmbedderOptions { model_directory: model, ..options() });
    assert_says(&error, &["model.safetensors", "no table of contents"]);
}

/// They would be in no checksum.
#[test]
fn weights_outside_of_the_file_are_refused() {
    let (_folder, model) = model_copy();
    fs::remove_file(model.join("model.safetensors")).unwrap();
    fs::copy(root().join("tests/data/models/exported/model.onnx"), model.join("model.onnx")).unwrap();
    fs::write(model.join("model.onnx_data"), "weights").unwrap();
    assert_says(&inspect_model(&model).unwrap_err(), &["model.onnx", "model.onnx_data", "within the file"]);
}

#[test]
fn a_network_of_another_shape_is_refused_by_what_differs() {
    for (from, to, field) in [
        ("\"bert\"", "\"mpnet\"", "model_type"),
        ("\"gelu\"", "\"swish\"", "hidden_act"),
        ("\"absolute\"", "\"relative_key\"", "position_embedding_type"),
        ("\"num_attention_heads\": 12", "\"num_attention_heads\": 7", "num_attention_heads"),
        ("\"num_attention_heads\": 12", "\"num_attention_heads\": 0", "num_attention_heads"),
    ] {
        assert_says(&refusal_after("config.json", from, to), &["config.json", field]);
    }
    let error = refusal_after("config.json", "\"hidden_size\": 384,", "");
    assert!(matches!(error, EmbedError::ModelFormat { .. }), "{error:?}");
    assert_says(&error, &["config.json", "hidden_size"]);
}

#[test]
fn dimensions_that_the_weights_do_not_have_are_refused_by_tensor() {
    let (_folder, model) = model_copy();
    let path = model.join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let text = text.replace("\"intermediate_size\": 1536", "\"intermediate_size\": 768");
    fs::write(&path, text).unwrap();
    let error = refusal(&EmbedderOptions { model_directory: model, ..options() });
    assert_says(&error, &["encoder.layer.0.intermediate.dense.weight", "[768, 384]", "[1536, 384]"]);
}

#[test]
fn another_pooling_or_pipeline_is_refused() {
    let tokens = "\"pooling_mode_cls_token\": false";
    let error = refusal_after("1_Pooling/config.json", tokens, "\"pooling_mode_cls_token\": true");
    assert_says(&error, &["1_Pooling", "cls, mean"]);
    let error = refusal_after("1_Pooling/config.json", tokens, "\"include_prompt\": false");
    assert_says(&error, &["1_Pooling", "include_prompt"]);
    let error = refusal_after("modules.json", "models.Normalize", "models.Dense");
    assert_says(&error, &["modules.json", "Transformer, Pooling, Dense"]);
}

#[test]
fn a_limit_that_the_positions_do_not_reach_is_refused() {
    for limit in ["513", "2", "0"] {
        let error = refusal_after("sentence_bert_config.json", "256", limit);
        assert_says(&error, &["max_seq_length", limit, "3 to 512"]);
    }
}

#[test]
fn a_missing_runtime_is_refused() {
    let options = EmbedderOptions { runtime_library: "no/such/libonnxruntime.so".into(), ..options() };
    let error = refusal(&options);
    assert!(matches!(error, EmbedError::RuntimeMissing { .. }), "{error:?}");
    assert_says(&error, &["no/such/libonnxruntime.so"]);
    assert_hints_at_fetch(&error);
}

#[test]
fn a_second_runtime_is_refused() {
    common::embedder();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("libonnxruntime.so");
    fs::copy(home().join("lib/libonnxruntime.so"), &copy).unwrap();
    let error = refusal(&EmbedderOptions { runtime_library: copy, ..options() });
    assert!(matches!(error, EmbedError::RuntimeConflict { .. }), "{error:?}");
    assert_says(&error, &["already loaded"]);
}

#[test]
fn a_link_to_the_loaded_runtime_is_no_second_one() {
    common::embedder();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("libonnxruntime.so");
    symlink(home().join("lib/libonnxruntime.so").canonicalize().unwrap(), &link).unwrap();
    let embedder = Embedder::load(&EmbedderOptions { runtime_library: link, ..options() }).unwrap();
    assert_eq!(common::embed(&embedder, &["a"]).nrows(), 1);
}

/// `tools/fetch` fetches the library without CUDA: asking for a GPU must fail, not fall back.
#[test]
fn a_gpu_that_the_runtime_cannot_use_is_an_error() {
    let error = refusal(&EmbedderOptions { device: Device::Cuda(1), ..options() });
    assert!(matches!(error, EmbedError::DeviceUnavailable { .. }), "{error:?}");
    assert_says(&error, &["cuda:1", "without CUDA"]);
    assert!(error.hint().is_some_and(|hint| hint.contains("onnxruntime-gpu")));
}

/// Only who asks for `auto` gets the processor instead, and is told.
#[test]
fn auto_is_the_processor_where_no_gpu_can_be_used() {
    let embedder = Embedder::load(&EmbedderOptions { device: Device::Auto, ..options() }).unwrap();
    assert_eq!(embedder.device(), Device::Cpu);
    assert_eq!(common::embed(&embedder, &["a"]).nrows(), 1);
}
