//! How activities and children are run: where, how long, how often, and what happens when they are cancelled.

use std::time::Duration;

use temporalio_common::RetryPolicy;
use temporalio_common::search_attributes::SearchAttributes;
use temporalio_sdk::{
    ActivityCancellationType, ActivityOptions, ChildWorkflowCancellationType, ChildWorkflowOptions,
    ParentClosePolicy, WorkflowCancellationToken, WorkflowContext, WorkflowIdReusePolicy,
};

use crate::contract::{Pace, Run, Shard};
use crate::names;

/// Attempts at an activity before its failure is final. With the longest pause between them this outlasts
/// half an hour of a storage that is away; what a retry cannot mend is refused at once.
const ATTEMPTS: u32 = 60;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// No part takes longer, even on the slowest core; a worker that dies is noticed by its heartbeats.
const LONGEST_ACTIVITY: Duration = Duration::from_hours(6);

pub(crate) fn activity(run: &Run, queue: &str, summary: String) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(LONGEST_ACTIVITY)
        .task_queue(queue)
        .heartbeat_timeout(Duration::from_secs(u64::from(run.pace.heartbeat_seconds)))
        .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
        .retry_policy(
            RetryPolicy::builder()
                .initial_interval(FIRST_PAUSE)
                .maximum_interval(LONGEST_PAUSE)
                .maximum_attempts(ATTEMPTS)
                .build(),
        )
        .summary(summary)
        .build()
}

/// Whether an execution should begin nothing new and continue as a new one.
pub(crate) fn history_is_long<W>(context: &WorkflowContext<W>, pace: &Pace) -> bool {
    context.continue_as_new_suggested() || context.history_length() >= pace.longest_history
}

/// Watching goes on for as long as nothing changes; it is begun anew once in a while.
const LONGEST_WATCH: Duration = Duration::from_hours(24);
const WATCH_IS_LOST_AFTER: Duration = Duration::from_mins(1);

pub(crate) fn watch() -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(LONGEST_WATCH)
        .heartbeat_timeout(WATCH_IS_LOST_AFTER)
        .cancellation_type(ActivityCancellationType::Abandon)
        .retry_policy(
            RetryPolicy::builder().initial_interval(FIRST_PAUSE).maximum_interval(LONGEST_PAUSE).build(),
        )
        .summary("watch for queues without a worker".to_owned())
        .build()
}

/// Attempts at the record of a run: its end does not wait for long for a storage that is away.
const ATTEMPTS_AT_RECORD: u32 = 5;

/// The record is written after whatever ended the run, a cancellation included.
pub(crate) fn record(run: &Run) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(LONGEST_ACTIVITY)
        .heartbeat_timeout(Duration::from_secs(u64::from(run.pace.heartbeat_seconds)))
        .cancellation_token(WorkflowCancellationToken::new())
        .retry_policy(
            RetryPolicy::builder()
                .initial_interval(FIRST_PAUSE)
                .maximum_interval(LONGEST_PAUSE)
                .maximum_attempts(ATTEMPTS_AT_RECORD)
                .build(),
        )
        .summary("keep the record of the run".to_owned())
        .build()
}

/// A shard of a run. Whoever cancels `token` has Temporal cancel the execution that is started here, and no later one.
pub(crate) fn child(
    run_id: &str,
    run: &Run,
    shard: &Shard,
    token: WorkflowCancellationToken,
) -> ChildWorkflowOptions {
    ChildWorkflowOptions::builder()
        .cancellation_token(token)
        .workflow_id(names::shard_id(run_id, &shard.name))
        .cancel_type(ChildWorkflowCancellationType::WaitCancellationCompleted)
        .parent_close_policy(ParentClosePolicy::RequestCancel)
        // After a reset of the parent the child of the abandoned attempt may still run under the same id.
        .id_reuse_policy(WorkflowIdReusePolicy::TerminateIfRunning)
        .search_attributes(SearchAttributes::new([
            names::WIKI.value_set(names::wiki(&run.snapshot).to_owned()),
            names::SNAPSHOT.value_set(run.snapshot.clone()),
        ]))
        .static_summary(format!("{} ({:.1} MB)", shard.name, shard.bytes as f64 / 1e6))
        .build()
}
