//! [`DumpWorkflow`]: one run over a snapshot.

#![allow(missing_docs, reason = "the SDK's macros make associated constants that cannot be documented")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::UNIX_EPOCH;

use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::activities::{Cpu, Record};
use crate::contract::{
    DumpInput, DumpProgress, KeepRecordInput, MOST_SHARDS_IN_FLIGHT, PublishRunInput, Run, Scale, ShardLeft,
    ShardProgress, Status,
};
use crate::failure::Stop;
use crate::shards::Shards;
use crate::{names, options};

/// Runs from before this patch did not ask for the activity.
const KEEPS_RECORD: &str = "keeps-record";

/// Plans a snapshot, runs a [`crate::ShardWorkflow`] for each of its shards, and publishes the result.
///
/// A shard that fails for good does not stop the others; the run then ends as failed, naming it, and without
/// publishing. What was committed stays, and starting the run again goes on from there.
#[workflow]
pub struct DumpWorkflow {
    pub(crate) input: DumpInput,
    pub(crate) progress: DumpProgress,
    /// Counts what came from outside: who waits for that waits for another number.
    pub(crate) messages: u64,
    /// What cancelled shards had done, until their end is seen.
    pub(crate) left: BTreeMap<String, ShardProgress>,
}

pub(crate) type Context = WorkflowContext<DumpWorkflow>;

#[workflow_methods]
impl DumpWorkflow {
    #[init]
    fn new(_context: &WorkflowContextView, input: DumpInput) -> Self {
        let progress = DumpProgress { output: input.run.output.clone(), ..input.done.clone() };
        Self { input, progress, messages: 0, left: BTreeMap::new() }
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
            keep_record(context, &input, &outcome).await;
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

    /// No new part is started; those at work are finished.
    #[signal(name = "pause")]
    pub fn pause(&mut self, _context: &mut SyncWorkflowContext<Self>) {
        self.progress.paused = true;
        self.messages += 1;
    }

    /// Parts are started again.
    #[signal(name = "resume")]
    pub fn resume(&mut self, _context: &mut SyncWorkflowContext<Self>) {
        self.progress.paused = false;
        self.messages += 1;
    }

    /// A shard says what it had done when it was cancelled.
    #[signal(name = "left")]
    pub fn left(&mut self, _context: &mut SyncWorkflowContext<Self>, shard: ShardLeft) {
        self.left.insert(shard.shard, shard.progress);
    }

    /// Changes how many shards are worked on at the same time; returns how many they were.
    #[update(name = "scale")]
    #[allow(clippy::needless_pass_by_value, reason = "updates take their argument by value")]
    pub fn scale(&mut self, _context: &mut SyncWorkflowContext<Self>, to: Scale) -> Scale {
        let before = Scale { shards_in_flight: self.shards_in_flight() };
        self.progress.shards_in_flight = to.shards_in_flight;
        self.messages += 1;
        before
    }

    #[update_validator(scale)]
    fn check_scale(
        &self,
        _context: &WorkflowContextView,
        to: &Scale,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.input.run.configuration.limit.is_some() {
            return Err("a run with a limit does its shards one by one".into());
        }
        if !(1..=MOST_SHARDS_IN_FLIGHT).contains(&to.shards_in_flight) {
            let asked = to.shards_in_flight;
            return Err(format!("{asked} is not between 1 and {MOST_SHARDS_IN_FLIGHT}").into());
        }
        Ok(())
    }
}

impl DumpWorkflow {
    /// How many shards may be worked on at the same time.
    pub(crate) fn shards_in_flight(&self) -> u32 {
        match (self.input.run.configuration.limit, self.progress.shards_in_flight) {
            // A limit counts articles in their order, so a shard must know what those before it gave.
            (Some(_), _) => 1,
            (None, 0) => self.input.run.pace.shards_in_flight.max(1),
            (None, scaled) => scaled,
        }
    }
}

async fn work(context: &Context, input: &DumpInput) -> Result<(), Stop> {
    if context.state(|s| s.progress.started_ms == 0) {
        let started = now(context);
        context.state_mut(|s| s.progress.started_ms = started);
    }
    let mut shards = Shards::new(context.clone(), input.clone());
    shards.run().await?;
    let progress = context.state(|s| s.progress.clone());
    if let Some(why) = &progress.given_up {
        return Err(Stop::bound_passed(why.clone()));
    }
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

/// Has what happened written beside the output. A record that cannot be written is no reason to end otherwise: it
/// is told from the history, and `wikitok-cli events --save` writes it later.
async fn keep_record(context: &Context, input: &DumpInput, outcome: &Result<(), Stop>) {
    if !context.patched(KEEPS_RECORD) {
        return;
    }
    let error = match outcome {
        Err(Stop::Failed { message, .. }) => Some(message.clone()),
        _ => None,
    };
    let progress = context.state(|s| s.progress.clone());
    let (run, command) = (input.run.clone(), input.command.clone());
    let options = options::record(&run);
    let input = KeepRecordInput { run, progress, error, command };
    let _ = context.execute_activity(Record::keep_record, input, options).await;
}

/// Sets the status where it can be seen and searched for.
pub(crate) fn set_status(context: &Context, status: Status) {
    context.state_mut(|s| s.progress.status = status);
    context.upsert_search_attributes([names::STATUS.value_set(status.as_str().to_owned())]);
}

/// Milliseconds since 1970, by the workflow's own clock.
fn now(context: &Context) -> u64 {
    let time = context.workflow_time().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    time.map_or(0, |since| since.as_millis() as u64)
}
