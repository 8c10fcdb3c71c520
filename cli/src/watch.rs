//! Following runs: `watch`, `status`, `list`, `cancel`.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use temporalio_client::errors::{WorkflowGetResultError, WorkflowInteractionError};
use temporalio_client::{
    WorkflowCancelOptions, WorkflowDescribeOptions, WorkflowExecution, WorkflowExecutionStatus,
    WorkflowListOptions,
};
use temporalio_common::error::IncomingError;
use wikitok_worker::Queue;
use wikitok_workflows::contract::{DumpProgress, Status};
use wikitok_workflows::names;

use crate::arguments::Format;
use crate::client::{Activities, Temporal, unknown_run};
use crate::error::Hinted;
use crate::output::{self, printable, thousands};
use crate::report::Report;

const LOOK_EVERY: Duration = Duration::from_millis(500);
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
            Err(WorkflowGetResultError::Rpc(status)) => status,
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

/// The report of a run that did not end well, from what it left as details.
fn ended_badly(id: &str, link: &str, error: &WorkflowGetResultError) -> Report {
    let (progress, why) = match error {
        WorkflowGetResultError::Failed(failure) => match &**failure {
            IncomingError::Application(application) => {
                (application.details::<DumpProgress>().ok().flatten(), failure.failure().message.clone())
            }
            other => (None, other.to_string()),
        },
        WorkflowGetResultError::Cancelled { details } => {
            let progress = details.deserialize::<DumpProgress>().unwrap_or_default();
            return Report::new(id, link, &DumpProgress { status: Status::Cancelled, ..progress });
        }
        other => (None, other.to_string()),
    };
    Report::failed(id, link, &progress.unwrap_or_default(), why)
}

/// Shows progress for ever.
async fn follow(temporal: &Temporal, id: &str, view: &mut View) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match temporal.progress(id).await {
            Ok(progress) => {
                let activities = temporal.activities(id, &progress.in_flight).await;
                view.show(&progress, &activities, missing_worker(temporal, &progress).await);
            }
            Err(_) => view.wait(missing_worker(temporal, &DumpProgress::default()).await),
        }
    }
}

/// The queue that holds the run up because nobody polls it, if one does.
async fn missing_worker(temporal: &Temporal, progress: &DumpProgress) -> Option<Queue> {
    if !matches!(progress.status, Status::Planning | Status::Running | Status::Publishing) {
        return None;
    }
    for queue in Queue::ALL {
        // The GPU queue matters once there is something to embed, that of the mirror while there is to copy.
        let matters = match queue {
            Queue::Workflow | Queue::Cpu => true,
            Queue::Gpu => progress.counts.articles > progress.counts.vectors,
            Queue::Mirror => progress.copying > 0,
        };
        if matters && temporal.pollers(queue).await.is_ok_and(|pollers| pollers == 0) {
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

    fn show(&mut self, progress: &DumpProgress, activities: &Activities, missing: Option<Queue>) {
        let counts = &progress.counts;
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
        if let Some(queue) = missing {
            line.push_str(&waiting_for(queue));
        } else if let Some(trouble) = &activities.trouble {
            line = format!("{line} — {}", printable(trouble));
        }
        self.say(line);
    }

    fn wait(&mut self, missing: Option<Queue>) {
        let line = missing.map_or_else(
            || "waiting for an answer from the run".to_owned(),
            |queue| format!("waiting{}", waiting_for(queue)),
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
    format!(" — no worker polls `{}`: start `wikitok-worker --queue {queue}`", queue.task_queue())
}

pub(crate) async fn status(id: &str, profile: Option<String>, format: Format) -> anyhow::Result<ExitCode> {
    let temporal = Temporal::from_environment(profile).await?;
    if !is_running(&temporal, id).await? {
        let report = result(&temporal, id).await?;
        output::show(format, &report, Report::text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = tokio::time::timeout(ANSWERS_WITHIN, temporal.progress(id)).await;
    let Ok(Ok(progress)) = answer else {
        let missing = missing_worker(&temporal, &DumpProgress::default()).await;
        let hint = missing.map_or_else(
            || "look at the run in the Web UI".to_owned(),
            |queue| format!("start `wikitok-worker --queue {queue}`"),
        );
        let why =
            missing.map_or_else(String::new, |queue| format!(": no worker polls `{}`", queue.task_queue()));
        return Err(Hinted::new(format!("`{id}` does not answer{why}"), hint).into());
    };
    if let Some(queue) = missing_worker(&temporal, &progress).await {
        output::remark(&format!("waiting{}", waiting_for(queue)));
    }
    if let Some(trouble) = temporal.activities(id, &progress.in_flight).await.trouble {
        output::remark(&format!("trying again, {}", printable(&trouble)));
    }
    output::show(format, &Report::new(id, &temporal.link(id), &progress), Report::text)?;
    Ok(ExitCode::SUCCESS)
}

async fn is_running(temporal: &Temporal, id: &str) -> anyhow::Result<bool> {
    match temporal.handle(id).describe(WorkflowDescribeOptions::default()).await {
        Ok(run) => Ok(run.close_time().is_none()),
        Err(WorkflowInteractionError::NotFound(_)) => Err(unknown_run(id)),
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

pub(crate) async fn cancel(id: &str, profile: Option<String>, format: Format) -> anyhow::Result<ExitCode> {
    let temporal = Temporal::from_environment(profile).await?;
    if !is_running(&temporal, id).await? {
        return Err(Hinted::new(format!("`{id}` has ended"), format!("see `wikitok-cli status {id}`")).into());
    }
    match temporal.handle(id).cancel(WorkflowCancelOptions::default()).await {
        Ok(()) => {}
        Err(WorkflowInteractionError::NotFound(_)) => return Err(unknown_run(id)),
        Err(error) => return Err(error).with_context(|| format!("cannot cancel `{id}`")),
    }
    let answer = serde_json::json!({ "run_id": id, "status": "cancelling" });
    output::show(format, &answer, |_| format!("{id}: cancelling; see `wikitok-cli status {id}`"))?;
    Ok(ExitCode::SUCCESS)
}
