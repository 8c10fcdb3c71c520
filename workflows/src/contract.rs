//! What passes through Temporal: inputs and results of workflows and activities, answers to queries.
//!
//! All of it is stored in histories and read by later versions of the code. So: a field is never removed or
//! given another meaning, a new one has a default, and nothing here grows with the size of the data.

use serde::{Deserialize, Serialize};
use wikitok_counts::Counts;

pub use crate::bound::{Bound, Bounds};
pub use crate::places::Places;

/// Everything that decides the bytes of the output, given the snapshot.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Configuration {
    /// Tokenizer encoding, e.g. `cl100k_base`.
    pub encoding: String,
    /// The embedding model, or none for token ids alone.
    #[serde(default)]
    pub embedding: Option<Embedding>,
    /// Stop after so many articles, counted in the order of the snapshot.
    #[serde(default)]
    pub limit: Option<u64>,
    /// How a shard is cut: compressed bytes in a range.
    pub range_bytes: u64,
    /// Which shards of the snapshot, by their places in its order, e.g. `0-3,7`; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<String>,
    /// Which namespaces: none for articles, namespace 0 of the content index; else those of the general index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<i64>,
    /// Texts with fewer characters are left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub min_chars: u64,
    /// Whether the text itself is kept beside its ids.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub keep_text: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_yes(answer: &bool) -> bool {
    *answer
}

/// Which model makes the vectors, and how.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Embedding {
    /// The model's name, e.g. `all-MiniLM-L6-v2`.
    pub model: String,
    /// Sha256 of its weights.
    pub model_sha256: String,
    /// Word pieces of a text that are embedded; the rest is cut off.
    pub max_word_pieces: u32,
    /// Sha256 of how the model is read: its tokenizer, pooling and so on; none for `all-MiniLM-L6-v2` as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_sha256: Option<String>,
    /// What is written before every text, as E5's `passage: `.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub passage_prefix: String,
    /// In which numbers the model is computed: `fp32`, `fp16` or `int8`.
    #[serde(default = "fp32", skip_serializing_if = "is_fp32")]
    pub precision: String,
    /// In which numbers vectors are written: `f32` or `f16`.
    #[serde(default = "f32", skip_serializing_if = "is_f32")]
    pub vector_type: String,
    /// How articles are cut into passages; none for one vector of each article's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passages: Option<PassageCut>,
    /// Padded word pieces of a batch; none for what suits the worker's device. It decides the last bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_word_pieces: Option<u32>,
}

/// How articles are cut into passages.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PassageCut {
    /// Word pieces of a passage at most.
    pub word_pieces: u32,
    /// Word pieces that a passage shares with the one before.
    pub overlap: u32,
}

fn fp32() -> String {
    "fp32".to_owned()
}

fn is_fp32(precision: &str) -> bool {
    precision == "fp32"
}

fn f32() -> String {
    "f32".to_owned()
}

fn is_f32(vector_type: &str) -> bool {
    vector_type == "f32"
}

/// How fast a run goes; none of it changes the output.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Pace {
    /// Shards worked on at the same time.
    pub shards_in_flight: u32,
    /// Parts of one shard tokenized at the same time, where its compression allows.
    pub parts_in_flight: u32,
    /// Parts of one shard that may wait for their vectors before tokenizing pauses.
    pub backlog_parts: u32,
    /// Silence after which a worker is taken for dead, in seconds.
    pub heartbeat_seconds: u32,
    /// Events after which an execution starts nothing more and continues as a new one. The server suggests that
    /// earlier unless it was configured otherwise; work in flight adds some hundred events more, and no history
    /// should pass 10,000.
    pub longest_history: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            shards_in_flight: 8,
            parts_in_flight: 4,
            backlog_parts: 16,
            heartbeat_seconds: 30,
            longest_history: 6_000,
        }
    }
}

/// What every activity of a run needs to know about it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Run {
    /// The snapshot, e.g. `enwiki-20260920`.
    pub snapshot: String,
    /// Its layout at the source: `legacy` or `current`.
    pub layout: String,
    /// URI of the source.
    pub source: String,
    /// URI of the output.
    pub output: String,
    /// What decides the bytes of the output.
    pub configuration: Configuration,
    /// Fingerprint of all that the token data depends on.
    pub tokens_fingerprint: String,
    /// Fingerprint of all that the vectors depend on; none without an embedding.
    #[serde(default)]
    pub vectors_fingerprint: Option<String>,
    /// Where shards are copied to before they are read, with none: nowhere, they are read at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// At which address the operators of the source reach whoever runs this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// How fast to go.
    #[serde(default)]
    pub pace: Pace,
    /// What may go wrong before the run is given up.
    #[serde(default)]
    pub bounds: Bounds,
}

/// A shard: one file of the snapshot, as it was when the run was planned.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Shard {
    /// Key of the file below the source.
    pub key: String,
    /// The shard's name: that of the file without its extensions.
    pub name: String,
    /// Size of the file.
    pub bytes: u64,
    /// Changes whenever the file does.
    pub version: String,
}

/// Input of [`crate::DumpWorkflow`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DumpInput {
    /// What to do.
    pub run: Run,
    /// What earlier executions of this run have done, when it continues as new or is tried again.
    #[serde(default)]
    pub done: DumpProgress,
    /// Parts with records in quarantine are made again, though they are committed.
    #[serde(default)]
    pub remake_quarantined: bool,
    /// The command that began the run, word by word, with every path in full; for its record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

/// Where a run stands: the answer to the `progress` query of [`crate::DumpWorkflow`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct DumpProgress {
    /// What it is doing.
    pub status: Status,
    /// The output, as given to `start`.
    pub output: String,
    /// Shards in the snapshot; 0 until it is planned.
    pub shards: u32,
    /// Shards started so far: the next to start.
    pub shards_started: u32,
    /// Shards that ended well.
    pub shards_done: u32,
    /// Names of the shards at work.
    pub in_flight: Vec<String>,
    /// How many of them are being copied into the mirror.
    pub copying: u32,
    /// Shards that failed for good; the first [`MAX_FAILURES`] of them.
    pub failed: Vec<ShardFailure>,
    /// How many failed.
    pub shards_failed: u32,
    /// Sum over the shards that ended well.
    pub counts: Counts,
    /// Sum over the committed parts of shards that ended, but not well.
    pub partial: Counts,
    /// Shards that ended, but not well: failed or cancelled.
    pub unfinished: Places,
    /// Shards of an earlier execution that are still to be tried again, before those never started.
    pub again: Places,
    /// Why the run was given up before its end, where it was.
    pub given_up: Option<String>,
    /// No new part is started.
    pub paused: bool,
    /// Shards worked on at the same time, where that was changed; 0 where it was not.
    pub shards_in_flight: u32,
    /// Task queues that no worker polls.
    pub without_worker: Vec<String>,
    /// Milliseconds that executions before this one took, when the run was tried again.
    pub before_ms: u64,
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended, in milliseconds since 1970; 0 before.
    pub ended_ms: u64,
}

/// Failures are named up to this many, and counted beyond.
pub const MAX_FAILURES: usize = 20;

/// Where a run stands, in a word.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Finding out what there is to do.
    #[default]
    Planning,
    /// Working on shards.
    Running,
    /// Starting no new parts until it is told to go on.
    Paused,
    /// Writing the manifest of the run.
    Publishing,
    /// Finished, with every record processed.
    Done,
    /// Finished, with some records in quarantine.
    DoneWithQuarantine,
    /// Ended with shards that failed.
    Failed,
    /// Ended because someone asked for it.
    Cancelled,
}

impl Status {
    /// The status in words, as shown and searched for.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Publishing => "publishing",
            Self::Done => "done",
            Self::DoneWithQuarantine => "done_with_quarantine",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A shard that failed for good, and why.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ShardFailure {
    /// The shard.
    pub shard: String,
    /// Kind of error, e.g. `corrupt_input`.
    pub reason: String,
    /// The error in words.
    pub message: String,
}

/// Input of the `plan_snapshot` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PlanSnapshotInput {
    /// The run.
    pub run: Run,
    /// Index of the first shard to return.
    pub first: u32,
    /// Where the mirror is not complete, the source is asked anew, whatever the mirror remembers of it: it may have been
    /// mended since.
    #[serde(default)]
    pub anew: bool,
}

/// Shards returned by one `plan_snapshot`: enough to work on, few enough for a payload.
pub const SHARDS_IN_PAGE: u32 = 64;

/// A page of the plan of a snapshot.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SnapshotPlan {
    /// Shards in the snapshot.
    pub shards: u32,
    /// Up to [`SHARDS_IN_PAGE`] of them, from the index asked for.
    pub page: Vec<Shard>,
    /// They lie in the run's mirror, all of them, and need not be copied.
    #[serde(default)]
    pub mirrored: bool,
}

/// Input of the `mirror_shard` activity, whose result is the shard in the mirror.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MirrorShardInput {
    /// The run.
    pub run: Run,
    /// The shard at the source.
    pub shard: Shard,
}

/// Input of the `check_copy` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CheckCopyInput {
    /// The run.
    pub run: Run,
    /// The shard in the mirror.
    pub shard: Shard,
}

/// Input of [`crate::ShardWorkflow`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ShardInput {
    /// The run.
    pub run: Run,
    /// The shard.
    pub shard: Shard,
    /// Stop after so many articles.
    #[serde(default)]
    pub limit: Option<u64>,
    /// What earlier executions of this shard have done, when it continues as new.
    #[serde(default)]
    pub done: ShardProgress,
    /// Parts with records in quarantine are made again, though they are committed.
    #[serde(default)]
    pub remake_quarantined: bool,
}

/// Where a shard stands: the answer to the `progress` query of [`crate::ShardWorkflow`], and its result.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ShardProgress {
    /// How many parts there are, where that is known beforehand.
    pub parts: Option<u32>,
    /// Parts started so far: the next to start.
    pub parts_started: u32,
    /// Parts tokenized.
    pub parts_tokenized: u32,
    /// Parts with vectors.
    pub parts_embedded: u32,
    /// There is nothing more to start.
    pub at_end: bool,
    /// Sum over the parts committed.
    pub counts: Counts,
    /// No new part is started.
    pub paused: bool,
    /// As many parts wait for their vectors as may, so that none is tokenized.
    pub waits_for_vectors: bool,
}

/// Argument of the `left` signal of [`crate::DumpWorkflow`]: what a shard had done when it was cancelled. Temporal
/// keeps the details of a cancelled child, and the SDK does not hand them to the parent.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ShardLeft {
    /// Name of the shard.
    pub shard: String,
    /// What it had done.
    pub progress: ShardProgress,
}

/// Argument of the `scale` update of [`crate::DumpWorkflow`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Scale {
    /// Shards worked on at the same time from now on.
    pub shards_in_flight: u32,
}

/// At most so many shards are worked on at the same time: Temporal's own limit for children is 2,000.
pub const MOST_SHARDS_IN_FLIGHT: u32 = 1_000;

/// Input of the `plan_shard` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PlanShardInput {
    /// The run.
    pub run: Run,
    /// The shard.
    pub shard: Shard,
}

/// How a shard is cut into parts.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ShardPlan {
    /// The number of parts, which can be made in any order; or none, where each begins at the end of the one
    /// before, and the last one says so.
    pub parts: Option<u32>,
}

/// Input of the `tokenize_part` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TokenizePartInput {
    /// The run.
    pub run: Run,
    /// The shard.
    pub shard: Shard,
    /// The part, counted from 0.
    pub part: u32,
    /// How many parts the shard has, where that is known.
    pub parts: Option<u32>,
    /// Stop after so many articles.
    pub limit: Option<u64>,
    /// The part is made again if it has records in quarantine, though it is committed.
    #[serde(default)]
    pub remake_quarantined: bool,
}

/// Result of the `tokenize_part` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TokenizedPart {
    /// What was read and written.
    pub counts: Counts,
    /// No part follows.
    pub last: bool,
}

/// Input of the `embed_part` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EmbedPartInput {
    /// The run.
    pub run: Run,
    /// Name of the shard.
    pub shard: String,
    /// The part, counted from 0.
    pub part: u32,
    /// Articles in it.
    pub articles: u64,
}

/// Result of the `embed_part` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EmbeddedPart {
    /// Vectors written.
    pub vectors: u64,
}

/// Input of the `seal_shard` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SealShardInput {
    /// The run.
    pub run: Run,
    /// The shard.
    pub shard: Shard,
    /// Parts it has.
    pub parts: u32,
    /// What the workflow counted, which the manifests must confirm.
    pub counts: Counts,
}

/// Input of the `publish_run` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PublishRunInput {
    /// The run.
    pub run: Run,
    /// Shards sealed.
    pub shards: u32,
    /// What the workflow counted, which the manifests must confirm.
    pub counts: Counts,
}

/// Input of the `watch_queues` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WatchQueuesInput {
    /// The task queues to watch.
    pub queues: Vec<String>,
    /// Those of them that are known to have no worker.
    pub without_worker: Vec<String>,
}

/// Result of the `watch_queues` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WatchedQueues {
    /// Those that have no worker now: other ones than before.
    pub without_worker: Vec<String>,
}

/// Input of the `keep_record` activity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeepRecordInput {
    /// The run.
    pub run: Run,
    /// How it ended.
    pub progress: DumpProgress,
    /// Why it failed, where it did.
    #[serde(default)]
    pub error: Option<String>,
    /// The command that began it, word by word.
    #[serde(default)]
    pub command: Vec<String>,
}

/// Detail of a heartbeat: how far an activity is, shown by `temporal workflow describe` and the Web UI.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Beat {
    /// Documents or texts done so far.
    pub done: u64,
}
