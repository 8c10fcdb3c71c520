//! The model: a folder as sentence-transformers publishes it, and what it must be to be run here.
//!
//! The engine builds one shape of network: BERT with absolute positions and exact GELU, mean pooling,
//! vectors of length one. The folder's own configuration says whether it is that, and a model that is not
//! is refused with the name of what differs. The weights and the tokenizer must be the published ones to
//! the byte, since the vectors depend on nothing else.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::EmbedError;

/// The model whose vectors are known to equal sentence-transformers'.
const NAME: &str = "all-MiniLM-L6-v2";
const MODEL_SHA256: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";
const TOKENIZER_SHA256: &str = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037";

/// What decides a text's vector: part of the fingerprint of every output.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ModelIdentity {
    /// The model's name.
    pub name: String,
    /// sha256 of `model.safetensors`, in hexadecimal.
    pub model_sha256: String,
    /// sha256 of `tokenizer.json`, in hexadecimal.
    pub tokenizer_sha256: String,
    /// Word pieces of a text that the model reads, `[CLS]` and `[SEP]` among them.
    pub max_word_pieces: usize,
    /// Numbers in a vector.
    pub dimensions: usize,
}

/// Checks a model's folder without loading it: every file is there, of the supported shape, and the
/// weights and the tokenizer have the published sha256. Needs no ONNX Runtime; reads 90 MB.
pub fn inspect_model(directory: &Path) -> Result<ModelIdentity, EmbedError> {
    Ok(ModelFiles::read(directory)?.identity)
}

/// A checked model's files, read.
pub(crate) struct ModelFiles {
    pub(crate) identity: ModelIdentity,
    pub(crate) shape: BertShape,
    pub(crate) weights_path: PathBuf,
    /// `model.safetensors`.
    pub(crate) weights: Vec<u8>,
    pub(crate) tokenizer_path: PathBuf,
    /// `tokenizer.json`.
    pub(crate) tokenizer: Vec<u8>,
}

/// The dimensions of the network, from `config.json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct BertShape {
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) layer_norm_eps: f32,
    pub(crate) max_position_embeddings: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) type_vocab_size: usize,
    pub(crate) vocab_size: usize,
}

impl ModelFiles {
    /// Reads and checks the folder, the small files first.
    pub(crate) fn read(directory: &Path) -> Result<Self, EmbedError> {
        let shape = read_shape(directory)?;
        check_modules(directory)?;
        let max_word_pieces = read_limit(directory, &shape)?;
        let (tokenizer_path, tokenizer) = read_known(directory, "tokenizer.json", TOKENIZER_SHA256)?;
        let (weights_path, weights) = read_known(directory, "model.safetensors", MODEL_SHA256)?;
        let identity = ModelIdentity {
            name: NAME.to_owned(),
            model_sha256: MODEL_SHA256.to_owned(),
            tokenizer_sha256: TOKENIZER_SHA256.to_owned(),
            max_word_pieces,
            dimensions: shape.hidden_size,
        };
        Ok(Self { identity, shape, weights_path, weights, tokenizer_path, tokenizer })
    }
}

/// The kind of network, from `config.json`.
#[derive(Deserialize)]
struct Architecture {
    hidden_act: String,
    model_type: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    #[serde(flatten)]
    shape: BertShape,
}

/// What BERT's configuration means when it does not say.
fn absolute() -> String {
    "absolute".to_owned()
}

fn read_shape(directory: &Path) -> Result<BertShape, EmbedError> {
    let path = directory.join("config.json");
    let architecture: Architecture = read_json(&path)?;
    let shape = architecture.shape;
    require(&path, "model_type", &architecture.model_type, architecture.model_type == "bert", "bert")?;
    require(&path, "hidden_act", &architecture.hidden_act, architecture.hidden_act == "gelu", "gelu")?;
    let position = architecture.position_embedding_type;
    require(&path, "position_embedding_type", &position, position == "absolute", "absolute")?;
    let heads = shape.num_attention_heads;
    let divides = heads > 0 && shape.hidden_size.is_multiple_of(heads);
    require(&path, "num_attention_heads", heads, divides, "a divisor of `hidden_size`")?;
    Ok(shape)
}

/// One step of sentence-transformers' pipeline, from `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

/// Checks that the pipeline is network, mean pooling, normalisation.
fn check_modules(directory: &Path) -> Result<(), EmbedError> {
    let path = directory.join("modules.json");
    let modules: Vec<Module> = read_json(&path)?;
    let classes: Vec<&str> = modules.iter().filter_map(|module| module.class.rsplit('.').next()).collect();
    let expected = ["Transformer", "Pooling", "Normalize"];
    require(&path, "type", classes.join(", "), classes == expected, "Transformer, Pooling, Normalize")?;
    check_pooling(&directory.join(&modules[1].path).join("config.json"))
}

fn check_pooling(path: &Path) -> Result<(), EmbedError> {
    let settings: BTreeMap<String, serde_json::Value> = read_json(path)?;
    let modes = settings.iter().filter(|(key, _)| key.starts_with("pooling_mode"));
    let chosen: Vec<&str> =
        modes.filter(|(_, value)| **value != false).map(|(key, _)| key.as_str()).collect();
    require(path, "pooling", chosen.join(", "), chosen == ["pooling_mode_mean_tokens"], "mean of the tokens")
}

/// `sentence_bert_config.json`: the one place that says where texts are cut.
#[derive(Deserialize)]
struct SentenceBert {
    max_seq_length: usize,
}

fn read_limit(directory: &Path, shape: &BertShape) -> Result<usize, EmbedError> {
    let path = directory.join("sentence_bert_config.json");
    let limit = read_json::<SentenceBert>(&path)?.max_seq_length;
    let most = shape.max_position_embeddings;
    // Below 3 there is no room for a piece of the text between `[CLS]` and `[SEP]`.
    require(&path, "max_seq_length", limit, (3..=most).contains(&limit), &format!("3 to {most}"))?;
    Ok(limit)
}

/// Refuses the model unless `holds`, naming the field.
fn require(
    path: &Path,
    field: &str,
    found: impl Display,
    holds: bool,
    expected: &str,
) -> Result<(), EmbedError> {
    if holds {
        return Ok(());
    }
    Err(EmbedError::UnsupportedModel {
        path: path.to_owned(),
        field: field.to_owned(),
        expected: expected.to_owned(),
        found: found.to_string(),
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, EmbedError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| EmbedError::ModelFormat { path: path.to_owned(), reason: error.to_string() })
}

fn read_known(
    directory: &Path,
    name: &str,
    expected: &'static str,
) -> Result<(PathBuf, Vec<u8>), EmbedError> {
    let path = directory.join(name);
    let bytes = read(&path)?;
    let found = hexadecimal(&Sha256::digest(&bytes));
    if found == expected { Ok((path, bytes)) } else { Err(EmbedError::Checksum { path, expected, found }) }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, EmbedError> {
    fs::read(path).map_err(|source| match source.kind() {
        IoErrorKind::NotFound | IoErrorKind::NotADirectory => {
            EmbedError::ModelMissing { path: path.to_owned() }
        }
        _ => EmbedError::ModelRead { path: path.to_owned(), source },
    })
}
