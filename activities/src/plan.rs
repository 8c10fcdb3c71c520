//! Planning: what there is to do, and whose the output is.

use temporalio_sdk::activities::ActivityError;
use tokio::runtime::Handle;
use wikitok_dump::{
    Compression, DumpError, Index, Layout, LocationObject, RangePlan, ShardFile, ShardSelection, Snapshot,
    SnapshotQuery, Wanted,
};
use wikitok_publish::{Format, RunOwner};
use wikitok_store::{Access, ErrorKind, Location};
use wikitok_workflows::contract::{
    Configuration, PlanShardInput, PlanSnapshotInput, Run, SHARDS_IN_PAGE, Shard, ShardPlan, SnapshotPlan,
};

use crate::failure::{failed, failure};
use crate::mirror;

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
    let run = &input.run;
    let mirrored = find_mirrored(run).await?;
    let snapshot = match &mirrored {
        Some(snapshot) => snapshot.clone(),
        None if run.mirror.is_some() => find_to_mirror(run, input.anew || input.first == 0).await?,
        None => find(run).await?,
    };
    let page = snapshot.shards.iter().skip(input.first as usize).take(SHARDS_IN_PAGE as usize);
    Ok(SnapshotPlan {
        shards: snapshot.shards.len() as u32,
        page: page.map(shard_of).collect(),
        mirrored: mirrored.is_some(),
    })
}

/// The snapshot as it lies in the run's mirror, if it has one in which it is complete.
async fn find_mirrored(run: &Run) -> Result<Option<Snapshot>, ActivityError> {
    let Some(uri) = &run.mirror else { return Ok(None) };
    let mirror = Location::create(uri).await.map_err(failure)?;
    let query: SnapshotQuery = run.snapshot.parse().map_err(failure)?;
    let query = query.of_index(index(&run.configuration));
    let snapshot = match wikitok_dump::resolve(&mirror, &query).await {
        Ok(snapshot) => snapshot,
        Err(error) if error.is_absence() => return Ok(None),
        Err(error) => return Err(failure(error)),
    };
    if layout(&snapshot) != run.layout || !mirror::has_all(run, &snapshot).await? {
        return Ok(None);
    }
    select(snapshot, &run.configuration).map(Some).map_err(failure)
}

/// The snapshot as the source has it. Only the first page of a plan asks the source `anew`: while shards are being
/// copied, it is visited by those who copy.
async fn find_to_mirror(run: &Run, anew: bool) -> Result<Snapshot, ActivityError> {
    let before = if anew { None } else { mirror::remembered(run).await? };
    let snapshot = if let Some(snapshot) = before {
        snapshot
    } else {
        let query: SnapshotQuery = run.snapshot.parse().map_err(failure)?;
        let query = query.of_index(index(&run.configuration));
        let snapshot = wikitok_dump::resolve(&source(run)?, &query).await.map_err(failure)?;
        mirror::remember(run, &snapshot).await?;
        snapshot
    };
    of_layout(run, select(snapshot, &run.configuration).map_err(failure)?)
}

/// The run's layout where there is one gzip file for each wiki.
pub(crate) const LEGACY: &str = "legacy";

/// The layout of a snapshot in a word, as runs and manifests name it.
pub fn layout(snapshot: &Snapshot) -> &'static str {
    match snapshot.layout {
        Layout::Legacy => LEGACY,
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
    select(wikitok_dump::resolve(source, &query).await?, configuration)
}

fn select(snapshot: Snapshot, configuration: &Configuration) -> Result<Snapshot, DumpError> {
    match &configuration.shards {
        Some(selection) => snapshot.select(&selection.parse::<ShardSelection>()?),
        None => Ok(snapshot),
    }
}

/// Opens the source of a run.
fn source(run: &Run) -> Result<Location, ActivityError> {
    let access = Access::from_environment().with_contact(run.contact.clone());
    Location::open_with(&run.source, access).map_err(failure)
}

/// Opens the place where the shards of a run are read: its mirror, if it has one. Nothing is read twice from the
/// public server, nor by any number of workers.
async fn open_reading(run: &Run) -> Result<Location, ActivityError> {
    match &run.mirror {
        Some(mirror) => Location::create(mirror).await.map_err(failure),
        None if wikitok_store::is_public_server(&run.source) => {
            let message = format!("`{}` may only be read by way of a mirror", run.source);
            Err(failed(ErrorKind::BadConfiguration, message))
        }
        None => source(run),
    }
}

async fn find(run: &Run) -> Result<Snapshot, ActivityError> {
    let query: SnapshotQuery = run.snapshot.parse().map_err(failure)?;
    let snapshot = resolve(&open_reading(run).await?, &query, &run.configuration).await.map_err(failure)?;
    of_layout(run, snapshot)
}

fn of_layout(run: &Run, snapshot: Snapshot) -> Result<Snapshot, ActivityError> {
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
    let snapshot = match find_mirrored(run).await? {
        Some(snapshot) => snapshot,
        None if run.mirror.is_some() => find_to_mirror(run, false).await?,
        None => find(run).await?,
    };
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

/// Opens the place where a shard is read, having seen that it is still the file that the run was planned with.
pub(crate) async fn open_unchanged(run: &Run, shard: &Shard) -> Result<Location, ActivityError> {
    unchanged(open_reading(run).await?, shard).await
}

/// The same of the source of a run, from which the shard is copied.
pub(crate) async fn open_source(run: &Run, shard: &Shard) -> Result<Location, ActivityError> {
    unchanged(source(run)?, shard).await
}

async fn unchanged(source: Location, shard: &Shard) -> Result<Location, ActivityError> {
    let now = source.head(&shard.key).await.map_err(failure)?;
    let unchanged = now.as_ref().is_some_and(|now| now.bytes == shard.bytes && now.version == shard.version);
    if unchanged {
        return Ok(source);
    }
    let what = if now.is_some() { "has changed" } else { "has gone" };
    Err(failed(ErrorKind::BadInput, format!("`{}` {what} since the run was planned", shard.key)))
}
