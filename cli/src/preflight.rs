//! What is checked before a run is started, so that a mistake is told within seconds.

use anyhow::Context;
use wikitok_activities::plan;
use wikitok_dump::{DumpError, Snapshot, SnapshotQuery};
use wikitok_store::{Location, StoreError};
use wikitok_workflows::contract::{Configuration, Embedding, Run};

use crate::arguments::StartArguments;
use crate::configuration;
use crate::embedding::EmbeddingArguments;
use crate::error::Hinted;
use crate::invocation;

/// A run that was found, and whose output is not another's.
pub(crate) struct Sought {
    pub(crate) run: Run,
    pub(crate) id: String,
    pub(crate) found: Found,
}

/// A run that can be started.
pub(crate) struct Planned {
    pub(crate) run: Run,
    pub(crate) id: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) output: Location,
    /// The command that starts it from anywhere.
    pub(crate) command: Vec<String>,
}

/// Finds the snapshot, opens the output, and shows that neither stands in the way of the run.
pub(crate) async fn check(arguments: &StartArguments) -> anyhow::Result<Planned> {
    let source = arguments.source.open().context("cannot use --source")?;
    let mirror = open_mirror(arguments, &source).await?;
    let (configuration, Found { snapshot, .. }) = find(arguments, &source, mirror.as_ref()).await?;
    let output = Location::create(&arguments.output).await.context("cannot use --output")?;
    output.check_writable().await.context("cannot use --output")?;
    let (run, id) =
        configuration::run(arguments, configuration, &snapshot, source.uri(), mirror.as_ref(), output.uri());
    check_owner(&output, &run).await?;
    let command = invocation::of_this_process(&run, arguments.embedding.model.model.as_deref());
    Ok(Planned { run, id, snapshot, output, command })
}

/// The model that is asked for, read off the main threads: its weights are digested.
async fn embedding(arguments: &StartArguments) -> anyhow::Result<Option<Embedding>> {
    if arguments.no_embed {
        return Ok(None);
    }
    let model = arguments.embedding.model.located().await?;
    let asked = EmbeddingArguments { model, ..arguments.embedding.clone() };
    let embedding = tokio::task::spawn_blocking(move || asked.configuration()).await??;
    Ok(Some(embedding))
}

/// The same without touching anything: the output need not be there.
pub(crate) async fn look(arguments: &StartArguments) -> anyhow::Result<Sought> {
    let source = arguments.source.open().context("cannot use --source")?;
    // A mirror that is not there yet is not made.
    let mirror = arguments.mirror.as_deref().and_then(|uri| Location::open(uri).ok());
    let (configuration, found) = find(arguments, &source, mirror.as_ref()).await?;
    let there = match Location::open(&arguments.output) {
        Err(StoreError::NoSuchDirectory { .. }) => None,
        opened => Some(opened.context("cannot use --output")?),
    };
    let output = match &there {
        Some(output) => output.uri().to_owned(),
        None => Location::uri_of(&arguments.output).context("cannot use --output")?,
    };
    let (run, id) =
        configuration::run(arguments, configuration, &found.snapshot, source.uri(), mirror.as_ref(), &output);
    if let Some(output) = &there {
        check_owner(output, &run).await?;
    }
    Ok(Sought { run, id, found })
}

async fn find(
    arguments: &StartArguments,
    source: &Location,
    mirror: Option<&Location>,
) -> anyhow::Result<(Configuration, Found)> {
    let configuration = configuration::configuration(arguments, embedding(arguments).await?)?;
    let found = resolve(source, mirror, &arguments.dump, &configuration).await?;
    Ok((configuration, found))
}

async fn check_owner(output: &Location, run: &Run) -> anyhow::Result<()> {
    let before = wikitok_publish::read_owner(output).await?;
    if let Some(reason) = before.and_then(|before| plan::conflict(&before, run)) {
        let message = format!("the output `{}` belongs to another run: {reason}", output.uri());
        return Err(Hinted::new(message, "give each run an --output of its own").into());
    }
    Ok(())
}

/// Opens the mirror that is asked for, which the public server may not be read without.
async fn open_mirror(arguments: &StartArguments, source: &Location) -> anyhow::Result<Option<Location>> {
    let Some(uri) = &arguments.mirror else {
        if !wikitok_store::is_public_server(source.uri()) {
            return Ok(None);
        }
        let message = format!("`{}` is read once, into a mirror, and not by every worker", source.uri());
        let hint = "add --mirror with a directory or bucket of yours, which has room for the dump";
        return Err(Hinted::new(message, hint).into());
    };
    let mirror = Location::create(uri).await.context("cannot use --mirror")?;
    mirror.check_writable().await.context("cannot use --mirror")?;
    if mirror.uri() == source.uri() {
        let message = format!("`{}` cannot be copied into itself", source.uri());
        return Err(Hinted::new(message, "leave --mirror out: it is read as a --source").into());
    }
    Ok(Some(mirror))
}

/// A snapshot, and where its shards lie: at the source, or in the mirror.
pub(crate) struct Found {
    pub(crate) snapshot: Snapshot,
    pub(crate) place: Location,
}

/// The snapshot at the source, or in the mirror: a date that is complete there needs no source any more, and one
/// that the source does not have any more may be there still.
pub(crate) async fn resolve(
    source: &Location,
    mirror: Option<&Location>,
    query: &SnapshotQuery,
    configuration: &Configuration,
) -> Result<Found, DumpError> {
    let find = async |place: &Location| {
        let snapshot = plan::resolve(place, query, configuration).await?;
        Ok(Found { snapshot, place: place.clone() })
    };
    let Some(mirror) = mirror else { return find(source).await };
    if query.is_exact()
        && let Ok(found) = find(mirror).await
    {
        return Ok(found);
    }
    match find(source).await {
        Err(absent) if DumpError::is_absence(&absent) => find(mirror).await.map_err(|_| absent),
        found => found,
    }
}
