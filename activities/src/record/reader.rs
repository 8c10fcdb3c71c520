//! Reading the histories of a run and of its shards.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use temporalio_client::errors::{ClientError, WorkflowInteractionError};
use temporalio_client::{Client, WorkflowExecutionInfo, WorkflowFetchHistoryOptions, WorkflowListOptions};
use wikitok_store::progress::step;

use super::event::Event;
use super::payloads::Payloads;
use super::story::Story;

/// Histories that are read at the same time.
const READ_AT_ONCE: usize = 8;
/// Histories that are held until their events are told: thousands of them would take more memory than the events.
const HELD_AT_ONCE: usize = 64;

/// Histories could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The executions of a run could not be listed.
    #[error("cannot list the executions of `{run}`")]
    List {
        /// The run.
        run: String,
        /// Why.
        #[source]
        source: Box<ClientError>,
    },
    /// A history could not be read.
    #[error("cannot read the history of `{workflow}`")]
    History {
        /// The workflow.
        workflow: String,
        /// Why.
        #[source]
        source: Box<WorkflowInteractionError>,
    },
}

/// One execution of a run, or of one of its shards.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Execution {
    pub(crate) workflow_id: String,
    /// Temporal's id of it.
    pub(crate) run_id: String,
    /// Which shard it does; none for the run itself.
    pub(crate) shard: Option<String>,
}

impl Execution {
    /// An execution that was listed for `run`, if it is one of its own.
    fn of(run: &str, workflow_id: &str, run_id: &str) -> Option<Self> {
        let rest = workflow_id.strip_prefix(run)?;
        let shard = rest.strip_prefix('/').map(str::to_owned);
        let ours = rest.is_empty() || shard.as_ref().is_some_and(|shard| !shard.contains('/'));
        let (workflow_id, run_id) = (workflow_id.to_owned(), run_id.to_owned());
        ours.then_some(Self { workflow_id, run_id, shard })
    }

    pub(crate) fn child(&self, workflow_id: &str, run_id: &str) -> Option<Self> {
        Self::of(&self.workflow_id, workflow_id, run_id)
    }

    pub(crate) fn next(&self, run_id: &str) -> Self {
        Self { run_id: run_id.to_owned(), ..self.clone() }
    }
}

/// Reads what happened in a run, more of it each time.
pub struct Reader {
    client: Client,
    payloads: Payloads,
    run: String,
    /// How many events each execution has told, and whether that was all.
    told: BTreeMap<String, (usize, bool)>,
}

impl Reader {
    /// For the run with the id `run`.
    pub fn new(client: &Client, run: &str) -> Self {
        let payloads = Payloads::of(client);
        Self { client: client.clone(), payloads, run: run.to_owned(), told: BTreeMap::new() }
    }

    /// Every event that has not been read before, in order.
    ///
    /// Executions are found by listing them, and by what the histories name: a list may be a moment behind.
    pub async fn more(&mut self) -> Result<Vec<Event>, RecordError> {
        let mut events = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = self.listed().await?;
        while !next.is_empty() {
            let wave = next.split_off(0).into_iter().filter(|execution| seen.insert(execution.clone()));
            let unread: Vec<Execution> = wave
                .filter(|execution| !self.told.get(&execution.run_id).is_some_and(|told| told.1))
                .collect();
            for some in unread.chunks(HELD_AT_ONCE) {
                let reading: Vec<BoxFuture<'static, Result<Option<Told>, RecordError>>> = some
                    .iter()
                    .map(|execution| {
                        told(self.client.clone(), self.payloads.clone(), execution.clone()).boxed()
                    })
                    .collect();
                let stories: Vec<Option<Told>> =
                    stream::iter(reading).buffered(READ_AT_ONCE).try_collect().await?;
                for (execution, story) in some.iter().zip(stories) {
                    let Some(Told { events: told, names, closed }) = story else { continue };
                    let before = self.told.entry(execution.run_id.clone()).or_default();
                    let all = told.len().max(before.0);
                    events.extend(told.into_iter().skip(before.0));
                    *before = (all, closed);
                    next.extend(names);
                }
            }
        }
        events.sort_by(|a, b| a.order().cmp(&b.order()));
        Ok(events)
    }

    /// Temporal's ids of the executions that were read.
    pub fn executions(&self) -> BTreeSet<String> {
        self.told.keys().cloned().collect()
    }

    async fn listed(&self) -> Result<Vec<Execution>, RecordError> {
        let run = &self.run;
        let query = format!("WorkflowId = '{run}' OR WorkflowId STARTS_WITH '{run}/'");
        let listed = self.client.list_workflows(query, WorkflowListOptions::default());
        let listed: Vec<_> = listed
            .try_collect()
            .await
            .map_err(|source| RecordError::List { run: run.clone(), source: Box::new(source) })?;
        let ours =
            |found: &temporalio_client::WorkflowExecution| Execution::of(run, found.id(), found.run_id());
        Ok(listed.iter().filter_map(ours).collect())
    }
}

/// What one history says.
struct Told {
    events: Vec<Event>,
    names: Vec<Execution>,
    closed: bool,
}

/// Nothing of an execution that Temporal has forgotten: it keeps what has ended for the retention of its namespace.
async fn told(client: Client, payloads: Payloads, execution: Execution) -> Result<Option<Told>, RecordError> {
    let info = WorkflowExecutionInfo::builder()
        .namespace(client.options().namespace.clone())
        .workflow_id(execution.workflow_id.clone())
        .run_id(execution.run_id.clone())
        .build();
    let mut history = info.bind_untyped(client).fetch_history(WorkflowFetchHistoryOptions::default());
    let mut story = Story::new(&payloads, &execution);
    while let Some(event) = history.next().await {
        match event {
            Ok(event) => story.hear(event).await,
            Err(WorkflowInteractionError::NotFound(_)) => return Ok(None),
            Err(source) => {
                let (workflow, source) = (execution.workflow_id.clone(), Box::new(source));
                return Err(RecordError::History { workflow, source });
            }
        }
        step();
    }
    Ok(Some(Told { events: story.events, names: story.names, closed: story.closed }))
}
