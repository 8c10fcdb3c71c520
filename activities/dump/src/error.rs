//! What can go wrong between a source and its records, short of a single bad record.

use std::time::Duration;

use wikitok_store::{ErrorKind, StoreError};

/// A snapshot that cannot be found, or a shard that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The name of a snapshot cannot be understood.
    #[error("`{query}` does not name a snapshot: {problem}")]
    BadQuery {
        /// The name as given.
        query: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A selection of shards cannot be understood.
    #[error("`{selection}` selects no shards")]
    BadSelection {
        /// The selection as given.
        selection: String,
    },
    /// A shard was asked for that the snapshot does not have.
    #[error("snapshot `{snapshot}` has {there} shards, and none at place {asked}")]
    NoSuchShard {
        /// The snapshot's name.
        snapshot: String,
        /// The place asked for.
        asked: u32,
        /// How many shards there are.
        there: u32,
    },
    /// The source holds no dumps.
    #[error("`{uri}` holds no dumps")]
    NoDumps {
        /// The source.
        uri: String,
    },
    /// The source holds dumps, but none of this wiki.
    #[error("`{uri}` holds no dump of `{wiki}`")]
    UnknownWiki {
        /// The source.
        uri: String,
        /// The wiki asked for.
        wiki: String,
        /// Some wikis that are there.
        known: Vec<String>,
    },
    /// The wiki is there, but at no date that was asked for.
    #[error("`{uri}` holds no snapshot that matches `{query}`")]
    NoSuchDate {
        /// The source.
        uri: String,
        /// The query.
        query: String,
        /// Complete snapshots of the wiki that are there, newest first.
        known: Vec<String>,
    },
    /// Every snapshot that matches is still being written.
    #[error("snapshot `{snapshot}` in `{uri}` is unfinished: it has no `_SUCCESS`")]
    Unfinished {
        /// The source.
        uri: String,
        /// The snapshot's name.
        snapshot: String,
    },
    /// A snapshot is marked complete and holds no shard.
    #[error("snapshot `{snapshot}` in `{uri}` is marked complete and holds no shard")]
    NoShards {
        /// The source.
        uri: String,
        /// The snapshot's name.
        snapshot: String,
    },
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A read gave fewer bytes than the object has there.
    #[error("reading {wanted} bytes at {offset} gave {got}")]
    ShortRead {
        /// Where the read began.
        offset: u64,
        /// How many bytes should have come.
        wanted: usize,
        /// How many came.
        got: usize,
    },
    /// The shard has no bytes at all.
    #[error("the shard is empty: 0 bytes")]
    EmptyFile,
    /// The shard is neither gzip nor bzip2.
    #[error("the shard is neither gzip nor bzip2: it begins with the bytes `{first_bytes}`")]
    UnknownFormat {
        /// Its first bytes, in hexadecimal.
        first_bytes: String,
    },
    /// The shard ends in the middle of compressed data.
    #[error("the shard is cut off: its {compression} data ends at byte {offset}, in the middle of {within}")]
    Truncated {
        /// The compression.
        compression: &'static str,
        /// Where the shard ends.
        offset: u64,
        /// What was being read.
        within: &'static str,
    },
    /// The shard's compressed data is damaged.
    #[error("the shard is damaged: {compression} {problem}, near byte {offset}")]
    Corrupt {
        /// The compression.
        compression: &'static str,
        /// About where, in compressed bytes.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// The ranges of a shard do not join to the whole shard.
    #[error("the ranges of the shard do not meet: {problem}")]
    BrokenChain {
        /// Where and how.
        problem: String,
    },
    /// Whoever watches the reading ended it.
    #[error("the reading was stopped")]
    Stopped,
    /// A checkpoint's bytes cannot be understood.
    #[error("not a checkpoint: {problem}")]
    BadCheckpoint {
        /// What is wrong with them.
        problem: &'static str,
    },
    /// The end of a range was asked for before all of its records were taken, or after an error.
    #[error("the range was not read to its end")]
    NotAtEnd,
}

impl DumpError {
    /// Whether it says that what was looked for is not there, or not yet.
    pub fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::NoDumps { .. }
                | Self::UnknownWiki { .. }
                | Self::NoSuchDate { .. }
                | Self::Unfinished { .. }
                | Self::NoShards { .. }
        )
    }

    /// What the error means for a retry.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::BadQuery { .. }
            | Self::BadSelection { .. }
            | Self::NoSuchShard { .. }
            | Self::NoDumps { .. }
            | Self::UnknownWiki { .. }
            | Self::NoSuchDate { .. }
            | Self::Unfinished { .. } => ErrorKind::BadConfiguration,
            Self::Store(error) => error.kind(),
            Self::ShortRead { .. } => ErrorKind::Retryable,
            Self::NoShards { .. }
            | Self::EmptyFile
            | Self::UnknownFormat { .. }
            | Self::Truncated { .. }
            | Self::Corrupt { .. }
            | Self::BrokenChain { .. } => ErrorKind::BadInput,
            Self::BadCheckpoint { .. } | Self::NotAtEnd | Self::Stopped => ErrorKind::Bug,
        }
    }

    /// How long to wait before trying again, where the other side said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }

    /// What the user can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadQuery { .. } => Some(
                "name a wiki and a date, or the beginning of one: `enwiki-20260920`, `enwiki-202609`, \
                 `enwiki-2026` or `enwiki-latest`"
                    .to_owned(),
            ),
            Self::NoSuchShard { there, .. } => {
                Some(format!("places are counted from 0: the last is {}", there.saturating_sub(1)))
            }
            Self::BadSelection { .. } => {
                Some("name them by their places, counted from 0: `3`, `0-3` or `0,2,5-7`".to_owned())
            }
            Self::NoDumps { .. } => Some(
                "looked for `other/cirrus_search_index`, `other/cirrussearch`, `cirrus_search_index`, \
                 `cirrussearch` and for directories named by a date (`YYYYMMDD`)"
                    .to_owned(),
            ),
            Self::UnknownWiki { known, .. } => list("wikis there", known),
            Self::NoSuchDate { known, .. } => list("complete snapshots there", known),
            Self::Unfinished { .. } => Some(
                "the snapshot is still being written, or the copy of it is not finished: wait, or choose an \
                 earlier date"
                    .to_owned(),
            ),
            Self::EmptyFile | Self::Truncated { .. } | Self::Corrupt { .. } | Self::UnknownFormat { .. } => {
                Some("copy the shard again from where it came".to_owned())
            }
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }
}

fn list(what: &str, names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
}
