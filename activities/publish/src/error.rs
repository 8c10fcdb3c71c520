//! What can go wrong with an output.

use parquet::errors::ParquetError;
use wikitok_store::{ErrorKind, StoreError};

/// A failed operation on an output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A shard id that cannot be part of a key.
    #[error("`{shard}` is not a shard id")]
    BadShardId {
        /// The id as given.
        shard: String,
    },
    /// A timestamp that is not RFC 3339.
    #[error("page {page_id} has the timestamp `{timestamp}`, which is not RFC 3339")]
    BadTimestamp {
        /// The page.
        page_id: u64,
        /// The timestamp as given.
        timestamp: String,
    },
    /// A row of more token ids than could be written within the memory of a worker.
    #[error("page {page_id} has more than {} tokens", crate::MOST_TOKENS)]
    TooManyTokens {
        /// The page.
        page_id: u64,
    },
    /// A vector that cannot be right.
    #[error("the vector of page {page_id}, passage {passage}, {reason}")]
    BadVector {
        /// The page.
        page_id: u64,
        /// The passage within the page.
        passage: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// Encoding a part failed.
    #[error("cannot encode a part")]
    Encode {
        /// Why.
        #[source]
        source: ParquetError,
    },
    /// A large part could not be held in a temporary file until it is stored.
    #[error("cannot hold a part in a temporary file")]
    Held {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A part is not the Parquet file that it should be.
    #[error("cannot decode a part of {what}")]
    Decode {
        /// What the part should hold: tokens, texts, vectors.
        what: &'static str,
        /// Why.
        #[source]
        source: ParquetError,
    },
    /// A part lacks a column, or has it in another type.
    #[error("the part has no column `{column}` of the expected type")]
    NoColumn {
        /// The column.
        column: &'static str,
    },
    /// A manifest that is not JSON of the expected shape.
    #[error("`{key}` is not a manifest")]
    BadManifest {
        /// The manifest.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Documents read are not documents accounted for.
    #[error(transparent)]
    Unbalanced(#[from] wikitok_counts::CountsError),
    /// A manifest that contradicts itself, another, or the data.
    #[error("`{key}` {reason}")]
    Inconsistent {
        /// The object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that must have been committed is not there.
    #[error("`{key}` has not been committed")]
    Missing {
        /// The object.
        key: String,
    },
    /// The output does not have the shards that the run should have made.
    #[error("the output has {found} finished shards of this run instead of {expected}")]
    WrongShardCount {
        /// Shards that the run has.
        expected: u32,
        /// Shards found finished.
        found: u32,
    },
    /// A query that cannot be answered.
    #[error("the query vector {reason}")]
    BadQuery {
        /// What is wrong with it.
        reason: String,
    },
    /// A thread that was to decode a part did not come back.
    #[error("a decoding thread failed")]
    Thread {
        /// Why.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl PublishError {
    /// What the error means for a retry.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::BadQuery { .. } => ErrorKind::BadConfiguration,
            Self::Held { .. } => ErrorKind::Retryable,
            Self::BadShardId { .. }
            | Self::BadTimestamp { .. }
            | Self::TooManyTokens { .. }
            | Self::Decode { .. }
            | Self::NoColumn { .. }
            | Self::BadManifest { .. }
            | Self::Inconsistent { .. }
            | Self::Missing { .. }
            | Self::WrongShardCount { .. } => ErrorKind::BadInput,
            Self::BadVector { .. } | Self::Encode { .. } | Self::Unbalanced(_) | Self::Thread { .. } => {
                ErrorKind::Bug
            }
        }
    }

    /// What the user can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::BadManifest { key, .. } => Some(format!("delete `{key}`, and a new run makes it again")),
            Self::WrongShardCount { .. } => {
                Some("give each selection of shards an output of its own".to_owned())
            }
            Self::BadQuery { .. } => Some("make the query with the model that made the vectors".to_owned()),
            _ => None,
        }
    }
}
