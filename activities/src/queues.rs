//! Queues and who polls them: how a run learns that it waits for a worker that is not there.

#![allow(missing_docs, reason = "the SDK's macros make items that cannot be documented")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use temporalio_client::tonic::{IntoRequest, Status};
use temporalio_client::{Client, NamespacedClient};
use temporalio_common::protos::temporal::api::enums::v1::TaskQueueType;
use temporalio_common::protos::temporal::api::taskqueue::v1::{PollerInfo, TaskQueue};
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeTaskQueueRequest;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;
use wikitok_store::ErrorKind;
use wikitok_workflows::contract::{Beat, WatchQueuesInput, WatchedQueues};

use crate::failure::failed;

/// A poll lasts a minute; who has not polled for this long is gone.
const POLLER_IS_GONE_AFTER: Duration = Duration::from_secs(75);
/// How often a run looks for workers.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How many workers poll a task queue for activities, or for workflows.
pub async fn pollers(client: &Client, queue: &str, kind: TaskQueueType) -> Result<usize, Status> {
    let request = DescribeTaskQueueRequest {
        namespace: client.namespace(),
        task_queue: Some(TaskQueue { name: queue.to_owned(), ..TaskQueue::default() }),
        task_queue_type: kind as i32,
        ..DescribeTaskQueueRequest::default()
    };
    let mut service = client.connection().workflow_service();
    let answer = service.describe_task_queue(request.into_request()).await?.into_inner();
    Ok(answer.pollers.iter().filter(|poller| polled_lately(poller)).count())
}

fn polled_lately(poller: &PollerInfo) -> bool {
    let seen = poller.last_access_time.and_then(|time| SystemTime::try_from(time).ok());
    seen.and_then(|seen| seen.elapsed().ok()).is_none_or(|ago| ago < POLLER_IS_GONE_AFTER)
}

/// Activities of the workflow queue.
pub struct QueueActivities {
    /// Cancelled when the worker is about to stop: the watch would otherwise hold it up for its whole grace.
    stopping: CancellationToken,
}

impl QueueActivities {
    /// They end, to be begun by another worker, when `stopping` is cancelled.
    pub fn new(stopping: CancellationToken) -> Self {
        Self { stopping }
    }
}

#[activities]
impl QueueActivities {
    /// Watches task queues until others of them are without a worker than the run knows of.
    ///
    /// Idempotent: changes nothing. Heartbeats after each look. Does not fail; a server that does not answer is
    /// asked again.
    #[activity(name = "watch_queues")]
    pub async fn watch_queues(
        self: Arc<Self>,
        context: ActivityContext,
        input: WatchQueuesInput,
    ) -> Result<WatchedQueues, ActivityError> {
        let client = context.client();
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => {
                    return Err(failed(ErrorKind::Retryable, "this worker stops".to_owned()));
                }
                () = context.cancelled() => return Err(ActivityError::cancelled()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Ok(without_worker) = without_worker(&client, &input.queues).await
                && without_worker != input.without_worker
            {
                return Ok(WatchedQueues { without_worker });
            }
            context.record_heartbeat(Beat::default()).await?;
        }
    }
}

async fn without_worker(client: &Client, queues: &[String]) -> Result<Vec<String>, Status> {
    let mut without = Vec::new();
    for queue in queues {
        if pollers(client, queue, TaskQueueType::Activity).await? == 0 {
            without.push(queue.clone());
        }
    }
    Ok(without)
}
