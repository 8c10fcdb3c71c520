//! A story is what one execution's history says, as events.

use std::collections::BTreeMap;

use serde_json::Value;
use temporalio_common::protos::temporal::api::enums::v1::WorkflowTaskFailedCause;
use temporalio_common::protos::temporal::api::failure::v1::Failure;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_common::protos::temporal::api::history::v1::{
    ActivityTaskScheduledEventAttributes, ActivityTaskStartedEventAttributes, HistoryEvent,
    WorkflowExecutionStartedEventAttributes,
};
use wikitok_workflows::contract::{KeepRecordInput, Status};

use super::event::{Event, EventKind, Stage, in_words};
use super::payloads::Payloads;
use super::reader::Execution;

/// An activity that was asked for.
struct Work {
    /// When it was asked for, and the event that says so.
    asked: (String, i64),
    stage: Stage,
    shard: Option<String>,
    part: Option<u32>,
    attempt: Option<i32>,
    worker: Option<String>,
}

/// What one execution's history says.
pub(crate) struct Story<'a> {
    payloads: &'a Payloads,
    execution: &'a Execution,
    pub(crate) events: Vec<Event>,
    /// Executions that this one names: its children, and the one that goes on after it.
    pub(crate) names: Vec<Execution>,
    /// Its history will not grow.
    pub(crate) closed: bool,
    work: BTreeMap<i64, Work>,
    /// The run said how it ended.
    ended: bool,
    at: (String, i64),
}

impl<'a> Story<'a> {
    pub(crate) fn new(payloads: &'a Payloads, execution: &'a Execution) -> Self {
        Self {
            payloads,
            execution,
            events: Vec::new(),
            names: Vec::new(),
            closed: false,
            work: BTreeMap::new(),
            ended: false,
            at: (String::new(), 0),
        }
    }

    /// Takes in the next event of the history.
    pub(crate) async fn hear(&mut self, event: HistoryEvent) {
        let time = event.event_time.unwrap_or_default();
        self.at = (in_words(time.seconds, time.nanos as u32), event.event_id);
        let Some(attributes) = event.attributes else { return };
        match attributes {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => self.begun(&started).await,
            Attributes::ActivityTaskScheduledEventAttributes(scheduled) => self.scheduled(&scheduled).await,
            Attributes::ActivityTaskStartedEventAttributes(started) => self.started(started).await,
            Attributes::ActivityTaskCompletedEventAttributes(done) => {
                let result: Value = self.payloads.first(done.result.as_ref()).await.unwrap_or_default();
                self.completed(done.scheduled_event_id, &result);
            }
            Attributes::ActivityTaskFailedEventAttributes(failed) => {
                self.failed(failed.scheduled_event_id, failed.failure.as_ref()).await;
            }
            Attributes::ActivityTaskTimedOutEventAttributes(late) => {
                self.failed(late.scheduled_event_id, late.failure.as_ref()).await;
            }
            Attributes::ActivityTaskCanceledEventAttributes(cancelled) => {
                self.cancelled(cancelled.scheduled_event_id);
            }
            Attributes::WorkflowExecutionSignaledEventAttributes(signal) => {
                self.signalled(&signal.signal_name, &signal.identity);
            }
            Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(update) => {
                let request = update.accepted_request.unwrap_or_default();
                let input = request.input.unwrap_or_default();
                let value: Value = self.payloads.first(input.args.as_ref()).await.unwrap_or_default();
                let by = request.meta.map(|meta| meta.identity);
                self.push(EventKind::RunScaled, |event| {
                    event.shards_in_flight = value["shards_in_flight"].as_u64();
                    event.worker = by;
                });
            }
            Attributes::WorkflowExecutionCancelRequestedEventAttributes(request) => {
                if self.execution.shard.is_none() {
                    self.push(EventKind::RunCancelRequested, |event| event.worker = known(&request.identity));
                }
            }
            Attributes::WorkflowTaskFailedEventAttributes(failed)
                if failed.cause() == WorkflowTaskFailedCause::ResetWorkflow =>
            {
                // What lies before was copied from the execution that was reset, which tells it itself.
                self.events.clear();
                self.ended = false;
                let by = known(&failed.identity);
                let kind = self.either(EventKind::RunReset, EventKind::ShardReset);
                self.push(kind, |event| event.worker = by);
            }
            Attributes::ChildWorkflowExecutionStartedEventAttributes(child) => {
                let child = child.workflow_execution.unwrap_or_default();
                self.names.extend(self.execution.child(&child.workflow_id, &child.run_id));
            }
            closing => self.close(closing).await,
        }
    }

    async fn close(&mut self, attributes: Attributes) {
        use Attributes as A;
        match attributes {
            A::WorkflowExecutionContinuedAsNewEventAttributes(next) => {
                self.closed = true;
                self.names.push(self.execution.next(&next.new_execution_run_id));
            }
            A::WorkflowExecutionCompletedEventAttributes(_) => {
                self.closed = true;
                // A shard that ended well was sealed, which is told where that was done.
                if self.execution.shard.is_none() && !self.ended {
                    self.push(EventKind::RunCompleted, |_| {});
                }
            }
            A::WorkflowExecutionFailedEventAttributes(failed) => {
                self.closed = true;
                let kind = self.either(EventKind::RunFailed, EventKind::ShardFailed);
                if !self.ended {
                    self.push_failure(kind, failed.failure.as_ref(), |_| {}).await;
                }
            }
            A::WorkflowExecutionCanceledEventAttributes(_) => {
                self.closed = true;
                let kind = self.either(EventKind::RunCancelled, EventKind::ShardCancelled);
                if !self.ended {
                    self.push(kind, |_| {});
                }
            }
            A::WorkflowExecutionTerminatedEventAttributes(terminated) => {
                self.closed = true;
                let kind = self.either(EventKind::RunTerminated, EventKind::ShardTerminated);
                self.push(kind, |event| {
                    event.worker = known(&terminated.identity);
                    event.message = known(&terminated.reason);
                });
            }
            A::WorkflowExecutionTimedOutEventAttributes(_) => {
                self.closed = true;
                let kind = self.either(EventKind::RunTerminated, EventKind::ShardTerminated);
                self.push(kind, |event| event.reason = Some("timeout".to_owned()));
            }
            _ => {}
        }
    }

    async fn begun(&mut self, started: &WorkflowExecutionStartedEventAttributes) {
        let continued = !started.continued_execution_run_id.is_empty();
        if self.execution.shard.is_some() {
            let kind = if continued { EventKind::ShardContinued } else { EventKind::ShardStarted };
            return self.push(kind, |_| {});
        }
        let input: Value = self.payloads.first(started.input.as_ref()).await.unwrap_or_default();
        let again = input["done"]["shards"].as_u64().is_some_and(|shards| shards > 0);
        let kind = match (continued, again) {
            (true, _) => EventKind::RunContinued,
            (false, true) => EventKind::RunRetried,
            (false, false) => EventKind::RunStarted,
        };
        self.push(kind, |event| event.worker = known(&started.identity));
    }

    async fn scheduled(&mut self, scheduled: &ActivityTaskScheduledEventAttributes) {
        let kind = scheduled.activity_type.as_ref().map_or("", |kind| kind.name.as_str());
        let stage = match kind {
            "plan_snapshot" | "plan_shard" => Stage::Plan,
            "mirror_shard" => Stage::Copy,
            "check_copy" => Stage::Check,
            "tokenize_part" => Stage::Tokens,
            "embed_part" => Stage::Vectors,
            "seal_shard" => Stage::Seal,
            "publish_run" => Stage::Publish,
            "keep_record" => return self.run_ended(scheduled).await,
            _ => return,
        };
        let input: Value = self.payloads.first(scheduled.input.as_ref()).await.unwrap_or_default();
        let named = input["shard"]["name"].as_str().map(str::to_owned);
        let shard = self.execution.shard.clone().or(named);
        let part = input["part"].as_u64().map(|part| part as u32);
        let work = Work { asked: self.at.clone(), stage, shard, part, attempt: None, worker: None };
        self.work.insert(self.at.1, work);
    }

    /// The run says how it ends where it asks for its record, which is written before it has ended.
    async fn run_ended(&mut self, scheduled: &ActivityTaskScheduledEventAttributes) {
        let Some(input) = self.payloads.first::<KeepRecordInput>(scheduled.input.as_ref()).await else {
            return;
        };
        self.ended = true;
        let kind = match input.progress.status {
            Status::Cancelled => EventKind::RunCancelled,
            Status::Failed => EventKind::RunFailed,
            _ => EventKind::RunCompleted,
        };
        let counts = &input.progress.counts;
        self.push(kind, |event| {
            event.message.clone_from(&input.error);
            event.articles = Some(counts.articles);
            event.tokens = Some(counts.tokens);
            event.vectors = Some(counts.vectors);
        });
    }

    async fn started(&mut self, started: ActivityTaskStartedEventAttributes) {
        let scheduled = started.scheduled_event_id;
        let Some(work) = self.work.get(&scheduled) else { return };
        let is_part = matches!(work.stage, Stage::Tokens | Stage::Vectors);
        if is_part && started.attempt > 1 {
            // The history does not say when the first attempt was begun, nor by whom.
            let (asked, about) = (work.asked.clone(), self.about(scheduled));
            let now = std::mem::replace(&mut self.at, asked);
            self.push(EventKind::PartStarted, |event| {
                about(event);
                event.attempt = Some(1);
            });
            self.at = now;
        }
        let Some(work) = self.work.get_mut(&scheduled) else { return };
        work.attempt = Some(started.attempt);
        work.worker = known(&started.identity);
        let kind = match (work.stage, started.attempt > 1) {
            (Stage::Tokens | Stage::Vectors, true) => EventKind::PartRetried,
            (Stage::Tokens | Stage::Vectors, false) => EventKind::PartStarted,
            (_, true) if work.shard.is_some() => EventKind::ShardStepRetried,
            (_, true) => EventKind::RunStepRetried,
            (_, false) => return,
        };
        let about = self.about(scheduled);
        self.push_failure(kind, started.last_failure.as_ref(), about).await;
    }

    fn completed(&mut self, scheduled: i64, result: &Value) {
        let Some(work) = self.work.get(&scheduled) else { return };
        let kind = match work.stage {
            Stage::Tokens | Stage::Vectors => EventKind::PartCommitted,
            Stage::Copy => EventKind::ShardCopied,
            Stage::Seal => EventKind::ShardCommitted,
            Stage::Publish => EventKind::RunCommitted,
            Stage::Plan | Stage::Check => return,
        };
        let about = self.about(scheduled);
        self.push(kind, |event| {
            about(event);
            event.articles = result["counts"]["articles"].as_u64();
            event.tokens = result["counts"]["tokens"].as_u64();
            event.vectors = result["vectors"].as_u64();
        });
    }

    async fn failed(&mut self, scheduled: i64, failure: Option<&Failure>) {
        let Some(work) = self.work.get(&scheduled) else { return };
        let kind = match work.stage {
            Stage::Tokens | Stage::Vectors => EventKind::PartFailed,
            _ if work.shard.is_some() => EventKind::ShardStepFailed,
            _ => EventKind::RunStepFailed,
        };
        let about = self.about(scheduled);
        self.push_failure(kind, failure, about).await;
    }

    fn cancelled(&mut self, scheduled: i64) {
        let parts = |work: &Work| matches!(work.stage, Stage::Tokens | Stage::Vectors);
        if self.work.get(&scheduled).is_some_and(parts) {
            let about = self.about(scheduled);
            self.push(EventKind::PartCancelled, about);
        }
    }

    fn signalled(&mut self, name: &str, by: &str) {
        // The run passes these on to its shards, which is not worth a line.
        let kind = match (name, &self.execution.shard) {
            ("pause", None) => EventKind::RunPaused,
            ("resume", None) => EventKind::RunResumed,
            _ => return,
        };
        self.push(kind, |event| event.worker = known(by));
    }

    /// What an event says of the activity that it is about.
    fn about(&self, scheduled: i64) -> impl FnOnce(&mut Event) + use<> {
        let work = self
            .work
            .get(&scheduled)
            .map(|work| (work.stage, work.shard.clone(), work.part, work.attempt, work.worker.clone()));
        move |event| {
            if let Some((stage, shard, part, attempt, worker)) = work {
                event.stage = Some(stage);
                event.run = event.run.take().filter(|_| shard.is_none());
                event.shard = shard;
                (event.part, event.attempt, event.worker) = (part, attempt, worker);
            }
        }
    }

    fn either(&self, run: EventKind, shard: EventKind) -> EventKind {
        if self.execution.shard.is_none() { run } else { shard }
    }

    async fn push_failure(
        &mut self,
        kind: EventKind,
        failure: Option<&Failure>,
        more: impl FnOnce(&mut Event),
    ) {
        let told = match failure {
            Some(failure) => Some(self.payloads.root_cause(failure).await),
            None => None,
        };
        self.push(kind, |event| {
            more(event);
            (event.reason, event.message) = told.unzip();
        });
    }

    fn push(&mut self, kind: EventKind, more: impl FnOnce(&mut Event)) {
        let shard = self.execution.shard.clone();
        let run = shard.is_none().then(|| self.execution.workflow_id.clone());
        let mut event = Event {
            time: self.at.0.clone(),
            event: kind,
            run,
            shard,
            part: None,
            stage: None,
            attempt: None,
            worker: None,
            reason: None,
            message: None,
            articles: None,
            tokens: None,
            vectors: None,
            shards_in_flight: None,
            execution: self.execution.run_id.clone(),
            event_id: self.at.1,
        };
        more(&mut event);
        self.events.push(event);
    }
}

fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
