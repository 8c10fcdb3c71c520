//! [`ShardWorkflow`]: one file of the dump, made into parts.

#![allow(missing_docs, reason = "the SDK's macros make associated constants that cannot be documented")]

use temporalio_common::error::ActivityExecutionError;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ContinueAsNewOptions, SignalWorkflowOptions, SyncWorkflowContext, WorkflowCancellationToken,
    WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::activities::{Cpu, Gpu};
use crate::contract::{
    CheckCopyInput, EmbedPartInput, EmbeddedPart, PlanShardInput, SealShardInput, ShardInput, ShardLeft,
    ShardProgress, TokenizePartInput, TokenizedPart,
};
use crate::failure::{Stop, is_cancelled};
use crate::window::Window;
use crate::{DumpWorkflow, details, names, options};

/// Tokenizes and embeds one shard, part by part, then seals it with a manifest.
///
/// Parts of a shard that can be cut anywhere are tokenized side by side; those of one that can only be read
/// from the front, one after the other. Each is embedded as soon as it is tokenized, while the next ones are
/// still being read. Ends with a failure of the first part that fails for good, after those in flight ended.
#[workflow]
pub struct ShardWorkflow {
    input: ShardInput,
    progress: ShardProgress,
}

/// Shards from before this patch ended without a word.
const TELLS_WHAT_IT_LEAVES: &str = "tells-what-it-leaves";
/// Shards from before this patch counted parts without vectors, too.
const BACKLOG_IS_OF_VECTORS: &str = "backlog-is-of-vectors";

type Context = WorkflowContext<ShardWorkflow>;
type Outcome<T> = Result<T, ActivityExecutionError>;

#[workflow_methods]
impl ShardWorkflow {
    #[init]
    fn new(_context: &WorkflowContextView, input: ShardInput) -> Self {
        Self { progress: input.done.clone(), input }
    }

    /// The workflow's body.
    #[run(name = "ShardWorkflow")]
    pub async fn run(context: &mut WorkflowContext<Self>) -> WorkflowResult<ShardProgress> {
        let input = context.state(|s| s.input.clone());
        let outcome = work(context, &input).await;
        let progress = context.state(|s| s.progress.clone());
        if matches!(outcome, Err(Stop::Cancelled)) && progress.parts_tokenized > 0 {
            leave(context, &input.shard.name, progress.clone()).await;
        }
        match outcome {
            Ok(()) => Ok(progress),
            Err(stop) => Err(stop.into_termination(progress)),
        }
    }

    /// Where the shard stands.
    #[query(name = "progress")]
    pub fn progress(&self, _context: &WorkflowContextView) -> ShardProgress {
        self.progress.clone()
    }

    /// No new part is started; those at work are finished.
    #[signal(name = "pause")]
    pub fn pause(&mut self, _context: &mut SyncWorkflowContext<Self>) {
        self.progress.paused = true;
    }

    /// Parts are started again.
    #[signal(name = "resume")]
    pub fn resume(&mut self, _context: &mut SyncWorkflowContext<Self>) {
        self.progress.paused = false;
    }
}

async fn work(context: &Context, input: &ShardInput) -> Result<(), Stop> {
    if context.state(|s| s.progress.parts_started == 0) {
        if input.run.mirror.is_some() {
            check_copy(context, input).await?;
        }
        let plan = plan(context, input).await?;
        context.state_mut(|s| s.progress.parts = plan);
    }
    let mut parts = Parts::new(context.clone(), input.clone());
    parts.run().await?;
    if context.cancellation_token().is_cancelled() {
        return Err(Stop::Cancelled);
    }
    if let Some(why) = parts.too_many_quarantined() {
        return Err(Stop::bound_passed(why));
    }
    let progress = context.state(|s| s.progress.clone());
    if !progress.at_end {
        let input = ShardInput { done: progress.clone(), ..input.clone() };
        context.continue_as_new(input, ContinueAsNewOptions::default())?;
    }
    Ok(seal(context, input, &progress).await?)
}

/// Shows that the copy in the mirror is whole: what is wrong with it is told before any of it is used.
async fn check_copy(context: &Context, input: &ShardInput) -> Outcome<()> {
    let summary = format!("check the copy of {}", input.shard.name);
    let options = options::activity(&input.run, names::CPU_QUEUE, summary);
    let input = CheckCopyInput { run: input.run.clone(), shard: input.shard.clone() };
    context.execute_activity(Cpu::check_copy, input, options).await
}

/// Tells the run what the shard had done when it was cancelled. A run that has ended needs no word.
async fn leave(context: &Context, shard: &str, progress: ShardProgress) {
    let id = context.workflow_id().to_owned();
    let Some(run_id) = names::run_of_shard(&id, shard) else { return };
    if !context.patched(TELLS_WHAT_IT_LEAVES) {
        return;
    }
    // All that inherits the cancellation would end before it began.
    let options =
        SignalWorkflowOptions::builder().cancellation_token(WorkflowCancellationToken::new()).build();
    let left = ShardLeft { shard: shard.to_owned(), progress };
    let _ = context.external_workflow(run_id, None).signal(DumpWorkflow::left, left, options).await;
}

async fn plan(context: &Context, input: &ShardInput) -> Outcome<Option<u32>> {
    let options = options::activity(&input.run, names::CPU_QUEUE, format!("plan {}", input.shard.name));
    let input = PlanShardInput { run: input.run.clone(), shard: input.shard.clone() };
    Ok(context.execute_activity(Cpu::plan_shard, input, options).await?.parts)
}

async fn seal(context: &Context, input: &ShardInput, progress: &ShardProgress) -> Outcome<()> {
    let options = options::activity(&input.run, names::CPU_QUEUE, format!("seal {}", input.shard.name));
    let input = SealShardInput {
        run: input.run.clone(),
        shard: input.shard.clone(),
        parts: progress.parts_started,
        counts: progress.counts.clone(),
    };
    context.execute_activity(Cpu::seal_shard, input, options).await
}

/// The parts of the shard in flight.
struct Parts {
    context: Context,
    input: ShardInput,
    tokenizing: Window<Outcome<TokenizedPart>>,
    embedding: Window<Outcome<EmbeddedPart>>,
    failure: Option<ActivityExecutionError>,
}

impl Parts {
    fn new(context: Context, input: ShardInput) -> Self {
        Self { context, input, tokenizing: Window::new(), embedding: Window::new(), failure: None }
    }

    /// Runs parts until there are no more, one has failed, too many records are in quarantine, or the history has
    /// grown long; then waits for those in flight, since what they return would be lost with this execution.
    async fn run(&mut self) -> Outcome<()> {
        loop {
            while self.may_start() {
                self.start();
            }
            self.show();
            if self.tokenizing.is_empty() && self.embedding.is_empty() && !self.is_held() {
                return self.failure.take().map_or(Ok(()), Err);
            }
            self.next_event().await;
        }
    }

    /// Waits until something happens, and acts on it.
    async fn next_event(&mut self) {
        let context = self.context.clone();
        let paused = context.state(|s| s.progress.paused);
        let cancelled = context.cancellation_token().is_cancelled();
        if cancelled {
            // What waits for messages is cancelled with the shard, and would be at once.
            select! {
                (part, outcome) = self.tokenizing.next() => self.tokenized(part, outcome),
                (_, outcome) = self.embedding.next() => self.embedded(outcome),
            }
        } else {
            select! {
                (part, outcome) = self.tokenizing.next() => self.tokenized(part, outcome),
                (_, outcome) = self.embedding.next() => self.embedded(outcome),
                _ = context.wait_condition(|s| s.progress.paused != paused) => {}
            }
        }
    }

    /// Shows where the shard stands.
    fn show(&self) {
        let waits = self.may_go_on() && self.has_backlog() && self.tokenizing.is_empty();
        let mut progress = self.context.state(|s| s.progress.clone());
        if progress.waits_for_vectors != waits {
            progress.waits_for_vectors = waits;
            self.context.state_mut(|s| s.progress.waits_for_vectors = waits);
        }
        self.context.set_current_details(details::of_shard(&progress, &self.input.run.pace));
    }

    fn may_start(&self) -> bool {
        let progress = self.context.state(|s| s.progress.clone());
        // A limit counts articles in their order, so a part must know what those before it gave.
        let one_by_one = progress.parts.is_none() || self.input.limit.is_some();
        let side_by_side = if one_by_one { 1 } else { self.input.run.pace.parts_in_flight.max(1) };
        self.may_go_on() && !progress.paused && self.tokenizing.len() < side_by_side && !self.has_backlog()
    }

    /// There are parts to start, and nothing but a pause or the parts in flight speaks against it.
    fn may_go_on(&self) -> bool {
        self.failure.is_none()
            && self.too_many_quarantined().is_none()
            && self.context.state(|s| !s.progress.at_end)
            && !options::history_is_long(&self.context, &self.input.run.pace)
            && !self.context.cancellation_token().is_cancelled()
    }

    /// There is something to start, and a pause alone speaks against it.
    fn is_held(&self) -> bool {
        self.may_go_on() && self.context.state(|s| s.progress.paused)
    }

    /// As many parts are on their way to their vectors as may be.
    fn has_backlog(&self) -> bool {
        let full = self.tokenizing.len() + self.embedding.len() >= self.input.run.pace.backlog_parts.max(1);
        let embeds = self.input.run.configuration.embedding.is_some();
        full && (embeds || !self.context.patched(BACKLOG_IS_OF_VECTORS))
    }

    /// Why the shard is given up, when it alone has more records in quarantine than the whole run may.
    fn too_many_quarantined(&self) -> Option<String> {
        let most = self.input.run.bounds.max_quarantined?.number()?;
        let quarantined = self.context.state(|s| s.progress.counts.quarantined_total());
        let why = || format!("{quarantined} records are in quarantine, more than --max-quarantined {most}");
        (quarantined > most).then(why)
    }

    fn start(&mut self) {
        let (part, parts, articles) = self.context.state_mut(|s| {
            let part = s.progress.parts_started;
            s.progress.parts_started += 1;
            s.progress.at_end = s.progress.parts == Some(part + 1);
            (part, s.progress.parts, s.progress.counts.articles)
        });
        let input = TokenizePartInput {
            run: self.input.run.clone(),
            shard: self.input.shard.clone(),
            part,
            parts,
            limit: self.input.limit.map(|limit| limit.saturating_sub(articles)),
            remake_quarantined: self.input.remake_quarantined,
        };
        let summary = format!("tokenize {} part {part}", self.input.shard.name);
        let options = options::activity(&self.input.run, names::CPU_QUEUE, summary);
        let context = self.context.clone();
        let future = async move { context.execute_activity(Cpu::tokenize_part, input, options).await };
        self.tokenizing.push(part, future);
    }

    fn tokenized(&mut self, part: u32, outcome: Outcome<TokenizedPart>) {
        let tokenized = match outcome {
            Ok(tokenized) => tokenized,
            Err(error) => return self.fail(error),
        };
        self.context.state_mut(|s| {
            s.progress.parts_tokenized += 1;
            s.progress.at_end |= tokenized.last;
            s.progress.counts.add(&tokenized.counts);
        });
        if self.input.run.configuration.embedding.is_some() {
            self.embed(part, tokenized.counts.articles);
        }
    }

    fn embed(&mut self, part: u32, articles: u64) {
        let shard = self.input.shard.name.clone();
        let summary = format!("embed {shard} part {part} ({articles} articles)");
        let input = EmbedPartInput { run: self.input.run.clone(), shard, part, articles };
        let options = options::activity(&self.input.run, names::GPU_QUEUE, summary);
        let context = self.context.clone();
        let future = async move { context.execute_activity(Gpu::embed_part, input, options).await };
        self.embedding.push(part, future);
    }

    fn embedded(&mut self, outcome: Outcome<EmbeddedPart>) {
        match outcome {
            Ok(embedded) => self.context.state_mut(|s| {
                s.progress.parts_embedded += 1;
                s.progress.counts.vectors += embedded.vectors;
            }),
            Err(error) => self.fail(error),
        }
    }

    /// Keeps the first failure; a cancellation, which all in flight report, never hides one.
    fn fail(&mut self, error: ActivityExecutionError) {
        let keep = self.failure.as_ref().is_none_or(is_cancelled);
        if keep {
            self.failure = Some(error);
        }
    }
}
