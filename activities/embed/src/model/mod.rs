//! The model: a folder as sentence-transformers publishes it, and what it must be to be run here.
//!
//! What is run are models of the BERT family: absolute positions, a GELU, word pieces, one pooling, with
//! or without normalisation. The folder's own files say how the model is to be read, and a model that is
//! anything else is refused with the name of what differs. The weights are those of `model.safetensors`,
//! of which the network is built, or else a network as `model.onnx` holds it.

mod architecture;
mod files;
mod pipeline;
mod pooling;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use architecture::{Activation, Bert};
use files::{read, sha256_of_file};
pub(crate) use files::{require, unreadable};
use pipeline::Pipeline;
pub use pipeline::Prompts;
pub use pooling::Pooling;

use crate::error::EmbedError;

/// What decides a text's vector: part of the fingerprint of every output.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ModelIdentity {
    /// The model's name: that of its folder.
    pub name: String,
    /// sha256 of `model.safetensors` or `model.onnx`, in hexadecimal.
    pub model_sha256: String,
    /// sha256 of `tokenizer.json`, in hexadecimal.
    pub tokenizer_sha256: String,
    /// sha256 of all else that decides the vectors: the tokenizer, how the network is wired, pooling and
    /// normalisation. Not of files: whoever writes the same settings in other words gets the same digest.
    pub settings_sha256: String,
    /// Word pieces of a text that the model reads, `[CLS]` and `[SEP]` among them.
    pub max_word_pieces: usize,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// How the vectors of the word pieces become one.
    pub pooling: Pooling,
    /// Whether vectors are scaled to length one.
    pub normalized: bool,
    /// What the model wants written before a text.
    pub prompts: Prompts,
}

/// The model that is used unless another is asked for: its name, and what its published files give.
#[derive(Clone, Copy, Debug)]
pub struct KnownModel {
    /// The name.
    pub name: &'static str,
    /// See [`ModelIdentity::model_sha256`].
    pub model_sha256: &'static str,
    /// See [`ModelIdentity::settings_sha256`].
    pub settings_sha256: &'static str,
    /// See [`ModelIdentity::max_word_pieces`].
    pub max_word_pieces: usize,
}

/// `sentence-transformers/all-MiniLM-L6-v2`, as published.
pub const ALL_MINILM_L6_V2: KnownModel = KnownModel {
    name: "all-MiniLM-L6-v2",
    model_sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    settings_sha256: "f59832f4c191ea1fe3f42e3516ac0a146f46b1deef202938a7af95dc55a5884d",
    max_word_pieces: 256,
};

/// Checks a model's folder without loading it: every file is there and of a supported kind. Needs no ONNX
/// Runtime; reads the weights once, for their sha256.
pub fn inspect_model(directory: &Path) -> Result<ModelIdentity, EmbedError> {
    Ok(ModelFiles::read(directory)?.identity)
}

/// A checked model's files; all but the weights are read.
pub(crate) struct ModelFiles {
    pub(crate) identity: ModelIdentity,
    pub(crate) bert: Bert,
    pub(crate) network: NetworkFile,
    pub(crate) tokenizer_path: PathBuf,
    /// `tokenizer.json`.
    pub(crate) tokenizer: Vec<u8>,
    /// Whether the pipeline lower-cases texts where the tokenizer does not.
    pub(crate) lower_case: bool,
    /// What `tokenizer_config.json` says of the tokenizer's own lower-casing.
    pub(crate) tokenizer_lower_case: Option<bool>,
}

/// Where the weights lie.
#[derive(Debug)]
pub(crate) enum NetworkFile {
    /// Weights alone, of which the network is built.
    Safetensors(PathBuf),
    /// A network with its weights, run as it is.
    Onnx(PathBuf),
}

impl ModelFiles {
    /// Reads and checks the folder, the small files first.
    pub(crate) fn read(directory: &Path) -> Result<Self, EmbedError> {
        let pipeline = Pipeline::read(directory)?;
        let folder = pipeline.transformer.as_path();
        let bert = Bert::read(folder)?;
        let max_word_pieces = pipeline.limit(&bert)?;
        let tokenizer_path = folder.join("tokenizer.json");
        let tokenizer = read(&tokenizer_path)?;
        let network = NetworkFile::find(folder)?;
        let tokenizer_sha256 = files::sha256(&tokenizer);
        let identity = ModelIdentity {
            name: name_of(directory),
            model_sha256: sha256_of_file(network.path())?,
            settings_sha256: settings_sha256(&bert, &pipeline, &tokenizer_sha256),
            tokenizer_sha256,
            max_word_pieces,
            dimensions: bert.hidden_size,
            pooling: pipeline.pooling,
            normalized: pipeline.normalized,
            prompts: pipeline.prompts,
        };
        Ok(Self {
            identity,
            bert,
            network,
            tokenizer_path,
            tokenizer,
            lower_case: pipeline.lower_case,
            tokenizer_lower_case: pipeline.tokenizer.do_lower_case,
        })
    }
}

impl NetworkFile {
    /// Finds the weights: those that the network can be built of, before a network as it is.
    fn find(folder: &Path) -> Result<Self, EmbedError> {
        let wanted = folder.join("model.safetensors");
        if wanted.exists() {
            return Ok(Self::Safetensors(wanted));
        }
        let onnx = ["model.onnx", "onnx/model.onnx"].map(|name| folder.join(name));
        if let Some(path) = onnx.into_iter().find(|path| path.exists()) {
            // They would be in no checksum.
            for beside in ["model.onnx_data", "model.onnx.data"] {
                let data = path.with_file_name(beside);
                require(
                    &path,
                    "weights",
                    format!("some in {beside}"),
                    !data.exists(),
                    "all within the file",
                )?;
            }
            return Ok(Self::Onnx(path));
        }
        for other in ["model.safetensors.index.json", "pytorch_model.bin", "tf_model.h5"] {
            require(folder, "weights", other, !folder.join(other).exists(), WEIGHTS)?;
        }
        Err(EmbedError::ModelMissing { path: wanted })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Safetensors(path) | Self::Onnx(path) => path,
        }
    }
}

const WEIGHTS: &str = "`model.safetensors` or `model.onnx`, one file";

/// The folder's name, links resolved; the Hugging Face cache names folders after commits, and the models above.
fn name_of(directory: &Path) -> String {
    let path = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let named = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let folders: Vec<String> = path.ancestors().take(3).map(named).collect();
    let hub_name = |folder: &str| Some(folder.strip_prefix("models--")?.replacen("--", "/", 1));
    match folders.as_slice() {
        [commit, snapshots, folder] if snapshots == "snapshots" => {
            hub_name(folder).map_or_else(|| commit.clone(), |name| format!("{name}@{commit}"))
        }
        _ => named(&path),
    }
}

fn settings_sha256(bert: &Bert, pipeline: &Pipeline, tokenizer_sha256: &str) -> String {
    let Pipeline { lower_case, pooling, normalized, .. } = pipeline;
    // Written from types, so that the order of the fields is that of the code.
    let settings = serde_json::to_string(&(bert, tokenizer_sha256, lower_case, pooling, normalized));
    files::sha256(settings.expect("settings have only string keys").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_the_hub_have_the_name_that_they_have_there() {
        let name = |path: &str| name_of(Path::new(path));
        assert_eq!(name("/no/such/all-MiniLM-L6-v2"), "all-MiniLM-L6-v2");
        assert_eq!(name("/no/hub/models--BAAI--bge-small/snapshots/5c38"), "BAAI/bge-small@5c38");
        assert_eq!(name("/no/models/snapshots/5c38"), "5c38");
    }
}
