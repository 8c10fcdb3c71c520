//! The command line, as clap reads it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use wikitok_dump::{ShardSelection, SnapshotQuery};
use wikitok_store::{Access, Location, StoreError};
use wikitok_tokenize::Encoding;
use wikitok_worker::environment;
use wikitok_workflows::contract::{Bound, MOST_SHARDS_IN_FLIGHT};

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
    Start(Box<StartArguments>),
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
    /// Start no new part of a run; those at work are finished.
    #[command(after_help = "Example:\n  wikitok-cli pause wikitok/enwiki-20260920/1f0c5a1b2c3d")]
    Pause {
        /// The run's id, as `start` and `list` print it.
        run: String,
    },
    /// Go on with a paused run.
    #[command(after_help = "Example:\n  wikitok-cli resume wikitok/enwiki-20260920/1f0c5a1b2c3d")]
    Resume {
        /// The run's id, as `start` and `list` print it.
        run: String,
    },
    /// Change how many shards of a run are worked on at the same time.
    #[command(
        after_help = "Example:\n  wikitok-cli scale wikitok/enwiki-20260920/1f0c5a1b2c3d --shards-in-flight 16"
    )]
    Scale {
        /// The run's id, as `start` and `list` print it.
        run: String,
        /// Shards worked on at the same time from now on.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SHARDS_IN_FLIGHT)))]
        shards_in_flight: u32,
    },
    /// Show what failed in a run, where, why and how often, and the command that tries it again.
    #[command(after_help = "Example:\n  wikitok-cli errors wikitok/enwiki-20260920/1f0c5a1b2c3d")]
    Errors {
        /// The run's id, as `start` and `list` print it.
        run: String,
    },
    /// Show what happened in a run, when, and who did it, from Temporal's histories: shards and parts started,
    /// retried, committed, failed. With JSON, one object a line.
    #[command(after_help = "Example:\n  wikitok-cli events wikitok/enwiki-20260920/1f0c5a1b2c3d --follow")]
    Events {
        /// The run's id, as `start` and `list` print it.
        run: String,
        /// Go on until the run ends.
        #[arg(long)]
        follow: bool,
        /// Print nothing: write `events.jsonl` and `job_summary.json` beside the output, as a run does at its end.
        #[arg(long, conflicts_with = "follow")]
        save: bool,
    },
    /// Run again what did not end well in a run that has ended: failed shards, and parts with records in
    /// quarantine. What ended well stays and is counted on.
    #[command(after_help = "Example:\n  wikitok-cli retry wikitok/enwiki-20260920/1f0c5a1b2c3d --watch")]
    Retry {
        /// The run's id, as `start` and `list` print it.
        run: String,
        /// Show progress until the run ends, then its result; the exit code says how it ended.
        #[arg(long)]
        watch: bool,
    },
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
        /// Tokenize so many articles again with `tiktoken-rs`, spread evenly over the output, and compare the ids.
        #[arg(long, value_name = "ARTICLES")]
        sample: Option<u64>,
    },
    /// Find the articles nearest in meaning to some words.
    #[command(after_help = "Example:\n  wikitok-cli search ./out \"how do volcanoes form\" -k 5")]
    Search(SearchArguments),
    /// List the snapshots at a source: wiki, date, layout, shards, bytes, and whether all is there.
    #[command(after_help = "Example:\n  wikitok-cli snapshots --source ./dumps --wiki enwiki")]
    Snapshots(SnapshotsArguments),
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
  wikitok-cli start --dump enwiki-2026 --source /mirror/other --output ./try --shards 0-3 --dry-run
  wikitok-cli start --dump simplewiki-latest --source ./dumps --output ./try --limit 100 --local --watch";

/// Where dumps lie, and who asks for them.
#[derive(Args, Debug)]
pub(crate) struct SourceArguments {
    /// Where the dumps lie: a directory, `s3://`, `gs://`, `az://` or `https://` with upstream's `other/` tree, or
    /// with one of its `cirrus_search_index` and `cirrussearch` directories.
    #[arg(long = "source", value_name = "URI", default_value = PUBLIC_SERVER)]
    pub(crate) uri: String,
    /// An e-mail address or a URL at which the operators of a web server reach you. The public server asks for it.
    #[arg(long, env = environment::CONTACT)]
    pub(crate) contact: Option<String>,
}

impl SourceArguments {
    pub(crate) fn open(&self) -> Result<Location, StoreError> {
        let access = Access::from_environment().with_contact(self.contact.clone());
        Location::open_with(&self.uri, access)
    }
}

/// Where Wikimedia publishes dumps.
const PUBLIC_SERVER: &str = "https://dumps.wikimedia.org";

/// Arguments of `snapshots`.
#[derive(Args, Debug)]
pub(crate) struct SnapshotsArguments {
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Only this wiki, e.g. `enwiki`. Without it, every wiki is looked into, which are a thousand upstream.
    #[arg(long)]
    pub(crate) wiki: Option<String>,
}

/// Arguments of `start`.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct StartArguments {
    /// The snapshot: `<wiki>-YYYYMMDD`, or `<wiki>-YYYY`, `<wiki>-YYYYMM` or `<wiki>-latest` for the newest
    /// complete one that matches.
    #[arg(long, value_parser = snapshot_query)]
    pub(crate) dump: SnapshotQuery,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Where the dumps are copied to before they are read: a directory or a bucket, laid out as upstream has them.
    /// What is there already is not copied again. Needed with the public server.
    #[arg(long, value_name = "URI")]
    pub(crate) mirror: Option<String>,
    /// Where the output goes: a directory (made if it is not there) or `s3://`, `gs://` or `az://` with a prefix,
    /// of its own for each run.
    #[arg(long, value_name = "URI")]
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
    /// Only these shards, by their places in the order of the snapshot, counted from 0: `0-3`, `0,2,5-7`.
    #[arg(long, value_parser = shard_selection)]
    pub(crate) shards: Option<ShardSelection>,
    /// Pages of these namespaces, by number, in place of articles: talk pages (1), templates (10), categories
    /// (14) and so on. They are read from the wiki's general index; 0, articles, from its content index.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(i64).range(0..=10_000))]
    pub(crate) namespace: Vec<i64>,
    /// Leave out texts with fewer characters.
    #[arg(long, default_value_t = 0)]
    pub(crate) min_chars: u64,
    /// Whether the text is kept beside its ids.
    #[arg(long, value_enum, default_value_t = Answer::Yes)]
    pub(crate) keep_text: Answer,
    /// Start nothing: print what would be done, and an estimate of the time and space it takes.
    #[arg(long, conflicts_with_all = ["watch", "local"])]
    pub(crate) dry_run: bool,
    /// Show progress until the run ends, then its result; the exit code says how it ended.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Use a private Temporal server and workers inside this command, gone at its end. Implies --watch.
    #[arg(long)]
    pub(crate) local: bool,
    /// How a shard is cut into parts, in compressed megabytes: what a retry costs.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) range_mb: u64,
    /// The same in bytes, to try small things.
    #[arg(long, hide = true, conflicts_with = "range_mb", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) range_bytes: Option<u64>,
    /// Shards worked on at the same time; `scale` changes it while the run goes.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SHARDS_IN_FLIGHT)))]
    pub(crate) shards_in_flight: u32,
    /// Parts of one shard that may wait for their vectors: tokenizing runs ahead of embedding so far, then
    /// waits.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) max_backlog_parts: u32,
    /// Give the run up when more records are in quarantine: a number, or a percentage of the records read, which
    /// is judged at the end.
    #[arg(long)]
    pub(crate) max_quarantined: Option<Bound>,
    /// Give the run up when more shards have failed for good: a number, or a percentage of all shards. Without
    /// it the others are finished, and the run fails then.
    #[arg(long)]
    pub(crate) max_failed_shards: Option<Bound>,
    /// Events after which a workflow continues as a new one, to try small things.
    #[arg(long, hide = true, default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(100..=10_000))]
    pub(crate) longest_history: u32,
    /// Seconds of silence after which a worker is taken for dead.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=3600))]
    pub(crate) heartbeat_timeout: u32,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
}

fn shard_selection(text: &str) -> Result<ShardSelection, String> {
    text.parse().map_err(|error: wikitok_dump::DumpError| with_hint(&error, error.hint()))
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
    /// The model that the output was made with, as `start` was given it [default: all-MiniLM-L6-v2].
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
    /// A source to check: a directory, a bucket or a web server.
    #[arg(long, value_name = "URI")]
    pub(crate) source: Option<String>,
    /// With a web server, the address at which its operators reach you.
    #[arg(long, env = environment::CONTACT)]
    pub(crate) contact: Option<String>,
    /// A mirror to check, and the queue that copies into it.
    #[arg(long, value_name = "URI")]
    pub(crate) mirror: Option<String>,
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
