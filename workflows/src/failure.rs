//! What failed, dug out of the wrappers that a failure passes through on its way up.

use temporalio_common::data_converters::TemporalSerializable;
use temporalio_common::error::{
    ActivityExecutionError, ApplicationFailure, ChildWorkflowExecutionError, IncomingError, RetryState,
};
use temporalio_sdk::WorkflowTermination;

use crate::contract::{DumpProgress, ShardFailure, ShardProgress};

/// Type of the failure with which a run ends whose shards did not all end well. Its detail is the
/// [`DumpProgress`] at the end.
pub const SHARDS_FAILED: &str = "shards_failed";

/// Type of the failure with which a run ends that was given up because a bound was passed. Its detail is the
/// [`DumpProgress`] at the end.
pub const BOUND_PASSED: &str = "bound_passed";

/// Reason of what ended because someone asked for it.
pub(crate) const CANCELLED: &str = "cancelled";

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

/// The root cause, or what the error itself says where it has none.
fn told(cause: Option<&IncomingError>, error: &dyn std::error::Error) -> (String, String) {
    match cause {
        Some(cause) => root_cause(Some(cause)),
        None => ("unknown".to_owned(), error.to_string()),
    }
}

fn kind(error: &IncomingError) -> Option<String> {
    match error {
        IncomingError::Application(failure) => failure.type_name().map(str::to_owned),
        IncomingError::Timeout(_) => Some("timeout".to_owned()),
        IncomingError::Cancelled(_) => Some(CANCELLED.to_owned()),
        IncomingError::Terminated(_) => Some("terminated".to_owned()),
        _ => None,
    }
}

/// Why a workflow stops before its end.
pub(crate) enum Stop {
    /// Someone asked for it.
    Cancelled,
    /// Something failed for good.
    Failed { reason: String, message: String },
    /// Not an end: the execution goes on as a new one.
    Other(WorkflowTermination),
}

impl Stop {
    pub(crate) fn bug(message: String) -> Self {
        Self::Failed { reason: "bug".to_owned(), message }
    }

    /// Not all shards ended well: the first failure speaks for all.
    pub(crate) fn shards_failed(progress: &DumpProgress) -> Self {
        let first = progress.failed.first().cloned().unwrap_or_default();
        let message = format!(
            "{} of {} shards failed; first `{}`: {}",
            progress.shards_failed, progress.shards, first.shard, first.message
        );
        Self::Failed { reason: SHARDS_FAILED.to_owned(), message }
    }

    /// More went wrong than the run's bounds allow.
    pub(crate) fn bound_passed(message: String) -> Self {
        Self::Failed { reason: BOUND_PASSED.to_owned(), message }
    }

    /// The end of the execution, with what was done by then as its detail.
    pub(crate) fn into_termination<T>(self, progress: T) -> WorkflowTermination
    where
        T: TemporalSerializable + Send + Sync + 'static,
    {
        match self {
            Self::Cancelled => WorkflowTermination::cancelled_with_details(progress),
            Self::Failed { reason, message } => ApplicationFailure::builder(message)
                .type_name(reason)
                .non_retryable(true)
                .details(progress)
                .build()
                .into(),
            Self::Other(termination) => termination,
        }
    }
}

/// Whether an activity ended because someone asked for it: by itself, or since no other attempt is made then, be it that
/// its worker has died.
pub(crate) fn is_cancelled(error: &ActivityExecutionError) -> bool {
    match error {
        ActivityExecutionError::Failed(failure) => failure.retry_state() == RetryState::CancelRequested,
        error => error.as_cancelled().is_some(),
    }
}

/// An activity failed for good: cancelled stays cancelled, all else is the root cause.
impl From<ActivityExecutionError> for Stop {
    fn from(error: ActivityExecutionError) -> Self {
        if is_cancelled(&error) {
            return Self::Cancelled;
        }
        let (reason, message) = told(error.cause(), &error);
        Self::Failed { reason, message }
    }
}

impl From<WorkflowTermination> for Stop {
    fn from(termination: WorkflowTermination) -> Self {
        Self::Other(termination)
    }
}

/// What becomes of a shard whose copy into the mirror failed.
pub(crate) fn of_copy(shard: &str, error: &ActivityExecutionError) -> ShardFailure {
    if is_cancelled(error) {
        return cancelled(shard);
    }
    let (reason, message) = told(error.cause(), error);
    ShardFailure { shard: shard.to_owned(), reason, message }
}

/// What becomes of a shard that was not begun because the run was asked to stop.
pub(crate) fn cancelled(shard: &str) -> ShardFailure {
    ShardFailure { shard: shard.to_owned(), reason: CANCELLED.to_owned(), message: CANCELLED.to_owned() }
}

/// Why a shard did not end well, and what it had done by then, where it could still say so.
pub(crate) fn of_shard(
    shard: &str,
    error: &ChildWorkflowExecutionError,
) -> (ShardFailure, Option<ShardProgress>) {
    let (reason, message) = told(error.cause(), error);
    (ShardFailure { shard: shard.to_owned(), reason, message }, left_behind(error.cause()))
}

/// The progress with which a shard's execution ended: the detail of the outermost failure that is its own.
fn left_behind(mut error: Option<&IncomingError>) -> Option<ShardProgress> {
    while let Some(failure) = error {
        match failure {
            IncomingError::Application(failure) => return failure.details().ok().flatten(),
            IncomingError::Cancelled(failure) => return failure.details().ok().flatten(),
            _ => error = failure.cause(),
        }
    }
    None
}
