//! Running workers: one SDK worker per queue, all in one process, until told to stop.

use std::collections::BTreeSet;
use std::time::Duration;

use temporalio_client::Client;
use temporalio_common::telemetry::TelemetryOptions;
use temporalio_sdk::runtime::RuntimeOptions;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio_util::sync::CancellationToken;
use wikitok_activities::queues::{QueueActivities, WORKER_BEATS_EVERY};
use wikitok_activities::record::RecordActivities;
use wikitok_workflows::{DumpWorkflow, ShardWorkflow};

use crate::Queue;
use crate::deployment::Deployment;
use crate::slots::Slots;

/// Heartbeats are sent no rarer than this, so that a cancellation arrives within seconds.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
/// The same for embedding, whose devices are dear.
const GPU_HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
const WORKFLOW_SLOTS: usize = 100;
/// Shards copied at the same time. A run asks for no more than two, wherever they are done.
#[cfg(feature = "cpu")]
const COPIES: usize = 4;

/// What a worker process does.
#[derive(Debug)]
pub struct WorkerConfig {
    /// The queues it polls.
    pub queues: BTreeSet<Queue>,
    /// Parts it tokenizes at the same time.
    pub cpu_slots: usize,
    /// The model, which is loaded before the GPU queue is polled.
    #[cfg(feature = "gpu")]
    pub embedder: wikitok_embed::EmbedderOptions,
    /// After a request to stop, activities may finish for this long before they are handed back.
    pub grace: Duration,
    /// Before that, the longest to wait for a moment at which no task can be on its way to this worker: one at which
    /// all slots of a queue are taken. None where no more work is to come.
    pub handover: Duration,
    /// Which version it is of; none for one without.
    pub deployment: Option<Deployment>,
}

/// A worker could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The embedding model cannot be used.
    #[cfg(feature = "gpu")]
    #[error("cannot serve the `gpu` queue")]
    Embedder(#[from] wikitok_embed::EmbedError),
    /// The embedding model cannot be had.
    #[cfg(feature = "gpu")]
    #[error("cannot serve the `gpu` queue")]
    Model(#[from] wikitok_hub::HubError),
    /// This build carries no code for the queue.
    #[error("this build cannot serve the `{queue}` queue")]
    NotInThisBuild {
        /// The queue.
        queue: Queue,
    },
    /// The SDK refused or broke off.
    #[error("the Temporal worker stopped")]
    Sdk(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Workers that have all they need, the model included, and poll once they are run.
pub struct Workers {
    polling: Vec<Worker>,
    /// Those of each; none where a task that is lost costs no attempt.
    slots: Vec<Option<Slots>>,
    handover: Duration,
    /// Tells activities that would go on for ever that the worker stops.
    stopping: CancellationToken,
    _runtime: Runtime,
}

impl Workers {
    /// Loads what the queues need.
    pub async fn prepare(client: &Client, config: &WorkerConfig) -> Result<Self, RunError> {
        let telemetry = TelemetryOptions::builder().build();
        let runtime = RuntimeOptions::builder()
            .telemetry_options(telemetry)
            .heartbeat_interval(Some(WORKER_BEATS_EVERY))
            .build()
            .map_err(sdk)?;
        let runtime = Runtime::from_current_tokio(runtime).map_err(sdk)?;
        let (mut polling, mut slots, stopping) = (Vec::new(), Vec::new(), CancellationToken::new());
        for queue in &config.queues {
            let (options, of_queue) = options(*queue, config, &stopping).await?;
            polling.push(Worker::new(&runtime, client.clone(), options).map_err(sdk)?);
            slots.push(of_queue);
        }
        Ok(Self { polling, slots, handover: config.handover, stopping, _runtime: runtime })
    }

    /// Polls until `stop` is cancelled and what was begun is finished or handed back.
    ///
    /// Not `Send`: workflows run on the task that calls this.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), RunError> {
        let handles: Vec<_> = self.polling.iter().map(Worker::shutdown_handle).collect();
        let running = futures_util::future::try_join_all(self.polling.iter_mut().map(Worker::run));
        let stopping = async {
            stop.cancelled().await;
            self.stopping.cancel();
            let ending = handles.iter().zip(&self.slots).map(async |(shutdown, slots)| {
                if let Some(slots) = slots {
                    slots.all_taken(self.handover).await;
                }
                shutdown();
            });
            futures_util::future::join_all(ending).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = running => ended.map(drop).map_err(sdk),
            () = stopping => unreachable!("waits for ever after the shutdown was asked for"),
        }
    }
}

#[cfg_attr(not(feature = "gpu"), expect(clippy::unused_async, reason = "a model is loaded in the meantime"))]
async fn options(
    queue: Queue,
    config: &WorkerConfig,
    stopping: &CancellationToken,
) -> Result<(WorkerOptions, Option<Slots>), RunError> {
    let heartbeat_every = if queue == Queue::Gpu { GPU_HEARTBEAT_EVERY } else { HEARTBEAT_EVERY };
    let builder = WorkerOptions::new(queue.task_queue())
        .graceful_shutdown_period(config.grace)
        .max_heartbeat_throttle_interval(heartbeat_every)
        .maybe_deployment_options(config.deployment.as_ref().map(Deployment::options));
    let (builder, slots) = match queue {
        Queue::Workflow => {
            let builder = builder
                .register_workflow::<DumpWorkflow>()
                .map_err(sdk)?
                .register_workflow::<ShardWorkflow>()
                .map_err(sdk)?
                .register_activities(QueueActivities::new(stopping.clone()))
                .register_activities(RecordActivities);
            return Ok((builder.build(), None));
        }
        #[cfg(feature = "cpu")]
        Queue::Cpu => {
            let activities = wikitok_activities::CpuActivities::default();
            (builder.register_activities(activities), Slots::new(config.cpu_slots))
        }
        #[cfg(feature = "cpu")]
        Queue::Mirror => {
            let activities = wikitok_activities::MirrorActivities;
            (builder.register_activities(activities), Slots::new(COPIES))
        }
        #[cfg(feature = "gpu")]
        Queue::Gpu => {
            let activities = wikitok_activities::GpuActivities::load(config.embedder.clone()).await?;
            (builder.register_activities(activities), Slots::new(1))
        }
        #[allow(unreachable_patterns, reason = "reached in a build without the feature of the queue")]
        queue => return Err(RunError::NotInThisBuild { queue }),
    };
    let builder = builder.tuner(tuner(slots.count())).activity_inbound_interceptor(slots.clone());
    Ok((builder.build(), Some(slots)))
}

fn tuner(activities: usize) -> TunerHolder {
    TunerHolder::builder()
        .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(WORKFLOW_SLOTS))
        .activity_task_slot_supplier(FixedSizeSlotSupplier::new(activities))
        .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(activities))
        .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1))
        .build()
}

fn sdk(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RunError {
    RunError::Sdk(error.into())
}
