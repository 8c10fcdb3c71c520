//! [`DumpWorkflow`]: one run over a snapshot.

#![allow(missing_docs, reason = "the SDK's macros make associated constants that cannot be documented")]

use std::time::UNIX_EPOCH;

use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ChildWorkflowOptions, ContinueAsNewOptions, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::activities::{Cpu, Mirror};
use crate::contract::{
    DumpInput, DumpProgress, MAX_FAILURES, MirrorShardInput, PlanSnapshotInput, PublishRunInput, Run, Shard,
    ShardFailure, ShardInput, ShardProgress, SnapshotPlan, Status,
};
use crate::failure::{self, Stop};
use crate::window::Window;
use crate::{ShardWorkflow, names, options};

/// Plans a snapshot, runs a [`ShardWorkflow`] for each of its shards, and publishes the result.
///
/// A shard that fails for good does not stop the others; the run then ends as failed, naming it, and without
/// publishing. What was committed stays, and starting the run again goes on from there.
#[workflow]
pub struct DumpWorkflow {
    input: DumpInput,
    progress: DumpProgress,
}

type Context = WorkflowContext<DumpWorkflow>;
type Outcome = Result<ShardProgress, ShardFailure>;

#[workflow_methods]
impl DumpWorkflow {
    #[init]
    fn new(_context: &WorkflowContextView, input: DumpInput) -> Self {
        let progress = DumpProgress { output: input.run.output.clone(), ..input.done.clone() };
        Self { input, progress }
    }

    /// The workflow's body.
    #[run(name = "DumpWorkflow")]
    pub async fn run(context: &mut WorkflowContext<Self>) -> WorkflowResult<DumpProgress> {
        let input = context.state(|s| s.input.clone());
        let outcome = work(context, &input).await;
        let status = match &outcome {
            Ok(()) if context.state(|s| s.progress.counts.quarantined_total() > 0) => {
                Status::DoneWithQuarantine
            }
            Ok(()) => Status::Done,
            Err(Stop::Cancelled) => Status::Cancelled,
            Err(Stop::Failed { .. }) => Status::Failed,
            Err(Stop::Other(_)) => context.state(|s| s.progress.status),
        };
        if !matches!(outcome, Err(Stop::Other(_))) {
            let ended = now(context);
            context.state_mut(|s| s.progress.ended_ms = ended);
            set_status(context, status);
        }
        let progress = context.state(|s| s.progress.clone());
        match outcome {
            Ok(()) => Ok(progress),
            Err(stop) => Err(stop.into_termination(progress)),
        }
    }

    /// Where the run stands.
    #[query(name = "progress")]
    pub fn progress(&self, _context: &WorkflowContextView) -> DumpProgress {
        self.progress.clone()
    }
}

async fn work(context: &Context, input: &DumpInput) -> Result<(), Stop> {
    if context.state(|s| s.progress.started_ms == 0) {
        let started = now(context);
        context.state_mut(|s| s.progress.started_ms = started);
    }
    let mut shards = Shards::new(context.clone(), input.run.clone());
    shards.run().await?;
    let progress = context.state(|s| s.progress.clone());
    if shards.more() {
        let input = DumpInput { done: progress.clone(), ..input.clone() };
        context.continue_as_new(input, ContinueAsNewOptions::default())?;
    }
    if progress.shards_failed > 0 {
        return Err(Stop::shards_failed(&progress));
    }
    set_status(context, Status::Publishing);
    publish(context, &input.run, &progress).await
}

async fn publish(context: &Context, run: &Run, progress: &DumpProgress) -> Result<(), Stop> {
    let options = options::activity(run, names::CPU_QUEUE, format!("publish {}", run.snapshot));
    let input =
        PublishRunInput { run: run.clone(), shards: progress.shards_done, counts: progress.counts.clone() };
    Ok(context.execute_activity(Cpu::publish_run, input, options).await?)
}

fn set_status(context: &Context, status: Status) {
    context.state_mut(|s| s.progress.status = status);
    context.upsert_search_attributes([names::STATUS.value_set(status.as_str().to_owned())]);
}

/// Milliseconds since 1970, by the workflow's own clock.
fn now(context: &Context) -> u64 {
    let time = context.workflow_time().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    time.map_or(0, |since| since.as_millis() as u64)
}

/// Shards that are copied at the same time: the public server takes so many connections from one visitor.
const COPIES_IN_FLIGHT: u32 = 2;

/// The shards of the run in flight.
struct Shards {
    context: Context,
    run: Run,
    copying: Window<(String, Result<Shard, ShardFailure>)>,
    running: Window<(String, Outcome)>,
    /// The page of the plan that is being worked through, and the index of its first shard.
    page: Vec<Shard>,
    page_first: u32,
    /// Shards of the page must be copied into the mirror before they are read.
    copies: bool,
}

impl Shards {
    fn new(context: Context, run: Run) -> Self {
        let (copying, running) = (Window::new(), Window::new());
        Self { context, run, copying, running, page: Vec::new(), page_first: 0, copies: false }
    }

    /// Runs shards until none are left, the limit is reached, the run is cancelled, or the history has grown
    /// long; then waits for those in flight, since what they return would be lost with this execution.
    async fn run(&mut self) -> Result<(), Stop> {
        loop {
            while self.may_start() {
                let shard = self.next_shard().await?;
                self.start(shard);
            }
            if self.running.is_empty() && self.copying.is_empty() {
                break;
            }
            select! {
                (_, (shard, outcome)) = self.running.next() => self.ended(&shard, outcome),
                (index, (shard, outcome)) = self.copying.next() => self.copied(index, &shard, outcome),
            }
        }
        if self.context.cancellation_token().is_cancelled() {
            return Err(Stop::Cancelled);
        }
        Ok(())
    }

    /// Shards are left to start, and nothing but the length of the history speaks against it.
    fn more(&self) -> bool {
        let planned =
            self.context.state(|s| s.progress.shards == 0 || s.progress.shards_started < s.progress.shards);
        // Nobody knows what a limit leaves for the shards after one that failed.
        let limited = self.run.configuration.limit.is_some();
        let stuck = limited && self.context.state(|s| s.progress.shards_failed > 0);
        planned && !stuck && self.articles_left() != Some(0)
    }

    fn may_start(&self) -> bool {
        // A limit counts articles in their order, so a shard must know what those before it gave.
        let window = match self.run.configuration.limit {
            Some(_) => 1,
            None => self.run.pace.shards_in_flight.max(1),
        };
        self.more()
            && self.running.len() + self.copying.len() < window
            && self.copying.len() < COPIES_IN_FLIGHT
            && !self.context.continue_as_new_suggested()
            && !self.context.cancellation_token().is_cancelled()
    }

    fn articles_left(&self) -> Option<u64> {
        let articles = self.context.state(|s| s.progress.counts.articles);
        self.run.configuration.limit.map(|limit| limit.saturating_sub(articles))
    }

    async fn next_shard(&mut self) -> Result<(u32, Shard), Stop> {
        let index = self.context.state(|s| s.progress.shards_started);
        if index < self.page_first || (index - self.page_first) as usize >= self.page.len() {
            let plan = self.plan(index).await?;
            self.page = plan.page;
            self.copies = self.run.mirror.is_some() && !plan.mirrored;
            self.page_first = index;
        }
        let shard = self.page.get((index - self.page_first) as usize).cloned();
        shard.map(|shard| (index, shard)).ok_or_else(|| Stop::bug(format!("the plan has no shard {index}")))
    }

    async fn plan(&mut self, first: u32) -> Result<SnapshotPlan, Stop> {
        let summary = format!("plan {} from shard {first}", self.run.snapshot);
        let options = options::activity(&self.run, names::CPU_QUEUE, summary);
        let input = PlanSnapshotInput { run: self.run.clone(), first };
        let plan = self.context.execute_activity(Cpu::plan_snapshot, input, options).await?;
        self.context.state_mut(|s| s.progress.shards = plan.shards);
        if self.context.state(|s| s.progress.status == Status::Planning) {
            set_status(&self.context, Status::Running);
        }
        Ok(plan)
    }

    fn start(&mut self, (index, shard): (u32, Shard)) {
        self.context.state_mut(|s| {
            s.progress.shards_started += 1;
            s.progress.in_flight.push(shard.name.clone());
        });
        if self.copies {
            self.copy(index, shard);
        } else {
            self.begin(index, shard);
        }
    }

    fn copy(&mut self, index: u32, shard: Shard) {
        self.context.state_mut(|s| s.progress.copying += 1);
        let summary = format!("copy {} ({:.1} MB)", shard.name, shard.bytes as f64 / 1e6);
        let options = options::activity(&self.run, names::MIRROR_QUEUE, summary);
        let input = MirrorShardInput { run: self.run.clone(), shard };
        let context = self.context.clone();
        self.copying.push(index, async move {
            let name = input.shard.name.clone();
            let copied = context.execute_activity(Mirror::mirror_shard, input, options).await;
            let copied = copied.map_err(|error| failure::of_copy(&name, &error));
            (name, copied)
        });
    }

    fn copied(&mut self, index: u32, shard: &str, outcome: Result<Shard, ShardFailure>) {
        self.context.state_mut(|s| s.progress.copying -= 1);
        match outcome {
            Ok(_) if self.context.cancellation_token().is_cancelled() => {
                self.ended(shard, Err(failure::cancelled(shard)));
            }
            Ok(copy) => self.begin(index, copy),
            Err(failure) => self.ended(shard, Err(failure)),
        }
    }

    fn begin(&mut self, index: u32, shard: Shard) {
        let options = options::child(self.context.workflow_id(), &self.run, &shard);
        let input = ShardInput {
            run: self.run.clone(),
            shard,
            limit: self.articles_left(),
            done: ShardProgress::default(),
        };
        let context = self.context.clone();
        self.running.push(index, async move {
            let name = input.shard.name.clone();
            (name, run_shard(&context, input, options).await)
        });
    }

    fn ended(&mut self, shard: &str, outcome: Outcome) {
        let cancelled = self.context.cancellation_token().is_cancelled();
        self.context.state_mut(|s| {
            let progress = &mut s.progress;
            progress.in_flight.retain(|name| name != shard);
            match outcome {
                Ok(shard) => {
                    progress.shards_done += 1;
                    progress.counts.add(&shard.counts);
                }
                // Not a failure of the shard, when the whole run was asked to stop.
                Err(failure) if cancelled && failure.reason == failure::CANCELLED => {}
                Err(failure) => {
                    progress.shards_failed += 1;
                    progress.failed.push(failure);
                    progress.failed.truncate(MAX_FAILURES);
                }
            }
        });
    }
}

async fn run_shard(context: &Context, input: ShardInput, options: ChildWorkflowOptions) -> Outcome {
    let shard = input.shard.name.clone();
    let started = context.start_child_workflow(ShardWorkflow::run, input, options).await;
    let child = started.map_err(|error| ShardFailure {
        shard: shard.clone(),
        reason: "start_failed".to_owned(),
        message: error.to_string(),
    })?;
    child.result().await.map_err(|error| failure::of_shard(&shard, &error))
}
