//! Publishing ends a run: its manifest is written over those of its shards, then `_SUCCESS`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tracing::info;
use wikitok_store::Location;

use crate::commit::{committed_shard, withdraw_unless_same};
use crate::manifests::to_bytes;
use crate::{Counts, Format, License, PublishError, RunManifest, RunOwner, ShardManifest, keys};

/// Publishes a run of the shards named: removes what earlier runs left, writes the run's manifest,
/// then `_SUCCESS`.
///
/// Other shards, and those of another snapshot or configuration, do not count, and are removed with all their files, as are
/// parts that no manifest names. Only keys that this crate could have made are ever removed.
pub async fn publish_run(
    output: &Location,
    owner: &RunOwner,
    shards: &[String],
) -> Result<RunManifest, PublishError> {
    let expected: BTreeSet<&str> = shards.iter().map(String::as_str).collect();
    let shards = finished_shards(output, owner, &expected).await?;
    if shards.len() != expected.len() {
        let (expected, found) = (expected.len() as u32, shards.len() as u32);
        return Err(PublishError::WrongShardCount { expected, found });
    }
    let manifest = sum_run(owner, &shards)?;
    if crate::read_run(output).await?.as_ref() != Some(&manifest) {
        output.delete(keys::SUCCESS).await?;
    }
    remove_leftovers(output, &named(&shards)?).await?;
    withdraw_unless_same(output, keys::RUN, &manifest, None).await?;
    output.put(keys::RUN, to_bytes(&manifest)).await?;
    output.clear_unfinished(Duration::ZERO).await?;
    output.put(keys::SUCCESS, Bytes::new()).await?;
    Ok(manifest)
}

/// The manifests of the shards that are sealed. Each is asked for by its name: a listing may be out of date.
async fn finished_shards(
    output: &Location,
    owner: &RunOwner,
    expected: &BTreeSet<&str>,
) -> Result<Vec<ShardManifest>, PublishError> {
    let mut shards = Vec::new();
    for shard in expected {
        let manifest = committed_shard(output, shard).await?;
        shards.extend(manifest.filter(|manifest| belongs(manifest, owner)));
    }
    Ok(shards)
}

fn belongs(shard: &ShardManifest, owner: &RunOwner) -> bool {
    shard.snapshot == owner.snapshot && shard.fingerprints == owner.fingerprints()
}

/// What the manifest of a run must be, from those of its shards.
pub(crate) fn sum_run(owner: &RunOwner, shards: &[ShardManifest]) -> Result<RunManifest, PublishError> {
    let mut counts = Counts::default();
    let mut versions = BTreeMap::new();
    for shard in shards {
        counts.add(&shard.counts);
        versions.extend(shard.versions.clone());
    }
    counts.check()?;
    let mut files: Vec<_> = shards.iter().flat_map(|shard| shard.files.clone()).collect();
    files.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(RunManifest {
        format: Format::Run,
        snapshot: owner.snapshot.clone(),
        layout: owner.layout.clone(),
        configuration: owner.configuration.clone(),
        fingerprints: owner.fingerprints(),
        versions,
        license: License::of(&owner.snapshot),
        counts,
        shards: shards.iter().map(ShardManifest::summary).collect(),
        files,
    })
}

/// Every key that is part of the output.
fn named(shards: &[ShardManifest]) -> Result<BTreeSet<String>, PublishError> {
    let mut named = BTreeSet::new();
    for shard in shards {
        named.insert(keys::shard_manifest(&shard.shard)?);
        named.extend(shard.files.iter().map(|file| file.key.clone()));
        for part in 0..shard.parts {
            named.insert(keys::tokens_manifest(&shard.shard, part)?);
            if shard.fingerprints.vectors.is_some() {
                named.insert(keys::vectors_manifest(&shard.shard, part)?);
            }
        }
    }
    Ok(named)
}

/// Manifests go first: were data removed before them, dying in between would leave manifests of nothing.
async fn remove_leftovers(output: &Location, named: &BTreeSet<String>) -> Result<(), PublishError> {
    for folder in keys::FOLDERS.iter().rev() {
        for object in output.list(folder).await? {
            if keys::is_ours(&object.key) && !named.contains(&object.key) {
                info!(key = object.key, "removing what an earlier run left");
                output.delete(&object.key).await?;
            }
        }
    }
    Ok(())
}
