//! An output is what a run leaves in storage: Parquet parts, the manifests that vouch for them, and `_SUCCESS`.
//!
//! ```text
//! run.json                                   whose output this is; written first
//! tokens/<shard>/part-00000.parquet          token ids and text
//! vectors/<shard>/part-00000.parquet         embedding vectors
//! texts/<shard>/part-00000.parquet           until the shard is sealed: texts that are not to be kept
//! quarantine/<shard>/part-00000.jsonl        records that could not be read, where there are any
//! manifests/<shard>/part-00000.tokens.json   what a part was made from and holds
//! manifests/<shard>/part-00000.vectors.json
//! manifests/<shard>/shard.json               the sum over a shard's parts
//! manifest.json                              the sum over the run
//! _SUCCESS                                   empty; written last
//! ```
//!
//! Beside these lie `events.jsonl` and `job_summary.json`, which tell times and are written by others.
//!
//! Nothing here knows of workflows or clocks. Every byte follows from the input and the configuration: no
//! times, hosts, attempts or paths are written, so that two runs can be compared with `diff -r`, and a
//! part made twice is the same part. Data is written before the manifest that names it, so whatever dies
//! in between, a manifest never names what is not there.

mod commit;
mod counts;
mod error;
mod giant;
pub mod keys;
mod license;
mod manifests;
mod nearest;
mod part;
mod read;
mod run;
mod sample;
mod seal;
mod spool;
mod texts;
mod tokens;
mod vectors;
mod verify;

pub use commit::{
    QuarantinePart, TokenFiles, claim, commit_tokens, commit_vectors, committed_shard, committed_tokens,
    committed_vectors, read_owner, read_run,
};
pub use counts::VectorCounts;
pub use error::PublishError;
pub use license::License;
pub use manifests::{
    FileEntry, Fingerprints, Format, RangeIdentity, RunManifest, RunOwner, ShardInput, ShardManifest,
    ShardSummary, TokensManifest, VectorsInput, VectorsManifest,
};
pub use nearest::{Hit, nearest, passage_texts};
pub use part::EncodedPart;
pub use read::{Text, TextBatches, read_texts};
pub use run::publish_run;
pub use sample::{Judge, Sample, SampledArticle, sample};
pub use seal::seal_shard;
pub use texts::TextPartWriter;
pub use tokens::{MOST_TOKENS, TokenPartOptions, TokenPartWriter, TokenRow};
pub use vectors::{PassageKey, VectorElement, VectorPartOptions, VectorPartWriter};
pub use verify::{Problem, Totals, VerifyReport, verify};
pub use wikitok_counts::Counts;
