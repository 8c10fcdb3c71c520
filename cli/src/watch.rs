//! Following runs: `watch`, `status`, `list`.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use temporalio_client::errors::{WorkflowGetResultError, WorkflowInteractionError};
use temporalio_client::tonic::Status as RpcStatus;
use temporalio_client::{
    WorkflowDescribeOptions, WorkflowExecution, WorkflowExecutionStatus, WorkflowListOptions,
};
use temporalio_common::data_converters::PayloadConversionError;
use temporalio_common::error::IncomingError;
use wikitok_worker::{Queue, REFUSED_HINT, environment, is_refusal};
use wikitok_workflows::contract::{DumpProgress, Status};
use wikitok_workflows::names;

use crate::arguments::Format;
use crate::client::{Activities, Standing, Temporal, unknown_run};
use crate::error::Hinted;
use crate::output::{self, printable, thousands};
use crate::report::Report;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A look costs the server and the workers some ten calls: where no bar moves, fewer will do.
const LOOK_EVERY_WITHOUT_BAR: Duration = Duration::from_secs(2);
/// A worker that is there answers sooner.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Without a terminal, progress is a line this often.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// A server that is away longer than this is not waited for.
const AWAY_FOR: Duration = Duration::from_mins(10);

pub(crate) async fn command(id: &str, profile: Option<String>, format: Format) -> anyhow::Result<ExitCode> {
    let temporal = Temporal::from_environment(profile).await?;
    until_end(&temporal, id, format).await
}

/// Shows progress until the run ends, then its report. The exit code says how it ended.
pub(crate) async fn until_end(temporal: &Temporal, id: &str, format: Format) -> anyhow::Result<ExitCode> {
    let mut view = View::new();
    let report = tokio::select! {
        report = result(temporal, id) => report?,
        never = follow(temporal, id, &mut view) => match never {},
    };
    view.finish();
    output::show(format, &report, Report::text)?;
    Ok(report.exit_code())
}

/// Waits for the end of a run, through absences of the server.
async fn result(temporal: &Temporal, id: &str) -> anyhow::Result<Report> {
    let link = temporal.link(id);
    let mut away: Option<Instant> = None;
    loop {
        let asked = Instant::now();
        let error = match temporal.result(id).await {
            Ok(progress) => return Ok(Report::new(id, &link, &progress)),
            Err(WorkflowGetResultError::NotFound(_)) => return Err(unknown_run(id)),
            Err(WorkflowGetResultError::Rpc(status)) if is_refusal(&status) => return Err(refused(&status)),
            Err(WorkflowGetResultError::Rpc(status)) => status,
            Err(WorkflowGetResultError::PayloadConversion(error)) => return Err(unreadable(&error)),
            Err(error) => return Ok(ended_badly(id, &link, &error)),
        };
        if asked.elapsed() > AWAY_FOR / 10 {
            // It listened for a while, so it was back in between.
            away = None;
        }
        let since = *away.get_or_insert(asked);
        if since.elapsed() > AWAY_FOR {
            return Err(error).context("lost the Temporal server; the run goes on when it is back");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn refused(status: &RpcStatus) -> anyhow::Error {
    Hinted::new(format!("the Temporal server refuses us: {}", status.message()), REFUSED_HINT).into()
}

fn unreadable(error: &PayloadConversionError) -> anyhow::Error {
    let hint = format!(
        "the run has ended; to read how, set {} or {} to the key of its workers",
        environment::ENCRYPTION_KEY,
        environment::ENCRYPTION_KEY_FILE,
    );
    Hinted::new(format!("cannot read what Temporal stores of the run: {error}"), hint).into()
}

/// The report of a run that did not end well, from what it left as details.
fn ended_badly(id: &str, link: &str, error: &WorkflowGetResultError) -> Report {
    let progress = left_behind(error).unwrap_or_default();
    match error {
        WorkflowGetResultError::Cancelled { .. } => {
            Report::new(id, link, &DumpProgress { status: Status::Cancelled, ..progress })
        }
        WorkflowGetResultError::Failed(failure) if matches!(**failure, IncomingError::Application(_)) => {
            Report::failed(id, link, &progress, failure.failure().message.clone())
        }
        WorkflowGetResultError::Failed(failure) => Report::failed(id, link, &progress, failure.to_string()),
        other => Report::failed(id, link, &progress, other.to_string()),
    }
}

/// The progress that a run left as details of its end.
fn left_behind(error: &WorkflowGetResultError) -> Option<DumpProgress> {
    match error {
        WorkflowGetResultError::Failed(failure) => match &**failure {
            IncomingError::Application(application) => application.details().ok().flatten(),
            _ => None,
        },
        WorkflowGetResultError::Cancelled { details } => details.deserialize().ok(),
        _ => None,
    }
}

/// Shows progress for ever.
async fn follow(temporal: &Temporal, id: &str, view: &mut View) -> std::convert::Infallible {
    let mut pause = LOOK_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        pause = view.pause();
        match temporal.progress(id).await {
            Ok(standing) => {
                let activities = temporal.activities(id, &standing.progress.in_flight).await;
                let waiting = waiting(temporal, &standing).await;
                view.show(&standing.progress, &activities, waiting);
            }
            Err(_) => view.wait(missing_worker(temporal, &DumpProgress::default()).await),
        }
    }
}

/// What a run waits for, in words, where it waits.
async fn waiting(temporal: &Temporal, standing: &Standing) -> Option<String> {
    if let Some(queue) = missing_worker(temporal, &standing.progress).await {
        return Some(waiting_for(queue));
    }
    if standing.progress.paused {
        return Some("paused: no new part is started until `wikitok-cli resume`".to_owned());
    }
    match standing.wait_for_vectors {
        0 => None,
        shards => {
            Some(format!("{shards} shards wait for vectors: as many parts are tokenized as may be without"))
        }
    }
}

/// The queue that holds the run up because nobody polls it, if one does.
async fn missing_worker(temporal: &Temporal, progress: &DumpProgress) -> Option<Queue> {
    if !matches!(progress.status, Status::Planning | Status::Running | Status::Paused | Status::Publishing) {
        return None;
    }
    for queue in Queue::ALL {
        // Whether a run makes vectors, it knows itself.
        let missed = progress.without_worker.iter().any(|name| name == queue.task_queue());
        let matters = match queue {
            Queue::Workflow | Queue::Cpu => true,
            Queue::Gpu => missed,
            Queue::Mirror => missed || progress.copying > 0,
        };
        if matters && temporal.workers(queue).await.is_ok_and(|workers| workers == 0) {
            return Some(queue);
        }
    }
    None
}

/// Progress on stderr: a bar on a terminal, else a line now and then.
struct View {
    bar: Option<ProgressBar>,
    said: Option<Instant>,
    last: String,
}

impl View {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            bar.set_style(
                ProgressStyle::with_template("{spinner} [{elapsed}] {wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, said: None, last: String::new() }
    }

    /// How long until the next look.
    fn pause(&self) -> Duration {
        if self.bar.is_some() { LOOK_EVERY } else { LOOK_EVERY_WITHOUT_BAR }
    }

    fn show(&mut self, progress: &DumpProgress, activities: &Activities, waiting: Option<String>) {
        let mut counts = progress.counts.clone();
        counts.add(&progress.partial);
        let mut line = format!(
            "{}: {} of {} shards, {} articles, {} tokens, {} vectors",
            progress.status.as_str().replace('_', " "),
            progress.shards_done,
            progress.shards,
            thousands(counts.articles),
            thousands(counts.tokens),
            thousands(counts.vectors),
        );
        if progress.shards_failed > 0 {
            line = format!("{line}, {} shards failed", progress.shards_failed);
        }
        for (number, what) in
            [(activities.reading, "documents being read"), (activities.embedding, "being embedded")]
        {
            if number > 0 {
                line = format!("{line}, {} {what}", thousands(number));
            }
        }
        if let Some(why) = &progress.given_up {
            line = format!("given up: {} — {line}", printable(why));
        }
        if let Some(waiting) = waiting {
            line = format!("{line} — {waiting}");
        } else if let Some(trouble) = activities.troubles.first() {
            line = format!("{line} — {}", printable(&trouble.to_string()));
        }
        self.say(line);
    }

    fn wait(&mut self, missing: Option<Queue>) {
        let line = missing.map_or_else(
            || "waiting for an answer from the run".to_owned(),
            |queue| format!("waiting: {}", waiting_for(queue)),
        );
        self.say(line);
    }

    fn say(&mut self, line: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(line);
            return;
        }
        let due = self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY);
        if due && (line != self.last || self.said.is_none_or(|said| said.elapsed() >= 3 * SAY_EVERY)) {
            output::remark(&line);
            self.said = Some(Instant::now());
            self.last = line;
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn waiting_for(queue: Queue) -> String {
    format!("no worker polls `{}`: start `wikitok-worker --queue {queue}`", queue.task_queue())
}

pub(crate) async fn status(id: &str, profile: Option<String>, format: Format) -> anyhow::Result<ExitCode> {
    let temporal = Temporal::from_environment(profile).await?;
    let running = is_running(&temporal, id).await?;
    let report = report(&temporal, id, running).await?;
    if running && let Some(trouble) = temporal.activities(id, &report.in_flight).await.troubles.first() {
        output::remark(&format!("trying again: {}", printable(&trouble.to_string())));
    }
    output::show(format, &report, Report::text)?;
    Ok(ExitCode::SUCCESS)
}

/// The report of a run: where it stands while it is running, else how it ended.
pub(crate) async fn report(temporal: &Temporal, id: &str, running: bool) -> anyhow::Result<Report> {
    if !running {
        return result(temporal, id).await;
    }
    let answer = tokio::time::timeout(ANSWERS_WITHIN, temporal.progress(id)).await;
    let Ok(Ok(standing)) = answer else {
        let missing = missing_worker(temporal, &DumpProgress::default()).await;
        let hint = missing.map_or_else(
            || "look at the run in the Web UI".to_owned(),
            |queue| format!("start `wikitok-worker --queue {queue}`"),
        );
        let why =
            missing.map_or_else(String::new, |queue| format!(": no worker polls `{}`", queue.task_queue()));
        return Err(Hinted::new(format!("`{id}` does not answer{why}"), hint).into());
    };
    let report = Report::new(id, &temporal.link(id), &standing.progress);
    Ok(Report { waiting: waiting(temporal, &standing).await, ..report })
}

/// What a run that has ended left behind; nothing where it was ended without being asked.
pub(crate) async fn last_progress(temporal: &Temporal, id: &str) -> anyhow::Result<Option<DumpProgress>> {
    match temporal.result(id).await {
        Ok(progress) => Ok(Some(progress)),
        Err(WorkflowGetResultError::NotFound(_)) => Err(unknown_run(id)),
        Err(WorkflowGetResultError::Rpc(status)) => Err(status).context("cannot ask after the run"),
        Err(error) => Ok(left_behind(&error)),
    }
}

pub(crate) async fn is_running(temporal: &Temporal, id: &str) -> anyhow::Result<bool> {
    match temporal.handle(id).describe(WorkflowDescribeOptions::default()).await {
        Ok(run) => Ok(run.close_time().is_none()),
        Err(WorkflowInteractionError::NotFound(_)) => Err(unknown_run(id)),
        Err(WorkflowInteractionError::Rpc(status)) if is_refusal(&status) => Err(refused(&status)),
        Err(error) => Err(error).with_context(|| format!("cannot ask after `{id}`")),
    }
}

/// A run in a list.
#[derive(Serialize)]
struct Listed {
    run_id: String,
    status: String,
    started: Option<u64>,
    web_ui: String,
}

pub(crate) async fn list(profile: Option<String>, format: Format) -> anyhow::Result<ExitCode> {
    let temporal = Temporal::from_environment(profile).await?;
    let query = "WorkflowType = 'DumpWorkflow'";
    let mut found = temporal.client.list_workflows(query, WorkflowListOptions::builder().limit(1000).build());
    let mut runs = Vec::new();
    while let Some(run) = found.next().await {
        let run = run.context("cannot list runs")?;
        let since = run.start_time().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        runs.push(Listed {
            run_id: run.id().to_owned(),
            status: status_of(&run),
            started: since.map(|since| since.as_secs()),
            web_ui: temporal.link(run.id()),
        });
    }
    output::show(format, &runs, |runs| table(runs))?;
    Ok(ExitCode::SUCCESS)
}

/// The status that the run gave itself, unless Temporal ended it without asking.
fn status_of(run: &WorkflowExecution) -> String {
    use WorkflowExecutionStatus::{Canceled, Completed, Failed, Running};
    let own = run.search_attributes().get(&names::STATUS);
    match run.status() {
        Running | Completed | Failed | Canceled => own.unwrap_or_else(|| format!("{:?}", run.status())),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn table(runs: &[Listed]) -> String {
    if runs.is_empty() {
        return "no runs".to_owned();
    }
    let width = runs.iter().map(|run| run.run_id.len()).max().unwrap_or_default();
    let line = |run: &Listed| format!("{:width$}  {}", run.run_id, run.status.replace('_', " "));
    output::lines(runs.iter().map(line))
}
