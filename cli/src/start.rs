//! `start`: begins a run, or attaches to the one that exists.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;
use temporalio_client::{WorkflowDescribeOptions, WorkflowExecutionStatus};
use wikitok_embed::Device;
use wikitok_publish::{RunManifest, keys};
use wikitok_store::Location;
use wikitok_worker::{Connector, Queue, environment};

use crate::arguments::{Format, StartArguments};
use crate::client::Temporal;
use crate::error::Hinted;
use crate::preflight::{self, Planned};
use crate::server::{self, Server};
use crate::stop::Stop;
use crate::{dry_run, output, watch, workers};

/// What `start` without --watch says.
#[derive(Serialize)]
struct Started {
    run_id: String,
    status: &'static str,
    output: String,
    web_ui: String,
}

pub(crate) async fn run(
    arguments: &StartArguments,
    profile: Option<String>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    if arguments.dry_run {
        return dry_run::run(arguments, format).await;
    }
    refuse_a_device_of_others(arguments)?;
    let planned = preflight::check(arguments).await?;
    if arguments.local {
        return local(arguments, &planned, format).await;
    }
    let temporal = Temporal::from_environment(profile).await?;
    let before = start(&temporal, &planned).await?;
    if arguments.watch {
        return watch::until_end(&temporal, &planned.id, format).await;
    }
    let started = Started {
        run_id: planned.id.clone(),
        status: before,
        output: planned.run.output.clone(),
        web_ui: temporal.link(&planned.id),
    };
    output::show(format, &started, |started| {
        format!(
            "{}\n  output  {}\n  Web UI  {}\n  watch   wikitok-cli watch {}",
            started.run_id, started.output, started.web_ui, started.run_id
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What the workers of a server run on is decided where they are started. A variable may be meant for them.
fn refuse_a_device_of_others(arguments: &StartArguments) -> anyhow::Result<()> {
    let device = arguments.embedding.model.device;
    if arguments.local || device == Device::Cpu || std::env::var_os(environment::DEVICE).is_some() {
        return Ok(());
    }
    let hint = format!("add --local, or start workers with `wikitok-worker --queue gpu --device {device}`");
    Err(Hinted::new("--device is for workers in this process", hint).into())
}

/// Starts the run on a connection, saying so on stderr. Returns whether it is `started` or was `done` before.
async fn start(temporal: &Temporal, planned: &Planned) -> anyhow::Result<&'static str> {
    temporal.register_search_attributes().await;
    let ended = ended_well(temporal, &planned.id).await;
    let done = ended && is_published(planned).await?;
    temporal.start(&planned.run, &planned.command, &planned.id, ended && !done).await?;
    output::remark(&format!("run {}\nWeb UI {}", planned.id, temporal.link(&planned.id)));
    Ok(if done { "done" } else { "started" })
}

/// Whether Temporal remembers the run as completed. Its output may have been removed since.
async fn ended_well(temporal: &Temporal, id: &str) -> bool {
    let described = temporal.handle(id).describe(WorkflowDescribeOptions::default()).await;
    described.is_ok_and(|run| run.status() == WorkflowExecutionStatus::Completed)
}

/// Whether the output is whole as far as sizes tell, and made from the shards that are at the source now.
/// Where it is not, the run is run again, which redoes only what is missing or other than it was.
async fn is_published(planned: &Planned) -> anyhow::Result<bool> {
    if planned.output.head(keys::SUCCESS).await?.is_none() {
        return Ok(false);
    }
    let Some(manifest) = wikitok_publish::read_run(&planned.output).await? else { return Ok(false) };
    let ours = manifest.fingerprints.tokens == planned.run.tokens_fingerprint
        && manifest.fingerprints.vectors == planned.run.vectors_fingerprint;
    Ok(ours && is_of_source(&manifest, planned) && is_there(&manifest, &planned.output).await?)
}

fn is_of_source(manifest: &RunManifest, planned: &Planned) -> bool {
    let made: Vec<_> = manifest.shards.iter().map(|shard| (&shard.shard, shard.input.bytes)).collect();
    let there: Vec<_> = planned.snapshot.shards.iter().map(|shard| (&shard.name, shard.bytes)).collect();
    // A limit may have ended the run before the last shard.
    let all = planned.run.configuration.limit.is_some() || made.len() == there.len();
    all && there.starts_with(&made)
}

async fn is_there(manifest: &RunManifest, output: &Location) -> anyhow::Result<bool> {
    let mut sizes = BTreeMap::new();
    for folder in ["tokens", "vectors", "quarantine"] {
        sizes.extend(output.list(folder).await?.into_iter().map(|object| (object.key, object.bytes)));
    }
    Ok(manifest.files.iter().all(|file| sizes.get(&file.key) == Some(&file.bytes)))
}

/// Runs with a server and workers of its own, which end with it.
async fn local(arguments: &StartArguments, planned: &Planned, format: Format) -> anyhow::Result<ExitCode> {
    let directory = tempfile::tempdir()?;
    let ports = server::free_ports()?;
    let mut stop = Stop::listen()?;
    let database = directory.path().join("temporal.db");
    let server = stop.unless_asked(Server::start(&database, ports)).await.ok_or_else(stopped)??;
    let outcome = on_server(&server, arguments, planned, &mut stop, format).await;
    server.stop().await?;
    outcome
}

async fn on_server(
    server: &Server,
    arguments: &StartArguments,
    planned: &Planned,
    stop: &mut Stop,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let connector = Connector::local(&server.address())?;
    let mut queues = vec![Queue::Workflow, Queue::Cpu];
    queues.extend((!arguments.no_embed).then_some(Queue::Gpu));
    queues.extend(arguments.mirror.is_some().then_some(Queue::Mirror));
    let preparing = workers::prepare(&connector, &queues, &arguments.embedding.model);
    let ready = stop.unless_asked(preparing).await.ok_or_else(stopped)??;
    let temporal = Temporal::connect(&connector, Some(server.ui())).await?;
    let watching = async {
        start(&temporal, planned).await?;
        watch::until_end(&temporal, &planned.id, format).await
    };
    let until_stopped = async {
        tokio::select! {
            outcome = watching => outcome,
            () = stop.asked() => Err(stopped()),
        }
    };
    workers::serve(ready, until_stopped).await
}

fn stopped() -> anyhow::Error {
    Hinted::new("stopped before the end", "what is committed stays: the same command goes on from there")
        .into()
}
