//! The command line, as clap reads it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use wikitok_dump::SnapshotQuery;
use wikitok_tokenize::Encoding;
use wikitok_worker::environment;

use crate::embedding::{EmbeddingArguments, ModelArguments};

/// Turns Wikipedia dumps into token ids and embedding vectors, durably.
///
/// A run is a Temporal workflow: it survives the loss of any process, and is seen in Temporal's Web UI.
/// The connection to Temporal is configured by `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`,
/// `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*` or a `temporal.toml`; nothing of it is repeated here but the profile.
///
/// Exit codes: 0 done, 1 done with quarantined records, 2 failed.
#[derive(Debug, Parser)]
#[command(
    name = "wikitok-cli",
    version,
    after_help = "Example, with nothing running:\n  \
        wikitok-cli start --local --watch --dump enwiki-latest --source ./dumps --output ./out"
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Section of `temporal.toml` to use.
    #[arg(long, global = true)]
    pub(crate) profile: Option<String>,
    /// What stdout is written as.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// What stdout is written as.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON object.
    Json,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a run over a snapshot, or attach to the one that exists.
    #[command(after_help = START_EXAMPLES)]
    Start(StartArguments),
    /// Show the progress of a run until it ends, then its result.
    #[command(after_help = "Example:\n  wikitok-cli watch wikitok/enwiki-20260920/1f0c5a1b2c3d")]
    Watch {
        /// The run's id, as `start` and `list` print it.
        run: String,
    },
    /// Show where a run stands, once.
    #[command(
        after_help = "Example:\n  wikitok-cli status wikitok/enwiki-20260920/1f0c5a1b2c3d --format json"
    )]
    Status {
        /// The run's id, as `start` and `list` print it.
        run: String,
    },
    /// List the runs that Temporal remembers, newest first.
    #[command(after_help = "Example:\n  wikitok-cli list")]
    List,
    /// Cancel a run: its activities stop, what is committed stays, and `start` goes on from there.
    #[command(after_help = "Example:\n  wikitok-cli cancel wikitok/enwiki-20260920/1f0c5a1b2c3d")]
    Cancel {
        /// The run's id, as `start` and `list` print it.
        run: String,
    },
    /// Read every manifest and part of an output again: checksums, rows, totals. Exit code 2 if any is wrong.
    #[command(after_help = "Example:\n  wikitok-cli verify ./out")]
    Verify {
        /// The output of a run.
        output: String,
    },
    /// Find the articles nearest in meaning to some words.
    #[command(after_help = "Example:\n  wikitok-cli search ./out \"how do volcanoes form\" -k 5")]
    Search(SearchArguments),
    /// Check everything that a run needs, and say what is missing.
    #[command(after_help = "Example:\n  wikitok-cli doctor --source ./dumps --output ./out")]
    Doctor(DoctorArguments),
    /// Run a Temporal server with its Web UI, and workers for every queue, until Ctrl-C.
    #[command(after_help = "Example:\n  wikitok-cli dev\n  wikitok-cli start --dump enwiki-latest \
        --source ./dumps --output ./out --watch   # in another terminal")]
    Dev(DevArguments),
}

const START_EXAMPLES: &str = "Examples:
  wikitok-cli start --dump enwiki-20260920 --source ./dumps --output ./out --watch
  wikitok-cli start --dump enwiki-2026 --source /mirror/other --output ./ids --no-embed
  wikitok-cli start --dump simplewiki-latest --source ./dumps --output ./try --limit 100 --local --watch";

/// Arguments of `start`.
#[derive(Args, Debug)]
pub(crate) struct StartArguments {
    /// The snapshot: `<wiki>-YYYYMMDD`, or `<wiki>-YYYY`, `<wiki>-YYYYMM` or `<wiki>-latest` for the newest
    /// complete one that matches.
    #[arg(long, value_parser = snapshot_query)]
    pub(crate) dump: SnapshotQuery,
    /// Where the dumps lie: a directory with upstream's `other/` tree, or one of its `cirrus_search_index` and
    /// `cirrussearch` directories.
    #[arg(long)]
    pub(crate) source: String,
    /// Where the output goes: a directory of its own for each run. Made if it is not there.
    #[arg(long)]
    pub(crate) output: String,
    /// Tokenizer encoding: `cl100k_base` or `o200k_base`.
    #[arg(long, default_value_t = Encoding::default(), value_parser = encoding)]
    pub(crate) encoding: Encoding,
    /// Make token ids only, no embedding vectors.
    #[arg(long)]
    pub(crate) no_embed: bool,
    #[command(flatten)]
    pub(crate) embedding: EmbeddingArguments,
    /// Stop after so many articles, counted in the order of the dump. Shards then go one after the other.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Show progress until the run ends, then its result; the exit code says how it ended.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Use a private Temporal server and workers inside this command, gone at its end. Implies --watch.
    #[arg(long)]
    pub(crate) local: bool,
    /// How a shard is cut into parts, in compressed megabytes.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1024), hide = true)]
    pub(crate) range_mb: u64,
    /// The same in bytes, to try small things.
    #[arg(long, hide = true, conflicts_with = "range_mb", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) range_bytes: Option<u64>,
    /// Seconds of silence after which a worker is taken for dead.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=3600))]
    pub(crate) heartbeat_timeout: u32,
}

fn words(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("there is nothing to look for in it".to_owned());
    }
    Ok(text.to_owned())
}

fn snapshot_query(text: &str) -> Result<SnapshotQuery, String> {
    text.parse().map_err(|error: wikitok_dump::DumpError| with_hint(&error, error.hint()))
}

fn encoding(text: &str) -> Result<Encoding, String> {
    text.parse().map_err(|error: wikitok_tokenize::TokenizeError| with_hint(&error, error.hint()))
}

fn with_hint(error: &impl std::error::Error, hint: Option<String>) -> String {
    hint.map_or_else(|| error.to_string(), |hint| format!("{error}\nhint: {hint}"))
}

/// Arguments of `search`.
#[derive(Args, Debug)]
pub(crate) struct SearchArguments {
    /// The output of a run with vectors.
    pub(crate) output: String,
    /// What to look for, in words.
    #[arg(value_parser = words)]
    pub(crate) words: String,
    /// How many articles to show.
    #[arg(short, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) k: u16,
    /// The directory of the model that the output was made with [default: all-MiniLM-L6-v2].
    #[arg(long, env = environment::MODEL, hide_env_values = true)]
    pub(crate) model: Option<PathBuf>,
    /// What is written before the words, as models like E5 want it: `query: ` [default: what the model's own files
    /// ask for, which is mostly nothing].
    #[arg(long)]
    pub(crate) query_prefix: Option<String>,
}

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArguments {
    /// A source to check.
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// An output to check.
    #[arg(long)]
    pub(crate) output: Option<String>,
    #[command(flatten)]
    pub(crate) model: ModelArguments,
}

/// Arguments of `dev`.
#[derive(Args, Debug)]
pub(crate) struct DevArguments {
    /// Port of the Temporal server.
    #[arg(long, default_value_t = 7233)]
    pub(crate) port: u16,
    /// Port of the Web UI.
    #[arg(long, default_value_t = 8233)]
    pub(crate) ui_port: u16,
    /// Temporal's database file, which keeps the runs [default: `dev/temporal.db` in wikitok's home].
    #[arg(long)]
    pub(crate) db: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArguments,
}
