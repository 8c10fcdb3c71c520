//! The activity that leaves a run's record beside its output.

#![allow(missing_docs, reason = "the SDK's macros make items that cannot be documented")]

use std::time::Duration;

use futures::FutureExt;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use wikitok_store::{ErrorKind, Location};
use wikitok_workflows::contract::KeepRecordInput;

use super::output::save;
use super::reader::{Reader, RecordError};
use crate::failure::{Classified, failed, failure};
use crate::pulse;

/// Activities that write down what happened.
pub struct RecordActivities;

#[activities]
impl RecordActivities {
    /// Writes `events.jsonl` and `job_summary.json` beside the output, from the histories of the run and its shards.
    ///
    /// Idempotent: the same histories give the same bytes. Heartbeats while it reads. An output that is not the
    /// run's own is left alone.
    #[activity(name = "keep_record")]
    pub async fn keep_record(context: ActivityContext, input: KeepRecordInput) -> Result<(), ActivityError> {
        let keeping = keep(context.clone(), input).boxed();
        pulse::alive(&context, keeping).await
    }
}

async fn keep(context: ActivityContext, input: KeepRecordInput) -> Result<(), ActivityError> {
    let id = context.info().workflow_id.clone();
    let id = id.ok_or_else(|| failed(ErrorKind::Bug, "a record is kept by a workflow".to_owned()))?;
    let output = Location::create(&input.run.output).await.map_err(failure)?;
    let mut reader = Reader::new(&context.client(), &id);
    let events = reader.more().await.map_err(failure)?;
    // What lies here half written is of an attempt at this that was killed.
    save(&output, &id, &input, events, &reader.executions(), Duration::ZERO).await.map_err(failure)?;
    Ok(())
}

impl Classified for RecordError {
    /// A server that does not answer now will.
    fn kind(&self) -> ErrorKind {
        ErrorKind::Retryable
    }
}
