//! What is checked before a run is started, so that a mistake is told within seconds.

use anyhow::Context;
use wikitok_activities::plan;
use wikitok_dump::Snapshot;
use wikitok_store::Location;
use wikitok_workflows::contract::Run;

use crate::arguments::StartArguments;
use crate::configuration;
use crate::error::Hinted;

/// A run that can be started.
pub(crate) struct Planned {
    pub(crate) run: Run,
    pub(crate) id: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) output: Location,
}

/// Finds the snapshot, opens the output, and shows that neither stands in the way of the run.
pub(crate) async fn check(arguments: &StartArguments) -> anyhow::Result<Planned> {
    let source = Location::open(&arguments.source).context("cannot use --source")?;
    let configuration = configuration::configuration(arguments)?;
    let snapshot = plan::resolve(&source, &arguments.dump, &configuration).await?;
    let output = Location::create(&arguments.output).await.context("cannot use --output")?;
    output.check_writable().await.context("cannot use --output")?;
    let (run, id) = configuration::run(arguments, configuration, &snapshot, source.uri(), output.uri());
    let before = wikitok_publish::read_owner(&output).await?;
    if let Some(reason) = before.and_then(|before| plan::conflict(&before, &run)) {
        let message = format!("the output `{}` belongs to another run: {reason}", output.uri());
        return Err(Hinted::new(message, "give each run an --output of its own").into());
    }
    if arguments.local && !arguments.no_embed {
        wikitok_embed::inspect_model(&wikitok_worker::home::model())?;
    }
    Ok(Planned { run, id, snapshot, output })
}
