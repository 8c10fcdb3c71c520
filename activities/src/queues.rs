//! Queues and who serves them: how a run learns that it waits for a worker that is not there.

#![allow(missing_docs, reason = "the SDK's macros make items that cannot be documented")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use temporalio_client::tonic::{Code, IntoRequest, Status};
use temporalio_client::{Client, NamespacedClient};
use temporalio_common::protos::temporal::api::enums::v1::{TaskQueueType, WorkerStatus};
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeTaskQueueRequest, DescribeWorkerRequest, ListWorkersRequest,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;
use wikitok_store::ErrorKind;
use wikitok_workflows::contract::{Beat, WatchQueuesInput, WatchedQueues};

use crate::failure::failed;

/// A poll lasts a minute, and a worker says that it lives once in [`WORKER_BEATS_EVERY`]; who has done neither for
/// this long is gone.
const GONE_AFTER: Duration = Duration::from_secs(75);
/// How often workers must say that they live.
pub const WORKER_BEATS_EVERY: Duration = Duration::from_secs(30);
/// How often a run looks for workers.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How many workers serve a task queue with activities, or with workflows: those that poll it, and where nobody does,
/// those that say they live. A worker whose slots are all taken does not poll.
pub async fn workers(client: &Client, queue: &str, kind: TaskQueueType) -> Result<usize, Status> {
    match pollers(client, queue, kind).await? {
        0 => match living(client, queue).await {
            // Servers before 1.29 do not know of workers.
            Err(status) if status.code() == Code::Unimplemented => Ok(0),
            living => living,
        },
        pollers => Ok(pollers),
    }
}

async fn living(client: &Client, queue: &str) -> Result<usize, Status> {
    let request = ListWorkersRequest {
        namespace: client.namespace(),
        query: format!("TaskQueue='{queue}'"),
        ..ListWorkersRequest::default()
    };
    let mut service = client.connection().workflow_service();
    let known = service.list_workers(request.into_request()).await?.into_inner().workers;
    let mut living = 0;
    for worker in known.iter().filter(|worker| worker.status() == WorkerStatus::Running) {
        let (namespace, worker_instance_key) = (client.namespace(), worker.worker_instance_key.clone());
        let request = DescribeWorkerRequest { namespace, worker_instance_key };
        let described = service.describe_worker(request.into_request()).await?.into_inner();
        let beat = described.worker_info.and_then(|info| info.worker_heartbeat?.heartbeat_time);
        living += usize::from(beat.is_some_and(is_lately));
    }
    Ok(living)
}

async fn pollers(client: &Client, queue: &str, kind: TaskQueueType) -> Result<usize, Status> {
    let request = DescribeTaskQueueRequest {
        namespace: client.namespace(),
        task_queue: Some(TaskQueue { name: queue.to_owned(), ..TaskQueue::default() }),
        task_queue_type: kind as i32,
        ..DescribeTaskQueueRequest::default()
    };
    let mut service = client.connection().workflow_service();
    let answer = service.describe_task_queue(request.into_request()).await?.into_inner();
    Ok(answer.pollers.iter().filter(|poller| poller.last_access_time.is_none_or(is_lately)).count())
}

fn is_lately<T>(time: T) -> bool
where
    SystemTime: TryFrom<T>,
{
    let ago = SystemTime::try_from(time).ok().and_then(|time| time.elapsed().ok());
    // What is in our future was said by a clock ahead of ours.
    ago.is_none_or(|ago| ago < GONE_AFTER)
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
        if workers(client, queue, TaskQueueType::Activity).await? == 0 {
            without.push(queue.clone());
        }
    }
    Ok(without)
}
