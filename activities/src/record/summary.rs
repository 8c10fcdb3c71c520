//! The summary of a run: what was asked for, what came of it, and what to type next.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chrono::DateTime;
use serde::Serialize;
use wikitok_counts::Counts;
use wikitok_workflows::contract::{Configuration, KeepRecordInput, ShardFailure, Status};

use super::event::{Event, EventKind, in_words};

const FORMAT: &str = "wikitok/job-summary/1";

/// What `job_summary.json` says. A contract: programs read it, so fields are only ever added.
#[derive(Debug, Serialize)]
pub struct JobSummary {
    format: &'static str,
    run_id: String,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    snapshot: String,
    layout: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<String>,
    output: String,
    configuration: Configuration,
    tokens_fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vectors_fingerprint: Option<String>,
    shards: u32,
    shards_done: u32,
    shards_failed: u32,
    failed_shards: Vec<ShardFailure>,
    /// Sum over the shards that ended well.
    counts: Counts,
    /// Sum over the committed parts of the others.
    counts_of_unfinished: Counts,
    started: String,
    ended: String,
    /// All executions together, without the time between them.
    seconds: f64,
    attempts: Attempts,
    /// Seconds of work on parts, by what was made: all workers together.
    work_seconds: BTreeMap<String, f64>,
    /// Temporal's ids of the executions of the run and its shards that the record tells of.
    executions: BTreeSet<String>,
    workers: BTreeSet<String>,
    versions: BTreeMap<&'static str, &'static str>,
    commands: Commands,
}

/// How often something was begun, and what became of it.
#[derive(Debug, Default, Serialize)]
struct Attempts {
    parts_started: u64,
    parts_retried: u64,
    parts_committed: u64,
    parts_failed: u64,
    steps_retried: u64,
    shards_started: u64,
    runs_started: u64,
}

/// What to type next, ready for a shell.
#[derive(Debug, Serialize)]
struct Commands {
    /// Goes on from what is committed, whatever became of the run and of Temporal's memory of it.
    resume: String,
    /// Runs again what did not end well, while Temporal remembers the run.
    retry: String,
    errors: String,
    events: String,
    verify: String,
}

impl JobSummary {
    /// Of the run `id`, whose record are `events`.
    pub fn new(id: &str, input: &KeepRecordInput, events: &[Event]) -> Self {
        let (run, progress) = (&input.run, &input.progress);
        Self {
            format: FORMAT,
            run_id: id.to_owned(),
            status: progress.status,
            error: input.error.clone(),
            snapshot: run.snapshot.clone(),
            layout: run.layout.clone(),
            source: run.source.clone(),
            mirror: run.mirror.clone(),
            output: run.output.clone(),
            configuration: run.configuration.clone(),
            tokens_fingerprint: run.tokens_fingerprint.clone(),
            vectors_fingerprint: run.vectors_fingerprint.clone(),
            shards: progress.shards,
            shards_done: progress.shards_done,
            shards_failed: progress.shards_failed,
            failed_shards: progress.failed.clone(),
            counts: progress.counts.clone(),
            counts_of_unfinished: progress.partial.clone(),
            started: milliseconds(progress.started_ms),
            ended: milliseconds(progress.ended_ms),
            seconds: (progress.before_ms + progress.ended_ms.saturating_sub(progress.started_ms)) as f64
                / 1e3,
            attempts: Attempts::of(events),
            work_seconds: work_seconds(events),
            executions: events.iter().map(|event| event.execution.clone()).collect(),
            workers: workers(events),
            versions: BTreeMap::from([("wikitok", env!("CARGO_PKG_VERSION"))]),
            commands: Commands::new(id, input),
        }
    }

    /// As it is stored.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a summary is JSON");
        bytes.push(b'\n');
        bytes.into()
    }
}

impl Attempts {
    fn of(events: &[Event]) -> Self {
        let mut attempts = Self::default();
        for event in events {
            // Of several attempts in a row, the last is told.
            let times = match event.event {
                EventKind::PartRetried | EventKind::RunStepRetried | EventKind::ShardStepRetried => {
                    event.attempt.map_or(1, |attempt| u64::try_from(attempt - 1).unwrap_or(1))
                }
                _ => 1,
            };
            let counter = match event.event {
                EventKind::PartStarted => &mut attempts.parts_started,
                EventKind::PartRetried => &mut attempts.parts_retried,
                EventKind::PartCommitted => &mut attempts.parts_committed,
                EventKind::PartFailed => &mut attempts.parts_failed,
                EventKind::RunStepRetried | EventKind::ShardStepRetried => &mut attempts.steps_retried,
                EventKind::ShardStarted => &mut attempts.shards_started,
                EventKind::RunStarted | EventKind::RunRetried => &mut attempts.runs_started,
                _ => continue,
            };
            *counter += times;
        }
        attempts
    }
}

impl Commands {
    fn new(id: &str, input: &KeepRecordInput) -> Self {
        let about = |verb: &str| shell_words(["wikitok-cli", verb, id]);
        let begun = if input.command.is_empty() {
            about("retry")
        } else {
            shell_words(input.command.iter().map(String::as_str))
        };
        Self {
            resume: begun,
            retry: about("retry"),
            errors: about("errors"),
            events: about("events"),
            verify: shell_words(["wikitok-cli", "verify", &input.run.output]),
        }
    }
}

/// Seconds between the last start and the commit of each part, summed up by what was made.
fn work_seconds(events: &[Event]) -> BTreeMap<String, f64> {
    let mut begun = BTreeMap::new();
    let mut sums = BTreeMap::new();
    for event in events {
        let Some(stage) = event.stage else { continue };
        let key = (&event.execution, &event.shard, event.part, stage);
        match event.event {
            EventKind::PartStarted | EventKind::PartRetried => {
                begun.insert(key, &event.time);
            }
            EventKind::PartCommitted => {
                let name = format!("{stage:?}").to_lowercase();
                let time = begun.get(&key).and_then(|from| seconds_between(from, &event.time));
                *sums.entry(name).or_insert(0.0) += time.unwrap_or_default();
            }
            _ => {}
        }
    }
    sums
}

fn seconds_between(from: &str, to: &str) -> Option<f64> {
    let (from, to) = (DateTime::parse_from_rfc3339(from).ok()?, DateTime::parse_from_rfc3339(to).ok()?);
    Some((to - from).num_microseconds()? as f64 / 1e6)
}

fn workers(events: &[Event]) -> BTreeSet<String> {
    let at_work = events.iter().filter(|event| event.stage.is_some());
    at_work.filter_map(|event| event.worker.clone()).collect()
}

fn milliseconds(since_1970: u64) -> String {
    in_words((since_1970 / 1000) as i64, (since_1970 % 1000) as u32 * 1_000_000)
}

/// Words as a shell takes them: what it would read otherwise is quoted.
pub fn shell_words<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(shell_word).collect();
    quoted.join(" ")
}

fn shell_word(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_as_they_were() {
        let words = ["wikitok-cli", "start", "--output", "/a b/it's", "$HOME", "", "--shards=0-3"];
        let line = shell_words(words);
        assert_eq!(line, r"wikitok-cli start --output '/a b/it'\''s' '$HOME' '' --shards=0-3");
    }

    #[test]
    fn times_can_be_subtracted() {
        let (from, to) = ("2026-09-20T23:59:59.500000Z", "2026-09-21T00:00:01.000000Z");
        assert_eq!(seconds_between(from, to), Some(1.5));
    }
}
