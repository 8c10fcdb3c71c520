//! `events`: what happened in a run, told from Temporal's histories.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use wikitok_activities::record::{self, Event, Reader};
use wikitok_store::Location;
use wikitok_workflows::contract::{DumpProgress, KeepRecordInput, Status};

use crate::arguments::Format;
use crate::client::Temporal;
use crate::error::Hinted;
use crate::output::{self, printable};
use crate::watch;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The run may be at work, and its workers writing.
const LONGER_THAN_ANY_WRITE: Duration = Duration::from_hours(1);
/// A server that is away longer than this is not waited for.
const AWAY_FOR: Duration = Duration::from_mins(10);

pub(crate) async fn run(
    id: &str,
    following: bool,
    saving: bool,
    profile: Option<String>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let temporal = Temporal::from_environment(profile).await?;
    let mut reader = Reader::new(&temporal.client, id);
    if saving {
        return save(&temporal, id, &mut reader).await;
    }
    // Asked first: what is told after the end is all there is.
    let mut running = watch::is_running(&temporal, id).await?;
    show(format, &reader.more().await?)?;
    while following && running {
        tokio::time::sleep(LOOK_EVERY).await;
        let events;
        (running, events) = look(&temporal, id, &mut reader).await?;
        show(format, &events)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the run goes on, and what is new. While the server is away nobody knows, so it is asked again.
async fn look(temporal: &Temporal, id: &str, reader: &mut Reader) -> anyhow::Result<(bool, Vec<Event>)> {
    let since = Instant::now();
    loop {
        let looked = async { anyhow::Ok((watch::is_running(temporal, id).await?, reader.more().await?)) };
        match looked.await {
            Err(error) if error.is::<Hinted>() || since.elapsed() > AWAY_FOR => return Err(error),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            looked => return looked,
        }
    }
}

/// Writes the record beside the output, as the run itself does at its end.
async fn save(temporal: &Temporal, id: &str, reader: &mut Reader) -> anyhow::Result<ExitCode> {
    let input = temporal.input(id).await?;
    let (progress, error) = standing(temporal, id).await?;
    let events = reader.more().await?;
    let output = Location::create(&input.run.output).await.context("cannot use the run's output")?;
    let input = KeepRecordInput { run: input.run, progress, error, command: input.command };
    let executions = reader.executions();
    if !record::save(&output, id, &input, events, &executions, LONGER_THAN_ANY_WRITE).await? {
        let message = format!("the output `{}` belongs to another run", output.uri());
        return Err(Hinted::new(message, "its record is left as it is").into());
    }
    output::remark(&format!("wrote `events.jsonl` and `job_summary.json` to {}", output.uri()));
    Ok(ExitCode::SUCCESS)
}

/// Where the run stands, or how it ended.
async fn standing(temporal: &Temporal, id: &str) -> anyhow::Result<(DumpProgress, Option<String>)> {
    if watch::is_running(temporal, id).await? {
        let standing = temporal.progress(id).await.context("the run does not answer")?;
        return Ok((standing.progress, None));
    }
    let report = watch::report(temporal, id, false).await?;
    let left = watch::last_progress(temporal, id).await?;
    let progress = left.unwrap_or_else(|| DumpProgress { status: Status::Failed, ..DumpProgress::default() });
    Ok((progress, report.error))
}

fn show(format: Format, events: &[Event]) -> anyhow::Result<()> {
    events.iter().try_for_each(|event| output::show(format, event, text))
}

/// An event on one line.
fn text(event: &Event) -> String {
    let kind = serde_json::to_value(event.event).ok();
    let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default().replace('_', " ");
    let mut line = format!("{}  {kind:<18}", event.time);
    let mut say = |words: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = write!(line, " {words}");
    };
    if let Some(name) = event.shard.as_ref().or(event.run.as_ref()) {
        say(format_args!("{}", printable(name)));
    }
    if let Some(part) = event.part {
        say(format_args!("part {part}"));
    }
    if let Some(stage) = event.stage {
        say(format_args!("{}", format!("{stage:?}").to_lowercase()));
    }
    if let Some(attempt) = event.attempt.filter(|attempt| *attempt > 1) {
        say(format_args!("attempt {attempt}"));
    }
    for (number, what) in [(event.articles, "articles"), (event.tokens, "tokens"), (event.vectors, "vectors")]
    {
        if let Some(number) = number {
            say(format_args!("{} {what}", output::thousands(number)));
        }
    }
    if let Some(shards) = event.shards_in_flight {
        say(format_args!("{shards} shards in flight"));
    }
    if let Some(worker) = &event.worker {
        say(format_args!("by {}", printable(worker)));
    }
    if let Some(message) = &event.message {
        let reason = event.reason.as_deref().map_or_else(String::new, |reason| format!("({reason}) "));
        say(format_args!("{}{}", printable(&reason), printable(message)));
    }
    line
}
