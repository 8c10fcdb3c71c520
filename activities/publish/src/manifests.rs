//! A manifest is a small JSON file that says what an object was made from, what it holds, and its sha256.
//!
//! Manifests are the only thing that makes data count: a data file that no manifest names is not part of
//! the output. They hold nothing that differs between two runs over the same input.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Counts, License, PublishError, VectorCounts};

/// Which kind of manifest a file is, and in which version of the format.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Format {
    /// The tokens of a part.
    #[serde(rename = "wikitok.tokens/1")]
    Tokens,
    /// The vectors of a part.
    #[serde(rename = "wikitok.vectors/1")]
    Vectors,
    /// A shard.
    #[serde(rename = "wikitok.shard/1")]
    Shard,
    /// A run.
    #[serde(rename = "wikitok.run/1")]
    Run,
    /// Whose output this is.
    #[serde(rename = "wikitok.owner/1")]
    Owner,
}

/// One data file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FileEntry {
    /// Where it lies.
    pub key: String,
    /// Rows of a Parquet file, lines of a quarantine file.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Its sha256, in lower-case hexadecimal.
    pub sha256: String,
}

/// Which stretch of which file a part was made from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RangeIdentity {
    /// The file's name at the source.
    pub file: String,
    /// The size of the whole file.
    pub file_bytes: u64,
    /// The first compressed byte of the range.
    pub from: u64,
    /// The compressed byte after the last; the next range's `from`.
    pub to: u64,
    /// The compressed byte after the last that was read, which lies beyond `to` where the last record goes on
    /// there. Parts without it were hashed to 32 MiB beyond `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_to: Option<u64>,
    /// The sha256 of all that the part depends on: the checkpoint that it begins at, where it has one, then the
    /// compressed bytes from `from` to `read_to`.
    pub sha256: String,
}

/// The manifest of a part's tokens.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TokensManifest {
    /// [`Format::Tokens`].
    pub format: Format,
    /// The snapshot.
    pub snapshot: String,
    /// The shard.
    pub shard: String,
    /// The part's number within the shard.
    pub part: u32,
    /// What it was made from.
    pub input: RangeIdentity,
    /// The configuration that decides its bytes.
    pub fingerprint: String,
    /// The libraries that decide its bytes.
    pub versions: BTreeMap<String, String>,
    /// What was read and written.
    pub counts: Counts,
    /// The token file; `None` when the range holds no article.
    pub tokens: Option<FileEntry>,
    /// The quarantine file; `None` when no record was bad.
    pub quarantine: Option<FileEntry>,
    /// The texts that the vectors are made of, when they are not in the token file. They are no part of the
    /// output: once the shard is sealed, the file is gone and this says only what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<FileEntry>,
    /// How many articles the limit of the run left for this part and those after it; `None` without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The limit of the run ended the reading inside this range, so that no part follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub limit_reached: bool,
    /// How the reader goes on after this range; for the reader alone to understand.
    pub next: Value,
}

/// What a part of vectors was made from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VectorsInput {
    /// The sha256 of the token file; `None` when there is none.
    pub tokens_sha256: Option<String>,
}

fn yes() -> bool {
    true
}

/// The manifest of a part's vectors.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct VectorsManifest {
    /// [`Format::Vectors`].
    pub format: Format,
    /// The snapshot.
    pub snapshot: String,
    /// The shard.
    pub shard: String,
    /// The part's number within the shard.
    pub part: u32,
    /// What it was made from.
    pub input: VectorsInput,
    /// The configuration that decides its bytes.
    pub fingerprint: String,
    /// The libraries that decide its bytes.
    pub versions: BTreeMap<String, String>,
    /// What was written.
    pub counts: VectorCounts,
    /// The vector file; `None` when the range holds no article.
    pub vectors: Option<FileEntry>,
    /// Whether every vector is of length one, as those of most models are.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub normalized: bool,
}

/// The file a shard was made from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ShardInput {
    /// Its name at the source.
    pub file: String,
    /// Its size.
    pub bytes: u64,
}

/// The configurations that decide the bytes of an output.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fingerprints {
    /// Of reading and tokenizing.
    pub tokens: String,
    /// Of embedding; `None` for a run without vectors.
    pub vectors: Option<String>,
}

/// The manifest of a shard.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ShardManifest {
    /// [`Format::Shard`].
    pub format: Format,
    /// The snapshot.
    pub snapshot: String,
    /// The shard.
    pub shard: String,
    /// How many parts it has.
    pub parts: u32,
    /// The configurations of its parts.
    pub fingerprints: Fingerprints,
    /// The libraries that decide its bytes.
    pub versions: BTreeMap<String, String>,
    /// What it was made from.
    pub input: ShardInput,
    /// The sums over its parts.
    pub counts: Counts,
    /// Its data files, by key.
    pub files: Vec<FileEntry>,
}

/// What a run's manifest says of a shard.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ShardSummary {
    /// The shard.
    pub shard: String,
    /// How many parts it has.
    pub parts: u32,
    /// What it was made from.
    pub input: ShardInput,
    /// The sums over its parts.
    pub counts: Counts,
}

/// The manifest of a run: what the whole output holds, and under which license.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RunManifest {
    /// [`Format::Run`].
    pub format: Format,
    /// The snapshot.
    pub snapshot: String,
    /// How the snapshot lies at the source.
    pub layout: String,
    /// The configuration of the run.
    pub configuration: Value,
    /// What decides the bytes of the parts.
    pub fingerprints: Fingerprints,
    /// The libraries that decide the bytes of the parts.
    pub versions: BTreeMap<String, String>,
    /// Whose the text is.
    pub license: License,
    /// The sums over the shards.
    pub counts: Counts,
    /// The shards, by id.
    pub shards: Vec<ShardSummary>,
    /// Every data file, by key.
    pub files: Vec<FileEntry>,
}

/// Whose output this is: written before anything else.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RunOwner {
    /// [`Format::Owner`].
    pub format: Format,
    /// The snapshot.
    pub snapshot: String,
    /// How the snapshot lies at the source.
    pub layout: String,
    /// The configuration of the run.
    pub configuration: Value,
    /// The configuration of reading and tokenizing, digested.
    pub tokens_fingerprint: String,
    /// The configuration of embedding, digested; `None` for a run without vectors.
    pub vectors_fingerprint: Option<String>,
}

impl RunOwner {
    /// What decides the bytes of the run's parts.
    pub fn fingerprints(&self) -> Fingerprints {
        Fingerprints { tokens: self.tokens_fingerprint.clone(), vectors: self.vectors_fingerprint.clone() }
    }
}

impl ShardManifest {
    pub(crate) fn summary(&self) -> ShardSummary {
        ShardSummary {
            shard: self.shard.clone(),
            parts: self.parts,
            input: self.input.clone(),
            counts: self.counts.clone(),
        }
    }
}

/// A manifest with its kind, so that one kind is never taken for another.
pub(crate) trait Manifest: Serialize + serde::de::DeserializeOwned {
    const FORMAT: Format;
    fn format(&self) -> Format;
}

macro_rules! manifest {
    ($type:ty, $format:ident) => {
        impl Manifest for $type {
            const FORMAT: Format = Format::$format;
            fn format(&self) -> Format {
                self.format
            }
        }
    };
}

manifest!(TokensManifest, Tokens);
manifest!(VectorsManifest, Vectors);
manifest!(ShardManifest, Shard);
manifest!(RunManifest, Run);
manifest!(RunOwner, Owner);

/// The bytes of a manifest: indented, keys in a fixed order, one newline at the end.
pub(crate) fn to_bytes<M: Manifest>(manifest: &M) -> Bytes {
    let mut bytes = serde_json::to_vec_pretty(manifest).expect("manifests have only string keys");
    bytes.push(b'\n');
    bytes.into()
}

pub(crate) fn from_bytes<M: Manifest>(key: &str, bytes: &[u8]) -> Result<M, PublishError> {
    let manifest: M = serde_json::from_slice(bytes)
        .map_err(|source| PublishError::BadManifest { key: key.to_owned(), source })?;
    if manifest.format() == M::FORMAT {
        return Ok(manifest);
    }
    let reason = format!("is of the format {:?} instead of {:?}", manifest.format(), M::FORMAT);
    Err(PublishError::Inconsistent { key: key.to_owned(), reason })
}
