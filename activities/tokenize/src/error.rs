//! What can go wrong with tokenizing.

use splintr::TokenizerError;
use wikitok_store::ErrorKind;

/// A failed operation on a tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizeError {
    /// A name that no encoding has.
    #[error("there is no encoding `{name}`")]
    UnknownEncoding {
        /// The name as given.
        name: String,
    },
    /// The vocabulary that is built in could not be read.
    #[error("cannot load the vocabulary of `{encoding}`")]
    Vocabulary {
        /// The encoding.
        encoding: crate::Encoding,
        /// Why.
        #[source]
        source: TokenizerError,
    },
    /// A text that the engine cannot encode, though every text can be encoded.
    #[error("cannot encode a text of {bytes} bytes: {reason}")]
    Text {
        /// Its length.
        bytes: usize,
        /// What the engine says.
        reason: String,
    },
}

impl TokenizeError {
    /// What the error means for a retry.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownEncoding { .. } => ErrorKind::BadConfiguration,
            Self::Vocabulary { .. } => ErrorKind::Bug,
            // One document is at fault, not the run: it belongs in quarantine.
            Self::Text { .. } => ErrorKind::BadInput,
        }
    }

    /// What the user can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        let names = crate::Encoding::ALL.map(|encoding| format!("`{encoding}`")).join(" or ");
        matches!(self, Self::UnknownEncoding { .. }).then(|| format!("use {names}"))
    }
}
