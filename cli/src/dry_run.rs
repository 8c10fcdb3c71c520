//! `start --dry-run`: what a run would do, and an estimate of what it takes.
//!
//! The estimate rests on a [`Sample`].

mod sample;
mod vectors;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use tokio::runtime::Handle;
use wikitok_activities::plan;
use wikitok_dump::{Compression, LocationObject, RangePlan, Snapshot};
use wikitok_store::{Location, StoreError};

use self::sample::{Estimate, Sample};

use crate::arguments::{Format, StartArguments};
use crate::error::FAILED;
use crate::output::{self, thousands};
use crate::preflight::{self, Found, Sought};

/// A run stops being possible when the output needs more than this share of the space that is free.
const USABLE_SPACE: f64 = 0.95;

/// The plan of a run. A contract: scripts read its JSON.
#[derive(Serialize)]
struct Plan {
    run_id: String,
    snapshot: String,
    layout: String,
    index: &'static str,
    source: String,
    output: String,
    shards: u32,
    bytes: u64,
    /// Compression, by the first bytes of the first shard.
    compression: &'static str,
    /// About how many, where the compression does not tell before.
    ranges: u64,
    range_bytes: u64,
    /// Parts of the output that are committed already; those that fit are not made again.
    parts_committed: u64,
    /// Free space at the output, where that can be told.
    free_bytes: Option<u64>,
    estimate: Estimate,
}

pub(crate) async fn run(arguments: &StartArguments, format: Format) -> anyhow::Result<ExitCode> {
    let sought = preflight::look(arguments).await?;
    let plan = plan(arguments, &sought).await?;
    output::show(format, &plan, text)?;
    let fits =
        plan.free_bytes.is_none_or(|free| plan.estimate.output_bytes as f64 <= free as f64 * USABLE_SPACE);
    if !fits {
        output::remark("the output is larger than the free space at --output, by the estimate");
    }
    Ok(if fits { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

async fn plan(arguments: &StartArguments, sought: &Sought) -> anyhow::Result<Plan> {
    let Sought { run, id, found: Found { snapshot, place } } = sought;
    let bytes = snapshot.shards.iter().map(|shard| shard.bytes).sum();
    let first = snapshot.shards.first().context("the snapshot has no shard")?;
    let object = Arc::new(LocationObject::new(place.clone(), first, Handle::current()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (asked, options) = (run.clone(), arguments.embedding.model.located().await?.options(threads));
    let (compression, sample) = tokio::task::spawn_blocking(move || {
        let compression = wikitok_dump::sniff(&*object)?;
        let sample = Sample::take(object, compression, &asked, &options)?;
        anyhow::Ok((compression, sample))
    })
    .await??;
    Ok(Plan {
        run_id: id.clone(),
        snapshot: run.snapshot.clone(),
        layout: run.layout.clone(),
        index: plan::index(&run.configuration).as_str(),
        source: run.source.clone(),
        output: run.output.clone(),
        shards: snapshot.shards.len() as u32,
        bytes,
        compression: if compression == Compression::Gzip { "gzip" } else { "bzip2" },
        ranges: ranges(snapshot, compression, run.configuration.range_bytes),
        range_bytes: run.configuration.range_bytes,
        parts_committed: parts_committed(&run.output).await?,
        free_bytes: free_bytes(&run.output),
        estimate: sample.estimate(bytes, run),
    })
}

fn ranges(snapshot: &Snapshot, compression: Compression, range_bytes: u64) -> u64 {
    let count = |bytes| match wikitok_dump::plan_ranges(compression, bytes, range_bytes) {
        RangePlan::SideBySide { ranges } => ranges.len() as u64,
        RangePlan::InSequence { range_bytes } => bytes.div_ceil(range_bytes),
    };
    snapshot.shards.iter().map(|shard| count(shard.bytes)).sum()
}

/// Parts that are committed at an output, whatever they were made of.
async fn parts_committed(output: &str) -> anyhow::Result<u64> {
    let output = match Location::open(output) {
        Err(StoreError::NoSuchDirectory { .. }) => return Ok(0),
        opened => opened?,
    };
    let manifests = output.list("manifests").await?;
    Ok(manifests.iter().filter(|object| object.key.ends_with(".tokens.json")).count() as u64)
}

/// Free space where the output is, or where its directory would be made.
fn free_bytes(output: &str) -> Option<u64> {
    let there = Path::new(output).ancestors().find(|path| path.is_dir())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    Some(stat.f_bavail * stat.f_frsize)
}

fn text(plan: &Plan) -> String {
    let estimate = &plan.estimate;
    let gigabytes = |bytes: u64| format!("{:.2} GB", bytes as f64 / 1e9);
    let free = plan.free_bytes.map_or_else(|| "unknown".to_owned(), gigabytes);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut lines = vec![
        format!("{}: would be started", plan.run_id),
        format!("  snapshot     {}, {} layout, {} index", plan.snapshot, plan.layout, plan.index),
        format!("  source       {}", plan.source),
        format!("  shards       {}, {}, {}", plan.shards, gigabytes(plan.bytes), plan.compression),
        format!("  ranges       {} of {:.1} MB", thousands(plan.ranges), plan.range_bytes as f64 / 1e6),
        format!(
            "  output       {}: {free} free, {} parts there",
            plan.output,
            thousands(plan.parts_committed)
        ),
        format!(
            "  estimate     {} articles, {} tokens, {} of output",
            thousands(estimate.articles),
            thousands(estimate.tokens),
            gigabytes(estimate.output_bytes)
        ),
        format!(
            "  tokenizing   {} on one core like these, {} on {cores}",
            duration(estimate.cpu_seconds),
            duration(estimate.cpu_seconds / cores as f64)
        ),
    ];
    lines.extend(
        estimate.embed_seconds.map(|seconds| format!("  embedding    {} on this machine", duration(seconds))),
    );
    lines.push(format!("  rests on     {}", estimate.rests_on));
    output::lines(lines)
}

fn duration(seconds: f64) -> String {
    if seconds < 120.0 {
        return format!("{seconds:.0} s");
    }
    let minutes = seconds / 60.0;
    if minutes < 120.0 { format!("{minutes:.0} min") } else { format!("{:.1} h", minutes / 60.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_can_be_read() {
        let shown = [3.4, 119.0, 600.0, 36_000.0].map(duration);
        assert_eq!(shown, ["3 s", "119 s", "10 min", "10.0 h"]);
    }

    #[test]
    fn free_space_is_that_of_the_nearest_directory_that_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("not/there/yet");
        assert!(free_bytes(&deep.to_string_lossy()).is_some_and(|bytes| bytes > 0));
    }
}
