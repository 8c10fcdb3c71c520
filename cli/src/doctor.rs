//! `doctor`: everything that a run needs, checked one by one.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use wikitok_embed::{Embedder, EmbedderOptions};
use wikitok_store::{Access, Location};
use wikitok_worker::{Connector, Queue, home};

use crate::arguments::{DoctorArguments, Format};
use crate::client::Temporal;
use crate::{error, output};

/// One line of the list.
#[derive(Serialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Check {
    fn new(name: impl Into<String>, outcome: anyhow::Result<String>) -> Self {
        let name = name.into();
        match outcome {
            Ok(detail) => Self { name, ok: true, detail, hint: None },
            Err(error) => {
                let hint = error.chain().find_map(error::hint);
                Self { name, ok: false, detail: error::describe(&error), hint }
            }
        }
    }
}

pub(crate) async fn run(
    arguments: &DoctorArguments,
    profile: Option<String>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let mut checks = temporal(profile, arguments.mirror.is_some()).await;
    if let Some(source) = &arguments.source {
        checks.push(Check::new("source", check_source(source, arguments.contact.clone()).await));
    }
    if let Some(mirror) = &arguments.mirror {
        checks.push(Check::new("mirror", check_output(mirror).await));
    }
    if let Some(output) = &arguments.output {
        checks.push(Check::new("output", check_output(output).await));
    }
    match arguments.model.located().await {
        Ok(model) => {
            let options = model.options(1);
            checks.push(Check::new("model", check_model(&options.model_directory)));
            let inference = tokio::task::spawn_blocking(move || check_inference(&options)).await?;
            checks.push(Check::new("inference", inference));
        }
        Err(error) => checks.push(Check::new("model", Err(error))),
    }
    checks.push(Check::new("development server", check_server_program()));
    output::show(format, &checks, |checks| checks.iter().map(line).collect())?;
    let whole = checks.iter().all(|check| check.ok);
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(error::FAILED) })
}

fn line(check: &Check) -> String {
    let mark = if check.ok { '✔' } else { '✖' };
    let hint = check.hint.as_ref().map_or_else(String::new, |hint| format!("\n    hint: {hint}"));
    format!("{mark} {}: {}{hint}\n", check.name, check.detail)
}

/// The server, its namespace, and who polls each queue.
async fn temporal(profile: Option<String>, mirrors: bool) -> Vec<Check> {
    let connected = async {
        let connector = Connector::from_environment(profile)?;
        let temporal = Temporal::connect(&connector, None).await?;
        temporal.register_search_attributes().await;
        let detail = format!("{}, namespace `{}`", connector.address(), connector.namespace());
        anyhow::Ok((temporal, detail))
    };
    let (temporal, detail) = match connected.await {
        Ok(connected) => connected,
        Err(error) => return vec![Check::new("temporal", Err(error))],
    };
    let mut checks = vec![Check::new("temporal", Ok(detail))];
    for queue in Queue::ALL.into_iter().filter(|queue| mirrors || *queue != Queue::Mirror) {
        checks.push(Check::new(format!("queue {queue}"), check_queue(&temporal, queue).await));
    }
    checks
}

async fn check_queue(temporal: &Temporal, queue: Queue) -> anyhow::Result<String> {
    match temporal.workers(queue).await? {
        0 => Err(error::Hinted::new(
            format!("no worker polls `{}`", queue.task_queue()),
            format!("start `wikitok-worker --queue {queue}`, or `wikitok-cli dev` for all queues"),
        )
        .into()),
        workers => Ok(format!("{workers} serving `{}`", queue.task_queue())),
    }
}

async fn check_source(uri: &str, contact: Option<String>) -> anyhow::Result<String> {
    let source = Location::open_with(uri, Access::from_environment().with_contact(contact))?;
    let wikis = wikitok_dump::wikis(&source).await?;
    Ok(format!("{}: {}", source.uri(), wikis.join(", ")))
}

async fn check_output(uri: &str) -> anyhow::Result<String> {
    let output = Location::create(uri).await?;
    output.check_writable().await?;
    Ok(format!("{} can be written", output.uri()))
}

fn check_model(directory: &Path) -> anyhow::Result<String> {
    let identity = wikitok_embed::inspect_model(directory)?;
    Ok(format!("{} in {}, sha256 {}", identity.name, directory.display(), identity.model_sha256))
}

fn check_inference(options: &EmbedderOptions) -> anyhow::Result<String> {
    let device = Embedder::load(options)?.device();
    Ok(format!("{} on `{device}` in {}", options.runtime_library.display(), options.precision))
}

fn check_server_program() -> anyhow::Result<String> {
    let program = home::temporal().ok_or_else(|| {
        error::Hinted::new(
            "the `temporal` program is not there",
            "only `dev` and `--local` need it: run `tools/fetch`",
        )
    })?;
    Ok(program.display().to_string())
}
