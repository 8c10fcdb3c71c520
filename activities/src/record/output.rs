//! The record as it lies beside an output.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use wikitok_publish::{PublishError, keys};
use wikitok_store::{Location, StoreError};
use wikitok_workflows::contract::KeepRecordInput;

use super::event::Event;
use super::summary::JobSummary;

/// Writes the record of the run `id` beside its output. `executions` are those that `events` are from: what the
/// record held of them before is replaced, and what it held of others stays, since Temporal may have forgotten them.
///
/// What others left half written beside it is removed, if they have not touched it for `untouched_for`: zero when nothing
/// else of the run is at work.
///
/// Returns false, having written nothing, when the output is another run's.
pub async fn save(
    output: &Location,
    id: &str,
    input: &KeepRecordInput,
    events: Vec<Event>,
    executions: &BTreeSet<String>,
    untouched_for: Duration,
) -> Result<bool, PublishError> {
    let owner = wikitok_publish::read_owner(output).await?;
    let run = &input.run;
    let ours = owner.is_some_and(|owner| {
        owner.snapshot == run.snapshot
            && owner.tokens_fingerprint == run.tokens_fingerprint
            && owner.vectors_fingerprint == run.vectors_fingerprint
    });
    if !ours {
        return Ok(false);
    }
    let mut all = before(output).await?;
    all.retain(|event| !executions.contains(&event.execution));
    all.extend(events);
    all.sort_by(|a, b| a.order().cmp(&b.order()));
    output.clear_unfinished(untouched_for).await?;
    output.put(keys::EVENTS, lines(&all)).await?;
    output.put(keys::JOB_SUMMARY, JobSummary::new(id, input, &all).to_bytes()).await?;
    Ok(true)
}

/// The events that the record holds. Lines that are none are left out, with a warning.
async fn before(output: &Location) -> Result<Vec<Event>, PublishError> {
    let bytes = match output.get(keys::EVENTS).await {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let (events, odd): (Vec<_>, Vec<_>) = lines.map(serde_json::from_slice).partition(Result::is_ok);
    if !odd.is_empty() {
        tracing::warn!(key = keys::EVENTS, lines = odd.len(), "lines that are no events are left out");
    }
    Ok(events.into_iter().filter_map(Result::ok).collect())
}

fn lines(events: &[Event]) -> Bytes {
    let mut bytes = Vec::new();
    for event in events {
        serde_json::to_writer(&mut bytes, event).expect("an event is JSON");
        bytes.push(b'\n');
    }
    bytes.into()
}
