//! Sealing a shard: the proof that its parts are all there and are together the whole of it.

use temporalio_sdk::activities::ActivityError;
use wikitok_counts::Counts;
use wikitok_dump::BlockChain;
use wikitok_store::{ErrorKind, Location};
use wikitok_workflows::contract::SealShardInput;

use crate::failure::{failed, failure};
use crate::range::Next;

pub(crate) async fn shard(input: &SealShardInput) -> Result<(), ActivityError> {
    let output = Location::open(&input.run.output).map_err(failure)?;
    check_blocks(&output, input).await?;
    let with_vectors = input.run.vectors_fingerprint.is_some();
    let (snapshot, name) = (&input.run.snapshot, &input.shard.name);
    let manifest = wikitok_publish::seal_shard(&output, snapshot, name, input.parts, with_vectors)
        .await
        .map_err(failure)?;
    confirm(&input.counts, &manifest.counts)
}

/// Shows that the manifests confirm what the workflow counted.
pub(crate) fn confirm(counted: &Counts, manifests: &Counts) -> Result<(), ActivityError> {
    if counted == manifests {
        return Ok(());
    }
    let message = format!("the workflow counted {counted:?}, the manifests {manifests:?}");
    Err(failed(ErrorKind::Bug, message))
}

/// Ranges of bzip2 blocks were read apart: they must meet, and each stream's own checksum must hold. Of a shard
/// that a limit cut short, there is nothing to hold it against.
async fn check_blocks(output: &Location, input: &SealShardInput) -> Result<(), ActivityError> {
    let mut chains: Vec<BlockChain> = Vec::new();
    for part in 0..input.parts {
        let manifest = wikitok_publish::committed_tokens(output, &input.shard.name, part).await;
        let Some(manifest) = manifest.map_err(failure)? else { continue };
        if manifest.limit_reached {
            return Ok(());
        }
        let next: Next = serde_json::from_value(manifest.next)
            .map_err(|error| failed(ErrorKind::BadInput, format!("the manifest of part {part}: {error}")))?;
        chains.extend(next.chain);
    }
    if chains.is_empty() {
        return Ok(());
    }
    wikitok_dump::check_chain(&chains).map_err(failure)
}
