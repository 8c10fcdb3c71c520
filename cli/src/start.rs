//! `start`: begins a run, or attaches to the one that exists.

use std::process::ExitCode;

use serde::Serialize;
use temporalio_client::{WorkflowDescribeOptions, WorkflowExecutionStatus};
use tokio::signal::unix::{SignalKind, signal};
use wikitok_worker::{Connector, Queue};

use crate::arguments::{Format, StartArguments};
use crate::client::Temporal;
use crate::error::Hinted;
use crate::preflight::{self, Planned};
use crate::server::{self, Server};
use crate::{output, watch, workers};

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

/// Starts the run on a connection, saying so on stderr. Returns whether it is `started` or was `done` before.
async fn start(temporal: &Temporal, planned: &Planned) -> anyhow::Result<&'static str> {
    temporal.register_search_attributes().await;
    let ended = ended_well(temporal, &planned.id).await;
    let done = ended && is_published(planned).await?;
    temporal.start(&planned.run, &planned.id, ended && !done).await?;
    output::remark(&format!("run {}\nWeb UI {}", planned.id, temporal.link(&planned.id)));
    Ok(if done { "done" } else { "started" })
}

/// Whether Temporal remembers the run as completed. Its output may have been removed since.
async fn ended_well(temporal: &Temporal, id: &str) -> bool {
    let described = temporal.handle(id).describe(WorkflowDescribeOptions::default()).await;
    described.is_ok_and(|run| run.status() == WorkflowExecutionStatus::Completed)
}

/// Whether the output is whole, and this run's.
async fn is_published(planned: &Planned) -> anyhow::Result<bool> {
    let owner = wikitok_publish::read_owner(&planned.output).await?;
    let ours = owner.is_some_and(|owner| {
        owner.tokens_fingerprint == planned.run.tokens_fingerprint
            && owner.vectors_fingerprint == planned.run.vectors_fingerprint
    });
    Ok(ours && planned.output.head(wikitok_publish::keys::SUCCESS).await?.is_some())
}

/// Runs with a server and workers of its own, which end with it.
async fn local(arguments: &StartArguments, planned: &Planned, format: Format) -> anyhow::Result<ExitCode> {
    let directory = tempfile::tempdir()?;
    let ports = server::free_ports()?;
    let server = Server::start(&directory.path().join("temporal.db"), ports).await?;
    let outcome = on_server(&server, arguments, planned, format).await;
    server.stop().await?;
    outcome
}

async fn on_server(
    server: &Server,
    arguments: &StartArguments,
    planned: &Planned,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let connector = Connector::local(&server.address())?;
    let mut queues = vec![Queue::Workflow, Queue::Cpu];
    queues.extend((!arguments.no_embed).then_some(Queue::Gpu));
    let ready = workers::prepare(&connector, &queues, arguments.device).await?;
    let temporal = Temporal::connect(&connector, Some(server.ui())).await?;
    let watching = async {
        start(&temporal, planned).await?;
        watch::until_end(&temporal, &planned.id, format).await
    };
    let until_stopped = async {
        tokio::select! {
            outcome = watching => outcome,
            _ = terminate.recv() => Err(stopped()),
            _ = interrupt.recv() => Err(stopped()),
        }
    };
    workers::serve(ready, until_stopped).await
}

fn stopped() -> anyhow::Error {
    Hinted::new("stopped before the end", "what is committed stays: the same command goes on from there")
        .into()
}
