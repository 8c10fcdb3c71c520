//! `errors`: what failed in a run, where, why, how often, and what tries it again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;
use wikitok_activities::record;
use wikitok_store::Location;
use wikitok_workflows::contract::ShardFailure;

use crate::arguments::Format;
use crate::client::{Temporal, Trouble};
use crate::output::{self, printable, thousands};
use crate::report::Report;
use crate::watch;

/// Quarantine files that are read for examples: enough for one of every reason, in any but an odd dump.
const FILES_READ: usize = 100;

/// Everything that went wrong in a run. A contract: scripts read its JSON.
#[derive(Serialize)]
struct Errors {
    run_id: String,
    status: String,
    /// Why the run failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Shards that failed for good, the first of them.
    failed_shards: Vec<ShardFailure>,
    /// How many did.
    failed_shards_total: u32,
    /// Work that failed and is being tried again.
    retrying: Vec<Trouble>,
    /// Records in quarantine, by reason.
    quarantined: Vec<Quarantined>,
    /// The command that runs again what did not end well; none while the run goes on, or where all did.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<String>,
}

/// Records in quarantine for one reason.
#[derive(Serialize)]
struct Quarantined {
    reason: String,
    records: u64,
    /// One of them: shard, part, offset, page and message.
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<Value>,
}

pub(crate) async fn run(id: &str, profile: Option<String>, format: Format) -> anyhow::Result<ExitCode> {
    let temporal = Temporal::from_environment(profile).await?;
    let running = watch::is_running(&temporal, id).await?;
    let report = watch::report(&temporal, id, running).await?;
    let retrying =
        if running { temporal.activities(id, &report.in_flight).await.troubles } else { Vec::new() };
    let again =
        !running && (report.quarantined > 0 || matches!(report.status.as_str(), "failed" | "cancelled"));
    let errors = Errors {
        run_id: id.to_owned(),
        status: report.status.clone(),
        error: report.error.clone(),
        failed_shards: report.failed_shards.clone(),
        failed_shards_total: report.failed_shards_total,
        retrying,
        quarantined: quarantined(&report).await,
        retry: if again { Some(command_again(&temporal, id).await?) } else { None },
    };
    output::show(format, &errors, text)?;
    Ok(ExitCode::SUCCESS)
}

/// The command that goes on with a run that has ended. One that was terminated has left nothing to retry from, and is
/// started again.
async fn command_again(temporal: &Temporal, id: &str) -> anyhow::Result<String> {
    let input = temporal.input(id).await?;
    if watch::last_progress(temporal, id).await?.is_none() && !input.command.is_empty() {
        return Ok(record::shell_words(input.command.iter().map(String::as_str)));
    }
    Ok(format!("wikitok-cli retry {id}"))
}

/// The reasons for which records are in quarantine, each with one of them where the output can be read.
async fn quarantined(report: &Report) -> Vec<Quarantined> {
    let mut examples = match report.quarantined {
        0 => BTreeMap::new(),
        _ => examples(&report.output, report.quarantined_by_reason.len()).await.unwrap_or_else(|error| {
            output::remark(&format!("cannot read `{}`: {error:#}", report.output));
            BTreeMap::new()
        }),
    };
    let reasons = report.quarantined_by_reason.iter();
    reasons
        .map(|(reason, records)| Quarantined {
            reason: reason.clone(),
            records: *records,
            example: examples.remove(reason),
        })
        .collect()
}

/// One record of each reason, from the quarantine files of an output.
async fn examples(uri: &str, reasons: usize) -> anyhow::Result<BTreeMap<String, Value>> {
    let output = Location::open(uri)?;
    let mut examples = BTreeMap::new();
    for object in output.list("quarantine").await?.into_iter().take(FILES_READ) {
        let bytes = output.get(&object.key).await?;
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let record: Value = serde_json::from_slice(line)?;
            if let Some(reason) = record["reason"].as_str() {
                examples.entry(reason.to_owned()).or_insert(record);
            }
        }
        if examples.len() >= reasons {
            break;
        }
    }
    Ok(examples)
}

fn text(errors: &Errors) -> String {
    let mut text = format!("{}: {}\n", errors.run_id, errors.status.replace('_', " "));
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<13}{}", printable(value));
    };
    if let Some(error) = &errors.error {
        line("error", error);
    }
    for failure in &errors.failed_shards {
        line("failed", &format!("{} ({}): {}", failure.shard, failure.reason, failure.message));
    }
    let more = errors.failed_shards_total.saturating_sub(errors.failed_shards.len() as u32);
    if more > 0 {
        line("failed", &format!("and {more} more shards"));
    }
    for trouble in &errors.retrying {
        line("trying again", &trouble.to_string());
    }
    for quarantined in &errors.quarantined {
        line("quarantined", &describe(quarantined));
    }
    if errors.failed_shards_total == 0 && errors.retrying.is_empty() && errors.quarantined.is_empty() {
        line("errors", "none");
    }
    if let Some(retry) = &errors.retry {
        line("try again", retry);
    }
    text
}

fn describe(quarantined: &Quarantined) -> String {
    let sum = format!("{} {}", thousands(quarantined.records), quarantined.reason);
    let Some(example) = &quarantined.example else { return sum };
    let (shard, message) = (&example["shard"], &example["message"]);
    let (part, offset) = (&example["part"], &example["offset"]);
    let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{sum}, e.g. {} part {part} at {offset}: {}", words(shard), words(message))
}
