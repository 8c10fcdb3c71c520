//! What is checked before a run is started, so that a mistake is told within seconds.

use anyhow::Context;
use wikitok_activities::plan;
use wikitok_dump::Snapshot;
use wikitok_store::{Location, StoreError};
use wikitok_workflows::contract::{Configuration, Embedding, Run};

use crate::arguments::StartArguments;
use crate::configuration;
use crate::error::Hinted;

/// A run that was found, and whose output is not another's.
pub(crate) struct Sought {
    pub(crate) run: Run,
    pub(crate) id: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) source: Location,
}

/// A run that can be started.
pub(crate) struct Planned {
    pub(crate) run: Run,
    pub(crate) id: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) output: Location,
}

/// Finds the snapshot, opens the output, and shows that neither stands in the way of the run.
pub(crate) async fn check(arguments: &StartArguments) -> anyhow::Result<Planned> {
    let (source, configuration, snapshot) = find(arguments).await?;
    let output = Location::create(&arguments.output).await.context("cannot use --output")?;
    output.check_writable().await.context("cannot use --output")?;
    let (run, id) = configuration::run(arguments, configuration, &snapshot, source.uri(), output.uri());
    check_owner(&output, &run).await?;
    Ok(Planned { run, id, snapshot, output })
}

/// The model that is asked for, read off the main threads: its weights are digested.
async fn embedding(arguments: &StartArguments) -> anyhow::Result<Option<Embedding>> {
    if arguments.no_embed {
        return Ok(None);
    }
    let asked = arguments.embedding.clone();
    let embedding = tokio::task::spawn_blocking(move || asked.configuration()).await??;
    Ok(Some(embedding))
}

/// The same without touching anything: the output need not be there.
pub(crate) async fn look(arguments: &StartArguments) -> anyhow::Result<Sought> {
    let (source, configuration, snapshot) = find(arguments).await?;
    let there = match Location::open(&arguments.output) {
        Err(StoreError::NoSuchDirectory { .. }) => None,
        opened => Some(opened.context("cannot use --output")?),
    };
    let output = match &there {
        Some(output) => output.uri().to_owned(),
        None => std::path::absolute(&arguments.output)?.display().to_string(),
    };
    let (run, id) = configuration::run(arguments, configuration, &snapshot, source.uri(), &output);
    if let Some(output) = &there {
        check_owner(output, &run).await?;
    }
    Ok(Sought { run, id, snapshot, source })
}

async fn find(arguments: &StartArguments) -> anyhow::Result<(Location, Configuration, Snapshot)> {
    let source = Location::open(&arguments.source).context("cannot use --source")?;
    let configuration = configuration::configuration(arguments, embedding(arguments).await?)?;
    let snapshot = plan::resolve(&source, &arguments.dump, &configuration).await?;
    Ok((source, configuration, snapshot))
}

async fn check_owner(output: &Location, run: &Run) -> anyhow::Result<()> {
    let before = wikitok_publish::read_owner(output).await?;
    if let Some(reason) = before.and_then(|before| plan::conflict(&before, run)) {
        let message = format!("the output `{}` belongs to another run: {reason}", output.uri());
        return Err(Hinted::new(message, "give each run an --output of its own").into());
    }
    Ok(())
}
