//! What the server can do by itself: child workflows that do nothing.

#![allow(missing_docs, reason = "the SDK's macros make associated constants that cannot be documented")]

use std::time::Instant;

use futures::future::join_all;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, Url, WorkflowGetResultOptions, WorkflowStartOptions,
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::runtime::RuntimeOptions;
use temporalio_sdk::{
    ChildWorkflowOptions, Runtime, Worker, WorkerOptions, WorkflowContext, WorkflowContextView,
    WorkflowResult,
};

const QUEUE: &str = "bare";
/// Children in flight. More futures in one set would wake themselves.
const LANES: u32 = 30;

#[workflow]
#[derive(Default)]
struct Child;

#[workflow_methods]
impl Child {
    #[allow(clippy::unused_async, reason = "a workflow is one")]
    #[run(name = "BareChild")]
    async fn run(_context: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        Ok(())
    }
}

#[workflow]
struct Parent {
    children: u32,
}

#[workflow_methods]
impl Parent {
    #[init]
    fn new(_context: &WorkflowContextView, children: u32) -> Self {
        Self { children }
    }

    #[run(name = "BareParent")]
    async fn run(context: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let children = context.state(|s| s.children);
        let lanes = (0..LANES).map(|first| lane(context.clone(), first, children));
        join_all(lanes).await;
        Ok(())
    }
}

/// One child after another.
async fn lane(context: WorkflowContext<Parent>, first: u32, children: u32) {
    for child in (first..children).step_by(LANES as usize) {
        let options = ChildWorkflowOptions::builder().workflow_id(format!("bare/{child}")).build();
        let started = context.start_child_workflow(Child::run, (), options).await.unwrap();
        started.result().await.unwrap();
    }
}

/// Children a second that start and end, through one parent and one worker.
pub(super) fn children_per_second(address: &str, children: u32) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let url: Url = format!("http://{address}").parse().unwrap();
        let connection = ConnectionOptions::new(url).build();
        let connection = Connection::connect(connection).await.unwrap();
        let client = Client::new(connection, ClientOptions::new("default").build()).unwrap();
        let runtime = Runtime::from_current_tokio(RuntimeOptions::builder().build().unwrap()).unwrap();
        let options = WorkerOptions::new(QUEUE)
            .register_workflow::<Parent>()
            .unwrap()
            .register_workflow::<Child>()
            .unwrap()
            .build();
        let mut worker = Worker::new(&runtime, client.clone(), options).unwrap();
        let stop = worker.shutdown_handle();
        let began = Instant::now();
        let running = async {
            let options = WorkflowStartOptions::new(QUEUE, "bare").build();
            let handle = client.start_workflow(Parent::run, children, options).await.unwrap();
            handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
            stop();
            began.elapsed().as_secs_f64()
        };
        let (seconds, stopped) = tokio::join!(running, worker.run());
        stopped.unwrap();
        f64::from(children) / seconds
    })
}
