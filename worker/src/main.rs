//! `wikitok-worker`: polls one task queue, or several, until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wikitok_worker::{
    ConnectError, Connector, Deployment, Queue, RunError, Versioning, WorkerConfig, Workers, environment,
};

/// Where there is work, all slots are taken within less; where there is none, a worker ends this much later.
const HANDOVER: Duration = Duration::from_secs(1);

/// Polls task queues and does what they ask: one Deployment for each queue on a cluster.
///
/// The connection to Temporal is configured by `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`,
/// `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*` or a `temporal.toml`. Waits for a server that is not there yet. On SIGTERM it takes no new
/// work after a second at most, finishes what it can within --grace, hands the rest back, and exits with 0; a second signal ends it
/// at once.
#[derive(Debug, Parser)]
#[command(
    name = "wikitok-worker",
    version,
    after_help = "Example:\n  TEMPORAL_ADDRESS=temporal:7233 wikitok-worker --queue cpu --slots 8"
)]
struct Arguments {
    /// Task queue to poll: `workflow`, `cpu`, `gpu` or `mirror`; may be repeated.
    #[arg(long = "queue", required = true)]
    queues: Vec<Queue>,
    /// Parts tokenized at the same time by the `cpu` queue [default: one for each core].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: Option<u16>,
    /// The model of the `gpu` queue: a directory, or `organisation/name@revision` on the Hugging Face hub [default:
    /// all-MiniLM-L6-v2].
    #[cfg(feature = "gpu")]
    #[arg(long, env = environment::MODEL, hide_env_values = true)]
    model: Option<std::path::PathBuf>,
    /// What runs the model of the `gpu` queue: `cpu`, `cuda`, `cuda:N` or `auto`.
    #[cfg(feature = "gpu")]
    #[arg(long, env = environment::DEVICE, hide_env_values = true, default_value = "cpu")]
    device: wikitok_embed::Device,
    /// In which numbers the model is computed: `fp32`, `fp16` or `int8`.
    #[cfg(feature = "gpu")]
    #[arg(long, env = environment::PRECISION, hide_env_values = true, default_value = "fp32")]
    precision: wikitok_embed::Precision,
    /// Threads that the model may use [default: one for each core].
    #[cfg(feature = "gpu")]
    #[arg(long)]
    threads: Option<usize>,
    /// Section of `temporal.toml` to use.
    #[arg(long)]
    profile: Option<String>,
    /// Seconds that work in progress may take to finish after SIGTERM.
    #[arg(long, default_value_t = 20)]
    grace: u64,
    /// The deployment that this worker is a version of, for Temporal's Worker Versioning; set by its worker controller.
    #[arg(long, env = environment::DEPLOYMENT_NAME, hide_env_values = true)]
    deployment_name: Option<String>,
    /// Which version it is.
    #[arg(long, env = environment::BUILD_ID, hide_env_values = true)]
    build_id: Option<String>,
    /// What becomes of runs when a newer version is there: `pinned` ones end on theirs, `auto-upgrade` ones go on
    /// under the newer.
    #[arg(long, env = environment::VERSIONING, hide_env_values = true, default_value = "pinned")]
    versioning: Versioning,
    /// Logs as JSON lines.
    #[arg(long)]
    log_json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    wikitok_worker::telemetry::start("info,temporalio_sdk_core=warn", arguments.log_json);
    match serve(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            if let Some(hint) = hint(&error) {
                tracing::error!("hint: {hint}");
            }
            ExitCode::from(2)
        }
    }
}

async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let connector = Connector::from_environment(arguments.profile.clone())?;
    let stop = stop_on_signals()?;
    let preparing = async {
        let config = config(arguments).await?;
        anyhow::Ok(Workers::prepare(&connect(&connector).await, &config).await?)
    };
    let workers = tokio::select! {
        workers = preparing => workers?,
        () = stop.cancelled() => return Ok(()),
    };
    for queue in &arguments.queues {
        tracing::info!(queue = queue.task_queue(), "polling");
    }
    workers.run(stop).await?;
    Ok(())
}

#[cfg_attr(not(feature = "gpu"), expect(clippy::unused_async, reason = "a model may have to be fetched"))]
async fn config(arguments: &Arguments) -> anyhow::Result<WorkerConfig> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let names = (arguments.deployment_name.clone(), arguments.build_id.clone());
    let deployment = Deployment::new(names.0, names.1, arguments.versioning)?;
    Ok(WorkerConfig {
        queues: arguments.queues.iter().copied().collect(),
        cpu_slots: arguments.slots.map_or(cores, usize::from),
        #[cfg(feature = "gpu")]
        embedder: wikitok_embed::EmbedderOptions {
            model_directory: model_directory(arguments).await?,
            runtime_library: wikitok_worker::home::onnxruntime(),
            device: arguments.device,
            precision: arguments.precision,
            threads: arguments.threads.unwrap_or(cores),
        },
        grace: Duration::from_secs(arguments.grace),
        handover: HANDOVER.min(Duration::from_secs(arguments.grace)),
        deployment,
    })
}

/// A worker that serves no GPU queue needs no model.
#[cfg(feature = "gpu")]
async fn model_directory(arguments: &Arguments) -> Result<std::path::PathBuf, RunError> {
    if !arguments.queues.contains(&Queue::Gpu) {
        return Ok(wikitok_worker::home::model());
    }
    Ok(wikitok_worker::model_directory(arguments.model.as_deref()).await?)
}

/// Waits for a server that is not there yet: on a cluster, the order in which things start is not ours.
async fn connect(connector: &Connector) -> temporalio_client::Client {
    loop {
        match connector.connect_worker().await {
            Ok(client) => return client,
            Err(error) => {
                tracing::warn!("{:#}, trying again", anyhow::Error::from(error));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Cancelled by the first SIGTERM or SIGINT; the second ends the process at once.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if stopped.is_cancelled() {
                #[allow(clippy::exit, reason = "a second signal asks for exactly this")]
                std::process::exit(130);
            }
            tracing::info!("stopping: finishing what is in progress");
            stopped.cancel();
        }
    });
    Ok(stop)
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return error.hint();
    }
    match error.downcast_ref::<RunError>()? {
        #[cfg(feature = "gpu")]
        RunError::Embedder(error) => error.hint(),
        #[cfg(feature = "gpu")]
        RunError::Model(error) => error.hint(),
        _ => None,
    }
}
