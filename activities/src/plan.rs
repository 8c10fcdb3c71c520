//! Planning: what there is to do, and whose the output is.

use temporalio_sdk::activities::ActivityError;
use tokio::runtime::Handle;
use wikitok_dump::{
    Compression, DumpError, Index, Layout, LocationObject, RangePlan, ShardFile, ShardSelection, Snapshot,
    SnapshotQuery, Wanted,
};
use wikitok_publish::{Format, RunOwner};
use wikitok_store::{ErrorKind, Location};
use wikitok_workflows::contract::{
    Configuration, PlanShardInput, PlanSnapshotInput, Run, SHARDS_IN_PAGE, Shard, ShardPlan, SnapshotPlan,
};

use crate::failure::{failed, failure};

/// What `run.json` says of a run.
pub fn owner(run: &Run) -> Result<RunOwner, ActivityError> {
    let configuration = serde_json::to_value(&run.configuration)
        .map_err(|error| failed(ErrorKind::Bug, format!("the configuration is not JSON: {error}")))?;
    Ok(RunOwner {
        format: Format::Owner,
        snapshot: run.snapshot.clone(),
        layout: run.layout.clone(),
        configuration,
        tokens_fingerprint: run.tokens_fingerprint.clone(),
        vectors_fingerprint: run.vectors_fingerprint.clone(),
    })
}

/// Why an output cannot be written by a run, when it already belongs to another one. Adding vectors to a run
/// that was made without is the one change that keeps what is there.
pub fn conflict(before: &RunOwner, run: &Run) -> Option<String> {
    if before.snapshot != run.snapshot {
        return Some(format!("it holds `{}`", before.snapshot));
    }
    if before.layout != run.layout {
        return Some(format!("it was made from the {} layout", before.layout));
    }
    if before.tokens_fingerprint != run.tokens_fingerprint {
        return Some(format!("it was made with another configuration: {}", before.configuration));
    }
    if before.vectors_fingerprint.is_some() && run.vectors_fingerprint.is_none() {
        return Some("it holds vectors, so it cannot become one without".to_owned());
    }
    if before.vectors_fingerprint.is_some() && before.vectors_fingerprint != run.vectors_fingerprint {
        return Some("it holds vectors made with another configuration".to_owned());
    }
    None
}

pub(crate) async fn claim_output(run: &Run) -> Result<(), ActivityError> {
    let output = Location::create(&run.output).await.map_err(failure)?;
    let before = wikitok_publish::read_owner(&output).await.map_err(failure)?;
    if let Some(reason) = before.and_then(|before| conflict(&before, run)) {
        let message = format!("the output `{}` belongs to another run: {reason}", run.output);
        return Err(failed(ErrorKind::BadConfiguration, message));
    }
    wikitok_publish::claim(&output, &owner(run)?).await.map_err(failure)?;
    Ok(())
}

pub(crate) async fn snapshot_page(input: &PlanSnapshotInput) -> Result<SnapshotPlan, ActivityError> {
    let snapshot = find(&input.run).await?;
    let page = snapshot.shards.iter().skip(input.first as usize).take(SHARDS_IN_PAGE as usize);
    Ok(SnapshotPlan {
        shards: snapshot.shards.len() as u32,
        page: page.map(shard_of).collect(),
        mirrored: false,
    })
}

/// The layout of a snapshot in a word, as runs and manifests name it.
pub fn layout(snapshot: &Snapshot) -> &'static str {
    match snapshot.layout {
        Layout::Legacy => "legacy",
        Layout::Current => "current",
    }
}

/// Which of the wiki's indexes holds what a run asks for.
pub fn index(configuration: &Configuration) -> Index {
    if configuration.namespaces.is_empty() { Index::Content } else { Index::General }
}

/// Which documents are articles to a run.
pub fn wanted(configuration: &Configuration) -> Wanted {
    let mut wanted = Wanted { min_chars: configuration.min_chars, ..Wanted::default() };
    if !configuration.namespaces.is_empty() {
        wanted.namespaces.clone_from(&configuration.namespaces);
    }
    wanted
}

/// The snapshot as a run sees it: in the index that it asks for, and with only the shards that it asks for.
pub async fn resolve(
    source: &Location,
    query: &SnapshotQuery,
    configuration: &Configuration,
) -> Result<Snapshot, DumpError> {
    let query = query.clone().of_index(index(configuration));
    let snapshot = wikitok_dump::resolve(source, &query).await?;
    match &configuration.shards {
        Some(selection) => snapshot.select(&selection.parse::<ShardSelection>()?),
        None => Ok(snapshot),
    }
}

async fn find(run: &Run) -> Result<Snapshot, ActivityError> {
    let source = Location::open(&run.source).map_err(failure)?;
    let query: SnapshotQuery = run.snapshot.parse().map_err(failure)?;
    let snapshot = resolve(&source, &query, &run.configuration).await.map_err(failure)?;
    let layout = layout(&snapshot);
    if layout == run.layout {
        return Ok(snapshot);
    }
    let message =
        format!("`{}` was in the {} layout and is now in the {layout} one", run.snapshot, run.layout);
    Err(failed(ErrorKind::BadInput, message))
}

/// Names of the first shards of the run's snapshot: those that it is made of.
pub(crate) async fn first_shards(run: &Run, count: u32) -> Result<Vec<String>, ActivityError> {
    let snapshot = find(run).await?;
    Ok(snapshot.shards.into_iter().take(count as usize).map(|shard| shard.name).collect())
}

fn shard_of(file: &ShardFile) -> Shard {
    Shard { key: file.key.clone(), name: file.name.clone(), bytes: file.bytes, version: file.version.clone() }
}

pub(crate) fn file_of(shard: &Shard) -> ShardFile {
    ShardFile {
        key: shard.key.clone(),
        name: shard.name.clone(),
        bytes: shard.bytes,
        version: shard.version.clone(),
    }
}

pub(crate) async fn shard(input: &PlanShardInput) -> Result<ShardPlan, ActivityError> {
    let source = open_unchanged(&input.run, &input.shard).await?;
    let object = LocationObject::new(source, &file_of(&input.shard), Handle::current());
    let sniffed = tokio::task::spawn_blocking(move || wikitok_dump::sniff(&object)).await;
    let compression = sniffed.map_err(|panic| failed(ErrorKind::Bug, panic.to_string()))?.map_err(failure)?;
    Ok(ShardPlan { parts: parts(compression, &input.shard, input.run.configuration.range_bytes) })
}

fn parts(compression: Compression, shard: &Shard, range_bytes: u64) -> Option<u32> {
    match wikitok_dump::plan_ranges(compression, shard.bytes, range_bytes) {
        RangePlan::SideBySide { ranges } => Some(ranges.len() as u32),
        RangePlan::InSequence { .. } => None,
    }
}

/// Opens the source of a run, having seen that the shard is still the file that the run was planned with.
pub(crate) async fn open_unchanged(run: &Run, shard: &Shard) -> Result<Location, ActivityError> {
    let source = Location::open(&run.source).map_err(failure)?;
    let now = source.head(&shard.key).await.map_err(failure)?;
    let unchanged = now.as_ref().is_some_and(|now| now.bytes == shard.bytes && now.version == shard.version);
    if unchanged {
        return Ok(source);
    }
    let what = if now.is_some() { "has changed" } else { "has gone" };
    Err(failed(ErrorKind::BadInput, format!("`{}` {what} since the run was planned", shard.key)))
}
