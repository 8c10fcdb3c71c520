//! Workers inside this process, for `dev` and `start --local`.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wikitok_worker::{Connector, Queue, WorkerConfig, Workers};

use crate::embedding::ModelArguments;

/// Work in progress may finish for this long once the command ends; what is cut off was committed or will be
/// done again.
const GRACE: Duration = Duration::from_secs(2);

/// Loads what the workers need, the model included: a mistake is told before a run is started.
pub(crate) async fn prepare(
    connector: &Connector,
    queues: &[Queue],
    model: &ModelArguments,
) -> anyhow::Result<Workers> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let config = WorkerConfig {
        queues: queues.iter().copied().collect(),
        cpu_slots: cores,
        embedder: model.located().await?.options(cores),
        grace: GRACE,
        handover: Duration::ZERO,
        deployment: None,
    };
    Ok(Workers::prepare(&connector.connect_worker().await?, &config).await?)
}

/// Runs the workers for as long as `work` does, then lets them finish.
pub(crate) async fn serve<T>(
    workers: Workers,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let stop = CancellationToken::new();
    let serving = workers.run(stop.clone());
    tokio::pin!(serving, work);
    tokio::select! {
        outcome = &mut work => {
            stop.cancel();
            serving.await?;
            outcome
        }
        ended = &mut serving => {
            ended?;
            anyhow::bail!("the workers ended by themselves")
        }
    }
}
