//! Temporal as the commands use it: connecting, starting runs, asking after them.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use temporalio_client::errors::{WorkflowGetResultError, WorkflowQueryError, WorkflowStartError};
use temporalio_client::tonic::{Code, IntoRequest};
use temporalio_client::{
    Client, WorkflowDescribeOptions, WorkflowGetResultOptions, WorkflowHandle, WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy, WorkflowQueryOptions, WorkflowStartOptions,
};
use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_common::protos::temporal::api::enums::v1::{IndexedValueType, TaskQueueType};
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_common::protos::temporal::api::namespace::v1::NamespaceConfig;
use temporalio_common::protos::temporal::api::operatorservice::v1::AddSearchAttributesRequest;
use temporalio_common::protos::temporal::api::workflow::v1::PendingActivityInfo;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeNamespaceRequest, GetWorkflowExecutionHistoryRequest, UpdateNamespaceRequest,
};
use temporalio_common::search_attributes::SearchAttributes;
use wikitok_activities::record::Payloads;
use wikitok_worker::{Connector, Queue, environment};
use wikitok_workflows::contract::{Beat, DumpInput, DumpProgress, Run, ShardProgress, Status};
use wikitok_workflows::{DumpWorkflow, ShardWorkflow, names};

use crate::error::Hinted;
use crate::output;

/// The development server has its Web UI this many ports above its own.
const UI_PORT_OFFSET: u16 = 1000;

/// A connection, and where its Web UI is.
#[derive(Clone)]
pub(crate) struct Temporal {
    pub(crate) client: Client,
    namespace: String,
    ui: String,
    encrypted: bool,
}

/// Work that failed and is being tried again.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trouble {
    /// The workflow that asked for it: the run, or one of its shards.
    pub(crate) of: String,
    /// The activity.
    pub(crate) activity: String,
    /// Which attempt is next, or at work.
    pub(crate) attempt: i32,
    /// Why the last one failed.
    pub(crate) message: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}, attempt {}: {}", self.activity, self.of, self.attempt, self.message)
    }
}

/// What activities in flight say of themselves.
#[derive(Debug, Default)]
pub(crate) struct Activities {
    /// Documents read for parts that are not committed yet.
    pub(crate) reading: u64,
    /// Articles embedded for parts that are not committed yet.
    pub(crate) embedding: u64,
    /// Those that failed and are being tried again.
    pub(crate) troubles: Vec<Trouble>,
}

impl Activities {
    async fn add(&mut self, payloads: &Payloads, of: &str, pending: &PendingActivityInfo) {
        let beat: Beat = payloads.first(pending.heartbeat_details.as_ref()).await.unwrap_or_default();
        let activity = pending.activity_type.as_ref().map_or("", |kind| kind.name.as_str());
        match activity {
            "tokenize_part" => self.reading += beat.done,
            "embed_part" => self.embedding += beat.done,
            // The watch is handed on whenever its worker stops.
            "watch_queues" => return,
            _ => {}
        }
        if let Some(failure) = &pending.last_failure {
            let (of, activity) = (of.to_owned(), activity.to_owned());
            let (attempt, message) = (pending.attempt, payloads.message(failure).await);
            self.troubles.push(Trouble { of, activity, attempt, message });
        }
    }
}

/// Where a run stands.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// As it says itself, with the counts of its shards in flight.
    pub(crate) progress: DumpProgress,
    /// Shards in flight that start no part before others have their vectors.
    pub(crate) wait_for_vectors: u32,
}

/// Handle of a run.
pub(crate) type RunHandle = WorkflowHandle<Client, DumpWorkflow>;

impl Temporal {
    /// Connects as Temporal's configuration says.
    pub(crate) async fn from_environment(profile: Option<String>) -> anyhow::Result<Self> {
        Self::connect(&Connector::from_environment(profile)?, None).await
    }

    /// Connects; `ui` is the address of the Web UI, where it is known.
    pub(crate) async fn connect(connector: &Connector, ui: Option<String>) -> anyhow::Result<Self> {
        let client = connector.connect().await?;
        check_namespace(&client, connector.namespace()).await?;
        let ui = ui
            .or_else(|| std::env::var(environment::UI).ok())
            .unwrap_or_else(|| guess_ui(&connector.address()));
        let encrypted = connector.is_encrypted();
        Ok(Self { client, namespace: connector.namespace().to_owned(), ui, encrypted })
    }

    /// The page of a run in the Web UI.
    pub(crate) fn link(&self, run_id: &str) -> String {
        let id = run_id.replace('/', "%2F");
        format!("{}/namespaces/{}/workflows/{id}", self.ui.trim_end_matches('/'), self.namespace)
    }

    /// Registers the search attributes that runs set. It is no error when they are there, nor when this client
    /// may not register any: an administrator may have done it, and if not, the server says so at the start.
    pub(crate) async fn register_search_attributes(&self) {
        let keyword = IndexedValueType::Keyword as i32;
        let request = AddSearchAttributesRequest {
            search_attributes: names::SEARCH_ATTRIBUTES.map(|name| (name.to_owned(), keyword)).into(),
            namespace: self.namespace.clone(),
        };
        let mut service = self.client.connection().operator_service();
        if let Err(status) = service.add_search_attributes(request.into_request()).await
            && status.code() != Code::AlreadyExists
        {
            let (namespace, why) = (&self.namespace, status.message());
            output::remark(&format!("cannot register search attributes in `{namespace}`: {why}"));
        }
    }

    /// Has the namespace remember ended runs for so long. The development server forgets them after a day.
    pub(crate) async fn remember_for(&self, time: Duration) -> anyhow::Result<()> {
        let config = NamespaceConfig {
            workflow_execution_retention_ttl: time.try_into().ok(),
            ..NamespaceConfig::default()
        };
        let request = UpdateNamespaceRequest {
            namespace: self.namespace.clone(),
            config: Some(config),
            ..UpdateNamespaceRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        service
            .update_namespace(request.into_request())
            .await
            .context("cannot set how long runs are remembered")?;
        Ok(())
    }

    /// Starts a run, or attaches to the one that is running. A run that ended well is attached to, too, unless
    /// `again`.
    pub(crate) async fn start(
        &self,
        run: &Run,
        command: &[String],
        id: &str,
        again: bool,
    ) -> anyhow::Result<RunHandle> {
        let (done, remake_quarantined) = (DumpProgress::default(), false);
        let input = DumpInput { run: run.clone(), done, remake_quarantined, command: command.to_vec() };
        self.start_with(input, id, again).await
    }

    /// The same with what earlier executions have done.
    pub(crate) async fn start_with(
        &self,
        input: DumpInput,
        id: &str,
        again: bool,
    ) -> anyhow::Result<RunHandle> {
        let run = &input.run;
        let reuse = if again {
            WorkflowIdReusePolicy::AllowDuplicate
        } else {
            WorkflowIdReusePolicy::AllowDuplicateFailedOnly
        };
        let options = WorkflowStartOptions::new(names::WORKFLOW_QUEUE, id)
            .id_reuse_policy(reuse)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .search_attributes(SearchAttributes::new([
                names::WIKI.value_set(names::wiki(&run.snapshot).to_owned()),
                names::SNAPSHOT.value_set(run.snapshot.clone()),
                names::STATUS.value_set(Status::Planning.as_str().to_owned()),
            ]))
            .static_summary(self.summary(run))
            .build();
        match self.client.start_workflow(DumpWorkflow::run, input, options).await {
            Ok(_) | Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(self.handle(id)),
            Err(error) => Err(error).with_context(|| format!("cannot start `{id}`")),
        }
    }

    /// What the Web UI shows above a run. It is stored as it is, so it names no path where payloads are encrypted.
    fn summary(&self, run: &Run) -> String {
        if self.encrypted { run.snapshot.clone() } else { format!("{} → {}", run.snapshot, run.output) }
    }

    /// The input that the last execution of a run was started with.
    pub(crate) async fn input(&self, id: &str) -> anyhow::Result<DumpInput> {
        let execution = WorkflowExecution { workflow_id: id.to_owned(), run_id: String::new() };
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: self.namespace.clone(),
            execution: Some(execution),
            maximum_page_size: 1,
            ..GetWorkflowExecutionHistoryRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        let answer = service.get_workflow_execution_history(request.into_request()).await?.into_inner();
        let first = answer.history.and_then(|history| history.events.into_iter().next());
        let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) =
            first.and_then(|event| event.attributes)
        else {
            return Err(unknown_run(id));
        };
        let input = Payloads::of(&self.client).first(started.input.as_ref()).await;
        input.with_context(|| format!("cannot read the input of `{id}`"))
    }

    /// A run by its id.
    pub(crate) fn handle(&self, id: &str) -> RunHandle {
        self.client.get_workflow_handle::<DumpWorkflow>(id)
    }

    /// Where a run stands, its shards in flight included, and how many of these wait for vectors. Needs a worker
    /// of the workflow queue.
    pub(crate) async fn progress(&self, id: &str) -> Result<Standing, WorkflowQueryError> {
        let run = self.handle(id);
        let mut progress = run.query(DumpWorkflow::progress, (), WorkflowQueryOptions::default()).await?;
        let shards = progress.in_flight.iter().map(|shard| self.shard_progress(id, shard));
        let mut wait_for_vectors = 0;
        for shard in futures_util::future::join_all(shards).await.into_iter().flatten() {
            progress.counts.add(&shard.counts);
            wait_for_vectors += u32::from(shard.waits_for_vectors);
        }
        Ok(Standing { progress, wait_for_vectors })
    }

    /// What the activities of a run are at: of the run itself and of its shards in flight.
    pub(crate) async fn activities(&self, id: &str, in_flight: &[String]) -> Activities {
        let ids = in_flight.iter().map(|shard| names::shard_id(id, shard)).chain([id.to_owned()]);
        let described = ids.map(|id| async move {
            let handle = self.handle(&id);
            handle.describe(WorkflowDescribeOptions::default()).await.ok().map(|described| (id, described))
        });
        let (mut activities, payloads) = (Activities::default(), Payloads::of(&self.client));
        for (id, workflow) in futures_util::future::join_all(described).await.into_iter().flatten() {
            for pending in &workflow.raw().pending_activities {
                activities.add(&payloads, &id, pending).await;
            }
        }
        activities
    }

    /// Where a shard stands; nothing when it has only just begun, or ended.
    async fn shard_progress(&self, run_id: &str, shard: &str) -> Option<ShardProgress> {
        let handle = self.client.get_workflow_handle::<ShardWorkflow>(names::shard_id(run_id, shard));
        handle.query(ShardWorkflow::progress, (), WorkflowQueryOptions::default()).await.ok()
    }

    /// Waits for the end of a run.
    pub(crate) async fn result(&self, id: &str) -> Result<DumpProgress, WorkflowGetResultError> {
        self.handle(id).get_result(WorkflowGetResultOptions::default()).await
    }

    /// How many workers serve a queue.
    pub(crate) async fn workers(&self, queue: Queue) -> anyhow::Result<usize> {
        let kind = match queue {
            Queue::Workflow => TaskQueueType::Workflow,
            Queue::Cpu | Queue::Gpu | Queue::Mirror => TaskQueueType::Activity,
        };
        Ok(wikitok_activities::queues::workers(&self.client, queue.task_queue(), kind).await?)
    }
}

/// Who may not ask after the namespace may still use it, so only one that is not there is an error.
async fn check_namespace(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let request = DescribeNamespaceRequest { namespace: namespace.to_owned(), ..Default::default() };
    let described = client.connection().workflow_service().describe_namespace(request.into_request()).await;
    match described {
        Err(status) if status.code() == Code::NotFound => {
            let hint = format!(
                "check TEMPORAL_NAMESPACE, or make it: `temporal operator namespace create -n {namespace}`"
            );
            Err(Hinted::new(format!("the Temporal server has no namespace `{namespace}`"), hint).into())
        }
        _ => Ok(()),
    }
}

/// The error for a run that Temporal does not know.
pub(crate) fn unknown_run(id: &str) -> anyhow::Error {
    Hinted::new(format!("there is no run `{id}`"), "see `wikitok-cli list`").into()
}

fn guess_ui(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "7233"));
    let port: u16 = port.parse().unwrap_or(7233);
    format!("http://{host}:{}", port.saturating_add(UI_PORT_OFFSET))
}
