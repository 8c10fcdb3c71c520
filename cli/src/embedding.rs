//! The part of a configuration that is about vectors: which model, and how it is used.

use std::path::PathBuf;

use clap::Args;
use wikitok_embed::{ALL_MINILM_L6_V2, ModelIdentity};
use wikitok_worker::{environment, home};
use wikitok_workflows::contract::Embedding;

/// What decides the vectors.
#[derive(Args, Clone, Debug)]
pub(crate) struct EmbeddingArguments {
    /// The model: a directory with a sentence-transformers model of the BERT family [default: all-MiniLM-L6-v2].
    #[arg(long, env = environment::MODEL, hide_env_values = true)]
    pub(crate) model: Option<PathBuf>,
    /// What is written before every article, as models like E5 want it: `passage: ` [default: what the model's own
    /// files ask for, which is mostly nothing].
    #[arg(long)]
    pub(crate) passage_prefix: Option<String>,
}

impl EmbeddingArguments {
    /// Where the model lies.
    pub(crate) fn model_directory(&self) -> PathBuf {
        self.model.clone().unwrap_or_else(home::model)
    }

    /// What a run is asked for. A model that is named is looked at; the default one is known.
    pub(crate) fn configuration(&self) -> anyhow::Result<Embedding> {
        match &self.model {
            Some(directory) => Ok(self.of_model(&wikitok_embed::inspect_model(directory)?)),
            None => Ok(self.of_default()),
        }
    }

    fn of_model(&self, identity: &ModelIdentity) -> Embedding {
        let as_published = identity.settings_sha256 == ALL_MINILM_L6_V2.settings_sha256;
        Embedding {
            model: identity.name.clone(),
            model_sha256: identity.model_sha256.clone(),
            max_word_pieces: identity.max_word_pieces as u32,
            settings_sha256: (!as_published).then(|| identity.settings_sha256.clone()),
            passage_prefix: self.passage_prefix.clone().unwrap_or_else(|| identity.prompts.passage.clone()),
        }
    }

    fn of_default(&self) -> Embedding {
        Embedding {
            model: ALL_MINILM_L6_V2.name.to_owned(),
            model_sha256: ALL_MINILM_L6_V2.model_sha256.to_owned(),
            max_word_pieces: ALL_MINILM_L6_V2.max_word_pieces as u32,
            settings_sha256: None,
            passage_prefix: self.passage_prefix.clone().unwrap_or_default(),
        }
    }
}
