//! An event is one line of a run's record.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// An execution of the run began.
    RunStarted,
    /// The run was tried again after its end.
    RunRetried,
    /// The run went on as a new execution, because the history of the last one had grown long.
    RunContinued,
    /// Someone reset the run to an earlier point.
    RunReset,
    /// Someone asked for a pause.
    RunPaused,
    /// Someone asked to go on.
    RunResumed,
    /// Someone changed how many shards are worked on at the same time.
    RunScaled,
    /// Someone asked for the end of the run.
    RunCancelRequested,
    /// Planning or publishing failed, and was tried again.
    RunStepRetried,
    /// Planning or publishing failed for good.
    RunStepFailed,
    /// The manifest of the run and `_SUCCESS` were written.
    RunCommitted,
    /// The run ended well.
    RunCompleted,
    /// The run ended with shards that failed, or was given up.
    RunFailed,
    /// The run ended because someone asked for it.
    RunCancelled,
    /// The run was ended without being asked.
    RunTerminated,
    /// A shard was copied into the mirror.
    ShardCopied,
    /// Work on a shard began.
    ShardStarted,
    /// The shard went on as a new execution, because the history of the last one had grown long.
    ShardContinued,
    /// Someone reset the shard to an earlier point.
    ShardReset,
    /// Copying, checking, planning or sealing a shard failed, and was tried again.
    ShardStepRetried,
    /// Copying, checking, planning or sealing a shard failed for good.
    ShardStepFailed,
    /// The shard was sealed: all its parts are there and fit together.
    ShardCommitted,
    /// The shard failed for good.
    ShardFailed,
    /// The shard ended because the run was asked to stop.
    ShardCancelled,
    /// The shard was ended without being asked.
    ShardTerminated,
    /// Work on a part began.
    PartStarted,
    /// Work on a part had failed, and was begun again.
    PartRetried,
    /// The tokens or the vectors of a part were committed.
    PartCommitted,
    /// Work on a part failed for good.
    PartFailed,
    /// Work on a part was stopped because the run was.
    PartCancelled,
}

/// What is made of a part.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Planning a snapshot or a shard.
    Plan,
    /// Copying a shard into the mirror.
    Copy,
    /// Checking a copy.
    Check,
    /// Token ids.
    Tokens,
    /// Vectors.
    Vectors,
    /// Sealing a shard.
    Seal,
    /// Publishing the run.
    Publish,
}

/// One line of a run's record. A contract: programs read its JSON, so fields are only ever added.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Event {
    /// When, in UTC, to the microsecond: `2026-09-20T12:00:00.000000Z`. The text sorts as the time does.
    pub time: String,
    /// What.
    pub event: EventKind,
    /// The run, where it is about the whole of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// The part, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// What was being made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Which attempt it was, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// The worker that made it, or the client that asked for it: process and host, as Temporal knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Kind of the failure, e.g. `bad_input` or `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The failure in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Articles committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub articles: Option<u64>,
    /// Tokens committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Vectors committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<u64>,
    /// Shards worked on at the same time, from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards_in_flight: Option<u64>,
    /// Temporal's id of the execution whose history says so.
    pub execution: String,
    /// Where in that history.
    pub event_id: i64,
}

impl Event {
    /// Orders events by time; those of the same microsecond by what they are about.
    pub(crate) fn order(&self) -> (&str, &Option<String>, &str, i64, EventKind) {
        (&self.time, &self.shard, &self.execution, self.event_id, self.event)
    }
}

/// A time as events have it.
pub(crate) fn in_words(seconds: i64, nanoseconds: u32) -> String {
    let time = DateTime::from_timestamp(seconds, nanoseconds).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_text() {
        let times =
            [in_words(0, 0), in_words(0, 999_999_999), in_words(1, 0), in_words(1_790_000_000, 1_000)];
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(times[3], "2026-09-21T14:13:20.000001Z");
    }
}
