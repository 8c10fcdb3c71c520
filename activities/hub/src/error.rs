//! What can go wrong on the way to a model.

use std::io;
use std::path::PathBuf;

use wikitok_store::ErrorKind;

use crate::id::ModelId;

/// A model could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The hub has no such model or revision, or shows it only to some.
    #[error("the hub at `{endpoint}` has no model `{id}`, or does not show it")]
    NotFound {
        /// Who was asked.
        endpoint: String,
        /// The model.
        id: ModelId,
    },
    /// The model has no weights in a form that can be run.
    #[error("the model `{id}` has neither `model.safetensors` nor `model.onnx`")]
    NoWeights {
        /// The model.
        id: ModelId,
    },
    /// The network is not to be asked, and the model is not there.
    #[error("the model `{id}` is not in `{}`, and `HF_HUB_OFFLINE` is set", cache.display())]
    Offline {
        /// The model.
        id: ModelId,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// The hub did not answer, or broke off.
    #[error("could not fetch `{url}`")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The hub answered otherwise than a hub does.
    #[error("`{url}` is not as expected: {reason}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The cache cannot be written.
    #[error("could not write `{}`", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl HubError {
    /// What the failure means for whoever must decide whether to try again.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::NoWeights { .. } | Self::Offline { .. } => {
                ErrorKind::BadConfiguration
            }
            Self::Unreachable { .. } | Self::Cache { .. } => ErrorKind::Retryable,
            Self::Answer { .. } => ErrorKind::BadInput,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } => {
                "see that the name and the revision are right; for one that is not public, set `HF_TOKEN`"
            }
            Self::NoWeights { .. } => "name a model that is published with `model.safetensors`",
            Self::Offline { .. } => "fetch it once without `HF_HUB_OFFLINE`, or set `HF_HOME` to where it is",
            Self::Unreachable { .. } => {
                "with `HF_HUB_OFFLINE=1` what is in the cache is used; a directory can be given as --model as well"
            }
            Self::Cache { .. } => "set `HF_HOME` to a directory that can be written",
            Self::Answer { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
