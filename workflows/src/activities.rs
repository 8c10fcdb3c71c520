//! The activities that the workflows call, by name and type. They are done elsewhere, by workers of the queue
//! named here; a workflow worker carries none of their code.

#![allow(clippy::unused_self, clippy::needless_pass_by_value, missing_docs)]

use temporalio_macros::activity_definitions;
use temporalio_sdk::activities::ActivityError;

use crate::contract::{
    CheckCopyInput, EmbedPartInput, EmbeddedPart, KeepRecordInput, MirrorShardInput, PlanShardInput,
    PlanSnapshotInput, PublishRunInput, SealShardInput, Shard, ShardPlan, SnapshotPlan, TokenizePartInput,
    TokenizedPart, WatchQueuesInput, WatchedQueues,
};

/// Activities of [`crate::names::CPU_QUEUE`].
#[derive(Debug)]
pub struct Cpu;

#[activity_definitions]
impl Cpu {
    #[activity(name = "plan_snapshot")]
    pub fn plan_snapshot(_: PlanSnapshotInput) -> Result<SnapshotPlan, ActivityError> {
        unimplemented!()
    }

    #[activity(name = "plan_shard")]
    pub fn plan_shard(_: PlanShardInput) -> Result<ShardPlan, ActivityError> {
        unimplemented!()
    }

    #[activity(name = "check_copy")]
    pub fn check_copy(_: CheckCopyInput) -> Result<(), ActivityError> {
        unimplemented!()
    }

    #[activity(name = "tokenize_part")]
    pub fn tokenize_part(_: TokenizePartInput) -> Result<TokenizedPart, ActivityError> {
        unimplemented!()
    }

    #[activity(name = "seal_shard")]
    pub fn seal_shard(_: SealShardInput) -> Result<(), ActivityError> {
        unimplemented!()
    }

    #[activity(name = "publish_run")]
    pub fn publish_run(_: PublishRunInput) -> Result<(), ActivityError> {
        unimplemented!()
    }
}

/// Activities of [`crate::names::MIRROR_QUEUE`].
#[derive(Debug)]
pub struct Mirror;

#[activity_definitions]
impl Mirror {
    #[activity(name = "mirror_shard")]
    pub fn mirror_shard(_: MirrorShardInput) -> Result<Shard, ActivityError> {
        unimplemented!()
    }
}

/// Activities of [`crate::names::GPU_QUEUE`].
#[derive(Debug)]
pub struct Gpu;

#[activity_definitions]
impl Gpu {
    #[activity(name = "embed_part")]
    pub fn embed_part(_: EmbedPartInput) -> Result<EmbeddedPart, ActivityError> {
        unimplemented!()
    }
}

/// Activities of [`crate::names::WORKFLOW_QUEUE`] itself: a run can only ask for what its own queue can do while
/// others have no worker.
#[derive(Debug)]
pub struct Watch;

#[activity_definitions]
impl Watch {
    #[activity(name = "watch_queues")]
    pub fn watch_queues(_: WatchQueuesInput) -> Result<WatchedQueues, ActivityError> {
        unimplemented!()
    }
}

/// Activities of [`crate::names::WORKFLOW_QUEUE`] itself, since a run that ends waits for no other queue.
#[derive(Debug)]
pub struct Record;

#[activity_definitions]
impl Record {
    #[activity(name = "keep_record")]
    pub fn keep_record(_: KeepRecordInput) -> Result<(), ActivityError> {
        unimplemented!()
    }
}
