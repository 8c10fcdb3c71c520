//! The part of a configuration that is about vectors: which model, and how it is used.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wikitok_embed::{ALL_MINILM_L6_V2, Device, EmbedderOptions, ModelIdentity, Precision};
use wikitok_worker::{environment, home};
use wikitok_workflows::contract::{Embedding, PassageCut};

use crate::error::Hinted;

/// The model, and what runs it: what a worker must be told, too.
#[derive(Args, Clone, Debug)]
pub(crate) struct ModelArguments {
    /// The model: a directory with a sentence-transformers model of the BERT family, or one on the Hugging Face hub by its
    /// name, `organisation/name` or `organisation/name@revision` [default: all-MiniLM-L6-v2].
    #[arg(long, env = environment::MODEL, hide_env_values = true)]
    pub(crate) model: Option<PathBuf>,
    /// In which numbers the model is computed: `fp32`, equal to sentence-transformers; `fp16`, for GPUs; `int8`, for
    /// processors with AVX-512 VNNI.
    #[arg(long, env = environment::PRECISION, hide_env_values = true, default_value = "fp32")]
    pub(crate) precision: Precision,
    /// What runs the model: `cpu`, `cuda`, `cuda:N`, or `auto`: the first GPU if it can be used, else the
    /// processor. For `start` only with --local.
    #[arg(long, env = environment::DEVICE, hide_env_values = true, default_value = "cpu")]
    pub(crate) device: Device,
}

impl ModelArguments {
    /// The same with the model's directory, once it is fetched if it is one of the hub.
    pub(crate) async fn located(&self) -> anyhow::Result<Self> {
        let model = match &self.model {
            Some(asked) => Some(wikitok_worker::model_directory(Some(asked)).await?),
            None => None,
        };
        Ok(Self { model, ..self.clone() })
    }

    /// What loads the model.
    pub(crate) fn options(&self, threads: usize) -> EmbedderOptions {
        EmbedderOptions {
            model_directory: self.model.clone().unwrap_or_else(home::model),
            runtime_library: home::onnxruntime(),
            device: self.device,
            precision: self.precision,
            threads,
        }
    }
}

/// What decides the vectors, beside the model.
#[derive(Args, Clone, Debug)]
pub(crate) struct EmbeddingArguments {
    #[command(flatten)]
    pub(crate) model: ModelArguments,
    /// What is written before every text, as models like E5 want it: `passage: ` [default: what the model's own
    /// files ask for, which is mostly nothing].
    #[arg(long)]
    pub(crate) passage_prefix: Option<String>,
    /// What has a vector: the `head` of each article, as much as the model reads at once, or `all` of it, in passages.
    #[arg(long, value_enum, default_value_t = Passages::Head)]
    pub(crate) passages: Passages,
    /// Word pieces of a passage at most [default: as many as the model reads].
    #[arg(long)]
    pub(crate) passage_tokens: Option<u32>,
    /// Word pieces that a passage shares with the one before.
    #[arg(long, default_value_t = 32)]
    pub(crate) passage_overlap: u32,
    /// In which numbers vectors are written: `f32`, or `f16` for half the size.
    #[arg(long, value_enum, default_value_t = VectorType::F32)]
    pub(crate) vector_type: VectorType,
    /// Word pieces that run through the model together, padding included; at most eight times the default [default:
    /// what suits the workers' device, 512 on a processor and 32768 on a GPU].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_tokens: Option<u32>,
}

/// What has a vector.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Passages {
    /// The beginning of each article.
    Head,
    /// All of it.
    All,
}

/// The numbers of a vector.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum VectorType {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
}

/// What of a model a configuration names.
struct Named {
    name: String,
    model_sha256: String,
    settings_sha256: String,
    max_word_pieces: usize,
    passage_prefix: String,
}

impl EmbeddingArguments {
    /// What a run is asked for. A model that is named is looked at; the default one is known.
    pub(crate) fn configuration(&self) -> anyhow::Result<Embedding> {
        let model = match &self.model.model {
            Some(directory) => Named::from(wikitok_embed::inspect_model(directory)?),
            None => Named::default(),
        };
        let as_published = model.settings_sha256 == ALL_MINILM_L6_V2.settings_sha256;
        Ok(Embedding {
            passages: self.passage_cut(model.max_word_pieces)?,
            model: model.name,
            model_sha256: model.model_sha256,
            max_word_pieces: model.max_word_pieces as u32,
            settings_sha256: (!as_published).then_some(model.settings_sha256),
            passage_prefix: self.passage_prefix.clone().unwrap_or(model.passage_prefix),
            precision: self.model.precision.to_string(),
            vector_type: match self.vector_type {
                VectorType::F32 => "f32".to_owned(),
                VectorType::F16 => "f16".to_owned(),
            },
            batch_word_pieces: self.batch_tokens,
        })
    }

    /// The worker looks again, with the prefix counted.
    fn passage_cut(&self, limit: usize) -> anyhow::Result<Option<PassageCut>> {
        if self.passages == Passages::Head {
            return Ok(None);
        }
        let word_pieces = self.passage_tokens.unwrap_or(limit as u32);
        let overlap = self.passage_overlap;
        if (16..=limit as u32).contains(&word_pieces) && overlap <= word_pieces / 4 {
            return Ok(Some(PassageCut { word_pieces, overlap }));
        }
        let message = format!("passages of {word_pieces} word pieces that share {overlap} are not possible");
        let hint = format!("--passage-tokens is 16 to {limit}, --passage-overlap at most a quarter of it");
        Err(Hinted::new(message, hint).into())
    }
}

impl Default for Named {
    fn default() -> Self {
        let known = ALL_MINILM_L6_V2;
        Self {
            name: known.name.to_owned(),
            model_sha256: known.model_sha256.to_owned(),
            settings_sha256: known.settings_sha256.to_owned(),
            max_word_pieces: known.max_word_pieces,
            passage_prefix: String::new(),
        }
    }
}

impl From<ModelIdentity> for Named {
    fn from(identity: ModelIdentity) -> Self {
        Self {
            name: identity.name,
            model_sha256: identity.model_sha256,
            settings_sha256: identity.settings_sha256,
            max_word_pieces: identity.max_word_pieces,
            passage_prefix: identity.prompts.passage,
        }
    }
}
