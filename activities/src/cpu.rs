//! Activities of the CPU queue.

#![allow(missing_docs, reason = "the SDK's macros make items that cannot be documented")]

use std::sync::Arc;

use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use wikitok_store::Location;
use wikitok_workflows::contract::{
    CheckCopyInput, MirrorShardInput, PlanShardInput, PlanSnapshotInput, PublishRunInput, SealShardInput,
    Shard, ShardPlan, SnapshotPlan, TokenizePartInput, TokenizedPart,
};

use crate::failure::failure;
use crate::tokenize::{self, Tokenizers};
use crate::{mirror, plan, pulse, seal};

/// Reads, tokenizes and publishes.
#[derive(Default)]
pub struct CpuActivities {
    tokenizers: Arc<Tokenizers>,
}

#[activities]
impl CpuActivities {
    /// Finds the shards of a snapshot and claims the output for the run.
    ///
    /// Input: the run, and the first shard to return. Output: how many shards there are, and a page of them.
    /// Idempotent: claims for the same run again. Heartbeats while it waits for storage. Fails for good when
    /// the snapshot is not there any more or the output belongs to another run.
    #[activity(name = "plan_snapshot")]
    pub async fn plan_snapshot(
        context: ActivityContext,
        input: PlanSnapshotInput,
    ) -> Result<SnapshotPlan, ActivityError> {
        let planning = async {
            plan::claim_output(&input.run).await?;
            plan::snapshot_page(&input).await
        };
        pulse::alive(&context, planning).await
    }

    /// Decides how a shard is cut into parts, from its size and its first bytes.
    ///
    /// Idempotent: writes nothing. Heartbeats while it waits for storage. Fails for good when the file has
    /// changed since the run was planned, is empty, or is compressed in no known way.
    #[activity(name = "plan_shard")]
    pub async fn plan_shard(
        context: ActivityContext,
        input: PlanShardInput,
    ) -> Result<ShardPlan, ActivityError> {
        pulse::alive(&context, plan::shard(&input)).await
    }

    /// Shows that the copy of a shard in the run's mirror is whole, by decompressing it, and marks it so.
    ///
    /// Idempotence key: the state of the copy; one that is marked is believed. Heartbeats the bytes decompressed.
    /// Fails for good when the copy is damaged, having removed it.
    #[activity(name = "check_copy")]
    pub async fn check_copy(context: ActivityContext, input: CheckCopyInput) -> Result<(), ActivityError> {
        pulse::whole(mirror::check(&context, &input)).await
    }

    /// Reads one range of a shard, tokenizes its articles and commits them as a part.
    ///
    /// Idempotence key: the shard, the part's number, the bytes of the range and the fingerprint; a part that
    /// is committed under them is not made again. Heartbeats the documents read. Fails for good when the file
    /// is damaged or has changed.
    #[activity(name = "tokenize_part")]
    pub async fn tokenize_part(
        self: Arc<Self>,
        context: ActivityContext,
        input: TokenizePartInput,
    ) -> Result<TokenizedPart, ActivityError> {
        pulse::whole(tokenize::part(&context, self.tokenizers.clone(), input)).await
    }

    /// Shows that the parts of a shard fit together and are all there, and writes the shard's manifest.
    ///
    /// Idempotent: writes the same bytes again. Heartbeats while it waits for storage. Fails for good when parts
    /// do not meet, a checksum over the whole file is wrong, or counts do not add up.
    #[activity(name = "seal_shard")]
    pub async fn seal_shard(context: ActivityContext, input: SealShardInput) -> Result<(), ActivityError> {
        pulse::alive(&context, seal::shard(&input)).await
    }

    /// Writes the manifest of the run over those of its shards, then `_SUCCESS`.
    ///
    /// Idempotent: writes the same bytes again. Heartbeats while it waits for storage. Fails for good when a
    /// shard is missing or counts do not add up.
    #[activity(name = "publish_run")]
    pub async fn publish_run(context: ActivityContext, input: PublishRunInput) -> Result<(), ActivityError> {
        pulse::alive(&context, publish(&input)).await
    }
}

/// Copies shards from a source into a mirror.
pub struct MirrorActivities;

#[activities]
impl MirrorActivities {
    /// Copies a shard into the run's mirror, over one connection, and gives it as it lies there.
    ///
    /// Idempotence key: the state of the source's file; what was copied of it is gone on with, from the last byte
    /// (in a bucket, the last whole piece). Heartbeats the bytes copied. Fails for good when the file changes.
    #[activity(name = "mirror_shard")]
    pub async fn mirror_shard(
        context: ActivityContext,
        input: MirrorShardInput,
    ) -> Result<Shard, ActivityError> {
        mirror::shard(&context, &input).await
    }
}

async fn publish(input: &PublishRunInput) -> Result<(), ActivityError> {
    let output = Location::open(&input.run.output).map_err(failure)?;
    let owner = plan::owner(&input.run)?;
    let shards = plan::first_shards(&input.run, input.shards).await?;
    let manifest = wikitok_publish::publish_run(&output, &owner, &shards).await.map_err(failure)?;
    seal::confirm(&input.counts, &manifest.counts)
}
