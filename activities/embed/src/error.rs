//! What can go wrong with the model, with ONNX Runtime, and with a text.

use std::io;
use std::path::PathBuf;

use wikitok_store::ErrorKind;

use crate::device::Device;
use crate::precision::Precision;

/// A failure to load the model or to embed with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// A file of the model, or its folder, is not there.
    #[error("no model: `{}` does not exist", path.display())]
    ModelMissing {
        /// The missing file.
        path: PathBuf,
    },
    /// A file of the model is there and cannot be read.
    #[error("could not read `{}`", path.display())]
    ModelRead {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the model is not in its format.
    #[error("`{}` is not as expected: {reason}", path.display())]
    ModelFormat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model is of a shape that this engine does not build.
    #[error("`{}` is not of a model that can be run here: `{field}` is `{found}`, not {expected}", path.display())]
    UnsupportedModel {
        /// The file that says so.
        path: PathBuf,
        /// What differs.
        field: String,
        /// What is supported.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The shared library of ONNX Runtime is not there.
    #[error("no ONNX Runtime: `{}` does not exist", path.display())]
    RuntimeMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The shared library is there and cannot be used.
    #[error("could not load ONNX Runtime from `{}`", path.display())]
    RuntimeLoad {
        /// The library.
        path: PathBuf,
        /// Why: not a library, for another machine, or too old.
        source: ort::LoadDynamicError,
    },
    /// Another library was loaded before: a process can hold one.
    #[error(
        "ONNX Runtime is already loaded from `{}`: `{}` cannot be loaded beside it",
        loaded.display(),
        requested.display()
    )]
    RuntimeConflict {
        /// The library in use.
        loaded: PathBuf,
        /// The other one.
        requested: PathBuf,
    },
    /// The device that was asked for cannot be used. There is no silent fallback to another.
    #[error("device `{device}` is not available: {reason}")]
    DeviceUnavailable {
        /// The device.
        device: Device,
        /// What is missing.
        reason: String,
    },
    /// The precision that was asked for cannot be had. There is no silent fallback to another.
    #[error("precision `{precision}` is not available: {reason}")]
    PrecisionUnavailable {
        /// The precision.
        precision: Precision,
        /// What is missing.
        reason: String,
    },
    /// ONNX Runtime refused the model's graph.
    #[error("ONNX Runtime could not set up the model")]
    Session(
        /// Its message.
        #[from]
        ort::Error,
    ),
    /// Texts cannot be cut into passages like these.
    #[error(
        "passages of {word_pieces} word pieces that share {overlap} are not possible: the model reads {limit} at most, \
         and {room} are left for the text"
    )]
    PassageOptions {
        /// Word pieces of a passage asked for.
        word_pieces: usize,
        /// Word pieces shared.
        overlap: usize,
        /// What the model reads.
        limit: usize,
        /// Those of the passage itself.
        room: usize,
    },
    /// A text could not be cut into word pieces.
    #[error("text {row} could not be cut into word pieces")]
    WordPieces {
        /// The text's position in the input.
        row: usize,
        /// The tokenizer's message.
        source: tokenizers::Error,
    },
    /// The model failed on a batch.
    #[error("the model failed on a batch of {rows} texts by {word_pieces} word pieces")]
    Inference {
        /// Texts in the batch.
        rows: usize,
        /// Word pieces of its longest text.
        word_pieces: usize,
        /// ONNX Runtime's message.
        source: ort::Error,
    },
    /// The model gave a vector that is not made of finite numbers.
    #[error("the vector of text {row} is not finite")]
    NotFinite {
        /// The text's position in the input.
        row: usize,
    },
    /// The caller's `progress` said to stop.
    #[error("embedding was cancelled")]
    Cancelled,
}

impl EmbedError {
    /// What the failure means for whoever must decide whether to try again.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::ModelMissing { .. }
            | Self::ModelFormat { .. }
            | Self::UnsupportedModel { .. }
            | Self::RuntimeMissing { .. }
            | Self::RuntimeLoad { .. }
            | Self::RuntimeConflict { .. }
            | Self::DeviceUnavailable { .. }
            | Self::PrecisionUnavailable { .. }
            | Self::PassageOptions { .. } => ErrorKind::BadConfiguration,
            // Memory that runs out during inference may be there on the next try, or on another worker.
            Self::ModelRead { .. } | Self::Inference { .. } | Self::Cancelled => ErrorKind::Retryable,
            Self::WordPieces { .. } => ErrorKind::BadInput,
            Self::Session(_) | Self::NotFinite { .. } => ErrorKind::Bug,
        }
    }

    /// Whether memory ran out, of the processor or of a GPU, by the words that ONNX Runtime and CUDA have for it.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        const WORDS: [&str; 5] =
            ["failed to allocate memory", "out of memory", "bad_alloc", "bad allocation", "alloc_failed"];
        let Self::Inference { source, .. } = self else { return false };
        let message = source.message().to_lowercase();
        WORDS.iter().any(|words| message.contains(words))
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::ModelMissing { .. } => {
                "run `tools/fetch`, or give the folder of a sentence-transformers model"
            }
            Self::ModelFormat { .. } | Self::UnsupportedModel { .. } => {
                "supported are sentence-transformers models of the BERT family, such as all-MiniLM, BGE, E5 and \
                 GTE; `tools/fetch` gets all-MiniLM-L6-v2"
            }
            Self::RuntimeMissing { .. } => "run `tools/fetch`, or give the path of `libonnxruntime.so`",
            Self::RuntimeLoad { .. } => {
                "it must be ONNX Runtime 1.23 or later for this machine: `tools/fetch` gets one"
            }
            Self::DeviceUnavailable { .. } => {
                "use the library of `onnxruntime-gpu` with its CUDA and cuDNN on a machine with an NVIDIA \
                 driver, or ask for the device `cpu`"
            }
            Self::PassageOptions { .. } => "give at least 8 to the text, and let them share at most half",
            Self::PrecisionUnavailable { .. } => "ask for the precision `fp32`",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
