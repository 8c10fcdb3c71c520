//! How a run ended, or where it stands: what scripts read and people see.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use wikitok_workflows::contract::{DumpProgress, ShardFailure, Status};

use crate::error;
use crate::output::{printable, thousands};

/// A run as of now. A contract: scripts read its JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The workflow's id.
    pub(crate) run_id: String,
    /// A word: `planning`, `running`, `paused`, `publishing`, `done`, `done_with_quarantine`, `failed`, `cancelled`.
    pub(crate) status: String,
    /// What it waits for, in words, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<String>,
    /// Articles written, those of shards that did not end well included.
    pub(crate) articles: u64,
    /// Documents passed over, by reason.
    pub(crate) filtered: BTreeMap<String, u64>,
    /// Records that could not be processed.
    pub(crate) quarantined: u64,
    /// The same by reason.
    pub(crate) quarantined_by_reason: BTreeMap<String, u64>,
    /// Shards in the snapshot.
    pub(crate) shards: u32,
    /// Shards that ended well.
    pub(crate) shards_done: u32,
    /// Shards that failed for good: which, and why.
    pub(crate) failed_shards: Vec<ShardFailure>,
    /// How many did.
    #[serde(skip)]
    pub(crate) failed_shards_total: u32,
    /// Shards at work.
    #[serde(skip)]
    pub(crate) in_flight: Vec<String>,
    /// Token ids written.
    pub(crate) tokens: u64,
    /// Embedding vectors written.
    pub(crate) vectors: u64,
    /// From the start of the run to its end, or to now.
    pub(crate) seconds: f64,
    /// Articles over seconds.
    pub(crate) articles_per_second: f64,
    /// Where the output lies.
    pub(crate) output: String,
    /// The run in Temporal's Web UI.
    pub(crate) web_ui: String,
    /// Why it failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Report {
    pub(crate) fn new(run_id: &str, web_ui: &str, progress: &DumpProgress) -> Self {
        let seconds = seconds(progress);
        let mut counts = progress.counts.clone();
        counts.add(&progress.partial);
        let articles = counts.articles;
        let per_second = if seconds > 0.0 { articles as f64 / seconds } else { 0.0 };
        Self {
            run_id: run_id.to_owned(),
            status: progress.status.as_str().to_owned(),
            waiting: None,
            articles,
            quarantined: counts.quarantined_total(),
            filtered: counts.filtered,
            quarantined_by_reason: counts.quarantined,
            shards: progress.shards,
            shards_done: progress.shards_done,
            failed_shards: progress.failed.clone(),
            failed_shards_total: progress.shards_failed,
            in_flight: progress.in_flight.clone(),
            tokens: counts.tokens,
            vectors: counts.vectors,
            seconds: rounded(seconds),
            articles_per_second: rounded(per_second),
            output: progress.output.clone(),
            web_ui: web_ui.to_owned(),
            error: progress.given_up.clone(),
        }
    }

    /// A run that ended without saying more than why.
    pub(crate) fn failed(run_id: &str, web_ui: &str, progress: &DumpProgress, why: String) -> Self {
        let status = Status::Failed.as_str().to_owned();
        Self { status, error: Some(why), ..Self::new(run_id, web_ui, progress) }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.status.as_str() {
            "failed" | "cancelled" => ExitCode::from(error::FAILED),
            "done_with_quarantine" => ExitCode::from(error::QUARANTINED),
            _ => ExitCode::SUCCESS,
        }
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.run_id, self.status.replace('_', " "));
        let mut line = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<13}{value}");
        };
        if let Some(error) = &self.error {
            line("error", printable(error));
        }
        if let Some(waiting) = &self.waiting {
            line("waiting", waiting.clone());
        }
        for failure in &self.failed_shards {
            line(
                "failed",
                format!("{} ({}): {}", failure.shard, failure.reason, printable(&failure.message)),
            );
        }
        line("shards", format!("{} of {}", self.shards_done, self.shards));
        line("articles", thousands(self.articles));
        line("filtered", by_reason(&self.filtered));
        line("quarantined", by_reason(&self.quarantined_by_reason));
        line("tokens", thousands(self.tokens));
        line("vectors", thousands(self.vectors));
        line("time", format!("{:.1} s, {:.1} articles/s", self.seconds, self.articles_per_second));
        line("output", self.output.clone());
        line("Web UI", self.web_ui.clone());
        text
    }
}

fn by_reason(counts: &BTreeMap<String, u64>) -> String {
    let total: u64 = counts.values().sum();
    let reasons: Vec<String> =
        counts.iter().map(|(reason, count)| format!("{reason} {}", thousands(*count))).collect();
    if reasons.is_empty() {
        return "0".to_owned();
    }
    format!("{} ({})", thousands(total), reasons.join(", "))
}

fn seconds(progress: &DumpProgress) -> f64 {
    if progress.started_ms == 0 {
        return 0.0;
    }
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let end = if progress.ended_ms > 0 { progress.ended_ms } else { now() };
    (progress.before_ms + end.saturating_sub(progress.started_ms)) as f64 / 1000.0
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
