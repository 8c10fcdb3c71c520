//! `start --dry-run`: what a run would do, and an estimate of what it takes.
//!
//! The estimate rests on a sample: the beginning of the first shard is read, tokenized, written and, where the
//! model is here, embedded, on this machine and now.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use tokio::runtime::Handle;
use wikitok_activities::plan;
use wikitok_dump::{
    ByteRange, Compression, LocationObject, RangeInput, RangeLimits, RangePlan, ReadAt, Record, Snapshot,
};
use wikitok_embed::{Embedder, EmbedderOptions};
use wikitok_publish::{TokenPartOptions, TokenPartWriter, TokenRow};
use wikitok_store::Location;
use wikitok_tokenize::Tokenizer;
use wikitok_workflows::contract::Run;

use crate::arguments::{Format, StartArguments};
use crate::error::FAILED;
use crate::output::{self, thousands};
use crate::preflight::{self, Sought};

/// Compressed bytes of the sample: some seconds of work.
const SAMPLE_BYTES: u64 = 4 << 20;
/// Articles of it that are embedded.
const SAMPLE_TEXTS: usize = 24;
/// A vector takes so much in its file: numbers hardly compress.
const VECTOR_BYTES: u64 = 384 * 4;
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

/// What the run would take, all of it, by the sample.
#[derive(Serialize)]
struct Estimate {
    articles: u64,
    tokens: u64,
    output_bytes: u64,
    /// Seconds of one core like one of this machine.
    cpu_seconds: f64,
    /// Seconds of embedding on this machine's device, with all its cores; none where it could not be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    embed_seconds: Option<f64>,
    /// What the estimate rests on.
    rests_on: String,
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
    let Sought { run, id, snapshot, source } = sought;
    let bytes = snapshot.shards.iter().map(|shard| shard.bytes).sum();
    let first = snapshot.shards.first().context("the snapshot has no shard")?;
    let object = Arc::new(LocationObject::new(source.clone(), first, Handle::current()));
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
    if !Path::new(output).is_dir() {
        return Ok(0);
    }
    let manifests = Location::open(output)?.list("manifests").await?;
    Ok(manifests.iter().filter(|object| object.key.ends_with(".tokens.json")).count() as u64)
}

/// Free space where the output is, or where its directory would be made.
fn free_bytes(output: &str) -> Option<u64> {
    let there = Path::new(output).ancestors().find(|path| path.is_dir())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    Some(stat.f_bavail * stat.f_frsize)
}

/// What the beginning of the first shard gave.
struct Sample {
    compressed_bytes: u64,
    articles: u64,
    tokens: u64,
    part_bytes: u64,
    cpu_seconds: f64,
    /// Seconds for each vector; none where the model could not be tried, and why.
    embed_seconds: Result<f64, String>,
}

impl Sample {
    fn take(
        source: Arc<dyn ReadAt>,
        compression: Compression,
        run: &Run,
        embedder: &EmbedderOptions,
    ) -> anyhow::Result<Self> {
        let bytes = SAMPLE_BYTES.min(source.len());
        let range = match compression {
            Compression::Bzip2 => RangeInput::Blocks(ByteRange { from: 0, to: bytes }),
            Compression::Gzip => RangeInput::Stream { start: None, consume_bytes: bytes },
        };
        let tokenizer = Tokenizer::new(run.configuration.encoding.parse()?)?;
        let options =
            TokenPartOptions { keep_text: run.configuration.keep_text, ..TokenPartOptions::default() };
        let (mut part, mut texts, mut articles) = (TokenPartWriter::new(options)?, Vec::new(), 0);
        let began = Instant::now();
        let mut reader = wikitok_dump::open_range(source, &range, RangeLimits::default())?
            .wanting(plan::wanted(&run.configuration));
        while let Some(record) = reader.next()? {
            let Record::Article(article) = record else { continue };
            articles += 1;
            let tokens = tokenizer.encode_ordinary(&article.text)?;
            if texts.len() < SAMPLE_TEXTS {
                texts.push(article.text.clone());
            }
            let (page_id, title, text) = (article.page_id, article.title, article.text);
            let (revision_id, timestamp) = (article.revision_id, article.timestamp);
            part.push(TokenRow { page_id, title, revision_id, timestamp, text, tokens })?;
        }
        let (tokens, part) = (part.tokens(), part.finish()?);
        let cpu_seconds = began.elapsed().as_secs_f64();
        let embed_seconds = match run.configuration.embedding {
            Some(_) if !texts.is_empty() => embed_seconds(&texts, embedder),
            _ => Err("no vectors are asked for".to_owned()),
        };
        let part_bytes = part.content.len();
        Ok(Self { compressed_bytes: bytes, articles, tokens, part_bytes, cpu_seconds, embed_seconds })
    }

    /// The whole, if all of it is like the sample; of a limit, the share that it leaves.
    fn estimate(&self, bytes: u64, run: &Run) -> Estimate {
        let whole = bytes as f64 / self.compressed_bytes.max(1) as f64;
        let articles = self.articles as f64 * whole;
        let share = match run.configuration.limit {
            Some(limit) if articles > 0.0 => (limit as f64 / articles).min(1.0),
            _ => 1.0,
        };
        let times = whole * share;
        let articles = articles * share;
        let vectors = if run.configuration.embedding.is_some() { articles } else { 0.0 };
        let embed = self.embed_seconds.as_ref();
        Estimate {
            articles: articles as u64,
            tokens: (self.tokens as f64 * times) as u64,
            output_bytes: (self.part_bytes as f64 * times + vectors * VECTOR_BYTES as f64) as u64,
            cpu_seconds: (self.cpu_seconds * times).round(),
            embed_seconds: embed.ok().map(|seconds| (seconds * articles).round()),
            rests_on: self.rests_on(run),
        }
    }

    fn rests_on(&self, run: &Run) -> String {
        let embedded = match &self.embed_seconds {
            Ok(_) => format!("; {} of them embedded", SAMPLE_TEXTS.min(self.articles as usize)),
            Err(why) if run.configuration.embedding.is_some() => format!("; embedding not tried: {why}"),
            Err(_) => String::new(),
        };
        format!(
            "the first {:.1} MB of the first shard, {} articles, read, tokenized and written on one core of this \
             machine{embedded}",
            self.compressed_bytes as f64 / 1e6,
            thousands(self.articles)
        )
    }
}

/// Seconds that a vector takes, with the model that is here.
fn embed_seconds(texts: &[String], options: &EmbedderOptions) -> Result<f64, String> {
    let embedder = Embedder::load(options).map_err(|error| error.to_string())?;
    let began = Instant::now();
    embedder.embed(texts, None, &|_| true).map_err(|error| error.to_string())?;
    Ok(began.elapsed().as_secs_f64() / texts.len() as f64)
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
