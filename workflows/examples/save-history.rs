//! Saves the history of a workflow in the form that the replay test reads: `save-history WORKFLOW-ID > FILE`.
//!
//! The connection is configured by `TEMPORAL_ADDRESS` and the like.

use std::io::Write;

use temporalio_client::envconfig::LoadClientConfigProfileOptions;
use temporalio_client::{Client, ClientOptions, Connection, WorkflowFetchHistoryOptions};
use wikitok_workflows::DumpWorkflow;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let id = std::env::args().nth(1).ok_or("which workflow? `save-history WORKFLOW-ID > FILE`")?;
    let (connection, options) = ClientOptions::load_from_config(LoadClientConfigProfileOptions::default())?;
    let client = Client::new(Connection::connect(connection).await?, options)?;
    let handle = client.get_workflow_handle::<DumpWorkflow>(id);
    let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
    std::io::stdout().write_all(&history.to_json().await?)?;
    Ok(())
}
