//! The shards of a run in flight: which is started next, and what becomes of each.

use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ChildWorkflowOptions, ExternalWorkflowHandle, SignalWorkflowOptions, WorkflowCancellationToken,
};

use crate::activities::{Cpu, Mirror, Watch};
use crate::contract::{
    Bound, DumpInput, DumpProgress, MAX_FAILURES, MirrorShardInput, PlanSnapshotInput, Run, Shard,
    ShardFailure, ShardInput, ShardProgress, SnapshotPlan, Status, WatchQueuesInput, WatchedQueues,
};
use crate::dump::{Context, set_status};
use crate::failure::{self, Stop};
use crate::window::Window;
use crate::{ShardWorkflow, details, names, options};

/// Shards that are copied at the same time: the public server takes so many connections from one visitor.
const COPIES_IN_FLIGHT: u32 = 2;

/// Runs from before this patch did not ask for the activity.
const WATCHES_QUEUES: &str = "watches-queues";
/// Runs from before this patch did nothing else while they waited for a page of the plan.
const PLANS_BESIDE: &str = "plans-beside";
/// Runs from before this patch had Temporal cancel the execution that they started, and at once. It refuses while that is
/// not running yet, and when it has continued as new, and then nobody asks again.
const CANCELS_WHAT_RUNS: &str = "cancels-what-runs";
/// Runs from before this patch were shown as planning while they were paused.
const PAUSES_WHILE_PLANNING: &str = "pauses-while-planning";

/// How a shard ended: what it did, or why it failed and what it had done by then.
type Outcome = Result<ShardProgress, (ShardFailure, Option<ShardProgress>)>;

/// The shards of a run in flight.
pub(crate) struct Shards {
    context: Context,
    run: Run,
    remake_quarantined: bool,
    /// This execution begins the run, or tries it again; it does not go on for one before it.
    begins: bool,
    /// The next page of the plan; at most one.
    planning: Window<Result<SnapshotPlan, Stop>>,
    copying: Window<(String, Result<Shard, ShardFailure>)>,
    running: Window<(String, Outcome)>,
    /// The watch over the queues; at most one.
    watching: Window<Option<WatchedQueues>>,
    /// Cancels the shards in flight, with the run or when it is given up.
    token: WorkflowCancellationToken,
    /// The page of the plan that is being worked through, and the place of its first shard.
    page: Vec<Shard>,
    page_first: u32,
    /// Why there is no next page.
    unplanned: Option<Stop>,
    /// Shards of the page must be copied into the mirror before they are read.
    copies: bool,
    /// Messages that have been acted on.
    seen: u64,
}

impl Shards {
    pub(crate) fn new(context: Context, input: DumpInput) -> Self {
        let token = context.cancellation_token().child_token();
        let (planning, copying) = (Window::new(), Window::new());
        let (running, watching) = (Window::new(), Window::new());
        let (run, remake_quarantined) = (input.run, input.remake_quarantined);
        let begins = input.done.started_ms == 0;
        let page = Vec::new();
        Self {
            context,
            run,
            remake_quarantined,
            begins,
            planning,
            copying,
            running,
            watching,
            token,
            page,
            page_first: 0,
            unplanned: None,
            copies: false,
            seen: 0,
        }
    }

    /// Runs shards until none are left, the limit is reached, the run is cancelled or given up, the plan fails, or the
    /// history has grown long; then waits for those in flight, since what they return would be lost with this execution.
    pub(crate) async fn run(&mut self) -> Result<(), Stop> {
        if self.context.patched(WATCHES_QUEUES) {
            self.watch(self.context.state(|s| s.progress.without_worker.clone()));
        }
        loop {
            self.show();
            while self.may_start() {
                match self.next_shard() {
                    Some(shard) => self.start(shard),
                    None if self.asks_for_page() => break,
                    None => {
                        let (first, plan) = self.planning.next().await;
                        self.planned(first, plan);
                    }
                }
            }
            self.show();
            let idle = self.running.is_empty() && self.copying.is_empty() && self.planning.is_empty();
            if self.context.cancellation_token().is_cancelled() && idle {
                return Err(Stop::Cancelled);
            }
            if let Some(stop) = self.unplanned.take_if(|_| idle) {
                return Err(stop);
            }
            if idle && !self.is_held() {
                break;
            }
            self.next_event().await;
        }
        self.check_shares();
        self.show();
        Ok(())
    }

    /// Shards are left to start, and nothing but the length of the history speaks against it.
    pub(crate) fn more(&self) -> bool {
        let (planned, failed, given_up) = self.context.state(|s| {
            let progress = &s.progress;
            let planned = progress.shards == 0
                || progress.shards_started < progress.shards
                || !progress.again.is_empty();
            (planned, progress.shards_failed > 0, progress.given_up.is_some())
        });
        // Nobody knows what a limit leaves for the shards after one that failed.
        let stuck = failed && self.run.configuration.limit.is_some();
        planned && !stuck && !given_up && self.articles_left() != Some(0)
    }

    fn may_start(&self) -> bool {
        let (paused, window) = self.context.state(|s| (s.progress.paused, s.shards_in_flight()));
        self.may_go_on()
            && !paused
            && self.running.len() + self.copying.len() < window
            && self.copying.len() < COPIES_IN_FLIGHT
    }

    /// Nothing but a pause, or the shards in flight, speaks against starting another.
    fn may_go_on(&self) -> bool {
        self.more()
            && self.unplanned.is_none()
            && !options::history_is_long(&self.context, &self.run.pace)
            && !self.context.cancellation_token().is_cancelled()
    }

    /// There is something to start, and a pause alone speaks against it.
    fn is_held(&self) -> bool {
        self.may_go_on() && self.context.state(|s| s.progress.paused)
    }

    fn articles_left(&self) -> Option<u64> {
        let articles = self.context.state(|s| s.progress.counts.articles);
        self.run.configuration.limit.map(|limit| limit.saturating_sub(articles))
    }

    /// Waits until something happens, and acts on it.
    async fn next_event(&mut self) {
        if self.context.cancellation_token().is_cancelled() {
            // What waits for messages is cancelled with the run, and would be at once.
            select! {
                (place, (shard, outcome)) = self.running.next() => self.ended(place, &shard, outcome),
                (place, (shard, outcome)) = self.copying.next() => self.copied(place, &shard, outcome),
                (first, plan) = self.planning.next() => self.planned(first, plan),
            }
            return;
        }
        let (context, seen) = (self.context.clone(), self.seen);
        select! {
            (place, (shard, outcome)) = self.running.next() => self.ended(place, &shard, outcome),
            (place, (shard, outcome)) = self.copying.next() => self.copied(place, &shard, outcome),
            (first, plan) = self.planning.next() => self.planned(first, plan),
            (_, watched) = self.watching.next() => self.watched(watched),
            _ = context.wait_condition(|s| s.messages != seen) => {}
        }
    }

    /// Shows where the run stands.
    fn show(&mut self) {
        let (progress, messages) = self.context.state(|s| (s.progress.clone(), s.messages));
        self.seen = messages;
        match (progress.paused, progress.status) {
            (true, Status::Planning) if self.context.patched(PAUSES_WHILE_PLANNING) => {
                set_status(&self.context, Status::Paused);
            }
            (true, Status::Running) => set_status(&self.context, Status::Paused),
            (false, Status::Paused) => set_status(&self.context, Status::Running),
            _ => {}
        }
        self.context.set_current_details(details::of_run(&progress));
    }

    /// The shard that is started next, and its place; none while its page of the plan is not there.
    fn next_shard(&self) -> Option<(u32, Shard)> {
        let place = self.next_place();
        let shard = self.page.get(place.checked_sub(self.page_first)? as usize)?;
        Some((place, shard.clone()))
    }

    fn next_place(&self) -> u32 {
        self.context.state(|s| s.progress.again.first().unwrap_or(s.progress.shards_started))
    }

    /// Asks for the page of the plan that begins with the next shard, once. Whether other things happen meanwhile.
    fn asks_for_page(&mut self) -> bool {
        if self.planning.is_empty() {
            let first = self.next_place();
            let summary = format!("plan {} from shard {first}", self.run.snapshot);
            let mut options = options::activity(&self.run, names::CPU_QUEUE, summary);
            if self.context.patched(CANCELS_WHAT_RUNS) {
                options.cancellation_token = Some(self.token.clone());
            }
            let anew = self.begins && self.page.is_empty();
            let input = PlanSnapshotInput { run: self.run.clone(), first, anew };
            let context = self.context.clone();
            self.planning.push(first, async move {
                Ok(context.execute_activity(Cpu::plan_snapshot, input, options).await?)
            });
        }
        self.context.patched(PLANS_BESIDE)
    }

    fn planned(&mut self, first: u32, plan: Result<SnapshotPlan, Stop>) {
        let plan = match plan {
            Ok(plan) => plan,
            // Nobody waits for it any more.
            Err(_) if self.context.state(|s| s.progress.given_up.is_some()) => return,
            Err(stop) => return self.unplanned = Some(stop),
        };
        if plan.page.is_empty() {
            return self.unplanned = Some(Stop::bug(format!("the plan has no shard {first}")));
        }
        self.context.state_mut(|s| s.progress.shards = plan.shards);
        self.page = plan.page;
        self.copies = self.run.mirror.is_some() && !plan.mirrored;
        self.page_first = first;
        if self.context.state(|s| s.progress.status == Status::Planning) {
            set_status(&self.context, Status::Running);
        }
    }

    fn start(&mut self, (place, shard): (u32, Shard)) {
        self.context.state_mut(|s| {
            if s.progress.again.pop_first().is_none() {
                s.progress.shards_started += 1;
            }
            s.progress.in_flight.push(shard.name.clone());
        });
        if self.copies {
            self.copy(place, shard);
        } else {
            self.begin(place, shard);
        }
    }

    fn copy(&mut self, place: u32, shard: Shard) {
        self.context.state_mut(|s| s.progress.copying += 1);
        let summary = format!("copy {} ({:.1} MB)", shard.name, shard.bytes as f64 / 1e6);
        let mut options = options::activity(&self.run, names::MIRROR_QUEUE, summary);
        options.cancellation_token = Some(self.token.clone());
        let input = MirrorShardInput { run: self.run.clone(), shard };
        let context = self.context.clone();
        self.copying.push(place, async move {
            let name = input.shard.name.clone();
            let copied = context.execute_activity(Mirror::mirror_shard, input, options).await;
            (name.clone(), copied.map_err(|error| failure::of_copy(&name, &error)))
        });
    }

    fn copied(&mut self, place: u32, shard: &str, outcome: Result<Shard, ShardFailure>) {
        self.context.state_mut(|s| s.progress.copying -= 1);
        match outcome {
            Ok(_) if self.token.is_cancelled() => {
                self.ended(place, shard, Err((failure::cancelled(shard), None)));
            }
            Ok(copy) => self.begin(place, copy),
            Err(failure) => self.ended(place, shard, Err((failure, None))),
        }
    }

    fn begin(&mut self, place: u32, shard: Shard) {
        let cancels = self.context.patched(CANCELS_WHAT_RUNS);
        let token = if cancels { WorkflowCancellationToken::new() } else { self.token.clone() };
        let options = options::child(self.context.workflow_id(), &self.run, &shard, token);
        let input = ShardInput {
            run: self.run.clone(),
            shard,
            limit: self.articles_left(),
            done: ShardProgress::default(),
            remake_quarantined: self.remake_quarantined,
        };
        let context = self.context.clone();
        self.running.push(place, async move {
            let name = input.shard.name.clone();
            (name, run_shard(&context, input, options, cancels).await)
        });
    }

    fn ended(&mut self, place: u32, shard: &str, outcome: Outcome) {
        let stopping = self.token.is_cancelled();
        self.context.state_mut(|s| {
            let said = s.left.remove(shard);
            let progress = &mut s.progress;
            progress.in_flight.retain(|name| name != shard);
            match outcome {
                Ok(shard) => {
                    progress.shards_done += 1;
                    progress.counts.add(&shard.counts);
                }
                Err((failure, left)) => {
                    progress.unfinished.insert(place);
                    progress.partial.add(&left.or(said).unwrap_or_default().counts);
                    // Not a failure of the shard, when the whole run was asked to stop.
                    if !(stopping && failure.reason == failure::CANCELLED) {
                        progress.shards_failed += 1;
                        progress.failed.push(failure);
                        progress.failed.truncate(MAX_FAILURES);
                    }
                }
            }
        });
        self.check_bounds();
    }

    /// Gives the run up when more shards failed than may, or more records are in quarantine.
    fn check_bounds(&mut self) {
        let bounds = &self.run.bounds;
        let progress = self.context.state(|s| s.progress.clone());
        let (failed, shards) = (u64::from(progress.shards_failed), u64::from(progress.shards));
        if let Some(bound) = bounds.max_failed_shards.filter(|bound| bound.is_exceeded(failed, shards)) {
            let first = progress.failed.first().cloned().unwrap_or_default();
            return self.give_up(format!(
                "{failed} of {shards} shards failed, more than --max-failed-shards {bound}; first `{}`: {}",
                first.shard, first.message
            ));
        }
        let quarantined = progress.counts.quarantined_total() + progress.partial.quarantined_total();
        if let Some(most) = bounds.max_quarantined.and_then(Bound::number)
            && quarantined > most
        {
            self.give_up(format!(
                "{quarantined} records are in quarantine, more than --max-quarantined {most}"
            ));
        }
    }

    /// Judges the share of records in quarantine, once nothing is left to come.
    fn check_shares(&mut self) {
        let counts = self.context.state(|s| s.progress.counts.clone());
        let (quarantined, documents) = (counts.quarantined_total(), counts.documents);
        let bound = self.run.bounds.max_quarantined.filter(|bound| bound.is_exceeded(quarantined, documents));
        if let Some(bound) = bound.filter(|_| !self.more()) {
            self.give_up(format!(
                "{quarantined} of {documents} records are in quarantine, more than --max-quarantined {bound}"
            ));
        }
    }

    /// The first reason counts.
    fn give_up(&mut self, why: String) {
        if self.context.state(|s| s.progress.given_up.is_some()) {
            return;
        }
        self.context.state_mut(|s| s.progress.given_up = Some(why));
        self.token.cancel();
    }

    /// Has the run's own queue look who polls the others, until that is another than `without_worker`.
    fn watch(&mut self, without_worker: Vec<String>) {
        let mut queues = vec![names::CPU_QUEUE.to_owned()];
        queues.extend(self.run.configuration.embedding.as_ref().map(|_| names::GPU_QUEUE.to_owned()));
        queues.extend(self.run.mirror.as_ref().map(|_| names::MIRROR_QUEUE.to_owned()));
        let input = WatchQueuesInput { queues, without_worker };
        let context = self.context.clone();
        self.watching.push(0, async move {
            context.execute_activity(Watch::watch_queues, input, options::watch()).await.ok()
        });
    }

    /// Takes in what the watch saw. A watch that failed is begun anew: it is no reason to stop.
    fn watched(&mut self, watched: Option<WatchedQueues>) {
        if let Some(WatchedQueues { without_worker }) = watched {
            self.context.state_mut(|s| s.progress.without_worker = without_worker);
        }
        self.watch(self.context.state(|s| s.progress.without_worker.clone()));
    }
}

/// Runs a shard to its end. Pauses and resumes it with the run, and `cancels` it with the run or when that is given up.
async fn run_shard(
    context: &Context,
    input: ShardInput,
    options: ChildWorkflowOptions,
    cancels: bool,
) -> Outcome {
    let shard = input.shard.name.clone();
    let started = context.start_child_workflow(ShardWorkflow::run, input, options).await;
    let child = started.map_err(|error| {
        let (reason, message) = ("start_failed".to_owned(), error.to_string());
        (ShardFailure { shard: shard.clone(), reason, message }, None)
    })?;
    let id = names::shard_id(context.workflow_id(), &shard);
    let handle = context.external_workflow(id, None);
    let mut result = child.result();
    let mut paused = false;
    let ended = loop {
        let given_up = |progress: &DumpProgress| cancels && progress.given_up.is_some();
        select! {
            ended = result => break ended,
            changed = context.wait_condition(|s| s.progress.paused != paused || given_up(&s.progress)) => {
                if changed.is_err() || context.state(|s| given_up(&s.progress)) {
                    if cancels {
                        // One that has just ended needs no word.
                        let _ = handle.cancel(None).await;
                    }
                    break result.await;
                }
                paused = !paused;
                tell(&handle, paused).await;
            }
        }
    };
    ended.map_err(|error| failure::of_shard(&shard, &error))
}

/// Tells a shard to pause or to go on. One that has just ended needs no word.
async fn tell(shard: &ExternalWorkflowHandle, paused: bool) {
    let options = SignalWorkflowOptions::default();
    let _ = if paused {
        shard.signal(ShardWorkflow::pause, (), options).await
    } else {
        shard.signal(ShardWorkflow::resume, (), options).await
    };
}
