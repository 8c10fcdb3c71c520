//! Steering a run while it goes: `pause`, `resume`, `scale`, `cancel`.
//!
//! Each is one message that plain `temporal workflow signal`, `update` and `cancel` send as well.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;
use temporalio_client::errors::{WorkflowInteractionError, WorkflowUpdateError};
use temporalio_client::{WorkflowCancelOptions, WorkflowExecuteUpdateOptions, WorkflowSignalOptions};
use wikitok_workflows::DumpWorkflow;
use wikitok_workflows::contract::Scale;

use crate::arguments::Format;
use crate::client::{Temporal, unknown_run};
use crate::error::Hinted;
use crate::{output, watch};

/// Messages are for runs that go on.
async fn running(id: &str, profile: Option<String>) -> anyhow::Result<Temporal> {
    let temporal = Temporal::from_environment(profile).await?;
    if watch::is_running(&temporal, id).await? {
        return Ok(temporal);
    }
    Err(Hinted::new(format!("`{id}` has ended"), format!("see `wikitok-cli status {id}`")).into())
}

fn answer(format: Format, id: &str, status: &str, text: &str) -> anyhow::Result<ExitCode> {
    let answer = json!({ "run_id": id, "status": status });
    output::show(format, &answer, |_| format!("{id}: {text}; see `wikitok-cli status {id}`"))?;
    Ok(ExitCode::SUCCESS)
}

fn sent(id: &str, outcome: Result<(), WorkflowInteractionError>) -> anyhow::Result<()> {
    match outcome {
        Err(WorkflowInteractionError::NotFound(_)) => Err(unknown_run(id)),
        outcome => outcome.with_context(|| format!("cannot reach `{id}`")),
    }
}

pub(crate) async fn pause(id: &str, profile: Option<String>, format: Format) -> anyhow::Result<ExitCode> {
    let run = running(id, profile).await?.handle(id);
    sent(id, run.signal(DumpWorkflow::pause, (), WorkflowSignalOptions::default()).await)?;
    answer(format, id, "pausing", "pausing: parts at work are finished, no new one is started")
}

pub(crate) async fn resume(id: &str, profile: Option<String>, format: Format) -> anyhow::Result<ExitCode> {
    let run = running(id, profile).await?.handle(id);
    sent(id, run.signal(DumpWorkflow::resume, (), WorkflowSignalOptions::default()).await)?;
    answer(format, id, "resuming", "going on")
}

pub(crate) async fn cancel(id: &str, profile: Option<String>, format: Format) -> anyhow::Result<ExitCode> {
    let run = running(id, profile).await?.handle(id);
    sent(id, run.cancel(WorkflowCancelOptions::default()).await)?;
    answer(format, id, "cancelling", "cancelling")
}

pub(crate) async fn scale(
    id: &str,
    shards_in_flight: u32,
    profile: Option<String>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let run = running(id, profile).await?.handle(id);
    let (to, options) = (Scale { shards_in_flight }, WorkflowExecuteUpdateOptions::default());
    let before = match run.execute_update(DumpWorkflow::scale, to, options).await {
        Ok(before) => before.shards_in_flight,
        Err(WorkflowUpdateError::NotFound(_)) => return Err(unknown_run(id)),
        Err(WorkflowUpdateError::Failed(failure)) => {
            return Err(anyhow::anyhow!("`{id}` refuses: {}", failure.message));
        }
        Err(error) => return Err(error).with_context(|| format!("cannot reach `{id}`")),
    };
    let answer = json!({ "run_id": id, "shards_in_flight": shards_in_flight, "before": before });
    output::show(format, &answer, |_| format!("{id}: {shards_in_flight} shards in flight, {before} before"))?;
    Ok(ExitCode::SUCCESS)
}
