//! Models of other builds than all-MiniLM's: their vectors are sentence-transformers', and what cannot be run
//! is refused by name. The models are random and small; `tests/models/generate.py` made them.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{difference, embed_in_batches, options, refusal};
use ndarray::Array2;
use serde::Deserialize;
use tempfile::TempDir;
use wikitok_embed::{EmbedError, Embedder, EmbedderOptions, Pooling, Prompts, inspect_model};

const TOLERANCE: f32 = 1e-5;

/// What `generate.py` computed.
#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    vectors: BTreeMap<String, Vec<Vec<f32>>>,
}

impl Expected {
    fn of(model: &str) -> Self {
        serde_json::from_slice(&fs::read(fixture(model).join("expected.json")).unwrap()).unwrap()
    }

    fn vectors(&self, kind: &str) -> Array2<f32> {
        let rows = &self.vectors[kind];
        Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
    }
}

fn fixture(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/models").join(model)
}

/// A copy of a model, to be changed.
fn copy_of(model: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(model), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::write(target, fs::read(path).unwrap()).unwrap();
        }
    }
}

fn load(model_directory: &Path) -> Embedder {
    Embedder::load(&EmbedderOptions { model_directory: model_directory.to_owned(), ..options() }).unwrap()
}

#[track_caller]
fn assert_vectors(embedder: &Embedder, texts: &[String], expected: &Array2<f32>) {
    for budget in [1, 100, 4096] {
        let found = difference(&embed_in_batches(embedder, texts, budget), expected);
        assert!(found < TOLERANCE, "differs by {found:e} with batches of {budget}");
    }
}

#[test]
fn a_model_of_today_gives_the_vectors_of_sentence_transformers() {
    let expected = Expected::of("uncased");
    let embedder = load(&fixture("uncased"));
    assert_vectors(&embedder, &expected.texts, &expected.vectors("normalized"));
    let identity = embedder.identity();
    assert_eq!((identity.max_word_pieces, identity.dimensions), (48, 32));
    assert_eq!((identity.pooling, identity.normalized), (Pooling::Mean, true));
    let prompts = Prompts { passage: "passage: ".to_owned(), query: "query: ".to_owned() };
    assert_eq!((identity.name.as_str(), &identity.prompts), ("uncased", &prompts));
}

#[test]
fn a_model_of_2021_gives_the_vectors_of_sentence_transformers() {
    let expected = Expected::of("cased");
    let embedder = load(&fixture("cased"));
    assert_vectors(&embedder, &expected.texts, &expected.vectors("normalized"));
    let identity = embedder.identity();
    assert_eq!((identity.max_word_pieces, identity.dimensions), (32, 48));
    assert_eq!((identity.pooling, identity.normalized), (Pooling::Cls, true));
    assert_eq!(identity.prompts, Prompts::default());
}

#[test]
fn every_pooling_gives_the_vectors_of_sentence_transformers() {
    let (expected, folder) = (Expected::of("uncased"), copy_of("uncased"));
    let modules = fs::read_to_string(folder.path().join("modules.json")).unwrap();
    let mut modules: Vec<serde_json::Value> = serde_json::from_str(&modules).unwrap();
    modules.truncate(2);
    fs::write(folder.path().join("modules.json"), serde_json::to_vec(&modules).unwrap()).unwrap();
    for pooling in ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] {
        let setting = format!(r#"{{"embedding_dimension": 32, "pooling_mode": ["{pooling}"]}}"#);
        fs::write(folder.path().join("1_Pooling/config.json"), setting).unwrap();
        let vectors = expected.vectors(pooling);
        assert_vectors(&load(folder.path()), &expected.texts, &vectors);
        // The same with the pooling done here, for a network that came as an ONNX file.
        let onnx = fixture("exported").join("model.onnx");
        fs::rename(folder.path().join("model.safetensors"), folder.path().join("aside")).unwrap();
        fs::copy(&onnx, folder.path().join("model.onnx")).unwrap();
        assert_vectors(&load(folder.path()), &expected.texts, &vectors);
        fs::remove_file(folder.path().join("model.onnx")).unwrap();
        fs::rename(folder.path().join("aside"), folder.path().join("model.safetensors")).unwrap();
    }
}

#[test]
fn what_is_written_before_a_text_is_embedded_with_it() {
    let expected = Expected::of("uncased");
    let prefixed: Vec<String> = expected.texts.iter().map(|text| format!("passage: {text}")).collect();
    assert_vectors(&load(&fixture("uncased")), &prefixed, &expected.vectors("passage"));
}

/// Settings that decide the vectors are told apart, however the same thing is written.
#[test]
fn a_model_read_in_another_way_is_another_model() {
    let folder = copy_of("cased");
    let (path, before) = (folder.path(), inspect_model(folder.path()).unwrap());
    let change = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(path.join(file)).unwrap();
        assert!(text.contains(from), "`{from}` is not in `{file}`");
        fs::write(path.join(file), text.replacen(from, to, 1)).unwrap();
        let after = inspect_model(path).unwrap();
        fs::write(path.join(file), text).unwrap();
        after
    };
    let same = change("modules.json", "sentence_transformers.models.Normalize", "elsewhere.Normalize");
    assert_eq!(same.settings_sha256, before.settings_sha256);
    let others = [
        change(
            "1_Pooling/config.json",
            "\"pooling_mode_cls_token\": true",
            "\"pooling_mode_lasttoken\": true",
        ),
        change("sentence_bert_config.json", "true", "false"),
        change("config.json", "\"num_attention_heads\": 3", "\"num_attention_heads\": 4"),
        change("config.json", "gelu_new", "gelu"),
        change("tokenizer.json", "\"max_length\": 16", "\"max_length\": 17"),
    ];
    for other in others {
        assert_ne!(other.settings_sha256, before.settings_sha256, "{other:?}");
        assert_eq!(other.model_sha256, before.model_sha256);
    }
}

#[track_caller]
fn assert_refused(folder: &TempDir, parts: &[&str]) {
    let error = refusal(&EmbedderOptions { model_directory: folder.path().to_owned(), ..options() });
    let unsupported = matches!(error, EmbedError::UnsupportedModel { .. } | EmbedError::ModelMissing { .. });
    assert!(unsupported, "{error:?}");
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(error.hint().is_some(), "{message}");
}

#[test]
fn weights_in_another_form_are_refused() {
    for form in ["pytorch_model.bin", "model.safetensors.index.json"] {
        let folder = copy_of("cased");
        fs::rename(folder.path().join("model.safetensors"), folder.path().join(form)).unwrap();
        assert_refused(&folder, &[form, "model.safetensors", "model.onnx"]);
    }
}

#[test]
fn adapters_are_refused() {
    let folder = copy_of("cased");
    fs::write(folder.path().join("adapter_config.json"), "{}").unwrap();
    assert_refused(&folder, &["adapter_config.json", "merged"]);
}

#[test]
fn tokenizers_of_other_families_are_refused() {
    for (from, to, part) in [
        (
            r#""max_input_chars_per_word": 100"#,
            r#""max_input_chars_per_word": 9000"#,
            "max_input_chars_per_word",
        ),
        (r#""type": "BertNormalizer""#, r#""type": "Lowercase""#, "BertNormalizer"),
        (r#""type": "BertPreTokenizer""#, r#""type": "Whitespace""#, "BertPreTokenizer"),
        (r#""lowercase": false"#, r#""lowercase": true"#, "tokenizer_config.json"),
        (r#""content": "[MASK]""#, r#""content": "[MA SK]""#, "added_tokens"),
    ] {
        let folder = copy_of("cased");
        let path = folder.path().join("tokenizer.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
        assert_refused(&folder, &["tokenizer.json", part]);
    }
    let folder = copy_of("cased");
    let path = folder.path().join("tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["model"] = serde_json::json!({"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"});
    json["added_tokens"] = serde_json::json!([]);
    fs::write(path, json.to_string()).unwrap();
    assert_refused(&folder, &["tokenizer.json", "WordPiece"]);
}
