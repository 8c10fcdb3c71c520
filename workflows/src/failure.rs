//! What failed, dug out of the wrappers that a failure passes through on its way up.

use temporalio_common::error::{
    ActivityExecutionError, ApplicationFailure, ChildWorkflowExecutionError, IncomingError,
};
use temporalio_sdk::WorkflowTermination;

use crate::contract::{DumpProgress, ShardFailure};

/// Type of the failure with which a run ends whose shards did not all end well. Its detail is the
/// [`DumpProgress`] at the end.
pub const SHARDS_FAILED: &str = "shards_failed";

/// Messages are cut to this many characters: they go through histories, again at each level.
const MAX_MESSAGE: usize = 500;

/// Type and message of the failure at the bottom of a chain: activity in child in parent.
pub fn root_cause(error: Option<&IncomingError>) -> (String, String) {
    let mut reason = "unknown".to_owned();
    let mut message = "no cause was recorded".to_owned();
    let mut next = error;
    while let Some(error) = next {
        message = error.failure().message.chars().take(MAX_MESSAGE).collect();
        reason = kind(error).unwrap_or(reason);
        next = error.cause();
    }
    (reason, message)
}

fn kind(error: &IncomingError) -> Option<String> {
    match error {
        IncomingError::Application(failure) => failure.type_name().map(str::to_owned),
        IncomingError::Timeout(_) => Some("timeout".to_owned()),
        IncomingError::Cancelled(_) => Some("cancelled".to_owned()),
        IncomingError::Terminated(_) => Some("terminated".to_owned()),
        _ => None,
    }
}

/// Ends a workflow because an activity failed for good: cancelled stays cancelled, all else is the root cause.
pub(crate) fn from_activity(error: &ActivityExecutionError) -> WorkflowTermination {
    if error.as_cancelled().is_some() {
        return WorkflowTermination::cancelled();
    }
    let (reason, message) = match error.cause() {
        Some(cause) => root_cause(Some(cause)),
        None => ("unknown".to_owned(), error.to_string()),
    };
    failed(reason, message)
}

pub(crate) fn failed(reason: String, message: String) -> WorkflowTermination {
    ApplicationFailure::builder(message).type_name(reason).non_retryable(true).build().into()
}

pub(crate) fn of_shard(shard: &str, error: &ChildWorkflowExecutionError) -> ShardFailure {
    let (reason, message) = match error.cause() {
        Some(cause) => root_cause(Some(cause)),
        None => ("unknown".to_owned(), error.to_string()),
    };
    ShardFailure { shard: shard.to_owned(), reason, message }
}

/// Ends a run whose shards did not all end well, with the first failure in its message and all in its detail.
pub(crate) fn shards_failed(progress: DumpProgress) -> WorkflowTermination {
    let first = progress.failed.first().cloned().unwrap_or_default();
    let message = format!(
        "{} of {} shards failed; first `{}`: {}",
        progress.shards_failed, progress.shards, first.shard, first.message
    );
    ApplicationFailure::builder(message)
        .type_name(SHARDS_FAILED.to_owned())
        .non_retryable(true)
        .details(progress)
        .build()
        .into()
}
