//! Workers inside this process, for `dev` and `start --local`.

use std::time::Duration;

use temporalio_client::Client;
use tokio_util::sync::CancellationToken;
use wikitok_embed::{Device, EmbedderOptions};
use wikitok_worker::{Connector, Queue, WorkerConfig, home};

/// Work in progress may finish for this long once the command ends; what is cut off was committed or will be
/// done again.
const GRACE: Duration = Duration::from_secs(2);

/// Workers that are about to run.
pub(crate) struct Workers {
    client: Client,
    config: WorkerConfig,
}

impl Workers {
    pub(crate) async fn start(
        connector: &Connector,
        queues: &[Queue],
        device: Device,
    ) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let config = WorkerConfig {
            queues: queues.iter().copied().collect(),
            cpu_slots: cores,
            embedder: EmbedderOptions {
                model_directory: home::model(),
                runtime_library: home::onnxruntime(),
                device,
                threads: cores,
            },
            grace: GRACE,
        };
        Ok(Self { client: connector.connect_worker().await?, config })
    }

    /// Runs the workers for as long as `work` does, then lets them finish.
    pub(crate) async fn serve<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let stop = CancellationToken::new();
        let working = async {
            let outcome = work.await;
            stop.cancel();
            outcome
        };
        let mut serving = Box::pin(wikitok_worker::run(self.client.clone(), &self.config, stop.clone()));
        tokio::pin!(working);
        tokio::select! {
            outcome = &mut working => {
                serving.await?;
                outcome
            }
            ended = &mut serving => {
                ended?;
                working.await
            }
        }
    }
}
